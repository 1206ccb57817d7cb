/*
 * The rules of the design, seen from outside: by the cloud, on the way to it, and at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "raft_view.h"
#include "whole.h"

const char *whole_count_name(enum whole_count count)
{
    static const char *const names[WHOLE_COUNT_COUNT] = {
        [WHOLE_CALLS] = "calls",
        [WHOLE_UNREACHABLE] = "unreachable",
        [WHOLE_REPLIES_LOST] = "replies lost",
        [WHOLE_TWICE] = "taken twice",
        [WHOLE_LATE] = "too late",
        [WHOLE_ERRORS] = "errors",
        [WHOLE_PORTAL] = "acts in the portal",
        [WHOLE_BUNDLES] = "bundles",
        [WHOLE_SIGHTINGS] = "sightings",
        [WHOLE_REGISTRATIONS] = "registrations",
        [WHOLE_ACTIONS] = "acts of operators",
        [WHOLE_ADMISSIONS] = "admissions",
        [WHOLE_ORPHANS] = "of them too late",
        [WHOLE_ROTATIONS] = "rotations of the key",
        [WHOLE_RECORDS] = "records taken",
        [WHOLE_READS] = "reads",
        [WHOLE_SWAPS] = "swaps",
        [WHOLE_UNDECIDED] = "histories undecided",
    };
    return names[count];
}

/* ---- On the way out ---- */

/* Rule 4: an entry of the leader's own term is applied before it acts. X1: one exporter a term. */
void whole_check_departure(struct site *site, const struct errand *errand)
{
    struct sim_node *node = site->node;
    struct world *world = node->world;
    if (site->lone != NULL) {
        return; /* Leads itself. */
    }
    const struct raft *raft = node->raft;
    raft_term term = raft->current_term;
    raft_index applied = raft->last_applied;
    bool in_term = raft->state == RAFT_LEADER && raft_view_term(raft, applied) == term;
    bool in_snapshot =
        raft->log.snapshot.last_index == applied && raft->log.snapshot.last_term == term;
    bool is_barred = world->options.sabotage != SABOTAGE_EXPORTERS; /* It is about X1. */
    if (!in_term && !in_snapshot && is_barred) {
        check_fail(world, VERDICT_RULE, "rule 4: node %u asks %s without a barrier of term %llu",
                   node->number, errand->path, term);
    }
    if (strncmp(errand->path, "/ctia/", 6) != 0 || term >= SIM_INDEX_MAX) {
        return;
    }
    unsigned *exporter = &world->whole->term_exporters[site->term];
    if (*exporter != 0 && *exporter != node->number + 1) {
        check_fail(world, VERDICT_RULE, "X1: nodes %u and %u export in term %llu", *exporter - 1,
                   node->number, term);
    }
    *exporter = node->number + 1;
}

/* ---- At the cloud ---- */

/* Rule 5. */
void whole_check_devices(struct world *world)
{
    const struct vendor *vendor = &world->whole->vendor;
    size_t present = 0;
    for (size_t i = 0; i < vendor->device_count; i++) {
        enum device_state state = vendor->devices[i].state;
        bool of_lone = strncmp(vendor->devices[i].serial, "serial-of-", 10) == 0;
        present += !of_lone && (state == DEVICE_IN_PROGRESS || state == DEVICE_REGISTERED);
    }
    if (present > 1) {
        check_fail(world, VERDICT_RULE, "rule 5: %zu devices are registered for one cluster",
                   present);
    }
    for (size_t i = 0; i < vendor->token_count; i++) {
        if (vendor->tokens[i].devices > 1) {
            check_fail(world, VERDICT_RULE, "rule 5: a lost reply became a second registration");
        }
    }
}

/* ---- When something is applied ---- */

void whole_check_leader(const struct sim_node *node)
{
    struct world *world = node->world;
    raft_term term = node->raft->current_term;
    if (raft_state(node->raft) != RAFT_LEADER || term >= SIM_INDEX_MAX) {
        return;
    }
    raft_id *leader = &world->whole->term_leaders[term];
    if (*leader != 0 && *leader != node->id) {
        check_fail(world, VERDICT_RULE, "nodes %llu and %u lead in term %llu", *leader - 1,
                   node->number, term);
    }
    *leader = node->id;
}

/* Rule 12: what the cluster must keep to itself is in no entry. */
static void check_secrets(struct world *world, struct slice entry)
{
    static const char *const canaries[] = {"password-", "PRIVATE KEY", "5eed00000000"};
    for (size_t i = 0; i < sizeof canaries / sizeof canaries[0]; i++) {
        if (memmem(entry.data, entry.size, canaries[i], strlen(canaries[i])) != NULL) {
            check_fail(world, VERDICT_RULE, "rule 12: '%s' is in an entry", canaries[i]);
        }
    }
}

/* Rule 7. Who waits for the answer must not be registered, by its own account and the cloud's. Who
 * has given up may be by now, and is never made a full member. */
static void check_admission(struct world *world, const struct lone *lone)
{
    const struct vendor *vendor = &world->whole->vendor;
    struct arena arena = {0};
    struct registration_view view;
    if (failed(store_registration(lone->node.store, &arena, &view))) {
        abort();
    }
    world->whole->counts[WHOLE_ADMISSIONS]++;
    bool waits = lone->state == LONE_ASKING;
    world->whole->counts[WHOLE_ORPHANS] += !waits;
    if (waits && registration_bars_join(view.state) != REFUSAL_NONE) {
        check_fail(world, VERDICT_RULE, "rule 7: %s is admitted while %s", lone->name,
                   registration_state_name(view.state));
    }
    for (size_t i = 0; waits && i < vendor->device_count; i++) {
        const struct device *device = &vendor->devices[i];
        if (device_is_present(device) && strcmp(device->serial, lone->serial) == 0) {
            check_fail(world, VERDICT_RULE, "rule 7: %s is admitted, and the cloud lists it",
                       lone->name);
        }
    }
    arena_release(&arena);
}

static void check_membership(struct world *world, const struct lone *lone)
{
    if (lone->state != LONE_JOINED) {
        check_fail(world, VERDICT_RULE, "rule 7: %s is a full member and does not know it",
                   lone->name);
    }
}

void whole_check_applied(struct sim_node *node, struct slice entry, uint32_t refusal)
{
    struct world *world = node->world;
    struct arena arena = {0};
    struct command command;
    check_secrets(world, entry);
    if (refusal == REFUSAL_NONE && !failed(command_decode(entry, &arena, &command))) {
        const struct member_set *set = &command.body.member_set;
        bool admits = command.type == COMMAND_MEMBER_ADMIT;
        bool seats = command.type == COMMAND_MEMBER_SET && set->standing == STANDING_MEMBER;
        const struct lone *lone = admits ? lone_of(world, command.body.member_admit.member.node_id)
                                         : (seats ? lone_of(world, set->node_id) : NULL);
        if (lone != NULL && admits) {
            check_admission(world, lone);
        } else if (lone != NULL) {
            check_membership(world, lone);
        }
        key_check_applied(node, &command);
    }
    arena_release(&arena);
}

/* ---- The end ---- */

struct store *whole_furthest(struct world *world)
{
    struct sim_node *found = NULL;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->store != NULL && (found == NULL || node->applied > found->applied)) {
            found = node;
        }
    }
    return found != NULL ? found->store : NULL;
}

bool whole_is_settled(struct world *world)
{
    struct arena arena = {0};
    struct export_view export;
    struct registration_view registration;
    const struct site *site = whole_leader(world);
    bool settled = site != NULL && feed_idle(world) &&
                   !failed(store_export(site->node->store, &arena, &export)) &&
                   !failed(store_registration(site->node->store, &arena, &registration)) &&
                   export.pending == 0 && registration.state == REGISTRATION_REGISTERED &&
                   key_is_settled(world, site->node->store);
    arena_release(&arena);
    return settled;
}

/* How often each record of the feeds is in the store, by what became of it. */
struct tally {
    unsigned char delivered;
    unsigned char others;
};

static void tally_store(struct world *world, struct store *store, struct tally *tallies)
{
    struct record_search search = {.count_max = 500};
    bool more = true;
    while (more) {
        struct arena arena = {0};
        struct codec_list list;
        if (failed(store_search(store, &arena, &search, &list, &more))) {
            abort();
        }
        const struct record_view *records = list.items;
        for (size_t i = 0; i < list.count; i++) {
            char text[32];
            search.before_sequence = records[i].sequence;
            uint64_t number = slice_to_text(records[i].id, text, sizeof text)
                                  ? strtoull(text, NULL, 10)
                                  : WHOLE_RECORDS_MAX;
            if (number >= world->whole->record_count) {
                check_fail(world, VERDICT_LOST, "a record that nobody submitted");
            } else if (records[i].fate == RECORD_DELIVERED) {
                tallies[number].delivered++;
            } else {
                tallies[number].others++;
            }
        }
        more = more && list.count > 0;
        arena_release(&arena);
    }
}

static void check_record(struct world *world, uint64_t number, const struct tally *tally)
{
    const struct whole_record *record = &world->whole->records[number];
    const struct sighting *sighting =
        record->external_id[0] != '\0' ? vendor_sighting(world, record->external_id) : NULL;
    unsigned long long shown = number;
    if (tally->delivered + tally->others > 1) {
        check_fail(world, VERDICT_RULE, "record %llu is in the store %u times", shown,
                   tally->delivered + tally->others);
    }
    if (record->acknowledged && tally->delivered + tally->others == 0) {
        check_fail(world, VERDICT_LOST, "record %llu was taken and is not in the store", shown);
    }
    if (tally->delivered == 1 && sighting == NULL) {
        check_fail(world, VERDICT_LOST, "record %llu counts as delivered, the cloud has it not",
                   shown);
    }
    if (sighting != NULL && tally->delivered + tally->others == 0) {
        check_fail(world, VERDICT_RULE, "the cloud has record %llu, the store has not", shown);
    }
    world->records_checked += record->acknowledged;
}

static void check_audits(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        uint64_t lines;
        struct store *store = world->nodes[i].store;
        struct status status = store != NULL ? store_audit_verify(store, &lines) : OK;
        if (failed(status)) {
            check_fail(world, VERDICT_RULE, "node %u: the audit chain: %s", i, status.message);
        }
    }
}

void whole_check_end(struct world *world)
{
    struct whole *whole = world->whole;
    struct store *store = whole_furthest(world);
    struct tally *tallies = calloc(WHOLE_RECORDS_MAX, sizeof *tallies);
    if (store == NULL || tallies == NULL) {
        abort();
    }
    tally_store(world, store, tallies);
    for (uint64_t i = 0; i < whole->record_count; i++) {
        check_record(world, i, &tallies[i]);
    }
    free(tallies);
    check_audits(world);
    register_check(world);
    key_check_end(world);
    whole_check_devices(world);
}
