/*
 * Sealing: what was sealed opens by the same key for the same purpose, and in no other case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/seal.h"

#include <string.h>

#include "base/fault.h"
#include "base/hex.h"
#include "scratch.h"

static const uint8_t key_bytes[SEAL_KEY_SIZE] = "the key of the cluster, 32 bytes";
static const uint8_t other_bytes[SEAL_KEY_SIZE] = "the key of another.     32 bytes";
static const uint8_t nonce[SEAL_NONCE_SIZE] = "nonce 12 by.";
static const struct slice key = {.data = key_bytes, .size = sizeof key_bytes};
static const struct slice other = {.data = other_bytes, .size = sizeof other_bytes};

static void test_round_trip(void **state)
{
    struct buffer sealed = {0};
    struct secret plain = {0};
    (void)state;
    struct seal_purpose purpose = seal_purpose_of(slice_of("credential/prod"), 3);
    CHECK_SLICE(slice_of(purpose.text), slice_of("credential/prod/3"));
    CHECK(buffer_append(&sealed, "keep", 4));
    CHECK_OK(seal_close(key, 7, &purpose, nonce, slice_of("password"), &sealed));
    CHECK_U64(sealed.size, 4 + 8 + SEAL_OVERHEAD);
    buffer_consume(&sealed, 4);
    CHECK_U64(seal_key_epoch(buffer_slice(&sealed)), 7);
    CHECK(memmem(sealed.data, sealed.size, "password", 8) == NULL);
    CHECK_OK(seal_open(key, &purpose, buffer_slice(&sealed), &plain));
    CHECK_SLICE(secret_slice(&plain), slice_of("password"));
    secret_release(&plain);

    /* No bit of it may flip, and no byte be missing. */
    for (size_t bit = 0; bit < sealed.size * 8; bit++) {
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ 1 << bit % 8);
        CHECK_CODE(seal_open(key, &purpose, buffer_slice(&sealed), &plain), STATUS_CORRUPT);
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t size = 0; size < sealed.size; size++) {
        struct slice prefix = {.data = sealed.data, .size = size};
        CHECK_CODE(seal_open(key, &purpose, prefix, &plain), STATUS_CORRUPT);
    }
    CHECK(plain.pages == NULL);
    buffer_release(&sealed);
}

static void test_refused(void **state)
{
    const struct {
        const char *name;
        struct slice key;
        const char *what;
        uint64_t epoch;
        enum status_code code;
    } rows[] = {
        {"right", key, "device_key", 1, STATUS_OK},
        {"other key", other, "device_key", 1, STATUS_CORRUPT},
        {"short key", {.data = key_bytes, .size = 16}, "device_key", 1, STATUS_INVALID},
        {"other purpose", key, "registration_token", 1, STATUS_CORRUPT},
        {"other epoch", key, "device_key", 2, STATUS_CORRUPT},
    };
    struct buffer sealed = {0};
    struct seal_purpose purpose = seal_purpose_of(slice_of("device_key"), 1);
    (void)state;
    CHECK_OK(seal_close(key, 1, &purpose, nonce, slice_of("secret"), &sealed));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct secret plain = {0};
        struct seal_purpose asked = seal_purpose_of(slice_of(rows[i].what), rows[i].epoch);
        check_row(rows[i].name);
        CHECK_CODE(seal_open(rows[i].key, &asked, buffer_slice(&sealed), &plain), rows[i].code);
        secret_release(&plain);
    }
    buffer_release(&sealed);
}

static void test_unsealable(void **state)
{
    static const char large[SECRET_SIZE_MAX + 1];
    struct slice short_key = {.data = key_bytes, .size = 16};
    struct seal_purpose purpose = seal_purpose_of(slice_of("x"), 1);
    struct buffer out = {0};
    (void)state;
    CHECK_CODE(seal_close(short_key, 1, &purpose, nonce, slice_of("s"), &out), STATUS_INVALID);
    CHECK_CODE(seal_close(key, 0, &purpose, nonce, slice_of("s"), &out), STATUS_INVALID);
    CHECK_CODE(seal_close(key, 1, &purpose, nonce, slice_of(""), &out), STATUS_INVALID);
    struct slice too_large = {.data = large, .size = sizeof large};
    CHECK_CODE(seal_close(key, 1, &purpose, nonce, too_large, &out), STATUS_INVALID);
    CHECK_U64(seal_key_epoch(slice_of("not sealed")), 0);
    for (int after = 0;; after++) {
        fault_arm(FAULT_ALLOC, after, 1);
        struct status status = seal_close(key, 1, &purpose, nonce, slice_of("s"), &out);
        if (fault_reset() == 0) {
            CHECK_OK(status);
            break;
        }
        CHECK_CODE(status, STATUS_NO_MEMORY);
        CHECK_U64(out.size, 0);
    }
    buffer_release(&out);
}

/* Of HMAC-SHA256 by another implementation, as RFC 5869 puts it together. */
static void test_derived(void **state)
{
    static const struct {
        const char *salt;
        const char *hex;
    } rows[] = {
        {"", "479dd84d163df1782566e1803faf199e24d3af4dcc119c299dc0190b1c46198f"},
        {"salt", "826784cd94275b7ff8cd433521c1a2bc3e4267987ece804daf6c7989d4ae3eaa"},
    };
    uint8_t bytes[SEAL_KEY_SIZE];
    struct secret derived = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    struct slice from = {.data = bytes, .size = sizeof bytes};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char hex[2 * SEAL_KEY_SIZE + 1];
        CHECK_OK(seal_derive(from, slice_of(rows[i].salt), "label", &derived));
        hex_encode(secret_slice(&derived), hex);
        CHECK_SLICE(slice_of(hex), slice_of(rows[i].hex));
        secret_release(&derived);
    }
    from.size--;
    CHECK_CODE(seal_derive(from, slice_of(""), "label", &derived), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unsealable),
        cmocka_unit_test(test_derived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
