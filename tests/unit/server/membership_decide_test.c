/*
 * What the membership worker decides, by rows; membership_sim_test.c lets it work by seed.
 *
 * A row describes each node by letters: state (m member, j joining, r removed, - none; members with
 * damaged data: t told, q asked to be let out, o out), raft role
 * (v voter, s standby, p spare, - none), and health (a alive and caught up, l alive and lagging,
 * q quiet for a moment, d dead). The first node is the leader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_decide.h"

#include "scratch.h"

#define NODES_MAX 10
#define LAST_INDEX 100000
#define NOW_MS 1000000
#define JOIN_TIMEOUT_MS 60000
#define SILENT_AFTER_MS 2000
#define DEAD_AFTER_MS 20000

struct world {
    struct member members[NODES_MAX];
    size_t member_count;
    struct consensus_status raft;
};

static void add_node(struct world *world, uint64_t node_id, const char *letters)
{
    if (letters[0] != '-') {
        world->members[world->member_count++] = (struct member){
            .node_id = node_id,
            .standing = letters[0] == 'j'   ? STANDING_JOINING
                        : letters[0] == 'r' ? STANDING_REMOVED
                                            : STANDING_MEMBER,
            .quarantine = letters[0] == 'q'   ? QUARANTINE_ASKED
                          : letters[0] == 'o' ? QUARANTINE_OUT
                          : letters[0] == 't' ? QUARANTINE_TOLD
                                              : QUARANTINE_NONE,
            .since_ms = NOW_MS - 1000,
        };
    }
    if (letters[1] != '-') {
        bool alive = letters[2] != 'd' && letters[2] != 'q';
        world->raft.members[world->raft.member_count++] = (struct consensus_member){
            .node_id = node_id,
            .role = letters[1] == 'v'   ? MEMBER_VOTER
                    : letters[1] == 's' ? MEMBER_STANDBY
                                        : MEMBER_SPARE,
            .match_index = letters[2] == 'a' ? LAST_INDEX : 1,
            .heard_ms_ago = alive               ? 50
                            : letters[2] == 'q' ? SILENT_AFTER_MS
                                                : DEAD_AFTER_MS + 1000 + node_id,
            .connected = alive,
        };
    }
}

static void make_world(struct world *world, const char *letters)
{
    *world = (struct world){.raft = {.last_index = LAST_INDEX}};
    uint64_t node_id = 1;
    for (const char *at = letters; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
        add_node(world, node_id++, at);
    }
}

static struct membership_action decide(const struct world *world, uint64_t voters, uint64_t now_ms,
                                       bool giving_way)
{
    const struct membership_view view = {
        .members = world->members,
        .member_count = world->member_count,
        .raft = &world->raft,
        .self_id = 1,
        .voters_wanted = voters,
        .now_ms = now_ms,
        .join_timeout_ms = JOIN_TIMEOUT_MS,
        .quiet_ms = now_ms - NOW_MS,
        .silent_after_ms = SILENT_AFTER_MS,
        .dead_after_ms = DEAD_AFTER_MS,
        .giving_way = giving_way,
    };
    return membership_decide(&view);
}

struct row {
    const char *name;
    const char *nodes;
    enum membership_step step;
    uint64_t node_id;
};

static void check_rows(const struct row *rows, size_t count, uint64_t voters, bool giving_way)
{
    for (size_t i = 0; i < count; i++) {
        struct world world;
        make_world(&world, rows[i].nodes);
        struct membership_action action = decide(&world, voters, NOW_MS, giving_way);
        check_row(rows[i].name);
        CHECK_U64(action.step, rows[i].step);
        CHECK_U64(action.node_id, rows[i].node_id);
    }
}

static void test_rows(void **state)
{
    static const struct row rows[] = {
        {"alone", "mva", MEMBERSHIP_NOTHING, 0},
        {"alone, and locked to join elsewhere", "jva", MEMBERSHIP_NOTHING, 0},
        {"three that are settled", "mva mva mva", MEMBERSHIP_NOTHING, 0},
        {"admitted, not yet in raft", "mva j-d", MEMBERSHIP_ADD, 2},
        {"a spare gets the data", "mva jpd", MEMBERSHIP_STANDBY, 2},
        {"it has not caught up", "mva jsl", MEMBERSHIP_NOTHING, 0},
        {"it has caught up", "mva jsa", MEMBERSHIP_CONFIRM, 2},
        {"one lags, and the next one is not kept waiting", "mva jsl j-d", MEMBERSHIP_ADD, 3},
        {"two members: one votes", "mva msa", MEMBERSHIP_NOTHING, 0},
        {"three members: a second votes", "mva msa msa", MEMBERSHIP_VOTER, 2},
        {"and a third", "mva mva msa", MEMBERSHIP_VOTER, 3},
        {"three members of which one is dead: one votes", "mva msa msd", MEMBERSHIP_NOTHING, 0},
        {"a fourth stands by", "mva mva mva msa", MEMBERSHIP_NOTHING, 0},
        {"one that joins does not vote yet", "mva msa jsl", MEMBERSHIP_NOTHING, 0},
        {"a dead voter makes room", "mva mvd mva msa", MEMBERSHIP_STANDBY, 2},
        {"one that is quiet for a moment does not", "mva mvq mva msa", MEMBERSHIP_NOTHING, 0},
        {"then the standby votes", "mva msd mva msa", MEMBERSHIP_VOTER, 4},
        {"the dead one is back and stands by", "mva msa mva mva", MEMBERSHIP_NOTHING, 0},
        {"no standby to take its place", "mva mvd mva", MEMBERSHIP_NOTHING, 0},
        {"nor one that lags", "mva mvd mva msl", MEMBERSHIP_NOTHING, 0},
        {"two and nobody for the third place", "mva mva msd", MEMBERSHIP_NOTHING, 0},
        {"removed from the state", "mva rva mva", MEMBERSHIP_DROP, 2},
        {"unknown to the state", "mva -va mva", MEMBERSHIP_DROP, 2},
        {"it went, and too few would be left", "mva rva mvq", MEMBERSHIP_NOTHING, 0},
        {"a standby goes whoever is silent", "mva mvq mvq rsa", MEMBERSHIP_DROP, 4},
        {"two voters left: one too many", "mva mva", MEMBERSHIP_STANDBY, 2},
        {"the leader itself is removed", "rva mva mva", MEMBERSHIP_HAND_OVER, 1},
        {"it is the only voter: a standby first", "rva msl msa", MEMBERSHIP_VOTER, 3},
        {"removal goes before arrival", "mva rva mva j-d", MEMBERSHIP_DROP, 2},
    };
    (void)state;
    check_rows(rows, sizeof rows / sizeof rows[0], 3, false);
}

static void test_damaged(void **state)
{
    static const struct row rows[] = {
        {"it is let out", "mva qvd mva", MEMBERSHIP_DROP, 2},
        {"though it still answers", "mva qva mva", MEMBERSHIP_DROP, 2},
        {"of two voters, too", "mva qvd", MEMBERSHIP_DROP, 2},
        {"but not below a quorum", "mva qvd mvd", MEMBERSHIP_NOTHING, 0},
        {"a standby is let out, too", "mva mva mva qsd", MEMBERSHIP_DROP, 4},
        {"out of raft: the state says so", "mva q-d mva", MEMBERSHIP_OUT, 2},
        {"then nothing until it asks", "mva o-d mva", MEMBERSHIP_NOTHING, 0},
        {"but another votes in its place", "mva o-d mva msa", MEMBERSHIP_VOTER, 4},
        {"back: added as one that joins", "mva m-d mva", MEMBERSHIP_ADD, 2},
        {"back: a spare gets the data", "mva mpd mva", MEMBERSHIP_STANDBY, 2},
        {"back: it votes when it has it", "mva msa mva", MEMBERSHIP_VOTER, 2},
        {"back: not before", "mva msl mva", MEMBERSHIP_NOTHING, 0},
        {"told: it stays what it is", "mva tvd mva", MEMBERSHIP_NOTHING, 0},
        {"told: it is not made a voter", "mva tsa mva", MEMBERSHIP_NOTHING, 0},
        {"the leader itself is damaged", "qva mva mva", MEMBERSHIP_HAND_OVER, 1},
        {"and the only voter", "qva msa", MEMBERSHIP_VOTER, 2},
    };
    (void)state;
    check_rows(rows, sizeof rows / sizeof rows[0], 3, false);
}

static void test_other_counts(void **state)
{
    static const struct row to_five[] = {
        {"raised: a fourth", "mva mva mva msa msa", MEMBERSHIP_VOTER, 4},
        {"and a fifth", "mva mva mva mva msa", MEMBERSHIP_VOTER, 5},
        {"not a fourth when there is no fifth", "mva mva mva msa msd", MEMBERSHIP_NOTHING, 0},
        {"the fifth died on the way", "mva mvl mva mva msd", MEMBERSHIP_STANDBY, 2},
        {"of two dead the one silent longer", "mva mvd mva mvd mva msa", MEMBERSHIP_STANDBY, 4},
        {"two dead and nobody else: they stay", "mva mvd mva mvd mva", MEMBERSHIP_NOTHING, 0},
    };
    static const struct row to_one[] = {
        {"lowered: never the leader", "mva mva mva", MEMBERSHIP_STANDBY, 2},
        {"the silent one first", "mva mva mvq", MEMBERSHIP_STANDBY, 3},
        {"then the other", "mva mva msa", MEMBERSHIP_STANDBY, 2},
        {"one", "mva msa msa", MEMBERSHIP_NOTHING, 0},
    };
    static const struct row giving_way[] = {
        {"an heir is made", "mva msl msa", MEMBERSHIP_VOTER, 3},
        {"and stays a voter", "mva msl mva", MEMBERSHIP_NOTHING, 0},
        {"nobody can", "mva msl msd", MEMBERSHIP_NOTHING, 0},
    };
    (void)state;
    check_rows(to_five, sizeof to_five / sizeof to_five[0], 5, false);
    check_rows(to_one, sizeof to_one / sizeof to_one[0], 1, false);
    check_rows(giving_way, sizeof giving_way / sizeof giving_way[0], 1, true);
}

/* Who may go at once: its removal takes effect before raft has dropped it. */
static void test_may_go(void **state)
{
    static const struct {
        const char *name;
        const char *nodes;
        bool may;
    } rows[] = {
        {"a standby", "mva msa", true},
        {"one of three", "mva mva mva", true},
        {"one of three, and another is down", "mva mva mvq", false},
        {"the one that is down", "mva mvq mva", true},
        {"one of three, and another is going", "mva mva rva", false},
        {"one of five, and another is down", "mva mva mva mvd mva", true},
        {"one of five, and two are down", "mva mva mva mvd mvd", false},
        {"a stranger", "mva --a mva mva", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        make_world(&world, rows[i].nodes);
        const struct membership_view view = {
            .members = world.members,
            .member_count = world.member_count,
            .raft = &world.raft,
            .self_id = 1,
            .silent_after_ms = SILENT_AFTER_MS,
        };
        check_row(rows[i].name);
        CHECK_U64(membership_may_go(&view, 2), rows[i].may);
    }
}

static void test_never_came(void **state)
{
    static const struct {
        const char *name;
        const char *nodes;
        uint64_t after_ms;
        enum membership_step step;
    } rows[] = {
        {"it has its time", "mva jsd", JOIN_TIMEOUT_MS, MEMBERSHIP_NOTHING},
        {"and has had it", "mva jsd", JOIN_TIMEOUT_MS + 1, MEMBERSHIP_ROLL_BACK},
        {"a spare that is not there", "mva jpd", JOIN_TIMEOUT_MS + 1, MEMBERSHIP_ROLL_BACK},
        {"it only lags", "mva jsl", 2 * JOIN_TIMEOUT_MS, MEMBERSHIP_NOTHING},
        {"its turn had not come yet", "mva j-d", 2 * JOIN_TIMEOUT_MS, MEMBERSHIP_ADD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        make_world(&world, rows[i].nodes);
        check_row(rows[i].name);
        CHECK_U64(decide(&world, 3, NOW_MS + rows[i].after_ms, false).step, rows[i].step);
    }
}

static void test_voter_counts(void **state)
{
    static const struct {
        uint64_t members;
        uint64_t wanted;
        uint64_t voters;
    } rows[] = {{1, 3, 1}, {2, 3, 1}, {3, 3, 3},  {4, 3, 3},
                {4, 5, 3}, {5, 5, 5}, {20, 7, 7}, {0, 3, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_U64(membership_voters(rows[i].members, rows[i].wanted), rows[i].voters);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_other_counts),
        cmocka_unit_test(test_damaged),    cmocka_unit_test(test_may_go),
        cmocka_unit_test(test_never_came), cmocka_unit_test(test_voter_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
