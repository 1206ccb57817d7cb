/*
 * The event loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim_conn.h"
#include "sim_map.h"

#define EVENTS_MAX 64
#define BACKLOG 256
#define SERVER_CERTIFICATE_LIFE_S ((int64_t)825 * 86400)
#define CLOCK_SKEW_S 300

void sim_loop_want(struct sim_loop *loop, int fd, struct sim_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    sim_need(result == 0); /* Fails only for want of memory: the descriptor is registered. */
}

static void on_signal(struct sim_source *source)
{
    struct sim_loop *loop =
        (struct sim_loop *)(void *)((char *)source - offsetof(struct sim_loop, signal_source));
    loop->stopped = true;
}

static struct status watch(struct sim_loop *loop, int fd, struct sim_source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno(errno, "watch a descriptor");
    }
    return OK;
}

struct status sim_loop_init(struct sim_loop *loop, struct sim *sim)
{
    *loop = (struct sim_loop){.sim = sim, .signal_fd = -1};
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0 || sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        return fail_errno(errno, "make the event loop");
    }
    loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0) {
        return fail_errno(errno, "watch for signals");
    }
    loop->signal_source.on_event = on_signal;
    return watch(loop, loop->signal_fd, &loop->signal_source);
}

void sim_loop_release(struct sim_loop *loop)
{
    while (loop->conns != NULL) {
        sim_conn_close(loop->conns);
    }
    for (size_t i = 0; i < loop->listener_count; i++) {
        (void)close(loop->listeners[i].fd);
        SSL_CTX_free(loop->listeners[i].tls);
        SSL_CTX_free(loop->listeners[i].wrong_tls);
    }
    (void)close(loop->signal_fd);
    (void)close(loop->epoll_fd);
}

/* A TLS alert "handshake failure" (RFC 8446, section 6) without ever having spoken TLS. */
static void refuse_handshake(int fd)
{
    static const unsigned char alert[] = {21, 3, 3, 0, 2, 2, 40};
    (void)send(fd, alert, sizeof alert, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

static void welcome(struct sim_listener *listener, int fd, uint16_t remote_port)
{
    struct sim_loop *loop = listener->loop;
    SSL_CTX *tls = listener->tls;
    if (loop->conn_count == SIM_CONNECTIONS_MAX) {
        (void)close(fd);
        return;
    }
    const struct sim_fault *fault = NULL;
    if (listener->family != SIM_ADMIN) {
        fault = sim_faults_on_connection(&loop->sim->faults, listener->family, listener->region);
    }
    if (fault != NULL && fault->action == SIM_FAULT_TLS_FAILURE) {
        refuse_handshake(fd);
        return;
    }
    if (fault != NULL && fault->action == SIM_FAULT_WRONG_CERTIFICATE) {
        tls = listener->wrong_tls;
    }
    sim_conn_open(listener, fd, remote_port, tls);
}

static void on_connection(struct sim_source *source)
{
    struct sim_listener *listener = (struct sim_listener *)(void *)source;
    for (;;) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof peer;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        welcome(listener, fd, ntohs(peer.sin_port));
    }
}

/* Ask for a certificate, never fail because of one: the routes answer for it. */
static int accept_any(int preverified, X509_STORE_CTX *store)
{
    (void)preverified;
    (void)store;
    return 1;
}

static SSL_CTX *make_context(const struct sim_ca *ca, const char *common_name, const char *names,
                             bool asks)
{
    int64_t now_s = (int64_t)time(NULL);
    struct sim_subject subject = {
        .common_name = common_name,
        .names = names,
        .key_usage = "serverAuth",
        .from_s = now_s - CLOCK_SKEW_S,
        .to_s = now_s + SERVER_CERTIFICATE_LIFE_S,
    };
    EVP_PKEY *key = sim_key_make();
    X509 *certificate = NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    bool made =
        key != NULL && tls != NULL && !failed(sim_ca_issue(ca, &subject, key, &certificate));
    made = made && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
           SSL_CTX_use_certificate(tls, certificate) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1;
    EVP_PKEY_free(key);
    X509_free(certificate);
    if (!made) {
        SSL_CTX_free(tls);
        return NULL;
    }
    (void)SSL_CTX_set_mode(tls,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls, 1);
    if (asks) {
        static const unsigned char session_context[] = "cloudsim";
        (void)SSL_CTX_set_session_id_context(tls, session_context, sizeof session_context - 1);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, accept_any);
    }
    return tls;
}

static struct status set_up_tls(struct sim_listener *listener, const struct sim_ca *ca,
                                const char *address)
{
    char names[256];
    const char *host = sim_family_host(listener->family, listener->region);
    (void)snprintf(names, sizeof names, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:%s", host, address);
    bool asks = listener->family == SIM_SSE;
    listener->tls = make_context(ca, host, names, asks);
    listener->wrong_tls = make_context(ca, "wrong.example.com", "DNS:wrong.example.com", asks);
    return listener->tls == NULL || listener->wrong_tls == NULL
               ? fail(STATUS_IO, "make the certificates of %s: OpenSSL refused", host)
               : OK;
}

static struct status bind_socket(struct sim_listener *listener, const char *address, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof at;
    int yes = 1;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        return fail(STATUS_INVALID, "%.40s is not an IPv4 address", address);
    }
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener->fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(listener->fd, BACKLOG) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&at, &size) != 0) {
        return fail_errno(errno, "listen on %s port %u", address, port);
    }
    listener->port = ntohs(at.sin_port);
    return OK;
}

struct status sim_loop_listen(struct sim_loop *loop, const char *address, uint16_t port,
                              enum sim_family family, enum sim_region region,
                              const struct sim_ca *ca)
{
    struct sim_listener *listener = &loop->listeners[loop->listener_count];
    *listener = (struct sim_listener){
        .source.on_event = on_connection,
        .loop = loop,
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        .family = family,
        .region = region,
    };
    if (listener->fd < 0) {
        return fail_errno(errno, "make a socket");
    }
    loop->listener_count++;
    struct status status = bind_socket(listener, address, port);
    if (failed(status)) {
        return status;
    }
    if (family != SIM_ADMIN) {
        status = set_up_tls(listener, ca, address);
        if (failed(status)) {
            return status;
        }
    }
    return watch(loop, listener->fd, &listener->source);
}

/* Let the connections whose time has come go on; returns how long the others can wait. */
static int run_timers(struct sim_loop *loop)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t first_ms = UINT64_MAX;
    struct sim_conn *conn = loop->conns;
    while (conn != NULL) {
        struct sim_conn *next = conn->next;
        sim_conn_on_time(conn, now_ms);
        conn = next;
    }
    for (conn = loop->conns; conn != NULL; conn = conn->next) {
        uint64_t wake_ms = sim_conn_wake_ms(conn);
        first_ms = wake_ms < first_ms ? wake_ms : first_ms;
    }
    if (first_ms == UINT64_MAX) {
        return -1;
    }
    now_ms = clock_monotonic_ms();
    return first_ms <= now_ms ? 0 : (int)(first_ms - now_ms);
}

struct status sim_loop_run(struct sim_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    while (!loop->stopped) {
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, run_timers(loop));
        if (count < 0 && errno != EINTR) {
            return fail_errno(errno, "wait for events");
        }
        for (int i = 0; i < count; i++) {
            struct sim_source *source = events[i].data.ptr;
            source->on_event(source);
        }
    }
    return OK;
}
