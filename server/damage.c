/*
 * The mark of damaged data and the contacts: two small files, each with a checksum at its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "damage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "file.h"
#include "identity.h"
#include "sealed_file.h"
#include "store/command.h"

#define MARK_NAME "damaged"
#define CONTACTS_NAME "contacts"
#define FOLDER_PREFIX "damaged-"
#define PATH_SIZE (IDENTITY_PATH_SIZE + 64)
#define MARK_SIZE_MAX 4096
#define CONTACTS_SIZE_MAX 65536

struct mark {
    uint64_t state;
    uint64_t life;
    uint64_t since_ms;
    uint64_t index;
    struct slice reason;
    struct slice folder;
};

static const struct codec_field mark_fields[] = {
    CODEC_FIELD(struct mark, 1, state, CODEC_U64, DAMAGE_FILLING),
    CODEC_FIELD(struct mark, 2, life, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct mark, 3, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct mark, 4, index, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct mark, 5, reason, CODEC_TEXT, DAMAGE_REASON_SIZE - 1),
    CODEC_FIELD(struct mark, 6, folder, CODEC_TEXT, DAMAGE_FOLDER_SIZE - 1),
};
static const struct codec mark_codec = CODEC(struct mark, "damaged", mark_fields);

struct contact {
    uint64_t node_id;
    struct slice rpc_address;
};

struct contacts {
    struct codec_list nodes;
};

static const struct codec_field contact_fields[] = {
    CODEC_FIELD(struct contact, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct contact, 2, rpc_address, CODEC_TEXT, ASK_ADDRESS_SIZE - 1),
};
static const struct codec contact_codec = CODEC(struct contact, "contact", contact_fields);

static const struct codec_field contacts_fields[] = {
    CODEC_NESTED_OPTIONAL(struct contacts, 1, nodes, CODEC_LIST, IDENTITY_MEMBERS_MAX,
                          &contact_codec),
};
static const struct codec contacts_codec = CODEC(struct contacts, "contacts", contacts_fields);

static void path_of(const char *path, const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%.511s/%.63s", path, name);
}

const char *damage_state_name(enum damage_state state)
{
    switch (state) {
    case DAMAGE_NONE: return "none";
    case DAMAGE_WAITING: return "waiting";
    case DAMAGE_LEAVING: return "leaving";
    case DAMAGE_MOVING: return "moving";
    case DAMAGE_RETURNING: return "returning";
    case DAMAGE_FILLING: return "filling";
    }
    return "none";
}

/* ---- The mark ---- */

/* The time in the name of the folder of the last rebuild; 0 if there is none. */
static uint64_t last_rebuild_ms(const char *path, char name[DAMAGE_FOLDER_SIZE])
{
    uint64_t last_ms = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *digits = entry->d_name + sizeof FOLDER_PREFIX - 1;
        if (strncmp(entry->d_name, FOLDER_PREFIX, sizeof FOLDER_PREFIX - 1) != 0 ||
            strlen(entry->d_name) >= DAMAGE_FOLDER_SIZE ||
            digits[strspn(digits, "0123456789")] != '\0') {
            continue;
        }
        uint64_t at_ms = strtoull(digits, NULL, 10);
        if (at_ms >= last_ms) {
            last_ms = at_ms;
            (void)snprintf(name, DAMAGE_FOLDER_SIZE, "%.47s", entry->d_name);
        }
    }
    (void)closedir(folder);
    return last_ms;
}

void damage_begin(struct damage *damage, const char *path, const char *reason, uint64_t index,
                  bool running, uint64_t now_ms)
{
    char name[DAMAGE_FOLDER_SIZE];
    uint64_t last_ms = last_rebuild_ms(path, name);
    bool again = last_ms != 0 && now_ms >= last_ms && now_ms - last_ms < DAMAGE_AGAIN_MS;
    *damage = (struct damage){
        .state = running && !again ? DAMAGE_LEAVING : DAMAGE_WAITING,
        .since_ms = now_ms,
        .index = index,
    };
    random_bytes(&damage->life, sizeof damage->life);
    damage->life = (damage->life & INT64_MAX) | 1U; /* Never 0. */
    (void)snprintf(damage->reason, sizeof damage->reason, "%s", reason);
    (void)snprintf(damage->folder, sizeof damage->folder, FOLDER_PREFIX "%llu",
                   (unsigned long long)now_ms);
}

/* "damaged-" and digits, as damage_begin() has it: nothing that leads out of the lineage's folder. */
static bool is_folder(struct slice name)
{
    char text[DAMAGE_FOLDER_SIZE];
    size_t prefix = sizeof FOLDER_PREFIX - 1;
    return slice_to_text(name, text, sizeof text) && strncmp(text, FOLDER_PREFIX, prefix) == 0 &&
           text[prefix + strspn(text + prefix, "0123456789")] == '\0';
}

struct status damage_load(const char *path, struct damage *out)
{
    char name[PATH_SIZE];
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct mark mark = {0};
    *out = (struct damage){0};
    path_of(path, MARK_NAME, name);
    struct status status = sealed_file_read(name, MARK_SIZE_MAX, &bytes);
    if (!failed(status)) {
        status = codec_decode(&mark_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, &mark);
    }
    if (!failed(status) && (mark.state == DAMAGE_NONE || !is_folder(mark.folder))) {
        status = fail(STATUS_CORRUPT, "the mark is none");
    }
    if (status.code == STATUS_CORRUPT || status.code == STATUS_INVALID) {
        damage_begin(out, path, "the mark of damaged data is damaged itself", 0, false, 0);
        status = OK;
    } else if (!failed(status)) {
        out->state = (enum damage_state)mark.state;
        out->life = mark.life;
        out->since_ms = mark.since_ms;
        out->index = mark.index;
        (void)slice_to_text(mark.reason, out->reason, sizeof out->reason);
        (void)slice_to_text(mark.folder, out->folder, sizeof out->folder);
    }
    arena_release(&arena);
    buffer_release(&bytes);
    return status.code == STATUS_NOT_FOUND ? OK : status;
}

struct status damage_save(const char *path, const struct damage *damage)
{
    char name[PATH_SIZE];
    struct buffer bytes = {0};
    const struct mark mark = {
        .state = damage->state,
        .life = damage->life,
        .since_ms = damage->since_ms,
        .index = damage->index,
        .reason = slice_of(damage->reason),
        .folder = slice_of(damage->folder),
    };
    path_of(path, MARK_NAME, name);
    struct status status = codec_encode(&mark_codec, CODEC_TAGS, &mark, &bytes);
    if (!failed(status)) {
        status = sealed_file_write(name, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    return failed(status) ? wrap(status, "mark the data as damaged") : OK;
}

struct status damage_remove(const char *path)
{
    char name[PATH_SIZE];
    path_of(path, MARK_NAME, name);
    if (unlink(name) != 0 && errno != ENOENT) {
        return fail_errno(errno, "remove %s", name);
    }
    return file_sync_folder(path);
}

/* ---- The files ---- */

static struct status move(const char *path, const char *folder, const char *name)
{
    char from[PATH_SIZE];
    char to[PATH_SIZE + DAMAGE_FOLDER_SIZE];
    path_of(path, name, from);
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    if (access(to, F_OK) == 0) {
        return OK; /* Moved before a crash; what has its name now is the empty one. */
    }
    if (rename(from, to) != 0 && errno != ENOENT) {
        return fail_errno(errno, "move %s to %s", from, to);
    }
    return OK;
}

/* One is kept: the newest. */
static struct status remove_older(const char *path, const char *kept)
{
    char name[DAMAGE_FOLDER_SIZE];
    char old[PATH_SIZE];
    if (last_rebuild_ms(path, name) == 0 || strcmp(name, kept) == 0) {
        return OK;
    }
    path_of(path, name, old);
    return file_remove_tree(old);
}

struct status damage_move_aside(const char *path, const struct damage *damage)
{
    char folder[PATH_SIZE];
    char store[PATH_SIZE];
    path_of(path, damage->folder, folder);
    path_of(path, "store", store);
    struct status status = OK;
    if (access(folder, F_OK) != 0) {
        status = remove_older(path, damage->folder);
    }
    if (!failed(status)) {
        status = file_make_folder(folder);
    }
    if (!failed(status)) {
        status = move(path, folder, "log");
    }
    fault_step(FAULT_REBUILD_MOVED);
    if (!failed(status)) {
        status = move(path, folder, "store");
    }
    if (!failed(status)) {
        status = file_sync_folder(folder);
    }
    if (!failed(status)) {
        status = file_make_folder(store);
    }
    return failed(status) ? status : file_sync_folder(path);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t size = strlen(name);
    size_t ending_size = strlen(ending);
    return size > ending_size && strcmp(name + size - ending_size, ending) == 0;
}

/* What cannot be looked at counts as being there: what follows from its absence throws data away. */
static bool log_has(const char *path, const char *ending)
{
    char name[PATH_SIZE];
    bool found = false;
    path_of(path, "log", name);
    DIR *folder = opendir(name);
    if (folder == NULL) {
        return errno != ENOENT;
    }
    errno = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder)) {
        found = ends_with(entry->d_name, ending);
    }
    found = found || errno != 0;
    (void)closedir(folder);
    return found;
}

bool damage_has_log(const char *path)
{
    return log_has(path, ".wal");
}

bool damage_has_begun(const char *path)
{
    char name[PATH_SIZE];
    path_of(path, CONTACTS_NAME, name);
    return access(name, F_OK) == 0 || errno != ENOENT;
}

bool damage_is_unborn(const char *path, bool filling)
{
    return !log_has(path, ".wal") && !log_has(path, ".snapshot") &&
           (filling || !damage_has_begun(path));
}

struct status damage_begin_anew(const char *path)
{
    char store[PATH_SIZE];
    path_of(path, "store", store);
    struct status status = file_remove_tree(store);
    if (!failed(status)) {
        status = file_make_folder(store);
    }
    return failed(status) ? status : file_sync_folder(path);
}

/* ---- Contacts ---- */

struct status damage_save_contacts(const char *path, const struct codec_list *members,
                                   uint64_t self_id, uint32_t *written)
{
    struct contact nodes[IDENTITY_MEMBERS_MAX];
    struct contacts contacts = {.nodes = {.items = nodes}};
    struct buffer bytes = {0};
    char name[PATH_SIZE];
    const struct member *all = members->items;
    for (size_t i = 0; i < members->count && contacts.nodes.count < IDENTITY_MEMBERS_MAX; i++) {
        if (all[i].node_id != self_id && all[i].standing != STANDING_REMOVED) {
            nodes[contacts.nodes.count++] =
                (struct contact){.node_id = all[i].node_id, .rpc_address = all[i].rpc_address};
        }
    }
    struct status status = codec_encode(&contacts_codec, CODEC_TAGS, &contacts, &bytes);
    uint32_t sum = sealed_file_checksum(buffer_slice(&bytes)) | 1U; /* 0: nothing was written. */
    if (!failed(status) && sum != *written) {
        path_of(path, CONTACTS_NAME, name);
        status = sealed_file_write(name, buffer_slice(&bytes));
        *written = failed(status) ? 0 : sum;
    }
    buffer_release(&bytes);
    return status;
}

static bool knows(const struct identity *identity, uint64_t node_id)
{
    for (size_t i = 0; i < identity->member_count; i++) {
        if (identity->members[i] == node_id) {
            return true;
        }
    }
    return false;
}

static void take(struct identity *identity, const struct contact *contact)
{
    struct ask_addresses *out = &identity->contacts;
    if (identity->member_count < IDENTITY_MEMBERS_MAX && !knows(identity, contact->node_id)) {
        identity->members[identity->member_count++] = contact->node_id;
    }
    for (size_t i = 0; i < out->count; i++) {
        if (slice_equal(slice_of(out->texts[i]), contact->rpc_address)) {
            return;
        }
    }
    if (contact->rpc_address.size > 0 && contact->rpc_address.size < ASK_ADDRESS_SIZE &&
        out->count < ASK_ADDRESSES_MAX) {
        (void)slice_to_text(contact->rpc_address, out->texts[out->count++], ASK_ADDRESS_SIZE);
    }
}

void damage_load_contacts(const char *path, struct identity *identity)
{
    char name[PATH_SIZE];
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct contacts contacts = {0};
    path_of(path, CONTACTS_NAME, name);
    struct status status = sealed_file_read(name, CONTACTS_SIZE_MAX, &bytes);
    if (!failed(status)) {
        status = codec_decode(&contacts_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, &contacts);
    }
    if (!failed(status)) {
        const struct ask_addresses before = identity->contacts; /* Of the join: older. */
        const struct contact *nodes = contacts.nodes.items;
        identity->contacts.count = 0;
        for (size_t i = 0; i < contacts.nodes.count; i++) {
            take(identity, &nodes[i]);
        }
        for (size_t i = 0; i < before.count; i++) {
            const struct contact old = {.node_id = identity->node_id,
                                        .rpc_address = slice_of(before.texts[i])};
            take(identity, &old);
        }
    }
    arena_release(&arena);
    buffer_release(&bytes);
}
