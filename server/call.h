/*
 * A call: one request from its arrival to its answer.
 *
 * It is answered exactly once, whatever happens: by its handler, by its deadline, or by the loss of
 * what it waited for. It lives on until everything it started has come back (`pending`), even when
 * its connection is gone, because a proposal that is under way cannot be taken back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include "base/arena.h"
#include "client/protocol.h"
#include "consensus/consensus.h"
#include "store/store.h"

struct call;
struct daemon;
struct rpc_frame;

/* Who asks. */
struct caller {
    enum rpc_role role;
    char actor[96];   /* "uid 0", "operator anna", "node mx1"; for the audit. */
    char origin[128]; /* Address, or "local on" this node. */
    uint64_t node_id; /* The node that the caller is connected to (R6). */
    uint64_t peer_id; /* Of RPC_ROLE_PEER: the member at the other end, as its certificate says. */
    char reason[STATUS_MESSAGE_SIZE]; /* Why it is nobody, and what helps, if that is known. */
};

/* Where the answer goes. */
typedef void (*call_answer)(struct call *call, struct slice frame);

struct call {
    struct daemon *daemon;
    struct call *next; /* In the daemon's list of calls. */
    struct call *previous;
    struct call *next_lost; /* The forwarder's. */
    void *connection;       /* The answer's way; NULL once it is gone. */
    call_answer answer;
    uint32_t id;
    const struct rpc_method_row *row;
    struct caller caller;
    struct buffer params;  /* Owned; wiped at the end, for it may hold a secret. */
    size_t params_counted; /* In the daemon's calls_size. */
    struct rpc_options options;
    struct arena arena;      /* For the handler. */
    uint64_t deadline_at_ms; /* On the monotonic clock. */
    bool answered;
    bool changing;    /* Proposed: a time-out means "outcome unknown". */
    bool part_done;   /* Of what it changes: a failure means "outcome unknown", too. */
    bool retried;     /* Forwarded a second time. */
    unsigned pending; /* Started and not yet come back. */

    /* Operations that a call may have under way, one of each. */
    struct proposal proposal;
    struct read_barrier barrier;
    struct membership_change change;
    void (*applied)(struct call *call, struct apply_outcome outcome);
    uint32_t forward_id;
    void *state; /* The handler's own, in the arena. */
};

/* ---- For whoever brings requests ---- */

#define CALLS_SIZE_MAX (256U << 20U) /* Bytes of params of all calls that are not gone. */

/*
 * Take a request, whose params are copied. It is answered through `answer`, maybe before this
 * returns. False, with nothing answered, when memory runs out.
 */
bool call_begin(struct daemon *daemon, const struct rpc_frame *frame, const struct caller *caller,
                void *connection, call_answer answer);

/* A connection is gone: its calls go on, but nobody is answered. */
void call_detach_all(struct daemon *daemon, const void *connection);

/* Answer every call whose deadline passed. */
void call_sweep(struct daemon *daemon, uint64_t now_ms);

/* ---- For handlers ---- */

/* Decode the params by the method's codec; answers and returns false if they are not valid. */
bool call_params(struct call *call, void *out);

/* Answer with a struct of the method's result codec. */
void call_reply(struct call *call, const void *result);

/* Answer {message: ...}. The method's result must be rpc_done. */
void call_done(struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);

/* Answer with an error. Unchanged: nothing was, and the message says so. */
void call_fail(struct call *call, struct status status);
void call_fail_unchanged(struct call *call, struct status status);
void call_refuse(struct call *call, enum refusal refusal);
void call_error(struct call *call, uint64_t error, struct slice message);

/* Answer with the bytes of a result as another node gave it. */
void call_relay(struct call *call, struct slice result);

/*
 * Propose a command; the stamp is filled in. `applied` is called when it was applied and the state
 * did not refuse; every other outcome is answered here. The command's slices are not needed after.
 */
void call_propose(struct call *call, struct command *command,
                  void (*applied)(struct call *call, struct apply_outcome outcome));

/* How long leadership may be tried to be handed over, so that the call is still answered in time. */
uint64_t call_patience_ms(const struct call *call);

/* Something was started, or came back; the call may be gone after call_release(). */
void call_hold(struct call *call);
void call_release(struct call *call);

#endif
