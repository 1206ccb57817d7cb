/*
 * The commands of `muster`, by noun: each runs one call of the tool and returns its exit code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CMD_H
#define CMD_H

#include "cli.h"

int cmd_cluster_status(struct cli *cli);
int cmd_cluster_members(struct cli *cli);
int cmd_cluster_init(struct cli *cli);
int cmd_cluster_join(struct cli *cli);
int cmd_cluster_leave(struct cli *cli);
int cmd_cluster_reset(struct cli *cli);
int cmd_cluster_rebuild(struct cli *cli);
int cmd_cluster_remove(struct cli *cli);
int cmd_cluster_transfer(struct cli *cli);
int cmd_cluster_settings(struct cli *cli);
int cmd_cluster_set(struct cli *cli);
int cmd_cluster_certificates(struct cli *cli);
int cmd_cluster_recover(struct cli *cli);
int cmd_recovery_key(struct cli *cli);
int cmd_cluster_key(struct cli *cli);
int cmd_cluster_rotate_key(struct cli *cli);
int cmd_token_create(struct cli *cli);
int cmd_token_list(struct cli *cli);
int cmd_token_revoke(struct cli *cli);

int cmd_registration_status(struct cli *cli);
int cmd_registration_enable(struct cli *cli);
int cmd_registration_disable(struct cli *cli);
int cmd_registration_register(struct cli *cli);
int cmd_registration_deregister(struct cli *cli);
int cmd_registration_watch(struct cli *cli);
int cmd_registration_hand_over(struct cli *cli);

int cmd_credentials_list(struct cli *cli);
int cmd_credentials_add(struct cli *cli);
int cmd_credentials_verify(struct cli *cli);
int cmd_credentials_select(struct cli *cli);
int cmd_credentials_remove(struct cli *cli);

int cmd_records_search(struct cli *cli);

int cmd_export_status(struct cli *cli);
int cmd_export_pause(struct cli *cli);
int cmd_export_resume(struct cli *cli);
int cmd_dead_letters_list(struct cli *cli);
int cmd_dead_letters_retry(struct cli *cli);
int cmd_dead_letters_discard(struct cli *cli);

int cmd_snapshot_save(struct cli *cli);
int cmd_snapshot_status(struct cli *cli);
int cmd_snapshot_restore(struct cli *cli);

int cmd_operator_add(struct cli *cli);
int cmd_operator_list(struct cli *cli);
int cmd_operator_remove(struct cli *cli);
int cmd_audit_list(struct cli *cli);
int cmd_audit_verify(struct cli *cli);
int cmd_node_status(struct cli *cli);
int cmd_node_retry(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_saved_list(struct cli *cli);
int cmd_saved_submit(struct cli *cli);
int cmd_saved_discard(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_describe(struct cli *cli);
int cmd_digest(struct cli *cli);
int cmd_completion(struct cli *cli);

/* Shows one answer; `compact` is a line for a stream. The exit code. */
typedef int cmd_show(struct cli *cli, const void *result, bool compact);

/* A read that may be watched: once, or with --watch again and again until interrupted, over the
 * same screen on a terminal, as lines elsewhere. `result` has the size of the method's result. */
int cmd_read(struct cli *cli, enum rpc_method method, void *result, cmd_show *words);

/* Progress of something long, on stderr: over the same line on a terminal, otherwise as a line,
 * if it is another text than the last time. `last` has room for CMD_PROGRESS_SIZE. */
#define CMD_PROGRESS_SIZE 200
void cmd_progress(char last[CMD_PROGRESS_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);
void cmd_progress_end(const char last[CMD_PROGRESS_SIZE]);

void cmd_pause(uint64_t pause_ms);

/* Registrations and exports are shown by `cluster status` too. */
int cmd_show_registration(struct cli *cli, const void *result, bool compact);
int cmd_show_export(struct cli *cli, const void *result, bool compact);
void cmd_print_problems(struct cli *cli, const struct codec_list *problems);

#endif
