/*
 * The simulated cloud: token endpoint, bundle import, quota, and what goes wrong in front of them.
 * What it answers is that of tests/cloudsim/README.md, as far as the workers ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "whole.h"

#define TOKEN_LIFE_MS 600000U
#define LIMITED_MS_MAX 20000U
#define REJECT_ONE_OF 41U /* Entities that the cloud's schema refuses. */

struct client {
    const char *id;
    const char *password;
    const char *scopes;
    bool imports;
};

static const struct client clients[] = {
    {"client-whole", "password-whole", "private-intel casebook inspect:read enrich:read response",
     true},
    {"client-narrow", "password-narrow", "inspect:read enrich:read", false},
};
#define CLIENT_COUNT (sizeof clients / sizeof clients[0])

void vendor_reply(struct errand *errand, unsigned code, json_t *body)
{
    errand->code = code;
    errand->reply = body != NULL ? json_dumps(body, JSON_COMPACT) : strdup("");
    if (errand->reply == NULL) {
        abort();
    }
    json_decref(body);
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    }
    return hash == 0 ? 1 : hash;
}

/* ---- Tokens ---- */

static bool is_basic_of(const struct client *client, const char *authorization)
{
    char plain[128];
    char line[256] = "Basic ";
    int size = snprintf(plain, sizeof plain, "%s:%s", client->id, client->password);
    (void)EVP_EncodeBlock((unsigned char *)line + strlen(line), (unsigned char *)plain, size);
    return strcmp(line, authorization) == 0;
}

static void serve_token(struct world *world, struct errand *errand)
{
    char token[96];
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        if (is_basic_of(&clients[i], errand->authorization)) {
            (void)snprintf(token, sizeof token, "tok-%zu-%llu-%llu", i,
                           (unsigned long long)++world->whole->vendor.bearer_count,
                           (unsigned long long)(world->now_ms + TOKEN_LIFE_MS));
            vendor_reply(errand, 200,
                         json_pack("{s:s,s:s,s:i,s:s}", "access_token", token, "token_type",
                                   "bearer", "expires_in", (int)(TOKEN_LIFE_MS / 1000), "scope",
                                   clients[i].scopes));
            return;
        }
    }
    vendor_reply(errand, 400, json_pack("{s:s}", "error", "wrong_client_creds"));
}

bool vendor_bearer(struct world *world, struct errand *errand, unsigned *client)
{
    unsigned long long number = 0;
    unsigned long long until_ms = 0;
    bool good =
        sscanf(errand->authorization, "Bearer tok-%u-%llu-%llu", client, &number, &until_ms) == 3 &&
        *client < CLIENT_COUNT && world->now_ms < until_ms &&
        number > world->whole->vendor.bearers_revoked;
    if (!good) {
        vendor_reply(errand, 401, json_pack("{s:s}", "error", "invalid_jwt"));
    }
    return good;
}

/* ---- Import ---- */

static struct sighting *find(struct vendor *vendor, uint64_t key)
{
    size_t at = key % WHOLE_SIGHTINGS_MAX;
    while (vendor->sightings[at].key != 0 && vendor->sightings[at].key != key) {
        at = (at + 1) % WHOLE_SIGHTINGS_MAX;
    }
    return &vendor->sightings[at];
}

const struct sighting *vendor_sighting(const struct world *world, const char *external_id)
{
    struct vendor *vendor = &world->whole->vendor;
    const struct sighting *found = find(vendor, hash_of(external_id));
    return found->key != 0 ? found : NULL;
}

/* X2: what came under a key stays what it was. */
static const char *import_one(struct world *world, const json_t *entity, const char *external_id)
{
    struct sighting *sighting = find(&world->whole->vendor, hash_of(external_id));
    char *text = json_dumps(entity, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) {
        abort();
    }
    uint64_t body = hash_of(text);
    free(text);
    if (sighting->key != 0 && sighting->body != body) {
        check_fail(world, VERDICT_RULE, "X2: %s came with another body", external_id);
    }
    if (hash_of(external_id) % REJECT_ONE_OF == 0) {
        return "error";
    }
    if (sighting->key != 0) {
        return "exists";
    }
    world->whole->counts[WHOLE_SIGHTINGS]++;
    *sighting = (struct sighting){.key = hash_of(external_id), .body = body, .created = 1};
    return "created";
}

static void serve_import(struct world *world, struct errand *errand)
{
    unsigned client;
    if (!vendor_bearer(world, errand, &client)) {
        return;
    }
    if (!clients[client].imports) {
        vendor_reply(errand, 403, json_pack("{s:s}", "error", "missing_capability"));
        return;
    }
    json_t *request = json_loads(errand->body, 0, NULL);
    json_t *entities = json_object_get(request, "sightings");
    json_t *results = json_array();
    size_t first = json_array_size(entities);
    world->whole->counts[WHOLE_BUNDLES]++;
    for (size_t i = first; i > 0; i--) { /* In another order than asked. */
        json_t *entity = json_array_get(entities, i - 1);
        json_t *ids = json_object_get(entity, "external_ids");
        const char *id = json_string_value(json_array_get(ids, 0));
        const char *result = import_one(world, entity, id != NULL ? id : "");
        json_t *row =
            json_pack("{s:s,s:s,s:O}", "type", "sighting", "result", result, "external_ids", ids);
        if (strcmp(result, "error") == 0) {
            (void)json_object_set_new(row, "error",
                                      json_pack("{s:s}", "type", "spec-validation-error"));
        }
        (void)json_array_append_new(results, row);
    }
    world_say(world, "    cloud: %zu sightings imported for node %u", first,
              errand->site->node->number);
    json_decref(request);
    vendor_reply(errand, 200, json_pack("{s:o}", "results", results));
}

/* ---- All routes ---- */

/* What a gateway says instead: nothing was taken. */
static bool fails_before(struct world *world, struct errand *errand)
{
    struct vendor *vendor = &world->whole->vendor;
    if (!world->whole->healed && whole_chance(world, 1)) {
        vendor->limited_until_ms = world->now_ms + whole_draw(world, 1000, LIMITED_MS_MAX);
    }
    if (world->now_ms < vendor->limited_until_ms && strstr(errand->path, "/sim/") == NULL) {
        errand->retry_after_s = (unsigned)((vendor->limited_until_ms - world->now_ms) / 1000 + 1);
        vendor_reply(errand, 429, json_pack("{s:s}", "error", "Too Many Requests"));
        return true;
    }
    if (whole_chance(world, world->whole->temper.error_percent / 2)) {
        errand->code = whole_chance(world, 50) ? 503 : 500;
        errand->reply = strdup("<html>unavailable</html>");
        return true;
    }
    return false;
}

/* It took the request, and says something else. */
static void fail_after(struct world *world, struct errand *errand)
{
    if (!whole_chance(world, (world->whole->temper.error_percent + 1) / 2)) {
        return;
    }
    world->whole->counts[WHOLE_ERRORS]++;
    if (whole_chance(world, 50)) {
        errand->reply[strlen(errand->reply) / 2] = '\0';
    } else {
        errand->code = 502;
    }
}

void vendor_serve(struct world *world, struct errand *errand)
{
    if (fails_before(world, errand)) {
        world->whole->counts[WHOLE_ERRORS]++;
    } else if (strcmp(errand->path, "/iroh/oauth2/token") == 0) {
        serve_token(world, errand);
        fail_after(world, errand);
    } else if (strncmp(errand->path, "/ctia/bundle/import", 19) == 0) {
        serve_import(world, errand);
        fail_after(world, errand);
    } else if (device_serve(world, errand)) {
        fail_after(world, errand);
    } else {
        vendor_reply(errand, 404, NULL);
    }
    world_say(world, "    cloud: answers %u to %s %s of node %u", errand->code, errand->method,
              errand->path, errand->site->node->number);
}
