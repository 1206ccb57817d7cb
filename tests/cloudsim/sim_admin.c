/*
 * Handlers of the admin listener that change something.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sim_json.h"
#include "sim_map.h"
#include "sim_route.h"

#define TIME_S_MAX (20ULL * 365 * 86400)
#define LATENCY_MS_MAX 600000

static void refuse(struct sim_reply *reply, int status, const char *message)
{
    sim_reply_code(reply, status, status == 404 ? "not_found" : "invalid_request", message);
}

static void done(struct sim_reply *reply)
{
    sim_reply_text(reply, 200, NULL, "{}");
}

/* Read the body against a table; the reply is made if it does not fit. The object keeps what the
 * texts point to. */
static json_t *read_body(const struct sim_request *request, const struct sim_field *fields,
                         size_t count, struct sim_reply *reply)
{
    json_t *object = sim_json_object(request->http->body);
    if (object == NULL) {
        refuse(reply, 400, "the body is not a JSON object");
        return NULL;
    }
    struct status status = sim_fields_read(object, fields, count);
    if (failed(status)) {
        refuse(reply, 400, status.message);
        json_decref(object);
        return NULL;
    }
    return object;
}

#define READ_BODY(request, fields, reply)                                                          \
    read_body((request), (fields), sizeof(fields) / sizeof((fields)[0]), (reply))

void sim_admin_health(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    sim_print(sim_reply_begin(reply, 200), "{\"status\":\"ok\",\"now_ms\":%" PRIu64 "}",
              sim_now_ms(sim));
}

/* A list in one text, or an array of texts. */
static bool read_scopes(json_t *scopes, char out[SIM_SCOPES_SIZE])
{
    size_t index;
    json_t *item;
    if (json_is_string(scopes)) {
        return slice_to_text(slice_of(json_string_value(scopes)), out, SIM_SCOPES_SIZE);
    }
    if (!json_is_array(scopes)) {
        return false;
    }
    out[0] = '\0';
    json_array_foreach(scopes, index, item)
    {
        size_t size = strlen(out);
        const char *text = json_string_value(item);
        if (text == NULL || size + strlen(text) + 2 > SIM_SCOPES_SIZE) {
            return false;
        }
        (void)snprintf(out + size, SIM_SCOPES_SIZE - size, "%s%s", size > 0 ? " " : "", text);
    }
    return true;
}

static struct status put_client(struct sim *sim, json_t *object)
{
    const char *id = NULL;
    const char *password = NULL;
    const char *region = NULL;
    const char *org = "org-1";
    json_t *scopes = NULL;
    const struct sim_field fields[] = {
        {"id", SIM_FIELD_TEXT, true, SIM_NAME_SIZE - 1, &id},
        {"password", SIM_FIELD_TEXT, true, 512, &password},
        {"region", SIM_FIELD_TEXT, true, 0, &region},
        {"org", SIM_FIELD_TEXT, false, SIM_NAME_SIZE - 1, &org},
        {"scopes", SIM_FIELD_JSON, true, 0, &scopes},
    };
    struct sim_client client = {0};
    struct status status = SIM_FIELDS_READ(object, fields);
    if (failed(status)) {
        return status;
    }
    if (!sim_region_parse(region, &client.region)) {
        return fail(STATUS_INVALID, "region is nam or eu");
    }
    if (!read_scopes(scopes, client.scopes)) {
        return fail(STATUS_INVALID, "scopes is a text or an array of texts, not too long");
    }
    (void)snprintf(client.id, sizeof client.id, "%s", id);
    (void)snprintf(client.org, sizeof client.org, "%s", org);
    sim_digest(slice_of(password), client.password_digest);
    return sim_oauth_put(&sim->oauth, &client);
}

struct status sim_admin_clients(struct sim *sim, struct slice json)
{
    size_t index;
    json_t *object;
    json_t *list = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
    struct status status = json_is_array(list) ? OK : fail(STATUS_INVALID, "not a JSON array");
    json_array_foreach(list, index, object)
    {
        if (!failed(status)) {
            status = json_is_object(object) ? put_client(sim, object)
                                            : fail(STATUS_INVALID, "not an object");
        }
    }
    json_decref(list);
    return status;
}

void sim_admin_client(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    json_t *object = sim_json_object(request->http->body);
    if (object == NULL) {
        refuse(reply, 400, "the body is not a JSON object");
        return;
    }
    struct status status = put_client(sim, object);
    if (failed(status)) {
        refuse(reply, 400, status.message);
    } else {
        done(reply);
    }
    json_decref(object);
}

/* Tokens that were never good are made up here and stored nowhere. */
static bool make_bad_token(const char *kind, char text[SIM_REG_TOKEN_SIZE])
{
    bool malformed = strcmp(kind, "malformed") == 0;
    if (!malformed && strcmp(kind, "unknown") != 0) {
        return false;
    }
    (void)snprintf(text, SIM_REG_TOKEN_SIZE, "%016" PRIx64 "%016" PRIx64, random_u64(),
                   random_u64());
    if (malformed) {
        text[7] = 'Z';
    }
    return true;
}

static void make_token(struct sim *sim, const char *kind, struct sim_reg_token *token,
                       struct sim_reply *reply)
{
    char text[SIM_REG_TOKEN_SIZE];
    if (!make_bad_token(kind, text)) {
        token->used = strcmp(kind, "used") == 0;
        if (strcmp(kind, "expired") == 0) {
            token->expires_ms = sim_now_ms(sim);
        } else if (!token->used && strcmp(kind, "valid") != 0) {
            refuse(reply, 400, "kind is valid, expired, used, unknown or malformed");
            return;
        }
        struct status status = sim_devices_add_token(&sim->devices, token, text);
        if (failed(status)) {
            refuse(reply, 400, status.message);
            return;
        }
    }
    sim_print(sim_reply_begin(reply, 200), "{\"token\":\"%s\"}", text);
}

void sim_admin_reg_token(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const char *region = NULL;
    const char *kind = "valid";
    const char *org = "org-1";
    uint64_t ttl_s = 3600;
    const struct sim_field fields[] = {
        {"region", SIM_FIELD_TEXT, true, 0, &region},
        {"ttl_s", SIM_FIELD_U64, false, TIME_S_MAX, &ttl_s},
        {"kind", SIM_FIELD_TEXT, false, 0, &kind},
        {"org", SIM_FIELD_TEXT, false, SIM_NAME_SIZE - 1, &org},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    struct sim_reg_token token = {.expires_ms = sim_now_ms(sim) + ttl_s * 1000};
    (void)snprintf(token.org, sizeof token.org, "%s", org);
    if (sim_region_parse(region, &token.region)) {
        make_token(sim, kind, &token, reply);
    } else {
        refuse(reply, 400, "region is nam or eu");
    }
    json_decref(object);
}

void sim_admin_advance(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    double s = 0;
    const struct sim_field fields[] = {{"s", SIM_FIELD_REAL, true, TIME_S_MAX, &s}};
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    sim->ahead_ms += (uint64_t)(s * 1000);
    sim_print(sim_reply_begin(reply, 200), "{\"now_ms\":%" PRIu64 "}", sim_now_ms(sim));
    json_decref(object);
}

void sim_admin_quota(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t limit = SIM_QUOTA_LIMIT;
    uint64_t window_s = SIM_QUOTA_WINDOW_S;
    const char *org = NULL;
    const struct sim_field fields[] = {
        {"limit", SIM_FIELD_U64, false, SIM_QUOTA_LIMIT_MAX, &limit},
        {"window_s", SIM_FIELD_U64, false, TIME_S_MAX, &window_s},
        {"org", SIM_FIELD_TEXT, false, SIM_NAME_SIZE - 1, &org},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    if (limit == 0 || window_s == 0) {
        refuse(reply, 400, "limit and window_s are at least 1");
    } else {
        sim_set_quota(sim, org, limit, window_s * 1000);
        done(reply);
    }
    json_decref(object);
}

void sim_admin_lifetime(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t lifetime_s = SIM_TOKEN_LIFETIME_S;
    bool omit = false;
    const struct sim_field fields[] = {
        {"s", SIM_FIELD_U64, true, TIME_S_MAX, &lifetime_s},
        {"omit", SIM_FIELD_BOOL, false, 0, &omit},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    sim->oauth.lifetime_s = lifetime_s;
    sim->oauth.omit_lifetime = omit;
    done(reply);
    json_decref(object);
}

void sim_admin_revoke(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const char *client_id = NULL;
    const char *how = "revoked";
    const struct sim_field fields[] = {
        {"client_id", SIM_FIELD_TEXT, false, 0, &client_id},
        {"how", SIM_FIELD_TEXT, false, 0, &how},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    bool forged = strcmp(how, "invalid_signature") == 0;
    if (!forged && strcmp(how, "revoked") != 0) {
        refuse(reply, 400, "how is revoked or invalid_signature");
    } else {
        sim_oauth_revoke(&sim->oauth, client_id,
                         forged ? SIM_TOKEN_BAD_SIGNATURE : SIM_TOKEN_REVOKED);
        done(reply);
    }
    json_decref(object);
}

static void set_latency(struct sim *sim, enum sim_family family, uint64_t ms, uint64_t jitter_ms)
{
    sim->latency_ms[family] = ms;
    sim->jitter_ms[family] = jitter_ms;
}

void sim_admin_latency(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t ms = 0;
    uint64_t jitter_ms = 0;
    const char *name = NULL;
    const struct sim_field fields[] = {
        {"ms", SIM_FIELD_U64, true, LATENCY_MS_MAX, &ms},
        {"jitter_ms", SIM_FIELD_U64, false, LATENCY_MS_MAX, &jitter_ms},
        {"family", SIM_FIELD_TEXT, false, 0, &name},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    enum sim_family only = SIM_ADMIN;
    bool known = name == NULL || sim_family_parse(name, &only);
    for (unsigned i = 0; name == NULL && i < SIM_ADMIN; i++) {
        set_latency(sim, (enum sim_family)i, ms, jitter_ms);
    }
    if (name != NULL && known) {
        set_latency(sim, only, ms, jitter_ms);
    }
    json_decref(object);
    if (!known) {
        refuse(reply, 400, "family is visibility, private-intel or sse");
        return;
    }
    done(reply);
}

void sim_admin_refresh(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t delay_ms = 0;
    bool waits = true;
    const struct sim_field fields[] = {
        {"delay_ms", SIM_FIELD_U64, true, LATENCY_MS_MAX, &delay_ms},
        {"wait_for", SIM_FIELD_BOOL, false, 0, &waits},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    sim->refresh_ms = delay_ms;
    sim->refresh_waits = waits;
    done(reply);
    json_decref(object);
}

void sim_admin_registration(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    struct sim_devices *devices = &sim->devices;
    const struct sim_field fields[] = {
        {"delay_ms", SIM_FIELD_U64, false, LATENCY_MS_MAX, &devices->delay_ms},
        {"deregistration_delay_ms", SIM_FIELD_U64, false, LATENCY_MS_MAX,
         &devices->deregistration_delay_ms},
        {"certificate_days", SIM_FIELD_U64, false, 3650, &devices->certificate_days},
        {"certificate_s", SIM_FIELD_U64, false, 86400, &devices->certificate_s},
    };
    json_t *object = READ_BODY(request, fields, reply);
    if (object != NULL) {
        done(reply);
        json_decref(object);
    }
}

void sim_admin_fault(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t id;
    struct status status = sim_faults_add(&sim->faults, request->http->body, &id);
    if (failed(status)) {
        refuse(reply, 400, status.message);
        return;
    }
    sim_print(sim_reply_begin(reply, 200), "{\"fault_id\":%" PRIu64 "}", id);
}

void sim_admin_faults(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    sim_faults_write(&sim->faults, sim_reply_begin(reply, 200));
}

void sim_admin_faults_delete(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    (void)sim_faults_remove(&sim->faults, 0);
    done(reply);
}

void sim_admin_fault_delete(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    uint64_t id = strtoull(request->capture, NULL, 10);
    if (id == 0 || !sim_faults_remove(&sim->faults, id)) {
        refuse(reply, 404, "no such fault script");
        return;
    }
    done(reply);
}

/* What an administrator does to a device in the portal. */
static void move_device(struct sim *sim, const struct sim_request *request,
                        enum sim_device_state next, struct sim_reply *reply)
{
    struct sim_device *device = sim_devices_by_id(&sim->devices, request->capture);
    if (device == NULL) {
        refuse(reply, 404, "no such device");
    } else if (!sim_device_become(device, next)) {
        sim_reply_code(reply, 409, "wrong_state", sim_device_state_name(device->state));
    } else {
        done(reply);
    }
}

void sim_admin_device_delete(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    move_device(sim, request, SIM_DEVICE_GONE, reply);
}

void sim_admin_device_suspend(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    move_device(sim, request, SIM_DEVICE_SUSPENDED, reply);
}

void sim_admin_device_resume(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    move_device(sim, request, SIM_DEVICE_REGISTERED, reply);
}

void sim_admin_device_revoke(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    struct sim_device *device = sim_devices_by_id(&sim->devices, request->capture);
    if (device == NULL) {
        refuse(reply, 404, "no such device");
        return;
    }
    device->revoked = true;
    done(reply);
}

void sim_admin_tenant(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    bool disabled = false;
    const struct sim_field fields[] = {{"disabled", SIM_FIELD_BOOL, true, 0, &disabled}};
    json_t *object = READ_BODY(request, fields, reply);
    if (object == NULL) {
        return;
    }
    sim_devices_disable(&sim->devices, request->capture, disabled);
    done(reply);
    json_decref(object);
}
