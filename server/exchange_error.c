/*
 * The errors of the device contract.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exchange_error.h"

#include <stddef.h>

struct error_row {
    const char *code;
    const char *text;
};

/* The way back for a device that cannot speak for itself any more: the device, should the cloud still
 * have it, is taken over. */
#define ANEW "`muster registration deregister --forget`, then register with a new token"

static const struct error_row rows[] = {
    {"token_malformed", "the registration token is not 32 hexadecimal digits: copy it again from "
                        "the portal, all of it"},
    {"token_invalid", "the cloud does not know this registration token: generate a new one in the "
                      "portal and register again"},
    {"wrong_region", "the registration token was issued in another region: set the region the "
                     "portal shows, or generate a token in this one"},
    {"token_used", "the registration token was used already: generate a new one in the portal and "
                   "register again"},
    {"token_expired", "the registration token has expired: generate a new one in the portal and "
                      "register again"},
    {"tenant_disabled", "the organisation is disabled in the cloud: have its administrator enable "
                        "it, then register again with a new token"},
    {"csr_invalid", "the cloud does not accept the certificate request: register again; if it "
                    "stays, report it"},
    {"key_in_use", "another device holds this key: register again, which makes a new one"},
    {"device_registered", "the cloud lists this appliance as another device already: delete that "
                          "device in the portal, then register again with a new token"},
    {"certificate_required", "the cloud asks for the device certificate and saw none"},
    {"certificate_unknown", "the cloud does not know the device certificate: " ANEW},
    {"certificate_expired", "the device certificate has expired: " ANEW},
    {"certificate_revoked", "the device certificate was revoked in the portal: " ANEW},
    {"wrong_device", "the device certificate belongs to another device: " ANEW},
    {"device_suspended", "the device is suspended in the portal: resume it there, and this node "
                         "will notice"},
    {"device_deregistered", "the device was deleted in the portal: " ANEW},
    {"device_not_found", "the cloud does not know the device, it was deleted in the portal: " ANEW},
    {"enrolment_failed", "the cloud could not finish the registration: generate a new token in the "
                         "portal and register again"},
    {"authentication_required", "the cloud lists devices only to a device or an API client"},
};

const char *exchange_error_text(struct slice code)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (slice_equal(code, slice_of(rows[i].code))) {
            return rows[i].text;
        }
    }
    return NULL;
}
