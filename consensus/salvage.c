/*
 * A new life of a state whose members are lost: what a stopped node's log holds is given to the
 * machine to its end, and a log is begun that goes on after it with one voter.
 *
 * Every entry of the log counts, committed or not, as it would if this node were elected with the
 * log it has: the lost majority may have acknowledged each of them. That this node's log is the
 * most advanced of those left is for the caller to find out.
 *
 * The old log is read, never appended to; the new one is complete when consensus_found() returns,
 * and means nothing until somebody opens it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "batch.h"
#include "consensus/consensus.h"
#include "wal.h"

struct salvage {
    const struct machine *machine;
    struct slice *commands;   /* BATCH_COUNT_MAX */
    struct outcome *outcomes; /* The same. */
};

static struct status give_entry(const struct salvage *salvage, const struct raft_entry *entry,
                                uint64_t index)
{
    const struct machine *machine = salvage->machine;
    size_t count = 0;
    if (entry->type != RAFT_COMMAND) { /* Barriers and configurations: of the old members. */
        return OK;
    }
    struct slice bytes = {.data = entry->buf.base, .size = entry->buf.len};
    struct status status = batch_decode(bytes, salvage->commands, &count);
    if (!failed(status)) {
        status =
            machine->apply(machine->context, index, salvage->commands, count, salvage->outcomes);
    }
    return failed(status) ? wrap(status, "entry %llu", (unsigned long long)index) : OK;
}

static struct status give_all(const struct salvage *salvage, const struct wal_loaded *loaded,
                              struct consensus_log_end *out)
{
    const struct machine *machine = salvage->machine;
    uint64_t applied = machine->applied_index(machine->context);
    uint64_t snapshot = loaded->snapshot == NULL ? 0 : loaded->snapshot->index;
    uint64_t first = loaded->start_index;
    *out = (struct consensus_log_end){
        .index = snapshot > applied ? snapshot : applied,
        .term = loaded->snapshot == NULL ? 0 : loaded->snapshot->term,
        .current_term = loaded->term,
    };
    if (applied < snapshot || (loaded->entry_count > 0 && applied + 1 < first)) {
        return fail(STATUS_CORRUPT, "the store ends at entry %llu, the log begins at %llu",
                    (unsigned long long)applied, (unsigned long long)first);
    }
    for (size_t i = 0; i < loaded->entry_count; i++) {
        const struct raft_entry *entry = &loaded->entries[i];
        uint64_t index = first + i;
        struct status status = index <= applied ? OK : give_entry(salvage, entry, index);
        if (failed(status)) {
            return status;
        }
        out->term = entry->term;
        out->index = index > out->index ? index : out->index;
    }
    return OK;
}

struct status consensus_salvage(const char *directory, const struct machine *machine,
                                struct consensus_log_end *out)
{
    struct wal *wal = NULL;
    struct wal_loaded loaded = {0};
    const struct wal_options options = {.directory = directory};
    struct salvage salvage = {
        .machine = machine,
        .commands = alloc_zeroed(BATCH_COUNT_MAX, sizeof *salvage.commands),
        .outcomes = alloc_zeroed(BATCH_COUNT_MAX, sizeof *salvage.outcomes),
    };
    struct status status = salvage.commands == NULL || salvage.outcomes == NULL
                               ? fail(STATUS_NO_MEMORY, "read the log")
                               : wal_open(&options, &wal);
    if (!failed(status)) {
        wal_load(wal, &loaded);
        status = give_all(&salvage, &loaded, out);
        wal_loaded_release(&loaded);
        wal_close(wal, NULL, NULL);
    }
    free(salvage.commands);
    free(salvage.outcomes);
    return failed(status) ? wrap(status, "read %s to its end", directory) : OK;
}

/* ---- The new log ---- */

static void on_stored(struct wal_request *request, struct status status)
{
    struct status *stored = request->context;
    *stored = status;
}

static struct status store_snapshot(struct wal *wal, struct raft_snapshot *snapshot)
{
    struct status stored = fail(STATUS_IO, "the snapshot was not answered");
    struct wal_request request = {.context = &stored};
    struct status status = wal_set_term(wal, snapshot->term);
    if (!failed(status)) {
        status = wal_snapshot_put(wal, &request, snapshot, 0, on_stored);
    }
    if (failed(status)) {
        return status;
    }
    (void)wal_pump(wal);
    return stored;
}

struct status consensus_found(const struct consensus_founding *founding)
{
    struct wal *wal = NULL;
    struct wal_options options = {.directory = founding->directory};
    struct raft_buffer manifest = {
        /* Read from, never written to; raft_buffer has no const. */
        .base = (void *)(uintptr_t)founding->manifest.data,
        .len = founding->manifest.size,
    };
    struct raft_snapshot snapshot = {
        .index = founding->index,
        .term = founding->term,
        .configuration_index = founding->index,
        .bufs = &manifest,
        .n_bufs = 1,
    };
    raft_configuration_init(&snapshot.configuration);
    struct status status = OK;
    if (raft_configuration_add(&snapshot.configuration, founding->node_id, founding->address,
                               RAFT_VOTER) != 0) {
        status = fail(STATUS_NO_MEMORY, "a configuration of one");
    }
    if (!failed(status)) {
        status = wal_open(&options, &wal);
    }
    if (!failed(status)) {
        status = store_snapshot(wal, &snapshot);
        wal_close(wal, NULL, NULL);
    }
    raft_configuration_close(&snapshot.configuration);
    return failed(status) ? wrap(status, "begin a log in %s", founding->directory) : OK;
}
