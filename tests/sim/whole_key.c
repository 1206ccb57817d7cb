/*
 * The cluster key: the keyring of each node and the worker that rotates it (server/key_rotation.c, as in
 * musterd), over a file in which the keyring outlives crashes; and how a member tells that it holds a key
 * (in place of server/announce.c).
 *
 * A key is wrapped to a node's certificate by our own wrapping, without the random numbers of ECDH, so
 * that a seed repeats to the byte; a certificate is the words "certificate N of node I".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "key_wrap.h"
#include "whole.h"

#define TICK_MS 100U
#define TELL_PERCENT 20U /* Of the ticks: twice a second. */
#define CLUSTER_ID "0123456789abcdef0123456789abcdef"
#define LATE_MS_MAX 15000U /* Of what is told. */

const char whole_cluster_id[] = CLUSTER_ID;

/* ---- Wrapping and randomness, in place of the product's ---- */

static struct world *present; /* A run is one process. */

static void wrapping_key(uint64_t node_id, uint8_t out[SEAL_KEY_SIZE])
{
    char text[64];
    int size = snprintf(text, sizeof text, "the key of node %llu", (unsigned long long)node_id);
    (void)SHA256((const unsigned char *)text, (size_t)size, out);
}

/* Whoever is renewed keeps its key: only the number before it changes. */
static uint64_t node_of(struct slice certificate)
{
    char text[64];
    const char *of =
        slice_to_text(certificate, text, sizeof text) ? strstr(text, "of node ") : NULL;
    return of == NULL ? 0 : strtoull(of + strlen("of node "), NULL, 10);
}

struct slice whole_certificate(struct world *world, struct arena *arena, uint64_t node_id)
{
    char text[64];
    (void)snprintf(text, sizeof text, "certificate %u of node %llu", whole_draw(world, 0, 9999),
                   (unsigned long long)node_id);
    return arena_copy(arena, slice_of(text));
}

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */

void __real_random_bytes(void *out, size_t size);
void __wrap_random_bytes(void *out, size_t size);

void __wrap_random_bytes(void *out, size_t size)
{
    uint8_t *bytes = out;
    if (present == NULL) {
        __real_random_bytes(out, size);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)whole_draw(present, 0, UINT8_MAX);
    }
}

struct status __wrap_node_id_of_certificate(struct slice certificate, uint64_t *out);

struct status __wrap_node_id_of_certificate(struct slice certificate, uint64_t *out)
{
    *out = node_of(certificate);
    return *out == 0 ? fail(STATUS_INVALID, "not a certificate") : OK;
}

struct status __wrap_key_wrap(struct slice certificate, const struct key_wrap_purpose *purpose,
                              struct slice key, struct buffer *out);

struct status __wrap_key_wrap(struct slice certificate, const struct key_wrap_purpose *purpose,
                              struct slice key, struct buffer *out)
{
    uint8_t wrapping[SEAL_KEY_SIZE];
    uint8_t nonce[SEAL_NONCE_SIZE];
    const struct seal_purpose bound = seal_purpose_of(purpose->cluster_id, purpose->epoch);
    wrapping_key(node_of(certificate), wrapping);
    random_bytes(nonce, sizeof nonce);
    return seal_close((struct slice){wrapping, sizeof wrapping}, 1, &bound, nonce, key, out);
}

struct status __wrap_key_unwrap(struct slice private_key, const struct key_wrap_purpose *purpose,
                                struct slice wrapped, struct secret *out);

struct status __wrap_key_unwrap(struct slice private_key, const struct key_wrap_purpose *purpose,
                                struct slice wrapped, struct secret *out)
{
    uint8_t wrapping[SEAL_KEY_SIZE];
    const struct seal_purpose bound = seal_purpose_of(purpose->cluster_id, purpose->epoch);
    wrapping_key(node_of(private_key), wrapping);
    return seal_open((struct slice){wrapping, sizeof wrapping}, &bound, wrapped, out);
}

/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

/* ---- What the worker asks ---- */

static void copy_ring(const struct keyring *from, struct keyring *to)
{
    keyring_release(to);
    *to = (struct keyring){0};
    if (failed(keyring_copy(from, to))) {
        abort();
    }
}

/* The identity's file is replaced by a rename: after a crash it is the one or the other. */
static struct status ops_keep(void *context)
{
    struct site *site = context;
    struct sim_node *node = site->node;
    struct world *world = node->world;
    bool troubled = site->lone == NULL && !world->whole->healed;
    if (troubled && whole_chance(world, 5)) {
        return fail(STATUS_IO, "the disk does not take it");
    }
    bool dies = troubled && whole_chance(world, 10);
    bool too_early = dies && whole_chance(world, 50);
    if (!too_early && world->options.sabotage != SABOTAGE_KEEP) {
        copy_ring(&site->keys, &site->kept);
    }
    node->disk.dead = node->disk.dead || dies;
    world_say(world, "node %llu %s keys %llu and %llu%s", (unsigned long long)node->id,
              too_early ? "does not keep" : "keeps", (unsigned long long)site->keys.epoch,
              (unsigned long long)site->keys.next_epoch, dies ? ", and its power fails" : "");
    return too_early ? fail(STATUS_IO, "the power is off") : OK;
}

static bool ops_leads(void *context)
{
    const struct site *site = context;
    return site->lone == NULL && site->leads && node_leads(site->node);
}

static struct status ops_propose(void *context, const struct command *command, cloud_proposed done,
                                 void *argument)
{
    return site_propose(context, command, done, argument);
}

static const struct key_ops ops = {
    .keep = ops_keep,
    .leads = ops_leads,
    .propose = ops_propose,
};

/* ---- Telling that a key is held ---- */

struct news {
    struct site *from;
    unsigned asked; /* Of a lone: which life of it as a member. */
    struct site *to;
    struct key_hold hold;
    uint8_t check[STORE_HASH_SIZE];
};

static void propose_hold(struct site *leader, const struct key_hold *hold)
{
    const struct command command = {.type = COMMAND_KEY_HOLD, .body.key_hold = *hold};
    struct status status = site_propose(leader, &command, NULL, NULL);
    (void)status; /* It is told again. */
}

static bool reaches(const struct site *from, const struct site *to)
{
    const struct world *world = to->node->world;
    unsigned one = from->node->number;
    unsigned other = to->node->number;
    return from->lone != NULL || (!world->cut[one][other] && !world->cut[other][one]);
}

static void on_news(void *context, uint64_t argument)
{
    struct news *news = context;
    (void)argument;
    bool is_of_now = news->from->lone == NULL || news->from->lone->asked == news->asked;
    if (is_of_now && ops_leads(news->to) && reaches(news->from, news->to)) {
        propose_hold(news->to, &news->hold);
    }
    free(news);
}

static void post(struct site *from, struct site *to, const struct key_hold *hold)
{
    struct world *world = from->node->world;
    bool is_late = !world->whole->healed && whole_chance(world, 10);
    struct news *news = calloc(1, sizeof *news);
    if (news == NULL) {
        abort();
    }
    *news = (struct news){
        .from = from, .asked = from->lone != NULL ? from->lone->asked : 0, .to = to, .hold = *hold};
    memcpy(news->check, hold->check.data, sizeof news->check);
    news->hold.check.data = news->check;
    whole_later(world, NULL, whole_draw(world, 1, is_late ? LATE_MS_MAX : 200), on_news, news, 0);
}

static void tell(struct site *site)
{
    struct world *world = site->node->world;
    struct arena arena = {0};
    struct key_hold hold;
    struct site *leader = ops_leads(site) ? site : whole_leader(world);
    if (leader != NULL && key_news(&site->key, &arena, &hold)) {
        if (leader == site) {
            propose_hold(site, &hold);
        } else if (reaches(site, leader)) {
            post(site, leader, &hold);
            if (!world->whole->healed && whole_chance(world, 10)) {
                post(site, leader, &hold);
            }
        }
    }
    arena_release(&arena);
}

/* ---- Life ---- */

static struct key_context context_of(struct site *site, struct store *store)
{
    return (struct key_context){
        .store = store,
        .keys = &site->keys,
        .cluster_id = whole_cluster_id,
        .node_id = site->node->id,
        .node_key = slice_of(site->node_key),
        .ops = &ops,
        .context = site,
    };
}

void key_turn(struct site *site)
{
    key_step(&site->key, site->node->world->now_ms);
}

static void on_tick(void *context, uint64_t argument)
{
    struct site *site = context;
    (void)argument;
    key_turn(site);
    if (whole_chance(site->node->world, TELL_PERCENT)) {
        tell(site);
    }
    whole_later(site->node->world, site, TICK_MS, on_tick, site, 0);
}

void key_open(struct site *site)
{
    static const char first[SEAL_KEY_SIZE] = "the key of a simulated cluster";
    struct sim_node *node = site->node;
    present = node->world;
    (void)snprintf(site->node_key, sizeof site->node_key, "the key of node %llu",
                   (unsigned long long)node->id);
    if (site->kept.epoch == 0) {
        site->kept.epoch = 1;
        if (failed(secret_copy(&site->kept.key, (struct slice){first, sizeof first}))) {
            abort();
        }
    }
    copy_ring(&site->kept, &site->keys);
    site->key = (struct key_worker){.context = context_of(site, node->store)};
    whole_later(node->world, site, TICK_MS, on_tick, site, 0);
}

void key_crash(struct site *site)
{
    keyring_release(&site->keys);
    site->keys = (struct keyring){0};
}

/* An appliance that was admitted has no replica here: it looks at what some node has, which may lag. */
static void on_lone_tick(void *context, uint64_t argument)
{
    struct lone *lone = context;
    struct world *world = lone->node.world;
    const struct sim_node *node =
        &world->nodes[whole_draw(world, 0, world->options.node_count - 1)];
    (void)argument;
    if (lone->state == LONE_JOINED && node->alive) {
        lone->site.key.context = context_of(&lone->site, node->store);
        key_turn(&lone->site);
        tell(&lone->site);
    }
    whole_later(world, NULL, whole_draw(world, 100, 1000), on_lone_tick, lone, 0);
}

void key_open_lone(struct lone *lone)
{
    (void)snprintf(lone->site.node_key, sizeof lone->site.node_key, "the key of node %llu",
                   (unsigned long long)lone->node.id);
    whole_later(lone->node.world, NULL, TICK_MS, on_lone_tick, lone, 0);
}

bool key_admit(struct site *leader, struct keyring *out)
{
    struct arena arena = {0};
    struct cluster_view cluster = {0};
    struct status status = store_cluster(leader->node->store, &arena, &cluster);
    struct slice key =
        failed(status) ? (struct slice){0} : keyring_find(&leader->keys, cluster.key_epoch);
    arena_release(&arena);
    if (key.size == 0) {
        return false; /* As handle_admit.c. */
    }
    out->epoch = cluster.key_epoch;
    if (failed(secret_copy(&out->key, key))) {
        abort();
    }
    return true;
}

void key_admitted(struct lone *lone, const struct keyring *ring)
{
    copy_ring(ring, &lone->site.keys);
    copy_ring(ring, &lone->site.kept);
    lone->site.key = (struct key_worker){0};
}

struct slice whole_seal(const struct site *site, struct arena *arena,
                        const struct seal_purpose *purpose, const char *plain)
{
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct buffer sealed = {0};
    random_bytes(nonce, sizeof nonce);
    if (failed(seal_close(secret_slice(&site->keys.key), (uint32_t)site->keys.epoch, purpose, nonce,
                          slice_of(plain), &sealed))) {
        abort();
    }
    struct slice copy = arena_copy(arena, buffer_slice(&sealed));
    buffer_release(&sealed);
    return copy;
}
