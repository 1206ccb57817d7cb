/*
 * The audit's lines on their way to the journal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit_journal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "daemon.h"
#include "file.h"

#define BATCH 100      /* Lines a step: some ms. */
#define EVERY_MS 1000U /* Between two writings of the cursor. */
#define CURSOR_SIZE_MAX 32

static void cursor_path(const struct daemon *daemon, char out[IDENTITY_PATH_SIZE + 16])
{
    (void)snprintf(out, IDENTITY_PATH_SIZE + 16, "%s/audit.cursor", daemon->identity.path);
}

/* Without a cursor, or with one that is no number: from the beginning, which loses nothing. */
static void begin(struct audit_journal *journal, const struct daemon *daemon)
{
    char path[IDENTITY_PATH_SIZE + 16];
    char text[CURSOR_SIZE_MAX + 1];
    struct buffer bytes = {0};
    cursor_path(daemon, path);
    if (!failed(file_read(path, CURSOR_SIZE_MAX, &bytes)) &&
        slice_to_text(buffer_slice(&bytes), text, sizeof text)) {
        journal->written = strtoull(text, NULL, 10);
    }
    journal->remembered = journal->written;
    journal->begun = true;
    buffer_release(&bytes);
}

static void remember(struct audit_journal *journal, const struct daemon *daemon)
{
    char path[IDENTITY_PATH_SIZE + 16];
    char text[CURSOR_SIZE_MAX];
    cursor_path(daemon, path);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)journal->written);
    if (!failed(file_write(path, slice_of(text)))) { /* Else a second later. */
        journal->remembered = journal->written;
    }
}

static bool deliver(const struct audit_view *line)
{
    char at[CLOCK_TEXT_SIZE];
    char hash[2 * STORE_HASH_SIZE + 1];
    hex_encode((struct slice){.data = line->hash, .size = STORE_HASH_SIZE}, hash);
    return log_deliver(
        LOG_LEVEL_NOTICE, "audit",
        LOG_EVENT_FIELDS(log_u64("sequence", line->sequence),
                         log_text("at", clock_format(line->at_ms, at)),
                         log_slice("actor", line->actor), log_slice("origin", line->origin),
                         log_slice("method", line->command), log_slice("target", line->target),
                         log_slice("outcome", line->outcome), log_slice("comment", line->comment),
                         log_text("hash", hash)));
}

static bool deliver_batch(struct audit_journal *journal, struct store *store)
{
    struct arena arena = {0};
    struct codec_list lines = {0};
    bool good = !failed(store_audit(store, &arena, journal->written, BATCH, &lines));
    const struct audit_view *line = lines.items;
    for (size_t i = 0; good && i < lines.count; i++) {
        good = deliver(&line[i]);
        journal->written = good ? line[i].sequence : journal->written;
    }
    arena_release(&arena);
    return good;
}

/* Lines that went before they were written. */
static void skip_trimmed(struct audit_journal *journal, const struct audit_extent *extent)
{
    if (journal->written < extent->trimmed) {
        log_event(LOG_LEVEL_WARNING, "lines of the audit were let go before they were written here",
                  log_u64("from", journal->written + 1), log_u64("to", extent->trimmed));
        journal->written = extent->trimmed;
    }
}

void audit_journal_step(struct audit_journal *journal, struct daemon *daemon)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct audit_extent extent;
    if (daemon->config.audit_journal == 0) {
        return;
    }
    if (!journal->begun) {
        begin(journal, daemon);
    }
    store_audit_extent(daemon->store, &extent);
    skip_trimmed(journal, &extent);
    /* The cursor may be ahead: after a crash the end of the audit comes from the log once more. */
    if (journal->written < extent.trimmed + extent.line_count &&
        !deliver_batch(journal, daemon->store)) {
        journal->next_at_ms = now_ms + EVERY_MS; /* And the lines in the next step. */
        return;
    }
    if (journal->written != journal->remembered && now_ms >= journal->next_at_ms) {
        journal->next_at_ms = now_ms + EVERY_MS;
        remember(journal, daemon);
    }
}

void audit_journal_end(struct audit_journal *journal, struct daemon *daemon)
{
    if (journal->begun && journal->written != journal->remembered) {
        remember(journal, daemon);
    }
}
