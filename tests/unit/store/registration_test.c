/*
 * The registration: every cell of the table in docs/registration.md, and what becomes of the
 * registration's own fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 6
#define CELL_SIZE 64
#define LINE_SIZE 1024

static void read_registration(struct fixture *fixture, struct arena *arena,
                              struct registration_view *out)
{
    CHECK_OK(store_registration(fixture->store, arena, out));
}

static const char *const states[COLUMNS] = {
    "disabled", "enabled", "registering", "registered", "deregistering", "failed",
};

/* ---- Commands, by the names of the page ---- */

static struct command of_type(enum command_type type)
{
    return (struct command){.type = type};
}

static struct command enable_other(void)
{
    struct command command = enable_command();
    command.body.registration_enable.region = slice_of("AMERICAS");
    return command;
}

static struct command begin_group(uint64_t epoch)
{
    struct command command = begin_command(NODE_A, "SA", epoch + 1);
    command.body.registration_begin.mode = slice_of("group");
    return command;
}

static struct command complete_other(uint64_t epoch)
{
    struct command command = complete_command(epoch);
    command.body.registration_complete.device_id = slice_of("device-2");
    return command;
}

static struct command renewal(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_RENEW,
        .body.registration_renew = {epoch, slice_of("next key"), slice_of("next csr"), 1},
    };
}

static struct command hand_over(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_HAND_OVER,
        .body.registration_hand_over = {epoch, NODE_B, slice_of("B")},
    };
}

/* All of these begin with the epoch. */
static struct command of_epoch(enum command_type type, uint64_t epoch)
{
    struct command command = {.type = type};
    command.body.registration_forget.epoch = epoch;
    if (type == COMMAND_REGISTRATION_FAIL) {
        command.body.registration_fail.code = slice_of("token_expired");
    }
    return command;
}

static struct command command_named(const char *name, uint64_t epoch)
{
    static const struct {
        const char *name;
        enum command_type type;
    } plain[] = {
        {"note", COMMAND_REGISTRATION_NOTE},
        {"fail", COMMAND_REGISTRATION_FAIL},
        {"deregistration begin", COMMAND_DEREGISTRATION_BEGIN},
        {"deregistration complete", COMMAND_DEREGISTRATION_COMPLETE},
        {"forget", COMMAND_REGISTRATION_FORGET},
    };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(name, plain[i].name) == 0) {
            return of_epoch(plain[i].type, epoch);
        }
    }
    const struct {
        const char *name;
        struct command command;
    } others[] = {
        {"enable, same region", enable_command()},
        {"enable, other region", enable_other()},
        {"disable", of_type(COMMAND_REGISTRATION_DISABLE)},
        {"begin", begin_command(NODE_A, "SA", epoch + 1)},
        {"begin, not machine mode", begin_group(epoch)},
        {"complete", complete_command(epoch)},
        {"complete, other device", complete_other(epoch)},
        {"renew", renewal(epoch)},
        {"hand over", hand_over(epoch)},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(name, others[i].name) == 0) {
            return others[i].command;
        }
    }
    print_error("no command is called %s\n", name);
    abort();
}

/* ---- The table ---- */

static void bring_to(struct fixture *fixture, size_t column)
{
    static const char *const ways[COLUMNS][4] = {
        {NULL},
        {"enable, same region", NULL},
        {"enable, same region", "begin", NULL},
        {"enable, same region", "begin", "complete", NULL},
        {"enable, same region", "begin", "complete", "deregistration begin"},
        {"enable, same region", "begin", "fail", NULL},
    };
    for (size_t i = 0; i < 4 && ways[column][i] != NULL; i++) {
        uint64_t epoch = i < 2 ? 0 : 1;
        CHECK_U64(fixture_apply(fixture, command_named(ways[column][i], epoch)), REFUSAL_NONE);
    }
}

static const char *state_of(struct fixture *fixture)
{
    struct arena arena = {0};
    struct registration_view view;
    read_registration(fixture, &arena, &view);
    arena_release(&arena);
    CHECK(view.state >= REGISTRATION_DISABLED && view.state <= REGISTRATION_FAILED);
    return states[view.state - REGISTRATION_DISABLED];
}

/* A state, or `refusal`, after which the state is what it was. */
static void carry_out(const char *name, size_t column, const char *cell)
{
    struct fixture fixture;
    char row[2 * CELL_SIZE];
    char want[CELL_SIZE];
    uint64_t epoch = column < 2 ? 0 : 1;
    (void)snprintf(row, sizeof row, "%s, %s", states[column], name);
    check_row(row);
    fixture_open(&fixture);
    fixture_form(&fixture);
    bring_to(&fixture, column);
    const char *refusal =
        refusal_name((enum refusal)fixture_apply(&fixture, command_named(name, epoch)));
    if (cell[0] == '`') {
        (void)snprintf(want, sizeof want, "`%s`", refusal);
        CHECK_SLICE(slice_of(cell), slice_of(want));
        CHECK_SLICE(slice_of(state_of(&fixture)), slice_of(states[column]));
    } else {
        CHECK_SLICE(slice_of(refusal), slice_of("done"));
        CHECK_SLICE(slice_of(state_of(&fixture)), slice_of(cell));
    }
    fixture_close(&fixture);
}

/* "| a | b |" into its cells; how many there are. */
static size_t split(char *line, char *cells[COLUMNS + 1])
{
    size_t count = 0;
    char *rest = line + 2;
    for (char *bar = strstr(rest, " |"); bar != NULL && count <= COLUMNS;
         bar = strstr(rest, " |")) {
        *bar = '\0';
        cells[count++] = rest;
        rest = bar + 3;
    }
    return count;
}

static void test_every_cell_of_the_page(void **state)
{
    char line[LINE_SIZE];
    char *cells[COLUMNS + 1];
    size_t rows = 0;
    bool inside = false;
    FILE *page = fopen(REGISTRATION_PAGE, "r");
    (void)state;
    assert_non_null(page);
    while (fgets(line, sizeof line, page) != NULL) {
        if (strncmp(line, "| command |", 11) == 0) {
            inside = true;
            CHECK_U64(split(line, cells), COLUMNS + 1);
            for (size_t i = 0; i < COLUMNS; i++) {
                CHECK_SLICE(slice_of(cells[i + 1]), slice_of(states[i]));
            }
        } else if (inside && line[0] != '|') {
            break;
        } else if (inside && line[1] == ' ') {
            CHECK_U64(split(line, cells), COLUMNS + 1);
            for (size_t i = 0; i < COLUMNS; i++) {
                carry_out(cells[0], i, cells[i + 1]);
            }
            rows++;
        }
    }
    (void)fclose(page);
    CHECK_U64(rows, 14); /* Each command, and those of which the page says more than one thing. */
}

/* ---- Fields ---- */

/* If the device certificate is dead, a deregistration looks the serial up in the cloud and believes
 * that the device is gone when it is not listed: it must be the serial that the device has there, or
 * a second device comes to be (rule 5). */
static void test_hand_over_keeps_serial(void **state)
{
    (void)state;
    struct fixture fixture;
    struct arena arena = {0};
    struct registration_view view;
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, hand_over(1)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_U64(view.node_id, NODE_B);
    CHECK_SLICE(view.serial, slice_of("SA"));
    CHECK_SLICE(view.device_id, slice_of("device-1"));

    /* The next registration is of the machine that begins it. */
    const struct command gone = {
        .type = COMMAND_DEREGISTRATION_COMPLETE,
        .body.deregistration_complete = {.epoch = 1},
    };
    CHECK_U64(fixture_apply(&fixture, deregister_begin_command(1)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.serial, slice_of("SA"));
    CHECK_U64(fixture_apply(&fixture, gone), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, begin_command(NODE_B, "B", 2)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.serial, slice_of("B"));
    arena_release(&arena);
    fixture_close(&fixture);
}

/* The key changes with the certificate, not before: until the cloud has answered, the old ones are
 * what the device speaks with. */
static void test_renewal_swaps_key_and_certificate(void **state)
{
    (void)state;
    struct fixture fixture;
    struct arena arena = {0};
    struct registration_view view;
    struct command renewed = complete_command(1);
    renewed.body.registration_complete.certificate = slice_of("next certificate");
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, renewal(1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, renewal(1)), REFUSAL_REGISTRATION_IN_DOUBT);
    CHECK_U64(fixture_apply(&fixture, renewal(2)), REFUSAL_EPOCH);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.sealed_key, slice_of("sealed key"));
    CHECK_SLICE(view.renewal_csr, slice_of("next csr"));
    CHECK_U64(fixture_apply(&fixture, renewed), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.sealed_key, slice_of("next key"));
    CHECK_SLICE(view.certificate, slice_of("next certificate"));
    CHECK_SLICE(view.csr, slice_of("next csr"));
    CHECK_U64(view.renewal_csr.size + view.sealed_renewal_key.size, 0);
    CHECK(view.renewed_ms > view.since_ms);
    arena_release(&arena);
    fixture_close(&fixture);
}

/* A code holds the export until a note without one; a later state begins without it. */
static void test_code_of_a_note(void **state)
{
    (void)state;
    struct fixture fixture;
    struct arena arena = {0};
    struct registration_view view;
    struct command note = of_epoch(COMMAND_REGISTRATION_NOTE, 1);
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    note.body.registration_note.code = slice_of("device_suspended");
    CHECK_U64(fixture_apply(&fixture, note), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.error_code, slice_of("device_suspended"));
    note.body.registration_note.code = (struct slice){0};
    CHECK_U64(fixture_apply(&fixture, note), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_U64(view.error_code.size, 0);
    arena_release(&arena);
    fixture_close(&fixture);
}

/* What was forgotten may still be there: its id stays until a registration has taken its place. No
 * secret does. */
static void test_forget_keeps_the_device_id_only(void **state)
{
    (void)state;
    struct fixture fixture;
    struct arena arena = {0};
    struct registration_view view;
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, renewal(1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, of_epoch(COMMAND_REGISTRATION_FORGET, 1)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_U64(view.epoch, 1);
    CHECK_SLICE(view.former_device_id, slice_of("device-1"));
    CHECK_U64(view.device_id.size + view.sealed_key.size + view.certificate.size + view.csr.size +
                  view.renewal_csr.size + view.sealed_renewal_key.size,
              0);
    CHECK_U64(fixture_apply(&fixture, begin_command(NODE_A, "SA", 2)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_SLICE(view.former_device_id, slice_of("device-1"));
    CHECK_U64(fixture_apply(&fixture, complete_command(2)), REFUSAL_NONE);
    read_registration(&fixture, &arena, &view);
    CHECK_U64(view.former_device_id.size, 0);
    arena_release(&arena);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_of_the_page),
        cmocka_unit_test(test_hand_over_keeps_serial),
        cmocka_unit_test(test_renewal_swaps_key_and_certificate),
        cmocka_unit_test(test_code_of_a_note),
        cmocka_unit_test(test_forget_keeps_the_device_id_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
