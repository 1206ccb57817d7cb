/*
 * Daemons in processes of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "daemon_harness.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon.h"

#define START_MS 20000
#define STOP_MS 20000
#define LOG_SHOWN_SIZE 20000L /* Of each daemon's, when a test has failed. */

uint64_t daemon_harness_now_ms(void)
{
    return clock_monotonic_ms();
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void set(struct config *config, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

static void set(struct config *config, const char *name, const char *format, ...)
{
    char value[CONFIG_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    CHECK_OK(config_set(config, name, value));
}

void daemon_harness_make(struct daemon_harness *harness, const char *name)
{
    struct config *config = &harness->config;
    *harness = (struct daemon_harness){0};
    scratch_make(harness->folder);
    config_init(config);
    set(config, "name", "%s", name);
    set(config, "serial", "SERIAL-%s", name);
    set(config, "data_directory", "%s/data", harness->folder);
    set(config, "socket", "%s/rpc.sock", harness->folder);
    set(config, "rpc_listen", "127.0.0.1:%u", free_port());
    set(config, "peer_listen", "127.0.0.1:%u", free_port());
    set(config, "election_timeout_ms", "500");
    set(config, "heartbeat_ms", "50");
    set(config, "store_size_max_mib", "256");
    set(config, "log_level", "info");
    /* Nobody answers there: the tests' cloud is one that takes connections and says nothing. */
    set(config, "visibility_url", "https://127.0.0.1:%u", free_port());
    CHECK_OK(config_finish(config));
}

static void run(const struct config *config, const char *folder)
{
    char path[SCRATCH_PATH_SIZE + 16];
    struct daemon_next next = {0};
    int code;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(path, sizeof path, "%s/log", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)dup2(fd, STDERR_FILENO);
    (void)snprintf(path, sizeof path, "%s/faults", folder);
    (void)setenv("MUSTER_FAULT_TABLE", path, 1);
    CHECK_OK(fault_open());
    log_open("musterd");
    log_set_level(LOG_LEVEL_INFO);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    do {
        code = daemon_run(config, &next);
    } while (next.restart);
    curl_global_cleanup();
    exit(code); /* Sanitizers look for leaks now. */
}

static struct connection *try_connect(const struct daemon_harness *harness)
{
    struct connection *connection = NULL;
    const struct connection_options options = {.socket_path = harness->config.socket,
                                               .timeout_ms = 2000};
    struct status status = connection_open(&options, &connection);
    return failed(status) ? NULL : connection;
}

void daemon_harness_start(struct daemon_harness *harness)
{
    harness->pid = fork();
    CHECK(harness->pid >= 0);
    if (harness->pid == 0) {
        run(&harness->config, harness->folder);
    }
    const struct connection_request request = {
        .method = RPC_CLUSTER_STATUS, .params = &(struct rpc_empty){0}, .options.stale = true};
    uint64_t deadline_ms = clock_monotonic_ms() + START_MS;
    uint64_t error = 1;
    while (error != 0 && clock_monotonic_ms() < deadline_ms) {
        struct arena arena = {0};
        struct rpc_cluster_status status;
        error = daemon_harness_ask(harness, &request, &arena, &status, NULL);
        error = error == 0 && status.name.size + status.leader.size == 0 ? 1 : error;
        arena_release(&arena);
        (void)poll(NULL, 0, 10);
    }
    CHECK_U64(error, 0);
}

static int wait_for_end(struct daemon_harness *harness)
{
    int status = 0;
    uint64_t deadline_ms = clock_monotonic_ms() + STOP_MS;
    pid_t ended = 0;
    while (ended == 0 && clock_monotonic_ms() < deadline_ms) {
        ended = waitpid(harness->pid, &status, WNOHANG);
        (void)poll(NULL, 0, 5);
    }
    if (ended == 0) {
        (void)kill(harness->pid, SIGABRT);
        (void)waitpid(harness->pid, &status, 0);
    }
    harness->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Its last lines. */
static void show_log(const struct daemon_harness *harness)
{
    char line[512];
    char path[SCRATCH_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/log", harness->folder);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    (void)fseek(file, -LOG_SHOWN_SIZE, SEEK_END); /* A smaller one is shown whole. */
    while (fgets(line, sizeof line, file) != NULL) {
        (void)fprintf(stderr, "%s: %s", harness->config.name, line);
    }
    (void)fclose(file);
}

int daemon_harness_run(struct daemon_harness *harness)
{
    harness->pid = fork();
    CHECK(harness->pid >= 0);
    if (harness->pid == 0) {
        run(&harness->config, harness->folder);
    }
    return wait_for_end(harness);
}

int daemon_harness_stop(struct daemon_harness *harness)
{
    CHECK(harness->pid != 0);
    (void)kill(harness->pid, SIGTERM);
    return daemon_harness_await_end(harness);
}

int daemon_harness_await_end(struct daemon_harness *harness)
{
    int code = wait_for_end(harness);
    if (code != 0) {
        show_log(harness);
    }
    return code;
}

void daemon_harness_kill(struct daemon_harness *harness)
{
    (void)kill(harness->pid, SIGKILL);
    (void)wait_for_end(harness);
}

void daemon_harness_release(struct daemon_harness *harness)
{
    if (harness->pid != 0) {
        daemon_harness_kill(harness);
    }
    if (check_has_failed()) {
        show_log(harness);
    }
    scratch_remove(harness->folder);
}

struct connection *daemon_harness_connect(const struct daemon_harness *harness)
{
    struct connection *connection = try_connect(harness);
    CHECK(connection != NULL);
    return connection;
}

struct connection *daemon_harness_connect_tls(const struct daemon_harness *harness,
                                              const char *certificate, const char *key)
{
    char paths[3][2 * SCRATCH_PATH_SIZE];
    const char *names[3] = {"ca", certificate, key};
    struct connection *connection = NULL;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/%s", harness->folder, names[i]);
    }
    const struct connection_options options = {.address = harness->config.rpc_address,
                                               .ca_path = paths[0],
                                               .certificate_path = paths[1],
                                               .key_path = paths[2],
                                               .timeout_ms = 5000};
    struct status status = connection_open(&options, &connection);
    if (failed(status)) {
        (void)fprintf(stderr, "connect: %s\n", status.message);
    }
    return failed(status) ? NULL : connection;
}

void daemon_harness_write(const struct daemon_harness *harness, const char *name,
                          struct slice bytes)
{
    char path[2 * SCRATCH_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", harness->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
    (void)close(fd);
}

uint64_t daemon_harness_ask(const struct daemon_harness *harness,
                            const struct connection_request *request, struct arena *arena,
                            void *result, struct connection_error *error)
{
    struct connection *connection = try_connect(harness);
    struct connection_error own = {0};
    struct connection_error *told = error == NULL ? &own : error;
    *told = (struct connection_error){.code = RPC_UNREACHABLE};
    if (connection == NULL) {
        return RPC_UNREACHABLE;
    }
    told->code = 0;
    struct arena mine = {0};
    void *room = arena_alloc(&mine, 1, rpc_methods[request->method].result->size);
    struct status status = connection_call(connection, request, arena == NULL ? &mine : arena,
                                           result == NULL ? room : result, told);
    connection_close(connection);
    arena_release(&mine);
    return failed(status) && told->code == 0 ? (uint64_t)RPC_INTERNAL : told->code;
}
