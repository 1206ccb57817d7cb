/*
 * News of where a member is, beside what the state says: which of the two is believed, and when news
 * are dropped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "address_book.h"

#include <stdio.h>

#include "scratch.h"

static struct member row(uint64_t node_id, const char *peer, const char *rpc)
{
    return (struct member){
        .node_id = node_id,
        .standing = STANDING_MEMBER,
        .peer_address = slice_of(peer),
        .rpc_address = slice_of(rpc),
    };
}

static struct rpc_address_news news(uint64_t node_id, const char *peer, const char *rpc,
                                    uint64_t said_at_ms)
{
    return (struct rpc_address_news){
        .node_id = node_id,
        .peer_address = slice_of(peer),
        .rpc_address = slice_of(rpc),
        .said_at_ms = said_at_ms,
    };
}

static void check_peer(struct address_book *book, const struct member *member, const char *expected)
{
    char address[ADDRESS_SIZE] = "";
    CHECK(address_book_peer(book, member, address));
    CHECK_SLICE(slice_of(address), slice_of(expected));
}

static void check_rpc(struct address_book *book, const struct member *member, const char *expected)
{
    char address[ADDRESS_SIZE] = "";
    CHECK(address_book_rpc(book, member, address));
    CHECK_SLICE(slice_of(address), slice_of(expected));
}

static void test_by_turns(void **state)
{
    struct address_book book = {0};
    const struct member member = row(7, "old:1", "old:2");
    const struct rpc_address_news moved = news(7, "new:1", "new:2", 100);
    (void)state;
    check_peer(&book, &member, "old:1");
    check_rpc(&book, &member, "old:2");
    address_book_note(&book, &member, &moved);
    check_peer(&book, &member, "new:1");
    check_peer(&book, &member, "old:1"); /* They may be wrong. */
    check_peer(&book, &member, "new:1");
    check_rpc(&book, &member, "new:2");
    CHECK_SLICE(address_book_tell(&book, &member).peer_address, slice_of("new:1"));
    CHECK_U64(address_book_tell(&book, &member).said_at_ms, 100);
}

static void test_order(void **state)
{
    static const struct {
        const char *name;
        uint64_t said_at_ms;
        const char *rpc;
    } rows[] = {
        {"later news count", 101, "third:2"},
        {"earlier ones do not", 99, "new:2"},
        {"nor the same again", 100, "new:2"},
        {"nor what another's state has", 0, "new:2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address_book book = {0};
        const struct member member = row(7, "old:1", "old:2");
        const struct rpc_address_news first = news(7, "new:1", "new:2", 100);
        const struct rpc_address_news second = news(7, "third:1", "third:2", rows[i].said_at_ms);
        check_row(rows[i].name);
        address_book_note(&book, &member, &first);
        address_book_note(&book, &member, &second);
        check_rpc(&book, &member, rows[i].rpc);
    }
}

static void test_dropped(void **state)
{
    struct address_book book = {0};
    const struct member before = row(7, "old:1", "old:2");
    const struct member same = row(7, "new:1", "new:2");
    const struct member other = row(7, "other:1", "other:2");
    const struct rpc_address_news moved = news(7, "new:1", "new:2", 100);
    (void)state;
    address_book_note(&book, &same, &moved); /* No news. */
    CHECK_U64(book.count, 0);
    address_book_note(&book, &before, &moved);
    check_rpc(&book, &same, "new:2"); /* The state has caught up. */
    CHECK_U64(book.count, 0);
    address_book_note(&book, &before, &moved);
    check_rpc(&book, &other, "other:2"); /* It has gone on. */
    CHECK_U64(book.count, 0);
    check_peer(&book, &other, "other:1");
}

static void test_limits(void **state)
{
    struct address_book book = {0};
    char too_long[ADDRESS_SIZE + 1];
    const struct member nowhere = row(1, "", "");
    char address[ADDRESS_SIZE];
    (void)state;
    CHECK(!address_book_peer(&book, &nowhere, address));
    CHECK(!address_book_rpc(&book, &nowhere, address));
    (void)snprintf(too_long, sizeof too_long, "%0*d", ADDRESS_SIZE, 1);
    const struct rpc_address_news odd = news(1, too_long, "new:2", 1);
    address_book_note(&book, &nowhere, &odd);
    CHECK_U64(book.count, 0);
    for (uint64_t id = 1; id <= STORE_MEMBERS_MAX + 5; id++) {
        const struct member member = row(id, "old:1", "old:2");
        const struct rpc_address_news moved = news(id, "new:1", "new:2", 1);
        address_book_note(&book, &member, &moved);
        check_rpc(&book, &member, id <= STORE_MEMBERS_MAX ? "new:2" : "old:2");
    }
    CHECK_U64(book.count, STORE_MEMBERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_turns),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
