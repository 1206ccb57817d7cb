/*
 * A snapshot file: the cluster's whole state at one index, sealed, with a header that can be read
 * without any key.
 *
 *     "MUSTERSN"                8 bytes
 *     size of the header        4 bytes, big-endian, at most SNAPSHOT_HEADER_SIZE_MAX
 *     header                    struct snapshot_header, CODEC_TAGS (strict)
 *     body                      the image in pieces of SNAPSHOT_PIECE_SIZE, the last one shorter,
 *                               each sealed (store/seal.h: AES-256-GCM) and bound to its number
 *                               and to the SHA-256 of everything before the body
 *     SHA-256 of all the above  32 bytes
 *
 * All sizes follow from the header, so that a file that was cut or has something appended is told
 * by its size alone. The checksum finds accidents; only the key finds a forger.
 *
 * Keys: the body's is derived (HKDF) from the cluster key and the header's salt. The cluster key is
 * in the header, sealed under the recovery key, which is itself derived from the cluster key and
 * kept by people, away from the cluster: `muster cluster recovery-key`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_SNAPSHOT_H
#define CLIENT_SNAPSHOT_H

#include "base/codec.h"
#include "base/secret.h"
#include "base/status.h"

#define SNAPSHOT_FORMAT 1
#define SNAPSHOT_HEADER_SIZE_MAX 4096U
#define SNAPSHOT_LEAD_SIZE 12U     /* Magic and the header's size. */
#define SNAPSHOT_PIECE_SIZE 65536U /* Bytes of the image in one sealed piece. */
#define SNAPSHOT_PIECE_OVERHEAD 33U
#define SNAPSHOT_HASH_SIZE 32U
#define SNAPSHOT_SALT_SIZE 32U
#define SNAPSHOT_IMAGE_SIZE_MAX (UINT64_C(1) << 40U)

struct snapshot_header {
    uint64_t format;
    struct slice cluster_id;
    struct slice cluster; /* Its name; empty of a standalone node. */
    uint64_t lineage;
    uint64_t index; /* Of the last entry in it. */
    uint64_t term;  /* When it was taken. */
    uint64_t taken_at_ms;
    struct slice node; /* Whose state it is. */
    struct slice version;
    struct slice digest; /* Over all tables, hex. */
    uint64_t members;
    uint64_t produced; /* Records ever taken; pending is what of them was not delivered. */
    uint64_t pending;
    uint64_t image_size;
    uint64_t key_epoch;
    struct slice salt;
    struct slice sealed_key; /* The cluster key, under the recovery key. */
};
extern const struct codec snapshot_header_codec;

/* Append magic, size and header. STATUS_INVALID, STATUS_NO_MEMORY. */
MUST_USE struct status snapshot_header_encode(const struct snapshot_header *header,
                                              struct buffer *out);

/* Read magic, size and header from the beginning of `bytes`; `*size` is theirs. What `out` points
 * to is in `bytes` and `arena`. STATUS_INVALID: no snapshot, or of a newer format; STATUS_CORRUPT. */
MUST_USE struct status snapshot_header_decode(struct slice bytes, struct arena *arena,
                                              struct snapshot_header *out, size_t *size);

/* Bytes of the whole file; of the sealed piece `number` (from 0). */
uint64_t snapshot_file_size(const struct snapshot_header *header, size_t lead_size);
uint64_t snapshot_piece_count(const struct snapshot_header *header);
size_t snapshot_piece_size(const struct snapshot_header *header, uint64_t number);

/*
 * Read a whole file: header, size, checksum. Of the header, what it points to is in `arena`.
 * STATUS_CORRUPT: it was cut or changed, says which. As snapshot_header_decode() otherwise.
 */
MUST_USE struct status snapshot_check(int fd, struct arena *arena, struct snapshot_header *out);

/* ---- The recovery key as text: "muster-recovery1." and base64url of 32 bytes and their CRC-32C ---- */

#define RECOVERY_KEY_SIZE 32U
#define RECOVERY_KEY_TEXT_SIZE_MAX 128U

MUST_USE struct status recovery_key_format(struct slice key, struct buffer *out);
/* STATUS_INVALID says what is wrong with it, never its content. */
MUST_USE struct status recovery_key_parse(struct slice text, struct secret *out);

#endif
