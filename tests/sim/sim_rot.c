/*
 * A bit rots in a file of a node that was stopped in good order, and what comes of it.
 *
 * Opened again, the log must refuse, or give exactly what it held before: the bit may be in bytes
 * that mean nothing; and with --rot the store, too. A node whose files are refused is replaced, as an operator does it: the leader takes
 * it out, and it joins again as another, with empty files. One at a time, so that the others remain a
 * quorum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "raft_view.h"
#include "sim.h"
#include "wal.h"

/* What a log holds, in few words. */
struct held {
    raft_term term;
    raft_id vote;
    raft_index start;
    uint64_t count;
    raft_index snapshot;
    bool snapshot_damaged;
    uint32_t sum; /* Of the entries. */
};

/* Open a copy of this disk and look. */
static struct status look(const struct sim_node *node, struct held *out)
{
    static struct sim_disk copy; /* Too large for a stack. */
    struct wal *wal = NULL;
    struct wal_loaded loaded;
    sim_disk_copy(&node->disk, &copy);
    struct status status = io_open_disk(node, &copy, &wal);
    if (!failed(status)) {
        wal_load(wal, &loaded);
        *out = (struct held){.term = loaded.term,
                             .vote = loaded.voted_for,
                             .start = loaded.start_index,
                             .count = loaded.entry_count,
                             .snapshot = loaded.snapshot == NULL ? 0 : loaded.snapshot->index,
                             .snapshot_damaged = loaded.snapshot_damaged};
        for (size_t i = 0; i < loaded.entry_count; i++) {
            const struct raft_entry *entry = &loaded.entries[i];
            out->sum = crc32c(out->sum + (uint32_t)entry->term + entry->type,
                              (struct slice){.data = entry->buf.base, .size = entry->buf.len});
        }
        wal_loaded_release(&loaded);
        wal_close(wal, NULL, NULL);
    }
    sim_disk_release(&copy);
    return status;
}

static bool is_same(const struct held *before, const struct held *after)
{
    bool same_snapshot = after->snapshot == before->snapshot || after->snapshot_damaged;
    return after->term == before->term && after->vote == before->vote &&
           after->start == before->start && after->count == before->count &&
           after->sum == before->sum && same_snapshot;
}

static void say_held(struct world *world, const char *word, const struct held *held)
{
    world_say(world, "%s term %llu vote %llu from %llu %llu entries (%08x) snapshot %llu%s", word,
              held->term, held->vote, held->start, (unsigned long long)held->count, held->sum,
              held->snapshot, held->snapshot_damaged ? ", damaged" : "");
}

bool rot_is_pending(const struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (world->nodes[i].replacing != REPLACING_NOTHING) {
            return true;
        }
    }
    return false;
}

/* Are those left a quorum without it, whichever of the configurations that nodes have holds in the
 * end? One under way may be taken back. No other change is begun until it is replaced. */
static bool is_spared(const struct sim_node *node)
{
    const struct world *world = node->world;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct raft *raft = world->nodes[i].raft;
        if (raft == NULL || i == node->number) {
            continue;
        }
        if (raft->state == RAFT_UNAVAILABLE) {
            return false; /* Closed: what it knew is gone from memory. */
        }
        unsigned at = raft_view_server(raft, node->id);
        bool votes =
            at < raft->configuration.n && raft->configuration.servers[at].role == RAFT_VOTER;
        if (raft->configuration_uncommitted_index != 0 || (votes && raft_view_voters(raft) < 3)) {
            return false;
        }
    }
    return true;
}

void rot_strike(struct sim_node *node)
{
    struct world *world = node->world;
    struct held before = {0};
    struct held after = {0};
    if (!world->temper.rots || rot_is_pending(world) || !is_spared(node) ||
        failed(look(node, &before))) {
        return;
    }
    if (world->options.rot && world->options.real_store && world_chance(world, 50)) {
        node->replacing = machine_rot(node) ? REPLACING_REMOVAL : REPLACING_NOTHING;
        return;
    }
    if (!sim_disk_flip(&node->disk, world_chance(world, 70) ? ".wal" : ".snapshot")) {
        return;
    }
    world->troubles[TROUBLE_ROT]++;
    struct status status = look(node, &after);
    if (failed(status)) {
        world_say(world, "a bit of node %u rots: %s", node->number, status.message);
        node->replacing = REPLACING_REMOVAL;
    } else if (!is_same(&before, &after)) {
        say_held(world, "held", &before);
        say_held(world, "holds", &after);
        check_fail(world, VERDICT_DIVERGED,
                   "node %u: a rotten bit changes what the log holds, unnoticed", node->number);
    }
}

static void change_on_done(struct raft_change *request, int status)
{
    (void)status;
    free(request);
}

/* It begins anew, as another node. */
static void begin_anew(struct sim_node *node)
{
    sim_disk_renew(&node->disk);
    node->id += SIM_NODES_MAX;
    (void)snprintf(node->address, sizeof node->address, "%llu", node->id);
    node->replacing = REPLACING_ADDITION;
    node_start(node);
}

/* The next step that `leader` can take. */
static void mend_by(struct sim_node *leader, struct sim_node *node)
{
    struct raft *raft = leader->raft;
    unsigned at = raft_view_server(raft, node->id);
    bool is_member = at < raft->configuration.n;
    if (node->replacing == REPLACING_REMOVAL && !is_member) {
        begin_anew(node);
        return;
    }
    if (node->replacing == REPLACING_ADDITION && is_member &&
        raft->configuration.servers[at].role == RAFT_VOTER) {
        node->replacing = REPLACING_NOTHING;
        world_say(node->world, "node %u is replaced", node->number);
        return;
    }
    struct raft_change *request = calloc(1, sizeof *request);
    int code = 0;
    if (request == NULL) {
        abort();
    }
    if (node->replacing == REPLACING_REMOVAL) {
        code = raft_remove(raft, request, node->id, change_on_done);
    } else if (!is_member) {
        code = raft_add(raft, request, node->id, node->address, change_on_done);
    } else {
        code = raft_assign(raft, request, node->id, RAFT_VOTER, change_on_done);
    }
    if (code != 0) {
        free(request);
    } else {
        node->world->troubles[TROUBLE_CHANGE]++;
    }
    guard_poll(leader->guard);
}

/* A leader that may change the members now, or NULL. */
static struct sim_node *mender(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node_leads(node) && node->guard != NULL && guard_is_ready(node->guard) &&
            node->raft->configuration_uncommitted_index == 0) {
            return node;
        }
    }
    return NULL;
}

bool rot_mend(struct world *world)
{
    unsigned at = 0;
    while (at < world->options.node_count && world->nodes[at].replacing == REPLACING_NOTHING) {
        at++;
    }
    if (at == world->options.node_count) {
        return true;
    }
    struct sim_node *leader = mender(world);
    if (leader != NULL) {
        mend_by(leader, &world->nodes[at]);
    }
    return false;
}
