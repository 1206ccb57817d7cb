/*
 * The region table, and what the configuration may replace in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "region.h"

#include <string.h>
#include <strings.h>

#define REGION_NAMES_MAX 3

struct region_row {
    const char *names[REGION_NAMES_MAX]; /* The first one is shown. */
    const char *urls[FAMILY_COUNT];
    const char *refusal; /* NULL if supported. */
};

static const struct region_row rows[REGION_COUNT] = {
    [REGION_AMERICAS] = {.names = {"AMERICAS", "nam", "us"},
                         .urls = {"https://visibility.amp.cisco.com",
                                  "https://private.intel.amp.cisco.com",
                                  "https://api-sse.cisco.com"}},
    [REGION_EUROPE] = {.names = {"EUROPE", "eu", NULL},
                       .urls = {"https://visibility.eu.amp.cisco.com",
                                "https://private.intel.eu.amp.cisco.com",
                                "https://api.eu.sse.itd.cisco.com"}},
    [REGION_APJC] = {.names = {"APJC", "apj", NULL},
                     .urls = {"https://visibility.apjc.amp.cisco.com",
                              "https://private.intel.apjc.amp.cisco.com",
                              "https://api.apj.sse.itd.cisco.com"},
                     .refusal = "the Asia-Pacific server (visibility.apjc.amp.cisco.com) does not "
                                "take appliances of this kind; choose AMERICAS or EUROPE, and use "
                                "an account of that region"},
};

const char *region_name(enum region region)
{
    return rows[region].names[0];
}

static bool row_has(const struct region_row *row, const char *name)
{
    for (size_t i = 0; i < REGION_NAMES_MAX && row->names[i] != NULL; i++) {
        if (strcasecmp(row->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

struct status region_parse(struct slice name, enum region *out)
{
    char text[32];
    size_t i = 0;

    if (!slice_to_text(name, text, sizeof text)) {
        return fail(STATUS_INVALID, "not a region; there are AMERICAS and EUROPE");
    }
    while (i < REGION_COUNT && !row_has(&rows[i], text)) {
        i++;
    }
    if (i == REGION_COUNT) {
        return fail(STATUS_INVALID, "\"%s\" is not a region; there are AMERICAS and EUROPE", text);
    }
    if (rows[i].refusal != NULL) {
        return fail(STATUS_REFUSED, "region %s is not supported: %s", rows[i].names[0],
                    rows[i].refusal);
    }
    *out = (enum region)i;
    return OK;
}

static const char *replaced_url(enum host_family family, const struct endpoints *endpoints)
{
    switch (family) {
    case FAMILY_VISIBILITY: return endpoints->visibility_url;
    case FAMILY_PRIVATE_INTEL: return endpoints->ctia_url;
    case FAMILY_EXCHANGE: return endpoints->sse_url;
    case FAMILY_COUNT: break;
    }
    return NULL;
}

const char *region_url(enum region region, enum host_family family,
                       const struct endpoints *endpoints)
{
    const char *replaced = endpoints != NULL ? replaced_url(family, endpoints) : NULL;
    return replaced != NULL ? replaced : rows[region].urls[family];
}

struct status region_url_check(const char *url)
{
    static const char scheme[] = "https://";
    static const char host_characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";

    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return fail(STATUS_INVALID, "\"%.100s\" does not begin with https://", url);
    }
    const char *host = url + sizeof scheme - 1;
    size_t size = strlen(host);
    if (size == 0 || size > REGION_URL_SIZE - sizeof scheme) {
        return fail(STATUS_INVALID, "\"%.100s\" names no host, or one that is too long", url);
    }
    if (strspn(host, host_characters) != size) {
        return fail(STATUS_INVALID, "\"%.100s\" must be https://host[:port] and nothing more", url);
    }
    return OK;
}
