/*
 * Scopes of an API client: what a granted list covers, and which features work with it (R12).
 *
 * A scope is root[/sub...][:read|:write]; without a right it means both. A scope covers every scope
 * below it: `enrich:read` covers `enrich/observables/observe:read`; write does not cover read
 * (rules of the vendor's own server, ctia src/ctia/auth/jwt.clj).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SCOPES_H
#define SERVER_SCOPES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Does `granted`, a list separated by spaces, cover `wanted`, one scope? */
bool scopes_cover(struct slice granted, struct slice wanted);

enum feature {
    FEATURE_CASEBOOK,   /* Casebook widget: casebook, private-intel, inspect. */
    FEATURE_PIVOT_MENU, /* Pivot menu: enrich, response. */
    FEATURE_EXPORT,     /* Bundle import: private-intel:write. */
    FEATURE_COUNT,
};

#define FEATURE_MISSING_SIZE 128 /* Bytes; fits the needs of any feature. */

/* "casebook", "pivot_menu", "export": as on the RPC. Never NULL. */
const char *feature_name(enum feature feature);

/* Whether the feature works with these scopes; `missing` gets those that lack, separated by a
 * space, or the empty text. */
bool feature_available(enum feature feature, struct slice granted,
                       char missing[FEATURE_MISSING_SIZE]);

#endif
