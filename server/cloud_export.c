/*
 * The exporter and its token, tied to the store and to HTTPS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "cloud_state.h"
#include "scopes.h"
#include "store/seal.h"

/* ---- Credentials ---- */

static struct status open_password(const struct cloud *cloud,
                                   const struct credential_view *credential, struct secret *out)
{
    struct seal_purpose purpose =
        seal_purpose_of_credential(credential->name, credential->generation);
    struct status status =
        keyring_open(cloud->context.keys, &purpose, credential->sealed_password, out);
    return failed(status) ? wrap(status, "open the client password") : OK;
}

struct status cloud_grant(struct cloud *cloud, struct oauth_grant *grant,
                          const struct credential_view *credential, oauth_grant_done done)
{
    struct secret password = {0};
    enum region region;

    struct status status = region_parse(credential->region, &region);
    if (!failed(status)) {
        status = cloud_open_to_us(cloud);
    }
    if (!failed(status)) {
        status = open_password(cloud, credential, &password);
    }
    if (failed(status)) {
        return status;
    }
    struct oauth_account account = {
        .client_id = credential->client_id,
        .password = secret_slice(&password),
        .region = region,
        .endpoints = cloud_endpoints(cloud, region),
    };
    grant->context = cloud;
    status = oauth_grant_start(grant, cloud->http, &account, done);
    secret_release(&password);
    if (!failed(status)) {
        cloud_count_call(cloud);
    }
    return status;
}

uint64_t cloud_account(const struct credential_view *credential)
{
    uint64_t name = crc32c(0, credential->name);
    uint64_t account = name << 32U;

    account ^= credential->generation * UINT64_C(0x9E3779B97F4A7C15);
    account ^= credential->verified_at_ms;
    return account != 0 ? account : 1;
}

void cloud_follow_account(struct cloud *cloud)
{
    struct arena arena = {0};
    struct credential_view credential = {0};
    uint64_t account = 0;

    struct status status =
        store_credential(cloud->context.store, &arena, (struct slice){0}, &credential);
    if (!failed(status)) {
        account = cloud_account(&credential);
    }
    arena_release(&arena);
    if (account != cloud->account) {
        cloud->account = account;
        oauth_reset(&cloud->oauth);
    }
}

/* ---- The token ---- */

static void credentials_refused(void *context, const char *reason)
{
    struct cloud *cloud = context;
    struct arena arena = {0};
    struct credential_view credential;

    struct status status =
        store_credential(cloud->context.store, &arena, (struct slice){0}, &credential);
    if (!failed(status)) {
        struct command command = {
            .type = COMMAND_CREDENTIAL_VERIFIED,
            .body.credential_verified = {.name = credential.name,
                                         .generation = credential.generation,
                                         .valid = false,
                                         .error = slice_of(reason)},
        };
        status = cloud_propose(cloud, &command, NULL);
    }
    (void)status; /* The next bundle finds it out again. */
    arena_release(&arena);
}

static void on_token(struct oauth_grant *grant, const struct oauth_answer *answer)
{
    struct cloud *cloud = grant->context;
    if (answer->result == OAUTH_LIMITED) {
        unsigned delay_s = answer->retry_after_s > 0 ? answer->retry_after_s : HTTP_LIMITED_S;
        cloud_propose_pause(cloud, cloud_now_ms(cloud) + (uint64_t)delay_s * 1000, answer->reason);
    } else if (answer->result == OAUTH_REFUSED && !oauth_is_waited_for(&cloud->oauth)) {
        credentials_refused(cloud, answer->reason); /* Who waits says so himself. */
    }
    oauth_on_answer(&cloud->oauth, answer);
}

static struct status ask_token(void *context)
{
    struct cloud *cloud = context;
    struct arena arena = {0};
    struct credential_view credential;

    struct status status =
        store_credential(cloud->context.store, &arena, (struct slice){0}, &credential);
    if (!failed(status)) {
        status = cloud_grant(cloud, &cloud->token_grant, &credential, on_token);
    }
    arena_release(&arena);
    return status;
}

static void cancel_token(void *context)
{
    struct cloud *cloud = context;
    oauth_grant_cancel(&cloud->token_grant);
}

const struct oauth_ops cloud_oauth_ops = {
    .ask = ask_token,
    .cancel = cancel_token,
    .monotonic_ms = cloud_monotonic_ms,
    .random = cloud_random,
};

/* ---- The exporter's questions ---- */

static enum exporter_hold hold_of_credential(const struct credential_view *credential)
{
    char missing[FEATURE_MISSING_SIZE];

    if (credential->verified_at_ms == 0) {
        return EXPORTER_HOLD_UNVERIFIED;
    }
    if (!credential->verified) {
        return EXPORTER_HOLD_CREDENTIALS;
    }
    return feature_available(FEATURE_EXPORT, credential->scopes, missing) ? EXPORTER_HOLD_NONE
                                                                          : EXPORTER_HOLD_SCOPE;
}

static enum exporter_hold hold_of_export(struct cloud *cloud, const struct export_view *view)
{
    if (view->paused) {
        return EXPORTER_HOLD_PAUSED;
    }
    return view->cloud_pause_until_ms > cloud_now_ms(cloud) ? EXPORTER_HOLD_CLOUD
                                                            : EXPORTER_HOLD_NONE;
}

static struct status read_credential(struct cloud *cloud, struct arena *arena,
                                     struct exporter_gate *out)
{
    struct credential_view credential;
    struct status status =
        store_credential(cloud->context.store, arena, (struct slice){0}, &credential);

    if (status.code == STATUS_NOT_FOUND) {
        out->hold = EXPORTER_HOLD_NO_CREDENTIALS;
        return OK;
    }
    if (failed(status)) {
        return status;
    }
    out->account = cloud_account(&credential);
    if (out->hold == EXPORTER_HOLD_NONE) {
        out->hold = hold_of_credential(&credential);
    }
    return OK;
}

static struct status read_gate(struct cloud *cloud, struct arena *arena, struct exporter_gate *out)
{
    struct export_view export;
    struct registration_view registration;

    struct status status = store_export(cloud->context.store, arena, &export);
    if (!failed(status)) {
        status = store_registration(cloud->context.store, arena, &registration);
    }
    if (failed(status)) {
        return status;
    }
    *out = (struct exporter_gate){
        .until_ms = export.cloud_pause_until_ms,
        .mark = export.mark,
        .last_sequence = export.last_sequence,
    };
    if (registration.state != REGISTRATION_REGISTERED) {
        out->hold = EXPORTER_HOLD_NOT_REGISTERED;
    } else if (registration.error_code.size > 0) {
        out->hold = EXPORTER_HOLD_DEVICE;
    }
    status = read_credential(cloud, arena, out);
    if (!failed(status) && out->hold == EXPORTER_HOLD_NONE) {
        out->hold = hold_of_export(cloud, &export);
    }
    return status;
}

static struct status gate(void *context, struct exporter_gate *out)
{
    struct arena arena = {0};
    struct status status = read_gate(context, &arena, out);

    arena_release(&arena);
    return status;
}

static struct status load_records(struct cloud *cloud, struct arena *arena, uint64_t sequence,
                                  struct bundle *bundle)
{
    struct cluster_view cluster;
    struct codec_list records = {0};

    struct status status = store_cluster(cloud->context.store, arena, &cluster);
    if (!failed(status)) {
        status = store_outbox(cloud->context.store, arena, sequence, BUNDLE_ENTITIES_MAX,
                              EXPORTER_LOAD_SIZE_MAX, &records);
    }
    if (failed(status) || records.count == 0) {
        return status;
    }
    return bundle_fill(bundle, cluster.cluster_id, sequence, &records);
}

/* What leaves must be committed here first: effects follow committed state only. */
static struct status load(void *context, uint64_t sequence, struct bundle *bundle)
{
    struct cloud *cloud = context;
    struct arena arena = {0};

    struct status status = fault_fires(FAULT_EXPORT_LOAD)
                               ? fail(STATUS_NO_MEMORY, "load a bundle")
                               : cloud->context.ops->flush(cloud->context.context);
    if (!failed(status)) {
        status = load_records(cloud, &arena, sequence, bundle);
    }
    arena_release(&arena);
    return status;
}

/* ---- What the exporter does ---- */

static void on_sent(struct ctia_import *import, const struct ctia_answer *answer)
{
    struct cloud *cloud = import->context;
    fault_step(FAULT_EXPORT_ANSWERED);
    cloud_count_call(cloud);
    if (answer->quota_limit != 0) {
        cloud->quota_limit = answer->quota_limit;
    }
    exporter_on_sent(&cloud->exporter, (unsigned)(import - cloud->imports), answer);
}

static struct status send_bundle(void *context, unsigned slot, struct slice body)
{
    struct cloud *cloud = context;
    struct arena arena = {0};
    struct credential_view credential;
    struct ctia_target target = {.http = cloud->http, .oauth = &cloud->oauth};

    struct status status =
        store_credential(cloud->context.store, &arena, (struct slice){0}, &credential);
    if (!failed(status)) {
        status = region_parse(credential.region, &target.region);
    }
    arena_release(&arena);
    if (failed(status)) {
        return status;
    }
    if (fault_fires(FAULT_EXPORT_SEND)) {
        return fail(STATUS_NO_MEMORY, "send a bundle");
    }
    target.endpoints = cloud_endpoints(cloud, target.region);
    cloud->imports[slot].context = cloud;
    return ctia_start(&cloud->imports[slot], &target, body, on_sent);
}

static void cancel_bundle(void *context, unsigned slot)
{
    struct cloud *cloud = context;
    ctia_cancel(&cloud->imports[slot]);
}

static void on_advanced(struct cloud *cloud, bool applied)
{
    fault_step(FAULT_EXPORT_ADVANCED);
    exporter_on_advanced(&cloud->exporter, applied);
}

static struct status advance(void *context, const struct bundle *bundle)
{
    struct arena arena = {0};
    struct command command = {
        .type = COMMAND_EXPORT_ADVANCE,
        .body.export_advance = {.from = bundle->from, .to = bundle->to},
    };

    struct status status =
        fault_fires(FAULT_EXPORT_ADVANCE)
            ? fail(STATUS_NO_MEMORY, "move the mark")
            : bundle_rejects(bundle, &arena, &command.body.export_advance.rejects);
    if (!failed(status)) {
        status = cloud_propose(context, &command, on_advanced);
    }
    arena_release(&arena);
    return status;
}

static void cloud_paused(void *context, uint64_t until_ms, const char *reason)
{
    cloud_propose_pause(context, until_ms, reason);
}

static void start_timer(void *context, uint64_t delay_ms)
{
    cloud_start_timer(context, CLOUD_TIMER_EXPORT, delay_ms);
}

static void stop_timer(void *context)
{
    cloud_stop_timer(context, CLOUD_TIMER_EXPORT);
}

static void drained(void *context)
{
    cloud_on_drained(context);
}

const struct exporter_ops cloud_exporter_ops = {
    .now_ms = cloud_now_ms,
    .monotonic_ms = cloud_monotonic_ms,
    .random = cloud_random,
    .gate = gate,
    .load = load,
    .send = send_bundle,
    .cancel = cancel_bundle,
    .advance = advance,
    .cloud_paused = cloud_paused,
    .credentials_refused = credentials_refused,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
    .drained = drained,
};
