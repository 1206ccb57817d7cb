/*
 * musterd: the daemon, one per appliance.
 *
 * Reads its configuration, hardens the process, runs the daemon, and runs it again when it has
 * joined or left a cluster, or has to be suspended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "config.h"
#include "daemon.h"
#include "harden.h"
#include "last_words.h"

#define EXIT_CONFIG 78
#define DEFAULT_FILE "/etc/muster/musterd.conf"

enum option_key {
    OPTION_FILE = 'c',
    OPTION_CHECK = 0x100,
    OPTION_EXAMPLE,
    OPTION_MARKDOWN,
    OPTION_ROW, /* And so many more: one a configuration row. */
};

struct arguments {
    const char *file;
    bool check;
    struct {
        const struct config_row *row;
        const char *value;
    } settings[64];
    size_t setting_count;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    if (key >= OPTION_ROW && key < OPTION_ROW + (int)config_row_count) {
        if (arguments->setting_count ==
            sizeof arguments->settings / sizeof arguments->settings[0]) {
            argp_error(state, "too many options");
        }
        arguments->settings[arguments->setting_count].row = &config_rows[key - OPTION_ROW];
        arguments->settings[arguments->setting_count].value = argument;
        arguments->setting_count++;
        return 0;
    }
    switch (key) {
    case OPTION_FILE: arguments->file = argument; return 0;
    case OPTION_CHECK: arguments->check = true; return 0;
    case OPTION_EXAMPLE: config_print_example(); exit(0);
    case OPTION_MARKDOWN: config_print_markdown(); exit(0);
    case ARGP_KEY_ARG: argp_error(state, "%s: musterd takes options only", argument); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The options of the configuration, with dashes, after our own. */
static struct argp_option *make_options(char (*names)[CONFIG_TEXT_SIZE])
{
    static const struct argp_option own[] = {
        {"config", OPTION_FILE, "FILE", 0, "Read this file (" DEFAULT_FILE " if it is there)", 0},
        {"check-config", OPTION_CHECK, NULL, 0, "Say whether the configuration is good, and exit",
         0},
        {"print-example", OPTION_EXAMPLE, NULL, 0, "Print an example file, and exit", 0},
        {"print-markdown", OPTION_MARKDOWN, NULL, OPTION_HIDDEN, "For docs/configuration.md", 0},
    };
    size_t own_count = sizeof own / sizeof own[0];
    struct argp_option *options = alloc_zeroed(own_count + config_row_count + 1, sizeof *options);
    if (options == NULL) {
        return NULL;
    }
    memcpy(options, own, sizeof own);
    for (size_t i = 0; i < config_row_count; i++) {
        (void)snprintf(names[i], CONFIG_TEXT_SIZE, "%s", config_rows[i].name);
        for (char *at = names[i]; *at != '\0'; at++) {
            *at = *at == '_' ? '-' : *at;
        }
        options[own_count + i] = (struct argp_option){
            .name = names[i],
            .key = OPTION_ROW + (int)i,
            .arg = config_rows[i].kind == CONFIG_NUMBER ? "NUMBER" : "TEXT",
            .doc = config_rows[i].summary,
            .group = 1,
        };
    }
    return options;
}

static struct status read_config(const struct arguments *arguments, struct config *config)
{
    config_init(config);
    const char *file = arguments->file == NULL ? DEFAULT_FILE : arguments->file;
    struct status status = config_read_file(config, file);
    if (status.code == STATUS_NOT_FOUND && arguments->file == NULL) {
        status = OK;
    }
    if (!failed(status)) {
        status = config_read_environment(config);
    }
    for (size_t i = 0; !failed(status) && i < arguments->setting_count; i++) {
        status = config_set(config, arguments->settings[i].row->name, arguments->settings[i].value);
    }
    return failed(status) ? status : config_finish(config);
}

/* Connections are files: as many as the administrator lets us have. */
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* What could not be had is lived without. */
    }
}

const char *argp_program_version = "musterd " MUSTER_VERSION;

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct config config;
    char(*names)[CONFIG_TEXT_SIZE] = alloc_zeroed(config_row_count, sizeof *names);
    struct argp_option *options = names == NULL ? NULL : make_options(names);
    if (options == NULL) {
        return EXIT_FAILURE;
    }
    const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = "Give a cluster of security appliances one identity in the cloud.\v"
               "Options may also stand in the file (name = value, with underscores) or in the "
               "environment (MUSTER_NAME); the command line wins, then the environment.",
    };
    argp_err_exit_status = EXIT_CONFIG;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct status status = harden_libraries();
    if (!failed(status)) {
        status = fault_open();
    }
    if (!failed(status)) {
        status = read_config(&arguments, &config);
    }
    free(options);
    free(names);
    if (failed(status)) {
        (void)fprintf(stderr, "musterd: %s\n", status.message);
        return EXIT_CONFIG;
    }
    if (arguments.check) {
        (void)printf("the configuration is good\n");
        return 0;
    }
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_parse(config.log_level, &level);
    log_open("musterd");
    log_set_level(level);
    harden_process();
    last_words_prepare();
    raise_files();
    int exit_code;
    struct daemon_next next = {0};
    do {
        exit_code = daemon_run(&config, &next);
        fault_step(FAULT_DAEMON_RESTART);
    } while (next.restart);
    curl_global_cleanup();
    return exit_code;
}
