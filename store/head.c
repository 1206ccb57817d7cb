/*
 * The head's stored form and the digests it keeps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "head.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define KEPT_WORDS ((size_t)3) /* Index and two lanes. */
#define KEPT_COUNT ((size_t)(HEAD_DIGESTS_KEPT + HEAD_CHECKPOINTS_KEPT))
#define KEPT_SIZE (KEPT_COUNT * KEPT_WORDS * sizeof(uint64_t))

struct head_row {
    uint64_t applied_index;
    struct export_counters export;
    uint64_t audit_sequence;
    struct slice audit_hash;
    uint64_t mix[2];
    struct slice kept; /* Those at multiples, then the checkpoints. */
    uint64_t audit_trimmed;
    struct slice audit_anchor; /* Empty while nothing was trimmed. */
};

static const struct codec_field export_counters_fields[] = {
    CODEC_OPTIONAL(struct export_counters, 1, produced, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 2, delivered, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 3, dead_lettered, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 4, discarded, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 5, duplicates, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 6, mark, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 7, last_sequence, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 8, retained, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 9, trimmed, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_counters, 10, delivered_at_ms, CODEC_U64, UINT64_MAX),
};
static const struct codec export_counters_codec =
    CODEC(struct export_counters, "export_counters", export_counters_fields);

static const struct codec_field head_fields[] = {
    CODEC_FIELD(struct head_row, 1, applied_index, CODEC_U64, UINT64_MAX),
    CODEC_NESTED(struct head_row, 2, export, CODEC_MESSAGE, 0, &export_counters_codec),
    CODEC_FIELD(struct head_row, 3, audit_sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct head_row, 4, audit_hash, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_FIELD(struct head_row, 5, mix[0], CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct head_row, 6, mix[1], CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct head_row, 7, kept, CODEC_BYTES, KEPT_SIZE),
    CODEC_OPTIONAL(struct head_row, 8, audit_trimmed, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct head_row, 9, audit_anchor, CODEC_BYTES, STORE_HASH_SIZE),
};
static const struct codec head_codec = CODEC(struct head_row, "head", head_fields);

static const struct kept_digest *kept_at(const struct head *head, size_t i)
{
    return i < HEAD_DIGESTS_KEPT ? &head->kept[i] : &head->checkpoints[i - HEAD_DIGESTS_KEPT];
}

struct status head_encode(const struct head *head, struct buffer *out)
{
    uint64_t kept[KEPT_COUNT][KEPT_WORDS];
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        const struct kept_digest *digest = kept_at(head, i);
        kept[i][0] = htobe64(digest->index);
        kept[i][1] = htobe64(digest->mix.lanes[0]);
        kept[i][2] = htobe64(digest->mix.lanes[1]);
    }
    const struct head_row row = {
        .applied_index = head->applied_index,
        .export = head->export,
        .audit_sequence = head->audit_sequence,
        .audit_hash = {.data = head->audit_hash, .size = sizeof head->audit_hash},
        .mix = {head->mix.lanes[0], head->mix.lanes[1]},
        .kept = {.data = kept, .size = sizeof kept},
        .audit_trimmed = head->audit_trimmed,
        .audit_anchor = {.data = head->audit_anchor,
                         .size = head->audit_trimmed == 0 ? 0 : sizeof head->audit_anchor},
    };
    return codec_encode(&head_codec, CODEC_TAGS, &row, out);
}

struct status head_decode(struct slice stored, struct head *out)
{
    struct arena arena = {0};
    struct head_row row;
    struct status status = codec_decode(&head_codec, CODEC_TAGS, stored, &arena, &row);
    arena_release(&arena);
    if (status.code == STATUS_NO_MEMORY) {
        return status;
    }
    size_t anchor_size = row.audit_trimmed == 0 ? 0 : STORE_HASH_SIZE;
    if (failed(status) || row.audit_hash.size != STORE_HASH_SIZE || row.kept.size != KEPT_SIZE ||
        row.audit_anchor.size != anchor_size) {
        return fail(STATUS_CORRUPT, "the stored head does not verify: %s", status.message);
    }
    *out = (struct head){
        .applied_index = row.applied_index,
        .export = row.export,
        .audit_sequence = row.audit_sequence,
        .audit_trimmed = row.audit_trimmed,
        .mix = {.lanes = {row.mix[0], row.mix[1]}},
    };
    memcpy(out->audit_hash, row.audit_hash.data, STORE_HASH_SIZE);
    if (anchor_size > 0) {
        memcpy(out->audit_anchor, row.audit_anchor.data, anchor_size);
    }
    uint64_t kept[KEPT_COUNT][KEPT_WORDS];
    memcpy(kept, row.kept.data, sizeof kept);
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        struct kept_digest *digest =
            i < HEAD_DIGESTS_KEPT ? &out->kept[i] : &out->checkpoints[i - HEAD_DIGESTS_KEPT];
        *digest = (struct kept_digest){
            .index = be64toh(kept[i][0]),
            .mix = {.lanes = {be64toh(kept[i][1]), be64toh(kept[i][2])}},
        };
    }
    return OK;
}

static void keep_at(struct head *head, uint64_t index)
{
    size_t slot = (size_t)(index / STORE_DIGEST_EVERY % HEAD_DIGESTS_KEPT);
    head->kept[slot] = (struct kept_digest){.index = index, .mix = head->mix};
}

/* Indexes that no entry of ours bears (barriers, changes of membership) are passed over, on every
 * replica alike: what stood before the next entry is what stood there. */
void head_advance(struct head *head, uint64_t index)
{
    assert(index > head->applied_index);
    const uint64_t span = (uint64_t)STORE_DIGEST_EVERY * HEAD_DIGESTS_KEPT;
    uint64_t from = head->applied_index;
    if (index - from > span) {
        from = index - span;
    }
    for (uint64_t due = (from / STORE_DIGEST_EVERY + 1) * STORE_DIGEST_EVERY; due < index;
         due += STORE_DIGEST_EVERY) {
        keep_at(head, due);
    }
    head->applied_index = index;
}

void head_keep(struct head *head)
{
    if (head->applied_index % STORE_DIGEST_EVERY == 0) {
        keep_at(head, head->applied_index);
    }
}

void head_checkpoint(struct head *head)
{
    memmove(&head->checkpoints[1], &head->checkpoints[0],
            (HEAD_CHECKPOINTS_KEPT - 1) * sizeof head->checkpoints[0]);
    head->checkpoints[0] = (struct kept_digest){.index = head->applied_index, .mix = head->mix};
}

const struct kept_digest *head_find(const struct head *head, uint64_t index)
{
    for (size_t i = 0; index != 0 && i < KEPT_COUNT; i++) {
        const struct kept_digest *digest = kept_at(head, i);
        if (digest->index == index) {
            return digest;
        }
    }
    return NULL;
}
