/*
 * Writing JSON text straight into a buffer, for bodies of one fixed shape that are made thousands
 * of times a second. The first failure is remembered; one check at the end.
 *
 *     json_open(&json, '{');
 *     json_key(&json, "title");
 *     json_put(&json, title);
 *     json_close(&json, '}');
 *
 * Texts must be UTF-8 without NUL, as decoded records are. Commas are placed by the writer; whether
 * brackets match is the caller's matter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_JSON_WRITE_H
#define SERVER_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Zero but for `out`, to begin with. */
struct json_writer {
    struct buffer *out;
    bool comma;  /* The next value is not the first one of its bracket. */
    bool failed; /* Memory ran out; what was written is of no use. */
};

void json_open(struct json_writer *json, char bracket);
void json_close(struct json_writer *json, char bracket);
void json_key(struct json_writer *json, const char *key); /* Plain ASCII, nothing to escape. */
void json_put(struct json_writer *json, struct slice text);
void json_put_u64(struct json_writer *json, uint64_t number);
void json_put_bool(struct json_writer *json, bool value);

/* json_key() and json_put() in one. */
void json_member(struct json_writer *json, const char *key, struct slice text);

#endif
