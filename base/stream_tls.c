/*
 * Streams: TLS in memory, and who is at the other end.
 *
 * What comes off the socket is lent to OpenSSL through a BIO that reads `input`, and what OpenSSL
 * produces is collected in `output` by the same BIO: clear bytes are encrypted straight into the
 * buffer that the system is given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "stream_state.h"
#include "tls_context.h"
#include "x509_name.h"

#define STREAM_NAME_SIZE 256 /* A name of the DNS has at most 253 characters (RFC 1035). */

static int bio_write(BIO *bio, const char *data, int size)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0 || !buffer_append(&stream->output, data, (size_t)size)) {
        return -1;
    }
    return size;
}

static int bio_read(BIO *bio, char *out, int size)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream->input.size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = stream->input.size < (size_t)size ? stream->input.size : (size_t)size;
    memcpy(out, stream->input.data, taken);
    stream->input.data = (const char *)stream->input.data + taken;
    stream->input.size -= taken;
    return (int)taken;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method == NULL || BIO_meth_set_write(method, bio_write) != 1 ||
        BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_ctrl(method, bio_control) != 1) {
        BIO_meth_free(method);
        return;
    }
    bio_method = method;
}

struct status stream_secure(struct stream *stream, struct tls_context *tls, bool accepts)
{
    /* The table of the functions above, the same for the whole process. */
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, bio_method_make);
    ERR_clear_error();
    BIO *bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    stream->ssl = bio == NULL ? NULL : SSL_new(tls->ssl);
    if (stream->ssl == NULL) {
        BIO_free(bio);
        ERR_clear_error();
        return fail(STATUS_NO_MEMORY, "make a TLS stream");
    }
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio); /* Takes the BIO. */
    if (accepts) {
        SSL_set_accept_state(stream->ssl);
    } else {
        SSL_set_connect_state(stream->ssl);
    }
    tls_context_hold(tls);
    stream->tls = tls;
    return OK;
}

struct status stream_expect_name(struct stream *stream, const char *name)
{
    unsigned char binary[sizeof(struct in6_addr)];
    char copy[STREAM_NAME_SIZE];
    bool numeric = inet_pton(AF_INET, name, binary) == 1 || inet_pton(AF_INET6, name, binary) == 1;
    if (!slice_to_text(slice_of(name), copy, sizeof copy)) {
        return fail(STATUS_INVALID, "a host name has at most %zu bytes", sizeof copy - 1);
    }
    SSL_set_hostflags(stream->ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    bool set = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), name) == 1
                       : SSL_set1_host(stream->ssl, name) == 1 &&
                             SSL_set_tlsext_host_name(stream->ssl, copy) == 1;
    ERR_clear_error();
    return set ? OK : fail(STATUS_INVALID, "\"%s\" is not a host name", name);
}

/* ---- Who is at the other end ---- */

/* Borrowed; NULL if there is none. */
static X509 *peer_certificate(const struct stream *stream)
{
    bool verified = stream->ssl != NULL && SSL_is_init_finished(stream->ssl) &&
                    SSL_get_verify_result(stream->ssl) == X509_V_OK;
    return verified ? SSL_get0_peer_certificate(stream->ssl) : NULL;
}

static struct status fail_no_certificate(void)
{
    return fail(STATUS_NOT_FOUND, "the other side showed no certificate");
}

struct status stream_peer_certificate(const struct stream *stream, struct buffer *out)
{
    X509 *certificate = peer_certificate(stream);
    if (certificate == NULL) {
        return fail_no_certificate();
    }
    struct status status = fail(STATUS_NO_MEMORY, "write a certificate");
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_X509(bio, certificate) == 1) {
        char *data = NULL;
        long size = BIO_get_mem_data(bio, &data);
        if (buffer_append(out, data, (size_t)size)) {
            status = OK;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return status;
}

struct status stream_peer_key_hash(const struct stream *stream, uint8_t out[32])
{
    X509 *certificate = peer_certificate(stream);
    if (certificate == NULL) {
        return fail_no_certificate();
    }
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    unsigned hash_size = 0;
    bool hashed =
        size > 0 && EVP_Digest(der, (size_t)size, out, &hash_size, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    ERR_clear_error();
    return hashed ? OK : fail(STATUS_NO_MEMORY, "hash a public key");
}

struct status stream_peer_common_name(const struct stream *stream, char *out, size_t out_size)
{
    assert(out_size > 0);
    out[0] = '\0';
    X509 *certificate = peer_certificate(stream);
    return certificate == NULL ? fail_no_certificate()
                               : x509_name_text(X509_get_subject_name(certificate), out, out_size);
}

struct status stream_peer_user(const struct stream *stream, uid_t *uid, gid_t *gid, pid_t *pid)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    uv_os_fd_t fd = -1;
    if (stream->tls != NULL || uv_fileno(&stream->socket.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return fail(STATUS_NOT_FOUND, "the other side is not a process of this machine");
    }
    *uid = credentials.uid;
    *gid = credentials.gid;
    if (pid != NULL) {
        *pid = credentials.pid;
    }
    return OK;
}

struct status stream_peer_groups(const struct stream *stream, gid_t *groups, size_t groups_max,
                                 size_t *count)
{
    socklen_t size = (socklen_t)(groups_max * sizeof *groups);
    uv_os_fd_t fd = -1;
    if (stream->tls != NULL || uv_fileno(&stream->socket.handle, &fd) != 0) {
        return fail(STATUS_NOT_FOUND, "the other side is not a process of this machine");
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) {
        return errno == ERANGE
                   ? fail(STATUS_FULL, "the process has more than %zu groups", groups_max)
                   : fail_errno(errno, "ask for the groups of a process");
    }
    *count = size / sizeof *groups;
    return OK;
}
