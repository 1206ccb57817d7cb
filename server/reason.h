/*
 * Reasons: one sentence for an operator, in a field of fixed size. Always whole UTF-8, whatever was
 * cut, because reasons are stored and sent on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_REASON_H
#define SERVER_REASON_H

#include "base/status.h"

#define REASON_SIZE STATUS_MESSAGE_SIZE /* Bytes, with the zero byte. */

/* Texts that are printed into it must be UTF-8 (json_quote() sees to it for foreign ones). */
void reason_say(char out[REASON_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);

#endif
