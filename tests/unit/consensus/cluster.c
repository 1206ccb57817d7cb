/*
 * A cluster of real nodes on one loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "node.h"
#include "peer_state.h"

/* ---- The machine ---- */

static uint64_t mix(uint64_t digest, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001B3);
    }
    return digest;
}

static struct status machine_apply(void *context, uint64_t index, const struct slice *commands,
                                   size_t count, struct outcome *outcomes)
{
    struct cluster_node *node = context;
    if (node->apply_fails) {
        return fail(STATUS_FULL, "the store is full");
    }
    (void)pthread_mutex_lock(&node->lock);
    node->replays += index <= node->state.applied ? count : 0;
    for (size_t i = 0; i < count; i++) {
        node->state.digest = mix(node->state.digest, commands[i].data, commands[i].size);
        node->state.count++;
        outcomes[i] = (struct outcome){.code = (uint32_t)commands[i].size,
                                       .value = (uint32_t)node->state.count};
    }
    node->state.applied = index;
    (void)pthread_mutex_unlock(&node->lock);
    return OK;
}

static uint64_t machine_applied_index(void *context)
{
    return ((struct cluster_node *)context)->state.applied;
}

static struct status machine_snapshot(void *context, uint64_t index, struct buffer *manifest)
{
    struct cluster_node *node = context;
    CHECK(node->state.applied >= index);
    return buffer_append(manifest, &node->state, sizeof node->state)
               ? OK
               : fail(STATUS_NO_MEMORY, "manifest");
}

static struct status write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t done = write(fd, at, size);
        if (done <= 0) {
            return fail(STATUS_IO, "write the image");
        }
        at += done;
        size -= (size_t)done;
    }
    return OK;
}

static struct status machine_image_write(void *context, int fd)
{
    struct cluster_node *node = context;
    static const char zeros[65536];
    (void)pthread_mutex_lock(&node->lock);
    struct cluster_state state = node->state;
    (void)pthread_mutex_unlock(&node->lock);
    struct status status = write_all(fd, &state, sizeof state);
    for (uint64_t left = state.padding; left > 0 && !failed(status);) {
        size_t size = left < sizeof zeros ? (size_t)left : sizeof zeros;
        status = write_all(fd, zeros, size);
        left -= size;
    }
    return status;
}

static struct status machine_image_install(void *context, const char *path, struct slice manifest)
{
    struct cluster_node *node = context;
    struct cluster_state state;
    struct cluster_state promised;
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fread(&state, sizeof state, 1, file) == 1);
    (void)fclose(file);
    CHECK_U64(manifest.size, sizeof promised);
    memcpy(&promised, manifest.data, sizeof promised);
    CHECK(state.applied >= promised.applied);
    node->state = state;
    node->installs++;
    return OK;
}

static struct cluster_node *find(struct cluster *cluster, uint64_t id)
{
    for (int i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].id == id) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

static struct status machine_room(void *context, bool follower)
{
    const struct cluster_node *node = context;
    return (follower ? node->follower_full : node->full) ? fail(STATUS_FULL, "no room") : OK;
}

static struct status machine_address_of(void *context, uint64_t id,
                                        char out[CONSENSUS_ADDRESS_SIZE])
{
    struct cluster_node *node = context;
    const struct cluster_node *other = find(node->cluster, id);
    bool is_known = !node->is_new || node->state.applied > 0;
    if (other == NULL || other->address[0] == '\0' || !is_known) {
        return fail(STATUS_NOT_FOUND, "no such node");
    }
    (void)snprintf(out, CONSENSUS_ADDRESS_SIZE, "%s", other->address);
    return OK;
}

static bool machine_peer_allowed(void *context, uint64_t id)
{
    struct cluster_node *node = context;
    const struct cluster_node *other = find(node->cluster, id);
    return other != NULL && node->may_talk[other->number];
}

static void on_event(void *context, const struct consensus_event *event)
{
    ((struct cluster_node *)context)->event = *event;
}

static void on_fatal(void *context, struct status reason)
{
    struct cluster_node *node = context;
    node->fatal_count++;
    node->fatal = reason;
}

/* ---- Life ---- */

void cluster_make(struct cluster *cluster, int count)
{
    *cluster = (struct cluster){.count = count};
    CHECK_U64((uint64_t)uv_loop_init(&cluster->loop), 0);
    pki_make(&cluster->ca, "Test CA");
    for (int i = 0; i < count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        char name[32];
        (void)snprintf(name, sizeof name, "node-%d", i);
        node->cluster = cluster;
        node->number = i;
        node->closed = true;
        scratch_make(node->directory);
        pki_issue_valid(&cluster->ca, name, &node->identity);
        CHECK_OK(node_id_of_certificate(buffer_slice(&node->identity.certificate), &node->id));
        CHECK(pthread_mutex_init(&node->lock, NULL) == 0);
        for (int k = 0; k < count; k++) {
            node->may_talk[k] = true;
        }
    }
}

struct status cluster_try_open(struct cluster *cluster, int number, bool bootstrap)
{
    struct cluster_node *node = &cluster->nodes[number];
    char address[CONSENSUS_ADDRESS_SIZE];
    (void)snprintf(address, sizeof address, "node-%d.invalid:1", number);
    struct consensus_options options = cluster->options;
    options.loop = &cluster->loop;
    options.directory = node->directory;
    options.node_id = node->id;
    options.listen_address = "127.0.0.1:0";
    options.address = address;
    options.ca_pem = buffer_slice(&cluster->ca.certificate);
    options.certificate_pem = buffer_slice(&node->identity.certificate);
    options.key_pem = secret_slice(&node->identity.key);
    options.bootstrap = bootstrap;
    options.machine = (struct machine){.context = node,
                                       .apply = machine_apply,
                                       .applied_index = machine_applied_index,
                                       .snapshot = machine_snapshot,
                                       .image_write = machine_image_write,
                                       .image_install = machine_image_install,
                                       .room = machine_room,
                                       .address_of = machine_address_of,
                                       .peer_allowed = machine_peer_allowed};
    options.on_event = on_event;
    options.on_fatal = on_fatal;
    options.context = node;
    options.election_timeout_ms =
        options.election_timeout_ms != 0 ? options.election_timeout_ms : 300;
    options.heartbeat_ms = options.heartbeat_ms != 0 ? options.heartbeat_ms : 30;
    options.segment_size = options.segment_size != 0 ? options.segment_size : 1U << 20U;
    struct status status = consensus_open(&options, &node->consensus);
    if (!failed(status)) {
        node->closed = false;
        node->event = (struct consensus_event){0};
        node->fatal_count = 0;
        peers_address(node->consensus->peers, node->address);
    }
    return status;
}

void cluster_tell_address(struct cluster *cluster, int number)
{
    struct cluster_node *node = &cluster->nodes[number];
    struct peers *peers = node->consensus->peers;
    (void)snprintf(peers->address, sizeof peers->address, "%s", node->address);
}

void cluster_open(struct cluster *cluster, int number, bool bootstrap)
{
    CHECK_OK(cluster_try_open(cluster, number, bootstrap));
}

static void on_closed(void *context)
{
    ((struct cluster_node *)context)->closed = true;
}

static bool is_closed(struct cluster *cluster, void *context)
{
    (void)cluster;
    return ((struct cluster_node *)context)->closed;
}

void cluster_close(struct cluster *cluster, int number)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (node->consensus == NULL) {
        return;
    }
    consensus_close(node->consensus, on_closed, node);
    node->consensus = NULL;
    CHECK(cluster_wait(cluster, is_closed, node));
}

void cluster_remove(struct cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++) {
        cluster_close(cluster, i);
    }
    (void)uv_run(&cluster->loop, UV_RUN_DEFAULT); /* What failed openings left. */
    CHECK_U64((uint64_t)uv_loop_close(&cluster->loop), 0);
    for (int i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        scratch_remove(node->directory);
        pki_release(&node->identity);
        (void)pthread_mutex_destroy(&node->lock);
    }
    pki_release(&cluster->ca);
}

bool cluster_wait(struct cluster *cluster, cluster_condition condition, void *context)
{
    uint64_t deadline_ms = clock_monotonic_ms() + CLUSTER_WAIT_MS;
    while (!condition(cluster, context)) {
        if (clock_monotonic_ms() > deadline_ms) {
            return false;
        }
        (void)uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    return true;
}

int cluster_leader(const struct cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].consensus != NULL && cluster->nodes[i].event.ready) {
            return i;
        }
    }
    return -1;
}

static bool has_leader(struct cluster *cluster, void *context)
{
    int leader = cluster_leader(cluster);
    for (int i = 0; i < cluster->count; i++) { /* An old one may not know yet. */
        if (i != *(int *)context && cluster->nodes[i].consensus != NULL &&
            cluster->nodes[i].event.ready) {
            leader = i;
        }
    }
    return leader >= 0 && leader != *(int *)context;
}

int cluster_wait_leader(struct cluster *cluster, int other_than)
{
    CHECK(cluster_wait(cluster, has_leader, &other_than));
    for (int i = 0; i < cluster->count; i++) {
        if (i != other_than && cluster->nodes[i].consensus != NULL &&
            cluster->nodes[i].event.ready) {
            return i;
        }
    }
    return -1;
}

void cluster_start(struct cluster *cluster, int count)
{
    cluster_open(cluster, 0, true);
    CHECK(cluster_wait_leader(cluster, -1) == 0);
    for (int i = 1; i < count; i++) {
        cluster_open(cluster, i, false);
        CHECK_OK(cluster_add(cluster, 0, i));
        CHECK_OK(cluster_assign(cluster, 0, i, MEMBER_STANDBY));
        CHECK_OK(cluster_assign(cluster, 0, i, MEMBER_VOTER));
    }
}

static void set_link(struct cluster *cluster, int from, int to, bool up)
{
    struct cluster_node *node = &cluster->nodes[from];
    node->may_talk[to] = up;
    if (node->consensus != NULL) {
        peers_review(node->consensus->peers);
    }
}

void cluster_link(struct cluster *cluster, int left, int right, bool up)
{
    set_link(cluster, left, right, up);
    set_link(cluster, right, left, up);
}

void cluster_isolate(struct cluster *cluster, int number, bool isolated)
{
    for (int i = 0; i < cluster->count; i++) {
        if (i != number) {
            cluster_link(cluster, number, i, !isolated);
        }
    }
}

static bool has_agreed(struct cluster *cluster, void *context)
{
    const struct cluster_node *furthest = NULL;
    (void)context;
    for (int i = 0; i < cluster->count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->consensus != NULL &&
            (furthest == NULL || node->state.applied > furthest->state.applied)) {
            furthest = node;
        }
    }
    for (int i = 0; i < cluster->count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->consensus != NULL && (node->state.count != furthest->state.count ||
                                        node->state.digest != furthest->state.digest)) {
            return false;
        }
    }
    return true;
}

void cluster_wait_agreed(struct cluster *cluster)
{
    CHECK(cluster_wait(cluster, has_agreed, NULL));
}

/* ---- Requests ---- */

struct flood {
    unsigned answers;
    unsigned good;
    unsigned expected;
    size_t size;
};

static void proposal_on_done(struct proposal *proposal, struct status status,
                             struct outcome outcome)
{
    struct flood *flood = proposal->context;
    flood->answers++;
    flood->good += !failed(status);
    if (!failed(status)) {
        CHECK_U64(outcome.code, flood->size);
    } else if (status.code != STATUS_NO_MEMORY) { /* Which is "not done". */
        CHECK_CODE(status, STATUS_UNKNOWN);
    }
    free(proposal);
}

static bool is_answered(struct cluster *cluster, void *context)
{
    const struct flood *flood = context;
    (void)cluster;
    return flood->answers >= flood->expected;
}

unsigned cluster_propose(struct cluster *cluster, int number, unsigned count, size_t size,
                         unsigned *answers)
{
    struct flood flood = {.size = size};
    char *command = calloc(1, size);
    CHECK(command != NULL);
    for (unsigned i = 0; i < count; i++) {
        struct proposal *proposal = calloc(1, sizeof *proposal);
        if (proposal == NULL) {
            abort();
        }
        proposal->context = &flood;
        (void)snprintf(command, size, "%d/%u", number, i);
        struct status status =
            consensus_propose(cluster->nodes[number].consensus, proposal,
                              (struct slice){.data = command, .size = size}, proposal_on_done);
        flood.expected += !failed(status);
        if (failed(status)) {
            free(proposal);
        }
        if (i % 100 == 99) {
            (void)uv_run(&cluster->loop, UV_RUN_NOWAIT);
        }
    }
    free(command);
    CHECK(cluster_wait(cluster, is_answered, &flood));
    CHECK_U64(flood.answers, flood.expected);
    if (answers != NULL) {
        *answers = flood.answers;
    }
    return flood.good;
}

struct answer {
    bool done;
    struct status status;
};

static bool is_done(struct cluster *cluster, void *context)
{
    (void)cluster;
    return ((struct answer *)context)->done;
}

static void change_on_done(struct membership_change *change, struct status status)
{
    struct answer *answer = change->context;
    CHECK(!answer->done);
    *answer = (struct answer){.done = true, .status = status};
}

static struct status wait_answer(struct cluster *cluster, struct status status,
                                 struct answer *answer)
{
    if (failed(status)) {
        return status;
    }
    CHECK(!answer->done);
    CHECK(cluster_wait(cluster, is_done, answer));
    return answer->status;
}

struct status cluster_add(struct cluster *cluster, int leader, int number)
{
    struct answer answer = {0};
    struct membership_change change = {.context = &answer};
    char address[CONSENSUS_ADDRESS_SIZE];
    (void)snprintf(address, sizeof address, "node-%d.invalid:1", number);
    return wait_answer(cluster,
                       consensus_add(cluster->nodes[leader].consensus, cluster->nodes[number].id,
                                     address, &change, change_on_done),
                       &answer);
}

struct status cluster_assign(struct cluster *cluster, int leader, int number, enum member_role role)
{
    struct answer answer = {0};
    struct membership_change change = {.context = &answer};
    return wait_answer(cluster,
                       consensus_assign(cluster->nodes[leader].consensus, cluster->nodes[number].id,
                                        role, &change, change_on_done),
                       &answer);
}

struct status cluster_take_out(struct cluster *cluster, int leader, int number)
{
    struct answer answer = {0};
    struct membership_change change = {.context = &answer};
    return wait_answer(cluster,
                       consensus_remove(cluster->nodes[leader].consensus, cluster->nodes[number].id,
                                        &change, change_on_done),
                       &answer);
}

struct status cluster_transfer(struct cluster *cluster, int leader, int number)
{
    struct answer answer = {0};
    struct membership_change change = {.context = &answer};
    return wait_answer(cluster,
                       consensus_transfer(cluster->nodes[leader].consensus,
                                          number < 0 ? 0 : cluster->nodes[number].id, 0, &change,
                                          change_on_done),
                       &answer);
}

static void read_on_done(struct read_barrier *barrier, struct status status)
{
    struct answer *answer = barrier->context;
    CHECK(!answer->done);
    *answer = (struct answer){.done = true, .status = status};
}

struct status cluster_read(struct cluster *cluster, int number)
{
    struct answer answer = {0};
    struct read_barrier barrier = {.context = &answer};
    return wait_answer(
        cluster, consensus_read(cluster->nodes[number].consensus, &barrier, read_on_done), &answer);
}
