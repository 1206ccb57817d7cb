/*
 * The table of commands, and the bytes they travel in: [format version][type][stamp][body], the
 * last two as codec CODEC_TAGS.
 *
 * To add a command: a type and a struct in command.h, its fields in command_fields_*.c, its row
 * here, and its level if it is not of the first; the compiler then asks for a case in apply.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/command.h"

#include "command_fields.h"

#define COMMAND_FORMAT 1
#define COMMAND_HEADER_SIZE 2

static const struct codec *const command_codecs[COMMAND_TYPE_COUNT] = {
    [COMMAND_CLUSTER_INIT] = &cluster_init_codec,
    [COMMAND_CLUSTER_FORM] = &cluster_form_codec,
    [COMMAND_STANDING_SET] = &standing_set_codec,
    [COMMAND_JOIN_TOKEN_CREATE] = &join_token_create_codec,
    [COMMAND_JOIN_TOKEN_REVOKE] = &join_token_revoke_codec,
    [COMMAND_MEMBER_ADMIT] = &member_admit_codec,
    [COMMAND_MEMBER_SET] = &member_set_codec,
    [COMMAND_MEMBER_REMOVE] = &member_remove_codec,
    [COMMAND_REGISTRATION_ENABLE] = &registration_enable_codec,
    [COMMAND_REGISTRATION_DISABLE] = &registration_disable_codec,
    [COMMAND_REGISTRATION_BEGIN] = &registration_begin_codec,
    [COMMAND_REGISTRATION_NOTE] = &registration_note_codec,
    [COMMAND_REGISTRATION_COMPLETE] = &registration_complete_codec,
    [COMMAND_REGISTRATION_FAIL] = &registration_fail_codec,
    [COMMAND_DEREGISTRATION_BEGIN] = &deregistration_begin_codec,
    [COMMAND_DEREGISTRATION_COMPLETE] = &deregistration_complete_codec,
    [COMMAND_CREDENTIAL_PUT] = &credential_put_codec,
    [COMMAND_CREDENTIAL_VERIFIED] = &credential_verified_codec,
    [COMMAND_CREDENTIAL_SELECT] = &credential_select_codec,
    [COMMAND_CREDENTIAL_REMOVE] = &credential_remove_codec,
    [COMMAND_RECORDS_PUT] = &records_put_codec,
    [COMMAND_RECORDS_TRIM] = &records_trim_codec,
    [COMMAND_EXPORT_ADVANCE] = &export_advance_codec,
    [COMMAND_EXPORT_PAUSE] = &export_pause_codec,
    [COMMAND_DEAD_LETTER_RETRY] = &dead_letter_retry_codec,
    [COMMAND_DEAD_LETTER_DISCARD] = &dead_letter_discard_codec,
    [COMMAND_CLOUD_PAUSE] = &cloud_pause_codec,
    [COMMAND_OPERATOR_PUT] = &operator_put_codec,
    [COMMAND_OPERATOR_REMOVE] = &operator_remove_codec,
    [COMMAND_REGISTRATION_HAND_OVER] = &registration_hand_over_codec,
    [COMMAND_CHECKPOINT] = &checkpoint_codec,
    [COMMAND_MEMBER_QUARANTINE] = &member_quarantine_codec,
    [COMMAND_SETTINGS_SET] = &settings_set_codec,
    [COMMAND_CLUSTER_RECOVER] = &cluster_recover_codec,
    [COMMAND_RECOVERY_KEY_TAKE] = &recovery_key_take_codec,
    [COMMAND_LEVEL_RAISE] = &level_raise_codec,
    [COMMAND_KEY_ROTATE] = &key_rotate_codec,
    [COMMAND_KEY_GIVE] = &key_give_codec,
    [COMMAND_KEY_HOLD] = &key_hold_codec,
    [COMMAND_KEY_RESEAL] = &key_reseal_codec,
    [COMMAND_AUDIT_TRIM] = &audit_trim_codec,
    [COMMAND_SNAPSHOT_TAKE] = &snapshot_take_codec,
    [COMMAND_REGISTRATION_RENEW] = &registration_renew_codec,
    [COMMAND_REGISTRATION_FORGET] = &registration_forget_codec,
    [COMMAND_CLOUD_CALLS] = &cloud_calls_codec,
#ifdef MUSTER_NEXT
    [COMMAND_NEXT_PROBE] = &next_probe_codec,
#endif
};

/* Those that are not of level 1. */
static const uint64_t command_levels[COMMAND_TYPE_COUNT] = {
#ifdef MUSTER_NEXT
    [COMMAND_NEXT_PROBE] = 2,
#else
    0,
#endif
};

const struct codec *command_codec(enum command_type type)
{
    return (unsigned)type < COMMAND_TYPE_COUNT ? command_codecs[type] : NULL;
}

const char *command_name(enum command_type type)
{
    const struct codec *codec = command_codec(type);
    return codec == NULL ? "unknown" : codec->name;
}

uint64_t command_level(enum command_type type)
{
    uint64_t level = (unsigned)type < COMMAND_TYPE_COUNT ? command_levels[type] : 0;
    return level == 0 ? 1 : level;
}

struct status command_encode(const struct command *command, struct buffer *out)
{
    const struct codec *codec = command_codec(command->type);
    if (codec == NULL) {
        return fail(STATUS_INVALID, "command type %u is unknown", (unsigned)command->type);
    }
    size_t size_before = out->size;
    const uint8_t header[COMMAND_HEADER_SIZE] = {COMMAND_FORMAT, (uint8_t)command->type};
    if (!buffer_append(out, header, sizeof header)) {
        return fail(STATUS_NO_MEMORY, "encode %s", codec->name);
    }
    struct status status = codec_encode(&stamp_codec, CODEC_TAGS, &command->stamp, out);
    if (!failed(status)) {
        status = codec_encode(codec, CODEC_TAGS, &command->body, out);
    }
    if (failed(status)) {
        out->size = size_before;
        return wrap(status, "encode %s", codec->name);
    }
    return OK;
}

struct status command_decode(struct slice entry, struct arena *arena, struct command *out)
{
    const uint8_t *bytes = entry.data;
    if (entry.size < COMMAND_HEADER_SIZE) {
        return fail(STATUS_INVALID, "the command is cut short");
    }
    if (bytes[0] != COMMAND_FORMAT) {
        return fail(STATUS_INVALID, "the command has format %u, this muster reads %d: upgrade it",
                    bytes[0], COMMAND_FORMAT);
    }
    const struct codec *codec = command_codec((enum command_type)bytes[1]);
    if (codec == NULL) {
        return fail(STATUS_INVALID, "command type %u is unknown: upgrade this muster", bytes[1]);
    }
    out->type = (enum command_type)bytes[1];
    struct slice rest = {.data = bytes + COMMAND_HEADER_SIZE,
                         .size = entry.size - COMMAND_HEADER_SIZE};
    struct status status = codec_decode_next(&stamp_codec, CODEC_TAGS, &rest, arena, &out->stamp);
    if (!failed(status)) {
        status = codec_decode(codec, CODEC_TAGS, rest, arena, &out->body);
    }
    return failed(status) ? wrap(status, "decode %s", codec->name) : OK;
}
