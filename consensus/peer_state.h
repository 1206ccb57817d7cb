/*
 * The inside of the peer network: what peer.c (making, closing, time), peer_out.c (connections we
 * open), peer_in.c (connections we accept) and the image files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_STATE_H
#define PEER_STATE_H

#include <uv.h>

#include "base/gate.h"
#include "base/stream.h"
#include "peer.h"
#include "peer_frame.h"

/*
 * A connection we open:
 *
 *    IDLE --send--> CONNECTING --TLS, id--> GREETING --their HELLO--> OPEN
 *      ^                |                      |                       |
 *      +--- closed ---- ENDING <-- failure, refusal, dead, review -----+
 */
enum peer_out_state {
    OUT_IDLE,
    OUT_CONNECTING,
    OUT_GREETING,
    OUT_OPEN,
    OUT_ENDING,
};

/* A peer we send to. */
struct peer_out {
    struct peers *peers;
    struct peer_out *next;
    uint64_t node_id;
    enum peer_out_state state;
    struct stream *stream;
    struct frame_reader reader;
    struct buffer waiting; /* Frames that wait for OPEN. */
    uint64_t retry_at_ms;  /* Loop time: no attempt before. */
    unsigned backoff_ms;
    uint64_t alive_at_ms; /* Loop time of the last sign of life. */
    uint64_t pinged_at_ms;
    size_t unsent_size; /* At the last look: if it shrinks, the peer lives. */
    bool refused;       /* By them, or by us: until the next attempt. */
    unsigned probes;    /* Attempts left to learn whether its process is gone. */
};

enum link_state {
    LINK_SHAKING, /* TLS; counts against PEER_UNKNOWN_MAX. */
    LINK_GREETED, /* The peer is known; its HELLO is awaited. */
    LINK_MESSAGES,
    LINK_ASKING, /* Wants an image; its FRAME_IMAGE_ASK is awaited. */
    LINK_IMAGE,
    LINK_ENDING,
};

struct image_source;

/* A connection we accepted. */
struct link {
    struct peers *peers;
    struct link *next;
    enum link_state state;
    struct stream *stream;
    uint64_t node_id; /* 0 while SHAKING. */
    bool unknown;     /* Counts against PEER_UNKNOWN_MAX. */
    uint64_t origin;  /* While unknown: counted there, too. */
    unsigned version; /* Of the protocol, as spoken here; 0 before the greeting. */
    struct frame_reader reader;
    char address[CONSENSUS_ADDRESS_SIZE]; /* What the peer told. */
    uint64_t alive_at_ms;
    struct image_source *source; /* LINK_IMAGE. */
};

struct image_fetch;

struct peers {
    struct peers_options options; /* Texts and slices in it are not used after peers_open(). */
    char address[CONSENSUS_ADDRESS_SIZE];
    struct tls_context *tls;
    struct listener *listener;
    uv_timer_t tick;     /* Pings, deadlines. */
    uv_timer_t answer;   /* Set to fire at once when `answers` is not empty. */
    unsigned references; /* Handles, connections, image work: gone at zero. */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;

    struct peer_out *outs;
    struct link *links;
    struct image_fetch *fetches;
    unsigned unknown_count;
    struct gate *gate; /* Of unknown links, by source. */
    unsigned source_count;
    uint64_t image_due_us; /* Loop time at which what was sent of images is within the rate. */

    struct peer_send *answers; /* To be answered, in order. */
    struct peer_send **answers_end;

    struct peers_statistics statistics;
    uint64_t trouble_at_ms; /* Loop time of the last on_trouble. */
    bool troubled;
    struct raft_wire_encoded encoded;          /* Work space of one send. */
    struct slice pieces[PEER_ENTRIES_MAX + 2]; /* The same. */
};

/* ---- peer.c ---- */

void peers_reference(struct peers *peers);
void peers_unreference(struct peers *peers);
/* Answer a send, from the loop. */
void peers_answer(struct peers *peers, struct peer_send *send, struct status status);
void peers_trouble(struct peers *peers, uint64_t node_id, struct status reason);

/* The id at the other end of an open stream; 0 if there is none. */
uint64_t peers_id_of(const struct stream *stream);

/* Connect to a node, with the address of address_of or else this one. */
MUST_USE struct status peers_connect(struct peers *peers, uint64_t node_id, const char *fallback,
                                     const struct stream_handlers *handlers, void *context,
                                     struct stream **out);

/* ---- peer_out.c ---- */

void peer_out_tick(struct peer_out *out, uint64_t now_ms);
void peer_out_end(struct peer_out *out, struct status reason);
void peer_out_free_all(struct peers *peers);

/* ---- peer_in.c ---- */

void peer_in_on_connection(struct listener *listener, void *context);
void link_tick(struct link *link, uint64_t now_ms);

/* Cut at once. */
void link_end(struct link *link, struct status reason);

/* Say why, then end in order. */
void link_refuse(struct link *link, enum frame_refusal refusal, const char *words);

/* ---- peer_image_serve.c ---- */

/* The link's opener wants an image, and has `size` bytes of one already. */
void image_source_begin(struct link *link, uint64_t size, const uint8_t digest[32]);
void image_source_on_drain(struct link *link);
/* The link is closed. */
void image_source_end(struct link *link);
struct peer_transfer image_source_progress(const struct link *link);

/* ---- peer_image_fetch.c ---- */

/* Returns the next one, for this one may go. */
struct image_fetch *image_fetch_tick(struct image_fetch *fetch, uint64_t now_ms);
void image_fetch_cancel_all(struct peers *peers);
struct image_fetch *image_fetch_progress(const struct image_fetch *fetch,
                                         struct peer_transfer *out);

#endif
