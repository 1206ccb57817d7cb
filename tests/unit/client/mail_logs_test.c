/*
 * The correlator: whole conversations in, records out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_logs.h"

#include <stdio.h>
#include <string.h>

#include "mail_logs_harness.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define HEADER                                                                                     \
    "Mon Mar  2 10:00:00 2020 Info: Begin Logfile\n"                                               \
    "Mon Mar  2 10:00:00 2020 Info: Version: 12.5.0-633 SN: 0A1B2C3D4E5F-60718293A4B5\n"           \
    "Mon Mar  2 10:00:00 2020 Info: Time offset from UTC: -21600 seconds\n"

#define AT "Mon Mar  2 10:00:01 2020 Info: "
#define AT_MS UINT64_C(1583164801000) /* 16:00:01 UTC. */

static const struct mail_logs_options defaults = {.serial = NULL};

static void read_text(struct harness *harness, const char *text)
{
    harness_read(harness, &defaults, slice_of(text), strlen(text));
}

static const char delivered_log[] = HEADER AT
    "New SMTP ICID 70 interface Data 1 (192.0.2.1) address 198.51.100.7 reverse dns host "
    "MX.Sender.Example.COM verified yes\n" AT
    "ICID 70 ACCEPT SG UNKNOWNLIST match sbrs[-2.0:10.0] SBRS -0.9\n" AT
    "ICID 70 TLS success protocol TLSv1.2 cipher AES128-SHA\n" AT "Start MID 900 ICID 70\n" AT
    "MID 900 ICID 70 From: <Ann@Sender.Example.com>\n" AT
    "MID 900 ICID 70 RID 0 To: <bob@corp.test>\n" AT
    "MID 900 ICID 70 RID 1 To: <eve@corp.test>\n" AT
    "MID 900 Message-ID \"<it's.1@sender.example.com>\"\n" AT
    "MID 900 Subject 'caf\\xc3\\xa9 isn\\'t'\n" AT
    "MID 900 ready 2069 bytes from <Ann@Sender.Example.com>\n" AT
    "MID 900 matched all recipients for per-recipient policy DEFAULT in the inbound table\n" AT
    "ICID 70 close\n" AT "MID 900 interim verdict using engine: CASE spam negative\n" AT
    "MID 900 using engine: CASE spam negative\n" AT
    "MID 900 interim AV verdict using Sophos CLEAN\n" AT "MID 900 antivirus negative \n" AT
    "MID 900 attachment 'a, b.pdf'\n" AT
    "Response received for file reputation query from Cloud. File Name = 'a, b.pdf', MID = 900, "
    "Disposition = FILE UNKNOWN, Malware = None, Analysis Score = 0, sha256 =" DIGEST
    ", upload_action = 1\n" AT
    "MID 900 URL http://WWW.Shop.example/x?y has reputation 0.0 matched Condition: URL "
    "Reputation Rule\n" AT "MID 900 Outbreak Filters: verdict negative\n" AT
    "MID 900 queued for delivery\n" AT
    "New SMTP DCID 81 interface 192.0.2.1 address 203.0.113.9 port 25\n" AT
    "Delivery start DCID 81 MID 900 to RID [0, 1]\n" AT
    "Message done DCID 81 MID 900 to RID [0, 1] \n" AT
    "MID 900 RID [0, 1] Response '2.0.0 Ok: queued'\n" AT "Message finished MID 900 done\n" AT
    "DCID 81 close\n";

static void check_texts(const struct codec_list *list, const char *const *expected, size_t count)
{
    CHECK_U64(list->count, count);
    for (size_t i = 0; i < count; i++) {
        CHECK_SLICE(((struct slice *)list->items)[i], slice_of(expected[i]));
    }
}

static void check_observables(const struct message_record *record, const char *const *expected,
                              size_t count)
{
    const struct record_observable *items = record->observables.items;
    CHECK_U64(record->observables.count, count);
    for (size_t i = 0; i < count; i++) {
        CHECK_SLICE(items[i].type, slice_of(expected[2 * i]));
        CHECK_SLICE(items[i].value, slice_of(expected[2 * i + 1]));
    }
}

static void test_delivered(void **state)
{
    (void)state;
    static const char *const recipients[] = {"bob@corp.test", "eve@corp.test"};
    static const char *const verdicts[] = {
        "CASE spam negative",
        "Sophos CLEAN",
        "antivirus negative",
        "FILE UNKNOWN",
        "URL http://WWW.Shop.example/x?y has reputation 0.0 matched Condition: URL Reputation Rule",
        "Outbreak Filters: verdict negative"};
    static const char *const observables[] = {"ip",     "198.51.100.7",
                                              "domain", "sender.example.com",
                                              "domain", "mx.sender.example.com",
                                              "sha256", DIGEST,
                                              "url",    "http://www.shop.example/x?y",
                                              "domain", "www.shop.example"};
    struct harness *harness = harness_create();
    read_text(harness, delivered_log);
    const struct message_record *record = harness_get(harness, 900);
    CHECK(record->complete && !record->cut);
    CHECK_SLICE(record->serial, slice_of("0A1B2C3D4E5F-60718293A4B5"));
    CHECK_SLICE(record->disposition, slice_of("delivered"));
    CHECK_SLICE(record->response, slice_of("2.0.0 Ok: queued"));
    CHECK_SLICE(record->direction, slice_of("incoming"));
    CHECK_SLICE(record->policy, slice_of("DEFAULT"));
    CHECK_SLICE(record->subject, slice_of("caf\xc3\xa9 isn't"));
    CHECK_SLICE(record->message_id, slice_of("<it's.1@sender.example.com>"));
    CHECK_SLICE(record->sender, slice_of("Ann@Sender.Example.com"));
    CHECK_SLICE(record->sender_ip, slice_of("198.51.100.7"));
    CHECK_SLICE(record->sender_host, slice_of("mx.sender.example.com"));
    CHECK(record->sender_host_verified);
    CHECK_SLICE(record->sbrs, slice_of("-0.9"));
    CHECK_SLICE(record->sender_group, slice_of("UNKNOWNLIST"));
    CHECK_SLICE(record->sender_action, slice_of("ACCEPT"));
    CHECK_SLICE(record->tls, slice_of("TLSv1.2 AES128-SHA"));
    CHECK_U64(record->size, 2069);
    CHECK_U64(record->icid, 70);
    CHECK_U64(record->start_ms, AT_MS);
    CHECK_U64(record->last_ms, AT_MS);
    CHECK_U64(record->revision, AT_MS);
    CHECK_U64(record->recipient_count, 2);
    check_texts(&record->recipients, recipients, 2);
    check_texts(&record->verdicts, verdicts, 6);
    check_observables(record, observables, 6);
    CHECK_U64(record->attachments.count, 1);
    CHECK_SLICE(((struct message_attachment *)record->attachments.items)->name,
                slice_of("a, b.pdf"));
    CHECK_SLICE(((struct message_attachment *)record->attachments.items)->sha256, slice_of(DIGEST));
    CHECK_U64(record->deliveries.count, 1);
    CHECK_SLICE(((struct message_delivery *)record->deliveries.items)->address,
                slice_of("203.0.113.9"));
    CHECK_U64(harness->counts.lines_unknown, 0);
    CHECK_U64(harness->counts.lines_bad, 0);
    harness_destroy(harness);
}

struct outcome_row {
    const char *name;
    const char *lines; /* Between the start and the end of MID 5. */
    const char *disposition;
    const char *response;
    bool complete;
};

#define DONE AT "Message finished MID 5 done\n"

static const struct outcome_row outcome_rows[] = {
    {"dropped", AT "Message aborted MID 5 Dropped by CASE\n" DONE, "dropped", "Dropped by CASE",
     true},
    {"quarantined outside",
     AT "Message done DCID 1 MID 5 to RID [0] (external quarantine) \n" AT
        "MID 5 RID [0] Response 'ok: Message 7 accepted'\n" DONE,
     "quarantined", "ok: Message 7 accepted", true},
    {"quarantined here", AT "MID 5 quarantined to \"Policy\" (content filter:f)\n", "quarantined",
     "quarantined to \"Policy\" (content filter:f)", false},
    {"released and delivered",
     AT "MID 5 quarantined to \"Policy\" (x)\n" AT "MID 5 released from quarantine \"Policy\"\n" AT
        "Message done DCID 1 MID 5 to RID [0]\n" AT "MID 5 RID [0] Response 'ok'\n" DONE,
     "delivered", "ok", true},
    {"bounced", AT "Bounced: DCID 1 MID 5 to RID 0 - 5.1.0 - no such user\n" DONE, "bounced",
     "5.1.0 - no such user", true},
    {"in part",
     AT "Message done DCID 1 MID 5 to RID [0]\n" AT
        "Bounced: DCID 1 MID 5 to RID 1 - 5.1.0 - no such user\n" DONE,
     "partial", "5.1.0 - no such user", true},
    {"rejected", AT "MID 5 ICID 0 To: <x@corp.test> Rejected by RAT\n" DONE, "rejected",
     "Rejected by RAT", true},
    {"aborted", AT "Message aborted MID 5 Receiving aborted by sender\n" DONE, "aborted",
     "Receiving aborted by sender", true},
    {"rewritten", AT "MID 5 rewritten to MID 6 by antispam\n" DONE, "split", NULL, true},
    {"only finished", DONE, "finished", NULL, true},
    {"not finished", AT "MID 5 queued for delivery\n", "pending", NULL, false},
    {"delayed", AT "Delayed: DCID 1 MID 5 to RID 0 - 4.3.2 - later\n", "pending", "4.3.2 - later",
     false},
};

static void test_outcomes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(outcome_rows) / sizeof(outcome_rows[0]); i++) {
        const struct outcome_row *row = &outcome_rows[i];
        struct harness *harness = harness_create();
        struct buffer text = {0};
        check_row(row->name);
        CHECK(buffer_print(&text, "%s%s%s", HEADER AT "Start MID 5 ICID 0\n", row->lines,
                           AT "ICID 4 close\n"));
        harness_read(harness, &defaults, buffer_slice(&text), 7);
        const struct message_record *record = harness_get(harness, 5);
        CHECK_SLICE(record->disposition, slice_of(row->disposition));
        CHECK_SLICE(record->response, slice_of(row->response));
        CHECK(record->complete == row->complete);
        buffer_release(&text);
        harness_destroy(harness);
    }
}

static void check_relation(const struct message_record *record, const char *relation, uint64_t mid)
{
    const struct message_relation *items = record->relations.items;
    for (size_t i = 0; i < record->relations.count; i++) {
        if (slice_equal(items[i].relation, slice_of(relation)) && items[i].mid == mid) {
            return;
        }
    }
    CHECK(false && "relation found");
}

static void test_relations(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    read_text(harness, HEADER AT
              "Start MID 5 ICID 0\n" AT "MID 5 was split creating MID 6 due to a policy\n" AT
              "MID 6 ICID 0 From: <a@example.com>\n" AT "Start MID 7 ICID 0\n" AT
              "MID 7 was generated based on MID 5 by bcc filter 'f'\n" AT
              "MID 6 rewritten to MID 8 by antispam\n" AT "Message finished MID 6 done\n" AT
              "Message finished MID 8 done\n" AT "Message finished MID 5 done\n" AT
              "Message finished MID 7 done\n");
    CHECK_U64(harness->count, 4);
    check_relation(harness_get(harness, 5), "split_into", 6);
    check_relation(harness_get(harness, 6), "split_from", 5);
    check_relation(harness_get(harness, 6), "rewritten_as", 8);
    check_relation(harness_get(harness, 8), "rewritten_from", 6);
    check_relation(harness_get(harness, 7), "generated_from", 5);
    CHECK_U64(harness->counts.complete, 4);
    harness_destroy(harness);
}

static void test_straggler_gets_another_revision(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    read_text(harness, HEADER AT "Start MID 5 ICID 0\n" AT "Message finished MID 5 done\n" AT
                                 "MID 5 RID [0] Response 'late'\n");
    CHECK_U64(harness->count, 2);
    CHECK_U64(harness->records[0].record.revision, AT_MS);
    CHECK_U64(harness->records[1].record.revision, AT_MS + 1);
    CHECK_U64(harness->records[1].record.last_ms, AT_MS);
    CHECK(!harness->records[1].record.complete);
    harness_destroy(harness);
}

static void test_silence_flushes(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    read_text(harness, HEADER AT "Start MID 5 ICID 0\n"
                                 "Mon Mar  2 10:10:01 2020 Info: Start MID 6 ICID 0\n"
                                 "Mon Mar  2 10:10:02 2020 Info: ICID 4 close\n");
    CHECK_U64(harness->count, 2);
    CHECK_U64(harness->counts.flushed_by_age, 1);
    CHECK_U64(harness->counts.flushed_at_end, 1);
    CHECK_U64(harness->records[0].record.mid, 5);
    harness_destroy(harness);
}

static void test_too_many_open(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    struct mail_logs_options options = {.open_max = 2};
    static const char text[] = HEADER AT "Start MID 5 ICID 0\n" AT "Start MID 6 ICID 0\n" AT
                                         "MID 5 queued for delivery\n" AT "Start MID 7 ICID 0\n";
    harness_read(harness, &options, slice_of(text), 100);
    CHECK_U64(harness->count, 3);
    CHECK_U64(harness->records[0].record.mid, 6); /* The longest silent. */
    CHECK_U64(harness->counts.flushed_by_number, 1);
    harness_destroy(harness);
}

static void test_serial(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    struct mail_logs *logs = NULL;
    static const char bare[] = AT "Start MID 5 ICID 0\n" AT "Message finished MID 5 done\n";
    read_text(harness, bare);
    CHECK_U64(harness->count, 0);
    CHECK_U64(harness->counts.lines_no_serial, 2);
    struct mail_logs_options options = {.serial = "GIVEN"};
    harness_read(harness, &options, slice_of(bare), 10);
    CHECK_U64(harness->count, 1);
    CHECK_SLICE(harness->records[0].record.serial, slice_of("GIVEN"));
    options.serial = "";
    CHECK_CODE(mail_logs_create(&options, 0, NULL, harness_on_record, &logs), STATUS_INVALID);
    harness_destroy(harness);

    /* Another appliance: nothing of the one before it goes on. */
    harness = harness_create();
    read_text(harness, HEADER AT "Start MID 5 ICID 0\n" AT "Version: 14.0.0-1 SN: OTHER\n" AT
                                 "Message finished MID 5 done\n");
    CHECK_U64(harness->count, 2);
    CHECK_SLICE(harness->records[0].record.serial, slice_of("0A1B2C3D4E5F-60718293A4B5"));
    CHECK_SLICE(harness->records[1].record.serial, slice_of("OTHER"));
    CHECK(!harness->records[1].record.complete);
    harness_destroy(harness);
}

/* More of everything than a record holds: it is cut, says so, and still fits. */
static void test_limits(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    struct buffer text = {0};
    CHECK(buffer_print(&text, "%s", HEADER AT "Start MID 5 ICID 0\n"));
    for (unsigned i = 0; i < 300; i++) {
        CHECK(buffer_print(&text, AT "MID 5 ICID 0 RID %u To: <%0250u@corp.test>\n", i, i));
        CHECK(buffer_print(&text, AT "MID 5 URL http://u%u.example/%01000u has reputation 0\n", i,
                           i));
        CHECK(buffer_print(&text, AT "MID 5 attachment '%0240u'\n", i));
        CHECK(buffer_print(&text, AT "MID 5 was split creating MID %u due to %0240u\n", i + 10, i));
        CHECK(buffer_print(&text, AT "Message done DCID 1 MID 5 to RID [%u]\n", i));
        CHECK(buffer_print(&text, AT "Message aborted MID 5 Dropped by %0900u\n", i));
    }
    CHECK(buffer_print(&text, "%s", AT "Message finished MID 5 done\n"));
    harness_read(harness, &defaults, buffer_slice(&text), text.size);
    const struct message_record *record = harness_get(harness, 5);
    CHECK(record->cut);
    CHECK_U64(record->recipient_count, 300);
    CHECK(record->recipients.count <= MESSAGE_RECIPIENTS_MAX);
    CHECK_SLICE(record->disposition, slice_of("dropped"));
    struct buffer names = {0};
    CHECK_OK(codec_encode(&message_record_codec, CODEC_NAMES, record, &names));
    CHECK(names.size <= RECORD_BODY_SIZE_MAX);
    buffer_release(&names);
    buffer_release(&text);
    harness_destroy(harness);
}

/* ------------------------------------------------------------------------------- properties */

/* A repeatable sequence: these tests are about every case, not about chance. */
static uint64_t next_number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33U;
}

/* Many messages at once, each line of a random one; some never finish, some never start, times go
 * on and now and then jump. */
static void random_log(struct buffer *out, uint64_t seed)
{
    uint64_t rng = seed;
    unsigned second = 0;
    unsigned minute = 1;
    CHECK(buffer_print(out, "%s", HEADER));
    for (unsigned i = 0; i < 400; i++) {
        unsigned mid = 100 + (unsigned)(next_number(&rng) % 12) + i / 40 * 4;
        static const char *const texts[] = {
            ("New SMTP ICID %u interface D (192.0.2.1) address 198.51.100.7 reverse dns host "
             "h.example.com verified yes"),
            "ICID %u ACCEPT SG G match x SBRS 1.0",
            "Start MID %u ICID %u",
            "MID %u ICID %u From: <a@example.com>",
            "MID %u Subject 'x'",
            "MID %u using engine: CASE spam negative",
            "New SMTP DCID %u interface 192.0.2.1 address 203.0.113.9 port 25",
            "Message done DCID %2$u MID %1$u to RID [0]",
            "MID %u RID [0] Response 'ok'",
            "Message finished MID %u done",
            "ICID %u close",
            "DCID %u close",
            "MID %u hums",
        };
        const char *text = texts[next_number(&rng) % (sizeof(texts) / sizeof(texts[0]))];
        uint64_t step = next_number(&rng) % 20;
        second += step < 6 ? 1 : 0;
        minute += step == 19 && i % 4 == 0 ? 6 : 0;
        minute += second / 60;
        second %= 60;
        char line[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof(line), text, mid, mid);
#pragma GCC diagnostic pop
        CHECK(buffer_print(out, "Mon Mar  2 %02u:%02u:%02u 2020 Info: %s\n", 10 + minute / 60,
                           minute % 60, second, line));
    }
}

static void check_same(const struct harness *left, const struct harness *right)
{
    CHECK_U64(left->count, right->count);
    for (size_t i = 0; i < left->count; i++) {
        CHECK_SLICE(buffer_slice(&left->records[i].body), buffer_slice(&right->records[i].body));
        CHECK_U64(left->records[i].position, right->records[i].position);
    }
}

static void test_chunking_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct buffer text = {0};
        random_log(&text, seed);
        struct harness *whole = harness_create();
        harness_read(whole, &defaults, buffer_slice(&text), text.size);
        CHECK(whole->count > 20);
        for (size_t chunk_size = 1; chunk_size < 300; chunk_size += 13) {
            struct harness *parts = harness_create();
            harness_read(parts, &defaults, buffer_slice(&text), chunk_size);
            check_same(parts, whole);
            harness_destroy(parts);
        }
        harness_destroy(whole);
        buffer_release(&text);
    }
}

/* No two records of one run share an identity. */
static void check_identities_differ(const struct harness *harness)
{
    for (size_t i = 0; i < harness->count; i++) {
        for (size_t j = i + 1; j < harness->count; j++) {
            const struct message_record *left = &harness->records[i].record;
            const struct message_record *right = &harness->records[j].record;
            CHECK(left->mid != right->mid || left->revision != right->revision);
        }
    }
}

/* Stop after `stop` bytes, when all that came out was safe; go on from the checkpoint. Every record
 * of the undisturbed run comes, and what begins after the checkpoint comes with the same body. */
static void check_restart(const struct harness *whole, struct slice text, size_t stop)
{
    struct mail_logs *logs = NULL;
    struct harness *before = harness_create();
    struct harness *after = harness_create();
    struct mail_logs_options options = {.serial = NULL};
    CHECK_OK(mail_logs_create(&options, 0, before, harness_on_record, &logs));
    CHECK_OK(mail_logs_read(logs, (struct slice){.data = text.data, .size = stop}));
    uint64_t position = mail_logs_checkpoint(logs, UINT64_MAX, &options.context);
    mail_logs_destroy(logs);
    CHECK(position <= stop);

    CHECK_OK(mail_logs_create(&options, position, after, harness_on_record, &logs));
    struct slice rest = {.data = (const char *)text.data + position, .size = text.size - position};
    CHECK_OK(mail_logs_read(logs, rest));
    CHECK_OK(mail_logs_finish(logs));
    mail_logs_destroy(logs);
    for (size_t i = 0; i < whole->count; i++) {
        bool is_after = whole->records[i].position >= position;
        CHECK(is_after ? harness_has_body(after, &whole->records[i])
                       : harness_has_body(before, &whole->records[i]));
    }
    for (size_t i = 0; i < after->count; i++) {
        CHECK(harness_has_identity(whole, &after->records[i]));
    }
    harness_destroy(before);
    harness_destroy(after);
}

static void test_restart_at_every_line(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct buffer text = {0};
        random_log(&text, seed);
        struct harness *whole = harness_create();
        harness_read(whole, &defaults, buffer_slice(&text), text.size);
        check_identities_differ(whole);
        for (size_t stop = 0; stop < text.size; stop += 61) {
            check_restart(whole, buffer_slice(&text), stop);
        }
        harness_destroy(whole);
        buffer_release(&text);
    }
}

/* The checkpoint does not stand still: a finished log leaves nothing to be read again but its last
 * second. */
static void test_checkpoint_advances(void **state)
{
    (void)state;
    struct harness *harness = harness_create();
    struct mail_logs *logs = NULL;
    struct mail_logs_context context;
    CHECK_OK(mail_logs_create(&defaults, 0, harness, harness_on_record, &logs));
    CHECK_OK(mail_logs_read(logs, slice_of(delivered_log)));
    CHECK(mail_logs_checkpoint(logs, UINT64_MAX, &context) < sizeof(delivered_log) - 1);
    static const char later[] = "Mon Mar  2 10:00:02 2020 Info: CASE cache status: x\n";
    CHECK_OK(mail_logs_read(logs, slice_of(later)));
    CHECK_U64(mail_logs_checkpoint(logs, UINT64_MAX, &context),
              sizeof(delivered_log) - 1 + sizeof(later) - 1);
    CHECK_SLICE(slice_of(context.serial), slice_of("0A1B2C3D4E5F-60718293A4B5"));
    CHECK(context.utc_offset_s == -21600);
    mail_logs_destroy(logs);

    /* A record that is not safe holds it. */
    CHECK_OK(mail_logs_create(&defaults, 0, harness, harness_on_record, &logs));
    CHECK_OK(mail_logs_read(logs, slice_of(delivered_log)));
    CHECK_OK(mail_logs_read(logs, slice_of(later)));
    CHECK_U64(mail_logs_checkpoint(logs, 9, &context), 9);
    mail_logs_destroy(logs);
    harness_destroy(harness);
}

static struct status refuse(void *context, const struct message_record *record, uint64_t position)
{
    (void)context;
    (void)record;
    (void)position;
    return fail(STATUS_BUSY, "not now");
}

static void test_callback_failure_passes(void **state)
{
    (void)state;
    struct mail_logs *logs = NULL;
    CHECK_OK(mail_logs_create(&defaults, 0, NULL, refuse, &logs));
    CHECK_CODE(mail_logs_read(logs, slice_of(delivered_log)), STATUS_BUSY);
    mail_logs_destroy(logs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivered),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_straggler_gets_another_revision),
        cmocka_unit_test(test_silence_flushes),
        cmocka_unit_test(test_too_many_open),
        cmocka_unit_test(test_serial),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_chunking_changes_nothing),
        cmocka_unit_test(test_restart_at_every_line),
        cmocka_unit_test(test_checkpoint_advances),
        cmocka_unit_test(test_callback_failure_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
