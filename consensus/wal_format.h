/*
 * What the write-ahead log's files look like, byte by byte. Version 1.
 *
 * A log is a directory of flat files:
 *
 *     lock                       flock(2)ed by the process that has the log open
 *     0000000000000007.wal       a segment; the name is its sequence number in hexadecimal
 *     0000000000000003.spare     an allocated file whose content means nothing: the reserve
 *     000000000000012c.snapshot  a snapshot's manifest; the name is its index
 *     snapshot.tmp               allocated, for the next manifest
 *
 * All numbers are little-endian. All checksums are CRC-32C.
 *
 * A SEGMENT has segment_size bytes, allocated before it gets its name: one header block of 4096
 * bytes, records one after the other without gaps, and then bytes that mean nothing (zeros, or
 * records of the segment's former life).
 *
 *     header block  0  magic "mustrWAL"
 *                   8  u32 version
 *                  12  u32 segment_size
 *                  16  u64 sequence
 *                  24  u64 salt, random, new with each life of the file
 *                  32  zeros
 *                4092  u32 checksum of bytes 0 to 4091
 *
 * The header is synced before the file is renamed to its .wal name: a .wal file whose header does
 * not verify is damaged. Magic, version and the checksum's place stay in all versions.
 *
 *     record        0  u32 header checksum: of salt, sequence, this record's offset in the file
 *                      (u32), and bytes 4 to 39
 *                   4  u32 payload checksum: of salt, sequence, and the payload
 *                   8  u32 payload size
 *                  12  u16 type
 *                  14  u16 raft's entry type in an ENTRY, else 0
 *                  16  u32 synced: every byte before this offset was on the disk when this record
 *                      was written
 *                  20  u32 0
 *                  24  u64 index
 *                  32  u64 term
 *                  40  payload, then zeros to a multiple of 8
 *
 * Salt and sequence in the checksums make a record of a former life, or one that somebody put into
 * a payload, no record. The offset makes a misplaced one no record.
 *
 *     type          index                      term           payload
 *     BEGIN     1   of the next entry          current term   u64 vote, u64 sequence of the segment
 *                                                             before (0: none), u32 its end, u32 0
 *     ENTRY     2   the entry's                the entry's    the entry's bytes
 *     STATE     3   vote                       current term   -
 *     TRUNCATE  4   first entry forgotten      0              -
 *     RESET     5   snapshot's; the log is     snapshot's     -
 *                   empty and goes on after it
 *     CLOSE     6   0                          0              -
 *
 * BEGIN is the first record of each segment and nowhere else; it makes each one readable without
 * those before. A segment's end is what the next one's BEGIN says, or for the last one the first
 * byte that is no record. Written there may be a torn write, which was never acknowledged; damage
 * to acknowledged bytes is told from it by `synced` of any later record of the segment that
 * verifies: if it is beyond that first byte, those bytes were on the disk once, and the log is
 * corrupt. CLOSE is written by an orderly stop, so that its last records are covered, too.
 *
 * Reading: the segments that the BEGIN records chain to the newest one, oldest first. Files before
 * the first gap of that chain were about to be released. A newest segment without BEGIN was about
 * to be used. The log must reach back to the newest snapshot that verifies, or to index 1. If it
 * ends before that snapshot, or has another term at its index, a crash came between storing an
 * installed snapshot and RESET, which is made up for.
 *
 *     snapshot      0  magic "mustrSNP"
 *                   8  u32 version
 *                  12  u32 count of servers in the configuration
 *                  16  u64 index
 *                  24  u64 term
 *                  32  u64 index of the configuration
 *                  40  u32 size of the configuration
 *                  44  u32 size of the manifest
 *                  48  zeros
 *                  60  u32 checksum of bytes 0 to 59, the configuration and the manifest
 *                  64  configuration: a server is u64 id, u16 role, u16 size of address, address
 *                   .  manifest
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAL_FORMAT_H
#define WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define WAL_FORMAT_VERSION 1U
#define WAL_HEADER_SIZE 4096U
#define WAL_RECORD_SIZE 40U /* Of a record without its payload. */
#define WAL_BEGIN_PAYLOAD_SIZE 24U
#define WAL_RECORDS_AT (WAL_HEADER_SIZE + WAL_RECORD_SIZE + WAL_BEGIN_PAYLOAD_SIZE)

enum wal_record_type {
    WAL_RECORD_BEGIN = 1,
    WAL_RECORD_ENTRY = 2,
    WAL_RECORD_STATE = 3,
    WAL_RECORD_TRUNCATE = 4,
    WAL_RECORD_RESET = 5,
    WAL_RECORD_CLOSE = 6,
};

struct wal_header {
    uint32_t segment_size;
    uint64_t sequence;
    uint64_t salt;
};

struct wal_record {
    enum wal_record_type type;
    uint16_t entry_type;
    uint32_t synced; /* Bytes. */
    uint64_t index;
    uint64_t term;
    struct slice payload;
};

struct wal_begin {
    uint64_t vote;
    uint64_t previous_sequence;
    uint32_t previous_end;
};

/* Bytes a record takes in the file. */
size_t wal_record_size(size_t payload_size);

void wal_header_encode(const struct wal_header *header, uint8_t out[WAL_HEADER_SIZE]);

/* STATUS_CORRUPT, or STATUS_INVALID for a version that is not ours. */
MUST_USE struct status wal_header_decode(const uint8_t in[WAL_HEADER_SIZE], struct wal_header *out);

/* Write the record's first WAL_RECORD_SIZE bytes, for `offset` of the segment with this header. */
void wal_record_encode(const struct wal_header *header, uint32_t offset,
                       const struct wal_record *record, uint8_t out[WAL_RECORD_SIZE]);

/* Read the record at `offset` of a whole segment's bytes; the payload stays theirs. False if there
 * is none that verifies. Cheap where there is none. */
bool wal_record_decode(const struct wal_header *header, struct slice segment, size_t offset,
                       struct wal_record *out);

void wal_begin_encode(const struct wal_begin *begin, uint8_t out[WAL_BEGIN_PAYLOAD_SIZE]);
bool wal_begin_decode(struct slice payload, struct wal_begin *out);

/* Little-endian numbers. */
void wal_put_u16(uint8_t *out, uint16_t value);
void wal_put_u32(uint8_t *out, uint32_t value);
void wal_put_u64(uint8_t *out, uint64_t value);
uint16_t wal_get_u16(const uint8_t *in);
uint32_t wal_get_u32(const uint8_t *in);
uint64_t wal_get_u64(const uint8_t *in);

#endif
