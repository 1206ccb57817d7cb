/*
 * The cluster, as `muster doctor` sees it: what cluster.status calls a problem, and what is well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/clock.h"
#include "cli_output.h"
#include "doctor.h"

#define QUOTA_WARNING 800U          /* Calls: a tenth of what an organisation has in an hour, */
#define QUOTA_WARNING_PART 10U      /* as far as is known. */
#define FEED_LAG_WARNING_MS 600000U /* From a message's last line to its record here. */
#define FEED_SILENCE_WARNING_MS 86400000U

#define QUOTA_REMEDY                                                                               \
    "At none the export pauses and goes on by itself; see which of the organisation's products "   \
    "uses so many."

static bool is(struct slice text, const char *word)
{
    return slice_equal(text, slice_of(word));
}

/* The problems about this; true if there was one. */
static bool add_problems(struct doctor *doctor, const struct rpc_cluster_status *status,
                         const char *about)
{
    const struct rpc_problem *problems = status->problems.items;
    bool found = false;
    for (size_t i = 0; i < status->problems.count; i++) {
        if (is(problems[i].about, about)) {
            found = true;
            doctor_add(doctor, about, problems[i].severe ? DOCTOR_FAILURE : DOCTOR_WARNING,
                       "problem", problems[i].what, problems[i].remedy);
        }
    }
    return found;
}

static void add_ok(struct doctor *doctor, const char *subject, struct slice what)
{
    doctor_add(doctor, subject, DOCTOR_OK, "ok", what, (struct slice){0});
}

static void look_at_members(struct doctor *doctor, const struct rpc_cluster_status *status)
{
    /* What the node that is asked says of itself stands in its own findings; the leader's does not. */
    if (!slice_equal(status->node_name, doctor->view.name)) {
        (void)add_problems(doctor, status, "node");
    }
    if (!add_problems(doctor, status, "cluster")) {
        add_ok(doctor, "quorum",
               doctor_text(doctor, "%.*s leads, %llu more voter%s may fail",
                           SLICE_ARG(status->leader), (unsigned long long)status->can_lose,
                           status->can_lose == 1 ? "" : "s"));
    }
    if (!add_problems(doctor, status, "members")) {
        add_ok(doctor, "members",
               doctor_text(doctor, "%zu, all in reach and of one version", status->members.count));
    }
    if (!is(status->version, MUSTER_VERSION)) {
        doctor_add(doctor, "tool", DOCTOR_WARNING, "version",
                   doctor_text(doctor, "this tool is %s, the node that answers is %.*s",
                               MUSTER_VERSION, SLICE_ARG(status->version)),
                   slice_of("Upgrade the older one; `muster version` shows both."));
    }
}

static void look_at_quota(struct doctor *doctor, const struct rpc_export *export)
{
    char until[CLOCK_TEXT_SIZE];
    if (export->cloud_pause_until_ms > clock_now_ms()) {
        doctor_add(doctor, "quota", DOCTOR_WARNING, "paused",
                   doctor_text(doctor, "the cloud is left alone until %s: %.*s",
                               clock_format(export->cloud_pause_until_ms, until),
                               SLICE_ARG(export->cloud_pause_reason)),
                   slice_of("It goes on by itself. The organisation's calls are shared with its "
                            "other products: see which of them uses so many."));
    } else if (export->quota_remaining == UINT64_MAX) {
        char most[OUTPUT_TEXT_SIZE] = "an unknown number";
        bool low = export->quota_limit != 0 &&
                   export->calls_last_hour >=
                       export->quota_limit - export->quota_limit / QUOTA_WARNING_PART;
        if (export->quota_limit != 0) {
            (void)output_count(export->quota_limit, most);
        }
        doctor_add(doctor, "quota", low ? DOCTOR_WARNING : DOCTOR_OK, low ? "quota-low" : "ok",
                   doctor_text(doctor,
                               "%llu calls in the last hour by this cluster, of %s for the whole "
                               "organisation; the cloud does not say how many are left",
                               (unsigned long long)export->calls_last_hour, most),
                   slice_of(low ? QUOTA_REMEDY : ""));
    } else {
        bool low = export->quota_remaining < QUOTA_WARNING;
        doctor_add(doctor, "quota", low ? DOCTOR_WARNING : DOCTOR_OK, low ? "quota-low" : "ok",
                   doctor_text(doctor, "%llu calls are left to the organisation in this hour",
                               (unsigned long long)export->quota_remaining),
                   slice_of(low ? QUOTA_REMEDY : ""));
    }
}

static void look_at_service(struct doctor *doctor, const struct rpc_cluster_status *status)
{
    const struct rpc_registration *registration = &status->registration;
    if (!add_problems(doctor, status, "registration")) {
        add_ok(doctor, "registration",
               doctor_text(doctor, "%.*s%s%.*s", SLICE_ARG(registration->state),
                           registration->region.size > 0 ? ", " : "",
                           SLICE_ARG(registration->region)));
    }
    if (!add_problems(doctor, status, "export")) {
        add_ok(doctor, "export",
               doctor_text(doctor, "%.*s, %llu records wait", SLICE_ARG(status->export.state),
                           (unsigned long long)status->export.pending));
    }
    look_at_quota(doctor, &status->export);
    if (!add_problems(doctor, status, "store")) {
        char used[OUTPUT_TEXT_SIZE];
        char most[OUTPUT_TEXT_SIZE];
        add_ok(doctor, "store",
               doctor_text(doctor, "%s of %s", output_size(status->store_used, used),
                           output_size(status->store_max, most)));
    }
}

/* How old records are when they come, and when the last one came. */
static void look_at_feed(struct doctor *doctor)
{
    struct rpc_search search = {.limit = 1};
    struct rpc_records records = {0};
    struct connection_error error;
    char ago[OUTPUT_TEXT_SIZE];
    char lag[OUTPUT_TEXT_SIZE];
    if (failed(cli_try(doctor->cli, RPC_RECORDS_SEARCH, &search, &records, &error))) {
        return; /* Why stands with the cluster. */
    }
    if (records.records.count == 0) {
        doctor_add(doctor, "feed", DOCTOR_WARNING, "no-records",
                   slice_of("no record was ever submitted"),
                   slice_of("Let muster-feed read the appliance's logs on every member."));
        return;
    }
    const struct rpc_record *newest = records.records.items;
    uint64_t last_ms = newest->record.last_ms;
    uint64_t lag_ms = newest->stored_at_ms > last_ms ? newest->stored_at_ms - last_ms : 0;
    bool behind = lag_ms >= FEED_LAG_WARNING_MS;
    bool silent = newest->stored_at_ms + FEED_SILENCE_WARNING_MS < clock_now_ms();
    const char *remedy = behind
                             ? "See whether a muster-feed is slow, was away, or waits for a full "
                               "outbox; and whether the appliance's clock is right."
                         : silent ? "See whether muster-feed runs on the members, and reads logs "
                                    "that are written."
                                  : "";
    doctor_add(doctor, "feed", behind || silent ? DOCTOR_WARNING : DOCTOR_OK,
               behind   ? "feed-lag"
               : silent ? "feed-silent"
                        : "ok",
               doctor_text(doctor, "the newest record came %s, %s after its message",
                           output_ago(newest->stored_at_ms, ago), output_span(lag_ms, lag)),
               slice_of(remedy));
}

void doctor_look_at_cluster(struct doctor *doctor)
{
    struct rpc_empty empty = {0};
    struct rpc_cluster_status status = {0};
    struct connection_error error;
    doctor->group = "cluster";
    struct status asked = cli_try(doctor->cli, RPC_CLUSTER_STATUS, &empty, &status, &error);
    if (failed(asked) && !doctor->cli->stale) {
        doctor->cli->stale = true; /* Without a leader, what this node has. */
        asked = cli_try(doctor->cli, RPC_CLUSTER_STATUS, &empty, &status, &error);
    }
    if (failed(asked)) {
        doctor_add(doctor, "state", DOCTOR_FAILURE, "state",
                   arena_copy(&doctor->cli->arena, slice_of(error.message)),
                   slice_of("`muster node status` says what this node can still do."));
        return;
    }
    look_at_members(doctor, &status);
    look_at_service(doctor, &status);
    look_at_feed(doctor);
}
