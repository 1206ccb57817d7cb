/*
 * Where members are to be found now: the state says, and what members said of themselves and of each
 * other since (announce.h), which may be newer. After several have moved at once the state cannot
 * change before they find each other, and they do so by this.
 *
 * News are no authority: whoever answers at an address proves by its key who it is, so that wrong news
 * cost a connection that fails. They are dropped when the state says something new of the member.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ADDRESS_BOOK_H
#define SERVER_ADDRESS_BOOK_H

#include <stdbool.h>

#include "client/protocol.h"
#include "store/store.h"

#define ADDRESS_SIZE (STORE_ADDRESS_SIZE_MAX + 1)

struct address_pair {
    char peer[ADDRESS_SIZE];
    char rpc[ADDRESS_SIZE];
};

struct address_news {
    uint64_t node_id;
    uint64_t said_at_ms; /* By the member's own clock; 0: as another member's state has it. */
    struct address_pair now;
    struct address_pair before; /* What the state said when these news came. */
    bool turn;                  /* Try the state's address next. */
};

/* All zero is an empty book. */
struct address_book {
    struct address_news news[STORE_MEMBERS_MAX];
    size_t count;
};

/* Take what is newer than what is known; `member` is the state's row of the same node. */
void address_book_note(struct address_book *book, const struct member *member,
                       const struct rpc_address_news *news);

/* Where a peer connects to: the news, if there are any, and the state's address by turns. False if
 * the state's row has none and there are no news. */
bool address_book_peer(struct address_book *book, const struct member *member,
                       char out[ADDRESS_SIZE]);

/* Where the member's admin RPC is believed to be. False: not known. */
bool address_book_rpc(struct address_book *book, const struct member *member,
                      char out[ADDRESS_SIZE]);

/* What this node would tell another of the member; borrows from the book and the row. */
struct rpc_address_news address_book_tell(struct address_book *book, const struct member *member);

#endif
