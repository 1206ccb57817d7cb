/*
 * Devices: tokens, registration, certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_device.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/random.h"
#include "sim_json.h"

#define DELAY_MS 300
#define CERTIFICATE_DAYS 365
#define DISABLED_ORGS_MAX 1000
#define CLOCK_SKEW_S 300

#define TO(state) (1U << (state))

static const unsigned moves[SIM_DEVICE_STATE_COUNT] = {
    [SIM_DEVICE_IN_PROGRESS] =
        TO(SIM_DEVICE_REGISTERED) | TO(SIM_DEVICE_FAILED) | TO(SIM_DEVICE_GONE),
    [SIM_DEVICE_REGISTERED] = TO(SIM_DEVICE_SUSPENDED) | TO(SIM_DEVICE_DELETING) |
                              TO(SIM_DEVICE_GONE) | TO(SIM_DEVICE_IN_PROGRESS),
    [SIM_DEVICE_SUSPENDED] = TO(SIM_DEVICE_REGISTERED) | TO(SIM_DEVICE_DELETING) |
                             TO(SIM_DEVICE_GONE) | TO(SIM_DEVICE_IN_PROGRESS),
    [SIM_DEVICE_DELETING] = TO(SIM_DEVICE_GONE),
};

#undef TO

bool sim_device_become(struct sim_device *device, enum sim_device_state next)
{
    if ((moves[device->state] >> next & 1) == 0) {
        return false;
    }
    device->state = next;
    return true;
}

const char *sim_device_state_name(enum sim_device_state state)
{
    static const char *const names[SIM_DEVICE_STATE_COUNT] = {
        [SIM_DEVICE_IN_PROGRESS] = "registering",
        [SIM_DEVICE_REGISTERED] = "registered",
        [SIM_DEVICE_SUSPENDED] = "suspended",
        [SIM_DEVICE_DELETING] = "deleting",
        [SIM_DEVICE_GONE] = "gone",
        [SIM_DEVICE_FAILED] = "failed",
    };
    return names[state];
}

struct status sim_devices_init(struct sim_devices *devices)
{
    *devices = (struct sim_devices){
        .list = sim_alloc(SIM_DEVICES_MAX * sizeof(struct sim_device *)),
        .tokens = sim_alloc(SIM_REG_TOKENS_MAX * sizeof devices->tokens[0]),
        .disabled_orgs = sim_alloc(DISABLED_ORGS_MAX * sizeof devices->disabled_orgs[0]),
        .delay_ms = DELAY_MS,
        .deregistration_delay_ms = DELAY_MS,
        .certificate_days = CERTIFICATE_DAYS,
    };
    return sim_ca_make(&devices->ca, "muster-cloudsim device CA");
}

void sim_devices_release(struct sim_devices *devices)
{
    for (size_t i = 0; i < devices->count; i++) {
        buffer_release(&devices->list[i]->certificate.pem);
        buffer_release(&devices->list[i]->previous.pem);
        EVP_PKEY_free(devices->list[i]->key);
        free(devices->list[i]);
    }
    for (size_t i = 0; i < devices->by_certificate.capacity; i++) {
        struct sim_map_slot *slot = &devices->by_certificate.slots[i];
        if (slot->value != NULL) {
            free((void *)(uintptr_t)slot->key.data);
        }
    }
    sim_map_release(&devices->by_certificate);
    sim_ca_close(&devices->ca);
    free(devices->list);
    free(devices->tokens);
    free(devices->disabled_orgs);
    *devices = (struct sim_devices){0};
}

struct status sim_devices_add_token(struct sim_devices *devices, const struct sim_reg_token *token,
                                    char text[SIM_REG_TOKEN_SIZE])
{
    if (devices->token_count == SIM_REG_TOKENS_MAX) {
        return fail(STATUS_FULL, "more than %d registration tokens", SIM_REG_TOKENS_MAX);
    }
    uint8_t bytes[(SIM_REG_TOKEN_SIZE - 1) / 2];
    random_bytes(bytes, sizeof bytes);
    hex_encode((struct slice){.data = bytes, .size = sizeof bytes}, text);
    struct sim_reg_token *slot = &devices->tokens[devices->token_count++];
    *slot = *token;
    sim_digest(slice_of(text), slot->digest);
    return OK;
}

static char *disabled_find(const struct sim_devices *devices, const char *org)
{
    for (size_t i = 0; i < devices->disabled_count; i++) {
        if (strcmp(devices->disabled_orgs[i], org) == 0) {
            return devices->disabled_orgs[i];
        }
    }
    return NULL;
}

void sim_devices_disable(struct sim_devices *devices, const char *org, bool disabled)
{
    char *slot = disabled_find(devices, org);
    if (disabled && slot == NULL && devices->disabled_count < DISABLED_ORGS_MAX) {
        (void)snprintf(devices->disabled_orgs[devices->disabled_count++], SIM_NAME_SIZE, "%s", org);
    }
    if (!disabled && slot != NULL) {
        memmove(slot, devices->disabled_orgs[--devices->disabled_count], SIM_NAME_SIZE);
    }
}

static bool issue(struct sim_devices *devices, struct sim_device *device, EVP_PKEY *key,
                  const char *csr_digest, uint64_t now_ms)
{
    struct sim_certificate *certificate = &device->certificate;
    uint64_t life_s =
        devices->certificate_s != 0 ? devices->certificate_s : devices->certificate_days * 86400;
    uint64_t not_after_s = now_ms / 1000 + life_s;
    struct sim_subject subject = {
        .common_name = device->id,
        .key_usage = "clientAuth",
        .from_s = (int64_t)(now_ms / 1000) - CLOCK_SKEW_S,
        .to_s = (int64_t)not_after_s,
    };
    X509 *issued = NULL;
    struct buffer pem = {0};
    if (failed(sim_ca_issue(&devices->ca, &subject, key, &issued)) ||
        failed(sim_certificate_pem(issued, &pem))) {
        X509_free(issued);
        return false;
    }
    buffer_release(&device->previous.pem);
    device->previous = *certificate;
    *certificate = (struct sim_certificate){.not_after_ms = not_after_s * 1000, .pem = pem};
    sim_digest_certificate(issued, certificate->digest);
    X509_free(issued);
    (void)snprintf(certificate->csr_digest, SIM_DIGEST_TEXT_SIZE, "%s", csr_digest);
    char *text = sim_alloc(SIM_DIGEST_TEXT_SIZE);
    memcpy(text, certificate->digest, SIM_DIGEST_TEXT_SIZE);
    sim_map_add(&devices->by_certificate, slice_of(text), device);
    return true;
}

static void complete(struct sim_devices *devices, struct sim_device *device)
{
    bool sound = !device->will_fail &&
                 issue(devices, device, device->key, device->csr_digest, device->due_ms);
    EVP_PKEY_free(device->key);
    device->key = NULL;
    device->registered_ms = device->due_ms;
    bool moved = sim_device_become(device, sound ? SIM_DEVICE_REGISTERED : SIM_DEVICE_FAILED);
    assert(moved);
    (void)moved;
}

void sim_devices_tick(struct sim_devices *devices, uint64_t now_ms)
{
    for (size_t i = 0; i < devices->count; i++) {
        struct sim_device *device = devices->list[i];
        if (device->state == SIM_DEVICE_IN_PROGRESS && !device->stuck && device->due_ms <= now_ms) {
            complete(devices, device);
        }
        if (device->state == SIM_DEVICE_DELETING && device->due_ms <= now_ms) {
            device->state = SIM_DEVICE_GONE;
        }
    }
}

static bool is_live(const struct sim_device *device)
{
    return device->state != SIM_DEVICE_GONE && device->state != SIM_DEVICE_FAILED;
}

struct sim_device *sim_devices_by_registration(const struct sim_devices *devices, const char *id,
                                               enum sim_region region)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (devices->list[i]->region == region &&
            strcmp(devices->list[i]->registration_id, id) == 0) {
            return devices->list[i];
        }
    }
    return NULL;
}

struct sim_device *sim_devices_by_id(const struct sim_devices *devices, const char *id)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (strcmp(devices->list[i]->id, id) == 0) {
            return devices->list[i];
        }
    }
    return NULL;
}

struct sim_device *sim_devices_by_certificate(const struct sim_devices *devices, const char *digest)
{
    return sim_map_find(&devices->by_certificate, slice_of(digest));
}

static struct sim_device *refuse(struct sim_refusal *refusal, int status, const char *code,
                                 const char *message)
{
    *refusal = (struct sim_refusal){.status = status, .code = code};
    (void)snprintf(refusal->message, sizeof refusal->message, "%s", message);
    return NULL;
}

static bool is_well_formed(const char *token)
{
    return strlen(token) == SIM_REG_TOKEN_SIZE - 1 &&
           strspn(token, "0123456789abcdef") == SIM_REG_TOKEN_SIZE - 1;
}

static struct sim_reg_token *token_find(const struct sim_devices *devices, const char *digest)
{
    for (size_t i = 0; i < devices->token_count; i++) {
        if (strcmp(devices->tokens[i].digest, digest) == 0) {
            return &devices->tokens[i];
        }
    }
    return NULL;
}

/* The registration that a used token began with this very request, if its device still lives. */
static struct sim_device *resume(const struct sim_devices *devices, const char *token_digest,
                                 const char *csr_digest)
{
    for (size_t i = 0; i < devices->count; i++) {
        struct sim_device *device = devices->list[i];
        if (device->state != SIM_DEVICE_GONE && strcmp(device->token_digest, token_digest) == 0 &&
            strcmp(device->csr_digest, csr_digest) == 0) {
            return device;
        }
    }
    return NULL;
}

static struct sim_device *add(struct sim_devices *devices)
{
    struct sim_device *device = sim_alloc(sizeof *device);
    char uuid[SIM_UUID_SIZE];
    devices->list[devices->count++] = device;
    (void)snprintf(device->id, sizeof device->id, "dev-%s", sim_uuid(uuid));
    return device;
}

/* A device that begins, for the first time or anew. */
static void fill(const struct sim_devices *devices, const struct sim_registration *request,
                 const struct sim_reg_token *token, struct sim_device *device)
{
    uint8_t bytes[16];
    char hex[33];
    random_bytes(bytes, sizeof bytes);
    hex_encode((struct slice){.data = bytes, .size = sizeof bytes}, hex);
    (void)snprintf(device->registration_id, sizeof device->registration_id, "reg-%s", hex);
    (void)snprintf(device->org, sizeof device->org, "%s", token->org);
    (void)snprintf(device->name, sizeof device->name, "%s", request->name);
    (void)snprintf(device->serial, sizeof device->serial, "%s", request->serial);
    (void)snprintf(device->model, sizeof device->model, "%s", request->model);
    (void)snprintf(device->version, sizeof device->version, "%s", request->version);
    (void)snprintf(device->ip, sizeof device->ip, "%s", request->ip);
    memcpy(device->token_digest, token->digest, sizeof device->token_digest);
    device->region = request->region;
    device->due_ms = request->now_ms + devices->delay_ms;
    device->stuck = request->stuck;
    device->will_fail = request->will_fail;
}

static bool key_in_use(const struct sim_devices *devices, const char *key_digest,
                       const struct sim_device *except)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (devices->list[i] != except && is_live(devices->list[i]) &&
            strcmp(devices->list[i]->key_digest, key_digest) == 0) {
            return true;
        }
    }
    return false;
}

/* The rows about the token, in the order of the contract. False when refused. */
static bool check_token(const struct sim_devices *devices, const struct sim_registration *request,
                        const struct sim_reg_token *token, struct sim_refusal *refusal)
{
    if (token == NULL) {
        (void)refuse(refusal, 401, "token_invalid", "no such registration token");
    } else if (token->region != request->region) {
        (void)refuse(refusal, 403, "wrong_region",
                     token->region == SIM_NAM ? "this token was issued for AMERICAS"
                                              : "this token was issued for EUROPE");
    } else if (token->used) {
        (void)refuse(refusal, 409, "token_used", "this token was used already; get a new one");
    } else if (token->expires_ms <= request->now_ms) {
        (void)refuse(refusal, 401, "token_expired", "this token has expired; get a new one");
    } else if (disabled_find(devices, token->org) != NULL) {
        (void)refuse(refusal, 403, "tenant_disabled", "the organisation is disabled");
    }
    return refusal->status == 0;
}

static const struct sim_device *serial_find(const struct sim_devices *devices, const char *serial,
                                            enum sim_region region)
{
    for (size_t i = 0; i < devices->count; i++) {
        if (is_live(devices->list[i]) && devices->list[i]->region == region &&
            strcmp(devices->list[i]->serial, serial) == 0) {
            return devices->list[i];
        }
    }
    return NULL;
}

/* The device with this serial, if the request names it as its own; its certificates are worth nothing
 * from now on. */
static struct sim_device *take_over(const struct sim_devices *devices,
                                    const struct sim_registration *request,
                                    const struct sim_reg_token *token)
{
    struct sim_device *device = sim_devices_by_id(devices, request->replaces);
    if (device == NULL || strcmp(device->serial, request->serial) != 0 ||
        device->region != request->region || strcmp(device->org, token->org) != 0 ||
        !sim_device_become(device, SIM_DEVICE_IN_PROGRESS)) {
        return NULL;
    }
    buffer_release(&device->certificate.pem);
    buffer_release(&device->previous.pem);
    device->certificate = (struct sim_certificate){0};
    device->previous = (struct sim_certificate){0};
    device->revoked = false;
    return device;
}

/* Takes the key over. */
static struct sim_device *begin(struct sim_devices *devices, const struct sim_registration *request,
                                struct sim_reg_token *token, EVP_PKEY *key,
                                struct sim_refusal *refusal)
{
    char key_digest[SIM_DIGEST_TEXT_SIZE];
    sim_digest_key(key, key_digest);
    const struct sim_device *same = serial_find(devices, request->serial, request->region);
    struct sim_device *device = NULL;
    if (!key_in_use(devices, key_digest, NULL) && devices->count < SIM_DEVICES_MAX) {
        device = same == NULL ? add(devices) : take_over(devices, request, token);
    }
    if (device != NULL) {
        token->used = true;
        fill(devices, request, token, device);
        memcpy(device->key_digest, key_digest, sizeof key_digest);
        device->key = key;
        return device;
    }
    EVP_PKEY_free(key);
    if (key_in_use(devices, key_digest, NULL)) {
        return refuse(refusal, 409, "key_in_use", "another device has this key");
    }
    if (same == NULL) {
        return refuse(refusal, 503, "unavailable", "too many devices");
    }
    (void)refuse(refusal, 409, "device_registered",
                 "a device with this serial is registered; deregister it first");
    refusal->device_id = same->state == SIM_DEVICE_IN_PROGRESS ? NULL : same->id;
    return NULL;
}

struct sim_device *sim_devices_register(struct sim_devices *devices,
                                        const struct sim_registration *request,
                                        struct sim_refusal *refusal)
{
    char token_digest[SIM_DIGEST_TEXT_SIZE];
    char csr_digest[SIM_DIGEST_TEXT_SIZE];
    EVP_PKEY *key = NULL;
    *refusal = (struct sim_refusal){0};
    if (!is_well_formed(request->token)) {
        return refuse(refusal, 400, "token_malformed",
                      "a registration token has 32 lower-case hexadecimal digits");
    }
    sim_digest(slice_of(request->token), token_digest);
    struct sim_reg_token *token = token_find(devices, token_digest);
    struct status csr = sim_csr_read(request->csr, &key, csr_digest);
    struct sim_device *resumed = NULL;
    if (!failed(csr) && token != NULL && token->region == request->region) {
        resumed = resume(devices, token_digest, csr_digest);
    }
    if (resumed != NULL || !check_token(devices, request, token, refusal)) {
        EVP_PKEY_free(key);
        return resumed;
    }
    if (failed(csr)) {
        return refuse(refusal, 400, "csr_invalid", csr.message);
    }
    struct sim_device *device = begin(devices, request, token, key, refusal);
    if (device != NULL) {
        memcpy(device->csr_digest, csr_digest, sizeof csr_digest);
    }
    return device;
}

bool sim_devices_renew(struct sim_devices *devices, struct sim_device *device, const char *csr,
                       uint64_t now_ms, struct sim_refusal *refusal)
{
    char csr_digest[SIM_DIGEST_TEXT_SIZE];
    char key_digest[SIM_DIGEST_TEXT_SIZE];
    EVP_PKEY *key = NULL;
    *refusal = (struct sim_refusal){0};
    struct status status = sim_csr_read(csr, &key, csr_digest);
    if (failed(status)) {
        (void)refuse(refusal, 400, "csr_invalid", status.message);
        return false;
    }
    if (strcmp(csr_digest, device->certificate.csr_digest) == 0 && device->renewals > 0) {
        EVP_PKEY_free(key);
        return true;
    }
    sim_digest_key(key, key_digest);
    if (key_in_use(devices, key_digest, device)) {
        (void)refuse(refusal, 409, "key_in_use", "another device has this key");
    } else if (!issue(devices, device, key, csr_digest, now_ms)) {
        (void)refuse(refusal, 500, "internal", "the certificate could not be issued");
    } else {
        memcpy(device->key_digest, key_digest, sizeof key_digest);
        device->renewals++;
    }
    EVP_PKEY_free(key);
    return refusal->status == 0;
}

static void write_text(struct buffer *out, const char *name, const char *text)
{
    sim_print(out, ",\"%s\":", name);
    sim_json_text(out, text);
}

static void write_time(struct buffer *out, const char *name, uint64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];
    write_text(out, name, at_ms == 0 ? NULL : clock_format(at_ms, text));
}

void sim_device_write(const struct sim_device *device, struct buffer *out)
{
    bool begun = device->state == SIM_DEVICE_IN_PROGRESS || device->state == SIM_DEVICE_FAILED;
    sim_print(out, "{\"device_id\":");
    sim_json_text(out, begun ? NULL : device->id);
    write_text(out, "name", device->name);
    write_text(out, "serial", device->serial);
    write_text(out, "model", device->model);
    write_text(out, "version", device->version);
    write_text(out, "ip", device->ip);
    write_text(out, "status", sim_device_state_name(device->state));
    sim_print(out, ",\"tenant\":{\"id\":");
    sim_json_text(out, device->org);
    write_text(out, "name", device->org);
    sim_print(out, "}");
    write_time(out, "registered_at", device->registered_ms);
    write_time(out, "last_seen", device->last_seen_ms);
    write_time(out, "not_after", device->certificate.not_after_ms);
    sim_print(out, "}");
}
