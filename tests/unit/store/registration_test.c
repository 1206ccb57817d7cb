/*
 * What becomes of the registration's own fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_fixture.h"

static void read_registration(struct fixture *fixture, struct arena *arena,
                              struct registration_view *out)
{
    CHECK_OK(store_registration(fixture->store, arena, out));
}

/* If the device certificate is dead, a deregistration looks the serial up in the cloud and believes
 * that the device is gone when it is not listed: it must be the serial that the device has there, or
 * a second device comes to be (rule 5). */
static void test_hand_over_keeps_serial(void **state)
{
    (void)state;
    struct fixture fixture;
    struct arena arena = {0};
    struct registration_view view;
    const struct command hand_over = {
        .type = COMMAND_REGISTRATION_HAND_OVER,
        .body.registration_hand_over = {1, NODE_B, slice_of("B")},
    };
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, hand_over), REFUSAL_NONE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_over_keeps_serial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
