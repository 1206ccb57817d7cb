/*
 * The link to the cluster.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_link.h"

#include <poll.h>

#include "base/clock.h"

void feed_link_close(struct feed_link *link)
{
    connection_close(link->connection);
    link->connection = NULL;
}

static struct status connect_again(struct feed_link *link)
{
    if (link->connection == NULL) {
        return connection_open(link->options, &link->connection);
    }
    return connection_is_broken(link->connection)
               ? connection_reopen(link->connection, RPC_DEADLINE_DEFAULT_MS)
               : OK;
}

static struct status try_once(struct feed_link *link, const struct feed_batch *batch, size_t from,
                              size_t to)
{
    struct arena arena = {0};
    struct rpc_submit submit = {.feed = link->feed};
    struct rpc_submitted submitted = {0};
    struct connection_request request = {.method = RPC_RECORDS_SUBMIT, .params = &submit};
    struct status status = feed_batch_records(batch, from, to, &arena, &submit.records);
    if (!failed(status)) {
        status = connect_again(link);
    }
    if (!failed(status)) {
        status = connection_call(link->connection, &request, &arena, &submitted, NULL);
    }
    if (!failed(status)) {
        link->accepted += submitted.accepted;
        link->duplicates += submitted.duplicates;
    }
    arena_release(&arena);
    return status;
}

static bool may_pass(enum status_code code)
{
    switch (code) {
    case STATUS_NOT_LEADER:
    case STATUS_NO_QUORUM:
    case STATUS_UNREACHABLE:
    case STATUS_UNKNOWN:
    case STATUS_BUSY:
    case STATUS_TIMEOUT:
    case STATUS_FULL:
    case STATUS_IO:
    case STATUS_CORRUPT: return true; /* An answer cut short: the connection is made anew. */
    case STATUS_OK:
    case STATUS_INVALID:
    case STATUS_NOT_FOUND:
    case STATUS_REFUSED:
    case STATUS_UNAUTHORIZED:
    case STATUS_NO_MEMORY:
    case STATUS_CODE_COUNT: break;
    }
    return false;
}

/* Ends early when a signal comes. */
static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static struct status try_until_safe(struct feed_link *link, const struct feed_batch *batch,
                                    size_t from, size_t to)
{
    uint64_t since_ms = clock_monotonic_ms();
    int wait_ms = FEED_PAUSE_MIN_MS;
    for (;;) {
        struct status status = try_once(link, batch, from, to);
        if (!failed(status) || !may_pass(status.code)) {
            return status;
        }
        link->retries++;
        link->last_problem = status;
        if (*link->stop != 0) {
            return fail(STATUS_TIMEOUT, "stopped while submitting: %s", status.message);
        }
        if (link->give_up_after_ms > 0 &&
            clock_monotonic_ms() - since_ms > link->give_up_after_ms) {
            return wrap(status, "gave up after %llu s",
                        (unsigned long long)(link->give_up_after_ms / 1000));
        }
        pause_ms(wait_ms);
        wait_ms = wait_ms * 2 > FEED_PAUSE_MAX_MS ? FEED_PAUSE_MAX_MS : wait_ms * 2;
    }
}

struct status feed_link_submit(struct feed_link *link, const struct feed_batch *batch)
{
    if (batch->count == 0) {
        return OK;
    }
    struct status status = try_until_safe(link, batch, 0, batch->count);
    if (status.code != STATUS_INVALID) {
        return status;
    }
    /* One of them is; the others must not suffer for it. */
    for (size_t i = 0; i < batch->count; i++) {
        status = try_until_safe(link, batch, i, i + 1);
        if (status.code == STATUS_INVALID) {
            link->rejected++;
            link->last_problem = status;
        } else if (failed(status)) {
            return status;
        }
    }
    return OK;
}
