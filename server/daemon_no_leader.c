/*
 * Why there is no leader, in a sentence for whoever asked for one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "daemon_parts.h"

static size_t append_name(char *out, size_t out_size, size_t used, struct slice name)
{
    int size =
        snprintf(out + used, out_size - used, "%s%.*s", used == 0 ? "" : ", ", SLICE_ARG(name));
    return size < 0 || used + (size_t)size >= out_size ? used : used + (size_t)size;
}

struct status daemon_no_leader(struct daemon *daemon)
{
    struct arena arena = {0};
    char down[100] = "";
    size_t used = 0;
    unsigned voters = 0;
    unsigned reached = 0;
    struct consensus_status *raft = arena_alloc(&arena, 1, sizeof *raft);
    if (raft == NULL) {
        return fail(STATUS_NO_MEMORY, "find the leader");
    }
    if (daemon->removed) {
        arena_release(&arena);
        return fail(STATUS_REFUSED, "the cluster has removed this node\n`muster cluster reset` "
                                    "makes it standalone; `muster status` says why");
    }
    consensus_status(daemon->consensus, raft);
    bool leads = raft->event.role == CONSENSUS_LEADER;
    for (size_t i = 0; i < raft->member_count; i++) {
        const struct consensus_member *node = &raft->members[i];
        bool self = node->node_id == daemon->identity.node_id;
        if (node->role != MEMBER_VOTER) {
            continue;
        }
        voters++;
        if (self || (node->connected &&
                     (!leads || node->heard_ms_ago <= daemon->config.election_timeout_ms))) {
            reached++;
        } else {
            used =
                append_name(down, sizeof down, used, daemon_name_of(daemon, &arena, node->node_id));
        }
    }
    arena_release(&arena);
    if (voters > 0 && reached <= voters / 2) {
        return fail(STATUS_NO_QUORUM, "no quorum: %u of %u voters reachable (%s down)", reached,
                    voters, down);
    }
    if (voters == 0) {
        return fail(STATUS_NO_QUORUM, "this node has not heard from its cluster yet\nAsk again.");
    }
    return fail(STATUS_NO_QUORUM, "no leader at the moment: an election is under way\nAsk again.");
}
