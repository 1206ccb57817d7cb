/*
 * The small parts of the ground floor: statuses, text, time, checksums, hexadecimal, secrets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/hex.h"
#include "base/secret.h"
#include "scratch.h"

static void test_status(void **state)
{
    (void)state;
    struct status status = wrap(fail_errno(ENOSPC, "write %s", "log"), "append");
    CHECK_CODE(status, STATUS_FULL);
    assert_string_equal(status.message, "append: write log: No space left on device");

    char text[2 * STATUS_MESSAGE_SIZE];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + STATUS_MESSAGE_SIZE - 2, "\xe3\x81\x82", 3); /* Cut within this character. */
    status = fail(STATUS_IO, "%s", text);
    CHECK_U64(strlen(status.message), STATUS_MESSAGE_SIZE - 2);
    CHECK(slice_is_text(slice_of(status.message)));
    status = wrap(status, "more");
    CHECK(slice_is_text(slice_of(status.message)));
}

static void test_utf8(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        bool good;
    } rows[] = {
        {"empty", "", true},
        {"ascii", "abc", true},
        {"two, three, four bytes", "\xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"long ascii", "0123456789abcdef0123456789abcdef\x7f\x01", true},
        {"long, then others", "0123456789abcde\xc2\xa2 0123456789abcdef", true},
        {"long, and bad at the end", "0123456789abcdef\xff", false},
        {"long, and bad in the middle",
         "0123456789\x80"
         "bcdef0123456789",
         false},
        {"stray continuation", "\x80", false},
        {"cut short", "\xe2\x82", false},
        {"overlong", "\xc0\xaf", false},
        {"overlong of three", "\xe0\x80\xaf", false},
        {"surrogate", "\xed\xa0\x80", false},
        {"above the last code point", "\xf4\x90\x80\x80", false},
        {"not a lead byte", "\xff", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_U64(slice_is_text(slice_of(rows[i].text)), rows[i].good);
    }
    CHECK(!slice_is_text((struct slice){.data = "a\0b", .size = 3}));
    for (size_t at = 0; at < 17; at++) { /* Wherever the zero byte stands. */
        char text[] = "0123456789abcdef0";
        text[at] = '\0';
        CHECK(!slice_is_text((struct slice){.data = text, .size = 17}));
    }
}

static void test_clock(void **state)
{
    static const struct {
        const char *text;
        uint64_t at_ms;
        bool good;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, true},
        {"2026-01-02T03:04:05.678Z", 1767323045678, true},
        {"2026-01-02T05:04:05.6+02:00", 1767323045600, true},
        {"2000-02-29T00:00:00Z", 951782400000, true},
        {"9999-12-31T23:59:59.999Z", 253402300799999, true},
        {"1969-12-31T23:59:59Z", 0, false},
        {"2026-13-01T00:00:00Z", 0, false},
        {"2026-01-02T03:04:05", 0, false},
        {"2026-01-02T03:04:05.Z", 0, false},
        {"2026-01-02T03:04:05Zx", 0, false},
        {"9999-12-31T23:59:59Z", UINT64_C(253402300799000), true},
        {"9999-12-31T23:59:59-00:01", 0, false},
        {"1970-01-01T00:00:00+00:01", 0, false},
        {"", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t at_ms = 0;
        check_row(rows[i].text);
        CHECK_U64(clock_parse(slice_of(rows[i].text), &at_ms), rows[i].good);
        CHECK_U64(at_ms, rows[i].at_ms);
    }
    char text[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format(1767323045678, text), "2026-01-02T03:04:05.678Z");
    assert_string_equal(clock_format(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
}

static void test_crc32c(void **state)
{
    (void)state;
    /* RFC 3720, B.4: 32 bytes of zeroes, of ones, and 0 to 31. */
    uint8_t bytes[32] = {0};
    struct slice all = {.data = bytes, .size = sizeof bytes};
    CHECK_U64(crc32c(0, all), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof bytes);
    CHECK_U64(crc32c(0, all), 0x62A8AB43);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    CHECK_U64(crc32c(0, all), 0x46DD794E);
    struct slice head = {.data = bytes, .size = 5};
    struct slice tail = {.data = bytes + 5, .size = 27};
    CHECK_U64(crc32c(crc32c(0, head), tail), 0x46DD794E);
}

static void test_base64url(void **state)
{
    (void)state;
    for (size_t size = 0; size < 70; size++) {
        struct buffer text = {0};
        struct buffer back = {0};
        uint8_t bytes[70];
        memset(bytes, (int)(size * 37), sizeof bytes);
        struct slice in = {.data = bytes, .size = size};
        CHECK(base64url_encode(in, &text));
        CHECK_OK(base64url_decode(buffer_slice(&text), &back));
        CHECK_SLICE(buffer_slice(&back), in);
        buffer_release(&text);
        buffer_release(&back);
    }
    struct buffer out = {0};
    CHECK_CODE(base64url_decode(slice_of("a"), &out), STATUS_INVALID);
    CHECK_CODE(base64url_decode(slice_of("ab=="), &out), STATUS_INVALID);
    CHECK_CODE(base64url_decode(slice_of("ab+/"), &out), STATUS_INVALID);
    CHECK_CODE(base64url_decode(slice_of("AB"), &out), STATUS_INVALID); /* Stray bits. */
    CHECK_OK(base64url_decode(slice_of("AA"), &out));
    buffer_release(&out);
}

static void test_hex(void **state)
{
    (void)state;
    char text[9];
    uint8_t bytes[4];
    hex_encode((struct slice){.data = "\x00\x7f\x80\xff", .size = 4}, text);
    assert_string_equal(text, "007f80ff");
    CHECK(hex_decode(slice_of("007F80ff"), bytes, sizeof bytes));
    assert_memory_equal(bytes, "\x00\x7f\x80\xff", 4);
    CHECK(!hex_decode(slice_of("007F80f"), bytes, sizeof bytes));
    CHECK(!hex_decode(slice_of("007F80fg"), bytes, sizeof bytes));
}

static void test_secret(void **state)
{
    (void)state;
    struct secret secret = {0};
    CHECK_CODE(secret_reserve(&secret, 0), STATUS_INVALID);
    CHECK_CODE(secret_reserve(&secret, SECRET_SIZE_MAX + 1), STATUS_INVALID);
    CHECK_OK(secret_copy(&secret, slice_of("hunter2")));
    CHECK_SLICE(secret_slice(&secret), slice_of("hunter2"));
    secret_release(&secret);
    secret_release(&secret);
    CHECK_U64(secret_slice(&secret).size, 0);
    CHECK(secret_equal(slice_of("ab"), slice_of("ab")));
    CHECK(!secret_equal(slice_of("ab"), slice_of("ac")));
    CHECK(!secret_equal(slice_of("ab"), slice_of("abc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),    cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_clock),     cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_base64url), cmocka_unit_test(test_hex),
        cmocka_unit_test(test_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
