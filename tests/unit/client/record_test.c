/*
 * Records: normal forms, what is refused from outside, search keys, round trips at the limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/record.h"

#include <stdio.h>
#include <string.h>

#include "scratch.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct normal_row {
    const char *name;
    enum record_key_kind kind;
    const char *text;
    const char *normal; /* NULL: refused. */
};

static const struct normal_row normal_rows[] = {
    {"v4", RECORD_KEY_IP, "192.0.2.7", "192.0.2.7"},
    {"v4 with a leading zero", RECORD_KEY_IP, "192.0.02.7", NULL},
    {"v4 of three parts", RECORD_KEY_IP, "192.0.2", NULL},
    {"v6 long form", RECORD_KEY_IP, "2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"v6 in brackets", RECORD_KEY_IP, "[2001:db8::A]", "2001:db8::a"},
    {"v4 within v6", RECORD_KEY_IP, "::ffff:192.0.2.1", "192.0.2.1"},
    {"v6 with a zone", RECORD_KEY_IP, "fe80::1%eth0", NULL},
    {"domain in capitals", RECORD_KEY_DOMAIN, "Mail.Example.COM", "mail.example.com"},
    {"domain with its root", RECORD_KEY_DOMAIN, "example.com.", "example.com"},
    {"domain as it is, IDNA", RECORD_KEY_DOMAIN, "xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"domain with letters above ASCII", RECORD_KEY_DOMAIN, "b\xc3\xbc.example",
     "b\xc3\xbc.example"},
    {"domain of broken letters", RECORD_KEY_DOMAIN, "b\xc3.example", NULL},
    {"domain of one label", RECORD_KEY_DOMAIN, "localhost", NULL},
    {"domain with an empty label", RECORD_KEY_DOMAIN, "a..example", NULL},
    {"an address is no domain", RECORD_KEY_DOMAIN, "192.0.2.7", NULL},
    {"domain with a blank", RECORD_KEY_DOMAIN, "exa mple.com", NULL},
    {"domain label of 64", RECORD_KEY_DOMAIN,
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", NULL},
    {"url keeps its path", RECORD_KEY_URL, "HTTP://WWW.Example.com/Path?Q=1",
     "http://www.example.com/Path?Q=1"},
    {"url with user and port", RECORD_KEY_URL, "https://Me@Example.com:8443/x",
     "https://Me@example.com:8443/x"},
    {"url with an address", RECORD_KEY_URL, "http://[2001:DB8::1]:80/", "http://[2001:db8::1]:80/"},
    {"url without a host", RECORD_KEY_URL, "http:///path", NULL},
    {"url with a bad port", RECORD_KEY_URL, "http://example.com:x/", NULL},
    {"url of another scheme", RECORD_KEY_URL, "javascript://example.com/", NULL},
    {"url with a blank", RECORD_KEY_URL, "http://example.com/a b", NULL},
    {"url, only a scheme", RECORD_KEY_URL, "http://", NULL},
    {"digest", RECORD_KEY_SHA256,
     "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", DIGEST},
    {"digest too short", RECORD_KEY_SHA256, "0123456789abcdef", NULL},
    {"digest with a wrong digit", RECORD_KEY_SHA256,
     "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL},
    {"sender in brackets", RECORD_KEY_SENDER, "<Ann.O@Example.COM>", "ann.o@example.com"},
    {"null sender", RECORD_KEY_SENDER, "<>", NULL},
    {"recipient without a domain", RECORD_KEY_RECIPIENT, "postmaster", NULL},
    {"recipient with a blank", RECORD_KEY_RECIPIENT, "a b@example.com", NULL},
    {"mid", RECORD_KEY_MID, "0042", "42"},
    {"mid of zero", RECORD_KEY_MID, "0", "0"},
    {"mid with a letter", RECORD_KEY_MID, "42a", NULL},
    {"message id keeps its case", RECORD_KEY_MESSAGE_ID, "<Ab.1@example.com>", "Ab.1@example.com"},
    {"message id with a line end", RECORD_KEY_MESSAGE_ID, "<a\n@example.com>", NULL},
    {"nothing", RECORD_KEY_URL, "", NULL},
};

static void test_normal_forms(void **state)
{
    (void)state;
    char room[RECORD_KEY_SIZE_MAX + 1];
    for (size_t i = 0; i < sizeof(normal_rows) / sizeof(normal_rows[0]); i++) {
        const struct normal_row *row = &normal_rows[i];
        struct slice out;
        check_row(row->name);
        bool accepted = record_key_normalise(row->kind, slice_of(row->text), room, &out);
        CHECK(accepted == (row->normal != NULL));
        CHECK_SLICE(out, slice_of(row->normal));
        if (accepted) { /* A normal form is its own normal form. */
            char again_room[RECORD_KEY_SIZE_MAX + 1];
            struct slice again;
            CHECK(record_key_normalise(row->kind, out, again_room, &again));
            CHECK_SLICE(again, out);
        }
    }
}

static void test_internal_addresses(void **state)
{
    (void)state;
    static const char *const internal[] = {
        "10.1.2.3",    "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1",
        "169.254.1.1", "100.64.0.1", "224.0.0.1",      "0.0.0.0",     "::1",
        "::",          "fe80::1",    "fd00::1",        "ff02::1"};
    static const char *const outside[] = {"192.0.2.1",   "172.32.0.1",  "172.15.0.1", "11.0.0.1",
                                          "100.128.0.1", "2001:db8::1", "fe00::1",    "not an ip"};
    for (size_t i = 0; i < sizeof(internal) / sizeof(internal[0]); i++) {
        check_row(internal[i]);
        CHECK(record_ip_is_internal(slice_of(internal[i])));
    }
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        check_row(outside[i]);
        CHECK(!record_ip_is_internal(slice_of(outside[i])));
    }
}

static struct slice sample_recipients[2];
static struct record_observable sample_observables[4];
static struct message_attachment sample_attachments[1];
static struct slice sample_verdicts[1];

static struct message_record sample(void)
{
    sample_recipients[0] = slice_of("Ann@Example.com");
    sample_recipients[1] = slice_of("ann@example.com"); /* Equal as a key. */
    sample_observables[0] = (struct record_observable){slice_of("ip"), slice_of("10.0.0.1"), true};
    sample_observables[1] =
        (struct record_observable){slice_of("ipv6"), slice_of("2001:db8::1"), false};
    sample_observables[2] =
        (struct record_observable){slice_of("url"), slice_of("http://example.com/A"), false};
    sample_observables[3] = (struct record_observable){slice_of("sha256"), slice_of(DIGEST), false};
    sample_attachments[0] = (struct message_attachment){slice_of("a.pdf"), slice_of(DIGEST)};
    sample_verdicts[0] = slice_of("CASE spam positive");
    return (struct message_record){
        .serial = slice_of("0A1B2C-3D4E5F"),
        .mid = 42,
        .revision = 1000,
        .start_ms = 900,
        .last_ms = 1000,
        .disposition = slice_of("delivered"),
        .sender = slice_of("Bob@Example.test"),
        .recipients = {.items = sample_recipients, .count = 2},
        .recipient_count = 2,
        .message_id = slice_of("<X1@example.test>"),
        .sender_ip = slice_of("10.0.0.1"),
        .verdicts = {.items = sample_verdicts, .count = 1},
        .attachments = {.items = sample_attachments, .count = 1},
        .observables = {.items = sample_observables, .count = 4},
    };
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        enum record_key_kind kind;
        const char *value;
    } expected[] = {
        {RECORD_KEY_IP, "10.0.0.1"},
        {RECORD_KEY_IP, "2001:db8::1"},
        {RECORD_KEY_URL, "http://example.com/A"},
        {RECORD_KEY_SHA256, DIGEST},
        {RECORD_KEY_SENDER, "bob@example.test"},
        {RECORD_KEY_RECIPIENT, "ann@example.com"},
        {RECORD_KEY_MID, "42"},
        {RECORD_KEY_MESSAGE_ID, "X1@example.test"},
    };
    struct message_record record = sample();
    struct arena arena = {0};
    struct record_key_list keys;
    CHECK_OK(message_record_check(&record));
    CHECK_OK(record_keys(&record, &arena, &keys));
    CHECK_U64(keys.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < keys.count; i++) {
        check_row(record_key_kind_name(expected[i].kind));
        CHECK_U64(keys.items[i].kind, expected[i].kind);
        CHECK_SLICE(keys.items[i].value, slice_of(expected[i].value));
    }
    arena_release(&arena);
}

static void test_names_parse(void **state)
{
    (void)state;
    enum record_key_kind kind;
    for (unsigned i = RECORD_KEY_IP; i <= RECORD_KEY_MESSAGE_ID; i++) {
        const char *name = record_key_kind_name((enum record_key_kind)i);
        check_row(name);
        CHECK(record_key_kind_parse(slice_of(name), &kind));
        CHECK_U64(kind, i);
    }
    CHECK(record_key_kind_parse(slice_of("ipv6"), &kind));
    CHECK_U64(kind, RECORD_KEY_IP);
    CHECK(!record_key_kind_parse(slice_of("md5"), &kind));
}

typedef void (*spoil_fn)(struct message_record *record);

static void spoil_serial(struct message_record *record)
{
    record->serial = (struct slice){0};
}

static void spoil_times(struct message_record *record)
{
    record->last_ms = record->start_ms - 1;
}

static void spoil_disposition(struct message_record *record)
{
    record->disposition = slice_of("eaten");
}

static void spoil_count(struct message_record *record)
{
    record->recipient_count = 1;
}

static void spoil_sender_ip(struct message_record *record)
{
    record->sender_ip = slice_of("2001:DB8::1");
}

static void spoil_type(struct message_record *record)
{
    (void)record;
    sample_observables[0].type = slice_of("sender");
}

static void spoil_form(struct message_record *record)
{
    (void)record;
    sample_observables[2].value = slice_of("HTTP://example.com/");
}

static void spoil_family(struct message_record *record)
{
    (void)record;
    sample_observables[1].type = slice_of("ip");
}

static void spoil_internal(struct message_record *record)
{
    (void)record;
    sample_observables[2].internal = true;
}

static void spoil_digest(struct message_record *record)
{
    (void)record;
    sample_attachments[0].sha256 = slice_of("abc");
}

static void test_refused_from_outside(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        spoil_fn spoil;
    } rows[] = {
        {"no serial", spoil_serial},         {"times in disorder", spoil_times},
        {"disposition", spoil_disposition},  {"recipient count", spoil_count},
        {"sender address", spoil_sender_ip}, {"observable type", spoil_type},
        {"observable form", spoil_form},     {"observable family", spoil_family},
        {"internal url", spoil_internal},    {"attachment digest", spoil_digest},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct message_record record = sample();
        check_row(rows[i].name);
        CHECK_OK(message_record_check(&record));
        rows[i].spoil(&record);
        CHECK_CODE(message_record_check(&record), STATUS_INVALID);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned dialect = CODEC_TAGS; dialect <= CODEC_NAMES; dialect++) {
        struct message_record in = sample();
        struct message_record out;
        struct buffer bytes = {0};
        struct arena arena = {0};
        CHECK_OK(codec_encode(&message_record_codec, (enum codec_dialect)dialect, &in, &bytes));
        CHECK_OK(codec_decode(&message_record_codec, (enum codec_dialect)dialect,
                              buffer_slice(&bytes), &arena, &out));
        CHECK_OK(message_record_check(&out));
        CHECK_SLICE(out.serial, in.serial);
        CHECK_SLICE(out.message_id, in.message_id);
        CHECK_U64(out.observables.count, 4);
        struct buffer again = {0};
        CHECK_OK(codec_encode(&message_record_codec, (enum codec_dialect)dialect, &out, &again));
        CHECK_SLICE(buffer_slice(&again), buffer_slice(&bytes));
        buffer_release(&again);
        buffer_release(&bytes);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_internal_addresses),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_names_parse),
        cmocka_unit_test(test_refused_from_outside),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
