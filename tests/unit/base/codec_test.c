/*
 * The codec: round trips in both dialects, limits on both sides, and strictness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/codec.h"

#include <string.h>

#include "base/fault.h"
#include "scratch.h"

struct point {
    uint64_t x;
    uint64_t y;
};

struct shape {
    struct slice name;
    struct slice blob;
    bool filled;
    struct point origin;
    struct codec_list corners;
    struct codec_list labels;
};

static const struct codec_field point_fields[] = {
    CODEC_FIELD(struct point, 1, x, CODEC_U64, 100),
    CODEC_OPTIONAL(struct point, 2, y, CODEC_U64, 100),
};
static const struct codec point_codec = CODEC(struct point, "point", point_fields);

static const struct codec_field shape_fields[] = {
    CODEC_FIELD(struct shape, 1, name, CODEC_TEXT, 8),
    CODEC_OPTIONAL(struct shape, 2, blob, CODEC_BYTES, 4),
    CODEC_OPTIONAL(struct shape, 3, filled, CODEC_BOOL, 1),
    CODEC_NESTED(struct shape, 4, origin, CODEC_MESSAGE, 0, &point_codec),
    CODEC_NESTED_OPTIONAL(struct shape, 5, corners, CODEC_LIST, 3, &point_codec),
    CODEC_OPTIONAL(struct shape, 6, labels, CODEC_TEXTS, 2),
};
static const struct codec shape_codec = CODEC(struct shape, "shape", shape_fields);

static struct point two_corners[] = {{.x = 1, .y = 2}, {.x = 3}};
static struct slice two_labels[] = {{.data = "a", .size = 1}, {.data = "bc", .size = 2}};

static struct shape sample(void)
{
    return (struct shape){
        .name = slice_of("square"),
        .blob = {.data = "\0\xff", .size = 2},
        .filled = true,
        .origin = {.x = 7},
        .corners = {.items = two_corners, .count = 2},
        .labels = {.items = two_labels, .count = 2},
    };
}

static void check_round_trip(enum codec_dialect dialect)
{
    struct shape in = sample();
    struct shape out;
    struct buffer bytes = {0};
    struct arena arena = {0};
    CHECK_OK(codec_encode(&shape_codec, dialect, &in, &bytes));
    CHECK_OK(codec_decode(&shape_codec, dialect, buffer_slice(&bytes), &arena, &out));
    CHECK_SLICE(out.name, in.name);
    CHECK_SLICE(out.blob, in.blob);
    CHECK(out.filled);
    CHECK_U64(out.origin.x, 7);
    CHECK_U64(out.origin.y, 0);
    CHECK_U64(out.corners.count, 2);
    CHECK_U64(((struct point *)out.corners.items)[1].x, 3);
    CHECK_U64(out.labels.count, 2);
    CHECK_SLICE(((struct slice *)out.labels.items)[1], slice_of("bc"));

    /* Every prefix is refused, whatever it is cut within. */
    for (size_t size = 0; size < bytes.size; size++) {
        struct slice prefix = {.data = bytes.data, .size = size};
        CHECK_CODE(codec_decode(&shape_codec, dialect, prefix, &arena, &out), STATUS_INVALID);
    }
    CHECK(buffer_append(&bytes, "\xc0", 1));
    CHECK_CODE(codec_decode(&shape_codec, dialect, buffer_slice(&bytes), &arena, &out),
               STATUS_INVALID);
    arena_release(&arena);
    buffer_release(&bytes);
}

static void test_round_trip(void **state)
{
    (void)state;
    check_row("tags");
    check_round_trip(CODEC_TAGS);
    check_row("names");
    check_round_trip(CODEC_NAMES);
}

static void test_encode_limits(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    CHECK(buffer_append(&bytes, "keep", 4));
    struct shape shape = sample();
    shape.name = slice_of("ninechars");
    struct status status = codec_encode(&shape_codec, CODEC_TAGS, &shape, &bytes);
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "shape.name has to be text of at most 8 bytes") != NULL);
    shape = sample();
    shape.name = (struct slice){.data = "\xff", .size = 1};
    CHECK_CODE(codec_encode(&shape_codec, CODEC_TAGS, &shape, &bytes), STATUS_INVALID);
    shape = sample();
    shape.origin.x = 101;
    CHECK_CODE(codec_encode(&shape_codec, CODEC_TAGS, &shape, &bytes), STATUS_INVALID);
    shape = sample();
    shape.labels.count = 3;
    CHECK_CODE(codec_encode(&shape_codec, CODEC_TAGS, &shape, &bytes), STATUS_INVALID);
    CHECK_SLICE(buffer_slice(&bytes), slice_of("keep"));
    buffer_release(&bytes);
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        .data = (text), .size = sizeof(text) - 1                                                   \
    }

static void test_decode_rows(void **state)
{
    static const struct {
        const char *name;
        enum codec_dialect dialect;
        struct slice bytes;
        enum status_code code;
    } rows[] = {
        {"good", CODEC_TAGS, BYTES("\x81\x01\x05"), STATUS_OK},
        {"unknown field", CODEC_TAGS, BYTES("\x82\x01\x05\x09\x01"), STATUS_INVALID},
        {"given twice", CODEC_TAGS, BYTES("\x82\x01\x05\x01\x05"), STATUS_INVALID},
        {"missing", CODEC_TAGS, BYTES("\x81\x02\x05"), STATUS_INVALID},
        {"over its limit", CODEC_TAGS, BYTES("\x81\x01\xcc\xc8"), STATUS_INVALID},
        {"negative", CODEC_TAGS, BYTES("\x81\x01\xff"), STATUS_INVALID},
        {"not a map", CODEC_TAGS, BYTES("\x91\x01"), STATUS_INVALID},
        {"a float", CODEC_TAGS, BYTES("\x81\x01\xca\x40\xa0\x00\x00"), STATUS_INVALID},
        {"nil", CODEC_TAGS, BYTES("\x81\x01\xc0"), STATUS_INVALID},
        {"true", CODEC_TAGS, BYTES("\x81\x01\xc3"), STATUS_INVALID},
        {"text", CODEC_TAGS, BYTES("\x81\x01\xa1\x35"), STATUS_INVALID},
        {"negative, of one byte", CODEC_TAGS, BYTES("\x81\x01\xd0\x80"), STATUS_INVALID},
        {"negative, of eight", CODEC_TAGS, BYTES("\x81\x01\xd3\xff\xff\xff\xff\xff\xff\xff\xff"),
         STATUS_INVALID},
        {"cut short", CODEC_TAGS, BYTES("\x82\x01\x05"), STATUS_INVALID},
        {"followed by more", CODEC_TAGS, BYTES("\x81\x01\x05\xc0"), STATUS_INVALID},
        {"a tag that is text", CODEC_TAGS, BYTES("\x81\xa1x\x05"), STATUS_INVALID},
        {"a long map", CODEC_TAGS, BYTES("\xde\x00\x01\x01\x05"), STATUS_OK},
        {"names: good", CODEC_NAMES, BYTES("\x81\xa1x\x05"), STATUS_OK},
        {"names: unknown is ignored", CODEC_NAMES, BYTES("\x82\xa1x\x05\xa1q\x01"), STATUS_OK},
        {"names: unknown of every kind is passed", CODEC_NAMES,
         BYTES(
             "\x8a\xa1x\x05\xa1q\x82\x91\x92\x80\x90\x05\xa1x\x09\xa1q\xc0\xa1q\xc4\x01x\xa1q\xcb"
             "12345678\xa1q\xd1\xff\xff\xa1q\xdc\x00\x02\xa1x\xc2\xa1q\xdf\x00\x00\x00\x01\xa1x\x09"
             "\xa1q\xd9\x01x\xa1y\x06"),
         STATUS_OK},
        {"names: keys of other kinds are passed", CODEC_NAMES,
         BYTES("\x84\x01\x09\x91\xa1x\x09\xc4\x01x\x09\xa1x\x05"), STATUS_OK},
        {"names: a longer name is another", CODEC_NAMES, BYTES("\x82\xa3x\0y\x09\xa1x\x05"),
         STATUS_OK},
        {"names: a shorter name is another", CODEC_NAMES, BYTES("\x82\xa0\x09\xa1x\x05"),
         STATUS_OK},
        {"names: missing", CODEC_NAMES, BYTES("\x81\xa1q\x05"), STATUS_INVALID},
        {"names: twice", CODEC_NAMES, BYTES("\x82\xa1x\x05\xa1x\x05"), STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct point point;
        struct arena arena = {0};
        check_row(rows[i].name);
        CHECK_CODE(codec_decode(&point_codec, rows[i].dialect, rows[i].bytes, &arena, &point),
                   rows[i].code);
        if (rows[i].code == STATUS_OK) {
            CHECK_U64(point.x, 5);
        }
        arena_release(&arena);
    }
}

/* One number may be written in many ways, by clients in other languages. */
static void test_decode_numbers(void **state)
{
    static const struct slice forms[] = {
        BYTES("\x81\x01\x05"),
        BYTES("\x81\x01\xcc\x05"),
        BYTES("\x81\x01\xcd\x00\x05"),
        BYTES("\x81\x01\xce\x00\x00\x00\x05"),
        BYTES("\x81\x01\xcf\x00\x00\x00\x00\x00\x00\x00\x05"),
        BYTES("\x81\x01\xd0\x05"),
        BYTES("\x81\x01\xd1\x00\x05"),
        BYTES("\x81\x01\xd2\x00\x00\x00\x05"),
        BYTES("\x81\x01\xd3\x00\x00\x00\x00\x00\x00\x00\x05"),
        BYTES("\x81\xcd\x00\x01\x05"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct point point;
        struct arena arena = {0};
        CHECK_OK(codec_decode(&point_codec, CODEC_TAGS, forms[i], &arena, &point));
        CHECK_U64(point.x, 5);
        arena_release(&arena);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct shape in = sample();
    struct shape out;
    int fired = 1;
    for (int visit = 0; fired > 0; visit++) {
        struct buffer bytes = {0};
        struct arena arena = {0};
        fault_arm(FAULT_ALLOC, visit, 1);
        struct status status = codec_encode(&shape_codec, CODEC_TAGS, &in, &bytes);
        if (!failed(status)) {
            status = codec_decode(&shape_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, &out);
        }
        fired = fault_reset();
        CHECK_CODE(status, fired > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        arena_release(&arena);
        buffer_release(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_encode_limits),
        cmocka_unit_test(test_decode_rows),   cmocka_unit_test(test_decode_numbers),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
