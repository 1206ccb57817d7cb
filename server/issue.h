/*
 * Issuing certificates of the cluster's CA. The CA's key is opened for the moment of signing only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ISSUE_H
#define SERVER_ISSUE_H

#include "base/slice.h"
#include "base/status.h"

struct daemon;

#define ISSUE_NODE_DAYS 90U /* renewal.h renews it after two thirds. */

enum issue_kind {
    ISSUE_NODE,     /* Good for both sides of TLS. */
    ISSUE_OPERATOR, /* For the connecting side only: an operator cannot pose as a node. */
};

/* A certificate, PEM, for a signing request or public key, appended to `out`. STATUS_CORRUPT if the
 * CA's key does not open; otherwise as x509_issue(). */
MUST_USE struct status issue_certificate(struct daemon *daemon, enum issue_kind kind,
                                         struct slice request, struct slice common_name,
                                         uint64_t days, struct buffer *out);

struct keyring;
struct store;

struct issue_request {
    struct slice request;
    struct slice common_name;
    uint64_t days;
};

/* The same without a daemon: the cluster's own key is what opens the CA's. */
MUST_USE struct status issue_with(struct store *store, const struct keyring *keys,
                                  enum issue_kind kind, const struct issue_request *asked,
                                  struct buffer *out);

#endif
