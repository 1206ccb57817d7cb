/*
 * The audit: one line for each command that an operator can send and for each worker's command that
 * changes registration, credentials or members (docs/adr/0007-audit-scope.md), written in the
 * command's own transaction.
 *
 * A row is [SHA-256, 32 bytes][line, CODEC_TAGS]; the hash is over the line before's hash and this
 * line's bytes, from 32 zero bytes. The head holds the last hash, so that a cut tail shows too; and, once
 * the oldest lines were let go, the hash of the last of them, from which the chain goes on (its anchor).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "store/store.h"
#include "txn.h"

#define AUDIT_TARGET_SIZE 256

/* Does this command get a line? */
bool audit_covers(enum command_type type);

/* What the command is about to be done to: read before it is applied, for it may go away. */
void audit_target(struct txn *txn, const struct command *command, char out[AUDIT_TARGET_SIZE]);

void audit_write(struct txn *txn, uint64_t index, const struct command *command,
                 const char target[AUDIT_TARGET_SIZE], enum refusal refusal);

/* Decode a row; the hash is copied, not checked. */
void audit_decode(struct txn *txn, struct slice stored, struct audit_view *out);

/* The last line that an audit_trim up to `sequence` lets go; what was trimmed already if none. */
uint64_t audit_trim_last(const struct head *head, uint64_t sequence);

/* The hash that stands with a line; false if there is no such line. */
bool audit_hash_of(struct txn *txn, uint64_t sequence, uint8_t out[STORE_HASH_SIZE]);

/* Walk the chain, from the anchor that trimming left, and compare its end with the head. STATUS_CORRUPT
 * names the first bad line. */
MUST_USE struct status audit_verify(struct txn *txn);

#endif
