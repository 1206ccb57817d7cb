/*
 * The root of trust from each of its three places, and what is refused of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "root_secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#define PATH_SIZE (SCRATCH_PATH_SIZE + 64)

struct place {
    char folder[SCRATCH_PATH_SIZE];
    char data[PATH_SIZE];
    char credentials[PATH_SIZE];
    char configured[PATH_SIZE];
};

static void write_file(const char *folder, const char *name, size_t size, char fill, mode_t mode)
{
    char path[2 * PATH_SIZE];
    char bytes[64];
    memset(bytes, fill, sizeof bytes);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && fchmod(fd, mode) == 0);
    CHECK(close(fd) == 0);
}

static void open_place(struct place *place)
{
    scratch_make(place->folder);
    (void)snprintf(place->data, PATH_SIZE, "%s/data", place->folder);
    (void)snprintf(place->credentials, PATH_SIZE, "%s/credentials", place->folder);
    (void)snprintf(place->configured, PATH_SIZE, "%s/root", place->folder);
    CHECK(mkdir(place->data, 0700) == 0 && mkdir(place->credentials, 0700) == 0);
    CHECK(unsetenv("CREDENTIALS_DIRECTORY") == 0);
}

static void close_place(struct place *place)
{
    CHECK(unsetenv("CREDENTIALS_DIRECTORY") == 0);
    scratch_remove(place->folder);
}

/* The byte that the secret was filled with; 0 and the code when it was not read. */
static char read_of(const struct place *place, const char *configured, enum status_code *code)
{
    struct secret secret = {0};
    struct status status = root_secret_read(place->data, configured, &secret);
    *code = status.code;
    char fill = failed(status) ? '\0' : *(const char *)secret.pages;
    CHECK(!failed(status) || secret.pages == NULL);
    secret_release(&secret);
    return fill;
}

static void test_places(void **state)
{
    struct place place;
    enum status_code code;
    struct secret first = {0};
    struct secret second = {0};
    (void)state;
    open_place(&place);
    CHECK_OK(root_secret_read(place.data, "", &first));
    CHECK_OK(root_secret_read(place.data, "", &second));
    CHECK_SLICE(secret_slice(&first), secret_slice(&second));
    secret_release(&first);
    secret_release(&second);

    CHECK(setenv("CREDENTIALS_DIRECTORY", place.credentials, 1) == 0);
    check_row("a folder of credentials without ours");
    (void)read_of(&place, "", &code);
    CHECK_U64(code, STATUS_OK);
    check_row("a credential goes before the node's own");
    write_file(place.credentials, ROOT_SECRET_CREDENTIAL, 32, 'c', 0440);
    CHECK(read_of(&place, "", &code) == 'c');
    check_row("a configured file goes before a credential");
    write_file(place.folder, "root", 32, 'f', 0400);
    CHECK(read_of(&place, place.configured, &code) == 'f');
    check_row("a configured file is not made");
    CHECK(unlink(place.configured) == 0);
    (void)read_of(&place, place.configured, &code);
    CHECK_U64(code, STATUS_NOT_FOUND);
    check_row("");
    close_place(&place);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        size_t size;
        mode_t mode;
        enum status_code code;
    } rows[] = {
        {"good", 32, 0400, STATUS_OK},
        {"group reads", 32, 0440, STATUS_OK},
        {"group writes", 32, 0620, STATUS_INVALID},
        {"others read", 32, 0404, STATUS_INVALID},
        {"others write", 32, 0602, STATUS_INVALID},
        {"too short", 31, 0400, STATUS_INVALID},
        {"too long", 33, 0400, STATUS_INVALID},
        {"empty", 0, 0400, STATUS_INVALID},
    };
    struct place place;
    enum status_code code;
    (void)state;
    open_place(&place);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        write_file(place.folder, "root", rows[i].size, 'f', rows[i].mode);
        (void)read_of(&place, place.configured, &code);
        CHECK_U64(code, rows[i].code);
        CHECK(unlink(place.configured) == 0);
    }
    check_row("a folder");
    (void)read_of(&place, place.data, &code);
    CHECK_U64(code, STATUS_INVALID);
    check_row("a pipe, which nobody writes");
    CHECK(mkfifo(place.configured, 0600) == 0);
    (void)read_of(&place, place.configured, &code);
    CHECK_U64(code, STATUS_INVALID);
    check_row("its own is gone, and a node has lived there");
    write_file(place.data, "CURRENT", 3, 'x', 0600);
    (void)read_of(&place, "", &code);
    CHECK_U64(code, STATUS_INVALID);
    check_row("");
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
