/*
 * The count of calls of the organisation's quota. A leader counts its own and writes down what came
 * together every CLOUD_CALLS_TOLD_MS and before it hands over; so a new leader goes on from it, and what a
 * leader that dies made within its last seconds is all that is missing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_state.h"

#define CLOUD_CALLS_TOLD_MS 5000U

void cloud_count_call(struct cloud *cloud)
{
    if (cloud->calls_untold++ == 0) {
        cloud_start_timer(cloud, CLOUD_TIMER_CALLS, CLOUD_CALLS_TOLD_MS);
    }
}

static void on_told(struct cloud *cloud, bool applied)
{
    if (!applied && cloud->leading) {
        cloud->calls_untold += cloud->calls_telling;
        cloud_start_timer(cloud, CLOUD_TIMER_CALLS, CLOUD_CALLS_TOLD_MS);
    }
    cloud->calls_telling = 0;
}

void cloud_tell_calls(struct cloud *cloud)
{
    const struct command command = {
        .type = COMMAND_CLOUD_CALLS,
        .body.cloud_calls = {.count = cloud->calls_untold, .limit = cloud->quota_limit},
    };
    if (!cloud->leading || cloud->calls_untold == 0) {
        return;
    }
    if (cloud->calls_telling > 0 || failed(cloud_propose(cloud, &command, on_told))) {
        cloud_start_timer(cloud, CLOUD_TIMER_CALLS, CLOUD_CALLS_TOLD_MS);
        return;
    }
    cloud->calls_telling = cloud->calls_untold;
    cloud->calls_untold = 0;
}

void cloud_forget_calls(struct cloud *cloud)
{
    cloud->calls_untold = 0;
    cloud->quota_limit = 0;
    cloud_stop_timer(cloud, CLOUD_TIMER_CALLS);
}

void cloud_view_calls(struct cloud *cloud, struct calls_view *out)
{
    struct arena arena = {0};
    if (failed(store_calls(cloud->context.store, &arena, cloud_now_ms(cloud), out))) {
        *out = (struct calls_view){0}; /* A store that cannot be read is told of elsewhere. */
    }
    out->last_hour += cloud->calls_telling + cloud->calls_untold;
    out->limit = cloud->quota_limit != 0 ? cloud->quota_limit : out->limit;
    arena_release(&arena);
}
