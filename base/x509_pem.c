/*
 * PEM in and out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "x509_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdint.h>

#include "base/x509.h"

struct status x509_fail(enum status_code code, const char *action)
{
    unsigned long error = ERR_peek_error();
    const char *words = ERR_reason_error_string(error);
    ERR_clear_error();
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
        code = STATUS_NO_MEMORY;
    }
    return fail(code, "%s: %s", action, words == NULL ? "unknown error" : words);
}

static struct status open_pem(struct slice pem, BIO **out)
{
    ERR_clear_error();
    if (pem.size == 0 || pem.size > X509_PEM_SIZE_MAX) {
        return fail(STATUS_INVALID, "PEM has 1 to %d bytes, not %zu", X509_PEM_SIZE_MAX, pem.size);
    }
    *out = BIO_new_mem_buf(pem.data, (int)pem.size);
    return *out == NULL ? fail(STATUS_NO_MEMORY, "read PEM") : OK;
}

struct status x509_read_certificate(struct slice pem, X509 **out)
{
    BIO *bio = NULL;
    *out = NULL;
    struct status status = open_pem(pem, &bio);
    if (failed(status)) {
        return status;
    }
    *out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return *out == NULL ? x509_fail(STATUS_INVALID, "read a certificate") : OK;
}

struct status x509_read_private_key(struct slice pem, EVP_PKEY **out)
{
    BIO *bio = NULL;
    *out = NULL;
    struct status status = open_pem(pem, &bio);
    if (failed(status)) {
        return status;
    }
    /* With an empty pass phrase an encrypted key fails instead of asking on the terminal. */
    *out = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
    BIO_free(bio);
    return *out == NULL ? x509_fail(STATUS_INVALID, "read a private key") : OK;
}

struct status x509_read_request(struct slice pem, X509_REQ **out)
{
    BIO *bio = NULL;
    *out = NULL;
    struct status status = open_pem(pem, &bio);
    if (failed(status)) {
        return status;
    }
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (request == NULL) {
        return x509_fail(STATUS_INVALID, "read a signing request");
    }
    if (X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) != 1) {
        X509_REQ_free(request);
        return x509_fail(STATUS_INVALID, "verify a signing request");
    }
    *out = request;
    return OK;
}

static struct status read_bare_key(struct slice pem, EVP_PKEY **out)
{
    BIO *bio = NULL;
    struct status status = open_pem(pem, &bio);
    if (failed(status)) {
        return status;
    }
    *out = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return *out == NULL
               ? x509_fail(STATUS_INVALID, "read a certificate, signing request or public key")
               : OK;
}

struct status x509_read_public_key(struct slice pem, EVP_PKEY **out)
{
    X509 *certificate = NULL;
    X509_REQ *request = NULL;
    *out = NULL;
    if (!failed(x509_read_certificate(pem, &certificate))) {
        *out = X509_get_pubkey(certificate);
        X509_free(certificate);
    } else if (!failed(x509_read_request(pem, &request))) {
        *out = X509_REQ_get_pubkey(request);
        X509_REQ_free(request);
    } else {
        return read_bare_key(pem, out);
    }
    return *out == NULL ? x509_fail(STATUS_INVALID, "read a public key") : OK;
}

struct status x509_append(BIO *bio, struct buffer *out)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    if (size <= 0 || !buffer_append(out, data, (size_t)size)) {
        return fail(STATUS_NO_MEMORY, "write PEM");
    }
    return OK;
}
