/*
 * The simulator's JSON scanner, alone and against jansson: both must say the same of every text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "sim_scan.h"

static bool scans(struct slice text)
{
    struct sim_scan scan = sim_scan_open(text);
    return sim_scan_skip(&scan) && sim_scan_finish(&scan);
}

static bool jansson_reads(struct slice text)
{
    json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
    json_decref(json);
    return json != NULL;
}

static void test_texts(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"{}", true},
        {"[]", true},
        {" [ 1 , 2.5e-3 , -0 , \"a\\u00e9\\n\" , true , false , null ] ", true},
        {"{\"a\":{\"b\":[{\"c\":[]}]},\"d\":0}", true},
        {"\"\\ud83d\\ude00\"", true},
        {"\"\xf0\x9f\x98\x80\"", true},
        {"", false},
        {"{", false},
        {"[1,]", false},
        {"[,1]", false},
        {"[1 2]", false},
        {"{\"a\":1,}", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{a:1}", false},
        {"{\"a\":1 \"b\":2}", false},
        {"[1]]", false},
        {"[}", false},
        {"{]", false},
        {"01", false},
        {"1.", false},
        {".5", false},
        {"-", false},
        {"1e", false},
        {"+1", false},
        {"tru", false},
        {"nulll", false},
        {"\"a", false},
        {"\"\n\"", false},
        {"\"\\x\"", false},
        {"\"\\u12g4\"", false},
        {"\"\xff\"", false},
        {"\"\xc0\xaf\"", false},
        {"{} x", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].text);
        CHECK_U64(scans(slice_of(rows[i].text)), rows[i].good);
        CHECK_U64(jansson_reads(slice_of(rows[i].text)), rows[i].good);
    }
}

static const char seed_text[] =
    "{\"source\":\"ESA \\\"1\\\"\",\"sightings\":[{\"count\":1,\"ratio\":-1.5e+3,\"internal\":true,"
    "\"none\":null,\"external_ids\":[\"m-1\",\"\\u00e9\\ud83d\\ude00\"],\"empty\":{},\"list\":[],"
    "\"observed_time\":{\"start_time\":\"2026-01-02T03:04:05.000Z\"},\"text\":\"\xe2\x82\xac\"}]}";

/* A known generator: the same texts on every run. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

/* jansson refuses what the scanner leaves to the decoder or has no opinion on: halves of surrogate
 * pairs, NUL in strings, numbers out of the range of a double or a 64-bit integer. */
static bool may_differ(const char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] == '\\' && text[i + 1] == 'u') {
            return true;
        }
        if (text[i] == 'e' || text[i] == 'E') {
            return true;
        }
    }
    return false;
}

static void test_mutants_agree_with_jansson(void **state)
{
    enum { MUTANTS = 200000 };
    static const char bytes[] = "{}[]\",:\\ 0123456789.-+eEtrufalsn\n\x7f\xe2\x82\xff";
    char text[sizeof seed_text];
    uint32_t random = 7;
    size_t good = 0;
    (void)state;
    check_row("mutants");
    for (int i = 0; i < MUTANTS; i++) {
        memcpy(text, seed_text, sizeof text);
        size_t size = sizeof text - 1;
        for (uint32_t changes = next_random(&random) % 3 + 1; changes > 0; changes--) {
            text[next_random(&random) % size] = bytes[next_random(&random) % (sizeof bytes - 1)];
        }
        if (next_random(&random) % 8 == 0) {
            size = next_random(&random) % size;
        }
        struct slice mutant = {.data = text, .size = size};
        bool ours = scans(mutant);
        bool theirs = jansson_reads(mutant);
        good += ours;
        if (ours != theirs && (theirs || !may_differ(text, size))) {
            print_error("%.*s\n", SLICE_ARG(mutant));
            CHECK_U64(ours, theirs);
        }
    }
    CHECK(good > MUTANTS / 20); /* Both kinds were met. */
    CHECK(good < MUTANTS - MUTANTS / 20);
}

static void test_depth(void **state)
{
    char text[2 * (SIM_SCAN_DEPTH_MAX + 1)];
    (void)state;
    for (size_t depth = SIM_SCAN_DEPTH_MAX; depth <= SIM_SCAN_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        CHECK_U64(scans((struct slice){.data = text, .size = 2 * depth}),
                  depth == SIM_SCAN_DEPTH_MAX);
    }
}

static void test_decode(void **state)
{
    static const struct {
        const char *raw;
        const char *text; /* NULL: refused. */
        size_t units;
    } rows[] = {
        {"plain", "plain", 5},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
        {"\\u0041\\u00e9\\u20ac", "A\xc3\xa9\xe2\x82\xac", 3},
        {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!", 3},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 2},
        {"\xe2\x82\xac", "\xe2\x82\xac", 1},
        {"\\ud83d", NULL, 1},
        {"\\ud83dx", NULL, 2},
        {"\\ude00", NULL, 1},
        {"\\ud83d\\u0041", NULL, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out = {0};
        check_row(rows[i].raw);
        CHECK_U64(sim_scan_decode(slice_of(rows[i].raw), &out), rows[i].text != NULL);
        if (rows[i].text != NULL) {
            CHECK_SLICE(buffer_slice(&out), slice_of(rows[i].text));
        }
        CHECK_U64(sim_scan_length_utf16(slice_of(rows[i].raw)), rows[i].units);
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_mutants_agree_with_jansson),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
