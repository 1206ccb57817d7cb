/*
 * What must hold: equal state at equal index, nothing acknowledged lost, one answer a proposal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

static const char *const names[VERDICT_COUNT] = {
    [VERDICT_GOOD] = "good",         [VERDICT_UNSETTLED] = "unsettled",
    [VERDICT_CRASHED] = "crashed",   [VERDICT_ANSWER] = "answer",
    [VERDICT_LOST] = "lost",         [VERDICT_RULE] = "rule",
    [VERDICT_DIVERGED] = "diverged",
};

const char *verdict_name(enum verdict verdict)
{
    return names[verdict];
}

void check_fail(struct world *world, enum verdict verdict, const char *format, ...)
{
    char reason[sizeof world->reason];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    world_say(world, "%s: %s", verdict_name(verdict), reason);
    if (verdict > world->verdict) {
        world->verdict = verdict;
        memcpy(world->reason, reason, sizeof reason);
    }
}

/* The same command at the same index everywhere, once in a life. */
bool check_applied(struct sim_node *node, raft_index index, uint64_t value)
{
    struct world *world = node->world;
    if (index >= SIM_INDEX_MAX) {
        check_fail(world, VERDICT_UNSETTLED, "index %llu is beyond the simulation", index);
        return false;
    }
    if (index <= node->applied) {
        check_fail(world, VERDICT_DIVERGED, "node %u applies %llu again", node->number, index);
    }
    node->applied = index;
    if (world->values[index] == 0) {
        world->values[index] = value;
    } else if (world->values[index] != value) {
        check_fail(world, VERDICT_DIVERGED, "node %u at %llu: value %llu, another has %llu",
                   node->number, index, (unsigned long long)value,
                   (unsigned long long)world->values[index]);
    }
    return true;
}

/* After it, the same state. */
void check_digest(const struct sim_node *node, raft_index index)
{
    struct world *world = node->world;
    if (world->digests[index] == 0) {
        world->digests[index] = node->digest;
    } else if (world->digests[index] != node->digest) {
        check_fail(world, VERDICT_DIVERGED, "node %u at %llu: another state than another's",
                   node->number, index);
    }
}

void check_restored(struct sim_node *node)
{
    struct world *world = node->world;
    raft_index index = node->applied; /* Of the last command in the snapshot. */
    if (index != 0 && index < SIM_INDEX_MAX && world->digests[index] != 0 &&
        world->digests[index] != node->digest) {
        check_fail(world, VERDICT_DIVERGED, "node %u restores a differing state at %llu",
                   node->number, index);
    }
}

void check_answer(struct sim_proposal *proposal, int status)
{
    struct world *world = proposal->world;
    raft_index index = proposal->request.index;
    if (++proposal->answers > 1) {
        check_fail(world, VERDICT_ANSWER, "proposal %llu answered twice",
                   (unsigned long long)proposal->value);
    }
    if (status != 0) {
        return;
    }
    proposal->acknowledged = true;
    world->acknowledged_count++;
    world->acknowledged = index > world->acknowledged ? index : world->acknowledged;
    if (world->values[index] != proposal->value) {
        check_fail(world, VERDICT_LOST, "proposal %llu was acknowledged at %llu, where %llu is",
                   (unsigned long long)proposal->value, index,
                   (unsigned long long)world->values[index]);
    }
}

size_t check_unanswered(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->proposal_count; i++) {
        const struct sim_proposal *proposal = &world->proposals[i];
        count += proposal->proposed && proposal->answers == 0 &&
                 proposal->life == world->nodes[proposal->node].life;
    }
    return count;
}

void check_end(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->applied < world->acknowledged) {
            check_fail(world, VERDICT_LOST, "node %u ends at %llu, %llu was acknowledged", i,
                       node->applied, world->acknowledged);
        }
    }
    if (check_unanswered(world) > 0) {
        check_fail(world, VERDICT_ANSWER, "%zu proposals were never answered",
                   check_unanswered(world));
    }
}
