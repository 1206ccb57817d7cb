/*
 * The field tables of commands, and of the structs that commands and stored rows share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_COMMAND_FIELDS_H
#define STORE_COMMAND_FIELDS_H

#include "base/codec.h"
#include "store/command.h"

#define STORE_ACTOR_SIZE_MAX 128 /* Bytes. */
#define STORE_ENUM_MAX 255       /* Of any number that names a value of an enumeration. */

/* The fields of a command's body; NULL if there is no such type. */
const struct codec *command_codec(enum command_type type);

extern const struct codec stamp_codec;
extern const struct codec member_codec;

/* Bodies; in command_fields_cluster.c. */
extern const struct codec cluster_init_codec;
extern const struct codec cluster_form_codec;
extern const struct codec settings_set_codec;
extern const struct codec level_raise_codec;
#ifdef MUSTER_NEXT
extern const struct codec next_probe_codec;
#endif
extern const struct codec standing_set_codec;
extern const struct codec join_token_create_codec;
extern const struct codec join_token_revoke_codec;
extern const struct codec member_admit_codec;
extern const struct codec member_set_codec;
extern const struct codec member_remove_codec;
extern const struct codec member_quarantine_codec;
extern const struct codec checkpoint_codec;
extern const struct codec cluster_recover_codec;
extern const struct codec recovery_key_take_codec;
extern const struct codec key_holder_codec;
extern const struct codec key_rotate_codec;
extern const struct codec key_give_codec;
extern const struct codec key_hold_codec;
extern const struct codec key_reseal_codec;
extern const struct codec audit_trim_codec;
extern const struct codec snapshot_take_codec;
extern const struct codec operator_put_codec;
extern const struct codec operator_remove_codec;

/* In command_fields_cloud.c. */
extern const struct codec registration_enable_codec;
extern const struct codec registration_disable_codec;
extern const struct codec registration_begin_codec;
extern const struct codec registration_note_codec;
extern const struct codec registration_complete_codec;
extern const struct codec registration_fail_codec;
extern const struct codec registration_hand_over_codec;
extern const struct codec registration_renew_codec;
extern const struct codec registration_forget_codec;
extern const struct codec deregistration_begin_codec;
extern const struct codec deregistration_complete_codec;
extern const struct codec credential_put_codec;
extern const struct codec credential_verified_codec;
extern const struct codec credential_select_codec;
extern const struct codec credential_remove_codec;

/* In command_fields_records.c. */
extern const struct codec records_put_codec;
extern const struct codec records_trim_codec;
extern const struct codec export_advance_codec;
extern const struct codec export_pause_codec;
extern const struct codec dead_letter_retry_codec;
extern const struct codec dead_letter_discard_codec;
extern const struct codec cloud_pause_codec;
extern const struct codec cloud_calls_codec;

#endif
