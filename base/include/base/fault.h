/*
 * Fault points: named places where a test may make the outside world fail.
 *
 * Production code asks fault_fires() at the point; a build without FAULTS answers false at compile
 * time, so a release carries nothing of this. Not thread-safe but for fault_fires(), which any
 * thread may ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

enum fault_point {
    FAULT_ALLOC,
    FAULT_STORE_PUT,
    FAULT_STORE_COMMIT,
    FAULT_STORE_SYNC,
    FAULT_WAL_WRITE,
    FAULT_WAL_SYNC,
    FAULT_WAL_ALLOCATE,
    FAULT_WAL_RENAME,
    FAULT_PEER_SEND,
    FAULT_IMAGE_WRITE,
    FAULT_COUNT,
};

#ifdef FAULTS
bool fault_fires(enum fault_point point);
#else
#define fault_fires(point) ((void)(point), false)
#endif

/* From the (after + 1)th visit on, fail `times` times; times < 0 means for ever. */
void fault_arm(enum fault_point point, int after, int times);

/* Disarm every point. Returns how often any point has fired since the last call. */
int fault_reset(void);

#endif
