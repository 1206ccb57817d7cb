/*
 * Keys and certificates: making, issuing and reading them, and signing with them. ECDSA on P-256
 * with SHA-256 throughout (what every TLS 1.3 stack has). PEM in, PEM out.
 *
 * Functions that append to a buffer leave it as it was when they fail; a secret that is filled must
 * be empty before and is empty after a failure. What is not PEM, or not the kind that is wanted, is
 * STATUS_INVALID. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_X509_H
#define BASE_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"

#define X509_HASH_SIZE 32            /* Bytes of a SHA-256. */
#define X509_SERIAL_SIZE_MAX 20      /* Bytes (RFC 5280, 4.1.2.2). */
#define X509_COMMON_NAME_SIZE_MAX 64 /* Bytes (RFC 5280, ub-common-name). */
#define X509_SIGNATURE_SIZE_MAX 80   /* Bytes of an ECDSA signature on P-256, DER: at most 72. */
#define X509_PEM_SIZE_MAX 65536      /* Bytes of one PEM input. */

/* A new private key, PKCS #8 PEM. */
MUST_USE struct status x509_make_key(struct secret *key_pem);

/* The public half, SubjectPublicKeyInfo PEM, of a private key. */
MUST_USE struct status x509_public_key(struct slice key_pem, struct buffer *public_pem);

/* What to put into a certificate; the caller chooses all of it, so that it can be replicated. */
struct x509_subject {
    struct slice common_name; /* UTF-8, 1 to X509_COMMON_NAME_SIZE_MAX bytes. */
    struct slice
        alternative_name;   /* OpenSSL's notation, "DNS:a.example,IP:192.0.2.1"; empty: none. */
    struct slice serial;    /* 1 to X509_SERIAL_SIZE_MAX bytes, big-endian, not all zero; the
                                     highest bit of the first byte clear. */
    uint64_t not_before_ms; /* Since 1970; cut to seconds. */
    uint64_t not_after_ms;
    bool client_only; /* Good for the connecting side of TLS only: whoever holds it cannot pose as a
                         server. */
};

/* A certificate of the key's own, which may sign others (but no further CA). */
MUST_USE struct status x509_make_ca(struct slice key_pem, const struct x509_subject *subject,
                                    struct buffer *certificate_pem);

/*
 * A certificate for a public key (SubjectPublicKeyInfo PEM) or for a signing request whose
 * signature is checked (CERTIFICATE REQUEST PEM; names in it are ignored), signed by the CA; good
 * for both sides of TLS unless client_only. It never outlives the CA: not_after is cut. STATUS_INVALID if the key
 * is not of P-256, STATUS_REFUSED if the CA's certificate is not one that may sign or does not belong to the key.
 */
MUST_USE struct status x509_issue(struct slice ca_certificate_pem, struct slice ca_key_pem,
                                  struct slice request_pem, const struct x509_subject *subject,
                                  struct buffer *certificate_pem);

/* A signing request for the key. */
MUST_USE struct status x509_make_request(struct slice key_pem, struct slice common_name,
                                         struct buffer *request_pem);

/* Does this certificate's public key belong to this private key? STATUS_REFUSED if not. */
MUST_USE struct status x509_check_key(struct slice certificate_pem, struct slice key_pem);

/* Did this CA sign this certificate? Times are not looked at. STATUS_REFUSED if not. */
MUST_USE struct status x509_check_issuer(struct slice certificate_pem, struct slice ca_pem);

/* ---- Reading; where the PEM has more than one certificate, the first counts ---- */

MUST_USE struct status x509_not_after_ms(struct slice certificate_pem, uint64_t *out);

MUST_USE struct status x509_not_before_ms(struct slice certificate_pem, uint64_t *out);

/* SHA-256 of the certificate (DER). */
MUST_USE struct status x509_fingerprint(struct slice certificate_pem, uint8_t out[X509_HASH_SIZE]);

/* SHA-256 of the public key (SubjectPublicKeyInfo, DER) of a certificate, a request or a public
 * key. */
MUST_USE struct status x509_key_hash(struct slice pem, uint8_t out[X509_HASH_SIZE]);

/* The common name of the subject of a certificate or request; STATUS_NOT_FOUND without one. */
MUST_USE struct status x509_common_name(struct slice pem, char *out, size_t out_size);

/* ---- Signing ---- */

/* Append a signature (DER) of the message. */
MUST_USE struct status x509_sign(struct slice key_pem, struct slice message,
                                 struct buffer *signature);

/* Was the message signed with the private half of this public key, certificate or request?
 * STATUS_UNAUTHORIZED if not. */
MUST_USE struct status x509_verify(struct slice pem, struct slice message, struct slice signature);

#endif
