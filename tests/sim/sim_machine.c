/*
 * The state machine of a simulated node: the real store, or a digest where speed matters more.
 *
 * The store is used as musterd uses it (server/machine.c, consensus/snapshot.c): a command is an
 * encoded one of the store, written by the leader from what its own store says; a snapshot syncs
 * and leaves a manifest in the log; a node that is offered one fetches an image of the sender's
 * store and installs it before libraft hears of the offer. A crash closes the store without a
 * flush, so it comes back at an older index, or ahead of its log, and the log is played over it. A
 * power failure takes what it had not synced (sim_power.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raft_view.h"
#include "sim.h"
#include "whole.h"

#define MAP_SIZE ((size_t)16 << 20U)
#define OUTBOX_MAX 150U        /* Low enough to be reached in some seeds. */
#define OUTBOX_MAX_WHOLE 1000U /* The same. */
#define FLUSH_PERCENT 25U
#define RECORD_PERCENT 50U   /* Of commands: a record of our own numbering ... */
#define REPEATED_PERCENT 25U /* ... which was proposed before. */
#define RECORD_KIND 2U       /* Of records of our own numbering; the script's are of kind 1. */
#define PAGE_COUNT 500U

/* What an entry begins with; the commands follow, one after the other. */
struct entry_head {
    uint64_t value;
    uint32_t count;
    uint32_t sizes[SIM_COMMANDS_MAX];
};

static unsigned draw(struct world *world, unsigned below)
{
    struct script script = {.state = world->machine_random};
    unsigned drawn = (unsigned)script_random(&script, below);
    world->machine_random = script.state;
    return drawn;
}

/* The simulation cannot go on: the seed counts as crashed. */
static void must(struct status status, const char *action)
{
    if (failed(status)) {
        (void)fprintf(stderr, "%s: %s\n", action, status.message);
        abort();
    }
}

/* ---- Life ---- */

/* False if there is no room for the name. */
static bool paths_of(const struct sim_node *node, char directory[SIM_PATH_SIZE],
                     char file[SIM_PATH_SIZE])
{
    const char *scratch = node->world->options.scratch;
    int size = snprintf(directory, SIM_PATH_SIZE, "%s/%llu", scratch, node->id);
    int file_size = snprintf(file, SIM_PATH_SIZE, "%s/%llu/data.mdb", scratch, node->id);
    return size > 0 && file_size > size && (size_t)file_size < SIM_PATH_SIZE;
}

static struct store_options options_of(const struct sim_node *node, const char *directory)
{
    return (struct store_options){.directory = directory,
                                  .map_size_max = MAP_SIZE,
                                  .outbox_max =
                                      node->world->options.whole ? OUTBOX_MAX_WHOLE : OUTBOX_MAX};
}

/* As musterd does at its start. */
static void verify(struct sim_node *node, const struct store_options *options, const char *file)
{
    struct store_report report;
    struct status status = store_verify(options, &report);
    if (failed(status) && status.code != STATUS_NOT_FOUND) { /* Nothing was ever synced. */
        check_fail(node->world, VERDICT_LOST, "node %u: after a power failure: %s", node->number,
                   status.message);
        (void)unlink(file); /* The run ends in good order. */
    }
}

void machine_open(struct sim_node *node)
{
    const struct sim_options *options = &node->world->options;
    if (!options->real_store) {
        return;
    }
    char directory[SIM_PATH_SIZE];
    char file[SIM_PATH_SIZE];
    if (!paths_of(node, directory, file) || (mkdir(directory, 0700) != 0 && errno != EEXIST)) {
        abort();
    }
    const struct store_options store_options = options_of(node, directory);
    if (power_open(node, file)) {
        verify(node, &store_options, file);
    }
    must(store_open(&store_options, &node->store), "open a store");
}

void machine_crash(struct sim_node *node)
{
    store_close(node->store);
    node->store = NULL;
}

/* Of all tables; index 0 if the store does not open. */
static struct store_digest digest_of(const struct store_options *options)
{
    struct store *store = NULL;
    struct store_digest digest = {0};
    struct status status = store_open(options, &store);
    if (!failed(status)) {
        status = store_digest_deep(store, &digest);
    }
    store_close(store);
    return failed(status) ? (struct store_digest){0} : digest;
}

static void flip_bit(struct world *world, const char *path)
{
    struct stat info;
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || info.st_size == 0) {
        abort();
    }
    off_t at = (off_t)draw(world, (unsigned)info.st_size);
    if (pread(fd, &byte, 1, at) != 1) {
        abort();
    }
    byte ^= (uint8_t)(1U << draw(world, 8));
    if (pwrite(fd, &byte, 1, at) != 1) {
        abort();
    }
    (void)close(fd);
}

bool machine_rot(struct sim_node *node)
{
    char directory[SIM_PATH_SIZE];
    char file[SIM_PATH_SIZE];
    struct store_report report;
    if (!paths_of(node, directory, file)) {
        abort();
    }
    const struct store_options options = options_of(node, directory);
    struct store_digest before = digest_of(&options);
    if (before.index == 0) {
        return false;
    }
    flip_bit(node->world, file);
    node->world->troubles[TROUBLE_ROT]++;
    struct status status = store_verify(&options, &report);
    if (failed(status)) {
        world_say(node->world, "a bit of the store of node %u rots: %s", node->number,
                  status.message);
        return true;
    }
    struct store_digest after = digest_of(&options);
    if (memcmp(&before, &after, sizeof before) != 0) {
        check_fail(node->world, VERDICT_DIVERGED,
                   "node %u: a rotten bit changes what the store holds, unnoticed", node->number);
    }
    return false;
}

/* ---- Commands ---- */

static uint64_t record_number(uint64_t value, unsigned at)
{
    return value * SIM_COMMANDS_MAX + at;
}

static struct command own_record(struct sim_proposal *proposal, unsigned at)
{
    struct world *world = proposal->world;
    uint64_t number = record_number(proposal->value, at);
    if (proposal->value > 1 && draw(world, 100) < REPEATED_PERCENT) {
        number = draw(world, (unsigned)record_number(proposal->value, 0));
    } else {
        proposal->records |= 1U << at;
    }
    struct command command = record_command(number);
    static struct record_put record; /* The command borrows it until it is encoded. */
    record = *(const struct record_put *)command.body.records_put.records.items;
    record.kind = RECORD_KIND;
    command.body.records_put.records.items = &record;
    return command;
}

static struct command next_command(struct sim_node *node, struct sim_proposal *proposal,
                                   unsigned at)
{
    struct world *world = node->world;
    if (draw(world, 100) < RECORD_PERCENT) {
        return own_record(proposal, at);
    }
    struct fixture fixture = {.store = node->store};
    struct script script = {.state = world->machine_random};
    struct command command = script_next(&script, &fixture);
    world->machine_random = script.state;
    if (command.type == COMMAND_RECORDS_TRIM && !world->trims) {
        command.body.records_trim.sequence = 0;
    }
    return command;
}

static void encode(struct sim_node *node, struct sim_proposal *proposal, struct buffer *out)
{
    struct entry_head head = {.value = proposal->value, .count = 1 + draw(node->world, 3)};
    _Static_assert(SIM_COMMANDS_MAX >= 3, "as many as are drawn");
    if (!buffer_append(out, &head, sizeof head)) {
        abort();
    }
    for (unsigned i = 0; i < head.count; i++) {
        struct command command = next_command(node, proposal, i);
        size_t before = out->size;
        command.stamp.at_ms = trouble_wall_ms(node);
        command.stamp.actor = slice_of("uid 0");
        command.stamp.origin = slice_of("local");
        must(command_encode(&command, out), "encode a command");
        head.sizes[i] = (uint32_t)(out->size - before);
    }
    memcpy(out->data, &head, sizeof head);
}

void machine_command(struct sim_node *node, struct sim_proposal *proposal, struct raft_buffer *out)
{
    struct buffer bytes = {0};
    if (node->store != NULL) {
        encode(node, proposal, &bytes);
    }
    out->len = node->store != NULL ? (bytes.size + 7) / 8 * 8 : 16;
    out->base = raft_calloc(1, out->len);
    if (out->base == NULL) {
        abort();
    }
    memcpy(out->base, &proposal->value, sizeof proposal->value);
    if (bytes.size > 0) {
        memcpy(out->base, bytes.data, bytes.size);
    }
    buffer_release(&bytes);
}

struct status machine_entry(struct sim_proposal *proposal, const struct command *command,
                            struct raft_buffer *out)
{
    struct buffer bytes = {0};
    struct entry_head head = {.value = proposal->value, .count = 1};
    if (!buffer_append(&bytes, &head, sizeof head)) {
        abort();
    }
    struct status status = command_encode(command, &bytes);
    if (!failed(status)) {
        head.sizes[0] = (uint32_t)(bytes.size - sizeof head);
        memcpy(bytes.data, &head, sizeof head);
        out->len = (bytes.size + 7) / 8 * 8;
        out->base = raft_calloc(1, out->len);
        if (out->base == NULL) {
            abort();
        }
        memcpy(out->base, bytes.data, bytes.size);
    }
    buffer_release(&bytes);
    return status;
}

/* ---- Applying ---- */

static uint64_t fold_digest(const struct sim_node *node)
{
    struct store_digest digest;
    uint64_t words[2];
    store_digest(node->store, &digest);
    memcpy(words, digest.bytes, sizeof words);
    uint64_t folded = words[0] ^ (words[1] << 1U);
    return folded == 0 ? 1 : folded;
}

static void check_balance_of(struct sim_node *node)
{
    struct arena arena = {0};
    struct export_view export;
    must(store_export(node->store, &arena, &export), "read the export");
    arena_release(&arena);
    if (export.produced !=
        export.delivered + export.pending + export.dead_lettered + export.discarded) {
        check_fail(node->world, VERDICT_DIVERGED, "node %u: the records do not add up (S4)",
                   node->number);
    }
}

/* Every replica gives the same answers. */
static void check_outcomes(struct sim_node *node, uint64_t value, uint32_t count,
                           const struct apply_outcome *outcomes)
{
    struct world *world = node->world;
    struct sim_proposal *proposal = &world->proposals[value - 1];
    for (uint32_t i = 0; i < count; i++) {
        if (!proposal->applied) {
            proposal->refusals[i] = outcomes[i].refusal;
        } else if (proposal->refusals[i] != outcomes[i].refusal) {
            check_fail(world, VERDICT_DIVERGED, "node %u answers proposal %llu with %s, not %s",
                       node->number, (unsigned long long)value,
                       refusal_name((enum refusal)outcomes[i].refusal),
                       refusal_name((enum refusal)proposal->refusals[i]));
        }
    }
    proposal->applied = true;
}

static bool read_head(struct slice entry, size_t proposal_count, struct entry_head *out)
{
    if (entry.size < sizeof *out) {
        return false;
    }
    memcpy(out, entry.data, sizeof *out);
    size_t size = sizeof *out;
    for (uint32_t i = 0; out->count <= SIM_COMMANDS_MAX && i < out->count; i++) {
        size += out->sizes[i];
    }
    return out->count <= SIM_COMMANDS_MAX && size <= entry.size && out->value > 0 &&
           out->value <= proposal_count;
}

static uint32_t sabotaged_count(const struct sim_node *node, raft_index index, uint32_t count)
{
    enum sabotage sabotage = node->world->options.sabotage;
    bool strikes = index % 16 == 0 && (sabotage == SABOTAGE_RECORD ||
                                       (sabotage == SABOTAGE_REPLICA && node->number == 0));
    return strikes ? 0 : count;
}

static void apply_to_store(struct sim_node *node, raft_index index, struct slice entry)
{
    struct world *world = node->world;
    struct entry_head head;
    struct slice commands[SIM_COMMANDS_MAX];
    struct apply_outcome outcomes[SIM_COMMANDS_MAX];
    if (!read_head(entry, world->proposal_count, &head)) {
        check_fail(world, VERDICT_DIVERGED, "node %u applies garbage at %llu", node->number, index);
        return;
    }
    const uint8_t *at = (const uint8_t *)entry.data + sizeof head;
    for (uint32_t i = 0; i < head.count; i++) {
        commands[i] = (struct slice){.data = at, .size = head.sizes[i]};
        at += head.sizes[i];
    }
    head.count = sabotaged_count(node, index, head.count);
    bool is_skipped = index <= store_applied_index(node->store);
    must(store_apply(node->store, index, commands, head.count, outcomes), "apply");
    if (world->whole != NULL) {
        site_applied(node);
    }
    if (is_skipped && world->options.mutant == MUTANT_INDEX) {
        index = store_applied_index(node->store) + 1;
        must(store_apply(node->store, index, commands, head.count, outcomes), "apply");
    } else if (is_skipped) {
        world->skipped_count++;
        return;
    }
    node->digest = fold_digest(node);
    if (world->whole != NULL && !world->proposals[head.value - 1].applied && head.count > 0) {
        whole_check_applied(node, commands[0], outcomes[0].refusal);
    }
    check_outcomes(node, head.value, head.count, outcomes);
    check_balance_of(node);
    check_digest(node, index);
    if (draw(world, 100) < FLUSH_PERCENT) {
        must(store_flush(node->store), "flush");
    }
}

void machine_apply(struct sim_node *node, raft_index index, const struct raft_buffer *entry)
{
    uint64_t value;
    memcpy(&value, entry->base, sizeof value);
    if (!check_applied(node, index, value)) {
        return;
    }
    if (node->store != NULL) {
        apply_to_store(node, index, (struct slice){.data = entry->base, .size = entry->len});
        return;
    }
    node->digest = (node->digest ^ value ^ (index << 32U)) * UINT64_C(0x100000001B3);
    check_digest(node, index);
}

/* ---- Snapshots ---- */

/* The store's state is that of the last command at or below its index, as all others had it. */
static void check_store(struct sim_node *node)
{
    struct world *world = node->world;
    uint64_t index = store_applied_index(node->store);
    index = index < SIM_INDEX_MAX ? index : SIM_INDEX_MAX - 1;
    while (index > 0 && world->digests[index] == 0) {
        index--;
    }
    if (index > 0 && fold_digest(node) != world->digests[index]) {
        check_fail(world, VERDICT_DIVERGED, "node %u: its store differs at %llu", node->number,
                   (unsigned long long)index);
    }
}

void machine_snapshot(struct sim_node *node, uint64_t manifest[2])
{
    if (node->store != NULL) {
        raft_index index = raft_last_applied(node->raft);
        must(store_apply(node->store, index, NULL, 0, NULL), "move the applied index");
        if (node->world->options.sabotage != SABOTAGE_SNAPSHOT) {
            must(store_sync(node->store), "sync");
        }
        check_store(node);
    }
    manifest[0] = node->applied;
    manifest[1] = node->store == NULL ? node->digest : 0; /* A store may be ahead of its log. */
}

void machine_restore(struct sim_node *node, const uint64_t manifest[2])
{
    node->applied = manifest[0];
    node->digest = manifest[1];
    if (node->store == NULL) {
        check_restored(node);
        return;
    }
    if (store_applied_index(node->store) < manifest[0]) {
        check_fail(node->world, VERDICT_LOST,
                   "node %u: its store is at %llu, its log begins at %llu", node->number,
                   (unsigned long long)store_applied_index(node->store),
                   (unsigned long long)manifest[0]);
    }
    check_store(node);
}

/* Will libraft answer this offer without installing anything? As consensus/snapshot.c has it. */
static bool is_needless(const struct sim_node *node, const struct raft_install_snapshot *offer)
{
    const struct raft *raft = node->raft;
    raft_term term = raft_view_term(raft, offer->last_index);
    return offer->term < raft->current_term || raft->log.snapshot.last_index >= offer->last_index ||
           (term != 0 && term >= offer->last_term) ||
           store_applied_index(node->store) >= offer->last_index;
}

bool machine_fetch(struct sim_node *to, struct sim_node *from,
                   const struct raft_install_snapshot *offer)
{
    if (to->store == NULL || is_needless(to, offer)) {
        return true;
    }
    if (!from->alive || from->paused) {
        return false; /* The leader, whoever that is then, offers it again. */
    }
    char path[SIM_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/image", to->world->options.scratch);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        abort();
    }
    must(store_image_write(from->store, fd), "write an image");
    (void)close(fd);
    must(store_image_install(to->store, path, offer->last_index), "install an image");
    power_installed(to);
    if (to->world->whole != NULL) {
        site_applied(to);
    }
    check_store(to);
    to->world->images_installed++;
    return true;
}

/* ---- The end ---- */

static void count_one(const struct record_view *record, unsigned char *counts, size_t number_max)
{
    char text[32];
    if (record->kind != RECORD_KIND || !slice_to_text(record->id, text, sizeof text)) {
        return;
    }
    uint64_t number = strtoull(text, NULL, 10);
    if (number < number_max && counts[number] < UINT8_MAX) {
        counts[number]++;
    }
}

static void count_records(struct sim_node *node, unsigned char *counts, size_t number_max)
{
    struct record_search search = {.count_max = PAGE_COUNT};
    bool more = true;
    while (more) {
        struct arena arena = {0};
        struct codec_list list;
        must(store_search(node->store, &arena, &search, &list, &more), "search");
        const struct record_view *records = list.items;
        for (size_t i = 0; i < list.count; i++) {
            search.before_sequence = records[i].sequence;
            count_one(&records[i], counts, number_max);
        }
        more = more && list.count > 0;
        arena_release(&arena);
    }
}

/* A record that was trimmed is rightly gone. */
static void check_acknowledged(struct world *world, const struct sim_proposal *proposal,
                               const unsigned char *counts)
{
    for (unsigned i = 0; i < SIM_COMMANDS_MAX; i++) {
        uint64_t number = record_number(proposal->value, i);
        if ((proposal->records & 1U << i) == 0 || proposal->refusals[i] != REFUSAL_NONE) {
            continue;
        }
        world->records_checked++;
        if (counts[number] == 0) {
            check_fail(world, VERDICT_LOST, "record %llu was acknowledged and is not there",
                       (unsigned long long)number);
        }
    }
}

static void check_records(struct world *world, struct sim_node *node)
{
    size_t number_max = (size_t)record_number(SIM_PROPOSALS_MAX + 1, 0);
    unsigned char *counts = calloc(number_max, 1);
    if (counts == NULL) {
        abort();
    }
    count_records(node, counts, number_max);
    for (size_t i = 0; i < number_max; i++) {
        if (counts[i] > 1) {
            check_fail(world, VERDICT_DIVERGED, "record %zu is there %u times", i, counts[i]);
        }
    }
    for (size_t i = 0; i < world->proposal_count && !world->trims; i++) {
        if (world->proposals[i].acknowledged) {
            check_acknowledged(world, &world->proposals[i], counts);
        }
    }
    free(counts);
}

/* Bring the applied index to the highest among them, past what is no command, and compare all. */
static void check_deep(struct world *world, raft_index applied)
{
    uint64_t index = 0;
    struct store_digest first = {0};
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        uint64_t at = node->store == NULL ? 0 : store_applied_index(node->store);
        index = node->applied == applied && at > index ? at : index;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        struct store_digest digest;
        if (node->store == NULL || node->applied != applied) {
            continue;
        }
        must(store_apply(node->store, index, NULL, 0, NULL), "move the applied index");
        must(store_digest_deep(node->store, &digest), "read all tables");
        if (first.index == 0) {
            first = digest;
        } else if (memcmp(first.bytes, digest.bytes, sizeof first.bytes) != 0) {
            check_fail(world, VERDICT_DIVERGED, "node %u: its tables differ at the end", i);
        }
    }
}

void machine_check_end(struct world *world)
{
    struct sim_node *node = NULL;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *other = &world->nodes[i];
        if (other->store != NULL && (node == NULL || other->applied > node->applied)) {
            node = other;
        }
    }
    if (node == NULL || node->applied == 0) {
        return;
    }
    check_deep(world, node->applied);
    check_records(world, node);
}
