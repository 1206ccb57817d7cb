/*
 * Outbox records for tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "outbox_rows.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/record.h"

#define FIRST_MS UINT64_C(1767323045000)

struct slice outbox_body(struct arena *arena, uint64_t number)
{
    struct buffer body = {0};
    struct message_record record = {
        .serial = slice_of("SA"),
        .mid = number,
        .revision = FIRST_MS,
        .start_ms = FIRST_MS,
        .last_ms = FIRST_MS + 5,
        .disposition = slice_of("delivered"),
        .sender = slice_of("s@x.example"),
    };

    CHECK_OK(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body));
    struct slice copy = arena_copy(arena, buffer_slice(&body));
    buffer_release(&body);
    return copy;
}

struct codec_list outbox_rows(struct arena *arena, uint64_t first, size_t count)
{
    struct record_view *rows = arena_alloc(arena, count, sizeof *rows);
    char id[24];

    assert_non_null(rows);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)(first + i));
        rows[i] = (struct record_view){
            .sequence = first + i,
            .kind = RECORD_MESSAGE,
            .serial = slice_of("SA"),
            .id = arena_copy(arena, slice_of(id)),
            .revision = FIRST_MS,
            .body = outbox_body(arena, first + i),
        };
    }
    return (struct codec_list){.items = rows, .count = count};
}

static json_t *sightings_of(struct slice request)
{
    json_t *value = json_loadb(request.data, request.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    json_t *sightings = json_incref(json_object_get(value, "sightings"));
    assert_non_null(sightings);
    json_decref(value);
    return sightings;
}

size_t outbox_count(struct slice request)
{
    json_t *sightings = sightings_of(request);
    size_t count = json_array_size(sightings);

    json_decref(sightings);
    return count;
}

void outbox_answer(struct slice request, const char *outcome, struct buffer *out)
{
    json_t *sightings = sightings_of(request);
    json_t *results = json_array();

    for (size_t i = json_array_size(sightings); i > 0; i--) {
        json_t *ids = json_object_get(json_array_get(sightings, i - 1), "external_ids");
        assert_int_equal(
            json_array_append_new(results, json_pack("{s:s, s:O, s:{s:s}}", "result", outcome,
                                                     "external_ids", ids, "error", "type", "bad")),
            0);
    }
    json_t *answer = json_pack("{s:o}", "results", results);
    char *text = json_dumps(answer, 0);
    buffer_clear(out);
    CHECK(buffer_print(out, "%s", text));
    free(text);
    json_decref(answer);
    json_decref(sightings);
}
