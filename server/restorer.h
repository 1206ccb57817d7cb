/*
 * Restoring: a fresh node is given a snapshot, looks at it, refuses with every reason at once or
 * says what may be lost, and, if told to proceed, orders its succession (succession.h).
 *
 *     upload, upload ... ──► restore: judged ──► the file is checked on a worker ──► restart
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RESTORER_H
#define SERVER_RESTORER_H

#include "base/status.h"

struct call;
struct daemon;
struct restorer;

#define RESTORER_FILE_NAME "restore.part" /* In the data folder. */

MUST_USE struct status restorer_create(struct daemon *daemon, struct restorer **out);
void restorer_stop(struct restorer *restorer);    /* Answers who waits; NULL is ignored. */
void restorer_destroy(struct restorer *restorer); /* After the loop has ended. */

/* snapshot.upload and snapshot.restore: answer the call. */
void restorer_upload(struct restorer *restorer, struct call *call);
void restorer_begin(struct restorer *restorer, struct call *call);

#endif
