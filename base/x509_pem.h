/*
 * PEM to OpenSSL's objects and back, for x509.c and x509_make.c. What is made is the caller's to
 * free; on failure `*out` is NULL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef X509_PEM_H
#define X509_PEM_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/slice.h"
#include "base/status.h"

/* Translate the calling thread's OpenSSL error, and clear it. */
MUST_USE struct status x509_fail(enum status_code code, const char *action);

MUST_USE struct status x509_read_certificate(struct slice pem, X509 **out);
MUST_USE struct status x509_read_private_key(struct slice pem, EVP_PKEY **out);

/* Of a certificate, a signing request (whose signature is checked) or a public key. */
MUST_USE struct status x509_read_public_key(struct slice pem, EVP_PKEY **out);
MUST_USE struct status x509_read_request(struct slice pem, X509_REQ **out);

/* Append what a memory BIO has collected. */
MUST_USE struct status x509_append(BIO *bio, struct buffer *out);

#endif
