/*
 * A bundle: a run of outbox records on its way to the cloud, and what became of each of them.
 *
 * All of it goes out as one request. When the cloud refuses a request whole (400, 413), the bundle
 * is halved until the entities it cannot stand are alone: those are rejected, the others delivered,
 * and one poisoned record cannot stop the export. Should entity after entity be refused, wherever in
 * the bundle it stands, and none taken, then it is not the records: the bundle says so
 * (BUNDLE_SYSTEMATIC) and rejects none.
 *
 *     struct bundle bundle = {0};
 *     bundle_fill()  ->  while (!bundle_settled()) { bundle_request(); send it;
 *                            bundle_on_taken() or bundle_on_refused() }
 *                    ->  bundle_rejects()  ->  bundle_release()
 *
 * Answers are matched by external id, never by position.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BUNDLE_H
#define SERVER_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "sighting.h"
#include "store/store.h"

#define BUNDLE_ENTITIES_MAX 2000          /* The cloud's limit. */
#define BUNDLE_SIZE_MAX ((size_t)4 << 20) /* Bytes of one request; one entity may be larger. */
#define BUNDLE_RANGES_MAX 256             /* 16 descents of at most 12 halvings, and one more. */
#define BUNDLE_REJECTS_ALONE_MAX 16       /* Refused, with none taken: not the records' fault. */
#define BUNDLE_REQUESTS_MAX 400 /* At a stretch: a twentieth of the organisation's quota. */
#define BUNDLE_UNANSWERED_MAX                                                                      \
    3 /* Requests that do not answer for an entity, then it is rejected. */

struct bundle_entity {
    uint64_t sequence;
    size_t offset; /* Of its JSON text in the bundle's; with `size`. */
    size_t size;
    char digest[SIGHTING_DIGEST_DIGITS]; /* The part of the external id that is its own. */
    bool settled;                        /* Delivered or rejected. */
    bool rejected;
    char *reason; /* Of the rejection; NULL only when memory ran out. */
};

/* Entities `first` to `end` - 1, as far as they are not settled. */
struct bundle_range {
    size_t first;
    size_t end;
    unsigned unanswered; /* Requests that were taken and did not name all of them. */
};

/* Zero-initialised is empty. */
struct bundle {
    uint64_t from; /* The records above this, */
    uint64_t to;   /* up to this one. */
    struct bundle_entity *entities;
    size_t entity_count;
    size_t *by_digest; /* Indexes of entities, in order of their digests. */
    size_t settled_count;
    size_t delivered_count;
    size_t refused_count; /* Rejected by the cloud, not by ourselves. */
    unsigned requests;    /* Since the bundle began, or BUNDLE_EXHAUSTED. */
    struct buffer text;   /* Entities, one after the other. */
    struct bundle_range ranges[BUNDLE_RANGES_MAX];
    size_t range_count; /* The last one goes out next. */
};

/*
 * Take records from the front of the list (struct record_view), in order, until a limit; at least
 * one. `from` is the sequence before the first. A record that has no form in the cloud is rejected
 * at once. The bundle must be empty. STATUS_NO_MEMORY leaves it so.
 */
MUST_USE struct status bundle_fill(struct bundle *bundle, struct slice cluster_id, uint64_t from,
                                   const struct codec_list *records);

bool bundle_settled(const struct bundle *bundle);

/* Write the next request's body into `out`, which is cleared first. The bundle is not settled. */
MUST_USE struct status bundle_request(struct bundle *bundle, struct buffer *out);

enum bundle_progress {
    BUNDLE_GOES_ON,    /* Settled, or the next request can go out at once. */
    BUNDLE_UNANSWERED, /* Taken, but not all entities were named: ask again later. */
    BUNDLE_UNREADABLE, /* The answer is not what the contract says: ask again later. */
    BUNDLE_EXHAUSTED,  /* It took BUNDLE_REQUESTS_MAX requests so far: go on much later. */
    BUNDLE_SYSTEMATIC, /* Everything is refused: nothing is rejected. Begin again much later. */
};

/* The request was answered with 200 and this body. */
enum bundle_progress bundle_on_taken(struct bundle *bundle, struct slice body);

/* The request was refused whole, for this reason. */
enum bundle_progress bundle_on_refused(struct bundle *bundle, const char *reason);

/* The rejected ones, ascending; the list is from `arena`, the reasons are the bundle's. Fails with
 * STATUS_NO_MEMORY. */
MUST_USE struct status bundle_rejects(const struct bundle *bundle, struct arena *arena,
                                      struct codec_list *out);

void bundle_release(struct bundle *bundle);

#endif
