/*
 * What must be true of the cluster key (rule 12), seen from outside: whenever something is sealed, and at the
 * end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "key_wrap.h"
#include "store/seal.h"
#include "whole.h"

static void break_rule(struct world *world, const char *what, uint64_t node_id, uint64_t epoch)
{
    check_fail(world, VERDICT_RULE, "rule 12: %s: node %llu, key %llu", what,
               (unsigned long long)node_id, (unsigned long long)epoch);
}

/* The site of a present member; NULL: nobody that could hold a key. */
static struct site *site_of_member(struct world *world, uint64_t node_id)
{
    struct lone *lone = lone_of(world, node_id);
    if (lone != NULL) {
        return lone->state == LONE_JOINED ? &lone->site : NULL;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (world->nodes[i].id == node_id) {
            return &world->whole->sites[i];
        }
    }
    return NULL;
}

static bool fits(struct slice key, struct slice check)
{
    uint8_t own[KEY_CHECK_SIZE];
    return key.size > 0 && !failed(key_check(key, own)) &&
           slice_equal(check, (struct slice){own, sizeof own});
}

/* Everything was sealed anew: every member must have the key on its disk by now. */
static void check_held(struct sim_node *node, const struct key_reseal *reseal)
{
    struct world *world = node->world;
    struct arena arena = {0};
    struct codec_list members;
    if (failed(store_members(node->store, &arena, &members))) {
        abort();
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        const struct site *site = site_of_member(world, all[i].node_id);
        if (all[i].standing != STANDING_REMOVED &&
            (site == NULL || !fits(keyring_find(&site->kept, reseal->epoch), reseal->check))) {
            break_rule(world, "all is sealed by a key that a member does not keep", all[i].node_id,
                       reseal->epoch);
        }
    }
    world->whole->counts[WHOLE_ROTATIONS]++;
    arena_release(&arena);
}

/* The key of this number, as the nodes keep it: they agree. */
static struct slice kept_key(struct world *world, uint64_t epoch)
{
    struct slice found = {0};
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct slice key = keyring_find(&world->whole->sites[i].kept, epoch);
        if (found.size > 0 && key.size > 0 && !slice_equal(found, key)) {
            break_rule(world, "nodes keep different keys of one number", i + 1, epoch);
        }
        found = key.size > 0 ? key : found;
    }
    return found;
}

static bool opens(struct slice key, const struct sealed_view *view)
{
    struct secret plain = {0};
    bool good = !failed(seal_open(key, &view->purpose, view->sealed, &plain));
    secret_release(&plain);
    return good;
}

/* All that is sealed is sealed by the one key, and opens. */
static void check_sealed(struct sim_node *node)
{
    struct world *world = node->world;
    struct arena arena = {0};
    struct cluster_view cluster;
    struct codec_list sealed;
    uint8_t hash[STORE_HASH_SIZE];
    if (failed(store_cluster(node->store, &arena, &cluster)) ||
        failed(store_sealed(node->store, &arena, &sealed, hash))) {
        abort();
    }
    struct slice key = kept_key(world, cluster.key_epoch);
    const struct sealed_view *views = sealed.items;
    for (size_t i = 0; i < sealed.count; i++) {
        if (seal_key_epoch(views[i].sealed) != cluster.key_epoch) {
            break_rule(world, "a secret is sealed by another key than the present one", node->id,
                       seal_key_epoch(views[i].sealed));
        } else if (!opens(key, &views[i])) {
            break_rule(world, "a secret opens for nobody", node->id, cluster.key_epoch);
        }
    }
    arena_release(&arena);
}

void key_check_applied(struct sim_node *node, const struct command *command)
{
    bool seals = command->type == COMMAND_CLUSTER_INIT || command->type == COMMAND_CREDENTIAL_PUT ||
                 command->type == COMMAND_REGISTRATION_BEGIN ||
                 command->type == COMMAND_REGISTRATION_RENEW || command->type == COMMAND_KEY_RESEAL;
    if (command->type == COMMAND_KEY_RESEAL) {
        check_held(node, &command->body.key_reseal);
    }
    if (seals && node->world->options.sabotage != SABOTAGE_SECRET) {
        check_sealed(node);
    }
}

static bool is_last(const struct keyring *ring, uint64_t epoch)
{
    return ring->epoch == epoch && ring->next.size == 0;
}

/* Nothing is due, nobody is on the way in or out, and every member has forgotten the keys before. */
bool key_is_settled(struct world *world, struct store *store)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct key_rotation_view rotation;
    struct codec_list members;
    bool settled = !failed(store_cluster(store, &arena, &cluster)) && cluster.key_due.size == 0 &&
                   store_key_rotation(store, &arena, &rotation).code == STATUS_NOT_FOUND &&
                   !failed(store_members(store, &arena, &members));
    for (size_t i = 0; settled && i < members.count; i++) {
        const struct member *member = (const struct member *)members.items + i;
        const struct site *site = site_of_member(world, member->node_id);
        settled =
            member->standing == STANDING_REMOVED ||
            (member->standing == STANDING_MEMBER && site != NULL &&
             is_last(&site->keys, cluster.key_epoch) && is_last(&site->kept, cluster.key_epoch));
    }
    arena_release(&arena);
    return settled;
}

/* Who is no member any more knows nothing that opens anything. */
static void check_thieves(struct world *world, struct store *store)
{
    struct arena arena = {0};
    struct codec_list sealed;
    uint8_t hash[STORE_HASH_SIZE];
    if (failed(store_sealed(store, &arena, &sealed, hash))) {
        abort();
    }
    const struct sealed_view *views = sealed.items;
    for (unsigned i = 0; i < WHOLE_LONES; i++) {
        struct lone *lone = &world->whole->lones[i];
        struct member member;
        bool is_member = !failed(store_member(store, &arena, lone->node.id, &member)) &&
                         member.standing != STANDING_REMOVED;
        const struct keyring *ring = &lone->site.kept;
        for (size_t k = 0; k < sealed.count && !is_member; k++) {
            if ((ring->key.size > 0 && opens(secret_slice(&ring->key), &views[k])) ||
                (ring->next.size > 0 && opens(secret_slice(&ring->next), &views[k]))) {
                break_rule(world, "who was removed can open what is sealed", lone->node.id,
                           ring->epoch);
            }
        }
    }
    arena_release(&arena);
}

void key_check_end(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (world->nodes[i].store != NULL && !world->options.members) {
            check_sealed(&world->nodes[i]);
        }
    }
    check_thieves(world, whole_furthest(world));
}
