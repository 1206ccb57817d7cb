/*
 * Who this node is, and in which cluster: its key, certificates and the cluster's key, on disk.
 *
 * The data folder:
 *
 *     root.secret        32 random bytes; seals everything below (or root_secret_file elsewhere)
 *     CURRENT            the name of the lineage in use, replaced by rename
 *     lineage-<hex>/     one life of this node in one cluster:
 *         identity       this file's struct, secrets sealed under the root secret
 *         log/           the write-ahead log
 *         store/         LMDB
 *
 * A node starts as a standalone cluster of one, a lineage of its own. Joining another cluster
 * stages a new lineage beside it; one rename of CURRENT makes it the node's life, and until then
 * nothing has changed. Leaving does the same with a fresh standalone lineage.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_IDENTITY_H
#define SERVER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "ask.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "store/seal.h"

#define IDENTITY_PATH_SIZE 512
#define IDENTITY_LINEAGE_SIZE 32
#define IDENTITY_MEMBERS_MAX 50

struct identity {
    char lineage[IDENTITY_LINEAGE_SIZE]; /* Name of its folder. */
    char path[IDENTITY_PATH_SIZE];       /* Of its folder. */
    uint64_t node_id;
    char cluster_id[33];          /* 32 hex digits. */
    struct buffer ca_certificate; /* PEM */
    struct buffer certificate;    /* PEM; this node's, of the CA. */
    struct secret node_key;       /* PEM */
    struct keyring keys;
    bool bootstrap;              /* This node begins the cluster: an empty log starts it. */
    struct buffer sealed_ca_key; /* For cluster_init, if `bootstrap`; sealed under the cluster
                                        key. */
    char previous[IDENTITY_LINEAGE_SIZE]; /* Standalone lineage to return to if the join is undone;
                                             empty if there is none. */
    struct ask_addresses contacts;        /* Admin RPC addresses of the cluster that was joined. */
    uint64_t members[IDENTITY_MEMBERS_MAX]; /* Who was in it then: believed until the first entries
                                               tell who is. */
    size_t member_count;
    char left[IDENTITY_LINEAGE_SIZE];  /* Lineage of the cluster that was left, to be removed. */
    char aside[IDENTITY_LINEAGE_SIZE]; /* Lineage that this one was recovered from: kept. */
};

/*
 * Load the lineage in use, or, in an empty folder, make the node's first: a standalone cluster of
 * one with a key, a CA and a cluster key of its own. `out` must be zero.
 * STATUS_CORRUPT when a file does not verify, STATUS_INVALID when the root secret is not the one
 * that sealed it, STATUS_IO, STATUS_FULL.
 */
MUST_USE struct status identity_open(const char *data_directory, const char *root_secret_file,
                                     const char *node_name, uint64_t now_ms, struct identity *out);
void identity_release(struct identity *identity);

/* Write a lineage of `staged` (everything but lineage and path set) beside the present one, synced,
 * not yet in use; sets its lineage and path. */
MUST_USE struct status identity_stage(const char *data_directory, const char *root_secret_file,
                                      struct identity *staged);

/* Write the present lineage's identity anew, durably: its keys have changed. After a failure or a crash
 * the file is as it was. */
MUST_USE struct status identity_rewrite(const char *data_directory, const char *root_secret_file,
                                        const struct identity *identity);

/* A fresh standalone cluster of one that keeps the node's key. Not written yet. */
MUST_USE struct status identity_make_standalone(struct slice node_key, const char *node_name,
                                                uint64_t now_ms, struct identity *out);

/* Make a staged lineage the one in use, at the next start. STATUS_NOT_FOUND, with nothing changed, if
 * there is no whole one of that name. */
MUST_USE struct status identity_switch(const char *data_directory, const char *lineage);

/* This node has a new certificate for its key: write it into the lineage in use, and take it. On failure
 * it is not taken, and on disk is one of the two. */
MUST_USE struct status identity_renew(const char *data_directory, const char *root_secret_file,
                                      struct identity *identity, struct slice certificate);

/* Remove a lineage that is not in use. */
MUST_USE struct status identity_remove(const char *data_directory, const char *lineage);

/* Whether it is a standalone life of this node that was lived in, and not the one in use. */
bool identity_is_aside(const char *data_directory, const char *lineage,
                       const struct identity *current);

/* Remove every lineage that is not in use and is not a standalone one of this node: what is left of
 * clusters it was in, and of joins that were not finished. Standalone ones stay, for they may hold
 * records that were never delivered; one that grew into a cluster and was left does not. The one that
 * the present one was recovered from stays too, until there is a next. */
MUST_USE struct status identity_sweep(const char *data_directory, const struct identity *current);

#endif
