/*
 * One line of mail_logs: when it was written and what it says.
 *
 * Pure functions of the line: what lines mean together is decided in mail_logs.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_LOGS_LINE_H
#define MAIL_LOGS_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum mail_time_kind {
    MAIL_TIME_NONE,
    MAIL_TIME_NO_YEAR, /* "Mar 17 18:24:37": `local_ms` counts from the beginning of the year 2000,
                          which has a 29th of February. */
    MAIL_TIME_LOCAL,   /* As the appliance's clock on the wall says it. */
    MAIL_TIME_UTC,
};

struct mail_time {
    enum mail_time_kind kind;
    uint64_t ms; /* Since 1970, of the clock that `kind` names. */
};

/* What stands around the text of a line. */
struct mail_frame {
    struct mail_time time;
    struct slice log;   /* "mail_logs", if a syslog header names it. */
    struct slice level; /* "Info", "Warning", "Critical", ... */
    struct slice text;
};

/*
 * Take the frame off a line: the appliance's own file form
 *     Wed Nov 19 09:16:38 2014 Info: text
 * or syslog's, with or without <priority>, host, log name, or a second time, of which the more
 * precise one counts. False if there is no level where one must be: then it is no log line.
 */
bool mail_frame_parse(struct slice line, struct mail_frame *out);

enum mail_event_kind {
    MAIL_UNKNOWN, /* A shape we do not know. `mid` is set if it begins with one. */

    /* About the log and the appliance. */
    MAIL_LOG_BEGIN,
    MAIL_VERSION, /* text: serial. */
    MAIL_OFFSET,  /* number: seconds; flag: west of UTC. */
    MAIL_ASIDE,   /* Known, but about no message: cache statistics, alerts. */

    /* About connections. */
    MAIL_ICID_NEW,   /* icid; text: address; more: reverse DNS name; flag: verified. */
    MAIL_ICID_GROUP, /* icid; text: "ACCEPT"; more: "UNKNOWNLIST"; third: SBRS. */
    MAIL_ICID_TLS,   /* icid; text: "TLSv1.2 AES128-SHA". */
    MAIL_ICID_CLOSE,
    MAIL_DCID_NEW, /* dcid; text: address. */
    MAIL_DCID_CLOSE,
    MAIL_CONNECTION_NOTE, /* Known, nothing to keep. */

    /* About a message: mid is set. */
    MAIL_START,          /* icid. */
    MAIL_FROM,           /* icid; text: sender. */
    MAIL_TO,             /* icid; text: recipient. */
    MAIL_TO_REJECTED,    /* text: recipient; more: why. */
    MAIL_MESSAGE_ID,     /* text, unquoted. */
    MAIL_SUBJECT,        /* text, unquoted. */
    MAIL_READY,          /* number: bytes; text: sender. */
    MAIL_POLICY,         /* text: policy; more: "inbound" or "outbound". */
    MAIL_VERDICT,        /* text. */
    MAIL_ATTACHMENT,     /* text: file name, unquoted. */
    MAIL_FILE,           /* text: file name; more: SHA-256; third: verdict. Any may be empty. */
    MAIL_URL,            /* text: URL; more: the whole verdict. */
    MAIL_SPLIT,          /* other_mid: the new one; text: reason. */
    MAIL_SPLIT_FROM,     /* Of the new one; made by mail_logs.c, no line says it by itself. */
    MAIL_GENERATED,      /* other_mid: the one it comes from; text: reason. */
    MAIL_REWRITTEN,      /* other_mid: the new one; text: reason. */
    MAIL_REWRITTEN_FROM, /* As MAIL_SPLIT_FROM. */
    MAIL_DELIVERY_START, /* dcid. */
    MAIL_DELIVERED,      /* dcid; number: recipients; flag: to the external quarantine. */
    MAIL_RESPONSE,       /* text, unquoted. */
    MAIL_BOUNCED,        /* dcid; number: recipients; text: why. */
    MAIL_DELAYED,        /* text: why. */
    MAIL_QUARANTINED,    /* text: which quarantine. */
    MAIL_RELEASED,       /* From a quarantine. */
    MAIL_DROPPED,        /* text: by what. */
    MAIL_ABORTED,        /* text: why. */
    MAIL_FINISHED,       /* text: "done", "aborted", ... */
    MAIL_NOTE,           /* Known, nothing to keep but that it was alive. */
    MAIL_EVENT_KIND_COUNT,
};

struct mail_event {
    enum mail_event_kind kind;
    uint64_t mid;
    uint64_t icid;
    uint64_t dcid;
    uint64_t other_mid;
    uint64_t number;
    bool has_mid; /* MIDs begin at 1 in practice, but 0 is a number too. */
    bool flag;
    struct slice text;
    struct slice more;
    struct slice third;
};

/* Lower-case name of a kind, for statistics. Never NULL. */
const char *mail_event_kind_name(enum mail_event_kind kind);

/* What the text of a frame says. Slices borrow from `text`; those called "unquoted" above still
 * hold the escapes of a Python string, see mail_unescape(). */
struct mail_event mail_event_parse(struct slice text);

/* Append `text` with the escapes of a Python string literal resolved, then cleaned as
 * text_append_clean() does. False when memory runs out. */
bool mail_unescape(struct slice text, struct buffer *out);

#endif
