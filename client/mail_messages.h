/*
 * Messages of a log, open or closed, in the order of their last line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_MESSAGES_H
#define MAIL_MESSAGES_H

#include "mail_facts.h"

struct message {
    struct message *before; /* In its list. */
    struct message *after;
    uint64_t mid;
    uint64_t position; /* From where on it must be read to be seen whole. */
    uint64_t start_ms;
    uint64_t last_ms;
    uint64_t revision_min; /* Above that of its last record. */
    bool is_closed;
    bool is_bound; /* The facts of its connection are among its own. */
    struct mail_facts facts;
};

struct message_list {
    struct message *first;
    struct message *last;
    size_t count;
};

void message_list_append(struct message_list *list, struct message *message);

/* The message must be in this list. */
void message_list_remove(struct message_list *list, struct message *message);

#endif
