/*
 * The option rows of musterd and their reading.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "region.h"

#define TEXT(member, kind_, fallback_, summary_)                                                   \
    {                                                                                              \
        .name = #member, .kind = (kind_), .offset = offsetof(struct config, member),               \
        .fallback = (fallback_), .unit = "", .summary = (summary_)                                 \
    }

#define NUMBER(member, fallback_, min_, max_, unit_, summary_)                                     \
    {                                                                                              \
        .name = #member, .kind = CONFIG_NUMBER, .offset = offsetof(struct config, member),         \
        .fallback = (fallback_), .min = (min_), .max = (max_), .unit = (unit_),                    \
        .summary = (summary_)                                                                      \
    }

const struct config_row config_rows[] = {
    TEXT(name, CONFIG_NAME, "",
         "Name of this node, unique in its cluster; the host name if empty."),
    TEXT(serial, CONFIG_NAME, "",
         "Serial number of this appliance, as its own logs print it. Must be set."),
    TEXT(model, CONFIG_TEXT, "", "Model of this appliance, told to the cloud."),
    TEXT(data_directory, CONFIG_PATH, "/var/lib/muster",
         "Folder for the log, the store and the node's sealed keys."),
    TEXT(root_secret_file, CONFIG_PATH, "",
         "File with the 32 bytes that seal the node's keys. If empty: systemd's credential "
         "muster-root-secret, or DATA_DIRECTORY/root.secret, which is made at the first start."),
    TEXT(socket, CONFIG_PATH, "/run/muster/rpc.sock", "UNIX socket of the admin RPC."),
    TEXT(socket_operator_group, CONFIG_NAME, CONFIG_FEED_GROUP,
         "UNIX group whose members are operators on the socket, if they can open it; that of the "
         "package's feeds may be missing."),
    TEXT(rpc_listen, CONFIG_ADDRESS, "127.0.0.1:7670",
         "Where the admin RPC listens with TLS, for members, joining nodes and operators."),
    TEXT(rpc_address, CONFIG_ADDRESS, "", "The same as others reach it; rpc_listen if empty."),
    TEXT(peer_listen, CONFIG_ADDRESS, "127.0.0.1:7671", "Where other members connect to."),
    TEXT(peer_address, CONFIG_ADDRESS, "", "The same as others reach it; peer_listen if empty."),
    TEXT(contact, CONFIG_ADDRESS, "",
         "Admin RPC of a member, to be asked too when no known one answers: after all have moved."),
    TEXT(visibility_url, CONFIG_URL, "",
         "Instead of the region's own visibility host, for a private cloud or a simulator."),
    TEXT(ctia_url, CONFIG_URL, "", "Instead of the region's own private intelligence host."),
    TEXT(sse_url, CONFIG_URL, "", "Instead of the region's own Security Services Exchange host."),
    TEXT(cloud_ca_file, CONFIG_PATH, "",
         "CA certificates (PEM) to verify the cloud with, instead of the system's."),
    TEXT(cloud_proxy, CONFIG_PROXY, "",
         "HTTP proxy, http://host:port, that all calls to the cloud go through (CONNECT); none if "
         "empty. One that asks for a password is not supported. The environment's proxies are not "
         "used."),
    TEXT(log_level, CONFIG_TEXT, "info", "error, warning, notice, info or debug."),
    NUMBER(
        voters, "3", 1, 7, "nodes",
        "How many members of a cluster begun here vote; later `muster cluster set voters`. Odd."),
    NUMBER(election_timeout_ms, "1000", 100, 60000, "ms",
           "Silence of the leader after which another stands for election."),
    NUMBER(heartbeat_ms, "100", 10, 10000, "ms", "How often the leader is heard at least."),
    NUMBER(join_timeout_s, "120", 5, 3600, "s",
           "An admitted node that has not caught up by then is rolled back."),
    NUMBER(device_heartbeat_s, "300", 1, 3600, "s",
           "How often the leader asks the cloud whether it still takes the registered device, and "
           "looks whether the device's certificate is to be renewed."),
    NUMBER(flush_delay_ms, "10", 0, 1000, "ms",
           "How long applied entries may wait for their LMDB commit; the log is durable before."),
    NUMBER(outbox_max, "2000000", 1000, 100000000, "records",
           "Undelivered records at which producers are told to wait. The same on all nodes."),
    NUMBER(records_max, "5000000", 1000, 1000000000, "records",
           "Records kept for search; beyond it the oldest delivered ones go."),
    NUMBER(audit_max, "1000000", 100, 100000000, "lines",
           "Lines of the audit kept; beyond it the leader lets the oldest tenth go."),
    NUMBER(audit_journal, "0", 0, 1, "",
           "1: this node writes each line of the audit to the journal too (or to standard error)."),
    NUMBER(store_size_max_mib, "16384", 64, 1048576, "MiB", "Largest size of the store's file."),
    NUMBER(disk_reserve_mib, "64", 1, 1048576, "MiB",
           "Free space of the data folder's disk that is kept back for what was accepted already: "
           "with less, the node takes no new entries and lets another lead."),
    NUMBER(disk_alarm_percent, "5", 0, 50, "%",
           "Free part of the data folder's disk below which `muster status` warns; in any case "
           "below twice disk_reserve_mib."),
    NUMBER(snapshot_after_mib, "64", 1, 4096, "MiB", "Log written between two snapshots."),
    NUMBER(catchup_rate_max_mib, "32", 0, 100000, "MiB/s",
           "Of the images that this node sends to members that catch up, together; 0: no limit."),
    NUMBER(catchup_log_max_mib, "256", 16, 65536, "MiB",
           "Log kept, in memory too, for a member that catches up; beyond it needs another image."),
    NUMBER(connections_max, "4096", 8, 65536, "connections", "Open admin RPC connections."),
    NUMBER(connections_per_address_max, "256", 1, 65536, "connections",
           "Of them from one address, or one user of the socket; members and administrators on the "
           "socket are not held to it."),
    NUMBER(connections_per_s_max, "50", 0, 100000, "connections/s",
           "New ones from one address, after as many at once as two seconds bring; 0: no limit. "
           "Likewise."),
    NUMBER(
        requests_per_s_max, "1000", 0, 1000000, "requests/s",
        "Of one address, after as many at once as two seconds bring, or it is told to wait; 0: no "
        "limit. Likewise."),
    NUMBER(scrub_mib_per_s, "4", 0, 1024, "MiB/s",
           "How much of the store is read again each second, to find damage; 0: none."),
};

const size_t config_row_count = sizeof config_rows / sizeof config_rows[0];

static char *text_of(struct config *config, const struct config_row *row)
{
    return (char *)config + row->offset;
}

static uint64_t *number_of(struct config *config, const struct config_row *row)
{
    return (uint64_t *)(void *)((char *)config + row->offset);
}

static const struct config_row *find_row(const char *name)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (strcmp(config_rows[i].name, name) == 0) {
            return &config_rows[i];
        }
    }
    return NULL;
}

static struct status set_number(struct config *config, const struct config_row *row,
                                const char *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || number < row->min ||
        number > row->max) {
        return fail(STATUS_INVALID, "%s is a number from %llu to %llu %s, not \"%s\"", row->name,
                    (unsigned long long)row->min, (unsigned long long)row->max, row->unit, value);
    }
    *number_of(config, row) = number;
    return OK;
}

static bool is_address(const char *value)
{
    const char *colon = strrchr(value, ':');
    if (colon == NULL || colon == value || !isdigit((unsigned char)colon[1])) {
        return false;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || end - colon > 6 || port > 65535 || strncmp(value, "[]:", 3) == 0) {
        return false; /* Also what only looks like one: zeros before the port, empty brackets. */
    }
    /* A version 6 address must be bracketed, or its last group would pass for a port. */
    bool several = memchr(value, ':', (size_t)(colon - value)) != NULL;
    return !several || (value[0] == '[' && colon[-1] == ']');
}

/* Neither a path nor a user: a password does not belong into this file. */
static bool is_proxy(const char *value)
{
    static const char scheme[] = "http://";
    const char *host = value + sizeof scheme - 1;
    return strncmp(value, scheme, sizeof scheme - 1) == 0 && is_address(host) &&
           strpbrk(host, "/@?#") == NULL;
}

static bool is_name(const char *value)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return strlen(value) <= 64 && value[strspn(value, allowed)] == '\0';
}

static const char *complaint(const struct config_row *row, const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (iscntrl((unsigned char)*at)) {
            return "has a control character in it";
        }
    }
    if (strlen(value) >= CONFIG_TEXT_SIZE || !slice_is_text(slice_of(value))) {
        return "is text of at most 255 bytes in UTF-8";
    }
    switch (row->kind) {
    case CONFIG_NAME: return is_name(value) ? NULL : "is 1 to 64 letters, digits, '.', '_' or '-'";
    case CONFIG_PATH: return value[0] == '\0' || value[0] == '/' ? NULL : "is an absolute path";
    case CONFIG_ADDRESS:
        return value[0] == '\0' || is_address(value) ? NULL : "is host:port or [address]:port";
    case CONFIG_URL:
        return value[0] == '\0' || !failed(region_url_check(value)) ? NULL
                                                                    : "is https://host[:port]";
    case CONFIG_PROXY: return value[0] == '\0' || is_proxy(value) ? NULL : "is http://host:port";
    case CONFIG_TEXT:
    case CONFIG_NUMBER: return NULL;
    }
    return NULL;
}

struct status config_set(struct config *config, const char *name, const char *value)
{
    const struct config_row *row = find_row(name);
    if (row == NULL) {
        return fail(STATUS_INVALID, "there is no option %.64s; musterd --help lists them", name);
    }
    if (row->kind == CONFIG_NUMBER) {
        return set_number(config, row, value);
    }
    const char *wrong = complaint(row, value);
    if (wrong != NULL && strchr(value, '@') != NULL) { /* It may hold a password: into no log. */
        return fail(STATUS_INVALID,
                    "%s %s, without a user and password%s (not shown: what was given has an '@')",
                    row->name, wrong,
                    row->kind == CONFIG_PROXY ? "; a proxy that asks for one is not supported: let "
                                                "it pass this node by its address"
                                              : "");
    }
    if (wrong != NULL) {
        return fail(STATUS_INVALID, "%s %s, not \"%.100s\"", row->name, wrong, value);
    }
    (void)snprintf(text_of(config, row), CONFIG_TEXT_SIZE, "%s", value);
    return OK;
}

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind == CONFIG_NUMBER) {
            *number_of(config, row) = strtoull(row->fallback, NULL, 10);
        } else {
            (void)snprintf(text_of(config, row), CONFIG_TEXT_SIZE, "%s", row->fallback);
        }
    }
    char host[CONFIG_TEXT_SIZE] = "";
    (void)gethostname(host, sizeof host - 1);
    if (is_name(host)) {
        (void)snprintf(config->name, sizeof config->name, "%s", host);
    }
}

/* libconfuse reports through a callback without context; one file is read at a time, at start. */
static char parse_error[STATUS_MESSAGE_SIZE];

static void PRINTF_LIKE(2, 0) note_parse_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char what[160];
    (void)vsnprintf(what, sizeof what, format, arguments);
    (void)snprintf(parse_error, sizeof parse_error, "%s: line %d: %s",
                   cfg->filename == NULL ? "configuration" : cfg->filename, cfg->line, what);
}

/* Every value is read as text, so that all three sources go through config_set(). */
static struct status take_file_options(struct config *config, cfg_t *cfg, const char *path)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (cfg_size(cfg, config_rows[i].name) == 0) {
            continue;
        }
        struct status status =
            config_set(config, config_rows[i].name, cfg_getstr(cfg, config_rows[i].name));
        if (failed(status)) {
            return wrap(status, "%s", path);
        }
    }
    return OK;
}

struct status config_read_file(struct config *config, const char *path)
{
    cfg_opt_t options[sizeof config_rows / sizeof config_rows[0] + 1];
    for (size_t i = 0; i < config_row_count; i++) {
        options[i] = (cfg_opt_t)CFG_STR(config_rows[i].name, NULL, CFGF_NODEFAULT);
    }
    options[config_row_count] = (cfg_opt_t)CFG_END();

    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (cfg == NULL) {
        return fail(STATUS_NO_MEMORY, "read %s", path);
    }
    (void)cfg_set_error_function(cfg, note_parse_error);
    parse_error[0] = '\0';
    struct status status;
    switch (cfg_parse(cfg, path)) {
    case CFG_SUCCESS: status = take_file_options(config, cfg, path); break;
    case CFG_FILE_ERROR: status = fail_errno(errno, "read %s", path); break;
    default: /* For bytes that are no text libconfuse has no words. */
        status = parse_error[0] != '\0'
                     ? fail(STATUS_INVALID, "%s", parse_error)
                     : fail(STATUS_INVALID, "%s is not text of the form name = \"value\"", path);
        break;
    }
    (void)cfg_free(cfg);
    return status;
}

struct status config_read_environment(struct config *config)
{
    for (size_t i = 0; i < config_row_count; i++) {
        char name[CONFIG_TEXT_SIZE];
        (void)snprintf(name, sizeof name, "MUSTER_%s", config_rows[i].name);
        for (char *at = name; *at != '\0'; at++) {
            *at = (char)toupper((unsigned char)*at);
        }
        const char *value = getenv(name);
        if (value == NULL) {
            continue;
        }
        struct status status = config_set(config, config_rows[i].name, value);
        if (failed(status)) {
            return wrap(status, "environment %s", name);
        }
    }
    return OK;
}

struct status config_finish(struct config *config)
{
    enum log_level level;
    if (config->name[0] == '\0') {
        return fail(STATUS_INVALID, "name is empty and the host name cannot serve: set name");
    }
    if (config->serial[0] == '\0') {
        return fail(STATUS_INVALID, "serial is empty: set it to this appliance's serial number");
    }
    if (config->voters % 2 == 0) {
        return fail(STATUS_INVALID, "voters is odd (1, 3, 5 or 7), not %llu",
                    (unsigned long long)config->voters);
    }
    if (config->heartbeat_ms * 2 > config->election_timeout_ms) {
        return fail(STATUS_INVALID, "heartbeat_ms is at most half of election_timeout_ms");
    }
    if (!log_level_parse(config->log_level, &level)) {
        return fail(STATUS_INVALID,
                    "log_level is error, warning, notice, info or debug, not \"%s\"",
                    config->log_level);
    }
    if (config->peer_listen[0] == '\0' || config->rpc_listen[0] == '\0') {
        return fail(STATUS_INVALID, "peer_listen and rpc_listen cannot be empty");
    }
    if (config->rpc_address[0] == '\0') {
        memcpy(config->rpc_address, config->rpc_listen, sizeof config->rpc_address);
    }
    if (config->peer_address[0] == '\0') {
        memcpy(config->peer_address, config->peer_listen, sizeof config->peer_address);
    }
    return OK;
}

void config_print_example(void)
{
    (void)printf("# Configuration of musterd. Every option stands here with its default.\n");
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        (void)printf("\n# %s\n", row->summary);
        if (row->kind == CONFIG_NUMBER) {
            (void)printf("# %llu to %llu %s.\n", (unsigned long long)row->min,
                         (unsigned long long)row->max, row->unit);
        }
        (void)printf("#%s = \"%s\"\n", row->name, row->fallback);
    }
}

static const char markdown_head[] =
    "# Configuration of musterd\n"
    "\n"
    "Read from `/etc/muster/musterd.conf` (or `--config FILE`) as `name = \"value\"`, then from "
    "the environment (`MUSTER_NAME`), then\n"
    "from the command line (`--name VALUE`, dashes for underscores); the later wins. `musterd "
    "--check-config` says whether it is good,\n"
    "`musterd --print-example` prints a file with every default. This page is what `musterd "
    "--print-markdown` prints.\n"
    "\n"
    "| option | default | range | what |\n"
    "| --- | --- | --- | --- |\n";

void config_print_markdown(void)
{
    (void)fputs(markdown_head, stdout);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        (void)printf("| `%s` | %s | ", row->name, row->fallback[0] == '\0' ? "-" : row->fallback);
        if (row->kind == CONFIG_NUMBER) {
            (void)printf("%llu to %llu %s", (unsigned long long)row->min,
                         (unsigned long long)row->max, row->unit);
        }
        (void)printf(" | %s |\n", row->summary);
    }
}
