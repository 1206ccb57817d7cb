/*
 * Connections.
 *
 *     HANDSHAKE ──► READING ──► WAITING ──► WRITING ──► READING ...
 *                                             │  ▲
 *                                             ▼  │ stall_ms
 *                                            STALLED
 *
 * conn_run() makes steps until one of them must wait, for the socket or for a time. A connection
 * is closed by its step, never from outside while it runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim_json.h"
#include "sim_map.h"

#define READ_SIZE 65536

/* What a step says about how to go on. */
enum step { STEP_ON, STEP_WAIT, STEP_CLOSE };

static void on_event(struct sim_source *source);

/* Read or write, with TLS or without. Above 0: bytes; 0: the end; below: wait or broken, as
 * `*step` says. */
static int explain(struct sim_conn *conn, int result, enum step *step)
{
    *step = STEP_CLOSE;
    if (conn->ssl == NULL) {
        if (errno == EAGAIN || errno == EINTR) {
            *step = STEP_WAIT;
        }
        return -1;
    }
    int error = SSL_get_error(conn->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        conn->wanted = error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
        *step = STEP_WAIT;
    }
    return -1;
}

static enum step shake_hands(struct sim_conn *conn)
{
    enum step step;
    int result = SSL_accept(conn->ssl);
    if (result == 1) {
        conn->state = SIM_CONN_READING;
        return STEP_ON;
    }
    (void)explain(conn, result, &step);
    return step;
}

static enum step fill(struct sim_conn *conn)
{
    enum step step = STEP_ON;
    sim_need(buffer_reserve(&conn->in, READ_SIZE));
    char *at = conn->in.data + conn->in.size;
    conn->wanted = EPOLLIN;
    int got = conn->ssl != NULL ? SSL_read(conn->ssl, at, READ_SIZE)
                                : (int)recv(conn->fd, at, READ_SIZE, 0);
    if (got > 0) {
        conn->in.size += (size_t)got;
        return STEP_ON;
    }
    if (got == 0 && conn->ssl == NULL) {
        return STEP_CLOSE;
    }
    (void)explain(conn, got, &step);
    return step;
}

static void tell_to_continue(struct sim_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    conn->told_to_continue = true;
    /* The socket has room: nothing is on its way to this client. */
    if (conn->ssl != NULL) {
        (void)SSL_write(conn->ssl, text, sizeof text - 1);
    } else {
        (void)send(conn->fd, text, sizeof text - 1, MSG_NOSIGNAL);
    }
}

static void serve(struct sim_conn *conn)
{
    struct sim_request request = {
        .family = conn->listener->family,
        .region = conn->listener->region,
        .remote_port = conn->remote_port,
        .http = &conn->http,
        .certificate = conn->ssl == NULL ? NULL : SSL_get0_peer_certificate(conn->ssl),
    };
    sim_serve(conn->listener->loop->sim, &request, &conn->reply);
    conn->keep_alive = conn->http.keep_alive && !conn->reply.close;
}

static enum step wait_for_turn(struct sim_conn *conn)
{
    conn->state = SIM_CONN_WAITING;
    conn->wake_ms = conn->reply.delay_ms == 0 ? 0 : clock_monotonic_ms() + conn->reply.delay_ms;
    return STEP_ON;
}

static enum step read_request(struct sim_conn *conn)
{
    switch (sim_http_read(&conn->http, buffer_slice(&conn->in))) {
    case SIM_HTTP_COMPLETE: serve(conn); return wait_for_turn(conn);
    case SIM_HTTP_PARTIAL:
        if (conn->http.expects_continue && !conn->told_to_continue) {
            tell_to_continue(conn);
        }
        return fill(conn);
    case SIM_HTTP_INVALID: sim_reply_html(&conn->reply, 400); break;
    case SIM_HTTP_TOO_LARGE: sim_reply_html(&conn->reply, 413); break;
    }
    conn->keep_alive = false;
    return wait_for_turn(conn);
}

static void append_chunk(struct buffer *out, struct slice bytes)
{
    if (bytes.size > 0) {
        sim_print(out, "%zx\r\n", bytes.size);
        sim_need(buffer_append(out, bytes.data, bytes.size) && buffer_append(out, "\r\n", 2));
    }
}

static void make_output(struct sim_conn *conn)
{
    struct sim_reply *reply = &conn->reply;
    buffer_clear(&conn->out);
    conn->out_sent = 0;
    conn->stream_cursor = 0;
    bool keep_alive = conn->keep_alive && reply->delivery != SIM_DELIVER_CUT;
    conn->keep_alive = keep_alive;
    sim_reply_head(reply, keep_alive, &conn->out);
    size_t head_size = conn->out.size;
    if (reply->chunked) { /* In two, so that a client must put it together. */
        struct slice first = {.data = reply->body.data, .size = reply->body.size / 2};
        struct slice rest = {.data = reply->body.data + first.size,
                             .size = reply->body.size - first.size};
        append_chunk(&conn->out, first);
        append_chunk(&conn->out, rest);
        sim_need(buffer_append(&conn->out, "0\r\n\r\n", 5));
    } else if (reply->stream == NULL && reply->status != 204) {
        sim_need(buffer_append(&conn->out, reply->body.data, reply->body.size));
    }
    bool half = reply->delivery == SIM_DELIVER_STALLED || reply->delivery == SIM_DELIVER_CUT;
    conn->out_limit = half ? head_size + (conn->out.size - head_size) / 2 : conn->out.size;
}

static enum step await(struct sim_conn *conn)
{
    if (conn->wake_ms > 0 && clock_monotonic_ms() < conn->wake_ms) {
        conn->wanted = 0;
        return STEP_WAIT;
    }
    if (conn->reply.delivery == SIM_DELIVER_CLOSE) {
        return STEP_CLOSE;
    }
    if (conn->reply.delivery == SIM_DELIVER_RESET) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        return STEP_CLOSE;
    }
    make_output(conn);
    conn->state = SIM_CONN_WRITING;
    return STEP_ON;
}

/* More of a streamed body. False when all of it is in the output. */
static bool stream_on(struct sim_conn *conn)
{
    struct sim_reply *reply = &conn->reply;
    struct buffer piece = {0};
    if (reply->stream == NULL) {
        return false;
    }
    bool more = reply->stream(reply->stream_context, &conn->stream_cursor, &piece);
    buffer_clear(&conn->out);
    append_chunk(&conn->out, buffer_slice(&piece));
    buffer_release(&piece);
    if (!more) {
        sim_need(buffer_append(&conn->out, "0\r\n\r\n", 5));
        reply->stream = NULL;
    }
    conn->out_sent = 0;
    conn->out_limit = conn->out.size;
    return true;
}

static enum step finish(struct sim_conn *conn)
{
    if (!conn->keep_alive) {
        return STEP_CLOSE;
    }
    buffer_consume(&conn->in, sim_http_size(&conn->http));
    sim_http_next(&conn->http);
    sim_reply_release(&conn->reply);
    conn->told_to_continue = false;
    conn->state = SIM_CONN_READING;
    return STEP_ON;
}

static enum step write_reply(struct sim_conn *conn)
{
    size_t left = conn->out_limit - conn->out_sent;
    if (left > 0) {
        enum step step = STEP_ON;
        const char *at = conn->out.data + conn->out_sent;
        int size = left > INT32_MAX ? INT32_MAX : (int)left;
        conn->wanted = EPOLLOUT;
        int sent = conn->ssl != NULL ? SSL_write(conn->ssl, at, size)
                                     : (int)send(conn->fd, at, (size_t)size, MSG_NOSIGNAL);
        if (sent <= 0) {
            (void)explain(conn, sent, &step);
            return step;
        }
        conn->out_sent += (size_t)sent;
        return STEP_ON;
    }
    if (conn->out_limit < conn->out.size) {
        if (conn->reply.delivery == SIM_DELIVER_CUT) {
            return STEP_CLOSE;
        }
        conn->state = SIM_CONN_STALLED;
        conn->wake_ms = clock_monotonic_ms() + conn->reply.stall_ms;
        return STEP_ON;
    }
    return stream_on(conn) ? STEP_ON : finish(conn);
}

static enum step await_rest(struct sim_conn *conn)
{
    if (clock_monotonic_ms() < conn->wake_ms) {
        conn->wanted = 0;
        return STEP_WAIT;
    }
    conn->out_limit = conn->out.size;
    conn->state = SIM_CONN_WRITING;
    return STEP_ON;
}

static enum step take_step(struct sim_conn *conn)
{
    switch (conn->state) {
    case SIM_CONN_HANDSHAKE: return shake_hands(conn);
    case SIM_CONN_READING: return read_request(conn);
    case SIM_CONN_WAITING: return await(conn);
    case SIM_CONN_WRITING: return write_reply(conn);
    case SIM_CONN_STALLED: return await_rest(conn);
    }
    return STEP_CLOSE;
}

static void conn_run(struct sim_conn *conn)
{
    enum step step;
    ERR_clear_error();
    do {
        step = take_step(conn);
    } while (step == STEP_ON);
    if (step == STEP_CLOSE) {
        sim_conn_close(conn);
        return;
    }
    sim_loop_want(conn->listener->loop, conn->fd, &conn->source, conn->wanted);
}

static void on_event(struct sim_source *source)
{
    struct sim_conn *conn = (struct sim_conn *)(void *)source;
    if (conn->wanted == 0) { /* Only an error or a hang-up comes unasked. */
        sim_conn_close(conn);
        return;
    }
    conn_run(conn);
}

void sim_conn_open(struct sim_listener *listener, int fd, uint16_t remote_port, SSL_CTX *tls)
{
    struct sim_loop *loop = listener->loop;
    struct sim_conn *conn = sim_alloc(sizeof *conn);
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    conn->source.on_event = on_event;
    conn->listener = listener;
    conn->fd = fd;
    conn->remote_port = remote_port;
    conn->state = tls == NULL ? SIM_CONN_READING : SIM_CONN_HANDSHAKE;
    conn->next = loop->conns;
    conn->link = &loop->conns;
    if (conn->next != NULL) {
        conn->next->link = &conn->next;
    }
    loop->conns = conn;
    loop->conn_count++;
    if (tls != NULL) {
        conn->ssl = SSL_new(tls);
        sim_need(conn->ssl != NULL && SSL_set_fd(conn->ssl, fd) == 1);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conn->source};
    conn->wanted = EPOLLIN;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        sim_conn_close(conn);
    }
}

void sim_conn_on_time(struct sim_conn *conn, uint64_t now_ms)
{
    if (sim_conn_wake_ms(conn) <= now_ms) {
        conn_run(conn);
    }
}

uint64_t sim_conn_wake_ms(const struct sim_conn *conn)
{
    bool waits = conn->state == SIM_CONN_WAITING || conn->state == SIM_CONN_STALLED;
    return waits ? conn->wake_ms : UINT64_MAX;
}

void sim_conn_close(struct sim_conn *conn)
{
    *conn->link = conn->next;
    if (conn->next != NULL) {
        conn->next->link = conn->link;
    }
    conn->listener->loop->conn_count--;
    if (conn->ssl != NULL) {
        if (conn->reply.delivery != SIM_DELIVER_RESET && SSL_is_init_finished(conn->ssl)) {
            (void)SSL_shutdown(conn->ssl);
        }
        SSL_free(conn->ssl);
        ERR_clear_error();
    }
    (void)close(conn->fd);
    buffer_release(&conn->in);
    buffer_release(&conn->out);
    sim_http_release(&conn->http);
    sim_reply_release(&conn->reply);
    free(conn);
}
