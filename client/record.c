/*
 * The record tables, what a record from outside must satisfy, and the keys it is found by.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/record.h"

#include <stdio.h>
#include <string.h>

static const struct codec_field observable_fields[] = {
    CODEC_FIELD(struct record_observable, 1, type, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    CODEC_FIELD(struct record_observable, 2, value, CODEC_TEXT, RECORD_KEY_SIZE_MAX),
    CODEC_OPTIONAL(struct record_observable, 3, internal, CODEC_BOOL, 1),
};
const struct codec record_observable_codec =
    CODEC(struct record_observable, "observable", observable_fields);

static const struct codec_field attachment_fields[] = {
    CODEC_OPTIONAL(struct message_attachment, 1, name, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct message_attachment, 2, sha256, CODEC_TEXT, 64),
};
const struct codec message_attachment_codec =
    CODEC(struct message_attachment, "attachment", attachment_fields);

static const struct codec_field delivery_fields[] = {
    CODEC_OPTIONAL(struct message_delivery, 1, dcid, CODEC_U64, RECORD_NUMBER_MAX),
    CODEC_OPTIONAL(struct message_delivery, 2, address, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct message_delivery, 3, response, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
};
const struct codec message_delivery_codec =
    CODEC(struct message_delivery, "delivery", delivery_fields);

static const struct codec_field relation_fields[] = {
    CODEC_FIELD(struct message_relation, 1, relation, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    CODEC_FIELD(struct message_relation, 2, mid, CODEC_U64, RECORD_NUMBER_MAX),
    CODEC_OPTIONAL(struct message_relation, 3, reason, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
};
const struct codec message_relation_codec =
    CODEC(struct message_relation, "relation", relation_fields);

#define RECORD_FIELD(tag, member, kind, limit)                                                     \
    CODEC_FIELD(struct message_record, tag, member, kind, limit)
#define RECORD_OPTIONAL(tag, member, kind, limit)                                                  \
    CODEC_OPTIONAL(struct message_record, tag, member, kind, limit)
#define RECORD_LIST(tag, member, limit, of)                                                        \
    CODEC_NESTED_OPTIONAL(struct message_record, tag, member, CODEC_LIST, limit, of)

static const struct codec_field message_fields[] = {
    RECORD_FIELD(1, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    RECORD_FIELD(2, mid, CODEC_U64, RECORD_NUMBER_MAX),
    RECORD_FIELD(3, revision, CODEC_U64, RECORD_NUMBER_MAX),
    RECORD_FIELD(4, start_ms, CODEC_U64, RECORD_TIME_MAX_MS),
    RECORD_FIELD(5, last_ms, CODEC_U64, RECORD_TIME_MAX_MS),
    RECORD_OPTIONAL(6, complete, CODEC_BOOL, 1),
    RECORD_FIELD(7, disposition, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    RECORD_OPTIONAL(8, response, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(9, direction, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    RECORD_OPTIONAL(10, icid, CODEC_U64, RECORD_NUMBER_MAX),
    RECORD_OPTIONAL(11, sender, CODEC_TEXT, MESSAGE_ADDRESS_SIZE_MAX),
    RECORD_OPTIONAL(12, recipients, CODEC_TEXTS, MESSAGE_RECIPIENTS_MAX),
    RECORD_OPTIONAL(13, recipient_count, CODEC_U64, RECORD_NUMBER_MAX),
    RECORD_OPTIONAL(14, subject, CODEC_TEXT, MESSAGE_SUBJECT_SIZE_MAX),
    RECORD_OPTIONAL(15, message_id, CODEC_TEXT, MESSAGE_ID_SIZE_MAX),
    RECORD_OPTIONAL(16, size, CODEC_U64, RECORD_NUMBER_MAX),
    RECORD_OPTIONAL(17, sender_ip, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(18, sender_host, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(19, sender_host_verified, CODEC_BOOL, 1),
    RECORD_OPTIONAL(20, sbrs, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    RECORD_OPTIONAL(21, sender_group, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(22, sender_action, CODEC_TEXT, RECORD_WORD_SIZE_MAX),
    RECORD_OPTIONAL(23, policy, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(24, tls, CODEC_TEXT, MESSAGE_TEXT_SIZE_MAX),
    RECORD_OPTIONAL(25, verdicts, CODEC_TEXTS, MESSAGE_VERDICTS_MAX),
    RECORD_LIST(26, attachments, MESSAGE_ATTACHMENTS_MAX, &message_attachment_codec),
    RECORD_LIST(27, deliveries, MESSAGE_DELIVERIES_MAX, &message_delivery_codec),
    RECORD_LIST(28, relations, MESSAGE_RELATIONS_MAX, &message_relation_codec),
    RECORD_LIST(29, observables, RECORD_OBSERVABLES_MAX, &record_observable_codec),
    RECORD_OPTIONAL(30, cut, CODEC_BOOL, 1),
};
const struct codec message_record_codec =
    CODEC(struct message_record, "message_record", message_fields);

const char *message_disposition_name(enum message_disposition disposition)
{
    switch (disposition) {
    case MESSAGE_PENDING: return "pending";
    case MESSAGE_DELIVERED: return "delivered";
    case MESSAGE_PARTIAL: return "partial";
    case MESSAGE_DROPPED: return "dropped";
    case MESSAGE_QUARANTINED: return "quarantined";
    case MESSAGE_BOUNCED: return "bounced";
    case MESSAGE_REJECTED: return "rejected";
    case MESSAGE_ABORTED: return "aborted";
    case MESSAGE_SPLIT: return "split";
    case MESSAGE_FINISHED: return "finished";
    case MESSAGE_DISPOSITION_COUNT: break;
    }
    return "unknown";
}

static bool is_disposition(struct slice text)
{
    for (unsigned i = 0; i < MESSAGE_DISPOSITION_COUNT; i++) {
        if (slice_equal(text, slice_of(message_disposition_name((enum message_disposition)i)))) {
            return true;
        }
    }
    return false;
}

static bool is_normalised(enum record_key_kind kind, struct slice text)
{
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice normal;
    return record_key_normalise(kind, text, room, &normal) && slice_equal(normal, text);
}

static bool observable_kind(const struct record_observable *observable, enum record_key_kind *out)
{
    return record_key_kind_parse(observable->type, out) && *out <= RECORD_KEY_SHA256;
}

static struct status check_observable(const struct record_observable *observable)
{
    enum record_key_kind kind;
    if (!observable_kind(observable, &kind)) {
        return fail(STATUS_INVALID,
                    "observable type must be ip, ipv6, domain, url or sha256, not %.*s",
                    SLICE_ARG(observable->type));
    }
    if (!is_normalised(kind, observable->value)) {
        return fail(STATUS_INVALID, "observable of type %.*s is not in its normal form",
                    SLICE_ARG(observable->type));
    }
    bool has_colon = memchr(observable->value.data, ':', observable->value.size) != NULL;
    bool is_v6 = slice_equal(observable->type, slice_of("ipv6"));
    if (kind == RECORD_KEY_IP && has_colon != is_v6) {
        return fail(STATUS_INVALID, "observable type must say ip for version 4 and ipv6 for 6");
    }
    if (observable->internal && kind != RECORD_KEY_IP) {
        return fail(STATUS_INVALID, "only an address can be an internal observable");
    }
    return OK;
}

static struct status check_lists(const struct message_record *record)
{
    const struct slice *recipients = record->recipients.items;
    for (size_t i = 0; i < record->recipients.count; i++) {
        if (recipients[i].size > MESSAGE_ADDRESS_SIZE_MAX) {
            return fail(STATUS_INVALID, "recipients: longer than %d bytes",
                        MESSAGE_ADDRESS_SIZE_MAX);
        }
    }
    const struct slice *verdicts = record->verdicts.items;
    for (size_t i = 0; i < record->verdicts.count; i++) {
        if (verdicts[i].size > MESSAGE_TEXT_SIZE_MAX) {
            return fail(STATUS_INVALID, "verdicts: longer than %d bytes", MESSAGE_TEXT_SIZE_MAX);
        }
    }
    const struct message_attachment *attachments = record->attachments.items;
    for (size_t i = 0; i < record->attachments.count; i++) {
        if (attachments[i].sha256.size > 0 &&
            !is_normalised(RECORD_KEY_SHA256, attachments[i].sha256)) {
            return fail(STATUS_INVALID, "attachments: sha256 is not 64 lower-case hex digits");
        }
    }
    const struct record_observable *observables = record->observables.items;
    for (size_t i = 0; i < record->observables.count; i++) {
        struct status status = check_observable(&observables[i]);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

struct status message_record_check(const struct message_record *record)
{
    if (record->serial.size == 0) {
        return fail(STATUS_INVALID, "serial is empty: a MID means nothing without its appliance");
    }
    if (record->last_ms < record->start_ms) {
        return fail(STATUS_INVALID, "last_ms is before start_ms");
    }
    if (!is_disposition(record->disposition)) {
        return fail(STATUS_INVALID, "disposition %.*s is not known",
                    SLICE_ARG(record->disposition));
    }
    if (record->recipient_count < record->recipients.count) {
        return fail(STATUS_INVALID, "recipient_count is less than the recipients listed");
    }
    if (record->sender_ip.size > 0 && !is_normalised(RECORD_KEY_IP, record->sender_ip)) {
        return fail(STATUS_INVALID, "sender_ip is not a canonical address");
    }
    return check_lists(record);
}

/* --------------------------------------------------------------------------------------- keys */

static bool has_key(const struct record_key_list *list, enum record_key_kind kind,
                    struct slice value)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].kind == kind && slice_equal(list->items[i].value, value)) {
            return true;
        }
    }
    return false;
}

/* A text that is not of its kind, such as an address without a domain, is no key. */
static struct status add_key(struct record_key_list *list, struct arena *arena,
                             enum record_key_kind kind, struct slice text)
{
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice normal;
    if (!record_key_normalise(kind, text, room, &normal) || has_key(list, kind, normal)) {
        return OK;
    }
    struct slice kept = arena_copy(arena, normal);
    if (kept.data == NULL) {
        return fail(STATUS_NO_MEMORY, "list the keys of a record");
    }
    list->items[list->count] = (struct record_key){.kind = kind, .value = kept};
    list->count++;
    return OK;
}

static struct status add_observables(const struct message_record *record, struct arena *arena,
                                     struct record_key_list *list)
{
    const struct record_observable *observables = record->observables.items;
    for (size_t i = 0; i < record->observables.count; i++) {
        enum record_key_kind kind;
        if (!observable_kind(&observables[i], &kind)) {
            continue;
        }
        struct status status = add_key(list, arena, kind, observables[i].value);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

struct status record_keys(const struct message_record *record, struct arena *arena,
                          struct record_key_list *out)
{
    *out = (struct record_key_list){0};
    out->items = arena_alloc(arena, RECORD_KEYS_MAX, sizeof(*out->items));
    if (out->items == NULL) {
        return fail(STATUS_NO_MEMORY, "list the keys of a record");
    }
    char mid[24];
    snprintf(mid, sizeof(mid), "%llu", (unsigned long long)record->mid);
    struct status status = add_observables(record, arena, out);
    if (!failed(status)) {
        status = add_key(out, arena, RECORD_KEY_SENDER, record->sender);
    }
    const struct slice *recipients = record->recipients.items;
    for (size_t i = 0; !failed(status) && i < record->recipients.count; i++) {
        status = add_key(out, arena, RECORD_KEY_RECIPIENT, recipients[i]);
    }
    if (!failed(status)) {
        status = add_key(out, arena, RECORD_KEY_MID, slice_of(mid));
    }
    if (!failed(status)) {
        status = add_key(out, arena, RECORD_KEY_MESSAGE_ID, record->message_id);
    }
    return status;
}
