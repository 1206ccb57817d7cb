/*
 * Issuing certificates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "issue.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/x509.h"
#include "daemon.h"
#include "store/seal.h"

#define DAY_MS UINT64_C(86400000)
#define BACKDATE_MS UINT64_C(3600000) /* So that members whose clocks lag accept it. */

struct status issue_with(struct store *store, const struct keyring *keys, enum issue_kind kind,
                         const struct issue_request *asked, struct buffer *out)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct secret ca_key = {0};
    struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    uint8_t serial[16];
    uint64_t now_ms = clock_now_ms();
    random_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x7FU) | 0x40U); /* Positive and of full length. */
    const struct x509_subject subject = {
        .common_name = asked->common_name,
        .serial = {.data = serial, .size = sizeof serial},
        .not_before_ms = now_ms > BACKDATE_MS ? now_ms - BACKDATE_MS : 0,
        .not_after_ms = now_ms + asked->days * DAY_MS,
        .client_only = kind == ISSUE_OPERATOR,
    };
    struct status status = store_cluster(store, &arena, &cluster);
    if (!failed(status)) {
        status = keyring_open(keys, &purpose, cluster.sealed_ca_key, &ca_key);
    }
    if (!failed(status)) {
        status = x509_issue(cluster.ca_certificate, secret_slice(&ca_key), asked->request, &subject,
                            out);
    }
    secret_release(&ca_key);
    arena_release(&arena);
    return failed(status) ? wrap(status, "issue a certificate") : OK;
}

struct status issue_certificate(struct daemon *daemon, enum issue_kind kind, struct slice request,
                                struct slice common_name, uint64_t days, struct buffer *out)
{
    const struct issue_request asked = {request, common_name, days};
    return issue_with(daemon->store, &daemon->identity.keys, kind, &asked, out);
}
