/*
 * The identity on disk under failing files and failing memory: the first visit to a fault point
 * fails, then the second, ... until a life of the node meets none. After each failure the node is
 * who it was, in a whole lineage, and the same life succeeds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "identity.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "file.h"
#include "scratch.h"

#define NOW_MS UINT64_C(1767225600000)

/* The certificate is another one afterwards, or, in memory, what it was. */
static struct status renew(const char *folder, struct identity *own, const struct buffer *other)
{
    size_t size_before = own->certificate.size;
    struct status status = identity_renew(folder, "", own, buffer_slice(other));
    if (failed(status)) {
        CHECK_U64(own->certificate.size, size_before);
    } else {
        CHECK_SLICE(buffer_slice(&own->certificate), buffer_slice(other));
    }
    return status;
}

/* Begin, or find, the present lineage; stage a fresh one, switch to it, and sweep the old one. */
static struct status live(const char *folder, uint64_t *node_id)
{
    struct identity own = {0};
    struct identity fresh = {0};
    struct identity now = {0};
    struct status status = identity_open(folder, "", "mx1", NOW_MS, &own);
    if (!failed(status)) {
        *node_id = own.node_id;
        status = identity_make_standalone(secret_slice(&own.node_key), "mx1", NOW_MS, &fresh);
    }
    if (!failed(status)) {
        status = renew(folder, &own, &fresh.certificate);
    }
    if (!failed(status)) {
        (void)snprintf(fresh.left, sizeof fresh.left, "%s", own.lineage);
        status = identity_stage(folder, "", &fresh);
    }
    if (!failed(status)) {
        status = identity_switch(folder, fresh.lineage);
    }
    if (!failed(status)) {
        status = identity_open(folder, "", "mx1", NOW_MS, &now);
    }
    if (!failed(status)) {
        assert_string_equal(now.lineage, fresh.lineage);
        CHECK(!file_is_there(now.path, "identity.new"));
        status = identity_sweep(folder, &now);
    }
    identity_release(&own);
    identity_release(&fresh);
    identity_release(&now);
    return status;
}

/* The node as its next start finds it. */
static uint64_t look(const char *folder)
{
    struct identity found = {0};
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &found));
    uint64_t node_id = found.node_id;
    CHECK_OK(identity_sweep(folder, &found));
    identity_release(&found);
    return node_id;
}

/* Fail the (after + 1)th visit; false if there was none. */
static bool torture_once(enum fault_point point, int after, bool lived_before)
{
    char folder[SCRATCH_PATH_SIZE];
    uint64_t node_id = 0;
    uint64_t known_id = 0;
    scratch_make(folder);
    if (lived_before) {
        CHECK_OK(live(folder, &known_id));
    }
    fault_arm(point, after, 1);
    struct status status = live(folder, &node_id);
    int fired = fault_reset();
    CHECK((fired != 0) == failed(status)); /* No failure is swallowed. */
    if (known_id != 0) {
        CHECK_U64(look(folder), known_id); /* The key is the node. */
    } else if (!failed(status)) {
        CHECK_U64(look(folder), node_id);
    }
    CHECK_OK(live(folder, &node_id));
    CHECK_U64(look(folder), node_id);
    scratch_remove(folder);
    return fired != 0;
}

static void test_failures(void **state)
{
    static const enum fault_point points[] = {
        FAULT_ALLOC,       FAULT_FILE_WRITE,       FAULT_FILE_SYNC,
        FAULT_FILE_RENAME, FAULT_FILE_SYNC_FOLDER, FAULT_FILE_MAKE_FOLDER,
        FAULT_FILE_REMOVE,
    };
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (int lived = 0; lived < 2; lived++) {
            int after = 0;
            check_row(fault_name(points[i]));
            while (torture_once(points[i], after, lived != 0)) {
                after++;
            }
            CHECK(after > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
