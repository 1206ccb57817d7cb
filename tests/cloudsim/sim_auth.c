/*
 * Who is asking: bearers with their scopes and quota, devices with their certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_json.h"
#include "sim_route.h"
#include "sim_scope.h"

/* The words that a family has for one failure. */
static void deny(const struct sim_request *request, struct sim_reply *reply, const char *error,
                 const char *sse_error, const char *description)
{
    sim_reply_denied(reply, request->family, 401, request->family == SIM_SSE ? sse_error : error,
                     description);
}

static void deny_expired(const struct sim *sim, const struct sim_request *request,
                         const struct sim_token *token, struct sim_reply *reply)
{
    char text[160];
    uint64_t ago_s = (sim_now_ms(sim) - token->expires_ms) / 1000 + 1;
    (void)snprintf(text, sizeof text, "(%s) This JWT max lifetime has expired since %" PRIu64 "s",
                   token->jti, ago_s);
    deny(request, reply, request->family == SIM_PRIVATE_INTEL ? "jwt_expired" : "invalid_jwt",
         "bearer_expired", text);
}

/* C1, C2, C2b, C3. A token of the other region is one whose key is not known here (INFERRED). */
static bool check_token(const struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    struct slice authorization = sim_http_header(request->http, "authorization");
    if (authorization.size == 0) {
        deny(request, reply, "invalid_request", "authentication_required",
             "No JWT found in HTTP Authorization header");
        return false;
    }
    const struct sim_token *token = sim_oauth_find(&sim->oauth, authorization);
    if (token == NULL || token->state == SIM_TOKEN_BAD_SIGNATURE ||
        token->region != request->region) {
        deny(request, reply, "jwt_invalid_signature", "bearer_invalid",
             "The JWT signature is invalid");
        return false;
    }
    (void)snprintf(request->record.client, sizeof request->record.client, "%s", token->client_id);
    if (token->state == SIM_TOKEN_REVOKED) {
        deny(request, reply, "jwt_revoked", "bearer_revoked", "The JWT has been revoked");
        return false;
    }
    if (token->expires_ms <= sim_now_ms(sim)) {
        deny_expired(sim, request, token, reply);
        return false;
    }
    request->token = token;
    return true;
}

/* C5, C6. */
static bool check_quota(struct sim *sim, const struct sim_request *request, struct sim_reply *reply)
{
    struct sim_quota *quota = sim_quota_of(sim, request->token->org);
    uint64_t retry_after_s = 0;
    bool taken = sim_quota_take(quota, sim_now_ms(sim), &retry_after_s);
    if (request->family == SIM_VISIBILITY) {
        sim_reply_header(reply, "X-Ratelimit-Org-Limit", "%zu", quota->limit);
        sim_reply_header(reply, "X-Ratelimit-Org-Remaining", "%zu", sim_quota_remaining(quota));
    } else {
        sim_reply_header(reply, "X-RateLimit-GROUP-Limit", "%zu", quota->limit);
    }
    if (!taken) {
        sim_reply_rate_limit(reply, request->family, "seconds", retry_after_s);
    }
    return taken;
}

static void write_scopes(struct buffer *out, const char *list)
{
    const char *separator = "";
    while (*list != '\0') {
        size_t size = strcspn(list, " ");
        sim_print(out, "%s", separator);
        sim_json_slice(out, (struct slice){.data = list, .size = size});
        separator = ",";
        list += size + strspn(list + size, " ");
    }
}

/* C4. */
static bool check_scope(const struct sim_route_row *row, const struct sim_request *request,
                        struct sim_reply *reply)
{
    const struct sim_token *token = request->token;
    if (row->scope == NULL || sim_scope_allows(token->scopes, row->scope)) {
        return true;
    }
    struct buffer *body = sim_reply_begin(reply, 403);
    if (request->family == SIM_PRIVATE_INTEL) {
        sim_print(body,
                  "{\"message\":\"Missing capability\",\"error\":\"missing_capability\","
                  "\"capabilities\":\"%s\",\"owner\":",
                  row->capability);
        sim_json_text(body, token->client_id);
        sim_print(body, "}");
        return false;
    }
    char trace[SIM_UUID_SIZE];
    sim_print(body,
              "{\"error\":\"missing_scope\",\"error_description\":\"You do not have the required "
              "credentials to access this route.\",\"missing-scopes\":[\"%s\"],"
              "\"required-scopes\":[\"%s\"],\"scopes\":[",
              row->scope, row->scope);
    write_scopes(body, token->scopes);
    sim_print(body, "],\"user-id\":\"user1\",\"org-id\":");
    sim_json_text(body, token->org);
    sim_print(body, ",\"trace_id\":\"ctx-%s\"}", sim_uuid(trace));
    return false;
}

static bool deny_device(struct sim_reply *reply, int status, const char *code, const char *message)
{
    sim_reply_code(reply, status, code, message);
    return false;
}

/* The certificate proves a device: it is ours, and one of its last two. */
static bool check_certificate(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    if (request->certificate == NULL) {
        return deny_device(reply, 401, "certificate_required", "no client certificate was sent");
    }
    char digest[SIM_DIGEST_TEXT_SIZE];
    sim_digest_certificate(request->certificate, digest);
    struct sim_device *device = sim_devices_by_certificate(&sim->devices, digest);
    bool current = device != NULL && strcmp(device->certificate.digest, digest) == 0;
    bool previous = device != NULL && strcmp(device->previous.digest, digest) == 0;
    if (device == NULL || device->region != request->region || (!current && !previous)) {
        return deny_device(reply, 401, "certificate_unknown",
                           "this certificate was not issued here, or was replaced");
    }
    (void)snprintf(request->record.device, sizeof request->record.device, "%s", device->id);
    (void)snprintf(request->record.credential, sizeof request->record.credential, "%s", digest);
    if (device->revoked) {
        return deny_device(reply, 401, "certificate_revoked", "this certificate was revoked");
    }
    uint64_t not_after_ms =
        current ? device->certificate.not_after_ms : device->previous.not_after_ms;
    if (not_after_ms <= sim_now_ms(sim)) {
        return deny_device(reply, 401, "certificate_expired",
                           "this certificate has expired; register again");
    }
    request->device = device;
    return true;
}

static bool check_device(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    if (!check_certificate(sim, request, reply)) {
        return false;
    }
    if (strcmp(request->device->id, request->capture) != 0) {
        return deny_device(reply, 403, "wrong_device", "this certificate is another device's");
    }
    return true;
}

static bool check_either(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    if (sim_http_header(request->http, "authorization").size > 0 || request->certificate == NULL) {
        return check_token(sim, request, reply);
    }
    if (!check_certificate(sim, request, reply)) {
        return false;
    }
    if (request->device->state == SIM_DEVICE_GONE) {
        return deny_device(reply, 401, "certificate_unknown", "this device is gone");
    }
    return true;
}

bool sim_authenticate(struct sim *sim, const struct sim_route_row *row, struct sim_request *request,
                      struct sim_reply *reply)
{
    switch (row->auth) {
    case SIM_AUTH_NONE: return true;
    case SIM_AUTH_BEARER:
        return check_token(sim, request, reply) && check_quota(sim, request, reply) &&
               check_scope(row, request, reply);
    case SIM_AUTH_DEVICE: return check_device(sim, request, reply);
    case SIM_AUTH_EITHER: return check_either(sim, request, reply);
    }
    return false;
}
