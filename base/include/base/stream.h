/*
 * Streams: one connection, TLS over TCP or plain over a UNIX socket, behind one interface.
 *
 * Happy path: make one with a stream_accept_... or stream_connect_... call; `on_open` says that the
 * handshake is done and the other side verified; `on_read` brings bytes; stream_write() sends;
 * stream_shutdown() or stream_close() ends it; `on_close` is the last call, after which the stream
 * is gone.
 *
 * Failure: every failure after a successful creation arrives as the reason of `on_close`, which
 * comes exactly once whatever happened, and never from within a call made here. Nothing else is
 * called after stream_close().
 *
 * Which code means what, as the reason of `on_close`:
 *   STATUS_OK            the other side ended in order, or we did
 *   STATUS_UNREACHABLE   name not resolved, connection refused or not possible
 *   STATUS_TIMEOUT       not open within handshake_timeout_ms
 *   STATUS_UNAUTHORIZED  a certificate was refused: theirs by us, or ours by them. With TLS 1.3 a
 *                        connecting side is open before the other side has judged its certificate:
 *                        this reason may then come after `on_open`, and nothing written so far was
 *                        believed. A protocol that must know waits for a first answer.
 *   STATUS_INVALID       not TLS, or no common version
 *   STATUS_IO            the connection broke, or ended without TLS's closing message
 *   STATUS_NO_MEMORY
 *
 * An idle time-out is the owner's matter: stream_close() from its own timer.
 * A stream belongs to the thread of its loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/tls.h"

struct uv_loop_s;
struct stream;
struct listener;

#define STREAM_HANDSHAKE_TIMEOUT_DEFAULT_MS 5000U
#define STREAM_UNSENT_SIZE_DEFAULT (4U << 20U) /* Bytes. */
#define STREAM_READ_SIZE_MAX 65536U            /* Bytes of one on_read at most. */
#define STREAM_LINGER_MS 1000U                 /* See stream_shutdown(). */
#define STREAM_ADDRESS_SIZE 128                /* With its zero byte. */

struct stream_handlers {
    /* Open: connected, handshake done. At most once, before any on_read. NULL is allowed. */
    void (*on_open)(struct stream *stream, void *context);
    /* 1 to STREAM_READ_SIZE_MAX bytes, valid during the call. */
    void (*on_read)(struct stream *stream, void *context, struct slice bytes);
    /* Nothing is unsent any more, after something was left unsent by a write. NULL is allowed. */
    void (*on_drain)(struct stream *stream, void *context);
    /* The last call. The stream is gone when it returns. */
    void (*on_close)(struct stream *stream, void *context, struct status reason);
};

struct stream_options {
    struct uv_loop_s *loop;
    const struct stream_handlers *handlers; /* Must outlive the stream. */
    void *context;                          /* For the handlers; must outlive the stream. */
    unsigned handshake_timeout_ms; /* From creation to on_open, name and connection included. 0:
                                      STREAM_HANDSHAKE_TIMEOUT_DEFAULT_MS. */
    unsigned user_timeout_ms;      /* TCP_USER_TIMEOUT: sent bytes unacknowledged that long break
                                      the connection. 0: the system's (many minutes). */
    size_t unsent_size_max;        /* 0: STREAM_UNSENT_SIZE_DEFAULT. */
    /* stream_accept_tls() only: asked before anything is spent on the connection; false: it is
     * closed, and the call fails with STATUS_BUSY. NULL: all are let in. */
    bool (*admit)(void *context, uint64_t source);
};

/*
 * All four: `*out` is written on success only, before any handler is called. They fail with
 * STATUS_NO_MEMORY, STATUS_IO or STATUS_INVALID (address), and then no handler is ever called.
 */

/* Take the connection that a listener's on_connection announced. The listener's kind must fit. */
MUST_USE struct status stream_accept_tls(struct listener *listener, struct tls_context *tls,
                                         const struct stream_options *options, struct stream **out);
MUST_USE struct status stream_accept_local(struct listener *listener,
                                           const struct stream_options *options,
                                           struct stream **out);

/*
 * Connect to `address`, "host:port" or "[v6]:port"; names are resolved without blocking the loop
 * and their addresses tried in turn. If `server_name` is not NULL, the certificate must bear this
 * name or IP address besides; NULL is for callers who check the identity otherwise.
 */
MUST_USE struct status stream_connect_tls(const char *address, const char *server_name,
                                          struct tls_context *tls,
                                          const struct stream_options *options,
                                          struct stream **out);
MUST_USE struct status stream_connect_local(const char *path, const struct stream_options *options,
                                            struct stream **out);

/*
 * Send the pieces, in order, as one: all or nothing is taken. The bytes are not needed after the
 * call. Also before on_open, for a connecting side: they go out when it opens.
 * Fails with STATUS_BUSY if more than unsent_size_max bytes would be unsent (nothing was taken;
 * try again from on_drain), STATUS_IO after stream_shutdown(), stream_close() or a failure (whose
 * reason on_close brings), STATUS_NO_MEMORY (the stream then closes).
 */
MUST_USE struct status stream_write(struct stream *stream, const struct slice *pieces,
                                    size_t count);

/* Bytes taken by stream_write() and not yet taken by the system. */
size_t stream_unsent_size(const struct stream *stream);

/* Back-pressure: no on_read until resumed. The end of the connection is not noticed meanwhile. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/*
 * End in order: what is unsent goes out, then TLS's closing message, then we wait up to
 * STREAM_LINGER_MS for the other side to end too (so that it reads our last bytes) and close. No
 * on_read comes any more. Again, or after stream_close(): nothing.
 */
void stream_shutdown(struct stream *stream);

/* End at once; what is unsent is lost. The reason given to on_close is STATUS_OK unless the stream
 * had failed already. Again: nothing. */
void stream_close(struct stream *stream);

/* The same, giving on_close this reason. */
void stream_close_because(struct stream *stream, struct status reason);

/* ---- Who is at the other end; from on_open on ---- */

/* The certificate, PEM, appended to `out`. STATUS_NOT_FOUND if it showed none. It was verified. */
MUST_USE struct status stream_peer_certificate(const struct stream *stream, struct buffer *out);

/* SHA-256 of the certificate's public key (SubjectPublicKeyInfo, DER). STATUS_NOT_FOUND as above. */
MUST_USE struct status stream_peer_key_hash(const struct stream *stream, uint8_t out[32]);

/* The subject's common name, UTF-8. STATUS_NOT_FOUND also when it has none or it does not fit. */
MUST_USE struct status stream_peer_common_name(const struct stream *stream, char *out,
                                               size_t out_size);

/* UNIX sockets only (SO_PEERCRED); STATUS_NOT_FOUND otherwise. `pid` may be NULL. */
MUST_USE struct status stream_peer_user(const struct stream *stream, uid_t *uid, gid_t *gid,
                                        pid_t *pid);

/* UNIX sockets only: the groups of the process besides its own (SO_PEERGROUPS), as it connected.
 * STATUS_NOT_FOUND otherwise, STATUS_FULL if it has more than `groups_max`. */
MUST_USE struct status stream_peer_groups(const struct stream *stream, gid_t *groups,
                                          size_t groups_max, size_t *count);

/* "192.0.2.1:4711", "[2001:db8::1]:4711", or "local" for a UNIX socket; for logs. */
void stream_peer_address(const struct stream *stream, char out[STREAM_ADDRESS_SIZE]);

/*
 * Where somebody comes from, as a number, to count by: the address of version 4, or the network of
 * version 6 (64 bits: what one customer has at least). STREAM_SOURCE_USER + a user id: a UNIX socket.
 * False for what is not a numeric "v4:port" or "[v6]:port".
 */
bool stream_source_of(const char *address, uint64_t *out);

#define STREAM_SOURCE_V4 (UINT64_C(1) << 32U)   /* In the first block of version 6, which is    */
#define STREAM_SOURCE_USER (UINT64_C(2) << 32U) /* reserved: ::/8, RFC 4291. */

#define STREAM_SOURCE_SIZE 64 /* With its zero byte. */

/* "192.0.2.1", "2001:db8::/64", "uid 1000"; for logs. */
void stream_source_print(uint64_t source, char out[STREAM_SOURCE_SIZE]);

/* ---- Listeners ---- */

/* A connection waits: take it with stream_accept_... or turn it away with listener_refuse(), at
 * once. */
typedef void (*listener_on_connection)(struct listener *listener, void *context);

/*
 * Listen on `address`: a numeric "v4:port" or "[v6]:port"; port 0 lets the system choose. Fails
 * with STATUS_INVALID (not an address), STATUS_BUSY (in use), STATUS_IO or STATUS_NO_MEMORY.
 */
MUST_USE struct status listener_open_tcp(struct uv_loop_s *loop, const char *address,
                                         listener_on_connection on_connection, void *context,
                                         struct listener **out);

/* Listen on the UNIX socket `path`, made with these permission bits; a socket file that nobody
 * listens on any more is replaced. */
MUST_USE struct status listener_open_local(struct uv_loop_s *loop, const char *path, mode_t mode,
                                           listener_on_connection on_connection, void *context,
                                           struct listener **out);

/* Accept and close the connection that waits. */
void listener_refuse(struct listener *listener);

/* The address as bound, with the port the system chose. */
void listener_address(const struct listener *listener, char out[STREAM_ADDRESS_SIZE]);

/* No on_connection after this. `closed` (may be NULL) is called from the loop when it is gone.
 * Open streams go on. A UNIX socket's file is removed. */
void listener_close(struct listener *listener, void (*closed)(void *context), void *context);

#endif
