/*
 * HTTPS, simulated: server/http_client.h without a network. A request leaves at the end of the turn
 * it was begun in, may never arrive, arrive twice, lose its reply, or have it when nobody waits any
 * more. What has left goes on even if the node that sent it crashes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_client.h"

#include <stdlib.h>
#include <string.h>

#include "whole.h"

struct status http_client_open(struct uv_loop_s *loop, const char *user_agent,
                               const char *proxy_url, struct http_client **out)
{
    (void)loop;
    (void)user_agent;
    (void)proxy_url;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? OK : fail(STATUS_NO_MEMORY, "open");
}

void http_client_close(struct http_client *client, void (*closed)(void *context), void *context)
{
    free(client);
    closed(context);
}

/* ---- Errands ---- */

static void release(struct errand *errand)
{
    if (--errand->references > 0) {
        return;
    }
    free(errand->method);
    free(errand->path);
    free(errand->authorization);
    free(errand->certificate);
    free(errand->body);
    free(errand->reply);
    free(errand);
}

static char *copy(struct slice text)
{
    char *out = calloc(1, text.size + 1);
    if (out == NULL) {
        abort();
    }
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    return out;
}

/* What the oracles of the cloud must notice: the product would have to do it wrong. */
static void sabotage_body(struct errand *errand)
{
    struct world *world = errand->site->node->world;
    char *at = NULL;
    if (world->options.sabotage == SABOTAGE_BODY && errand->site->node->number == 1) {
        at = strstr(errand->body, "somebody@");
    } else if (world->options.sabotage == SABOTAGE_REGISTER &&
               strcmp(errand->path, "/sim/v1/devices:register") == 0) {
        at = strstr(errand->body, "serial-");
        char *token = strstr(errand->body, "5eed");
        if (token != NULL) {
            memcpy(token, device_make_token(world, TOKEN_GOOD), WHOLE_TOKEN_SIZE - 1);
        }
        at = at != NULL ? at + 1 + whole_draw(world, 0, 4) : NULL;
    }
    if (at != NULL) {
        *at = 'S';
    }
}

static struct errand *new_errand(struct http_client *client, struct http_call *call)
{
    struct errand *errand = calloc(1, sizeof *errand);
    const char *path = strstr(call->url, "://");
    path = path != NULL ? strchr(path + 3, '/') : NULL;
    if (errand == NULL || path == NULL) {
        abort();
    }
    errand->site = client->site;
    errand->call = call;
    errand->method = copy(slice_of(call->method));
    errand->path = copy(slice_of(path));
    errand->certificate = copy(call->certificate_pem);
    errand->body = copy(call->body);
    if (client->site->lone == NULL) {
        sabotage_body(errand);
    }
    errand->authorization = copy((struct slice){0});
    for (size_t i = 0; i < HTTP_HEADERS_MAX && call->headers[i] != NULL; i++) {
        static const char name[] = "Authorization: ";
        if (strncmp(call->headers[i], name, sizeof name - 1) == 0) {
            free(errand->authorization);
            errand->authorization = copy(slice_of(call->headers[i] + sizeof name - 1));
        }
    }
    errand->next = client->errands;
    client->errands = errand;
    return errand;
}

/* Nobody waits for it any more. */
static void leave(struct http_client *client, struct errand *errand)
{
    struct errand **at = &client->errands;
    while (*at != errand) {
        at = &(*at)->next;
    }
    *at = errand->next;
    errand->call->client = NULL;
    errand->call = NULL;
}

void http_forget(struct http_client *client)
{
    while (client->errands != NULL) {
        leave(client, client->errands);
    }
}

/* ---- The way there and back ---- */

static void send_errand(struct errand *errand, struct site *site, uint64_t delay_ms,
                        void (*run)(void *context, uint64_t argument))
{
    errand->references++;
    whole_later(errand->site->node->world, site, delay_ms, run, errand, 0);
}

static void finish(struct errand *errand, const struct http_response *response)
{
    struct http_call *call = errand->call;
    struct world *world = errand->site->node->world;
    if (call == NULL) {
        world->whole->counts[WHOLE_LATE]++;
        world_say(world, "    node %u: a late answer to %s %s is dropped",
                  errand->site->node->number, errand->method, errand->path);
    } else {
        leave(call->client, errand);
        call->done(call, response);
    }
    release(errand);
}

static void on_reply(void *context, uint64_t argument)
{
    struct errand *errand = context;
    const struct http_response response = {
        .status = OK,
        .code = errand->code,
        .body = slice_of(errand->reply),
        .retry_after_s = errand->retry_after_s,
        .quota_limit = UINT64_MAX,
        .quota_remaining = UINT64_MAX,
    };
    (void)argument;
    finish(errand, &response);
}

static void on_broken(void *context, uint64_t argument)
{
    struct errand *errand = context;
    const struct http_response response = {
        .status = errand->lost ? fail(STATUS_UNKNOWN, "the connection broke after the request")
                               : fail(STATUS_UNREACHABLE, "no connection"),
        .quota_limit = UINT64_MAX,
        .quota_remaining = UINT64_MAX,
    };
    (void)argument;
    finish(errand, &response);
}

static unsigned latency_ms(struct world *world)
{
    return whole_draw(world, 1, world->whole->temper.latency_max_ms);
}

/* The end of a call whose answer does not come: a reset, or the time-out of its own. */
static uint64_t patience_ms(struct world *world, const struct errand *errand)
{
    bool resets = errand->call == NULL || whole_chance(world, 70);
    return resets ? whole_draw(world, 1, 3000) : errand->call->timeout_ms;
}

static void send_back(struct errand *errand)
{
    struct world *world = errand->site->node->world;
    errand->lost = whole_chance(world, world->whole->temper.reply_lost_percent);
    if (errand->lost) {
        world->whole->counts[WHOLE_REPLIES_LOST]++;
        world_say(world, "    cloud: the reply %u to %s %s is lost", errand->code, errand->method,
                  errand->path);
        send_errand(errand, errand->site, patience_ms(world, errand), on_broken);
    } else {
        send_errand(errand, errand->site, latency_ms(world), on_reply);
    }
}

/* The client sent it again on a new connection, and has this answer; or a box on the way did. */
static void on_second(void *context, uint64_t argument)
{
    struct errand *errand = context;
    struct errand unheard = *errand;
    if (errand->reply == NULL) {
        vendor_serve(errand->site->node->world, errand);
        send_back(errand);
    } else {
        unheard.reply = NULL;
        vendor_serve(errand->site->node->world, &unheard);
        free(unheard.reply);
    }
    (void)argument;
    release(errand);
}

static void on_arrival(void *context, uint64_t argument)
{
    struct errand *errand = context;
    struct world *world = errand->site->node->world;
    bool twice = whole_chance(world, world->whole->temper.twice_percent);
    (void)argument;
    vendor_serve(world, errand);
    if (twice) {
        world->whole->counts[WHOLE_TWICE]++;
        world_say(world, "    cloud: %s %s will come once more", errand->method, errand->path);
        send_errand(errand, NULL, whole_draw(world, 1, 5000), on_second);
    }
    if (twice && whole_chance(world, 50)) {
        free(errand->reply);
        errand->reply = NULL; /* The first connection broke without a byte. */
    } else {
        send_back(errand);
    }
    release(errand);
}

static void on_departure(void *context, uint64_t argument)
{
    struct errand *errand = context;
    struct world *world = errand->site->node->world;
    struct whole *whole = world->whole;
    (void)argument;
    if (errand->call != NULL) {
        whole->counts[WHOLE_CALLS]++;
        whole_check_departure(errand->site, errand);
        world_say(world, "  node %u: %s %s", errand->site->node->number, errand->method,
                  errand->path);
        if (world->now_ms < whole->vendor.down_until_ms ||
            whole_chance(world, whole->temper.unreachable_percent)) {
            whole->counts[WHOLE_UNREACHABLE]++;
            send_errand(errand, errand->site, patience_ms(world, errand), on_broken);
        } else {
            send_errand(errand, NULL, latency_ms(world), on_arrival);
        }
    }
    release(errand);
}

/* ---- The client's functions ---- */

struct status http_start(struct http_client *client, struct http_call *call, http_done done)
{
    struct errand *errand = new_errand(client, call);
    call->done = done;
    call->client = client;
    send_errand(errand, client->site, 0, on_departure);
    return OK;
}

void http_cancel(struct http_call *call)
{
    struct http_client *client = call->client;
    for (struct errand *errand = client == NULL ? NULL : client->errands; errand != NULL;
         errand = errand->next) {
        if (errand->call == call) {
            leave(client, errand);
            return;
        }
    }
}
