/*
 * Rows as they are stored, and the rows of the meta table by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include "command_fields.h"
#include "store/store.h"
#include "txn.h"

extern const struct codec join_token_row_codec; /* struct join_token_view */
extern const struct codec credential_row_codec; /* struct credential_view */
extern const struct codec operator_row_codec;   /* struct operator_view */

/* What holds the export up. */
struct export_row {
    bool paused;
    struct slice pause_reason;
    uint64_t cloud_pause_until_ms;
    struct slice cloud_pause_reason;
};

struct dead_letter_row {
    struct slice reason;
    uint64_t at_ms;
};
extern const struct codec dead_letter_row_codec;

/* False before cluster_init. */
bool cluster_row_get(struct txn *txn, struct cluster_view *out);
void cluster_row_put(struct txn *txn, const struct cluster_view *row);

/* False when no rotation is under way. */
bool key_rotation_row_get(struct txn *txn, struct key_rotation_view *out);
void key_rotation_row_put(struct txn *txn, const struct key_rotation_view *row);
void key_rotation_row_delete(struct txn *txn);

/* DISABLED, and nothing else, before it was ever put. */
void registration_row_get(struct txn *txn, struct registration_view *out);
void registration_row_put(struct txn *txn, const struct registration_view *row);

void export_row_get(struct txn *txn, struct export_row *out);
void export_row_put(struct txn *txn, const struct export_row *row);

/* By key: a node's id, a name. */
bool member_row_get(struct txn *txn, uint64_t node_id, struct member *out);
void member_row_put(struct txn *txn, const struct member *row);

/* All rows of a table, in key order, as an array in the transaction's arena. */
struct codec_list rows_all(struct txn *txn, enum table table, const struct codec *codec);

/* Is there anything in the cloud that belongs to this registration, or may there be? */
bool registration_exists(const struct registration_view *registration);

#endif
