/*
 * Fuzzing stored rows: in a store that has something in every table, rows are changed, moved, removed and
 * made up as the input says, all with checksums that fit; then everything that reads rows reads them.
 *
 * Every read gives what is within its limits or STATUS_CORRUPT, and so does applying a command; a change in
 * the audit is always found; a head that is read is written as the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "fuzz_store.h"
#include "rows.h"
#include "search_block.h"

#define VALUE_SIZE_MAX 8192
#define CHANGES_MAX 6
#define PAGE 100

static const enum status_code corrupt[] = {STATUS_CORRUPT, STATUS_NOT_FOUND, STATUS_OK};

/* ---- Changing rows ---- */

/* A row made by its table, where there is one. */
static struct slice make_value(struct fuzz_input *input, enum table table, struct arena *arena,
                               struct buffer *out)
{
    static const struct codec *const codecs[TABLE_COUNT] = {
        [TABLE_MEMBER] = &member_codec,
        [TABLE_JOIN_TOKEN] = &join_token_row_codec,
        [TABLE_CREDENTIAL] = &credential_row_codec,
        [TABLE_OPERATOR] = &operator_row_codec,
        [TABLE_DEAD_LETTER] = &dead_letter_row_codec,
    };
    const struct codec *codec = codecs[table];
    void *value = codec == NULL ? NULL : arena_alloc(arena, 1, codec->size);
    if (value == NULL) {
        return fuzz_bytes(input, VALUE_SIZE_MAX);
    }
    fuzz_value(input, codec, arena, value);
    if (failed(codec_encode(codec, CODEC_TAGS, value, out))) {
        return (struct slice){0};
    }
    return buffer_slice(out);
}

/* What is read of a record lies in it: parts and keys are all there is behind its numbers. */
static void check_record(struct slice stored)
{
    struct record_row row;
    struct index_key key;
    if (!record_row_parse(stored, &row)) {
        return;
    }
    const char *end = (const char *)stored.data + stored.size;
    fuzz_must(row.serial.size + row.id.size + row.body.size + row.keys.size <= stored.size &&
                  (const char *)row.keys.data + row.keys.size == end,
              "a record's parts lie in it");
    while (record_row_key(&row.keys, &key)) {
        fuzz_must((const char *)key.value.data + key.value.size <= end, "a key lies in its record");
    }
}

/* Returns whether the audit is not what it was. */
static bool change_row(struct fuzz_input *input, struct txn *txn)
{
    static uint8_t bytes[VALUE_SIZE_MAX];
    uint8_t key_bytes[TXN_KEY_SIZE_MAX];
    size_t count = 0;
    const struct fuzz_row *rows = fuzz_store_rows(&count);
    const struct fuzz_row *row = &rows[fuzz_u16(input) % count];
    unsigned how = fuzz_u8(input);
    struct slice value = {0};
    struct slice key = row->key;
    struct buffer made = {0};
    if (!txn_get(txn, row->table, key, &value) || value.size > sizeof bytes) {
        return false; /* Gone already. */
    }
    struct slice before = arena_copy(txn->arena, value);
    size_t size = value.size;
    memcpy(bytes, value.data, size);
    if (how % 8U == 0) {
        txn_delete(txn, row->table, key);
        return row->table == TABLE_AUDIT;
    }
    if (how % 8U == 1) { /* Under another key. */
        size_t key_size = key.size;
        memcpy(key_bytes, key.data, key_size);
        fuzz_patch(input, key_bytes, &key_size, sizeof key_bytes);
        key = (struct slice){.data = key_bytes, .size = key_size};
    } else if (how % 8U == 2) {
        value = make_value(input, row->table, txn->arena, &made);
        size = value.size > sizeof bytes ? 0 : value.size;
        memcpy(bytes, value.data == NULL ? "" : value.data, size);
    } else {
        fuzz_patches(input, bytes, &size, sizeof bytes);
    }
    value = (struct slice){.data = bytes, .size = size};
    if (row->table == TABLE_RECORD) {
        check_record(value);
    }
    if (key.size > 0) {
        txn_put(txn, row->table, key, value);
    }
    buffer_release(&made);
    bool same = key.size == 0 || (slice_equal(key, row->key) && slice_equal(value, before));
    return row->table == TABLE_AUDIT && !same;
}

/* ---- Reading them ---- */

static void check(struct status status)
{
    if (failed(status)) {
        fuzz_fails_as(status, corrupt);
    }
}

static void read_cluster(struct store *store, struct arena *arena)
{
    struct cluster_view cluster;
    struct key_rotation_view rotation;
    struct registration_view registration;
    struct codec_list list;
    struct member member;
    uint8_t hash[STORE_HASH_SIZE];
    check(store_cluster(store, arena, &cluster));
    check(store_key_rotation(store, arena, &rotation));
    check(store_registration(store, arena, &registration));
    check(store_members(store, arena, &list));
    check(store_member(store, arena, UINT64_C(0xA), &member));
    check(store_join_tokens(store, arena, &list));
    check(store_operators(store, arena, &list));
    check(store_sealed(store, arena, &list, hash));
}

static void read_records(struct store *store, struct arena *arena)
{
    static const struct record_search searches[] = {
        {.count_max = PAGE},
        {.key = {.kind = 1, .value = {"192.0.2.1", 9}}, .count_max = PAGE},
        {.key = {.kind = 2, .value = {"x.example", 9}}, .count_max = PAGE},
        {.before_sequence = 50, .count_max = PAGE},
    };
    struct codec_list list;
    struct export_view export;
    bool more = false;
    check(store_export(store, arena, &export));
    struct status status = store_outbox(store, arena, 0, PAGE, 65536, &list);
    check(status);
    fuzz_must(failed(status) || list.count <= PAGE, "a page is limited");
    check(store_dead_letters(store, arena, 0, PAGE, &list));
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
        status = store_search(store, arena, &searches[i], &list, &more);
        check(status);
        fuzz_must(failed(status) || list.count <= PAGE, "a page is limited");
    }
}

static void read_audit(struct store *store, struct arena *arena, bool changed)
{
    const struct audit_filter filter = {.since_ms = 1, .command = slice_of("records_put")};
    struct codec_list list;
    uint64_t next = 0;
    uint64_t lines = 0;
    check(store_audit(store, arena, 0, PAGE, &list));
    check(store_audit_find(store, arena, &filter, PAGE, &list, &next));
    struct status status = store_audit_verify(store, &lines);
    fuzz_must(!changed || status.code == STATUS_CORRUPT, "a change of the audit is found");
    check(status);
}

static void read_head(struct store *store, struct txn *txn)
{
    struct slice stored;
    struct head head;
    struct head again;
    struct buffer first = {0};
    struct buffer second = {0};
    if (!failed(store->broken) && txn_get(txn, TABLE_META, slice_of("head"), &stored)) {
        struct status status = head_decode(stored, &head);
        check(status);
        if (!failed(status)) {
            fuzz_ok(head_encode(&head, &first));
            fuzz_ok(head_decode(buffer_slice(&first), &again));
            fuzz_ok(head_encode(&again, &second));
            fuzz_must(slice_equal(buffer_slice(&first), buffer_slice(&second)),
                      "a head is written as it was read");
        }
    }
    buffer_release(&first);
    buffer_release(&second);
}

/* A command upon what is there now. */
static void apply(struct fuzz_input *input, struct store *store, struct arena *arena)
{
    struct command command;
    struct buffer bytes = {0};
    struct apply_outcome outcome;
    fuzz_command(input, arena, &command);
    if (!failed(command_encode(&command, &bytes))) {
        struct slice encoded = buffer_slice(&bytes);
        check(store_apply(store, store_applied_index(store) + 1, &encoded, 1, &outcome));
    }
    buffer_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    struct arena arena = {0};
    struct store *store = fuzz_store_begin();
    struct txn *txn = &store->writer;
    bool audit_changed = false;
    unsigned count = fuzz_u8(&input) % CHANGES_MAX + 1U;
    for (unsigned i = 0; i < count && input.left > 0; i++) {
        audit_changed = change_row(&input, txn) || audit_changed;
    }
    fuzz_ok(txn->status);
    read_cluster(store, &arena);
    read_records(store, &arena);
    read_audit(store, &arena, audit_changed);
    read_head(store, txn);
    txn->status = OK;
    if (input.left > 0) {
        apply(&input, store, &arena);
    }
    fuzz_store_roll_back(store);
    arena_release(&arena);
    return 0;
}
