/*
 * The worker that rotates the cluster key, on three nodes with real keys and certificates that follow
 * one log: certificates are renewed in the middle of it, and a node is off.
 *
 * A node's certificate is renewed for the key that it has (docs/adr/0025-certificates.md), so what was
 * wrapped before opens after; a certificate of another key is never wrapped to. A rotation waits for
 * a node that is off, so none is missed: it may come back to the end of one and the middle of the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "key_rotation.h"

#include <string.h>

#include "base/clock.h"
#include "base/x509.h"
#include "consensus/consensus.h"
#include "pki.h"
#include "store/seal.h"
#include "store_fixture.h"

#define NODES 3
#define LOG_MAX 256
#define QUIET_TURNS 4 /* Without a new entry: nobody has anything to do. */
#define PASSWORD "a password"

struct node {
    struct cluster *cluster;
    struct pki_identity own; /* Key, and the first certificate. */
    uint64_t id;
    struct fixture fixture;
    struct keyring keys;
    struct keyring kept; /* What is on its disk. */
    struct key_worker worker;
    bool on;
};

struct cluster {
    struct pki_identity ca;
    struct node nodes[NODES]; /* The first leads. */
    struct slice log[LOG_MAX];
    size_t log_size;
    struct arena arena; /* Of the log. */
    uint64_t now_ms;
    struct apply_outcome outcome; /* Of the last entry, on the leader. */
    cloud_proposed done;          /* To be told. */
    void *argument;
};

static const char *const names[NODES] = {"A", "B", "C"};

/* ---- The log ---- */

static bool apply_next(struct node *node)
{
    const struct cluster *cluster = node->cluster;
    uint64_t index = store_applied_index(node->fixture.store) + 1;
    if (index > cluster->log_size) {
        return false;
    }
    CHECK_OK(store_apply(node->fixture.store, index, &cluster->log[index - 1], 1,
                         &node->fixture.outcome));
    return true;
}

/* On the leader at once. */
static enum refusal append(struct cluster *cluster, struct command command)
{
    struct node *leader = &cluster->nodes[0];
    CHECK(cluster->log_size < LOG_MAX);
    cluster->log[cluster->log_size++] =
        arena_copy(&cluster->arena, fixture_encode(&leader->fixture, command));
    while (apply_next(leader)) {
    }
    return (enum refusal)leader->fixture.outcome.refusal;
}

/* ---- What the worker asks ---- */

static struct status keep(void *context)
{
    struct node *node = context;
    keyring_release(&node->kept);
    node->kept = (struct keyring){0};
    return keyring_copy(&node->keys, &node->kept);
}

static bool leads(void *context)
{
    const struct node *node = context;
    return node == &node->cluster->nodes[0];
}

static struct status propose(void *context, const struct command *command, cloud_proposed done,
                             void *argument)
{
    struct cluster *cluster = ((struct node *)context)->cluster;
    CHECK(cluster->done == NULL);
    (void)append(cluster, *command);
    cluster->outcome = cluster->nodes[0].fixture.outcome;
    cluster->done = done;
    cluster->argument = argument;
    return OK;
}

static const struct key_ops ops = {.keep = keep, .leads = leads, .propose = propose};

/* ---- Nodes ---- */

static void turn_on(struct node *node)
{
    keyring_release(&node->keys);
    node->keys = (struct keyring){0};
    CHECK_OK(keyring_copy(&node->kept, &node->keys));
    node->worker = (struct key_worker){
        .context = {.store = node->fixture.store,
                    .keys = &node->keys,
                    .cluster_id = CLUSTER_ID,
                    .node_id = node->id,
                    .node_key = secret_slice(&node->own.key),
                    .ops = &ops,
                    .context = node},
    };
    node->on = true;
}

/* Tells the leader what it holds, as the announcer does. */
static void tell(struct node *node)
{
    struct arena arena = {0};
    struct command hold = {.type = COMMAND_KEY_HOLD};
    if (key_news(&node->worker, &arena, &hold.body.key_hold)) {
        CHECK_U64(append(node->cluster, hold), REFUSAL_NONE);
    }
    arena_release(&arena);
}

static void turn(struct cluster *cluster)
{
    cluster->now_ms += 100;
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = &cluster->nodes[i];
        while (node->on && apply_next(node)) {
        }
        if (node->on) {
            key_step(&node->worker, cluster->now_ms);
            tell(node);
        }
    }
    if (cluster->done != NULL) {
        cloud_proposed done = cluster->done;
        cluster->done = NULL;
        done(cluster->argument, OK, cluster->outcome);
    }
}

static void run(struct cluster *cluster)
{
    for (size_t quiet = 0; quiet < QUIET_TURNS; quiet++) {
        size_t size = cluster->log_size;
        turn(cluster);
        quiet = cluster->log_size > size ? 0 : quiet;
    }
}

static void renew(struct node *node)
{
    struct cluster *cluster = node->cluster;
    struct buffer public_key = {0};
    struct buffer issued = {0};
    const uint8_t serial[2] = {0x41, (uint8_t)cluster->log_size};
    const struct x509_subject subject = {
        .common_name = slice_of("renewed"),
        .serial = {.data = serial, .size = sizeof serial},
        .not_before_ms = clock_now_ms(),
        .not_after_ms = clock_now_ms() + PKI_YEAR_MS,
    };
    CHECK_OK(x509_public_key(secret_slice(&node->own.key), &public_key));
    CHECK_OK(x509_issue(buffer_slice(&cluster->ca.certificate), secret_slice(&cluster->ca.key),
                        buffer_slice(&public_key), &subject, &issued));
    const struct command command = {
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = node->id, .certificate = buffer_slice(&issued)},
    };
    CHECK_U64(append(cluster, command), REFUSAL_NONE);
    buffer_release(&public_key);
    buffer_release(&issued);
}

static enum refusal rotate(struct cluster *cluster)
{
    struct arena arena = {0};
    struct command command = {.type = COMMAND_KEY_ROTATE};
    CHECK_OK(key_rotate_make(&cluster->nodes[0].worker.context, &arena, slice_of("asked for"),
                             &command.body.key_rotate));
    enum refusal refusal = append(cluster, command);
    arena_release(&arena);
    return refusal;
}

/* ---- A cluster of three ---- */

static struct slice seal(struct cluster *cluster, const struct seal_purpose *purpose,
                         const char *plain)
{
    static const uint8_t nonce[SEAL_NONCE_SIZE] = "any";
    struct buffer sealed = {0};
    CHECK_OK(seal_close(secret_slice(&cluster->nodes[0].keys.key), 1, purpose, nonce,
                        slice_of(plain), &sealed));
    struct slice copy = arena_copy(&cluster->arena, buffer_slice(&sealed));
    buffer_release(&sealed);
    return copy;
}

static void form(struct cluster *cluster)
{
    static const char *const tokens[NODES] = {"", "00000000000000b0", "00000000000000c0"};
    struct node *nodes = cluster->nodes;
    const struct seal_purpose ca = seal_purpose_of(slice_of("ca_key"), 0);
    const struct seal_purpose password = seal_purpose_of_credential(slice_of("main"), 1);
    struct command init = cluster_init_command();
    struct command put = credential_command("main", 1);
    init.body.cluster_init.sealed_ca_key = seal(cluster, &ca, "a key");
    init.body.cluster_init.member.node_id = nodes[0].id;
    init.body.cluster_init.member.certificate = buffer_slice(&nodes[0].own.certificate);
    CHECK_U64(append(cluster, init), REFUSAL_NONE);
    CHECK_U64(append(cluster, cluster_form_command()), REFUSAL_NONE);
    for (size_t i = 1; i < NODES; i++) {
        struct command admit = admit_command(tokens[i], nodes[i].id, names[i]);
        admit.body.member_admit.member.certificate = buffer_slice(&nodes[i].own.certificate);
        CHECK_U64(append(cluster, token_command(tokens[i])), REFUSAL_NONE);
        CHECK_U64(append(cluster, admit), REFUSAL_NONE);
    }
    put.body.credential_put.sealed_password = seal(cluster, &password, PASSWORD);
    CHECK_U64(append(cluster, put), REFUSAL_NONE);
}

static void cluster_open(struct cluster *cluster)
{
    static const char first[SEAL_KEY_SIZE] = "the first key of the cluster";
    memset(cluster, 0, sizeof *cluster);
    pki_make(&cluster->ca, "ca");
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = &cluster->nodes[i];
        node->cluster = cluster;
        pki_issue_valid(&cluster->ca, names[i], &node->own);
        CHECK_OK(node_id_of_certificate(buffer_slice(&node->own.certificate), &node->id));
        fixture_open(&node->fixture);
        node->kept.epoch = 1;
        CHECK_OK(secret_copy(&node->kept.key, (struct slice){first, sizeof first}));
        turn_on(node);
    }
    form(cluster);
    run(cluster);
}

static void cluster_close(struct cluster *cluster)
{
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = &cluster->nodes[i];
        keyring_release(&node->keys);
        keyring_release(&node->kept);
        pki_release(&node->own);
        fixture_close(&node->fixture);
    }
    pki_release(&cluster->ca);
    arena_release(&cluster->arena);
}

/* All have this one key, on disk, too; and with it the password opens. */
static void check_settled(struct cluster *cluster, uint64_t epoch)
{
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = &cluster->nodes[i];
        struct arena arena = {0};
        struct credential_view row;
        struct secret plain = {0};
        check_row(names[i]);
        CHECK_U64(node->keys.epoch, epoch);
        CHECK_U64(node->kept.epoch, epoch);
        CHECK(node->keys.next.size == 0 && node->kept.next.size == 0);
        CHECK_U64((uint64_t)node->worker.problem[0], 0);
        CHECK_OK(store_credential(node->fixture.store, &arena, slice_of("main"), &row));
        const struct seal_purpose purpose = seal_purpose_of_credential(row.name, row.generation);
        CHECK_OK(keyring_open(&node->kept, &purpose, row.sealed_password, &plain));
        CHECK_SLICE(secret_slice(&plain), slice_of(PASSWORD));
        secret_release(&plain);
        arena_release(&arena);
    }
    check_row("");
}

static uint64_t sealing_epoch(struct cluster *cluster)
{
    struct arena arena = {0};
    struct cluster_view view;
    CHECK_OK(store_cluster(cluster->nodes[0].fixture.store, &arena, &view));
    arena_release(&arena);
    return view.key_epoch;
}

/* ---- Tests ---- */

/* The key was wrapped to a certificate that is replaced before the node looks, and after. */
static void test_renewed_meanwhile(void **state)
{
    struct cluster cluster;
    (void)state;
    cluster_open(&cluster);
    struct node *c = &cluster.nodes[2];
    renew(c);
    run(&cluster);
    c->on = false;
    CHECK_U64(rotate(&cluster), REFUSAL_NONE);
    run(&cluster);
    renew(c);
    renew(&cluster.nodes[0]);
    run(&cluster);
    CHECK_U64(sealing_epoch(&cluster), 1);
    turn_on(c);
    run(&cluster);
    check_settled(&cluster, 2);
    renew(c);
    CHECK_U64(rotate(&cluster), REFUSAL_NONE);
    run(&cluster);
    check_settled(&cluster, 3);
    cluster_close(&cluster);
}

/* Off from when it held the second key: the second seals, the third is wrapped to it, its certificate
 * is renewed twice. The third waits; a fourth cannot begin. */
static void test_off_meanwhile(void **state)
{
    (void)state;
    for (int in_steps = 0; in_steps < 2; in_steps++) {
        struct cluster cluster;
        cluster_open(&cluster);
        struct node *c = &cluster.nodes[2];
        CHECK_U64(rotate(&cluster), REFUSAL_NONE);
        while (c->keys.next.size == 0) {
            turn(&cluster);
        }
        tell(c);
        c->on = false;
        run(&cluster);
        CHECK_U64(sealing_epoch(&cluster), 2);
        renew(c);
        CHECK_U64(rotate(&cluster), REFUSAL_NONE);
        run(&cluster);
        renew(c);
        CHECK_U64(rotate(&cluster), REFUSAL_ROTATION_UNDER_WAY);
        run(&cluster);
        CHECK_U64(sealing_epoch(&cluster), 2);
        CHECK_U64(c->kept.epoch, 1);
        turn_on(c);
        while (in_steps && apply_next(c)) { /* As from its log; otherwise as from an image. */
            cluster.now_ms += 100;
            key_step(&c->worker, cluster.now_ms);
        }
        run(&cluster);
        check_settled(&cluster, 3);
        cluster_close(&cluster);
    }
}

/* A certificate of another key, however it came into the state, would give the key to its owner. */
static void test_foreign_certificate(void **state)
{
    struct cluster cluster;
    struct arena arena = {0};
    struct key_rotate out;
    (void)state;
    cluster_open(&cluster);
    const struct command command = {
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = cluster.nodes[2].id,
                            .certificate = buffer_slice(&cluster.nodes[1].own.certificate)},
    };
    CHECK_U64(append(&cluster, command), REFUSAL_NONE);
    CHECK_CODE(key_rotate_make(&cluster.nodes[0].worker.context, &arena, slice_of(""), &out),
               STATUS_CORRUPT);
    arena_release(&arena);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renewed_meanwhile),
        cmocka_unit_test(test_off_meanwhile),
        cmocka_unit_test(test_foreign_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
