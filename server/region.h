/*
 * Regions of the cloud: names, hosts by family, and which are supported. Regions are data: a row
 * each, and the configuration may replace a row's URLs and CA, which is how a private relay or the
 * simulated cloud is used.
 *
 * Hosts: the vendor's public API client (urls.py) and developer.cisco.com/docs/cisco-xdr; those of
 * SSE: the appliances' user guides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_REGION_H
#define SERVER_REGION_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

enum region {
    REGION_AMERICAS,
    REGION_EUROPE,
    REGION_APJC, /* Known, so that the refusal can say why. */
    REGION_COUNT,
};

enum host_family {
    FAMILY_VISIBILITY,    /* OAuth2, inspect, enrich, response. */
    FAMILY_PRIVATE_INTEL, /* CTIA: bundles, casebooks. */
    FAMILY_EXCHANGE,      /* SSE: devices. */
    FAMILY_COUNT,
};

#define REGION_URL_SIZE 256 /* Bytes, with the zero byte. */

/* What the configuration may put in place of a region's row. NULL and empty: as the table says. */
struct endpoints {
    const char *visibility_url; /* "https://host[:port]", without a path. */
    const char *ctia_url;
    const char *sse_url;
    struct slice ca_pem; /* In place of the system's CAs, for this region's hosts. */
};

/* "AMERICAS", "EUROPE", "APJC". Never NULL. */
const char *region_name(enum region region);

/*
 * A supported region by name, in any case; "us" and "nam", "eu" are understood too. STATUS_INVALID
 * names those that exist; STATUS_REFUSED for one that is known and not supported, and says why
 * (R3).
 */
MUST_USE struct status region_parse(struct slice name, enum region *out);

/* "https://visibility.amp.cisco.com", or what `endpoints` (may be NULL) has instead. */
const char *region_url(enum region region, enum host_family family,
                       const struct endpoints *endpoints);

/* Is this a base URL that `endpoints` may have? https, a host, perhaps a port, nothing more.
 * STATUS_INVALID says what is wrong. For the configuration. */
MUST_USE struct status region_url_check(const char *url);

#endif
