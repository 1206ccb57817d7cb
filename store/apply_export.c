/*
 * The export: the mark moves over what the cloud settled, what it refused becomes a dead letter,
 * and dead letters are sent again or given up. S4 holds after each command:
 * produced = delivered + pending + dead-lettered + discarded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "apply.h"
#include "record_row.h"
#include "rows.h"
#include "search_block.h"

/* Ascending, and within what the answer covers. */
static bool rejects_are_sound(const struct export_advance *advance)
{
    const struct export_reject *reject = advance->rejects.items;
    uint64_t before = advance->from;
    for (size_t i = 0; i < advance->rejects.count; i++) {
        if (reject[i].sequence <= before || reject[i].sequence > advance->to) {
            return false;
        }
        before = reject[i].sequence;
    }
    return true;
}

enum refusal apply_export_advance(struct apply *apply, const struct export_advance *advance)
{
    struct export_counters *export = &apply->txn->head->export;
    if (advance->from != export->mark) {
        return REFUSAL_MARK_MOVED;
    }
    if (advance->to <= advance->from || advance->to > export->last_sequence ||
        !rejects_are_sound(advance)) {
        return REFUSAL_FIELD;
    }
    const struct export_reject *reject = advance->rejects.items;
    for (size_t i = 0; i < advance->rejects.count; i++) {
        const struct dead_letter_row row = {
            .reason = reject[i].reason,
            .at_ms = apply->stamp->at_ms,
        };
        uint64_t key;
        row_put(apply->txn, TABLE_DEAD_LETTER, u64_key(reject[i].sequence, &key),
                &dead_letter_row_codec, &row);
    }
    export->mark = advance->to;
    export->dead_lettered += advance->rejects.count;
    export->delivered += advance->to - advance->from - advance->rejects.count;
    export->delivered_at_ms = apply->stamp->at_ms;
    return REFUSAL_NONE;
}

enum refusal apply_export_pause(struct apply *apply, const struct export_pause *pause)
{
    struct export_row row;
    export_row_get(apply->txn, &row);
    row.paused = pause->paused;
    row.pause_reason = pause->paused ? pause->reason : (struct slice){0};
    export_row_put(apply->txn, &row);
    return REFUSAL_NONE;
}

enum refusal apply_cloud_pause(struct apply *apply, const struct cloud_pause *pause)
{
    struct export_row row;
    export_row_get(apply->txn, &row);
    row.cloud_pause_until_ms = pause->until_ms;
    row.cloud_pause_reason = pause->reason;
    export_row_put(apply->txn, &row);
    return REFUSAL_NONE;
}

/* What is older than an hour is forgotten; so the row stays small. */
enum refusal apply_cloud_calls(struct apply *apply, const struct cloud_calls *calls)
{
    struct calls_row row;
    struct calls_minute now = {.minute = apply->stamp->at_ms / CALLS_MINUTE_MS,
                               .count = calls->count};
    if (calls->count == 0) {
        return REFUSAL_FIELD;
    }
    calls_row_get(apply->txn, &row);
    const struct calls_minute *old = row.counts.items;
    struct calls_minute *kept = arena_alloc(apply->txn->arena, row.counts.count + 1, sizeof *kept);
    size_t count = 0;
    if (kept == NULL) {
        txn_fail(apply->txn, fail(STATUS_NO_MEMORY, "count calls"));
        return REFUSAL_NONE;
    }
    for (size_t i = 0; i < row.counts.count; i++) {
        if (old[i].minute == now.minute) {
            now.count += old[i].count;
        } else if (calls_minute_counts(old[i].minute, now.minute)) {
            kept[count++] = old[i];
        }
    }
    kept[count++] = now;
    row.counts = (struct codec_list){.items = kept, .count = count};
    row.limit = calls->limit != 0 ? calls->limit : row.limit;
    calls_row_put(apply->txn, &row);
    return REFUSAL_NONE;
}

/* Copy a dead letter's record to the scratch buffer. False if there is no such dead letter. */
static bool take_dead_letter(struct apply *apply, uint64_t sequence, struct record_row *out)
{
    struct txn *txn = apply->txn;
    struct slice found;
    struct slice record;
    uint64_t key;
    if (!txn_get(txn, TABLE_DEAD_LETTER, u64_key(sequence, &key), &found)) {
        return false;
    }
    if (!txn_get(txn, TABLE_RECORD, u64_key(sequence, &key), &record)) {
        txn_fail(txn, fail(STATUS_CORRUPT, "dead letter %llu has no record",
                           (unsigned long long)sequence));
        return false;
    }
    buffer_clear(&txn->scratch);
    if (!buffer_append(&txn->scratch, record.data, record.size)) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "copy a dead letter"));
        return false;
    }
    if (!record_row_parse(buffer_slice(&txn->scratch), out)) {
        txn_fail(txn,
                 fail(STATUS_CORRUPT, "record %llu does not parse", (unsigned long long)sequence));
        return false;
    }
    return true;
}

static void release_if_trimmed(struct apply *apply, uint64_t sequence)
{
    uint64_t last = search_block_first(search_block_of(sequence) + 1) - 1;
    if (last <= apply->txn->head->export.trimmed) {
        search_block_release(apply->txn, sequence);
    }
}

enum refusal apply_dead_letter_retry(struct apply *apply, const struct dead_letter_retry *retry)
{
    struct txn *txn = apply->txn;
    struct export_counters *export = &txn->head->export;
    struct record_row row;
    if (!take_dead_letter(apply, retry->sequence, &row)) {
        return REFUSAL_DEAD_LETTER_UNKNOWN;
    }
    if (export->last_sequence - export->mark >= apply->outbox_max) {
        return REFUSAL_OUTBOX_FULL;
    }
    uint8_t identity_storage[RECORD_IDENTITY_SIZE_MAX];
    struct slice identity =
        record_identity(row.kind, row.serial, row.id, row.revision, identity_storage);
    uint64_t sequence = ++export->last_sequence;
    uint64_t key;
    txn_append(txn, TABLE_RECORD, u64_key(sequence, &key), buffer_slice(&txn->scratch));
    txn_put(txn, TABLE_IDENTITY, identity, u64_key(sequence, &key));
    txn_delete(txn, TABLE_RECORD, u64_key(retry->sequence, &key));
    txn_delete(txn, TABLE_DEAD_LETTER, u64_key(retry->sequence, &key));
    export->dead_lettered--;
    search_block_close(txn, sequence);
    release_if_trimmed(apply, retry->sequence);
    return REFUSAL_NONE;
}

enum refusal apply_dead_letter_discard(struct apply *apply,
                                       const struct dead_letter_discard *discard)
{
    struct txn *txn = apply->txn;
    struct export_counters *export = &txn->head->export;
    struct record_row row;
    uint64_t key;
    if (!take_dead_letter(apply, discard->sequence, &row)) {
        return REFUSAL_DEAD_LETTER_UNKNOWN;
    }
    txn_delete(txn, TABLE_DEAD_LETTER, u64_key(discard->sequence, &key));
    export->dead_lettered--;
    export->discarded++;
    if (discard->sequence > export->trimmed) {
        record_row_flag(&txn->scratch, RECORD_FLAG_DISCARDED);
        txn_put(txn, TABLE_RECORD, u64_key(discard->sequence, &key), buffer_slice(&txn->scratch));
        return REFUSAL_NONE;
    }
    uint8_t identity_storage[RECORD_IDENTITY_SIZE_MAX];
    struct slice identity =
        record_identity(row.kind, row.serial, row.id, row.revision, identity_storage);
    txn_delete(txn, TABLE_IDENTITY, identity);
    txn_delete(txn, TABLE_RECORD, u64_key(discard->sequence, &key));
    export->retained--;
    release_if_trimmed(apply, discard->sequence);
    return REFUSAL_NONE;
}
