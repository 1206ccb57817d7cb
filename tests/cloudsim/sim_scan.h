/*
 * A scanner over JSON text (RFC 8259) that allocates nothing: bundles come at tens of megabytes a
 * second, of which the simulator needs a few fields. Everything is checked on the way, so a text
 * that is scanned to its end without failing is sound JSON.
 *
 *     struct sim_scan scan = sim_scan_open(text);
 *     if (sim_scan_enter(&scan, '{')) {
 *         while (sim_scan_key(&scan, &key)) {
 *             ... exactly one of: sim_scan_string(), sim_scan_skip(), or enter and leave ...
 *         }
 *     }
 *     if (!sim_scan_finish(&scan)) ... not JSON ...
 *
 * After the first fault every call returns false, so one check at the end is enough.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SCAN_H
#define SIM_SCAN_H

#include "base/slice.h"

#define SIM_SCAN_DEPTH_MAX 64 /* Containers within each other. */

struct sim_scan {
    const char *at;
    const char *end;
    unsigned depth;
    bool bad;
    bool first; /* The container entered last has not given anything yet. */
};

/* Checks that the text is UTF-8, which is most of its cost. */
struct sim_scan sim_scan_open(struct slice text);

/* The first byte of the next value: one of { [ " t f n - 0..9. 0 at the end or after a fault. */
char sim_scan_peek(struct sim_scan *scan);

/* Step into an object ('{') or an array ('['). False, with a fault, if it is something else. */
bool sim_scan_enter(struct sim_scan *scan, char open);

/* The next key, as written (escapes not decoded); false at the end of the object, left then. */
bool sim_scan_key(struct sim_scan *scan, struct slice *key);

/* Whether the array has another item; false at its end, left then. */
bool sim_scan_item(struct sim_scan *scan);

/* A string, as written, without its quotes. */
bool sim_scan_string(struct sim_scan *scan, struct slice *raw);

/* One value of any kind. */
bool sim_scan_skip(struct sim_scan *scan);

/* The same, and its bytes. */
bool sim_scan_raw(struct sim_scan *scan, struct slice *raw);

/* Whether all was sound and nothing follows. */
bool sim_scan_finish(struct sim_scan *scan);

/* Append what a string as written means; false for \u escapes that are half a pair. */
bool sim_scan_decode(struct slice raw, struct buffer *out);

/* The length of a string as written, in UTF-16 code units: what the cloud's length limits count. */
size_t sim_scan_length_utf16(struct slice raw);

#endif
