/*
 * Names of the state's enumerations, as the RPC, the logs and people know them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include "consensus/consensus.h"
#include "store/command.h"

/* All never NULL; "unknown" for a number that is none of them. */
const char *standing_name(uint64_t standing);
const char *registration_state_name(uint64_t state);
const char *member_role_name(enum member_role role);
const char *quarantine_name(uint64_t step); /* enum quarantine: none, told, asked, out. */

/* The reverse; false for any other text. */
bool registration_state_parse(struct slice name, enum registration_state *out);
bool quarantine_parse(struct slice name, enum quarantine *out);

/* Whether a registration in this state keeps a node out of a cluster (R7), and how to say so:
 * REFUSAL_NONE, REFUSAL_REGISTERED or REFUSAL_REGISTRATION_IN_DOUBT. */
enum refusal registration_bars_join(uint64_t state);

#endif
