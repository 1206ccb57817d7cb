/*
 * Applying one command: the switch over all of them, and the audit line beside what they do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"

#include <assert.h>

#include "audit.h"
#include "rows.h"

static enum refusal dispatch(struct apply *apply, const struct command *command)
{
    switch (command->type) {
    case COMMAND_CLUSTER_INIT: return apply_cluster_init(apply, &command->body.cluster_init);
    case COMMAND_CLUSTER_FORM: return apply_cluster_form(apply, &command->body.cluster_form);
    case COMMAND_SETTINGS_SET: return apply_settings_set(apply, &command->body.settings_set);
    case COMMAND_LEVEL_RAISE: return apply_level_raise(apply, &command->body.level_raise);
#ifdef MUSTER_NEXT
    case COMMAND_NEXT_PROBE: return REFUSAL_NONE;
#endif
    case COMMAND_STANDING_SET: return apply_standing_set(apply, &command->body.standing_set);
    case COMMAND_JOIN_TOKEN_CREATE:
        return apply_join_token_create(apply, &command->body.join_token_create);
    case COMMAND_JOIN_TOKEN_REVOKE:
        return apply_join_token_revoke(apply, &command->body.join_token_revoke);
    case COMMAND_MEMBER_ADMIT: return apply_member_admit(apply, &command->body.member_admit);
    case COMMAND_MEMBER_SET: return apply_member_set(apply, &command->body.member_set);
    case COMMAND_MEMBER_REMOVE: return apply_member_remove(apply, &command->body.member_remove);
    case COMMAND_REGISTRATION_ENABLE:
        return apply_registration_enable(apply, &command->body.registration_enable);
    case COMMAND_REGISTRATION_DISABLE: return apply_registration_disable(apply);
    case COMMAND_REGISTRATION_BEGIN:
        return apply_registration_begin(apply, &command->body.registration_begin);
    case COMMAND_REGISTRATION_NOTE:
        return apply_registration_note(apply, &command->body.registration_note);
    case COMMAND_REGISTRATION_COMPLETE:
        return apply_registration_complete(apply, &command->body.registration_complete);
    case COMMAND_REGISTRATION_FAIL:
        return apply_registration_fail(apply, &command->body.registration_fail);
    case COMMAND_REGISTRATION_HAND_OVER:
        return apply_registration_hand_over(apply, &command->body.registration_hand_over);
    case COMMAND_REGISTRATION_RENEW:
        return apply_registration_renew(apply, &command->body.registration_renew);
    case COMMAND_REGISTRATION_FORGET:
        return apply_registration_forget(apply, &command->body.registration_forget);
    case COMMAND_DEREGISTRATION_BEGIN:
        return apply_deregistration_begin(apply, &command->body.deregistration_begin);
    case COMMAND_DEREGISTRATION_COMPLETE:
        return apply_deregistration_complete(apply, &command->body.deregistration_complete);
    case COMMAND_CREDENTIAL_PUT: return apply_credential_put(apply, &command->body.credential_put);
    case COMMAND_CREDENTIAL_VERIFIED:
        return apply_credential_verified(apply, &command->body.credential_verified);
    case COMMAND_CREDENTIAL_SELECT:
        return apply_credential_select(apply, &command->body.credential_select);
    case COMMAND_CREDENTIAL_REMOVE:
        return apply_credential_remove(apply, &command->body.credential_remove);
    case COMMAND_RECORDS_PUT: return apply_records_put(apply, &command->body.records_put);
    case COMMAND_RECORDS_TRIM: return apply_records_trim(apply, &command->body.records_trim);
    case COMMAND_EXPORT_ADVANCE: return apply_export_advance(apply, &command->body.export_advance);
    case COMMAND_EXPORT_PAUSE: return apply_export_pause(apply, &command->body.export_pause);
    case COMMAND_DEAD_LETTER_RETRY:
        return apply_dead_letter_retry(apply, &command->body.dead_letter_retry);
    case COMMAND_DEAD_LETTER_DISCARD:
        return apply_dead_letter_discard(apply, &command->body.dead_letter_discard);
    case COMMAND_CLOUD_PAUSE: return apply_cloud_pause(apply, &command->body.cloud_pause);
    case COMMAND_CLOUD_CALLS: return apply_cloud_calls(apply, &command->body.cloud_calls);
    case COMMAND_OPERATOR_PUT: return apply_operator_put(apply, &command->body.operator_put);
    case COMMAND_OPERATOR_REMOVE:
        return apply_operator_remove(apply, &command->body.operator_remove);
    case COMMAND_CHECKPOINT: return apply_checkpoint(apply, &command->body.checkpoint);
    case COMMAND_MEMBER_QUARANTINE:
        return apply_member_quarantine(apply, &command->body.member_quarantine);
    case COMMAND_CLUSTER_RECOVER:
        return apply_cluster_recover(apply, &command->body.cluster_recover);
    case COMMAND_RECOVERY_KEY_TAKE:
        return apply_recovery_key_take(apply, &command->body.recovery_key_take);
    case COMMAND_KEY_ROTATE: return apply_key_rotate(apply, &command->body.key_rotate);
    case COMMAND_KEY_GIVE: return apply_key_give(apply, &command->body.key_give);
    case COMMAND_KEY_HOLD: return apply_key_hold(apply, &command->body.key_hold);
    case COMMAND_KEY_RESEAL: return apply_key_reseal(apply, &command->body.key_reseal);
    case COMMAND_AUDIT_TRIM: return apply_audit_trim(apply, &command->body.audit_trim);
    case COMMAND_SNAPSHOT_TAKE: return REFUSAL_NONE; /* Its line is all. */
    }
    return REFUSAL_FIELD; /* Not reached: command_decode() lets no other type through. */
}

/* Nothing can be done to a store that no cluster_init has opened. Records ask for no row: the head
 * of an initialised store has an audit line. */
static bool initialised(const struct txn *txn)
{
    return txn->head->audit_sequence > 0;
}

/* Members of an older version refuse such a command by not knowing it: nobody may carry it out. */
static bool above_level(struct apply *apply, enum command_type type)
{
    struct cluster_view cluster = {0};
    return command_level(type) > 1 &&
           (!cluster_row_get(apply->txn, &cluster) || command_level(type) > cluster.level);
}

static enum refusal carry_out(struct apply *apply, const struct command *command)
{
    if (!initialised(apply->txn) && command->type != COMMAND_CLUSTER_INIT) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    return above_level(apply, command->type) ? REFUSAL_LEVEL : dispatch(apply, command);
}

void apply_command(struct txn *txn, uint64_t index, uint64_t outbox_max,
                   const struct command *command, struct apply_outcome *out)
{
    struct apply apply = {.txn = txn, .stamp = &command->stamp, .outbox_max = outbox_max};
    bool audited =
        audit_covers(command->type) && (initialised(txn) || command->type == COMMAND_CLUSTER_INIT);
    char target[AUDIT_TARGET_SIZE];
    if (audited) {
        audit_target(txn, command, target);
    }

    size_t written_before = txn->written;
    enum refusal refusal = carry_out(&apply, command);
    assert(refusal == REFUSAL_NONE || txn->written == written_before); /* S3 */
    if (audited && (initialised(txn) || refusal == REFUSAL_NONE)) {
        audit_write(txn, index, command, target, refusal);
    }
    mix_u64(&txn->head->mix, (uint64_t)command->type << 32U | (uint64_t)refusal);
    *out = (struct apply_outcome){.refusal = (uint32_t)refusal, .value = apply.value};
}
