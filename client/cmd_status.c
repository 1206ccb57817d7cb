/*
 * `muster cluster status`: everything an operator asks first, on one page.
 *
 *     cluster       mail-eu (3 members), asked at esa1
 *     leader        esa2, term 7
 *     quorum        yes; 1 more voter may fail
 *     registration  registered with AMERICAS as esa1, since 2026-11-22 09:01:12
 *     export        waiting for data, by esa2; 1,234 produced = 1,200 delivered + 34 pending ...
 *     storage       12.1 MiB of 1.0 GiB, log 3.0 MiB
 *     catching up   esa3, 412.0 MiB of 1.0 GiB (40 %), 31.9 MiB/s
 *
 *     NAME  ROLE     STATE      LAG  VERSION  HEARD  ADDRESS
 *     esa1  voter    connected    0  0.1.0    ...
 *
 *     What is wrong
 *     ! esa3 was not heard for 3 min
 *       Check its power and its network; ...
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "cli_output.h"
#include "cmd.h"

#define TITLE_WIDTH 14

static void print_title(struct cli *cli, const char *title)
{
    (void)printf("%s%-*s%s", output_colour(cli, COLOUR_FAINT), TITLE_WIDTH, title,
                 output_plain(cli));
}

static bool is_word(struct slice text, const char *word)
{
    return slice_equal(text, slice_of(word));
}

static void print_coloured(struct cli *cli, enum colour colour, struct slice text)
{
    (void)printf("%s%s%s", output_colour(cli, colour), output_safe(&cli->arena, text),
                 output_plain(cli));
}

/* ---- Who ---- */

static void print_cluster(struct cli *cli, const struct rpc_cluster_status *status)
{
    char room[OUTPUT_TEXT_SIZE];
    print_title(cli, "cluster");
    if (is_word(status->standing, "standalone")) {
        (void)printf("none: this node stands alone");
    } else {
        print_coloured(cli, COLOUR_BOLD, status->name);
        (void)printf(", %zu member%s", status->members.count,
                     status->members.count == 1 ? "" : "s");
    }
    (void)printf("; asked at %s", output_safe(&cli->arena, status->node_name));
    if (!is_word(status->standing, "standalone") && !is_word(status->standing, "member")) {
        (void)printf(", which is ");
        print_coloured(cli, COLOUR_WARN, status->standing);
    }
    if (status->freshness.stale) {
        (void)printf("; %sas of %s ago%s", output_colour(cli, COLOUR_WARN),
                     output_span(status->freshness.age_ms, room), output_plain(cli));
    }
    (void)printf("\n");
}

static void print_leader(struct cli *cli, const struct rpc_cluster_status *status)
{
    print_title(cli, "leader");
    if (status->leader.size == 0) {
        (void)printf("%snone%s, term %llu\n", output_colour(cli, COLOUR_BAD), output_plain(cli),
                     (unsigned long long)status->term);
    } else {
        print_coloured(cli, COLOUR_BOLD, status->leader);
        (void)printf(", term %llu\n", (unsigned long long)status->term);
    }
}

/* Only a leader hears the other nodes; what is not stale, a leader told. */
static bool told_by_leader(const struct rpc_cluster_status *status)
{
    return !status->freshness.stale || slice_equal(status->leader, status->node_name);
}

/* "3 of 5 voters wanted" while they are being made as many, or cannot be. */
static void print_voters_wanted(const struct rpc_cluster_status *status, size_t voters)
{
    if (status->voters != 0 && voters != status->voters && status->members.count > voters) {
        (void)printf("; %zu of %llu wanted vote", voters, (unsigned long long)status->voters);
    }
    (void)printf("\n");
}

static void print_quorum(struct cli *cli, const struct rpc_cluster_status *status)
{
    size_t voters = 0;
    const struct rpc_member *members = status->members.items;
    for (size_t i = 0; i < status->members.count; i++) {
        voters += is_word(members[i].role, "voter");
    }
    print_title(cli, "quorum");
    if (!status->quorum) {
        (void)printf("%sno%s: reads are stale, changes are refused", output_colour(cli, COLOUR_BAD),
                     output_plain(cli));
    } else if (!told_by_leader(status)) {
        (void)printf("%syes%s; the leader knows how many of %zu voters may fail",
                     output_colour(cli, COLOUR_GOOD), output_plain(cli), voters);
    } else if (status->can_lose == 0) {
        (void)printf("%syes, but no voter may fail%s (%zu voter%s)",
                     output_colour(cli, voters > 2 ? COLOUR_WARN : COLOUR_NONE), output_plain(cli),
                     voters, voters == 1 ? "" : "s");
    } else {
        (void)printf("%syes%s, can lose %llu more of %zu voters", output_colour(cli, COLOUR_GOOD),
                     output_plain(cli), (unsigned long long)status->can_lose, voters);
    }
    print_voters_wanted(status, voters);
}

/* ---- Registration and export ---- */

static enum colour registration_colour(struct slice state)
{
    if (is_word(state, "registered")) {
        return COLOUR_GOOD;
    }
    if (is_word(state, "failed")) {
        return COLOUR_BAD;
    }
    bool moving = is_word(state, "registering") || is_word(state, "deregistering");
    return moving ? COLOUR_WARN : COLOUR_NONE;
}

static void print_registration_line(struct cli *cli, const struct rpc_registration *registration)
{
    char room[OUTPUT_TEXT_SIZE];
    print_coloured(cli, registration_colour(registration->state), registration->state);
    if (registration->region.size > 0) {
        (void)printf(", region %s", output_safe(&cli->arena, registration->region));
    }
    if (registration->machine.size > 0) {
        (void)printf(", as %s", output_safe(&cli->arena, registration->machine));
    }
    if (registration->since_ms > 0) {
        (void)printf(", since %s", output_time(registration->since_ms, room));
    }
    if (registration->attempt > 1) {
        (void)printf(", attempt %llu", (unsigned long long)registration->attempt);
    }
    if (registration->next_try_ms > 0 && registration->error.size > 0) {
        (void)printf(", next try %s", output_time(registration->next_try_ms, room));
    }
    if (registration->error.size > 0) {
        (void)printf(", last error: %s", output_safe(&cli->arena, registration->error));
    }
    (void)printf("\n");
}

int cmd_show_registration(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"state", "state", COLUMN_TEXT},
        {"region", "region", COLUMN_TEXT},
        {"mode", "mode", COLUMN_TEXT},
        {"machine", "machine", COLUMN_TEXT},
        {"serial", "serial", COLUMN_TEXT},
        {"device", "device_id", COLUMN_TEXT},
        {"tenant", "tenant", COLUMN_TEXT},
        {"epoch", "epoch", COLUMN_TEXT},
        {"since", "since_ms", COLUMN_TIME},
        {"attempt", "attempt", COLUMN_TEXT},
        {"next try", "next_try_ms", COLUMN_TIME},
        {"error code", "error_code", COLUMN_TEXT},
        {"error", "error", COLUMN_TEXT},
        {"certificate until", "not_after_ms", COLUMN_TIME},
    };
    if (compact) {
        print_registration_line(cli, result);
        return 0;
    }
    return output_facts(cli, &rpc_registration_codec, result, columns,
                        sizeof(columns) / sizeof(columns[0]));
}

static void print_balance(const struct rpc_export *export)
{
    char produced[OUTPUT_TEXT_SIZE];
    char delivered[OUTPUT_TEXT_SIZE];
    char pending[OUTPUT_TEXT_SIZE];
    char dead[OUTPUT_TEXT_SIZE];
    char discarded[OUTPUT_TEXT_SIZE];
    (void)printf("%s produced = %s delivered + %s pending + %s dead letters + %s discarded",
                 output_count(export->produced, produced),
                 output_count(export->delivered, delivered), output_count(export->pending, pending),
                 output_count(export->dead_lettered, dead),
                 output_count(export->discarded, discarded));
}

static void print_export_line(struct cli *cli, const struct rpc_export *export)
{
    char room[OUTPUT_TEXT_SIZE];
    enum colour colour = export->paused || export->last_error.size > 0 ? COLOUR_WARN : COLOUR_NONE;
    print_coloured(cli, colour, export->state);
    if (export->exporter.size > 0) {
        (void)printf(", by %s", output_safe(&cli->arena, export->exporter));
    }
    (void)printf("; ");
    print_balance(export);
    (void)printf("; last delivery %s\n", output_ago(export->delivered_at_ms, room));
}

int cmd_show_export(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"state", "state", COLUMN_TEXT},
        {"exporter", "exporter", COLUMN_TEXT},
        {"paused", "paused", COLUMN_YES_NO},
        {"paused because", "pause_reason", COLUMN_TEXT},
        {"last delivery", "delivered_at_ms", COLUMN_TIME},
        {"last error", "last_error", COLUMN_TEXT},
        {"cloud pause until", "cloud_pause_until_ms", COLUMN_TIME},
        {"cloud pause because", "cloud_pause_reason", COLUMN_TEXT},
        {"duplicates", "duplicates", COLUMN_COUNT},
        {"pending at most", "outbox_max", COLUMN_COUNT},
        {"bundles sent", "bundles_sent", COLUMN_COUNT},
        {"calls left", "quota_remaining", COLUMN_COUNT},
        {"calls in the last hour", "calls_last_hour", COLUMN_COUNT},
        {"calls an hour at most", "quota_limit", COLUMN_COUNT},
    };
    const struct rpc_export *export = result;
    if (compact) {
        print_export_line(cli, export);
        return 0;
    }
    print_balance(export);
    (void)printf("\n");
    struct rpc_export shown = *export;
    shown.quota_limit = export->quota_limit == 0 ? UINT64_MAX : export->quota_limit;
    return output_facts(cli, &rpc_export_codec, &shown, columns,
                        sizeof(columns) / sizeof(columns[0]));
}

/* ---- Members ---- */

struct member_row {
    struct slice name;
    struct slice role;
    struct slice state;
    uint64_t lag;
    struct slice version;
    struct slice heard;
    struct slice address;
};

static const struct codec_field member_row_fields[] = {
    CODEC_FIELD(struct member_row, 1, name, CODEC_TEXT, 0),
    CODEC_FIELD(struct member_row, 2, role, CODEC_TEXT, 0),
    CODEC_FIELD(struct member_row, 3, state, CODEC_TEXT, 0),
    CODEC_FIELD(struct member_row, 4, lag, CODEC_U64, 0),
    CODEC_FIELD(struct member_row, 5, version, CODEC_TEXT, 0),
    CODEC_FIELD(struct member_row, 6, heard, CODEC_TEXT, 0),
    CODEC_FIELD(struct member_row, 7, address, CODEC_TEXT, 0),
};
static const struct codec member_row_codec =
    CODEC(struct member_row, "member_row", member_row_fields);

static struct slice member_state(const struct rpc_member *member, bool by_leader)
{
    if (!is_word(member->standing, "member") && !is_word(member->standing, "standalone")) {
        return member->standing;
    }
    if (member->leader) {
        return slice_of("leader");
    }
    if (member->self) {
        return slice_of("connected");
    }
    if (!by_leader) {
        return slice_of("not known");
    }
    return slice_of(member->connected ? "connected" : "NOT REACHED");
}

static void fill_member_row(struct cli *cli, const struct rpc_member *member, bool by_leader,
                            struct member_row *row)
{
    char heard[OUTPUT_TEXT_SIZE] = "";
    if (by_leader && !member->self) {
        (void)output_span(member->heard_ms_ago, heard);
    }
    *row = (struct member_row){
        .name = member->name,
        .role = member->role,
        .state = member_state(member, by_leader),
        .lag = member->lag,
        .version = member->version,
        .heard = arena_copy(&cli->arena, slice_of(heard)),
        .address = member->rpc_address,
    };
}

static int print_members(struct cli *cli, const struct codec_list *list, bool by_leader)
{
    static const struct column columns[] = {
        {"NAME", "name", COLUMN_TEXT},       {"ROLE", "role", COLUMN_TEXT},
        {"STATE", "state", COLUMN_TEXT},     {"LAG", "lag", COLUMN_COUNT},
        {"VERSION", "version", COLUMN_TEXT}, {"HEARD", "heard", COLUMN_TEXT},
        {"ADDRESS", "address", COLUMN_TEXT},
    };
    struct member_row *rows = arena_alloc(&cli->arena, list->count, sizeof(*rows));
    if (rows == NULL) {
        return cli_explain_status(cli, fail(STATUS_NO_MEMORY, "show the members"));
    }
    for (size_t i = 0; i < list->count; i++) {
        fill_member_row(cli, (const struct rpc_member *)list->items + i, by_leader, &rows[i]);
    }
    struct codec_list shown = {.items = rows, .count = list->count};
    return output_list(cli, &member_row_codec, &shown, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no members.");
}

void cmd_print_problems(struct cli *cli, const struct codec_list *problems)
{
    const struct rpc_problem *items = problems->items;
    for (size_t i = 0; i < problems->count; i++) {
        (void)printf("%s!%s %s\n", output_colour(cli, COLOUR_BAD), output_plain(cli),
                     output_safe(&cli->arena, items[i].what));
        if (items[i].remedy.size > 0) {
            (void)printf("  %s\n", output_safe(&cli->arena, items[i].remedy));
        }
    }
}

/* ---- Catching up ---- */

static void print_catching_up(struct cli *cli, const struct codec_list *list)
{
    const struct rpc_member *members = list->items;
    for (size_t i = 0; i < list->count; i++) {
        const struct rpc_member *member = &members[i];
        char done[OUTPUT_TEXT_SIZE];
        char whole[OUTPUT_TEXT_SIZE];
        char rate[OUTPUT_TEXT_SIZE];
        if (!member->catching_up) {
            continue;
        }
        print_title(cli, "catching up");
        (void)printf("%s", output_safe(&cli->arena, member->name));
        if (member->image_size == 0) {
            (void)printf(", an image is being prepared for it\n");
            continue;
        }
        double share = (double)member->image_done * 100 / (double)member->image_size;
        (void)printf(", %s of %s (%.0f %%), %s/s\n", output_size(member->image_done, done),
                     output_size(member->image_size, whole), share < 100 ? share : 100,
                     output_size(member->image_rate, rate));
    }
}

/* ---- The page ---- */

static int show_status(struct cli *cli, const void *result, bool compact)
{
    const struct rpc_cluster_status *status = result;
    char used[OUTPUT_TEXT_SIZE];
    char most[OUTPUT_TEXT_SIZE];
    char log[OUTPUT_TEXT_SIZE];
    if (compact) {
        (void)printf("leader %s, term %llu, quorum %s, %zu problem%s; registration %s; export ",
                     status->leader.size > 0 ? output_safe(&cli->arena, status->leader) : "none",
                     (unsigned long long)status->term, status->quorum ? "yes" : "no",
                     status->problems.count, status->problems.count == 1 ? "" : "s",
                     output_safe(&cli->arena, status->registration.state));
        print_export_line(cli, &status->export);
        return 0;
    }
    print_cluster(cli, status);
    print_leader(cli, status);
    print_quorum(cli, status);
    print_title(cli, "registration");
    print_registration_line(cli, &status->registration);
    print_title(cli, "export");
    print_export_line(cli, &status->export);
    print_title(cli, "storage");
    (void)printf("%s of %s, log %s, %llu entries applied of %llu\n",
                 output_size(status->store_used, used), output_size(status->store_max, most),
                 output_size(status->log_size, log), (unsigned long long)status->applied_index,
                 (unsigned long long)status->last_index);
    print_catching_up(cli, &status->members);
    (void)printf("\n");
    int exit_code = print_members(cli, &status->members, told_by_leader(status));
    if (status->problems.count > 0) {
        (void)printf("\n%sWhat is wrong%s\n", output_colour(cli, COLOUR_BOLD), output_plain(cli));
        cmd_print_problems(cli, &status->problems);
    }
    return exit_code;
}

int cmd_cluster_status(struct cli *cli)
{
    struct rpc_cluster_status status = {0};
    return cmd_read(cli, RPC_CLUSTER_STATUS, &status, show_status);
}

static int show_members(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"NAME", "name", COLUMN_TEXT},
        {"ID", "node_id", COLUMN_TEXT},
        {"SERIAL", "serial", COLUMN_TEXT},
        {"STANDING", "standing", COLUMN_TEXT},
        {"ROLE", "role", COLUMN_TEXT},
        {"PEER ADDRESS", "peer_address", COLUMN_TEXT},
        {"RPC ADDRESS", "rpc_address", COLUMN_TEXT},
        {"CERTIFICATE UNTIL", "certificate_not_after_ms", COLUMN_TIME},
    };
    const struct rpc_members *members = result;
    (void)compact;
    return output_list(cli, &rpc_member_codec, &members->members, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no members.");
}

int cmd_cluster_members(struct cli *cli)
{
    struct rpc_members members = {0};
    return cmd_read(cli, RPC_CLUSTER_MEMBERS, &members, show_members);
}
