/*
 * `muster snapshot`: saving the cluster's state to a file, looking at such a file, and going on with
 * one on a fresh node; and the key that opens them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli_output.h"
#include "client/recovery.h"
#include "client/snapshot.h"
#include "cmd.h"
#include "cmd_recovery.h"

#define MAKE_LOOK_MS 200U
#define MAKE_PATIENCE_MS 600000U  /* A large state is copied and sealed. */
#define CHECK_PATIENCE_MS 600000U /* And read again where it is restored. */
#define LEAD_SIZE_MAX (SNAPSHOT_LEAD_SIZE + SNAPSHOT_HEADER_SIZE_MAX)

/* ---- Files ---- */

static struct status write_all(int fd, struct slice bytes)
{
    for (size_t done = 0; done < bytes.size;) {
        ssize_t count = write(fd, (const char *)bytes.data + done, bytes.size - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "write it");
        }
        done += (size_t)count;
    }
    return OK;
}

/* A new file's name is on disk only when its folder is. */
static struct status sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash == NULL ? alloc_text(".") : alloc_print("%.*s", (int)(slash - path) + 1, path);
    int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct status status =
        fd < 0 || fsync(fd) != 0 ? fail_errno(errno, "sync the folder of %s", path) : OK;
    if (fd >= 0) {
        (void)close(fd);
    }
    free(folder);
    return status;
}

static int show_header(struct cli *cli, const struct snapshot_header *header)
{
    static const struct column columns[] = {
        {"cluster", "cluster", COLUMN_TEXT},
        {"cluster id", "cluster_id", COLUMN_TEXT},
        {"lineage", "lineage", COLUMN_TEXT},
        {"entry", "index", COLUMN_TEXT},
        {"term", "term", COLUMN_TEXT},
        {"taken", "taken_at_ms", COLUMN_TIME},
        {"on", "node", COLUMN_TEXT},
        {"by muster", "version", COLUMN_TEXT},
        {"members", "members", COLUMN_COUNT},
        {"records", "produced", COLUMN_COUNT},
        {"not delivered", "pending", COLUMN_COUNT},
        {"size of the state", "image_size", COLUMN_COUNT},
        {"digest", "digest", COLUMN_TEXT},
    };
    int exit_code = 0;
    if (output_json(cli, &snapshot_header_codec, header, &exit_code)) {
        return exit_code;
    }
    return output_facts(cli, &snapshot_header_codec, header, columns,
                        sizeof(columns) / sizeof(columns[0]));
}

/* ---- save ---- */

static void show_progress(char last[CMD_PROGRESS_SIZE], const char *what, uint64_t done,
                          uint64_t size)
{
    char done_text[OUTPUT_TEXT_SIZE];
    char size_text[OUTPUT_TEXT_SIZE];
    if (isatty(STDERR_FILENO) != 0) {
        cmd_progress(last, "%s: %s of %s ...", what, output_size(done, done_text),
                     output_size(size, size_text));
    }
}

/* Part after part into the file. `*exit_code` is said already when this is false. */
static bool fetch(struct cli *cli, uint64_t id, int fd, int *exit_code)
{
    char last[CMD_PROGRESS_SIZE] = "";
    uint64_t deadline_ms = clock_monotonic_ms() + MAKE_PATIENCE_MS;
    struct rpc_snapshot_read read = {.id = id};
    for (;;) {
        struct rpc_snapshot_part part = {0};
        struct connection_error error;
        struct status status = cli_try(cli, RPC_SNAPSHOT_READ, &read, &part, &error);
        if (failed(status)) {
            cmd_progress_end(last);
            *exit_code = cli_explain(cli, &error);
            return false;
        }
        status = write_all(fd, part.bytes);
        if (!part.ready && clock_monotonic_ms() > deadline_ms) {
            status = fail(STATUS_TIMEOUT, "the node did not finish the snapshot");
        }
        if (failed(status)) {
            cmd_progress_end(last);
            *exit_code = cli_explain_status(cli, status);
            return false;
        }
        read.offset += part.bytes.size;
        arena_release(&cli->arena); /* Nothing of it is needed, and there will be many. */
        if (part.ready && read.offset >= part.size) {
            cmd_progress_end(last);
            return true;
        }
        if (part.ready) {
            show_progress(last, "Saving", read.offset, part.size);
        } else {
            cmd_pause(MAKE_LOOK_MS);
        }
    }
}

/* Read again what was written, before it gets its name. */
static int finish_save(struct cli *cli, int fd, const char *temporary, const char *path)
{
    struct snapshot_header header;
    struct status status = fsync(fd) == 0 ? OK : fail_errno(errno, "sync %s", temporary);
    if (!failed(status)) {
        status = snapshot_check(fd, &cli->arena, &header);
    }
    if (!failed(status) && rename(temporary, path) != 0) {
        status = fail_errno(errno, "rename %s", temporary);
    }
    if (!failed(status)) {
        status = sync_folder_of(path);
    }
    if (failed(status)) {
        return cli_explain_status(cli, status);
    }
    int exit_code = show_header(cli, &header);
    if (!cli->json) {
        (void)fprintf(stderr,
                      "Saved to %s. To restore it when all members are lost, keep the "
                      "recovery key elsewhere: muster cluster recovery-key\n",
                      path);
    }
    return exit_code;
}

int cmd_snapshot_save(struct cli *cli)
{
    char temporary[4096];
    struct rpc_empty empty = {0};
    struct rpc_snapshot_begun begun = {0};
    const char *path = cli->arguments[0];
    int size = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (size < 0 || (size_t)size >= sizeof temporary) {
        return cli_usage(cli, "the name of the file is too long");
    }
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, 0600) != 0) {
        int exit_code = cli_explain_status(cli, fail_errno(errno, "make %s", temporary));
        if (fd >= 0) {
            (void)close(fd);
        }
        return exit_code;
    }
    int exit_code = cli_call(cli, RPC_SNAPSHOT_BEGIN, &empty, &begun);
    if (exit_code == 0 && !begun.quorum) {
        (void)fprintf(stderr, "muster: warning: this node has no quorum: changes that it has not "
                              "received are not in its state\n");
    }
    if (exit_code == 0 && fetch(cli, begun.id, fd, &exit_code)) {
        exit_code = finish_save(cli, fd, temporary, path);
    }
    (void)close(fd);
    if (exit_code != 0) {
        (void)unlink(temporary);
    }
    return exit_code;
}

/* ---- status ---- */

/* Open and check; the exit code, said already unless it is 0. */
static int open_snapshot(struct cli *cli, struct snapshot_header *header, int *fd)
{
    const char *path = cli->arguments[0];
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    struct status status =
        *fd < 0 ? fail_errno(errno, "open %s", path) : snapshot_check(*fd, &cli->arena, header);
    if (failed(status) && *fd >= 0) {
        status = wrap(status, "%s", path);
        (void)close(*fd);
        *fd = -1;
    }
    return failed(status) ? cli_explain_status(cli, status) : 0;
}

int cmd_snapshot_status(struct cli *cli)
{
    struct snapshot_header header;
    int fd = -1;
    int exit_code = open_snapshot(cli, &header, &fd);
    if (exit_code != 0) {
        return exit_code;
    }
    (void)close(fd);
    exit_code = show_header(cli, &header);
    if (!cli->json) {
        (void)printf("The checksum fits. Only the recovery key tells whether it is genuine.\n");
    }
    return exit_code;
}

/* ---- restore ---- */

static int upload(struct cli *cli, int fd)
{
    static uint8_t bytes[RPC_SNAPSHOT_PART_MAX];
    char last[CMD_PROGRESS_SIZE] = "";
    struct stat file;
    uint64_t size = fstat(fd, &file) == 0 ? (uint64_t)file.st_size : 0;
    for (uint64_t at = 0; at < size;) {
        struct rpc_snapshot_stored stored = {0};
        ssize_t count = pread(fd, bytes, sizeof bytes, (off_t)at);
        if (count <= 0) {
            return cli_explain_status(cli, fail_errno(errno, "read the snapshot"));
        }
        const struct rpc_snapshot_upload part = {
            .offset = at,
            .bytes = {.data = bytes, .size = (size_t)count},
        };
        int exit_code = cli_call(cli, RPC_SNAPSHOT_UPLOAD, &part, &stored);
        if (exit_code != 0) {
            cmd_progress_end(last);
            return exit_code;
        }
        at += (uint64_t)count;
        show_progress(last, "Uploading", at, size);
    }
    cmd_progress_end(last);
    return 0;
}

static int proceed(struct cli *cli, int fd, struct rpc_restore *restore, struct slice cluster)
{
    struct rpc_recovery begun = {0};
    int exit_code = 0;
    if (!recovery_confirm(cluster, &exit_code)) {
        return exit_code;
    }
    exit_code = upload(cli, fd);
    if (exit_code != 0) {
        return exit_code;
    }
    restore->proceed = true;
    restore->cluster = cluster;
    exit_code = cli_call(cli, RPC_SNAPSHOT_RESTORE, restore, &begun);
    if (exit_code == 0 && (!begun.begun || cli->json)) {
        exit_code = recovery_show(cli, &begun);
    }
    return exit_code == 0 && begun.begun ? recovery_wait(cli, begun.lineage, RECOVERY_PATIENCE_MS)
                                         : exit_code;
}

static int look_and_proceed(struct cli *cli, int fd, struct slice key)
{
    uint8_t lead[LEAD_SIZE_MAX];
    struct rpc_recovery plan = {0};
    ssize_t size = pread(fd, lead, sizeof lead, 0);
    struct snapshot_header header;
    size_t lead_size = 0;
    struct slice read = {.data = lead, .size = size < 0 ? 0 : (size_t)size};
    struct status status = snapshot_header_decode(read, &cli->arena, &header, &lead_size);
    if (failed(status)) {
        return cli_explain_status(cli, status);
    }
    struct rpc_restore restore = {
        .header = {.data = lead, .size = lead_size},
        .recovery_key = key,
    };
    bool asked = cli_has(cli, CLI_YES) && !cli_has(cli, CLI_DRY_RUN);
    int exit_code = cli_call(cli, RPC_SNAPSHOT_RESTORE, &restore, &plan);
    if (exit_code == 0 && (!asked || plan.problems.count > 0 || !cli->json)) {
        exit_code = recovery_show(cli, &plan);
    }
    if (exit_code != 0 || asked) {
        return exit_code != 0 ? exit_code : proceed(cli, fd, &restore, header.cluster);
    }
    if (!cli->json) {
        (void)printf("\nNothing was changed. To do it: muster snapshot restore FILE --yes\n");
    }
    return 0;
}

int cmd_snapshot_restore(struct cli *cli)
{
    struct snapshot_header header;
    struct secret key = {0};
    int fd = -1;
    int exit_code = open_snapshot(cli, &header, &fd);
    if (exit_code != 0) {
        return exit_code;
    }
    if (cli->timeout_ms == 0) {
        cli->timeout_ms = CHECK_PATIENCE_MS;
    }
    if (cli_secret(cli, CLI_RECOVERY_KEY_FILE, "Recovery key", &key, &exit_code)) {
        exit_code = look_and_proceed(cli, fd, secret_slice(&key));
    }
    secret_release(&key);
    (void)close(fd);
    return exit_code;
}

/* ---- The recovery key ---- */

static struct status write_key(const char *path, struct slice key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(errno, "make %s", path);
    }
    struct status status = write_all(fd, key);
    if (!failed(status)) {
        status = write_all(fd, slice_of("\n"));
    }
    if (!failed(status) && fsync(fd) != 0) {
        status = fail_errno(errno, "sync %s", path);
    }
    (void)close(fd);
    return failed(status) ? status : sync_folder_of(path);
}

int cmd_recovery_key(struct cli *cli)
{
    struct rpc_empty empty = {0};
    struct rpc_recovery_key answer = {0};
    if (access(cli->arguments[0], F_OK) == 0) {
        return cli_explain_status(
            cli, fail(STATUS_INVALID, "%.80s is there already", cli->arguments[0]));
    }
    int exit_code = cli_call(cli, RPC_CLUSTER_RECOVERY_KEY, &empty, &answer);
    if (exit_code != 0) {
        return exit_code;
    }
    struct status status = write_key(cli->arguments[0], answer.key);
    if (failed(status)) {
        return cli_explain_status(cli, status);
    }
    (void)fprintf(
        stderr,
        "The recovery key is in %s. Whoever has it and a snapshot has the cluster: keep it "
        "away from both, where it is found when every member is lost.\n",
        cli->arguments[0]);
    return 0;
}
