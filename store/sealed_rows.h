/*
 * The one list of what is sealed in the state: whoever adds a sealed field to a row adds it here, or a
 * rotation of the cluster key leaves it behind (sealed_test).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_SEALED_ROWS_H
#define STORE_SEALED_ROWS_H

#include "store/store.h"
#include "txn.h"

/* Of struct sealed_view, in the transaction's arena. */
struct codec_list sealed_rows_all(struct txn *txn);

void sealed_rows_hash(struct txn *txn, const struct codec_list *all, uint8_t out[STORE_HASH_SIZE]);

/* Put `values` (struct resealed), as many as there are and in their order, in place of them, as of the
 * key of this epoch. */
void sealed_rows_replace(struct txn *txn, const struct codec_list *values, uint64_t key_epoch);

#endif
