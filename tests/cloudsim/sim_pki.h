/*
 * Keys and certificates: the CA that signs the listeners, the CA that signs devices, and the key
 * that signs access tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_PKI_H
#define SIM_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/slice.h"

#define SIM_DIGEST_TEXT_SIZE 65 /* SHA-256 as hexadecimal digits. */

struct sim_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

/* A new CA that lives for ten years. */
MUST_USE struct status sim_ca_make(struct sim_ca *ca, const char *common_name);

/* The CA of a folder, `ca.pem` and `ca-key.pem` (0600); made and written if it is not there. */
MUST_USE struct status sim_ca_open(struct sim_ca *ca, const char *directory);

void sim_ca_close(struct sim_ca *ca);

/* What a certificate is for. */
struct sim_subject {
    const char *common_name;
    const char *names;     /* subjectAltName in OpenSSL's notation, or NULL. */
    const char *key_usage; /* extendedKeyUsage. */
    int64_t from_s;        /* Seconds since 1970. */
    int64_t to_s;
};

MUST_USE struct status sim_ca_issue(const struct sim_ca *ca, const struct sim_subject *subject,
                                    EVP_PKEY *key, X509 **out);

/* A fresh EC key on P-256; NULL if OpenSSL cannot. */
EVP_PKEY *sim_key_make(void);

/* The key of a PEM signing request, checked: signature, kind and strength. STATUS_INVALID. */
MUST_USE struct status sim_csr_read(const char *pem, EVP_PKEY **out_key,
                                    char digest[SIM_DIGEST_TEXT_SIZE]);

/* SHA-256 digests: of bytes, of a certificate (DER), of a public key (DER). */
void sim_digest(struct slice bytes, char out[SIM_DIGEST_TEXT_SIZE]);
void sim_digest_certificate(X509 *certificate, char out[SIM_DIGEST_TEXT_SIZE]);
void sim_digest_key(EVP_PKEY *key, char out[SIM_DIGEST_TEXT_SIZE]);

MUST_USE struct status sim_certificate_pem(X509 *certificate, struct buffer *out);

#endif
