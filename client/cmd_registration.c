/*
 * `muster registration`, also known as `muster cloudserviceconfig`: the cluster's one registration
 * with the cloud.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli_output.h"
#include "cmd.h"

#define WAIT_DEFAULT_MS 180000U /* Appliances take up to two minutes. */
#define CALL_DEADLINE_MS 30000U
#define LOOK_MS 1000U
#define WATCH_MS 300U /* A step of a registration takes at least as long. */

int cmd_registration_status(struct cli *cli)
{
    struct rpc_registration registration = {0};
    return cmd_read(cli, RPC_REGISTRATION_STATUS, &registration, cmd_show_registration);
}

int cmd_registration_enable(struct cli *cli)
{
    struct rpc_enable enable = {.region = cli_argument(cli, 0),
                                .mode = cli_value(cli, CLI_MODE),
                                .machine = cli_value(cli, CLI_MACHINE)};
    return cli_call(cli, RPC_REGISTRATION_ENABLE, &enable, NULL);
}

int cmd_registration_disable(struct cli *cli)
{
    struct rpc_disable disable = {.mode = cli_value(cli, CLI_MODE),
                                  .machine = cli_value(cli, CLI_MACHINE)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "The cloud service is disabled for the whole cluster.")) {
        return exit_code;
    }
    return cli_call(cli, RPC_REGISTRATION_DISABLE, &disable, NULL);
}

static bool is_state(const struct rpc_registration *registration, const char *state)
{
    return slice_equal(registration->state, slice_of(state));
}

static bool is_under_way(const struct rpc_registration *registration)
{
    return is_state(registration, "registering") || is_state(registration, "deregistering");
}

static void show_progress(struct cli *cli, char last[CMD_PROGRESS_SIZE],
                          const struct rpc_registration *registration)
{
    char since[OUTPUT_TEXT_SIZE];
    char next[OUTPUT_TEXT_SIZE];
    bool retrying = registration->attempt > 1 && registration->next_try_ms > 0;
    cmd_progress(
        last, "%s since %s, attempt %llu%s%s%s%.100s ...",
        output_safe(&cli->arena, registration->state), output_time(registration->since_ms, since),
        (unsigned long long)registration->attempt, retrying ? ", next try " : "",
        retrying ? output_time(registration->next_try_ms, next) : "",
        registration->error.size > 0 ? ": " : "", output_safe(&cli->arena, registration->error));
}

/* Look again. False, and `*registration` stays, if nobody answers: a change of leader in between is no
 * reason to give up. What was seen before is let go of, however long it takes. */
static bool look_again(struct cli *cli, struct rpc_registration *registration)
{
    struct rpc_empty empty = {0};
    struct rpc_registration next = {0};
    struct connection_error error;
    struct arena before = cli->arena;
    cli->arena = (struct arena){0};
    if (failed(cli_try(cli, RPC_REGISTRATION_STATUS, &empty, &next, &error))) {
        arena_release(&cli->arena);
        cli->arena = before;
        return false;
    }
    *registration = next;
    arena_release(&before);
    return true;
}

/* Follow what has begun until it ends, or our patience. `*registration` is the last one seen. */
static struct status follow(struct cli *cli, uint64_t deadline_ms,
                            struct rpc_registration *registration)
{
    char last[CMD_PROGRESS_SIZE] = "";
    struct status status = OK;
    while (is_under_way(registration)) {
        show_progress(cli, last, registration);
        if (clock_monotonic_ms() >= deadline_ms) {
            status = fail(STATUS_UNKNOWN, "it is still under way and goes on without us");
            break;
        }
        cmd_pause(LOOK_MS);
        if (!look_again(cli, registration)) {
            cmd_progress(last, "Waiting for an answer ...");
        }
    }
    cmd_progress_end(last);
    return status;
}

static int conclude(struct cli *cli, const struct rpc_registration *registration)
{
    int exit_code = 0;
    if (!output_json(cli, &rpc_registration_codec, registration, &exit_code)) {
        exit_code = cmd_show_registration(cli, registration, false);
    }
    return is_state(registration, "failed") ? CLI_EXIT_ERROR : exit_code;
}

static int run(struct cli *cli, enum rpc_method method, const void *params)
{
    struct rpc_registration registration = {0};
    uint64_t patience_ms = cli->timeout_ms > 0 ? cli->timeout_ms : WAIT_DEFAULT_MS;
    uint64_t deadline_ms = clock_monotonic_ms() + patience_ms;
    if (cli->timeout_ms == 0 || cli->timeout_ms > CALL_DEADLINE_MS) {
        cli->timeout_ms = CALL_DEADLINE_MS;
    }
    int exit_code = cli_call(cli, method, params, &registration);
    if (exit_code != 0) {
        return exit_code;
    }
    if (!cli_has(cli, CLI_NO_WAIT)) {
        struct status status = follow(cli, deadline_ms, &registration);
        if (failed(status)) {
            return cli_explain_status(cli, status);
        }
    }
    return conclude(cli, &registration);
}

int cmd_registration_register(struct cli *cli)
{
    struct secret token = {0};
    int exit_code = 0;
    if (!cli_secret(cli, CLI_TOKEN_FILE, "Registration token", &token, &exit_code)) {
        return exit_code;
    }
    struct rpc_register params = {
        .token = secret_slice(&token),
        .mode = cli_value(cli, CLI_MODE),
        .machine = cli_value(cli, CLI_MACHINE),
    };
    exit_code = run(cli, RPC_REGISTRATION_REGISTER, &params);
    secret_release(&token);
    return exit_code;
}

int cmd_registration_deregister(struct cli *cli)
{
    struct rpc_deregister params = {.mode = cli_value(cli, CLI_MODE),
                                    .machine = cli_value(cli, CLI_MACHINE),
                                    .forget = cli_has(cli, CLI_FORGET)};
    int exit_code = 0;
    const char *what =
        params.forget
            ? "The registration is forgotten here, and the cloud is NOT asked to delete the "
              "device: "
              "only right when the portal does not list it any more, or never will take it again."
            : "The whole cluster is deregistered: nothing is exported, and casebook and pivot menu "
              "stop working.";
    if (!cli_confirm(cli, &exit_code, "%s", what)) {
        return exit_code;
    }
    return run(cli, RPC_REGISTRATION_DEREGISTER, &params);
}

int cmd_registration_hand_over(struct cli *cli)
{
    struct rpc_name heir = {.name = cli_argument(cli, 0)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "%.64s becomes the registered machine.", cli->arguments[0])) {
        return exit_code;
    }
    return cli_call(cli, RPC_REGISTRATION_HAND_OVER, &heir, NULL);
}

/* ---- Watching ---- */

/* What of a registration moves while it is watched: a line for each. */
struct watched {
    uint64_t epoch;
    uint64_t since_ms;
    uint64_t attempt;
    uint64_t next_try_ms;
    char error[RPC_TEXT_SIZE_MAX + 1];
};

static int show_change(struct cli *cli, struct watched *seen,
                       const struct rpc_registration *registration)
{
    struct watched now = {.epoch = registration->epoch,
                          .since_ms = registration->since_ms,
                          .attempt = registration->attempt,
                          .next_try_ms = registration->next_try_ms};
    char at[OUTPUT_TEXT_SIZE];
    int exit_code = 0;
    (void)slice_to_text(registration->error, now.error, sizeof(now.error));
    if (now.epoch == seen->epoch && now.since_ms == seen->since_ms &&
        now.attempt == seen->attempt && now.next_try_ms == seen->next_try_ms &&
        strcmp(now.error, seen->error) == 0) {
        return 0;
    }
    *seen = now;
    if (!output_json_line(cli, &rpc_registration_codec, registration, &exit_code)) {
        (void)printf("%s  ", output_time(clock_now_ms(), at));
        exit_code = cmd_show_registration(cli, registration, true);
    }
    (void)fflush(stdout);
    return exit_code;
}

/* A device that the cloud does not take is not what was wanted. */
static int verdict(const struct rpc_registration *registration)
{
    bool held = is_state(registration, "registered") && registration->error_code.size > 0;
    return held || is_state(registration, "failed") ? CLI_EXIT_REFUSED : 0;
}

int cmd_registration_watch(struct cli *cli)
{
    struct rpc_empty empty = {0};
    struct rpc_registration registration = {0};
    struct watched seen = {.epoch = UINT64_MAX};
    char last[CMD_PROGRESS_SIZE] = "";
    int exit_code = cli_call(cli, RPC_REGISTRATION_STATUS, &empty, &registration);
    if (exit_code == 0) {
        exit_code = show_change(cli, &seen, &registration);
    }
    while (exit_code == 0 && is_under_way(&registration) && ferror(stdout) == 0) {
        cmd_pause(WATCH_MS);
        if (look_again(cli, &registration)) {
            exit_code = show_change(cli, &seen, &registration);
        } else {
            cmd_progress(last, "Waiting for an answer ...");
        }
    }
    cmd_progress_end(last);
    return exit_code != 0 ? exit_code : verdict(&registration);
}
