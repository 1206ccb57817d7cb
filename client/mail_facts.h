/*
 * Facts: what the lines of one message said, packed one after the other, and the record made of
 * them.
 *
 * An open message is a list of facts and nothing else; what they add up to is worked out once, when
 * the message is given out. So a message costs little more memory than its lines, and the record is
 * a pure function of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_FACTS_H
#define MAIL_FACTS_H

#include "client/record.h"
#include "mail_logs_line.h"

/* Bytes; beyond it further facts of a message are dropped, but for how it ended, for which there
 * is some more room. With OBSERVABLES_SIZE_MAX, any record stays within RECORD_BODY_SIZE_MAX. */
#define MAIL_FACTS_SIZE_MAX ((size_t)28 << 10)
#define MAIL_FACTS_END_SIZE_MAX ((size_t)4 << 10)

/* Zero-initialised is empty. */
struct mail_facts {
    struct buffer bytes;
    uint64_t recipient_count; /* Also of those that are not kept. */
    bool cut;                 /* A fact, or a part of one, did not fit. */
};

/* Add what an event said, with its texts cut to what a record holds. False when memory runs out. */
bool mail_facts_add(struct mail_facts *facts, const struct mail_event *event);

/* One fact, unpacked. */
struct mail_fact {
    enum mail_event_kind kind;
    uint64_t id;
    uint64_t number;
    bool flag;
    struct slice text;
    struct slice more;
    struct slice third;
};

/* Take the first fact off the packed ones; false if there is none. Texts borrow from them. */
bool mail_facts_next(struct slice *rest, struct mail_fact *out);

/* Room for one record: large, so one is enough for a whole log. */
struct mail_draft {
    struct message_record record;
    struct slice recipients[MESSAGE_RECIPIENTS_MAX];
    struct slice verdicts[MESSAGE_VERDICTS_MAX];
    struct message_attachment attachments[MESSAGE_ATTACHMENTS_MAX];
    struct message_delivery deliveries[MESSAGE_DELIVERIES_MAX];
    struct message_relation relations[MESSAGE_RELATIONS_MAX];
    struct record_observable observables[RECORD_OBSERVABLES_MAX];
    char sender_ip[64];
    char sender_host[256];
    struct arena arena;       /* TLS, digests, normalised observables. */
    uint64_t delivered_count; /* Recipients. */
    uint64_t bounced_count;
    unsigned seen; /* Bits 1 << enum mail_seen. */
};

void mail_draft_release(struct mail_draft *draft);

/*
 * Work the facts out into `draft->record`, all but serial, mid, revision and times, which the caller
 * knows. Everything in it borrows from `draft` and `facts`. False when memory runs out.
 */
bool mail_draft_build(struct mail_draft *draft, const struct mail_facts *facts);

#endif
