/*
 * What each command does to the store.
 *
 * Every function here is a function of the transaction, the stamp and the command alone, so that
 * all replicas come to the same state (S2). Each checks first and writes after: a refusal has
 * written nothing (S3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/command.h"
#include "store/store.h"
#include "txn.h"

/* What apply needs beside the command. */
struct apply {
    struct txn *txn;
    const struct stamp *stamp;
    uint64_t outbox_max;
    uint32_t value; /* For the outcome. */
};

/* Apply one command; a failure is latched in the transaction. */
void apply_command(struct txn *txn, uint64_t index, uint64_t outbox_max,
                   const struct command *command, struct apply_outcome *out);

/* In apply_cluster.c. */
enum refusal apply_cluster_init(struct apply *apply, const struct cluster_init *init);
enum refusal apply_cluster_form(struct apply *apply, const struct cluster_form *form);
enum refusal apply_settings_set(struct apply *apply, const struct settings_set *set);
enum refusal apply_level_raise(struct apply *apply, const struct level_raise *raise);
enum refusal apply_standing_set(struct apply *apply, const struct standing_set *set);
enum refusal apply_join_token_create(struct apply *apply, const struct join_token_create *create);
enum refusal apply_join_token_revoke(struct apply *apply, const struct join_token_revoke *revoke);

/* In apply_member.c. */
enum refusal apply_member_admit(struct apply *apply, const struct member_admit *admit);
enum refusal apply_member_set(struct apply *apply, const struct member_set *set);
enum refusal apply_member_remove(struct apply *apply, const struct member_remove *remove);

enum refusal apply_member_quarantine(struct apply *apply,
                                     const struct member_quarantine *quarantine);

/* In checkpoint.c. */
enum refusal apply_checkpoint(struct apply *apply, const struct checkpoint *checkpoint);
/* In apply_recovery.c. */
enum refusal apply_cluster_recover(struct apply *apply, const struct cluster_recover *recover);
/* In apply_audit.c. */
enum refusal apply_audit_trim(struct apply *apply, const struct audit_trim *trim);

enum refusal apply_recovery_key_take(struct apply *apply, const struct recovery_key_take *take);

/* In apply_key.c. */
enum refusal apply_key_rotate(struct apply *apply, const struct key_rotate *rotate);
enum refusal apply_key_give(struct apply *apply, const struct key_give *give);
enum refusal apply_key_hold(struct apply *apply, const struct key_hold *hold);
enum refusal apply_key_reseal(struct apply *apply, const struct key_reseal *reseal);

/* A secret that is sealed by another key than the present one would open for nobody later. */
bool key_is_present(struct apply *apply, uint64_t key_epoch);

/* Who knew the key and what it seals is no member any more: a rotation is due, and the credentials
 * should be renewed. */
void key_was_exposed(struct apply *apply, const struct member *member);

/* The recovered cluster's members are others than those of the rotation under way: it is over. */
void key_rotation_drop(struct apply *apply);

/* In apply_registration.c. */
enum refusal apply_registration_enable(struct apply *apply,
                                       const struct registration_enable *enable);
enum refusal apply_registration_disable(struct apply *apply);
enum refusal apply_registration_begin(struct apply *apply, const struct registration_begin *begin);
enum refusal apply_registration_note(struct apply *apply, const struct registration_note *note);
enum refusal apply_registration_complete(struct apply *apply,
                                         const struct registration_complete *complete);
enum refusal apply_registration_fail(struct apply *apply, const struct registration_fail *failure);
enum refusal apply_registration_hand_over(struct apply *apply,
                                          const struct registration_hand_over *hand_over);
enum refusal apply_registration_renew(struct apply *apply, const struct registration_renew *renew);
enum refusal apply_registration_forget(struct apply *apply,
                                       const struct registration_forget *forget);
enum refusal apply_deregistration_begin(struct apply *apply,
                                        const struct deregistration_begin *begin);
enum refusal apply_deregistration_complete(struct apply *apply,
                                           const struct deregistration_complete *complete);

/* In apply_credential.c. */
enum refusal apply_credential_put(struct apply *apply, const struct credential_put *put);
enum refusal apply_credential_verified(struct apply *apply,
                                       const struct credential_verified *verified);
enum refusal apply_credential_select(struct apply *apply, const struct credential_select *select);
enum refusal apply_credential_remove(struct apply *apply, const struct credential_remove *remove);
enum refusal apply_operator_put(struct apply *apply, const struct operator_put *put);
enum refusal apply_operator_remove(struct apply *apply, const struct operator_remove *remove);

/* In apply_records.c. */
enum refusal apply_records_put(struct apply *apply, const struct records_put *put);
enum refusal apply_records_trim(struct apply *apply, const struct records_trim *trim);

/* In apply_export.c. */
enum refusal apply_export_advance(struct apply *apply, const struct export_advance *advance);
enum refusal apply_export_pause(struct apply *apply, const struct export_pause *pause);
enum refusal apply_cloud_pause(struct apply *apply, const struct cloud_pause *pause);
enum refusal apply_cloud_calls(struct apply *apply, const struct cloud_calls *calls);
enum refusal apply_dead_letter_retry(struct apply *apply, const struct dead_letter_retry *retry);
enum refusal apply_dead_letter_discard(struct apply *apply,
                                       const struct dead_letter_discard *discard);

#endif
