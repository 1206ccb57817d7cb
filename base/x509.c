/*
 * Keys and certificates: reading, comparing, signing. Making them is x509_make.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/x509.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "x509_name.h"
#include "x509_pem.h"

struct status x509_check_key(struct slice certificate_pem, struct slice key_pem)
{
    X509 *certificate = NULL;
    struct status status = x509_read_certificate(certificate_pem, &certificate);
    if (failed(status)) {
        return status;
    }
    EVP_PKEY *key = NULL;
    status = x509_read_private_key(key_pem, &key);
    if (!failed(status) && X509_check_private_key(certificate, key) != 1) {
        status = fail(STATUS_REFUSED, "the certificate does not belong to the private key");
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}

struct status x509_check_issuer(struct slice certificate_pem, struct slice ca_pem)
{
    X509 *certificate = NULL;
    X509 *ca = NULL;
    struct status status = x509_read_certificate(certificate_pem, &certificate);
    if (!failed(status)) {
        status = x509_read_certificate(ca_pem, &ca);
    }
    if (!failed(status) && (X509_check_issued(ca, certificate) != X509_V_OK ||
                            X509_verify(certificate, X509_get0_pubkey(ca)) != 1)) {
        status = fail(STATUS_REFUSED, "the certificate was not signed by this CA");
    }
    X509_free(certificate);
    X509_free(ca);
    ERR_clear_error();
    return status;
}

static struct status time_to_ms(const ASN1_TIME *time, uint64_t *out)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return x509_fail(STATUS_INVALID, "read a time");
    }
    time_t seconds = timegm(&parts);
    *out = seconds < 0 ? 0 : (uint64_t)seconds * 1000U;
    return OK;
}

struct status x509_not_after_ms(struct slice certificate_pem, uint64_t *out)
{
    X509 *certificate = NULL;
    struct status status = x509_read_certificate(certificate_pem, &certificate);
    if (!failed(status)) {
        status = time_to_ms(X509_get0_notAfter(certificate), out);
    }
    X509_free(certificate);
    return status;
}

struct status x509_not_before_ms(struct slice certificate_pem, uint64_t *out)
{
    X509 *certificate = NULL;
    struct status status = x509_read_certificate(certificate_pem, &certificate);
    if (!failed(status)) {
        status = time_to_ms(X509_get0_notBefore(certificate), out);
    }
    X509_free(certificate);
    return status;
}

struct status x509_fingerprint(struct slice certificate_pem, uint8_t out[X509_HASH_SIZE])
{
    X509 *certificate = NULL;
    struct status status = x509_read_certificate(certificate_pem, &certificate);
    unsigned size = 0;
    if (!failed(status) && X509_digest(certificate, EVP_sha256(), out, &size) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "hash a certificate");
    }
    X509_free(certificate);
    return status;
}

struct status x509_key_hash(struct slice pem, uint8_t out[X509_HASH_SIZE])
{
    EVP_PKEY *key = NULL;
    struct status status = x509_read_public_key(pem, &key);
    if (failed(status)) {
        return status;
    }
    unsigned char *der = NULL;
    unsigned hash_size = 0;
    int size = i2d_PUBKEY(key, &der);
    if (size <= 0 || EVP_Digest(der, (size_t)size, out, &hash_size, EVP_sha256(), NULL) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "hash a public key");
    }
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return status;
}

struct status x509_name_text(const X509_NAME *name, char *out, size_t out_size)
{
    assert(out_size > 0);
    out[0] = '\0';
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) {
        return fail(STATUS_NOT_FOUND, "the subject has no common name");
    }
    unsigned char *text = NULL;
    int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    bool fits = size >= 0 &&
                slice_to_text((struct slice){.data = text, .size = (size_t)size}, out, out_size);
    OPENSSL_free(text);
    ERR_clear_error();
    return fits ? OK : fail(STATUS_NOT_FOUND, "the subject's common name is not usable");
}

struct status x509_common_name(struct slice pem, char *out, size_t out_size)
{
    X509 *certificate = NULL;
    X509_REQ *request = NULL;
    struct status status = x509_read_certificate(pem, &certificate);
    if (!failed(status)) {
        status = x509_name_text(X509_get_subject_name(certificate), out, out_size);
        X509_free(certificate);
        return status;
    }
    status = x509_read_request(pem, &request);
    if (failed(status)) {
        return status;
    }
    status = x509_name_text(X509_REQ_get_subject_name(request), out, out_size);
    X509_REQ_free(request);
    return status;
}

/* ---- Signing ---- */

static struct status sign(EVP_PKEY *key, struct slice message, struct buffer *signature)
{
    if (!buffer_reserve(signature, X509_SIGNATURE_SIZE_MAX)) {
        return fail(STATUS_NO_MEMORY, "sign a message");
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = X509_SIGNATURE_SIZE_MAX;
    struct status status = OK;
    if (context == NULL || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, (unsigned char *)signature->data + signature->size, &size,
                       message.data, message.size) != 1) {
        status = x509_fail(STATUS_INVALID, "sign a message");
    } else {
        signature->size += size;
    }
    EVP_MD_CTX_free(context);
    return status;
}

struct status x509_sign(struct slice key_pem, struct slice message, struct buffer *signature)
{
    EVP_PKEY *key = NULL;
    struct status status = x509_read_private_key(key_pem, &key);
    if (!failed(status)) {
        status = sign(key, message, signature);
    }
    EVP_PKEY_free(key);
    return status;
}

struct status x509_verify(struct slice pem, struct slice message, struct slice signature)
{
    EVP_PKEY *key = NULL;
    struct status status = x509_read_public_key(pem, &key);
    if (failed(status)) {
        return status;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) != 1) {
        status = x509_fail(STATUS_INVALID, "verify a signature");
    } else if (EVP_DigestVerify(context, signature.data, signature.size, message.data,
                                message.size) != 1) {
        status = fail(STATUS_UNAUTHORIZED, "the signature is not of this key and message");
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}
