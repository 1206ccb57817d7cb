/*
 * Letting the oldest lines of the audit go without breaking its chain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "apply.h"
#include "audit.h"

enum refusal apply_audit_trim(struct apply *apply, const struct audit_trim *trim)
{
    struct txn *txn = apply->txn;
    struct head *head = txn->head;
    uint64_t last = audit_trim_last(head, trim->sequence);
    uint8_t anchor[STORE_HASH_SIZE];
    if (last == head->audit_trimmed) {
        return REFUSAL_NONE;
    }
    if (!audit_hash_of(txn, last, anchor)) {
        txn_fail(txn, fail(STATUS_CORRUPT, "audit line %llu is missing", (unsigned long long)last));
        return REFUSAL_NONE;
    }
    for (uint64_t sequence = head->audit_trimmed + 1; sequence <= last; sequence++) {
        uint64_t key;
        txn_delete(txn, TABLE_AUDIT, u64_key(sequence, &key));
        apply->value++;
    }
    head->audit_trimmed = last;
    memcpy(head->audit_anchor, anchor, sizeof anchor);
    return REFUSAL_NONE;
}
