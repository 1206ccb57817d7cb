/*
 * The simulated cloud's reading of HTTP requests, whole and a byte at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "sim_http.h"
#include "sim_json.h"
#include "sim_map.h"

static const struct row {
    const char *name;
    const char *text;
    enum sim_http_result result;
    const char *path;
    const char *body;
    bool keep_alive;
} rows[] = {
    {"get", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", SIM_HTTP_COMPLETE, "/a", "", true},
    {"close", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", SIM_HTTP_COMPLETE, "/", "", false},
    {"1.0", "GET / HTTP/1.0\r\n\r\n", SIM_HTTP_COMPLETE, "/", "", false},
    {"length", "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", SIM_HTTP_COMPLETE, "/", "abc",
     true},
    {"chunks",
     "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n"
     "Trailer: t\r\n\r\n",
     SIM_HTTP_COMPLETE, "/", "abc0123456789", true},
    {"no body yet", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", SIM_HTTP_PARTIAL, "", "",
     true},
    {"no end", "GET / HTTP/1.1\r\nHost: x\r\n", SIM_HTTP_PARTIAL, "", "", true},
    {"two lengths", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
     SIM_HTTP_INVALID, "", "", true},
    {"length and chunks",
     "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     SIM_HTTP_INVALID, "", "", true},
    {"another coding", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", SIM_HTTP_INVALID, "",
     "", true},
    {"length in words", "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n", SIM_HTTP_INVALID, "", "",
     true},
    {"too long", "POST / HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n", SIM_HTTP_TOO_LARGE, "", "",
     true},
    {"chunk too long", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
     SIM_HTTP_TOO_LARGE, "", "", true},
    {"chunk in words", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
     SIM_HTTP_INVALID, "", "", true},
    {"chunk without end", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n",
     SIM_HTTP_INVALID, "", "", true},
    {"no version", "GET /\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
    {"another version", "GET / HTTP/2.0\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
    {"absolute form", "GET http://x/ HTTP/1.1\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
    {"space in a name", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
    {"folded", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
    {"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", SIM_HTTP_INVALID, "", "", true},
};

static void check_result(const struct row *row, struct sim_http *http, enum sim_http_result result,
                         size_t size)
{
    CHECK_U64(result, row->result);
    if (result == SIM_HTTP_COMPLETE) {
        CHECK_SLICE(http->path, slice_of(row->path));
        CHECK_SLICE(http->body, slice_of(row->body));
        CHECK_U64(http->keep_alive, row->keep_alive);
        CHECK_U64(sim_http_size(http), size);
    }
}

static void test_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_http http = {0};
        check_row(rows[i].name);
        struct slice text = slice_of(rows[i].text);
        check_result(&rows[i], &http, sim_http_read(&http, text), text.size);
        sim_http_release(&http);
    }
}

/* Each call sees one byte more, in memory that has moved. */
static void test_bytewise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_http http = {0};
        size_t size = strlen(rows[i].text);
        enum sim_http_result result = SIM_HTTP_PARTIAL;
        char *copy = NULL;
        check_row(rows[i].name);
        for (size_t at = 1; at <= size && result == SIM_HTTP_PARTIAL; at++) {
            free(copy);
            copy = sim_alloc(at);
            memcpy(copy, rows[i].text, at);
            result = sim_http_read(&http, (struct slice){.data = copy, .size = at});
        }
        check_result(&rows[i], &http, result, size);
        sim_http_release(&http);
        free(copy);
    }
}

static void test_head_size_max(void **state)
{
    struct buffer text = {0};
    struct sim_http http = {0};
    (void)state;
    sim_print(&text, "GET / HTTP/1.1\r\nA: ");
    while (text.size <= SIM_HTTP_HEAD_SIZE_MAX) {
        sim_print(&text, "aaaaaaaaaaaaaaaa");
    }
    CHECK_U64(sim_http_read(&http, buffer_slice(&text)), SIM_HTTP_TOO_LARGE);
    sim_http_release(&http);
    buffer_release(&text);
}

static void test_headers_max(void **state)
{
    struct buffer text = {0};
    struct sim_http http = {0};
    (void)state;
    sim_print(&text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= SIM_HTTP_HEADERS_MAX; i++) {
        sim_print(&text, "A: b\r\n");
    }
    sim_print(&text, "\r\n");
    CHECK_U64(sim_http_read(&http, buffer_slice(&text)), SIM_HTTP_INVALID);
    sim_http_release(&http);
    buffer_release(&text);
}

static void test_parameters(void **state)
{
    static const struct {
        const char *query;
        const char *value; /* NULL: not given. */
    } params[] = {
        {"k=v", "v"},
        {"a=b&k=v&c=d", "v"},
        {"k=", ""},
        {"k=a%2Cb+c", "a,b c"},
        {"kk=v", NULL},
        {"k", NULL},
        {"", NULL},
        {"k=%zz", NULL},
        {"k=%2", NULL},
        {"k=%00", NULL},
        {"k=0123456789abcdef", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        char out[16];
        check_row(params[i].query);
        CHECK_U64(sim_http_parameter(slice_of(params[i].query), "k", out, sizeof out),
                  params[i].value != NULL);
        if (params[i].value != NULL) {
            CHECK_SLICE(slice_of(out), slice_of(params[i].value));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_head_size_max), cmocka_unit_test(test_headers_max),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
