/*
 * Between the two files that know the shapes of mail_logs lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_LOGS_PARSE_H
#define MAIL_LOGS_PARSE_H

#include "mail_logs_line.h"

#define MAIL_OFFSET_MAX_S 64800 /* 18 hours: what POSIX and ISO 8601 readers accept at most. */

/* Fill `out` from what follows `begins`; false if it is not of this shape after all. */
typedef bool (*mail_parse_fn)(struct slice rest, struct mail_event *out);

struct mail_shape {
    const char *begins;
    mail_parse_fn parse;
};

/* `literal`, a number, and the blanks after it. Nothing moves if it is not there. */
bool mail_scan_id(struct slice *rest, const char *literal, uint64_t *out);

/* What follows "MID n "; the MID is set already. */
bool mail_message_parse(struct slice rest, struct mail_event *out);

/* The file reputation lines of the AMP engine, which name a MID further on. */
bool mail_file_parse(struct slice rest, struct mail_event *out);

#endif
