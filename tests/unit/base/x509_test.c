/*
 * Keys, certificates and signatures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/clock.h"
#include "base/x509.h"
#include "pki.h"
#include "scratch.h"

static void test_issue(void **state)
{
    struct pki_identity ca;
    struct pki_identity node;
    char name[80];
    uint64_t at_ms = 0;
    (void)state;
    pki_make(&ca, "cluster");
    pki_issue(&ca, "node-a", 1000000000000, 1900000000999, &node);
    struct slice certificate = buffer_slice(&node.certificate);
    CHECK_OK(x509_common_name(certificate, name, sizeof name));
    assert_string_equal(name, "node-a");
    CHECK_OK(x509_not_before_ms(certificate, &at_ms));
    CHECK_U64(at_ms, 1000000000000);
    CHECK_OK(x509_not_after_ms(certificate, &at_ms));
    CHECK_U64(at_ms, 1900000000000);
    CHECK_OK(x509_check_key(certificate, secret_slice(&node.key)));
    CHECK_CODE(x509_check_key(certificate, secret_slice(&ca.key)), STATUS_REFUSED);
    CHECK_CODE(x509_common_name(certificate, name, 3), STATUS_NOT_FOUND);

    uint8_t left[X509_HASH_SIZE];
    uint8_t right[X509_HASH_SIZE];
    struct buffer public_key = {0};
    CHECK_OK(x509_public_key(secret_slice(&node.key), &public_key));
    CHECK_OK(x509_key_hash(certificate, left));
    CHECK_OK(x509_key_hash(buffer_slice(&public_key), right));
    assert_memory_equal(left, right, sizeof left);
    CHECK_OK(x509_fingerprint(certificate, left));
    CHECK_OK(x509_fingerprint(buffer_slice(&ca.certificate), right));
    assert_memory_not_equal(left, right, sizeof left);
    buffer_release(&public_key);

    /* A certificate does not outlive its CA. */
    uint64_t ca_ends_ms = 0;
    CHECK_OK(x509_not_after_ms(buffer_slice(&ca.certificate), &ca_ends_ms));
    pki_release(&node);
    pki_issue(&ca, "node-b", 1000000000000, ca_ends_ms + PKI_YEAR_MS, &node);
    CHECK_OK(x509_not_after_ms(buffer_slice(&node.certificate), &at_ms));
    CHECK_U64(at_ms, ca_ends_ms);
    pki_release(&node);
    pki_release(&ca);
}

static void test_signatures(void **state)
{
    struct pki_identity ca;
    struct pki_identity node;
    struct buffer signature = {0};
    struct slice message = slice_of("I am not registered");
    (void)state;
    pki_make(&ca, "cluster");
    pki_issue_valid(&ca, "node-a", &node);
    CHECK_OK(x509_sign(secret_slice(&node.key), message, &signature));
    struct slice certificate = buffer_slice(&node.certificate);
    CHECK_OK(x509_verify(certificate, message, buffer_slice(&signature)));
    CHECK_CODE(x509_verify(certificate, slice_of("I am"), buffer_slice(&signature)),
               STATUS_UNAUTHORIZED);
    CHECK_CODE(x509_verify(buffer_slice(&ca.certificate), message, buffer_slice(&signature)),
               STATUS_UNAUTHORIZED);
    CHECK_CODE(x509_verify(certificate, message, (struct slice){0}), STATUS_UNAUTHORIZED);
    signature.data[signature.size - 1] ^= 1;
    CHECK_CODE(x509_verify(certificate, message, buffer_slice(&signature)), STATUS_UNAUTHORIZED);
    buffer_release(&signature);
    pki_release(&node);
    pki_release(&ca);
}

static const char p384_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE1ovfpvnbk3ng2AGsk6EkhYavUcHo3cTM\n"
                               "2YmuXx25Luy0s18eTqdiVU/EEqgrQqB+xBE9cz7KN2i/SMhy8V0qMfavOLDJUsh3\n"
                               "DCoyoxTwpOf/MT7PbMcHKXO/l1uUlLjx\n"
                               "-----END PUBLIC KEY-----\n";
static const char ed25519_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAJ5uBfR2ZkxcmQk/zoHaitpA5545u2E/57DQnXOUSmVc=\n"
                                  "-----END PUBLIC KEY-----\n";

static void test_refusals(void **state)
{
    static const uint8_t one[] = {1};
    static const uint8_t negative[] = {0x80};
    static const uint8_t zero[] = {0};
    static const uint8_t long_one[X509_SERIAL_SIZE_MAX + 1] = {1};
    static const char long_name[] =
        "12345678901234567890123456789012345678901234567890123456789012345";
    static const struct {
        const char *name;
        struct x509_subject subject;
        enum status_code code;
    } rows[] = {
        {"good", {{"a", 1}, {0}, {one, 1}, 0, 1000, false}, STATUS_OK},
        {"no name", {{"", 0}, {0}, {one, 1}, 0, 1000, false}, STATUS_INVALID},
        {"long name", {{long_name, 65}, {0}, {one, 1}, 0, 1000, false}, STATUS_INVALID},
        {"name is not UTF-8", {{"\xff", 1}, {0}, {one, 1}, 0, 1000, false}, STATUS_INVALID},
        {"no serial", {{"a", 1}, {0}, {0}, 0, 1000, false}, STATUS_INVALID},
        {"serial zero", {{"a", 1}, {0}, {zero, 1}, 0, 1000, false}, STATUS_INVALID},
        {"negative serial", {{"a", 1}, {0}, {negative, 1}, 0, 1000, false}, STATUS_INVALID},
        {"long serial", {{"a", 1}, {0}, {long_one, 21}, 0, 1000, false}, STATUS_INVALID},
        {"ends before it begins", {{"a", 1}, {0}, {one, 1}, 5000, 1000, false}, STATUS_INVALID},
        {"ends too late", {{"a", 1}, {0}, {one, 1}, 0, 253402300800000, false}, STATUS_INVALID},
        {"bad alternative name", {{"a", 1}, {"IP:x", 4}, {one, 1}, 0, 1000, false}, STATUS_INVALID},
    };
    struct pki_identity ca;
    struct pki_identity node;
    struct buffer out = {0};
    (void)state;
    pki_make(&ca, "cluster");
    pki_issue_valid(&ca, "node", &node);
    struct slice public_pem = buffer_slice(&node.certificate);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        buffer_clear(&out);
        CHECK_CODE(x509_issue(buffer_slice(&ca.certificate), secret_slice(&ca.key), public_pem,
                              &rows[i].subject, &out),
                   rows[i].code);
        CHECK((out.size > 0) == (rows[i].code == STATUS_OK));
    }
    check_row("keys of another kind");
    CHECK_CODE(x509_issue(buffer_slice(&ca.certificate), secret_slice(&ca.key), slice_of(p384_pem),
                          &rows[0].subject, &out),
               STATUS_INVALID);
    CHECK_CODE(x509_issue(buffer_slice(&ca.certificate), secret_slice(&ca.key),
                          slice_of(ed25519_pem), &rows[0].subject, &out),
               STATUS_INVALID);
    check_row("the issuer");
    buffer_clear(&out);
    CHECK_CODE(x509_issue(public_pem, secret_slice(&node.key), public_pem, &rows[0].subject, &out),
               STATUS_REFUSED);
    CHECK_CODE(x509_issue(buffer_slice(&ca.certificate), secret_slice(&node.key), public_pem,
                          &rows[0].subject, &out),
               STATUS_REFUSED);
    buffer_release(&out);
    pki_release(&node);
    pki_release(&ca);
}

static void test_not_pem(void **state)
{
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                 "-----END CERTIFICATE-----\n";
    static const char *const rows[] = {"", "x", "-----BEGIN CERTIFICATE-----\n", broken};
    uint8_t hash[X509_HASH_SIZE];
    uint64_t at_ms = 0;
    struct buffer out = {0};
    char name[8];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i]);
        struct slice pem = slice_of(rows[i]);
        CHECK_CODE(x509_not_after_ms(pem, &at_ms), STATUS_INVALID);
        CHECK_CODE(x509_fingerprint(pem, hash), STATUS_INVALID);
        CHECK_CODE(x509_key_hash(pem, hash), STATUS_INVALID);
        CHECK_CODE(x509_common_name(pem, name, sizeof name), STATUS_INVALID);
        CHECK_CODE(x509_sign(pem, pem, &out), STATUS_INVALID);
        CHECK_CODE(x509_verify(pem, pem, pem), STATUS_INVALID);
        CHECK_CODE(x509_make_request(pem, slice_of("a"), &out), STATUS_INVALID);
    }
    CHECK_U64(out.size, 0);

    /* A request whose signature does not verify. */
    struct secret key = {0};
    check_row("tampered request");
    CHECK_OK(x509_make_key(&key));
    CHECK_OK(x509_make_request(secret_slice(&key), slice_of("node-a"), &out));
    CHECK_OK(x509_common_name(buffer_slice(&out), name, sizeof name));
    char *at = memchr(out.data + 60, 'A', out.size - 60);
    CHECK(at != NULL);
    *at = 'B';
    CHECK_CODE(x509_common_name(buffer_slice(&out), name, sizeof name), STATUS_INVALID);
    buffer_release(&out);
    secret_release(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_issue),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_not_pem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
