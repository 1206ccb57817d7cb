/*
 * ECIES over the members' P-256 keys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "key_wrap.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "store/seal.h"

#define POINT_SIZE 65  /* An uncompressed point of P-256. */
#define SHARED_SIZE 32 /* Its x-coordinate, which is what ECDH gives. */
#define WRAP_LABEL "muster cluster key wrap 1"
#define CHECK_LABEL "muster cluster key check 1"

_Static_assert(SHARED_SIZE == SEAL_KEY_SIZE, "what ECDH gives is derived from as a key is");
_Static_assert(KEY_CHECK_SIZE == SEAL_KEY_SIZE, "what is derived has the size of a key");

static struct seal_purpose wrap_purpose(const struct key_wrap_purpose *purpose)
{
    char what[96];
    (void)snprintf(what, sizeof what, "cluster_key/%.*s/%016llx",
                   (int)(purpose->cluster_id.size > 32 ? 32 : purpose->cluster_id.size),
                   purpose->cluster_id.size == 0 ? "" : (const char *)purpose->cluster_id.data,
                   (unsigned long long)purpose->node_id);
    return seal_purpose_of(slice_of(what), purpose->epoch);
}

static bool point_of(EVP_PKEY *key, uint8_t out[POINT_SIZE])
{
    size_t size = 0;
    return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out, POINT_SIZE,
                                           &size) == 1 &&
           size == POINT_SIZE;
}

/* ECDH, and from it the key that wraps. */
static struct status derive(EVP_PKEY *own, EVP_PKEY *peer, const uint8_t points[2 * POINT_SIZE],
                            struct secret *out)
{
    struct secret shared = {0};
    size_t size = SHARED_SIZE;
    struct status status = secret_reserve(&shared, SHARED_SIZE);
    if (failed(status)) {
        return status;
    }
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    if (context == NULL || EVP_PKEY_derive_init(context) != 1 ||
        EVP_PKEY_derive_set_peer(context, peer) != 1 ||
        EVP_PKEY_derive(context, shared.pages, &size) != 1 || size != SHARED_SIZE) {
        status = fail(STATUS_INVALID, "agree on a key: not a key of P-256");
    } else {
        const struct slice salt = {.data = points, .size = 2 * POINT_SIZE};
        status = seal_derive(secret_slice(&shared), salt, WRAP_LABEL, out);
    }
    EVP_PKEY_CTX_free(context);
    secret_release(&shared);
    return status;
}

static EVP_PKEY *read_certificate_key(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = certificate == NULL ? NULL : X509_get_pubkey(certificate);
    X509_free(certificate);
    BIO_free(bio);
    return key;
}

static EVP_PKEY *read_private_key(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

/* The public key of these bytes, on the curve of `like`; a point that is not on it is refused. */
static EVP_PKEY *read_point(EVP_PKEY *like, const uint8_t point[POINT_SIZE])
{
    EVP_PKEY *key = EVP_PKEY_new();
    if (key != NULL && (EVP_PKEY_copy_parameters(key, like) != 1 ||
                        EVP_PKEY_set1_encoded_public_key(key, point, POINT_SIZE) != 1)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static struct status wrap_with(EVP_PKEY *ephemeral, EVP_PKEY *member,
                               const struct key_wrap_purpose *purpose, struct slice key,
                               struct buffer *out)
{
    uint8_t points[2 * POINT_SIZE];
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct secret wrapping = {0};
    const struct seal_purpose bound = wrap_purpose(purpose);
    if (!point_of(ephemeral, points) || !point_of(member, points + POINT_SIZE)) {
        return fail(STATUS_INVALID, "the certificate has no key of P-256");
    }
    random_bytes(nonce, sizeof nonce);
    struct status status = derive(ephemeral, member, points, &wrapping);
    if (!failed(status) && !buffer_append(out, points, POINT_SIZE)) {
        status = fail(STATUS_NO_MEMORY, "no memory");
    }
    if (!failed(status)) {
        status =
            seal_close(secret_slice(&wrapping), (uint32_t)purpose->epoch, &bound, nonce, key, out);
    }
    secret_release(&wrapping);
    return status;
}

struct status key_wrap(struct slice certificate, const struct key_wrap_purpose *purpose,
                       struct slice key, struct buffer *out)
{
    EVP_PKEY *member = read_certificate_key(certificate);
    EVP_PKEY *ephemeral = EVP_EC_gen("P-256");
    struct status status = member == NULL || ephemeral == NULL
                               ? fail(STATUS_INVALID, "the certificate cannot be read")
                               : wrap_with(ephemeral, member, purpose, key, out);
    EVP_PKEY_free(member);
    EVP_PKEY_free(ephemeral);
    return failed(status) ? wrap(status, "wrap the cluster key") : OK;
}

static struct status unwrap_with(EVP_PKEY *own, EVP_PKEY *ephemeral,
                                 const struct key_wrap_purpose *purpose, struct slice wrapped,
                                 struct secret *out)
{
    uint8_t points[2 * POINT_SIZE];
    struct secret wrapping = {0};
    const struct seal_purpose bound = wrap_purpose(purpose);
    const struct slice sealed = {.data = (const uint8_t *)wrapped.data + POINT_SIZE,
                                 .size = wrapped.size - POINT_SIZE};
    memcpy(points, wrapped.data, POINT_SIZE);
    if (!point_of(own, points + POINT_SIZE)) {
        return fail(STATUS_INVALID, "the node's key is not of P-256");
    }
    struct status status = derive(own, ephemeral, points, &wrapping);
    if (!failed(status)) {
        status = seal_open(secret_slice(&wrapping), &bound, sealed, out);
    }
    secret_release(&wrapping);
    if (!failed(status) && out->size != SEAL_KEY_SIZE) {
        secret_release(out);
        status = fail(STATUS_CORRUPT, "it has another size");
    }
    return status;
}

struct status key_unwrap(struct slice private_key, const struct key_wrap_purpose *purpose,
                         struct slice wrapped, struct secret *out)
{
    if (wrapped.size <= POINT_SIZE) {
        return fail(STATUS_CORRUPT, "unwrap the cluster key: it is cut short");
    }
    EVP_PKEY *own = read_private_key(private_key);
    EVP_PKEY *ephemeral = own == NULL ? NULL : read_point(own, wrapped.data);
    struct status status = OK;
    if (own == NULL) {
        status = fail(STATUS_INVALID, "the node's key cannot be read");
    } else if (ephemeral == NULL) {
        status = fail(STATUS_CORRUPT, "it does not begin with a public key");
    } else {
        status = unwrap_with(own, ephemeral, purpose, wrapped, out);
    }
    EVP_PKEY_free(own);
    EVP_PKEY_free(ephemeral);
    return failed(status) ? wrap(status, "unwrap the cluster key") : OK;
}

struct status key_check(struct slice key, uint8_t out[KEY_CHECK_SIZE])
{
    struct secret check = {0};
    struct status status = seal_derive(key, (struct slice){0}, CHECK_LABEL, &check);
    if (!failed(status)) {
        memcpy(out, check.pages, KEY_CHECK_SIZE);
    }
    secret_release(&check);
    return status;
}
