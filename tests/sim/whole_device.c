/*
 * The devices of the simulated cloud (tests/cloudsim/README.md, "Devices, contract v1"), and what
 * its administrators do in the portal.
 *
 * All devices have one key, so that a run repeats to the byte; a line behind the certificate tells
 * them apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "whole.h"

#define STAGE_MS_MAX 4000U /* A registration or a deletion takes so long at most. */

const char device_key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6j/SbIiPmhSC5jQC\n"
                              "ozzFDPN38YYzbAH+QYsyrNYwtTyhRANCAAQLk9tKLbcQ1xOyVfFqJVLbWVIUo5Ft\n"
                              "ZfIrAqG2SFhsPctvbEa/yuvd6AMCO7UH1U1EAKZP39s2mcYlg4ApvBcI\n"
                              "-----END PRIVATE KEY-----\n";

const char device_request_pem[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHIMHACAQAwDjEMMAoGA1UEAwwDc2ltMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\n"
    "QgAEC5PbSi23ENcTslXxaiVS21lSFKORbWXyKwKhtkhYbD3Lb2xGv8rr3egDAju1\n"
    "B9VNRACmT9/bNpnGJYOAKbwXCKAAMAoGCCqGSM49BAMCA0gAMEUCIBE9UmzvM6PD\n"
    "5R1ZkaiPuZv40nCFu0gahjARGPK9ktD1AiEA3klsNdRGlCOn4oW2DhaC29B7pQLg\n"
    "irj9cz5VGFYdsTA=\n"
    "-----END CERTIFICATE REQUEST-----\n";

static const char certificate_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcjCCARmgAwIBAgIUTkvv1bb3DB1j+jwuB/ESYL+3XfwwCgYIKoZIzj0EAwIw\n"
    "DjEMMAoGA1UEAwwDc2ltMCAXDTI2MTEyMzAwMjQ1MFoYDzIxMjYxMDMwMDAyNDUw\n"
    "WjAOMQwwCgYDVQQDDANzaW0wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQLk9tK\n"
    "LbcQ1xOyVfFqJVLbWVIUo5FtZfIrAqG2SFhsPctvbEa/yuvd6AMCO7UH1U1EAKZP\n"
    "39s2mcYlg4ApvBcIo1MwUTAdBgNVHQ4EFgQUg0Xki+ZWaqO/zaPSkSWvbEYEozsw\n"
    "HwYDVR0jBBgwFoAUg0Xki+ZWaqO/zaPSkSWvbEYEozswDwYDVR0TAQH/BAUwAwEB\n"
    "/zAKBggqhkjOPQQDAgNHADBEAiBmJkyt/dF1ThC8lC45VkNWvOPDSo4vjWZSVshJ\n"
    "Nj+rVwIgFblkT8Uep8+Wy7HefB5OGyayHVEotxVWhlLujiXDIxM=\n"
    "-----END CERTIFICATE-----\n";

/* ---- Registration tokens ---- */

const char *device_make_token(struct world *world, enum token_fate fate)
{
    struct vendor *vendor = &world->whole->vendor;
    if (vendor->token_count == WHOLE_TOKENS_MAX) {
        return vendor->tokens[0].text; /* Used up by now. */
    }
    struct device_token *token = &vendor->tokens[vendor->token_count++];
    token->fate = fate;
    (void)snprintf(token->text, sizeof token->text, "5eed%028zx", vendor->token_count);
    return token->text;
}

static struct device_token *find_token(struct vendor *vendor, const char *text)
{
    for (size_t i = 0; i < vendor->token_count; i++) {
        if (strcmp(vendor->tokens[i].text, text) == 0) {
            return &vendor->tokens[i];
        }
    }
    return NULL;
}

/* ---- Answers ---- */

static void refuse(struct errand *errand, unsigned code, const char *word)
{
    vendor_reply(errand, code,
                 json_pack("{s:{s:s,s:s}}", "error", "code", word, "message", "simulated"));
}

static size_t number_of(const struct vendor *vendor, const struct device *device)
{
    return (size_t)(device - vendor->devices);
}

static void reply_registration(struct vendor *vendor, struct errand *errand,
                               const struct device *device)
{
    char certificate[sizeof certificate_pem + 32];
    char registration[32];
    char id[32];
    size_t number = number_of(vendor, device);
    (void)snprintf(registration, sizeof registration, "reg-%zu", number);
    (void)snprintf(id, sizeof id, "dev-%zu", number);
    (void)snprintf(certificate, sizeof certificate, "%sdev-%zu\n", certificate_pem, number);
    if (device->state == DEVICE_IN_PROGRESS) {
        vendor_reply(
            errand, 202,
            json_pack("{s:s,s:s}", "registration_id", registration, "status", "in_progress"));
    } else if (device->state == DEVICE_REGISTERED) {
        vendor_reply(errand, 200,
                     json_pack("{s:s,s:s,s:s,s:{s:s},s:s}", "registration_id", registration,
                               "status", "registered", "device_id", id, "tenant", "id", "org-1",
                               "certificate", certificate));
    } else if (device->state == DEVICE_FAILED) {
        vendor_reply(errand, 200,
                     json_pack("{s:s,s:s,s:{s:s}}", "registration_id", registration, "status",
                               "failed", "error", "code", "enrolment_failed"));
    } else {
        refuse(errand, 404, "registration_not_found");
    }
}

bool device_is_present(const struct device *device)
{
    return device->state == DEVICE_IN_PROGRESS || device->state == DEVICE_REGISTERED ||
           device->state == DEVICE_DELETING;
}

static struct device *find_serial(struct vendor *vendor, const char *serial)
{
    for (size_t i = 0; i < vendor->device_count; i++) {
        if (device_is_present(&vendor->devices[i]) &&
            strcmp(vendor->devices[i].serial, serial) == 0) {
            return &vendor->devices[i];
        }
    }
    return NULL;
}

static struct device *of_token(struct vendor *vendor, const char *token)
{
    for (size_t i = 0; i < vendor->device_count; i++) {
        if (strcmp(vendor->devices[i].token, token) == 0) {
            return &vendor->devices[i];
        }
    }
    return NULL;
}

/* ---- Registration ---- */

static void begin(struct world *world, struct errand *errand, struct device_token *token,
                  const char *serial)
{
    struct vendor *vendor = &world->whole->vendor;
    if (find_serial(vendor, serial) != NULL) {
        refuse(errand, 409, "device_registered");
        return;
    }
    if (vendor->device_count == WHOLE_DEVICES_MAX) {
        refuse(errand, 503, "unavailable");
        return;
    }
    struct device *device = &vendor->devices[vendor->device_count++];
    (void)snprintf(device->serial, sizeof device->serial, "%s", serial);
    (void)snprintf(device->token, sizeof device->token, "%s", token->text);
    device->due_ms = world->now_ms + whole_draw(world, 100, STAGE_MS_MAX);
    token->devices++;
    world->whole->counts[WHOLE_REGISTRATIONS]++;
    world_say(world, "    cloud: device dev-%zu of %s begins", number_of(vendor, device), serial);
    whole_check_devices(world);
    reply_registration(vendor, errand, device);
}

static void serve_register(struct world *world, struct errand *errand)
{
    struct vendor *vendor = &world->whole->vendor;
    json_t *request = json_loads(errand->body, 0, NULL);
    const char *text = json_string_value(json_object_get(request, "token"));
    const char *serial =
        json_string_value(json_object_get(json_object_get(request, "device"), "serial"));
    struct device_token *token = find_token(vendor, text != NULL ? text : "");
    const struct device *device = token != NULL ? of_token(vendor, token->text) : NULL;
    if (token == NULL || token->fate == TOKEN_UNKNOWN || serial == NULL) {
        refuse(errand, 401, "token_invalid");
    } else if (token->fate == TOKEN_WRONG_REGION) {
        refuse(errand, 403, "wrong_region");
    } else if (device != NULL &&
               (device->state == DEVICE_GONE || device->state == DEVICE_DELETING ||
                strcmp(device->serial, serial) != 0)) {
        refuse(errand, 409, "token_used");
    } else if (device != NULL) {
        reply_registration(vendor, errand, device);
    } else if (token->fate == TOKEN_EXPIRED) {
        refuse(errand, 401, "token_expired");
    } else {
        begin(world, errand, token, serial);
    }
    json_decref(request);
}

static void serve_poll(struct vendor *vendor, struct errand *errand)
{
    size_t number = 0;
    if (sscanf(errand->path, "/sim/v1/registrations/reg-%zu", &number) == 1 &&
        number < vendor->device_count) {
        reply_registration(vendor, errand, &vendor->devices[number]);
    } else {
        refuse(errand, 404, "registration_not_found");
    }
}

/* ---- The device's own calls ---- */

static struct device *caller(struct vendor *vendor, struct errand *errand)
{
    size_t wanted = 0;
    size_t shown = 0;
    const char *mark = strstr(errand->certificate, "\ndev-");
    bool known =
        mark != NULL && sscanf(mark, "\ndev-%zu", &shown) == 1 && shown < vendor->device_count;
    if (!known || sscanf(errand->path, "/sim/v1/devices/dev-%zu", &wanted) != 1) {
        refuse(errand, 401, "certificate_unknown");
    } else if (vendor->devices[shown].revoked) {
        refuse(errand, 401, "certificate_revoked");
    } else if (wanted != shown) {
        refuse(errand, 403, "wrong_device");
    } else {
        return &vendor->devices[shown];
    }
    return NULL;
}

static void serve_device(struct world *world, struct errand *errand)
{
    struct device *device = caller(&world->whole->vendor, errand);
    if (device == NULL) {
        return;
    }
    bool is_deletion = strcmp(errand->method, "DELETE") == 0;
    if (!device_is_present(device)) {
        refuse(errand, is_deletion ? 404 : 410,
               is_deletion ? "device_not_found" : "device_deregistered");
    } else if (!is_deletion) {
        vendor_reply(errand, 204, NULL);
    } else {
        if (device->state != DEVICE_DELETING) {
            device->state = DEVICE_DELETING;
            device->due_ms = world->now_ms + whole_draw(world, 100, STAGE_MS_MAX);
        }
        vendor_reply(errand, 202, json_pack("{s:s}", "status", "deleting"));
    }
}

static void serve_list(struct world *world, struct errand *errand)
{
    struct vendor *vendor = &world->whole->vendor;
    unsigned client;
    if (!vendor_bearer(world, errand, &client)) {
        return;
    }
    const struct device *device = find_serial(vendor, strchr(errand->path, '=') + 1);
    json_t *list = json_array();
    if (device != NULL) {
        char id[32];
        (void)snprintf(id, sizeof id, "dev-%zu", number_of(vendor, device));
        (void)json_array_append_new(list, json_pack("{s:s}", "device_id", id));
    }
    vendor_reply(errand, 200, json_pack("{s:o}", "devices", list));
}

bool device_serve(struct world *world, struct errand *errand)
{
    device_tick(world);
    if (strcmp(errand->path, "/sim/v1/devices:register") == 0) {
        serve_register(world, errand);
    } else if (strncmp(errand->path, "/sim/v1/registrations/", 22) == 0) {
        serve_poll(&world->whole->vendor, errand);
    } else if (strncmp(errand->path, "/sim/v1/devices?serial=", 23) == 0) {
        serve_list(world, errand);
    } else if (strncmp(errand->path, "/sim/v1/devices/", 16) == 0) {
        serve_device(world, errand);
    } else {
        return false;
    }
    return true;
}

/* ---- Time, and the portal ---- */

void device_tick(struct world *world)
{
    struct vendor *vendor = &world->whole->vendor;
    for (size_t i = 0; i < vendor->device_count; i++) {
        struct device *device = &vendor->devices[i];
        if (world->whole->healed && device->revoked && device->state == DEVICE_REGISTERED) {
            device->state = DEVICE_GONE; /* Only a person can: the node says so, and waits. */
            world_say(world, "portal: device dev-%zu is deleted", i);
        }
        if (world->now_ms < device->due_ms) {
            continue;
        }
        if (device->state == DEVICE_IN_PROGRESS) {
            bool fails = !world->whole->healed && whole_chance(world, 10);
            device->state = fails ? DEVICE_FAILED : DEVICE_REGISTERED;
        } else if (device->state == DEVICE_DELETING) {
            device->state = DEVICE_GONE;
        }
    }
}

void device_portal(struct world *world)
{
    struct vendor *vendor = &world->whole->vendor;
    world->whole->counts[WHOLE_PORTAL]++;
    unsigned what = whole_draw(world, 0, 2);
    if (what == 0) {
        vendor->bearers_revoked = vendor->bearer_count;
        world_say(world, "portal: all access tokens are revoked");
        return;
    }
    for (size_t i = 0; i < vendor->device_count; i++) {
        struct device *device = &vendor->devices[i];
        if (device->state == DEVICE_REGISTERED && what == 1) {
            device->state = DEVICE_GONE;
            world_say(world, "portal: device dev-%zu is deleted", i);
        } else if (device->state == DEVICE_REGISTERED) {
            device->revoked = true;
            world_say(world, "portal: the certificate of dev-%zu is revoked", i);
        }
    }
}
