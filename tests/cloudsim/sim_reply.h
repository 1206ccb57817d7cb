/*
 * A reply on its way: what a handler writes, and how it is to be delivered (late, cut, not at
 * all). The error shapes of the families live here too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_REPLY_H
#define SIM_REPLY_H

#include "base/slice.h"
#include "sim_family.h"

enum sim_delivery {
    SIM_DELIVER_WHOLE,
    SIM_DELIVER_STALLED, /* Half of the body, `stall_ms`, the rest. */
    SIM_DELIVER_CUT,     /* Half of the announced body, then close. */
    SIM_DELIVER_CLOSE,   /* No byte, then close. */
    SIM_DELIVER_RESET,   /* No byte, then a TCP reset. */
};

struct sim_reply {
    int status;
    const char *content_type; /* NULL: JSON. */
    struct buffer headers;    /* More header lines, each with its CRLF. */
    struct buffer body;
    uint64_t now_ms;   /* The simulated time, told as Date; 0: not told. */
    uint64_t delay_ms; /* Before the first byte. */
    uint64_t stall_ms;
    enum sim_delivery delivery;
    bool chunked;
    bool close; /* The connection does not go on. */

    /* A body made while it is sent, chunked: append some more to `out`; false when it was the last.
     * `cursor` starts at 0 and belongs to the stream. */
    bool (*stream)(void *context, uint64_t *cursor, struct buffer *out);
    void *stream_context;
};

/* Start a JSON reply over, dropping what was written; returns the body. */
struct buffer *sim_reply_begin(struct sim_reply *reply, int status);

/* A whole reply that is ready made. */
void sim_reply_text(struct sim_reply *reply, int status, const char *content_type,
                    const char *text);

void sim_reply_header(struct sim_reply *reply, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* An HTML page, as load balancers and unknown paths give. */
void sim_reply_html(struct sim_reply *reply, int status);

/* {"error":{"code","message"}}: devices and admin. */
void sim_reply_code(struct sim_reply *reply, int status, const char *code, const char *message);

/* {"error","error_description",...}: what `family` answers to a failed authentication. */
void sim_reply_denied(struct sim_reply *reply, enum sim_family family, int status,
                      const char *error, const char *description);

/* "Something broke inside", in the shape of the family. */
void sim_reply_internal(struct sim_reply *reply, enum sim_family family, int status);

/* 429. `variant`: "seconds", "seconds_s", "date", "none", "message". */
void sim_reply_rate_limit(struct sim_reply *reply, enum sim_family family, const char *variant,
                          uint64_t retry_after_s);

/* The first line and the headers, ready to send. */
void sim_reply_head(const struct sim_reply *reply, bool keep_alive, struct buffer *out);

const char *sim_reply_reason(int status);

void sim_reply_release(struct sim_reply *reply);

/* A version 4 UUID as text. */
#define SIM_UUID_SIZE 37
const char *sim_uuid(char out[SIM_UUID_SIZE]);

#endif
