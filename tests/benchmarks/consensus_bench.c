/*
 * How many proposals a cluster of three takes: three processes on loopback with TLS and real logs,
 * proposals made inside the leader's process, a machine that only counts.
 *
 *     consensus_bench [SECONDS [FOLDER]]
 *
 * Each line: size and number of proposals kept waiting, proposals a second, how many share an entry
 * and a sync, and latencies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "consensus/consensus.h"
#include "pki.h"

#define NODES 3
#define OUTSTANDING_MAX 4096U
#define LATENCIES_MAX (4U << 20U)

struct node {
    uint64_t id;
    struct pki_identity identity;
    char address[64];
    char directory[256];
    uint64_t applied;
    bool ready;
    struct consensus *consensus;
};

static struct node nodes[NODES];
static struct pki_identity ca;

static void require(struct status status)
{
    if (failed(status)) {
        (void)fprintf(stderr, "consensus_bench: %s\n", status.message);
        exit(1);
    }
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- The machine ---- */

static struct status apply(void *context, uint64_t index, const struct slice *commands,
                           size_t count, struct outcome *outcomes)
{
    (void)commands;
    for (size_t i = 0; i < count; i++) {
        outcomes[i] = (struct outcome){0};
    }
    ((struct node *)context)->applied = index;
    return OK;
}

static uint64_t applied_index(void *context)
{
    return ((struct node *)context)->applied;
}

static struct status snapshot(void *context, uint64_t index, struct buffer *manifest)
{
    (void)context;
    (void)buffer_append(manifest, &index, sizeof index);
    return OK;
}

static struct status image_write(void *context, int fd)
{
    struct node *node = context;
    return write(fd, &node->applied, sizeof node->applied) == (ssize_t)sizeof node->applied
               ? OK
               : fail(STATUS_IO, "image");
}

static struct status image_install(void *context, const char *path, struct slice manifest)
{
    (void)path;
    memcpy(&((struct node *)context)->applied, manifest.data, sizeof(uint64_t));
    return OK;
}

static struct status address_of(void *context, uint64_t id, char out[CONSENSUS_ADDRESS_SIZE])
{
    (void)context;
    for (int i = 0; i < NODES; i++) {
        if (nodes[i].id == id) {
            (void)snprintf(out, CONSENSUS_ADDRESS_SIZE, "%s", nodes[i].address);
            return OK;
        }
    }
    return fail(STATUS_NOT_FOUND, "no such node");
}

static bool peer_allowed(void *context, uint64_t id)
{
    (void)context;
    (void)id;
    return true;
}

static void on_event(void *context, const struct consensus_event *event)
{
    ((struct node *)context)->ready = event->ready;
}

static void on_fatal(void *context, struct status reason)
{
    (void)context;
    require(reason);
}

static void open_node(struct node *node, uv_loop_t *loop, bool bootstrap)
{
    const struct consensus_options options = {
        .loop = loop,
        .directory = node->directory,
        .node_id = node->id,
        .listen_address = node->address,
        .address = node->address,
        .ca_pem = buffer_slice(&ca.certificate),
        .certificate_pem = buffer_slice(&node->identity.certificate),
        .key_pem = secret_slice(&node->identity.key),
        .bootstrap = bootstrap,
        .machine = {.context = node,
                    .apply = apply,
                    .applied_index = applied_index,
                    .snapshot = snapshot,
                    .image_write = image_write,
                    .image_install = image_install,
                    .address_of = address_of,
                    .peer_allowed = peer_allowed},
        .on_event = on_event,
        .on_fatal = on_fatal,
        .context = node,
    };
    require(consensus_open(&options, &node->consensus));
}

/* ---- Set-up ---- */

static void choose_address(struct node *node)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("consensus_bench");
        exit(1);
    }
    (void)close(fd);
    (void)snprintf(node->address, sizeof node->address, "127.0.0.1:%u", ntohs(address.sin_port));
}

static void make_nodes(const char *folder)
{
    pki_make(&ca, "Bench CA");
    for (int i = 0; i < NODES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "node-%d", i);
        pki_issue_valid(&ca, name, &nodes[i].identity);
        require(node_id_of_certificate(buffer_slice(&nodes[i].identity.certificate), &nodes[i].id));
        (void)snprintf(nodes[i].directory, sizeof nodes[i].directory, "%s/%s", folder, name);
        choose_address(&nodes[i]);
    }
}

static pid_t fork_follower(struct node *node)
{
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    uv_loop_t loop;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (uv_loop_init(&loop) != 0) {
        _exit(1);
    }
    open_node(node, &loop, false);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

static bool change_done;

static void on_changed(struct membership_change *change, struct status status)
{
    (void)change;
    require(status);
    change_done = true;
}

static void join(uv_loop_t *loop, struct node *node)
{
    struct membership_change change = {0};
    change_done = false;
    require(consensus_add(nodes[0].consensus, node->id, node->address, &change, on_changed));
    while (!change_done) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    change_done = false;
    require(consensus_assign(nodes[0].consensus, node->id, MEMBER_VOTER, &change, on_changed));
    while (!change_done) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
}

/* ---- The measurement ---- */

struct operation {
    struct proposal proposal;
    uint64_t begun_us;
};

static struct {
    size_t size;
    unsigned outstanding;
    uint64_t end_us;
    uint64_t count;
    uint64_t lost;
    char command[1024];
    uint32_t *latencies_us;
    struct operation operations[OUTSTANDING_MAX];
} bench;

static void begin(struct operation *operation);

static void on_done(struct proposal *proposal, struct status status, struct outcome outcome)
{
    struct operation *operation = proposal->context;
    uint64_t at_us = now_us();
    (void)outcome;
    bench.outstanding--;
    bench.lost += failed(status);
    if (!failed(status) && at_us < bench.end_us && bench.count < LATENCIES_MAX) {
        bench.latencies_us[bench.count++] = (uint32_t)(at_us - operation->begun_us);
    }
    if (at_us < bench.end_us) {
        begin(operation);
    }
}

static void begin(struct operation *operation)
{
    operation->proposal.context = operation;
    operation->begun_us = now_us();
    require(consensus_propose(nodes[0].consensus, &operation->proposal,
                              (struct slice){.data = bench.command, .size = bench.size}, on_done));
    bench.outstanding++;
}

static int by_value(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static void measure(uv_loop_t *loop, size_t size, unsigned waiting, unsigned seconds)
{
    struct consensus_status before;
    struct consensus_status after;
    consensus_status(nodes[0].consensus, &before);
    bench.size = size;
    bench.count = 0;
    bench.end_us = now_us() + (uint64_t)seconds * 1000000;
    for (unsigned i = 0; i < waiting; i++) {
        begin(&bench.operations[i]);
    }
    while (bench.outstanding > 0) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    consensus_status(nodes[0].consensus, &after);
    qsort(bench.latencies_us, bench.count, sizeof *bench.latencies_us, by_value);
    uint64_t entries = after.entries - before.entries;
    uint64_t syncs = after.log_syncs - before.log_syncs;
    uint64_t median_us = bench.latencies_us[bench.count / 2];
    uint64_t late_us = bench.latencies_us[bench.count - 1 - bench.count / 100];
    (void)printf("%4zu B x %4u: %7" PRIu64 "/s, %6.1f an entry, %6.1f a sync, p50 %6.2f ms, "
                 "p99 %6.2f ms, unknown %" PRIu64 "\n",
                 size, waiting, bench.count / seconds,
                 (double)bench.count / (double)(entries > 0 ? entries : 1),
                 (double)bench.count / (double)(syncs > 0 ? syncs : 1), (double)median_us / 1e3,
                 (double)late_us / 1e3, bench.lost);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {128, 256};
    static const unsigned waiting[] = {1, 32, 256, 1024, 4096};
    unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : 3;
    char folder[] = "/tmp/consensus-bench-XXXXXX";
    const char *at = argc > 2 ? argv[2] : mkdtemp(folder);
    uv_loop_t loop;
    pid_t children[NODES] = {0};
    bench.latencies_us = malloc(LATENCIES_MAX * sizeof *bench.latencies_us);
    if (at == NULL || bench.latencies_us == NULL || seconds == 0 || uv_loop_init(&loop) != 0) {
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    make_nodes(at);
    for (int i = 1; i < NODES; i++) {
        children[i] = fork_follower(&nodes[i]);
    }
    open_node(&nodes[0], &loop, true);
    while (!nodes[0].ready) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    for (int i = 1; i < NODES; i++) {
        join(&loop, &nodes[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizeof waiting / sizeof waiting[0]; k++) {
            measure(&loop, sizes[i], waiting[k], (unsigned)seconds);
        }
    }
    for (int i = 1; i < NODES; i++) {
        (void)kill(children[i], SIGKILL);
        (void)waitpid(children[i], NULL, 0);
    }
    (void)printf("left behind: %s\n", at);
    return 0;
}
