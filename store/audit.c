/*
 * Writing and verifying audit lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "command_fields.h"
#include "rows.h"

/* Bytes of a recovery's source that fit beside lineage and name; the row of the cluster has it
 * whole. It is plain ASCII, so that a cut is never within a character. */
#define AUDIT_SOURCE_MAX 140

static const struct codec_field audit_fields[] = {
    CODEC_FIELD(struct audit_view, 1, sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct audit_view, 2, index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct audit_view, 3, at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct audit_view, 4, actor, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct audit_view, 5, origin, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
    CODEC_FIELD(struct audit_view, 6, command, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct audit_view, 7, target, CODEC_TEXT, AUDIT_TARGET_SIZE),
    CODEC_FIELD(struct audit_view, 8, outcome, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct audit_view, 9, comment, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct audit_view, 10, evidence, CODEC_BYTES, STORE_PEM_SIZE_MAX),
};
static const struct codec audit_codec = CODEC(struct audit_view, "audit", audit_fields);

bool audit_covers(enum command_type type)
{
    switch (type) {
    case COMMAND_CLUSTER_INIT:
    case COMMAND_CLUSTER_FORM:
    case COMMAND_STANDING_SET:
    case COMMAND_JOIN_TOKEN_CREATE:
    case COMMAND_JOIN_TOKEN_REVOKE:
    case COMMAND_MEMBER_ADMIT:
    case COMMAND_MEMBER_SET:
    case COMMAND_MEMBER_REMOVE:
    case COMMAND_REGISTRATION_ENABLE:
    case COMMAND_REGISTRATION_DISABLE:
    case COMMAND_REGISTRATION_BEGIN:
    case COMMAND_REGISTRATION_COMPLETE:
    case COMMAND_REGISTRATION_FAIL:
    case COMMAND_REGISTRATION_HAND_OVER:
    case COMMAND_REGISTRATION_RENEW:
    case COMMAND_REGISTRATION_FORGET:
    case COMMAND_SETTINGS_SET:
    case COMMAND_LEVEL_RAISE:
#ifdef MUSTER_NEXT
    case COMMAND_NEXT_PROBE:
#endif
    case COMMAND_DEREGISTRATION_BEGIN:
    case COMMAND_DEREGISTRATION_COMPLETE:
    case COMMAND_CREDENTIAL_PUT:
    case COMMAND_CREDENTIAL_VERIFIED:
    case COMMAND_CREDENTIAL_SELECT:
    case COMMAND_CREDENTIAL_REMOVE:
    case COMMAND_EXPORT_PAUSE:
    case COMMAND_DEAD_LETTER_RETRY:
    case COMMAND_DEAD_LETTER_DISCARD:
    case COMMAND_OPERATOR_PUT:
    case COMMAND_MEMBER_QUARANTINE:
    case COMMAND_OPERATOR_REMOVE:
    case COMMAND_CLUSTER_RECOVER:
    case COMMAND_KEY_ROTATE:
    case COMMAND_KEY_GIVE:
    case COMMAND_KEY_HOLD:
    case COMMAND_KEY_RESEAL:
    case COMMAND_RECOVERY_KEY_TAKE:
    case COMMAND_AUDIT_TRIM:
    case COMMAND_SNAPSHOT_TAKE: return true;
    case COMMAND_REGISTRATION_NOTE:
    case COMMAND_RECORDS_PUT:
    case COMMAND_RECORDS_TRIM:
    case COMMAND_EXPORT_ADVANCE:
    case COMMAND_CHECKPOINT:
    case COMMAND_CLOUD_CALLS:
    case COMMAND_CLOUD_PAUSE: return false;
    }
    return false;
}

static void print_text(char out[AUDIT_TARGET_SIZE], struct slice text, const char *note)
{
    (void)snprintf(out, AUDIT_TARGET_SIZE, "%.*s%s", (int)text.size,
                   text.size == 0 ? "" : (const char *)text.data, note);
}

static void print_number(char out[AUDIT_TARGET_SIZE], const char *what, uint64_t number)
{
    (void)snprintf(out, AUDIT_TARGET_SIZE, "%s %llu", what, (unsigned long long)number);
}

static void print_member(struct txn *txn, uint64_t node_id, const char *note,
                         char out[AUDIT_TARGET_SIZE])
{
    struct member member;
    if (member_row_get(txn, node_id, &member)) {
        print_text(out, member.name, note);
    } else {
        print_number(out, "node", node_id);
    }
}

static void print_removal(struct txn *txn, const struct member_remove *remove,
                          char out[AUDIT_TARGET_SIZE])
{
    struct registration_view registration;
    registration_row_get(txn, &registration);
    const char *note = "";
    if (remove->rollback) {
        note = " (admission rolled back)";
    } else if (remove->force && registration_exists(&registration) &&
               registration.node_id == remove->node_id) {
        note = " (forced; the registration stays with the cluster)";
    } else if (remove->force) {
        note = " (forced)";
    }
    print_member(txn, remove->node_id, note, out);
}

static void print_admission(const struct member_admit *admit, char out[AUDIT_TARGET_SIZE])
{
    print_text(out, admit->member.name,
               admit->cloud_check == CLOUD_CHECK_UNREACHABLE
                   ? " (the cloud could not be asked for its serial)"
                   : "");
}

static void print_recovery(const struct cluster_recover *recover, char out[AUDIT_TARGET_SIZE])
{
    (void)snprintf(
        out, AUDIT_TARGET_SIZE, "lineage %llu on %.*s from %.*s",
        (unsigned long long)recover->lineage, (int)recover->member.name.size,
        recover->member.name.size == 0 ? "" : (const char *)recover->member.name.data,
        (int)(recover->source.size > AUDIT_SOURCE_MAX ? AUDIT_SOURCE_MAX : recover->source.size),
        recover->source.size == 0 ? "" : (const char *)recover->source.data);
}

static void print_rotation(const struct key_rotate *rotate, char out[AUDIT_TARGET_SIZE])
{
    int size = (int)(rotate->reason.size > AUDIT_SOURCE_MAX ? 0 : rotate->reason.size);
    (void)snprintf(out, AUDIT_TARGET_SIZE, "key epoch %llu%s%.*s",
                   (unsigned long long)rotate->epoch, size == 0 ? "" : ": ", size,
                   size == 0 ? "" : (const char *)rotate->reason.data);
}

/* The names and ids that most commands carry; empty where something else is said. */
static struct slice named_target(const struct command *command)
{
    switch (command->type) {
    case COMMAND_CLUSTER_INIT: return command->body.cluster_init.member.name;
    case COMMAND_CLUSTER_FORM: return command->body.cluster_form.name;
    case COMMAND_STANDING_SET:
        return slice_of(command->body.standing_set.standing == STANDING_JOINING ? "joining"
                                                                                : "standalone");
    case COMMAND_JOIN_TOKEN_CREATE: return command->body.join_token_create.token_id;
    case COMMAND_JOIN_TOKEN_REVOKE: return command->body.join_token_revoke.token_id;
    case COMMAND_REGISTRATION_ENABLE: return command->body.registration_enable.region;
    case COMMAND_REGISTRATION_COMPLETE: return command->body.registration_complete.device_id;
    case COMMAND_REGISTRATION_FAIL: return command->body.registration_fail.code;
    case COMMAND_CREDENTIAL_PUT: return command->body.credential_put.name;
    case COMMAND_CREDENTIAL_VERIFIED: return command->body.credential_verified.name;
    case COMMAND_CREDENTIAL_SELECT: return command->body.credential_select.name;
    case COMMAND_CREDENTIAL_REMOVE: return command->body.credential_remove.name;
    case COMMAND_EXPORT_PAUSE:
        return slice_of(command->body.export_pause.paused ? "pause" : "resume");
    case COMMAND_OPERATOR_PUT: return command->body.operator_put.name;
    case COMMAND_OPERATOR_REMOVE: return command->body.operator_remove.name;
    case COMMAND_SNAPSHOT_TAKE: return command->body.snapshot_take.node;
#ifdef MUSTER_NEXT
    case COMMAND_NEXT_PROBE: return command->body.next_probe.text;
#endif
    case COMMAND_MEMBER_ADMIT:
    case COMMAND_MEMBER_SET:
    case COMMAND_MEMBER_REMOVE:
    case COMMAND_REGISTRATION_DISABLE:
    case COMMAND_REGISTRATION_BEGIN:
    case COMMAND_REGISTRATION_NOTE:
    case COMMAND_REGISTRATION_HAND_OVER:
    case COMMAND_REGISTRATION_RENEW:
    case COMMAND_REGISTRATION_FORGET:
    case COMMAND_SETTINGS_SET:
    case COMMAND_LEVEL_RAISE:
    case COMMAND_DEREGISTRATION_BEGIN:
    case COMMAND_DEREGISTRATION_COMPLETE:
    case COMMAND_RECORDS_PUT:
    case COMMAND_RECORDS_TRIM:
    case COMMAND_EXPORT_ADVANCE:
    case COMMAND_DEAD_LETTER_RETRY:
    case COMMAND_DEAD_LETTER_DISCARD:
    case COMMAND_CHECKPOINT:
    case COMMAND_MEMBER_QUARANTINE:
    case COMMAND_CLOUD_CALLS:
    case COMMAND_CLOUD_PAUSE:
    case COMMAND_CLUSTER_RECOVER:
    case COMMAND_KEY_ROTATE:
    case COMMAND_KEY_GIVE:
    case COMMAND_KEY_HOLD:
    case COMMAND_KEY_RESEAL:
    case COMMAND_AUDIT_TRIM:
    case COMMAND_RECOVERY_KEY_TAKE: break;
    }
    return (struct slice){0};
}

uint64_t audit_trim_last(const struct head *head, uint64_t sequence)
{
    uint64_t last = head->audit_trimmed + STORE_AUDIT_TRIM_MAX;
    last = sequence < last ? sequence : last;
    last = last < head->audit_sequence ? last : head->audit_sequence - 1;
    return last > head->audit_trimmed ? last : head->audit_trimmed;
}

bool audit_hash_of(struct txn *txn, uint64_t sequence, uint8_t out[STORE_HASH_SIZE])
{
    uint64_t key;
    struct slice stored;
    if (!txn_get(txn, TABLE_AUDIT, u64_key(sequence, &key), &stored) ||
        stored.size < STORE_HASH_SIZE) {
        return false;
    }
    memcpy(out, stored.data, STORE_HASH_SIZE);
    return true;
}

static void print_trim(struct txn *txn, const struct audit_trim *trim, char out[AUDIT_TARGET_SIZE])
{
    uint8_t hash[STORE_HASH_SIZE];
    char hex[2 * STORE_HASH_SIZE + 1] = "nothing";
    uint64_t last = audit_trim_last(txn->head, trim->sequence);
    if (last > txn->head->audit_trimmed && audit_hash_of(txn, last, hash)) {
        hex_encode((struct slice){.data = hash, .size = sizeof hash}, hex);
    }
    (void)snprintf(out, AUDIT_TARGET_SIZE, "up to line %llu, whose hash is %s",
                   (unsigned long long)last, hex);
}

static const char *quarantine_note(uint64_t step)
{
    switch ((enum quarantine)step) {
    case QUARANTINE_NONE: return " (back)";
    case QUARANTINE_TOLD: return " (damaged data)";
    case QUARANTINE_ASKED: return " (damaged data, to be rebuilt)";
    case QUARANTINE_OUT: return " (out of the configuration)";
    }
    return "";
}

void audit_target(struct txn *txn, const struct command *command, char out[AUDIT_TARGET_SIZE])
{
    print_text(out, named_target(command), "");
    switch ((int)command->type) { /* Only those that need more than a name they carry. */
    case COMMAND_MEMBER_ADMIT: print_admission(&command->body.member_admit, out); return;
    case COMMAND_MEMBER_SET: print_member(txn, command->body.member_set.node_id, "", out); return;
    case COMMAND_MEMBER_REMOVE: print_removal(txn, &command->body.member_remove, out); return;
    case COMMAND_REGISTRATION_BEGIN:
        print_member(txn, command->body.registration_begin.node_id, "", out);
        return;
    case COMMAND_REGISTRATION_HAND_OVER:
        print_member(txn, command->body.registration_hand_over.node_id, "", out);
        return;
    case COMMAND_MEMBER_QUARANTINE:
        print_member(txn, command->body.member_quarantine.node_id,
                     quarantine_note(command->body.member_quarantine.step), out);
        return;
    case COMMAND_SETTINGS_SET:
        print_number(out, "voters", command->body.settings_set.voters);
        return;
    case COMMAND_LEVEL_RAISE: print_number(out, "level", command->body.level_raise.level); return;
    case COMMAND_DEREGISTRATION_BEGIN:
        print_number(out, "epoch", command->body.deregistration_begin.epoch);
        return;
    case COMMAND_REGISTRATION_FORGET:
        print_number(out, "epoch", command->body.registration_forget.epoch);
        return;
    case COMMAND_DEREGISTRATION_COMPLETE:
        print_number(out, "epoch", command->body.deregistration_complete.epoch);
        return;
    case COMMAND_DEAD_LETTER_RETRY:
        print_number(out, "record", command->body.dead_letter_retry.sequence);
        return;
    case COMMAND_DEAD_LETTER_DISCARD:
        print_number(out, "record", command->body.dead_letter_discard.sequence);
        return;
    case COMMAND_AUDIT_TRIM: print_trim(txn, &command->body.audit_trim, out); return;
    case COMMAND_CLUSTER_RECOVER: print_recovery(&command->body.cluster_recover, out); return;
    case COMMAND_RECOVERY_KEY_TAKE:
        print_number(out, "key epoch", command->body.recovery_key_take.key_epoch);
        return;
    case COMMAND_KEY_ROTATE: print_rotation(&command->body.key_rotate, out); return;
    case COMMAND_KEY_GIVE: print_member(txn, command->body.key_give.node_id, "", out); return;
    case COMMAND_KEY_HOLD: print_member(txn, command->body.key_hold.node_id, "", out); return;
    case COMMAND_KEY_RESEAL: print_number(out, "key epoch", command->body.key_reseal.epoch); return;
    default: return;
    }
}

static bool hash_line(const uint8_t before[STORE_HASH_SIZE], struct slice line,
                      uint8_t out[STORE_HASH_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(context, before, STORE_HASH_SIZE) == 1 &&
                EVP_DigestUpdate(context, line.data, line.size) == 1 &&
                EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

void audit_write(struct txn *txn, uint64_t index, const struct command *command,
                 const char target[AUDIT_TARGET_SIZE], enum refusal refusal)
{
    if (failed(txn->status)) {
        return;
    }
    const struct audit_view line = {
        .sequence = txn->head->audit_sequence + 1,
        .index = index,
        .at_ms = command->stamp.at_ms,
        .actor = command->stamp.actor,
        .origin = command->stamp.origin,
        .command = slice_of(command_name(command->type)),
        .target = slice_of(target),
        .outcome = slice_of(refusal_name(refusal)),
        .comment = command->stamp.comment,
        .evidence = command->type == COMMAND_MEMBER_ADMIT ? command->body.member_admit.statement
                                                          : (struct slice){0},
    };
    uint8_t hash[STORE_HASH_SIZE] = {0};
    struct buffer *row = &txn->scratch;
    buffer_clear(row);
    struct status status = buffer_append(row, hash, sizeof hash)
                               ? codec_encode(&audit_codec, CODEC_TAGS, &line, row)
                               : fail(STATUS_NO_MEMORY, "write the audit");
    if (failed(status)) {
        txn_fail(txn, wrap(status, "write the audit"));
        return;
    }
    struct slice encoded = {.data = row->data + sizeof hash, .size = row->size - sizeof hash};
    if (!hash_line(txn->head->audit_hash, encoded, hash)) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "hash the audit"));
        return;
    }
    memcpy(row->data, hash, sizeof hash);
    uint64_t key;
    txn_append(txn, TABLE_AUDIT, u64_key(line.sequence, &key), buffer_slice(row));
    txn->head->audit_sequence = line.sequence;
    memcpy(txn->head->audit_hash, hash, sizeof hash);
}

void audit_decode(struct txn *txn, struct slice stored, struct audit_view *out)
{
    if (stored.size < STORE_HASH_SIZE) {
        txn_fail(txn, fail(STATUS_CORRUPT, "an audit line of %zu bytes", stored.size));
        return;
    }
    struct slice line = {.data = (const char *)stored.data + STORE_HASH_SIZE,
                         .size = stored.size - STORE_HASH_SIZE};
    row_decode(txn, line, &audit_codec, out);
    memcpy(out->hash, stored.data, STORE_HASH_SIZE);
}

struct status audit_verify(struct txn *txn)
{
    uint8_t before[STORE_HASH_SIZE];
    uint8_t hash[STORE_HASH_SIZE];
    uint64_t expected = txn->head->audit_trimmed + 1;
    memcpy(before, txn->head->audit_anchor, sizeof before);
    struct scan scan;
    scan_open(&scan, txn, TABLE_AUDIT);
    for (bool more = scan_first(&scan); more; more = scan_next(&scan), expected++) {
        uint64_t sequence = u64_of_key(txn, scan.key);
        struct slice line = {.data = (const char *)scan.value.data + STORE_HASH_SIZE,
                             .size = scan.value.size - STORE_HASH_SIZE};
        if (sequence != expected) {
            txn_fail(txn, fail(STATUS_CORRUPT, "audit line %llu is missing",
                               (unsigned long long)expected));
        } else if (scan.value.size < STORE_HASH_SIZE) {
            txn_fail(txn, fail(STATUS_CORRUPT, "audit line %llu is cut short",
                               (unsigned long long)expected));
        } else if (!hash_line(before, line, hash)) {
            txn_fail(txn, fail(STATUS_NO_MEMORY, "hash the audit"));
        } else if (memcmp(hash, scan.value.data, sizeof hash) != 0) {
            txn_fail(txn, fail(STATUS_CORRUPT, "audit line %llu was changed or moved",
                               (unsigned long long)expected));
        }
        memcpy(before, hash, sizeof before);
    }
    scan_close(&scan);
    if (!failed(txn->status) && (expected - 1 != txn->head->audit_sequence ||
                                 memcmp(before, txn->head->audit_hash, sizeof before) != 0)) {
        txn_fail(txn,
                 fail(STATUS_CORRUPT, "audit line %llu is missing", (unsigned long long)expected));
    }
    return txn->status;
}
