/*
 * How a node that is too far behind catches up, seen from both ends.
 *
 *     leader: InstallSnapshot(manifest) ----> follower: held
 *                                             fetch the image to a file     (crash: what is there
 *                                                 of it is the beginning of the next attempt)
 *                                             machine.image_install         (crash: the store is
 *                                                 ahead of the log, which is harmless: what it
 *                                                 applies again is skipped)
 *                                             now libraft gets the message, the log is replaced
 *                                             (crash: old log or new one, the store fits both)
 *
 * The follower tries again by itself, as long as the same leader leads; a new leader makes an offer of
 * its own. The leader serves all of them from one file (image_spool.h), and keeps the log that they
 * will need after the image: otherwise a transfer that takes longer than the log between two
 * snapshots would end in need of the next image, for ever. What it keeps so is bounded; once half of
 * that is used, images are sent without a limit of their rate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "image_bytes.h"
#include "node.h"
#include "raft_view.h"

#define LOG_MAX_DEFAULT ((size_t)256 << 20U)
#define RETRY_MIN_MS 500U
#define RETRY_MAX_MS 5000U
/* A follower that was silent for longer has the log cut before its eyes: it gets another image. */
#define PATIENCE_MS 30000U
/* How often a log that is due to be cut is looked at. */
#define LOOK_EVERY_MS 100U
/* How long files that serve nobody wait for somebody to come back. */
#define KEEP_FILES_MS 300000U

static uint64_t machine_index(const struct consensus *node)
{
    const struct machine *machine = &node->options.machine;
    return machine->applied_index(machine->context);
}

static void say(struct consensus *node, uint64_t node_id, const char *words)
{
    if (node->options.on_notice != NULL) {
        node->options.on_notice(node->options.context, node_id, words);
    }
}

void catch_up_on_image(void *context, uint64_t node_id, const char *words)
{
    say(context, node_id, words);
}

/* ---- The leader: keeping the log ---- */

/* Would a cut of the log behind `index` leave this follower, which lives, without the entries that it
 * needs next? */
static bool needs_log(const struct consensus *node, unsigned server, raft_index index)
{
    const struct raft *raft = &node->raft;
    const struct raft_server *row = &raft->configuration.servers[server];
    const struct node_peer *peer = node_peer_find(node, row->id);
    bool lives = peer != NULL && peer->heard && node_now_ms(node) - peer->heard_ms < PATIENCE_MS;
    bool replicates = row->role != RAFT_SPARE || row->id == raft->leader_state.promotee_id;
    return row->id != raft->id && replicates && lives &&
           raft->leader_state.progress[server].match_index < index;
}

static bool somebody_needs_log(const struct consensus *node)
{
    const struct raft *raft = &node->raft;
    unsigned trailing = snapshot_trailing_count(node);
    raft_index cut = raft->last_applied > trailing ? raft->last_applied - trailing : 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        if (needs_log(node, i, cut)) {
            return true;
        }
    }
    return false;
}

static void hurry(struct consensus *node, bool hurries)
{
    if (node->images.hurries != hurries && node->peers_open) {
        node->images.hurries = hurries;
        peers_set_image_rate(node->peers, hurries ? 0 : node->options.catch_up_rate_max);
    }
}

bool catch_up_holds_log(struct consensus *node, bool is_due)
{
    struct images *images = &node->images;
    size_t size_max = node->options.catch_up_log_max;
    uint64_t now_ms = node_now_ms(node);
    if (!is_due || !node_is_leader(node)) {
        images->holds = false;
        images->held_until_ms = 0;
    } else if (now_ms >= images->held_until_ms) {
        images->held_until_ms = now_ms + LOOK_EVERY_MS;
        images->holds = somebody_needs_log(node);
    }
    bool is_full = images->holds && node->log_size >= size_max;
    if (is_full) {
        say(node, 0,
            "a node does not catch up with what is written: the log is cut, and it will "
            "need another image (catchup_log_max_mib)");
    }
    hurry(node, images->holds && node->log_size >= size_max / 2);
    return images->holds && !is_full;
}

uint64_t catch_up_image_version(void *context)
{
    const struct consensus *node = context;
    return node->raft.log.snapshot.last_index;
}

struct status catch_up_image_open(void *context, uint64_t version, const atomic_bool *cancelled,
                                  int *fd)
{
    const struct consensus *node = context;
    return image_spool_get(node->spool, version, cancelled, fd);
}

/* ---- The follower: fetching ---- */

static void retry_later(struct consensus *node)
{
    struct images *images = &node->images;
    unsigned pause_ms = images->pause_ms < RETRY_MIN_MS ? RETRY_MIN_MS : images->pause_ms;
    images->retry_at_ms = node_now_ms(node) + pause_ms;
    images->pause_ms = pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : pause_ms * 2;
}

static void drop_offer(struct consensus *node)
{
    if (node->images.held) {
        node->images.held = false;
        raft_wire_release(&node->images.message);
    }
}

static struct status install(struct consensus *node)
{
    const struct raft_install_snapshot *offer = &node->images.message.raft.install_snapshot;
    const struct machine *machine = &node->options.machine;
    struct slice manifest = {.data = offer->data.base, .size = offer->data.len};
    uint64_t began_us = uv_hrtime() / 1000U;
    struct status status = machine->image_install(machine->context, node->images.path, manifest);
    uint64_t for_us = uv_hrtime() / 1000U - began_us;
    node->install_time_us_max =
        for_us > node->install_time_us_max ? for_us : node->install_time_us_max;
    if (failed(status)) {
        return status;
    }
    if (machine_index(node) < offer->last_index) {
        return fail(STATUS_CORRUPT, "the image ends at entry %llu, %llu was promised",
                    (unsigned long long)machine_index(node), offer->last_index);
    }
    return OK;
}

/* Will libraft answer this offer without installing anything? */
static bool is_needless(const struct consensus *node, const struct raft_install_snapshot *offer)
{
    const struct raft *raft = &node->raft;
    raft_term term = raft_view_term(raft, offer->last_index);
    return offer->term < raft->current_term || raft->log.snapshot.last_index >= offer->last_index ||
           (term != 0 && term >= offer->last_term) || machine_index(node) >= offer->last_index;
}

static void pass_offer(struct consensus *node)
{
    struct images *images = &node->images;
    images->held = false;
    images->message.raft.server_address = images->address;
    node_io_pass(node, &images->message);
}

static void on_whole(struct consensus *node)
{
    struct images *images = &node->images;
    uint64_t node_id = images->message.raft.server_id;
    fault_step(FAULT_IMAGE_FETCHED);
    struct status status = install(node);
    fault_step(FAULT_IMAGE_INSTALLED);
    if (status.code == STATUS_BUSY) { /* One of ours is being written. The next attempt will find */
        retry_later(node);            /* that all of this one is here. */
        return;
    }
    image_bytes_remove(node->options.loop, images->path);
    if (failed(status)) {
        say(node, node_id, status.message);
        retry_later(node);
        return;
    }
    char words[80];
    (void)snprintf(words, sizeof words, "an image is installed, within %llu ms",
                   (unsigned long long)node->install_time_us_max / 1000U);
    node->snapshots_installed++;
    say(node, node_id, words);
    pass_offer(node);
}

static void on_fetched(struct peer_image *image, struct status status)
{
    struct consensus *node = image->context;
    struct images *images = &node->images;
    images->fetching = false;
    images->used_at_ms = node_now_ms(node);
    if (node->raft_closing || failed(node->failure)) {
        drop_offer(node);
    } else if (!images->held) {
        return; /* Another leader's time has come. */
    } else if (failed(status)) {
        if (!images->superseded) {
            say(node, images->message.raft.server_id, status.message);
        }
        retry_later(node);
    } else if (is_needless(node, &images->message.raft.install_snapshot)) {
        image_bytes_remove(node->options.loop,
                           images->path); /* The log has come to it meanwhile. */
        drop_offer(node);
    } else {
        on_whole(node);
    }
}

static void fetch(struct consensus *node)
{
    struct images *images = &node->images;
    images->request.context = node;
    images->superseded = false;
    struct status status = peer_image_fetch(
        node->peers, &images->request, images->message.raft.server_id, images->path, on_fetched);
    images->fetching = !failed(status);
    if (failed(status)) {
        say(node, images->message.raft.server_id, status.message);
        retry_later(node);
    }
}

void catch_up_offered(struct consensus *node, struct raft_wire_message *message)
{
    struct images *images = &node->images;
    const struct raft_install_snapshot *offer = &message->raft.install_snapshot;
    bool is_newer = !images->held || offer->term > images->message.raft.install_snapshot.term;
    if (is_needless(node, offer)) {
        node_io_pass(node, message);
        return;
    }
    if (!is_newer) {
        raft_wire_release(message); /* That one is being fetched. */
        return;
    }
    drop_offer(node);
    images->message = *message;
    images->held = true;
    images->pause_ms = 0;
    images->retry_at_ms = 0;
    (void)snprintf(images->address, sizeof images->address, "%s", message->raft.server_address);
    if (images->fetching) { /* Of an earlier leader. */
        images->superseded = true;
        peer_image_cancel(&images->request);
    } else {
        fetch(node);
    }
}

/* ---- By the clock ---- */

static void clean_files(struct consensus *node)
{
    struct images *images = &node->images;
    struct peer_transfer transfers[PEER_TRANSFERS_MAX];
    uint64_t now_ms = node_now_ms(node);
    if (images->held || peers_transfers(node->peers, transfers) > 0) {
        images->used_at_ms = now_ms;
        images->cleaned = false;
    } else if (!images->cleaned && now_ms - images->used_at_ms >= KEEP_FILES_MS) {
        images->cleaned = true;
        image_bytes_remove(node->options.loop, images->path);
        image_spool_clean(node->spool, node->options.loop);
    }
}

void catch_up_turn(struct consensus *node)
{
    struct images *images = &node->images;
    if (images->held && !images->fetching &&
        is_needless(node, &images->message.raft.install_snapshot)) {
        drop_offer(node);
    }
    if (images->held && !images->fetching && node_now_ms(node) >= images->retry_at_ms) {
        fetch(node);
    }
    clean_files(node);
}

struct status catch_up_open(struct consensus *node)
{
    struct images *images = &node->images;
    char gone[NODE_PATH_SIZE + sizeof IMAGE_GONE_SUFFIX];
    const struct machine *machine = &node->options.machine;
    const struct image_spool_options options = {
        .directory = node->directory, .write = machine->image_write, .context = machine->context};
    (void)snprintf(images->path, sizeof images->path, "%s/image.part", node->directory);
    (void)snprintf(gone, sizeof gone, "%s" IMAGE_GONE_SUFFIX, images->path);
    (void)unlink(gone);
    images->used_at_ms = node_now_ms(node);
    if (node->options.catch_up_log_max == 0) {
        node->options.catch_up_log_max = LOG_MAX_DEFAULT;
    }
    return image_spool_create(&options, &node->spool);
}

void catch_up_close(struct consensus *node)
{
    drop_offer(node);
    image_spool_destroy(node->spool);
}
