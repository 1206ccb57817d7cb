/*
 * Packing facts, and taking them out again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_facts.h"

#include <string.h>

#include "line_reader.h"

struct fact_header {
    uint64_t mid_or_id; /* Other MID, ICID or DCID, whichever the kind has. */
    uint64_t number;
    uint32_t sizes[3];
    uint8_t kind;
    bool flag;
};

static bool ends_a_message(enum mail_event_kind kind)
{
    return kind == MAIL_FINISHED || kind == MAIL_DROPPED || kind == MAIL_ABORTED ||
           kind == MAIL_QUARANTINED || kind == MAIL_DELIVERED || kind == MAIL_BOUNCED;
}

/* The longest text of an event that a record can hold. */
static size_t text_size_max(enum mail_event_kind kind)
{
    if (kind == MAIL_SUBJECT) {
        return MESSAGE_SUBJECT_SIZE_MAX;
    }
    if (kind == MAIL_MESSAGE_ID) {
        return MESSAGE_ID_SIZE_MAX;
    }
    if (kind == MAIL_FROM || kind == MAIL_TO || kind == MAIL_READY) {
        return MESSAGE_ADDRESS_SIZE_MAX;
    }
    return kind == MAIL_URL ? RECORD_KEY_SIZE_MAX : MESSAGE_TEXT_SIZE_MAX;
}

static bool has_escapes(enum mail_event_kind kind)
{
    return kind == MAIL_SUBJECT || kind == MAIL_MESSAGE_ID || kind == MAIL_ATTACHMENT ||
           kind == MAIL_RESPONSE;
}

static bool pack(struct buffer *facts, struct fact_header *header, const struct slice texts[3])
{
    size_t total = sizeof(*header);
    for (size_t i = 0; i < 3; i++) {
        header->sizes[i] = (uint32_t)texts[i].size;
        total += texts[i].size;
    }
    if (!buffer_reserve(facts, total)) {
        return false;
    }
    bool packed = buffer_append(facts, header, sizeof(*header));
    for (size_t i = 0; packed && i < 3; i++) {
        packed = texts[i].size == 0 || buffer_append(facts, texts[i].data, texts[i].size);
    }
    return packed;
}

/* Cuts the texts to what a record holds; their sizes together. */
static size_t cut_texts(enum mail_event_kind kind, struct slice texts[3], bool *cut)
{
    size_t total = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t size_max = i == 0 ? text_size_max(kind) : MESSAGE_TEXT_SIZE_MAX;
        *cut = *cut || texts[i].size > size_max;
        texts[i] = text_cut(texts[i], size_max);
        total += texts[i].size;
    }
    return total;
}

bool mail_facts_add(struct mail_facts *facts, const struct mail_event *event)
{
    if (event->kind == MAIL_NOTE || event->kind == MAIL_UNKNOWN) {
        return true; /* That it was alive then is all there is to it. */
    }
    if (event->kind == MAIL_TO && ++facts->recipient_count > MESSAGE_RECIPIENTS_MAX) {
        facts->cut = true;
        return true;
    }
    struct buffer plain = {0};
    struct slice texts[3] = {event->text, event->more, event->third};
    if (has_escapes(event->kind)) {
        if (!mail_unescape(event->text, &plain)) {
            buffer_release(&plain);
            return false;
        }
        texts[0] = buffer_slice(&plain);
    }
    size_t total = sizeof(struct fact_header) + cut_texts(event->kind, texts, &facts->cut);
    bool added = true;
    size_t size_max = MAIL_FACTS_SIZE_MAX;
    if (ends_a_message(event->kind)) {
        size_max += MAIL_FACTS_END_SIZE_MAX;
    }
    if (facts->bytes.size + total > size_max) {
        facts->cut = true;
    } else {
        struct fact_header header = {
            .mid_or_id = event->other_mid | event->icid | event->dcid, /* At most one is set. */
            .number = event->number,
            .kind = (uint8_t)event->kind,
            .flag = event->flag,
        };
        added = pack(&facts->bytes, &header, texts);
    }
    buffer_release(&plain);
    return added;
}

static struct slice take(struct slice *rest, size_t size)
{
    struct slice taken = {.data = rest->data, .size = size};
    rest->data = (const char *)rest->data + size;
    rest->size -= size;
    return taken;
}

bool mail_facts_next(struct slice *rest, struct mail_fact *out)
{
    struct fact_header header;
    if (rest->size == 0) {
        return false;
    }
    memcpy(&header, take(rest, sizeof(header)).data, sizeof(header));
    *out = (struct mail_fact){
        .kind = (enum mail_event_kind)header.kind,
        .id = header.mid_or_id,
        .number = header.number,
        .flag = header.flag,
    };
    out->text = take(rest, header.sizes[0]);
    out->more = take(rest, header.sizes[1]);
    out->third = take(rest, header.sizes[2]);
    return true;
}
