/*
 * Fuzzing what a joining node makes of the cluster's answer: an admission by its table, around a
 * certificate that is this node's, another's or none.
 *
 * Either it is refused with a reason, or what follows is an identity: this node's key with a certificate
 * of it, a cluster key of its size, somebody to ask, and not more members than there may be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/x509.h"
#include "client/protocol.h"
#include "consensus/consensus.h"
#include "daemon.h"
#include "fuzz_value.h"
#include "join_request.h"

#define PEM_SIZE_MAX 4096

static struct daemon *the_daemon(struct identity *other)
{
    static struct daemon *daemon;
    static struct identity second;
    if (daemon == NULL) {
        daemon = calloc(1, sizeof *daemon);
        fuzz_must(daemon != NULL, "there is memory");
        struct identity *own = &daemon->identity;
        uint64_t now_ms = UINT64_C(1767323045000);
        fuzz_ok(identity_make_standalone((struct slice){0}, "mx1", now_ms, own));
        fuzz_ok(identity_make_standalone((struct slice){0}, "mx2", now_ms, &second));
        (void)strcpy(own->lineage, "lineage-0123456789abcdef");
    }
    *other = second;
    return daemon;
}

/* A certificate as it may come. */
static struct slice some_certificate(struct fuzz_input *input, const struct identity *own,
                                     const struct identity *other)
{
    static uint8_t bytes[PEM_SIZE_MAX];
    unsigned how = fuzz_u8(input);
    struct slice whole = buffer_slice(how % 8U == 0 ? &other->certificate : &own->certificate);
    if (how < 192) {
        return whole;
    }
    size_t size = whole.size;
    memcpy(bytes, whole.data, size);
    fuzz_patch(input, bytes, &size, sizeof bytes);
    return (struct slice){.data = bytes, .size = size};
}

static void check(const struct daemon *daemon, const struct identity *staged)
{
    struct slice certificate = buffer_slice(&staged->certificate);
    uint64_t node_id = 0;
    fuzz_ok(x509_check_key(certificate, secret_slice(&daemon->identity.node_key)));
    fuzz_ok(node_id_of_certificate(certificate, &node_id));
    fuzz_must(node_id == staged->node_id && node_id != 0, "the id is of the key");
    fuzz_must(staged->keys.key.size == RPC_SECRET_SIZE && staged->keys.next.size == 0,
              "the cluster key has its size");
    fuzz_must(staged->contacts.count > 0 && staged->contacts.count <= ASK_ADDRESSES_MAX &&
                  staged->member_count <= IDENTITY_MEMBERS_MAX,
              "there is somebody to ask, and not too many");
    for (size_t i = 0; i < staged->contacts.count; i++) {
        fuzz_must(staged->contacts.texts[i][0] != '\0' &&
                      strnlen(staged->contacts.texts[i], ASK_ADDRESS_SIZE) < ASK_ADDRESS_SIZE,
                  "an address is text");
    }
    fuzz_must(strlen(staged->cluster_id) == 2 * RPC_CLUSTER_ID_SIZE, "a cluster has an id");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_REFUSED, STATUS_OK};
    struct fuzz_input input = {.at = data, .left = size};
    struct identity other;
    struct daemon *daemon = the_daemon(&other);
    struct arena arena = {0};
    struct buffer bytes = {0};
    struct rpc_admitted admitted = {0};
    void *read = NULL;
    struct join_token token = {.address_count = fuzz_u8(&input) % 3U};
    (void)strcpy(token.addresses[0], "192.0.2.9:7670");
    (void)strcpy(token.addresses[1], "192.0.2.10:7670");
    memset(token.cluster_id, 0x11, sizeof token.cluster_id);

    bool same_cluster = fuzz_u8(&input) != 255;
    bool whole_key = fuzz_u8(&input) < 192;
    struct slice certificate = some_certificate(&input, &daemon->identity, &other);
    fuzz_value(&input, &rpc_admitted_codec, &arena, &admitted);
    admitted.certificate = certificate;
    if (same_cluster) {
        admitted.cluster_id = slice_of("11111111111111111111111111111111");
    }
    if (whole_key) {
        admitted.cluster_key = slice_of("0123456789abcdef0123456789abcdef");
    }
    if (!failed(codec_encode(&rpc_admitted_codec, CODEC_NAMES, &admitted, &bytes)) &&
        fuzz_codec(&rpc_admitted_codec, CODEC_NAMES, buffer_slice(&bytes), &arena, &read)) {
        struct identity staged = {0};
        struct status status = join_identity(daemon, &token, read, &staged);
        if (failed(status)) {
            fuzz_fails_as(status, codes);
        } else {
            check(daemon, &staged);
        }
        identity_release(&staged);
    }
    buffer_release(&bytes);
    arena_release(&arena);
    return 0;
}
