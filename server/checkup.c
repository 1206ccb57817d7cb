/*
 * A checkup: a HEAD request to each host of the region, over an HTTPS client of its own so that every
 * connection is a fresh one; a file written and synced on a worker thread; and what can be read at once.
 *
 *     begin ─► hosts (at once), disk (worker) ─► all back, or time is up ─► findings, answer
 *                                                                          └► closed, when all are back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checkup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "call.h"
#include "checkup_node.h"
#include "daemon.h"
#include "file.h"
#include "http_client.h"

#define CA_FILE_SIZE_MAX 1048576
#define HOST_TIMEOUT_MS 8000

struct host {
    struct checkup *checkup;
    char url[REGION_URL_SIZE];
    struct http_call call;
    uint64_t started_ms; /* Wall clock. */
    bool under_way;
    struct http_trace trace;
};

/* Not the checkup's memory: a disk that hangs keeps it after the answer. */
struct sync_job {
    uv_work_t work;
    struct checkup *checkup;
    char folder[CONFIG_TEXT_SIZE];
    struct sync_seen seen;
};

struct checkup {
    struct daemon *daemon;
    struct call *call;
    struct http_client *http; /* NULL: no host to look at. */
    struct buffer ca_pem;
    struct host hosts[FAMILY_COUNT];
    size_t host_count;
    size_t hosts_under_way;
    uv_timer_t timer;
    struct sync_job *sync;
    bool sync_under_way;
    struct sync_seen sync_seen;
    uint64_t started_ms; /* Monotonic. */
    unsigned open;       /* Timer, HTTPS client, worker: until they are gone. */
    bool answered;
};

/* ---- The end ---- */

static void part_gone(struct checkup *checkup)
{
    checkup->open--;
    if (checkup->open > 0) {
        return;
    }
    struct call *call = checkup->call;
    checkup->daemon->checkup = NULL;
    buffer_release(&checkup->ca_pem);
    free(checkup);
    call_release(call);
}

static void on_http_closed(void *context)
{
    part_gone(context);
}

static void on_timer_closed(uv_handle_t *timer)
{
    part_gone(timer->data);
}

static void close_parts(struct checkup *checkup)
{
    checkup->answered = true;
    for (size_t i = 0; i < checkup->host_count; i++) {
        http_cancel(&checkup->hosts[i].call);
    }
    if (checkup->http != NULL) {
        http_client_close(checkup->http, on_http_closed, checkup);
    }
    uv_close((uv_handle_t *)&checkup->timer, on_timer_closed);
}

/* ---- The answer ---- */

static void report_hosts(struct checkup *checkup, struct findings *findings)
{
    const char *proxy = checkup->daemon->config.cloud_proxy;
    bool known = false;
    int64_t skew_ms = 0;
    for (size_t i = 0; i < checkup->host_count; i++) {
        const struct host *host = &checkup->hosts[i];
        checks_host(findings, host->url, proxy[0] == '\0' ? NULL : proxy, &host->trace);
        if (!known && host->trace.date_ms != 0) {
            known = true; /* A Date has whole seconds: on average it is half a second old. */
            skew_ms = (int64_t)(host->started_ms + host->trace.took_ms / 2) -
                      (int64_t)(host->trace.date_ms + 500);
        }
    }
    if (checkup->host_count == 0) {
        checks_no_region(findings);
    } else {
        checks_clock(findings, known, skew_ms);
    }
}

static void report_disk(struct checkup *checkup, struct findings *findings)
{
    const struct daemon *daemon = checkup->daemon;
    const char *folder = daemon->config.data_directory;
    struct disk_space space = {0};
    struct status status = disk_space_of(folder, &space);
    checks_space(findings, folder, status, &space, disk_watch_state(&daemon->disk));
    checks_sync(findings, folder, &checkup->sync_seen, daemon->config.election_timeout_ms);
}

static void answer(struct checkup *checkup)
{
    struct daemon *daemon = checkup->daemon;
    struct call *call = checkup->call;
    struct findings findings;
    struct status status = findings_init(&findings, &call->arena);
    if (call->answered) {
        /* Its deadline has passed. */
    } else if (failed(status)) {
        call_fail(call, status);
    } else {
        report_hosts(checkup, &findings);
        report_disk(checkup, &findings);
        checkup_node(daemon, &findings);
        const struct rpc_findings view = {
            .name = slice_of(daemon->config.name),
            .findings = {.items = findings.items, .count = findings.count},
            .took_ms = clock_monotonic_ms() - checkup->started_ms,
        };
        call_reply(call, &view);
    }
    close_parts(checkup);
}

static void answer_if_done(struct checkup *checkup)
{
    if (!checkup->answered && checkup->hosts_under_way == 0 && !checkup->sync_under_way) {
        answer(checkup);
    }
}

static void on_time_up(uv_timer_t *timer)
{
    struct checkup *checkup = timer->data;
    for (size_t i = 0; i < checkup->host_count; i++) {
        struct host *host = &checkup->hosts[i];
        if (host->under_way) {
            host->trace = (struct http_trace){
                .at = HTTP_BREAK_ANSWER, .timed_out = true, .words = "nothing came in time"};
        }
    }
    if (checkup->sync_under_way) {
        checkup->sync_seen.status = fail(STATUS_TIMEOUT, "the disk does not answer");
    }
    answer(checkup);
}

/* ---- Hosts ---- */

static void on_host(struct http_call *call, const struct http_response *response)
{
    struct host *host = call->context;
    struct checkup *checkup = host->checkup;
    host->under_way = false;
    host->trace = response->trace;
    checkup->hosts_under_way--;
    answer_if_done(checkup);
}

static struct status look_at_host(struct checkup *checkup, const char *url)
{
    struct host *host = &checkup->hosts[checkup->host_count];
    (void)snprintf(host->url, sizeof host->url, "%s", url);
    host->checkup = checkup;
    host->started_ms = clock_now_ms();
    host->call = (struct http_call){
        .method = "HEAD",
        .url = host->url,
        .timeout_ms = HOST_TIMEOUT_MS,
        .ca_pem = buffer_slice(&checkup->ca_pem),
        .context = host,
    };
    struct status status = http_start(checkup->http, &host->call, on_host);
    if (!failed(status)) {
        host->under_way = true;
        checkup->host_count++;
        checkup->hosts_under_way++;
    }
    return status;
}

static const char *replacement(const struct config *config, enum host_family family)
{
    switch (family) {
    case FAMILY_VISIBILITY: return config->visibility_url;
    case FAMILY_PRIVATE_INTEL: return config->ctia_url;
    case FAMILY_EXCHANGE: return config->sse_url;
    case FAMILY_COUNT: break;
    }
    return "";
}

static struct status look_at_region(struct checkup *checkup, enum region region)
{
    const struct config *config = &checkup->daemon->config;
    const char *proxy = config->cloud_proxy[0] == '\0' ? NULL : config->cloud_proxy;
    struct status status = OK;
    if (config->cloud_ca_file[0] != '\0') {
        status = file_read(config->cloud_ca_file, CA_FILE_SIZE_MAX, &checkup->ca_pem);
    }
    if (!failed(status)) {
        status = http_client_open(checkup->daemon->loop, "muster/" MUSTER_VERSION " (doctor)",
                                  proxy, &checkup->http);
    }
    checkup->open += checkup->http != NULL;
    for (int family = 0; !failed(status) && family < FAMILY_COUNT; family++) {
        const char *own = replacement(config, (enum host_family)family);
        status = look_at_host(
            checkup, own[0] != '\0' ? own : region_url(region, (enum host_family)family, NULL));
    }
    return status;
}

/* The caller's, or that of the registration, or of the selected credentials. False: there is none. */
static bool choose_region(struct checkup *checkup, struct slice asked, enum region *out,
                          struct status *status)
{
    struct daemon *daemon = checkup->daemon;
    struct arena *arena = &checkup->call->arena;
    struct registration_view registration = {0};
    struct credential_view credential = {0};
    *status = OK;
    if (asked.size == 0 && daemon->store != NULL &&
        !failed(store_registration(daemon->store, arena, &registration))) {
        asked = registration.region;
    }
    if (asked.size == 0 && daemon->store != NULL &&
        !failed(store_credential(daemon->store, arena, (struct slice){0}, &credential))) {
        asked = credential.region;
    }
    if (asked.size == 0) {
        return false;
    }
    *status = region_parse(asked, out);
    return !failed(*status);
}

/* ---- The disk ---- */

static void sync_run(uv_work_t *work)
{
    struct sync_job *job = work->data;
    checkup_sync(job->folder, &job->seen);
}

static void on_synced(uv_work_t *work, int code)
{
    struct sync_job *job = work->data;
    struct checkup *checkup = job->checkup;
    checkup->sync_under_way = false;
    checkup->sync_seen = job->seen;
    if (code != 0) {
        checkup->sync_seen.status = fail(STATUS_IO, "write a file: %s", uv_strerror(code));
    }
    free(job);
    answer_if_done(checkup);
    part_gone(checkup);
}

static struct status look_at_disk(struct checkup *checkup)
{
    struct sync_job *job = alloc_zeroed(1, sizeof *job);
    if (job == NULL) {
        return fail(STATUS_NO_MEMORY, "look at the disk");
    }
    job->work.data = job;
    job->checkup = checkup;
    memcpy(job->folder, checkup->daemon->config.data_directory, sizeof job->folder);
    int rv = uv_queue_work(checkup->daemon->loop, &job->work, sync_run, on_synced);
    if (rv != 0) {
        free(job);
        return fail(STATUS_IO, "look at the disk: %s", uv_strerror(rv));
    }
    checkup->sync_under_way = true;
    checkup->open++;
    return OK;
}

/* ---- The beginning ---- */

void checkup_stop(struct checkup *checkup)
{
    if (checkup == NULL || checkup->answered) {
        return;
    }
    if (!checkup->call->answered) {
        call_fail(checkup->call, fail(STATUS_BUSY, "this node is stopping; ask again"));
    }
    close_parts(checkup);
}

static struct status start(struct checkup *checkup, struct slice region_name)
{
    enum region region = REGION_AMERICAS;
    struct status status;
    if (choose_region(checkup, region_name, &region, &status)) {
        status = look_at_region(checkup, region);
    }
    if (!failed(status)) {
        status = look_at_disk(checkup);
    }
    return status;
}

void checkup_begin(struct call *call)
{
    struct daemon *daemon = call->daemon;
    struct rpc_check params;
    if (!call_params(call, &params)) {
        return;
    }
    struct checkup *checkup = daemon->checkup == NULL ? alloc_zeroed(1, sizeof *checkup) : NULL;
    if (checkup == NULL) {
        call_fail(call, daemon->checkup != NULL
                            ? fail(STATUS_BUSY, "this node is being looked at already; ask again")
                            : fail(STATUS_NO_MEMORY, "look at this node"));
        return;
    }
    *checkup = (struct checkup){
        .daemon = daemon, .call = call, .started_ms = clock_monotonic_ms(), .open = 1};
    (void)uv_timer_init(daemon->loop, &checkup->timer);
    checkup->timer.data = checkup;
    daemon->checkup = checkup;
    call_hold(call);
    struct status status = start(checkup, params.region);
    if (failed(status)) {
        call_fail(call, status);
        close_parts(checkup);
        return;
    }
    (void)uv_timer_start(&checkup->timer, on_time_up, CHECKUP_TIMEOUT_MS, 0);
}
