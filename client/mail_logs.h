/*
 * Reading mail_logs: lines in, one record per message out.
 *
 *     struct mail_logs *logs;
 *     status = mail_logs_create(&options, position, &context, on_record, &logs);
 *     status = mail_logs_read(logs, chunk);     repeated; chunks may end anywhere
 *     status = mail_logs_finish(logs);          at the end of input, unless it is followed
 *     mail_logs_destroy(logs);
 *
 * No line is ever an error: those that are no log lines, and those of shapes we do not know, are
 * counted and the first few kept for display, with what could name people masked.
 *
 * What is given out depends on the bytes alone, not on how they are cut into chunks, nor on clocks.
 * A message is given out when its finish is seen; or as incomplete when the log has moved on by
 * `flush_after_s` without a line of it, when too many are open (the one longest silent first), when
 * the log turns out to be another appliance's, or by mail_logs_finish(). Lines that come later make
 * another record of the same message with a higher revision.
 *
 * Restarting: mail_logs_checkpoint() says from where on the log must be read again so that every
 * message that is still open, and every one that might yet share its last millisecond with one given
 * out, is seen from its first line, its connection included. Reading on from there, in a new
 * object, gives the same records for all of them; messages that began earlier may come again as
 * incomplete ones, with an identity that was used before, and are duplicates.
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_LOGS_H
#define MAIL_LOGS_H

#include "client/record.h"
#include "mail_logs_line.h"

#define MAIL_LOGS_OPEN_MAX 100000                    /* Messages open at a time. */
#define MAIL_LOGS_FACTS_SIZE_MAX ((size_t)256 << 20) /* Bytes of all open messages. */
#define MAIL_LOGS_CONNECTIONS_MAX 50000
#define MAIL_LOGS_FLUSH_AFTER_S 600     /* The default. */
#define MAIL_LOGS_CONNECTION_AGE_S 3600 /* A connection is forgotten then, close line or not. */
#define MAIL_LOGS_CONTEXTS_MAX 64       /* Headers that differ, within what is still open. */
#define MAIL_LOGS_SAMPLES_MAX 5         /* Lines kept for display. */
#define MAIL_LOGS_SAMPLE_SIZE 160       /* Bytes of one, the terminating zero included. */

/* What header lines say, and what nothing in the log says: the year of syslog's times. */
struct mail_logs_context {
    char serial[RECORD_SERIAL_SIZE_MAX + 1]; /* Empty: not known yet. */
    int64_t utc_offset_s;                    /* Local time minus UTC. */
    uint64_t year;                           /* Of the last time without one. */
};

struct mail_logs_options {
    const char *serial;               /* Used instead of what headers say; NULL: use the headers. */
    uint64_t flush_after_s;           /* 0: MAIL_LOGS_FLUSH_AFTER_S. */
    size_t open_max;                  /* 0: MAIL_LOGS_OPEN_MAX. */
    struct mail_logs_context context; /* To start with; from a checkpoint, or only the year. */
};

struct mail_logs_counts {
    uint64_t lines;
    uint64_t lines_bad;       /* No log lines at all. */
    uint64_t lines_unknown;   /* Log lines of an unknown shape. */
    uint64_t lines_cut;       /* Too long; counted among the others too. */
    uint64_t lines_repaired;  /* Had bytes that are no text; counted among the others too. */
    uint64_t lines_no_serial; /* About a message, before any header said whose. */
    uint64_t records;         /* Given out. */
    uint64_t complete;        /* Of them, with start and finish. */
    uint64_t flushed_by_age;  /* Incomplete ones, by reason. */
    uint64_t flushed_by_number;
    uint64_t flushed_at_end;
    uint64_t kinds[MAIL_EVENT_KIND_COUNT]; /* Lines of each. */
    size_t sample_count;
    char samples[MAIL_LOGS_SAMPLES_MAX][MAIL_LOGS_SAMPLE_SIZE]; /* Bad or unknown, masked. */
};

/* A record is out. It, and all it points to, is valid during the call only. `position` is where
 * reading would have to begin to see it again. A failure stops the reading and is passed on. */
typedef struct status (*mail_record_fn)(void *context, const struct message_record *record,
                                        uint64_t position);

struct mail_logs;

/* `position` is where the first byte to be read stands in the stream. Fails with STATUS_NO_MEMORY,
 * or STATUS_INVALID if the serial given does not fit a record. `context` is the callback's. */
MUST_USE struct status mail_logs_create(const struct mail_logs_options *options, uint64_t position,
                                        void *context, mail_record_fn on_record,
                                        struct mail_logs **out);
void mail_logs_destroy(struct mail_logs *logs); /* Takes NULL. */

/* Fails with STATUS_NO_MEMORY, or as the callback did; the object can then only be destroyed. */
MUST_USE struct status mail_logs_read(struct mail_logs *logs, struct slice chunk);

/* The end of input: gives out all that is open, as incomplete. */
MUST_USE struct status mail_logs_finish(struct mail_logs *logs);

/*
 * Where to read on from after a restart, and with which context. `unsafe_position` is the lowest
 * position of a record given out that is not safe yet, UINT64_MAX if all are. Never goes back as
 * long as the records become safe; takes time in proportion to what is open.
 */
uint64_t mail_logs_checkpoint(struct mail_logs *logs, uint64_t unsafe_position,
                              struct mail_logs_context *out);

const struct mail_logs_counts *mail_logs_counts(struct mail_logs *logs);

size_t mail_logs_open(const struct mail_logs *logs); /* Messages open now. */

/* When a line was written, in UTC. A time without a year is put as near to `last_ms` as it can be,
 * or in the context's year if that is NULL; the year goes into the context. A line without a time
 * has that of the line before it. False if that is not possible. */
bool mail_time_resolve(const struct mail_time *time, struct mail_logs_context *context,
                       const uint64_t *last_ms, uint64_t *out_ms);

/* Mask what could name people or hosts in a line for display: addresses, quoted texts. */
void mail_logs_mask(struct slice line, char out[MAIL_LOGS_SAMPLE_SIZE]);

#endif
