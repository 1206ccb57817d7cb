/*
 * The file of a snapshot's manifest: encode, decode, and replace without a moment in which there is
 * none.
 *
 *     snapshot.tmp (allocated) --write, sync--> --rename--> <index>.snapshot --sync directory-->
 *
 * The last two are kept; the one before them becomes snapshot.tmp again, so that a snapshot, which
 * is what gives space back, needs no space.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "wal_state.h"

#define VERSION_AT 8U
#define CHECKSUM_AT 60U
#define CONTENT_AT 64U
#define SERVER_SIZE 12U /* Without its address. */
#define ADDRESS_SIZE_MAX 1024U

static const char magic[8] = {'m', 'u', 's', 't', 'r', 'S', 'N', 'P'};

static size_t configuration_size(const struct raft_configuration *configuration)
{
    size_t size = 0;
    for (unsigned i = 0; i < configuration->n; i++) {
        size += SERVER_SIZE + strlen(configuration->servers[i].address);
    }
    return size;
}

static uint8_t *configuration_encode(const struct raft_configuration *configuration, uint8_t *out)
{
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        size_t size = strlen(server->address);
        wal_put_u64(out, server->id);
        wal_put_u16(out + 8, (uint16_t)server->role);
        wal_put_u16(out + 10, (uint16_t)size);
        memcpy(out + SERVER_SIZE, server->address, size);
        out += SERVER_SIZE + size;
    }
    return out;
}

static size_t content_size(const struct raft_snapshot *snapshot)
{
    size_t size = 0;
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        size += snapshot->bufs[i].len;
    }
    return size;
}

static uint32_t manifest_checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = crc32c(0, (struct slice){.data = bytes, .size = CHECKSUM_AT});
    return crc32c(sum, (struct slice){.data = bytes + CONTENT_AT, .size = size - CONTENT_AT});
}

struct status wal_manifest_encode(const struct raft_snapshot *snapshot, struct wal_manifest **out)
{
    size_t servers = configuration_size(&snapshot->configuration);
    size_t content = content_size(snapshot);
    if (servers > WAL_CONFIGURATION_SIZE_MAX || content > WAL_MANIFEST_SIZE_MAX) {
        return fail(STATUS_INVALID,
                    "snapshot %llu: %zu bytes of configuration and %zu of manifest, at most %u "
                    "and %u",
                    snapshot->index, servers, content, WAL_CONFIGURATION_SIZE_MAX,
                    WAL_MANIFEST_SIZE_MAX);
    }
    for (unsigned i = 0; i < snapshot->configuration.n; i++) {
        if (strlen(snapshot->configuration.servers[i].address) > ADDRESS_SIZE_MAX) {
            return fail(STATUS_INVALID, "snapshot %llu: an address above %u bytes", snapshot->index,
                        ADDRESS_SIZE_MAX);
        }
    }
    size_t size = CONTENT_AT + servers + content;
    struct wal_manifest *manifest = alloc_zeroed(1, sizeof *manifest + size);
    if (manifest == NULL) {
        return fail(STATUS_NO_MEMORY, "snapshot %llu", snapshot->index);
    }
    *manifest =
        (struct wal_manifest){.index = snapshot->index, .term = snapshot->term, .size = size};
    uint8_t *bytes = manifest->bytes;
    memcpy(bytes, magic, sizeof magic);
    wal_put_u32(bytes + VERSION_AT, WAL_FORMAT_VERSION);
    wal_put_u32(bytes + 12, snapshot->configuration.n);
    wal_put_u64(bytes + 16, snapshot->index);
    wal_put_u64(bytes + 24, snapshot->term);
    wal_put_u64(bytes + 32, snapshot->configuration_index);
    wal_put_u32(bytes + 40, (uint32_t)servers);
    wal_put_u32(bytes + 44, (uint32_t)content);
    uint8_t *at = configuration_encode(&snapshot->configuration, bytes + CONTENT_AT);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        if (snapshot->bufs[i].len > 0) {
            memcpy(at, snapshot->bufs[i].base, snapshot->bufs[i].len);
        }
        at += snapshot->bufs[i].len;
    }
    wal_put_u32(bytes + CHECKSUM_AT, manifest_checksum(bytes, size));
    *out = manifest;
    return OK;
}

/* Check sizes and checksum; `*size` is that of all that counts. */
static struct status manifest_verify(struct slice file, size_t *size)
{
    const uint8_t *bytes = file.data;
    if (file.size < CONTENT_AT || memcmp(bytes, magic, sizeof magic) != 0) {
        return fail(STATUS_CORRUPT, "the snapshot's header does not verify");
    }
    size_t servers = wal_get_u32(bytes + 40);
    size_t content = wal_get_u32(bytes + 44);
    if (servers > WAL_CONFIGURATION_SIZE_MAX || content > WAL_MANIFEST_SIZE_MAX ||
        CONTENT_AT + servers + content > file.size ||
        wal_get_u32(bytes + CHECKSUM_AT) !=
            manifest_checksum(bytes, CONTENT_AT + servers + content)) {
        return fail(STATUS_CORRUPT, "the snapshot does not verify");
    }
    uint32_t version = wal_get_u32(bytes + VERSION_AT);
    if (version != WAL_FORMAT_VERSION) {
        return fail(STATUS_INVALID,
                    "snapshot format version %u, this program reads %u: use the newer one", version,
                    WAL_FORMAT_VERSION);
    }
    *size = CONTENT_AT + servers + content;
    return OK;
}

/* Read one server; false if the bytes or raft do not allow it. */
static bool server_decode(const uint8_t **at, const uint8_t *end,
                          struct raft_configuration *configuration)
{
    char address[ADDRESS_SIZE_MAX + 1];
    if ((size_t)(end - *at) < SERVER_SIZE) {
        return false;
    }
    uint64_t id = wal_get_u64(*at);
    uint16_t role = wal_get_u16(*at + 8);
    uint16_t size = wal_get_u16(*at + 10);
    *at += SERVER_SIZE;
    if (size > ADDRESS_SIZE_MAX || (size_t)(end - *at) < size || memchr(*at, 0, size) != NULL) {
        return false;
    }
    memcpy(address, *at, size);
    address[size] = '\0';
    *at += size;
    return raft_configuration_add(configuration, id, address, role) == 0;
}

static struct status snapshot_fill(const uint8_t *bytes, struct raft_snapshot *out)
{
    size_t servers = wal_get_u32(bytes + 40);
    size_t content = wal_get_u32(bytes + 44);
    out->index = wal_get_u64(bytes + 16);
    out->term = wal_get_u64(bytes + 24);
    out->configuration_index = wal_get_u64(bytes + 32);
    const uint8_t *at = bytes + CONTENT_AT;
    const uint8_t *end = at + servers;
    for (uint32_t i = 0; i < wal_get_u32(bytes + 12); i++) {
        if (!server_decode(&at, end, &out->configuration)) {
            return fail(STATUS_CORRUPT, "server %u of the snapshot's configuration", i);
        }
    }
    if (at != end || out->index == 0 || out->term == 0) {
        return fail(STATUS_CORRUPT, "the snapshot's numbers contradict each other");
    }
    out->bufs = raft_malloc(sizeof *out->bufs);
    if (out->bufs == NULL) {
        return fail(STATUS_NO_MEMORY, "snapshot");
    }
    out->n_bufs = 1;
    out->bufs[0] =
        (struct raft_buffer){.base = raft_malloc(content == 0 ? 1 : content), .len = content};
    if (out->bufs[0].base == NULL) {
        return fail(STATUS_NO_MEMORY, "snapshot");
    }
    memcpy(out->bufs[0].base, end, content);
    return OK;
}

void wal_snapshot_free(struct raft_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    raft_configuration_close(&snapshot->configuration);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        raft_free(snapshot->bufs[i].base);
    }
    raft_free(snapshot->bufs);
    raft_free(snapshot);
}

struct status wal_manifest_decode(struct slice bytes, struct raft_snapshot **out)
{
    size_t size = 0;
    struct status status = manifest_verify(bytes, &size);
    if (failed(status)) {
        return status;
    }
    struct raft_snapshot *snapshot = raft_malloc(sizeof *snapshot);
    if (snapshot == NULL) {
        return fail(STATUS_NO_MEMORY, "snapshot");
    }
    *snapshot = (struct raft_snapshot){0};
    raft_configuration_init(&snapshot->configuration);
    status = snapshot_fill(bytes.data, snapshot);
    if (failed(status)) {
        wal_snapshot_free(snapshot);
        return status;
    }
    *out = snapshot;
    return OK;
}

struct status wal_manifest_reserve(struct wal *wal)
{
    struct disk *disk = wal->disk;
    int file = -1;
    struct status status = disk->open(disk->context, WAL_TMP_NAME, true, &file);
    if (failed(status)) {
        return status;
    }
    uint64_t size = 0;
    status = disk->size(disk->context, file, &size);
    if (!failed(status) && size < WAL_MANIFEST_FILE_SIZE) {
        status = disk->allocate(disk->context, file, WAL_MANIFEST_FILE_SIZE);
    }
    disk->close(disk->context, file);
    return status;
}

static struct status manifest_write(struct wal *wal, const struct wal_manifest *manifest)
{
    struct disk *disk = wal->disk;
    int file = -1;
    struct status status = disk->open(disk->context, WAL_TMP_NAME, true, &file);
    if (failed(status)) {
        return status;
    }
    /* Written from, never to; iovec has no const. */
    struct iovec part = {.iov_base = (void *)(uintptr_t)manifest->bytes, .iov_len = manifest->size};
    status = disk->write(disk->context, file, &part, 1, 0);
    if (!failed(status)) {
        status = disk->sync(disk->context, file);
    }
    disk->close(disk->context, file);
    return status;
}

/* The manifest is on disk: see to the two before it. */
static struct status manifests_rotate(struct wal *wal, raft_index index)
{
    if (wal->manifests[0] == index) {
        return wal_manifest_reserve(wal);
    }
    raft_index oldest = wal->manifests[1];
    wal->manifests[1] = wal->manifests[0];
    wal->manifests[0] = index;
    if (oldest == 0) {
        return wal_manifest_reserve(wal);
    }
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SNAPSHOT, oldest, name);
    return wal->disk->rename(wal->disk->context, name, WAL_TMP_NAME);
}

struct status wal_manifest_store(struct wal *wal, const struct wal_manifest *manifest)
{
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SNAPSHOT, manifest->index, name);
    struct status status = manifest_write(wal, manifest);
    if (!failed(status)) {
        status = wal->disk->rename(wal->disk->context, WAL_TMP_NAME, name);
    }
    if (!failed(status)) {
        status = wal->disk->sync_directory(wal->disk->context);
    }
    if (failed(status)) {
        return wrap(status, "store snapshot %llu", manifest->index);
    }
    /* The snapshot is stored; a next one that finds no allocated file will say so itself. */
    struct status rotated = manifests_rotate(wal, manifest->index);
    (void)rotated;
    return OK;
}
