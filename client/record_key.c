/*
 * The one form under which things are indexed: addresses, domains, URLs, digests, people.
 *
 * Nothing here repairs a text. What is not of its kind is refused, for a wrong key finds nothing
 * and a wrong observable accuses someone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <string.h>

#include "client/record.h"

#define LABEL_SIZE_MAX 63   /* RFC 1035. */
#define DOMAIN_SIZE_MAX 253 /* RFC 1035, as text. */
#define SHA256_DIGITS 64

static const struct {
    const char *name;
    enum record_key_kind kind;
} kind_names[] = {
    {"ip", RECORD_KEY_IP},         {"domain", RECORD_KEY_DOMAIN},
    {"url", RECORD_KEY_URL},       {"sha256", RECORD_KEY_SHA256},
    {"sender", RECORD_KEY_SENDER}, {"recipient", RECORD_KEY_RECIPIENT},
    {"mid", RECORD_KEY_MID},       {"message_id", RECORD_KEY_MESSAGE_ID},
    {"ipv6", RECORD_KEY_IP}, /* After "ip", which is the name of the kind. */
};
#define KIND_NAME_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

const char *record_key_kind_name(enum record_key_kind kind)
{
    for (size_t i = 0; i < KIND_NAME_COUNT; i++) {
        if (kind_names[i].kind == kind) {
            return kind_names[i].name;
        }
    }
    return "unknown";
}

bool record_key_kind_parse(struct slice name, enum record_key_kind *out)
{
    for (size_t i = 0; i < KIND_NAME_COUNT; i++) {
        if (slice_equal(name, slice_of(kind_names[i].name))) {
            *out = kind_names[i].kind;
            return true;
        }
    }
    return false;
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z') { /* ASCII, whatever the locale. */
        return (char)((unsigned)c | 0x20U);
    }
    return c;
}

static void copy_lower(struct slice text, char *out)
{
    const char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        out[i] = lower(bytes[i]);
    }
}

static struct slice part(struct slice text, size_t from, size_t to)
{
    return (struct slice){.data = (const char *)text.data + from, .size = to - from};
}

static struct slice without_brackets(struct slice text, char open, char close)
{
    const char *bytes = text.data;
    if (text.size >= 2 && bytes[0] == open && bytes[text.size - 1] == close) {
        return part(text, 1, text.size - 1);
    }
    return text;
}

/* Letters a name may have; bytes above ASCII are of an internationalised name. */
static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           ((unsigned char)c & 0x80U) != 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
    }
    return size > 0;
}

static bool is_label(const char *label, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!is_name_byte(label[i])) {
            return false;
        }
    }
    return size > 0 && size <= LABEL_SIZE_MAX;
}

/* More than one label, the last not a number: "1.2.3.4" is an address and "localhost" tells nobody
 * anything. */
static bool is_domain(const char *name, size_t size)
{
    const char *dot = memchr(name, '.', size);
    bool has_dot = dot != NULL;
    while (dot != NULL) {
        size_t label_size = (size_t)(dot - name);
        if (!is_label(name, label_size)) {
            return false;
        }
        name += label_size + 1;
        size -= label_size + 1;
        dot = memchr(name, '.', size);
    }
    return has_dot && is_label(name, size) && !all_digits(name, size);
}

static size_t normalise_domain(struct slice text, char *room)
{
    const char *bytes = text.data;
    if (text.size > 0 && bytes[text.size - 1] == '.') {
        text.size--;
    }
    if (text.size == 0 || text.size > DOMAIN_SIZE_MAX || !slice_is_text(text)) {
        return 0;
    }
    copy_lower(text, room);
    return is_domain(room, text.size) ? text.size : 0;
}

static size_t normalise_ip(struct slice text, char *room)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    if (!slice_to_text(without_brackets(text, '[', ']'), copy, sizeof(copy))) {
        return 0;
    }
    if (inet_pton(AF_INET6, copy, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
        return inet_ntop(AF_INET6, &v6, room, INET6_ADDRSTRLEN) != NULL ? strlen(room) : 0;
    }
    if (strchr(copy, ':') != NULL && inet_pton(AF_INET6, copy, &v6) == 1) {
        memcpy(&v4, &v6.s6_addr[12], sizeof(v4)); /* The address within ::ffff:0:0/96. */
    } else if (inet_pton(AF_INET, copy, &v4) != 1) {
        return 0;
    }
    return inet_ntop(AF_INET, &v4, room, INET6_ADDRSTRLEN) != NULL ? strlen(room) : 0;
}

static size_t normalise_sha256(struct slice text, char *room)
{
    if (text.size != SHA256_DIGITS) {
        return 0;
    }
    copy_lower(text, room);
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(room[i]) && !(room[i] >= 'a' && room[i] <= 'f')) {
            return 0;
        }
    }
    return text.size;
}

/* No blanks, no control bytes, nothing that could end a line or a quoted string elsewhere. */
static bool is_printable(struct slice text)
{
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] <= ' ' || bytes[i] == 0x7f || bytes[i] == '<' || bytes[i] == '>') {
            return false;
        }
    }
    return slice_is_text(text);
}

/* Where the host of a URL ends: port and path do not belong to it. */
static struct slice host_of(struct slice authority)
{
    const char *bytes = authority.data;
    const char *at = memrchr(bytes, '@', authority.size);
    if (at != NULL) {
        authority = part(authority, (size_t)(at + 1 - bytes), authority.size);
        bytes = authority.data;
    }
    if (authority.size > 0 && bytes[0] == '[') {
        const char *end = memchr(bytes, ']', authority.size);
        return end != NULL ? part(authority, 0, (size_t)(end + 1 - bytes)) : (struct slice){0};
    }
    const char *colon = memchr(bytes, ':', authority.size);
    if (colon == NULL) {
        return authority;
    }
    size_t host_size = (size_t)(colon - bytes);
    bool port_is_number = all_digits(colon + 1, authority.size - host_size - 1);
    return port_is_number || host_size + 1 == authority.size ? part(authority, 0, host_size)
                                                             : (struct slice){0};
}

struct slice record_url_host(struct slice url)
{
    const char *mark = memmem(url.data, url.size, "://", 3);
    if (mark == NULL) {
        return (struct slice){0};
    }
    size_t from = (size_t)(mark + 3 - (const char *)url.data);
    size_t to = from;
    const char *bytes = url.data;
    while (to < url.size && strchr("/?#\\", bytes[to]) == NULL) {
        to++;
    }
    return host_of(part(url, from, to));
}

static bool scheme_is_known(const char *url, size_t size)
{
    static const char *const schemes[] = {"http://", "https://", "ftp://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t scheme_size = strlen(schemes[i]);
        if (size > scheme_size && memcmp(url, schemes[i], scheme_size) == 0) {
            return true;
        }
    }
    return false;
}

static size_t normalise_url(struct slice text, char *room)
{
    if (text.size > RECORD_KEY_SIZE_MAX || !is_printable(text)) {
        return 0;
    }
    struct slice host = record_url_host(text);
    if (host.size == 0) {
        return 0;
    }
    size_t host_start = (size_t)((const char *)host.data - (const char *)text.data);
    char name[RECORD_KEY_SIZE_MAX + 1];
    bool sound = normalise_domain(host, name) > 0 || normalise_ip(host, name) > 0;
    memcpy(room, text.data, text.size);
    const char *mark = memmem(room, text.size, "://", 3);
    copy_lower(part(text, 0, (size_t)(mark - room)), room);
    copy_lower(host, room + host_start);
    return sound && scheme_is_known(room, text.size) ? text.size : 0;
}

/* The local part is compared without regard to case too: no mailbox of our time minds. */
static size_t normalise_address(struct slice text, char *room)
{
    text = without_brackets(text, '<', '>');
    if (text.size == 0 || text.size > MESSAGE_ADDRESS_SIZE_MAX || !is_printable(text)) {
        return 0;
    }
    const char *bytes = text.data;
    const char *at = memrchr(bytes, '@', text.size);
    if (at == NULL || at == bytes || at + 1 == bytes + text.size) {
        return 0;
    }
    copy_lower(text, room);
    return text.size;
}

static size_t normalise_message_id(struct slice text, char *room)
{
    text = without_brackets(text, '<', '>');
    if (text.size == 0 || text.size > MESSAGE_ID_SIZE_MAX || !is_printable(text)) {
        return 0;
    }
    memcpy(room, text.data, text.size);
    return text.size;
}

static size_t normalise_mid(struct slice text, char *room)
{
    const char *bytes = text.data;
    while (text.size > 1 && bytes[0] == '0') {
        text = part(text, 1, text.size);
        bytes = text.data;
    }
    if (text.size > 16 || !all_digits(bytes, text.size)) { /* RECORD_NUMBER_MAX has 16 digits. */
        return 0;
    }
    memcpy(room, text.data, text.size);
    return text.size;
}

static size_t normalise(enum record_key_kind kind, struct slice text, char *room)
{
    switch (kind) {
    case RECORD_KEY_IP: return normalise_ip(text, room);
    case RECORD_KEY_DOMAIN: return normalise_domain(text, room);
    case RECORD_KEY_URL: return normalise_url(text, room);
    case RECORD_KEY_SHA256: return normalise_sha256(text, room);
    case RECORD_KEY_SENDER:
    case RECORD_KEY_RECIPIENT: return normalise_address(text, room);
    case RECORD_KEY_MID: return normalise_mid(text, room);
    case RECORD_KEY_MESSAGE_ID: return normalise_message_id(text, room);
    }
    return 0;
}

bool record_key_normalise(enum record_key_kind kind, struct slice text,
                          char room[RECORD_KEY_SIZE_MAX + 1], struct slice *out)
{
    *out = (struct slice){0};
    if (text.size == 0) {
        return false;
    }
    size_t size = normalise(kind, text, room);
    if (size == 0) {
        return false;
    }
    room[size] = '\0';
    *out = (struct slice){.data = room, .size = size};
    return true;
}

struct ip_range {
    int family;
    uint8_t first[4]; /* The first bits of the network; the ranges below need no more. */
    unsigned bits;
};

static const struct ip_range internal_ranges[] = {
    {AF_INET, {0}, 8},            /* This network. */
    {AF_INET, {10}, 8},           /* Private. */
    {AF_INET, {100, 64}, 10},     /* Shared by carriers. */
    {AF_INET, {127}, 8},          /* Loopback. */
    {AF_INET, {169, 254}, 16},    /* Link-local. */
    {AF_INET, {172, 16}, 12},     /* Private. */
    {AF_INET, {192, 168}, 16},    /* Private. */
    {AF_INET, {224}, 3},          /* Multicast and reserved. */
    {AF_INET6, {0xfc}, 7},        /* Unique local. */
    {AF_INET6, {0xfe, 0x80}, 10}, /* Link-local. */
    {AF_INET6, {0xff}, 8},        /* Multicast. */
};

static bool in_range(const struct ip_range *range, const uint8_t *address)
{
    for (unsigned bit = 0; bit < range->bits; bit++) {
        unsigned mask = 0x80U >> (bit % 8U);
        if (((range->first[bit / 8U] ^ address[bit / 8U]) & mask) != 0) {
            return false;
        }
    }
    return true;
}

bool record_ip_is_internal(struct slice ip)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[sizeof(struct in6_addr)] = {0};
    if (!slice_to_text(ip, text, sizeof(text))) {
        return false;
    }
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, address) != 1) {
        return false;
    }
    struct in6_addr v6;
    memcpy(&v6, address, sizeof(v6));
    if (family == AF_INET6 && (IN6_IS_ADDR_UNSPECIFIED(&v6) || IN6_IS_ADDR_LOOPBACK(&v6))) {
        return true;
    }
    for (size_t i = 0; i < sizeof(internal_ranges) / sizeof(internal_ranges[0]); i++) {
        if (internal_ranges[i].family == family && in_range(&internal_ranges[i], address)) {
            return true;
        }
    }
    return false;
}
