/*
 * Addresses that are newer than the state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "address_book.h"

#include <string.h>

static bool take(struct slice text, char out[ADDRESS_SIZE])
{
    out[0] = '\0';
    return text.size == 0 || slice_to_text(text, out, ADDRESS_SIZE);
}

static bool pair_of(struct slice peer, struct slice rpc, struct address_pair *out)
{
    return take(peer, out->peer) && take(rpc, out->rpc);
}

static bool pairs_equal(const struct address_pair *left, const struct address_pair *right)
{
    return strcmp(left->peer, right->peer) == 0 && strcmp(left->rpc, right->rpc) == 0;
}

static struct address_news *find(struct address_book *book, uint64_t node_id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (book->news[i].node_id == node_id) {
            return &book->news[i];
        }
    }
    return NULL;
}

static void drop(struct address_book *book, struct address_news *news)
{
    *news = book->news[--book->count];
}

/* The news of this member, unless the state has gone on meanwhile or says the same. */
static struct address_news *current(struct address_book *book, const struct member *member)
{
    struct address_news *news = find(book, member->node_id);
    struct address_pair state;
    if (news != NULL && pair_of(member->peer_address, member->rpc_address, &state) &&
        (!pairs_equal(&state, &news->before) || pairs_equal(&state, &news->now))) {
        drop(book, news);
        return NULL;
    }
    return news;
}

void address_book_note(struct address_book *book, const struct member *member,
                       const struct rpc_address_news *said)
{
    struct address_news *news = current(book, member);
    struct address_news fresh = {.node_id = member->node_id, .said_at_ms = said->said_at_ms};
    if (!pair_of(said->peer_address, said->rpc_address, &fresh.now) ||
        !pair_of(member->peer_address, member->rpc_address, &fresh.before) ||
        (news != NULL && said->said_at_ms <= news->said_at_ms)) {
        return;
    }
    if (news == NULL) {
        if (pairs_equal(&fresh.now, &fresh.before) || book->count == STORE_MEMBERS_MAX) {
            return;
        }
        news = &book->news[book->count++];
    }
    *news = fresh;
}

bool address_book_peer(struct address_book *book, const struct member *member,
                       char out[ADDRESS_SIZE])
{
    struct address_news *news = current(book, member);
    if (news != NULL && news->now.peer[0] != '\0') {
        news->turn = !news->turn;
        if (news->turn) {
            memcpy(out, news->now.peer, ADDRESS_SIZE);
            return true;
        }
    }
    return take(member->peer_address, out) && out[0] != '\0';
}

bool address_book_rpc(struct address_book *book, const struct member *member,
                      char out[ADDRESS_SIZE])
{
    const struct address_news *news = current(book, member);
    if (news != NULL && news->now.rpc[0] != '\0') {
        memcpy(out, news->now.rpc, ADDRESS_SIZE);
        return true;
    }
    return take(member->rpc_address, out) && out[0] != '\0';
}

struct rpc_address_news address_book_tell(struct address_book *book, const struct member *member)
{
    const struct address_news *news = current(book, member);
    if (news == NULL) {
        return (struct rpc_address_news){
            .node_id = member->node_id,
            .peer_address = member->peer_address,
            .rpc_address = member->rpc_address,
        };
    }
    return (struct rpc_address_news){
        .node_id = member->node_id,
        .peer_address = slice_of(news->now.peer),
        .rpc_address = slice_of(news->now.rpc),
        .said_at_ms = news->said_at_ms,
    };
}
