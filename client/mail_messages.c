/*
 * Lists of messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_messages.h"

#include <stddef.h>

void message_list_append(struct message_list *list, struct message *message)
{
    message->before = list->last;
    message->after = NULL;
    if (list->last != NULL) {
        list->last->after = message;
    } else {
        list->first = message;
    }
    list->last = message;
    list->count++;
}

void message_list_remove(struct message_list *list, struct message *message)
{
    if (message->before != NULL) {
        message->before->after = message->after;
    } else {
        list->first = message->after;
    }
    if (message->after != NULL) {
        message->after->before = message->before;
    } else {
        list->last = message->before;
    }
    list->count--;
}
