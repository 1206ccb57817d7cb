/*
 * Lineages on disk.
 *
 * A crash between any two steps leaves either the old lineage in use or the new one, complete:
 * files are written, synced and renamed into place before CURRENT names their folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "identity.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/hex.h"
#include "base/random.h"
#include "consensus/consensus.h"
#include "file.h"
#include "root_secret.h"
#include "sealed_file.h"
#include "store/seal.h"

#define ROOT_KEY_EPOCH 1
#define IDENTITY_FILE_SIZE_MAX 131072 /* Bytes. */
#define CURRENT_SIZE_MAX 64

/* The identity file: CODEC_TAGS, secrets sealed under the root secret. */
struct identity_file {
    uint64_t node_id;
    struct slice cluster_id;
    struct slice ca_certificate;
    struct slice certificate;
    struct slice sealed_node_key;
    struct slice sealed_cluster_key;
    uint64_t key_epoch;
    struct slice sealed_next_key;
    uint64_t next_epoch;
    bool bootstrap;
    struct slice sealed_ca_key;
    struct slice previous;
    struct codec_list contacts;
    struct slice members; /* 8 bytes each, big-endian. */
    struct slice left;
    struct slice aside;
};

static const struct codec_field identity_fields[] = {
    CODEC_FIELD(struct identity_file, 1, node_id, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct identity_file, 2, cluster_id, CODEC_TEXT, 32),
    CODEC_FIELD(struct identity_file, 3, ca_certificate, CODEC_TEXT, 16384),
    CODEC_FIELD(struct identity_file, 4, certificate, CODEC_TEXT, 16384),
    CODEC_FIELD(struct identity_file, 5, sealed_node_key, CODEC_BYTES, 16640),
    CODEC_FIELD(struct identity_file, 6, sealed_cluster_key, CODEC_BYTES, 256),
    CODEC_FIELD(struct identity_file, 7, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct identity_file, 8, bootstrap, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct identity_file, 9, sealed_ca_key, CODEC_BYTES, 16640),
    CODEC_OPTIONAL(struct identity_file, 10, previous, CODEC_TEXT, IDENTITY_LINEAGE_SIZE - 1),
    CODEC_OPTIONAL(struct identity_file, 11, contacts, CODEC_TEXTS, ASK_ADDRESSES_MAX),
    CODEC_OPTIONAL(struct identity_file, 12, members, CODEC_BYTES,
                   IDENTITY_MEMBERS_MAX * sizeof(uint64_t)),
    CODEC_OPTIONAL(struct identity_file, 13, left, CODEC_TEXT, IDENTITY_LINEAGE_SIZE - 1),
    CODEC_OPTIONAL(struct identity_file, 14, aside, CODEC_TEXT, IDENTITY_LINEAGE_SIZE - 1),
    CODEC_OPTIONAL(struct identity_file, 15, sealed_next_key, CODEC_BYTES, 256),
    CODEC_OPTIONAL(struct identity_file, 16, next_epoch, CODEC_U64, UINT32_MAX),
};
static const struct codec identity_codec = CODEC(struct identity_file, "identity", identity_fields);

static struct status seal_under_root(const struct secret *root, const char *what,
                                     struct slice plain, struct buffer *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];
    random_bytes(nonce, sizeof nonce);
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), 0);
    return seal_close(secret_slice(root), ROOT_KEY_EPOCH, &purpose, nonce, plain, out);
}

static struct status open_under_root(const struct secret *root, const char *what,
                                     struct slice sealed, struct secret *out)
{
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), 0);
    struct status status = seal_open(secret_slice(root), &purpose, sealed, out);
    if (status.code == STATUS_CORRUPT) {
        return fail(STATUS_INVALID,
                    "the %s was not sealed with this root secret: give back the one "
                    "that was in use (root_secret_file)",
                    what);
    }
    return status;
}

static struct status copy_buffer(struct slice bytes, struct buffer *out)
{
    return buffer_append(out, bytes.data, bytes.size) ? OK
                                                      : fail(STATUS_NO_MEMORY, "copy identity");
}

static void take_members(struct slice bytes, struct identity *out)
{
    const uint8_t *at = bytes.data;
    out->member_count = bytes.size / sizeof(uint64_t);
    for (size_t i = 0; i < out->member_count; i++) {
        uint64_t number;
        memcpy(&number, at + i * sizeof number, sizeof number);
        out->members[i] = be64toh(number);
    }
}

static bool is_lineage(struct slice name)
{
    uint8_t digits[8];
    if (name.size != 24 || memcmp(name.data, "lineage-", 8) != 0) {
        return false;
    }
    struct slice rest = {.data = (const char *)name.data + 8, .size = 16};
    return hex_decode(rest, digits, sizeof digits);
}

/* The name of another lineage of this node, or none: it becomes part of a path. */
static bool take_lineage(struct slice name, char out[IDENTITY_LINEAGE_SIZE])
{
    return (name.size == 0 || is_lineage(name)) && slice_to_text(name, out, IDENTITY_LINEAGE_SIZE);
}

static struct status take_file(const struct identity_file *file, const struct secret *root,
                               struct identity *out)
{
    out->node_id = file->node_id;
    out->keys.epoch = file->key_epoch;
    out->keys.next_epoch = file->next_epoch;
    out->bootstrap = file->bootstrap;
    if (!slice_to_text(file->cluster_id, out->cluster_id, sizeof out->cluster_id) ||
        !take_lineage(file->previous, out->previous) || !take_lineage(file->left, out->left) ||
        !take_lineage(file->aside, out->aside)) {
        return fail(STATUS_CORRUPT, "the identity names no cluster, or what is no lineage");
    }
    const struct slice *contacts = file->contacts.items;
    for (size_t i = 0; i < file->contacts.count; i++) {
        if (!slice_to_text(contacts[i], out->contacts.texts[i], ASK_ADDRESS_SIZE)) {
            return fail(STATUS_CORRUPT, "the identity's contacts are not text");
        }
    }
    out->contacts.count = file->contacts.count;
    take_members(file->members, out);
    struct status status = copy_buffer(file->ca_certificate, &out->ca_certificate);
    if (!failed(status)) {
        status = copy_buffer(file->certificate, &out->certificate);
    }
    if (!failed(status)) {
        status = copy_buffer(file->sealed_ca_key, &out->sealed_ca_key);
    }
    if (!failed(status)) {
        status = open_under_root(root, "node key", file->sealed_node_key, &out->node_key);
    }
    if (!failed(status)) {
        status = open_under_root(root, "cluster key", file->sealed_cluster_key, &out->keys.key);
    }
    if (!failed(status) && file->sealed_next_key.size > 0) {
        status = open_under_root(root, "next cluster key", file->sealed_next_key, &out->keys.next);
    }
    return status;
}

static struct status load_lineage(const struct secret *root, struct identity *out)
{
    char path[IDENTITY_PATH_SIZE + 16];
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct identity_file file;
    (void)snprintf(path, sizeof path, "%s/identity", out->path);
    struct status status = sealed_file_read(path, IDENTITY_FILE_SIZE_MAX, &bytes);
    if (!failed(status)) {
        status = codec_decode(&identity_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, &file);
        if (status.code == STATUS_INVALID) {
            status.code = STATUS_CORRUPT;
        }
    }
    if (!failed(status)) {
        status = take_file(&file, root, out);
    }
    arena_release(&arena);
    buffer_release(&bytes);
    return failed(status) ? wrap(status, "%s", path) : OK;
}

/* The secrets of an identity file, sealed. */
struct sealed_keys {
    struct buffer node_key;
    struct buffer cluster_key;
    struct buffer next_key;
};

static struct status seal_keys(const struct identity *identity, const struct secret *root,
                               struct sealed_keys *out)
{
    const struct keyring *keys = &identity->keys;
    struct status status =
        seal_under_root(root, "node key", secret_slice(&identity->node_key), &out->node_key);
    if (!failed(status)) {
        status = seal_under_root(root, "cluster key", secret_slice(&keys->key), &out->cluster_key);
    }
    if (!failed(status) && keys->next.size > 0) {
        status =
            seal_under_root(root, "next cluster key", secret_slice(&keys->next), &out->next_key);
    }
    return status;
}

static struct status encode_identity(const struct identity *identity, const struct secret *root,
                                     struct buffer *out)
{
    struct sealed_keys sealed = {0};
    struct slice contacts[ASK_ADDRESSES_MAX];
    uint64_t members[IDENTITY_MEMBERS_MAX];
    for (size_t i = 0; i < identity->contacts.count; i++) {
        contacts[i] = slice_of(identity->contacts.texts[i]);
    }
    for (size_t i = 0; i < identity->member_count; i++) {
        members[i] = htobe64(identity->members[i]);
    }
    struct status status = seal_keys(identity, root, &sealed);
    if (!failed(status)) {
        const struct identity_file file = {
            .node_id = identity->node_id,
            .cluster_id = slice_of(identity->cluster_id),
            .ca_certificate = buffer_slice(&identity->ca_certificate),
            .certificate = buffer_slice(&identity->certificate),
            .sealed_node_key = buffer_slice(&sealed.node_key),
            .sealed_cluster_key = buffer_slice(&sealed.cluster_key),
            .key_epoch = identity->keys.epoch,
            .sealed_next_key = buffer_slice(&sealed.next_key),
            .next_epoch = identity->keys.next_epoch,
            .bootstrap = identity->bootstrap,
            .sealed_ca_key = buffer_slice(&identity->sealed_ca_key),
            .previous = slice_of(identity->previous),
            .contacts = {.items = contacts, .count = identity->contacts.count},
            .members = {.data = members, .size = identity->member_count * sizeof members[0]},
            .left = slice_of(identity->left),
            .aside = slice_of(identity->aside),
        };
        status = codec_encode(&identity_codec, CODEC_TAGS, &file, out);
    }
    buffer_release(&sealed.node_key);
    buffer_release(&sealed.cluster_key);
    buffer_release(&sealed.next_key);
    return status;
}

static void set_path(struct identity *identity, const char *data_directory)
{
    (void)snprintf(identity->path, sizeof identity->path, "%.400s/%.31s", data_directory,
                   identity->lineage);
}

static struct status write_file(const struct identity *identity, const struct secret *root)
{
    char path[IDENTITY_PATH_SIZE + 16];
    struct buffer bytes = {0};
    (void)snprintf(path, sizeof path, "%s/identity", identity->path);
    struct status status = encode_identity(identity, root, &bytes);
    if (!failed(status)) {
        status = sealed_file_write(path, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    return status;
}

static struct status write_lineage(const char *data_directory, const struct secret *root,
                                   struct identity *identity)
{
    uint8_t random[8];
    char digits[2 * sizeof random + 1];
    random_bytes(random, sizeof random);
    hex_encode((struct slice){.data = random, .size = sizeof random}, digits);
    (void)snprintf(identity->lineage, sizeof identity->lineage, "lineage-%s", digits);
    set_path(identity, data_directory);

    char path[IDENTITY_PATH_SIZE + 16];
    struct status status = file_make_folder(identity->path);
    if (!failed(status)) {
        (void)snprintf(path, sizeof path, "%s/store", identity->path);
        status = file_make_folder(path);
    }
    if (!failed(status)) {
        status = write_file(identity, root);
    }
    return failed(status) ? status : file_sync_folder(data_directory);
}

static struct status make_first(const char *data_directory, const struct secret *root,
                                const char *node_name, uint64_t now_ms, struct identity *out)
{
    struct status status = identity_make_standalone((struct slice){0}, node_name, now_ms, out);
    if (!failed(status)) {
        status = write_lineage(data_directory, root, out);
    }
    return failed(status) ? status : identity_switch(data_directory, out->lineage);
}

struct status identity_open(const char *data_directory, const char *root_secret_file,
                            const char *node_name, uint64_t now_ms, struct identity *out)
{
    char path[IDENTITY_PATH_SIZE];
    struct secret root = {0};
    struct buffer current = {0};
    struct status status = file_make_folder(data_directory);
    if (!failed(status)) {
        status = root_secret_read(data_directory, root_secret_file, &root);
    }
    if (failed(status)) {
        return wrap(status, "open %s", data_directory);
    }
    (void)snprintf(path, sizeof path, "%.400s/CURRENT", data_directory);
    status = file_read(path, CURRENT_SIZE_MAX, &current);
    if (status.code == STATUS_NOT_FOUND) {
        status = make_first(data_directory, &root, node_name, now_ms, out);
    } else if (!failed(status) && !is_lineage(buffer_slice(&current))) {
        status = fail(STATUS_CORRUPT, "%s does not name a lineage: write a folder's name", path);
    } else if (!failed(status)) {
        (void)slice_to_text(buffer_slice(&current), out->lineage, sizeof out->lineage);
        set_path(out, data_directory);
        status = load_lineage(&root, out);
        if (status.code == STATUS_NOT_FOUND) {
            status = fail(STATUS_CORRUPT,
                          "CURRENT names %s, and there is no such folder: write the right name",
                          out->lineage);
        }
    }
    secret_release(&root);
    buffer_release(&current);
    if (failed(status)) {
        identity_release(out);
    }
    return status;
}

void identity_release(struct identity *identity)
{
    buffer_release(&identity->ca_certificate);
    buffer_release(&identity->certificate);
    buffer_release(&identity->sealed_ca_key);
    secret_release(&identity->node_key);
    keyring_release(&identity->keys);
    *identity = (struct identity){0};
}

struct status identity_remove(const char *data_directory, const char *lineage)
{
    char path[IDENTITY_PATH_SIZE];
    /* Its sealed keys go first: a removal that is cut short leaves no secret. */
    (void)snprintf(path, sizeof path, "%.400s/%.31s/identity", data_directory, lineage);
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail_errno(errno, "remove %s", path);
    }
    (void)snprintf(path, sizeof path, "%.400s/%.31s", data_directory, lineage);
    return file_remove_tree(path);
}

struct status identity_stage(const char *data_directory, const char *root_secret_file,
                             struct identity *staged)
{
    struct secret root = {0};
    struct status status = root_secret_read(data_directory, root_secret_file, &root);
    if (!failed(status)) {
        status = write_lineage(data_directory, &root, staged);
    }
    if (failed(status) && staged->lineage[0] != '\0') { /* A full disk is not to stay full of it. */
        struct status removed = identity_remove(data_directory, staged->lineage);
        (void)removed; /* The next start tries again. */
    }
    secret_release(&root);
    return failed(status) ? wrap(status, "stage a new lineage") : OK;
}

struct status identity_rewrite(const char *data_directory, const char *root_secret_file,
                               const struct identity *identity)
{
    struct secret root = {0};
    struct status status = root_secret_read(data_directory, root_secret_file, &root);
    if (!failed(status)) {
        status = write_file(identity, &root);
    }
    secret_release(&root);
    return failed(status) ? wrap(status, "write the identity anew") : OK;
}

struct status identity_renew(const char *data_directory, const char *root_secret_file,
                             struct identity *identity, struct slice certificate)
{
    struct buffer before = identity->certificate;
    identity->certificate = (struct buffer){0};
    struct status status = copy_buffer(certificate, &identity->certificate);
    if (!failed(status)) {
        status = identity_rewrite(data_directory, root_secret_file, identity);
    }
    if (failed(status)) {
        buffer_release(&identity->certificate);
        identity->certificate = before;
        return status;
    }
    buffer_release(&before);
    return OK;
}

struct status identity_switch(const char *data_directory, const char *lineage)
{
    char path[IDENTITY_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%.400s/%.31s/identity", data_directory, lineage);
    if (access(path, R_OK) != 0) {
        return fail_errno(errno, "switch to %s", path);
    }
    (void)snprintf(path, sizeof path, "%.400s/CURRENT", data_directory);
    struct buffer before = {0};
    struct status status = file_read(path, CURRENT_SIZE_MAX, &before);
    bool first = status.code == STATUS_NOT_FOUND;
    if (!failed(status) || first) {
        status = file_write(path, slice_of(lineage));
        if (failed(status) &&
            !first) { /* It may be there, though not synced: as if it never was. */
            struct status undone = file_write(path, buffer_slice(&before));
            (void)undone;
        }
    }
    buffer_release(&before);
    return status;
}

/* A standalone life that was begun: one that was staged only, and then a crash came, has no log. */
static bool is_standalone(const char *data_directory, const char *lineage)
{
    char path[IDENTITY_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%.400s/%.31s", data_directory, lineage);
    bool lived_in = file_is_there(path, "log");
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct identity_file file;
    (void)snprintf(path, sizeof path, "%.400s/%.31s/identity", data_directory, lineage);
    bool standalone =
        lived_in && !failed(sealed_file_read(path, IDENTITY_FILE_SIZE_MAX, &bytes)) &&
        !failed(codec_decode(&identity_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, &file)) &&
        file.bootstrap;
    arena_release(&arena);
    buffer_release(&bytes);
    return standalone;
}

bool identity_is_aside(const char *data_directory, const char *lineage,
                       const struct identity *current)
{
    return is_lineage(slice_of(lineage)) && strcmp(lineage, current->lineage) != 0 &&
           strcmp(lineage, current->left) != 0 && is_standalone(data_directory, lineage);
}

struct status identity_sweep(const char *data_directory, const struct identity *current)
{
    DIR *folder = opendir(data_directory);
    struct status status = OK;
    if (folder == NULL) {
        return fail_errno(errno, "read %s", data_directory);
    }
    for (struct dirent *entry = readdir(folder); entry != NULL && !failed(status);
         entry = readdir(folder)) {
        if (!is_lineage(slice_of(entry->d_name)) || strcmp(entry->d_name, current->lineage) == 0 ||
            strcmp(entry->d_name, current->aside) == 0 ||
            strcmp(entry->d_name, current->previous) == 0 ||
            (strcmp(entry->d_name, current->left) != 0 &&
             is_standalone(data_directory, entry->d_name))) {
            continue;
        }
        status = identity_remove(data_directory, entry->d_name);
    }
    (void)closedir(folder);
    return status;
}
