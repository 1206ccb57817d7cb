/*
 * Rotating the cluster key, as the state sees it.
 *
 * Rows: each step out of its turn is refused. And a model: members with keyrings of their own and a
 * leader act at random, by seed. Steps are lost, come twice or late, after credentials were changed,
 * members removed, admitted, or the cluster recovered. After each step
 *
 *   - every sealed secret opens with the one key of the cluster's epoch, and is what was put last;
 *   - every member holds that key;
 *   - who was removed does not, once the rotation that its removal asked for is over.
 *
 * The check is shown to fail for another key than the one that seals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/seal.h"
#include "store_fixture.h"

#define MEMBERS 6 /* Node ids 1 to MEMBERS; the first begins. */
#define SECRETS 3
#define EPOCHS 400
#define STEPS 150
#define SEEDS 60

struct model {
    struct fixture fixture;
    uint64_t random;
    uint8_t keys[EPOCHS][SEAL_KEY_SIZE]; /* Every key ever made, by number. */
    size_t key_count;
    bool knows[MEMBERS + 1][EPOCHS]; /* Whether the node was ever able to know it. */
    bool present[MEMBERS + 1];
    size_t current;              /* Number of the key that seals. */
    size_t next;                 /* Of the rotation under way; 0: none. */
    char passwords[SECRETS][16]; /* Empty: there are no such credentials. */
    uint64_t generations[SECRETS];
    struct command late; /* A reseal that was made and not applied. */
    struct arena late_arena;
    bool has_late;
    size_t late_next;
    uint64_t rotations;
};

static uint64_t draw(struct model *model, uint64_t below)
{
    model->random = model->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (model->random >> 33U) % below;
}

static struct slice key_slice(const struct model *model, size_t number)
{
    return (struct slice){.data = model->keys[number], .size = SEAL_KEY_SIZE};
}

/* In a real cluster derived from the key; here its number. */
static struct slice check_of(const struct model *model, size_t number)
{
    return key_slice(model, number);
}

static void make_key(struct model *model)
{
    size_t number = model->key_count++;
    assert_true(number < EPOCHS);
    memset(model->keys[number], 0, SEAL_KEY_SIZE);
    (void)snprintf((char *)model->keys[number], SEAL_KEY_SIZE, "key %zu", number);
}

static struct slice seal(struct model *model, size_t key, uint64_t epoch,
                         const struct seal_purpose *purpose, struct slice plain,
                         struct arena *arena)
{
    uint8_t nonce[SEAL_NONCE_SIZE] = {0};
    struct buffer sealed = {0};
    nonce[0] = (uint8_t)draw(model, 256);
    CHECK_OK(seal_close(key_slice(model, key), (uint32_t)epoch, purpose, nonce, plain, &sealed));
    struct slice copy = arena_copy(arena, buffer_slice(&sealed));
    buffer_release(&sealed);
    return copy;
}

static struct cluster_view cluster_of(struct model *model, struct arena *arena)
{
    struct cluster_view cluster;
    CHECK_OK(store_cluster(model->fixture.store, arena, &cluster));
    return cluster;
}

static bool rotation_of(struct model *model, struct arena *arena, struct key_rotation_view *out)
{
    return !failed(store_key_rotation(model->fixture.store, arena, out));
}

static enum refusal apply(struct model *model, struct command command)
{
    return fixture_apply(&model->fixture, command);
}

static const char *name_of(uint64_t node_id)
{
    static const char *const names[MEMBERS + 1] = {"", "n1", "n2", "n3", "n4", "n5", "n6"};
    return names[node_id];
}

/* ---- Steps ---- */

static void begin(struct model *model)
{
    struct arena arena = {0};
    struct key_holder holders[MEMBERS];
    struct cluster_view cluster = cluster_of(model, &arena);
    size_t count = 0;
    make_key(model);
    for (uint64_t id = 1; id <= MEMBERS; id++) {
        if (model->present[id]) {
            holders[count++] = (struct key_holder){.node_id = id, .wrapped = slice_of("wrapped")};
        }
    }
    const struct command command = {
        .type = COMMAND_KEY_ROTATE,
        .body.key_rotate = {.epoch = cluster.key_epoch + 1,
                            .check = check_of(model, model->key_count - 1),
                            .holders = {.items = holders, .count = count}},
    };
    arena_release(&arena);
    enum refusal wanted = model->next != 0 ? REFUSAL_ROTATION_UNDER_WAY : REFUSAL_NONE;
    CHECK_U64(apply(model, command), wanted);
    if (wanted == REFUSAL_NONE) {
        model->next = model->key_count - 1;
        for (uint64_t id = 1; id <= MEMBERS; id++) {
            model->knows[id][model->next] = model->present[id];
        }
    }
}

static void give(struct model *model)
{
    uint64_t id = 1 + draw(model, MEMBERS);
    struct arena arena = {0};
    const struct command command = {
        .type = COMMAND_KEY_GIVE,
        .body.key_give = {.epoch = cluster_of(model, &arena).key_epoch + 1,
                          .check = check_of(model, model->next),
                          .node_id = id,
                          .wrapped = slice_of("wrapped")},
    };
    enum refusal refusal = apply(model, command);
    arena_release(&arena);
    if (refusal == REFUSAL_NONE) {
        CHECK(model->next != 0 && model->present[id]);
        model->knows[id][model->next] = true;
    }
}

static void hold(struct model *model)
{
    uint64_t id = 1 + draw(model, MEMBERS);
    struct arena arena = {0};
    const struct command command = {
        .type = COMMAND_KEY_HOLD,
        .body.key_hold = {.epoch = cluster_of(model, &arena).key_epoch + 1,
                          .check = check_of(model, draw(model, 8) == 0 ? 0 : model->next),
                          .node_id = id},
    };
    if (apply(model, command) == REFUSAL_NONE) {
        CHECK(model->next != 0 && model->knows[id][model->next]);
    }
    arena_release(&arena);
}

static struct command reseal_command(struct model *model, struct arena *arena)
{
    struct codec_list sealed;
    uint8_t *before = arena_alloc(arena, 1, STORE_HASH_SIZE);
    CHECK_OK(store_sealed(model->fixture.store, arena, &sealed, before));
    const struct sealed_view *views = sealed.items;
    struct resealed *values = arena_alloc(arena, sealed.count, sizeof *values);
    uint64_t epoch = cluster_of(model, arena).key_epoch + 1;
    for (size_t i = 0; i < sealed.count; i++) {
        struct secret plain = {0};
        CHECK_OK(seal_open(key_slice(model, model->current), &views[i].purpose, views[i].sealed,
                           &plain));
        values[i].sealed =
            seal(model, model->next, epoch, &views[i].purpose, secret_slice(&plain), arena);
        secret_release(&plain);
    }
    return (struct command){
        .type = COMMAND_KEY_RESEAL,
        .body.key_reseal = {.epoch = epoch,
                            .check = check_of(model, model->next),
                            .before = {.data = before, .size = STORE_HASH_SIZE},
                            .values = {.items = values, .count = sealed.count}},
    };
}

/* Made now, and proposed now or later, when everything may have changed. */
static void reseal(struct model *model)
{
    if (!model->has_late) {
        if (model->next == 0) {
            return;
        }
        model->late = reseal_command(model, &model->late_arena);
        model->late_next = model->next;
        model->has_late = true;
        if (draw(model, 3) == 0) {
            return;
        }
    }
    enum refusal refusal = apply(model, model->late);
    if (refusal == REFUSAL_NONE) {
        CHECK_U64(model->late_next, model->next);
        model->current = model->next;
        model->next = 0;
        model->rotations++;
    } else {
        CHECK(refusal == REFUSAL_KEY_NOT_HELD || refusal == REFUSAL_KEY_CHANGED);
    }
    model->has_late = false;
    arena_release(&model->late_arena);
}

static void put(struct model *model)
{
    static const char *const names[SECRETS] = {"one", "two", "three"};
    size_t which = draw(model, SECRETS);
    struct arena arena = {0};
    struct cluster_view cluster = cluster_of(model, &arena);
    bool stale = draw(model, 6) == 0; /* Sealed before a rotation, applied after it. */
    struct command command = credential_command(names[which], model->generations[which] + 1);
    struct credential_put *body = &command.body.credential_put;
    char password[16];
    (void)snprintf(password, sizeof password, "p%llu", (unsigned long long)draw(model, 100000));
    const struct seal_purpose purpose = seal_purpose_of_credential(body->name, body->generation);
    body->key_epoch = cluster.key_epoch - (stale ? 1 : 0);
    body->sealed_password = seal(model, model->current, body->key_epoch == 0 ? 1 : body->key_epoch,
                                 &purpose, slice_of(password), &arena);
    CHECK_U64(apply(model, command), stale ? REFUSAL_KEY_CHANGED : REFUSAL_NONE);
    if (!stale) {
        model->generations[which]++;
        memcpy(model->passwords[which], password, sizeof password);
    }
    arena_release(&arena);
}

static void admit(struct model *model)
{
    uint64_t id = 2 + draw(model, MEMBERS - 1);
    char token[17];
    (void)snprintf(token, sizeof token, "%016llx", (unsigned long long)model->fixture.at_ms);
    if (model->present[id]) {
        return;
    }
    CHECK_U64(apply(model, token_command(token)), REFUSAL_NONE);
    CHECK_U64(apply(model, admit_command(token, id, name_of(id))), REFUSAL_NONE);
    model->present[id] = true;
    model->knows[id][model->current] = true; /* In the answer. */
    if (draw(model, 2) == 0) {
        const struct command seat = {
            .type = COMMAND_MEMBER_SET,
            .body.member_set = {.node_id = id, .standing = STANDING_MEMBER},
        };
        CHECK_U64(apply(model, seat), REFUSAL_NONE);
    }
}

static void take_out(struct model *model)
{
    uint64_t id = 2 + draw(model, MEMBERS - 1);
    const struct command command = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = id, .force = true, .rollback = draw(model, 2) == 0},
    };
    if (apply(model, command) == REFUSAL_NONE) {
        struct arena arena = {0};
        model->present[id] = false;
        CHECK_SLICE(cluster_of(model, &arena).key_due, slice_of(name_of(id)));
        arena_release(&arena);
    }
}

static void recover(struct model *model)
{
    struct arena arena = {0};
    struct cluster_view cluster = cluster_of(model, &arena);
    const struct command command = {
        .type = COMMAND_CLUSTER_RECOVER,
        .body.cluster_recover =
            {
                .lineage = (cluster.lineage == 0 ? 1 : cluster.lineage) + 1,
                .member = {.node_id = 1, .name = slice_of("n1"), .serial = slice_of("S1")},
                .source = slice_of("its own log"),
                .from_index = 1,
            },
    };
    CHECK_U64(apply(model, command), REFUSAL_NONE);
    for (uint64_t id = 2; id <= MEMBERS; id++) {
        model->present[id] = false;
    }
    model->next = 0;
    arena_release(&arena);
}

/* ---- What must be true ---- */

static bool opens_all(struct model *model, size_t key)
{
    struct arena arena = {0};
    struct codec_list sealed;
    uint8_t hash[STORE_HASH_SIZE];
    bool good = true;
    CHECK_OK(store_sealed(model->fixture.store, &arena, &sealed, hash));
    const struct sealed_view *views = sealed.items;
    for (size_t i = 0; i < sealed.count; i++) {
        struct secret plain = {0};
        good =
            good && seal_key_epoch(views[i].sealed) == cluster_of(model, &arena).key_epoch &&
            !failed(seal_open(key_slice(model, key), &views[i].purpose, views[i].sealed, &plain));
        secret_release(&plain);
    }
    arena_release(&arena);
    return good;
}

static void check_passwords(struct model *model)
{
    struct arena arena = {0};
    struct codec_list list;
    CHECK_OK(store_credentials(model->fixture.store, &arena, &list));
    const struct credential_view *rows = list.items;
    for (size_t i = 0; i < list.count; i++) {
        struct secret plain = {0};
        size_t which = rows[i].name.size == 5 ? 2 : slice_equal(rows[i].name, slice_of("two"));
        const struct seal_purpose purpose =
            seal_purpose_of_credential(rows[i].name, rows[i].generation);
        CHECK_OK(
            seal_open(key_slice(model, model->current), &purpose, rows[i].sealed_password, &plain));
        CHECK_SLICE(secret_slice(&plain), slice_of(model->passwords[which]));
        CHECK_U64(rows[i].key_epoch, cluster_of(model, &arena).key_epoch);
        secret_release(&plain);
    }
    arena_release(&arena);
}

static void check_knowledge(struct model *model)
{
    struct arena arena = {0};
    struct key_rotation_view rotation;
    bool settled =
        cluster_of(model, &arena).key_due.size == 0 && !rotation_of(model, &arena, &rotation);
    for (uint64_t id = 1; id <= MEMBERS; id++) {
        CHECK(!model->present[id] || model->knows[id][model->current]);
        CHECK(!settled || model->present[id] || !model->knows[id][model->current]);
    }
    arena_release(&arena);
}

static void check_all(struct model *model)
{
    CHECK(opens_all(model, model->current));
    check_passwords(model);
    check_knowledge(model);
}

static void model_open(struct model *model, uint64_t seed)
{
    struct arena arena = {0};
    const struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    memset(model, 0, sizeof *model);
    model->random = seed * 7919 + 1;
    fixture_open(&model->fixture);
    make_key(model); /* Number 0 stands for none. */
    make_key(model);
    model->current = 1;
    model->present[1] = true;
    model->knows[1][1] = true;
    struct command init = cluster_init_command();
    init.body.cluster_init.member.node_id = 1;
    init.body.cluster_init.member.name = slice_of("n1");
    init.body.cluster_init.sealed_ca_key =
        seal(model, 1, 1, &purpose, slice_of("the CA's key"), &arena);
    CHECK_U64(apply(model, init), REFUSAL_NONE);
    CHECK_U64(apply(model, cluster_form_command()), REFUSAL_NONE);
    arena_release(&arena);
}

static void model_close(struct model *model)
{
    arena_release(&model->late_arena);
    fixture_close(&model->fixture);
}

static void step(struct model *model)
{
    switch (draw(model, 24)) {
    case 0:
    case 1: begin(model); return;
    case 2:
    case 3: give(model); return;
    case 4: admit(model); return;
    case 5: take_out(model); return;
    case 6:
    case 7:
    case 8: put(model); return;
    case 9:
        if (draw(model, 10) == 0) {
            recover(model);
        }
        return;
    case 10:
    case 11:
    case 12:
    case 13: reseal(model); return;
    default: hold(model); return;
    }
}

static void test_model(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    uint64_t rotations = 0;
    (void)state;
    assert_non_null(model);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char row[32];
        (void)snprintf(row, sizeof row, "seed %llu", (unsigned long long)seed);
        check_row(row);
        model_open(model, seed);
        for (int i = 0; i < STEPS; i++) {
            step(model);
            check_all(model);
        }
        rotations += model->rotations;
        model_close(model);
    }
    CHECK(rotations > SEEDS); /* Or nothing was tested. */
    free(model);
}

static void test_checks_can_fail(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    (void)state;
    assert_non_null(model);
    model_open(model, 1);
    put(model);
    CHECK(opens_all(model, model->current));
    CHECK(!opens_all(model, 0));
    make_key(model);
    CHECK(!opens_all(model, model->key_count - 1));
    model_close(model);
    free(model);
}

/* ---- Rows ---- */

static struct command rotate_command(uint64_t epoch, const char *check, size_t holders)
{
    static const struct key_holder all[] = {
        {.node_id = NODE_A, .wrapped = {.data = "a", .size = 1}},
        {.node_id = NODE_B, .wrapped = {.data = "b", .size = 1}},
        {.node_id = NODE_C, .wrapped = {.data = "c", .size = 1}},
    };
    return (struct command){
        .type = COMMAND_KEY_ROTATE,
        .body.key_rotate = {.epoch = epoch,
                            .check = slice_of(check),
                            .holders = {.items = (void *)(uintptr_t)all, .count = holders}},
    };
}

#define CHECK_2 "the check of the second key....."

static struct command hold_command(uint64_t epoch, const char *check, uint64_t node_id)
{
    return (struct command){
        .type = COMMAND_KEY_HOLD,
        .body.key_hold = {.epoch = epoch, .check = slice_of(check), .node_id = node_id},
    };
}

static struct command give_command(uint64_t epoch, const char *check, uint64_t node_id)
{
    return (struct command){
        .type = COMMAND_KEY_GIVE,
        .body.key_give = {epoch, slice_of(check), node_id, slice_of("w")},
    };
}

static struct command reseal_of(uint64_t epoch, const char *check, struct resealed *value)
{
    return (struct command){
        .type = COMMAND_KEY_RESEAL,
        .body.key_reseal = {.epoch = epoch,
                            .check = slice_of(check),
                            .before = slice_of("hash"),
                            .values = {.items = value, .count = 1}},
    };
}

static void test_refusals(void **state)
{
    static struct resealed one[] = {{.sealed = {.data = "x", .size = 1}}};
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    const struct {
        const char *name;
        struct command command;
        enum refusal refusal;
    } rows[] = {
        {"hold without a rotation", hold_command(2, CHECK_2, NODE_A), REFUSAL_KEY_CHANGED},
        {"give without a rotation", give_command(2, CHECK_2, NODE_A), REFUSAL_KEY_CHANGED},
        {"reseal without a rotation", reseal_of(2, CHECK_2, one), REFUSAL_KEY_CHANGED},
        {"the present epoch", rotate_command(1, CHECK_2, 3), REFUSAL_KEY_CHANGED},
        {"an epoch too far", rotate_command(3, CHECK_2, 3), REFUSAL_KEY_CHANGED},
        {"a member left out", rotate_command(2, CHECK_2, 2), REFUSAL_KEY_CHANGED},
        {"a short check", rotate_command(2, "short", 3), REFUSAL_FIELD},
        {"begin", rotate_command(2, CHECK_2, 3), REFUSAL_NONE},
        {"begin twice", rotate_command(2, CHECK_2, 3), REFUSAL_ROTATION_UNDER_WAY},
        {"reseal, held by nobody", reseal_of(2, CHECK_2, one), REFUSAL_KEY_NOT_HELD},
        {"hold another key", hold_command(2, "another", NODE_A), REFUSAL_KEY_CHANGED},
        {"hold another epoch", hold_command(3, CHECK_2, NODE_A), REFUSAL_KEY_CHANGED},
        {"hold as nobody", hold_command(2, CHECK_2, 0xD), REFUSAL_MEMBER_UNKNOWN},
        {"give to nobody", give_command(2, CHECK_2, 0xD), REFUSAL_MEMBER_UNKNOWN},
        {"give what was given", give_command(2, CHECK_2, NODE_A), REFUSAL_NONE},
        {"hold a", hold_command(2, CHECK_2, NODE_A), REFUSAL_NONE},
        {"hold a twice", hold_command(2, CHECK_2, NODE_A), REFUSAL_NONE},
        {"hold b", hold_command(2, CHECK_2, NODE_B), REFUSAL_NONE},
        {"reseal, not held by c", reseal_of(2, CHECK_2, one), REFUSAL_KEY_NOT_HELD},
        {"hold c", hold_command(2, CHECK_2, NODE_C), REFUSAL_NONE},
        {"reseal what is not sealed so", reseal_of(2, CHECK_2, one), REFUSAL_KEY_CHANGED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_U64(fixture_apply(&fixture, rows[i].command), rows[i].refusal);
    }
    fixture_close(&fixture);
}

/* Who leaves leaves an advice behind, until the credentials are put again. */
/* Was the key, and with it each password, within reach of this node? */
static void check_exposed(struct fixture *fixture, const char *row, const char *name)
{
    struct credential_view credential;
    struct cluster_view cluster;
    check_row(row);
    CHECK_OK(store_credential(fixture->store, &fixture->arena, slice_of("main"), &credential));
    CHECK_OK(store_cluster(fixture->store, &fixture->arena, &cluster));
    CHECK_SLICE(credential.exposed_to, slice_of(name));
    CHECK_SLICE(cluster.key_due, slice_of(name));
}

/* Its answer holds the cluster key, and whether it arrived only the node knows; one that was refused
 * got nothing. */
static void test_exposed_by_admission(void **state)
{
    static const char token[] = "00000000000000d0";
    struct fixture fixture;
    struct command refused = admit_command(token, 77, "D");
    const struct command rollback = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = 77, .rollback = true},
    };
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_U64(fixture_apply(&fixture, credential_command("main", 1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, token_command(token)), REFUSAL_NONE);
    refused.body.member_admit.registration_state = REGISTRATION_REGISTERED;
    CHECK_U64(fixture_apply(&fixture, refused), REFUSAL_REGISTERED);
    check_exposed(&fixture, "refused", "");
    CHECK_U64(fixture_apply(&fixture, rollback), REFUSAL_MEMBER_UNKNOWN);
    check_exposed(&fixture, "refused, and rolled back", "");
    CHECK_U64(fixture_apply(&fixture, admit_command(token, 77, "D")), REFUSAL_NONE);
    check_exposed(&fixture, "admitted", "");
    CHECK_U64(fixture_apply(&fixture, rollback), REFUSAL_NONE);
    check_exposed(&fixture, "admitted, and rolled back", "D");
    fixture_close(&fixture);
}

static void test_exposed(void **state)
{
    struct fixture fixture;
    struct credential_view credential;
    const struct command removal = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = NODE_C},
    };
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_U64(fixture_apply(&fixture, credential_command("main", 1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, removal), REFUSAL_NONE);
    CHECK_OK(store_credential(fixture.store, &fixture.arena, slice_of("main"), &credential));
    CHECK_SLICE(credential.exposed_to, slice_of("C"));
    CHECK(credential.exposed_at_ms > 0);
    CHECK_U64(fixture_apply(&fixture, credential_command("main", 2)), REFUSAL_NONE);
    CHECK_OK(store_credential(fixture.store, &fixture.arena, slice_of("main"), &credential));
    CHECK_U64(credential.exposed_to.size, 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_exposed),
        cmocka_unit_test(test_exposed_by_admission),
        cmocka_unit_test(test_checks_can_fail),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
