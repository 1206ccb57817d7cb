/*
 * Single lines: frames, every shape of event, escapes, masking, and cutting bytes into lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "line_reader.h"
#include "mail_logs.h"
#include "scratch.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MS_2014 UINT64_C(1416388598000) /* Wed Nov 19 09:16:38 2014, as if UTC. */

struct frame_row {
    const char *name;
    const char *line;
    bool accepted;
    enum mail_time_kind time;
    uint64_t ms;
    const char *log;
    const char *level;
    const char *text;
};

static const struct frame_row frame_rows[] = {
    {"file form", "Wed Nov 19 09:16:38 2014 Info: MID 1 queued for delivery", true, MAIL_TIME_LOCAL,
     MS_2014, NULL, "Info", "MID 1 queued for delivery"},
    {"day of one digit", "Sat Nov  1 00:00:00 2014 Warning: x", true, MAIL_TIME_LOCAL,
     UINT64_C(1414800000000), NULL, "Warning", "x"},
    {"blanks around the text", "Wed Nov 19 09:16:38 2014 Info:   x ", true, MAIL_TIME_LOCAL,
     MS_2014, NULL, "Info", "x"},
    {"syslog without a host", "<166>Mar 17 18:24:37 mail_logs: Info: x", true, MAIL_TIME_NO_YEAR,
     UINT64_C(953317477000), "mail_logs", "Info", "x"},
    {"syslog with a host", "<166>Mar 17 18:24:37 mx1.example.com mail_logs: Critical: x", true,
     MAIL_TIME_NO_YEAR, UINT64_C(953317477000), "mail_logs", "Critical", "x"},
    {"syslog with a second time",
     "<13> May  4 12:59:59 mx1.example.com mail_logs: Wed Nov 19 09:16:38 2014 Info: x", true,
     MAIL_TIME_LOCAL, MS_2014, "mail_logs", "Info", "x"},
    {"syslog with a second time without a year",
     "<13> May  4 12:59:59 mail_logs: Mar 17 18:24:37 192.0.2.1 mail_logs: Info: x", true,
     MAIL_TIME_NO_YEAR, UINT64_C(953317477000), "mail_logs", "Info", "x"},
    {"a less precise time does not replace one with a year",
     "Wed Nov 19 09:16:38 2014 Mar 17 18:24:37 Info: x", true, MAIL_TIME_LOCAL, MS_2014, NULL,
     "Info", "x"},
    {"no time at all", "<166>mail_logs: Info: x", true, MAIL_TIME_NONE, 0, "mail_logs", "Info",
     "x"},
    {"time of RFC 5424", "<166>1 2014-11-19T09:16:38.000Z mx1 mail_logs: Info: x", true,
     MAIL_TIME_UTC, MS_2014, "mail_logs", "Info", "x"},
    {"29 February without a year", "Feb 29 00:00:00 mail_logs: Info: x", true, MAIL_TIME_NO_YEAR,
     UINT64_C(951782400000), "mail_logs", "Info", "x"},
    {"30 February", "Fri Feb 30 00:00:00 2014 Info: x", true, MAIL_TIME_NONE, 0, NULL, "Info", "x"},
    {"leap second", "Wed Nov 19 23:59:60 2014 Info: x", true, MAIL_TIME_LOCAL,
     UINT64_C(1416441599000), NULL, "Info", "x"},
    {"no level", "Wed Nov 19 09:16:38 2014 MID 1 queued for delivery", false, MAIL_TIME_NONE, 0,
     NULL, NULL, NULL},
    {"prose", "the quick brown fox jumps over the lazy dog Info: x", false, MAIL_TIME_NONE, 0, NULL,
     NULL, NULL},
    {"only a time", "Wed Nov 19 09:16:38 2014", false, MAIL_TIME_NONE, 0, NULL, NULL, NULL},
    {"nothing", "", false, MAIL_TIME_NONE, 0, NULL, NULL, NULL},
};

static void test_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(frame_rows) / sizeof(frame_rows[0]); i++) {
        const struct frame_row *row = &frame_rows[i];
        struct mail_frame frame;
        check_row(row->name);
        bool accepted = mail_frame_parse(slice_of(row->line), &frame);
        CHECK(accepted == row->accepted);
        if (!accepted) {
            continue;
        }
        CHECK_U64(frame.time.kind, row->time);
        CHECK_U64(frame.time.ms, row->ms);
        CHECK_SLICE(frame.log, slice_of(row->log));
        CHECK_SLICE(frame.level, slice_of(row->level));
        CHECK_SLICE(frame.text, slice_of(row->text));
    }
}

struct event_row {
    const char *text;
    struct mail_event event; /* Texts as slices are filled from the strings below. */
    const char *texts[3];
};

#define MESSAGE(kind_)                                                                             \
    {                                                                                              \
        .kind = (kind_), .mid = 9, .has_mid = true                                                 \
    }

static const struct event_row event_rows[] = {
    {"Begin Logfile", {.kind = MAIL_LOG_BEGIN}, {NULL}},
    {"Version: 12.5.0-633 SN: 0A1B-2C3D", {.kind = MAIL_VERSION}, {"0A1B-2C3D"}},
    {"Time offset from UTC: -21600 seconds",
     {.kind = MAIL_OFFSET, .number = 21600, .flag = true},
     {NULL}},
    {"Time offset from UTC: 32400 seconds", {.kind = MAIL_OFFSET, .number = 32400}, {NULL}},
    {"Time offset from UTC: 99999 seconds", {.kind = MAIL_UNKNOWN}, {NULL}},
    {"CASE cache status: hits = 1, misses = 2", {.kind = MAIL_ASIDE}, {NULL}},
    {"New SMTP ICID 7 interface Data 1 (192.0.2.1) address 198.51.100.7 reverse dns host "
     "h.example.com verified yes",
     {.kind = MAIL_ICID_NEW, .icid = 7, .flag = true},
     {"198.51.100.7", "h.example.com"}},
    {"New SMTP ICID 7 interface Management (192.0.2.1) address 2001:db8::7 reverse dns host "
     "unknown verified no",
     {.kind = MAIL_ICID_NEW, .icid = 7},
     {"2001:db8::7", "unknown"}},
    {"ICID 7 REJECT SG BLACKLIST match sbrs[-10.0:-2.5] SBRS -9.5",
     {.kind = MAIL_ICID_GROUP, .icid = 7},
     {"REJECT", "BLACKLIST", "-9.5"}},
    {"ICID 7 ACCEPT SG SUSPECTLIST match sbrs[none] SBRS None country Japan",
     {.kind = MAIL_ICID_GROUP, .icid = 7},
     {"ACCEPT", "SUSPECTLIST", "None"}},
    {"ICID 7 RELAY SG RELAYLIST match 192.0.2.0/24 SBRS rfc1918",
     {.kind = MAIL_ICID_GROUP, .icid = 7},
     {"RELAY", "RELAYLIST", "rfc1918"}},
    {"ICID 7 TLS success protocol TLSv1.2 cipher AES128-SHA",
     {.kind = MAIL_ICID_TLS, .icid = 7},
     {"TLSv1.2", "AES128-SHA"}},
    {"ICID 7 Delayed HAT REJECT continuing session for recipient logging (198.51.100.7)",
     {.kind = MAIL_CONNECTION_NOTE, .icid = 7},
     {NULL}},
    {"ICID 7 close", {.kind = MAIL_ICID_CLOSE, .icid = 7}, {NULL}},
    {"ICID 7 lost", {.kind = MAIL_ICID_CLOSE, .icid = 7}, {NULL}},
    {"New SMTP DCID 8 interface 192.0.2.1 address 203.0.113.9 port 25",
     {.kind = MAIL_DCID_NEW, .dcid = 8},
     {"203.0.113.9"}},
    {"DCID 8 TLS success protocol TLSv1 cipher RC4-SHA for example.com",
     {.kind = MAIL_CONNECTION_NOTE, .dcid = 8},
     {NULL}},
    {"DCID 8 close", {.kind = MAIL_DCID_CLOSE, .dcid = 8}, {NULL}},
    {"Start MID 9 ICID 7", {.kind = MAIL_START, .mid = 9, .has_mid = true, .icid = 7}, {NULL}},
    {"MID 9 ICID 7 From: <a@example.com>",
     {.kind = MAIL_FROM, .mid = 9, .has_mid = true, .icid = 7},
     {"a@example.com"}},
    {"MID 9 ICID 7 From: <>", {.kind = MAIL_FROM, .mid = 9, .has_mid = true, .icid = 7}, {NULL}},
    {"MID 9 ICID 7 RID 0 To: <b@corp.test>",
     {.kind = MAIL_TO, .mid = 9, .has_mid = true, .icid = 7},
     {"b@corp.test"}},
    {"MID 9 ICID 7 To: <b@corp.test> Rejected by RAT",
     {.kind = MAIL_TO_REJECTED, .mid = 9, .has_mid = true, .icid = 7},
     {"b@corp.test", "Rejected by RAT"}},
    {"MID 9 Message-ID '<x@example.com>'", MESSAGE(MAIL_MESSAGE_ID), {"<x@example.com>"}},
    {"MID 9 Message-ID \"<it's@example.com>\"", MESSAGE(MAIL_MESSAGE_ID), {"<it's@example.com>"}},
    {"MID 9 Subject 'it\\'s \"here\"'", MESSAGE(MAIL_SUBJECT), {"it\\'s \"here\""}},
    {"MID 9 Subject ''", MESSAGE(MAIL_SUBJECT), {NULL}},
    {"MID 9 Subject 'no end", MESSAGE(MAIL_UNKNOWN), {NULL}},
    {"MID 9 ready 2069 bytes from <a@example.com>",
     {.kind = MAIL_READY, .mid = 9, .has_mid = true, .number = 2069},
     {"a@example.com"}},
    {"MID 9 matched all recipients for per-recipient policy My Policy in the outbound table",
     MESSAGE(MAIL_POLICY),
     {"My Policy", "outbound"}},
    {"MID 9 interim verdict using engine: CASE spam positive",
     MESSAGE(MAIL_VERDICT),
     {"CASE spam positive"}},
    {"MID 9 using engine: SLBL spam negative", MESSAGE(MAIL_VERDICT), {"SLBL spam negative"}},
    {"MID 9 using engine: CASE using cached verdict", MESSAGE(MAIL_NOTE), {NULL}},
    {"MID 9 interim AV verdict using Sophos CLEAN", MESSAGE(MAIL_VERDICT), {"Sophos CLEAN"}},
    {"MID 9 antivirus positive 'EICAR'", MESSAGE(MAIL_VERDICT), {"antivirus positive 'EICAR'"}},
    {"MID 9 attachment 'a.pdf'", MESSAGE(MAIL_ATTACHMENT), {"a.pdf"}},
    {"MID 9 AMP file reputation verdict : MALICIOUS",
     MESSAGE(MAIL_VERDICT),
     {"AMP file reputation verdict : MALICIOUS"}},
    {"MID 9 SDR: Consolidated Sender Threat Level: Neutral, Threat Category: N/A",
     MESSAGE(MAIL_VERDICT),
     {"SDR: Consolidated Sender Threat Level: Neutral, Threat Category: N/A"}},
    {"MID 9 DLP violation. Severity: LOW (Risk Factor: 15). DLP policy match: 'p'.",
     MESSAGE(MAIL_VERDICT),
     {"DLP violation. Severity: LOW (Risk Factor: 15). DLP policy match: 'p'."}},
    {"MID 9 DMARC: Verification passed", MESSAGE(MAIL_VERDICT), {"DMARC: Verification passed"}},
    {"MID 9 SPF: mailfrom identity a@example.com Pass",
     MESSAGE(MAIL_VERDICT),
     {"SPF: mailfrom identity a@example.com Pass"}},
    {"MID 9 DKIM: pass signature verified",
     MESSAGE(MAIL_VERDICT),
     {"DKIM: pass signature verified"}},
    {"MID 9 DKIM: cannot sign - no profile matches a", MESSAGE(MAIL_NOTE), {NULL}},
    {"MID 9 DomainKeys: cannot sign - already signed", MESSAGE(MAIL_NOTE), {NULL}},
    {"MID 9 Outbreak Filters: verdict negative",
     MESSAGE(MAIL_VERDICT),
     {"Outbreak Filters: verdict negative"}},
    {"MID 9 was too big (3/2) for scanning by Outbreak Filters", MESSAGE(MAIL_NOTE), {NULL}},
    {"MID 9 not completely scanned by SDS. Error: too many URLs",
     MESSAGE(MAIL_VERDICT),
     {"not completely scanned by SDS. Error: too many URLs"}},
    {"MID 9 URL http://x.example has reputation 0.0 matched Condition: URL Reputation Rule",
     MESSAGE(MAIL_URL),
     {"http://x.example",
      "URL http://x.example has reputation 0.0 matched Condition: URL Reputation Rule"}},
    {"MID 9 URL: http://x.example/ , URL reputation: -6.8, Condition: URL Reputation Rule.",
     MESSAGE(MAIL_URL),
     {"http://x.example/",
      "URL: http://x.example/ , URL reputation: -6.8, Condition: URL Reputation Rule."}},
    {"MID 9 queued for delivery", MESSAGE(MAIL_NOTE), {NULL}},
    {"MID 9 was split creating MID 10 due to a SL/BL configuration for: b@corp.test",
     {.kind = MAIL_SPLIT, .mid = 9, .has_mid = true, .other_mid = 10},
     {"due to a SL/BL configuration for: b@corp.test"}},
    {"MID 9 was generated based on MID 8 by bcc filter 'copy'",
     {.kind = MAIL_GENERATED, .mid = 9, .has_mid = true, .other_mid = 8},
     {"by bcc filter 'copy'"}},
    {"MID 9 generated based on MID 8 by bcc filter 'copy'",
     {.kind = MAIL_GENERATED, .mid = 9, .has_mid = true, .other_mid = 8},
     {"by bcc filter 'copy'"}},
    {"MID 9 rewritten to MID 10 by antispam",
     {.kind = MAIL_REWRITTEN, .mid = 9, .has_mid = true, .other_mid = 10},
     {"by antispam"}},
    {"MID 9 rewritten to 10 by antispam",
     {.kind = MAIL_REWRITTEN, .mid = 9, .has_mid = true, .other_mid = 10},
     {"by antispam"}},
    {"Delivery start DCID 8 MID 9 to RID [0]",
     {.kind = MAIL_DELIVERY_START, .mid = 9, .has_mid = true, .dcid = 8},
     {NULL}},
    {"Delivery start DCID 8 MID 9 to RID [0] to offbox IronPort Spam Quarantine",
     {.kind = MAIL_DELIVERY_START, .mid = 9, .has_mid = true, .dcid = 8},
     {NULL}},
    {"Message done DCID 8 MID 9 to RID [0, 1, 2] [('from', 'a')]",
     {.kind = MAIL_DELIVERED, .mid = 9, .has_mid = true, .dcid = 8, .number = 3},
     {NULL}},
    {"Message done DCID 8 MID 9 to RID [0] (external quarantine)",
     {.kind = MAIL_DELIVERED, .mid = 9, .has_mid = true, .dcid = 8, .number = 1, .flag = true},
     {NULL}},
    {"MID 9 RID [0] Response '2.0.0 Ok'", MESSAGE(MAIL_RESPONSE), {"2.0.0 Ok"}},
    {"Bounced: DCID 8 MID 9 to RID 0 - 5.1.0 - Unknown address error ('550', ['no'])",
     {.kind = MAIL_BOUNCED, .mid = 9, .has_mid = true, .dcid = 8, .number = 1},
     {"5.1.0 - Unknown address error ('550', ['no'])"}},
    {"Bounced: DCID 8 MID 9 From: <a@example.com> To: <b@corp.test> RID 0 - 5.4.7 - expired",
     {.kind = MAIL_BOUNCED, .mid = 9, .has_mid = true, .dcid = 8, .number = 1},
     {"5.4.7 - expired"}},
    {"Delayed: DCID 8 MID 9 to RID 0 - 4.3.2 - later",
     {.kind = MAIL_DELAYED, .mid = 9, .has_mid = true, .dcid = 8, .number = 1},
     {"4.3.2 - later"}},
    {"Message 9 to RID [7] pending till Mon Aug 10 09:56:56 2020",
     {.kind = MAIL_DELAYED, .mid = 9, .has_mid = true, .number = 1},
     {"pending till Mon Aug 10 09:56:56 2020"}},
    {"Message aborted MID 9 Dropped by CASE", MESSAGE(MAIL_DROPPED), {"Dropped by CASE"}},
    {"Message aborted MID 9 Receiving aborted by sender",
     MESSAGE(MAIL_ABORTED),
     {"Receiving aborted by sender"}},
    {"Message finished MID 9 done", MESSAGE(MAIL_FINISHED), {"done"}},
    {"ISQ: Tagging MID 9 for quarantine", MESSAGE(MAIL_NOTE), {NULL}},
    {"EUQ: Quarantined MID 9", MESSAGE(MAIL_QUARANTINED), {"spam quarantine"}},
    {"ISQ: Released MID 9 (queued as 9)", MESSAGE(MAIL_RELEASED), {NULL}},
    {"RPC Delivery start RCID 3 MID 9 to local IronPort Spam Quarantine",
     MESSAGE(MAIL_NOTE),
     {NULL}},
    {"RPC Message done RCID 3 MID 9", MESSAGE(MAIL_QUARANTINED), {NULL}},
    {"MID 9 quarantined to \"Policy\" (content filter:f)",
     MESSAGE(MAIL_QUARANTINED),
     {"quarantined to \"Policy\" (content filter:f)"}},
    {"MID 9 released from quarantine \"Policy\" (manual) t=13", MESSAGE(MAIL_RELEASED), {NULL}},
    {"Response received for file reputation query from Cloud. File Name = 'a, b.pdf', MID = 9, "
     "Disposition = MALICIOUS, Malware = W32, sha256 =" DIGEST ", upload_action = 1",
     MESSAGE(MAIL_FILE),
     {"a, b.pdf", DIGEST, "MALICIOUS"}},
    {"File reputation query initiating. FileName = 'a|$b', MID = 9, File Size = 1 bytes",
     MESSAGE(MAIL_FILE),
     {"a|$b", NULL, NULL}},
    {"File not uploaded for analysis. MID = 9 File SHA256[" DIGEST "] file mime[x] Reason: y",
     MESSAGE(MAIL_FILE),
     {NULL, DIGEST, NULL}},
    {"File uploaded for analysis. SHA256: " DIGEST ", file name: a.pdf",
     {.kind = MAIL_ASIDE},
     {NULL}},
    {"MID 9 hums a tune", MESSAGE(MAIL_UNKNOWN), {NULL}},
    {"MID x", {.kind = MAIL_UNKNOWN}, {NULL}},
    {"MID 99999999999999999999 queued for delivery", {.kind = MAIL_UNKNOWN}, {NULL}},
    {"Start MID 9", {.kind = MAIL_UNKNOWN}, {NULL}},
    {"Message done DCID 8 MID 9 to RID [0", {.kind = MAIL_UNKNOWN}, {NULL}},
    {"", {.kind = MAIL_UNKNOWN}, {NULL}},
};

static void test_events(void **state)
{
    (void)state;
    bool seen[MAIL_EVENT_KIND_COUNT] = {false};
    for (size_t i = 0; i < sizeof(event_rows) / sizeof(event_rows[0]); i++) {
        const struct event_row *row = &event_rows[i];
        check_row(row->text);
        struct mail_event event = mail_event_parse(slice_of(row->text));
        seen[event.kind] = true;
        CHECK_SLICE(slice_of(mail_event_kind_name(event.kind)),
                    slice_of(mail_event_kind_name(row->event.kind)));
        CHECK(event.has_mid == row->event.has_mid);
        CHECK_U64(event.mid, row->event.mid);
        CHECK_U64(event.icid, row->event.icid);
        CHECK_U64(event.dcid, row->event.dcid);
        CHECK_U64(event.other_mid, row->event.other_mid);
        CHECK_U64(event.number, row->event.number);
        CHECK(event.flag == row->event.flag);
        if (event.kind == MAIL_NOTE) {
            continue; /* Its texts mean nothing. */
        }
        CHECK_SLICE(event.text, slice_of(row->texts[0]));
        CHECK_SLICE(event.more, slice_of(row->texts[1]));
        CHECK_SLICE(event.third, slice_of(row->texts[2]));
    }
    for (unsigned kind = 0; kind < MAIL_EVENT_KIND_COUNT; kind++) {
        check_row(mail_event_kind_name((enum mail_event_kind)kind));
        CHECK(seen[kind] || kind == MAIL_SPLIT_FROM || kind == MAIL_REWRITTEN_FROM);
    }
}

static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *meant;
    } rows[] = {
        {"plain", "plain"},
        {"it\\'s", "it's"},
        {"a\\\\b", "a\\b"},
        {"caf\\xc3\\xa9", "caf\xc3\xa9"},
        {"caf\\xe9!", "caf\xEF\xBF\xBD!"},
        {"a\\x00b", "a\xEF\xBF\xBD"
                    "b"},
        {"a\\nb\\tc", "a b c"},
        {"end\\", "end\\"},
        {"\\xg1", "\\xg1"},
        {"\\x4", "\\x4"},
        {"\\q", "\\q"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer out = {0};
        check_row(rows[i].text);
        CHECK(mail_unescape(slice_of(rows[i].text), &out));
        CHECK_SLICE(buffer_slice(&out), slice_of(rows[i].meant));
        buffer_release(&out);
    }
}

static void test_mask(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *masked;
    } rows[] = {
        {"MID 9 hums a tune", "MID 0 hums a tune"},
        {"to <ann@example.com> now", "to <xxx@xxxxxxx.xxx> now"},
        {"Subject 'my secret plan' end", "Subject 'xx xxxxxx xxxx' end"},
        {"from 198.51.100.7 port 25", "from 000.00.000.0 port 00"},
        {"Session LH09MofqDf2j21zW ended", "Session xx00xxxxxx0x00xx ended"},
        {"password=hunter", "xxxxxxxx=xxxxxx"},
        {"caf\xc3\xa9", "xxxxx"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[MAIL_LOGS_SAMPLE_SIZE];
        check_row(rows[i].line);
        mail_logs_mask(slice_of(rows[i].line), out);
        CHECK_SLICE(slice_of(out), slice_of(rows[i].masked));
    }
}

struct lines {
    struct buffer text; /* Each line and a '|'. */
    uint64_t end;
};

static struct status on_line(void *context, struct slice text, uint64_t start, uint64_t end)
{
    struct lines *lines = context;
    CHECK_U64(start, lines->end);
    CHECK(text_is_clean(text));
    CHECK(text.size <= LINE_SIZE_MAX);
    lines->end = end;
    CHECK(text.size == 0 || buffer_append(&lines->text, text.data, text.size));
    CHECK(buffer_append(&lines->text, "|", 1));
    return OK;
}

static void cut_into_lines(struct slice bytes, size_t chunk_size, struct lines *out,
                           struct line_reader *reader)
{
    *out = (struct lines){.end = 5};
    line_reader_init(reader, 5, on_line, out);
    for (size_t at = 0; at < bytes.size; at += chunk_size) {
        size_t size = bytes.size - at < chunk_size ? bytes.size - at : chunk_size;
        CHECK_OK(line_reader_read(
            reader, (struct slice){.data = (const char *)bytes.data + at, .size = size}));
    }
    CHECK_OK(line_reader_finish(reader));
    CHECK_U64(out->end, 5 + bytes.size);
    line_reader_release(reader);
}

static void test_lines(void **state)
{
    (void)state;
    static const char bytes[] = "one\ntwo\r\n\nfo\0ur\n\xff"
                                "five\x1b[m\n\tsix\r";
    static const char expected[] = "one|two||fo\xEF\xBF\xBDur|\xEF\xBF\xBD"
                                   "five\xEF\xBF\xBD[m| six|";
    for (size_t chunk_size = 1; chunk_size < sizeof(bytes); chunk_size++) {
        struct lines lines;
        struct line_reader reader;
        cut_into_lines((struct slice){.data = bytes, .size = sizeof(bytes) - 1}, chunk_size, &lines,
                       &reader);
        CHECK_SLICE(buffer_slice(&lines.text), slice_of(expected));
        CHECK_U64(reader.lines, 6);
        CHECK_U64(reader.lines_repaired, 3);
        CHECK_U64(reader.lines_cut, 0);
        buffer_release(&lines.text);
    }
}

/* A line of the limit passes, one byte more is cut, and the line after it is whole. */
static void test_long_lines(void **state)
{
    (void)state;
    static const size_t chunk_sizes[] = {1000, LINE_SIZE_MAX, 1 << 20};
    for (size_t extra = 0; extra < 3; extra++) {
        size_t size = LINE_SIZE_MAX + extra;
        char *bytes = malloc(size + 8);
        CHECK(bytes != NULL);
        memset(bytes, 'a', size);
        memcpy(bytes + size, "\r\nshort\n", 8);
        for (size_t i = 0; i < 3; i++) {
            struct lines lines;
            struct line_reader reader;
            cut_into_lines((struct slice){.data = bytes, .size = size + 8}, chunk_sizes[i], &lines,
                           &reader);
            CHECK_U64(lines.text.size, LINE_SIZE_MAX + 1 + 6);
            CHECK_U64(reader.lines_cut, extra > 0);
            CHECK_U64(reader.lines, 2);
            buffer_release(&lines.text);
        }
        free(bytes);
    }
}

struct time_row {
    const char *name;
    struct mail_time time;
    struct mail_logs_context context;
    uint64_t last_ms; /* 0: none. */
    bool accepted;
    uint64_t ms;
    uint64_t year;
};

#define NEW_YEAR_2021_MS UINT64_C(1609459200000)
#define YEARLESS_DEC_31 UINT64_C(978220800000) /* 31 December 2000. */
#define YEARLESS_JAN_1 UINT64_C(946684800000)

static const struct time_row time_rows[] = {
    {"local", {MAIL_TIME_LOCAL, 100000000}, {"", -21600, 0}, 0, true, 121600000, 0},
    {"local east of UTC", {MAIL_TIME_LOCAL, 100000000}, {"", 32400, 0}, 0, true, 67600000, 0},
    {"before 1970", {MAIL_TIME_LOCAL, 1000}, {"", 32400, 0}, 0, false, 0, 0},
    {"utc", {MAIL_TIME_UTC, 5}, {"", 32400, 0}, 0, true, 5, 0},
    {"none, but a line before", {MAIL_TIME_NONE, 0}, {"", 0, 0}, 7, true, 7, 0},
    {"none at all", {MAIL_TIME_NONE, 0}, {"", 0, 0}, 0, false, 0, 0},
    {"year unknown", {MAIL_TIME_NO_YEAR, YEARLESS_JAN_1}, {"", 0, 0}, 0, false, 0, 0},
    {"year given",
     {MAIL_TIME_NO_YEAR, YEARLESS_JAN_1},
     {"", 0, 2021},
     0,
     true,
     NEW_YEAR_2021_MS,
     2021},
    {"new year",
     {MAIL_TIME_NO_YEAR, YEARLESS_JAN_1},
     {"", 0, 2020},
     NEW_YEAR_2021_MS - 1000,
     true,
     NEW_YEAR_2021_MS,
     2021},
    {"a late line of the old year",
     {MAIL_TIME_NO_YEAR, YEARLESS_DEC_31},
     {"", 0, 2021},
     NEW_YEAR_2021_MS,
     true,
     NEW_YEAR_2021_MS - 86400000,
     2020},
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(time_rows) / sizeof(time_rows[0]); i++) {
        const struct time_row *row = &time_rows[i];
        struct mail_logs_context context = row->context;
        uint64_t ms = 0;
        check_row(row->name);
        bool accepted =
            mail_time_resolve(&row->time, &context, row->last_ms == 0 ? NULL : &row->last_ms, &ms);
        CHECK(accepted == row->accepted);
        if (accepted) {
            CHECK_U64(ms, row->ms);
            CHECK_U64(context.year, row->year);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),  cmocka_unit_test(test_events),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_mask),
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
