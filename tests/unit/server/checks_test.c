/*
 * The verdicts of `muster doctor`, row by row: what was seen, and what is said of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

#define DAY_MS UINT64_C(86400000)

static struct arena arena;
static struct findings findings;

static void begin(const char *row)
{
    check_row(row);
    arena_release(&arena);
    CHECK_OK(findings_init(&findings, &arena));
}

static bool contains(struct slice text, const char *word)
{
    return memmem(text.data, text.size, word, strlen(word)) != NULL;
}

/* The one finding; `word` is in its sentence or its remedy, which is there unless all is well. */
static void check_finding(const char *subject, const char *verdict, const char *code,
                          const char *word)
{
    CHECK_U64(findings.count, 1);
    const struct rpc_finding *finding = &findings.items[0];
    CHECK_SLICE(finding->subject, slice_of(subject));
    CHECK_SLICE(finding->verdict, slice_of(verdict));
    CHECK_SLICE(finding->code, slice_of(code));
    CHECK(finding->what.size > 0);
    CHECK(contains(finding->what, word) || contains(finding->remedy, word));
    CHECK((finding->remedy.size == 0) == (strcmp(verdict, "ok") == 0));
    CHECK(!contains(finding->what, "%s") && !contains(finding->remedy, "%s"));
}

static const struct {
    const char *name;
    const char *url;
    const char *proxy;
    struct http_trace trace;
    const char *subject;
    const char *verdict;
    const char *code;
    const char *word;
} host_rows[] = {
    {"it answers",
     "https://a.example",
     NULL,
     {.address = "192.0.2.7", .took_ms = 9},
     "a.example:443",
     "ok",
     "ok",
     "192.0.2.7 answered in 9 ms"},
    {"it answers on a port",
     "https://a.example:8443",
     NULL,
     {.address = "192.0.2.7"},
     "a.example:8443",
     "ok",
     "ok",
     "TCP"},
    {"a version 6 address",
     "https://[2001:db8::1]",
     NULL,
     {.address = "2001:db8::1"},
     "[2001:db8::1]:443",
     "ok",
     "ok",
     "TCP"},
    {"it answers through a proxy",
     "https://a.example",
     "http://p:1",
     {.address = "192.0.2.7"},
     "a.example:443",
     "ok",
     "ok",
     "through http://p:1"},
    {"no such name",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_NAME, .words = "Could not resolve host"},
     "a.example:443",
     "failure",
     "name",
     "resolv.conf"},
    {"no DNS server",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_NAME, .timed_out = true},
     "a.example:443",
     "failure",
     "name",
     "no DNS server answers"},
    {"closed",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CONNECTION, .refused = true},
     "a.example:443",
     "failure",
     "connection",
     "the port is closed"},
    {"filtered",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CONNECTION, .timed_out = true},
     "a.example:443",
     "failure",
     "connection",
     "a firewall drops it"},
    {"no route",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CONNECTION, .words = "No route to host"},
     "a.example:443",
     "failure",
     "connection",
     "No route to host"},
    {"TLS ended on the way",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_TLS, .words = "wrong version number"},
     "a.example:443",
     "failure",
     "tls",
     "let firewall"},
    {"another's certificate",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CERTIFICATE_NAME, .words = "no alternative name"},
     "a.example:443",
     "failure",
     "certificate-name",
     "no alternative name"},
    {"an expired certificate",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CERTIFICATE_TIME, .words = "has expired"},
     "a.example:443",
     "failure",
     "certificate-time",
     "clock"},
    {"an unknown CA",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_CERTIFICATE_ISSUER, .words = "self signed"},
     "a.example:443",
     "failure",
     "certificate-issuer",
     "cloud_ca_file"},
    {"no answer",
     "https://a.example",
     NULL,
     {.at = HTTP_BREAK_ANSWER, .words = "Empty reply"},
     "a.example:443",
     "failure",
     "answer",
     "Empty reply"},
    {"no such proxy",
     "https://a.example",
     "http://p:1",
     {.at = HTTP_BREAK_PROXY_NAME, .words = "Could not resolve proxy"},
     "a.example:443",
     "failure",
     "proxy-name",
     "cloud_proxy"},
    {"the proxy is down",
     "https://a.example",
     "http://p:1",
     {.at = HTTP_BREAK_PROXY_CONNECTION, .refused = true},
     "a.example:443",
     "failure",
     "proxy-connection",
     "the port is closed"},
    {"the proxy wants a password",
     "https://a.example",
     "http://p:1",
     {.at = HTTP_BREAK_PROXY_REFUSAL, .proxy_code = 407},
     "a.example:443",
     "failure",
     "proxy-refusal",
     "http://p:1 answered 407"},
};

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof host_rows / sizeof host_rows[0]; i++) {
        begin(host_rows[i].name);
        checks_host(&findings, host_rows[i].url, host_rows[i].proxy, &host_rows[i].trace);
        check_finding(host_rows[i].subject, host_rows[i].verdict, host_rows[i].code,
                      host_rows[i].word);
    }
}

static void test_clock(void **state)
{
    static const struct {
        const char *name;
        bool known;
        int64_t skew_ms;
        const char *verdict;
        const char *code;
        const char *word;
    } rows[] = {
        {"right", true, 400, "ok", "ok", "0 s ahead of"},
        {"a little behind", true, -59999, "ok", "ok", "59 s behind"},
        {"behind", true, -60000, "warning", "clock", "60 s behind"},
        {"ahead", true, 299999, "warning", "clock", "299 s ahead of"},
        {"far ahead", true, 300000, "failure", "clock", "chrony"},
        {"far behind", true, -86400000, "failure", "clock", "86400 s behind"},
        {"nobody told", false, 0, "warning", "clock-unknown", "no host told its time"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].name);
        checks_clock(&findings, rows[i].known, rows[i].skew_ms);
        check_finding("clock", rows[i].verdict, rows[i].code, rows[i].word);
    }
    begin("no region");
    checks_no_region(&findings);
    check_finding("region", "warning", "no-region", "muster doctor --region");
}

static void test_disk(void **state)
{
    static const struct {
        const char *name;
        enum status_code code;
        struct disk_space space;
        enum disk_state disk;
        const char *verdict;
        const char *said;
        const char *word;
    } rows[] = {
        {"plenty",
         STATUS_OK,
         {.free = 50ULL << 20U, .size = 100ULL << 20U, .free_inodes = 1000},
         DISK_OK,
         "ok",
         "ok",
         "50 of 100 MiB free at /d"},
        {"low", STATUS_OK, {.free_inodes = 1000}, DISK_LOW, "warning", "low", "before it is full"},
        {"full",
         STATUS_OK,
         {.free_inodes = 1000},
         DISK_FULL,
         "failure",
         "full",
         "disk_reserve_mib"},
        {"no inodes",
         STATUS_OK,
         {.free_inodes = DISK_WATCH_INODES_MIN - 1},
         DISK_OK,
         "failure",
         "no-inodes",
         "inodes"},
        {"read only",
         STATUS_OK,
         {.free_inodes = 1000, .read_only = true},
         DISK_OK,
         "failure",
         "read-only",
         "kernel's log"},
        {"it does not tell", STATUS_IO, {0}, DISK_FULL, "failure", "space-unknown", "the words"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].name);
        struct status status = rows[i].code == STATUS_OK ? OK : fail(rows[i].code, "the words");
        checks_space(&findings, "/d", status, &rows[i].space, rows[i].disk);
        check_finding("space", rows[i].verdict, rows[i].said, rows[i].word);
    }
}

static void test_sync(void **state)
{
    static const struct {
        const char *name;
        enum status_code code;
        uint64_t median_us;
        uint64_t worst_us;
        const char *verdict;
        const char *said;
        const char *word;
    } rows[] = {
        {"quick", STATUS_OK, 900, 12000, "ok", "ok", "0.9 ms, the slowest 12.0 ms"},
        {"slow", STATUS_OK, CHECKS_SYNC_WARNING_US, 60000, "warning", "sync-slow", "faster disk"},
        {"as slow as an election", STATUS_OK, 900, 1000000, "failure", "sync-slow", "1000.0 ms"},
        {"it hangs", STATUS_TIMEOUT, 0, 0, "failure", "sync-stuck", "hangs"},
        {"it fails", STATUS_IO, 0, 0, "failure", "sync-failed", "the words"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].name);
        const struct sync_seen seen = {
            .status = rows[i].code == STATUS_OK ? OK : fail(rows[i].code, "the words"),
            .median_us = rows[i].median_us,
            .worst_us = rows[i].worst_us,
        };
        checks_sync(&findings, "/d", &seen, 1000);
        check_finding("fsync", rows[i].verdict, rows[i].said, rows[i].word);
    }
}

static void test_paths(void **state)
{
    static const struct {
        const char *name;
        struct path_seen seen;
        const char *verdict;
        const char *code;
        const char *word;
    } rows[] = {
        {"a secret", {.mode = 0600, .refused_mode = 0077}, "ok", "ok", "mode 0600"},
        {"of root", {.mode = 0400, .refused_mode = 0077, .ours = 998}, "ok", "ok", "0400"},
        {"others may read it",
         {.mode = 0644, .refused_mode = 0077},
         "failure",
         "mode",
         "`chmod 0600 /f`"},
        {"others may write it",
         {.mode = 0662, .refused_mode = 0022},
         "failure",
         "mode",
         "others may change it"},
        {"a folder that others may enter",
         {.mode = 0755, .refused_mode = 0077, .folder = true, .is_folder = true},
         "warning",
         "mode",
         "`chmod 0700 /f`"},
        {"a folder that others may write to",
         {.mode = 0770, .refused_mode = 0077, .folder = true, .is_folder = true},
         "failure",
         "mode",
         "`chmod 0700 /f`"},
        {"another's",
         {.mode = 0600, .owner = 1000, .ours = 998},
         "failure",
         "owner",
         "`chown 998 /f`"},
        {"gone", {.error = ENOENT}, "failure", "unreadable", "No such file"},
        {"forbidden", {.error = EACCES}, "failure", "unreadable", "Permission denied"},
        {"a folder, not a file", {.is_folder = true}, "failure", "wrong-kind", "is a folder"},
        {"a file, not a folder", {.folder = true}, "failure", "wrong-kind", "is no folder"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].name);
        struct path_seen seen = rows[i].seen;
        seen.subject = "it";
        seen.path = "/f";
        checks_path(&findings, &seen);
        check_finding("it", rows[i].verdict, rows[i].code, rows[i].word);
    }
}

static void test_certificates(void **state)
{
    static const struct {
        const char *name;
        enum status_code code;
        uint64_t from_day;
        uint64_t until_day;
        const char *verdict;
        const char *said;
        const char *word;
    } rows[] = {
        {"good", STATUS_OK, 0, 200, "ok", "ok", "1970-07-20"},
        {"ends soon", STATUS_OK, 0, 130, "warning", "soon", "the remedy"},
        {"over", STATUS_OK, 0, 100, "failure", "over", "over since"},
        {"not yet", STATUS_OK, 101, 200, "failure", "early", "clock"},
        {"none", STATUS_INVALID, 0, 0, "failure", "unreadable", "the words"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(rows[i].name);
        struct status status = rows[i].code == STATUS_OK ? OK : fail(rows[i].code, "the words");
        const struct certificate_seen seen = {
            .subject = "it",
            .status = status,
            .not_before_ms = rows[i].from_day * DAY_MS,
            .not_after_ms = rows[i].until_day * DAY_MS,
            .remedy = "the remedy",
        };
        checks_certificate(&findings, &seen, 100 * DAY_MS);
        check_finding("it", rows[i].verdict, rows[i].said, rows[i].word);
    }
}

static void test_node(void **state)
{
    (void)state;
    begin("the library it was built with");
    checks_library(&findings, "libx", "1.2", 0x102, 0x102);
    check_finding("libx", "ok", "ok", "1.2");
    begin("an older library");
    checks_library(&findings, "libx", "1.1", 0x102, 0x101);
    check_finding("libx", "warning", "older", "older than");
    begin("it takes part");
    checks_suspension(&findings, NULL);
    check_finding("part", "ok", "ok", "takes part");
    begin("it does not");
    const struct suspension suspension = {
        .active = true, .kind = SUSPENSION_READ_ONLY, .reason = fail(STATUS_IO, "the words")};
    checks_suspension(&findings, &suspension);
    check_finding("part", "failure", "read-only", "the words");
}

/* However much there is to say: no more than an answer holds. */
static void test_limit(void **state)
{
    (void)state;
    begin("many");
    for (size_t i = 0; i < RPC_FINDINGS_MAX + 3; i++) {
        checks_no_region(&findings);
    }
    CHECK_U64(findings.count, RPC_FINDINGS_MAX);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_disk),  cmocka_unit_test(test_sync),
        cmocka_unit_test(test_paths), cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_node),  cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
