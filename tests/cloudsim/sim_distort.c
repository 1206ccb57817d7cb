/*
 * Spoiling replies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_distort.h"

#include <string.h>

#include "sim_json.h"
#include "sim_map.h"

#define STORED_BLOCK_SIZE_MAX 65535 /* RFC 1951, 3.2.4 */

static void make_status(const struct sim_fault *fault, enum sim_family family,
                        struct sim_reply *reply)
{
    if (strcmp(fault->body, "html") == 0) {
        sim_reply_html(reply, (int)fault->status);
    } else if (strcmp(fault->body, "empty") == 0) {
        (void)sim_reply_begin(reply, (int)fault->status);
    } else {
        sim_reply_internal(reply, family, (int)fault->status);
    }
    if (fault->retry_after[0] != '\0') {
        sim_reply_header(reply, "Retry-After", "%s", fault->retry_after);
    }
}

bool sim_distort_before(const struct sim_fault *fault, enum sim_family family,
                        struct sim_reply *reply)
{
    switch (fault->action) {
    case SIM_FAULT_STATUS: make_status(fault, family, reply); return true;
    case SIM_FAULT_RATE_LIMIT:
        sim_reply_rate_limit(reply, family, fault->variant, fault->seconds);
        return true;
    case SIM_FAULT_UNAUTHORIZED:
        sim_reply_denied(reply, family, 401, fault->error, "The token is not accepted");
        return true;
    case SIM_FAULT_RESET: reply->delivery = SIM_DELIVER_RESET; return true;
    case SIM_FAULT_CLOSE: reply->delivery = SIM_DELIVER_CLOSE; return true;
    case SIM_FAULT_DELAY:
    case SIM_FAULT_CLOSE_AFTER_APPLY:
    case SIM_FAULT_RESET_AFTER_APPLY:
    case SIM_FAULT_TLS_FAILURE:
    case SIM_FAULT_WRONG_CERTIFICATE:
    case SIM_FAULT_STALL:
    case SIM_FAULT_CUT_BODY:
    case SIM_FAULT_TRUNCATE_JSON:
    case SIM_FAULT_HTML_200:
    case SIM_FAULT_GZIP:
    case SIM_FAULT_CHUNKED:
    case SIM_FAULT_LARGE_BODY:
    case SIM_FAULT_ENTITY_ERROR:
    case SIM_FAULT_STUCK:
    case SIM_FAULT_REGISTRATION_FAILED:
    case SIM_FAULT_ACTION_COUNT: break;
    }
    return false;
}

/* CRC-32 of RFC 1952, a bit at a time: replies are small. */
static uint32_t crc32_of(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320U : 0);
        }
    }
    return ~crc;
}

static void append_u32(struct buffer *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        char byte = (char)(value >> (8 * i) & 0xFF);
        sim_need(buffer_append(out, &byte, 1));
    }
}

/* A gzip member of stored blocks: what a client must undo is the coding, not the compression. */
static void gzip(struct sim_reply *reply)
{
    static const unsigned char head[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255};
    struct buffer out = {0};
    size_t at = 0;
    sim_need(buffer_append(&out, head, sizeof head));
    do {
        size_t left = reply->body.size - at;
        size_t size = left < STORED_BLOCK_SIZE_MAX ? left : STORED_BLOCK_SIZE_MAX;
        unsigned char block[] = {size == left, (unsigned char)(size & 0xFF),
                                 (unsigned char)(size >> 8), (unsigned char)(~size & 0xFF),
                                 (unsigned char)(~size >> 8 & 0xFF)};
        sim_need(buffer_append(&out, block, sizeof block) &&
                 buffer_append(&out, reply->body.data + at, size));
        at += size;
    } while (at < reply->body.size);
    append_u32(&out, crc32_of(buffer_slice(&reply->body)));
    append_u32(&out, (uint32_t)reply->body.size);
    buffer_release(&reply->body);
    reply->body = out;
    sim_reply_header(reply, "Content-Encoding", "gzip");
}

static void enlarge(struct sim_reply *reply, uint64_t size)
{
    struct buffer *body = &reply->body;
    if (body->size < 2 || body->data[body->size - 1] != '}') {
        return;
    }
    body->size--;
    sim_print(body, "%s\"padding\":\"", body->size > 1 ? "," : "");
    sim_need(buffer_reserve(body, size));
    memset(body->data + body->size, 'x', size);
    body->size += size;
    sim_print(body, "\"}");
}

void sim_distort_after(const struct sim_fault *fault, struct sim_reply *reply)
{
    switch (fault->action) {
    case SIM_FAULT_CLOSE_AFTER_APPLY: reply->delivery = SIM_DELIVER_CLOSE; break;
    case SIM_FAULT_RESET_AFTER_APPLY: reply->delivery = SIM_DELIVER_RESET; break;
    case SIM_FAULT_STALL:
        reply->delivery = SIM_DELIVER_STALLED;
        reply->stall_ms = fault->stall_ms;
        break;
    case SIM_FAULT_CUT_BODY: reply->delivery = SIM_DELIVER_CUT; break;
    case SIM_FAULT_TRUNCATE_JSON: reply->body.size /= 2; break;
    case SIM_FAULT_HTML_200: sim_reply_html(reply, 200); break;
    case SIM_FAULT_GZIP: gzip(reply); break;
    case SIM_FAULT_CHUNKED: reply->chunked = true; break;
    case SIM_FAULT_LARGE_BODY: enlarge(reply, fault->size); break;
    case SIM_FAULT_DELAY:
    case SIM_FAULT_STATUS:
    case SIM_FAULT_RATE_LIMIT:
    case SIM_FAULT_UNAUTHORIZED:
    case SIM_FAULT_RESET:
    case SIM_FAULT_CLOSE:
    case SIM_FAULT_TLS_FAILURE:
    case SIM_FAULT_WRONG_CERTIFICATE:
    case SIM_FAULT_ENTITY_ERROR:
    case SIM_FAULT_STUCK:
    case SIM_FAULT_REGISTRATION_FAILED:
    case SIM_FAULT_ACTION_COUNT: break;
    }
}
