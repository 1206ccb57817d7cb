/*
 * What keeps secrets in this process: no core dump, nobody of the same user looks in, and what libcurl
 * and OpenSSL held of a secret is wiped when they free it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HARDEN_H
#define SERVER_HARDEN_H

#include "base/status.h"

/* Before anything else of either library is used; once. Starts libcurl. STATUS_IO. */
MUST_USE struct status harden_libraries(void);

/* RLIMIT_CORE, PR_SET_DUMPABLE, umask, SIGPIPE. Logs, once, if memory for secrets cannot be locked. */
void harden_process(void);

#endif
