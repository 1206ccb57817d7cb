/*
 * The errors of the device contract, as sentences with a remedy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_EXCHANGE_ERROR_H
#define SERVER_EXCHANGE_ERROR_H

#include "base/slice.h"

/* What the code means and what helps; NULL for a code that is not in the table. */
const char *exchange_error_text(struct slice code);

#endif
