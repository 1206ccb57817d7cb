/*
 * TLS contexts over OpenSSL 3.0, and the one place where its errors are translated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/tls.h"

#include <assert.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "base/x509.h"
#include "tls_context.h"

#define CERTIFICATE_COUNT_MAX 64   /* In one PEM bundle. */
#define CERTIFICATE_LIST_MAX 65536 /* Bytes of the chain the other side may send. */

static const char session_name[] = "muster";

static struct status fail_openssl(enum status_code code, const char *action)
{
    unsigned long error = ERR_peek_error();
    const char *words = ERR_reason_error_string(error);
    ERR_clear_error();
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
        code = STATUS_NO_MEMORY;
    }
    return fail(code, "%s: %s", action, words == NULL ? "unknown error" : words);
}

/* Did the other side refuse our certificate, or the lack of one? (RFC 8446, 6.2) */
static bool is_certificate_alert(int reason)
{
    switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false;
    }
}

static struct status fail_verification(const SSL *ssl)
{
    long result = SSL_get_verify_result(ssl);
    if (result == X509_V_ERR_APPLICATION_VERIFICATION) {
        return fail(STATUS_UNAUTHORIZED,
                    "the certificate authority there is another one than was expected");
    }
    return fail(STATUS_UNAUTHORIZED, "the other side's certificate was refused: %s",
                X509_verify_cert_error_string(result));
}

struct status tls_fail(SSL *ssl, int ssl_error)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *words = ERR_reason_error_string(error);
    ERR_clear_error();
    if (error == 0 || ssl_error == SSL_ERROR_SYSCALL) {
        return fail(STATUS_IO, "the connection broke within TLS");
    }
    if (reason == ERR_R_MALLOC_FAILURE) {
        return fail(STATUS_NO_MEMORY, "TLS ran out of memory");
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return fail_verification(ssl);
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        return fail(STATUS_UNAUTHORIZED, "the other side showed no certificate");
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && is_certificate_alert(reason)) {
        return fail(STATUS_UNAUTHORIZED, "the other side refused our certificate: %s", words);
    }
    return fail(STATUS_INVALID, "TLS: %s", words == NULL ? "unknown error" : words);
}

static struct status open_pem(struct slice pem, const char *what, BIO **out)
{
    if (pem.size == 0 || pem.size > INT_MAX) {
        return fail(STATUS_INVALID, "read the %s: no PEM was given", what);
    }
    *out = BIO_new_mem_buf(pem.data, (int)pem.size);
    return *out == NULL ? fail(STATUS_NO_MEMORY, "read the %s", what) : OK;
}

/* The end of a PEM bundle looks like an error to OpenSSL; anything else is one. */
static bool pem_ended(void)
{
    unsigned long error = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return ended;
}

static struct status add_authorities(SSL_CTX *ssl, BIO *pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    unsigned count = 0;
    for (; count < CERTIFICATE_COUNT_MAX; count++) {
        X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (certificate == NULL) {
            break;
        }
        bool added = X509_STORE_add_cert(store, certificate) == 1 &&
                     SSL_CTX_add_client_CA(ssl, certificate) == 1;
        X509_free(certificate);
        if (!added) {
            return fail_openssl(STATUS_INVALID, "use a CA certificate");
        }
    }
    if (!pem_ended() || count == 0) {
        return fail(STATUS_INVALID, "the CA certificates are not PEM, or more than %d",
                    CERTIFICATE_COUNT_MAX);
    }
    return OK;
}

static struct status load_authorities(SSL_CTX *ssl, struct slice pem)
{
    BIO *bio = NULL;
    struct status status = open_pem(pem, "CA certificates", &bio);
    if (failed(status)) {
        return status;
    }
    status = add_authorities(ssl, bio);
    BIO_free(bio);
    return status;
}

static struct status add_chain(SSL_CTX *ssl, BIO *pem)
{
    X509 *own = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    if (own == NULL) {
        return fail_openssl(STATUS_INVALID, "read the certificate");
    }
    int used = SSL_CTX_use_certificate(ssl, own);
    X509_free(own);
    if (used != 1) {
        return fail_openssl(STATUS_INVALID, "use the certificate");
    }
    for (unsigned i = 0; i < CERTIFICATE_COUNT_MAX; i++) {
        X509 *issuer = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (issuer == NULL) {
            return pem_ended() ? OK : fail(STATUS_INVALID, "the certificate chain is not PEM");
        }
        if (SSL_CTX_add0_chain_cert(ssl, issuer) != 1) { /* Takes the issuer on success. */
            X509_free(issuer);
            return fail_openssl(STATUS_INVALID, "use the certificate chain");
        }
    }
    return fail(STATUS_INVALID, "the certificate chain has more than %d certificates",
                CERTIFICATE_COUNT_MAX);
}

static struct status load_key(SSL_CTX *ssl, struct slice pem)
{
    BIO *bio = NULL;
    struct status status = open_pem(pem, "private key", &bio);
    if (failed(status)) {
        return status;
    }
    /* Without a pass phrase an encrypted key must fail, not ask on the terminal. */
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
    BIO_free(bio);
    if (key == NULL) {
        return fail_openssl(STATUS_INVALID, "read the private key");
    }
    int used = SSL_CTX_use_PrivateKey(ssl, key);
    EVP_PKEY_free(key);
    if (used != 1) {
        return fail_openssl(STATUS_INVALID, "use the private key with its certificate");
    }
    return OK;
}

static struct status load_identity(struct tls_context *context, const struct tls_options *options)
{
    struct status status = x509_not_after_ms(options->certificate_pem, &context->not_after_ms);
    if (failed(status)) {
        return status;
    }
    BIO *bio = NULL;
    status = open_pem(options->certificate_pem, "certificate", &bio);
    if (failed(status)) {
        return status;
    }
    status = add_chain(context->ssl, bio);
    BIO_free(bio);
    if (failed(status)) {
        return status;
    }
    return load_key(context->ssl, options->key_pem);
}

/* The certificate of the presented chain that has the pinned fingerprint, borrowed, or NULL. */
static X509 *find_pinned(X509_STORE_CTX *store, const uint8_t *fingerprint)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        X509 *certificate = sk_X509_value(chain, i);
        if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1 &&
            size == TLS_FINGERPRINT_SIZE && memcmp(digest, fingerprint, size) == 0) {
            return certificate;
        }
    }
    return NULL;
}

/* The pinned certificate becomes the only anchor; the ordinary verification does the rest. */
static int verify_pinned(X509_STORE_CTX *store, void *argument)
{
    const struct tls_context *context = argument;
    X509 *pinned = find_pinned(store, context->ca_fingerprint);
    STACK_OF(X509) *anchors = pinned == NULL ? NULL : sk_X509_new_null();
    if (anchors == NULL || sk_X509_push(anchors, pinned) <= 0) {
        sk_X509_free(anchors);
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(store, anchors);
    int verified = X509_verify_cert(store);
    X509_STORE_CTX_set0_trusted_stack(store, NULL);
    sk_X509_free(anchors);
    return verified;
}

static struct status set_verification(struct tls_context *context,
                                      const struct tls_options *options)
{
    switch (options->verify) {
    case TLS_VERIFY_REQUIRED:
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return load_authorities(context->ssl, options->ca_pem);
    case TLS_VERIFY_REQUESTED:
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
        return load_authorities(context->ssl, options->ca_pem);
    case TLS_VERIFY_FINGERPRINT:
        memcpy(context->ca_fingerprint, options->ca_fingerprint, TLS_FINGERPRINT_SIZE);
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_cert_verify_callback(context->ssl, verify_pinned, context);
        return OK;
    }
    return fail(STATUS_INVALID, "no such way to verify: %d", (int)options->verify);
}

static bool set_protocol(SSL_CTX *ssl, bool version_1_2_allowed)
{
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(ssl, CERTIFICATE_LIST_MAX);
    int version_min = version_1_2_allowed ? TLS1_2_VERSION : TLS1_3_VERSION;
    return SSL_CTX_set_min_proto_version(ssl, version_min) == 1 &&
           SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                         "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set_session_id_context(ssl, (const unsigned char *)session_name,
                                          sizeof session_name - 1) == 1;
}

struct status tls_context_create(const struct tls_options *options, struct tls_context **out)
{
    ERR_clear_error();
    struct tls_context *context = alloc_zeroed(1, sizeof *context);
    if (context == NULL) {
        return fail(STATUS_NO_MEMORY, "make a TLS context");
    }
    context->references = 1;
    context->ssl = SSL_CTX_new(TLS_method());
    struct status status = OK;
    if (context->ssl == NULL || !set_protocol(context->ssl, options->version_1_2_allowed)) {
        status = fail_openssl(STATUS_NO_MEMORY, "make a TLS context");
    }
    if (!failed(status) && options->times_ignored) {
        (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context->ssl),
                                          X509_V_FLAG_NO_CHECK_TIME); /* Always 1. */
    }
    if (!failed(status)) {
        status = set_verification(context, options);
    }
    if (!failed(status) && options->certificate_pem.size > 0) {
        status = load_identity(context, options);
    }
    if (failed(status)) {
        tls_context_destroy(context);
        return wrap(status, "TLS context");
    }
    *out = context;
    return OK;
}

void tls_context_hold(struct tls_context *context)
{
    context->references++;
}

void tls_context_destroy(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    assert(context->references > 0);
    if (--context->references > 0) {
        return;
    }
    SSL_CTX_free(context->ssl);
    free(context);
}

uint64_t tls_context_not_after_ms(const struct tls_context *context)
{
    return context->not_after_ms;
}
