/*
 * What the cloud's workers share. Private to cloud.c, cloud_loop.c, cloud_export.c,
 * cloud_registration.c, cloud_verify.c and cloud_lookup.c, which tie each machine to the store, the
 * node and HTTPS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CLOUD_STATE_H
#define SERVER_CLOUD_STATE_H

#include <uv.h>

#include "cloud.h"
#include "ctia.h"
#include "exchange.h"
#include "exporter.h"
#include "oauth.h"
#include "registrar.h"
#include "verifier.h"

#define CLOUD_LOOKUPS_MAX 8

/* Endpoints with their texts held by us. */
struct cloud_endpoints {
    struct endpoints row;
    char urls[FAMILY_COUNT][REGION_URL_SIZE];
    struct buffer ca_pem;
};

enum cloud_timer {
    CLOUD_TIMER_EXPORT,
    CLOUD_TIMER_REGISTRATION,
    CLOUD_TIMER_VERIFICATION,
    CLOUD_TIMER_DRAIN,
    CLOUD_TIMER_CALLS,
    CLOUD_TIMER_COUNT,
};

struct cloud_lookup {
    bool taken;
    bool waiting; /* For a token; otherwise the call is under way, or it is due to be begun. */
    bool begun;
    char serial[STORE_SERIAL_SIZE_MAX + 1];
    enum region region;
    struct exchange_call call;
    struct oauth_waiter waiter;
    struct oauth_token *token;
    struct cloud *cloud;
    cloud_lookup_done done;
    void *argument;
};

/* An answer to a question that could not even begin; given at the end of the turn. */
struct cloud_deferred {
    struct cloud_deferred *next;
    cloud_verify_done verified; /* One of the two. */
    cloud_lookup_done looked_up;
    void *argument;
    struct status status;
};

struct cloud {
    struct cloud_context context;
    struct cloud_endpoints endpoints[REGION_COUNT];
    struct http_client *http;
    bool leading;
    bool closing;
    size_t proposals; /* Not answered yet. */
    size_t handles;   /* uv handles that are not closed yet, and the HTTPS client. */

    uv_timer_t timers[CLOUD_TIMER_COUNT];
    uv_prepare_t look; /* Runs once before the loop waits, after something was applied. */

    uint64_t
        calls_untold; /* That count: bundles answered, tokens asked for; not written down yet, */
    uint64_t calls_telling; /* or on their way into the state. */
    uint64_t quota_limit;   /* Calls an hour, as the cloud told this leader last; 0: not yet. */
    struct oauth oauth;     /* Of the selected credentials. */
    struct oauth_grant token_grant;
    uint64_t account; /* Which credentials these are, see cloud_account(). */

    struct exporter exporter;
    struct ctia_import imports[EXPORTER_WINDOW];
    struct registrar registrar;
    struct exchange_call exchange;
    struct secret device_key; /* Of a registration that is being asked for: to check the answer. */
    struct verifier verifier;
    struct oauth_grant verify_grant;
    struct cloud_lookup lookups[CLOUD_LOOKUPS_MAX];
    struct cloud_deferred *deferred;

    void (*drained)(void *context);
    void *drained_context;
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- Helpers for all ---- */

uint64_t cloud_now_ms(void *context);

/* Stamp and propose. `done` is called with the cloud; NULL: nobody needs the answer. */
typedef void (*cloud_done)(struct cloud *cloud, bool applied);
MUST_USE struct status cloud_propose(struct cloud *cloud, const struct command *command,
                                     cloud_done done);
/* The organisation must not call for a while; unanswered. */
void cloud_propose_pause(struct cloud *cloud, uint64_t until_ms, const char *reason);

/* STATUS_BUSY, with the words, while the organisation must not call: whoever leads, since it stands in
 * the state. */
MUST_USE struct status cloud_open_to_us(struct cloud *cloud);

const struct endpoints *cloud_endpoints(const struct cloud *cloud, enum region region);

/* Ask the token endpoint with these credentials, whose password is opened for as long as that
 * takes. STATUS_INVALID, _REFUSED (region), _CORRUPT (not sealed for this), _BUSY (cloud_open_to_us()). */
MUST_USE struct status cloud_grant(struct cloud *cloud, struct oauth_grant *grant,
                                   const struct credential_view *credential, oauth_grant_done done);

/* One call more of the organisation's quota; write down those that came together; a leader no more. */
void cloud_count_call(struct cloud *cloud);
void cloud_tell_calls(struct cloud *cloud);
void cloud_forget_calls(struct cloud *cloud);

/* With those that are not written down yet. */
void cloud_view_calls(struct cloud *cloud, struct calls_view *out);

/* A number that changes whenever tokens of these credentials must not be used any more. */
uint64_t cloud_account(const struct credential_view *credential);

/* ---- The loop's side: cloud_loop.c, or a simulated one ---- */

uint64_t cloud_monotonic_ms(void *context);
uint64_t cloud_random(void *context);
void cloud_start_timer(struct cloud *cloud, enum cloud_timer timer, uint64_t delay_ms);
void cloud_stop_timer(struct cloud *cloud, enum cloud_timer timer);
void cloud_look_later(struct cloud *cloud); /* One cloud_look() at the end of this turn. */

/* Timers and HTTPS client. Closing brings `handles` to 0, later, with cloud_finish_closing() each
 * time that it changes. */
MUST_USE struct status cloud_open_loop(struct cloud *cloud, const struct cloud_context *context);
void cloud_close_loop(struct cloud *cloud);

/* What it calls. */
void cloud_on_timer(struct cloud *cloud, enum cloud_timer timer);
void cloud_look(struct cloud *cloud);
void cloud_finish_closing(struct cloud *cloud);

/* ---- Workers ---- */

extern const struct oauth_ops cloud_oauth_ops;
extern const struct exporter_ops cloud_exporter_ops;
extern const struct registrar_ops cloud_registrar_ops;
extern const struct verifier_ops cloud_verifier_ops;

/* Forget the token if the selected credentials are other ones by now. */
void cloud_follow_account(struct cloud *cloud);

/* Lookups: begin those that were asked for; answer all of them as unreachable. */
void cloud_begin_lookups(struct cloud *cloud);
void cloud_end_lookups(struct cloud *cloud, const char *reason);

/* Answer a question later, with this failure. If memory runs out: at once. */
void cloud_defer(struct cloud *cloud, struct cloud_deferred answer);
void cloud_answer_deferred(struct cloud *cloud);

/* The exporter has drained. */
void cloud_on_drained(struct cloud *cloud);

#endif
