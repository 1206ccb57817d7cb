/*
 * The HTTPS client and a DNS server that does not answer: a call ends in time, and nothing waits for the
 * look-up, which goes on in a thread of libcurl's. Without that the whole node would stand still.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_client.h"

#include <netdb.h>
#include <poll.h>
#include <uv.h>

#include "base/clock.h"
#include "scratch.h"

#define LOOKUP_MS 4000
#define CALL_MS 200

/* In place of the C library's: libcurl's threads come here.
 * NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    (void)poll(NULL, 0, LOOKUP_MS);
    return EAI_AGAIN;
}

static void on_done(struct http_call *call, const struct http_response *response)
{
    bool *done = call->context;
    *done = true;
    CHECK_CODE(response->status, STATUS_TIMEOUT);
    CHECK_U64(response->trace.at, HTTP_BREAK_NAME);
    CHECK(response->trace.timed_out);
}

static void on_closed(void *context)
{
    bool *closed = context;
    *closed = true;
}

static void test_silent_dns(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct http_client *client = NULL;
    bool done = false;
    bool closed = false;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK_OK(http_client_open(&loop, "test", NULL, &client));
    struct http_call call = {
        .method = "HEAD", .url = "https://a.example", .timeout_ms = CALL_MS, .context = &done};
    uint64_t began_ms = clock_monotonic_ms();
    CHECK_OK(http_start(client, &call, on_done));
    while (!done) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    http_client_close(client, on_closed, &closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(closed);
    CHECK(clock_monotonic_ms() - began_ms < LOOKUP_MS - 1000); /* Did not wait for it. */
    CHECK(uv_loop_close(&loop) == 0);
    (void)poll(NULL, 0,
               LOOKUP_MS); /* The thread ends by itself; it must not outlive the process. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_silent_dns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
