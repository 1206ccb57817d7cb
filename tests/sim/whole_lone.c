/*
 * Appliances that stand alone: each has a store and workers of its own, registers itself now and
 * then, and asks the cluster to admit it (whole_join.c); registered or not (rule 7).
 *
 * There is no log: what is applied is applied, and it never crashes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/seal.h"
#include "whole.h"

#define MAP_SIZE ((size_t)4 << 20U)
#define FIRST_ID 101U

/* ---- Its store, and its workers over it ---- */

struct entry {
    struct lone *lone;
    struct buffer bytes;
    cloud_proposed done;
    void *argument;
};

static void on_entry(void *context, uint64_t argument)
{
    struct entry *entry = context;
    struct lone *lone = entry->lone;
    struct slice command = buffer_slice(&entry->bytes);
    struct apply_outcome outcome;
    (void)argument;
    if (failed(store_apply(lone->node.store, ++lone->index, &command, 1, &outcome)) ||
        failed(store_flush(lone->node.store))) {
        abort();
    }
    entry->done(entry->argument, OK, outcome);
    cloud_on_applied(lone->site.cloud);
    buffer_release(&entry->bytes);
    free(entry);
}

static struct status ops_propose(void *context, const struct command *command, cloud_proposed done,
                                 void *argument)
{
    struct site *site = context;
    struct world *world = site->node->world;
    struct command stamped = *command;
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        abort();
    }
    stamped.stamp.at_ms = site_now_ms(site);
    stamped.stamp.actor = slice_of("muster");
    stamped.stamp.origin = slice_of("local");
    *entry = (struct entry){.lone = site->lone, .done = done, .argument = argument};
    struct status status = command_encode(&stamped, &entry->bytes);
    if (failed(status)) {
        free(entry);
        return status;
    }
    whole_later(world, site, whole_draw(world, 1, 30), on_entry, entry, 0);
    return OK;
}

struct status lone_propose(struct lone *lone, const struct command *command, cloud_proposed done)
{
    return ops_propose(&lone->site, command, done, lone);
}

static struct status lone_flush(void *context)
{
    const struct site *site = context;
    return store_flush(site->node->store);
}

static uint64_t lone_now_ms(void *context)
{
    return site_now_ms(context);
}

static const struct cloud_ops lone_ops = {
    .propose = ops_propose,
    .flush = lone_flush,
    .now_ms = lone_now_ms,
};

static void on_nothing(void *argument, struct status status, struct apply_outcome outcome)
{
    struct lone *lone = argument;
    (void)status;
    world_say(lone->node.world, "%s: %s", lone->name, refusal_name((enum refusal)outcome.refusal));
}

static void do_command(struct lone *lone, const struct command *command)
{
    world_say(lone->node.world, "%s, alone: %s", lone->name, command_name(command->type));
    if (failed(lone_propose(lone, command, on_nothing))) {
        abort();
    }
}

/* ---- Registration ---- */

static struct slice seal(struct lone *lone, struct arena *arena, const char *what, uint64_t epoch,
                         const char *plain)
{
    struct world *world = lone->node.world;
    static const uint8_t nonce[SEAL_NONCE_SIZE] = "of a lone";
    struct buffer sealed = {0};
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);
    if (failed(seal_close(secret_slice(&world->whole->keys.key), 1, &purpose, nonce,
                          slice_of(plain), &sealed))) {
        abort();
    }
    struct slice copy = arena_copy(arena, buffer_slice(&sealed));
    buffer_release(&sealed);
    return copy;
}

static void begin(struct lone *lone, uint64_t epoch)
{
    struct arena arena = {0};
    const char *token = device_make_token(lone->node.world, TOKEN_GOOD);
    const struct command command = {
        .type = COMMAND_REGISTRATION_BEGIN,
        .body.registration_begin =
            {
                .mode = slice_of("machine"),
                .node_id = lone->node.id,
                .serial = slice_of(lone->serial),
                .sealed_token = seal(lone, &arena, "registration_token", epoch, token),
                .sealed_key = seal(lone, &arena, "device_key", epoch, device_key_pem),
                .csr = slice_of(device_request_pem),
                .epoch = epoch,
                .key_epoch = 1,
            },
    };
    do_command(lone, &command);
    arena_release(&arena);
}

static void act_registration(struct lone *lone, const struct registration_view *view)
{
    struct world *world = lone->node.world;
    if (view->state == REGISTRATION_DISABLED) {
        const struct command command = {
            .type = COMMAND_REGISTRATION_ENABLE,
            .body.registration_enable.region = slice_of("AMERICAS"),
        };
        do_command(lone, &command);
    } else if (view->state == REGISTRATION_ENABLED || view->state == REGISTRATION_FAILED) {
        begin(lone, view->epoch + 1);
    } else if (view->state == REGISTRATION_REGISTERED && whole_chance(world, 50)) {
        const struct command command = {
            .type = COMMAND_DEREGISTRATION_BEGIN,
            .body.deregistration_begin.epoch = view->epoch,
        };
        do_command(lone, &command);
    }
}

/* ---- Life ---- */

/* A member that the cluster removed stands alone again (server/doubt.h, `cluster reset`). What it is
 * told is a linearizable read, which one that was a leader once could not answer. */
static void look_at_cluster(struct lone *lone)
{
    struct arena arena = {0};
    struct member member;
    struct world *world = lone->node.world;
    bool removed = whole_leader(world) != NULL &&
                   !failed(store_member(whole_furthest(world), &arena, lone->node.id, &member)) &&
                   member.standing == STANDING_REMOVED;
    arena_release(&arena);
    if (removed) {
        lone_unlock(lone, "was removed from the cluster");
    }
}

static void act(struct lone *lone)
{
    struct arena arena = {0};
    struct registration_view view;
    if (lone->state == LONE_JOINED) {
        look_at_cluster(lone);
    } else if (lone->state == LONE_ALONE && whole_chance(lone->node.world, 50)) {
        lone_join(lone);
    } else if (lone->state == LONE_ALONE) {
        if (failed(store_registration(lone->node.store, &arena, &view))) {
            abort();
        }
        act_registration(lone, &view);
    }
    arena_release(&arena);
}

static void wake(void *context, uint64_t argument)
{
    struct lone *lone = context;
    (void)argument;
    if (!lone->node.world->whole->healed) {
        act(lone);
    }
    whole_later(lone->node.world, &lone->site, whole_draw(lone->node.world, 500, 4000), wake, lone,
                0);
}

void lone_turn(struct lone *lone)
{
    if (lone->site.look) {
        lone->site.look = false;
        cloud_look(lone->site.cloud);
    }
}

static void open_store(struct lone *lone)
{
    struct world *world = lone->node.world;
    char directory[SIM_PATH_SIZE];
    (void)snprintf(directory, sizeof directory, "%s/%s", world->options.scratch, lone->name);
    const struct store_options options = {
        .directory = directory, .map_size_max = MAP_SIZE, .outbox_max = 100};
    if (mkdir(directory, 0700) != 0 || failed(store_open(&options, &lone->node.store))) {
        abort();
    }
    const struct command command = {
        .type = COMMAND_CLUSTER_INIT,
        .body.cluster_init = {.cluster_id = slice_of("fedcba9876543210fedcba9876543210"),
                              .ca_certificate = slice_of("ca"),
                              .sealed_ca_key = slice_of("sealed"),
                              .key_epoch = 1,
                              .member = {.node_id = lone->node.id,
                                         .name = slice_of(lone->name),
                                         .serial = slice_of(lone->serial),
                                         .standing = STANDING_STANDALONE}},
    };
    do_command(lone, &command);
}

void lone_start(struct world *world)
{
    for (unsigned i = 0; i < WHOLE_LONES; i++) {
        struct lone *lone = &world->whole->lones[i];
        lone->node.world = world;
        lone->node.number = SIM_NODES_MAX + i;
        lone->node.id = FIRST_ID + i;
        lone->site.node = &lone->node;
        lone->site.lone = lone;
        (void)snprintf(lone->name, sizeof lone->name, "lone-%u", i);
        (void)snprintf(lone->serial, sizeof lone->serial, "serial-of-lone-%u", i);
        const struct cloud_context context = {
            .keys = &world->whole->keys,
            .node_name = lone->name,
            .ops = &lone_ops,
            .context = &lone->site,
        };
        struct cloud_context full = context;
        open_store(lone);
        full.store = lone->node.store;
        if (failed(cloud_create(&full, &lone->site.cloud))) {
            abort();
        }
        lone->site.cloud->http->site = &lone->site;
        cloud_on_leader(lone->site.cloud, true);
        key_open_lone(lone);
        whole_later(world, &lone->site, whole_draw(world, 4000, 12000), wake, lone, 0);
    }
}

struct lone *lone_of(struct world *world, uint64_t node_id)
{
    bool known = node_id >= FIRST_ID && node_id < FIRST_ID + WHOLE_LONES;
    return known ? &world->whole->lones[node_id - FIRST_ID] : NULL;
}
