/*
 * The record of what was received: requests, and who exported when. No secret enters it: what
 * authenticates a caller is kept as its SHA-256.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include "base/slice.h"
#include "sim_family.h"
#include "sim_oauth.h"

#define SIM_RECORDS_MAX 100000
#define SIM_EXPORTERS_MAX 256
#define SIM_RUNS_MAX 4096
#define SIM_PORTS_MAX 32 /* Remembered of one exporter, the latest. */
#define SIM_AGENT_SIZE 128

struct sim_record {
    uint64_t seq;
    uint64_t at_ms;
    enum sim_family family;
    enum sim_region region;
    char method[16];
    char path[160];
    char query[160];
    char client[SIM_NAME_SIZE];
    char device[64];
    char user_agent[SIM_AGENT_SIZE];
    char credential[SIM_DIGEST_TEXT_SIZE];
    const char *fault; /* The name of the action, or NULL. */
    int status;        /* 0: no reply was sent. */
    uint16_t remote_port;
    uint64_t body_size;
    uint64_t duration_us; /* Of the handler. */
};

struct sim_records {
    struct sim_record *list; /* A ring once it is full. */
    size_t capacity;
    uint64_t count; /* Ever added; seq begins at 1. */
};

void sim_records_add(struct sim_records *records, const struct sim_record *record);
void sim_records_release(struct sim_records *records);

/* {"requests":[...],"next":N}: after `since`, at most `limit`, path beginning with `path`. */
void sim_records_write(const struct sim_records *records, uint64_t since, uint64_t limit,
                       const char *path, struct buffer *out);

struct sim_exporter {
    char user_agent[SIM_AGENT_SIZE];
    char client[SIM_NAME_SIZE];
    uint64_t bundles;
    uint64_t entities;
    uint64_t first_ms;
    uint64_t last_ms;
    uint16_t ports[SIM_PORTS_MAX];
    size_t port_count; /* Ever added. */
};

struct sim_run {
    size_t exporter; /* Index. */
    uint64_t from_ms;
    uint64_t to_ms;
    uint64_t bundles;
};

struct sim_exporters {
    struct sim_exporter *list; /* SIM_EXPORTERS_MAX. */
    size_t count;
    struct sim_run *runs; /* SIM_RUNS_MAX; later ones are counted only. */
    size_t run_count;
    uint64_t runs_lost;
};

void sim_exporters_init(struct sim_exporters *exporters);
void sim_exporters_release(struct sim_exporters *exporters);

/* A bundle from someone. */
void sim_exporters_on_bundle(struct sim_exporters *exporters, const struct sim_record *record,
                             uint64_t entities);

void sim_exporters_write(const struct sim_exporters *exporters, struct buffer *out);

#endif
