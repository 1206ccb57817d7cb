/*
 * HTTPS calls: libcurl tells which sockets to watch and when to wake it, libuv does both.
 *
 *     libcurl -- watch this socket --> uv_poll  -- ready --> curl_multi_socket_action()
 *             -- wake me in n ms ----> uv_timer -- due ----> curl_multi_socket_action()
 *                                                  then: take finished calls, answer them
 *
 * Calls are answered from finish_calls() only, outside of libcurl's own functions, so that a `done`
 * may start and cancel calls as it likes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/secret.h"
#include "http_setup.h"

#define CONNECTION_AGE_S_MAX 600L /* Then a new one: names and certificates change. */
#define CONNECTIONS_KEPT_MAX 16L
#define RECEIVE_SIZE_FIRST 16384 /* Bytes; a token's answer fits without being moved. */
#define HEADER_NUMBER_DIGITS_MAX 12

struct http_client {
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    char *user_agent;
    char *proxy_url;
    size_t call_count;
    size_t handle_count; /* uv handles that are not closed yet. */
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

static bool parse_number(struct slice text, size_t *digit_count, uint64_t *out)
{
    const char *bytes = text.data;
    uint64_t number = 0;
    size_t i = 0;

    while (i < text.size && i < HEADER_NUMBER_DIGITS_MAX && bytes[i] >= '0' && bytes[i] <= '9') {
        number = number * 10 + (uint64_t)(bytes[i] - '0');
        i++;
    }
    *digit_count = i;
    *out = number;
    return i > 0;
}

static unsigned clamp_retry_after(uint64_t seconds)
{
    if (seconds < 1) {
        return 1;
    }
    return seconds < HTTP_RETRY_AFTER_S_MAX ? (unsigned)seconds : HTTP_RETRY_AFTER_S_MAX;
}

unsigned http_retry_after(struct slice value, uint64_t now_ms)
{
    uint64_t seconds = 0;
    size_t digit_count = 0;
    const char *bytes = value.data;

    if (bytes == NULL) {
        return 0; /* No such header. */
    }
    if (parse_number(value, &digit_count, &seconds)) {
        bool all = digit_count == value.size;
        bool suffixed = digit_count + 1 == value.size && bytes[digit_count] == 's';
        return all || suffixed ? clamp_retry_after(seconds) : 0;
    }

    char text[64];
    if (value.size == 0 || !slice_to_text(value, text, sizeof text)) {
        return 0;
    }
    time_t at = curl_getdate(text, NULL);
    if (at <= 0) {
        return 0;
    }
    uint64_t at_ms = (uint64_t)at * 1000;
    return clamp_retry_after(at_ms > now_ms ? (at_ms - now_ms + 999) / 1000 : 0);
}

/* ---- Answers ---- */

static struct slice header_of(CURL *easy, const char *name)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return (struct slice){0};
    }
    return slice_of(header->value);
}

static uint64_t header_number(CURL *easy, const char *name)
{
    struct slice value = header_of(easy, name);
    size_t digit_count = 0;
    uint64_t number = 0;

    if (!parse_number(value, &digit_count, &number) || digit_count != value.size) {
        return UINT64_MAX;
    }
    return number;
}

static void read_answer(struct http_call *call, struct http_response *response)
{
    long code = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
    response->code = code > 0 ? (unsigned)code : 0;
    /* A time to wait until is one of the cloud's clock, which may differ from ours. */
    uint64_t now_ms = response->trace.date_ms != 0 ? response->trace.date_ms : clock_now_ms();
    response->retry_after_s = http_retry_after(header_of(call->easy, "Retry-After"), now_ms);
    response->quota_limit = header_number(call->easy, "X-Ratelimit-Org-Limit");
    if (response->quota_limit == UINT64_MAX) {
        response->quota_limit = header_number(call->easy, "X-RateLimit-GROUP-Limit");
    }
    response->quota_remaining = header_number(call->easy, "X-Ratelimit-Org-Remaining");
}

/* Whether any byte of the call may have reached the other side. */
static bool was_sent(CURL *easy)
{
    long request_size = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    return request_size > 0;
}

/* Takes the call away from libcurl. What was received is the caller's to release. */
static void detach(struct http_call *call)
{
    (void)curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    call->easy = NULL;
    call->client->call_count--;
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

    http_trace_read(call->easy, code, call->error, call->client->proxy_url != NULL,
                    &response.trace);
    if (call->overflowed) {
        response.status =
            fail(STATUS_CORRUPT, "answer larger than %zu bytes", call->response_size_max);
    } else if (code != CURLE_OK) {
        response.status = curl_failure(code, call->error, was_sent(call->easy));
    } else {
        read_answer(call, &response);
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
    (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_calls(client);
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
    (void)curl_multi_socket_action(client->multi, socket->fd, flags, &running);
    finish_calls(client);
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
        return -1; /* libcurl then fails the calls with CURLM_ABORTED_BY_CALLBACK. */
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

    CURLMcode added = curl_multi_add_handle(client->multi, easy);
    if (added != CURLM_OK) {
        curl_easy_cleanup(easy);
        buffer_release(&call->received);
        return fail(STATUS_NO_MEMORY, "start an HTTPS call: %s", curl_multi_strerror(added));
    }
    call->easy = easy;
    client->call_count++;
    return OK;
}

void http_cancel(struct http_call *call)
{
    if (call->easy == NULL) {
        return;
    }
    detach(call);
    wipe(&call->received);
}

/* ---- The client ---- */

static bool multi_setup(struct http_client *client)
{
    CURLM *multi = client->multi;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT_MAX) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                             (long)HTTP_HOST_CONNECTIONS_MAX) == CURLM_OK;
}

static void free_client(struct http_client *client)
{
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
    }
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
    client->multi = curl_multi_init();
    client->user_agent = alloc_text(user_agent);
    client->proxy_url = proxy_url != NULL ? alloc_text(proxy_url) : NULL;
    bool copied = client->user_agent != NULL && (client->proxy_url != NULL) == (proxy_url != NULL);
    if (client->multi == NULL || !copied || !multi_setup(client)) {
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
    assert(client->call_count == 0);
    (void)curl_multi_cleanup(client->multi); /* Takes its sockets back through set_socket(). */
    client->multi = NULL;
    client->closed = closed;
    client->closed_context = context;
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}
