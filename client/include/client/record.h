/*
 * Records: what appliances have seen, as it is submitted, stored and exported.
 *
 * A record is known by (kind, serial, number, revision): the serial of the appliance, the MID of
 * the message, and the revision, which rises when more of the same message becomes known. The same
 * log gives the same identity and the same bytes, whatever the chunking and however often it is
 * read again, so submitting a record twice is harmless: the first one with its identity is kept.
 *
 * One table serves both dialects of base/codec.h: CODEC_TAGS for the stored body, CODEC_NAMES on
 * the RPC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_RECORD_H
#define CLIENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/slice.h"
#include "base/status.h"

/* On the wire and in the store for ever: never renumbered. */
enum record_kind {
    RECORD_MESSAGE = 1, /* One tracked e-mail message. */
    RECORD_WEB = 2,     /* One web transaction. */
    RECORD_REPORT = 3,  /* One roll-up of counters. */
};

#define RECORD_SERIAL_SIZE_MAX 64 /* Bytes; appliances print two groups of digits, 33 in all. */
#define RECORD_NUMBER_MAX ((UINT64_C(1) << 53) - 1) /* Exact in every JSON reader. */
#define RECORD_WORD_SIZE_MAX 16 /* Bytes of short words: "quarantined", "generated_from". */
#define RECORD_TIME_MAX_MS UINT64_C(253402300799999) /* The end of the year 9999. */
#define RECORD_BODY_SIZE_MAX ((size_t)64 << 10)    /* Bytes of one record, either dialect. */

/* ------------------------------------------------------------------------- observables and keys */

#define RECORD_KEY_SIZE_MAX 2048 /* Bytes: a URL of CODEC_TEXTS_SIZE_MAX. */

/* What a record can be found by. Never renumbered. */
enum record_key_kind {
    RECORD_KEY_IP = 1,     /* Version 4 or 6. */
    RECORD_KEY_DOMAIN = 2, /* Of the sender, of its host, of each URL. */
    RECORD_KEY_URL = 3,
    RECORD_KEY_SHA256 = 4,     /* Of an attached file. */
    RECORD_KEY_SENDER = 5,     /* Envelope sender. */
    RECORD_KEY_RECIPIENT = 6,  /* Envelope recipient. */
    RECORD_KEY_MID = 7,        /* Decimal digits; the same MID exists on other appliances. */
    RECORD_KEY_MESSAGE_ID = 8, /* Without its angle brackets. */
};

/* "ip", "domain", "url", "sha256", "sender", "recipient", "mid", "message_id". Never NULL. */
const char *record_key_kind_name(enum record_key_kind kind);

/* The reverse; false for any other text. "ipv6" is RECORD_KEY_IP. */
bool record_key_kind_parse(struct slice name, enum record_key_kind *out);

/*
 * Write the one form under which records are indexed, so that a question finds what a log line
 * said in other words: addresses canonical (RFC 5952), domains, addresses of people and hex digits
 * in lower case, scheme and host of a URL too (the rest of a URL counts as it is), no trailing dot,
 * no angle brackets. Internationalised names stay as they are written. False, with `*out` empty,
 * if the text is not of that kind. `*out` points into `room`.
 */
bool record_key_normalise(enum record_key_kind kind, struct slice text,
                          char room[RECORD_KEY_SIZE_MAX + 1], struct slice *out);

/* Whether a normalised address is of no meaning outside: private, shared, loopback, link-local,
 * unique local, unspecified or multicast (RFC 1918, 6598, 1122, 3927, 4193, 4291). */
bool record_ip_is_internal(struct slice ip);

/* The host of a URL, as written, without user and port; empty if there is none. Borrows. */
struct slice record_url_host(struct slice url);

/* One observable, in the words of the cloud's data model. */
struct record_observable {
    struct slice type;  /* "ip", "ipv6", "domain", "url" or "sha256". */
    struct slice value; /* Normalised. */
    bool internal;      /* An address of no meaning outside: shown, never asked about. */
};

#define RECORD_OBSERVABLES_MAX 64
extern const struct codec record_observable_codec;

struct record_key {
    enum record_key_kind kind;
    struct slice value; /* Normalised, at most RECORD_KEY_SIZE_MAX bytes, never empty. */
};

struct record_key_list {
    struct record_key *items; /* No two are equal. Order of the record's fields. */
    size_t count;             /* At most RECORD_KEYS_MAX. */
};

/* Observables, recipients, sender, MID and Message-ID. */
#define RECORD_KEYS_MAX (RECORD_OBSERVABLES_MAX + MESSAGE_RECIPIENTS_MAX + 3)

/* --------------------------------------------------------------------------- messages (mail) */

#define MESSAGE_RECIPIENTS_MAX 100
#define MESSAGE_VERDICTS_MAX 32
#define MESSAGE_ATTACHMENTS_MAX 32
#define MESSAGE_DELIVERIES_MAX 32
#define MESSAGE_RELATIONS_MAX 32
#define MESSAGE_ADDRESS_SIZE_MAX 320  /* RFC 5321: 64 + "@" + 255. */
#define MESSAGE_ID_SIZE_MAX 998       /* RFC 5322: a line. */
#define MESSAGE_SUBJECT_SIZE_MAX 1024 /* Bytes; the title limit of the cloud. */
#define MESSAGE_TEXT_SIZE_MAX 256     /* A verdict, a response, a policy, a file name. */

struct message_attachment {
    struct slice name;   /* Empty if only the digest was seen. */
    struct slice sha256; /* 64 lower-case digits, or empty. */
};

struct message_delivery {
    uint64_t dcid;         /* 0 if the line did not name one. */
    struct slice address;  /* Of the host it was given to; empty if not seen. */
    struct slice response; /* What that host said; empty if not seen. */
};

struct message_relation {
    struct slice relation; /* "split_into", "split_from", "generated_from",
                              "rewritten_as" or "rewritten_from". */
    uint64_t mid;          /* The other message, of the same appliance. */
    struct slice reason;   /* As logged; may be empty. */
};

/*
 * One tracked message. Texts are UTF-8 without NUL (bytes that are not are replaced by U+FFFD when
 * the log is read), cut at a character, and `cut` is set if anything did not fit. Empty text, zero
 * and false mean "not seen".
 */
struct message_record {
    struct slice serial;          /* Never empty. */
    uint64_t mid;                 /* Up to RECORD_NUMBER_MAX. */
    uint64_t revision;            /* Time of the last line that added to it, see above. */
    uint64_t start_ms;            /* UTC, of its first line. */
    uint64_t last_ms;             /* UTC, of its last line. */
    bool complete;                /* Both its start and its finish were seen. */
    struct slice disposition;     /* message_disposition_name(). */
    struct slice response;        /* The last answer to a delivery, or why it was not. */
    struct slice direction;       /* "incoming", "outgoing", or empty. */
    uint64_t icid;                /* 0: made on the appliance itself, or not seen. */
    struct slice sender;          /* As logged, without brackets; empty for bounces too. */
    struct codec_list recipients; /* Texts; the first ones of */
    uint64_t recipient_count;     /* so many. */
    struct slice subject;
    struct slice message_id;  /* With its angle brackets, as logged. */
    uint64_t size;            /* Bytes of the message. */
    struct slice sender_ip;   /* Canonical. */
    struct slice sender_host; /* Reverse DNS name; lower case. */
    bool sender_host_verified;
    struct slice sbrs;             /* "-9.5", "None", ... */
    struct slice sender_group;     /* "UNKNOWNLIST". */
    struct slice sender_action;    /* "ACCEPT", "RELAY", "REJECT", "TCPREFUSE". */
    struct slice policy;           /* "DEFAULT". */
    struct slice tls;              /* Of the incoming connection: "TLSv1.2 AES128-SHA". */
    struct codec_list verdicts;    /* Texts: "CASE spam positive". */
    struct codec_list attachments; /* struct message_attachment. */
    struct codec_list deliveries;  /* struct message_delivery. */
    struct codec_list relations;   /* struct message_relation. */
    struct codec_list observables; /* struct record_observable; URLs seen are here. */
    bool cut;                      /* Something did not fit the limits above. */
};

extern const struct codec message_record_codec;
extern const struct codec message_attachment_codec;
extern const struct codec message_delivery_codec;
extern const struct codec message_relation_codec;

/* What became of a message. */
enum message_disposition {
    MESSAGE_PENDING,     /* No end was seen. */
    MESSAGE_DELIVERED,   /* To every recipient, as far as was seen. */
    MESSAGE_PARTIAL,     /* To some; others bounced. */
    MESSAGE_DROPPED,     /* By a verdict or a filter. */
    MESSAGE_QUARANTINED, /* Held, here or on the external quarantine. */
    MESSAGE_BOUNCED,
    MESSAGE_REJECTED, /* Recipients or content refused during the SMTP conversation. */
    MESSAGE_ABORTED,  /* The sender gave up, or the appliance did. */
    MESSAGE_SPLIT,    /* Went on as other messages, see relations. */
    MESSAGE_FINISHED, /* An end was seen, but not what it was. */
    MESSAGE_DISPOSITION_COUNT,
};

/* "pending", "delivered", ... in lower case. Never NULL. */
const char *message_disposition_name(enum message_disposition disposition);

/*
 * Whether a decoded record is one that muster-feed could have made: serial not empty, disposition
 * and observable types known, every observable and address normalised, times in order. For records
 * from outside. STATUS_INVALID names the field.
 */
MUST_USE struct status message_record_check(const struct message_record *record);

/*
 * The search keys of a record that passed message_record_check(). Values borrow from the record or
 * are allocated from `arena`. Fails with STATUS_NO_MEMORY only.
 */
MUST_USE struct status record_keys(const struct message_record *record, struct arena *arena,
                                   struct record_key_list *out);

#endif
