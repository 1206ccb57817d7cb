/*
 * Devices as the exchange service keeps them: registration tokens, registrations, certificates.
 * Everything about them is INFERRED; README.md has the contract.
 *
 *                 register        delay passes            DELETE           delay passes
 *     (no device) ────────► IN_PROGRESS ────► REGISTERED ────────► DELETING ────► GONE
 *                              │                │   ▲ │                            ▲
 *                    script    ▼        suspend ▼   │ └──── deleted in the portal ─┤
 *                            FAILED         SUSPENDED ─────────────────────────────┘
 *
 * A registration that replaces a device by its id leads from REGISTERED or SUSPENDED to IN_PROGRESS.
 *
 * Time passes when somebody looks: sim_devices_tick() makes the moves that are due.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include "base/slice.h"
#include "sim_family.h"
#include "sim_oauth.h"
#include "sim_pki.h"

#define SIM_DEVICES_MAX 10000
#define SIM_REG_TOKENS_MAX 10000
#define SIM_REG_TOKEN_SIZE 33 /* 32 lower-case hexadecimal digits. */
#define SIM_FIELD_SIZE 256    /* name, serial, model, version, ip; the zero included. */

enum sim_device_state {
    SIM_DEVICE_IN_PROGRESS,
    SIM_DEVICE_REGISTERED,
    SIM_DEVICE_SUSPENDED,
    SIM_DEVICE_DELETING,
    SIM_DEVICE_GONE,
    SIM_DEVICE_FAILED,
    SIM_DEVICE_STATE_COUNT,
};

struct sim_reg_token {
    char digest[SIM_DIGEST_TEXT_SIZE];
    char org[SIM_NAME_SIZE];
    enum sim_region region;
    uint64_t expires_ms;
    bool used;
};

struct sim_certificate {
    char digest[SIM_DIGEST_TEXT_SIZE];     /* Of the certificate; empty: there is none. */
    char csr_digest[SIM_DIGEST_TEXT_SIZE]; /* Of the request that it answers. */
    uint64_t not_after_ms;
    struct buffer pem;
};

struct sim_device {
    char registration_id[40];
    char id[48];
    enum sim_device_state state;
    enum sim_region region;
    char org[SIM_NAME_SIZE];
    char name[SIM_FIELD_SIZE];
    char serial[SIM_FIELD_SIZE];
    char model[SIM_FIELD_SIZE];
    char version[SIM_FIELD_SIZE];
    char ip[SIM_FIELD_SIZE];
    char token_digest[SIM_DIGEST_TEXT_SIZE];
    char csr_digest[SIM_DIGEST_TEXT_SIZE];
    char key_digest[SIM_DIGEST_TEXT_SIZE];
    EVP_PKEY *key; /* Of the request; until the certificate is issued. */
    struct sim_certificate certificate;
    struct sim_certificate previous; /* Still good after a renewal. */
    bool revoked;
    bool stuck;      /* By a fault script. */
    bool will_fail;  /* The same. */
    uint64_t due_ms; /* When IN_PROGRESS or DELETING ends. */
    uint64_t registered_ms;
    uint64_t last_seen_ms;
    uint64_t heartbeats;
    uint64_t renewals;
};

struct sim_devices {
    struct sim_ca ca;
    struct sim_device **list;
    size_t count;
    struct sim_reg_token *tokens;
    size_t token_count;
    struct sim_map by_certificate; /* Digest -> device: each certificate ever issued. */
    char (*disabled_orgs)[SIM_NAME_SIZE];
    size_t disabled_count;
    uint64_t delay_ms;
    uint64_t deregistration_delay_ms;
    uint64_t certificate_days;
    uint64_t certificate_s; /* Instead of the days, if not 0. */
};

MUST_USE struct status sim_devices_init(struct sim_devices *devices);
void sim_devices_release(struct sim_devices *devices);

void sim_devices_tick(struct sim_devices *devices, uint64_t now_ms);

/* Make a token; its text is told once. STATUS_FULL. */
MUST_USE struct status sim_devices_add_token(struct sim_devices *devices,
                                             const struct sim_reg_token *token,
                                             char text[SIM_REG_TOKEN_SIZE]);

void sim_devices_disable(struct sim_devices *devices, const char *org, bool disabled);

/* A request to register; borrowed texts, checked for presence and size. */
struct sim_registration {
    const char *token;
    const char *name;
    const char *serial;
    const char *model;
    const char *version;
    const char *ip;
    const char *replaces; /* A device id that this registration takes over; or empty. */
    const char *csr;
    enum sim_region region;
    uint64_t now_ms;
    bool stuck;
    bool will_fail;
};

/* Why a request was refused: what the reply says. */
struct sim_refusal {
    int status; /* HTTP; 0: not refused. */
    const char *code;
    char message[STATUS_MESSAGE_SIZE];
    const char *device_id; /* device_registered: the one that is there. May be NULL. */
};

/* Begin a registration, or find the one that this token and request began. NULL when refused. */
struct sim_device *sim_devices_register(struct sim_devices *devices,
                                        const struct sim_registration *request,
                                        struct sim_refusal *refusal);

struct sim_device *sim_devices_by_registration(const struct sim_devices *devices, const char *id,
                                               enum sim_region region);
struct sim_device *sim_devices_by_id(const struct sim_devices *devices, const char *id);

/* The device of a certificate, whatever its state; NULL when none was issued so. */
struct sim_device *sim_devices_by_certificate(const struct sim_devices *devices,
                                              const char *digest);

/* Issue the next certificate for a request. False when refused. */
bool sim_devices_renew(struct sim_devices *devices, struct sim_device *device, const char *csr,
                       uint64_t now_ms, struct sim_refusal *refusal);

/* Move to another state; false, unmoved, if the drawing has no such arrow. */
bool sim_device_become(struct sim_device *device, enum sim_device_state next);

const char *sim_device_state_name(enum sim_device_state state);

/* The object of the contract, and its tail for the admin. */
void sim_device_write(const struct sim_device *device, struct buffer *out);

#endif
