/*
 * What the queries on records share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_QUERY_RECORDS_H
#define STORE_QUERY_RECORDS_H

#include "record_row.h"
#include "store/store.h"
#include "txn.h"

/* Copy a stored record into the transaction's arena. */
void record_view_fill(struct txn *txn, uint64_t sequence, const struct record_row *row,
                      struct record_view *out);

/* Room for an answer of `count_max` items; the list is empty. False after a failure. */
bool page_begin(struct txn *txn, size_t count_max, size_t item_size, struct codec_list *out);

/* `count_max`, but at most STORE_PAGE_MAX. */
size_t page_count(size_t count_max);

#endif
