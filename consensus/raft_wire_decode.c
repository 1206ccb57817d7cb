/*
 * Bytes to raft messages, strictly. The layout stands in raft_wire.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <string.h>

#include "raft_wire_format.h"

/* Reads forward; running out is remembered and checked once at the end. */
struct cursor {
    uint8_t *at;
    size_t left;
    bool short_of_bytes;
};

static struct status fail_malformed(const char *what)
{
    return fail(STATUS_INVALID, "%s", what);
}

static uint8_t *take(struct cursor *cursor, size_t size)
{
    if (size > cursor->left) {
        cursor->short_of_bytes = true;
        cursor->left = 0;
        return NULL;
    }
    uint8_t *at = cursor->at;
    cursor->at += size;
    cursor->left -= size;
    return at;
}

static uint64_t take_u64(struct cursor *cursor)
{
    uint64_t value = 0;
    const uint8_t *at = take(cursor, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return le64toh(value);
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t value = 0;
    const uint8_t *at = take(cursor, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return le32toh(value);
}

/* `size` bytes and the zero bytes after them up to a multiple of 8; NULL if they are not there. */
static uint8_t *take_padded(struct cursor *cursor, size_t size)
{
    uint8_t *at = take(cursor, wire_padded(size));
    for (size_t i = size; at != NULL && i < wire_padded(size); i++) {
        if (at[i] != 0) {
            return NULL;
        }
    }
    return at;
}

struct header {
    unsigned type;
    unsigned version;
    unsigned flags;
    uint32_t count;
};

static struct header take_header(struct cursor *cursor)
{
    struct header header = {0};
    const uint8_t *front = take(cursor, 4);
    if (front != NULL) {
        header.type = front[0];
        header.version = front[1];
        header.flags = front[2] | (unsigned)front[3] << 8U;
    }
    header.count = take_u32(cursor);
    return header;
}

static struct status decode_vote(struct cursor *cursor, const struct header *header,
                                 struct raft_request_vote *out)
{
    if ((header->flags & ~(WIRE_VOTE_DISRUPT | WIRE_VOTE_PRE)) != 0) {
        return fail_malformed("unknown flags");
    }
    out->disrupt_leader = (header->flags & WIRE_VOTE_DISRUPT) != 0;
    out->pre_vote = (header->flags & WIRE_VOTE_PRE) != 0;
    out->term = take_u64(cursor);
    out->candidate_id = take_u64(cursor);
    out->last_log_index = take_u64(cursor);
    out->last_log_term = take_u64(cursor);
    return OK;
}

static struct status decode_vote_result(struct cursor *cursor, const struct header *header,
                                        struct raft_request_vote_result *out)
{
    switch (header->flags & ~WIRE_RESULT_GRANTED) {
    case 0: out->pre_vote = raft_tribool_unknown; break;
    case WIRE_RESULT_PRE_KNOWN: out->pre_vote = raft_tribool_false; break;
    case WIRE_RESULT_PRE_KNOWN | WIRE_RESULT_PRE: out->pre_vote = raft_tribool_true; break;
    default: return fail_malformed("unknown flags");
    }
    out->vote_granted = (header->flags & WIRE_RESULT_GRANTED) != 0;
    out->term = take_u64(cursor);
    return OK;
}

/* The entries' heads say how long they are; their bytes follow all heads. */
static struct status decode_entries(struct cursor *heads, struct cursor *bytes, void *batch,
                                    struct raft_append_entries *out)
{
    raft_term term = out->prev_log_term;
    for (unsigned i = 0; i < out->n_entries; i++) {
        struct raft_entry *entry = &out->entries[i];
        entry->term = take_u64(heads);
        entry->buf.len = take_u32(heads);
        uint32_t type = take_u32(heads);
        entry->buf.base = take(bytes, entry->buf.len);
        entry->batch = batch;
        if (entry->buf.base == NULL || type > RAFT_CHANGE) {
            return fail_malformed("an entry's type or size is wrong");
        }
        entry->type = (unsigned short)type;
        struct status status = wire_check_entry(entry, term, out->term);
        if (failed(status)) {
            return status;
        }
        term = entry->term;
    }
    return bytes->left == 0 ? OK : fail_malformed("bytes are left over");
}

static struct status decode_append(struct cursor *cursor, const struct header *header, void *batch,
                                   struct raft_wire_message *message)
{
    struct raft_append_entries *out = &message->raft.append_entries;
    out->term = take_u64(cursor);
    out->prev_log_index = take_u64(cursor);
    out->prev_log_term = take_u64(cursor);
    out->leader_commit = take_u64(cursor);
    message->round = take_u64(cursor);
    if (header->count > PEER_ENTRIES_MAX || header->count > cursor->left / WIRE_ENTRY_SIZE) {
        return fail_malformed("more entries than there are bytes or may be");
    }
    if (header->count == 0) {
        return OK;
    }
    out->entries = raft_calloc(header->count, sizeof *out->entries);
    if (out->entries == NULL) {
        return fail(STATUS_NO_MEMORY, "no memory");
    }
    out->n_entries = header->count;
    struct cursor heads = *cursor;
    (void)take(cursor, (size_t)header->count * WIRE_ENTRY_SIZE);
    struct status status = decode_entries(&heads, cursor, batch, out);
    if (failed(status)) {
        raft_free(out->entries);
        out->entries = NULL;
        out->n_entries = 0;
    }
    return status;
}

static struct status decode_server(struct cursor *cursor, struct raft_configuration *out)
{
    char address[CONSENSUS_ADDRESS_SIZE];
    uint64_t id = take_u64(cursor);
    uint32_t role = take_u32(cursor);
    uint32_t address_size = take_u32(cursor);
    if (address_size >= sizeof address) {
        return fail_malformed("a server's address is too long");
    }
    const uint8_t *text = take_padded(cursor, address_size);
    if (text == NULL || id == 0 || role > RAFT_SPARE ||
        !slice_to_text((struct slice){.data = text, .size = address_size}, address,
                       sizeof address)) {
        return fail_malformed("a server's fields are out of range");
    }
    int error = raft_configuration_add(out, id, address, (int)role);
    if (error != 0) {
        return fail(error == RAFT_NOMEM ? STATUS_NO_MEMORY : STATUS_INVALID, "a server: %s",
                    raft_strerror(error));
    }
    return OK;
}

static struct status decode_servers(struct cursor *cursor, uint32_t count, size_t data_size,
                                    struct raft_install_snapshot *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct status status = decode_server(cursor, &out->conf);
        if (failed(status)) {
            return status;
        }
    }
    const uint8_t *data = take_padded(cursor, data_size);
    if (data == NULL || cursor->left != 0) {
        return fail_malformed("the snapshot's size is wrong");
    }
    out->data.base = raft_malloc(data_size == 0 ? 1 : data_size);
    if (out->data.base == NULL) {
        return fail(STATUS_NO_MEMORY, "no memory");
    }
    memcpy(out->data.base, data, data_size);
    out->data.len = data_size;
    return OK;
}

static struct status decode_install(struct cursor *cursor, const struct header *header,
                                    struct raft_install_snapshot *out)
{
    out->term = take_u64(cursor);
    out->last_index = take_u64(cursor);
    out->last_term = take_u64(cursor);
    out->conf_index = take_u64(cursor);
    uint32_t data_size = take_u32(cursor);
    uint32_t zero = take_u32(cursor);
    if (zero != 0 || data_size > CONSENSUS_MANIFEST_SIZE_MAX || header->count == 0 ||
        header->count > CONSENSUS_NODES_MAX) {
        return fail_malformed("the snapshot's counts are out of range");
    }
    raft_configuration_init(&out->conf);
    struct status status = decode_servers(cursor, header->count, data_size, out);
    if (failed(status)) {
        raft_configuration_close(&out->conf);
        raft_configuration_init(&out->conf);
    }
    return status;
}

static struct status decode_body(struct cursor *cursor, const struct header *header, void *batch,
                                 struct raft_wire_message *out)
{
    struct raft_message *raft = &out->raft;
    bool counted =
        header->type == RAFT_IO_APPEND_ENTRIES || header->type == RAFT_IO_INSTALL_SNAPSHOT;
    bool flagged =
        header->type == RAFT_IO_REQUEST_VOTE || header->type == RAFT_IO_REQUEST_VOTE_RESULT;
    if ((!counted && header->count != 0) || (!flagged && header->flags != 0)) {
        return fail_malformed("unknown flags or count");
    }
    raft->type = (unsigned short)header->type;
    switch (header->type) {
    case RAFT_IO_APPEND_ENTRIES: return decode_append(cursor, header, batch, out);
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        raft->append_entries_result.term = take_u64(cursor);
        raft->append_entries_result.rejected = take_u64(cursor);
        raft->append_entries_result.last_log_index = take_u64(cursor);
        out->round = take_u64(cursor);
        return OK;
    case RAFT_IO_REQUEST_VOTE: return decode_vote(cursor, header, &raft->request_vote);
    case RAFT_IO_REQUEST_VOTE_RESULT:
        return decode_vote_result(cursor, header, &raft->request_vote_result);
    case RAFT_IO_INSTALL_SNAPSHOT: return decode_install(cursor, header, &raft->install_snapshot);
    case RAFT_IO_TIMEOUT_NOW:
        raft->timeout_now.term = take_u64(cursor);
        raft->timeout_now.last_log_index = take_u64(cursor);
        raft->timeout_now.last_log_term = take_u64(cursor);
        return OK;
    default: return fail(STATUS_INVALID, "no raft message has the type %u", header->type);
    }
}

struct status raft_wire_decode(void *bytes, size_t size, struct raft_wire_message *out)
{
    *out = (struct raft_wire_message){0};
    if (size > PEER_MESSAGE_SIZE_MAX) {
        return fail(STATUS_INVALID, "decode a raft message: %zu bytes are too many", size);
    }
    struct cursor cursor = {.at = bytes, .left = size};
    struct header header = take_header(&cursor);
    if (header.version != RAFT_WIRE_VERSION) {
        return fail(STATUS_INVALID, "decode a raft message: version %u is not spoken here",
                    header.version);
    }
    struct status status = decode_body(&cursor, &header, bytes, out);
    if (failed(status)) {
        *out = (struct raft_wire_message){0};
        return wrap(status, "decode a raft message");
    }
    if (cursor.short_of_bytes || cursor.left > 0) {
        status = fail_malformed("its size is wrong");
    } else {
        status = wire_check_numbers(out);
    }
    bool borrows =
        out->raft.type == RAFT_IO_APPEND_ENTRIES && out->raft.append_entries.n_entries > 0;
    if (!failed(status)) {
        if (!borrows) {
            raft_free(bytes);
        }
        return OK;
    }
    if (borrows) {
        out->raft.append_entries.entries[0].batch = NULL; /* `bytes` stay the caller's. */
    }
    raft_wire_release(out);
    return wrap(status, "decode a raft message");
}

void raft_wire_release(struct raft_wire_message *message)
{
    struct raft_append_entries *append = &message->raft.append_entries;
    struct raft_install_snapshot *install = &message->raft.install_snapshot;
    if (message->raft.type == RAFT_IO_APPEND_ENTRIES && append->n_entries > 0) {
        raft_free(append->entries[0].batch); /* All entries share it. */
        raft_free(append->entries);
    } else if (message->raft.type == RAFT_IO_INSTALL_SNAPSHOT) {
        raft_configuration_close(&install->conf);
        raft_free(install->data.base);
    }
    *message = (struct raft_wire_message){0};
}
