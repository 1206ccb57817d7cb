/*
 * The event loop: listeners, connections, and one thread that serves them all (epoll).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <openssl/ssl.h>

#include "sim_cloud.h"

#define SIM_CONNECTIONS_MAX 4096
#define SIM_LISTENERS_MAX 7

/* What epoll points to: the first member of everything that waits for events. */
struct sim_source {
    void (*on_event)(struct sim_source *source);
};

struct sim_listener {
    struct sim_source source;
    struct sim_loop *loop;
    int fd;
    uint16_t port;
    enum sim_family family;
    enum sim_region region;
    SSL_CTX *tls;       /* NULL: plain HTTP. */
    SSL_CTX *wrong_tls; /* With a certificate for another name. */
};

struct sim_conn;

struct sim_loop {
    struct sim *sim;
    int epoll_fd;
    int signal_fd;
    struct sim_source signal_source;
    bool stopped;
    struct sim_listener listeners[SIM_LISTENERS_MAX];
    size_t listener_count;
    struct sim_conn *conns; /* A list. */
    size_t conn_count;
};

/* SIGTERM and SIGINT stop it. */
MUST_USE struct status sim_loop_init(struct sim_loop *loop, struct sim *sim);
void sim_loop_release(struct sim_loop *loop);

/* Listen. `port` 0: the kernel chooses; the listener says what it chose. A family other than the
 * admin gets certificates from `ca`. */
MUST_USE struct status sim_loop_listen(struct sim_loop *loop, const char *address, uint16_t port,
                                       enum sim_family family, enum sim_region region,
                                       const struct sim_ca *ca);

/* Serve until a signal comes. */
MUST_USE struct status sim_loop_run(struct sim_loop *loop);

/* Wait for other events (EPOLLIN ...) of a connection. */
void sim_loop_want(struct sim_loop *loop, int fd, struct sim_source *source, uint32_t events);

#endif
