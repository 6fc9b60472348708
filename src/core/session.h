/* SPDX-License-Identifier: Apache-2.0
 * session.h: one connection of one client, from WELCOME to close: a pure step from event to
 * effects.
 * Invariants (session_check): what a state allows stands in command.c; acked ≤ pushed ≤ head; at
 * most `window_entries` pushed and unacknowledged, and their bytes ≤ `window_bytes` unless it is
 * one entry (SYNC may go to 500); a record is acknowledged only after its APPENDED; in RETRY a chat
 * gets no SENT.
 * Nothing is queued for a slow reader: the store is read again from `pushed`.
 * Owner: the shard of the connection. Memory: slab, SESSION_BYTES_MAX each; no pointer inside, so
 * that a session can be copied, hashed and compared. What waits for a completion lies in tickets
 * (event.h).
 * Source: protocol §§1, 3-6; storage §§2.3-2.4, 3 (witness). States and transitions: top of
 * session.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "core/event.h"

#define SESSION_BYTES_MAX 512u
#define SESSION_FLIGHTS   8u
#define SESSION_STALLED   4u
#define SESSION_WAITING   4u

enum session_state {
    SESSION_NEW,       /* before OPENED */
    SESSION_WELCOMED,  /* nobody yet: REGISTER, LOGIN, HELLO */
    SESSION_GRANTED,   /* a user, by password: may enrol one device, nothing else */
    SESSION_ATTACHING, /* a device, by signature: the owner of its inbox was asked */
    SESSION_LIVE,
    SESSION_CLOSING, /* CLOSE was said, or CLOSED came: no effect any more */
    SESSION_STATES
};

enum sign_up_policy { POLICY_INVITE, POLICY_CLOSED, POLICY_OPEN }; /* values of SignUp */

/* Classes of rate limits; the runtime has a bucket for each (proof §12). */
enum rate_class {
    RATE_NONE,
    RATE_REGISTER,
    RATE_LOGIN,
    RATE_SEND,
    RATE_LOOKUP,
    RATE_INVITE,
    RATE_READ,          /* HISTORY, SNAPSHOT, SYNC, MARKS, DEVLIST_GET, VAULT_GET */
    RATE_WRITE,         /* DEVLIST_PUT, VAULT_PUT, CHAT_CREATE, READ, DELIVERED */
    RATE_LOGIN_ACCOUNT, /* LOGIN, by name and address: wrong passwords */
    RATE_INVITE_GUESS,  /* REGISTER with an invite, by address: wrong invites */
    RATE_CLASSES
};

#define WITNESS_KEY_BYTES 32

struct witness_keys {
    uint8_t now[WITNESS_KEY_BYTES], before[WITNESS_KEY_BYTES];
    bool has_before; /* one predecessor is still accepted */
};

/* The same for all sessions of a shard. */
struct session_config {
    const char *server_name;
    uint64_t gateway; /* this process and shard, as rpc knows them */
    uint32_t shard;
    uint32_t log_epoch;
    enum sign_up_policy sign_up;
    /* INVITE is allowed to everybody; else to owners of the server (by parleyctl) */
    bool members_invite;
    bool read_only; /* damage or rollback: no writes */
    bool busy;      /* the folds are too far behind the log: writes are answered BUSY */
    struct witness_keys witness;
    uint64_t tail_max;       /* head − cursor above it → SNAPSHOT; default 5,000 */
    uint32_t window_entries; /* default 256 */
    uint32_t window_bytes;   /* default 256 KiB */
    uint32_t sign_in_ms;     /* default 10,000 after OPENED */
    uint32_t granted_ms;     /* default 120,000 after REGISTER or LOGIN */
    uint32_t idle_ms;        /* default 75,000 without a frame */
};

/* The numbers of the protocol, server_name "localhost", sign-up by invite. */
void session_config_init(struct session_config *config);

/* Entries pushed and not yet acknowledged: up to the one that is so many above `acked`. */
struct session_flight {
    uint32_t above, bytes;
};

/* A chat whose sends are out of step (R1): RETRY until a start; then what was submitted before
 * it. */
struct session_stalled {
    uint8_t chat[8]; /* head of its id; all zero = free */
    uint32_t seq;    /* sends of the chat below it are never acknowledged */
    bool retry;      /* no start came yet */
};

/* A request whose answer is the fold's. */
struct session_waiting {
    uint32_t req, until_s; /* monotonic seconds */
    uint8_t op;            /* frame tag; 0 = free */
};

struct session {
    uint64_t handle; /* the runtime's name for it: in Origin and Rpc */
    uint8_t state;   /* enum session_state */
    uint8_t offences, in_flight;
    bool signing_in, invited, enrolled, lazy, read_only;
    bool unsure; /* its owner changed; the new one has not said yet that the device is still one */
    bool tail_reading, syncing, snapshot, creating, window_shut, head_reading, paging;
    uint32_t log_epoch, hello_req;
    user_id user;
    device_id device;
    uint64_t conn;
    uint64_t frame_ms, deadline_ms, armed_ms, tail_retry_ms; /* monotonic */
    uint64_t inbox_token_ms, log_token_ms;                   /* last witness of each kind */
    uint32_t tail_tries, send_seq, sends_in_flight;
    /* Delivery. acked: where the window begins; said: the cursor by HELLO or ACK, which alone
     * speaks for receipts; pushed: sent; head: told. */
    uint64_t acked, said, acked_d, pushed, head, floor;
    uint64_t proven_useq, proven_offset; /* by the tokens of HELLO */
    uint64_t sampled, sampled_ms;        /* an entry pushed at once, whose ACK is timed; 0: none */
    uint32_t flights_count;
    struct session_flight flights[SESSION_FLIGHTS];
    struct session_stalled stalled[SESSION_STALLED];
    struct session_waiting waiting[SESSION_WAITING];
    uint8_t creating_chat[8];
    uint8_t nonce[32]; /* of WELCOME; once live: the secret of an INVITE under way (16) */
    uint64_t invite_expires_ms;
};

_Static_assert(sizeof(struct session) <= SESSION_BYTES_MAX, "a session is small");

/* A fresh session; `handle` names it in Origin and Rpc. */
void session_init(struct session *session, uint64_t handle);

/* One event in, effects out. Never fails: what is invalid becomes an answer or a close.
 * effects->max ≥ SESSION_EFFECTS_MAX. A step that exhausts the arena closes the connection (1013)
 * and has no other effect than to DETACH. After CLOSE: no effects. */
void session_step(struct session *session, const struct session_config *config,
                  const struct event *event, struct arena *arena, struct effects *effects);

/* Rate class of a frame, from its first bytes; RATE_NONE if it cannot be told. The runtime asks its
 * limiter and puts the verdict into event.limit_retry_ms. */
enum rate_class session_rate(struct slice frame);

/* What else a stranger's frame counts against, beside its address: the name that a LOGIN gives,
 * known or not (`key`), or that a REGISTER shows an invite (zeros). RATE_NONE: nothing. The runtime
 * takes one by address and key together; EFFECT_RATE_BACK gives it back when nothing wrong was
 * tried. */
enum rate_class session_rate_named(struct slice frame, struct arena *arena, uint8_t key[ID_BYTES]);

/* Asserts the invariants. */
void session_check(const struct session *session, const struct session_config *config);
