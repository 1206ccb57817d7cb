/*
 * Making keys, signing requests and certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/x509.h"
#include "x509_pem.h"

#define ALTERNATIVE_NAME_SIZE_MAX 1024 /* Bytes. */
#define YEAR_10000_S 253402300800      /* The first second that X.509 cannot write. */

static const char ca_usage[] = "critical,keyCertSign,cRLSign,digitalSignature";

/* ---- Keys ---- */

/* Copy what a BIO has collected into a secret, and wipe the BIO's memory. */
static struct status take_secret(BIO *bio, struct secret *secret)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    struct status status =
        secret_copy(secret, (struct slice){.data = data, .size = size < 0 ? 0 : (size_t)size});
    if (size > 0) {
        secret_wipe(data, (size_t)size);
    }
    return status;
}

struct status x509_make_key(struct secret *key_pem)
{
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_secmem()); /* Wipes on growth and release. */
    struct status status;
    if (key == NULL || bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "make a key");
    } else {
        status = take_secret(bio, key_pem);
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    return status;
}

struct status x509_public_key(struct slice key_pem, struct buffer *public_pem)
{
    EVP_PKEY *key = NULL;
    struct status status = x509_read_private_key(key_pem, &key);
    if (failed(status)) {
        return status;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, key) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "write a public key");
    } else {
        status = x509_append(bio, public_pem);
    }
    BIO_free(bio);
    EVP_PKEY_free(key);
    return status;
}

/* ---- Parts of a certificate ---- */

static struct status check_common_name(struct slice name)
{
    if (name.size == 0 || name.size > X509_COMMON_NAME_SIZE_MAX || !slice_is_text(name)) {
        return fail(STATUS_INVALID, "a common name is UTF-8 of 1 to %d bytes",
                    X509_COMMON_NAME_SIZE_MAX);
    }
    return OK;
}

static bool add_common_name(X509_NAME *name, struct slice text)
{
    return name != NULL &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)text.data, (int)text.size, -1, 0) == 1;
}

static struct status set_serial(X509 *certificate, struct slice serial)
{
    const unsigned char *bytes = serial.data;
    bool sized = serial.size > 0 && serial.size <= X509_SERIAL_SIZE_MAX && bytes[0] < 0x80;
    BIGNUM *number = sized ? BN_bin2bn(bytes, (int)serial.size, NULL) : NULL;
    bool set = number != NULL && !BN_is_zero(number) &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set ? OK
               : fail(STATUS_INVALID, "a serial number is positive and has 1 to %d bytes",
                      X509_SERIAL_SIZE_MAX);
}

static struct status set_times(X509 *certificate, const struct x509_subject *subject,
                               const ASN1_TIME *not_after_max)
{
    uint64_t first = subject->not_before_ms / 1000U;
    uint64_t last = subject->not_after_ms / 1000U;
    if (first > last || last >= YEAR_10000_S) {
        return fail(STATUS_INVALID,
                    "a certificate ends after it begins, and before the year 10000");
    }
    if (ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)first) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)last) == NULL) {
        return x509_fail(STATUS_NO_MEMORY, "set the times of a certificate");
    }
    if (not_after_max != NULL &&
        ASN1_TIME_compare(X509_get0_notAfter(certificate), not_after_max) > 0 &&
        X509_set1_notAfter(certificate, not_after_max) != 1) {
        return x509_fail(STATUS_NO_MEMORY, "set the times of a certificate");
    }
    return OK;
}

static bool add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, X509 *issuer, const struct x509_subject *subject)
{
    char names[ALTERNATIVE_NAME_SIZE_MAX];
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    bool ca = issuer == certificate;
    if (!add_extension(certificate, &context, NID_basic_constraints,
                       ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
        !add_extension(certificate, &context, NID_key_usage,
                       ca ? ca_usage : "critical,digitalSignature") ||
        !add_extension(certificate, &context, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, &context, NID_authority_key_identifier, "keyid:always")) {
        return false;
    }
    if (!ca && !add_extension(certificate, &context, NID_ext_key_usage,
                              subject->client_only ? "clientAuth" : "serverAuth,clientAuth")) {
        return false;
    }
    return subject->alternative_name.size == 0 ||
           (slice_to_text(subject->alternative_name, names, sizeof names) &&
            add_extension(certificate, &context, NID_subject_alt_name, names));
}

/* Fill in and sign `certificate`; `issuer` is itself for a CA. */
static struct status complete(X509 *certificate, X509 *issuer, EVP_PKEY *public_key,
                              EVP_PKEY *issuer_key, const struct x509_subject *subject)
{
    struct status status = check_common_name(subject->common_name);
    if (failed(status)) {
        return status;
    }
    status = set_serial(certificate, subject->serial);
    if (failed(status)) {
        return status;
    }
    bool ca = issuer == certificate;
    status = set_times(certificate, subject, ca ? NULL : X509_get0_notAfter(issuer));
    if (failed(status)) {
        return status;
    }
    if (X509_set_version(certificate, X509_VERSION_3) != 1 ||
        !add_common_name(X509_get_subject_name(certificate), subject->common_name) ||
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1 ||
        X509_set_pubkey(certificate, public_key) != 1 ||
        !add_extensions(certificate, issuer, subject) ||
        X509_sign(certificate, issuer_key, EVP_sha256()) <= 0) {
        return x509_fail(STATUS_INVALID, "make a certificate");
    }
    return OK;
}

static struct status write_certificate(X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct status status;
    if (bio == NULL || PEM_write_bio_X509(bio, certificate) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "write a certificate");
    } else {
        status = x509_append(bio, out);
    }
    BIO_free(bio);
    return status;
}

/* ---- Certificates and requests ---- */

struct status x509_make_ca(struct slice key_pem, const struct x509_subject *subject,
                           struct buffer *certificate_pem)
{
    EVP_PKEY *key = NULL;
    struct status status = x509_read_private_key(key_pem, &key);
    if (failed(status)) {
        return status;
    }
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        status = fail(STATUS_NO_MEMORY, "make a certificate");
    } else {
        status = complete(certificate, certificate, key, key, subject);
    }
    if (!failed(status)) {
        status = write_certificate(certificate, certificate_pem);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return status;
}

static struct status check_authority(X509 *ca, EVP_PKEY *key)
{
    if (X509_check_private_key(ca, key) != 1) {
        ERR_clear_error();
        return fail(STATUS_REFUSED, "the CA's certificate does not belong to its key");
    }
    if (X509_check_ca(ca) != 1) {
        return fail(STATUS_REFUSED, "the CA's certificate is not one that may sign others");
    }
    return OK;
}

/* The one kind of key that all of us make, and that a secret can be wrapped to. */
static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t size = 0;
    return EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

static struct status issue(X509 *ca, EVP_PKEY *ca_key, struct slice request_pem,
                           const struct x509_subject *subject, struct buffer *out)
{
    EVP_PKEY *public_key = NULL;
    struct status status = check_authority(ca, ca_key);
    if (failed(status)) {
        return status;
    }
    status = x509_read_public_key(request_pem, &public_key);
    if (failed(status)) {
        return status;
    }
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        status = fail(STATUS_NO_MEMORY, "make a certificate");
    } else if (!is_p256(public_key)) {
        ERR_clear_error();
        status = fail(STATUS_INVALID, "the key to be certified is not one of P-256");
    } else {
        status = complete(certificate, ca, public_key, ca_key, subject);
    }
    if (!failed(status)) {
        status = write_certificate(certificate, out);
    }
    X509_free(certificate);
    EVP_PKEY_free(public_key);
    return status;
}

struct status x509_issue(struct slice ca_certificate_pem, struct slice ca_key_pem,
                         struct slice request_pem, const struct x509_subject *subject,
                         struct buffer *certificate_pem)
{
    X509 *ca = NULL;
    EVP_PKEY *ca_key = NULL;
    struct status status = x509_read_certificate(ca_certificate_pem, &ca);
    if (failed(status)) {
        return status;
    }
    status = x509_read_private_key(ca_key_pem, &ca_key);
    if (!failed(status)) {
        status = issue(ca, ca_key, request_pem, subject, certificate_pem);
    }
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    return status;
}

static struct status write_request(EVP_PKEY *key, struct slice common_name, struct buffer *out)
{
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    struct status status;
    if (request == NULL || bio == NULL || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        !add_common_name(X509_REQ_get_subject_name(request), common_name) ||
        X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(bio, request) != 1) {
        status = x509_fail(STATUS_NO_MEMORY, "make a signing request");
    } else {
        status = x509_append(bio, out);
    }
    BIO_free(bio);
    X509_REQ_free(request);
    return status;
}

struct status x509_make_request(struct slice key_pem, struct slice common_name,
                                struct buffer *request_pem)
{
    struct status status = check_common_name(common_name);
    if (failed(status)) {
        return status;
    }
    EVP_PKEY *key = NULL;
    status = x509_read_private_key(key_pem, &key);
    if (!failed(status)) {
        status = write_request(key, common_name, request_pem);
    }
    EVP_PKEY_free(key);
    return status;
}
