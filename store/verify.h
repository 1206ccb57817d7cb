/*
 * What the two sides of a verification share: the parent that waits, and the child that reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "store/store.h"

/* Read the whole store in this process, which it may crash. In verify_child.c. */
MUST_USE struct status verify_here(const struct store_options *options, struct store_report *out);

#endif
