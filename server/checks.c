/*
 * The verdicts of `muster doctor`, and their words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checks.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "region.h"
#include "views.h"

enum verdict {
    VERDICT_OK,
    VERDICT_WARNING,
    VERDICT_FAILURE,
};

struct status findings_init(struct findings *findings, struct arena *arena)
{
    *findings = (struct findings){
        .arena = arena,
        .items = arena_alloc(arena, RPC_FINDINGS_MAX, sizeof *findings->items),
    };
    return findings->items != NULL ? OK : fail(STATUS_NO_MEMORY, "look at this node");
}

static struct slice verdict_name(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_OK: break;
    case VERDICT_WARNING: return slice_of("warning");
    case VERDICT_FAILURE: return slice_of("failure");
    }
    return slice_of("ok");
}

/* `what` and `remedy` live in the arena or for ever. */
static void add(struct findings *findings, const char *subject, enum verdict verdict,
                const char *code, struct slice what, struct slice remedy)
{
    if (findings->count < RPC_FINDINGS_MAX) {
        findings->items[findings->count++] = (struct rpc_finding){
            .group = slice_of(findings->group),
            .subject = arena_copy(findings->arena, slice_of(subject)),
            .verdict = verdict_name(verdict),
            .code = slice_of(code),
            .what = what,
            .remedy = remedy,
        };
    }
}

/* ---- The cloud ---- */

#define HOST_SIZE (REGION_URL_SIZE + 8)

/* "host:443" of "https://host". */
static void host_of(const char *url, char out[HOST_SIZE])
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    const char *colon = strrchr(host, ':');
    bool has_port = colon != NULL && strchr(colon, ']') == NULL;
    (void)snprintf(out, HOST_SIZE, "%.*s%s", REGION_URL_SIZE, host, has_port ? "" : ":443");
}

struct host_words {
    const char *code;
    const char *what;   /* Of the subject; "%s" is the detail, and must be there. */
    const char *remedy; /* "%s" is the host, and need not be there. */
};

static const struct host_words host_words[] = {
    [HTTP_BREAK_NONE] = {"ok", "%s", ""},
    [HTTP_BREAK_PROXY_NAME] = {"proxy-name", "the proxy's name is not resolved: %s",
                               "Correct cloud_proxy, or the DNS servers in /etc/resolv.conf."},
    [HTTP_BREAK_PROXY_CONNECTION] = {"proxy-connection", "the proxy is not reached: %s",
                                     "Correct cloud_proxy, or see that the proxy runs and that no "
                                     "firewall stands before it."},
    [HTTP_BREAK_PROXY_REFUSAL] = {"proxy-refusal", "the proxy refuses to connect: %s",
                                  "Let the proxy pass CONNECT to %s from this node, without asking "
                                  "it for a password."},
    [HTTP_BREAK_NAME] = {"name", "its name is not resolved: %s",
                         "See that a DNS server in /etc/resolv.conf answers this node and knows "
                         "%s: `getent hosts` with the name, as root."},
    [HTTP_BREAK_CONNECTION] = {"connection", "no TCP connection: %s",
                               "Open HTTPS (TCP 443) from this node to %s in every firewall on the "
                               "way, or set cloud_proxy if only a proxy may go out."},
    [HTTP_BREAK_TLS] = {"tls", "connected, but the TLS handshake is broken off: %s",
                        "Something on the way ends TLS: let firewall, proxy and inspection pass %s "
                        "unchanged."},
    [HTTP_BREAK_CERTIFICATE_NAME] =
        {"certificate-name", "it shows the certificate of another name: %s",
         "Something else answers in its place: look at DNS, proxy and inspection for %s."},
    [HTTP_BREAK_CERTIFICATE_TIME] =
        {"certificate-time", "its certificate is not good at this time: %s",
         "Set this node's clock (chrony or systemd-timesyncd); if it is right, the certificate of "
         "%s is really over."},
    [HTTP_BREAK_CERTIFICATE_ISSUER] =
        {"certificate-issuer", "its certificate is of no CA that is trusted here: %s",
         "If TLS is inspected on the way, exempt %s or name the inspecting CA in cloud_ca_file; "
         "otherwise update ca-certificates."},
    [HTTP_BREAK_ANSWER] = {"answer", "TLS is good, but no answer comes: %s",
                           "Try again; if it stays, something on the way to %s holds HTTPS up."},
};

static const char *connection_detail(const struct http_trace *trace)
{
    if (trace->timed_out) {
        return "no answer: a firewall drops it, it seems";
    }
    return trace->refused ? "refused: the port is closed" : trace->words;
}

static struct slice host_detail(struct findings *findings, const struct http_trace *trace,
                                const char *proxy)
{
    bool connection =
        trace->at == HTTP_BREAK_CONNECTION || trace->at == HTTP_BREAK_PROXY_CONNECTION;
    bool name = trace->at == HTTP_BREAK_NAME || trace->at == HTTP_BREAK_PROXY_NAME;
    if (trace->at == HTTP_BREAK_NONE) {
        return view_text(findings->arena,
                         "name, TCP and TLS are good: %s%.200s answered in %llu ms",
                         proxy != NULL ? "through " : "", proxy != NULL ? proxy : trace->address,
                         (unsigned long long)trace->took_ms);
    }
    if (trace->at == HTTP_BREAK_PROXY_REFUSAL) {
        return view_text(findings->arena, "%.200s answered %u", proxy != NULL ? proxy : "",
                         trace->proxy_code);
    }
    if (name && trace->timed_out) {
        return slice_of("no DNS server answers");
    }
    return slice_of(connection ? connection_detail(trace) : trace->words);
}

/* The "%s" of a row's words replaced; they are ours, and have one at most. */
static struct slice fill(struct findings *findings, const char *words, struct slice value)
{
    const char *mark = strstr(words, "%s");
    if (mark == NULL) {
        return slice_of(words);
    }
    return view_text(findings->arena, "%.*s%.*s%s", (int)(mark - words), words, SLICE_ARG(value),
                     mark + 2);
}

void checks_host(struct findings *findings, const char *url, const char *proxy,
                 const struct http_trace *trace)
{
    char host[HOST_SIZE];
    const struct host_words *words = &host_words[trace->at];
    findings->group = "cloud";
    host_of(url, host);
    struct slice what = fill(findings, words->what, host_detail(findings, trace, proxy));
    add(findings, host, trace->at == HTTP_BREAK_NONE ? VERDICT_OK : VERDICT_FAILURE, words->code,
        what, fill(findings, words->remedy, slice_of(host)));
}

void checks_no_region(struct findings *findings)
{
    findings->group = "cloud";
    add(findings, "region", VERDICT_WARNING, "no-region",
        slice_of("no region is chosen, so no host of the cloud was looked at"),
        slice_of("`muster registration enable AMERICAS` or EUROPE; to look before that, `muster "
                 "doctor --region`."));
}

void checks_clock(struct findings *findings, bool known, int64_t skew_ms)
{
    uint64_t off_ms = skew_ms < 0 ? (uint64_t)-skew_ms : (uint64_t)skew_ms;
    const char *direction = skew_ms < 0 ? "behind" : "ahead of";
    enum verdict verdict = off_ms >= CHECKS_SKEW_FAILURE_MS   ? VERDICT_FAILURE
                           : off_ms >= CHECKS_SKEW_WARNING_MS ? VERDICT_WARNING
                                                              : VERDICT_OK;
    findings->group = "cloud";
    if (!known) {
        add(findings, "clock", VERDICT_WARNING, "clock-unknown",
            slice_of("not compared with the cloud's: no host told its time"),
            slice_of("Mend what is wrong with the hosts above, then look again."));
        return;
    }
    add(findings, "clock", verdict, verdict == VERDICT_OK ? "ok" : "clock",
        view_text(findings->arena, "%llu s %s the cloud's", (unsigned long long)(off_ms / 1000),
                  direction),
        slice_of(verdict == VERDICT_OK
                     ? ""
                     : "Set this node's clock and keep it set (chrony or systemd-timesyncd)."));
}

/* ---- The disk ---- */

void checks_space(struct findings *findings, const char *folder, struct status status,
                  const struct disk_space *space, enum disk_state state)
{
    findings->group = "disk";
    if (failed(status)) {
        add(findings, "space", VERDICT_FAILURE, "space-unknown",
            view_text(findings->arena, "%s", status.message),
            view_text(findings->arena, "Look at the disk of %.200s.", folder));
        return;
    }
    struct slice what = view_text(findings->arena, "%llu of %llu MiB free at %.200s",
                                  (unsigned long long)(space->free >> 20U),
                                  (unsigned long long)(space->size >> 20U), folder);
    if (space->read_only) {
        add(findings, "space", VERDICT_FAILURE, "read-only",
            view_text(findings->arena, "the disk of %.200s is mounted read only", folder),
            slice_of("Look at the kernel's log for errors of the disk, then mount it writable."));
    } else if (space->free_inodes < DISK_WATCH_INODES_MIN) {
        add(findings, "space", VERDICT_FAILURE, "no-inodes",
            view_text(findings->arena, "no inodes are left at %.200s", folder),
            slice_of("Remove small files from the data folder's disk."));
    } else if (state == DISK_FULL) {
        add(findings, "space", VERDICT_FAILURE, "full", what,
            slice_of("Free space: with less than disk_reserve_mib the node takes no new entries."));
    } else if (state == DISK_LOW) {
        add(findings, "space", VERDICT_WARNING, "low", what,
            slice_of("Free space on the data folder's disk before it is full."));
    } else {
        add(findings, "space", VERDICT_OK, "ok", what, slice_of(""));
    }
}

void checks_sync(struct findings *findings, const char *folder, const struct sync_seen *seen,
                 uint64_t election_timeout_ms)
{
    findings->group = "disk";
    if (seen->status.code == STATUS_TIMEOUT) {
        add(findings, "fsync", VERDICT_FAILURE, "sync-stuck",
            view_text(findings->arena, "a file written at %.200s is still not on the disk", folder),
            slice_of("The disk hangs: look at it, its controller and the kernel's log."));
        return;
    }
    if (failed(seen->status)) {
        add(findings, "fsync", VERDICT_FAILURE, "sync-failed",
            view_text(findings->arena, "%s", seen->status.message),
            view_text(findings->arena, "Look at the disk of %.200s and its free space.", folder));
        return;
    }
    bool too_slow = seen->worst_us / 1000 >= election_timeout_ms;
    bool slow = seen->median_us >= CHECKS_SYNC_WARNING_US;
    add(findings, "fsync",
        too_slow ? VERDICT_FAILURE
        : slow   ? VERDICT_WARNING
                 : VERDICT_OK,
        too_slow || slow ? "sync-slow" : "ok",
        view_text(findings->arena, "%.1f ms, the slowest %.1f ms", (double)seen->median_us / 1000,
                  (double)seen->worst_us / 1000),
        slice_of(too_slow || slow
                     ? "Every change waits for this on most voters: give the data folder a faster "
                       "disk, or one that nobody else keeps busy."
                     : ""));
}

/* ---- Files ---- */

void checks_path(struct findings *findings, const struct path_seen *seen)
{
    unsigned loose = seen->mode & seen->refused_mode;
    findings->group = "files";
    if (seen->error != 0) {
        add(findings, seen->subject, VERDICT_FAILURE, "unreadable",
            view_text(findings->arena, "%.200s: %s", seen->path, strerror(seen->error)),
            slice_of("Put it back, readable for the user that musterd runs as."));
    } else if (seen->is_folder != seen->folder) {
        add(findings, seen->subject, VERDICT_FAILURE, "wrong-kind",
            view_text(findings->arena, "%.200s is %s folder", seen->path,
                      seen->folder ? "no" : "a"),
            slice_of("Correct the path in the configuration."));
    } else if (seen->owner != seen->ours && seen->owner != 0) {
        add(findings, seen->subject, VERDICT_FAILURE, "owner",
            view_text(findings->arena, "%.200s belongs to uid %u, and musterd runs as uid %u",
                      seen->path, (unsigned)seen->owner, (unsigned)seen->ours),
            view_text(findings->arena, "`chown %u %.200s`", (unsigned)seen->ours, seen->path));
    } else if (loose != 0) {
        /* Names in a folder are no secret; what stands in a file is. */
        bool harmless = seen->folder && (loose & 0022) == 0;
        add(findings, seen->subject, harmless ? VERDICT_WARNING : VERDICT_FAILURE, "mode",
            view_text(findings->arena, "%.200s has mode %04o: others may %s it", seen->path,
                      seen->mode, (loose & 0022) != 0 ? "change" : "read"),
            view_text(findings->arena, "`chmod %04o %.200s`", seen->mode & ~seen->refused_mode,
                      seen->path));
    } else {
        add(findings, seen->subject, VERDICT_OK, "ok",
            view_text(findings->arena, "%.200s, mode %04o", seen->path, seen->mode), slice_of(""));
    }
}

/* ---- The node ---- */

void checks_certificate(struct findings *findings, const struct certificate_seen *seen,
                        uint64_t now_ms)
{
    char until[CLOCK_TEXT_SIZE];
    findings->group = "node";
    if (failed(seen->status)) {
        add(findings, seen->subject, VERDICT_FAILURE, "unreadable",
            view_text(findings->arena, "%s", seen->status.message), slice_of(seen->remedy));
        return;
    }
    bool early = now_ms < seen->not_before_ms;
    bool over = now_ms >= seen->not_after_ms;
    bool soon = now_ms + CHECKS_CERTIFICATE_WARNING_MS >= seen->not_after_ms;
    struct slice what =
        view_text(findings->arena, "good %s %s", early ? "only from" : "until",
                  clock_format(early ? seen->not_before_ms : seen->not_after_ms, until));
    if (early) {
        add(findings, seen->subject, VERDICT_FAILURE, "early", what,
            slice_of("Set this node's clock: it seems to be behind."));
    } else if (over) {
        add(findings, seen->subject, VERDICT_FAILURE, "over",
            view_text(findings->arena, "over since %s", until), slice_of(seen->remedy));
    } else {
        add(findings, seen->subject, soon ? VERDICT_WARNING : VERDICT_OK, soon ? "soon" : "ok",
            what, slice_of(soon ? seen->remedy : ""));
    }
}

void checks_library(struct findings *findings, const char *name, const char *version,
                    uint64_t built, uint64_t running)
{
    bool older = running < built;
    findings->group = "node";
    add(findings, name, older ? VERDICT_WARNING : VERDICT_OK, older ? "older" : "ok",
        view_text(findings->arena, "%.100s%s", version,
                  older ? ", older than the one that musterd was built with" : ""),
        slice_of(older ? "Install the library of the release that this package is for, and "
                         "restart musterd."
                       : ""));
}

void checks_suspension(struct findings *findings, const struct suspension *suspension)
{
    char since[CLOCK_TEXT_SIZE];
    findings->group = "node";
    if (suspension == NULL) {
        add(findings, "part", VERDICT_OK, "ok", slice_of("this node takes part in its cluster"),
            slice_of(""));
        return;
    }
    add(findings, "part", VERDICT_FAILURE, suspension_kind_name(suspension->kind),
        view_text(findings->arena, "this node takes no part since %s: %s",
                  clock_format(suspension->since_ms, since), suspension->reason.message),
        slice_of(suspension_remedy(suspension->kind)));
}
