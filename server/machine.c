/*
 * The store as the replicated state machine.
 *
 * The manifest of a snapshot: format version, applied index and digest. The image that a follower
 * fetches may be newer than the manifest; the log's entries that it already holds are skipped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "machine.h"

#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "daemon.h"

#define MANIFEST_VERSION 1
#define APPLY_BATCH 64 /* Outcomes translated at once. */

struct manifest {
    uint64_t version;
    uint64_t index;
    struct slice digest;
};

static const struct codec_field manifest_fields[] = {
    CODEC_FIELD(struct manifest, 1, version, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct manifest, 2, index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct manifest, 3, digest, CODEC_BYTES, 64),
};
static const struct codec manifest_codec = CODEC(struct manifest, "manifest", manifest_fields);

/* Answers may go out once applied here; the commit follows within flush_delay_ms, and until then
 * the log is what makes them durable. */
static void flush_soon(struct daemon *daemon)
{
    if (!uv_is_active((uv_handle_t *)&daemon->flush_timer)) {
        (void)uv_timer_start(&daemon->flush_timer, daemon_on_flush_timer,
                             daemon->config.flush_delay_ms, 0);
    }
}

static struct status machine_apply(void *context, uint64_t index, const struct slice *commands,
                                   size_t count, struct outcome *outcomes)
{
    struct daemon *daemon = context;
    /* The two rooms do not know each other's outcome; they are the same two numbers. */
    _Static_assert(sizeof(struct outcome) == sizeof(struct apply_outcome), "two numbers each");
    struct apply_outcome applied[APPLY_BATCH];
    struct apply_outcome *all = count <= APPLY_BATCH ? applied : NULL;
    struct arena arena = {0};
    if (all == NULL) {
        all = arena_alloc(&arena, count, sizeof *all);
    }
    if (all == NULL) {
        return fail(STATUS_NO_MEMORY, "apply entry %llu", (unsigned long long)index);
    }
    struct status status = store_apply(daemon->store, index, commands, count, all);
    for (size_t i = 0; !failed(status) && i < count; i++) {
        outcomes[i] = (struct outcome){.code = all[i].refusal, .value = all[i].value};
    }
    arena_release(&arena);
    daemon->applied = true;
    flush_soon(daemon);
    return status;
}

static uint64_t machine_applied_index(void *context)
{
    const struct daemon *daemon = context;
    return store_applied_index(daemon->store);
}

struct status machine_manifest(struct store *store, uint64_t index, struct buffer *manifest)
{
    struct store_digest digest;
    struct status status = store_sync(store);
    if (failed(status)) {
        return wrap(status, "snapshot at %llu", (unsigned long long)index);
    }
    store_digest(store, &digest);
    const struct manifest values = {
        .version = MANIFEST_VERSION,
        .index = index,
        .digest = {.data = digest.bytes, .size = sizeof digest.bytes},
    };
    return codec_encode(&manifest_codec, CODEC_TAGS, &values, manifest);
}

static struct status machine_snapshot(void *context, uint64_t index, struct buffer *manifest)
{
    struct daemon *daemon = context;
    return machine_manifest(daemon->store, index, manifest);
}

static struct status machine_image_write(void *context, int fd)
{
    struct daemon *daemon = context;
    return store_image_write(daemon->store, fd);
}

static struct status machine_image_install(void *context, const char *path, struct slice bytes)
{
    struct daemon *daemon = context;
    struct manifest manifest;
    struct arena arena = {0};
    struct status status = codec_decode(&manifest_codec, CODEC_TAGS, bytes, &arena, &manifest);
    if (!failed(status) && manifest.version != MANIFEST_VERSION) {
        status = fail(STATUS_INVALID,
                      "the snapshot is of format %llu, and this musterd reads %d: "
                      "upgrade this node",
                      (unsigned long long)manifest.version, MANIFEST_VERSION);
    }
    if (!failed(status)) {
        status = store_image_install(daemon->store, path, manifest.index);
    }
    arena_release(&arena);
    daemon->applied = true;
    return status;
}

static struct status machine_room(void *context, bool follower)
{
    const struct daemon *daemon = context;
    return disk_watch_room(&daemon->disk, follower);
}

static struct status machine_address_of(void *context, uint64_t node_id,
                                        char out[CONSENSUS_ADDRESS_SIZE])
{
    struct daemon *daemon = context;
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(daemon->store, &arena, node_id, &member);
    _Static_assert(CONSENSUS_ADDRESS_SIZE == ADDRESS_SIZE, "one size of addresses");
    if (!failed(status) && !address_book_peer(&daemon->addresses, &member, out)) {
        status = fail(STATUS_NOT_FOUND, "the member's address is not known");
    }
    arena_release(&arena);
    return status;
}

/* From a quarantined member's earlier life nothing counts any more: no vote, no acknowledgement. When
 * raft lets it go its connections are ended for this, and those of its next life begin after. */
static bool is_quarantined(struct daemon *daemon, uint64_t node_id)
{
    struct arena arena = {0};
    struct member member;
    bool out = !failed(store_member(daemon->store, &arena, node_id, &member)) &&
               (member.quarantine == QUARANTINE_ASKED || member.quarantine == QUARANTINE_OUT);
    arena_release(&arena);
    return out;
}

static bool machine_peer_allowed(void *context, uint64_t node_id)
{
    return daemon_knows(context, node_id) && !is_quarantined(context, node_id);
}

struct machine machine_of(struct daemon *daemon)
{
    return (struct machine){
        .context = daemon,
        .apply = machine_apply,
        .applied_index = machine_applied_index,
        .snapshot = machine_snapshot,
        .image_write = machine_image_write,
        .image_install = machine_image_install,
        .room = machine_room,
        .address_of = machine_address_of,
        .peer_allowed = machine_peer_allowed,
    };
}

/* ---- Without a daemon ---- */

static struct status salvage_apply(void *context, uint64_t index, const struct slice *commands,
                                   size_t count, struct outcome *outcomes)
{
    struct arena arena = {0};
    struct apply_outcome *applied = arena_alloc(&arena, count, sizeof *applied);
    struct status status = applied == NULL ? fail(STATUS_NO_MEMORY, "apply")
                                           : store_apply(context, index, commands, count, applied);
    for (size_t i = 0; !failed(status) && i < count; i++) {
        outcomes[i] = (struct outcome){.code = applied[i].refusal, .value = applied[i].value};
    }
    arena_release(&arena);
    return status;
}

static uint64_t salvage_applied_index(void *context)
{
    return store_applied_index(context);
}

struct status machine_salvage(struct store *store, const char *log, struct consensus_log_end *end)
{
    const struct machine machine = {
        .context = store,
        .apply = salvage_apply,
        .applied_index = salvage_applied_index,
    };
    return consensus_salvage(log, &machine, end);
}
