/*
 * Small files with a checksum at their end, so that a changed bit is told from what was written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SEALED_FILE_H
#define SERVER_SEALED_FILE_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* Append the content without the checksum. STATUS_CORRUPT names the file if it does not match; else as
 * file_read(). */
MUST_USE struct status sealed_file_read(const char *path, size_t size_max, struct buffer *out);

/* As file_write(). */
MUST_USE struct status sealed_file_write(const char *path, struct slice content);

uint32_t sealed_file_checksum(struct slice content);

#endif
