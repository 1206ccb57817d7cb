/*
 * The worker that rotates the cluster key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "key_rotation.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "consensus/consensus.h"
#include "key_wrap.h"

#define RETRY_MS 1000 /* After something failed. */

_Static_assert(KEY_CHECK_SIZE == STORE_HASH_SIZE, "the state keeps a check as a hash");

/* ---- Making commands ---- */

static struct slice copy_wrapped(struct arena *arena, struct buffer *wrapped)
{
    struct slice copy = arena_copy(arena, buffer_slice(wrapped));
    buffer_release(wrapped);
    return copy;
}

static struct status wrap_to(const struct key_context *context, const struct member *member,
                             uint64_t epoch, struct slice key, struct arena *arena,
                             struct slice *out)
{
    struct buffer wrapped = {0};
    uint64_t key_id = 0;
    const struct key_wrap_purpose purpose = {
        .cluster_id = slice_of(context->cluster_id),
        .node_id = member->node_id,
        .epoch = epoch,
    };
    struct status status = node_id_of_certificate(member->certificate, &key_id);
    if (!failed(status) && key_id != member->node_id) {
        status = fail(STATUS_CORRUPT, "its certificate is of another key");
    }
    if (!failed(status)) {
        status = key_wrap(member->certificate, &purpose, key, &wrapped);
    }
    if (failed(status)) {
        buffer_release(&wrapped);
        return wrap(status, "%.*s", SLICE_ARG(member->name));
    }
    *out = copy_wrapped(arena, &wrapped);
    return out->data == NULL ? fail(STATUS_NO_MEMORY, "wrap the cluster key") : OK;
}

static struct status wrap_to_all(const struct key_context *context, struct arena *arena,
                                 struct slice key, struct key_rotate *out)
{
    struct codec_list members;
    struct status status = store_members(context->store, arena, &members);
    const struct member *all = members.items;
    struct key_holder *holders =
        failed(status) ? NULL : arena_alloc(arena, members.count, sizeof *holders);
    if (!failed(status) && holders == NULL) {
        status = fail(STATUS_NO_MEMORY, "wrap the cluster key");
    }
    size_t count = 0;
    for (size_t i = 0; !failed(status) && i < members.count; i++) {
        if (all[i].standing != STANDING_REMOVED) {
            holders[count].node_id = all[i].node_id;
            status = wrap_to(context, &all[i], out->epoch, key, arena, &holders[count].wrapped);
            count++;
        }
    }
    out->holders = (struct codec_list){.items = holders, .count = count};
    return status;
}

struct status key_rotate_make(const struct key_context *context, struct arena *arena,
                              struct slice reason, struct key_rotate *out)
{
    uint8_t check[KEY_CHECK_SIZE];
    struct secret key = {0};
    struct cluster_view cluster;
    *out = (struct key_rotate){.reason = reason};
    struct status status = store_cluster(context->store, arena, &cluster);
    if (!failed(status)) {
        status = secret_reserve(&key, SEAL_KEY_SIZE);
    }
    if (!failed(status)) {
        out->epoch = cluster.key_epoch + 1;
        random_bytes(key.pages, SEAL_KEY_SIZE);
        status = key_check(secret_slice(&key), check);
    }
    if (!failed(status)) {
        out->check = arena_copy(arena, (struct slice){.data = check, .size = sizeof check});
        status = out->check.data == NULL ? fail(STATUS_NO_MEMORY, "make a cluster key")
                                         : wrap_to_all(context, arena, secret_slice(&key), out);
    }
    secret_release(&key);
    return failed(status) ? wrap(status, "rotate the cluster key") : OK;
}

static struct status reseal_one(const struct keyring *keys, const struct sealed_view *view,
                                struct arena *arena, struct slice *out)
{
    struct secret plain = {0};
    struct buffer sealed = {0};
    uint8_t nonce[SEAL_NONCE_SIZE];
    random_bytes(nonce, sizeof nonce);
    struct status status = keyring_open(keys, &view->purpose, view->sealed, &plain);
    if (!failed(status)) {
        status = seal_close(secret_slice(&keys->next), (uint32_t)keys->next_epoch, &view->purpose,
                            nonce, secret_slice(&plain), &sealed);
    }
    secret_release(&plain);
    *out = copy_wrapped(arena, &sealed);
    return !failed(status) && out->data == NULL ? fail(STATUS_NO_MEMORY, "seal anew") : status;
}

/* Everything that is sealed in the state, sealed by the next key instead. The state must be the one that
 * the leader's barrier has brought up to date. */
static struct status make_reseal(const struct key_context *context,
                                 const struct key_rotation_view *rotation, struct arena *arena,
                                 struct key_reseal *out)
{
    const struct keyring *keys = context->keys;
    uint8_t before[STORE_HASH_SIZE];
    struct codec_list sealed;
    struct status status = store_sealed(context->store, arena, &sealed, before);
    const struct sealed_view *views = sealed.items;
    struct resealed *values =
        failed(status) ? NULL : arena_alloc(arena, sealed.count, sizeof *values);
    if (!failed(status) && values == NULL) {
        status = fail(STATUS_NO_MEMORY, "seal anew");
    }
    for (size_t i = 0; !failed(status) && i < sealed.count; i++) {
        status = reseal_one(keys, &views[i], arena, &values[i].sealed);
    }
    *out = (struct key_reseal){
        .epoch = rotation->epoch,
        .check = rotation->check,
        .before = arena_copy(arena, (struct slice){.data = before, .size = sizeof before}),
        .values = {.items = values, .count = sealed.count},
    };
    return failed(status) ? wrap(status, "seal the secrets anew") : OK;
}

/* ---- What this node holds ---- */

static bool holds(const struct keyring *keys, const struct key_rotation_view *rotation)
{
    uint8_t check[KEY_CHECK_SIZE];
    return keys->next.size > 0 && keys->next_epoch == rotation->epoch &&
           !failed(key_check(secret_slice(&keys->next), check)) &&
           slice_equal(rotation->check, (struct slice){.data = check, .size = sizeof check});
}

bool key_news(const struct key_worker *worker, struct arena *arena, struct key_hold *out)
{
    struct key_rotation_view rotation;
    struct key_holder own;
    uint64_t node_id = worker->context.node_id;
    if (failed(store_key_rotation(worker->context.store, arena, &rotation)) ||
        !key_holder_find(&rotation.holders, node_id, &own) || own.held ||
        !holds(worker->context.keys, &rotation)) {
        return false;
    }
    *out = (struct key_hold){.epoch = rotation.epoch, .check = rotation.check, .node_id = node_id};
    return true;
}

static struct status keep(struct key_worker *worker)
{
    struct status status = worker->context.ops->keep(worker->context.context);
    worker->unkept = failed(status);
    return status;
}

/* In place of what it may hold of a rotation that came to nothing. */
static struct status take(struct key_worker *worker, const struct key_rotation_view *rotation,
                          struct slice wrapped)
{
    const struct key_context *context = &worker->context;
    struct keyring *keys = context->keys;
    const struct key_wrap_purpose purpose = {
        .cluster_id = slice_of(context->cluster_id),
        .node_id = context->node_id,
        .epoch = rotation->epoch,
    };
    secret_release(&keys->next);
    keys->next_epoch = rotation->epoch;
    struct status status = key_unwrap(context->node_key, &purpose, wrapped, &keys->next);
    if (!failed(status) && !holds(keys, rotation)) {
        status = fail(STATUS_CORRUPT, "the cluster key that was given is not the one agreed on");
    }
    fault_step(FAULT_KEY_UNWRAPPED);
    if (!failed(status)) {
        status = keep(worker);
    }
    fault_step(FAULT_KEY_KEPT);
    if (failed(status)) { /* What is not kept is not held. */
        secret_release(&keys->next);
        keys->next_epoch = 0;
        worker->unkept = false;
    }
    return status;
}

/* Does the CA's key, which is always there, open with this node's next key? */
static bool opens(const struct keyring *keys, const struct cluster_view *cluster)
{
    struct secret ca_key = {0};
    const struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    bool good =
        seal_key_epoch(cluster->sealed_ca_key) == keys->next_epoch &&
        !failed(seal_open(secret_slice(&keys->next), &purpose, cluster->sealed_ca_key, &ca_key));
    secret_release(&ca_key);
    return good;
}

/* Nothing is sealed by the old key any more. Should keeping this fail, the file still has both keys: it
 * is tried again, and the next start comes here again, too. */
static struct status move_on(struct key_worker *worker, const struct cluster_view *cluster)
{
    struct keyring *keys = worker->context.keys;
    if (keys->next_epoch != cluster->key_epoch || keys->next.size == 0 || !opens(keys, cluster)) {
        return fail(STATUS_CORRUPT, "this node does not have key %llu of its cluster",
                    (unsigned long long)cluster->key_epoch);
    }
    secret_release(&keys->key);
    keys->key = keys->next;
    keys->epoch = keys->next_epoch;
    keys->next = (struct secret){0};
    keys->next_epoch = 0;
    log_event(LOG_LEVEL_NOTICE, "the cluster key was rotated", log_u64("epoch", keys->epoch));
    struct status status = keep(worker);
    fault_step(FAULT_KEY_RETIRED);
    return status;
}

/* A state that lags behind the keys has nothing to say about them. */
static struct status follow(struct key_worker *worker, const struct cluster_view *cluster,
                            const struct key_rotation_view *rotation)
{
    const struct keyring *keys = worker->context.keys;
    struct key_holder own;
    if (cluster->key_epoch > keys->epoch) {
        return move_on(worker, cluster);
    }
    if (worker->unkept) {
        return keep(worker);
    }
    if (rotation->epoch == keys->epoch + 1 && !holds(keys, rotation) &&
        key_holder_find(&rotation->holders, worker->context.node_id, &own)) {
        return take(worker, rotation, own.wrapped);
    }
    return OK;
}

/* ---- What the leader does ---- */

static void on_proposed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct key_worker *worker = argument;
    worker->proposing = false;
    fault_step(FAULT_KEY_PROPOSED);
    if (failed(status) || outcome.refusal != REFUSAL_NONE) {
        log_event(LOG_LEVEL_INFO, "a step of rotating the cluster key will be tried again",
                  log_text("reason", failed(status)
                                         ? status.message
                                         : refusal_reason((enum refusal)outcome.refusal)));
    }
}

/* The first member that the list does not name, or that does not hold the key; false if there is none. */
static bool find_without(const struct codec_list *members, const struct codec_list *holders,
                         bool held, struct member *out)
{
    const struct member *all = members->items;
    struct key_holder holder;
    for (size_t i = 0; i < members->count; i++) {
        if (all[i].standing != STANDING_REMOVED &&
            (!key_holder_find(holders, all[i].node_id, &holder) || (held && !holder.held))) {
            *out = all[i];
            return true;
        }
    }
    return false;
}

/* The next step of the rotation under way; false: it waits, or this node cannot take it. */
static struct status next_step(const struct key_context *context, struct arena *arena,
                               const struct key_rotation_view *rotation, struct command *out,
                               bool *any)
{
    const struct keyring *keys = context->keys;
    struct codec_list members;
    struct member member;
    struct status status = store_members(context->store, arena, &members);
    *any = false;
    if (failed(status) || !holds(keys, rotation)) {
        return status;
    }
    if (find_without(&members, &rotation->holders, false, &member)) {
        struct key_give *give = &out->body.key_give;
        out->type = COMMAND_KEY_GIVE;
        *give = (struct key_give){
            .epoch = rotation->epoch, .check = rotation->check, .node_id = member.node_id};
        *any = true;
        return wrap_to(context, &member, rotation->epoch, secret_slice(&keys->next), arena,
                       &give->wrapped);
    }
    if (!find_without(&members, &rotation->holders, true, &member)) {
        out->type = COMMAND_KEY_RESEAL;
        *any = true;
        return make_reseal(context, rotation, arena, &out->body.key_reseal);
    }
    return OK;
}

static struct status lead(struct key_worker *worker, struct arena *arena,
                          const struct cluster_view *cluster,
                          const struct key_rotation_view *rotation)
{
    const struct key_context *context = &worker->context;
    struct command command = {0};
    char reason[STORE_TEXT_SIZE_MAX];
    bool any = true;
    struct status status = OK;
    if (rotation->epoch != 0) {
        status = next_step(context, arena, rotation, &command, &any);
    } else if (cluster->key_due.size > 0) {
        (void)snprintf(reason, sizeof reason, "%.*s is no member any more",
                       SLICE_ARG(cluster->key_due));
        command.type = COMMAND_KEY_ROTATE;
        status = key_rotate_make(context, arena, slice_of(reason), &command.body.key_rotate);
    } else {
        any = false;
    }
    if (failed(status) || !any) {
        return status;
    }
    fault_step(FAULT_KEY_PROPOSING);
    status = context->ops->propose(context->context, &command, on_proposed, worker);
    worker->proposing = !failed(status);
    return status;
}

static struct status look(struct key_worker *worker, struct arena *arena)
{
    const struct key_context *context = &worker->context;
    struct cluster_view cluster;
    struct key_rotation_view rotation = {0};
    struct status status = store_cluster(context->store, arena, &cluster);
    if (status.code == STATUS_NOT_FOUND) {
        return OK; /* Nothing has been applied yet. */
    }
    if (!failed(status)) {
        status = store_key_rotation(context->store, arena, &rotation);
        status = status.code == STATUS_NOT_FOUND ? OK : status;
    }
    if (!failed(status)) {
        status = follow(worker, &cluster, &rotation);
    }
    if (!failed(status) && context->ops->leads(context->context) && !worker->proposing) {
        status = lead(worker, arena, &cluster, &rotation);
    }
    return status;
}

void key_step(struct key_worker *worker, uint64_t now_ms)
{
    struct arena arena = {0};
    if (now_ms < worker->next_at_ms) {
        return;
    }
    struct status status = look(worker, &arena);
    arena_release(&arena);
    if (failed(status) && strcmp(worker->problem, status.message) != 0) {
        log_event(LOG_LEVEL_WARNING, "the cluster key", log_text("reason", status.message));
    }
    (void)snprintf(worker->problem, sizeof worker->problem, "%s",
                   failed(status) ? status.message : "");
    worker->next_at_ms = failed(status) ? now_ms + RETRY_MS : 0;
}
