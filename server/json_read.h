/*
 * Reading JSON of the cloud: tolerant of keys it does not know, of missing ones, and of three
 * incompatible shapes of errors, which are not always JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_JSON_READ_H
#define SERVER_JSON_READ_H

#include <jansson.h>
#include <stdint.h>

#include "base/slice.h"

#define JSON_ERROR_SIZE 161 /* Bytes of an error's words, with the zero byte. */

/* The value, or NULL if it is not one JSON text. Release with json_decref(). */
json_t *json_read(struct slice body);

/* The text under `key`, borrowed from `object`; empty if there is none, or `object` is NULL or of
 * another type. */
struct slice json_text(const json_t *object, const char *key);

/* The non-negative whole number under `key`; `otherwise` if there is none. */
uint64_t json_number(const json_t *object, const char *key, uint64_t otherwise);

/* The text as it may stand in a log line: cut at a character, control characters blanked. */
void json_quote(struct slice text, char out[JSON_ERROR_SIZE]);

/*
 * What an answer says is wrong, in its own words, cut and printable: {"error":{"message"}},
 * {"error_description"}, {"message"}, {"errors"}, {"error"}, or the beginning of a plain text. Pages
 * of HTML are not quoted. Never the part of an answer that repeats what was sent ("entity").
 */
void json_error_text(struct slice body, char out[JSON_ERROR_SIZE]);

#endif
