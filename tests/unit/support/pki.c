/*
 * A certificate authority for tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pki.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/x509.h"
#include "scratch.h"

#define DAY_MS (24ULL * 3600 * 1000)

static struct x509_subject subject_of(const char *name, uint8_t serial[8])
{
    random_bytes(serial, 8);
    serial[0] = (uint8_t)((serial[0] & 0x3FU) | 0x40U);
    return (struct x509_subject){
        .common_name = slice_of(name),
        .alternative_name = slice_of("DNS:localhost,IP:127.0.0.1"),
        .serial = {.data = serial, .size = 8},
    };
}

void pki_make(struct pki_identity *ca, const char *name)
{
    uint8_t serial[8];
    struct x509_subject subject = subject_of(name, serial);
    subject.alternative_name = (struct slice){0};
    subject.not_before_ms = clock_now_ms() - DAY_MS;
    subject.not_after_ms = clock_now_ms() + 10 * PKI_YEAR_MS;
    *ca = (struct pki_identity){0};
    CHECK_OK(x509_make_key(&ca->key));
    CHECK_OK(x509_make_ca(secret_slice(&ca->key), &subject, &ca->certificate));
}

static void issue(const struct pki_identity *ca, struct x509_subject *subject,
                  struct pki_identity *out)
{
    struct buffer request = {0};
    *out = (struct pki_identity){0};
    CHECK_OK(x509_make_key(&out->key));
    CHECK_OK(x509_make_request(secret_slice(&out->key), subject->common_name, &request));
    CHECK_OK(x509_issue(buffer_slice(&ca->certificate), secret_slice(&ca->key),
                        buffer_slice(&request), subject, &out->certificate));
    CHECK(buffer_append(&out->certificate, ca->certificate.data, ca->certificate.size));
    buffer_release(&request);
}

void pki_issue(const struct pki_identity *ca, const char *name, uint64_t not_before_ms,
               uint64_t not_after_ms, struct pki_identity *out)
{
    uint8_t serial[8];
    struct x509_subject subject = subject_of(name, serial);
    subject.not_before_ms = not_before_ms;
    subject.not_after_ms = not_after_ms;
    issue(ca, &subject, out);
}

void pki_issue_valid(const struct pki_identity *ca, const char *name, struct pki_identity *out)
{
    uint64_t now_ms = clock_now_ms();
    pki_issue(ca, name, now_ms - DAY_MS, now_ms + PKI_YEAR_MS, out);
}

void pki_issue_client(const struct pki_identity *ca, const char *name, struct pki_identity *out)
{
    uint8_t serial[8];
    struct x509_subject subject = subject_of(name, serial);
    subject.not_before_ms = clock_now_ms() - DAY_MS;
    subject.not_after_ms = clock_now_ms() + PKI_YEAR_MS;
    subject.client_only = true;
    issue(ca, &subject, out);
}

void pki_release(struct pki_identity *identity)
{
    secret_release(&identity->key);
    buffer_release(&identity->certificate);
}
