/*
 * Records: taking them in once each, and dropping the settled ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "apply.h"
#include "record_row.h"
#include "search_block.h"

static bool record_is_sound(const struct record_put *put)
{
    const struct index_key *keys = put->keys.items;
    if (put->kind == 0 || put->serial.size == 0 || put->id.size == 0) {
        return false;
    }
    for (size_t i = 0; i < put->keys.count; i++) {
        if (keys[i].kind == 0 || keys[i].value.size == 0) {
            return false;
        }
    }
    return true;
}

static struct slice identity_of(const struct record_put *put,
                                uint8_t storage[RECORD_IDENTITY_SIZE_MAX])
{
    return record_identity(put->kind, put->serial, put->id, put->revision, storage);
}

/* Records that the store does not have yet. One that stands in the command twice counts twice:
 * close to the limit, that is refused rather than looked into. */
static uint64_t count_new(struct apply *apply, const struct codec_list *records)
{
    const struct record_put *put = records->items;
    uint64_t count = 0;
    for (size_t i = 0; i < records->count; i++) {
        uint8_t storage[RECORD_IDENTITY_SIZE_MAX];
        struct slice found;
        count += !txn_get(apply->txn, TABLE_IDENTITY, identity_of(&put[i], storage), &found);
    }
    return count;
}

static bool fits_outbox(struct apply *apply, const struct codec_list *records)
{
    const struct export_counters *export = &apply->txn->head->export;
    uint64_t pending = export->last_sequence - export->mark;
    uint64_t room = pending < apply->outbox_max ? apply->outbox_max - pending : 0;
    return records->count <= room || count_new(apply, records) <= room;
}

/* False if the record is known (S5). */
static bool take_in(struct apply *apply, const struct record_put *put)
{
    struct txn *txn = apply->txn;
    struct export_counters *export = &txn->head->export;
    uint64_t sequence = export->last_sequence + 1;
    uint8_t identity[RECORD_IDENTITY_SIZE_MAX];
    uint64_t key;
    if (!txn_insert(txn, TABLE_IDENTITY, identity_of(put, identity), u64_key(sequence, &key))) {
        return false;
    }
    if (!record_row_pack(&txn->scratch, put, apply->stamp->at_ms)) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "pack a record"));
        return false;
    }
    txn_append(txn, TABLE_RECORD, u64_key(sequence, &key), buffer_slice(&txn->scratch));
    export->last_sequence = sequence;
    export->produced++;
    export->retained++;
    search_block_close(txn, sequence);
    return true;
}

enum refusal apply_records_put(struct apply *apply, const struct records_put *put)
{
    const struct record_put *record = put->records.items;
    for (size_t i = 0; i < put->records.count; i++) {
        if (!record_is_sound(&record[i])) {
            return REFUSAL_FIELD;
        }
    }
    if (!fits_outbox(apply, &put->records)) {
        return REFUSAL_OUTBOX_FULL;
    }
    for (size_t i = 0; i < put->records.count; i++) {
        if (take_in(apply, &record[i])) {
            apply->value++;
        } else {
            apply->txn->head->export.duplicates++;
        }
    }
    return REFUSAL_NONE;
}

/* Drop the record of this sequence, unless it is a dead letter or gone already. */
static void drop_settled(struct apply *apply, uint64_t sequence)
{
    struct txn *txn = apply->txn;
    struct record_row row;
    struct slice dead;
    uint64_t key;
    if (txn_get(txn, TABLE_DEAD_LETTER, u64_key(sequence, &key), &dead) ||
        !record_row_get(txn, sequence, &row)) {
        return;
    }
    uint8_t identity[RECORD_IDENTITY_SIZE_MAX];
    struct slice known = record_identity(row.kind, row.serial, row.id, row.revision, identity);
    txn_delete(txn, TABLE_IDENTITY, known);
    txn_delete(txn, TABLE_RECORD, u64_key(sequence, &key));
    txn->head->export.retained--;
}

enum refusal apply_records_trim(struct apply *apply, const struct records_trim *trim)
{
    struct export_counters *export = &apply->txn->head->export;
    uint64_t last = trim->sequence == 0 ? 0 : trim->sequence - 1;
    if (last > export->mark) {
        last = export->mark;
    }
    while (export->trimmed < last && apply->value < STORE_TRIM_MAX) {
        uint64_t sequence = ++export->trimmed;
        apply->value++;
        drop_settled(apply, sequence);
        if (sequence % SEARCH_BLOCK_COUNT == 0) {
            search_block_release(apply->txn, sequence);
        }
    }
    return REFUSAL_NONE;
}
