/*
 * The algebra of OAuth2 scopes: "root/sub/...[:read|:write]", where a bare name holds both.
 * "enrich:read" covers "enrich/observables/observe:read"; "response" covers
 * "response/trigger:write"; write does not cover read. KNOWN (public tests of the CTIA server).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SCOPE_H
#define SIM_SCOPE_H

#include "base/slice.h"

/* Whether one scope covers another. */
bool sim_scope_covers(struct slice held, struct slice needed);

/* Whether a list, separated by spaces, has a scope that covers the one needed. */
bool sim_scope_allows(const char *list, const char *needed);

#endif
