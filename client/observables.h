/*
 * Collecting the observables of a record: normalised, each once, within limits.
 *
 * What counts as one: the address that connected; the domain of the envelope sender; the connecting
 * host's name if its reverse entry was verified (anybody can put any name there otherwise); URLs
 * with their host; digests of files. The recipients' domain does not: it is nearly always the
 * organization's own, and would accuse it in every sighting. Recipients are search keys instead.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef OBSERVABLES_H
#define OBSERVABLES_H

#include "client/record.h"

#define OBSERVABLES_SIZE_MAX ((size_t)12 << 10) /* Bytes of all observables of a record. */

struct observables {
    struct record_observable *items; /* Room for RECORD_OBSERVABLES_MAX. */
    size_t count;
    size_t size;         /* Bytes of the values. */
    struct arena *arena; /* For the values. */
    bool cut;            /* One did not fit. */
    bool no_memory;
};

/* Add what `text` is, if it is of the kind (IP, DOMAIN, URL, SHA256); else nothing happens. */
void observables_add(struct observables *list, enum record_key_kind kind, struct slice text);

/* The URL, and its host as a domain or an address. */
void observables_add_url(struct observables *list, struct slice url);

/* The domain of an address, "ann@example.com". */
void observables_add_sender(struct observables *list, struct slice address);

#endif
