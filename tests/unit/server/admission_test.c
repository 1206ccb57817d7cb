/*
 * Reasons that keep a node out: each once, all of them told, with what helps against each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "admission.h"

#include <string.h>

#include "scratch.h"

/* As many as can be true of one joiner at once, of each kind the one that takes the most words. */
static const enum refusal worst[] = {
    REFUSAL_NOT_IN_CLUSTER,        REFUSAL_OLD_VERSION,  REFUSAL_TOKEN_FOR_OTHER,
    REFUSAL_REGISTRATION_IN_DOUBT, REFUSAL_NODE_EXISTS,  REFUSAL_NAME_EXISTS,
    REFUSAL_SERIAL_EXISTS,         REFUSAL_MEMBERS_FULL, REFUSAL_CLOUD_LISTS_SERIAL,
};
#define WORST_COUNT (sizeof worst / sizeof worst[0])

static void test_all_are_told(void **state)
{
    struct admission admission = {0};
    char message[RPC_ERROR_SIZE_MAX];
    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        for (size_t i = 0; i < WORST_COUNT; i++) {
            admission_add(&admission, worst[i]);
        }
    }
    admission_add(&admission, REFUSAL_NONE);
    CHECK_U64(admission.count, WORST_COUNT);
    admission_message(&admission, message, sizeof message);
    const char *remedies = strchr(message, '\n');
    CHECK(remedies != NULL && strlen(message) < sizeof message - 1);
    for (size_t i = 0; i < WORST_COUNT; i++) {
        check_row(refusal_name(worst[i]));
        const char *reason = strstr(message, refusal_reason(worst[i]));
        CHECK(reason != NULL && reason < remedies);
        CHECK(strstr(message, refusal_name(worst[i])) < reason);
        CHECK(strstr(remedies, refusal_remedy(worst[i])) != NULL);
    }
    check_row("too small a buffer is not overrun");
    memset(message, 'x', sizeof message);
    admission_message(&admission, message, 100);
    CHECK_U64(strlen(message), 99);
}

/* What both sides say is told once. */
static void test_merged(void **state)
{
    struct arena arena = {0};
    struct codec_list theirs;
    struct codec_list all;
    struct admission own = {0};
    struct admission other = {0};
    (void)state;
    admission_add(&own, REFUSAL_REGISTERED);
    admission_add(&other, REFUSAL_NAME_EXISTS);
    admission_add(&other, REFUSAL_REGISTERED);
    CHECK(admission_problems(&other, &arena, &theirs));
    CHECK(admission_merge(&own, &theirs, &arena, &all));
    CHECK_U64(all.count, 2);
    const struct rpc_problem *problems = all.items;
    CHECK_SLICE(problems[0].what, slice_of(refusal_reason(REFUSAL_REGISTERED)));
    CHECK_SLICE(problems[1].what, slice_of(refusal_reason(REFUSAL_NAME_EXISTS)));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_told),
        cmocka_unit_test(test_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
