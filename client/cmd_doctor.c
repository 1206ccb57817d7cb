/*
 * `muster doctor`: everything that must be right for a node to work, each with a verdict and what
 * helps, as a tree:
 *
 *     cloud
 *       ok       visibility.amp.cisco.com:443  name, TCP and TLS are good: 192.0.2.7 answered in 85 ms
 *       FAILURE  api-sse.cisco.com:443         no TCP connection: refused: the port is closed
 *                what helps: Open HTTPS (TCP 443) from this node to ...
 *
 * Exit code: 0 all ok, 7 there are warnings, 1 there are failures; 4 or 5 if the node did not answer, and
 * then what can be seen from outside is shown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli_output.h"
#include "cmd.h"
#include "doctor.h"

struct slice doctor_text(struct doctor *doctor, const char *format, ...)
{
    char text[RPC_TEXT_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return arena_copy(&doctor->cli->arena, slice_of(text));
}

static const char *verdict_name(enum doctor_verdict verdict)
{
    switch (verdict) {
    case DOCTOR_OK: break;
    case DOCTOR_WARNING: return "warning";
    case DOCTOR_FAILURE: return "failure";
    }
    return "ok";
}

static void add(struct doctor *doctor, const struct rpc_finding *finding)
{
    if (doctor->view.findings.count < RPC_FINDINGS_MAX) {
        doctor->items[doctor->view.findings.count++] = *finding;
    }
}

void doctor_add(struct doctor *doctor, const char *subject, enum doctor_verdict verdict,
                const char *code, struct slice what, struct slice remedy)
{
    const struct rpc_finding finding = {
        .group = slice_of(doctor->group),
        .subject = slice_of(subject),
        .verdict = slice_of(verdict_name(verdict)),
        .code = slice_of(code),
        .what = what,
        .remedy = remedy,
    };
    add(doctor, &finding);
}

/* ---- The tree ---- */

static enum colour colour_of(struct slice verdict)
{
    if (slice_equal(verdict, slice_of("ok"))) {
        return COLOUR_GOOD;
    }
    return slice_equal(verdict, slice_of("warning")) ? COLOUR_WARN : COLOUR_BAD;
}

static void print_finding(const struct doctor *doctor, const struct rpc_finding *finding, int width)
{
    struct cli *cli = doctor->cli;
    bool failure = slice_equal(finding->verdict, slice_of("failure"));
    (void)printf("  %s%-8s%s ", output_colour(cli, colour_of(finding->verdict)),
                 failure ? "FAILURE" : output_safe(&cli->arena, finding->verdict),
                 output_plain(cli));
    (void)printf("%-*s  %s\n", width, output_safe(&cli->arena, finding->subject),
                 output_safe(&cli->arena, finding->what));
    if (finding->remedy.size > 0) {
        (void)printf("           what helps: %s\n", output_safe(&cli->arena, finding->remedy));
    }
}

static size_t count_of(const struct doctor *doctor, enum doctor_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < doctor->view.findings.count; i++) {
        count += slice_equal(doctor->items[i].verdict, slice_of(verdict_name(verdict)));
    }
    return count;
}

static void print_tree(const struct doctor *doctor)
{
    size_t width = 0;
    size_t failures = count_of(doctor, DOCTOR_FAILURE);
    size_t warnings = count_of(doctor, DOCTOR_WARNING);
    for (size_t i = 0; i < doctor->view.findings.count; i++) {
        size_t size = doctor->items[i].subject.size;
        width = size > width ? size : width;
    }
    for (size_t i = 0; i < doctor->view.findings.count; i++) {
        const struct rpc_finding *finding = &doctor->items[i];
        if (i == 0 || !slice_equal(finding->group, finding[-1].group)) {
            (void)printf("%s%s%s\n", output_colour(doctor->cli, COLOUR_BOLD),
                         output_safe(&doctor->cli->arena, finding->group),
                         output_plain(doctor->cli));
        }
        print_finding(doctor, finding, (int)width);
    }
    if (failures + warnings == 0) {
        (void)printf("\nEverything is well.\n");
        return;
    }
    (void)printf("\n%zu failure%s, %zu warning%s.\n", failures, failures == 1 ? "" : "s", warnings,
                 warnings == 1 ? "" : "s");
}

static int show(struct doctor *doctor, int otherwise)
{
    int exit_code = 0;
    doctor->view.findings.items = doctor->items;
    if (!output_json(doctor->cli, &rpc_findings_codec, &doctor->view, &exit_code)) {
        print_tree(doctor);
    }
    if (exit_code != 0 || otherwise != 0) {
        return exit_code != 0 ? exit_code : otherwise;
    }
    if (count_of(doctor, DOCTOR_FAILURE) > 0) {
        return CLI_EXIT_ERROR;
    }
    return count_of(doctor, DOCTOR_WARNING) > 0 ? CLI_EXIT_WARNING : 0;
}

/* ---- The command ---- */

/* The node did not say how it is. Whatever it is, it is said, and looked at from outside. */
static int look_without_node(struct doctor *doctor, const struct connection_error *error)
{
    struct cli *cli = doctor->cli;
    bool reached = error->code != RPC_UNREACHABLE && error->code != RPC_UNAUTHORIZED;
    if (reached || cli->connect.address != NULL) {
        return cli_explain(cli, error);
    }
    doctor_look_from_outside(doctor);
    return show(doctor, rpc_exit_code((enum rpc_error)error->code));
}

int cmd_doctor(struct cli *cli)
{
    struct rpc_check params = {.region = cli_value(cli, CLI_REGION)};
    struct rpc_findings own = {0};
    struct connection_error error;
    struct doctor *doctor = arena_alloc(&cli->arena, 1, sizeof(*doctor));
    if (doctor == NULL) {
        return cli_explain_status(cli, fail(STATUS_NO_MEMORY, "look at the node"));
    }
    doctor->cli = cli;
    struct status status = cli_try(cli, RPC_NODE_CHECK, &params, &own, &error);
    if (failed(status)) {
        return look_without_node(doctor, &error);
    }
    const struct rpc_finding *items = own.findings.items;
    for (size_t i = 0; i < own.findings.count; i++) {
        add(doctor, &items[i]);
    }
    doctor->view.name = own.name;
    doctor->view.took_ms = own.took_ms;
    doctor_look_at_cluster(doctor);
    return show(doctor, 0);
}
