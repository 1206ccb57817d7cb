/*
 * Any message of the admin RPC as JSON, made from its table of fields. For people's scripts and for
 * the web page; the wire itself is MessagePack.
 *
 * Every field is there, whatever its value. Times ("..._ms" since 1970) become RFC 3339 texts in
 * UTC under their name without "_ms", null if there is none; spans of time stay numbers of
 * milliseconds. Ids of nodes are texts, for they have more digits than every reader keeps. A number
 * that says "unknown" (UINT64_MAX) is null. Bytes are base64url.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_JSON_VIEW_H
#define CLIENT_JSON_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/slice.h"
#include "base/status.h"

/* What a number means, by the name of its field. */
enum json_view_number {
    JSON_VIEW_COUNT,
    JSON_VIEW_TIME, /* ms since 1970 */
    JSON_VIEW_SPAN, /* ms */
    JSON_VIEW_NODE, /* An id of a node. */
};
enum json_view_number json_view_number_of(const char *field_name);

/* Append `value`, a struct of the type that the codec describes; with `pretty` over several lines.
 * No newline at the end. STATUS_NO_MEMORY, or STATUS_INVALID for text that is not UTF-8; `out` as
 * it was after either. */
MUST_USE struct status json_view(const struct codec *codec, const void *value, bool pretty,
                                 struct buffer *out);

#endif
