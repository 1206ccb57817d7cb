/*
 * The verifier, tied to the store and to the token endpoint.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fault.h"
#include "cloud_state.h"

static struct status credentials(void *context, struct arena *arena, struct codec_list *out)
{
    const struct cloud *cloud = context;
    return store_credentials(cloud->context.store, arena, out);
}

static void on_granted(struct oauth_grant *grant, const struct oauth_answer *answer)
{
    struct cloud *cloud = grant->context;
    verifier_on_answer(&cloud->verifier, answer);
}

static struct status ask(void *context, const struct credential_view *credential)
{
    struct cloud *cloud = context;
    return fault_fires(FAULT_VERIFY_ASK)
               ? fail(STATUS_NO_MEMORY, "ask the cloud")
               : cloud_grant(cloud, &cloud->verify_grant, credential, on_granted);
}

static void cancel(void *context)
{
    struct cloud *cloud = context;
    oauth_grant_cancel(&cloud->verify_grant);
}

static void on_proposed(struct cloud *cloud, bool applied)
{
    verifier_on_proposed(&cloud->verifier, applied);
}

static struct status propose(void *context, const struct command *command)
{
    return fault_fires(FAULT_VERIFY_PROPOSE) ? fail(STATUS_NO_MEMORY, "propose")
                                             : cloud_propose(context, command, on_proposed);
}

static void cloud_paused(void *context, unsigned delay_s, const char *reason)
{
    cloud_propose_pause(context, cloud_now_ms(context) + (uint64_t)delay_s * 1000, reason);
}

static void start_timer(void *context, uint64_t delay_ms)
{
    cloud_start_timer(context, CLOUD_TIMER_VERIFICATION, delay_ms);
}

static void stop_timer(void *context)
{
    cloud_stop_timer(context, CLOUD_TIMER_VERIFICATION);
}

const struct verifier_ops cloud_verifier_ops = {
    .monotonic_ms = cloud_monotonic_ms,
    .random = cloud_random,
    .credentials = credentials,
    .ask = ask,
    .cancel = cancel,
    .propose = propose,
    .cloud_paused = cloud_paused,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
};

void cloud_verify(struct cloud *cloud, struct slice name, cloud_verify_done done, void *argument)
{
    struct status status = verifier_request(&cloud->verifier, name, done, argument);

    if (failed(status)) {
        cloud_defer(cloud, (struct cloud_deferred){
                               .verified = done, .argument = argument, .status = status});
    }
}
