/*
 * The configuration: every row's fallback is valid, each source is read, and what is wrong is said
 * with its option or line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

static void test_fallbacks(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    for (size_t i = 0; i < config_row_count; i++) {
        check_row(config_rows[i].name);
        CHECK(strlen(config_rows[i].summary) > 10);
        CHECK_OK(config_set(&config, config_rows[i].name, config_rows[i].fallback));
    }
}

static void test_set_rows(void **state)
{
    static const struct {
        const char *name;
        const char *option;
        const char *value;
        enum status_code code;
    } rows[] = {
        {"a name", "name", "mx-1.example", STATUS_OK},
        {"a name with a space", "name", "mx 1", STATUS_INVALID},
        {"a name that is too long", "name",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", STATUS_INVALID},
        {"no such option", "nmae", "x", STATUS_INVALID},
        {"an address", "peer_listen", "192.0.2.1:7671", STATUS_OK},
        {"a version 6 address", "peer_listen", "[2001:db8::1]:7671", STATUS_OK},
        {"a version 6 address without brackets", "peer_listen", "2001:db8::1:7671", STATUS_INVALID},
        {"an address without a port", "peer_listen", "192.0.2.1", STATUS_INVALID},
        {"a port out of range", "peer_listen", "192.0.2.1:70000", STATUS_INVALID},
        {"a port of too many digits", "peer_listen", "192.0.2.1:007671", STATUS_INVALID},
        {"nothing in brackets", "peer_listen", "[]:7671", STATUS_INVALID},
        {"a relative path", "data_directory", "var/lib", STATUS_INVALID},
        {"a path with a newline", "data_directory", "/var\n/lib", STATUS_INVALID},
        {"a URL", "ctia_url", "https://localhost:1", STATUS_OK},
        {"a URL in clear", "ctia_url", "http://localhost:1", STATUS_INVALID},
        {"a URL with a path", "ctia_url", "https://localhost:1/ctia", STATUS_INVALID},
        {"a proxy", "cloud_proxy", "http://192.0.2.1:3128", STATUS_OK},
        {"a proxy by version 6 address", "cloud_proxy", "http://[2001:db8::1]:3128", STATUS_OK},
        {"a proxy without a port", "cloud_proxy", "http://proxy.example", STATUS_INVALID},
        {"a proxy with a password", "cloud_proxy", "http://a:b@192.0.2.1:3128", STATUS_INVALID},
        {"a proxy with a path", "cloud_proxy", "http://192.0.2.1:3128/", STATUS_INVALID},
        {"a proxy that speaks TLS", "cloud_proxy", "https://192.0.2.1:3128", STATUS_INVALID},
        {"a number", "election_timeout_ms", "300", STATUS_OK},
        {"a number below its range", "election_timeout_ms", "99", STATUS_INVALID},
        {"a number above its range", "election_timeout_ms", "60001", STATUS_INVALID},
        {"a negative number", "election_timeout_ms", "-300", STATUS_INVALID},
        {"a number and more", "election_timeout_ms", "300x", STATUS_INVALID},
        {"a number that is none", "election_timeout_ms", "", STATUS_INVALID},
        {"a number beyond 64 bits", "election_timeout_ms", "99999999999999999999", STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        struct config before;
        config_init(&config);
        before = config;
        check_row(rows[i].name);
        struct status status = config_set(&config, rows[i].option, rows[i].value);
        CHECK_CODE(status, rows[i].code);
        if (failed(status)) {
            assert_memory_equal(&config, &before, sizeof config); /* Untouched. */
            CHECK(strstr(status.message, rows[i].option) != NULL);
        }
    }
}

/* Whoever writes one where none belongs reads what helps, and finds it in no log. */
static void test_passwords(void **state)
{
    static const struct {
        const char *name;
        const char *option;
        const char *value;
        const char *words;
    } rows[] = {
        {"a proxy", "cloud_proxy", "http://bob:hunter2@192.0.2.1:3128", "is not supported"},
        {"a proxy without http://", "cloud_proxy", "bob:hunter2@192.0.2.1:3128",
         "is not supported"},
        {"a proxy with a user", "cloud_proxy", "http://hunter2@192.0.2.1:3128", "is not supported"},
        {"a URL", "sse_url", "https://bob:hunter2@192.0.2.1", "without a user and password"},
        {"an address", "contact", "bob:hunter2@192.0.2.1", "without a user and password"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        config_init(&config);
        check_row(rows[i].name);
        struct status status = config_set(&config, rows[i].option, rows[i].value);
        CHECK_CODE(status, STATUS_INVALID);
        CHECK(strstr(status.message, "hunter2") == NULL);
        CHECK(strstr(status.message, rows[i].words) != NULL);
        CHECK(strstr(status.message, rows[i].option) != NULL);
    }
}

static void test_finish(void **state)
{
    static const struct {
        const char *name;
        const char *option;
        const char *value;
        enum status_code code;
    } rows[] = {
        {"good", "voters", "5", STATUS_OK},
        {"voters are odd", "voters", "4", STATUS_INVALID},
        {"a serial is needed", "serial", "", STATUS_INVALID},
        {"a heartbeat that is too slow", "heartbeat_ms", "900", STATUS_INVALID},
        {"a level that is none", "log_level", "loud", STATUS_INVALID},
        {"no peer address", "peer_listen", "", STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        config_init(&config);
        check_row(rows[i].name);
        CHECK_OK(config_set(&config, "name", "n"));
        CHECK_OK(config_set(&config, "serial", "S1"));
        CHECK_OK(config_set(&config, rows[i].option, rows[i].value));
        CHECK_CODE(config_finish(&config), rows[i].code);
    }
    struct config config;
    config_init(&config);
    CHECK_OK(config_set(&config, "name", "n"));
    CHECK_OK(config_set(&config, "serial", "S1"));
    CHECK_OK(config_set(&config, "rpc_listen", "192.0.2.1:1"));
    CHECK_OK(config_finish(&config));
    assert_string_equal(config.rpc_address, "192.0.2.1:1");
}

static struct status read_text(struct config *config, const char *text)
{
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 8];
    scratch_make(folder);
    (void)snprintf(path, sizeof path, "%s/conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    struct status status = config_read_file(config, path);
    scratch_remove(folder);
    return status;
}

static void test_sources(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    CHECK_OK(read_text(&config, "# A comment.\nname = \"filed\"\nvoters = 5\n"));
    assert_string_equal(config.name, "filed");
    CHECK_U64(config.voters, 5);

    CHECK(setenv("MUSTER_NAME", "environed", 1) == 0);
    CHECK_OK(config_read_environment(&config));
    assert_string_equal(config.name, "environed");
    CHECK(setenv("MUSTER_NAME", "a b", 1) == 0);
    struct status status = config_read_environment(&config);
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "MUSTER_NAME") != NULL);
    CHECK(unsetenv("MUSTER_NAME") == 0);

    status = read_text(&config, "name = \"a\"\nnmae = \"b\"\n");
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "line 2") != NULL);
    CHECK_CODE(read_text(&config, "voters = \"many\"\n"), STATUS_INVALID);
    CHECK_CODE(read_text(&config, "name = \"unfinished\n"), STATUS_INVALID);
    CHECK_CODE(config_read_file(&config, "/nonexistent/conf"), STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fallbacks), cmocka_unit_test(test_set_rows),
        cmocka_unit_test(test_passwords), cmocka_unit_test(test_finish),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
