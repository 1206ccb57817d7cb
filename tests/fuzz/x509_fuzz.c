/*
 * Fuzzing what is read of keys and certificates: PEM as it is, or a certificate, signing request or key
 * that was whole, changed in its DER and wrapped again.
 *
 * All that reads a thing agrees on what it is: a certificate has times and a fingerprint, a signing
 * request that is taken is one that a CA can answer, with a certificate of the same key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/x509.h"
#include "fuzz_input.h"

#define DER_SIZE_MAX 4096
#define YEAR_9999_MS UINT64_C(253402300799000)

enum whole {
    WHOLE_CERTIFICATE,
    WHOLE_CA,
    WHOLE_REQUEST,
    WHOLE_PUBLIC_KEY,
    WHOLE_PRIVATE_KEY,
    WHOLE_COUNT,
};

/* Made at the start. */
static struct {
    struct secret ca_key;
    struct secret key;
    struct buffer pem[WHOLE_COUNT];
    uint8_t der[WHOLE_COUNT][DER_SIZE_MAX];
    size_t der_size[WHOLE_COUNT];
    const char *label[WHOLE_COUNT];
} made;

static const struct x509_subject subject = {
    .common_name = {"mx1.example", 11},
    .alternative_name = {"DNS:mx1.example,IP:192.0.2.1", 28},
    .serial = {"\x41\x42", 2},
    .not_before_ms = UINT64_C(1700000000000),
    .not_after_ms = UINT64_C(1900000000000),
};

static void make_der(enum whole which)
{
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long size = 0;
    struct slice pem = buffer_slice(&made.pem[which]);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    fuzz_must(bio != NULL && PEM_read_bio(bio, &name, &header, &der, &size) == 1 &&
                  (size_t)size <= DER_SIZE_MAX,
              "PEM that was made can be read");
    memcpy(made.der[which], der, (size_t)size);
    made.der_size[which] = (size_t)size;
    made.label[which] = strdup(name);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
}

static void make(void)
{
    fuzz_ok(x509_make_key(&made.ca_key));
    fuzz_ok(x509_make_key(&made.key));
    struct slice key = secret_slice(&made.key);
    fuzz_ok(x509_make_ca(secret_slice(&made.ca_key), &subject, &made.pem[WHOLE_CA]));
    fuzz_ok(x509_make_request(key, subject.common_name, &made.pem[WHOLE_REQUEST]));
    fuzz_ok(x509_issue(buffer_slice(&made.pem[WHOLE_CA]), secret_slice(&made.ca_key),
                       buffer_slice(&made.pem[WHOLE_REQUEST]), &subject,
                       &made.pem[WHOLE_CERTIFICATE]));
    fuzz_ok(x509_public_key(key, &made.pem[WHOLE_PUBLIC_KEY]));
    fuzz_must(buffer_append(&made.pem[WHOLE_PRIVATE_KEY], key.data, key.size), "there is memory");
    for (int i = 0; i < WHOLE_COUNT; i++) {
        make_der((enum whole)i);
    }
}

static void try_times(struct slice pem)
{
    uint64_t before_ms = 0;
    uint64_t after_ms = 0;
    struct status status = x509_not_before_ms(pem, &before_ms);
    fuzz_must(failed(status) || before_ms <= YEAR_9999_MS, "a time is one of four digits of years");
    status = x509_not_after_ms(pem, &after_ms);
    fuzz_must(failed(status) || after_ms <= YEAR_9999_MS, "a time is one of four digits of years");
}

/* The CA's own, or the one that it issued. */
static bool is_one_of_ours(const uint8_t print[X509_HASH_SIZE])
{
    uint8_t own[X509_HASH_SIZE];
    uint8_t issued[X509_HASH_SIZE];
    fuzz_ok(x509_fingerprint(buffer_slice(&made.pem[WHOLE_CA]), own));
    fuzz_ok(x509_fingerprint(buffer_slice(&made.pem[WHOLE_CERTIFICATE]), issued));
    return memcmp(print, own, sizeof own) == 0 || memcmp(print, issued, sizeof issued) == 0;
}

static void try_certificate(struct slice pem)
{
    uint8_t print[X509_HASH_SIZE];
    uint8_t hash[X509_HASH_SIZE];
    char name[X509_COMMON_NAME_SIZE_MAX + 1];
    try_times(pem);
    if (failed(x509_fingerprint(pem, print))) {
        return;
    }
    bool same = pem.size == made.pem[WHOLE_CERTIFICATE].size &&
                slice_equal(pem, buffer_slice(&made.pem[WHOLE_CERTIFICATE]));
    bool named = !failed(x509_common_name(pem, name, sizeof name));
    fuzz_must(!named || slice_is_text(slice_of(name)), "a name is text");
    bool issued = !failed(x509_check_issuer(pem, buffer_slice(&made.pem[WHOLE_CA])));
    fuzz_must(!issued || is_one_of_ours(print), "the CA has signed two certificates, and no other");
    bool fits = !failed(x509_check_key(pem, secret_slice(&made.key)));
    fuzz_must(!same || (issued && fits), "the whole certificate is the CA's, of the key");
    fuzz_must(!fits || !failed(x509_key_hash(pem, hash)), "a certificate of a key has one");
}

/* What a joining node sent: if it is taken, the CA can answer it. */
static void try_request(struct slice pem, bool request)
{
    struct buffer issued = {0};
    uint8_t asked[X509_HASH_SIZE];
    uint8_t given[X509_HASH_SIZE];
    char name[X509_COMMON_NAME_SIZE_MAX + 1];
    if (failed(x509_key_hash(pem, asked))) {
        return;
    }
    if (request) { /* Whatever was changed in it was signed. */
        fuzz_ok(x509_common_name(pem, name, sizeof name));
        fuzz_must(slice_equal(slice_of(name), subject.common_name),
                  "a request is as it was signed");
    }
    struct slice ca = buffer_slice(&made.pem[WHOLE_CA]);
    struct status status = x509_issue(ca, secret_slice(&made.ca_key), pem, &subject, &issued);
    if (!failed(status)) {
        fuzz_ok(x509_key_hash(buffer_slice(&issued), given));
        fuzz_must(memcmp(asked, given, sizeof asked) == 0, "the certificate is of the asked key");
        fuzz_ok(x509_check_issuer(buffer_slice(&issued), ca));
    } else {
        fuzz_must(issued.size == 0, "a failure leaves the buffer");
    }
    buffer_release(&issued);
}

static void try_keys(struct slice pem)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_UNAUTHORIZED, STATUS_OK};
    struct buffer signature = {0};
    struct buffer public_pem = {0};
    struct slice message = slice_of("a statement");
    struct status status = x509_sign(pem, message, &signature);
    if (!failed(status) && !failed(x509_public_key(pem, &public_pem))) {
        status = x509_verify(buffer_slice(&public_pem), message, buffer_slice(&signature));
        /* A private key whose halves do not belong together signs what nobody can verify. */
        if (failed(status)) {
            fuzz_fails_as(status, codes);
        }
        status =
            x509_verify(buffer_slice(&public_pem), slice_of("another"), buffer_slice(&signature));
        fuzz_must(failed(status), "a signature is of one message");
    }
    buffer_release(&signature);
    buffer_release(&public_pem);
}

static void try_signature(struct fuzz_input *input)
{
    uint8_t bytes[X509_SIGNATURE_SIZE_MAX + 64];
    struct buffer signature = {0};
    struct slice message = slice_of("a statement");
    fuzz_ok(x509_sign(secret_slice(&made.key), message, &signature));
    size_t size = signature.size;
    memcpy(bytes, signature.data, size);
    fuzz_patches(input, bytes, &size, sizeof bytes);
    struct slice patched = {.data = bytes, .size = size};
    bool good = !failed(x509_verify(buffer_slice(&made.pem[WHOLE_REQUEST]), message, patched));
    fuzz_must(good == slice_equal(patched, buffer_slice(&signature)),
              "a changed signature is none");
    buffer_release(&signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t der[DER_SIZE_MAX * 2];
    struct fuzz_input input = {.at = data, .left = size};
    unsigned how = fuzz_u8(&input) % (WHOLE_COUNT + 2U);
    char *text = NULL;
    BIO *bio = NULL;
    if (made.key.size == 0) {
        make();
    }
    if (how == WHOLE_COUNT + 1U) {
        try_signature(&input);
        return 0;
    }
    struct slice pem = {.data = input.at, .size = input.left};
    if (how < WHOLE_COUNT) {
        size_t der_size = made.der_size[how];
        memcpy(der, made.der[how], der_size);
        fuzz_patches(&input, der, &der_size, sizeof der);
        bio = BIO_new(BIO_s_mem());
        fuzz_must(bio != NULL && PEM_write_bio(bio, made.label[how], "", der, (long)der_size) >= 0,
                  "PEM can be written");
        pem.size = (size_t)BIO_get_mem_data(bio, &text);
        pem.data = text;
    }
    bool raw = how == WHOLE_COUNT;
    if (raw || how == WHOLE_CERTIFICATE || how == WHOLE_CA) {
        try_certificate(pem);
    }
    if (raw || how == WHOLE_REQUEST || how == WHOLE_PUBLIC_KEY) {
        try_request(pem, how == WHOLE_REQUEST);
    }
    if (raw || how == WHOLE_PRIVATE_KEY) {
        try_keys(pem);
    }
    BIO_free(bio);
    return 0;
}
