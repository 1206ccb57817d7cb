/*
 * Neighbours: one question under way to each member at most, and few at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "neighbours.h"

#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "disk_watch.h"

#define EVERY_MS 10000U    /* To each: a question is a TLS handshake on both sides. */
#define EVERY_MS_BAD 3000U /* To one that was not well, or did not answer. */
#define SPACING_MS 200U    /* Between two questions, so that a large cluster asks more rarely. */
#define UNDER_WAY_MAX 8U

struct row {
    struct neighbours *neighbours;
    struct neighbour told;
    struct ask *ask; /* Under way, or NULL. */
    uint64_t next_ask_ms;
};

struct neighbours {
    struct daemon *daemon;
    unsigned under_way;
    uint64_t next_ask_ms;
    struct row rows[CONSENSUS_NODES_MAX]; /* node_id 0: free. */
};

struct status neighbours_create(struct daemon *daemon, struct neighbours **out)
{
    struct neighbours *neighbours = alloc_zeroed(1, sizeof *neighbours);
    if (neighbours == NULL) {
        return fail(STATUS_NO_MEMORY, "know the other members");
    }
    neighbours->daemon = daemon;
    *out = neighbours;
    return OK;
}

void neighbours_destroy(struct neighbours *neighbours)
{
    if (neighbours == NULL) {
        return;
    }
    for (size_t i = 0; i < CONSENSUS_NODES_MAX; i++) {
        if (neighbours->rows[i].ask != NULL) {
            ask_cancel(neighbours->rows[i].ask);
        }
    }
    free(neighbours);
}

static bool is_well(const struct neighbour *told)
{
    return !told->suspended && strcmp(told->disk, disk_state_name(DISK_OK)) == 0;
}

static void take(struct neighbour *told, const struct rpc_node_status *answer)
{
    told->told_at_ms = clock_monotonic_ms();
    told->suspended = answer->suspended;
    told->disk_free = answer->disk_free;
    told->aside = answer->aside;
    /* The codec has held them to their sizes. */
    (void)slice_to_text(answer->disk, told->disk, sizeof told->disk);
    (void)slice_to_text(answer->kind, told->kind, sizeof told->kind);
    (void)slice_to_text(answer->reason, told->reason, sizeof told->reason);
    (void)slice_to_text(answer->remedy, told->remedy, sizeof told->remedy);
}

static void on_answer(void *context, struct status status, uint64_t error, struct slice result)
{
    struct row *row = context;
    struct rpc_node_status answer = {0};
    struct arena arena = {0};
    (void)error;
    row->ask = NULL;
    row->neighbours->under_way--;
    if (!failed(status)) {
        status = codec_decode(&rpc_node_status_codec, CODEC_NAMES, result, &arena, &answer);
    }
    if (!failed(status)) {
        take(&row->told, &answer);
        if (is_well(&row->told)) {
            row->next_ask_ms += EVERY_MS - EVERY_MS_BAD;
        }
    }
    arena_release(&arena);
}

static bool is_the_one(void *context, uint64_t node_id)
{
    const struct row *row = context;
    return node_id == row->told.node_id;
}

static void ask_row(struct row *row, struct slice address)
{
    struct daemon *daemon = row->neighbours->daemon;
    struct ask_question question = {
        .believe = is_the_one, .done = on_answer, .context = row, .addresses.count = 1};
    struct buffer request = {0};
    const struct rpc_empty nothing = {0};
    if (!slice_to_text(address, question.addresses.texts[0], ASK_ADDRESS_SIZE)) {
        return;
    }
    struct status status = rpc_frame_begin_request(&request, 1, rpc_methods[RPC_NODE_STATUS].name)
                               ? codec_encode(&rpc_empty_codec, CODEC_NAMES, &nothing, &request)
                               : fail(STATUS_NO_MEMORY, "ask how a member is");
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &row->ask);
    }
    if (failed(status)) {
        row->ask = NULL; /* Asked again in time. */
    } else {
        row->neighbours->under_way++;
    }
    buffer_release(&request);
}

static struct row *row_of(struct neighbours *neighbours, uint64_t node_id)
{
    struct row *free_row = NULL;
    for (size_t i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct row *row = &neighbours->rows[i];
        if (row->told.node_id == node_id) {
            return row;
        }
        bool stale =
            row->told.node_id == 0 || /* Or nobody asks it any more. */
            (row->ask == NULL && row->next_ask_ms + NEIGHBOUR_FRESH_MS < clock_monotonic_ms());
        free_row = free_row == NULL && stale ? row : free_row;
    }
    if (free_row != NULL) {
        *free_row = (struct row){.neighbours = neighbours, .told.node_id = node_id};
    }
    return free_row;
}

void neighbours_on_tick(struct neighbours *neighbours, uint64_t now_ms)
{
    struct daemon *daemon = neighbours->daemon;
    struct arena arena = {0};
    struct codec_list members = {0};
    if (now_ms < neighbours->next_ask_ms || neighbours->under_way >= UNDER_WAY_MAX) {
        return;
    }
    neighbours->next_ask_ms = now_ms + SPACING_MS;
    if (failed(store_members(daemon->store, &arena, &members))) {
        members.count = 0;
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (all[i].node_id == daemon->identity.node_id || all[i].standing != STANDING_MEMBER) {
            continue;
        }
        struct row *row = row_of(neighbours, all[i].node_id);
        if (row != NULL && row->ask == NULL && now_ms >= row->next_ask_ms) {
            row->next_ask_ms = now_ms + EVERY_MS_BAD; /* Later, if it says that it is well. */
            ask_row(row, all[i].rpc_address);
            break;
        }
    }
    arena_release(&arena);
}

const struct neighbour *neighbours_find(const struct neighbours *neighbours, uint64_t node_id)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; neighbours != NULL && i < CONSENSUS_NODES_MAX; i++) {
        const struct neighbour *told = &neighbours->rows[i].told;
        if (told->node_id == node_id && told->told_at_ms != 0 &&
            now_ms - told->told_at_ms < NEIGHBOUR_FRESH_MS) {
            return told;
        }
    }
    return NULL;
}
