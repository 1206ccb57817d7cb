/*
 * What the mail_logs tests share: reading a text and keeping every record that comes out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_LOGS_HARNESS_H
#define MAIL_LOGS_HARNESS_H

#include "mail_logs.h"
#include "scratch.h"

#define HARNESS_RECORDS_MAX 2048

/* One record, kept as its encoding and decoded again. */
struct harness_record {
    struct message_record record;
    struct buffer body; /* CODEC_TAGS. */
    struct arena arena;
    uint64_t position;
};

struct harness {
    struct harness_record records[HARNESS_RECORDS_MAX];
    size_t count;
    struct mail_logs_counts counts;
};

/* For mail_logs_create(): keeps the record. Every one must pass message_record_check(), fit a body
 * and give keys. */
struct status harness_on_record(void *context, const struct message_record *record,
                                uint64_t position);

/* Read a whole text in chunks of `chunk_size`, finish, and count. */
void harness_read(struct harness *harness, const struct mail_logs_options *options,
                  struct slice text, size_t chunk_size);

struct harness *harness_create(void); /* Never NULL. */
void harness_destroy(struct harness *harness);

/* The record of a MID; the test fails if there is not exactly one. */
const struct message_record *harness_get(const struct harness *harness, uint64_t mid);

/* Whether a record with the same identity is among them, and with the same body too. */
bool harness_has_identity(const struct harness *harness, const struct harness_record *record);
bool harness_has_body(const struct harness *harness, const struct harness_record *record);

#endif
