/*
 * The context of mail_logs as bytes, for checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_CONTEXT_H
#define MAIL_CONTEXT_H

#include "mail_logs.h"

MUST_USE struct status mail_context_encode(const struct mail_logs_context *context,
                                           struct buffer *out);

/* STATUS_CORRUPT if the bytes are no context. */
MUST_USE struct status mail_context_decode(struct slice bytes, struct mail_logs_context *out);

#endif
