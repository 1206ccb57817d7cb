/*
 * Fuzzing the export: stored records as they may lie in the outbox, and what the cloud says of each.
 *
 * Whatever the records are, a request is JSON of at most so many entities, each with a name of its own;
 * whatever is answered, every record is settled once, and what came of it can be written down.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "client/record.h"
#include "fuzz_json.h"
#include "fuzz_value.h"
#include "store/command.h"

#define RECORDS_MAX 12U
#define CLUSTER "0123456789abcdef0123456789abcdef"
#define FROM 100 /* The sequence before the first. */
#define ROUNDS_MAX 2000U

/* A body that was stored, changed or not. */
static struct slice some_body(struct fuzz_input *input, struct arena *arena)
{
    struct buffer body = {0};
    struct message_record record = {0};
    unsigned how = fuzz_u8(input);
    fuzz_value(input, &message_record_codec, arena, &record);
    if (failed(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body)) || how == 255) {
        buffer_clear(&body);
        struct slice raw = fuzz_bytes(input, 512);
        fuzz_must(buffer_append(&body, raw.data, raw.size), "there is memory");
    } else if (how > 224 && buffer_reserve(&body, 128)) {
        fuzz_patch(input, (uint8_t *)body.data, &body.size, body.capacity);
    }
    struct slice copy = arena_copy(arena, buffer_slice(&body));
    buffer_release(&body);
    return copy;
}

static struct codec_list some_records(struct fuzz_input *input, struct arena *arena)
{
    size_t count = fuzz_u8(input) % RECORDS_MAX + 1U;
    struct record_view *rows = arena_alloc(arena, count, sizeof *rows);
    fuzz_must(rows != NULL, "there is memory");
    for (size_t i = 0; i < count; i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "%zu", i);
        rows[i] = (struct record_view){
            .sequence = FROM + 1 + i,
            .kind = fuzz_u8(input) == 255 ? RECORD_WEB : RECORD_MESSAGE,
            .serial = slice_of("SA"),
            .id = arena_copy(arena, slice_of(id)),
            .revision = 1,
            .body = some_body(input, arena),
        };
    }
    return (struct codec_list){.items = rows, .count = count};
}

/* What is said of one entity, by its own name or by another. */
static json_t *some_result(struct fuzz_input *input, const json_t *sighting)
{
    static const char *const outcomes[] = {"created", "exists", "error", "unknown"};
    unsigned how = fuzz_u8(input);
    if (how < 16) {
        return fuzz_json(input, &(struct fuzz_texts){0}, 3);
    }
    json_t *result = json_pack("{s:s, s:O}", "result", outcomes[how % 4U], "external_ids",
                               json_object_get(sighting, "external_ids"));
    if (how >= 128) {
        (void)json_object_set_new(result, "error", fuzz_json(input, &(struct fuzz_texts){0}, 2));
        (void)json_object_set_new(result, "msg", fuzz_json(input, &(struct fuzz_texts){0}, 0));
    }
    return result;
}

static char *some_answer(struct fuzz_input *input, const json_t *sightings)
{
    json_t *results = json_array();
    size_t count = json_array_size(sightings);
    for (size_t i = 0; i < count && fuzz_u8(input) != 255; i++) {
        size_t which = fuzz_u8(input) < 160 ? i : count - 1 - i;
        (void)json_array_append_new(results, some_result(input, json_array_get(sightings, which)));
    }
    json_t *answer = json_pack("{s:o}", "results", results);
    char *text = fuzz_json_text(answer);
    json_decref(answer);
    return text;
}

static json_t *read_request(const struct buffer *request)
{
    json_t *value = json_loadb(request->data, request->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *sightings = json_incref(json_object_get(value, "sightings"));
    fuzz_must(json_is_array(sightings) && json_array_size(sightings) > 0,
              "a request is JSON with some sightings");
    for (size_t i = 0; i < json_array_size(sightings); i++) {
        const json_t *ids = json_object_get(json_array_get(sightings, i), "external_ids");
        fuzz_must(json_array_size(ids) == 1 && json_is_string(json_array_get(ids, 0)),
                  "a sighting has a name");
    }
    json_decref(value);
    return sightings;
}

static void go_on(struct fuzz_input *input, struct bundle *bundle)
{
    struct buffer request = {0};
    fuzz_ok(bundle_request(bundle, &request));
    json_t *sightings = read_request(&request);
    unsigned how = fuzz_u8(input);
    bool over = input->left == 0; /* From now on everything is taken. */
    if (!over && how < 64) {
        (void)bundle_on_refused(bundle, "the cloud refused it (400)");
    } else if (!over && how < 96) {
        (void)bundle_on_taken(bundle, fuzz_bytes(input, 256));
    } else {
        char *answer = some_answer(input, sightings);
        if (over) {
            free(answer);
            json_t *all = json_array();
            for (size_t i = 0; i < json_array_size(sightings); i++) {
                json_t *ids = json_object_get(json_array_get(sightings, i), "external_ids");
                (void)json_array_append_new(
                    all, json_pack("{s:s, s:O}", "result", "created", "external_ids", ids));
            }
            json_t *object = json_pack("{s:o}", "results", all);
            answer = fuzz_json_text(object);
            json_decref(object);
        }
        (void)bundle_on_taken(bundle, slice_of(answer));
        free(answer);
    }
    json_decref(sightings);
    buffer_release(&request);
}

static void check_settled(const struct bundle *bundle, struct arena *arena)
{
    struct codec_list rejects;
    struct buffer out = {0};
    size_t rejected = 0;
    for (size_t i = 0; i < bundle->entity_count; i++) {
        fuzz_must(bundle->entities[i].settled, "each is settled");
        rejected += bundle->entities[i].rejected;
    }
    fuzz_must(bundle->delivered_count + rejected == bundle->entity_count,
              "delivered and rejected are all");
    fuzz_ok(bundle_rejects(bundle, arena, &rejects));
    fuzz_must(rejects.count == rejected, "what was rejected is listed");
    const struct command advance = {
        .type = COMMAND_EXPORT_ADVANCE,
        .body.export_advance = {.from = bundle->from, .to = bundle->to, .rejects = rejects}};
    fuzz_ok(command_encode(&advance, &out));
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    struct slice said =
        fuzz_bytes(&input, 1024); /* First, or records would take all of a short one. */
    struct fuzz_input answers = {.at = said.data, .left = said.size};
    struct arena arena = {0};
    struct bundle bundle = {0};
    struct codec_list records = some_records(&input, &arena);
    unsigned rounds = 0;
    fuzz_ok(bundle_fill(&bundle, slice_of(CLUSTER), FROM, &records));
    fuzz_must(bundle.entity_count > 0 && bundle.entity_count <= records.count &&
                  bundle.from == FROM && bundle.to == FROM + bundle.entity_count,
              "a bundle is a run of records");
    while (!bundle_settled(&bundle)) {
        fuzz_must(rounds++ < ROUNDS_MAX, "a bundle comes to its end");
        go_on(&answers, &bundle);
    }
    check_settled(&bundle, &arena);
    bundle_release(&bundle);
    arena_release(&arena);
    return 0;
}
