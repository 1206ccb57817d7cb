/*
 * Whole stores as this version writes them, in files: what a later version must still be able to
 * open, read, install as an image and go on from.
 *
 * Each file is an image (store_image_write()) of a store in which every table has rows. Held here is
 * that the same commands still write the same rows, byte by byte, the rolling digest in the head
 * included, and that the files are read. If a row changed: its fields of before must stay as they
 * are, and what is new is written by commands of a higher level only (docs/adr/0014-versions.md). A
 * new level gets files of its own (`store_golden_test --write FOLDER`); those of older levels stay.
 * They are LMDB's, of a 64-bit little-endian machine with pages of 4096 bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "store_fixture.h"

#define PATH_SIZE (SCRATCH_PATH_SIZE + 256)
#define TABLES_MAX 16
#define BLOCK 4096U                  /* Sequences of one block of the search index. */
#define TRIMMED ((uint64_t)4080)     /* Records put and trimmed first, to keep the files small. */
#define LAST_RECORD ((uint64_t)4100) /* So the block is closed with sixteen records in it. */

/* ---- What is in them ---- */

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .size = sizeof(literal) - 1                                             \
    }
#define HASH "0123456789abcdef0123456789abcdef"
#define MEMBER(id, letter, state)                                                                  \
    {                                                                                              \
        .node_id = (id), .name = TEXT(letter), .serial = TEXT("S" letter), .model = TEXT("C100V"), \
        .version = TEXT("0.1"), .peer_address = TEXT(letter ":1"),                                 \
        .rpc_address = TEXT(letter ":2"), .certificate = TEXT("PEM " letter), .standing = (state), \
        .since_ms = 5, .level = 1                                                                  \
    }
#define TOKEN(id, name)                                                                            \
    {                                                                                              \
        .type = COMMAND_JOIN_TOKEN_CREATE,                                                         \
        .body.join_token_create = {TEXT(id), TEXT(HASH), 1000000, TEXT(name)},                     \
    }
#define ADMIT(token, id, letter)                                                                   \
    {                                                                                              \
        .type = COMMAND_MEMBER_ADMIT,                                                              \
        .body.member_admit = {TEXT(token), MEMBER(id, letter, STANDING_JOINING),                   \
                              REGISTRATION_ENABLED, TEXT("signed"), CLOUD_CHECK_UNREACHABLE},      \
    }
#define CREDENTIAL(name)                                                                           \
    {                                                                                              \
        .type = COMMAND_CREDENTIAL_PUT,                                                            \
        .body.credential_put = {                                                                   \
            TEXT(name), TEXT("client-1"), TEXT("sealed password"), TEXT("EUROPE"), 1, 1},          \
    }

static const struct command before_registered[] = {
    {.type = COMMAND_CLUSTER_INIT,
     .body.cluster_init = {TEXT(CLUSTER_ID), TEXT("CA"), TEXT("sealed ca key"), 1,
                           MEMBER(NODE_A, "A", STANDING_STANDALONE)}},
    {.type = COMMAND_CLUSTER_FORM, .body.cluster_form = {TEXT("mail"), 3}},
    TOKEN("00000000000000b1", "B"),
    ADMIT("00000000000000b1", NODE_B, "B"),
    {.type = COMMAND_MEMBER_SET,
     .body.member_set = {.node_id = NODE_B,
                         .standing = STANDING_MEMBER,
                         .version = TEXT("0.1.1"),
                         .peer_address = TEXT("b:3"),
                         .rpc_address = TEXT("b:4"),
                         .level = 1}},
    TOKEN("00000000000000c1", ""),
    ADMIT("00000000000000c1", NODE_C, "C"),
    {.type = COMMAND_MEMBER_SET,
     .body.member_set = {.node_id = NODE_C, .standing = STANDING_MEMBER}},
    {.type = COMMAND_MEMBER_QUARANTINE,
     .body.member_quarantine = {NODE_B, QUARANTINE_TOLD, 77, TEXT("a row is damaged")}},
    TOKEN("00000000000000d1", "D"),
    {.type = COMMAND_JOIN_TOKEN_REVOKE,
     .body.join_token_revoke.token_id = TEXT("00000000000000d1")},
    TOKEN("00000000000000e1", ""),
    CREDENTIAL("first"),
    CREDENTIAL("second"),
    {.type = COMMAND_CREDENTIAL_VERIFIED,
     .body.credential_verified = {TEXT("first"), 1, true, TEXT("casebook inspect"), {0}}},
    {.type = COMMAND_CREDENTIAL_VERIFIED,
     .body.credential_verified = {TEXT("second"), 1, false, {0}, TEXT("refused")}},
    {.type = COMMAND_CREDENTIAL_SELECT, .body.credential_select.name = TEXT("second")},
    {.type = COMMAND_OPERATOR_PUT,
     .body.operator_put = {TEXT("eve"), ROLE_OPERATOR, TEXT(HASH), 9000}},
    {.type = COMMAND_EXPORT_PAUSE, .body.export_pause = {true, TEXT("maintenance")}},
    {.type = COMMAND_CLOUD_PAUSE, .body.cloud_pause = {8000, TEXT("429")}},
    {.type = COMMAND_REGISTRATION_ENABLE, .body.registration_enable.region = TEXT("EUROPE")},
    {.type = COMMAND_REGISTRATION_BEGIN,
     .body.registration_begin = {TEXT("machine"), NODE_A, TEXT("SA"), TEXT("sealed token"),
                                 TEXT("sealed key"), TEXT("CSR"), 1, 1}},
    {.type = COMMAND_REGISTRATION_NOTE,
     .body.registration_note = {.epoch = 1,
                                .registration_id = TEXT("registration-1"),
                                .attempt = 2,
                                .error = TEXT("unreachable"),
                                .next_try_ms = 7000}},
    {.type = COMMAND_CHECKPOINT},
};

static struct key_holder holders[] = {{.node_id = NODE_B, .wrapped = TEXT("wrapped")}};

static const struct command after_registering[] = {
    {.type = COMMAND_REGISTRATION_COMPLETE,
     .body.registration_complete = {1, TEXT("device-1"), TEXT("tenant"), TEXT("certificate"),
                                    6000}},
    {.type = COMMAND_DEAD_LETTER_RETRY, .body.dead_letter_retry.sequence = 4085},
    {.type = COMMAND_DEAD_LETTER_DISCARD, .body.dead_letter_discard.sequence = 4086},
    {.type = COMMAND_MEMBER_REMOVE, .body.member_remove = {NODE_C, true, false}},
    {.type = COMMAND_CLUSTER_RECOVER,
     .body.cluster_recover = {2, MEMBER(NODE_B, "B", STANDING_MEMBER), TEXT("its own log"), 9, 0}},
    {.type = COMMAND_RECOVERY_KEY_TAKE, .body.recovery_key_take.key_epoch = 1},
    {.type = COMMAND_KEY_ROTATE,
     .body.key_rotate = {2, TEXT(HASH), TEXT("C is no member any more"), {holders, 1}}},
    {.type = COMMAND_CHECKPOINT},
};

static void apply(struct fixture *fixture, struct command command)
{
    command.stamp = (struct stamp){.at_ms = fixture->at_ms++,
                                   .actor = TEXT("uid 0"),
                                   .origin = TEXT("local"),
                                   .comment = TEXT("why")};
    check_row(command_name(command.type));
    CHECK_U64(fixture_apply(fixture, command), REFUSAL_NONE);
    check_row("");
}

static void apply_all(struct fixture *fixture, const struct command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        apply(fixture, commands[i]);
    }
}

static void put_records(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        apply(fixture, record_command(i));
    }
}

static void fill_registering(struct fixture *fixture)
{
    static struct export_reject rejects[] = {
        {4085, TEXT("bad")}, {4086, TEXT("bad, too")}, {4087, TEXT("no such type")}};
    struct command advance = advance_command(TRIMMED, 4090);
    advance.body.export_advance.rejects = (struct codec_list){.items = rejects, .count = 3};
    apply_all(fixture, before_registered, sizeof before_registered / sizeof before_registered[0]);
    put_records(fixture, 1, TRIMMED);
    apply(fixture, advance_command(0, TRIMMED));
    apply(fixture, (struct command){.type = COMMAND_RECORDS_TRIM,
                                    .body.records_trim.sequence = TRIMMED + 1});
    put_records(fixture, TRIMMED + 1, LAST_RECORD);
    apply(fixture, advance);
}

static void fill_registered(struct fixture *fixture)
{
    fill_registering(fixture);
    apply_all(fixture, after_registering, sizeof after_registering / sizeof after_registering[0]);
}

static const struct golden {
    const char *name; /* Of the file. */
    void (*fill)(struct fixture *fixture);
    uint64_t index;
} goldens[] = {
    {"store_level_1_registering.mdb", fill_registering, 4127},
    {"store_level_1_registered.mdb", fill_registered, 4135},
};

#define GOLDEN_COUNT (sizeof goldens / sizeof goldens[0])

/* ---- Files ---- */

static void golden_path(const struct golden *golden, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", GOLDEN_FOLDER, golden->name);
}

static void write_image(struct fixture *fixture, const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_OK(store_sync(fixture->store));
    CHECK_OK(store_image_write(fixture->store, fd));
    CHECK(close(fd) == 0);
}

static void copy_file(const char *from, const char *to)
{
    char block[BLOCK];
    ssize_t got;
    int in = open(from, O_RDONLY);
    int out = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(in >= 0 && out >= 0);
    while ((got = read(in, block, sizeof block)) > 0) {
        CHECK(write(out, block, (size_t)got) == got);
    }
    CHECK(got == 0 && close(in) == 0 && close(out) == 0);
}

/* ---- Rows, as LMDB has them ---- */

struct rows {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *names;
};

static void rows_open(struct rows *rows, const char *path)
{
    MDB_dbi dbi;
    CHECK(mdb_env_create(&rows->env) == 0);
    CHECK(mdb_env_set_maxdbs(rows->env, TABLES_MAX) == 0);
    CHECK(mdb_env_open(rows->env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK, 0) == 0);
    CHECK(mdb_txn_begin(rows->env, NULL, MDB_RDONLY, &rows->txn) == 0);
    CHECK(mdb_dbi_open(rows->txn, NULL, 0, &dbi) == 0);
    CHECK(mdb_cursor_open(rows->txn, dbi, &rows->names) == 0);
}

static void rows_close(struct rows *rows)
{
    mdb_cursor_close(rows->names);
    mdb_txn_abort(rows->txn);
    mdb_env_close(rows->env);
}

static bool is_same(const MDB_val *left, const MDB_val *right)
{
    return left->mv_size == right->mv_size &&
           memcmp(left->mv_data, right->mv_data, left->mv_size) == 0;
}

static void say_row(const char *which, const char *table, bool there, const MDB_val *key,
                    const MDB_val *value)
{
    char text[2][1024] = {"none", ""};
    const MDB_val *parts[] = {key, value};
    for (size_t i = 0; there && i < 2; i++) {
        size_t size = parts[i]->mv_size < 500 ? parts[i]->mv_size : 500;
        hex_encode((struct slice){.data = parts[i]->mv_data, .size = size}, text[i]);
    }
    print_error("%s, %s: %s -> %s\n", table, which, text[0], text[1]);
}

static MDB_cursor *table_open(struct rows *rows, const char *table)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    CHECK(mdb_dbi_open(rows->txn, table, 0, &dbi) == 0);
    CHECK(mdb_cursor_open(rows->txn, dbi, &cursor) == 0);
    return cursor;
}

/* How many rows differ, up to the first of a table; `*count` grows by those that do not. */
static unsigned compare_table(struct rows *held, struct rows *written, const char *table,
                              size_t *count)
{
    MDB_cursor *cursors[] = {table_open(held, table), table_open(written, table)};
    MDB_val keys[2];
    MDB_val values[2];
    bool more[2];
    bool same = true;
    do {
        for (size_t i = 0; i < 2; i++) {
            more[i] = mdb_cursor_get(cursors[i], &keys[i], &values[i], MDB_NEXT) == 0;
        }
        same = more[0] == more[1] &&
               (!more[0] || (is_same(&keys[0], &keys[1]) && is_same(&values[0], &values[1])));
        *count += same && more[0];
    } while (same && more[0]);
    if (!same) {
        say_row("as held", table, more[0], &keys[0], &values[0]);
        say_row("as written now", table, more[1], &keys[1], &values[1]);
    }
    mdb_cursor_close(cursors[0]);
    mdb_cursor_close(cursors[1]);
    return !same;
}

/* How many tables differ; each has rows. */
static unsigned compare(const char *held_path, const char *written_path)
{
    struct rows held;
    struct rows written;
    MDB_val name;
    MDB_val nothing;
    unsigned differing = 0;
    unsigned tables = 0;
    rows_open(&held, held_path);
    rows_open(&written, written_path);
    while (mdb_cursor_get(held.names, &name, &nothing, MDB_NEXT) == 0) {
        char table[32] = "";
        size_t count = 0;
        (void)snprintf(table, sizeof table, "%.*s", (int)name.mv_size, (const char *)name.mv_data);
        unsigned differs = compare_table(&held, &written, table, &count);
        check_row(table);
        CHECK(differs > 0 || count > 0);
        differing += differs;
        tables++;
    }
    check_row("");
    CHECK_U64(tables, 10);
    rows_close(&held);
    rows_close(&written);
    return differing;
}

/* ---- Tests ---- */

static void test_written_as_held(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct fixture fixture;
        char held[PATH_SIZE];
        char written[PATH_SIZE];
        fixture_open(&fixture);
        goldens[i].fill(&fixture);
        CHECK_U64(store_applied_index(fixture.store), goldens[i].index);
        golden_path(&goldens[i], held);
        (void)snprintf(written, sizeof written, "%s/image", fixture.directory);
        write_image(&fixture, written);
        CHECK_U64(compare(held, written), 0);
        fixture_close(&fixture);
    }
}

/* The comparison can fail: the two stores differ, in these tables. */
static void test_comparison_fails(void **state)
{
    char paths[GOLDEN_COUNT][PATH_SIZE];
    (void)state;
    golden_path(&goldens[0], paths[0]);
    golden_path(&goldens[1], paths[1]);
    print_message("The differences that follow are looked for.\n");
    CHECK(compare(paths[0], paths[1]) > 4);
}

static void check_text(struct slice got, const char *expected)
{
    CHECK_SLICE(got, slice_of(expected));
}

static void check_members(struct fixture *fixture)
{
    struct member member;
    CHECK_OK(store_member(fixture->store, &fixture->arena, NODE_B, &member));
    check_text(member.name, "B");
    check_text(member.serial, "SB");
    check_text(member.model, "C100V");
    check_text(member.version, "0.1");
    check_text(member.peer_address, "B:1");
    check_text(member.rpc_address, "B:2");
    check_text(member.certificate, "PEM B");
    CHECK_U64(member.level, 1);
    CHECK_U64(member.standing, STANDING_MEMBER);
    CHECK_OK(store_member(fixture->store, &fixture->arena, NODE_A, &member));
    CHECK_U64(member.standing, STANDING_REMOVED);
}

static void check_cluster(struct fixture *fixture)
{
    struct cluster_view cluster;
    struct join_token_view token;
    struct operator_view eve;
    CHECK_OK(store_cluster(fixture->store, &fixture->arena, &cluster));
    check_text(cluster.cluster_id, CLUSTER_ID);
    check_text(cluster.name, "mail");
    check_text(cluster.sealed_ca_key, "sealed ca key");
    check_text(cluster.recovered_on, "B");
    check_text(cluster.recovered_from, "its own log");
    CHECK_U64(cluster.lineage, 2);
    CHECK_U64(cluster.voters, 3);
    CHECK_U64(cluster.level, 1);
    CHECK_OK(
        store_join_token(fixture->store, &fixture->arena, slice_of("00000000000000b1"), &token));
    check_text(token.secret_hash, HASH);
    check_text(token.for_name, "B");
    check_text(token.created_by, "uid 0");
    CHECK_U64(token.used_by, NODE_B);
    CHECK_OK(
        store_join_token(fixture->store, &fixture->arena, slice_of("00000000000000d1"), &token));
    CHECK(token.revoked_at_ms > 0 && token.used_at_ms == 0);
    CHECK_OK(store_operator_by_fingerprint(fixture->store, &fixture->arena, slice_of(HASH), &eve));
    check_text(eve.name, "eve");
    CHECK_U64(eve.role, ROLE_OPERATOR);
    CHECK_U64(eve.not_after_ms, 9000);
}

static void check_cloud(struct fixture *fixture)
{
    struct registration_view registration;
    struct credential_view credential;
    CHECK_OK(store_registration(fixture->store, &fixture->arena, &registration));
    CHECK_U64(registration.state, REGISTRATION_REGISTERED);
    CHECK_U64(registration.node_id, NODE_B);
    CHECK_U64(registration.epoch, 1);
    check_text(registration.serial, "SA");
    check_text(registration.device_id, "device-1");
    check_text(registration.certificate, "certificate");
    check_text(registration.sealed_key, "sealed key");
    check_text(registration.sealed_token, "");
    CHECK_OK(store_credential(fixture->store, &fixture->arena, slice_of(""), &credential));
    check_text(credential.name, "second");
    check_text(credential.sealed_password, "sealed password");
    check_text(credential.error, "refused");
    CHECK_OK(store_credential(fixture->store, &fixture->arena, slice_of("first"), &credential));
    CHECK(credential.verified);
    check_text(credential.scopes, "casebook inspect");
}

static void check_records(struct fixture *fixture)
{
    const struct record_search search = {.key = {.kind = 2, .value = TEXT("d5.example")},
                                         .count_max = 10};
    struct export_view export;
    struct codec_list list;
    bool more;
    CHECK_OK(store_export(fixture->store, &fixture->arena, &export));
    CHECK_U64(export.produced, LAST_RECORD);
    CHECK_U64(export.delivered, 4087);
    CHECK_U64(export.dead_lettered, 1);
    CHECK_U64(export.discarded, 1);
    CHECK_U64(export.mark, 4090);
    CHECK_U64(export.retained, 20);
    CHECK(export.paused);
    check_text(export.pause_reason, "maintenance");
    check_text(export.cloud_pause_reason, "429");

    /* 4085 was sent again, as 4101; 4095 is found by the block of the index. */
    CHECK_OK(store_search(fixture->store, &fixture->arena, &search, &list, &more));
    const struct record_view *record = list.items;
    CHECK_U64(list.count, 2);
    CHECK_U64(record[0].sequence, LAST_RECORD + 1);
    check_text(record[0].id, "4085");
    CHECK_U64(record[1].sequence, 4095);
    CHECK_U64(record[1].kind, 1);
    CHECK_U64(record[1].revision, 1);
    CHECK_U64(record[1].observed_at_ms, 40950);
    CHECK_U64(record[1].fate, RECORD_PENDING);
    check_text(record[1].serial, "SA");
    check_text(record[1].body, "body of 4095");

    CHECK_OK(store_dead_letters(fixture->store, &fixture->arena, 0, 10, &list));
    const struct dead_letter_view *letter = list.items;
    CHECK_U64(list.count, 1);
    CHECK_U64(letter->record.sequence, 4087);
    check_text(letter->reason, "no such type");
}

static void check_audit(struct fixture *fixture)
{
    struct codec_list list;
    uint64_t count = 0;
    CHECK_OK(store_audit_verify(fixture->store, &count));
    CHECK_OK(store_audit(fixture->store, &fixture->arena, 0, 1000, &list));
    CHECK_U64(list.count, count);
    const struct audit_view *line = (const struct audit_view *)list.items + 3;
    check_text(line->command, "member_admit");
    check_text(line->actor, "uid 0");
    check_text(line->origin, "local");
    check_text(line->outcome, "done");
    check_text(line->comment, "why");
    check_text(line->evidence, "signed");
    CHECK_U64(line->index, 4);
}

static void check_read(struct fixture *fixture)
{
    struct store_digest digest;
    check_members(fixture);
    check_cluster(fixture);
    check_cloud(fixture);
    check_records(fixture);
    check_audit(fixture);
    CHECK(store_checkpoint_last(fixture->store, &digest) && digest.index == goldens[1].index);
    CHECK_OK(store_digest_at(fixture->store, 4096, &digest));
    arena_release(&fixture->arena);
}

static void check_same(struct fixture *left, struct fixture *right)
{
    struct store_digest ours;
    struct store_digest theirs;
    CHECK_OK(store_digest_deep(left->store, &ours));
    CHECK_OK(store_digest_deep(right->store, &theirs));
    assert_memory_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
}

/* What comes next does the same to the held store as to one of today. */
static void go_on(struct fixture *fixture)
{
    fixture->at_ms = 100000;
    put_records(fixture, LAST_RECORD + 1, LAST_RECORD + 4);
    apply(fixture, advance_command(4090, LAST_RECORD));
    apply(fixture, (struct command){.type = COMMAND_RECORDS_TRIM,
                                    .body.records_trim.sequence = LAST_RECORD + 1});
    apply(fixture, (struct command){.type = COMMAND_DEAD_LETTER_DISCARD,
                                    .body.dead_letter_discard.sequence = 4087});
    apply(fixture, (struct command){.type = COMMAND_CREDENTIAL_REMOVE,
                                    .body.credential_remove.name = TEXT("first")});
    apply(fixture,
          (struct command){.type = COMMAND_MEMBER_SET,
                           .body.member_set = {.node_id = NODE_B, .version = TEXT("0.2")}});
    apply(fixture, (struct command){.type = COMMAND_CHECKPOINT});
}

/* As the state of a node that was upgraded. */
static void put_in_place(struct fixture *fixture, const char *held)
{
    struct store_report report;
    char path[PATH_SIZE];
    fixture_open(fixture);
    store_close(fixture->store);
    fixture->store = NULL;
    (void)snprintf(path, sizeof path, "%s/lock.mdb", fixture->directory);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/data.mdb", fixture->directory);
    copy_file(held, path);
    CHECK_OK(store_verify(&fixture->options, &report));
    CHECK(report.rows > 50);
    CHECK_OK(store_open(&fixture->options, &fixture->store));
}

/* As an image that a follower is sent, or that a snapshot's file holds. */
static void install(struct fixture *fixture, const char *held, uint64_t index)
{
    char path[PATH_SIZE];
    fixture_open(fixture);
    (void)snprintf(path, sizeof path, "%s/image", fixture->directory);
    copy_file(held, path);
    CHECK_OK(store_image_install(fixture->store, path, index));
}

static void test_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct fixture todays;
        struct fixture placed;
        struct fixture installed;
        char held[PATH_SIZE];
        golden_path(&goldens[i], held);
        fixture_open(&todays);
        goldens[i].fill(&todays);
        put_in_place(&placed, held);
        install(&installed, held, goldens[i].index);
        if (goldens[i].fill == fill_registered) {
            check_read(&placed);
        }
        go_on(&todays);
        go_on(&placed);
        go_on(&installed);
        check_same(&todays, &placed);
        check_same(&todays, &installed);
        fixture_close(&installed);
        fixture_close(&placed);
        fixture_close(&todays);
    }
}

static void write_all(const char *folder)
{
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct fixture fixture;
        char path[PATH_SIZE];
        fixture_open(&fixture);
        goldens[i].fill(&fixture);
        (void)snprintf(path, sizeof path, "%s/%s", folder, goldens[i].name);
        write_image(&fixture, path);
        fixture_close(&fixture);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_as_held),
        cmocka_unit_test(test_comparison_fails),
        cmocka_unit_test(test_read),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        write_all(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
