/*
 * What a device needs of its own to be registered, or to have its certificate renewed: a new key,
 * sealed, and the request for a certificate for it. Made by the leader, before it is proposed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DEVICE_SECRETS_H
#define SERVER_DEVICE_SECRETS_H

#include <stdint.h>

#include "base/secret.h"
#include "store/seal.h"

/* What seals. */
struct device_sealer {
    const struct keyring *keys;
    uint64_t registration_epoch; /* The secrets are good for no other. */
};

/* Zero-initialised is empty. */
struct device_secrets {
    struct buffer sealed_key; /* PEM; purpose "device_key". */
    struct buffer csr;        /* PEM. */
};

/* `out` must be empty, and is to be released whatever comes of it. */
MUST_USE struct status device_secrets_make(const struct device_sealer *sealer, struct slice name,
                                           struct device_secrets *out);
void device_secrets_release(struct device_secrets *secrets);

/* Append a secret, sealed for a purpose ("registration_token"). */
MUST_USE struct status device_seal(const struct device_sealer *sealer, const char *purpose,
                                   struct slice plain, struct buffer *out);

#endif
