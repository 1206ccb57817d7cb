/*
 * HTTPS calls: libcurl tells which sockets to watch and when to wake it, libuv does both.
 *
 *     libcurl -- watch this socket --> uv_poll  -- ready --> curl_multi_socket_action()
 *             -- wake me in n ms ----> uv_timer -- due ----> curl_multi_socket_action()
 *                                                  then: take finished calls, answer them
 *
 * Calls are answered from go_on() only, outside of libcurl's own functions, so that a `done`
 * may start and cancel calls as it likes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/secret.h"
#include "http_headers.h"
#include "http_setup.h"

#define CONNECTION_AGE_S_MAX 600L /* Then a new one: names and certificates change. */
#define CONNECTIONS_KEPT_MAX 16L
#define RECEIVE_SIZE_FIRST 16384 /* Bytes; a token's answer fits without being moved. */

struct http_client {
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    char *user_agent;
    char *proxy_url;
    struct http_call *calls; /* Under way. */
    size_t handle_count;     /* uv handles that are not closed yet. */
    void (*closed)(void *context);
    void *closed_context;
};

/* One socket that libcurl wants watched. Freed when uv has closed the handle. */
struct http_socket {
    uv_poll_t poll;
    curl_socket_t fd;
    struct http_client *client;
};

static struct status curl_failure(CURLcode code, const char *detail, bool sent)
{
    const char *text = detail[0] != '\0' ? detail : curl_easy_strerror(code);

    if (code == CURLE_OUT_OF_MEMORY) {
        return fail(STATUS_NO_MEMORY, "out of memory");
    }
    if (code == CURLE_BAD_CONTENT_ENCODING || code == CURLE_WRITE_ERROR ||
        code == CURLE_FILESIZE_EXCEEDED) {
        return fail(STATUS_CORRUPT, "answer not readable: %s", text);
    }
    if (sent) {
        return fail(STATUS_UNKNOWN, "no whole answer: %s", text);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return fail(STATUS_TIMEOUT, "not reachable in time: %s", text);
    }
    return fail(STATUS_UNREACHABLE, "not reachable: %s", text);
}

/* ---- Answers ---- */

/* Whether any byte of the call may have reached the other side. */
static bool was_sent(CURL *easy)
{
    long request_size = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    return request_size > 0;
}

/* Takes the call away from libcurl. */
static void take_back(struct http_call *call)
{
    (void)curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    call->easy = NULL;
}

/* Takes the call out of the client. What was received is the caller's to release. */
static void detach(struct http_call *call)
{
    struct http_call **link = &call->client->calls;

    if (call->easy != NULL) {
        take_back(call);
    }
    while (*link != call) {
        link = &(*link)->next;
    }
    *link = call->next;
    call->lost = false;
}

static void wipe(struct buffer *received)
{
    if (received->data != NULL) {
        secret_wipe(received->data, received->capacity);
    }
    buffer_release(received);
}

static void finish_call(struct http_call *call, CURLcode code)
{
    struct http_response response = {
        .status = OK,
        .quota_limit = UINT64_MAX,
        .quota_remaining = UINT64_MAX,
    };

    if (!call->lost) {
        http_trace_read(call->easy, code, call->error, call->client->proxy_url != NULL,
                        &response.trace);
    }
    if (call->overflowed) {
        response.status =
            fail(STATUS_CORRUPT, "answer larger than %zu bytes", call->response_size_max);
    } else if (code != CURLE_OK) {
        response.status = curl_failure(code, call->error, call->lost || was_sent(call->easy));
    } else {
        http_headers_read(call->easy, &response);
    }
    detach(call);

    /* The callback may start the call again: nothing of it is touched afterwards. */
    struct buffer received = call->received;
    call->received = (struct buffer){0};
    response.body = buffer_slice(&received);
    call->done(call, &response);
    wipe(&received);
}

static void finish_calls(struct http_client *client)
{
    int left = 0;
    CURLMsg *message = curl_multi_info_read(client->multi, &left);

    while (message != NULL) {
        struct http_call *call = NULL;
        CURLcode code = message->data.result; /* The message dies with the handle. */
        assert(message->msg == CURLMSG_DONE);
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        finish_call(call, code);
        message = curl_multi_info_read(client->multi, &left);
    }
}

/* ---- libcurl on libuv ---- */

static void go_on(struct http_client *client, CURLMcode code);

static void on_handle_closed(struct http_client *client)
{
    client->handle_count--;
    if (client->handle_count > 0 || client->closed == NULL) {
        return;
    }
    void (*closed)(void *) = client->closed;
    void *context = client->closed_context;
    free(client->user_agent);
    free(client->proxy_url);
    free(client);
    curl_global_cleanup();
    closed(context);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct http_socket *socket = handle->data;
    struct http_client *client = socket->client;
    free(socket);
    on_handle_closed(client);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    int running = 0;
    go_on(client, curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct http_socket *socket = poll->data;
    struct http_client *client = socket->client;
    int flags = 0;
    int running = 0;

    flags |= status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    go_on(client, curl_multi_socket_action(client->multi, socket->fd, flags, &running));
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct http_client *client = context;
    (void)multi;

    if (timeout_ms < 0) {
        return uv_timer_stop(&client->timer);
    }
    return uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
}

static struct http_socket *watch(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *socket = alloc_zeroed(1, sizeof *socket);

    if (socket == NULL) {
        return NULL;
    }
    if (uv_poll_init(client->loop, &socket->poll, fd) != 0) {
        free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    socket->fd = fd;
    socket->client = client;
    client->handle_count++;
    (void)curl_multi_assign(client->multi, fd, socket);
    return socket;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    struct http_client *client = context;
    struct http_socket *socket = assigned;
    int events = 0;
    (void)easy;

    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            (void)curl_multi_assign(client->multi, fd, NULL);
            uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
        }
        return 0;
    }
    if (socket == NULL) {
        socket = watch(client, fd);
    }
    if (socket == NULL) {
        return -1; /* CURLM_ABORTED_BY_CALLBACK, then. */
    }
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    return uv_poll_start(&socket->poll, events, on_ready);
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    size_t arrived = size * count;

    if (arrived > call->response_size_max - call->received.size) {
        call->overflowed = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return buffer_append(&call->received, bytes, arrived) ? arrived : CURL_WRITEFUNC_ERROR;
}

/* ---- libcurl, begun and ended ---- */

/* Takes its sockets back through set_socket(). */
static void close_multi(struct http_client *client)
{
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
        client->multi = NULL;
    }
    (void)uv_timer_stop(&client->timer);
}

static bool open_multi(struct http_client *client)
{
    CURLM *multi = curl_multi_init();
    client->multi = multi;
    bool opened =
        multi != NULL &&
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT_MAX) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HTTP_HOST_CONNECTIONS_MAX) ==
            CURLM_OK;
    if (!opened) {
        close_multi(client);
    }
    return opened;
}

/* ---- Calls ---- */

struct status http_start(struct http_client *client, struct http_call *call, http_done done)
{
    CURL *easy = fault_fires(FAULT_HTTP_START) ? NULL : curl_easy_init();
    assert(call->easy == NULL);

    if (easy == NULL) {
        return fail(STATUS_NO_MEMORY, "start an HTTPS call");
    }
    call->done = done;
    call->client = client;
    call->overflowed = false;
    call->lost = false;
    call->error[0] = '\0';
    if (call->response_size_max == 0) {
        call->response_size_max = HTTP_RESPONSE_SIZE_DEFAULT;
    }
    CURLcode code = http_setup(easy, call, client->user_agent, client->proxy_url, on_bytes);
    if (code != CURLE_OK || !buffer_reserve(&call->received, RECEIVE_SIZE_FIRST)) {
        curl_easy_cleanup(easy);
        return fail(code == CURLE_OK ? STATUS_NO_MEMORY : STATUS_INVALID, "start an HTTPS call: %s",
                    curl_easy_strerror(code));
    }

    bool open = client->multi != NULL || open_multi(client);
    CURLMcode added = open ? curl_multi_add_handle(client->multi, easy) : CURLM_OUT_OF_MEMORY;
    if (added != CURLM_OK) {
        curl_easy_cleanup(easy);
        buffer_release(&call->received);
        return fail(STATUS_NO_MEMORY, "start an HTTPS call: %s", curl_multi_strerror(added));
    }
    call->easy = easy;
    call->next = client->calls;
    client->calls = call;
    return OK;
}

void http_cancel(struct http_call *call)
{
    if (call->easy == NULL && !call->lost) {
        return;
    }
    detach(call);
    wipe(&call->received);
}

/* ---- The client ---- */

static struct http_call *find_lost(const struct http_client *client)
{
    struct http_call *call = client->calls;

    while (call != NULL && !call->lost) {
        call = call->next;
    }
    return call;
}

/* A libcurl that could not go on, for want of memory or of a socket to watch, says so once and of no
 * call in particular. It may never speak of one of them again, and 7.88 divides by zero when it is
 * asked on: all calls end here, and another libcurl takes the next. */
static void go_on(struct http_client *client, CURLMcode code)
{
    finish_calls(client);
    if (code == CURLM_OK) {
        return;
    }
    for (struct http_call *call = client->calls; call != NULL; call = call->next) {
        call->lost = true;
        take_back(call);
    }
    close_multi(client);
    for (struct http_call *call = find_lost(client); call != NULL; call = find_lost(client)) {
        (void)snprintf(call->error, sizeof call->error, "%s", curl_multi_strerror(code));
        finish_call(call,
                    code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_ABORTED_BY_CALLBACK);
    }
}

static void free_client(struct http_client *client)
{
    close_multi(client);
    free(client->user_agent);
    free(client->proxy_url);
    free(client);
    curl_global_cleanup();
}

struct status http_client_open(struct uv_loop_s *loop, const char *user_agent,
                               const char *proxy_url, struct http_client **out)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return fail(STATUS_IO, "start libcurl");
    }
    struct http_client *client = alloc_zeroed(1, sizeof *client);
    if (client == NULL) {
        curl_global_cleanup();
        return fail(STATUS_NO_MEMORY, "open the HTTPS client");
    }
    client->loop = loop;
    client->user_agent = alloc_text(user_agent);
    client->proxy_url = proxy_url != NULL ? alloc_text(proxy_url) : NULL;
    bool copied = client->user_agent != NULL && (client->proxy_url != NULL) == (proxy_url != NULL);
    if (!copied || !open_multi(client)) {
        free_client(client);
        return fail(STATUS_NO_MEMORY, "open the HTTPS client");
    }
    int code = uv_timer_init(loop, &client->timer);
    if (code != 0) {
        free_client(client);
        return fail(STATUS_IO, "open the HTTPS client: %s", uv_strerror(code));
    }
    client->timer.data = client;
    client->handle_count = 1;
    *out = client;
    return OK;
}

void http_client_close(struct http_client *client, void (*closed)(void *context), void *context)
{
    assert(client->calls == NULL);
    close_multi(client);
    client->closed = closed;
    client->closed_context = context;
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}
