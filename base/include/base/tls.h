/*
 * TLS contexts: who we are and whom we believe, made from PEM bytes in memory.
 *
 * A context serves both sides, any number of streams (stream.h) and never changes. To reload a
 * certificate make a new context and use it for new streams; those that are open keep the old one.
 *
 * Sessions are never resumed: no tickets, no cache. Every connection proves its key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define TLS_FINGERPRINT_SIZE 32 /* Bytes of a SHA-256. */

enum tls_verify {
    /* The other side must show a certificate that chains to `ca_pem` and is valid now. */
    TLS_VERIFY_REQUIRED,
    /* The same, but a connecting side may show none at all; stream_peer_certificate() tells.
     * An accepting side always shows one, and it is verified. */
    TLS_VERIFY_REQUESTED,
    /* Connecting side only, `ca_pem` is not used: the chain that the other side shows must end in
     * its own CA certificate, whose SHA-256 is `ca_fingerprint` and which signed the rest. */
    TLS_VERIFY_FINGERPRINT,
};

struct tls_options {
    enum tls_verify verify;
    struct slice ca_pem;          /* One or more CA certificates. */
    struct slice certificate_pem; /* Own certificate first, then those that issued it. Empty: none
                                     (connecting side only). Put the CA's last if joiners with
                                     TLS_VERIFY_FINGERPRINT connect. */
    struct slice key_pem;         /* Of the first certificate; from a struct secret. Unencrypted. */
    uint8_t ca_fingerprint[TLS_FINGERPRINT_SIZE];
    bool version_1_2_allowed; /* Otherwise TLS 1.3 only. */
    bool times_ignored;       /* Whether certificates are valid at this moment is not asked: for
                                 those who know by other means whose keys count. */
};

struct tls_context;

/*
 * The options' bytes are not needed after the call. Fails with STATUS_INVALID (names the part that
 * is not PEM, does not match its key, or is missing) or STATUS_NO_MEMORY; `*out` is written on
 * success only.
 */
MUST_USE struct status tls_context_create(const struct tls_options *options,
                                          struct tls_context **out);

/* Streams that use it keep what they need. NULL is ignored. Same thread as its streams. */
void tls_context_destroy(struct tls_context *context);

/* When the own certificate ends, ms since 1970; 0 without one. */
uint64_t tls_context_not_after_ms(const struct tls_context *context);

#endif
