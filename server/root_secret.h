/*
 * The root of trust: 32 random bytes that seal this node's keys on disk. They come, in this order, from
 *
 *     root_secret_file                            the configuration names a file
 *     $CREDENTIALS_DIRECTORY/muster-root-secret   systemd's LoadCredential= or
 *                                                 LoadCredentialEncrypted= (sealed to the TPM)
 *     DATA_DIRECTORY/root.secret                  made at the first start
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROOT_SECRET_H
#define SERVER_ROOT_SECRET_H

#include "base/secret.h"
#include "base/status.h"

#define ROOT_SECRET_SIZE 32           /* Bytes. */
#define ROOT_SECRET_MODE_REFUSED 0027 /* Others may do nothing, the group may not write. */
#define ROOT_SECRET_PATH_SIZE 1024
#define ROOT_SECRET_CREDENTIAL "muster-root-secret"

/*
 * Read it, or make the node's own. `out` must be empty; `configured` is a path or "". STATUS_INVALID
 * when the file has another size, is not a plain file, or has a mode that is refused (a credential of
 * systemd's may show its access list as the group's right to read); or when the node's own is gone and a
 * node has lived in the data folder. STATUS_NOT_FOUND for a configured file that is not there. STATUS_IO.
 */
/* Where it is looked for. */
void root_secret_path(const char *data_directory, const char *configured, char *out,
                      size_t out_size);

MUST_USE struct status root_secret_read(const char *data_directory, const char *configured,
                                        struct secret *out);

#endif
