/*
 * A bundle of records on its way to the cloud.
 *
 * Ranges are a stack of work. Invariants, asserted where they matter:
 *   - every entity that is not settled lies in exactly one range;
 *   - the last range has at least one entity that is not settled, unless the bundle is settled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bundle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "json_read.h"

static const char request_head[] = "{\"source\":\"muster\",\"sightings\":[";
static const char request_tail[] = "]}";

/* ---- Settling ---- */

static void settle(struct bundle *bundle, struct bundle_entity *entity)
{
    if (!entity->settled) {
        entity->settled = true;
        bundle->settled_count++;
    }
}

static void settle_delivered(struct bundle *bundle, struct bundle_entity *entity)
{
    if (!entity->settled) {
        bundle->delivered_count++;
    }
    settle(bundle, entity);
}

static void settle_rejected(struct bundle *bundle, struct bundle_entity *entity, const char *reason)
{
    if (!entity->settled) {
        entity->rejected = true;
        entity->reason = alloc_text(reason);
        bundle->refused_count += entity->size > 0 ? 1 : 0;
    }
    settle(bundle, entity);
}

bool bundle_settled(const struct bundle *bundle)
{
    return bundle->settled_count == bundle->entity_count;
}

static size_t count_open(const struct bundle *bundle, const struct bundle_range *range)
{
    size_t count = 0;
    for (size_t i = range->first; i < range->end; i++) {
        count += bundle->entities[i].settled ? 0 : 1;
    }
    return count;
}

/* Restores the second invariant. */
static void drop_done_ranges(struct bundle *bundle)
{
    while (bundle->range_count > 0 &&
           count_open(bundle, &bundle->ranges[bundle->range_count - 1]) == 0) {
        bundle->range_count--;
    }
}

/* ---- Filling ---- */

static int compare_digests(const void *left, const void *right, void *context)
{
    const struct bundle *bundle = context;
    return memcmp(bundle->entities[*(const size_t *)left].digest,
                  bundle->entities[*(const size_t *)right].digest, SIGHTING_DIGEST_DIGITS);
}

static struct status add_record(struct bundle *bundle, struct slice cluster_id,
                                const struct record_view *record)
{
    char external_id[SIGHTING_ID_SIZE];
    struct bundle_entity *entity = &bundle->entities[bundle->entity_count];
    struct sighting_key key = {
        .cluster_id = cluster_id,
        .kind = record->kind,
        .serial = record->serial,
        .id = record->id,
        .revision = record->revision,
    };

    *entity = (struct bundle_entity){.sequence = record->sequence, .offset = bundle->text.size};
    sighting_external_id(&key, external_id);
    memcpy(entity->digest, external_id + strlen(external_id) - SIGHTING_DIGEST_DIGITS,
           SIGHTING_DIGEST_DIGITS);
    struct status status = sighting_write(&key, record->body, &bundle->text);
    if (failed(status) && status.code != STATUS_INVALID) {
        return status;
    }
    entity->size = bundle->text.size - entity->offset;
    bundle->entity_count++;
    bundle->to = record->sequence;
    if (failed(status)) {
        settle_rejected(bundle, entity, status.message);
    }
    return OK;
}

static struct status add_records(struct bundle *bundle, struct slice cluster_id,
                                 const struct codec_list *records)
{
    const struct record_view *items = records->items;

    for (size_t i = 0; i < records->count && i < BUNDLE_ENTITIES_MAX; i++) {
        size_t size_before = bundle->text.size;
        struct status status = add_record(bundle, cluster_id, &items[i]);
        if (failed(status)) {
            return status;
        }
        if (i > 0 && bundle->text.size > BUNDLE_SIZE_MAX) {
            /* One too many: it begins the next bundle. */
            bundle->entity_count--;
            bundle->text.size = size_before;
            bundle->to = items[i - 1].sequence;
            return OK;
        }
    }
    return OK;
}

static void open_ranges(struct bundle *bundle)
{
    bundle->ranges[0] = (struct bundle_range){.first = 0, .end = bundle->entity_count};
    bundle->range_count = 1;
    drop_done_ranges(bundle);
    for (size_t i = 0; i < bundle->entity_count; i++) {
        bundle->by_digest[i] = i;
    }
    qsort_r(bundle->by_digest, bundle->entity_count, sizeof bundle->by_digest[0], compare_digests,
            bundle);
}

struct status bundle_fill(struct bundle *bundle, struct slice cluster_id, uint64_t from,
                          const struct codec_list *records)
{
    assert(bundle->entities == NULL && records->count > 0);
    size_t count = records->count < BUNDLE_ENTITIES_MAX ? records->count : BUNDLE_ENTITIES_MAX;

    bundle->from = from;
    bundle->to = from;
    bundle->entities = alloc_zeroed(count, sizeof bundle->entities[0]);
    bundle->by_digest = alloc_zeroed(count, sizeof bundle->by_digest[0]);
    if (bundle->entities == NULL || bundle->by_digest == NULL) {
        bundle_release(bundle);
        return fail(STATUS_NO_MEMORY, "fill a bundle");
    }
    struct status status = add_records(bundle, cluster_id, records);
    if (failed(status)) {
        bundle_release(bundle);
        return status;
    }
    open_ranges(bundle);
    return OK;
}

/* ---- Requests ---- */

struct status bundle_request(struct bundle *bundle, struct buffer *out)
{
    assert(!bundle_settled(bundle) && bundle->range_count > 0);
    const struct bundle_range *range = &bundle->ranges[bundle->range_count - 1];
    bool first = true;

    buffer_clear(out);
    bool written = buffer_append(out, request_head, sizeof request_head - 1);
    for (size_t i = range->first; i < range->end && written; i++) {
        const struct bundle_entity *entity = &bundle->entities[i];
        if (entity->settled) {
            continue;
        }
        written = (first || buffer_append(out, ",", 1)) &&
                  buffer_append(out, bundle->text.data + entity->offset, entity->size);
        first = false;
    }
    if (!written || !buffer_append(out, request_tail, sizeof request_tail - 1)) {
        return fail(STATUS_NO_MEMORY, "write a bundle's request");
    }
    bundle->requests++;
    return OK;
}

/* ---- Answers ---- */

/* The entity of an external id, or NULL: the answer may name ids that are not ours. */
static struct bundle_entity *find(struct bundle *bundle, struct slice external_id)
{
    size_t low = 0;
    size_t high = bundle->entity_count;

    if (external_id.size < SIGHTING_DIGEST_DIGITS) {
        return NULL;
    }
    const char *digest = (const char *)external_id.data + external_id.size - SIGHTING_DIGEST_DIGITS;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct bundle_entity *entity = &bundle->entities[bundle->by_digest[middle]];
        int order = memcmp(digest, entity->digest, SIGHTING_DIGEST_DIGITS);
        if (order == 0) {
            return entity;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static void reject_by_result(struct bundle *bundle, struct bundle_entity *entity,
                             const json_t *result)
{
    const json_t *error = json_object_get(result, "error");
    char type[JSON_ERROR_SIZE];
    char words[JSON_ERROR_SIZE];

    json_quote(json_is_object(error) ? json_text(error, "type") : json_text(result, "error"), type);
    json_quote(json_text(result, "msg"), words);
    struct status reason = fail(STATUS_INVALID, "the cloud refused it: %s%s%s", type,
                                words[0] != '\0' ? ": " : "", words);
    settle_rejected(bundle, entity, reason.message);
}

static void read_result(struct bundle *bundle, const json_t *result)
{
    const json_t *ids = json_object_get(result, "external_ids");
    struct slice outcome = json_text(result, "result");
    struct bundle_entity *entity = NULL;

    for (size_t i = 0; i < json_array_size(ids) && entity == NULL; i++) {
        const json_t *id = json_array_get(ids, i);
        if (json_is_string(id)) {
            entity = find(bundle, (struct slice){json_string_value(id), json_string_length(id)});
        }
    }
    if (entity == NULL) {
        return;
    }
    /* `exists`: delivered before, and the answer was lost. */
    if (slice_equal(outcome, slice_of("created")) || slice_equal(outcome, slice_of("exists"))) {
        settle_delivered(bundle, entity);
    } else if (slice_equal(outcome, slice_of("error"))) {
        reject_by_result(bundle, entity, result);
    }
}

static enum bundle_progress note_unanswered(struct bundle *bundle, struct bundle_range *range)
{
    if (++range->unanswered < BUNDLE_UNANSWERED_MAX) {
        return BUNDLE_UNANSWERED;
    }
    for (size_t i = range->first; i < range->end; i++) {
        settle_rejected(bundle, &bundle->entities[i],
                        "the cloud took the bundle and did not say what became of this record");
    }
    drop_done_ranges(bundle);
    return BUNDLE_GOES_ON;
}

/* Take back what the cloud refused, and begin again. */
static void begin_again(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->entity_count; i++) {
        struct bundle_entity *entity = &bundle->entities[i];
        if (entity->rejected && entity->size > 0) {
            free(entity->reason);
            entity->reason = NULL;
            entity->rejected = false;
            entity->settled = false;
            bundle->settled_count--;
        }
    }
    bundle->refused_count = 0;
    bundle->requests = 0;
    bundle->ranges[0] = (struct bundle_range){.first = 0, .end = bundle->entity_count};
    bundle->range_count = 1;
}

/* Nothing but refusals, and enough of them? */
static bool is_systematic(const struct bundle *bundle)
{
    return bundle->delivered_count == 0 && bundle->refused_count >= BUNDLE_REJECTS_ALONE_MAX;
}

enum bundle_progress bundle_on_taken(struct bundle *bundle, struct slice body)
{
    assert(bundle->range_count > 0);
    struct bundle_range *range = &bundle->ranges[bundle->range_count - 1];
    json_t *value = json_read(body);
    const json_t *results = json_object_get(value, "results");

    if (!json_is_array(results)) {
        json_decref(value);
        return BUNDLE_UNREADABLE;
    }
    for (size_t i = 0; i < json_array_size(results); i++) {
        read_result(bundle, json_array_get(results, i));
    }
    json_decref(value);
    if (is_systematic(bundle)) {
        begin_again(bundle);
        return BUNDLE_SYSTEMATIC;
    }
    if (count_open(bundle, range) > 0) {
        return note_unanswered(bundle, range);
    }
    drop_done_ranges(bundle);
    return BUNDLE_GOES_ON;
}

/* Replaces the last range by its two halves; the first half goes out next. */
static void split(struct bundle *bundle, size_t open_count)
{
    assert(bundle->range_count < BUNDLE_RANGES_MAX);
    struct bundle_range *range = &bundle->ranges[bundle->range_count - 1];
    struct bundle_range left = {.first = range->first, .end = range->first};

    for (size_t taken = 0; taken < open_count / 2; left.end++) {
        taken += bundle->entities[left.end].settled ? 0 : 1;
    }
    *range = (struct bundle_range){.first = left.end, .end = range->end};
    bundle->ranges[bundle->range_count++] = left;
}

/* As long as nothing was taken, look elsewhere: neighbours may share what is wrong with them. */
static void turn_to_largest(struct bundle *bundle)
{
    size_t last = bundle->range_count - 1;
    size_t largest = last;

    for (size_t i = 0; i < last; i++) {
        if (count_open(bundle, &bundle->ranges[i]) > count_open(bundle, &bundle->ranges[largest])) {
            largest = i;
        }
    }
    struct bundle_range range = bundle->ranges[largest];
    bundle->ranges[largest] = bundle->ranges[last];
    bundle->ranges[last] = range;
}

enum bundle_progress bundle_on_refused(struct bundle *bundle, const char *reason)
{
    assert(bundle->range_count > 0);
    struct bundle_range *range = &bundle->ranges[bundle->range_count - 1];
    size_t open_count = count_open(bundle, range);

    if (open_count > 1) {
        split(bundle, open_count);
    } else {
        for (size_t i = range->first; i < range->end; i++) {
            settle_rejected(bundle, &bundle->entities[i], reason);
        }
        drop_done_ranges(bundle);
        if (bundle->delivered_count == 0 && bundle->range_count > 0) {
            turn_to_largest(bundle);
        }
    }
    if (is_systematic(bundle)) {
        begin_again(bundle);
        return BUNDLE_SYSTEMATIC;
    }
    if (!bundle_settled(bundle) && bundle->requests >= BUNDLE_REQUESTS_MAX) {
        bundle->requests = 0;
        return BUNDLE_EXHAUSTED;
    }
    return BUNDLE_GOES_ON;
}

/* ---- The end ---- */

struct status bundle_rejects(const struct bundle *bundle, struct arena *arena,
                             struct codec_list *out)
{
    assert(bundle->entities != NULL);
    struct export_reject *items =
        arena_alloc(arena, bundle->entity_count, sizeof(struct export_reject));

    if (items == NULL) {
        return fail(STATUS_NO_MEMORY, "list a bundle's rejects");
    }
    *out = (struct codec_list){.items = items};
    for (size_t i = 0; i < bundle->entity_count; i++) {
        const struct bundle_entity *entity = &bundle->entities[i];
        if (entity->rejected) {
            items[out->count++] = (struct export_reject){
                .sequence = entity->sequence,
                .reason = slice_of(entity->reason),
            };
        }
    }
    return OK;
}

void bundle_release(struct bundle *bundle)
{
    for (size_t i = 0; bundle->entities != NULL && i < bundle->entity_count; i++) {
        free(bundle->entities[i].reason);
    }
    free(bundle->entities);
    free(bundle->by_digest);
    buffer_release(&bundle->text);
    *bundle = (struct bundle){0};
}
