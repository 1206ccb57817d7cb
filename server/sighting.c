/*
 * Records as CTIM sightings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sighting.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "json_write.h"

/* Bytes; the cloud counts UTF-16 units and allows 5000, so bytes are on the safe side. */
#define DESCRIPTION_SIZE_MAX 4000

#define SENSOR "process.email-service" /* The vocabulary has no word for a mail gateway. */
#define SOURCE "Email Security Appliance"
#define ORIGIN "ESA"

/* Room for the parts of a key with their sizes: serial, id, cluster id, two numbers. */
#define KEY_SIZE_MAX 512

/* ---- The key ---- */

void sighting_external_id(const struct sighting_key *key, char out[SIGHTING_ID_SIZE])
{
    char text[KEY_SIZE_MAX];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char digits[SIGHTING_DIGEST_DIGITS + 1];

    /* Each part with its size before it, so that no two keys give one text. */
    int size =
        snprintf(text, sizeof text, "%zu:%.*s,%" PRIu64 ",%zu:%.*s,%zu:%.*s,%" PRIu64,
                 key->cluster_id.size, SLICE_ARG(key->cluster_id), key->kind, key->serial.size,
                 SLICE_ARG(key->serial), key->id.size, SLICE_ARG(key->id), key->revision);
    assert(size > 0 && (size_t)size < sizeof text); /* The store's limits are below it. */
    (void)SHA256((const uint8_t *)text, (size_t)size, digest);
    hex_encode((struct slice){digest, sizeof digest}, digits);

    int shown = key->cluster_id.size < SIGHTING_CLUSTER_DIGITS ? (int)key->cluster_id.size
                                                               : SIGHTING_CLUSTER_DIGITS;
    (void)snprintf(out, SIGHTING_ID_SIZE, SIGHTING_PREFIX "%.*s-sighting-%s", shown,
                   (const char *)key->cluster_id.data, digits);
}

/* ---- Pieces ---- */

struct observable {
    const char *type;
    struct slice value;
};

static void put_observable(struct json_writer *json, struct observable observable)
{
    json_open(json, '{');
    json_member(json, "type", slice_of(observable.type));
    json_member(json, "value", observable.value);
    json_close(json, '}');
}

/* Read it as "source <relation> related". Nothing if one side was not seen. */
static void put_relation(struct json_writer *json, struct observable source, const char *relation,
                         struct observable related)
{
    if (source.value.size == 0 || related.value.size == 0) {
        return;
    }
    json_open(json, '{');
    json_member(json, "origin", slice_of(ORIGIN));
    json_member(json, "relation", slice_of(relation));
    json_key(json, "source");
    put_observable(json, source);
    json_key(json, "related");
    put_observable(json, related);
    json_close(json, '}');
}

static void put_times(struct json_writer *json, uint64_t start_ms, uint64_t end_ms)
{
    char text[CLOCK_TEXT_SIZE];

    json_key(json, "observed_time");
    json_open(json, '{');
    json_member(json, "start_time", slice_of(clock_format(start_ms, text)));
    json_member(json, "end_time", slice_of(clock_format(end_ms, text)));
    json_close(json, '}');
}

static struct slice text_item(const struct codec_list *list, size_t i)
{
    return ((const struct slice *)list->items)[i];
}

/* ---- Messages ---- */

/* A message as it is written: with its MID as text, the centre of all relations. */
struct mail {
    const struct message_record *record;
    struct observable mid;
};

static void put_message_observables(struct json_writer *json, const struct mail *mail)
{
    const struct record_observable *items = mail->record->observables.items;
    char type[16];

    json_key(json, "observables");
    json_open(json, '[');
    put_observable(json, mail->mid);
    if (mail->record->sender.size > 0) {
        put_observable(json, (struct observable){"email", mail->record->sender});
    }
    if (mail->record->message_id.size > 0) {
        put_observable(json, (struct observable){"email_messageid", mail->record->message_id});
    }
    for (size_t i = 0; i < mail->record->observables.count; i++) {
        /* An address of no meaning outside would match other organisations' machines. */
        if (!items[i].internal && slice_to_text(items[i].type, type, sizeof type)) {
            put_observable(json, (struct observable){type, items[i].value});
        }
    }
    json_close(json, ']');
}

static void put_attachment_relations(struct json_writer *json, const struct mail *mail)
{
    const struct message_attachment *items = mail->record->attachments.items;

    for (size_t i = 0; i < mail->record->attachments.count; i++) {
        struct observable name = {"file_name", items[i].name};
        struct observable digest = {"sha256", items[i].sha256};
        put_relation(json, name, "Attached_To", mail->mid);
        put_relation(json, digest, "Attached_To", mail->mid); /* INFERRED */
        put_relation(json, name, "File_Name_Of", digest);
    }
}

static void put_content_relations(struct json_writer *json, const struct mail *mail)
{
    const struct record_observable *items = mail->record->observables.items;

    for (size_t i = 0; i < mail->record->observables.count; i++) {
        if (slice_equal(items[i].type, slice_of("url"))) {
            put_relation(json, (struct observable){"url", items[i].value}, "Contained_Within",
                         mail->mid); /* INFERRED */
        }
    }
}

static bool is_version_6(struct slice ip)
{
    return ip.size > 0 && memchr(ip.data, ':', ip.size) != NULL;
}

static void put_relations(struct json_writer *json, const struct mail *mail)
{
    const struct message_record *record = mail->record;
    struct observable ip = {is_version_6(record->sender_ip) ? "ipv6" : "ip", record->sender_ip};
    struct observable host = {"domain", record->sender_host};

    json_key(json, "relations");
    json_open(json, '[');
    put_relation(json, (struct observable){"email_messageid", record->message_id}, "Related_To",
                 mail->mid);
    put_relation(json, (struct observable){"email_subject", record->subject}, "Related_To",
                 mail->mid); /* INFERRED */
    put_relation(json, (struct observable){"email", record->sender}, "Sent", mail->mid);
    if (record->sender_ip.size > 0 && !record_ip_is_internal(record->sender_ip)) {
        put_relation(json, mail->mid, "Received_From", ip); /* INFERRED */
        if (record->sender_host_verified) {
            put_relation(json, host, "FQDN_Of", ip); /* INFERRED */
        }
    }
    for (size_t i = 0; i < record->recipients.count; i++) {
        put_relation(json, mail->mid, "Sent_To",
                     (struct observable){"email", text_item(&record->recipients, i)});
    }
    put_attachment_relations(json, mail);
    put_content_relations(json, mail);
    json_close(json, ']');
}

static void put_targets(struct json_writer *json, const struct mail *mail)
{
    const struct message_record *record = mail->record;

    if (record->recipients.count == 0) {
        return;
    }
    json_key(json, "targets");
    json_open(json, '[');
    for (size_t i = 0; i < record->recipients.count; i++) {
        json_open(json, '{');
        json_member(json, "type", slice_of("email"));
        json_key(json, "observables");
        json_open(json, '[');
        put_observable(json, (struct observable){"email", text_item(&record->recipients, i)});
        json_close(json, ']');
        put_times(json, record->start_ms, record->last_ms);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* INFERRED: the vocabulary's words for what an appliance did. NULL where none fits. */
static const char *resolution_of(struct slice disposition)
{
    static const struct {
        enum message_disposition disposition;
        const char *resolution;
    } rows[] = {
        {MESSAGE_DELIVERED, "allowed"},     {MESSAGE_PARTIAL, "allowed"},
        {MESSAGE_DROPPED, "blocked"},       {MESSAGE_REJECTED, "blocked"},
        {MESSAGE_QUARANTINED, "contained"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (slice_equal(disposition, slice_of(message_disposition_name(rows[i].disposition)))) {
            return rows[i].resolution;
        }
    }
    return NULL;
}

/* Appends "; label: text" as long as there is room for all of it. */
static void describe(struct buffer *out, const char *label, struct slice text)
{
    if (text.size > 0 && out->size + text.size + 64 < DESCRIPTION_SIZE_MAX) {
        (void)buffer_print(out, "%s%s: %.*s", out->size > 0 ? "; " : "", label, SLICE_ARG(text));
    }
}

static bool put_description(struct json_writer *json, const struct message_record *record)
{
    struct buffer text = {0};

    if (!buffer_reserve(&text, DESCRIPTION_SIZE_MAX)) { /* So that nothing below can fail. */
        return false;
    }
    describe(&text, "appliance", record->serial);
    describe(&text, "disposition", record->disposition);
    describe(&text, "direction", record->direction);
    describe(&text, "policy", record->policy);
    describe(&text, "sender group", record->sender_group);
    describe(&text, "reputation", record->sbrs);
    for (size_t i = 0; i < record->verdicts.count; i++) {
        describe(&text, "verdict", text_item(&record->verdicts, i));
    }
    describe(&text, "response", record->response);
    json_member(json, "description", buffer_slice(&text));
    buffer_release(&text);
    return true;
}

static bool put_message(struct json_writer *json, const char *external_id,
                        const struct message_record *record)
{
    char number[24];
    char title[192];
    (void)snprintf(number, sizeof number, "%" PRIu64, record->mid);
    (void)snprintf(title, sizeof title, "Message %s of %.*s: %.*s", number,
                   SLICE_ARG(record->serial), SLICE_ARG(record->disposition));
    struct mail mail = {record, {"cisco_mid", slice_of(number)}};
    const char *resolution = resolution_of(record->disposition);

    json_open(json, '{');
    json_member(json, "type", slice_of("sighting"));
    json_key(json, "external_ids");
    json_open(json, '[');
    json_put(json, slice_of(external_id));
    json_close(json, ']');
    json_member(json, "source", slice_of(SOURCE));
    json_member(json, "title", slice_of(title));
    bool described = put_description(json, record);
    json_member(json, "sensor", slice_of(SENSOR));
    json_member(json, "confidence", slice_of("High")); /* INFERRED: the appliance's own log. */
    json_key(json, "count");
    json_put_u64(json, 1);
    json_key(json, "internal");
    json_put_bool(json, true);
    if (resolution != NULL) {
        json_member(json, "resolution", slice_of(resolution));
    }
    put_times(json, record->start_ms, record->last_ms);
    put_message_observables(json, &mail);
    put_relations(json, &mail);
    put_targets(json, &mail);
    json_close(json, '}');
    return described && !json->failed;
}

struct status sighting_write(const struct sighting_key *key, struct slice body, struct buffer *out)
{
    char external_id[SIGHTING_ID_SIZE];
    struct arena arena = {0};
    struct message_record record;
    struct json_writer json = {.out = out};
    size_t size_before = out->size;

    if (key->kind != RECORD_MESSAGE) {
        return fail(STATUS_INVALID, "records of kind %" PRIu64 " have no form in the cloud",
                    key->kind);
    }
    struct status status = codec_decode(&message_record_codec, CODEC_TAGS, body, &arena, &record);
    if (failed(status)) {
        arena_release(&arena);
        return wrap(status, "stored record not readable");
    }
    sighting_external_id(key, external_id);
    if (!put_message(&json, external_id, &record)) {
        out->size = size_before;
        status = fail(STATUS_NO_MEMORY, "write a sighting");
    }
    arena_release(&arena);
    return status;
}
