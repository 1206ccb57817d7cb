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

#define ROOT_SECRET_SIZE 32 /* Bytes. */
#define ROOT_SECRET_CREDENTIAL "muster-root-secret"

/*
 * Read it, or make the node's own. `out` must be empty; `configured` is a path or "". STATUS_INVALID
 * when the file has another size, is not a plain file, or can be read or written by others than its
 * owner and, for a credential or a configured file, its group; or when it is gone and a node has lived
 * in the data folder. STATUS_NOT_FOUND for a configured file that is not there. STATUS_IO.
 */
MUST_USE struct status root_secret_read(const char *data_directory, const char *configured,
                                        struct secret *out);

#endif
