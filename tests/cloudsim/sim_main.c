/*
 * muster-cloudsim: a simulated cloud for the demo, tests and benchmarks. README.md is its manual.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim_json.h"
#include "sim_loop.h"
#include "sim_map.h"
#include "sim_route.h"

#define EXIT_USAGE 2
#define CLIENTS_SIZE_MAX (1L << 20)
#define PATH_SIZE 4096

struct options {
    const char *directory;
    const char *listen;
    const char *clients;
    uint16_t ports_from; /* 0: the kernel chooses. */
};

static void usage(FILE *out)
{
    (void)fputs("usage: muster-cloudsim --directory DIR [--listen ADDRESS] [--ports-from N]\n"
                "                       [--clients FILE]\n"
                "A simulated cloud, for tests and demonstrations only.\n",
                out);
}

static bool read_port(const char *text, uint16_t *out)
{
    char *end;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || port < 1 ||
        port > UINT16_MAX - SIM_LISTENERS_MAX) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool take_option(int option, struct options *options)
{
    switch (option) {
    case 'd': options->directory = optarg; return true;
    case 'l': options->listen = optarg; return true;
    case 'c': options->clients = optarg; return true;
    case 'p': return read_port(optarg, &options->ports_from);
    case 'h': usage(stdout); exit(EXIT_SUCCESS);
    default: return false;
    }
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"directory", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"ports-from", required_argument, NULL, 'p'},
        {"clients", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    bool sound = true;
    while (sound && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        sound = take_option(option, options);
    }
    if (!sound) {
        return false;
    }
    return options->directory != NULL && optind == argc;
}

static struct status read_clients(struct sim *sim, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return fail_errno(errno, "read %s", path);
    }
    char *text = sim_alloc(CLIENTS_SIZE_MAX);
    size_t size = fread(text, 1, CLIENTS_SIZE_MAX, file);
    (void)fclose(file);
    struct status status = sim_admin_clients(sim, (struct slice){.data = text, .size = size});
    OPENSSL_cleanse(text, size);
    free(text);
    return failed(status) ? wrap(status, "%s", path) : OK;
}

/* Admin, then nam visibility, private-intel, sse, then eu: README.md promises this order. */
static struct status listen_all(struct sim_loop *loop, const struct options *options,
                                const struct sim_ca *ca)
{
    uint16_t port = options->ports_from;
    struct status status = sim_loop_listen(loop, "127.0.0.1", port, SIM_ADMIN, SIM_NAM, NULL);
    for (unsigned region = 0; region < SIM_REGION_COUNT; region++) {
        for (unsigned family = 0; family < SIM_ADMIN && !failed(status); family++) {
            port = port == 0 ? 0 : (uint16_t)(port + 1);
            status = sim_loop_listen(loop, options->listen, port, (enum sim_family)family,
                                     (enum sim_region)region, ca);
        }
    }
    return status;
}

static void write_endpoints(const struct sim_loop *loop, const struct options *options,
                            struct buffer *out)
{
    static const char *const keys[] = {
        [SIM_VISIBILITY] = "visibility", [SIM_PRIVATE_INTEL] = "private_intel", [SIM_SSE] = "sse"};
    char ca[PATH_SIZE];
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", options->directory);
    sim_print(out, "{\"pid\":%ld,\"ca\":", (long)getpid());
    sim_json_text(out, ca);
    sim_print(out, ",\"admin\":\"http://127.0.0.1:%u\",\n \"regions\":{", loop->listeners[0].port);
    for (size_t i = 1; i < loop->listener_count; i++) {
        const struct sim_listener *listener = &loop->listeners[i];
        if (listener->family == SIM_VISIBILITY) {
            sim_print(out, "%s\"%s\":{", i > 1 ? "},\n  " : "", sim_region_name(listener->region));
        }
        sim_print(out, "%s\"%s\":\"https://%s:%u\"", listener->family == SIM_VISIBILITY ? "" : ",",
                  keys[listener->family], options->listen, listener->port);
    }
    sim_print(out, "}}}\n");
}

static struct status save_endpoints(const struct sim_loop *loop, const struct options *options)
{
    char path[PATH_SIZE];
    char temporary[PATH_SIZE + 8];
    struct buffer text = {0};
    int size = snprintf(path, sizeof path, "%s/endpoints.json", options->directory);
    if (size < 0 || (size_t)size >= sizeof path) {
        return fail(STATUS_INVALID, "the folder's name is too long");
    }
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "we");
    if (file == NULL) {
        return fail_errno(errno, "write %s", temporary);
    }
    write_endpoints(loop, options, &text);
    bool written = fwrite(text.data, 1, text.size, file) == text.size;
    written = fclose(file) == 0 && written;
    buffer_release(&text);
    if (!written || rename(temporary, path) != 0) {
        return fail_errno(errno, "write %s", path);
    }
    return OK;
}

static struct status serve(struct sim_loop *loop, const struct options *options)
{
    struct sim_ca ca;
    struct status status = sim_ca_open(&ca, options->directory);
    if (failed(status)) {
        return status;
    }
    status = listen_all(loop, options, &ca);
    sim_ca_close(&ca);
    if (failed(status)) {
        return status;
    }
    status = save_endpoints(loop, options);
    if (failed(status)) {
        return status;
    }
    (void)printf("ready admin=http://127.0.0.1:%u endpoints=%s/endpoints.json\n",
                 loop->listeners[0].port, options->directory);
    (void)fflush(stdout);
    return sim_loop_run(loop);
}

static struct status run(struct sim *sim, const struct options *options)
{
    struct sim_loop loop;
    struct status status = options->clients == NULL ? OK : read_clients(sim, options->clients);
    if (failed(status)) {
        return status;
    }
    status = sim_loop_init(&loop, sim);
    if (!failed(status)) {
        status = serve(&loop, options);
    }
    sim_loop_release(&loop);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = {.listen = "127.0.0.1"};
    if (!read_options(argc, argv, &options)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    struct sim sim;
    struct status status = sim_init(&sim);
    if (!failed(status)) {
        status = run(&sim, &options);
    }
    sim_release(&sim);
    if (failed(status)) {
        (void)fprintf(stderr, "muster-cloudsim: %s\n", status.message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
