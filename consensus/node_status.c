/*
 * Codes of libraft and ours: the one place where either becomes the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node.h"

struct status node_status_of(int code, const char *action)
{
    switch (code) {
    case 0: return OK;
    case RAFT_NOTLEADER: return fail(STATUS_NOT_LEADER, "%s: not the leader", action);
    case RAFT_LEADERSHIPLOST:
    case RAFT_CANCELED:
    case RAFT_SHUTDOWN:
        return fail(STATUS_UNKNOWN, "%s: leadership was lost before the answer", action);
    case RAFT_CANTCHANGE:
    case RAFT_BUSY: return fail(STATUS_BUSY, "%s: another change is under way", action);
    case RAFT_NOTFOUND:
    case RAFT_BADID: return fail(STATUS_NOT_FOUND, "%s: no such voter or member", action);
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS:
        return fail(STATUS_INVALID, "%s: its id or address is a member's", action);
    case RAFT_BADROLE: return fail(STATUS_INVALID, "%s: it has this role", action);
    case RAFT_NOMEM: return fail(STATUS_NO_MEMORY, "%s", action);
    case RAFT_NOSPACE: return fail(STATUS_FULL, "%s: no space left", action);
    case RAFT_CORRUPT:
    case RAFT_MALFORMED: return fail(STATUS_CORRUPT, "%s: %s", action, raft_strerror(code));
    default: return fail(STATUS_IO, "%s: %s", action, raft_strerror(code));
    }
}

int node_code_of(struct status status)
{
    switch (status.code) {
    case STATUS_OK: return 0;
    case STATUS_NOT_FOUND: return RAFT_NOTFOUND;
    case STATUS_UNREACHABLE:
    case STATUS_UNAUTHORIZED: return RAFT_NOCONNECTION;
    case STATUS_UNKNOWN: return RAFT_CANCELED;
    case STATUS_BUSY: return RAFT_BUSY;
    case STATUS_FULL: return RAFT_NOSPACE;
    case STATUS_CORRUPT: return RAFT_CORRUPT;
    case STATUS_NO_MEMORY: return RAFT_NOMEM;
    case STATUS_INVALID: return RAFT_INVALID;
    case STATUS_REFUSED: return RAFT_CANTBOOTSTRAP;
    case STATUS_NOT_LEADER:
    case STATUS_NO_QUORUM:
    case STATUS_TIMEOUT:
    case STATUS_IO:
    case STATUS_CODE_COUNT: return RAFT_IOERR;
    }
    return RAFT_IOERR;
}
