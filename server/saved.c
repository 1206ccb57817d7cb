/*
 * Saved lives, one at a time:
 *
 *     IDLE ──not counted yet, or to be given──► OPENING ──counted──► IDLE
 *      ▲                                           │ to be given
 *      └──── all given, or discarded ─── GIVING ◄──┘
 *
 * GIVING asks the leader to take a batch, notes how far it came, and asks again. What a crash leaves
 * unnoted is asked once more, and the cluster knows each record by its key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "client/rpc_frame.h"
#include "daemon.h"

#define BATCH_COUNT_MAX 500
#define BATCH_SIZE_MAX ((size_t)256 << 10U) /* Bytes of bodies; as a request they are longer. */
#define AGAIN_MS 1000U                      /* After a failure. */
#define OPEN_AGAIN_MS 60000U

enum saved_state {
    SAVED_IDLE,
    SAVED_OPENING,
    SAVED_GIVING,
};

struct saved {
    struct daemon *daemon;
    enum saved_state state;
    bool listed;
    bool stopped;
    struct saved_life lives[SAVED_LIVES_MAX];
    size_t count;
    size_t at;                /* The life that is opened or given. */
    struct saved_life opened; /* A copy of it, for the worker thread. */
    struct store *store;      /* Its state, while it is given. */
    struct status status;     /* Of opening. */
    uv_work_t work;
    struct ask *ask;
    uint64_t leader_id;
    size_t batch_max;
    size_t batch_count;
    uint64_t batch_last; /* Sequence. */
    uint64_t not_before_ms;
};

struct status saved_create(struct daemon *daemon, struct saved **out)
{
    struct saved *saved = alloc_zeroed(1, sizeof *saved);
    if (saved == NULL) {
        return fail(STATUS_NO_MEMORY, "look after saved lives");
    }
    saved->daemon = daemon;
    saved->work.data = saved;
    saved_note_remove(daemon->identity.path);
    *out = saved;
    return OK;
}

void saved_stop(struct saved *saved)
{
    if (saved != NULL) {
        saved->stopped = true;
        ask_cancel(saved->ask);
        saved->ask = NULL;
    }
}

void saved_destroy(struct saved *saved)
{
    if (saved != NULL) {
        store_close(saved->store);
        free(saved);
    }
}

/* A join that is not settled may be undone: the node then goes on with the life that it left. */
static bool is_settled(struct daemon *daemon)
{
    struct arena arena = {0};
    struct member self;
    bool settled = !failed(store_member(daemon->store, &arena, daemon->identity.node_id, &self)) &&
                   (self.standing == STANDING_MEMBER || self.standing == STANDING_STANDALONE ||
                    (self.standing == STANDING_JOINING && daemon->identity.bootstrap));
    arena_release(&arena);
    return settled;
}

static void list(struct saved *saved)
{
    const struct daemon *daemon = saved->daemon;
    struct status status = saved_life_list(daemon->config.data_directory, &daemon->identity,
                                           saved->lives, &saved->count);
    saved->listed = !failed(status);
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "saved lives could not be listed",
                  log_text("error", status.message));
    }
}

/* All but the newest go once they hold no record that is neither delivered nor given. */
static void prune(struct saved *saved)
{
    bool removed = false;
    for (size_t i = 0; i + 1 < saved->count; i++) {
        const struct saved_life *life = &saved->lives[i];
        if (saved_life_has_records(life)) {
            continue;
        }
        struct status status = identity_remove(saved->daemon->config.data_directory, life->lineage);
        removed = removed || !failed(status);
        log_event(failed(status) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
                  failed(status) ? "a saved life without records could not be removed"
                                 : "a saved life without records was removed",
                  log_text("lineage", life->lineage),
                  log_text("error", failed(status) ? status.message : ""));
    }
    if (removed) {
        list(saved);
    }
}

static struct saved_life *present(struct saved *saved)
{
    return &saved->lives[saved->at];
}

static void note(struct saved *saved)
{
    struct saved_life *life = present(saved);
    struct status status = saved_note_write(life->path, &life->note);
    if (failed(status)) { /* What is not noted is given again. */
        (void)snprintf(life->error, sizeof life->error, "%s", status.message);
    }
}

static void rest(struct saved *saved, uint64_t pause_ms)
{
    store_close(saved->store);
    saved->store = NULL;
    saved->state = SAVED_IDLE;
    saved->not_before_ms = clock_monotonic_ms() + pause_ms;
}

/* ---- Opening ---- */

static void run_open(uv_work_t *work)
{
    struct saved *saved = work->data;
    saved->status = saved_life_open(&saved->opened, &saved->daemon->config, &saved->store);
}

static struct status count_records(struct saved *saved)
{
    struct arena arena = {0};
    struct export_view export;
    struct saved_note *note_of = &present(saved)->note;
    struct status status = store_export(saved->store, &arena, &export);
    if (!failed(status) && !note_of->looked) {
        note_of->looked = true;
        note_of->undelivered = export.pending + export.dead_lettered;
        note(saved);
        log_event(LOG_LEVEL_NOTICE, "the life before this one is kept aside",
                  log_text("folder", present(saved)->path),
                  log_u64("undelivered", note_of->undelivered));
    }
    arena_release(&arena);
    return status;
}

static bool wants_giving(const struct saved_life *life)
{
    return life->note.submit && saved_life_has_records(life);
}

static void on_opened(uv_work_t *work, int code)
{
    struct saved *saved = work->data;
    struct saved_life *life = present(saved);
    struct status status = code == 0 ? saved->status : fail(STATUS_IO, "%s", uv_strerror(code));
    if (saved->stopped) {
        return;
    }
    if (!failed(status)) {
        status = count_records(saved);
    }
    life->error[0] = '\0';
    if (failed(status)) {
        (void)snprintf(life->error, sizeof life->error, "%s", status.message);
        log_event(LOG_LEVEL_WARNING, "a saved life cannot be read", log_text("folder", life->path),
                  log_text("error", status.message));
        rest(saved, OPEN_AGAIN_MS);
    } else if (wants_giving(life)) {
        saved->batch_max = BATCH_COUNT_MAX;
        saved->state = SAVED_GIVING;
    } else {
        rest(saved, 0);
        prune(saved);
    }
}

static void open_next(struct saved *saved)
{
    for (size_t i = 0; i < saved->count; i++) {
        const struct saved_life *life = &saved->lives[i];
        if (life->note.looked && !wants_giving(life)) {
            continue;
        }
        saved->at = i;
        saved->opened = *life;
        saved->state = SAVED_OPENING;
        if (uv_queue_work(saved->daemon->loop, &saved->work, run_open, on_opened) != 0) {
            rest(saved, OPEN_AGAIN_MS);
        }
        return;
    }
}

/* ---- Giving ---- */

/* The next records of the phase, as they were submitted. */
static struct status read_batch(struct saved *saved, struct arena *arena, struct codec_list *out)
{
    const struct saved_note *note_of = &present(saved)->note;
    bool dead = note_of->phase == SAVED_DEAD_LETTERS;
    struct codec_list found;
    struct status status =
        dead ? store_dead_letters(saved->store, arena, note_of->sequence, saved->batch_max, &found)
             : store_outbox(saved->store, arena, note_of->sequence, saved->batch_max,
                            BATCH_SIZE_MAX, &found);
    if (failed(status)) {
        return status;
    }
    struct message_record *records = arena_alloc(arena, found.count, sizeof *records);
    if (records == NULL) {
        return fail(STATUS_NO_MEMORY, "read saved records");
    }
    for (size_t i = 0; !failed(status) && i < found.count; i++) {
        const struct record_view *view =
            dead ? &((const struct dead_letter_view *)found.items)[i].record
                 : &((const struct record_view *)found.items)[i];
        status = codec_decode(&message_record_codec, CODEC_TAGS, view->body, arena, &records[i]);
        saved->batch_last = view->sequence;
    }
    saved->batch_count = found.count;
    *out = (struct codec_list){.items = records, .count = found.count};
    return status;
}

/* STATUS_FULL: too long for one request; fewer will do. */
static struct status write_request(const struct saved *saved, const struct codec_list *records,
                                   struct buffer *out)
{
    const struct daemon *daemon = saved->daemon;
    char actor[96];
    struct buffer params = {0};
    const struct rpc_submit submit = {.feed = slice_of("saved"), .records = *records};
    (void)snprintf(actor, sizeof actor, "node %.64s", daemon->config.name);
    struct status status = codec_encode(&rpc_submit_codec, CODEC_NAMES, &submit, &params);
    if (!failed(status) && params.size > RPC_FORWARD_SIZE_MAX) {
        status = fail(STATUS_FULL, "the records are too long for one request");
    }
    if (!failed(status)) {
        const struct rpc_forward forward = {
            .method = slice_of(rpc_methods[RPC_RECORDS_SUBMIT].name),
            .params = buffer_slice(&params),
            .actor = slice_of(actor),
            .origin = slice_of("local"),
            .role = RPC_ROLE_OPERATOR,
            .node_id = daemon->identity.node_id,
            .deadline_ms = RPC_DEADLINE_DEFAULT_MS,
        };
        status = rpc_frame_begin_request(out, 1, rpc_methods[RPC_PEER_FORWARD].name)
                     ? codec_encode(&rpc_forward_codec, CODEC_NAMES, &forward, out)
                     : fail(STATUS_NO_MEMORY, "give records");
    }
    buffer_release(&params);
    return status;
}

static bool believe_leader(void *context, uint64_t node_id)
{
    const struct saved *saved = context;
    return node_id == saved->leader_id;
}

static void put_off(struct saved *saved, const char *reason)
{
    struct saved_life *life = present(saved);
    if (strcmp(life->error, reason) != 0) {
        (void)snprintf(life->error, sizeof life->error, "%s", reason);
        log_event(LOG_LEVEL_NOTICE, "saved records are not taken yet", log_text("reason", reason));
    }
    saved->not_before_ms = clock_monotonic_ms() + AGAIN_MS;
}

static void on_taken(void *context, struct status status, uint64_t error, struct slice result)
{
    struct saved *saved = context;
    struct saved_life *life = present(saved);
    (void)error;
    (void)result;
    saved->ask = NULL;
    if (failed(status)) {
        put_off(saved, status.message);
        return;
    }
    fault_step(FAULT_SAVED_TAKEN);
    life->error[0] = '\0';
    life->note.sequence = saved->batch_last;
    life->note.given += saved->batch_count;
    saved->batch_max = BATCH_COUNT_MAX;
    saved->not_before_ms = 0;
    note(saved);
}

static struct status ask_to_take(struct saved *saved, const struct codec_list *records)
{
    struct daemon *daemon = saved->daemon;
    struct buffer request = {0};
    struct ask_question question = {
        .addresses = {.count = 1},
        .believe = believe_leader,
        .done = on_taken,
        .context = saved,
    };
    saved->leader_id = daemon->event.leader_id;
    struct status status = write_request(saved, records, &request);
    if (!failed(status)) {
        status = daemon_rpc_address(daemon, saved->leader_id, question.addresses.texts[0]);
    }
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &saved->ask);
    }
    buffer_release(&request);
    return status;
}

/* The phase holds no more. */
static void next_phase(struct saved *saved)
{
    struct saved_life *life = present(saved);
    life->note.phase++;
    life->note.sequence = 0;
    note(saved);
    if (life->note.phase == SAVED_DONE) {
        log_event(LOG_LEVEL_NOTICE, "all records of a saved life were given to the cluster",
                  log_text("folder", life->path), log_u64("records", life->note.given));
        rest(saved, 0);
        prune(saved);
    }
}

static void give(struct saved *saved)
{
    struct arena arena = {0};
    struct codec_list records = {0};
    struct status status = read_batch(saved, &arena, &records);
    if (!failed(status) && records.count == 0) {
        next_phase(saved);
    } else if (!failed(status)) {
        status = ask_to_take(saved, &records);
    }
    if (status.code == STATUS_FULL && saved->batch_max > 1) {
        saved->batch_max /= 2;
    } else if (failed(status)) {
        saved->ask = NULL;
        put_off(saved, status.message);
    }
    arena_release(&arena);
}

void saved_on_tick(struct saved *saved, uint64_t now_ms)
{
    const struct daemon *daemon = saved->daemon;
    if (now_ms < saved->not_before_ms || saved->stopped || daemon->event.leader_id == 0 ||
        saved->state == SAVED_OPENING || saved->ask != NULL || !is_settled(saved->daemon)) {
        return;
    }
    if (saved->state == SAVED_GIVING) {
        give(saved);
        return;
    }
    if (!saved->listed) {
        list(saved);
        prune(saved);
    }
    open_next(saved);
}

/* ---- Asked by others ---- */

const struct saved_life *saved_lives(struct saved *saved, size_t *count)
{
    if (!saved->listed && is_settled(saved->daemon)) {
        list(saved);
    }
    *count = saved->listed ? saved->count : 0;
    return saved->lives;
}

bool saved_is_full(struct saved *saved)
{
    size_t count;
    size_t kept = 0;
    const struct saved_life *lives = saved_lives(saved, &count);
    for (size_t i = 0; i < count; i++) {
        kept += saved_life_has_records(&lives[i]);
    }
    return kept >= SAVED_KEPT_MAX;
}

uint64_t saved_undelivered(struct saved *saved)
{
    size_t count = 0;
    uint64_t records = 0;
    const struct saved_life *lives = saved == NULL ? NULL : saved_lives(saved, &count);
    for (size_t i = 0; i < count; i++) {
        const struct saved_note *note_of = &lives[i].note;
        bool open = note_of->looked && note_of->phase != SAVED_DONE;
        records += open && note_of->given < note_of->undelivered
                       ? note_of->undelivered - note_of->given
                       : 0;
    }
    return records;
}

static struct status not_found(struct slice lineage)
{
    return fail(STATUS_NOT_FOUND,
                "no saved life is called %.*s; `muster node saved list` shows them",
                (int)(lineage.size > IDENTITY_LINEAGE_SIZE ? IDENTITY_LINEAGE_SIZE : lineage.size),
                lineage.size == 0 ? "" : (const char *)lineage.data);
}

struct status saved_submit(struct saved *saved, struct slice lineage)
{
    size_t count;
    bool found = lineage.size == 0;
    struct status status = OK;
    (void)saved_lives(saved, &count);
    for (size_t i = 0; i < count && !failed(status); i++) {
        struct saved_life *life = &saved->lives[i];
        if (lineage.size == 0 || slice_equal(lineage, slice_of(life->lineage))) {
            found = true;
            life->note.submit = true;
            status = saved_note_write(life->path, &life->note);
        }
    }
    saved->not_before_ms = 0;
    return found ? status : not_found(lineage);
}

struct status saved_discard(struct saved *saved, struct slice lineage)
{
    size_t count;
    const struct saved_life *lives = saved_lives(saved, &count);
    size_t i = 0;
    while (i < count && !slice_equal(lineage, slice_of(lives[i].lineage))) {
        i++;
    }
    if (i == count) {
        return not_found(lineage);
    }
    if (saved->state == SAVED_OPENING) {
        return fail(STATUS_BUSY, "a saved life is being opened; ask again in a moment");
    }
    if (saved->state == SAVED_GIVING) { /* Of whichever life: its place in the list may change. */
        ask_cancel(saved->ask);
        saved->ask = NULL;
        rest(saved, 0);
    }
    struct status status = identity_remove(saved->daemon->config.data_directory, lives[i].lineage);
    saved->listed = false;
    return status;
}
