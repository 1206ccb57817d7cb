/*
 * The list of what is sealed (sealed_rows.c) is complete.
 *
 * A store lives a whole life, in which every command of the table is applied. After each command every
 * row of every table is searched for seals; each must be on the list. Then the cluster key is rotated, and
 * no row may still have a seal of the key before. Every field of bytes that a command has must have
 * carried a seal in that life, or be named below as one that is none: so a new command, a new sealed
 * field and a row that takes a seal along fail here until the list has them.
 *
 * The seals are real ones, with nonces by which they are found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command_fields.h"
#include "store/seal.h"
#include "store_fixture.h"

#define MARK "sealmark" /* Where its nonce begins. */
#define MARK_SIZE (sizeof MARK - 1)
#define HEADER_SIZE 5U /* Of a seal: version and key epoch; the nonce follows. */
#define TABLES_MAX 16
#define PATHS_MAX 32
#define PATH_SIZE 96

/* Bytes that are no secrets: hashes, digests, what is public, what is wrapped to a member's key. */
static const char *const plain_fields[] = {
    "join_token_create.secret_hash",
    "member_admit.statement",
    "checkpoint.digest",
    "key_rotate.check",
    "key_rotate.holders.wrapped",
    "key_give.check",
    "key_give.wrapped",
    "key_hold.check",
    "key_reseal.check",
    "key_reseal.before",
    "operator_put.fingerprint",
    "records_put.records.body",
    "records_put.records.keys.value",
};

#define PLAIN_COUNT (sizeof plain_fields / sizeof plain_fields[0])

struct life {
    struct fixture fixture;
    struct arena arena; /* What the commands borrow. */
    uint64_t epoch;     /* Of the key. */
    uint32_t nonces;
    bool applied[COMMAND_TYPE_COUNT];
    char sealed[PATHS_MAX][PATH_SIZE]; /* Fields that carried a seal. */
    size_t sealed_count;
};

static struct slice key_of(uint64_t epoch)
{
    static uint8_t key[SEAL_KEY_SIZE];
    memset(key, 0, sizeof key);
    (void)snprintf((char *)key, sizeof key, "key %llu", (unsigned long long)epoch);
    return (struct slice){.data = key, .size = sizeof key};
}

static struct slice seal_by(struct life *life, uint64_t epoch, const struct seal_purpose *purpose,
                            struct slice plain)
{
    uint8_t nonce[SEAL_NONCE_SIZE] = MARK;
    struct buffer sealed = {0};
    life->nonces++;
    memcpy(nonce + MARK_SIZE, &life->nonces, sizeof life->nonces);
    CHECK_OK(seal_close(key_of(epoch), (uint32_t)epoch, purpose, nonce, plain, &sealed));
    struct slice copy = arena_copy(&life->arena, buffer_slice(&sealed));
    buffer_release(&sealed);
    return copy;
}

static struct slice seal(struct life *life, const char *what, uint64_t epoch)
{
    const struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);
    return seal_by(life, life->epoch, &purpose, slice_of("a secret"));
}

/* ---- Fields that carry seals ---- */

static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_known_sealed(const struct life *life, const char *path)
{
    for (size_t i = 0; i < life->sealed_count; i++) {
        if (strcmp(life->sealed[i], path) == 0) {
            return true;
        }
    }
    return false;
}

typedef void (*field_visit)(struct life *life, const char *path, const struct slice *value);

/* Every field of bytes, by its path; `value` is NULL without a struct to look at, as in lists. */
static void walk(struct life *life, const struct codec *codec, const char *prefix, const void *body,
                 field_visit visit)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        const char *at = body == NULL ? NULL : (const char *)body + field->offset;
        char path[PATH_SIZE];
        int size = snprintf(path, sizeof path, "%s.%s", prefix, field->name);
        CHECK(size > 0 && (size_t)size < sizeof path);
        if (field->kind == CODEC_BYTES) {
            visit(life, path, (const struct slice *)(const void *)at);
        } else if (field->kind == CODEC_MESSAGE) {
            walk(life, field->of, path, at, visit);
        } else if (field->kind == CODEC_LIST) {
            const struct codec_list *list = (const struct codec_list *)(const void *)at;
            walk(life, field->of, path, list == NULL || list->count == 0 ? NULL : list->items,
                 visit);
        }
    }
}

static void note_sealed(struct life *life, const char *path, const struct slice *value)
{
    if (value != NULL && seal_key_epoch(*value) != 0 && !is_known_sealed(life, path)) {
        CHECK(life->sealed_count < PATHS_MAX);
        (void)snprintf(life->sealed[life->sealed_count++], PATH_SIZE, "%s", path);
    }
}

static void check_known(struct life *life, const char *path, const struct slice *value)
{
    (void)value;
    check_row(path);
    CHECK(is_known_sealed(life, path) != is_among(plain_fields, PLAIN_COUNT, path));
    check_row("");
}

/* ---- Rows ---- */

/* How many seals a value has; each must be of this key. */
static size_t count_seals(const MDB_val *value, uint64_t epoch, const char *table)
{
    const uint8_t *bytes = value->mv_data;
    const uint8_t *at = bytes;
    size_t count = 0;
    while ((at = memmem(at, value->mv_size - (size_t)(at - bytes), MARK, MARK_SIZE)) != NULL) {
        const struct slice sealed = {.data = at - HEADER_SIZE,
                                     .size = value->mv_size - (size_t)(at - bytes) + HEADER_SIZE};
        CHECK((size_t)(at - bytes) >= HEADER_SIZE);
        if (seal_key_epoch(sealed) != epoch) {
            print_error("table %s: a seal of key %u was left behind\n", table,
                        seal_key_epoch(sealed));
        }
        CHECK_U64(seal_key_epoch(sealed), epoch);
        count++;
        at += MARK_SIZE;
    }
    return count;
}

static size_t count_table(MDB_txn *txn, const char *table, uint64_t epoch)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t count = 0;
    CHECK(mdb_dbi_open(txn, table, 0, &dbi) == 0);
    CHECK(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        count += count_seals(&key, epoch, table) + count_seals(&value, epoch, table);
    }
    mdb_cursor_close(cursor);
    return count;
}

static size_t count_tables(MDB_txn *txn, uint64_t epoch)
{
    MDB_dbi dbi;
    MDB_cursor *names;
    MDB_val name;
    MDB_val nothing;
    size_t count = 0;
    CHECK(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    CHECK(mdb_cursor_open(txn, dbi, &names) == 0);
    while (mdb_cursor_get(names, &name, &nothing, MDB_NEXT) == 0) {
        char table[32] = "";
        (void)snprintf(table, sizeof table, "%.*s", (int)name.mv_size, (const char *)name.mv_data);
        count += count_table(txn, table, epoch);
    }
    mdb_cursor_close(names);
    return count;
}

/* Of all rows, as an image has them: LMDB lets no process open its file twice. */
static size_t count_rows(struct life *life)
{
    char path[SCRATCH_PATH_SIZE + 8];
    MDB_env *env;
    MDB_txn *txn;
    (void)snprintf(path, sizeof path, "%s/image", life->fixture.directory);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_OK(store_flush(life->fixture.store));
    CHECK_OK(store_image_write(life->fixture.store, fd));
    CHECK(close(fd) == 0);
    CHECK(mdb_env_create(&env) == 0);
    CHECK(mdb_env_set_maxdbs(env, TABLES_MAX) == 0);
    CHECK(mdb_env_open(env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK, 0) == 0);
    CHECK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    size_t count = count_tables(txn, life->epoch);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return count;
}

/* All that is sealed is on the list, and opens with the one key there is. */
static void check_list(struct life *life)
{
    struct arena arena = {0};
    struct codec_list list;
    uint8_t hash[STORE_HASH_SIZE];
    CHECK_OK(store_sealed(life->fixture.store, &arena, &list, hash));
    CHECK_U64(list.count, count_rows(life));
    const struct sealed_view *views = list.items;
    for (size_t i = 0; i < list.count; i++) {
        struct secret plain = {0};
        CHECK_OK(seal_open(key_of(life->epoch), &views[i].purpose, views[i].sealed, &plain));
        CHECK_SLICE(secret_slice(&plain), slice_of("a secret"));
        secret_release(&plain);
    }
    arena_release(&arena);
}

/* ---- Steps ---- */

static void apply(struct life *life, struct command command)
{
    if (command_codec(command.type) != NULL) {
        walk(life, command_codec(command.type), command_name(command.type), &command.body,
             note_sealed);
    }
    check_row(command_name(command.type));
    CHECK_U64(fixture_apply(&life->fixture, command), REFUSAL_NONE);
    life->applied[command.type] = true;
    check_row("");
}

static struct codec_list present_members(struct life *life)
{
    struct codec_list members;
    CHECK_OK(store_members(life->fixture.store, &life->arena, &members));
    struct member *all = members.items;
    size_t count = 0;
    for (size_t i = 0; i < members.count; i++) {
        if (all[i].standing != STANDING_REMOVED) {
            all[count++] = all[i];
        }
    }
    members.count = count;
    return members;
}

static struct slice check_of(uint64_t epoch)
{
    static char check[STORE_HASH_SIZE];
    (void)snprintf(check, sizeof check, "check %llu", (unsigned long long)epoch);
    return (struct slice){.data = check, .size = sizeof check};
}

static void begin_rotation(struct life *life)
{
    static struct key_holder holders[STORE_MEMBERS_MAX];
    struct codec_list members = present_members(life);
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        holders[i] = (struct key_holder){.node_id = all[i].node_id, .wrapped = slice_of("wrapped")};
    }
    apply(life, (struct command){
                    .type = COMMAND_KEY_ROTATE,
                    .body.key_rotate = {.epoch = life->epoch + 1,
                                        .check = check_of(life->epoch + 1),
                                        .holders = {.items = holders, .count = members.count}},
                });
}

static void reseal(struct life *life)
{
    struct codec_list list;
    uint8_t hash[STORE_HASH_SIZE];
    CHECK_OK(store_sealed(life->fixture.store, &life->arena, &list, hash));
    const struct sealed_view *views = list.items;
    struct resealed *values = arena_alloc(&life->arena, list.count, sizeof *values);
    for (size_t i = 0; i < list.count; i++) {
        struct secret plain = {0};
        CHECK_OK(seal_open(key_of(life->epoch), &views[i].purpose, views[i].sealed, &plain));
        values[i].sealed = seal_by(life, life->epoch + 1, &views[i].purpose, secret_slice(&plain));
        secret_release(&plain);
    }
    apply(life, (struct command){
                    .type = COMMAND_KEY_RESEAL,
                    .body.key_reseal = {.epoch = life->epoch + 1,
                                        .check = check_of(life->epoch + 1),
                                        .before = {.data = hash, .size = sizeof hash},
                                        .values = {.items = values, .count = list.count}},
                });
}

static void end_rotation(struct life *life)
{
    struct codec_list members = present_members(life);
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        apply(life,
              (struct command){
                  .type = COMMAND_KEY_HOLD,
                  .body.key_hold = {life->epoch + 1, check_of(life->epoch + 1), all[i].node_id},
              });
    }
    reseal(life);
    life->epoch++;
}

/* A command, and a rotation after it. */
static void step(struct life *life, struct command command)
{
    apply(life, command);
    check_row(command_name(command.type));
    check_list(life);
    begin_rotation(life);
    end_rotation(life);
    check_list(life);
    arena_release(&life->arena);
}

#define STEP(life, type_, ...)                                                                     \
    step((life), (struct command){.type = COMMAND_##type_, .body = {__VA_ARGS__}})

/* ---- A life ---- */

static void admit(struct life *life, const char *token, uint64_t node_id, const char *name)
{
    step(life, token_command(token));
    step(life, admit_command(token, node_id, name));
}

static void live_cluster(struct life *life)
{
    struct command init = cluster_init_command();
    init.body.cluster_init.sealed_ca_key = seal(life, "ca_key", 0);
    step(life, init);
    STEP(life, STANDING_SET, .standing_set = {STANDING_JOINING});
    STEP(life, STANDING_SET, .standing_set = {STANDING_STANDALONE});
    step(life, cluster_form_command());
    admit(life, "00000000000000b0", NODE_B, "B");
    STEP(life, MEMBER_SET, .member_set = {.node_id = NODE_B, .standing = STANDING_MEMBER});
    admit(life, "00000000000000c0", NODE_C, "C");
    step(life, token_command("00000000000000d0"));
    STEP(life, JOIN_TOKEN_REVOKE, .join_token_revoke = {slice_of("00000000000000d0")});
    STEP(life, SETTINGS_SET, .settings_set = {.voters = 3});
    STEP(life, MEMBER_QUARANTINE,
         .member_quarantine = {NODE_B, QUARANTINE_TOLD, 7, slice_of("a row is damaged")});
    STEP(life, OPERATOR_PUT,
         .operator_put = {slice_of("eve"), ROLE_VIEWER, check_of(1), .not_after_ms = 9000});
    STEP(life, OPERATOR_REMOVE, .operator_remove = {slice_of("eve")});
}

static void put_credential(struct life *life, const char *name, uint64_t generation)
{
    char what[32];
    struct command command = credential_command(name, generation);
    (void)snprintf(what, sizeof what, "credential/%s", name);
    command.body.credential_put.sealed_password = seal(life, what, generation);
    command.body.credential_put.key_epoch = life->epoch;
    step(life, command);
}

static void live_credentials(struct life *life)
{
    put_credential(life, "first", 1);
    put_credential(life, "first", 2);
    put_credential(life, "second", 1);
    put_credential(life, "third", 1);
    STEP(life, CREDENTIAL_VERIFIED, .credential_verified = {slice_of("first"), 2, true, {0}, {0}});
    STEP(life, CREDENTIAL_SELECT, .credential_select = {slice_of("second")});
    STEP(life, CREDENTIAL_REMOVE, .credential_remove = {slice_of("third")});
}

static void begin_registration(struct life *life, uint64_t epoch)
{
    struct command command = begin_command(NODE_A, "SA", epoch);
    command.body.registration_begin.sealed_token = seal(life, "registration_token", epoch);
    command.body.registration_begin.sealed_key = seal(life, "device_key", epoch);
    command.body.registration_begin.key_epoch = life->epoch;
    step(life, command);
}

static void renew_registration(struct life *life, uint64_t epoch)
{
    STEP(life, REGISTRATION_RENEW,
         .registration_renew = {epoch, seal(life, "device_key", epoch), slice_of("csr"),
                                life->epoch});
}

static void live_registration(struct life *life)
{
    step(life, enable_command());
    STEP(life, REGISTRATION_DISABLE, .registration_disable = {0});
    step(life, enable_command());
    begin_registration(life, 1);
    STEP(life, REGISTRATION_NOTE, .registration_note = {.epoch = 1, .attempt = 2});
    STEP(life, REGISTRATION_FAIL, .registration_fail = {1, slice_of("code"), slice_of("why")});
    begin_registration(life, 2);
    step(life, complete_command(2));
    renew_registration(life, 2);
    step(life, complete_command(2));
    renew_registration(life, 2);
    STEP(life, REGISTRATION_HAND_OVER, .registration_hand_over = {2, NODE_B, slice_of("B")});
    step(life, deregister_begin_command(2));
    STEP(life, DEREGISTRATION_COMPLETE, .deregistration_complete = {.epoch = 2});
    begin_registration(life, 3);
    step(life, complete_command(3));
    renew_registration(life, 3);
    STEP(life, REGISTRATION_FORGET, .registration_forget = {3});
    begin_registration(life, 4);
    step(life, complete_command(4));
    renew_registration(life, 4);
}

static void live_records(struct life *life)
{
    static struct export_reject rejects[] = {{.sequence = 1}, {.sequence = 2}};
    struct command advance = advance_command(0, 3);
    rejects[0].reason = rejects[1].reason = slice_of("bad");
    advance.body.export_advance.rejects = (struct codec_list){.items = rejects, .count = 2};
    for (uint64_t i = 1; i <= 4; i++) {
        step(life, record_command(i));
    }
    step(life, advance);
    STEP(life, DEAD_LETTER_RETRY, .dead_letter_retry = {1});
    STEP(life, DEAD_LETTER_DISCARD, .dead_letter_discard = {2});
    STEP(life, RECORDS_TRIM, .records_trim = {3});
    STEP(life, EXPORT_PAUSE, .export_pause = {true, slice_of("maintenance")});
    STEP(life, CLOUD_PAUSE, .cloud_pause = {8000, slice_of("429")});
    STEP(life, CLOUD_CALLS, .cloud_calls = {3, 8000});
    STEP(life, CHECKPOINT, .checkpoint = {0});
    STEP(life, AUDIT_TRIM, .audit_trim = {5});
    STEP(life, SNAPSHOT_TAKE, .snapshot_take = {slice_of("A")});
    STEP(life, RECOVERY_KEY_TAKE, .recovery_key_take = {life->epoch});
}

/* Somebody is admitted while a rotation is under way; and one goes. */
static void live_rotation(struct life *life)
{
    apply(life, token_command("00000000000000e0"));
    begin_rotation(life);
    apply(life, admit_command("00000000000000e0", 0xE, "E"));
    apply(life, (struct command){
                    .type = COMMAND_KEY_GIVE,
                    .body.key_give = {life->epoch + 1, check_of(life->epoch + 1), 0xE,
                                      slice_of("wrapped")},
                });
    end_rotation(life);
    check_list(life);
    STEP(life, MEMBER_REMOVE, .member_remove = {.node_id = NODE_C, .force = true});
}

/* The level is that of a state whose members know more than its first one did: recovered by another. */
static void live_recovery(struct life *life)
{
    const struct member member = {
        .node_id = NODE_B, .name = slice_of("B"), .serial = slice_of("B"), .level = 2};
    STEP(life, CLUSTER_RECOVER,
         .cluster_recover = {2, member, slice_of("its own log"), .from_index = 1});
    STEP(life, LEVEL_RAISE, .level_raise = {2});
#ifdef MUSTER_NEXT
    STEP(life, NEXT_PROBE, .next_probe = {slice_of("text")});
#endif
}

static void test_life(void **state)
{
    static struct life life;
    (void)state;
    memset(&life, 0, sizeof life);
    life.epoch = 1;
    fixture_open(&life.fixture);
    live_cluster(&life);
    live_credentials(&life);
    live_registration(&life);
    live_records(&life);
    live_rotation(&life);
    live_recovery(&life);
    for (unsigned type = 1; type < COMMAND_TYPE_COUNT; type++) {
        const char *name = command_name((enum command_type)type);
        check_row(name);
        CHECK(life.applied[type]);
        walk(&life, command_codec((enum command_type)type), name, NULL, check_known);
    }
    arena_release(&life.arena);
    fixture_close(&life.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
