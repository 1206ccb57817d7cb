/*
 * The device side of Security Services Exchange: register, look, heartbeat, renew the certificate,
 * deregister, list.
 *
 * The service's real wire protocol is not public. What is spoken here is our own contract, version
 * 1 (tests/cloudsim/README.md, "Devices, contract v1"), and this file and its tables are all that
 * would change with another one.
 *
 * A lost reply is never a second registration: the same token with the same CSR is the same
 * registration, and whoever leads next asks again with both, as the store has them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/secret.h"
#include "http_client.h"
#include "reason.h"
#include "region.h"

#define EXCHANGE_CODE_SIZE 64 /* Bytes of an error code, with the zero byte. */

enum exchange_result {
    EXCHANGE_IN_PROGRESS, /* The registration goes on there. */
    EXCHANGE_REGISTERED,  /* With device, tenant and certificate; of a renewal: its certificate. */
    EXCHANGE_DONE,        /* Heartbeat taken; deletion begun; a list came. */
    EXCHANGE_GONE,        /* The cloud does not know this registration or device (any more). */
    EXCHANGE_REFUSED,     /* Asking again unchanged does not help: `code` and `reason`. */
    EXCHANGE_FAILED,      /* May pass. */
};

struct exchange_answer {
    enum exchange_result result;
    char code[EXCHANGE_CODE_SIZE]; /* The contract's, or "http_502", "unreachable". */
    char reason[REASON_SIZE];      /* What is wrong and what helps. */
    unsigned retry_after_s;        /* 0: not said. */
    bool listed;                   /* A list: the serial is in it. */

    /* Valid during the callback; empty unless said. */
    struct slice registration_id;
    struct slice device_id; /* Of "device_registered", too: the one that is in the way. */
    struct slice tenant;
    struct slice certificate;
    uint64_t not_after_ms;
};

/* Whom a call goes to, and as whom. */
struct exchange_target {
    struct http_client *http;
    enum region region;
    const struct endpoints *endpoints;
    struct slice certificate; /* The device's, PEM, */
    struct slice key;         /* and its key: for the calls that need them. */
    const char *bearer;       /* Or an Authorization line, for exchange_list(). */
};

struct exchange_device {
    struct slice name;
    struct slice serial;
    struct slice model; /* Optional, as the next two. */
    struct slice version;
    struct slice ip;
    struct slice replaces; /* Optional: the device id that this appliance gave up (--forget): if the
                              cloud still has it, it is taken over. */
};

enum exchange_kind {
    EXCHANGE_REGISTER,
    EXCHANGE_POLL,
    EXCHANGE_HEARTBEAT,
    EXCHANGE_RENEW,
    EXCHANGE_DELETE,
    EXCHANGE_LIST,
};

struct exchange_call;
typedef void (*exchange_done)(struct exchange_call *call, const struct exchange_answer *answer);

/* Allocated by the caller, zeroed, kept until `done` or exchange_cancel(). */
struct exchange_call {
    void *context; /* The caller's own. */

    /* Private. */
    enum exchange_kind kind;
    struct http_call http;
    struct secret body; /* Holds the token. */
    struct secret key;
    struct buffer certificate;
    char url[REGION_URL_SIZE + 256];
    exchange_done done;
};

/* All: nothing of the arguments but endpoints and `bearer` is needed after the call. A status that
 * is a failure means that `done` never comes. */
MUST_USE struct status exchange_register(struct exchange_call *call,
                                         const struct exchange_target *target,
                                         const struct exchange_device *device, struct slice token,
                                         struct slice csr, exchange_done done);
/* Another certificate for the device, for the key of the request. The same request again has the same
 * answer. */
MUST_USE struct status exchange_renew(struct exchange_call *call,
                                      const struct exchange_target *target, struct slice device_id,
                                      struct slice csr, exchange_done done);
/* `id`: a registration id for EXCHANGE_POLL, a device id for _HEARTBEAT and _DELETE, a serial for
 * _LIST. */
MUST_USE struct status exchange_ask(struct exchange_call *call,
                                    const struct exchange_target *target, enum exchange_kind kind,
                                    struct slice id, exchange_done done);

/* `done` will not come. Nothing if none is under way. */
void exchange_cancel(struct exchange_call *call);

/* What an answer means; `value` is its body when it is JSON, and texts in `*out` are borrowed from
 * it. For this file and its test. */
void exchange_answer_read(enum exchange_kind kind, const struct http_response *response,
                          const json_t *value, struct exchange_answer *out);

#endif
