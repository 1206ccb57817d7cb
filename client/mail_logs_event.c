/*
 * What a mail_logs line says, outside of "MID n ...": connections, deliveries, headers.
 *
 * Lines are told apart by how they begin; the rows at the end of the file are the list of shapes.
 * A row's function may still refuse a line, which then is unknown and counted, never an error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "client/record.h"
#include "mail_logs_parse.h"
#include "text_scan.h"

static const char *const kind_names[MAIL_EVENT_KIND_COUNT] = {
    [MAIL_UNKNOWN] = "unknown",
    [MAIL_LOG_BEGIN] = "log_begin",
    [MAIL_VERSION] = "version",
    [MAIL_OFFSET] = "utc_offset",
    [MAIL_ASIDE] = "aside",
    [MAIL_ICID_NEW] = "icid_new",
    [MAIL_ICID_GROUP] = "icid_group",
    [MAIL_ICID_TLS] = "icid_tls",
    [MAIL_ICID_CLOSE] = "icid_close",
    [MAIL_DCID_NEW] = "dcid_new",
    [MAIL_DCID_CLOSE] = "dcid_close",
    [MAIL_CONNECTION_NOTE] = "connection_note",
    [MAIL_START] = "start",
    [MAIL_FROM] = "from",
    [MAIL_TO] = "to",
    [MAIL_TO_REJECTED] = "to_rejected",
    [MAIL_MESSAGE_ID] = "message_id",
    [MAIL_SUBJECT] = "subject",
    [MAIL_READY] = "ready",
    [MAIL_POLICY] = "policy",
    [MAIL_VERDICT] = "verdict",
    [MAIL_ATTACHMENT] = "attachment",
    [MAIL_FILE] = "file",
    [MAIL_URL] = "url",
    [MAIL_SPLIT] = "split",
    [MAIL_SPLIT_FROM] = "split_from",
    [MAIL_GENERATED] = "generated",
    [MAIL_REWRITTEN] = "rewritten",
    [MAIL_REWRITTEN_FROM] = "rewritten_from",
    [MAIL_DELIVERY_START] = "delivery_start",
    [MAIL_DELIVERED] = "delivered",
    [MAIL_RESPONSE] = "response",
    [MAIL_BOUNCED] = "bounced",
    [MAIL_DELAYED] = "delayed",
    [MAIL_QUARANTINED] = "quarantined",
    [MAIL_RELEASED] = "released",
    [MAIL_DROPPED] = "dropped",
    [MAIL_ABORTED] = "aborted",
    [MAIL_FINISHED] = "finished",
    [MAIL_NOTE] = "note",
};

const char *mail_event_kind_name(enum mail_event_kind kind)
{
    return (unsigned)kind < MAIL_EVENT_KIND_COUNT ? kind_names[kind] : "unknown";
}

bool mail_scan_id(struct slice *rest, const char *literal, uint64_t *out)
{
    struct slice at = *rest;
    if (!scan_literal(&at, literal) || !scan_number(&at, RECORD_NUMBER_MAX, out)) {
        return false;
    }
    if (at.size > 0 && !scan_literal(&at, " ")) {
        return false;
    }
    scan_blanks(&at);
    *rest = at;
    return true;
}

static bool scan_mid(struct slice *rest, struct mail_event *out)
{
    out->has_mid = mail_scan_id(rest, "MID ", &out->mid);
    return out->has_mid;
}

/* "RID [0, 1] ": how many. Older releases leave the brackets out, for one recipient. */
static bool scan_rids(struct slice *rest, uint64_t *out)
{
    struct slice rids;
    uint64_t rid = 0;
    *out = 1;
    if (!scan_literal(rest, "RID ")) {
        return false;
    }
    if (!scan_literal(rest, "[")) {
        return scan_number(rest, RECORD_NUMBER_MAX, &rid);
    }
    if (!scan_until(rest, "]", &rids)) {
        return false;
    }
    const char *bytes = rids.data;
    for (size_t i = 0; i < rids.size; i++) {
        *out += bytes[i] == ',';
    }
    scan_blanks(rest);
    return true;
}

static bool parse_begin(struct slice rest, struct mail_event *out)
{
    (void)rest;
    out->kind = MAIL_LOG_BEGIN;
    return true;
}

static bool parse_aside(struct slice rest, struct mail_event *out)
{
    (void)rest;
    out->kind = MAIL_ASIDE;
    return true;
}

static bool parse_version(struct slice rest, struct mail_event *out)
{
    struct slice version;
    out->kind = MAIL_VERSION;
    return scan_word(&rest, &version) && scan_literal(&rest, "SN: ") &&
           scan_word(&rest, &out->text) && out->text.size <= RECORD_SERIAL_SIZE_MAX;
}

static bool parse_offset(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_OFFSET;
    out->flag = scan_literal(&rest, "-");
    return scan_number(&rest, MAIL_OFFSET_MAX_S, &out->number) && scan_literal(&rest, " seconds");
}

/* "60140291 interface Data 1 (192.0.2.1) address 198.51.100.7 reverse dns host h.test verified no"
 * The interface's name is free text, so the address is looked for behind it. */
static bool parse_new_icid(struct slice rest, struct mail_event *out)
{
    struct slice interface;
    out->kind = MAIL_ICID_NEW;
    if (!mail_scan_id(&rest, "", &out->icid) || !scan_until(&rest, "address ", &interface) ||
        !scan_word(&rest, &out->text)) {
        return false;
    }
    if (!scan_literal(&rest, "reverse dns host ") || !scan_word(&rest, &out->more)) {
        return true;
    }
    out->flag = scan_begins(rest, "verified yes");
    return true;
}

static bool parse_new_dcid(struct slice rest, struct mail_event *out)
{
    struct slice interface;
    out->kind = MAIL_DCID_NEW;
    return mail_scan_id(&rest, "", &out->dcid) && scan_until(&rest, "address ", &interface) &&
           scan_word(&rest, &out->text);
}

/* "SG UNKNOWNLIST match sbrs[-2.0:10.0] SBRS -0.9 country Japan" */
static bool parse_group(struct slice rest, struct mail_event *out)
{
    struct slice match;
    out->kind = MAIL_ICID_GROUP;
    if (!scan_literal(&rest, "SG ") || !scan_word(&rest, &out->more)) {
        return false;
    }
    if (scan_until(&rest, "SBRS ", &match)) {
        scan_word(&rest, &out->third);
    }
    return true;
}

/* "TLSv1 cipher AES128-SHA for example.com": protocol and cipher stand together in the result. */
static bool parse_icid_tls(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_ICID_TLS;
    return scan_word(&rest, &out->text) && scan_literal(&rest, "cipher ") &&
           scan_word(&rest, &out->more);
}

static bool parse_icid(struct slice rest, struct mail_event *out)
{
    static const char *const actions[] = {"ACCEPT", "RELAY", "REJECT", "TCPREFUSE", "CONTINUE"};
    if (!mail_scan_id(&rest, "", &out->icid)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        struct slice at = rest;
        if (scan_literal(&at, actions[i]) && scan_literal(&at, " ")) {
            out->text = (struct slice){.data = rest.data, .size = strlen(actions[i])};
            return parse_group(at, out);
        }
    }
    if (scan_literal(&rest, "TLS success protocol ")) {
        return parse_icid_tls(rest, out);
    }
    out->kind = MAIL_CONNECTION_NOTE;
    if (scan_begins(rest, "close") || scan_begins(rest, "lost")) {
        out->kind = MAIL_ICID_CLOSE;
    }
    return true;
}

static bool parse_dcid(struct slice rest, struct mail_event *out)
{
    if (!mail_scan_id(&rest, "", &out->dcid)) {
        return false;
    }
    out->kind = scan_begins(rest, "close") ? MAIL_DCID_CLOSE : MAIL_CONNECTION_NOTE;
    return true;
}

static bool parse_start(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_START;
    return scan_mid(&rest, out) && mail_scan_id(&rest, "ICID ", &out->icid);
}

/* "7 MID 9 to RID [0]", behind "Delivery start DCID " or "RPC Delivery start RCID ". */
static bool parse_delivery_start(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_DELIVERY_START;
    return mail_scan_id(&rest, "", &out->dcid) && scan_mid(&rest, out);
}

static bool parse_rpc_start(struct slice rest, struct mail_event *out)
{
    uint64_t rcid = 0;
    out->kind = MAIL_NOTE;
    return mail_scan_id(&rest, "", &rcid) && scan_mid(&rest, out);
}

static bool parse_rpc_done(struct slice rest, struct mail_event *out)
{
    uint64_t rcid = 0;
    out->kind = MAIL_QUARANTINED;
    return mail_scan_id(&rest, "", &rcid) && scan_mid(&rest, out);
}

static bool parse_done(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_DELIVERED;
    if (!mail_scan_id(&rest, "DCID ", &out->dcid) || !scan_mid(&rest, out) ||
        !scan_literal(&rest, "to ") || !scan_rids(&rest, &out->number)) {
        return false;
    }
    out->flag = scan_begins(rest, "(external quarantine)");
    return true;
}

/* Behind "Bounced: " and "Delayed: ": "DCID 7 MID 9 to RID 0 - 5.1.0 - why", or, from newer ones,
 * "DCID 7 MID 9 From: <a> To: <b> RID 0 - 5.1.0 - why". */
static bool parse_failure(struct slice rest, struct mail_event *out)
{
    struct slice before;
    if (!mail_scan_id(&rest, "DCID ", &out->dcid) || !scan_mid(&rest, out)) {
        return false;
    }
    out->number = 1;
    struct slice at = rest;
    if (scan_until(&at, "RID ", &before)) {
        struct slice rids = {.data = (const char *)at.data - 4, .size = at.size + 4};
        rest = scan_rids(&rids, &out->number) ? rids : rest;
        scan_blanks(&rest);
    }
    scan_literal(&rest, "- ");
    out->text = rest;
    return true;
}

static bool parse_bounced(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_BOUNCED;
    return parse_failure(rest, out);
}

static bool parse_delayed(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_DELAYED;
    return parse_failure(rest, out);
}

/* "MID 9 Dropped by CASE", "MID 9 Receiving aborted by sender" */
static bool parse_aborted(struct slice rest, struct mail_event *out)
{
    if (!scan_mid(&rest, out)) {
        return false;
    }
    out->kind = MAIL_ABORTED;
    out->text = rest;
    if (scan_begins(rest, "Dropped") || scan_begins(rest, "dropped")) {
        out->kind = MAIL_DROPPED;
    }
    return true;
}

static bool parse_finished(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_FINISHED;
    if (!scan_mid(&rest, out)) {
        return false;
    }
    out->text = rest;
    return true;
}

/* "548799 to RID [7] pending till Mon Aug 10 09:56:56 2020", behind "Message " */
static bool parse_pending(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_DELAYED;
    out->has_mid = true;
    if (!mail_scan_id(&rest, "", &out->mid) || !scan_literal(&rest, "to ") ||
        !scan_rids(&rest, &out->number)) {
        return false;
    }
    out->text = rest;
    return true;
}

static bool parse_tagged(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_NOTE; /* Said before the delivery to the quarantine, which may yet fail. */
    return scan_mid(&rest, out);
}

static bool parse_spam_quarantined(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_QUARANTINED;
    out->text = slice_of("spam quarantine");
    return scan_mid(&rest, out);
}

static bool parse_spam_released(struct slice rest, struct mail_event *out)
{
    out->kind = MAIL_RELEASED;
    return scan_mid(&rest, out);
}

static bool parse_mid(struct slice rest, struct mail_event *out)
{
    out->has_mid = mail_scan_id(&rest, "", &out->mid);
    return out->has_mid && mail_message_parse(rest, out);
}

static const struct mail_shape shapes[] = {
    {"MID ", parse_mid},
    {"ICID ", parse_icid},
    {"DCID ", parse_dcid},
    {"New SMTP ICID ", parse_new_icid},
    {"New SMTP DCID ", parse_new_dcid},
    {"Start ", parse_start},
    {"Delivery start DCID ", parse_delivery_start},
    {"Message done ", parse_done},
    {"Message finished ", parse_finished},
    {"Message aborted ", parse_aborted},
    {"Message ", parse_pending},
    {"Bounced: ", parse_bounced},
    {"Delayed: ", parse_delayed},
    {"ISQ: Tagging ", parse_tagged},
    {"EUQ: Tagging ", parse_tagged},
    {"ISQ: Quarantined ", parse_spam_quarantined},
    {"EUQ: Quarantined ", parse_spam_quarantined},
    {"ISQ: Released ", parse_spam_released},
    {"EUQ: Released ", parse_spam_released},
    {"RPC Delivery start RCID ", parse_rpc_start},
    {"RPC Message done RCID ", parse_rpc_done},
    {"File reputation query initiating.", mail_file_parse},
    {"Response received for file reputation query", mail_file_parse},
    {"File not uploaded for analysis.", mail_file_parse},
    {"File uploaded for analysis.", mail_file_parse},
    {"Retrospective verdict received.", parse_aside},
    {"Begin Logfile", parse_begin},
    {"End Logfile", parse_aside},
    {"Logfile rolled over", parse_aside},
    {"Version: ", parse_version},
    {"Time offset from UTC: ", parse_offset},
    {"CASE cache status: ", parse_aside},
    {"SenderBase upload: ", parse_aside},
    {"Internal SMTP ", parse_aside},
    {"A System/", parse_aside},
    {"RPC ", parse_aside},
    {"New SMTP ", parse_aside},
};

struct mail_event mail_event_parse(struct slice text)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct mail_event event = {0};
        struct slice rest = text;
        if (!scan_literal(&rest, shapes[i].begins)) {
            continue;
        }
        if (shapes[i].parse(rest, &event)) {
            return event;
        }
        break;
    }
    struct mail_event unknown = {.kind = MAIL_UNKNOWN};
    unknown.has_mid = mail_scan_id(&text, "MID ", &unknown.mid);
    return unknown;
}
