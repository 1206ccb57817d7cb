/*
 * The device side of Security Services Exchange, contract v1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exchange.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/x509.h"
#include "exchange_error.h"
#include "json_read.h"
#include "json_write.h"
#include "store/command.h"

#define CALL_TIMEOUT_MS 30000
#define LIST_RESPONSE_SIZE_MAX ((size_t)2 << 20) /* 1,000 devices at most, and room. */
#define ID_SIZE_MAX 64                           /* Of ids that the cloud gives. */

/* ---- What an answer means ---- */

static void read_code(const json_t *error, unsigned status_code, struct exchange_answer *out)
{
    struct slice code = json_text(error, "code");
    const char *known = exchange_error_text(code);
    char words[JSON_ERROR_SIZE];

    if (!slice_to_text(code, out->code, sizeof out->code) || code.size == 0) {
        (void)snprintf(out->code, sizeof out->code, "http_%u", status_code);
    }
    out->device_id = json_text(error, "device_id");
    json_quote(json_text(error, "message"), words);
    if (known != NULL) {
        reason_say(out->reason, "%s", known);
    } else {
        reason_say(out->reason, "the cloud answered %s%s%s", out->code,
                   words[0] != '\0' ? ": " : "", words);
    }
}

/* 408, 425, 429 and what gateways say may pass; other refusals do not, unless the contract has no
 * part in them. */
static bool may_pass(unsigned code)
{
    return code == 408 || code == 425 || code == 429 || code >= 500 || code < 400;
}

static void read_refusal(enum exchange_kind kind, const struct http_response *response,
                         const json_t *value, struct exchange_answer *out)
{
    const json_t *error = json_object_get(value, "error");
    bool of_contract = json_is_object(error);

    read_code(error, response->code, out);
    out->result = may_pass(response->code) ? EXCHANGE_FAILED : EXCHANGE_REFUSED;
    if (!of_contract && kind != EXCHANGE_REGISTER) {
        out->result = EXCHANGE_FAILED; /* A page on the way does not speak of our device. */
    }
    if (of_contract && (response->code == 404 || response->code == 410)) {
        out->result = EXCHANGE_GONE;
    }
    if (!of_contract && response->code == 404) {
        /* A page of someone else's: never believe that it speaks of our device. */
        out->result = kind == EXCHANGE_REGISTER ? EXCHANGE_REFUSED : EXCHANGE_FAILED;
        reason_say(out->reason, "no device service at this URL (404): check the region and the "
                                "endpoints");
    }
}

static bool is_id(struct slice text)
{
    const char *bytes = text.data;

    for (size_t i = 0; i < text.size; i++) {
        if (!isalnum((unsigned char)bytes[i]) && bytes[i] != '-' && bytes[i] != '_') {
            return false;
        }
    }
    return text.size > 0 && text.size <= ID_SIZE_MAX;
}

static void misunderstood(struct exchange_answer *out, const char *what)
{
    out->result = EXCHANGE_FAILED;
    (void)snprintf(out->code, sizeof out->code, "bad_answer");
    reason_say(out->reason, "the cloud's answer is not readable: %s", what);
}

static void read_registered(const json_t *value, struct exchange_answer *out)
{
    out->device_id = json_text(value, "device_id");
    out->tenant = json_text(json_object_get(value, "tenant"), "id");
    out->certificate = json_text(value, "certificate");
    struct status status = x509_not_after_ms(out->certificate, &out->not_after_ms);

    if (failed(status) || !is_id(out->device_id)) {
        misunderstood(out, failed(status) ? status.message : "no device id");
        return;
    }
    if (out->tenant.size > STORE_ID_SIZE_MAX || out->certificate.size > STORE_PEM_SIZE_MAX) {
        misunderstood(out, "tenant or certificate is too long to be kept");
        return;
    }
    out->result = EXCHANGE_REGISTERED;
}

static void read_registration(const json_t *value, struct exchange_answer *out)
{
    struct slice status = json_text(value, "status");

    out->registration_id = json_text(value, "registration_id");
    if (!is_id(out->registration_id)) {
        misunderstood(out, "no registration id");
    } else if (slice_equal(status, slice_of("in_progress"))) {
        out->result = EXCHANGE_IN_PROGRESS;
    } else if (slice_equal(status, slice_of("registered"))) {
        read_registered(value, out);
    } else if (slice_equal(status, slice_of("failed"))) {
        out->result = EXCHANGE_REFUSED;
        read_code(json_object_get(value, "error"), 200, out);
    } else {
        misunderstood(out, "an unknown registration status");
    }
}

static void read_list(const json_t *value, struct exchange_answer *out)
{
    const json_t *devices = json_object_get(value, "devices");

    if (!json_is_array(devices)) {
        misunderstood(out, "no list of devices");
        return;
    }
    out->result = EXCHANGE_DONE;
    out->listed = json_array_size(devices) > 0;
    out->device_id = json_text(json_array_get(devices, 0), "device_id");
}

static void read_success(enum exchange_kind kind, const json_t *value, struct exchange_answer *out)
{
    switch (kind) {
    case EXCHANGE_REGISTER:
    case EXCHANGE_POLL: read_registration(value, out); break;
    case EXCHANGE_LIST: read_list(value, out); break;
    case EXCHANGE_RENEW: read_registered(value, out); break;
    case EXCHANGE_DELETE:
        out->result = EXCHANGE_DONE;
        if (!json_is_object(value)) {
            misunderstood(out, "no word about the deletion");
        }
        break;
    case EXCHANGE_HEARTBEAT: out->result = EXCHANGE_DONE; break;
    }
}

void exchange_answer_read(enum exchange_kind kind, const struct http_response *response,
                          const json_t *value, struct exchange_answer *out)
{
    *out = (struct exchange_answer){
        .result = EXCHANGE_FAILED,
        .retry_after_s = response->retry_after_s,
    };
    if (failed(response->status)) {
        (void)snprintf(out->code, sizeof out->code, "%s", status_name(response->status.code));
        reason_say(out->reason, "device service: %s; open HTTPS 443 to it, and check DNS and proxy",
                   response->status.message);
        return;
    }
    bool success = response->code >= 200 && response->code <= 202;
    success = success || (kind == EXCHANGE_HEARTBEAT && response->code == 204);
    if (success) {
        read_success(kind, value, out);
    } else {
        read_refusal(kind, response, value, out);
    }
}

/* ---- Calls ---- */

static void release(struct exchange_call *call)
{
    secret_release(&call->body);
    secret_release(&call->key);
    buffer_release(&call->certificate);
}

static void on_response(struct http_call *http, const struct http_response *response)
{
    struct exchange_call *call = http->context;
    json_t *value = json_read(response->body);
    struct exchange_answer answer;

    release(call);
    exchange_answer_read(call->kind, response, value, &answer);
    call->done(call, &answer); /* May use the call again. */
    json_decref(value);
}

static struct status start(struct exchange_call *call, const struct exchange_target *target,
                           const char *method, exchange_done done)
{
    call->done = done;
    call->http = (struct http_call){
        .method = method,
        .url = call->url,
        .headers = {"Accept: application/json"},
        .body = secret_slice(&call->body),
        .timeout_ms = CALL_TIMEOUT_MS,
        .response_size_max = LIST_RESPONSE_SIZE_MAX,
        .ca_pem = target->endpoints != NULL ? target->endpoints->ca_pem : (struct slice){0},
        .certificate_pem = buffer_slice(&call->certificate),
        .key_pem = secret_slice(&call->key),
        .context = call,
    };
    if (call->body.size > 0) {
        call->http.headers[1] = "Content-Type: application/json";
    } else if (target->bearer != NULL) {
        call->http.headers[1] = target->bearer;
    }
    struct status status = http_start(target->http, &call->http, on_response);
    if (failed(status)) {
        release(call);
    }
    return status;
}

static struct status keep_identity(struct exchange_call *call, const struct exchange_target *target)
{
    if (target->key.size == 0) {
        return OK;
    }
    if (!buffer_append(&call->certificate, target->certificate.data, target->certificate.size)) {
        return fail(STATUS_NO_MEMORY, "keep the device certificate");
    }
    return secret_copy(&call->key, target->key);
}

static void put_optional(struct json_writer *json, const char *key, struct slice text)
{
    if (text.size > 0) {
        json_member(json, key, text);
    }
}

static struct status write_registration(const struct exchange_device *device, struct slice token,
                                        struct slice csr, struct secret *out)
{
    struct buffer text = {0};
    struct json_writer json = {.out = &text};

    /* All at once, so that growing leaves no copies of the token behind. */
    json.failed = !buffer_reserve(&text, 4096 + 2 * (csr.size + token.size));
    json_open(&json, '{');
    json_member(&json, "token", token);
    json_key(&json, "device");
    json_open(&json, '{');
    json_member(&json, "name", device->name);
    json_member(&json, "serial", device->serial);
    put_optional(&json, "model", device->model);
    put_optional(&json, "version", device->version);
    put_optional(&json, "ip", device->ip);
    json_close(&json, '}');
    put_optional(&json, "replaces", device->replaces);
    json_member(&json, "csr", csr);
    json_close(&json, '}');

    struct status status = json.failed ? fail(STATUS_NO_MEMORY, "write a registration")
                                       : secret_copy(out, buffer_slice(&text));
    if (text.data != NULL) {
        secret_wipe(text.data, text.capacity);
    }
    buffer_release(&text);
    return status;
}

struct status exchange_register(struct exchange_call *call, const struct exchange_target *target,
                                const struct exchange_device *device, struct slice token,
                                struct slice csr, exchange_done done)
{
    call->kind = EXCHANGE_REGISTER;
    (void)snprintf(call->url, sizeof call->url, "%s/sim/v1/devices:register",
                   region_url(target->region, FAMILY_EXCHANGE, target->endpoints));
    struct status status = write_registration(device, token, csr, &call->body);
    if (failed(status)) {
        return status;
    }
    return start(call, target, "POST", done);
}

/* A serial is the appliance's own text: everything but letters, digits and "-" is escaped. */
static void escape(struct slice text, char *out, size_t out_size)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *bytes = text.data;
    size_t used = 0;

    for (size_t i = 0; i < text.size && used + 4 <= out_size; i++) {
        if (isalnum(bytes[i]) || bytes[i] == '-') {
            out[used++] = (char)bytes[i];
            continue;
        }
        out[used++] = '%';
        out[used++] = digits[bytes[i] >> 4U];
        out[used++] = digits[bytes[i] & 15U];
    }
    out[used] = '\0';
}

/* The id and what stands around it: the URL of a call about one thing. */
static struct status address(struct exchange_call *call, const struct exchange_target *target,
                             const char *before, struct slice id, const char *after)
{
    char escaped[3 * ID_SIZE_MAX + 4];

    if (id.size > ID_SIZE_MAX || (call->kind != EXCHANGE_LIST && !is_id(id))) {
        return fail(STATUS_INVALID, "an id that the cloud cannot have given");
    }
    escape(id, escaped, sizeof escaped);
    (void)snprintf(call->url, sizeof call->url, "%s%s%s%s",
                   region_url(target->region, FAMILY_EXCHANGE, target->endpoints), before, escaped,
                   after);
    struct status status = keep_identity(call, target);
    if (failed(status)) {
        release(call);
    }
    return status;
}

struct status exchange_renew(struct exchange_call *call, const struct exchange_target *target,
                             struct slice device_id, struct slice csr, exchange_done done)
{
    struct buffer text = {0};
    struct json_writer json = {.out = &text};

    call->kind = EXCHANGE_RENEW;
    struct status status =
        address(call, target, "/sim/v1/devices/", device_id, "/certificate:renew");
    if (failed(status)) {
        return status;
    }
    json_open(&json, '{');
    json_member(&json, "csr", csr);
    json_close(&json, '}');
    status = json.failed ? fail(STATUS_NO_MEMORY, "write a renewal")
                         : secret_copy(&call->body, buffer_slice(&text));
    buffer_release(&text);
    if (failed(status)) {
        release(call);
        return status;
    }
    return start(call, target, "POST", done);
}

struct status exchange_ask(struct exchange_call *call, const struct exchange_target *target,
                           enum exchange_kind kind, struct slice id, exchange_done done)
{
    static const struct {
        const char *method;
        const char *before;
        const char *after;
    } rows[] = {
        [EXCHANGE_REGISTER] = {NULL, NULL, NULL},
        [EXCHANGE_POLL] = {"GET", "/sim/v1/registrations/", ""},
        [EXCHANGE_HEARTBEAT] = {"POST", "/sim/v1/devices/", ":heartbeat"},
        [EXCHANGE_RENEW] = {NULL, NULL, NULL},
        [EXCHANGE_DELETE] = {"DELETE", "/sim/v1/devices/", ""},
        [EXCHANGE_LIST] = {"GET", "/sim/v1/devices?serial=", ""},
    };

    assert(rows[kind].method != NULL);
    call->kind = kind;
    struct status status = address(call, target, rows[kind].before, id, rows[kind].after);
    if (failed(status)) {
        return status;
    }
    return start(call, target, rows[kind].method, done);
}

void exchange_cancel(struct exchange_call *call)
{
    http_cancel(&call->http);
    release(call);
}
