/*
 * Gates: how many at once, how often, of whom, and that a crowd of sources costs nobody else his place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/gate.h"

#include "base/stream.h"
#include "scratch.h"

static struct gate *make(unsigned open_max, unsigned per_s, unsigned burst)
{
    const struct gate_options options = {
        .sources_max = 64, .open_max = open_max, .per_s = per_s, .burst = burst};
    struct gate *gate = NULL;
    CHECK_OK(gate_create(&options, &gate));
    return gate;
}

static void test_open(void **state)
{
    struct gate *gate = make(3, 0, 1);
    (void)state;
    for (int i = 0; i < 3; i++) {
        CHECK(gate_enter(gate, 7, 0) == GATE_OPEN);
    }
    CHECK(gate_enter(gate, 7, 0) == GATE_TOO_MANY);
    CHECK(gate_enter(gate, 8, 0) == GATE_OPEN); /* Another's matter. */
    gate_leave(gate, 7);
    CHECK(gate_enter(gate, 7, 0) == GATE_OPEN);
    CHECK(gate_enter(gate, 7, 1000000) == GATE_TOO_MANY); /* Time opens nothing. */
    gate_destroy(gate);
}

static void test_rate(void **state)
{
    static const struct {
        uint64_t at_ms;
        unsigned passes; /* So many, and no more. */
    } rows[] = {
        {1000, 20},  /* The burst. */
        {1000, 0},   /* */
        {1099, 0},   /* A token takes 100 ms. */
        {1100, 1},   /* */
        {1350, 2},   /* 250 ms later, and 50 kept */
        {1400, 1},   /* for this one. */
        {1300, 0},   /* A clock that goes back gives nothing. */
        {60000, 20}, /* Full, and not fuller. */
        {60001, 0},  /* */
    };
    struct gate *gate = make(1, 10, 20);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned passes = 0;
        while (passes < 100 && gate_pass(gate, 7, rows[i].at_ms) == GATE_OPEN) {
            passes++;
        }
        CHECK_U64(passes, rows[i].passes);
        CHECK(gate_pass(gate, 8 + i, rows[i].at_ms) == GATE_OPEN);
    }
    gate_destroy(gate);
}

/* Sources that come and go do not push out one that holds a connection, and when all rows hold one a
 * new source is turned away: memory does not grow. */
static void test_crowd(void **state)
{
    struct gate *gate = make(2, 1000, 10);
    unsigned opened = 0;
    (void)state;
    CHECK(gate_enter(gate, 1, 0) == GATE_OPEN);
    for (uint64_t source = 100; source < 100000; source++) {
        CHECK(gate_pass(gate, source, source) != GATE_TOO_FAST);
    }
    CHECK(gate_enter(gate, 1, 100000) == GATE_OPEN);
    CHECK(gate_enter(gate, 1, 100000) == GATE_TOO_MANY);
    for (uint64_t source = 200000; source < 300000; source++) {
        opened += gate_enter(gate, source, source) == GATE_OPEN;
    }
    CHECK(opened <= 63 && opened > 30);
    gate_leave(gate, 1);
    gate_leave(gate, 1);
    gate_destroy(gate);
}

static void test_sources(void **state)
{
    static const struct {
        const char *address;
        uint64_t source; /* 0: none. */
        const char *printed;
    } rows[] = {
        {"192.0.2.1:80", STREAM_SOURCE_V4 | 0xC0000201, "192.0.2.1"},
        {"[::ffff:192.0.2.1]:80", STREAM_SOURCE_V4 | 0xC0000201, "192.0.2.1"},
        {"[2001:db8:1:2::9]:80", UINT64_C(0x20010db800010002), "2001:db8:1:2::/64"},
        {"[2001:db8:1:2:ffff::]:81", UINT64_C(0x20010db800010002), "2001:db8:1:2::/64"},
        {"host.example:80", 0, NULL},
        {"192.0.2.1", 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t source = 0;
        char printed[STREAM_SOURCE_SIZE];
        check_row(rows[i].address);
        CHECK(stream_source_of(rows[i].address, &source) == (rows[i].source != 0));
        CHECK_U64(source, rows[i].source);
        if (rows[i].source != 0) {
            stream_source_print(source, printed);
            CHECK_SLICE(slice_of(printed), slice_of(rows[i].printed));
        }
    }
    char printed[STREAM_SOURCE_SIZE];
    stream_source_print(STREAM_SOURCE_USER | 1000, printed);
    CHECK_SLICE(slice_of(printed), slice_of("uid 1000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
