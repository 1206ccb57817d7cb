/*
 * Small JSON: reading the objects that the admin and device routes take, against a table of
 * fields, and writing replies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_JSON_H
#define SIM_JSON_H

#include <jansson.h>

#include "base/slice.h"

enum sim_field_kind {
    SIM_FIELD_TEXT, /* out: const char *, borrowed from the object; 1 to `max` bytes. */
    SIM_FIELD_U64,  /* out: uint64_t, at most `max`. */
    SIM_FIELD_REAL, /* out: double, 0 to `max`. */
    SIM_FIELD_BOOL, /* out: bool. */
    SIM_FIELD_JSON, /* out: json_t *, borrowed. */
};

/* A field of an object. What is not given leaves `out` as it was. */
struct sim_field {
    const char *name;
    enum sim_field_kind kind;
    bool required;
    uint64_t max; /* 0: no bound of its own. */
    void *out;
};

/* Parse a body as one object; NULL if it is not. json_decref() it. */
json_t *sim_json_object(struct slice body);

/* Fill the fields. STATUS_INVALID names the field that is missing, unknown or wrong. */
MUST_USE struct status sim_fields_read(json_t *object, const struct sim_field *fields,
                                       size_t count);

#define SIM_FIELDS_READ(object, fields)                                                            \
    sim_fields_read((object), (fields), sizeof(fields) / sizeof((fields)[0]))

/* Append a JSON string with its quotes. NULL gives null. Bytes that are not UTF-8 become '?'. */
void sim_json_text(struct buffer *out, const char *text);
void sim_json_slice(struct buffer *out, struct slice text);

/* Append formatted text; the process stops when memory runs out. */
void sim_print(struct buffer *out, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
