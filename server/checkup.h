/*
 * The checkup behind node.check: this node looks at itself and at its way to the cloud (R4). It is the
 * daemon that looks, for its network, proxy, CAs and rights are those that count. Findings are worded in
 * checks.h.
 *
 * One at a time; each takes CHECKUP_TIMEOUT_MS at most, whatever hangs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CHECKUP_H
#define SERVER_CHECKUP_H

struct call;
struct checkup;

#define CHECKUP_TIMEOUT_MS 8500U /* Within the default deadline of a call. */

/* Begin one for this call, which is answered now, if it cannot begin, or when everything was seen. */
void checkup_begin(struct call *call);

/* The daemon stops: calls to the cloud are given up, the call is answered; what is left of it goes by
 * itself. NULL is ignored. */
void checkup_stop(struct checkup *checkup);

#endif
