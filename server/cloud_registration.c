/*
 * The registrar, tied to the store and to the device contract.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fault.h"
#include "base/x509.h"
#include "cloud_state.h"
#include "device_secrets.h"
#include "store/seal.h"

static struct status view(void *context, struct arena *arena, struct registration_view *out)
{
    const struct cloud *cloud = context;
    return store_registration(cloud->context.store, arena, out);
}

static struct status open_sealed(const struct cloud *cloud, const char *what, uint64_t epoch,
                                 struct slice sealed, struct secret *out)
{
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);
    struct status status = keyring_open(cloud->context.keys, &purpose, sealed, out);
    return failed(status) ? wrap(status, "open the %s", what) : OK;
}

/* ---- Answers ---- */

/* A certificate for another key than ours would be of no use; what the cloud means by it is
 * unknown, so it is asked again. */
static void check_certificate(struct cloud *cloud, struct exchange_answer *answer)
{
    struct status status = x509_check_key(answer->certificate, secret_slice(&cloud->device_key));

    if (failed(status)) {
        answer->result = EXCHANGE_FAILED;
        reason_say(answer->reason,
                   "the cloud issued a certificate that does not fit the device "
                   "key: %s",
                   status.message);
    }
}

static void on_answer(struct exchange_call *call, const struct exchange_answer *answer)
{
    struct cloud *cloud = call->context;
    struct exchange_answer checked = *answer;
    fault_step(FAULT_REGISTRAR_ANSWERED);

    if (answer->result == EXCHANGE_REGISTERED) {
        check_certificate(cloud, &checked);
    }
    secret_release(&cloud->device_key);
    registrar_on_answer(&cloud->registrar, &checked);
}

/* ---- Calls ---- */

/* The numeric host of "host:port" or "[v6]:port"; empty for a name. */
static struct slice address_of(struct slice peer_address)
{
    const char *bytes = peer_address.data;
    const char *colon = peer_address.size > 0 ? memrchr(bytes, ':', peer_address.size) : NULL;
    struct slice host = {bytes, colon != NULL ? (size_t)(colon - bytes) : 0};

    if (host.size > 2 && bytes[0] == '[' && bytes[host.size - 1] == ']') {
        return (struct slice){bytes + 1, host.size - 2};
    }
    for (size_t i = 0; i < host.size; i++) {
        if (strchr("0123456789.", bytes[i]) == NULL) {
            return (struct slice){0};
        }
    }
    return host;
}

static struct status call_register(struct cloud *cloud, const struct exchange_target *target,
                                   struct arena *arena, const struct registration_view *intent)
{
    struct member member;
    struct secret token = {0};

    struct status status = store_member(cloud->context.store, arena, intent->node_id, &member);
    if (!failed(status)) {
        status =
            open_sealed(cloud, "registration_token", intent->epoch, intent->sealed_token, &token);
    }
    if (failed(status)) {
        return status;
    }
    struct exchange_device device = {
        .name = member.name,
        .serial = intent->serial,
        .model = member.model,
        .version = member.version,
        .ip = address_of(member.peer_address),
        .replaces = intent->former_device_id,
    };
    status = exchange_register(&cloud->exchange, target, &device, secret_slice(&token), intent->csr,
                               on_answer);
    secret_release(&token);
    return status;
}

static struct status call_as_device(struct cloud *cloud, struct exchange_target *target,
                                    enum exchange_kind kind, const struct registration_view *intent)
{
    target->certificate = intent->certificate;
    target->key = secret_slice(&cloud->device_key);
    return exchange_ask(&cloud->exchange, target, kind, intent->device_id, on_answer);
}

/* As the device that it is, for a certificate of the key that is to follow: that one the answer is
 * checked with. */
static struct status call_renew(struct cloud *cloud, struct exchange_target *target,
                                const struct registration_view *intent)
{
    struct secret next_key = {0};

    struct status status =
        open_sealed(cloud, "device_key", intent->epoch, intent->sealed_renewal_key, &next_key);
    if (failed(status)) {
        return status;
    }
    target->certificate = intent->certificate;
    target->key = secret_slice(&cloud->device_key);
    status =
        exchange_renew(&cloud->exchange, target, intent->device_id, intent->renewal_csr, on_answer);
    secret_release(&cloud->device_key);
    cloud->device_key = next_key;
    return status;
}

static struct status start_call(struct cloud *cloud, struct arena *arena, enum exchange_kind kind,
                                const struct registration_view *intent)
{
    struct exchange_target target = {.http = cloud->http};
    struct status status = region_parse(intent->region, &target.region);

    if (!failed(status)) {
        status =
            open_sealed(cloud, "device_key", intent->epoch, intent->sealed_key, &cloud->device_key);
    }
    if (failed(status)) {
        return status;
    }
    target.endpoints = cloud_endpoints(cloud, target.region);
    cloud->exchange.context = cloud;
    switch (kind) {
    case EXCHANGE_REGISTER: return call_register(cloud, &target, arena, intent);
    case EXCHANGE_POLL:
        return exchange_ask(&cloud->exchange, &target, kind, intent->registration_id, on_answer);
    case EXCHANGE_HEARTBEAT:
    case EXCHANGE_DELETE: return call_as_device(cloud, &target, kind, intent);
    case EXCHANGE_RENEW: return call_renew(cloud, &target, intent);
    case EXCHANGE_LIST: break;
    }
    return fail(STATUS_INVALID, "not a call of the registrar");
}

/* The list is asked for with the selected credentials: the device's certificate is what does not
 * work any more. */
static void on_listed(void *argument, enum cloud_check check, const char *reason)
{
    struct cloud *cloud = argument;
    struct exchange_answer answer = {.result = EXCHANGE_FAILED};

    if (check != CLOUD_CHECK_UNREACHABLE) {
        answer.result = EXCHANGE_DONE;
        answer.listed = check == CLOUD_CHECK_REGISTERED;
    }
    reason_say(answer.reason, "%s", reason);
    if (cloud->registrar.state == REGISTRAR_CALLING && cloud->registrar.calling == EXCHANGE_LIST) {
        registrar_on_answer(&cloud->registrar, &answer);
    }
}

static struct status call(void *context, enum exchange_kind kind,
                          const struct registration_view *intent)
{
    struct cloud *cloud = context;
    struct arena arena = {0};

    struct status status = fault_fires(FAULT_REGISTRAR_CALL)
                               ? fail(STATUS_NO_MEMORY, "ask the cloud")
                               : cloud->context.ops->flush(cloud->context.context);
    if (failed(status)) {
        return status;
    }
    if (kind == EXCHANGE_LIST) {
        cloud_lookup(cloud, intent->serial, on_listed, cloud);
        return OK;
    }
    status = start_call(cloud, &arena, kind, intent);
    arena_release(&arena);
    if (failed(status)) {
        secret_release(&cloud->device_key);
    }
    return status;
}

static void cancel(void *context)
{
    struct cloud *cloud = context;
    exchange_cancel(&cloud->exchange);
    secret_release(&cloud->device_key);
}

static void on_proposed(struct cloud *cloud, bool applied)
{
    fault_step(FAULT_REGISTRAR_PROPOSED);
    registrar_on_proposed(&cloud->registrar, applied);
}

static struct status propose(void *context, const struct command *command)
{
    return fault_fires(FAULT_REGISTRAR_PROPOSE) ? fail(STATUS_NO_MEMORY, "propose")
                                                : cloud_propose(context, command, on_proposed);
}

static struct status begin_renewal(void *context, const struct registration_view *view)
{
    struct cloud *cloud = context;
    struct device_secrets secrets = {0};
    const struct device_sealer sealer = {.keys = cloud->context.keys,
                                         .registration_epoch = view->epoch};

    struct status status = device_secrets_make(&sealer, slice_of("device"), &secrets);
    if (!failed(status)) {
        struct command command = {
            .type = COMMAND_REGISTRATION_RENEW,
            .body.registration_renew = {.epoch = view->epoch,
                                        .sealed_key = buffer_slice(&secrets.sealed_key),
                                        .csr = buffer_slice(&secrets.csr),
                                        .key_epoch = sealer.keys->epoch},
        };
        status = propose(context, &command);
    }
    device_secrets_release(&secrets);
    return status;
}

static void start_timer(void *context, uint64_t delay_ms)
{
    cloud_start_timer(context, CLOUD_TIMER_REGISTRATION, delay_ms);
}

static void stop_timer(void *context)
{
    cloud_stop_timer(context, CLOUD_TIMER_REGISTRATION);
}

const struct registrar_ops cloud_registrar_ops = {
    .now_ms = cloud_now_ms,
    .monotonic_ms = cloud_monotonic_ms,
    .random = cloud_random,
    .view = view,
    .call = call,
    .begin_renewal = begin_renewal,
    .cancel = cancel,
    .propose = propose,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
};
