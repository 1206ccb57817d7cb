/*
 * The correlator: whole conversations in, records out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_logs.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
