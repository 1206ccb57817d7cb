/*
 * Keys and certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_pki.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "sim_map.h"

#define CA_LIFE_S ((int64_t)10 * 365 * 86400)
#define CLOCK_SKEW_S 300 /* Certificates begin a little earlier than now. */
#define RSA_BITS_MIN 2048
#define EC_BITS_MIN 256

static struct status fail_crypto(const char *what)
{
    return fail(STATUS_IO, "%s: OpenSSL refused", what);
}

EVP_PKEY *sim_key_make(void)
{
    return EVP_EC_gen("P-256");
}

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    bool done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool set_basics(X509 *certificate, const struct sim_subject *subject, EVP_PKEY *key)
{
    unsigned char serial[16];
    if (RAND_bytes(serial, sizeof serial) != 1) {
        return false;
    }
    serial[0] = (unsigned char)((serial[0] & 0x7F) | 0x40); /* Positive and of full length. */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool done =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char *text = (const unsigned char *)subject->common_name;
    return done && X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(certificate), subject->from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), subject->to_s) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1;
}

static bool finish(X509 *certificate, X509 *issuer, EVP_PKEY *issuer_key)
{
    return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
           extend(certificate, issuer, NID_subject_key_identifier, "hash") &&
           extend(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
           X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
}

struct status sim_ca_make(struct sim_ca *ca, const char *common_name)
{
    int64_t now_s = (int64_t)time(NULL);
    struct sim_subject subject = {
        .common_name = common_name,
        .from_s = now_s - CLOCK_SKEW_S,
        .to_s = now_s + CA_LIFE_S,
    };
    *ca = (struct sim_ca){.key = sim_key_make(), .certificate = X509_new()};
    if (ca->key == NULL || ca->certificate == NULL ||
        !set_basics(ca->certificate, &subject, ca->key) ||
        !extend(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE") ||
        !extend(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !finish(ca->certificate, ca->certificate, ca->key)) {
        sim_ca_close(ca);
        return fail_crypto("make a CA");
    }
    return OK;
}

static bool read_pair(struct sim_ca *ca, const char *certificate_path, const char *key_path)
{
    FILE *file = fopen(certificate_path, "re");
    if (file != NULL) {
        ca->certificate = PEM_read_X509(file, NULL, NULL, NULL);
        (void)fclose(file);
    }
    file = fopen(key_path, "re");
    if (file != NULL) {
        ca->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        (void)fclose(file);
    }
    return ca->certificate != NULL && ca->key != NULL &&
           X509_check_private_key(ca->certificate, ca->key) == 1;
}

static struct status write_pair(const struct sim_ca *ca, const char *certificate_path,
                                const char *key_path)
{
    (void)unlink(key_path);
    int fd = open(key_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        return fail_errno(errno, "write %s", key_path);
    }
    bool done = PEM_write_PrivateKey(file, ca->key, NULL, NULL, 0, NULL, NULL) == 1;
    done = fclose(file) == 0 && done;
    file = fopen(certificate_path, "we");
    if (file == NULL) {
        return fail_errno(errno, "write %s", certificate_path);
    }
    done = PEM_write_X509(file, ca->certificate) == 1 && done;
    done = fclose(file) == 0 && done;
    return done ? OK : fail(STATUS_IO, "write %s and %s", certificate_path, key_path);
}

struct status sim_ca_open(struct sim_ca *ca, const char *directory)
{
    char certificate_path[4096];
    char key_path[4096];
    int size = snprintf(certificate_path, sizeof certificate_path, "%s/ca.pem", directory);
    int key_size = snprintf(key_path, sizeof key_path, "%s/ca-key.pem", directory);
    if (size < 0 || key_size < 0 || (size_t)key_size >= sizeof key_path) {
        return fail(STATUS_INVALID, "the folder's name is too long");
    }
    *ca = (struct sim_ca){0};
    if (read_pair(ca, certificate_path, key_path)) {
        return OK;
    }
    sim_ca_close(ca);
    struct status status = sim_ca_make(ca, "muster-cloudsim CA");
    if (failed(status)) {
        return status;
    }
    status = write_pair(ca, certificate_path, key_path);
    if (failed(status)) {
        sim_ca_close(ca);
    }
    return status;
}

void sim_ca_close(struct sim_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    *ca = (struct sim_ca){0};
}

struct status sim_ca_issue(const struct sim_ca *ca, const struct sim_subject *subject,
                           EVP_PKEY *key, X509 **out)
{
    X509 *certificate = X509_new();
    if (certificate == NULL || !set_basics(certificate, subject, key) ||
        !extend(certificate, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !extend(certificate, ca->certificate, NID_ext_key_usage, subject->key_usage) ||
        (subject->names != NULL &&
         !extend(certificate, ca->certificate, NID_subject_alt_name, subject->names)) ||
        !finish(certificate, ca->certificate, ca->key)) {
        X509_free(certificate);
        return fail_crypto("issue a certificate");
    }
    *out = certificate;
    return OK;
}

void sim_digest(struct slice bytes, char out[SIM_DIGEST_TEXT_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes.data == NULL ? (const unsigned char *)"" : bytes.data, bytes.size, digest);
    hex_encode((struct slice){.data = digest, .size = sizeof digest}, out);
}

void sim_digest_certificate(X509 *certificate, char out[SIM_DIGEST_TEXT_SIZE])
{
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    sim_need(size > 0);
    sim_digest((struct slice){.data = der, .size = (size_t)size}, out);
    OPENSSL_free(der);
}

void sim_digest_key(EVP_PKEY *key, char out[SIM_DIGEST_TEXT_SIZE])
{
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key, &der);
    sim_need(size > 0);
    sim_digest((struct slice){.data = der, .size = (size_t)size}, out);
    OPENSSL_free(der);
}

static struct status check_request(X509_REQ *request, EVP_PKEY *key)
{
    if (key == NULL || X509_REQ_verify(request, key) != 1) {
        return fail(STATUS_INVALID, "the signing request's own signature is wrong");
    }
    int kind = EVP_PKEY_base_id(key);
    int bits = EVP_PKEY_bits(key);
    if (!(kind == EVP_PKEY_RSA && bits >= RSA_BITS_MIN) &&
        !(kind == EVP_PKEY_EC && bits >= EC_BITS_MIN)) {
        return fail(STATUS_INVALID, "the key must be EC of 256 or RSA of 2048 bits or more");
    }
    return OK;
}

struct status sim_csr_read(const char *pem, EVP_PKEY **out_key, char digest[SIM_DIGEST_TEXT_SIZE])
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *request = bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (request == NULL) {
        return fail(STATUS_INVALID, "not a certificate signing request in PEM");
    }
    EVP_PKEY *key = X509_REQ_get_pubkey(request);
    struct status status = check_request(request, key);
    unsigned char *der = NULL;
    int size = i2d_X509_REQ(request, &der);
    sim_need(size > 0);
    sim_digest((struct slice){.data = der, .size = (size_t)size}, digest);
    OPENSSL_free(der);
    X509_REQ_free(request);
    if (failed(status)) {
        EVP_PKEY_free(key);
        return status;
    }
    *out_key = key;
    return OK;
}

struct status sim_certificate_pem(X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    if (bio == NULL || PEM_write_bio_X509(bio, certificate) != 1) {
        BIO_free(bio);
        return fail_crypto("write a certificate");
    }
    long size = BIO_get_mem_data(bio, &data);
    sim_need(buffer_append(out, data, (size_t)size));
    BIO_free(bio);
    return OK;
}
