/*
 * Sealing with AES-256-GCM (NIST SP 800-38D): [version][key epoch][nonce][ciphertext][tag], the
 * purpose, version and key epoch as additional data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/seal.h"

#include <assert.h>
#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"

#define SEAL_VERSION 1
#define SEAL_HEADER_SIZE 5 /* Version and key epoch. */
#define SEAL_TAG_SIZE 16
#define SEAL_WHAT_SIZE_MAX 96
#define SEAL_PLAIN_SIZE_MAX SECRET_SIZE_MAX

_Static_assert(SEAL_OVERHEAD == SEAL_HEADER_SIZE + SEAL_NONCE_SIZE + SEAL_TAG_SIZE,
               "the overhead is header, nonce and tag");

struct seal_purpose seal_purpose_of(struct slice what, uint64_t epoch)
{
    struct seal_purpose purpose;
    assert(what.size <= SEAL_WHAT_SIZE_MAX);
    memset(&purpose, 0, sizeof purpose);
    int size = snprintf(purpose.text, sizeof purpose.text, "%.*s/%llu", SLICE_ARG(what),
                        (unsigned long long)epoch);
    assert(size > 0 && (size_t)size < sizeof purpose.text);
    (void)size;
    return purpose;
}

struct seal_purpose seal_purpose_of_credential(struct slice name, uint64_t generation)
{
    char what[SEAL_WHAT_SIZE_MAX];
    int size = snprintf(what, sizeof what, "credential/%.*s", SLICE_ARG(name));
    assert(size > 0 && (size_t)size < sizeof what);
    (void)size;
    return seal_purpose_of(slice_of(what), generation);
}

static EVP_CIPHER_CTX *context_new(void)
{
    return fault_fires(FAULT_ALLOC) ? NULL : EVP_CIPHER_CTX_new();
}

/* Everything but the nonce, which the cipher takes itself. */
static bool bind_purpose(EVP_CIPHER_CTX *context, const uint8_t header[SEAL_HEADER_SIZE],
                         const struct seal_purpose *purpose)
{
    int size = 0;
    int text_size = (int)strnlen(purpose->text, sizeof purpose->text);
    return EVP_CipherUpdate(context, NULL, &size, header, SEAL_HEADER_SIZE) == 1 &&
           EVP_CipherUpdate(context, NULL, &size, (const uint8_t *)purpose->text, text_size) == 1;
}

struct status seal_close(struct slice key, uint32_t key_epoch, const struct seal_purpose *purpose,
                         const uint8_t nonce[SEAL_NONCE_SIZE], struct slice plain,
                         struct buffer *out)
{
    if (key.size != SEAL_KEY_SIZE || key_epoch == 0 || plain.size == 0 ||
        plain.size > SEAL_PLAIN_SIZE_MAX) {
        return fail(STATUS_INVALID, "seal: key of %zu bytes, epoch %u, secret of %zu bytes",
                    key.size, key_epoch, plain.size);
    }
    if (!buffer_reserve(out, plain.size + SEAL_OVERHEAD)) {
        return fail(STATUS_NO_MEMORY, "seal");
    }
    EVP_CIPHER_CTX *context = context_new();
    if (context == NULL) {
        return fail(STATUS_NO_MEMORY, "seal");
    }

    uint8_t *sealed = (uint8_t *)out->data + out->size;
    uint32_t epoch = htobe32(key_epoch);
    sealed[0] = SEAL_VERSION;
    memcpy(sealed + 1, &epoch, sizeof epoch);
    memcpy(sealed + SEAL_HEADER_SIZE, nonce, SEAL_NONCE_SIZE);
    uint8_t *body = sealed + SEAL_HEADER_SIZE + SEAL_NONCE_SIZE;
    int size = 0;
    bool good =
        EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key.data, nonce) == 1 &&
        bind_purpose(context, sealed, purpose) &&
        EVP_EncryptUpdate(context, body, &size, plain.data, (int)plain.size) == 1 &&
        EVP_EncryptFinal_ex(context, body + size, &size) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_SIZE, body + plain.size) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good) {
        return fail(STATUS_NO_MEMORY, "seal: the cipher failed");
    }
    out->size += plain.size + SEAL_OVERHEAD;
    return OK;
}

uint32_t seal_key_epoch(struct slice sealed)
{
    const uint8_t *bytes = sealed.data;
    if (sealed.size <= SEAL_OVERHEAD || bytes[0] != SEAL_VERSION) {
        return 0;
    }
    uint32_t epoch;
    memcpy(&epoch, bytes + 1, sizeof epoch);
    return be32toh(epoch);
}

struct status seal_open(struct slice key, const struct seal_purpose *purpose, struct slice sealed,
                        struct secret *out)
{
    if (key.size != SEAL_KEY_SIZE) {
        return fail(STATUS_INVALID, "open sealed: key of %zu bytes", key.size);
    }
    if (seal_key_epoch(sealed) == 0 || sealed.size - SEAL_OVERHEAD > SEAL_PLAIN_SIZE_MAX) {
        return fail(STATUS_CORRUPT, "open sealed: not a sealed secret");
    }
    size_t plain_size = sealed.size - SEAL_OVERHEAD;
    struct status status = secret_reserve(out, plain_size);
    if (failed(status)) {
        return wrap(status, "open sealed");
    }
    EVP_CIPHER_CTX *context = context_new();
    if (context == NULL) {
        secret_release(out);
        return fail(STATUS_NO_MEMORY, "open sealed");
    }

    const uint8_t *bytes = sealed.data;
    const uint8_t *body = bytes + SEAL_HEADER_SIZE + SEAL_NONCE_SIZE;
    uint8_t tag[SEAL_TAG_SIZE];
    memcpy(tag, body + plain_size, sizeof tag);
    uint8_t *plain = out->pages;
    int size = 0;
    bool good = EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key.data,
                                   bytes + SEAL_HEADER_SIZE) == 1 &&
                bind_purpose(context, bytes, purpose) &&
                EVP_DecryptUpdate(context, plain, &size, body, (int)plain_size) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_SIZE, tag) == 1 &&
                EVP_DecryptFinal_ex(context, plain + size, &size) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good) {
        secret_release(out);
        return fail(STATUS_CORRUPT,
                    "open sealed: another key or purpose, or the bytes were changed");
    }
    return OK;
}

/* OpenSSL's parameters take no const; it only reads them. */
static void *unconst(const void *data)
{
    return (void *)(uintptr_t)data;
}

struct status seal_derive(struct slice key, struct slice salt, const char *label,
                          struct secret *out)
{
    static const uint8_t no_salt[1];
    char digest[] = "SHA256";
    if (key.size != SEAL_KEY_SIZE) {
        return fail(STATUS_INVALID, "derive: a key of %zu bytes", key.size);
    }
    struct status status = secret_reserve(out, SEAL_KEY_SIZE);
    if (failed(status)) {
        return status;
    }
    EVP_KDF *kdf = fault_fires(FAULT_ALLOC) ? NULL : EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof digest - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, unconst(key.data), key.size),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, unconst(salt.size == 0 ? no_salt : salt.data),
                                salt.size),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, unconst(label), strlen(label)),
        OSSL_PARAM_END,
    };
    if (context == NULL || EVP_KDF_derive(context, out->pages, SEAL_KEY_SIZE, params) != 1) {
        secret_release(out);
        status = fail(STATUS_NO_MEMORY, "derive a key");
    }
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return status;
}
