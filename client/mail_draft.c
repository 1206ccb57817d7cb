/*
 * Working facts out into a record.
 *
 * What became of a message is decided by the strongest thing seen, in this order: dropped,
 * quarantined, delivered or bounced, rejected, went on as other messages, aborted. A message that
 * was released from a quarantine is judged by what followed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "line_reader.h"
#include "mail_facts.h"
#include "observables.h"

enum mail_seen {
    SEEN_START,
    SEEN_FINISH,
    SEEN_DROP,
    SEEN_QUARANTINE,
    SEEN_REJECT,
    SEEN_ABORT,
    SEEN_SUCCESSOR,
};

static void saw(struct mail_draft *draft, enum mail_seen what)
{
    draft->seen |= 1U << what;
}

static bool has_seen(const struct mail_draft *draft, enum mail_seen what)
{
    return (draft->seen & 1U << what) != 0;
}

static void add_recipient(struct mail_draft *draft, struct slice address)
{
    struct codec_list *list = &draft->record.recipients;
    assert(list->count < MESSAGE_RECIPIENTS_MAX); /* mail_facts_add() keeps no more. */
    draft->recipients[list->count++] = address;
}

static void add_verdict(struct mail_draft *draft, struct slice text)
{
    struct codec_list *list = &draft->record.verdicts;
    for (size_t i = 0; i < list->count; i++) {
        if (slice_equal(draft->verdicts[i], text)) {
            return; /* The final verdict repeats the interim one. */
        }
    }
    if (list->count == MESSAGE_VERDICTS_MAX) {
        draft->record.cut = true;
        return;
    }
    draft->verdicts[list->count++] = text;
}

static void add_attachment(struct mail_draft *draft, struct slice name, struct slice sha256)
{
    struct codec_list *list = &draft->record.attachments;
    for (size_t i = 0; i < list->count; i++) {
        struct message_attachment *known = &draft->attachments[i];
        if (slice_equal(known->name, name) &&
            (known->sha256.size == 0 || sha256.size == 0 || slice_equal(known->sha256, sha256))) {
            known->sha256 = sha256.size > 0 ? sha256 : known->sha256;
            return;
        }
    }
    if (list->count == MESSAGE_ATTACHMENTS_MAX) {
        draft->record.cut = true;
        return;
    }
    draft->attachments[list->count++] = (struct message_attachment){name, sha256};
}

static void add_delivery(struct mail_draft *draft, const struct mail_fact *fact,
                         struct slice response)
{
    struct codec_list *list = &draft->record.deliveries;
    if (list->count == MESSAGE_DELIVERIES_MAX) {
        draft->record.cut = true;
        return;
    }
    draft->deliveries[list->count++] =
        (struct message_delivery){.dcid = fact->id, .address = fact->third, .response = response};
}

/* The line after "Message done" belongs to it. */
static void add_response(struct mail_draft *draft, struct slice text)
{
    size_t count = draft->record.deliveries.count;
    draft->record.response = text;
    if (count > 0 && draft->deliveries[count - 1].response.size == 0) {
        draft->deliveries[count - 1].response = text;
    }
}

/* What a relation is called, and what it says about the message itself. */
static const struct {
    enum mail_event_kind kind;
    const char *relation;
    enum mail_seen seen;
} relation_rows[] = {
    {MAIL_SPLIT, "split_into", SEEN_SUCCESSOR},
    {MAIL_SPLIT_FROM, "split_from", SEEN_START},
    {MAIL_GENERATED, "generated_from", SEEN_START},
    {MAIL_REWRITTEN, "rewritten_as", SEEN_SUCCESSOR},
    {MAIL_REWRITTEN_FROM, "rewritten_from", SEEN_START},
};

static void add_relation(struct mail_draft *draft, const struct mail_fact *fact)
{
    struct codec_list *list = &draft->record.relations;
    size_t row = 0;
    while (relation_rows[row].kind != fact->kind) {
        row++;
        assert(row < sizeof(relation_rows) / sizeof(relation_rows[0]));
    }
    saw(draft, relation_rows[row].seen);
    if (list->count == MESSAGE_RELATIONS_MAX) {
        draft->record.cut = true;
        return;
    }
    draft->relations[list->count++] = (struct message_relation){
        .relation = slice_of(relation_rows[row].relation), .mid = fact->id, .reason = fact->text};
}

static void take_connection(struct mail_draft *draft, const struct mail_fact *fact)
{
    struct message_record *record = &draft->record;
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice value;
    if (record_key_normalise(RECORD_KEY_IP, fact->text, room, &value)) {
        memcpy(draft->sender_ip, value.data, value.size);
        record->sender_ip = (struct slice){.data = draft->sender_ip, .size = value.size};
    }
    if (record_key_normalise(RECORD_KEY_DOMAIN, fact->more, room, &value)) {
        memcpy(draft->sender_host, value.data, value.size);
        record->sender_host = (struct slice){.data = draft->sender_host, .size = value.size};
        record->sender_host_verified = fact->flag;
    }
}

static void take_envelope(struct mail_draft *draft, const struct mail_fact *fact)
{
    struct message_record *record = &draft->record;
    record->icid = fact->id != 0 ? fact->id : record->icid;
    if (fact->kind == MAIL_FROM) {
        record->sender = fact->text;
    } else if (fact->kind == MAIL_TO) {
        add_recipient(draft, fact->text);
    }
}

static void take_policy(struct mail_draft *draft, const struct mail_fact *fact)
{
    draft->record.policy = fact->text;
    if (slice_equal(fact->more, slice_of("inbound"))) {
        draft->record.direction = slice_of("incoming");
    } else if (slice_equal(fact->more, slice_of("outbound"))) {
        draft->record.direction = slice_of("outgoing");
    }
}

/* "TLSv1.2 AES128-SHA": two texts of the facts, put together. False when memory runs out. */
static bool take_tls(struct mail_draft *draft, const struct mail_fact *fact)
{
    char text[2 * MESSAGE_TEXT_SIZE_MAX + 2];
    size_t size = 0;
    memcpy(text, fact->text.data, fact->text.size);
    size += fact->text.size;
    text[size] = ' ';
    size++;
    memcpy(text + size, fact->more.data, fact->more.size);
    size += fact->more.size;
    draft->record.tls =
        text_cut(arena_copy(&draft->arena, (struct slice){.data = text, .size = size}),
                 MESSAGE_TEXT_SIZE_MAX);
    return draft->record.tls.data != NULL;
}

static void take_delivery(struct mail_draft *draft, const struct mail_fact *fact)
{
    if (fact->kind == MAIL_BOUNCED) {
        draft->bounced_count += fact->number;
        draft->record.response = fact->text;
        add_delivery(draft, fact, fact->text);
        return;
    }
    add_delivery(draft, fact, (struct slice){0});
    if (fact->flag) {
        saw(draft, SEEN_QUARANTINE);
    } else {
        draft->delivered_count += fact->number;
    }
}

/* False when memory runs out. */
static bool take_file(struct mail_draft *draft, const struct mail_fact *fact)
{
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice normal;
    bool sound = record_key_normalise(RECORD_KEY_SHA256, fact->more, room, &normal);
    struct slice digest = sound ? arena_copy(&draft->arena, normal) : (struct slice){0};
    if (fact->text.size > 0 || digest.size > 0) {
        add_attachment(draft, fact->text, digest);
    }
    if (fact->third.size > 0) {
        add_verdict(draft, fact->third);
    }
    return !sound || digest.data != NULL;
}

static void take_outcome(struct mail_draft *draft, const struct mail_fact *fact,
                         enum mail_seen what)
{
    saw(draft, what);
    if (fact->text.size > 0) {
        draft->record.response = fact->text;
    }
}

/* False when memory runs out. */
static bool take_fact(struct mail_draft *draft, const struct mail_fact *fact)
{
    struct message_record *record = &draft->record;
    switch (fact->kind) {
    case MAIL_ICID_NEW: take_connection(draft, fact); break;
    case MAIL_ICID_GROUP:
        record->sender_action = fact->text;
        record->sender_group = fact->more;
        record->sbrs = text_cut(fact->third, RECORD_WORD_SIZE_MAX);
        break;
    case MAIL_ICID_TLS: return take_tls(draft, fact);
    case MAIL_START:
        saw(draft, SEEN_START);
        take_envelope(draft, fact);
        break;
    case MAIL_FROM:
    case MAIL_TO: take_envelope(draft, fact); break;
    case MAIL_TO_REJECTED:
        saw(draft, SEEN_REJECT);
        record->response = fact->more;
        break;
    case MAIL_MESSAGE_ID: record->message_id = fact->text; break;
    case MAIL_SUBJECT: record->subject = fact->text; break;
    case MAIL_READY:
        record->size = fact->number;
        record->sender = record->sender.size > 0 ? record->sender : fact->text;
        break;
    case MAIL_POLICY: take_policy(draft, fact); break;
    case MAIL_VERDICT: add_verdict(draft, fact->text); break;
    case MAIL_ATTACHMENT: add_attachment(draft, fact->text, (struct slice){0}); break;
    case MAIL_FILE: return take_file(draft, fact);
    case MAIL_URL: add_verdict(draft, fact->more); break;
    case MAIL_SPLIT:
    case MAIL_SPLIT_FROM:
    case MAIL_GENERATED:
    case MAIL_REWRITTEN:
    case MAIL_REWRITTEN_FROM: add_relation(draft, fact); break;
    case MAIL_DELIVERED:
    case MAIL_BOUNCED: take_delivery(draft, fact); break;
    case MAIL_RESPONSE: add_response(draft, fact->text); break;
    case MAIL_DELAYED: record->response = fact->text; break;
    case MAIL_QUARANTINED: take_outcome(draft, fact, SEEN_QUARANTINE); break;
    case MAIL_RELEASED: draft->seen &= ~(1U << SEEN_QUARANTINE); break;
    case MAIL_DROPPED: take_outcome(draft, fact, SEEN_DROP); break;
    case MAIL_ABORTED: take_outcome(draft, fact, SEEN_ABORT); break;
    case MAIL_FINISHED: saw(draft, SEEN_FINISH); break;
    case MAIL_UNKNOWN:
    case MAIL_LOG_BEGIN:
    case MAIL_VERSION:
    case MAIL_OFFSET:
    case MAIL_ASIDE:
    case MAIL_ICID_CLOSE:
    case MAIL_DCID_NEW:
    case MAIL_DCID_CLOSE:
    case MAIL_CONNECTION_NOTE:
    case MAIL_DELIVERY_START:
    case MAIL_NOTE:
    case MAIL_EVENT_KIND_COUNT: break;
    }
    return true;
}

static enum message_disposition disposition_of(const struct mail_draft *draft)
{
    if (has_seen(draft, SEEN_DROP)) {
        return MESSAGE_DROPPED;
    }
    if (has_seen(draft, SEEN_QUARANTINE)) {
        return MESSAGE_QUARANTINED;
    }
    if (draft->bounced_count > 0) {
        return draft->delivered_count > 0 ? MESSAGE_PARTIAL : MESSAGE_BOUNCED;
    }
    if (draft->delivered_count > 0) {
        return MESSAGE_DELIVERED;
    }
    if (!has_seen(draft, SEEN_FINISH) && !has_seen(draft, SEEN_ABORT)) {
        return MESSAGE_PENDING;
    }
    if (has_seen(draft, SEEN_REJECT)) {
        return MESSAGE_REJECTED;
    }
    if (has_seen(draft, SEEN_SUCCESSOR)) {
        return MESSAGE_SPLIT;
    }
    return has_seen(draft, SEEN_ABORT) ? MESSAGE_ABORTED : MESSAGE_FINISHED;
}

/* Whoever sent it first: if there is not room for all, these must not be what is missing. */
static bool collect_observables(struct mail_draft *draft, struct slice facts)
{
    struct message_record *record = &draft->record;
    struct observables list = {.items = draft->observables, .arena = &draft->arena};
    observables_add(&list, RECORD_KEY_IP, record->sender_ip);
    observables_add_sender(&list, record->sender);
    if (record->sender_host_verified) {
        observables_add(&list, RECORD_KEY_DOMAIN, record->sender_host);
    }
    for (size_t i = 0; i < record->attachments.count; i++) {
        observables_add(&list, RECORD_KEY_SHA256, draft->attachments[i].sha256);
    }
    struct mail_fact fact;
    while (mail_facts_next(&facts, &fact)) {
        if (fact.kind == MAIL_URL) {
            observables_add_url(&list, fact.text);
        }
    }
    record->observables.count = list.count;
    record->cut = record->cut || list.cut;
    return !list.no_memory;
}

void mail_draft_release(struct mail_draft *draft)
{
    arena_release(&draft->arena);
}

bool mail_draft_build(struct mail_draft *draft, const struct mail_facts *facts)
{
    arena_release(&draft->arena);
    draft->seen = 0;
    draft->delivered_count = 0;
    draft->bounced_count = 0;
    draft->record = (struct message_record){
        .recipients = {.items = draft->recipients},
        .recipient_count = facts->recipient_count,
        .verdicts = {.items = draft->verdicts},
        .attachments = {.items = draft->attachments},
        .deliveries = {.items = draft->deliveries},
        .relations = {.items = draft->relations},
        .observables = {.items = draft->observables},
        .cut = facts->cut,
    };
    struct slice rest = buffer_slice(&facts->bytes);
    struct mail_fact fact;
    while (mail_facts_next(&rest, &fact)) {
        if (!take_fact(draft, &fact)) {
            return false;
        }
    }
    draft->record.complete = has_seen(draft, SEEN_START) && has_seen(draft, SEEN_FINISH);
    draft->record.disposition = slice_of(message_disposition_name(disposition_of(draft)));
    return collect_observables(draft, buffer_slice(&facts->bytes));
}
