/*
 * A node's own files, certificates, libraries and disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "checkup_node.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/x509.h"
#include "root_secret.h"

#define SYNC_ROUNDS 15
#define SYNC_SIZE 4096 /* Bytes: a page of the log. */

static void look_at_path(struct findings *findings, struct path_seen seen)
{
    struct stat stat_of_path;
    seen.ours = geteuid();
    if (stat(seen.path, &stat_of_path) != 0 || access(seen.path, R_OK) != 0) {
        seen.error = errno;
    } else {
        seen.is_folder = S_ISDIR(stat_of_path.st_mode);
        seen.mode = stat_of_path.st_mode & 07777;
        seen.owner = stat_of_path.st_uid;
    }
    checks_path(findings, &seen);
}

static void look_at_files(struct findings *findings, const struct config *config)
{
    char secret[ROOT_SECRET_PATH_SIZE];
    root_secret_path(config->data_directory, config->root_secret_file, secret, sizeof secret);
    look_at_path(findings, (struct path_seen){.subject = "data folder",
                                              .path = config->data_directory,
                                              .folder = true,
                                              .refused_mode = 0077});
    look_at_path(findings, (struct path_seen){.subject = "root secret",
                                              .path = secret,
                                              .refused_mode = ROOT_SECRET_MODE_REFUSED});
    if (config->cloud_ca_file[0] != '\0') {
        look_at_path(findings, (struct path_seen){.subject = "cloud's CA",
                                                  .path = config->cloud_ca_file,
                                                  .refused_mode = 0022});
    }
}

static void look_at_certificate(struct findings *findings, const char *subject, struct slice pem,
                                const char *remedy)
{
    struct certificate_seen seen = {.subject = subject, .remedy = remedy};
    seen.status = x509_not_before_ms(pem, &seen.not_before_ms);
    if (!failed(seen.status)) {
        seen.status = x509_not_after_ms(pem, &seen.not_after_ms);
    }
    checks_certificate(findings, &seen, clock_now_ms());
}

static void look_at_certificates(struct findings *findings, struct daemon *daemon)
{
    struct registration_view registration;
    look_at_certificate(
        findings, "node certificate", buffer_slice(&daemon->identity.certificate),
        "The leader renews it after two thirds of its time: look at its log and clock.");
    look_at_certificate(findings, "cluster CA", buffer_slice(&daemon->identity.ca_certificate),
                        "Plan a new cluster: all certificates end with this one.");
    if (daemon->store != NULL &&
        !failed(store_registration(daemon->store, findings->arena, &registration)) &&
        registration.state == REGISTRATION_REGISTERED && registration.not_after_ms != 0) {
        const struct certificate_seen seen = {
            .subject = "device certificate",
            .status = OK,
            .not_after_ms = registration.not_after_ms,
            .remedy = "It is renewed by itself: `muster registration status` says why not.",
        };
        checks_certificate(findings, &seen, clock_now_ms());
    }
}

static void look_at_libraries(struct findings *findings, struct daemon *daemon)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    char text[STATUS_MESSAGE_SIZE];
    struct consensus_status *raft = arena_alloc(findings->arena, 1, sizeof *raft);
    checks_library(findings, "musterd", MUSTER_VERSION, 0, 0);
    if (raft != NULL) {
        consensus_status(daemon->consensus, raft);
        checks_library(findings, "libraft", raft->library, 0, 0);
    }
    checks_library(findings, "libcurl", curl->version, LIBCURL_VERSION_NUM, curl->version_num);
    (void)snprintf(text, sizeof text, "%s", curl->ssl_version);
    checks_library(findings, "TLS", text, 0, 0);
    checks_library(findings, "libuv", uv_version_string(), UV_VERSION_HEX, uv_version());
    store_library(text, sizeof text);
    checks_library(findings, "LMDB", text, 0, 0);
}

void checkup_node(struct daemon *daemon, struct findings *findings)
{
    look_at_files(findings, &daemon->config);
    checks_suspension(findings, daemon_is_suspended(daemon) ? daemon->suspension : NULL);
    look_at_certificates(findings, daemon);
    look_at_libraries(findings, daemon);
}

/* ---- The disk ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static struct status time_syncs(int fd, uint64_t us[SYNC_ROUNDS])
{
    static const char page[SYNC_SIZE];
    for (size_t i = 0; i < SYNC_ROUNDS; i++) {
        uint64_t began = uv_hrtime();
        if (pwrite(fd, page, sizeof page, (off_t)(i * sizeof page)) != (ssize_t)sizeof page ||
            fdatasync(fd) != 0) {
            return fail_errno(errno == 0 ? ENOSPC : errno, "write and sync a file");
        }
        us[i] = (uv_hrtime() - began) / 1000;
    }
    return OK;
}

void checkup_sync(const char *folder, struct sync_seen *seen)
{
    char path[CONFIG_TEXT_SIZE + 16];
    uint64_t us[SYNC_ROUNDS] = {0};
    (void)snprintf(path, sizeof path, "%s/doctor.XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        seen->status = fail_errno(errno, "write a file");
        return;
    }
    (void)unlink(path); /* At once: nothing is left of it, whatever happens. */
    seen->status = time_syncs(fd, us);
    (void)close(fd);
    qsort(us, SYNC_ROUNDS, sizeof us[0], compare_u64);
    seen->median_us = us[SYNC_ROUNDS / 2];
    seen->worst_us = us[SYNC_ROUNDS - 1];
}
