/*
 * Every refusal, as a row: what came before, as letters, and the command that is refused. The rules
 * 5 to 9 and 13 of the design stand here one by one, with the neighbours that are allowed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "store_fixture.h"

#define TOKEN_1 "00000000000000a1"
#define TOKEN_2 "00000000000000a2"

static struct command standing(uint64_t value)
{
    return (struct command){.type = COMMAND_STANDING_SET, .body.standing_set.standing = value};
}

static struct command member_standing(uint64_t node_id, uint64_t value)
{
    return (struct command){
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = node_id, .standing = value},
    };
}

static struct command voters(uint64_t count)
{
    return (struct command){
        .type = COMMAND_SETTINGS_SET,
        .body.settings_set.voters = count,
    };
}

static struct command raise_to(uint64_t level)
{
    return (struct command){.type = COMMAND_LEVEL_RAISE, .body.level_raise.level = level};
}

static struct command member_level(uint64_t node_id, uint64_t level)
{
    return (struct command){
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = node_id, .level = level},
    };
}

static struct command form_with(uint64_t count)
{
    struct command command = cluster_form_command();
    command.body.cluster_form.voters = count;
    return command;
}

static struct command removal(uint64_t node_id, bool force, bool rollback)
{
    return (struct command){
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = node_id, .force = force, .rollback = rollback},
    };
}

static struct command revocation(const char *id)
{
    return (struct command){
        .type = COMMAND_JOIN_TOKEN_REVOKE,
        .body.join_token_revoke.token_id = slice_of(id),
    };
}

static struct command failure(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_FAIL,
        .body.registration_fail = {.epoch = epoch, .code = slice_of("token_expired")},
    };
}

static struct command note(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_NOTE,
        .body.registration_note = {.epoch = epoch, .attempt = 1},
    };
}

static struct command deregistered(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_DEREGISTRATION_COMPLETE,
        .body.deregistration_complete.epoch = epoch,
    };
}

static struct command hand_over(uint64_t epoch, uint64_t node_id, const char *serial)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_HAND_OVER,
        .body.registration_hand_over = {epoch, node_id, slice_of(serial)},
    };
}

static struct command named(enum command_type type, const char *name)
{
    struct command command = {.type = type};
    /* All of these begin with the name. */
    command.body.cluster_form.name = slice_of(name);
    return command;
}

static struct command verification(const char *name, uint64_t generation)
{
    return (struct command){
        .type = COMMAND_CREDENTIAL_VERIFIED,
        .body.credential_verified = {.name = slice_of(name), .generation = generation},
    };
}

static struct command operator_command(const char *name, uint64_t role, const char *key)
{
    static char fingerprint[STORE_HASH_SIZE];
    (void)snprintf(fingerprint, sizeof fingerprint, "%s", key);
    return (struct command){
        .type = COMMAND_OPERATOR_PUT,
        .body.operator_put = {.name = slice_of(name),
                              .role = role,
                              .fingerprint = {.data = fingerprint, .size = sizeof fingerprint}},
    };
}

static struct command region_command(const char *region)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_ENABLE,
        .body.registration_enable.region = slice_of(region),
    };
}

static struct command letter(enum command_type type, uint64_t sequence)
{
    struct command command = {.type = type};
    /* Both begin with the sequence. */
    command.body.dead_letter_retry.sequence = sequence;
    return command;
}

static struct command disable(void)
{
    return (struct command){.type = COMMAND_REGISTRATION_DISABLE};
}

static struct command rejection(uint64_t from, uint64_t to, uint64_t sequence)
{
    static struct export_reject reject;
    struct command command = advance_command(from, to);
    reject = (struct export_reject){.sequence = sequence, .reason = slice_of("bad")};
    command.body.export_advance.rejects = (struct codec_list){.items = &reject, .count = 1};
    return command;
}

/* What the letters of a row's history mean; each must be done. */
static struct command prepared(char what)
{
    switch (what) {
    case 'i': return cluster_init_command();
    case 'f': return cluster_form_command();
    case 'l': return standing(STANDING_JOINING);
    case 'u': return standing(STANDING_STANDALONE);
    case 't': return token_command(TOKEN_1);
    case 'T': return token_command(TOKEN_2);
    case 'v': return revocation(TOKEN_1);
    case 'b': return admit_command(TOKEN_1, NODE_B, "B");
    case 'B': return member_standing(NODE_B, STANDING_MEMBER);
    case 'x': return removal(NODE_B, false, false);
    case 'X': return removal(NODE_A, true, false);
    case 'e': return enable_command();
    case 'd': return disable();
    case 'r': return begin_command(NODE_A, "SA", 1);
    case 's': return begin_command(NODE_A, "SA", 2);
    case 'c': return complete_command(1);
    case 'F': return failure(1);
    case 'D': return deregister_begin_command(1);
    case 'E': return deregistered(1);
    case 'h': return hand_over(1, NODE_B, "B");
    case 'p': return credential_command("prod", 1);
    case 'q': return credential_command("test", 1);
    case 'P': return credential_command("prod", 2);
    case '1': return record_command(1);
    case '2': return record_command(2);
    case 'a': return rejection(0, 2, 1);
    case 'o': return operator_command("op", ROLE_ADMIN, "key 1");
    default: break;
    }
    CHECK(false && "a letter without a meaning");
    return (struct command){0};
}

struct row {
    const char *name;
    const char *history;
    struct command command;
    enum refusal refusal;
};

static void run_row(const struct row *row)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct codec_list before;
    struct codec_list after;
    fixture_open(&fixture);
    for (const char *at = row->history; *at != '\0'; at++) {
        check_row(row->name);
        CHECK_U64(fixture_apply(&fixture, prepared(*at)), REFUSAL_NONE);
    }
    CHECK_OK(store_audit(fixture.store, &arena, 0, 100, &before));
    CHECK_U64(fixture_apply(&fixture, row->command), row->refusal);

    /* A command that an operator can send leaves a line that says how it ended. */
    CHECK_OK(store_audit(fixture.store, &arena, 0, 100, &after));
    if (after.count > before.count) {
        const struct audit_view *line = (struct audit_view *)after.items + before.count;
        CHECK_SLICE(line->command, slice_of(command_name(row->command.type)));
        CHECK_SLICE(line->outcome, slice_of(refusal_name(row->refusal)));
    }
    arena_release(&arena);
    fixture_close(&fixture);
}

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_row(&rows[i]);
    }
}

#define RUN_ROWS(rows) run_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static struct command with_member_name(struct command command, const char *name)
{
    command.body.member_admit.member.name = slice_of(name);
    return command;
}

static struct command with_serial(struct command command, const char *serial)
{
    command.body.member_admit.member.serial = slice_of(serial);
    return command;
}

static struct command with_state(struct command command, uint64_t state)
{
    command.body.member_admit.registration_state = state;
    return command;
}

static struct command with_check(struct command command, uint64_t check)
{
    command.body.member_admit.cloud_check = check;
    return command;
}

static struct command at(struct command command, uint64_t at_ms)
{
    command.stamp.at_ms = at_ms;
    return command;
}

static struct command bound_token(void)
{
    struct command command = token_command(TOKEN_2);
    command.body.join_token_create.for_name = slice_of("other");
    return command;
}

static struct command short_hash_token(void)
{
    struct command command = token_command(TOKEN_2);
    command.body.join_token_create.secret_hash = slice_of("short");
    return command;
}

static struct command admit_b(void)
{
    return admit_command(TOKEN_1, NODE_B, "B");
}

/* The cluster's level rises when all members know it, never falls, and keeps older programs out. */
static void test_levels(void **state)
{
    (void)state;
    const struct command steps[] = {
        cluster_init_command(), /* Of level 0: as 1. */
        cluster_form_command(),
        token_command(TOKEN_1),
        admit_b(),
        raise_to(2), /* 4: nobody said that it knows it. */
        member_level(NODE_A, 3),
        raise_to(2), /* 6: one does not. */
        member_level(NODE_B, 2),
        raise_to(3), /* 8: one does not know that much. */
        raise_to(2),
        raise_to(2), /* 10: it is that already. */
        raise_to(1),
        member_level(NODE_B, 1), /* 12: an older program came back. */
        member_level(NODE_B, 3),
        token_command(TOKEN_2),
        admit_command(TOKEN_2, 77, "C"), /* 15: it says no level. */
        raise_to(3),
    };
    const enum refusal wanted[] = {
        0,
        0,
        0,
        0,
        REFUSAL_LEVEL,
        0,
        REFUSAL_LEVEL,
        0,
        REFUSAL_LEVEL,
        0,
        REFUSAL_FIELD,
        REFUSAL_FIELD,
        REFUSAL_OLD_VERSION,
        0,
        0,
        REFUSAL_OLD_VERSION,
        0,
    };
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "step %zu", i);
        check_row(name);
        CHECK_U64(fixture_apply(&fixture, steps[i]), wanted[i]);
    }
    /* Such a state is not for this program any more. */
    struct store *store = NULL;
    CHECK_OK(store_sync(fixture.store));
    store_close(fixture.store);
    fixture.store = NULL;
    CHECK_CODE(store_open(&fixture.options, &store), STATUS_INVALID);
    fixture_close(&fixture);
}

static void test_cluster(void **state)
{
    struct command bad_id = cluster_init_command();
    bad_id.body.cluster_init.cluster_id = slice_of("short");
    const struct row rows[] = {
        {"init", "", cluster_init_command(), REFUSAL_NONE},
        {"init twice", "i", cluster_init_command(), REFUSAL_ALREADY_INITIALISED},
        {"init with a bad id", "", bad_id, REFUSAL_FIELD},
        {"anything before init", "", cluster_form_command(), REFUSAL_NOT_IN_CLUSTER},
        {"records before init", "", record_command(1), REFUSAL_NOT_IN_CLUSTER},
        {"form", "i", cluster_form_command(), REFUSAL_NONE},
        {"form while registered: it becomes the first member", "ierc", cluster_form_command(),
         REFUSAL_NONE},
        {"form twice", "if", cluster_form_command(), REFUSAL_ALREADY_MEMBER},
        {"form while joining", "il", cluster_form_command(), REFUSAL_STANDING_JOINING},
        {"form without a name", "i", named(COMMAND_CLUSTER_FORM, ""), REFUSAL_FIELD},
        {"form with voters", "i", form_with(7), REFUSAL_NONE},
        {"form with even voters", "i", form_with(2), REFUSAL_VOTERS},
        {"one voter", "if", voters(1), REFUSAL_NONE},
        {"seven voters", "if", voters(7), REFUSAL_NONE},
        {"voters that stay", "if", voters(0), REFUSAL_NONE},
        {"four voters", "if", voters(4), REFUSAL_VOTERS},
        {"nine voters", "if", voters(9), REFUSAL_VOTERS},
        {"voters of a standalone node", "i", voters(3), REFUSAL_NOT_IN_CLUSTER},
        {"lock", "i", standing(STANDING_JOINING), REFUSAL_NONE},
        {"lock twice", "il", standing(STANDING_JOINING), REFUSAL_STANDING_JOINING},
        {"unlock", "il", standing(STANDING_STANDALONE), REFUSAL_NONE},
        {"unlock what is not locked", "i", standing(STANDING_STANDALONE), REFUSAL_NONE},
        {"lock in a cluster", "if", standing(STANDING_JOINING), REFUSAL_NOT_STANDALONE},
        {"stand as member", "i", standing(STANDING_MEMBER), REFUSAL_FIELD},
        {"R7: lock while enabled", "ie", standing(STANDING_JOINING), REFUSAL_NONE},
        {"R7: lock after a failure", "ierF", standing(STANDING_JOINING), REFUSAL_NONE},
        {"R7: lock while registering", "ier", standing(STANDING_JOINING),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"R7: lock while registered", "ierc", standing(STANDING_JOINING), REFUSAL_REGISTERED},
        {"R7: lock while deregistering", "iercD", standing(STANDING_JOINING),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"R7: lock after deregistration", "iercDE", standing(STANDING_JOINING), REFUSAL_NONE},
    };
    (void)state;
    RUN_ROWS(rows);
}

static void test_tokens(void **state)
{
    const struct row rows[] = {
        {"create", "if", token_command(TOKEN_1), REFUSAL_NONE},
        {"create while standalone", "i", token_command(TOKEN_1), REFUSAL_NOT_IN_CLUSTER},
        {"create twice", "ift", token_command(TOKEN_1), REFUSAL_NAME_EXISTS},
        {"create with a bad id", "if", token_command("xyz"), REFUSAL_FIELD},
        {"create with a bad hash", "if", short_hash_token(), REFUSAL_FIELD},
        {"create expired", "if", at(token_command(TOKEN_1), 1000000), REFUSAL_FIELD},
        {"revoke", "ift", revocation(TOKEN_1), REFUSAL_NONE},
        {"revoke an unknown one", "ift", revocation(TOKEN_2), REFUSAL_TOKEN_UNKNOWN},
        {"revoke twice", "iftv", revocation(TOKEN_1), REFUSAL_TOKEN_REVOKED},
        {"revoke a used one", "iftb", revocation(TOKEN_1), REFUSAL_TOKEN_USED},
    };
    (void)state;
    RUN_ROWS(rows);
}

static void test_admission(void **state)
{
    const struct row rows[] = {
        {"admit", "ift", admit_b(), REFUSAL_NONE},
        {"admit to a standalone node", "i", admit_b(), REFUSAL_NOT_IN_CLUSTER},
        {"R8: unknown token", "if", admit_b(), REFUSAL_TOKEN_UNKNOWN},
        {"R8: revoked token", "iftv", admit_b(), REFUSAL_TOKEN_REVOKED},
        {"R8: used token", "iftb", admit_command(TOKEN_1, NODE_C, "C"), REFUSAL_TOKEN_USED},
        {"R8: expired token", "ift", at(admit_b(), 1000000), REFUSAL_TOKEN_EXPIRED},
        {"R7: registered joiner", "ift", with_state(admit_b(), REGISTRATION_REGISTERED),
         REFUSAL_REGISTERED},
        {"R7: registering joiner", "ift", with_state(admit_b(), REGISTRATION_REGISTERING),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"R7: deregistering joiner", "ift", with_state(admit_b(), REGISTRATION_DEREGISTERING),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"R7: failed joiner", "ift", with_state(admit_b(), REGISTRATION_FAILED),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"R7: enabled joiner", "ift", with_state(admit_b(), REGISTRATION_ENABLED), REFUSAL_NONE},
        {"R7: a state of no meaning", "ift", with_state(admit_b(), 99), REFUSAL_FIELD},
        {"R7: the cloud lists it", "ift", with_check(admit_b(), CLOUD_CHECK_REGISTERED),
         REFUSAL_CLOUD_LISTS_SERIAL},
        {"R7: the cloud was not reachable", "ift", with_check(admit_b(), CLOUD_CHECK_UNREACHABLE),
         REFUSAL_NONE},
        {"R7: a check of no meaning", "ift", with_check(admit_b(), 0), REFUSAL_FIELD},
        {"R7 is asked before the token", "if", with_state(admit_b(), REGISTRATION_REGISTERED),
         REFUSAL_REGISTERED},
        {"same node", "iftbT", admit_command(TOKEN_2, NODE_B, "Z"), REFUSAL_NODE_EXISTS},
        {"same name", "iftbT", with_serial(admit_command(TOKEN_2, NODE_C, "B"), "Z"),
         REFUSAL_NAME_EXISTS},
        {"same serial", "iftbT", with_member_name(admit_command(TOKEN_2, NODE_C, "B"), "Z"),
         REFUSAL_SERIAL_EXISTS},
        {"a removed node comes back", "iftbBxT", admit_command(TOKEN_2, NODE_B, "B"), REFUSAL_NONE},
        {"a removed node's name is free", "iftbBxT", admit_command(TOKEN_2, NODE_C, "B"),
         REFUSAL_NONE},
        {"no node id", "ift", admit_command(TOKEN_1, 0, "B"), REFUSAL_FIELD},
        {"no name", "ift", with_member_name(admit_b(), ""), REFUSAL_FIELD},
        {"no serial", "ift", with_serial(admit_b(), ""), REFUSAL_FIELD},
    };
    (void)state;
    RUN_ROWS(rows);
}

static void test_bound_token(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    check_row("R8: a token for another name");
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, cluster_form_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, bound_token()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, admit_command(TOKEN_2, NODE_B, "B")),
              REFUSAL_TOKEN_FOR_OTHER);
    CHECK_U64(fixture_apply(&fixture, admit_command(TOKEN_2, NODE_B, "other")), REFUSAL_NONE);
    fixture_close(&fixture);
}

static void test_members(void **state)
{
    const struct row rows[] = {
        {"becomes a full member", "iftb", member_standing(NODE_B, STANDING_MEMBER), REFUSAL_NONE},
        {"leaves", "iftbB", member_standing(NODE_B, STANDING_LEAVING), REFUSAL_NONE},
        {"leaves before it is one", "iftb", member_standing(NODE_B, STANDING_LEAVING),
         REFUSAL_FIELD},
        {"goes back to joining", "iftbB", member_standing(NODE_B, STANDING_JOINING), REFUSAL_FIELD},
        {"a standing of no meaning", "iftbB", member_standing(NODE_B, 77), REFUSAL_FIELD},
        {"set of an unknown node", "if", member_standing(NODE_C, STANDING_MEMBER),
         REFUSAL_MEMBER_UNKNOWN},
        {"set of a removed node", "iftbBx", member_standing(NODE_B, STANDING_MEMBER),
         REFUSAL_MEMBER_UNKNOWN},
        {"set of nothing", "i", member_standing(NODE_A, 0), REFUSAL_NONE},
        {"standing while standalone", "i", member_standing(NODE_A, STANDING_MEMBER),
         REFUSAL_NOT_IN_CLUSTER},
        {"R9: the registered machine leaves", "iftbBerc", member_standing(NODE_A, STANDING_LEAVING),
         REFUSAL_REGISTERED_MACHINE},
        {"R9: it leaves after handing over", "iftbBerch", member_standing(NODE_A, STANDING_LEAVING),
         REFUSAL_NONE},
        {"R9: another one leaves", "iftbBerc", member_standing(NODE_B, STANDING_LEAVING),
         REFUSAL_NONE},
        {"R9: the last one leaves, registered", "iferc", member_standing(NODE_A, STANDING_LEAVING),
         REFUSAL_LAST_MEMBER_REGISTERED},
        {"remove", "iftbB", removal(NODE_B, false, false), REFUSAL_NONE},
        {"remove while standalone", "i", removal(NODE_A, false, false), REFUSAL_NOT_IN_CLUSTER},
        {"remove an unknown one", "if", removal(NODE_B, false, false), REFUSAL_MEMBER_UNKNOWN},
        {"remove twice", "iftbBx", removal(NODE_B, false, false), REFUSAL_MEMBER_UNKNOWN},
        {"R9: remove the registered machine", "iftbBerc", removal(NODE_A, false, false),
         REFUSAL_REGISTERED_MACHINE},
        {"R9: while it registers", "iftbBer", removal(NODE_A, false, false),
         REFUSAL_REGISTERED_MACHINE},
        {"R9: while it deregisters", "iftbBercD", removal(NODE_A, false, false),
         REFUSAL_REGISTERED_MACHINE},
        {"R9: remove the dead registered machine", "iftbBerc", removal(NODE_A, true, false),
         REFUSAL_NONE},
        {"R9: remove the last, by force", "iferc", removal(NODE_A, true, false),
         REFUSAL_LAST_MEMBER_REGISTERED},
        {"R9: the last after deregistration", "ifercDE", removal(NODE_A, false, false),
         REFUSAL_NONE},
        {"R9: removed ones do not count", "iftbBxerc", removal(NODE_A, true, false),
         REFUSAL_LAST_MEMBER_REGISTERED},
        {"roll back an admission", "iftb", removal(NODE_B, false, true), REFUSAL_NONE},
        {"roll back a member", "iftbB", removal(NODE_B, false, true), REFUSAL_ALREADY_MEMBER},
    };
    (void)state;
    RUN_ROWS(rows);
}

static struct command group_begin(void)
{
    struct command command = begin_command(NODE_A, "SA", 1);
    command.body.registration_begin.mode = slice_of("group");
    return command;
}

static struct command tokenless_begin(void)
{
    struct command command = begin_command(NODE_A, "SA", 1);
    command.body.registration_begin.sealed_token = slice_of("");
    return command;
}

static struct command other_device(void)
{
    struct command command = complete_command(1);
    command.body.registration_complete.device_id = slice_of("device-2");
    return command;
}

static void test_registration(void **state)
{
    const struct row rows[] = {
        {"enable", "i", enable_command(), REFUSAL_NONE},
        {"enable twice", "ie", enable_command(), REFUSAL_ALREADY_ENABLED},
        {"other region", "ie", region_command("AMERICAS"), REFUSAL_NONE},
        {"no region", "i", region_command(""), REFUSAL_FIELD},
        {"enable while joining", "il", enable_command(), REFUSAL_STANDING_JOINING},
        {"enable again while registered", "ierc", enable_command(), REFUSAL_ALREADY_ENABLED},
        {"other region while registered", "ierc", region_command("AMERICAS"), REFUSAL_REGION_FIXED},
        {"other region while registering", "ier", region_command("AMERICAS"), REFUSAL_REGION_FIXED},
        {"enable after a failure", "ierF", enable_command(), REFUSAL_NONE},
        {"disable", "ie", disable(), REFUSAL_NONE},
        {"disable twice", "ied", disable(), REFUSAL_DISABLED},
        {"disable while registered", "ierc", disable(), REFUSAL_REGISTRATION_EXISTS},
        {"begin", "ie", begin_command(NODE_A, "SA", 1), REFUSAL_NONE},
        {"R5: begin while disabled", "i", begin_command(NODE_A, "SA", 1), REFUSAL_DISABLED},
        {"R5: begin twice", "ier", begin_command(NODE_A, "SA", 2), REFUSAL_REGISTRATION_EXISTS},
        {"R5: begin while registered", "ierc", begin_command(NODE_A, "SA", 2),
         REFUSAL_REGISTRATION_EXISTS},
        {"R5: begin while deregistering", "iercD", begin_command(NODE_A, "SA", 2),
         REFUSAL_REGISTRATION_EXISTS},
        {"R5: begin of a passed epoch", "ierF", begin_command(NODE_A, "SA", 1), REFUSAL_EPOCH},
        {"R5: begin of a far epoch", "ie", begin_command(NODE_A, "SA", 2), REFUSAL_EPOCH},
        {"R5: begin after a failure", "ierF", begin_command(NODE_A, "SA", 2), REFUSAL_NONE},
        {"R5: begin after deregistration", "iercDE", begin_command(NODE_A, "SA", 2), REFUSAL_NONE},
        {"R6: group mode", "ie", group_begin(), REFUSAL_NOT_MACHINE_MODE},
        {"R6: another machine's serial", "ie", begin_command(NODE_A, "SB", 1),
         REFUSAL_OTHER_MACHINE},
        {"R6: a machine that is no member", "ie", begin_command(NODE_B, "B", 1),
         REFUSAL_MEMBER_UNKNOWN},
        {"R6: a machine that is being admitted", "iftbe", begin_command(NODE_B, "B", 1),
         REFUSAL_MEMBER_UNKNOWN},
        {"R6: another full member", "iftbBe", begin_command(NODE_B, "B", 1), REFUSAL_NONE},
        {"R7: begin while joining", "iel", begin_command(NODE_A, "SA", 1),
         REFUSAL_STANDING_JOINING},
        {"begin without a token", "ie", tokenless_begin(), REFUSAL_FIELD},
        {"note", "ier", note(1), REFUSAL_NONE},
        {"note of another epoch", "ier", note(2), REFUSAL_EPOCH},
        {"note without registration", "ie", note(0), REFUSAL_NOT_REGISTERED},
        {"complete", "ier", complete_command(1), REFUSAL_NONE},
        {"R5: complete of an older epoch", "ierFs", complete_command(1), REFUSAL_EPOCH},
        {"R5: complete after it failed", "ierF", complete_command(1), REFUSAL_NOT_REGISTERED},
        {"complete twice: a renewal", "ierc", complete_command(1), REFUSAL_NONE},
        {"complete with another device", "ierc", other_device(), REFUSAL_REGISTRATION_EXISTS},
        {"fail", "ier", failure(1), REFUSAL_NONE},
        {"R5: fail of an older epoch", "ierFs", failure(1), REFUSAL_EPOCH},
        {"fail once registered", "ierc", failure(1), REFUSAL_NOT_REGISTERED},
        {"hand over", "iftbBerc", hand_over(1, NODE_B, "B"), REFUSAL_NONE},
        {"hand over to nobody", "iftbBerc", hand_over(1, NODE_C, "C"), REFUSAL_MEMBER_UNKNOWN},
        {"hand over by another serial", "iftbBerc", hand_over(1, NODE_B, "Z"),
         REFUSAL_OTHER_MACHINE},
        {"hand over of another epoch", "iftbBerc", hand_over(2, NODE_B, "B"), REFUSAL_EPOCH},
        {"hand over before it is done", "iftbBer", hand_over(1, NODE_B, "B"),
         REFUSAL_NOT_REGISTERED},
        {"deregister", "ierc", deregister_begin_command(1), REFUSAL_NONE},
        {"deregister nothing", "ie", deregister_begin_command(0), REFUSAL_NOT_REGISTERED},
        {"deregister another epoch", "ierc", deregister_begin_command(2), REFUSAL_EPOCH},
        {"deregister while in doubt", "ier", deregister_begin_command(1),
         REFUSAL_REGISTRATION_IN_DOUBT},
        {"deregister twice", "iercD", deregister_begin_command(1), REFUSAL_REGISTRATION_IN_DOUBT},
        {"deregistered", "iercD", deregistered(1), REFUSAL_NONE},
        {"deregistered twice", "iercDE", deregistered(1), REFUSAL_NOT_REGISTERED},
        {"R5: deregistered of another epoch", "iercD", deregistered(2), REFUSAL_EPOCH},
    };
    (void)state;
    RUN_ROWS(rows);
}

static void test_credentials(void **state)
{
    const struct row rows[] = {
        {"put", "i", credential_command("prod", 1), REFUSAL_NONE},
        {"put again", "ip", credential_command("prod", 2), REFUSAL_NONE},
        {"put of a passed generation", "ipP", credential_command("prod", 2),
         REFUSAL_CREDENTIAL_CHANGED},
        {"put of a far generation", "i", credential_command("prod", 2), REFUSAL_CREDENTIAL_CHANGED},
        {"put without a name", "i", credential_command("", 1), REFUSAL_FIELD},
        {"verified", "ip", verification("prod", 1), REFUSAL_NONE},
        {"verified meanwhile replaced", "ipP", verification("prod", 1), REFUSAL_CREDENTIAL_CHANGED},
        {"verified what is not there", "ip", verification("test", 1), REFUSAL_CREDENTIAL_UNKNOWN},
        {"select", "ipq", named(COMMAND_CREDENTIAL_SELECT, "test"), REFUSAL_NONE},
        {"select what is not there", "ip", named(COMMAND_CREDENTIAL_SELECT, "test"),
         REFUSAL_CREDENTIAL_UNKNOWN},
        {"remove the only one", "ip", named(COMMAND_CREDENTIAL_REMOVE, "prod"), REFUSAL_NONE},
        {"remove the selected one", "ipq", named(COMMAND_CREDENTIAL_REMOVE, "prod"),
         REFUSAL_CREDENTIAL_SELECTED},
        {"R13: remove the other one", "ipq", named(COMMAND_CREDENTIAL_REMOVE, "test"),
         REFUSAL_NONE},
        {"remove what is not there", "ip", named(COMMAND_CREDENTIAL_REMOVE, "test"),
         REFUSAL_CREDENTIAL_UNKNOWN},
        {"operator", "i", operator_command("op", ROLE_ADMIN, "key 1"), REFUSAL_NONE},
        {"operator changed", "io", operator_command("op", ROLE_VIEWER, "key 2"), REFUSAL_NONE},
        {"operator without a role", "i", operator_command("op", ROLE_NONE, "k"), REFUSAL_FIELD},
        {"operator of a role that is none", "i", operator_command("op", 4, "k"), REFUSAL_FIELD},
        {"operator without a name", "i", operator_command("", ROLE_ADMIN, "k"), REFUSAL_FIELD},
        {"operator with another's certificate", "io", operator_command("two", ROLE_ADMIN, "key 1"),
         REFUSAL_NAME_EXISTS},
        {"operator removed", "io", named(COMMAND_OPERATOR_REMOVE, "op"), REFUSAL_NONE},
        {"operator that is not there", "i", named(COMMAND_OPERATOR_REMOVE, "op"),
         REFUSAL_OPERATOR_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct row row = rows[i];
        if (row.command.type == COMMAND_OPERATOR_PUT) { /* Their fingerprints share a buffer. */
            const char *key = row.refusal == REFUSAL_NAME_EXISTS ? "key 1" : "key 2";
            row.command.body.operator_put.fingerprint =
                operator_command("", 0, key).body.operator_put.fingerprint;
        }
        run_row(&row);
    }
}

static void test_export(void **state)
{
    static const struct {
        const char *name;
        const char *history;
        struct {
            char what; /* a: advance, j: advance with a reject, r: retry, d: discard. */
            uint64_t from, to, sequence;
        } command;
        enum refusal refusal;
    } rows[] = {
        {"advance", "i12", {'a', 0, 2, 0}, REFUSAL_NONE},
        {"advance in part", "i12", {'a', 0, 1, 0}, REFUSAL_NONE},
        {"an answer that comes twice", "i12a", {'a', 0, 2, 0}, REFUSAL_MARK_MOVED},
        {"an answer from ahead", "i12", {'a', 1, 2, 0}, REFUSAL_MARK_MOVED},
        {"beyond what was produced", "i12", {'a', 0, 3, 0}, REFUSAL_FIELD},
        {"over nothing", "i12", {'a', 0, 0, 0}, REFUSAL_FIELD},
        {"a reject", "i12", {'j', 0, 2, 2}, REFUSAL_NONE},
        {"a reject outside", "i12", {'j', 0, 1, 2}, REFUSAL_FIELD},
        {"a reject at the mark", "i12a", {'j', 2, 3, 2}, REFUSAL_FIELD},
        {"retry", "i12a", {'r', 0, 0, 1}, REFUSAL_NONE},
        {"retry of what was delivered", "i12a", {'r', 0, 0, 2}, REFUSAL_DEAD_LETTER_UNKNOWN},
        {"discard", "i12a", {'d', 0, 0, 1}, REFUSAL_NONE},
        {"discard of what is not there", "i12a", {'d', 0, 0, 9}, REFUSAL_DEAD_LETTER_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t from = rows[i].command.from;
        uint64_t to = rows[i].command.to;
        uint64_t sequence = rows[i].command.sequence;
        struct fixture fixture;
        fixture_open(&fixture);
        check_row(rows[i].name);
        for (const char *history = rows[i].history; *history != '\0'; history++) {
            CHECK_U64(fixture_apply(&fixture, prepared(*history)), REFUSAL_NONE);
        }
        struct command command;
        switch (rows[i].command.what) {
        case 'a': command = advance_command(from, to); break;
        case 'j': command = rejection(from, to, sequence); break;
        case 'r': command = letter(COMMAND_DEAD_LETTER_RETRY, sequence); break;
        default: command = letter(COMMAND_DEAD_LETTER_DISCARD, sequence); break;
        }
        CHECK_U64(fixture_apply(&fixture, command), rows[i].refusal);
        fixture_close(&fixture);
    }
}

static void test_unsound_records(void **state)
{
    static const char *const names[] = {"no kind", "no serial", "no id", "no key kind",
                                        "no key value"};
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_row(names[i]);
        struct command command = record_command(1);
        struct record_put *record = command.body.records_put.records.items;
        struct index_key *key = record->keys.items;
        switch (i) {
        case 0: record->kind = 0; break;
        case 1: record->serial = slice_of(""); break;
        case 2: record->id = slice_of(""); break;
        case 3: key->kind = 0; break;
        default: key->value = slice_of(""); break;
        }
        CHECK_U64(fixture_apply(&fixture, command), REFUSAL_FIELD);
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster),      cmocka_unit_test(test_levels),
        cmocka_unit_test(test_tokens),       cmocka_unit_test(test_admission),
        cmocka_unit_test(test_bound_token),  cmocka_unit_test(test_members),
        cmocka_unit_test(test_registration), cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_export),       cmocka_unit_test(test_unsound_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
