/*
 * The cloud's workers on the loop: clock, timers, the look at the end of a turn, HTTPS. No decision
 * is made here: the simulation (tests/sim) puts simulated ones in the place of this file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "cloud_state.h"

#define USER_AGENT_SIZE (STORE_NAME_SIZE_MAX + 64)

uint64_t cloud_monotonic_ms(void *context)
{
    (void)context;
    return clock_monotonic_ms();
}

uint64_t cloud_random(void *context)
{
    (void)context;
    return random_u64();
}

/* ---- Timers ---- */

static void on_timer(uv_timer_t *timer)
{
    struct cloud *cloud = timer->data;
    cloud_on_timer(cloud, (enum cloud_timer)(timer - cloud->timers));
}

void cloud_start_timer(struct cloud *cloud, enum cloud_timer timer, uint64_t delay_ms)
{
    if (!cloud->closing) {
        (void)uv_timer_start(&cloud->timers[timer], on_timer, delay_ms, 0);
    }
}

void cloud_stop_timer(struct cloud *cloud, enum cloud_timer timer)
{
    if (!cloud->closing) {
        (void)uv_timer_stop(&cloud->timers[timer]);
    }
}

/* ---- Looking at the store again ---- */

static void on_look(uv_prepare_t *prepare)
{
    (void)uv_prepare_stop(prepare);
    cloud_look(prepare->data);
}

void cloud_look_later(struct cloud *cloud)
{
    (void)uv_prepare_start(&cloud->look, on_look);
}

/* ---- Opening and closing ---- */

struct status cloud_open_loop(struct cloud *cloud, const struct cloud_context *context)
{
    char user_agent[USER_AGENT_SIZE];

    (void)snprintf(user_agent, sizeof user_agent, "muster/" MUSTER_VERSION " (%.64s)",
                   context->node_name);
    struct status status =
        http_client_open(context->loop, user_agent, context->proxy_url, &cloud->http);
    if (failed(status)) {
        return status;
    }
    for (size_t i = 0; i < CLOUD_TIMER_COUNT; i++) {
        (void)uv_timer_init(context->loop, &cloud->timers[i]); /* Cannot fail. */
        cloud->timers[i].data = cloud;
    }
    (void)uv_prepare_init(context->loop, &cloud->look); /* Nor this. */
    cloud->look.data = cloud;
    cloud->handles = CLOUD_TIMER_COUNT + 2; /* The timers, the look, the HTTPS client. */
    return OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct cloud *cloud = handle->data;
    cloud->handles--;
    cloud_finish_closing(cloud);
}

static void on_http_closed(void *context)
{
    struct cloud *cloud = context;
    cloud->handles--;
    cloud_finish_closing(cloud);
}

void cloud_close_loop(struct cloud *cloud)
{
    for (size_t i = 0; i < CLOUD_TIMER_COUNT; i++) {
        uv_close((uv_handle_t *)&cloud->timers[i], on_handle_closed);
    }
    uv_close((uv_handle_t *)&cloud->look, on_handle_closed);
    http_client_close(cloud->http, on_http_closed, cloud);
}
