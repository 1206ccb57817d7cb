/*
 * Rule CONF: which configuration is committed.
 *
 * libraft keeps the present configuration only, and two indexes: of the last committed one and of
 * an uncommitted one. It forgets the second at a restart, writes an uncommitted configuration into
 * a snapshot, and for a rollback looks for the committed one in a log that may be compacted. So
 * the last committed configuration is kept here, as its bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guard_parts.h"

#include <string.h>

#include "raft_view.h"

static int keep(struct guard *guard, struct raft_buffer bytes, raft_index index)
{
    raft_free(guard->committed.base);
    guard->committed = bytes;
    guard->committed_index = index;
    return 0;
}

static int keep_configuration(struct guard *guard, const struct raft_configuration *configuration,
                              raft_index index)
{
    struct raft_buffer bytes = {0};
    if (configuration->n == 0) {
        return 0; /* A fresh node: there is none yet. */
    }
    int code = raft_configuration_encode(configuration, &bytes);
    return code != 0 ? code : keep(guard, bytes, index);
}

static int keep_entry(struct guard *guard, const struct raft_entry *entry, raft_index index)
{
    struct raft_buffer bytes = {.base = raft_malloc(entry->buf.len), .len = entry->buf.len};
    if (bytes.base == NULL) {
        return RAFT_NOMEM;
    }
    memcpy(bytes.base, entry->buf.base, bytes.len);
    return keep(guard, bytes, index);
}

static void check(struct guard *guard, int code)
{
    if (code != 0) {
        guard_fail(guard, "keep the committed configuration", code);
    }
}

int guard_conf_load(struct guard *guard, const struct raft_snapshot *snapshot)
{
    return keep_configuration(guard, &snapshot->configuration, snapshot->configuration_index);
}

void guard_conf_started(struct guard *guard)
{
    struct raft *raft = guard->raft;
    raft_index last = 0;
    raft_index before = 0;
    for (raft_index i = raft->log.offset + 1; i <= raft_view_last(raft); i++) {
        if (raft_view_entry(raft, i)->type == RAFT_CHANGE) {
            before = last;
            last = i;
        }
    }
    if (last <= raft->commit_index || (before == 0 && guard->committed.base == NULL)) {
        return;
    }
    if (before > guard->committed_index) {
        check(guard, keep_entry(guard, raft_view_entry(raft, before), before));
    }
    guard_note(guard, GUARD_CONF);
    raft->configuration_index = guard->committed_index;
    raft->configuration_uncommitted_index = last;
}

void guard_conf_track(struct guard *guard)
{
    struct raft *raft = guard->raft;
    raft_index index = raft->configuration_index;
    if (index == 0 || index == guard->committed_index) {
        return;
    }
    if (raft->configuration_uncommitted_index == 0) {
        check(guard, keep_configuration(guard, &raft->configuration, index));
        return;
    }
    const struct raft_entry *entry = raft_view_entry(raft, index);
    if (entry != NULL && entry->type == RAFT_CHANGE) {
        check(guard, keep_entry(guard, entry, index));
    }
}

void guard_conf_before_truncate(struct guard *guard, raft_index from)
{
    struct raft *raft = guard->raft;
    struct raft_configuration configuration;
    if (raft->configuration_uncommitted_index < from || guard->committed.base == NULL) {
        return;
    }
    int code = raft_view_decode(guard->committed.base, guard->committed.len, &configuration);
    if (code != 0) {
        check(guard, code);
        return;
    }
    guard_note(guard, GUARD_CONF);
    raft_configuration_close(&raft->configuration);
    raft->configuration = configuration;
    raft->configuration_index = guard->committed_index;
    raft->configuration_uncommitted_index = 0;
}

void guard_conf_release(struct guard *guard)
{
    raft_free(guard->committed.base);
    guard->committed = (struct raft_buffer){0};
}
