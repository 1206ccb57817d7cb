/*
 * Making an identity: keys and certificates of a standalone cluster of one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/hex.h"
#include "base/random.h"
#include "base/x509.h"
#include "consensus/consensus.h"
#include "identity.h"
#include "issue.h"
#include "store/seal.h"

#define CA_DAYS 7300 /* Twenty years: an appliance's life, twice. */
#define DAY_MS UINT64_C(86400000)
#define BACKDATE_MS UINT64_C(3600000) /* So that members whose clocks lag accept it. */

static struct status random_serial_subject(const char *name, uint64_t now_ms, uint64_t days,
                                           uint8_t serial[16], struct x509_subject *out)
{
    random_bytes(serial, 16);
    serial[0] = (uint8_t)((serial[0] & 0x7FU) | 0x40U); /* Positive and of full length. */
    *out = (struct x509_subject){
        .common_name = slice_of(name),
        .serial = {.data = serial, .size = 16},
        .not_before_ms = now_ms > BACKDATE_MS ? now_ms - BACKDATE_MS : 0,
        .not_after_ms = now_ms + days * DAY_MS,
    };
    return name[0] == '\0' ? fail(STATUS_INVALID, "a certificate needs a name") : OK;
}

/* The CA, and this node's certificate of it. The CA's key ends up sealed under the cluster key. */
static struct status make_certificates(struct identity *out, const char *node_name, uint64_t now_ms)
{
    struct secret ca_key = {0};
    struct buffer request = {0};
    struct x509_subject subject;
    uint8_t serial[16];
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    random_bytes(nonce, sizeof nonce);

    struct status status = x509_make_key(&ca_key);
    if (!failed(status)) {
        status = random_serial_subject("muster cluster CA", now_ms, CA_DAYS, serial, &subject);
    }
    if (!failed(status)) {
        status = x509_make_ca(secret_slice(&ca_key), &subject, &out->ca_certificate);
    }
    if (!failed(status)) {
        status = x509_make_request(secret_slice(&out->node_key), slice_of(node_name), &request);
    }
    if (!failed(status)) {
        status = random_serial_subject(node_name, now_ms, ISSUE_NODE_DAYS, serial, &subject);
    }
    if (!failed(status)) {
        status = x509_issue(buffer_slice(&out->ca_certificate), secret_slice(&ca_key),
                            buffer_slice(&request), &subject, &out->certificate);
    }
    if (!failed(status)) {
        status = seal_close(secret_slice(&out->keys.key), (uint32_t)out->keys.epoch, &purpose,
                            nonce, secret_slice(&ca_key), &out->sealed_ca_key);
    }
    secret_release(&ca_key);
    buffer_release(&request);
    return status;
}

struct status identity_make_standalone(struct slice node_key, const char *node_name,
                                       uint64_t now_ms, struct identity *out)
{
    uint8_t id[16];
    random_bytes(id, sizeof id);
    hex_encode((struct slice){.data = id, .size = sizeof id}, out->cluster_id);
    out->bootstrap = true;
    out->keys.epoch = 1;

    struct status status = secret_reserve(&out->keys.key, SEAL_KEY_SIZE);
    if (!failed(status)) {
        random_bytes(out->keys.key.pages, SEAL_KEY_SIZE);
        status = node_key.size == 0 ? x509_make_key(&out->node_key)
                                    : secret_copy(&out->node_key, node_key);
    }
    if (!failed(status)) {
        status = make_certificates(out, node_name, now_ms);
    }
    if (!failed(status)) {
        status = node_id_of_certificate(buffer_slice(&out->certificate), &out->node_id);
    }
    return failed(status) ? wrap(status, "make a node identity") : OK;
}
