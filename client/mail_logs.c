/*
 * The correlator: which lines belong to which message.
 *
 * A message is open from its first line on, and then closed: its record is out, but its MID is
 * remembered until the log has moved past the last millisecond of it, so that a straggler makes a
 * record with another revision.
 *
 *        first line          finish, silence,
 *     ---------------> OPEN  too many, end     ---> CLOSED ---> forgotten (the log moved on)
 *                        ^                             |
 *                        +-----------------------------+
 *                          another line, revision + 1
 *
 * Both kinds stand in a list ordered by their last line, the longest silent first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_logs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "line_reader.h"
#include "mail_connections.h"
#include "mail_facts.h"
#include "mail_messages.h"
#include "number_map.h"
#include "text_scan.h"

struct dated_context {
    uint64_t position; /* Of the line from which on it holds. */
    struct mail_logs_context context;
};

struct mail_logs {
    struct line_reader reader;
    mail_record_fn on_record;
    void *record_context;
    uint64_t flush_after_ms;
    size_t open_max;
    bool serial_is_given;

    struct mail_logs_context context;
    struct dated_context contexts[MAIL_LOGS_CONTEXTS_MAX]; /* Oldest first; never empty. */
    size_t context_count;

    uint64_t now_ms; /* Of the last line that had a time. */
    bool has_time;
    uint64_t line_start;

    struct number_map messages; /* By MID, open and closed. */
    struct message_list open;
    struct message_list closed;
    size_t facts_size; /* Bytes of all open messages. */
    struct mail_connections connections;

    struct mail_draft draft;
    struct mail_logs_counts counts;
};

static void message_forget(struct mail_logs *logs, struct message *message)
{
    message_list_remove(message->is_closed ? &logs->closed : &logs->open, message);
    number_map_remove(&logs->messages, message->mid);
    logs->facts_size -= message->facts.bytes.size;
    buffer_release(&message->facts.bytes);
    free(message);
}

static void message_close(struct mail_logs *logs, struct message *message, uint64_t revision)
{
    message_list_remove(&logs->open, message);
    message->is_closed = true;
    message->is_bound = false;
    message->revision_min = revision + 1;
    logs->facts_size -= message->facts.bytes.size;
    buffer_release(&message->facts.bytes);
    message->facts = (struct mail_facts){0};
    message_list_append(&logs->closed, message);
    if (logs->closed.count > logs->open_max) {
        message_forget(logs, logs->closed.first);
    }
}

static struct status give_out(struct mail_logs *logs, struct message *message, uint64_t *reason)
{
    struct message_record *record = &logs->draft.record;
    if (!mail_draft_build(&logs->draft, &message->facts)) {
        return fail(STATUS_NO_MEMORY, "work out the record of a message");
    }
    record->serial = slice_of(logs->context.serial);
    record->mid = message->mid;
    record->start_ms = message->start_ms;
    record->last_ms = message->last_ms;
    record->revision =
        message->last_ms > message->revision_min ? message->last_ms : message->revision_min;
    logs->counts.records++;
    logs->counts.complete += record->complete;
    if (!record->complete && reason != NULL) {
        (*reason)++;
    }
    struct status status = logs->on_record(logs->record_context, record, message->position);
    message_close(logs, message,
                  record->revision); /* After the call: the record borrows from it. */
    return status;
}

static struct status give_out_all(struct mail_logs *logs, uint64_t *reason)
{
    while (logs->open.first != NULL) {
        struct status status = give_out(logs, logs->open.first, reason);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

/* The log has moved on to `now_ms`. */
static struct status pass_time(struct mail_logs *logs, uint64_t now_ms)
{
    logs->now_ms = now_ms;
    logs->has_time = true;
    while (logs->open.first != NULL && logs->open.first->last_ms + logs->flush_after_ms < now_ms) {
        struct status status = give_out(logs, logs->open.first, &logs->counts.flushed_by_age);
        if (failed(status)) {
            return status;
        }
    }
    while (logs->closed.first != NULL && logs->closed.first->revision_min <= now_ms) {
        message_forget(logs, logs->closed.first);
    }
    mail_connections_expire(&logs->connections, now_ms, logs->flush_after_ms);
    return OK;
}

static struct status message_open(struct mail_logs *logs, uint64_t mid, struct message **out)
{
    if (logs->open.count >= logs->open_max) {
        struct status status = give_out(logs, logs->open.first, &logs->counts.flushed_by_number);
        if (failed(status)) {
            return status;
        }
    }
    struct message *message = alloc_zeroed(1, sizeof(*message));
    if (message == NULL || !number_map_add(&logs->messages, mid, message)) {
        free(message);
        return fail(STATUS_NO_MEMORY, "open a message");
    }
    message->mid = mid;
    message->position = logs->line_start;
    message->start_ms = logs->now_ms;
    message->last_ms = logs->now_ms;
    message_list_append(&logs->open, message);
    *out = message;
    return OK;
}

/* The message of a MID, opened if it is not, as the last one heard of. */
static struct status message_touch(struct mail_logs *logs, uint64_t mid, struct message **out)
{
    struct message *message = number_map_find(&logs->messages, mid);
    if (message == NULL) {
        return message_open(logs, mid, out);
    }
    message_list_remove(message->is_closed ? &logs->closed : &logs->open, message);
    if (message->is_closed) { /* Its position stays: both records must come again together. */
        message->is_closed = false;
        message->start_ms = logs->now_ms;
        message->last_ms = logs->now_ms;
    }
    message->start_ms = logs->now_ms < message->start_ms ? logs->now_ms : message->start_ms;
    message->last_ms = logs->now_ms > message->last_ms ? logs->now_ms : message->last_ms;
    message_list_append(&logs->open, message);
    *out = message;
    return OK;
}

static void hold(struct message *message, uint64_t position)
{
    message->position = position < message->position ? position : message->position;
}

static struct status learn(struct mail_logs *logs, struct message *message,
                           const struct mail_event *event)
{
    size_t size = message->facts.bytes.size;
    if (!mail_facts_add(&message->facts, event)) {
        return fail(STATUS_NO_MEMORY, "keep what a line says");
    }
    logs->facts_size += message->facts.bytes.size - size;
    return OK;
}

/* What is known of the connection it came by becomes its own, once. */
static struct status bind_connection(struct mail_logs *logs, struct message *message, uint64_t icid)
{
    const struct mail_connection *connection =
        icid == 0 || message->is_bound
            ? NULL
            : mail_connections_find(&logs->connections, MAIL_INCOMING, icid, logs->now_ms);
    if (connection == NULL) {
        return OK;
    }
    message->is_bound = true;
    hold(message, connection->position);
    struct slice facts = buffer_slice(&connection->facts.bytes);
    if (!buffer_append(&message->facts.bytes, facts.data, facts.size)) {
        return fail(STATUS_NO_MEMORY, "keep what is known of a connection");
    }
    logs->facts_size += facts.size;
    return OK;
}

static void name_host(struct mail_logs *logs, struct message *message, struct mail_event *event)
{
    const struct mail_connection *connection =
        event->dcid == 0
            ? NULL
            : mail_connections_find(&logs->connections, MAIL_OUTGOING, event->dcid, logs->now_ms);
    if (connection != NULL) {
        hold(message, connection->position);
        event->third = slice_of(connection->address);
    }
}

/* Tell a message made out of another where it comes from. One that is closed already has told its
 * own story. */
static struct status tell_other(struct mail_logs *logs, const struct mail_event *event,
                                enum mail_event_kind kind)
{
    struct message *other = number_map_find(&logs->messages, event->other_mid);
    if (event->other_mid == event->mid || (other != NULL && other->is_closed)) {
        return OK;
    }
    struct status status = message_touch(logs, event->other_mid, &other);
    if (failed(status)) {
        return status;
    }
    assert(other != NULL);
    struct mail_event told = {.kind = kind, .other_mid = event->mid, .text = event->text};
    return learn(logs, other, &told);
}

static struct status on_message_event(struct mail_logs *logs, struct mail_event *event)
{
    if (logs->context.serial[0] == '\0') {
        logs->counts.lines_no_serial++;
        return OK;
    }
    struct message *message = NULL;
    struct status status = message_touch(logs, event->mid, &message);
    if (failed(status)) {
        return status;
    }
    assert(message != NULL);
    name_host(logs, message, event);
    status = bind_connection(logs, message, event->icid);
    if (!failed(status)) {
        status = learn(logs, message, event);
    }
    if (failed(status)) {
        return status;
    }
    if (event->kind == MAIL_FINISHED) {
        return give_out(logs, message, NULL);
    }
    if (event->kind == MAIL_SPLIT) {
        return tell_other(logs, event, MAIL_SPLIT_FROM);
    }
    if (event->kind == MAIL_REWRITTEN) {
        return tell_other(logs, event, MAIL_REWRITTEN_FROM);
    }
    return OK;
}

static void context_changed(struct mail_logs *logs)
{
    if (logs->context_count == MAIL_LOGS_CONTEXTS_MAX) {
        logs->context_count--;
        memmove(&logs->contexts[0], &logs->contexts[1],
                logs->context_count * sizeof(logs->contexts[0]));
    }
    logs->contexts[logs->context_count] =
        (struct dated_context){.position = logs->line_start, .context = logs->context};
    logs->context_count++;
}

/* Another appliance numbers its messages and connections anew. */
static struct status on_version(struct mail_logs *logs, const struct mail_event *event)
{
    char serial[RECORD_SERIAL_SIZE_MAX + 1];
    if (logs->serial_is_given || !slice_to_text(event->text, serial, sizeof(serial)) ||
        strcmp(serial, logs->context.serial) == 0) {
        return OK;
    }
    if (logs->context.serial[0] != '\0') {
        struct status status = give_out_all(logs, &logs->counts.flushed_at_end);
        if (failed(status)) {
            return status;
        }
        while (logs->closed.first != NULL) {
            message_forget(logs, logs->closed.first);
        }
        mail_connections_clear(&logs->connections);
    }
    memcpy(logs->context.serial, serial, sizeof(serial));
    context_changed(logs);
    return OK;
}

static void on_offset(struct mail_logs *logs, const struct mail_event *event)
{
    int64_t offset_s = event->flag ? -(int64_t)event->number : (int64_t)event->number;
    if (offset_s != logs->context.utc_offset_s) {
        logs->context.utc_offset_s = offset_s;
        context_changed(logs);
    }
}

static void keep_sample(struct mail_logs *logs, struct slice line)
{
    if (logs->counts.sample_count < MAIL_LOGS_SAMPLES_MAX) {
        mail_logs_mask(line, logs->counts.samples[logs->counts.sample_count]);
        logs->counts.sample_count++;
    }
}

static struct status on_event(struct mail_logs *logs, struct mail_event *event)
{
    if (event->kind == MAIL_VERSION) {
        return on_version(logs, event);
    }
    if (event->kind == MAIL_OFFSET) {
        on_offset(logs, event);
        return OK;
    }
    if (event->has_mid) {
        return on_message_event(logs, event);
    }
    if (mail_connections_concern(event->kind) &&
        !mail_connections_take(&logs->connections, event, logs->line_start, logs->now_ms)) {
        return fail(STATUS_NO_MEMORY, "keep a connection");
    }
    return OK;
}

/* The line's time, or that of the line before it; false if there is neither. */
static bool line_time(struct mail_logs *logs, const struct mail_time *time, uint64_t *out_ms)
{
    uint64_t year = logs->context.year;
    const uint64_t *last_ms = logs->has_time ? &logs->now_ms : NULL;
    if (!mail_time_resolve(time, &logs->context, last_ms, out_ms)) {
        return false;
    }
    if (logs->context.year != year) {
        context_changed(logs);
    }
    return true;
}

static struct status on_line(void *context, struct slice line, uint64_t start, uint64_t end)
{
    struct mail_logs *logs = context;
    struct mail_frame frame;
    uint64_t at_ms = 0;
    (void)end;
    logs->line_start = start;
    if (line.size == 0) {
        return OK;
    }
    if (!mail_frame_parse(line, &frame) || !line_time(logs, &frame.time, &at_ms)) {
        logs->counts.lines_bad++;
        keep_sample(logs, line);
        return OK;
    }
    struct mail_event event = mail_event_parse(frame.text);
    logs->counts.kinds[event.kind]++;
    if (event.kind == MAIL_UNKNOWN) {
        logs->counts.lines_unknown++;
        keep_sample(logs, line);
    }
    struct status status = pass_time(logs, at_ms);
    if (!failed(status)) {
        status = on_event(logs, &event);
    }
    while (!failed(status) && logs->facts_size > MAIL_LOGS_FACTS_SIZE_MAX) {
        status = give_out(logs, logs->open.first, &logs->counts.flushed_by_number);
    }
    return status;
}

struct status mail_logs_read(struct mail_logs *logs, struct slice chunk)
{
    return line_reader_read(&logs->reader, chunk);
}

struct status mail_logs_finish(struct mail_logs *logs)
{
    struct status status = line_reader_finish(&logs->reader);
    return failed(status) ? status : give_out_all(logs, &logs->counts.flushed_at_end);
}

static uint64_t lowest_position(const struct mail_logs *logs)
{
    uint64_t lowest = logs->reader.line_start;
    const struct message_list *lists[] = {&logs->open, &logs->closed};
    for (size_t i = 0; i < 2; i++) {
        for (const struct message *m = lists[i]->first; m != NULL; m = m->after) {
            lowest = m->position < lowest ? m->position : lowest;
        }
    }
    for (const struct mail_connection *c = logs->connections.first; c != NULL; c = c->after) {
        lowest = c->position < lowest ? c->position : lowest;
    }
    return lowest;
}

uint64_t mail_logs_checkpoint(struct mail_logs *logs, uint64_t unsafe_position,
                              struct mail_logs_context *out)
{
    uint64_t lowest = lowest_position(logs);
    lowest = unsafe_position < lowest ? unsafe_position : lowest;
    size_t holds = 0;
    while (holds + 1 < logs->context_count && logs->contexts[holds + 1].position <= lowest) {
        holds++;
    }
    logs->context_count -= holds;
    memmove(&logs->contexts[0], &logs->contexts[holds],
            logs->context_count * sizeof(logs->contexts[0]));
    *out = logs->contexts[0].context;
    return lowest;
}

const struct mail_logs_counts *mail_logs_counts(struct mail_logs *logs)
{
    logs->counts.lines = logs->reader.lines;
    logs->counts.lines_cut = logs->reader.lines_cut;
    logs->counts.lines_repaired = logs->reader.lines_repaired;
    return &logs->counts;
}

size_t mail_logs_open(const struct mail_logs *logs)
{
    return logs->open.count;
}

struct status mail_logs_create(const struct mail_logs_options *options, uint64_t position,
                               void *context, mail_record_fn on_record, struct mail_logs **out)
{
    struct mail_logs *logs = alloc_zeroed(1, sizeof(*logs));
    if (logs == NULL) {
        return fail(STATUS_NO_MEMORY, "read mail_logs");
    }
    logs->context = options->context;
    if (options->serial != NULL) {
        struct slice serial = slice_of(options->serial);
        logs->serial_is_given = true;
        if (serial.size == 0 || !text_is_clean(serial) ||
            !slice_to_text(serial, logs->context.serial, sizeof(logs->context.serial))) {
            free(logs);
            return fail(STATUS_INVALID, "a serial number is text of 1 to %d bytes",
                        RECORD_SERIAL_SIZE_MAX);
        }
    }
    logs->on_record = on_record;
    logs->record_context = context;
    logs->flush_after_ms =
        1000 * (options->flush_after_s > 0 ? options->flush_after_s : MAIL_LOGS_FLUSH_AFTER_S);
    logs->open_max = options->open_max > 0 ? options->open_max : MAIL_LOGS_OPEN_MAX;
    line_reader_init(&logs->reader, position, on_line, logs);
    logs->line_start = position;
    context_changed(logs);
    *out = logs;
    return OK;
}

void mail_logs_destroy(struct mail_logs *logs)
{
    if (logs == NULL) {
        return;
    }
    while (logs->open.first != NULL) {
        message_forget(logs, logs->open.first);
    }
    while (logs->closed.first != NULL) {
        message_forget(logs, logs->closed.first);
    }
    number_map_release(&logs->messages);
    mail_connections_clear(&logs->connections);
    mail_draft_release(&logs->draft);
    line_reader_release(&logs->reader);
    free(logs);
}
