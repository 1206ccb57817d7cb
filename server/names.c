/*
 * Names of the state's enumerations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "names.h"

static const char *const registration_states[] = {
    [REGISTRATION_DISABLED] = "disabled",           [REGISTRATION_ENABLED] = "enabled",
    [REGISTRATION_REGISTERING] = "registering",     [REGISTRATION_REGISTERED] = "registered",
    [REGISTRATION_DEREGISTERING] = "deregistering", [REGISTRATION_FAILED] = "failed",
};

#define REGISTRATION_STATE_COUNT (sizeof registration_states / sizeof registration_states[0])

const char *standing_name(uint64_t standing)
{
    static const char *const names[] = {
        [STANDING_STANDALONE] = "standalone", [STANDING_JOINING] = "joining",
        [STANDING_MEMBER] = "member",         [STANDING_LEAVING] = "leaving",
        [STANDING_REMOVED] = "removed",
    };
    return standing >= 1 && standing < sizeof names / sizeof names[0] ? names[standing] : "unknown";
}

const char *registration_state_name(uint64_t state)
{
    return state >= 1 && state < REGISTRATION_STATE_COUNT ? registration_states[state] : "unknown";
}

bool registration_state_parse(struct slice name, enum registration_state *out)
{
    for (size_t i = 1; i < REGISTRATION_STATE_COUNT; i++) {
        if (slice_equal(name, slice_of(registration_states[i]))) {
            *out = (enum registration_state)i;
            return true;
        }
    }
    return false;
}

static const char *const quarantine_names[] = {
    [QUARANTINE_NONE] = "none",
    [QUARANTINE_ASKED] = "asked",
    [QUARANTINE_OUT] = "out",
    [QUARANTINE_TOLD] = "told",
};

#define QUARANTINE_COUNT (sizeof quarantine_names / sizeof quarantine_names[0])

const char *quarantine_name(uint64_t step)
{
    return step < QUARANTINE_COUNT ? quarantine_names[step] : "unknown";
}

bool quarantine_parse(struct slice name, enum quarantine *out)
{
    for (size_t i = 0; i < QUARANTINE_COUNT; i++) {
        if (slice_equal(name, slice_of(quarantine_names[i]))) {
            *out = (enum quarantine)i;
            return true;
        }
    }
    return false;
}

const char *member_role_name(enum member_role role)
{
    switch (role) {
    case MEMBER_SPARE: return "spare";
    case MEMBER_STANDBY: return "standby";
    case MEMBER_VOTER: return "voter";
    }
    return "unknown";
}

enum refusal registration_bars_join(uint64_t state)
{
    switch (state) {
    case REGISTRATION_DISABLED:
    case REGISTRATION_ENABLED:
    case REGISTRATION_FAILED: return REFUSAL_NONE;
    case REGISTRATION_REGISTERED: return REFUSAL_REGISTERED;
    default: return REFUSAL_REGISTRATION_IN_DOUBT; /* What we cannot name is in doubt. */
    }
}
