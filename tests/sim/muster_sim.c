/*
 * muster-sim: run the simulated cluster over many seeds, each in a process of its own, and say
 * which of them came out wrong. Exits 0 if none did, 1 otherwise, 2 on a usage error.
 *
 *     muster-sim --seeds 1..4000 --nodes 3                      over the real store
 *     muster-sim --seeds 1..10000 --machine digest              much faster
 *     muster-sim --seeds 1..300 --guard off --stop-at-first     the negative control
 *     muster-sim --seeds 1..4000 --guard -ACKCLAMP              what one rule is worth
 *     muster-sim --whole --seeds 1..1000                        whole nodes, and a cloud
 *     muster-sim --trace 183                                    one seed, step by step
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "sim.h"
#include "whole.h"

#define SEED_TIMEOUT_S 60U
#define EXIT_VERDICT 64 /* Added to a verdict, so that no sanitizer's exit code looks like one. */

struct soak {
    struct sim_options sim;
    uint64_t first;
    uint64_t last;
    bool stop_at_first;
    bool only_divergence; /* Only a verdict that endangers data counts. */
};

static bool parse_seeds(const char *text, struct soak *soak)
{
    char *end = NULL;
    errno = 0;
    soak->first = strtoull(text, &end, 10);
    soak->last = soak->first;
    if (end != text && strncmp(end, "..", 2) == 0) {
        const char *second = end + 2;
        soak->last = strtoull(second, &end, 10);
    }
    return errno == 0 && *end == '\0' && soak->last >= soak->first;
}

static bool parse_guard(const char *text, struct sim_options *options)
{
    if (strcmp(text, "off") == 0) {
        options->guarded = false;
        return true;
    }
    if (strcmp(text, "all") == 0) {
        return true;
    }
    for (unsigned i = 0; text[0] == '-' && i < GUARD_RULE_COUNT; i++) {
        if (strcmp(text + 1, guard_rule_name(i)) == 0) {
            options->guard_disabled |= 1U << i;
            return true;
        }
    }
    return false;
}

static bool parse_sabotage(const char *text, enum sabotage *out)
{
    static const char *const words[SABOTAGE_COUNT] = {
        [SABOTAGE_SNAPSHOT] = "snapshot",   [SABOTAGE_REPLICA] = "replica",
        [SABOTAGE_RECORD] = "record",       [SABOTAGE_BARRIER] = "barrier",
        [SABOTAGE_EXPORTERS] = "exporters", [SABOTAGE_READ] = "read",
        [SABOTAGE_ADMIT] = "admit",         [SABOTAGE_SECRET] = "secret",
        [SABOTAGE_ANSWER] = "answer",       [SABOTAGE_BODY] = "body",
        [SABOTAGE_REGISTER] = "register",   [SABOTAGE_VOTERS] = "voters",
        [SABOTAGE_LEAVERS] = "leavers",     [SABOTAGE_KEEP] = "keep",
    };
    for (int i = SABOTAGE_NONE + 1; i < SABOTAGE_COUNT; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum sabotage)i;
            return true;
        }
    }
    return false;
}

static bool parse_mutant(const char *text, enum mutant *out)
{
    for (int i = MUTANT_NONE; i < MUTANT_COUNT; i++) {
        if (strcmp(text, mutant_name((enum mutant)i)) == 0) {
            *out = (enum mutant)i;
            return true;
        }
    }
    return false;
}

static bool parse_unsigned(const char *text, unsigned low, unsigned high, unsigned *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *out = (unsigned)value;
    return errno == 0 && end != text && *end == '\0' && value >= low && value <= high;
}

enum {
    KEY_SEEDS = 's',
    KEY_NODES = 'n',
    KEY_GUARD = 'g',
    KEY_MEMBERS = 'm',
    KEY_ROLES = 'o',
    KEY_TRACE = 't',
    KEY_STOP = 'x',
    KEY_STEPS = 'l',
    KEY_DATA = 'd',
    KEY_QUIET = 'q',
    KEY_ROT = 'r',
    KEY_MACHINE = 'f',
    KEY_SABOTAGE = 'b',
    KEY_MUTANT = 'u',
    KEY_WHOLE = 'w'
};

static const struct argp_option option_rows[] = {
    {"seeds", KEY_SEEDS, "A..B", 0, "run these seeds (default 1..100)", 0},
    {"nodes", KEY_NODES, "N", 0, "nodes in the cluster, 1 to 50 (default 3)", 0},
    {"guard", KEY_GUARD, "off|all|-RULE", 0, "without the guard, or without one rule; repeatable",
     0},
    {"members", KEY_MEMBERS, NULL, 0, "change the membership as well", 0},
    {"roles", KEY_ROLES, NULL, 0, "change it as the membership worker decides", 0},
    {"quiet", KEY_QUIET, NULL, 0, "few proposals: leaders without an entry of their own term", 0},
    {"rot", KEY_ROT, NULL, 0, "bits rot in every seed, also with --members; not with --whole", 0},
    {"machine", KEY_MACHINE, "store|digest", 0,
     "what the entries are applied to (default store; digest is fast)", 0},
    {"whole", KEY_WHOLE, NULL, 0, "whole nodes: their workers too, a cloud, operators and feeds",
     0},
    {"sabotage", KEY_SABOTAGE, "NAME", 0,
     "do something wrong, to see that it is noticed: snapshot, replica, record; with --whole also "
     "barrier, exporters, read, admit, secret, answer, body, register, keep; with --roles voters, "
     "leavers",
     0},
    {"mutant", KEY_MUTANT, "NAME", 0,
     "the product without one of its invariants: sync, late-sync, directory, rewrite, checksum, "
     "tail, term, vote, poison, room, index, commit, close, store-sync, image-sync, verify; "
     "with --whole stale-key, exposed-key",
     0},
    {"steps", KEY_STEPS, "N", 0, "steps of bad weather in a seed (default 400)", 0},
    {"trace", KEY_TRACE, "SEED", 0, "run one seed and print what happens", 0},
    {"stop-at-first", KEY_STOP, NULL, 0, "stop at the first seed that comes out wrong", 0},
    {"data-only", KEY_DATA, NULL, 0, "count only what was lost or diverged as wrong", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct soak *soak = state->input;
    bool good = true;
    switch (key) {
    case KEY_SEEDS: good = parse_seeds(text, soak); break;
    case KEY_NODES: good = parse_unsigned(text, 1, SIM_NODES_MAX, &soak->sim.node_count); break;
    case KEY_GUARD: good = parse_guard(text, &soak->sim); break;
    case KEY_MEMBERS: soak->sim.members = true; break;
    case KEY_ROLES: soak->sim.members = soak->sim.roles = true; break;
    case KEY_QUIET: soak->sim.quiet = true; break;
    case KEY_ROT: soak->sim.rot = true; break;
    case KEY_MUTANT: good = parse_mutant(text, &soak->sim.mutant); break;
    case KEY_WHOLE: soak->sim.whole = true; break;
    case KEY_MACHINE:
        soak->sim.real_store = strcmp(text, "store") == 0;
        good = soak->sim.real_store || strcmp(text, "digest") == 0;
        break;
    case KEY_SABOTAGE: good = parse_sabotage(text, &soak->sim.sabotage); break;
    case KEY_STEPS: good = parse_unsigned(text, 1, 5000, &soak->sim.steps); break;
    case KEY_TRACE:
        good = parse_seeds(text, soak);
        soak->sim.trace = true;
        break;
    case KEY_STOP: soak->stop_at_first = true; break;
    case KEY_DATA: soak->only_divergence = true; break;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", text); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (!good) {
        argp_error(state, "'%s' is not a value of this option", text);
    }
    return 0;
}

/* What a child leaves behind for its parent. */
struct result {
    size_t acknowledged;
    uint64_t troubles[TROUBLE_COUNT];
    uint64_t steps;
    size_t images_installed;
    size_t skipped;
    size_t records;
    size_t whole[WHOLE_COUNT_COUNT];
    uint64_t simulated_ms;
    char reason[200];
};

static _Noreturn void run_child(const struct soak *soak, uint64_t seed, struct result *result)
{
    const struct rlimit no_core = {0};
    struct world *world = calloc(1, sizeof *world);
    if (world == NULL || setrlimit(RLIMIT_CORE, &no_core) != 0) {
        abort();
    }
    if (!soak->sim.trace && freopen("/dev/null", "w", stderr) == NULL) {
        abort();
    }
    if (soak->sim.trace) {
        (void)setvbuf(stdout, NULL, _IOLBF, 0); /* A crash takes none of the story with it. */
    }
    (void)alarm(SEED_TIMEOUT_S);
    enum verdict verdict = sim_run(world, &soak->sim, seed);
    result->acknowledged = world->acknowledged_count;
    trouble_sum(world);
    memcpy(result->troubles, world->troubles, sizeof result->troubles);
    result->steps = world->steps;
    result->images_installed = world->images_installed;
    result->skipped = world->skipped_count;
    result->records = world->records_checked;
    result->simulated_ms = world->now_ms;
    if (world->whole != NULL) {
        memcpy(result->whole, world->whole->counts, sizeof result->whole);
    }
    memcpy(result->reason, world->reason, sizeof result->reason);
    (void)fflush(stdout);
    _exit(verdict == VERDICT_GOOD
              ? 0
              : EXIT_VERDICT +
                    (int)verdict); /* Crashed nodes leak by design: no leak check on the way out. */
}

static enum verdict run_process(const struct soak *soak, uint64_t seed, struct result *result)
{
    memset(result, 0, sizeof *result);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        run_child(soak, seed, result);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("muster-sim");
        exit(2);
    }
    if (WIFSIGNALED(status)) {
        (void)snprintf(result->reason, sizeof result->reason, "signal %d", WTERMSIG(status));
        return VERDICT_CRASHED;
    }
    int code = WEXITSTATUS(status);
    if (code == 0) {
        return VERDICT_GOOD;
    }
    if (code <= EXIT_VERDICT || code >= EXIT_VERDICT + VERDICT_COUNT) {
        (void)snprintf(result->reason, sizeof result->reason, "exit %d", code);
        return VERDICT_CRASHED;
    }
    return (enum verdict)(code - EXIT_VERDICT);
}

/* The child may die at any moment, so its folder is ours. */
static enum verdict run_seed(const struct soak *soak, uint64_t seed, struct result *result)
{
    struct soak own = *soak;
    char scratch[SCRATCH_PATH_SIZE];
    if (!soak->sim.real_store) {
        return run_process(soak, seed, result);
    }
    scratch_make(scratch);
    own.sim.scratch = scratch;
    enum verdict verdict = run_process(&own, seed, result);
    scratch_remove(scratch);
    return verdict;
}

static void add(struct result *sum, const struct result *one)
{
    sum->acknowledged += one->acknowledged;
    sum->steps += one->steps;
    sum->simulated_ms += one->simulated_ms;
    sum->images_installed += one->images_installed;
    sum->skipped += one->skipped;
    sum->records += one->records;
    for (int i = 0; i < TROUBLE_COUNT; i++) {
        sum->troubles[i] += one->troubles[i];
    }
    for (int i = 0; i < WHOLE_COUNT_COUNT; i++) {
        sum->whole[i] += one->whole[i];
    }
}

static void print_sum(const struct soak *soak, const struct result *sum)
{
    (void)printf("; %zu proposals acknowledged\n", sum->acknowledged);
    if (soak->sim.real_store) {
        (void)printf("stores: %zu images installed, %zu entries known already, %zu acknowledged "
                     "records found once\n",
                     sum->images_installed, sum->skipped, sum->records);
    }
    for (int i = 0; i < WHOLE_COUNT_COUNT && soak->sim.whole; i++) {
        (void)printf("%s %zu %s%s", i == 0 ? "whole:" : ",", sum->whole[i],
                     whole_count_name((enum whole_count)i), i == WHOLE_COUNT_COUNT - 1 ? "\n" : "");
    }
    (void)printf("%" PRIu64 " steps, %.1f simulated hours:", sum->steps,
                 (double)sum->simulated_ms / 3600000.0);
    for (int i = 0; i < TROUBLE_COUNT; i++) {
        (void)printf("%s %" PRIu64 " %s", i == 0 ? "" : ",", sum->troubles[i],
                     trouble_name((enum trouble)i));
    }
    (void)printf("\n");
}

static int run_all(const struct soak *soak, struct result *result)
{
    uint64_t counts[VERDICT_COUNT] = {0};
    uint64_t wrong = 0;
    struct result sum = {0};
    uint64_t seed = soak->first;
    for (; seed <= soak->last; seed++) {
        enum verdict verdict = run_seed(soak, seed, result);
        counts[verdict]++;
        add(&sum, result);
        bool counted = soak->only_divergence ? verdict >= VERDICT_LOST : verdict != VERDICT_GOOD;
        if (!counted) {
            continue;
        }
        wrong++;
        (void)printf("seed %" PRIu64 ": %s: %s\n", seed, verdict_name(verdict), result->reason);
        if (soak->stop_at_first) {
            break;
        }
    }
    seed = seed > soak->last ? soak->last : seed;
    (void)printf("seeds %" PRIu64 "..%" PRIu64 ", %u nodes:", soak->first, seed,
                 soak->sim.node_count);
    for (int i = 0; i < VERDICT_COUNT; i++) {
        (void)printf(" %s %" PRIu64, verdict_name((enum verdict)i), counts[i]);
    }
    print_sum(soak, &sum);
    return wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct soak soak = {.sim = {.node_count = 3, .guarded = true, .real_store = true, .steps = 400},
                        .first = 1,
                        .last = 100};
    const struct argp argp = {.options = option_rows,
                              .parser = parse_option,
                              .doc = "Run the guarded consensus over simulated faults, by seed."};
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &soak) != 0) {
        return 2;
    }
    /* Stores sync often, and what a crash of the machine would leave is not tested here. */
    if (access("/dev/shm", W_OK) == 0) {
        (void)setenv("TMPDIR", "/dev/shm", 0);
    }
    struct result *result =
        mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED) {
        perror("muster-sim");
        return 2;
    }
    return run_all(&soak, result);
}
