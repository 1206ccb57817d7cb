/*
 * A node that does not answer on its UNIX socket, from outside: is there a socket, does anybody listen,
 * may we, is the program there, and does it take its configuration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

#define OUTPUT_SIZE_MAX 400 /* Bytes of what `musterd --check-config` says. */
#define NO_PROGRAM 127      /* As shells say it. */

/* ---- The socket ---- */

static int connect_errno(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!slice_to_text(slice_of(path), address.sun_path, sizeof(address.sun_path))) {
        return ENAMETOOLONG;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error =
        fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return error;
}

struct socket_words {
    int error;
    const char *code;
    const char *what; /* Before the path. */
    const char *remedy;
};

static const struct socket_words socket_words[] = {
    {ENOENT, "no-socket", "there is no socket at",
     "Start musterd (`systemctl start musterd`); if its option `socket` names another path, give "
     "it "
     "with --socket."},
    {ECONNREFUSED, "not-listening", "nobody listens any more at",
     "musterd has ended: `systemctl status musterd` and `journalctl -u musterd` say why."},
    {EACCES, "not-allowed", "you may not open",
     "Call as root, or become a member of the group that may open it (muster)."},
    {ENOTDIR, "no-socket", "a part of the path is no folder:", "Correct --socket."},
    {EAGAIN, "no-room", "musterd is alive but takes no connections at",
     "It hangs or is very busy: `journalctl -u musterd` and the load of this machine say more."},
    {0, "no-answer", "somebody listens, but is not musterd or does not answer, at",
     "See which process has it: `ss -xlp`."},
};

static void look_at_socket(struct doctor *doctor)
{
    const char *path = doctor->cli->connect.socket_path;
    path = path != NULL ? path : CONNECTION_SOCKET_DEFAULT;
    int error = connect_errno(path);
    for (size_t i = 0; i < sizeof(socket_words) / sizeof(socket_words[0]); i++) {
        const struct socket_words *words = &socket_words[i];
        if (words->error == error) {
            doctor_add(doctor, "socket", DOCTOR_FAILURE, words->code,
                       doctor_text(doctor, "%s %.200s", words->what, path),
                       slice_of(words->remedy));
            return;
        }
    }
    doctor_add(doctor, "socket", DOCTOR_FAILURE, "not-connected",
               doctor_text(doctor, "connect to %.200s: %s", path, strerror(error)),
               slice_of("See what stands at that path, and whether musterd runs."));
}

/* ---- The configuration ---- */

/* Run `musterd --check-config`; what it prints, and its exit code. -1: it could not be run. */
static int check_config(const char *file, char *out, size_t out_size)
{
    int ends[2];
    pid_t pid = 0;
    int code = -1;
    size_t used = 0;
    char *argv[] = {(char *)(uintptr_t) "musterd", (char *)(uintptr_t) "--check-config",
                    (char *)(uintptr_t)(file != NULL ? "--config" : NULL), (char *)(uintptr_t)file,
                    NULL};
    posix_spawn_file_actions_t actions;
    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    for (ssize_t size = 1; error == 0 && size > 0 && used + 1 < out_size; used += (size_t)size) {
        size = read(ends[0], out + used, out_size - used - 1);
        size = size < 0 ? 0 : size;
    }
    (void)close(ends[0]);
    out[used] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (error == 0 && waitpid(pid, &code, 0) == pid) {
        code = WIFEXITED(code) ? WEXITSTATUS(code) : 1;
    }
    return error == 0 && code != NO_PROGRAM ? code : -1;
}

static void look_at_config(struct doctor *doctor)
{
    char said[OUTPUT_SIZE_MAX];
    const char *file = doctor->cli->values[CLI_CONFIG];
    int code = check_config(file, said, sizeof(said));
    if (code < 0) {
        doctor_add(doctor, "program", DOCTOR_FAILURE, "no-program",
                   slice_of("musterd cannot be run: it is not in $PATH"),
                   slice_of("Install the package muster on this machine."));
        return;
    }
    doctor_add(doctor, "configuration", code == 0 ? DOCTOR_OK : DOCTOR_FAILURE,
               code == 0 ? "ok" : "configuration", doctor_text(doctor, "%s", said),
               slice_of(code == 0 ? ""
                                  : "Correct it; `musterd --print-example` shows every option, and "
                                    "`musterd --check-config` whether it is good."));
}

void doctor_look_from_outside(struct doctor *doctor)
{
    doctor->group = "musterd";
    look_at_socket(doctor);
    look_at_config(doctor);
}
