/*
 * Handlers of records.*: taking what producers saw, and finding it again.
 *
 * A request of RPC_FRAME_SIZE_MAX becomes a command of at most thrice that, for each search key
 * repeats a part of the body: within CONSENSUS_COMMAND_SIZE_MAX.
 *
 * A record is checked, its search keys are taken from it, and its body is stored as the strict
 * encoding of the same table that it came by.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "client/record.h"
#include "daemon.h"
#include "handlers.h"
#include "sighting.h"
#include "views.h"

#define SEARCH_LIMIT_DEFAULT 100

_Static_assert(CONSENSUS_COMMAND_SIZE_MAX >= 3 * RPC_FRAME_SIZE_MAX, "a full frame is taken");

struct submit_state {
    uint64_t count;
};

static void on_stored(struct call *call, struct apply_outcome outcome)
{
    const struct submit_state *state = call->state;
    const struct rpc_submitted submitted = {
        .accepted = outcome.value,
        .duplicates = state->count - outcome.value,
    };
    call_reply(call, &submitted);
}

/* The MID as text is the id under which the state knows the record. */
static struct slice record_id(struct arena *arena, const struct message_record *record)
{
    return view_text(arena, "%llu", (unsigned long long)record->mid);
}

static struct status put_of_record(struct call *call, const struct message_record *record,
                                   struct buffer *bodies, struct record_put *out)
{
    struct record_key_list keys;
    size_t start = bodies->size;
    struct status status = message_record_check(record);
    if (!failed(status)) {
        status = record_keys(record, &call->arena, &keys);
    }
    if (!failed(status)) {
        status = codec_encode(&message_record_codec, CODEC_TAGS, record, bodies);
    }
    if (failed(status)) {
        return status;
    }
    struct index_key *index = arena_alloc(&call->arena, keys.count, sizeof *index);
    if (index == NULL) {
        return fail(STATUS_NO_MEMORY, "take a record");
    }
    for (size_t i = 0; i < keys.count; i++) {
        index[i] = (struct index_key){.kind = keys.items[i].kind, .value = keys.items[i].value};
    }
    *out = (struct record_put){
        .kind = RECORD_MESSAGE,
        .serial = record->serial,
        .id = record_id(&call->arena, record),
        .revision = record->revision,
        .observed_at_ms = record->start_ms,
        /* The buffer may still move: an offset for now. */
        .body = {.data = NULL, .size = bodies->size - start},
        .keys = {.items = index, .count = keys.count},
    };
    return OK;
}

static struct status puts_of_records(struct call *call, const struct rpc_submit *params,
                                     struct buffer *bodies, struct record_put *puts)
{
    const struct message_record *records = params->records.items;
    for (size_t i = 0; i < params->records.count; i++) {
        struct status status = put_of_record(call, &records[i], bodies, &puts[i]);
        if (failed(status)) {
            return wrap(status, "record %zu of %zu", i + 1, params->records.count);
        }
    }
    size_t offset = 0;
    for (size_t i = 0; i < params->records.count; i++) {
        puts[i].body.data = bodies->data + offset;
        offset += puts[i].body.size;
    }
    return OK;
}

void handle_records_submit(struct call *call)
{
    struct rpc_submit params;
    struct buffer bodies = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct submit_state *state = arena_alloc(&call->arena, 1, sizeof *state);
    struct record_put *puts = arena_alloc(&call->arena, params.records.count, sizeof *puts);
    struct status status = state == NULL || puts == NULL
                               ? fail(STATUS_NO_MEMORY, "take records")
                               : puts_of_records(call, &params, &bodies, puts);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        state->count = params.records.count;
        call->state = state;
        struct command command = {
            .type = COMMAND_RECORDS_PUT,
            .body.records_put =
                {
                    .feed = params.feed,
                    .records = {.items = puts, .count = params.records.count},
                },
        };
        call_propose(call, &command, on_stored);
    }
    buffer_release(&bodies);
}

/* ---- Searching ---- */

static struct status search_of_params(const struct rpc_search *params,
                                      char room[RECORD_KEY_SIZE_MAX + 1], struct record_search *out)
{
    enum record_key_kind kind;
    *out = (struct record_search){
        .since_ms = params->since_ms,
        .until_ms = params->until_ms,
        .before_sequence = params->before_sequence,
        .count_max = params->limit == 0 ? SEARCH_LIMIT_DEFAULT : params->limit,
    };
    if (params->key.size == 0) {
        return OK;
    }
    if (!record_key_kind_parse(params->key, &kind)) {
        return fail(STATUS_INVALID, "records are found by ip, domain, url, sha256, sender, "
                                    "recipient, mid or message_id");
    }
    out->key.kind = kind;
    if (!record_key_normalise(kind, params->value, room, &out->key.value)) {
        return fail(STATUS_INVALID, "this is not a value of the kind %s",
                    record_key_kind_name(kind));
    }
    return OK;
}

static const char *fate_name(enum record_fate fate)
{
    switch (fate) {
    case RECORD_PENDING: return "pending";
    case RECORD_DELIVERED: return "delivered";
    case RECORD_DEAD: return "dead";
    case RECORD_DISCARDED: return "discarded";
    }
    return "pending";
}

static struct status view_record(struct call *call, const struct record_view *view,
                                 struct rpc_record *out)
{
    char external_id[SIGHTING_ID_SIZE];
    const struct sighting_key key = {
        .cluster_id = slice_of(call->daemon->identity.cluster_id),
        .kind = view->kind,
        .serial = view->serial,
        .id = view->id,
        .revision = view->revision,
    };
    sighting_external_id(&key, external_id);
    *out = (struct rpc_record){
        .sequence = view->sequence,
        .fate = slice_of(fate_name(view->fate)),
        .external_id = arena_copy(&call->arena, slice_of(external_id)),
        .stored_at_ms = view->stored_at_ms,
    };
    return codec_decode(&message_record_codec, CODEC_TAGS, view->body, &call->arena, &out->record);
}

void handle_records_search(struct call *call)
{
    struct rpc_search params;
    struct record_search search;
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct codec_list found = {0};
    struct rpc_records view = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = search_of_params(&params, room, &search);
    if (!failed(status)) {
        status = store_search(call->daemon->store, &call->arena, &search, &found, &view.more);
    }
    struct rpc_record *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, found.count, sizeof *rows);
    if (!failed(status) && rows == NULL) {
        status = fail(STATUS_NO_MEMORY, "list records");
    }
    for (size_t i = 0; !failed(status) && i < found.count; i++) {
        const struct record_view *all = found.items;
        status = view_record(call, &all[i], &rows[i]);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    view.records = (struct codec_list){.items = rows, .count = found.count};
    view.freshness = daemon_freshness(call->daemon, call->options.stale);
    call_reply(call, &view);
}
