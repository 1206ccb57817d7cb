/*
 * Streams to a node: sockets and OpenSSL, non-blocking, waited for with poll(2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define HOST_SIZE 256 /* A DNS name and its zero byte (RFC 1035). */
#define PORT_SIZE 8
#define PATH_SIZE 4096
#define POLL_MS_MAX 60000U /* The loop looks at the deadline again. */

struct transport {
    int fd;
    SSL_CTX *context; /* NULL: not TLS. */
    SSL *tls;
    short send_needs;    /* poll events that an unfinished send waits for. */
    short receive_needs; /* The same of receiving. */
};

/* OpenSSL's own words for what failed last. */
static const char *tls_words(char out[120])
{
    unsigned long error = ERR_get_error();
    if (error == 0) {
        (void)snprintf(out, 120, "the connection ended");
    } else {
        const char *reason = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
                                                     : ERR_reason_error_string(error);
        (void)snprintf(out, 120, "%s", reason != NULL ? reason : "unknown TLS error");
    }
    ERR_clear_error();
    return out;
}

struct transport *transport_adopt(int fd)
{
    struct transport *transport = alloc_zeroed(1, sizeof(*transport));
    if (transport != NULL) {
        int flags = fcntl(fd, F_GETFL);
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        *transport = (struct transport){.fd = fd, .send_needs = POLLOUT, .receive_needs = POLLIN};
    }
    return transport;
}

void transport_close(struct transport *transport)
{
    if (transport == NULL) {
        return;
    }
    if (transport->tls != NULL) {
        (void)SSL_shutdown(transport->tls);
        SSL_free(transport->tls);
    }
    SSL_CTX_free(transport->context);
    (void)close(transport->fd);
    ERR_clear_error();
    free(transport);
}

static struct status wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= deadline_ms) {
            return fail(STATUS_TIMEOUT, "no answer in time");
        }
        uint64_t left_ms = deadline_ms - now_ms;
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int count = poll(&poll_fd, 1, (int)(left_ms < POLL_MS_MAX ? left_ms : POLL_MS_MAX));
        if (count > 0) {
            return OK;
        }
        if (count < 0 && errno != EINTR) {
            return fail_errno(errno, "wait for the node");
        }
    }
}

struct status transport_wait(struct transport *transport, bool sending, uint64_t deadline_ms)
{
    bool decrypted = transport->tls != NULL && SSL_pending(transport->tls) > 0;
    if (decrypted) {
        return OK;
    }
    short events = transport->receive_needs;
    if (sending) {
        events = (short)(events | transport->send_needs);
    }
    return wait_for(transport->fd, events, deadline_ms);
}

/* ---- Sending and receiving ---- */

/* A TLS call that did not do all: what it waits for, or why it never will. */
static struct status tls_outcome(struct transport *transport, int outcome, short *needs)
{
    char words[120];
    switch (SSL_get_error(transport->tls, outcome)) {
    case SSL_ERROR_WANT_READ: *needs = POLLIN; return OK;
    case SSL_ERROR_WANT_WRITE: *needs = POLLOUT; return OK;
    case SSL_ERROR_ZERO_RETURN: return fail(STATUS_UNREACHABLE, "the node closed the connection");
    case SSL_ERROR_SSL: {
        unsigned long error = ERR_peek_error();
        int reason = ERR_GET_REASON(error);
        bool refused = reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                       (reason >= SSL_R_SSLV3_ALERT_BAD_CERTIFICATE &&
                        reason <= SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN) ||
                       reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
                       reason == SSL_R_TLSV1_ALERT_ACCESS_DENIED;
        return fail(
            refused ? STATUS_UNAUTHORIZED : STATUS_UNREACHABLE, "%s%s",
            refused ? "the node does not accept our certificate: " : "TLS: ", tls_words(words));
    }
    default: return fail(STATUS_UNREACHABLE, "the connection to the node broke");
    }
}

struct status transport_send(struct transport *transport, struct slice bytes, size_t *sent)
{
    *sent = 0;
    transport->send_needs = POLLOUT;
    if (transport->tls != NULL) {
        int outcome = SSL_write_ex(transport->tls, bytes.data, bytes.size, sent);
        return outcome == 1 ? OK : tls_outcome(transport, outcome, &transport->send_needs);
    }
    ssize_t count = send(transport->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (count >= 0) {
        *sent = (size_t)count;
        return OK;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return OK;
    }
    return fail(STATUS_UNREACHABLE, "send to the node: %s", strerror(errno));
}

struct status transport_receive(struct transport *transport, size_t size_max, struct buffer *out)
{
    if (!buffer_reserve(out, size_max)) {
        return fail(STATUS_NO_MEMORY, "receive from the node");
    }
    char *at = out->data + out->size;
    transport->receive_needs = POLLIN;
    if (transport->tls != NULL) {
        size_t count = 0;
        int outcome = SSL_read_ex(transport->tls, at, size_max, &count);
        out->size += count;
        return outcome == 1 ? OK : tls_outcome(transport, outcome, &transport->receive_needs);
    }
    ssize_t count = recv(transport->fd, at, size_max, 0);
    if (count > 0) {
        out->size += (size_t)count;
        return OK;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return OK;
    }
    return count == 0 ? fail(STATUS_UNREACHABLE, "the node closed the connection")
                      : fail(STATUS_UNREACHABLE, "receive from the node: %s", strerror(errno));
}

/* ---- UNIX sockets ---- */

/* Who listens there, as the kernel says, must be someone who may. */
static struct status check_listener(int fd, const char *path)
{
    struct ucred listener;
    socklen_t size = sizeof(listener);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0) {
        return fail_errno(errno, "ask who listens on %s", path);
    }
    if (listener.uid == 0 || listener.uid == geteuid()) {
        return OK;
    }
    char folder[PATH_SIZE];
    struct stat facts;
    (void)snprintf(folder, sizeof(folder), "%s", path);
    if (stat(dirname(folder), &facts) == 0 && facts.st_uid == listener.uid &&
        (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
        return OK;
    }
    return fail(STATUS_UNAUTHORIZED,
                "%s is served by user %u, who is neither root, nor you, nor the only one who may "
                "write to its folder",
                path, (unsigned)listener.uid);
}

static struct status open_unix(const char *path, uint64_t deadline_ms, struct transport **out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!slice_to_text(slice_of(path), address.sun_path, sizeof(address.sun_path))) {
        return fail(STATUS_INVALID, "a socket's path has at most %zu bytes",
                    sizeof(address.sun_path) - 1);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_errno(errno, "make a socket");
    }
    struct status status = OK;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    struct timeval patience = {.tv_sec = (time_t)(left_ms / 1000 + 1)};
    /* A listener whose backlog is full makes connect(2) wait. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        bool forbidden = errno == EACCES || errno == EPERM;
        status = fail(forbidden ? STATUS_UNAUTHORIZED : STATUS_UNREACHABLE, "connect to %s: %s",
                      path, strerror(errno));
    }
    if (!failed(status)) {
        status = check_listener(fd, path);
    }
    *out = failed(status) ? NULL : transport_adopt(fd);
    if (*out == NULL) {
        (void)close(fd);
        return failed(status) ? status : fail(STATUS_NO_MEMORY, "connect to %s", path);
    }
    return OK;
}

/* ---- TLS ---- */

static struct status load_files(const struct connection_options *options, SSL_CTX *context)
{
    char words[120];
    if (options->certificate_path == NULL || options->key_path == NULL) {
        return fail(STATUS_INVALID, "an address needs the files of the certificate and its key");
    }
    const char *ca_path = options->ca_path != NULL ? options->ca_path : options->certificate_path;
    if (SSL_CTX_load_verify_locations(context, ca_path, NULL) != 1) {
        return fail(STATUS_INVALID, "read the CA from %s: %s", ca_path, tls_words(words));
    }
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate_path) != 1) {
        return fail(STATUS_INVALID, "read the certificate from %s: %s", options->certificate_path,
                    tls_words(words));
    }
    if (SSL_CTX_use_PrivateKey_file(context, options->key_path, SSL_FILETYPE_PEM) != 1) {
        return fail(STATUS_INVALID, "read the key from %s: %s", options->key_path,
                    tls_words(words));
    }
    return OK;
}

static struct status make_context(const struct connection_options *options, SSL_CTX **out)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) {
        SSL_CTX_free(context);
        ERR_clear_error();
        return fail(STATUS_NO_MEMORY, "prepare TLS");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    struct status status = load_files(options, context);
    if (failed(status)) {
        SSL_CTX_free(context);
        return status;
    }
    *out = context;
    return OK;
}

static struct status split_address(const char *address, char host[HOST_SIZE], char port[PORT_SIZE])
{
    const char *colon = strrchr(address, ':');
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - address);
    if (host_size >= 2 && address[0] == '[' && address[host_size - 1] == ']') {
        address++;
        host_size -= 2;
    }
    struct slice host_text = {.data = address, .size = host_size};
    if (host_size == 0 || !slice_to_text(host_text, host, HOST_SIZE) ||
        !slice_to_text(slice_of(colon + 1), port, PORT_SIZE) || port[0] == '\0') {
        return fail(STATUS_INVALID, "\"%.100s\" is not an address: host:port or [v6]:port is",
                    address);
    }
    return OK;
}

static struct status connect_one(const struct addrinfo *info, uint64_t deadline_ms, int *out)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail_errno(errno, "make a socket");
    }
    struct status status = OK;
    int error = 0;
    socklen_t size = sizeof(error);
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        error = errno;
    }
    if (error == EINPROGRESS) {
        status = wait_for(fd, POLLOUT, deadline_ms);
        if (!failed(status) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    if (!failed(status) && error != 0) {
        status = fail(STATUS_UNREACHABLE, "%s", strerror(error));
    }
    if (failed(status)) {
        (void)close(fd);
        return status;
    }
    *out = fd;
    return OK;
}

static struct status connect_address(const char *address, uint64_t deadline_ms, int *out)
{
    char host[HOST_SIZE];
    char port[PORT_SIZE];
    struct status status = split_address(address, host, port);
    if (failed(status)) {
        return status;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        return fail(error == EAI_SERVICE ? STATUS_INVALID : STATUS_UNREACHABLE, "resolve %s: %s",
                    address, gai_strerror(error));
    }
    status = fail(STATUS_UNREACHABLE, "it has no address");
    for (struct addrinfo *info = found; info != NULL && failed(status); info = info->ai_next) {
        status = connect_one(info, deadline_ms, out);
    }
    freeaddrinfo(found);
    return failed(status) ? wrap(status, "connect to %s", address) : OK;
}

/* Not one of ours, or we none of theirs: both must be said, and neither may look like a network
 * problem. */
static struct status explain_handshake(struct transport *transport, struct status status)
{
    long verified = SSL_get_verify_result(transport->tls);
    if (verified != X509_V_OK) {
        return fail(STATUS_UNAUTHORIZED, "the node's certificate is not one of this cluster: %s",
                    X509_verify_cert_error_string(verified));
    }
    return status;
}

static struct status shake_hands(struct transport *transport, uint64_t deadline_ms)
{
    for (;;) {
        ERR_clear_error();
        int outcome = SSL_connect(transport->tls);
        if (outcome == 1) {
            return OK;
        }
        short needs = 0;
        struct status status = tls_outcome(transport, outcome, &needs);
        if (failed(status)) {
            return explain_handshake(transport, status);
        }
        status = wait_for(transport->fd, needs, deadline_ms);
        if (failed(status)) {
            return wrap(status, "begin TLS");
        }
    }
}

static struct status open_tls(const struct connection_options *options, uint64_t deadline_ms,
                              struct transport **out)
{
    SSL_CTX *context = NULL;
    struct status status = make_context(options, &context);
    if (failed(status)) {
        return status;
    }
    int fd = -1;
    status = connect_address(options->address, deadline_ms, &fd);
    if (failed(status)) {
        SSL_CTX_free(context);
        return status;
    }
    struct transport *transport = transport_adopt(fd);
    if (transport == NULL) {
        SSL_CTX_free(context);
        (void)close(fd);
        return fail(STATUS_NO_MEMORY, "connect to %s", options->address);
    }
    transport->context = context;
    transport->tls = SSL_new(context);
    if (transport->tls == NULL || SSL_set_fd(transport->tls, fd) != 1) {
        transport_close(transport);
        return fail(STATUS_NO_MEMORY, "connect to %s", options->address);
    }
    status = shake_hands(transport, deadline_ms);
    if (failed(status)) {
        transport_close(transport);
        return wrap(status, "connect to %s", options->address);
    }
    *out = transport;
    return OK;
}

struct status transport_open(const struct connection_options *options, uint64_t deadline_ms,
                             struct transport **out)
{
    if (options->address != NULL) {
        return open_tls(options, deadline_ms, out);
    }
    const char *path =
        options->socket_path != NULL ? options->socket_path : CONNECTION_SOCKET_DEFAULT;
    struct transport *opened = NULL;
    struct status status = open_unix(path, deadline_ms, &opened);
    if (!failed(status)) {
        *out = opened;
    }
    return status;
}
