/*
 * Random commands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_script.h"

/* xorshift64*: Marsaglia 2003, Vigna 2016. */
uint64_t script_random(struct script *script, uint64_t below)
{
    script->state ^= script->state >> 12U;
    script->state ^= script->state << 25U;
    script->state ^= script->state >> 27U;
    return (script->state * UINT64_C(2685821657736338717) >> 33U) % below;
}

static const char *const names[] = {"B", "C", "D"};
static const char *const tokens[] = {"00000000000000a1", "00000000000000a2", "00000000000000a3"};

static struct command export_command(struct script *script, const struct export_view *export)
{
    static struct export_reject reject;
    uint64_t step = script_random(script, 6);
    struct command command = advance_command(export->mark, export->mark + step);
    if (script_random(script, 3) == 0) {
        reject = (struct export_reject){.sequence = export->mark + 1 + script_random(script, 3),
                                        .reason = slice_of("bad")};
        command.body.export_advance.rejects = (struct codec_list){.items = &reject, .count = 1};
    }
    if (script_random(script, 8) == 0) {
        command.body.export_advance.from++;
    }
    return command;
}

static struct command sequence_command(struct script *script, const struct export_view *export)
{
    static const enum command_type types[] = {COMMAND_DEAD_LETTER_RETRY,
                                              COMMAND_DEAD_LETTER_DISCARD, COMMAND_RECORDS_TRIM};
    struct command command = {.type = types[script_random(script, 3)]};
    command.body.records_trim.sequence = script_random(script, export->last_sequence + 2);
    return command;
}

static struct command member_command(struct script *script)
{
    uint64_t which = script_random(script, 3);
    uint64_t node_id = NODE_B + which;
    switch (script_random(script, 5)) {
    case 0: return token_command(tokens[which]);
    case 1: {
        struct command command =
            admit_command(tokens[script_random(script, 3)], node_id, names[which]);
        command.body.member_admit.registration_state = 1 + script_random(script, 4);
        return command;
    }
    case 2:
        return (struct command){
            .type = COMMAND_MEMBER_SET,
            .body.member_set = {.node_id = node_id, .standing = 1 + script_random(script, 5)},
        };
    case 3:
        return (struct command){
            .type = COMMAND_MEMBER_REMOVE,
            .body.member_remove = {.node_id = script_random(script, 8) == 0 ? NODE_A : node_id,
                                   .force = script_random(script, 2) == 0,
                                   .rollback = script_random(script, 2) == 0},
        };
    default:
        return (struct command){
            .type = COMMAND_JOIN_TOKEN_REVOKE,
            .body.join_token_revoke.token_id = slice_of(tokens[which]),
        };
    }
}

static struct command registration_command(struct script *script,
                                           const struct registration_view *registration)
{
    uint64_t epoch = registration->epoch + (script_random(script, 6) == 0);
    switch (script_random(script, 11)) {
    case 0: return enable_command();
    case 1: return (struct command){.type = COMMAND_REGISTRATION_DISABLE};
    case 2: return begin_command(NODE_A, "SA", epoch + 1);
    case 3: return complete_command(epoch);
    case 4:
        return (struct command){
            .type = COMMAND_REGISTRATION_FAIL,
            .body.registration_fail = {.epoch = epoch, .code = slice_of("code")},
        };
    case 5: return deregister_begin_command(epoch);
    case 6:
        return (struct command){
            .type = COMMAND_DEREGISTRATION_COMPLETE,
            .body.deregistration_complete.epoch = epoch,
        };
    case 7:
        return (struct command){
            .type = COMMAND_REGISTRATION_HAND_OVER,
            .body.registration_hand_over = {epoch, NODE_B, slice_of("B")},
        };
    case 8:
        return (struct command){
            .type = COMMAND_REGISTRATION_RENEW,
            .body.registration_renew = {epoch, slice_of("key"), slice_of("csr"), 1},
        };
    case 9:
        return (struct command){
            .type = COMMAND_REGISTRATION_FORGET,
            .body.registration_forget.epoch = epoch,
        };
    default:
        return (struct command){
            .type = COMMAND_REGISTRATION_NOTE,
            .body.registration_note = {.epoch = epoch, .attempt = script_random(script, 9)},
        };
    }
}

static struct command small_command(struct script *script)
{
    static const char fingerprint[STORE_HASH_SIZE] = "key";
    const char *name = names[script_random(script, 3)];
    switch (script_random(script, 14)) {
    case 12:
        return (struct command){.type = COMMAND_SNAPSHOT_TAKE,
                                .body.snapshot_take.node = slice_of(name)};
    case 11:
        return (struct command){.type = COMMAND_AUDIT_TRIM,
                                .body.audit_trim.sequence = script_random(script, 300)};
    case 10: return (struct command){.type = COMMAND_LEVEL_RAISE, .body.level_raise.level = 2};
    case 9:
        return (struct command){.type = COMMAND_SETTINGS_SET,
                                .body.settings_set.voters = script_random(script, 9)};
    case 0: return credential_command(name, 1 + script_random(script, 2));
    case 1:
        return (struct command){.type = COMMAND_CREDENTIAL_SELECT,
                                .body.credential_select.name = slice_of(name)};
    case 2:
        return (struct command){.type = COMMAND_CREDENTIAL_REMOVE,
                                .body.credential_remove.name = slice_of(name)};
    case 3:
        return (struct command){
            .type = COMMAND_OPERATOR_PUT,
            .body.operator_put = {.name = slice_of(name),
                                  .role = script_random(script, 4),
                                  .fingerprint = {fingerprint, sizeof fingerprint}},
        };
    case 4:
        return (struct command){
            .type = COMMAND_STANDING_SET,
            .body.standing_set.standing = 1 + script_random(script, 2),
        };
    case 5: return cluster_form_command();
    case 6: return (struct command){.type = COMMAND_CHECKPOINT};
    case 7:
        return (struct command){
            .type = COMMAND_MEMBER_QUARANTINE,
            .body.member_quarantine = {.node_id = NODE_B,
                                       .step = script_random(script, 4),
                                       .life = script_random(script, 3),
                                       .reason = slice_of("damaged")},
        };
    case 13:
        return (struct command){
            .type = COMMAND_CLOUD_CALLS,
            .stamp.at_ms = script_random(script, 200) * 60000,
            .body.cloud_calls = {.count = script_random(script, 3),
                                 .limit = script_random(script, 2)},
        };
    default:
        return (struct command){
            .type = COMMAND_CLOUD_PAUSE,
            .body.cloud_pause.until_ms = script_random(script, 99),
        };
    }
}

struct command script_next(struct script *script, struct fixture *fixture)
{
    struct arena arena = {0};
    struct export_view export;
    struct registration_view registration;
    CHECK_OK(store_export(fixture->store, &arena, &export));
    CHECK_OK(store_registration(fixture->store, &arena, &registration));
    arena_release(&arena);
    if (store_applied_index(fixture->store) == 0) {
        return cluster_init_command();
    }
    switch (script_random(script, 10)) {
    case 0: return member_command(script);
    case 1:
    case 2: return registration_command(script, &registration);
    case 3: return small_command(script);
    case 4:
    case 5: return export_command(script, &export);
    case 6: return sequence_command(script, &export);
    default:
        script->number = script_random(script, SCRIPT_RECORDS_MAX);
        return record_command(script->number);
    }
}
