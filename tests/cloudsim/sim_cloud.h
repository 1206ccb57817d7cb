/*
 * The simulated cloud as one value: everything it knows, and what the handlers of its routes see.
 * One thread; no part of it is shared.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_CLOUD_H
#define SIM_CLOUD_H

#include <openssl/x509.h>

#include "sim_bundle.h"
#include "sim_device.h"
#include "sim_family.h"
#include "sim_fault.h"
#include "sim_http.h"
#include "sim_oauth.h"
#include "sim_quota.h"
#include "sim_record.h"
#include "sim_reply.h"
#include "sim_sightings.h"

#define SIM_ORGS_MAX 256 /* With a quota of their own. */
#define SIM_CAPTURE_SIZE 192

struct sim_org {
    char name[SIM_NAME_SIZE];
    struct sim_quota quota;
};

struct sim {
    struct sim_oauth oauth;
    struct sim_sightings sightings;
    struct sim_bundle bundle; /* The one at hand. */
    struct sim_devices devices;
    struct sim_faults faults;
    struct sim_records records;
    struct sim_exporters exporters;
    struct sim_org *orgs;
    size_t org_count;
    size_t quota_limit; /* Of organisations that are new. */
    uint64_t quota_window_ms;
    uint64_t ahead_ms; /* Of real time. */
    uint64_t latency_ms[SIM_FAMILY_COUNT];
    uint64_t jitter_ms[SIM_FAMILY_COUNT];
    uint64_t refresh_ms;
    bool refresh_waits;
};

MUST_USE struct status sim_init(struct sim *sim);
void sim_release(struct sim *sim);

/* The simulator's time: real time, moved forward by the admin. */
uint64_t sim_now_ms(const struct sim *sim);

/* The quota of an organisation; the same one for all when there are too many. */
struct sim_quota *sim_quota_of(struct sim *sim, const char *org);

/* Set the quota of one, or with NULL of all and of those to come. */
void sim_set_quota(struct sim *sim, const char *org, size_t limit, uint64_t window_ms);

/* One request on its way through. */
struct sim_request {
    enum sim_family family;
    enum sim_region region;
    uint16_t remote_port;
    X509 *certificate; /* Of the client, or NULL. Not verified yet. */
    const struct sim_http *http;

    const struct sim_fault *fault;  /* That fires for it, or NULL. */
    const struct sim_token *token;  /* After authentication by bearer. */
    struct sim_device *device;      /* ... or by certificate. */
    char capture[SIM_CAPTURE_SIZE]; /* What {} in the route stood for. */
    struct sim_record record;
};

/* Answer a request, faults included. */
void sim_serve(struct sim *sim, struct sim_request *request, struct sim_reply *reply);

#endif
