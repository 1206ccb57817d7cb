/*
 * The table of routes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_route.h"

#include <string.h>

static const struct sim_route_row rows[] = {
    {SIM_VISIBILITY, "POST", "/iroh/oauth2/token", SIM_AUTH_NONE, NULL, NULL, sim_answer_token},
    {SIM_VISIBILITY, "GET", "/iroh/profile/whoami", SIM_AUTH_BEARER, NULL, NULL, sim_answer_whoami},
    {SIM_VISIBILITY, "GET", "/iroh/iroh-enrich/settings", SIM_AUTH_BEARER, "enrich:read", NULL,
     sim_answer_whoami},
    {SIM_VISIBILITY, "GET", "/.well-known/jwks", SIM_AUTH_NONE, NULL, NULL, sim_answer_jwks},
    {SIM_VISIBILITY, "GET", "/.well-known/oauth-authorization-server", SIM_AUTH_NONE, NULL, NULL,
     sim_answer_metadata},

    /* Import needs import-bundle and the create capability of each kind of entity, which only the
     * whole of private-intel gives (KNOWN). */
    {SIM_PRIVATE_INTEL, "POST", "/ctia/bundle/import", SIM_AUTH_BEARER, "private-intel:write",
     "import-bundle", sim_answer_import},
    {SIM_PRIVATE_INTEL, "GET", "/ctia/version", SIM_AUTH_NONE, NULL, NULL, sim_answer_version},
    {SIM_PRIVATE_INTEL, "GET", "/ctia/status", SIM_AUTH_NONE, NULL, NULL, sim_answer_ctia_status},

    {SIM_SSE, "POST", "/sim/v1/devices:register", SIM_AUTH_NONE, NULL, NULL, sim_answer_register},
    {SIM_SSE, "GET", "/sim/v1/registrations/{}", SIM_AUTH_NONE, NULL, NULL,
     sim_answer_registration},
    {SIM_SSE, "GET", "/sim/v1/devices", SIM_AUTH_EITHER, NULL, NULL, sim_answer_device_list},
    {SIM_SSE, "GET", "/sim/v1/devices/{}", SIM_AUTH_DEVICE, NULL, NULL, sim_answer_device},
    {SIM_SSE, "DELETE", "/sim/v1/devices/{}", SIM_AUTH_DEVICE, NULL, NULL,
     sim_answer_device_delete},
    {SIM_SSE, "POST", "/sim/v1/devices/{}:heartbeat", SIM_AUTH_DEVICE, NULL, NULL,
     sim_answer_heartbeat},
    {SIM_SSE, "POST", "/sim/v1/devices/{}/certificate:renew", SIM_AUTH_DEVICE, NULL, NULL,
     sim_answer_renew},

    {SIM_ADMIN, "GET", "/healthz", SIM_AUTH_NONE, NULL, NULL, sim_admin_health},
    {SIM_ADMIN, "POST", "/clients", SIM_AUTH_NONE, NULL, NULL, sim_admin_client},
    {SIM_ADMIN, "POST", "/registration-tokens", SIM_AUTH_NONE, NULL, NULL, sim_admin_reg_token},
    {SIM_ADMIN, "POST", "/time/advance", SIM_AUTH_NONE, NULL, NULL, sim_admin_advance},
    {SIM_ADMIN, "POST", "/quota", SIM_AUTH_NONE, NULL, NULL, sim_admin_quota},
    {SIM_ADMIN, "POST", "/token-lifetime", SIM_AUTH_NONE, NULL, NULL, sim_admin_lifetime},
    {SIM_ADMIN, "POST", "/tokens/revoke", SIM_AUTH_NONE, NULL, NULL, sim_admin_revoke},
    {SIM_ADMIN, "POST", "/latency", SIM_AUTH_NONE, NULL, NULL, sim_admin_latency},
    {SIM_ADMIN, "POST", "/refresh", SIM_AUTH_NONE, NULL, NULL, sim_admin_refresh},
    {SIM_ADMIN, "POST", "/registration", SIM_AUTH_NONE, NULL, NULL, sim_admin_registration},
    {SIM_ADMIN, "POST", "/faults", SIM_AUTH_NONE, NULL, NULL, sim_admin_fault},
    {SIM_ADMIN, "GET", "/faults", SIM_AUTH_NONE, NULL, NULL, sim_admin_faults},
    {SIM_ADMIN, "DELETE", "/faults", SIM_AUTH_NONE, NULL, NULL, sim_admin_faults_delete},
    {SIM_ADMIN, "DELETE", "/faults/{}", SIM_AUTH_NONE, NULL, NULL, sim_admin_fault_delete},
    {SIM_ADMIN, "POST", "/devices/{}/delete", SIM_AUTH_NONE, NULL, NULL, sim_admin_device_delete},
    {SIM_ADMIN, "POST", "/devices/{}/suspend", SIM_AUTH_NONE, NULL, NULL, sim_admin_device_suspend},
    {SIM_ADMIN, "POST", "/devices/{}/resume", SIM_AUTH_NONE, NULL, NULL, sim_admin_device_resume},
    {SIM_ADMIN, "POST", "/devices/{}/revoke", SIM_AUTH_NONE, NULL, NULL, sim_admin_device_revoke},
    {SIM_ADMIN, "POST", "/tenants/{}", SIM_AUTH_NONE, NULL, NULL, sim_admin_tenant},
    {SIM_ADMIN, "GET", "/devices", SIM_AUTH_NONE, NULL, NULL, sim_report_devices},
    {SIM_ADMIN, "GET", "/requests", SIM_AUTH_NONE, NULL, NULL, sim_report_requests},
    {SIM_ADMIN, "GET", "/sightings/summary", SIM_AUTH_NONE, NULL, NULL, sim_report_summary},
    {SIM_ADMIN, "GET", "/sightings/external-ids", SIM_AUTH_NONE, NULL, NULL,
     sim_report_external_ids},
    {SIM_ADMIN, "GET", "/sightings/last", SIM_AUTH_NONE, NULL, NULL, sim_report_last},
    {SIM_ADMIN, "GET", "/exporters", SIM_AUTH_NONE, NULL, NULL, sim_report_exporters},
};

bool sim_route_match(const char *pattern, struct slice path, char *capture)
{
    const char *hole = strstr(pattern, "{}");
    if (hole == NULL) {
        return slice_equal(path, slice_of(pattern));
    }
    size_t before = (size_t)(hole - pattern);
    size_t after = strlen(hole + 2);
    const char *at = path.data;
    if (path.size <= before + after || memcmp(at, pattern, before) != 0 ||
        memcmp(at + path.size - after, hole + 2, after) != 0) {
        return false;
    }
    struct slice part = {.data = at + before, .size = path.size - before - after};
    return memchr(part.data, '/', part.size) == NULL && memchr(part.data, ':', part.size) == NULL &&
           slice_to_text(part, capture, SIM_CAPTURE_SIZE);
}

static const struct sim_route_row *find(struct sim_request *request)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].family == request->family &&
            slice_equal(request->http->method, slice_of(rows[i].method)) &&
            sim_route_match(rows[i].pattern, request->http->path, request->capture)) {
            return &rows[i];
        }
    }
    return NULL;
}

void sim_route(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const struct sim_route_row *row = find(request);
    if (row == NULL) {
        sim_reply_html(reply, 404);
        return;
    }
    struct slice coding = sim_http_header(request->http, "content-encoding");
    if (coding.size > 0 && !slice_equal(coding, slice_of("identity"))) {
        sim_reply_html(reply, 415);
        return;
    }
    if (sim_authenticate(sim, row, request, reply)) {
        row->answer(sim, request, reply);
    }
}
