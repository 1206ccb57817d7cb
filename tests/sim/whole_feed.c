/*
 * Feeds: each submits batches of records, and a batch again, under the same identities, until it is
 * taken, as muster-feed does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "whole.h"

#define BATCH_MAX 20U
#define PATIENCE_MS 5000U
#define ODD_ONE_OF 53U /* Records that have no form in the cloud. */

struct question {
    struct feed *feed;
    unsigned asked;
};

static void name_record(struct whole *whole, uint64_t number, struct slice serial, struct slice id,
                        uint64_t revision)
{
    const struct sighting_key key = {
        .cluster_id = slice_of("0123456789abcdef0123456789abcdef"),
        .kind = RECORD_MESSAGE,
        .serial = serial,
        .id = id,
        .revision = revision,
    };
    sighting_external_id(&key, whole->records[number].external_id);
}

static struct slice body_of(struct arena *arena, uint64_t number, struct slice serial)
{
    struct buffer body = {0};
    const struct message_record record = {
        .serial = serial,
        .mid = number,
        .revision = 1,
        .start_ms = UINT64_C(1767225600000) + number,
        .last_ms = UINT64_C(1767225600005) + number,
        .disposition = slice_of("delivered"),
        .sender = slice_of("somebody@sender.example"),
    };
    if (number % ODD_ONE_OF == 0) {
        return slice_of("not a record");
    }
    if (failed(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body))) {
        abort();
    }
    struct slice copy = arena_copy(arena, buffer_slice(&body));
    buffer_release(&body);
    return copy;
}

static void put_record(struct whole *whole, struct arena *arena, uint64_t number,
                       struct slice serial, struct record_put *out)
{
    char text[24];
    struct index_key *key = arena_alloc(arena, 1, sizeof *key);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    struct slice id = arena_copy(arena, slice_of(text));
    if (key == NULL || id.data == NULL) {
        abort();
    }
    *key = (struct index_key){.kind = RECORD_KEY_MID, .value = id};
    name_record(whole, number, serial, id, 1);
    *out = (struct record_put){
        .kind = RECORD_MESSAGE,
        .serial = serial,
        .id = id,
        .revision = 1,
        .observed_at_ms = UINT64_C(1767225600000) + number,
        .body = body_of(arena, number, serial),
        .keys = {.items = key, .count = 1},
    };
}

static void on_submitted(void *argument, struct status status, struct apply_outcome outcome)
{
    struct question *question = argument;
    struct feed *feed = question->feed;
    bool is_stale = question->asked != feed->asked;
    free(question);
    if (is_stale) {
        return;
    }
    feed->under_way = false;
    if (failed(status) || outcome.refusal != REFUSAL_NONE) {
        world_say(feed->world, "feed %u: not taken: %s", feed->number,
                  failed(status) ? status.message : refusal_name((enum refusal)outcome.refusal));
        return;
    }
    for (uint64_t i = 0; i < feed->count; i++) {
        feed->world->whole->records[feed->first + i].acknowledged = true;
    }
    feed->world->whole->counts[WHOLE_RECORDS] += feed->count;
    world_say(feed->world, "feed %u: records %llu to %llu are taken", feed->number,
              (unsigned long long)feed->first, (unsigned long long)feed->first + feed->count - 1);
    feed->count = 0;
}

static void submit(struct feed *feed)
{
    struct world *world = feed->world;
    struct site *site = whole_leader(world);
    struct arena arena = {0};
    char serial[32];
    struct record_put *puts = arena_alloc(&arena, feed->count, sizeof *puts);
    struct question *question = calloc(1, sizeof *question);
    if (puts == NULL || question == NULL) {
        abort();
    }
    (void)snprintf(serial, sizeof serial, "feed-%u", feed->number);
    for (uint64_t i = 0; i < feed->count; i++) {
        put_record(world->whole, &arena, feed->first + i, slice_of(serial), &puts[i]);
    }
    const struct command command = {
        .type = COMMAND_RECORDS_PUT,
        .body.records_put = {.feed = slice_of(serial),
                             .records = {.items = puts, .count = feed->count}},
    };
    *question = (struct question){feed, ++feed->asked};
    feed->under_way = site != NULL && !failed(site_propose(site, &command, on_submitted, question));
    if (!feed->under_way) {
        free(question);
    }
    arena_release(&arena);
}

/* A submission that nobody answers was to a node that is gone: ask another. */
static void on_patience(void *context, uint64_t asked)
{
    struct feed *feed = context;
    if (feed->under_way && feed->asked == asked) {
        feed->under_way = false;
        feed->asked++;
        world_say(feed->world, "feed %u: no answer", feed->number);
    }
}

static void look(struct feed *feed)
{
    struct world *world = feed->world;
    struct whole *whole = world->whole;
    if (feed->under_way) {
        return;
    }
    if (feed->count == 0 && !whole->healed && whole->record_count + BATCH_MAX < WHOLE_RECORDS_MAX) {
        feed->first = whole->record_count;
        feed->count = whole_draw(world, 1, BATCH_MAX);
        whole->record_count += feed->count;
    }
    if (feed->count > 0) {
        submit(feed);
        whole_later(world, NULL, PATIENCE_MS, on_patience, feed, feed->asked);
    }
}

static void wake(void *context, uint64_t argument)
{
    struct feed *feed = context;
    (void)argument;
    look(feed);
    whole_later(feed->world, NULL, whole_draw(feed->world, 50, 1500), wake, feed, 0);
}

void feed_start(struct world *world)
{
    for (unsigned i = 0; i < WHOLE_FEEDS; i++) {
        struct feed *feed = &world->whole->feeds[i];
        feed->world = world;
        feed->number = i;
        wake(feed, 0);
    }
}

void feed_poke(struct world *world)
{
    struct feed *feed = &world->whole->feeds[0];
    if (feed->count == 0 && world->whole->record_count < WHOLE_RECORDS_MAX) {
        feed->first = world->whole->record_count++;
        feed->count = 1;
    }
    look(feed);
}

bool feed_idle(const struct world *world)
{
    for (unsigned i = 0; i < WHOLE_FEEDS; i++) {
        if (world->whole->feeds[i].count > 0) {
            return false;
        }
    }
    return true;
}
