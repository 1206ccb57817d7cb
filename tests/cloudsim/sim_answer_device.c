/*
 * Handlers of the sse family: devices, contract v1 of README.md (all INFERRED).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sim_json.h"
#include "sim_map.h"
#include "sim_route.h"

#define CSR_SIZE_MAX 16384
#define LIST_MAX 1000

static void write_refusal(const struct sim_refusal *refusal, struct sim_reply *reply)
{
    sim_reply_code(reply, refusal->status, refusal->code, refusal->message);
    if (refusal->device_id != NULL) {
        reply->body.size -= 2; /* Reopen the error object. */
        sim_print(&reply->body, ",\"device_id\":\"%s\"}}", refusal->device_id);
    }
}

static void write_certificate(const struct sim_device *device, struct buffer *out)
{
    char at[CLOCK_TEXT_SIZE];
    sim_print(out, ",\"certificate\":");
    sim_json_slice(out, buffer_slice(&device->certificate.pem));
    sim_print(out, ",\"not_after\":\"%s\"}", clock_format(device->certificate.not_after_ms, at));
}

static void write_registration(const struct sim_device *device, struct buffer *out)
{
    sim_print(out, "{\"registration_id\":\"%s\"", device->registration_id);
    if (device->state == SIM_DEVICE_IN_PROGRESS) {
        sim_print(out, ",\"status\":\"in_progress\"}");
        return;
    }
    if (device->state == SIM_DEVICE_FAILED) {
        sim_print(out, ",\"status\":\"failed\",\"error\":{\"code\":\"enrolment_failed\","
                       "\"message\":\"the device could not be enrolled; get a new token\"}}");
        return;
    }
    sim_print(out,
              ",\"status\":\"registered\",\"device_id\":\"%s\",\"tenant\":{\"id\":", device->id);
    sim_json_text(out, device->org);
    sim_print(out, ",\"name\":");
    sim_json_text(out, device->org);
    sim_print(out, "}");
    write_certificate(device, out);
}

static struct status read_register(json_t *body, struct sim_registration *request)
{
    json_t *device = NULL;
    const struct sim_field fields[] = {
        {"token", SIM_FIELD_TEXT, true, 1024, &request->token},
        {"device", SIM_FIELD_JSON, true, 0, &device},
        {"csr", SIM_FIELD_TEXT, true, CSR_SIZE_MAX, &request->csr},
        {"replaces", SIM_FIELD_TEXT, false, SIM_FIELD_SIZE - 1, &request->replaces},
    };
    const struct sim_field device_fields[] = {
        {"name", SIM_FIELD_TEXT, true, SIM_FIELD_SIZE - 1, &request->name},
        {"serial", SIM_FIELD_TEXT, true, SIM_FIELD_SIZE - 1, &request->serial},
        {"model", SIM_FIELD_TEXT, false, SIM_FIELD_SIZE - 1, &request->model},
        {"version", SIM_FIELD_TEXT, false, SIM_FIELD_SIZE - 1, &request->version},
        {"ip", SIM_FIELD_TEXT, false, SIM_FIELD_SIZE - 1, &request->ip},
    };
    struct status status = SIM_FIELDS_READ(body, fields);
    if (failed(status)) {
        return status;
    }
    if (!json_is_object(device)) {
        return fail(STATUS_INVALID, "field device is not an object");
    }
    status = SIM_FIELDS_READ(device, device_fields);
    return failed(status) ? wrap(status, "device") : OK;
}

static bool has_fault(const struct sim_request *request, enum sim_fault_action action)
{
    return request->fault != NULL && request->fault->action == action;
}

static void register_with(struct sim *sim, struct sim_request *request, json_t *body,
                          struct sim_reply *reply)
{
    struct sim_refusal refusal;
    struct sim_registration registration = {
        .model = "",
        .version = "",
        .ip = "",
        .replaces = "",
        .region = request->region,
        .now_ms = sim_now_ms(sim),
        .stuck = has_fault(request, SIM_FAULT_STUCK),
        .will_fail = has_fault(request, SIM_FAULT_REGISTRATION_FAILED),
    };
    struct status status = read_register(body, &registration);
    if (failed(status)) {
        sim_reply_code(reply, 400, "invalid_request", status.message);
        return;
    }
    sim_digest(slice_of(registration.token), request->record.credential);
    struct sim_device *device = sim_devices_register(&sim->devices, &registration, &refusal);
    if (device == NULL) {
        write_refusal(&refusal, reply);
        return;
    }
    (void)snprintf(request->record.device, sizeof request->record.device, "%s", device->id);
    sim_devices_tick(&sim->devices, registration.now_ms); /* A delay of 0 is over at once. */
    bool begun = device->state == SIM_DEVICE_IN_PROGRESS;
    write_registration(device, sim_reply_begin(reply, begun ? 202 : 200));
}

void sim_answer_register(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    json_t *body = sim_json_object(request->http->body);
    if (body == NULL) {
        sim_reply_code(reply, 400, "malformed_json", "the body is not a JSON object");
        return;
    }
    register_with(sim, request, body, reply);
    json_decref(body);
}

void sim_answer_registration(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const struct sim_device *device =
        sim_devices_by_registration(&sim->devices, request->capture, request->region);
    if (device == NULL || device->state == SIM_DEVICE_GONE) {
        sim_reply_code(reply, 404, "registration_not_found", "no such registration");
        return;
    }
    (void)snprintf(request->record.device, sizeof request->record.device, "%s", device->id);
    write_registration(device, sim_reply_begin(reply, 200));
}

static bool is_gone(const struct sim_request *request, struct sim_reply *reply)
{
    if (request->device->state == SIM_DEVICE_GONE) {
        sim_reply_code(reply, 404, "device_not_found", "this device is not registered any more");
        return true;
    }
    return false;
}

static bool is_suspended(const struct sim_request *request, struct sim_reply *reply)
{
    if (request->device->state == SIM_DEVICE_SUSPENDED) {
        sim_reply_code(reply, 403, "device_suspended",
                       "this device was suspended in the portal; resume it there");
        return true;
    }
    return false;
}

void sim_answer_device(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)sim;
    if (!is_gone(request, reply)) {
        sim_device_write(request->device, sim_reply_begin(reply, 200));
    }
}

void sim_answer_heartbeat(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    if (request->device->state == SIM_DEVICE_GONE) {
        sim_reply_code(reply, 410, "device_deregistered",
                       "this device was deregistered; register it again");
        return;
    }
    if (is_suspended(request, reply)) {
        return;
    }
    request->device->last_seen_ms = sim_now_ms(sim);
    request->device->heartbeats++;
    (void)sim_reply_begin(reply, 204);
}

void sim_answer_device_delete(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    struct sim_device *device = request->device;
    if (is_gone(request, reply)) {
        return;
    }
    if (sim_device_become(device, SIM_DEVICE_DELETING)) {
        device->due_ms = sim_now_ms(sim) + sim->devices.deregistration_delay_ms;
    }
    sim_reply_text(reply, 202, NULL, "{\"status\":\"deleting\"}");
}

static void renew_with(struct sim *sim, struct sim_request *request, const char *csr,
                       struct sim_reply *reply)
{
    struct sim_device *device = request->device;
    struct sim_refusal refusal;
    if (!sim_devices_renew(&sim->devices, device, csr, sim_now_ms(sim), &refusal)) {
        write_refusal(&refusal, reply);
        return;
    }
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body, "{\"device_id\":\"%s\"", device->id);
    write_certificate(device, body);
}

void sim_answer_renew(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const char *csr = NULL;
    const struct sim_field fields[] = {{"csr", SIM_FIELD_TEXT, true, CSR_SIZE_MAX, &csr}};
    if (is_gone(request, reply) || is_suspended(request, reply)) {
        return;
    }
    json_t *body = sim_json_object(request->http->body);
    if (body == NULL) {
        sim_reply_code(reply, 400, "malformed_json", "the body is not a JSON object");
        return;
    }
    struct status status = SIM_FIELDS_READ(body, fields);
    if (failed(status)) {
        sim_reply_code(reply, 400, "invalid_request", status.message);
    } else {
        renew_with(sim, request, csr, reply);
    }
    json_decref(body);
}

void sim_answer_device_list(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    char serial[SIM_FIELD_SIZE] = "";
    bool by_serial = sim_http_parameter(request->http->query, "serial", serial, sizeof serial);
    const char *org = request->token != NULL ? request->token->org : request->device->org;
    struct buffer *body = sim_reply_begin(reply, 200);
    size_t written = 0;
    sim_print(body, "{\"devices\":[");
    for (size_t i = 0; i < sim->devices.count && written < LIST_MAX; i++) {
        const struct sim_device *device = sim->devices.list[i];
        if (device->state == SIM_DEVICE_GONE || device->state == SIM_DEVICE_FAILED ||
            device->region != request->region || strcmp(device->org, org) != 0 ||
            (by_serial && strcmp(device->serial, serial) != 0)) {
            continue;
        }
        sim_print(body, "%s", written++ > 0 ? "," : "");
        sim_device_write(device, body);
    }
    sim_print(body, "]}");
}
