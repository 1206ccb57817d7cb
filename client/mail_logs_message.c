/*
 * What a mail_logs line says about one message: all that follows "MID n ".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "client/record.h"
#include "line_reader.h"
#include "mail_logs_parse.h"
#include "text_scan.h"

static bool parse_note(struct slice rest, struct mail_event *out)
{
    (void)rest;
    out->kind = MAIL_NOTE;
    return true;
}

/* "m From: <a>", "m RID 0 To: <b>", "m To: <b> Rejected by RAT", behind "ICID ". */
static bool parse_envelope(struct slice rest, struct mail_event *out)
{
    uint64_t rid = 0;
    if (!mail_scan_id(&rest, "", &out->icid)) {
        return false;
    }
    mail_scan_id(&rest, "RID ", &rid);
    if (scan_literal(&rest, "From: ")) {
        out->kind = MAIL_FROM;
        return scan_brackets(&rest, &out->text);
    }
    if (!scan_literal(&rest, "To: ") || !scan_brackets(&rest, &out->text)) {
        return false;
    }
    out->more = scan_trim(rest);
    out->kind = scan_contains(out->more, "ejected") ? MAIL_TO_REJECTED : MAIL_TO;
    return true;
}

static bool parse_rejected(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_TO_REJECTED;
    if (!scan_brackets(&rest, &out->text)) {
        return false;
    }
    out->more = scan_trim(rest);
    return true;
}

static bool parse_message_id(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_MESSAGE_ID;
    return scan_quoted(&rest, &out->text);
}

static bool parse_subject(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_SUBJECT;
    return scan_quoted(&rest, &out->text);
}

static bool parse_ready(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_READY;
    if (!scan_number(&rest, RECORD_NUMBER_MAX, &out->number) ||
        !scan_literal(&rest, " bytes from ")) {
        return false;
    }
    scan_brackets(&rest, &out->text);
    return true;
}

/* "DEFAULT in the inbound table". A policy's name may have blanks. */
static bool parse_policy(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_POLICY;
    return scan_until(&rest, " in the ", &out->text) && scan_word(&rest, &out->more);
}

/* Behind "using engine: ". A cached verdict is said again on the line that names it. */
static bool parse_engine(struct slice rest, struct mail_event *out)
{
    out->kind = scan_contains(rest, "using cached verdict") ? MAIL_NOTE : MAIL_VERDICT;
    out->text = rest;
    return rest.size > 0;
}

static bool parse_antivirus(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_VERDICT;
    out->text = (struct slice){.data = (const char *)rest.data - strlen("antivirus "),
                               .size = rest.size + strlen("antivirus ")};
    return rest.size > 0;
}

/* The verdict of an engine whose lines are kept as they are: `begins` belongs to the text. */
static bool parse_whole(struct slice whole, struct mail_event *out)
{
    out->kind = MAIL_VERDICT;
    out->text = whole;
    return true;
}

static bool parse_signature(struct slice whole, struct mail_event *out)
{
    out->kind = scan_contains(whole, "cannot sign") ? MAIL_NOTE : MAIL_VERDICT;
    out->text = whole;
    return true;
}

static bool parse_attachment(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_ATTACHMENT;
    return scan_quoted(&rest, &out->text);
}

/* "http://x has reputation 0.0 matched Condition: URL Reputation Rule", or, in the details of
 * message tracking, "http://x/ , URL reputation: -6.8, Condition: ...". */
static bool parse_url(struct slice whole, struct mail_event *out)
{
    struct slice rest = whole;
    scan_literal(&rest, "URL");
    scan_literal(&rest, ":");
    scan_blanks(&rest);
    out->kind = MAIL_URL;
    out->more = whole;
    return scan_word(&rest, &out->text) && scan_contains(out->text, "://");
}

static bool parse_split(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_SPLIT;
    if (!mail_scan_id(&rest, "", &out->other_mid)) {
        return false;
    }
    out->text = rest;
    return true;
}

static bool parse_generated(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_GENERATED;
    if (!mail_scan_id(&rest, "", &out->other_mid)) {
        return false;
    }
    out->text = rest;
    return true;
}

static bool parse_rewritten(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_REWRITTEN;
    scan_literal(&rest, "MID "); /* Older releases say "rewritten to 3". */
    if (!mail_scan_id(&rest, "", &out->other_mid)) {
        return false;
    }
    out->text = rest;
    return true;
}

/* "[0] Response 'text'", behind "RID ". */
static bool parse_response(struct slice rest, struct mail_event *out)
{
    struct slice rids;
    out->kind = MAIL_RESPONSE;
    return scan_until(&rest, " Response ", &rids) && scan_quoted(&rest, &out->text);
}

static bool parse_quarantined(struct slice whole, struct mail_event *out)
{
    out->kind = MAIL_QUARANTINED;
    out->text = whole;
    return true;
}

static bool parse_released(struct slice rest, struct mail_event *out)
{
    (void)rest;
    out->kind = MAIL_RELEASED;
    return true;
}

/* Rows whose function is given what follows; those below it are given the whole. */
static const struct mail_shape shapes[] = {
    {"ICID ", parse_envelope},
    {"To: ", parse_rejected},
    {"Message-ID ", parse_message_id},
    {"Subject ", parse_subject},
    {"Subject: ", parse_subject},
    {"ready ", parse_ready},
    {"matched all recipients for per-recipient policy ", parse_policy},
    {"interim verdict using engine: ", parse_engine},
    {"using engine: ", parse_engine},
    {"interim AV verdict using ", parse_engine},
    {"antivirus ", parse_antivirus},
    {"attachment ", parse_attachment},
    {"was split creating MID ", parse_split},
    {"was generated based on MID ", parse_generated},
    {"generated based on MID ", parse_generated},
    {"rewritten to ", parse_rewritten},
    {"RID ", parse_response},
    {"released from ", parse_released},
    {"queued for delivery", parse_note},
    {"was too big ", parse_note},
    {"DomainKeys: ", parse_note},
    {"Custom Log Entry: ", parse_note},
    {"enqueued for transfer ", parse_note},
    {"SMTP Auth ", parse_note},
    {"Delivery start ", parse_note},
};

static const struct mail_shape whole_shapes[] = {
    {"Outbreak Filters: ", parse_whole},
    {"AMP file reputation verdict", parse_whole},
    {"not completely scanned by ", parse_whole},
    {"SDR: ", parse_whole},
    {"DLP ", parse_whole},
    {"DMARC: ", parse_whole},
    {"SPF: ", parse_whole},
    {"Virus Threat Level", parse_whole},
    {"DKIM: ", parse_signature},
    {"URL", parse_url},
    {"quarantined to ", parse_quarantined},
};

bool mail_message_parse(struct slice text, struct mail_event *out)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct slice rest = text;
        if (scan_literal(&rest, shapes[i].begins)) {
            return shapes[i].parse(rest, out);
        }
    }
    for (size_t i = 0; i < sizeof(whole_shapes) / sizeof(whole_shapes[0]); i++) {
        if (scan_begins(text, whole_shapes[i].begins)) {
            return whole_shapes[i].parse(text, out);
        }
    }
    return false;
}

/* The value of "key = value", spelt with or without blanks around the sign, up to the next key
 * that lines of this engine have. A quoted name ends at its quote. */
static bool find_value(struct slice text, const char *key, struct slice *out)
{
    struct slice before;
    if (!scan_until(&text, key, &before)) {
        return false;
    }
    scan_blanks(&text);
    if (!scan_literal(&text, "=") && !scan_literal(&text, ":")) {
        return false;
    }
    scan_blanks(&text);
    *out = text;
    return text.size > 0;
}

/* A name may hold commas and quotes, so it ends where the next key begins. */
static struct slice file_name(struct slice text)
{
    static const char *const ends[] = {", MID", ", File Size", ", Disposition", ", SHA256"};
    struct slice value;
    if (!find_value(text, "File Name", &value) && !find_value(text, "FileName", &value) &&
        !find_value(text, "file name", &value)) {
        return (struct slice){0};
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct slice at = value;
        struct slice before;
        value = scan_until(&at, ends[i], &before) ? before : value;
    }
    struct slice quoted;
    struct slice at = value;
    return scan_quoted(&at, &quoted) ? quoted : scan_trim(value);
}

/* The 64 digits behind "sha256 =", "SHA256:" or "SHA256[". */
static struct slice file_digest(struct slice text)
{
    static const char *const keys[] = {"sha256", "SHA256"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct slice at = text;
        struct slice before;
        if (!scan_until(&at, keys[i], &before)) {
            continue;
        }
        while (at.size > 0 && strchr(" =:['", *(const char *)at.data) != NULL) {
            at = (struct slice){.data = (const char *)at.data + 1, .size = at.size - 1};
        }
        if (at.size >= 64) {
            return (struct slice){.data = at.data, .size = 64};
        }
    }
    return (struct slice){0};
}

bool mail_file_parse(struct slice rest, struct mail_event *out)
{
    struct slice value;
    if (!find_value(rest, "MID", &value) || !scan_number(&value, RECORD_NUMBER_MAX, &out->mid)) {
        out->kind = MAIL_ASIDE; /* "File uploaded for analysis" names no message. */
        return true;
    }
    out->has_mid = true;
    out->kind = MAIL_FILE;
    out->text = file_name(rest);
    out->more = file_digest(rest);
    if (find_value(rest, "Disposition", &value)) {
        struct slice at = value;
        struct slice before;
        out->third = scan_until(&at, ",", &before) ? scan_trim(before) : scan_trim(value);
    }
    return true;
}

static bool hex_digit(char c, unsigned *out)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    *out = found == NULL ? 0 : (unsigned)(found - digits);
    return found != NULL;
}

/* One escape at `bytes`, a backslash. How many bytes it took, at least one; its byte in `*out`. */
static size_t unescape_one(const char *bytes, size_t size, char *out)
{
    static const char plain[] = "\\'\"nrt";
    static const char meant[] = "\\'\"   "; /* Line ends and tabs become blanks. */
    unsigned high = 0;
    unsigned low = 0;
    *out = '\\';
    if (size >= 4 && bytes[1] == 'x' && hex_digit(bytes[2], &high) && hex_digit(bytes[3], &low)) {
        *out = (char)(unsigned char)(high << 4U | low);
        return 4;
    }
    const char *found = size >= 2 && bytes[1] != '\0' ? strchr(plain, bytes[1]) : NULL;
    if (found == NULL) {
        return 1;
    }
    *out = meant[found - plain];
    return 2;
}

bool mail_unescape(struct slice text, struct buffer *out)
{
    if (text.size == 0) {
        return true;
    }
    const char *bytes = text.data;
    if (memchr(bytes, '\\', text.size) == NULL) {
        return buffer_append(out, bytes, text.size); /* A line is clean already. */
    }
    struct buffer raw = {0};
    bool done = buffer_reserve(&raw, text.size);
    for (size_t i = 0; done && i < text.size;) {
        char byte = bytes[i];
        i += byte == '\\' ? unescape_one(bytes + i, text.size - i, &byte) : 1;
        done = buffer_append(&raw, &byte, 1);
    }
    done = done && text_append_clean(out, buffer_slice(&raw));
    buffer_release(&raw);
    return done;
}
