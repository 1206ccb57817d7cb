/*
 * What `muster doctor` makes of what was seen on a node: each function takes one observation and adds
 * its finding, a verdict in one sentence and what helps. Nothing here looks at anything itself; that is
 * checkup.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CHECKS_H
#define SERVER_CHECKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "client/protocol.h"
#include "disk_watch.h"
#include "http_trace.h"

struct findings {
    struct arena *arena;
    struct rpc_finding *items; /* RPC_FINDINGS_MAX; from the arena. */
    size_t count;
    const char *group; /* Of those that are added now. */
};

/* STATUS_NO_MEMORY. */
MUST_USE struct status findings_init(struct findings *findings, struct arena *arena);

/* ---- The cloud ---- */

#define CHECKS_SKEW_WARNING_MS 60000U  /* Retry-After dates and log times are off by as much. */
#define CHECKS_SKEW_FAILURE_MS 300000U /* A token lives 600 s, a fresh certificate begins now. */

/* `url` as region_url() gives it; `proxy` is NULL or the proxy's URL. `trace` must outlive the findings. */
void checks_host(struct findings *findings, const char *url, const char *proxy,
                 const struct http_trace *trace);

/* No host can be looked at, for no region is chosen. */
void checks_no_region(struct findings *findings);

/* Ours minus the cloud's; `known` is false when no host told the time. */
void checks_clock(struct findings *findings, bool known, int64_t skew_ms);

/* ---- The disk ---- */

#define CHECKS_SYNC_WARNING_US 50000U /* Every change waits for it on most voters. */

struct sync_seen {
    struct status status; /* Of the attempt; STATUS_TIMEOUT: it is not back yet. */
    uint64_t median_us;
    uint64_t worst_us;
};

void checks_space(struct findings *findings, const char *folder, struct status status,
                  const struct disk_space *space, enum disk_state state);
void checks_sync(struct findings *findings, const char *folder, const struct sync_seen *seen,
                 uint64_t election_timeout_ms);

/* ---- Files ---- */

struct path_seen {
    const char *subject; /* "data folder" */
    const char *path;
    bool folder;
    unsigned refused_mode; /* Bits of the mode that nobody else may have. */
    int error;             /* errno of looking at it or of opening it for reading; 0: none. */
    bool is_folder;
    unsigned mode;
    uid_t owner;
    uid_t ours;
};

void checks_path(struct findings *findings, const struct path_seen *seen);

/* ---- The node ---- */

#define CHECKS_CERTIFICATE_WARNING_MS (UINT64_C(30) * 86400000)

struct certificate_seen {
    const char *subject;
    struct status status; /* Of reading it. */
    uint64_t not_before_ms;
    uint64_t not_after_ms;
    const char *remedy; /* For one that ends soon or is over. */
};

void checks_certificate(struct findings *findings, const struct certificate_seen *seen,
                        uint64_t now_ms);

/* `built` is the version compiled against, `running` the one that is loaded, as numbers that rise. */
void checks_library(struct findings *findings, const char *name, const char *version,
                    uint64_t built, uint64_t running);

void checks_suspension(struct findings *findings, const struct suspension *suspension);

#endif
