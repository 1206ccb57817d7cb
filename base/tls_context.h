/*
 * The inside of a TLS context, for streams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/tls.h"

struct tls_context {
    SSL_CTX *ssl;
    unsigned references; /* The maker's, and one per stream. */
    uint64_t not_after_ms;
    uint8_t ca_fingerprint[TLS_FINGERPRINT_SIZE];
};

/* One more user; tls_context_destroy() takes it away again. */
void tls_context_hold(struct tls_context *context);

/*
 * What the failed OpenSSL call on `ssl` means, for the calling thread's error queue and the
 * `ssl_error` that SSL_get_error() gave. Clears the queue.
 */
MUST_USE struct status tls_fail(SSL *ssl, int ssl_error);

#endif
