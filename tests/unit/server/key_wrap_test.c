/*
 * Wrapping a cluster key to a member: it comes out again for that member and purpose, and for nothing
 * else; no byte can be changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "key_wrap.h"

#include <string.h>

#include "base/x509.h"
#include "scratch.h"
#include "store/seal.h"

static const char cluster_key[SEAL_KEY_SIZE] = "a cluster key of thirty-two byte";

struct node {
    struct secret key;
    struct buffer certificate;
};

static void make_node(struct node *node)
{
    static const uint8_t serial[16] = {0x41};
    const struct x509_subject subject = {
        .common_name = {.data = "node", .size = 4},
        .serial = {.data = serial, .size = sizeof serial},
        .not_before_ms = 1000,
        .not_after_ms = UINT64_C(4000000000000),
    };
    CHECK_OK(x509_make_key(&node->key));
    CHECK_OK(x509_make_ca(secret_slice(&node->key), &subject, &node->certificate));
}

static void release_node(struct node *node)
{
    secret_release(&node->key);
    buffer_release(&node->certificate);
}

static const struct key_wrap_purpose purpose = {
    .cluster_id = {.data = "0123456789abcdef0123456789abcdef", .size = 32},
    .node_id = 7,
    .epoch = 2,
};

static void test_round_trip(void **state)
{
    struct node a = {0};
    struct node b = {0};
    struct buffer wrapped = {0};
    struct buffer again = {0};
    struct secret out = {0};
    const struct slice key = {.data = cluster_key, .size = sizeof cluster_key};
    (void)state;
    make_node(&a);
    make_node(&b);
    CHECK_OK(key_wrap(buffer_slice(&a.certificate), &purpose, key, &wrapped));
    CHECK_OK(key_wrap(buffer_slice(&a.certificate), &purpose, key, &again));
    CHECK(!slice_equal(buffer_slice(&wrapped), buffer_slice(&again)));
    CHECK_OK(key_unwrap(secret_slice(&a.key), &purpose, buffer_slice(&wrapped), &out));
    CHECK_SLICE(secret_slice(&out), key);
    secret_release(&out);
    CHECK_CODE(key_unwrap(secret_slice(&b.key), &purpose, buffer_slice(&wrapped), &out),
               STATUS_CORRUPT);
    struct key_wrap_purpose other[] = {purpose, purpose, purpose};
    other[0].cluster_id.size = 31;
    other[1].node_id = 8;
    other[2].epoch = 3;
    for (size_t i = 0; i < 3; i++) {
        CHECK_CODE(key_unwrap(secret_slice(&a.key), &other[i], buffer_slice(&wrapped), &out),
                   STATUS_CORRUPT);
        CHECK(out.pages == NULL);
    }
    release_node(&a);
    release_node(&b);
    buffer_release(&wrapped);
    buffer_release(&again);
}

static void test_hostile(void **state)
{
    struct node a = {0};
    struct buffer wrapped = {0};
    struct secret out = {0};
    const struct slice key = {.data = cluster_key, .size = sizeof cluster_key};
    (void)state;
    make_node(&a);
    CHECK_OK(key_wrap(buffer_slice(&a.certificate), &purpose, key, &wrapped));
    for (size_t at = 0; at < wrapped.size; at++) {
        wrapped.data[at] ^= 0x10;
        CHECK(failed(key_unwrap(secret_slice(&a.key), &purpose, buffer_slice(&wrapped), &out)));
        wrapped.data[at] ^= 0x10;
        const struct slice cut = {.data = wrapped.data, .size = at};
        CHECK(failed(key_unwrap(secret_slice(&a.key), &purpose, cut, &out)));
    }
    CHECK_CODE(key_wrap(slice_of("not a certificate"), &purpose, key, &wrapped), STATUS_INVALID);
    CHECK_CODE(key_unwrap(slice_of("not a key"), &purpose, buffer_slice(&wrapped), &out),
               STATUS_INVALID);
    CHECK_OK(key_unwrap(secret_slice(&a.key), &purpose, buffer_slice(&wrapped), &out));
    secret_release(&out);
    release_node(&a);
    buffer_release(&wrapped);
}

static void test_check(void **state)
{
    uint8_t one[KEY_CHECK_SIZE];
    uint8_t two[KEY_CHECK_SIZE];
    char other[SEAL_KEY_SIZE];
    (void)state;
    memcpy(other, cluster_key, sizeof other);
    CHECK_OK(key_check((struct slice){cluster_key, sizeof cluster_key}, one));
    CHECK_OK(key_check((struct slice){other, sizeof other}, two));
    CHECK(memcmp(one, two, sizeof one) == 0);
    other[31] ^= 1;
    CHECK_OK(key_check((struct slice){other, sizeof other}, two));
    CHECK(memcmp(one, two, sizeof one) != 0);
    CHECK(memcmp(one, cluster_key, sizeof one) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
