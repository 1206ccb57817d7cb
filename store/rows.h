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

/* The organisation's calls, by minutes. */
#define CALLS_HOUR                                                                                 \
    60U /* Minutes that count; as many ahead of ours may be of another leader's clock. */
#define CALLS_MINUTE_MS 60000U

struct calls_minute {
    uint64_t minute; /* Since 1970 UTC; each once, in no order. */
    uint64_t count;
};

struct calls_row {
    uint64_t limit;           /* Calls an hour, as the cloud said last; 0: not yet. */
    struct codec_list counts; /* Of struct calls_minute, 2 * CALLS_HOUR at most. */
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

void calls_row_get(struct txn *txn, struct calls_row *out);
void calls_row_put(struct txn *txn, const struct calls_row *row);

/* Is `minute` within an hour of this one, on either side? */
bool calls_minute_counts(uint64_t minute, uint64_t now_minute);

/* By key: a node's id, a name. */
bool member_row_get(struct txn *txn, uint64_t node_id, struct member *out);
void member_row_put(struct txn *txn, const struct member *row);

/* All rows of a table, in key order, as an array in the transaction's arena. */
struct codec_list rows_all(struct txn *txn, enum table table, const struct codec *codec);

/* Is there anything in the cloud that belongs to this registration, or may there be? */
bool registration_exists(const struct registration_view *registration);

#endif
