/*
 * The device's key and certificate request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "device_secrets.h"

#include "base/random.h"
#include "base/x509.h"

struct status device_seal(const struct device_sealer *sealer, const char *purpose,
                          struct slice plain, struct buffer *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct seal_purpose bound = seal_purpose_of(slice_of(purpose), sealer->registration_epoch);

    random_bytes(nonce, sizeof nonce);
    return seal_close(secret_slice(&sealer->keys->key), (uint32_t)sealer->keys->epoch, &bound,
                      nonce, plain, out);
}

struct status device_secrets_make(const struct device_sealer *sealer, struct slice name,
                                  struct device_secrets *out)
{
    struct secret key = {0};

    struct status status = x509_make_key(&key);
    if (!failed(status)) {
        status = x509_make_request(secret_slice(&key), name, &out->csr);
    }
    if (!failed(status)) {
        status = device_seal(sealer, "device_key", secret_slice(&key), &out->sealed_key);
    }
    secret_release(&key);
    return status;
}

void device_secrets_release(struct device_secrets *secrets)
{
    buffer_release(&secrets->sealed_key);
    buffer_release(&secrets->csr);
}
