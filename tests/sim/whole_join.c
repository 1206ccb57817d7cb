/*
 * How an appliance that stands alone asks the cluster to admit it:
 *
 *     ALONE ──token had──► LOCKING ──locked──► ASKING ──admitted──► JOINED ──removed──► UNLOCKING
 *       ▲                     │                   │                                        │
 *       │                     │ refused           │ refused, no answer                     │
 *       └─────────────────────┴─── UNLOCKING ◄────┘◄───────────────────────────────────────┘
 *
 * What is asked and decided is what server/join.c and handle_admit.c ask and decide, by the same
 * functions (server/admission.h, cloud_lookup(), the store).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "admission.h"
#include "names.h"
#include "whole.h"

#define PATIENCE_MS 15000U

static const char secret[] = "the secret part of a join token";

static void become(struct lone *lone, enum lone_state next)
{
    lone->state = next;
    lone->asked++; /* What was asked before counts no more. */
}

static void on_unlocked(void *argument, struct status status, struct apply_outcome outcome)
{
    struct lone *lone = argument;
    (void)status;
    (void)outcome;
    become(lone, LONE_ALONE);
    cloud_on_leader(lone->site.cloud, true);
}

void lone_unlock(struct lone *lone, const char *reason)
{
    const struct command command = {
        .type = COMMAND_STANDING_SET,
        .body.standing_set.standing = STANDING_STANDALONE,
    };
    world_say(lone->node.world, "%s: %s; unlocks itself", lone->name, reason);
    become(lone, LONE_UNLOCKING);
    if (failed(lone_propose(lone, &command, on_unlocked))) {
        abort();
    }
}

/* A question to the cluster on its way: what handle_admit.c keeps in its call. */
struct petition {
    struct lone *lone;
    unsigned asked;
    const char *registration;
    struct site *site;
    enum cloud_check cloud;
    bool admitted;
    struct keyring key; /* The cluster's, if it is. */
    char words[STATUS_MESSAGE_SIZE];
};

static void release(struct petition *petition)
{
    keyring_release(&petition->key);
    free(petition);
}

static void on_answer(void *context, uint64_t argument)
{
    struct petition *petition = context;
    struct lone *lone = petition->lone;
    (void)argument;
    if (lone->asked == petition->asked && lone->state == LONE_ASKING) {
        if (petition->admitted) {
            world_say(lone->node.world, "%s: is a member now", lone->name);
            become(lone, LONE_JOINED);
            key_admitted(lone, &petition->key);
            cloud_on_follower(lone->site.cloud); /* It starts again as what it is now. */
        } else {
            lone_unlock(lone, petition->words);
        }
    }
    release(petition);
}

static void answer(struct petition *petition, bool admitted, const char *words)
{
    struct world *world = petition->lone->node.world;
    petition->admitted = admitted;
    (void)snprintf(petition->words, sizeof petition->words, "%s", words);
    if (whole_chance(world, world->whole->temper.reply_lost_percent)) {
        world_say(world, "%s: the cluster's answer is lost: %s", petition->lone->name, words);
        release(petition);
        return;
    }
    whole_later(world, NULL, whole_draw(world, 1, 500), on_answer, petition, 0);
}

static void on_admitted(void *argument, struct status status, struct apply_outcome outcome)
{
    struct petition *petition = argument;
    bool admitted = !failed(status) && outcome.refusal == REFUSAL_NONE;
    admitted = admitted && key_admit(petition->site, &petition->key);
    answer(petition, admitted,
           failed(status) ? status.message : refusal_name((enum refusal)outcome.refusal));
}

static void propose_admission(struct petition *petition)
{
    struct lone *lone = petition->lone;
    struct arena arena = {0};
    enum registration_state registration = REGISTRATION_REGISTERED;
    (void)registration_state_parse(slice_of(petition->registration), &registration);
    const struct command command = {
        .type = COMMAND_MEMBER_ADMIT,
        .body.member_admit = {.token_id = slice_of(lone->token),
                              .registration_state = registration,
                              .statement = slice_of("signed"),
                              .cloud_check = petition->cloud,
                              .member = {.node_id = lone->node.id,
                                         .name = slice_of(lone->name),
                                         .serial = slice_of(lone->serial),
                                         .certificate = whole_certificate(lone->node.world, &arena,
                                                                          lone->node.id),
                                         .standing = STANDING_JOINING,
                                         .since_ms = site_now_ms(petition->site)}},
    };
    struct status status = site_propose(petition->site, &command, on_admitted, petition);
    arena_release(&arena);
    if (failed(status)) {
        answer(petition, false, status.message);
    }
}

static void on_looked_up(void *argument, enum cloud_check check, const char *reason)
{
    struct petition *petition = argument;
    struct world *world = petition->lone->node.world;
    petition->cloud = admission_of_cloud(petition->site->node->store, check, reason);
    world_say(world, "node %u: the cloud %s the serial of %s", petition->site->node->number,
              petition->cloud == CLOUD_CHECK_REGISTERED     ? "lists"
              : petition->cloud == CLOUD_CHECK_UNREGISTERED ? "does not list"
                                                            : "could not be asked about",
              petition->lone->name);
    if (world->options.sabotage == SABOTAGE_ADMIT) {
        petition->cloud = CLOUD_CHECK_UNREACHABLE;
    }
    if (!petition->site->leads) {
        answer(petition, false, "this node does not lead any more");
    } else if (petition->cloud == CLOUD_CHECK_REGISTERED) {
        answer(petition, false, refusal_name(REFUSAL_CLOUD_LISTS_SERIAL));
    } else {
        propose_admission(petition);
    }
}

static void on_petition(void *context, uint64_t argument)
{
    struct petition *petition = context;
    struct lone *lone = petition->lone;
    struct admission admission;
    const struct rpc_admit admit = {
        .token_id = slice_of(lone->token),
        .secret = slice_of(secret),
        .name = slice_of(lone->name),
        .serial = slice_of(lone->serial),
        .registration = slice_of(petition->registration),
    };
    (void)argument;
    petition->site = whole_leader(lone->node.world);
    if (petition->site == NULL) {
        answer(petition, false, "no leader");
        return;
    }
    if (failed(admission_of_joiner(petition->site->node->store, &admit, lone->node.id,
                                   site_now_ms(petition->site), &admission))) {
        abort();
    }
    if (admission.count > 0) {
        answer(petition, false, refusal_name(admission.reasons[0]));
        return;
    }
    cloud_lookup(petition->site->cloud, admit.serial, on_looked_up, petition);
}

static void on_patience(void *context, uint64_t asked)
{
    struct lone *lone = context;
    if (lone->state == LONE_ASKING && lone->asked == asked) {
        lone_unlock(lone, "the cluster did not answer");
    }
}

/* As join_request.c: the statement says what the own store says now. */
static void ask(struct lone *lone)
{
    struct world *world = lone->node.world;
    struct arena arena = {0};
    struct registration_view view;
    struct petition *petition = calloc(1, sizeof *petition);
    if (petition == NULL || failed(store_registration(lone->node.store, &arena, &view))) {
        abort();
    }
    become(lone, LONE_ASKING);
    bool lies = world->options.sabotage == SABOTAGE_ADMIT;
    *petition = (struct petition){
        .lone = lone,
        .asked = lone->asked,
        .registration =
            registration_state_name(lies ? (uint64_t)REGISTRATION_DISABLED : view.state),
    };
    arena_release(&arena);
    world_say(world, "%s: asks to be admitted, %s", lone->name, petition->registration);
    whole_later(world, NULL, whole_draw(world, 1, 2000), on_petition, petition, 0);
    whole_later(world, NULL, PATIENCE_MS, on_patience, lone, lone->asked);
}

static void on_locked(void *argument, struct status status, struct apply_outcome outcome)
{
    struct lone *lone = argument;
    bool refused = failed(status) || outcome.refusal != REFUSAL_NONE;
    if (refused && lone->node.world->options.sabotage != SABOTAGE_ADMIT) {
        world_say(lone->node.world, "%s: may not lock itself: %s", lone->name,
                  refusal_name((enum refusal)outcome.refusal));
        become(lone, LONE_ALONE);
        return;
    }
    ask(lone);
}

/* The token is there: now as server/join.c goes on. */
static void on_token(void *argument, struct status status, struct apply_outcome outcome)
{
    struct lone *lone = argument;
    struct admission admission;
    const struct command command = {
        .type = COMMAND_STANDING_SET,
        .body.standing_set.standing = STANDING_JOINING,
    };
    if (lone->state != LONE_ALONE || failed(status) || outcome.refusal != REFUSAL_NONE ||
        failed(admission_of_self(lone->node.store, &admission))) {
        return;
    }
    if (admission.count > 0 && lone->node.world->options.sabotage != SABOTAGE_ADMIT) {
        world_say(lone->node.world, "%s: may not ask: %s", lone->name,
                  refusal_name(admission.reasons[0]));
        return;
    }
    become(lone, LONE_LOCKING);
    if (failed(lone_propose(lone, &command, on_locked))) {
        abort();
    }
}

void lone_join(struct lone *lone)
{
    struct world *world = lone->node.world;
    struct site *site = whole_leader(world);
    uint8_t hash[STORE_HASH_SIZE];
    (void)SHA256((const unsigned char *)secret, sizeof secret - 1, hash);
    (void)snprintf(lone->token, sizeof lone->token, "%016llx",
                   (unsigned long long)(0x10000U + world->whole->join_token_count++));
    const struct command command = {
        .type = COMMAND_JOIN_TOKEN_CREATE,
        .body.join_token_create = {.token_id = slice_of(lone->token),
                                   .secret_hash = {hash, sizeof hash},
                                   .expires_at_ms = UINT64_MAX / 2},
    };
    if (site != NULL) {
        world_say(world, "%s: wants to join", lone->name);
        struct status status = site_propose(site, &command, on_token, lone);
        (void)status; /* Another time. */
    }
}
