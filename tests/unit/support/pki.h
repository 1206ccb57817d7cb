/*
 * A certificate authority for tests, and identities issued by it, all in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PKI_H
#define PKI_H

#include <stdint.h>

#include "base/secret.h"
#include "base/slice.h"

/* Zero-initialised is empty. */
struct pki_identity {
    struct secret key;         /* PEM. */
    struct buffer certificate; /* PEM; of an issued one the CA's follows. */
};

#define PKI_YEAR_MS (365ULL * 24 * 3600 * 1000)

/* A CA that is valid from yesterday for ten years. Aborts the test on failure, as all here. */
void pki_make(struct pki_identity *ca, const char *name);

/* Issue an identity that is valid from `not_before_ms` to `not_after_ms`. */
void pki_issue(const struct pki_identity *ca, const char *name, uint64_t not_before_ms,
               uint64_t not_after_ms, struct pki_identity *out);

/* The same, valid from yesterday for a year. */
void pki_issue_valid(const struct pki_identity *ca, const char *name, struct pki_identity *out);

/* The same, for the connecting side only. */
void pki_issue_client(const struct pki_identity *ca, const char *name, struct pki_identity *out);

void pki_release(struct pki_identity *identity);

#endif
