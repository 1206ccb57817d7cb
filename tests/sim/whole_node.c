/*
 * The workers of a simulated node: loop, clock, proposals and events, in the order in which
 * consensus/node.c and server/daemon.c have them: answers first, then who leads, then the look at
 * what was applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "store/seal.h"
#include "whole.h"

#define WALL_START_MS UINT64_C(1767225600000) /* 2026-01-01; any day will do. */

/* ---- The loop of the workers: what server/cloud_loop.c is in musterd ---- */

static struct site *site_of(const struct cloud *cloud)
{
    return cloud->context.context;
}

uint64_t site_now_ms(const struct site *site)
{
    return WALL_START_MS + site->node->world->now_ms;
}

uint64_t cloud_monotonic_ms(void *context)
{
    return site_of(context)->node->world->now_ms;
}

uint64_t cloud_random(void *context)
{
    return whole_draw(site_of(context)->node->world, 0, UINT32_MAX - 1);
}

static void on_timer(void *context, uint64_t argument)
{
    struct site *site = context;
    enum cloud_timer timer = (enum cloud_timer)(argument % CLOUD_TIMER_COUNT);
    if (site->cloud != NULL && site->timer_serials[timer] == argument) {
        cloud_on_timer(site->cloud, timer);
    }
}

/* The number of a timer's start is all that tells an old event from the one that counts. */
static uint64_t renumber(struct site *site, enum cloud_timer timer)
{
    site->timer_serials[timer] += CLOUD_TIMER_COUNT;
    return site->timer_serials[timer];
}

void cloud_start_timer(struct cloud *cloud, enum cloud_timer timer, uint64_t delay_ms)
{
    struct site *site = site_of(cloud);
    whole_later(site->node->world, site, delay_ms, on_timer, site, renumber(site, timer));
}

void cloud_stop_timer(struct cloud *cloud, enum cloud_timer timer)
{
    (void)renumber(site_of(cloud), timer);
}

void cloud_look_later(struct cloud *cloud)
{
    site_of(cloud)->look = true;
}

struct status cloud_open_loop(struct cloud *cloud, const struct cloud_context *context)
{
    struct site *site = context->context;
    for (unsigned i = 0; i < CLOUD_TIMER_COUNT; i++) {
        site->timer_serials[i] = site->timer_serials[i] / CLOUD_TIMER_COUNT * CLOUD_TIMER_COUNT + i;
    }
    return http_client_open(NULL, context->node_name, NULL, &cloud->http);
}

void cloud_close_loop(struct cloud *cloud)
{
    cloud_finish_closing(cloud);
}

/* ---- Proposals ---- */

static void answer_later(struct site *site, const struct whole_answer *answer)
{
    if (site->answer_count == WHOLE_ANSWERS_MAX) {
        abort();
    }
    site->answers[(site->answer_first + site->answer_count++) % WHOLE_ANSWERS_MAX] = *answer;
}

struct asked {
    struct site *site;
    cloud_proposed done;
    void *argument;
    struct sim_proposal *proposal;
};

static void on_applied(struct raft_apply *request, int code, void *result)
{
    struct sim_proposal *proposal = request->data;
    struct asked *asked = proposal->asked;
    (void)result;
    check_answer(proposal, code);
    bool lies = proposal->world->options.sabotage == SABOTAGE_ANSWER;
    const struct whole_answer answer = {
        .done = asked->done,
        .argument = asked->argument,
        .status = code == 0 || lies ? OK : fail(STATUS_UNKNOWN, "leadership was lost on the way"),
        .outcome = {.refusal = proposal->refusals[0]},
    };
    if (asked->done != NULL) {
        answer_later(asked->site, &answer);
    }
    free(asked);
}

static struct sim_proposal *new_proposal(struct site *site, cloud_proposed done, void *argument)
{
    struct world *world = site->node->world;
    struct asked *asked = calloc(1, sizeof *asked);
    if (asked == NULL || world->proposal_count == SIM_PROPOSALS_MAX) {
        abort();
    }
    struct sim_proposal *proposal = &world->proposals[world->proposal_count++];
    *asked = (struct asked){site, done, argument, proposal};
    proposal->world = world;
    proposal->value = world->proposal_count;
    proposal->node = site->node->number;
    proposal->life = site->node->life;
    proposal->request.data = proposal;
    proposal->asked = asked;
    return proposal;
}

struct status site_propose(struct site *site, const struct command *command, cloud_proposed done,
                           void *argument)
{
    struct sim_node *node = site->node;
    struct command stamped = *command;
    struct raft_buffer entry;
    if (!node_leads(node)) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    stamped.stamp.at_ms = site_now_ms(site);
    stamped.stamp.actor = slice_of("muster");
    stamped.stamp.origin = slice_of("local");
    struct sim_proposal *proposal = new_proposal(site, done, argument);
    struct status status = machine_entry(proposal, &stamped, &entry);
    if (failed(status)) {
        free(proposal->asked);
        return status;
    }
    proposal->proposed = true;
    if (raft_apply(node->raft, &proposal->request, &entry, 1, on_applied) != 0) {
        proposal->proposed = false;
        raft_free(entry.base);
        free(proposal->asked);
        return fail(STATUS_NOT_LEADER, "libraft does not take it");
    }
    guard_poll(node->guard);
    return OK;
}

/* ---- What the workers ask ---- */

static struct status ops_propose(void *context, const struct command *command, cloud_proposed done,
                                 void *argument)
{
    return site_propose(context, command, done, argument);
}

static struct status ops_flush(void *context)
{
    const struct site *site = context;
    return store_flush(site->node->store);
}

static uint64_t ops_now_ms(void *context)
{
    return site_now_ms(context);
}

static const struct cloud_ops ops = {
    .propose = ops_propose,
    .flush = ops_flush,
    .now_ms = ops_now_ms,
};

/* ---- Life ---- */

void site_open(struct sim_node *node)
{
    struct whole *whole = node->world->whole;
    struct site *site = &whole->sites[node->number];
    const struct cloud_context context = {
        .store = node->store,
        .keys = &site->keys,
        .node_name = node->address,
        .ops = &ops,
        .context = site,
    };
    site->node = node;
    site->term = 0;
    site->leads = false;
    site->applied = false;
    site->look = false;
    site->answer_count = 0;
    site->reads = (struct reads){0};
    site->echo = (struct read_echo){0};
    memset(site->heard, 0, sizeof site->heard);
    reads_open(&site->reads);
    if (failed(cloud_create(&context, &site->cloud))) {
        abort();
    }
    site->http = site->cloud->http;
    site->http->site = site;
    key_open(site);
}

/* Its memory is lost with it; what is on its way to the cloud goes on. */
void site_crash(struct sim_node *node)
{
    struct site *site = &node->world->whole->sites[node->number];
    if (site->http != NULL) {
        http_forget(site->http);
    }
    site->http = NULL;
    site->cloud = NULL;
    site->answer_count = 0;
    key_crash(site);
}

void site_applied(struct sim_node *node)
{
    node->world->whole->sites[node->number].applied = true;
}

static void deliver_answers(struct site *site)
{
    while (site->answer_count > 0) {
        struct whole_answer answer = site->answers[site->answer_first];
        site->answer_first = (site->answer_first + 1) % WHOLE_ANSWERS_MAX;
        site->answer_count--;
        answer.done(answer.argument, answer.status, answer.outcome);
    }
}

static void on_initialised(void *argument, struct status status, struct apply_outcome outcome)
{
    (void)argument;
    (void)status;
    (void)outcome;
}

/* As daemon_initialise(): the first leader writes who it is. */
static void initialise(struct site *site)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct status status = store_cluster(site->node->store, &arena, &cluster);
    if (status.code != STATUS_NOT_FOUND) {
        arena_release(&arena);
        return;
    }
    const struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    const struct command command = {
        .type = COMMAND_CLUSTER_INIT,
        .body.cluster_init =
            {
                .cluster_id = slice_of(whole_cluster_id),
                .ca_certificate = slice_of("ca"),
                .sealed_ca_key = whole_seal(site, &arena, &purpose, "the key of the CA"),
                .key_epoch = site->keys.epoch,
                .member = {.node_id = 1,
                           .name = slice_of("n1"),
                           .serial = slice_of("serial-1"),
                           .certificate = whole_certificate(site->node->world, &arena, 1),
                           .standing = STANDING_STANDALONE,
                           .since_ms = site_now_ms(site)},
            },
    };
    status = site_propose(site, &command, on_initialised, NULL);
    (void)status; /* The next leader does it. */
    arena_release(&arena);
}

/* As follow_leadership(): what one term began, the next does not go on with. */
static void tell_event(struct site *site)
{
    const struct sim_node *node = site->node;
    bool sabotaged = node->world->options.sabotage == SABOTAGE_BARRIER;
    bool leads =
        raft_state(node->raft) == RAFT_LEADER && (sabotaged || guard_is_ready(node->guard));
    raft_term term = node->raft->current_term;
    if (site->leads && (!leads || site->term != term) &&
        node->world->options.sabotage != SABOTAGE_EXPORTERS) {
        cloud_on_follower(site->cloud);
        site->leads = false;
    }
    site->term = term;
    if (leads && !site->leads) {
        site->leads = true;
        cloud_on_leader(site->cloud, true);
        initialise(site);
        site->applied = true;
    }
}

void site_turn(struct sim_node *node)
{
    struct site *site = &node->world->whole->sites[node->number];
    if (site->cloud == NULL) {
        return;
    }
    whole_check_leader(node);
    site_turn_reads(site);
    deliver_answers(site);
    tell_event(site);
    if (site->applied) {
        site->applied = false;
        key_turn(site);
        cloud_on_applied(site->cloud);
    }
    if (site->look) {
        site->look = false;
        cloud_look(site->cloud);
    }
}

struct site *whole_leader(struct world *world)
{
    struct site *found = NULL;
    unsigned seen = 0;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct site *site = &world->whole->sites[i];
        bool leads = site->cloud != NULL && site->leads && node_leads(site->node);
        if (leads && whole_draw(world, 0, seen++) == 0) {
            found = site;
        }
    }
    return found;
}
