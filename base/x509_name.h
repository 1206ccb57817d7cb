/*
 * The common name of a parsed certificate's subject, for x509.c and streams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef X509_NAME_H
#define X509_NAME_H

#include <openssl/x509.h>
#include <stddef.h>

#include "base/status.h"

/* UTF-8 into `out`; STATUS_NOT_FOUND if there is none, it has a NUL in it or does not fit. */
MUST_USE struct status x509_name_text(const X509_NAME *name, char *out, size_t out_size);

#endif
