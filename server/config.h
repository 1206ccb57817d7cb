/*
 * Configuration of musterd: a table of options, read from a file, then the environment, then the
 * command line; the later wins. Parser, --help, the example file and docs/configuration.md all come
 * from the same rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CONFIG_FEED_GROUP "muster-feed" /* deploy/sysusers.conf makes it. */
#define CONFIG_TEXT_SIZE 256 /* Bytes of a text option, its zero byte included. */

struct config {
    char name[CONFIG_TEXT_SIZE];
    char serial[CONFIG_TEXT_SIZE];
    char model[CONFIG_TEXT_SIZE];
    char data_directory[CONFIG_TEXT_SIZE];
    char root_secret_file[CONFIG_TEXT_SIZE];
    char socket[CONFIG_TEXT_SIZE];
    char socket_operator_group[CONFIG_TEXT_SIZE];
    char rpc_listen[CONFIG_TEXT_SIZE];
    char rpc_address[CONFIG_TEXT_SIZE];
    char peer_listen[CONFIG_TEXT_SIZE];
    char peer_address[CONFIG_TEXT_SIZE];
    char contact[CONFIG_TEXT_SIZE];
    char visibility_url[CONFIG_TEXT_SIZE];
    char ctia_url[CONFIG_TEXT_SIZE];
    char sse_url[CONFIG_TEXT_SIZE];
    char cloud_ca_file[CONFIG_TEXT_SIZE];
    char cloud_proxy[CONFIG_TEXT_SIZE];
    char log_level[CONFIG_TEXT_SIZE];
    uint64_t voters;
    uint64_t election_timeout_ms;
    uint64_t heartbeat_ms;
    uint64_t join_timeout_s;
    uint64_t device_heartbeat_s;
    uint64_t flush_delay_ms;
    uint64_t outbox_max;
    uint64_t records_max;
    uint64_t audit_max;
    uint64_t audit_journal;
    uint64_t store_size_max_mib;
    uint64_t disk_reserve_mib;
    uint64_t disk_alarm_percent;
    uint64_t snapshot_after_mib;
    uint64_t catchup_rate_max_mib;
    uint64_t catchup_log_max_mib;
    uint64_t connections_max;
    uint64_t connections_per_address_max;
    uint64_t connections_per_s_max;
    uint64_t requests_per_s_max;
    uint64_t scrub_mib_per_s;
};

enum config_kind {
    CONFIG_TEXT,    /* Anything printable. */
    CONFIG_NAME,    /* 1 to 64 of a-z A-Z 0-9 . _ - */
    CONFIG_PATH,    /* Absolute, or empty. */
    CONFIG_ADDRESS, /* host:port, or empty. */
    CONFIG_URL,     /* https://host[:port], or empty. */
    CONFIG_PROXY,   /* http://host:port, or empty. */
    CONFIG_NUMBER,
};

struct config_row {
    const char *name; /* As in the file; "--" and dashes on the command line; MUSTER_ and capitals
                         in the environment. */
    enum config_kind kind;
    size_t offset; /* In struct config. */
    const char *fallback;
    uint64_t min; /* CONFIG_NUMBER only. */
    uint64_t max;
    const char *unit;    /* "" for texts. */
    const char *summary; /* One sentence. */
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

/* Every row's fallback. Rows whose fallback depends on this host (name) are filled here too. */
void config_init(struct config *config);

/* Set one option from text. STATUS_INVALID says which and why; `config` is then unchanged. */
MUST_USE struct status config_set(struct config *config, const char *name, const char *value);

/* Read a file of `name = value` lines. STATUS_NOT_FOUND, or STATUS_INVALID with the line. */
MUST_USE struct status config_read_file(struct config *config, const char *path);

/* Read MUSTER_* from the environment. An unknown MUSTER_ name is not ours to judge: ignored. */
MUST_USE struct status config_read_environment(struct config *config);

/* What no single row can check: addresses that must be given together, and the like. Fills
 * addresses left empty from those that are told. STATUS_INVALID names the option and the remedy. */
MUST_USE struct status config_finish(struct config *config);

/* The example file, or the table of docs/configuration.md. */
void config_print_example(void);
void config_print_markdown(void);

#endif
