/*
 * The peer network: raft messages and snapshot images between the nodes of a cluster.
 *
 * Mutual TLS 1.3 with the cluster's CA. A peer is whoever its verified certificate says
 * (node_id_of_certificate); nothing on the wire says who it is. Whether it may talk to us is asked
 * of `peer_allowed` on every new connection; who may not is told so (PEER_REFUSED) and cut.
 *
 * Connections: one per peer and direction. We open one to each peer we send to and send on it; what
 * a peer sends comes on the connection that it opened. A connection that breaks is opened again,
 * after a pause that doubles from reconnect_min_ms to reconnect_max_ms with jitter, to the address
 * that `address_of` names then. Pings in both directions cut what is dead.
 *
 * Messages may be lost, at most once each, and never arrive twice or changed; those of one
 * connection arrive in order. raft sends again what it needs.
 *
 * Limits, all checked before memory is reserved: PEER_MESSAGE_SIZE_MAX, PEER_ENTRIES_MAX,
 * PEER_UNKNOWN_MAX connections whose handshake is not done, one connection per kind and peer (a new
 * one replaces the old), PEER_IMAGES_MAX images served.
 *
 * Everything is called on the loop's thread; every callback comes from the loop, never from within
 * the call that started it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_H
#define PEER_H

#include <raft.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "consensus/consensus.h"
#include "raft_wire.h"

/* Incoming connections whose handshake is not done, in all and from one address; when there are as
 * many, the oldest gives way: a member's handshake takes ms, a silent stranger's never ends. */
#define PEER_UNKNOWN_MAX 64
#define PEER_UNKNOWN_PER_SOURCE_MAX 32
#define PEER_CONNECTIONS_PER_S 100 /* New ones from one address. */
#define PEER_CONNECTIONS_BURST 200 /* At once, after a pause. */
#define PEER_IMAGES_MAX 2   /* Images served at once. */

struct peers;

struct peers_options {
    struct uv_loop_s *loop;
    uint64_t node_id;           /* Ours; connections from and to ourselves are refused. */
    const char *listen_address; /* Numeric "v4:port" or "[v6]:port"; port 0: the system chooses. */
    struct slice ca_pem;
    struct slice certificate_pem; /* Ours first, then its issuers if any. */
    struct slice key_pem;

    void *context; /* For the functions below. */

    /* Where a peer listens now. Asked before each attempt to connect; STATUS_NOT_FOUND: the
     * server_address of the message that is to be sent is used. */
    struct status (*address_of)(void *context, uint64_t node_id, char out[CONSENSUS_ADDRESS_SIZE]);

    /* May this node, whose certificate was verified, talk to us? */
    bool (*peer_allowed)(void *context, uint64_t node_id);

    /* A message from `message->raft.server_id`. Its memory (entries and batch, configuration and
     * data, all from raft_malloc) is the receiver's from here on, exactly as raft_io's recv wants
     * it; who drops the message calls raft_wire_release(). `server_address` is borrowed during the
     * call: the address that the peer told, or "". */
    void (*on_message)(void *context, struct raft_wire_message *message);

    /* A peer refused us because we are not a member any more, as far as it knows. NULL: ignored. */
    void (*on_refused)(void *context, uint64_t by_node_id);

    /* A peer's process is gone: its connections ended, and nobody listens at its address. NULL:
     * ignored, and nobody looks. */
    void (*on_gone)(void *context, uint64_t node_id);

    /* Something an operator may want to read, such as a certificate that was refused, at most once
     * per second. NULL: ignored. `node_id` is 0 if not known. */
    void (*on_trouble)(void *context, uint64_t node_id, struct status reason);

    /* What an image that is asked for now must be good for: image_spool.h's version. */
    uint64_t (*image_version)(void *context);
    /* As image_spool_get(). On a thread of its own. NULL: no images are served. */
    struct status (*image_open)(void *context, uint64_t version, const atomic_bool *cancelled,
                                int *fd);
    /* Something about an image that an operator may want to read. NULL: ignored. */
    void (*on_image)(void *context, uint64_t node_id, const char *words);

    const char *address; /* What we tell peers as ours; NULL: the address as bound. */

    /* 0 takes the default that stands here. */
    unsigned handshake_timeout_ms; /* 5000: connection, TLS and greeting. */
    unsigned ping_ms;              /* 1000: between pings on a connection that is idle. */
    unsigned dead_ms;              /* 5000: a connection this long without a byte is cut. */
    unsigned reconnect_min_ms;     /* 50 */
    unsigned reconnect_max_ms;     /* 2000 */
    size_t queued_size_max;        /* 32 MiB: bytes unsent to one peer. */
    uint64_t image_rate_max;       /* Bytes per second of all images served; 0: unlimited. */
};

/*
 * Listen, and be ready to send. The options are copied, slices and texts included. Fails with
 * STATUS_INVALID (certificate, key, address; the certificate is not of node_id), STATUS_BUSY
 * (address in use), STATUS_IO or STATUS_NO_MEMORY; `*out` is written on success only.
 */
MUST_USE struct status peers_open(const struct peers_options *options, struct peers **out);

/* Cut everything; sends and fetches are answered STATUS_UNKNOWN, then `closed` is called and
 * `peers` is gone. No other callback comes after this call but these answers. */
void peers_close(struct peers *peers, void (*closed)(void *context), void *context);

/* The address as bound. */
void peers_address(const struct peers *peers, char out[CONSENSUS_ADDRESS_SIZE]);

/* New connections use this certificate and CA from now on. Those that are open keep theirs. */
MUST_USE struct status peers_reload(struct peers *peers, struct slice ca_pem,
                                    struct slice certificate_pem, struct slice key_pem);

/* Ask peer_allowed again about everyone, and cut who may not talk to us any more. After a change of
 * the members. */
void peers_review(struct peers *peers);

/* ---- Messages ---- */

struct peer_send;
typedef void (*peer_send_done)(struct peer_send *send, struct status status);

/* The caller allocates it and keeps it until `done` was called. */
struct peer_send {
    void *context; /* The caller's own. */

    /* Private to peer. */
    peer_send_done done;
    struct peer_send *next;
    struct status status;
};

/*
 * Not after peers_close(). Send a message to the node `message->raft.server_id`, connecting first if need be. The message
 * and what it points to are not needed after the call: they are encrypted at once.
 *
 * AppendEntries that would break a limit of raft_wire.h go out with fewer entries, and leader_commit
 * cut to the last of them.
 *
 * On success `done` is called exactly once:
 *   STATUS_OK           handed to the connection (not: arrived)
 *   STATUS_UNREACHABLE  no connection; one is being tried
 *   STATUS_BUSY         queued_size_max: the peer does not keep up
 *   STATUS_INVALID      the message cannot be sent: raft_wire_encode() says why
 *   STATUS_UNAUTHORIZED the peer refuses us, or is not allowed
 *   STATUS_NO_MEMORY
 *   STATUS_UNKNOWN      peers_close() came before
 * On failure, which happens for AppendEntries only and with the same codes, `done` is never called.
 * (libraft 0.15.0 must be told at once that AppendEntries do not go out, and frees every other
 * message twice if it is told at once.)
 *
 * While a connection is being made, AppendEntries with entries are STATUS_UNREACHABLE; everything
 * else waits for it, within queued_size_max.
 */
MUST_USE struct status peers_send(struct peers *peers, struct peer_send *send,
                                  const struct raft_wire_message *message, peer_send_done done);

/* Is our connection to this peer open, and did it answer one of the last pings? A network that
 * drops packets is known sooner by that than by the end of the connection. */
bool peers_connected(const struct peers *peers, uint64_t node_id);

struct peers_statistics {
    uint64_t bytes_sent; /* Of messages and images, before TLS. */
    uint64_t bytes_received;
    uint64_t messages_sent;
    uint64_t messages_received;
    uint64_t messages_dropped;    /* Answered otherwise than STATUS_OK. */
    uint64_t connections_refused; /* Not allowed, too many, failed in TLS. */
    uint64_t images_served;
    uint64_t images_fetched;
    uint64_t images_resumed; /* Of those fetched or begun: behind bytes that were there already. */
};

void peers_statistics(const struct peers *peers, struct peers_statistics *out);

/* ---- Images ---- */

struct peer_image;
typedef void (*peer_image_done)(struct peer_image *image, struct status status);

/* The caller allocates it and keeps it until `done` was called. */
struct peer_image {
    void *context; /* The caller's own. */

    /* Private to peer. */
    peer_image_done done;
    struct image_fetch *fetch;
};

/*
 * Fetch an image of the state of node `node_id` into `path`. If an earlier attempt left a part of
 * one there, which the node still serves, only the rest is sent; otherwise it begins anew. On success
 * `done` is called exactly once:
 *   STATUS_OK           the file is complete, its SHA-256 verified, it and its folder on disk
 *   STATUS_BUSY         the node serves PEER_IMAGES_MAX images already: ask again later
 *   STATUS_NOT_FOUND    the node serves no images
 *   STATUS_UNREACHABLE, STATUS_UNAUTHORIZED
 *   STATUS_TIMEOUT      no byte of the image within dead_ms, once it has begun
 *   STATUS_CORRUPT      size or checksum differ
 *   STATUS_FULL, STATUS_IO  the file cannot be written, or the connection broke
 *   STATUS_UNKNOWN      cancelled, or peers_close()
 * and after anything but STATUS_OK a part may be there for the next attempt, but for STATUS_CORRUPT and a
 * file that cannot be written. STATUS_NOT_FOUND also when no address of the node is known. On
 * failure, STATUS_NO_MEMORY, STATUS_INVALID, STATUS_FULL or STATUS_IO (the file cannot be made),
 * `done` is never called.
 */
MUST_USE struct status peer_image_fetch(struct peers *peers, struct peer_image *image,
                                        uint64_t node_id, const char *path, peer_image_done done);

/* Give up; `done` comes with STATUS_UNKNOWN, from the loop. Only between fetch and `done`. */
void peer_image_cancel(struct peer_image *image);

/* From now on; 0: unlimited. */
void peers_set_image_rate(struct peers *peers, uint64_t bytes_per_s);

/* An image on its way. */
struct peer_transfer {
    uint64_t node_id;    /* At the other end. */
    bool sending;        /* From here to there. */
    uint64_t done_size;  /* Bytes that are there. */
    uint64_t total_size; /* 0: not known yet, the image is being written to a file. */
    uint64_t rate;       /* Bytes per second, since this attempt began. */
};

#define PEER_TRANSFERS_MAX (PEER_IMAGES_MAX + 1)

/* Those under way; returns how many. */
size_t peers_transfers(const struct peers *peers, struct peer_transfer out[PEER_TRANSFERS_MAX]);

#endif
