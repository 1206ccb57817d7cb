/*
 * The handlers: one function a method, in handle_<noun>.c. Each is called on the node that is to
 * answer (for changes: the leader, whose barrier is applied; for linearizable reads: after the read
 * barrier) and answers the call exactly once, now or later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include <stdbool.h>

struct call;

void handle_cluster_status(struct call *call);
void handle_cluster_members(struct call *call);
void handle_cluster_init(struct call *call);
void handle_token_create(struct call *call);
void handle_token_list(struct call *call);
void handle_token_revoke(struct call *call);
void handle_cluster_join(struct call *call);
void handle_cluster_admit(struct call *call);
void handle_cluster_standing(struct call *call);
void handle_cluster_leave(struct call *call);
void handle_cluster_reset(struct call *call);
void handle_cluster_remove(struct call *call);
void handle_cluster_transfer(struct call *call);
void handle_cluster_settings(struct call *call);
void handle_cluster_set(struct call *call);
void handle_cluster_position(struct call *call);
void handle_cluster_certificates(struct call *call);
void handle_cluster_recover(struct call *call);
void handle_recovery_key(struct call *call);
void handle_cluster_key(struct call *call);
void handle_rotate_key(struct call *call);
void handle_snapshot_begin(struct call *call);
void handle_snapshot_note(struct call *call);
void handle_snapshot_read(struct call *call);
void handle_snapshot_upload(struct call *call);
void handle_snapshot_restore(struct call *call);
void handle_cluster_rebuild(struct call *call);
void handle_peer_quarantine(struct call *call);
void handle_registration_status(struct call *call);
void handle_registration_enable(struct call *call);
void handle_registration_disable(struct call *call);
void handle_registration_register(struct call *call);
void handle_registration_deregister(struct call *call);
void handle_registration_hand_over(struct call *call);
/* Before a request to register is passed on: what is not a token leaves no node. False if it was
 * answered. */
bool check_registration_register(struct call *call);
void handle_credentials_list(struct call *call);
void handle_credentials_add(struct call *call);
void handle_credentials_verify(struct call *call);
void handle_credentials_select(struct call *call);
void handle_credentials_remove(struct call *call);
void handle_records_submit(struct call *call);
void handle_records_search(struct call *call);
void handle_export_status(struct call *call);
void handle_export_pause(struct call *call);
void handle_export_resume(struct call *call);
void handle_dead_letters(struct call *call);
void handle_dead_letter_retry(struct call *call);
void handle_dead_letter_discard(struct call *call);
void handle_operator_add(struct call *call);
void handle_operator_list(struct call *call);
void handle_operator_remove(struct call *call);
void handle_audit_list(struct call *call);
void handle_audit_verify(struct call *call);
#ifdef MUSTER_NEXT
void handle_next_probe(struct call *call);
#endif
void handle_node_version(struct call *call);
void handle_node_status(struct call *call);
void handle_node_retry(struct call *call);
void handle_node_check(struct call *call);
void handle_saved_list(struct call *call);
void handle_saved_submit(struct call *call);
void handle_saved_discard(struct call *call);
void handle_node_digest(struct call *call);
void handle_describe(struct call *call);

#endif
