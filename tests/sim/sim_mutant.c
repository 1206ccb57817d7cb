/*
 * Mutants: what the product would be without one of its invariants, to see that a seed notices.
 *
 * Most stand outside the product: a disk that does less than it says, or a function of the log that
 * the linker puts ours before (--wrap, see CMakeLists.txt). A run is one process and has one mutant
 * or none, which is why it may be known to all of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "apply.h"
#include "base/crc32c.h"
#include "log_io.h"
#include "sim.h"
#include "store/store.h"
#include "wal_state.h"

static enum mutant present;

static const char *const names[MUTANT_COUNT] = {
    [MUTANT_NONE] = "none",
    [MUTANT_SYNC] = "sync",
    [MUTANT_LATE_SYNC] = "late-sync",
    [MUTANT_DIRECTORY] = "directory",
    [MUTANT_REWRITE] = "rewrite",
    [MUTANT_CHECKSUM] = "checksum",
    [MUTANT_TAIL] = "tail",
    [MUTANT_TERM] = "term",
    [MUTANT_VOTE] = "vote",
    [MUTANT_POISON] = "poison",
    [MUTANT_ROOM] = "room",
    [MUTANT_INDEX] = "index",
    [MUTANT_COMMIT] = "commit",
    [MUTANT_CLOSE] = "close",
    [MUTANT_STORE_SYNC] = "store-sync",
    [MUTANT_IMAGE_SYNC] = "image-sync",
    [MUTANT_VERIFY] = "verify",
    [MUTANT_STALE_KEY] = "stale-key",
    [MUTANT_EXPOSED_KEY] = "exposed-key",
};

const char *mutant_name(enum mutant mutant)
{
    return names[mutant];
}

void mutant_open(struct world *world)
{
    present = world->options.mutant;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_disk *disk = &world->nodes[i].disk;
        disk->ignores_sync = present == MUTANT_SYNC;
        disk->syncs_late = present == MUTANT_LATE_SYNC;
        disk->ignores_directory = present == MUTANT_DIRECTORY;
        disk->skips_same = present == MUTANT_REWRITE;
    }
}

/* ---- What the linker puts before the product's own ---- */

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */

uint32_t __real_crc32c(uint32_t sum, struct slice bytes);
uint32_t __wrap_crc32c(uint32_t sum, struct slice bytes);

uint32_t __wrap_crc32c(uint32_t sum, struct slice bytes)
{
    return present == MUTANT_CHECKSUM ? 0 : __real_crc32c(sum, bytes);
}

bool __real_wal_record_decode(const struct wal_header *header, struct slice segment, size_t offset,
                              struct wal_record *out);
bool __wrap_wal_record_decode(const struct wal_header *header, struct slice segment, size_t offset,
                              struct wal_record *out);

/* The first place in a segment that is no record ends it: what stands behind is not looked at. */
bool __wrap_wal_record_decode(const struct wal_header *header, struct slice segment, size_t offset,
                              struct wal_record *out)
{
    static const void *ended;
    static size_t ended_at;
    if (present == MUTANT_TAIL && ended == segment.data && offset > ended_at) {
        return false;
    }
    bool found = __real_wal_record_decode(header, segment, offset, out);
    ended = found ? NULL : segment.data;
    ended_at = offset;
    return found;
}

struct status __real_wal_stage(struct wal *wal, struct wal_record *record);
struct status __wrap_wal_stage(struct wal *wal, struct wal_record *record);

struct status __wrap_wal_stage(struct wal *wal, struct wal_record *record)
{
    bool leaves_out = present == MUTANT_CLOSE && record->type == WAL_RECORD_CLOSE;
    return leaves_out ? OK : __real_wal_stage(wal, record);
}

struct status __real_store_verify(const struct store_options *options, struct store_report *out);
struct status __wrap_store_verify(const struct store_options *options, struct store_report *out);

struct status __wrap_store_verify(const struct store_options *options, struct store_report *out)
{
    return present == MUTANT_VERIFY ? OK : __real_store_verify(options, out);
}

bool __real_key_is_present(struct apply *apply, uint64_t key_epoch);
bool __wrap_key_is_present(struct apply *apply, uint64_t key_epoch);

bool __wrap_key_is_present(struct apply *apply, uint64_t key_epoch)
{
    return present == MUTANT_STALE_KEY || __real_key_is_present(apply, key_epoch);
}

void __real_key_was_exposed(struct apply *apply, const struct member *member);
void __wrap_key_was_exposed(struct apply *apply, const struct member *member);

void __wrap_key_was_exposed(struct apply *apply, const struct member *member)
{
    if (present != MUTANT_EXPOSED_KEY) {
        __real_key_was_exposed(apply, member);
    }
}

struct status __real_wal_set_term(struct wal *wal, raft_term term);
struct status __wrap_wal_set_term(struct wal *wal, raft_term term);

struct status __wrap_wal_set_term(struct wal *wal, raft_term term)
{
    return present == MUTANT_TERM ? OK : __real_wal_set_term(wal, term);
}

struct status __real_wal_set_vote(struct wal *wal, raft_id voted_for);
struct status __wrap_wal_set_vote(struct wal *wal, raft_id voted_for);

struct status __wrap_wal_set_vote(struct wal *wal, raft_id voted_for)
{
    return present == MUTANT_VOTE ? OK : __real_wal_set_vote(wal, voted_for);
}

struct status __real_wal_failure(struct wal *wal);
struct status __wrap_wal_failure(struct wal *wal);

struct status __wrap_wal_failure(struct wal *wal)
{
    return present == MUTANT_POISON ? OK : __real_wal_failure(wal);
}

bool __real_log_io_has_room(struct wal *wal, const struct raft_append_entries *message);
bool __wrap_log_io_has_room(struct wal *wal, const struct raft_append_entries *message);

bool __wrap_log_io_has_room(struct wal *wal, const struct raft_append_entries *message)
{
    return present == MUTANT_ROOM || __real_log_io_has_room(wal, message);
}

/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */
