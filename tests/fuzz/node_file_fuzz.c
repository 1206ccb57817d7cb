/*
 * Fuzzing the small files of a node's data folder: identity, CURRENT, the root secret, the note of a saved
 * life, the mark of damaged data, and the contacts. Each is written by what writes it, and then changed as
 * the input says; most often with its checksum put right.
 *
 * What was not changed is read as it was written. What was is STATUS_CORRUPT or STATUS_INVALID, or gives
 * names, counts and states that there are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "damage.h"
#include "fuzz_input.h"
#include "identity.h"
#include "saved_life.h"
#include "sealed_file.h"
#include "store/command.h"

#define FILE_SIZE_MAX 8192
#define PATH_SIZE 1024
#define CRC_SIZE 4

enum node_file {
    FILE_IDENTITY,
    FILE_CURRENT,
    FILE_ROOT,
    FILE_NOTE,
    FILE_MARK,
    FILE_CONTACTS,
    FILE_COUNT,
};

static struct {
    char data[PATH_SIZE / 2]; /* The data folder. */
    char path[FILE_COUNT][PATH_SIZE];
    uint8_t bytes[FILE_COUNT][FILE_SIZE_MAX];
    size_t size[FILE_COUNT];
    struct identity identity;
    struct saved_note note;
    struct damage damage;
} made;

/* ---- The folder ---- */

static void read_back(enum node_file which, const char *folder, const char *name)
{
    (void)snprintf(made.path[which], PATH_SIZE, "%.900s/%s", folder, name);
    FILE *file = fopen(made.path[which], "rb");
    made.size[which] = file == NULL ? 0 : fread(made.bytes[which], 1, FILE_SIZE_MAX, file);
    fuzz_must(file != NULL && made.size[which] > 0 && made.size[which] < FILE_SIZE_MAX &&
                  fclose(file) == 0,
              "a file that was written can be read");
}

static void put_back(enum node_file which, const void *bytes, size_t size)
{
    int file = open(made.path[which], O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    fuzz_must(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0,
              "a file can be written");
}

static void make_contacts(const char *folder)
{
    struct member members[] = {
        {.node_id = 5, .rpc_address = slice_of("192.0.2.5:7670")},
        {.node_id = 6, .rpc_address = slice_of("[2001:db8::6]:7670")},
        {.node_id = 7},
    };
    uint32_t written = 0;
    const struct codec_list list = {.items = members, .count = 3};
    fuzz_ok(damage_save_contacts(folder, &list, 1, &written));
}

static void make(void)
{
    (void)snprintf(made.data, sizeof made.data, "%.400s/node", fuzz_folder());
    fuzz_ok(identity_open(made.data, "", "mx1", UINT64_C(1767323045000), &made.identity));
    struct identity *identity = &made.identity;
    identity->contacts.count = 2;
    (void)snprintf(identity->contacts.texts[0], ASK_ADDRESS_SIZE, "192.0.2.1:7670");
    (void)snprintf(identity->contacts.texts[1], ASK_ADDRESS_SIZE, "mx2.example:7670");
    identity->member_count = 2;
    identity->members[0] = 5;
    identity->members[1] = 6;
    (void)snprintf(identity->previous, sizeof identity->previous, "lineage-0123456789abcdef");
    fuzz_ok(secret_copy(&identity->keys.next, secret_slice(&identity->keys.key)));
    identity->keys.next_epoch = 2;
    fuzz_ok(identity_rewrite(made.data, "", identity));

    made.note = (struct saved_note){.looked = true,
                                    .saved_at_ms = 5,
                                    .undelivered = 3,
                                    .phase = SAVED_DEAD_LETTERS,
                                    .sequence = 7,
                                    .given = 2};
    fuzz_ok(saved_note_write(identity->path, &made.note));
    damage_begin(&made.damage, identity->path, "row 1 does not match", 17, true, 1000);
    fuzz_ok(damage_save(identity->path, &made.damage));
    make_contacts(identity->path);
    read_back(FILE_IDENTITY, identity->path, "identity");
    read_back(FILE_CURRENT, made.data, "CURRENT");
    read_back(FILE_ROOT, made.data, "root.secret");
    read_back(FILE_NOTE, identity->path, "saved");
    read_back(FILE_MARK, identity->path, "damaged");
    read_back(FILE_CONTACTS, identity->path, "contacts");
}

/* ---- Reading ---- */

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || strcmp(name, "..") == 0;
}

static void check_identity(const struct identity *read, bool same)
{
    const struct identity *whole = &made.identity;
    fuzz_must(read->contacts.count <= ASK_ADDRESSES_MAX &&
                  read->member_count <= IDENTITY_MEMBERS_MAX,
              "lists are limited");
    fuzz_must(!is_path(read->lineage) && !is_path(read->previous) && !is_path(read->left) &&
                  !is_path(read->aside),
              "a lineage is a name, and no path");
    fuzz_must(read->keys.key.size == SEAL_KEY_SIZE &&
                  (read->keys.next.size == 0 || read->keys.next.size == SEAL_KEY_SIZE),
              "a key has its size");
    if (same) {
        fuzz_must(read->node_id == whole->node_id &&
                      strcmp(read->cluster_id, whole->cluster_id) == 0 &&
                      memcmp(&read->contacts, &whole->contacts, sizeof read->contacts) == 0 &&
                      read->member_count == 2 && read->members[1] == 6 &&
                      slice_equal(secret_slice(&read->node_key), secret_slice(&whole->node_key)) &&
                      slice_equal(secret_slice(&read->keys.key), secret_slice(&whole->keys.key)) &&
                      read->keys.next_epoch == 2,
                  "an identity is read as it was written");
    }
}

static void try_identity(bool same)
{
    static const enum status_code codes[] = {STATUS_CORRUPT, STATUS_INVALID, STATUS_OK};
    struct identity read = {0};
    struct status status = identity_open(made.data, "", "mx1", 1, &read);
    if (failed(status)) {
        fuzz_must(!same, "a whole folder opens");
        fuzz_fails_as(status, codes);
    } else {
        check_identity(&read, same);
        (void)identity_is_aside(made.data, read.previous, &read);
    }
    identity_release(&read);
}

static void try_note(bool same)
{
    static const enum status_code codes[] = {STATUS_CORRUPT, STATUS_INVALID, STATUS_OK};
    struct saved_note read;
    struct status status = saved_note_read(made.identity.path, &read);
    if (failed(status)) {
        fuzz_must(!same, "a whole note is read");
        fuzz_fails_as(status, codes);
        return;
    }
    fuzz_must(read.phase <= SAVED_DONE, "a phase is one");
    fuzz_must(!same || (read.sequence == 7 && read.given == 2 && read.undelivered == 3),
              "a note is read as it was written");
}

static void try_mark(bool same)
{
    struct damage read;
    fuzz_ok(
        damage_load(made.identity.path, &read)); /* One that does not verify is one that waits. */
    fuzz_must(read.state >= DAMAGE_WAITING && read.state <= DAMAGE_FILLING,
              "a mark that is there is one");
    fuzz_must(!is_path(read.folder) && strncmp(read.folder, "damaged-", 8) == 0,
              "damaged files go into a folder of the lineage's own");
    fuzz_must(!same || (read.life == made.damage.life && read.index == 17 &&
                        strcmp(read.reason, made.damage.reason) == 0),
              "a mark is read as it was written");
    fuzz_must(strnlen(read.reason, sizeof read.reason) < sizeof read.reason, "words end");
}

static void try_contacts(bool same)
{
    struct identity read = {.node_id = 1, .contacts = made.identity.contacts};
    damage_load_contacts(made.identity.path, &read);
    fuzz_must(read.contacts.count >= 1 && read.contacts.count <= ASK_ADDRESSES_MAX &&
                  read.member_count <= IDENTITY_MEMBERS_MAX,
              "there is somebody to ask, and not too many");
    for (size_t i = 0; i < read.contacts.count; i++) {
        fuzz_must(read.contacts.texts[i][0] != '\0' &&
                      strnlen(read.contacts.texts[i], ASK_ADDRESS_SIZE) < ASK_ADDRESS_SIZE,
                  "an address is text");
    }
    fuzz_must(!same || read.contacts.count == 4, "contacts are added");
}

static bool is_checked(enum node_file which)
{
    return which != FILE_CURRENT && which != FILE_ROOT;
}

static void put_checksum(uint8_t *bytes, size_t size)
{
    uint32_t sum =
        htobe32(sealed_file_checksum((struct slice){.data = bytes, .size = size - CRC_SIZE}));
    memcpy(bytes + size - CRC_SIZE, &sum, CRC_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[FILE_SIZE_MAX];
    struct fuzz_input input = {.at = data, .left = size};
    if (made.data[0] == '\0') {
        make();
    }
    enum node_file which = (enum node_file)(fuzz_u8(&input) % FILE_COUNT);
    unsigned how = fuzz_u8(&input);
    size_t patched = made.size[which];
    memcpy(bytes, made.bytes[which], patched);
    fuzz_patches(&input, bytes, &patched, sizeof bytes);
    if (how < 240 && is_checked(which) && patched >= CRC_SIZE) {
        put_checksum(bytes, patched);
    }
    bool same = patched == made.size[which] && memcmp(bytes, made.bytes[which], patched) == 0;
    put_back(which, bytes, patched);
    switch (which) {
    case FILE_NOTE: try_note(same); break;
    case FILE_MARK: try_mark(same); break;
    case FILE_CONTACTS: try_contacts(same); break;
    case FILE_IDENTITY:
    case FILE_CURRENT:
    case FILE_ROOT:
    case FILE_COUNT: try_identity(same); break;
    }
    put_back(which, made.bytes[which], made.size[which]);
    return 0;
}
