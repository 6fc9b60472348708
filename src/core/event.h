/* SPDX-License-Identifier: Apache-2.0
 * event.h: what enters a session's step and what leaves it: plain data, no pointer that outlives
 * the step.
 * Contract of the runtime, in one place:
 *   - everything an event points at stands until the step returns; everything an effect points at
 *     lies in the step arena and is copied or used before the arena is reset;
 *   - effects are executed in their order; SUBMITs of one session reach the bus in that order;
 *   - READ, SUBMIT and PASSWORD carry a `ticket` and `held` bytes, which the runtime keeps beside
 *     the operation and hands back with its completion (ROWS, APPENDED, HASHED). Exactly one
 *     completion per operation, except after CLOSE; a refused operation completes at once with its
 *     status. `held` may contain a password: its memory is wiped when it is given back;
 *   - one timer per session: ARM replaces the last one; TIMER may come late or in vain;
 *   - FRAMEs are not fed while more than SESSION_OUTPUT_BYTES_MAX of output wait
 * (back-pressure). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct row; /* of the store: key, found, value, columns */
struct row_key;
struct pb_rpc; /* rpc.proto, decoded */

#define SESSION_ENTROPY_BYTES 64
#define SESSION_EFFECTS_MAX   96u /* per step; a caller's array of this size never overflows */
#define SESSION_STEP_BYTES_MAX \
    (6u << 20) /* of the step arena, worst case: a page of bodies decoded and encoded */
#define SESSION_OUTPUT_BYTES_MAX \
    (64u << 10) /* output that waits: above it nothing is pushed, no frame is taken */

/* What an operation in flight is about. Opaque to the runtime: kept and handed back as it is. */
struct ticket {
    uint8_t op, round;
    uint32_t req, seq;
    uint8_t id[ID_BYTES];
    uint64_t a, b;
};

enum event_kind {
    EVENT_OPENED,   /* the WebSocket stands */
    EVENT_FRAME,    /* bytes: one Frame; limit_retry_ms */
    EVENT_APPENDED, /* ticket, held, status, log_epoch, partition, offset */
    EVENT_RPC,      /* rpc: attached, deliver, fence, revoke or outcome, for this session */
    EVENT_ROWS,     /* ticket, held, status, results: one per read, in their order */
    /* ticket, held, status, match (VERIFY) or bytes: the encoded hash (HASH) */
    EVENT_HASHED,
    EVENT_TIMER,
    /* output fell to SESSION_OUTPUT_BYTES_MAX / 2 or below after having been above */
    EVENT_WRITABLE,
    EVENT_OWNER_CHANGED, /* the inbox has a new owner, or the link to it was mended: attach again */
    /* this process stops taking part; retry_ms: spread the reconnects over it */
    EVENT_DRAIN,
    EVENT_CLOSED, /* the connection is gone; the last event */
};

struct rows {
    const struct row *at; /* of a GET: one per key, in their order; of a RANGE: those found */
    size_t count;
};

struct event {
    enum event_kind kind;
    uint64_t now_ms;  /* wall time: for people and expiries */
    uint64_t mono_ms; /* monotonic: deadlines */
    /* fresh in every OPENED, FRAME, APPENDED, HASHED, ROWS, RPC */
    uint8_t entropy[SESSION_ENTROPY_BYTES];
    uint32_t output_bytes; /* that wait for the socket before this step */
    enum status status;
    struct ticket ticket;
    struct slice held;
    struct slice bytes;
    uint32_t limit_retry_ms; /* FRAME: over its rate class's limit (session_rate); 0 = within */
    uint32_t retry_ms;       /* DRAIN */
    uint32_t log_epoch, partition;
    uint64_t offset;
    const struct pb_rpc *rpc;
    const struct rows *results;
    size_t results_count;
    bool match;
};

enum effect_kind {
    EFFECT_SEND,   /* bytes: one Frame for the client */
    EFFECT_SUBMIT, /* topic, key, bytes: append to the bus; → APPENDED */
    /* reads: from the store, in any order, possibly at once; → ROWS when all are done */
    EFFECT_READ,
    /* bytes: password; verify ? against `hash` (empty: the dummy) : hash it; → HASHED */
    EFFECT_PASSWORD,
    EFFECT_RPC, /* key: user; bytes: an Rpc for the owner of that user's inbox; may be lost */
    EFFECT_ARM, /* at_mono_ms; replaces the last one */
    /* close_code, reason; output goes out first; CLOSED follows. The last effect */
    EFFECT_CLOSE,
    EFFECT_ALARM, /* alarm, claim: something an operator must know */
    /* rate, key: the attempt was no guess; what it took (session_rate_named) is given back */
    EFFECT_RATE_BACK,
};

enum session_alarm {
    /* a valid token lies above the head: acknowledged data is gone → read-only */
    ALARM_ROLLBACK = 1,
    ALARM_CLAIM, /* a cursor above the head without proof: counted, nothing more */
};

/* One read: GET of keys_count keys, or RANGE from keys[0] to keys[1] inclusive. */
struct read {
    const struct row_key *keys;
    size_t keys_count;
    bool range, descending;
    uint32_t rows_max; /* RANGE */
};

struct effect {
    enum effect_kind kind;
    struct slice bytes;
    struct ticket ticket;
    struct slice held;
    uint8_t topic; /* enum topic: 1 messages, 2 deliveries */
    uint8_t key[ID_BYTES];
    const struct read *reads;
    size_t reads_count;
    bool verify;
    struct slice hash;
    uint8_t rate; /* RATE_BACK: enum rate_class */
    uint64_t at_mono_ms;
    uint16_t close_code;
    const char *reason; /* static text */
    enum session_alarm alarm;
    uint64_t claim, head; /* ALARM: the useq shown, the useq here */
};

/* What happened to an account in a step: for counters and the event log of whoever runs it. */
enum note {
    NOTE_SIGNED_IN, /* a device, by its key */
    NOTE_SIGNED_UP,
    NOTE_PASSWORD_RIGHT,
    NOTE_PASSWORD_WRONG,
    NOTE_KEY_WRONG, /* HELLO of an unknown device or with a wrong signature */
    NOTE_REMOVED,   /* a device that is no longer listed, or was signed out just now */
    NOTE_SUSPENDED, /* refused or ended: the operator suspended the account */
    NOTE_FENCED,    /* ended by a newer connection of the same device */
    NOTE_DEVICES_SET,
    NOTE_PASSWORD_SET,
    NOTE_INVITE_MADE,
    NOTE_INVITE_WRONG,
    NOTES
};
#define NOTE_NAMES                                                                          \
    "signed_in|signed_up|password_right|password_wrong|key_wrong|removed|suspended|fenced|" \
    "devices_set|password_set|invite_made|invite_wrong"

/* What a step did, to be counted; no effect, and never read by the mind. */
struct tally {
    uint32_t notes;               /* bits 1 << enum note */
    uint64_t errors;              /* bits 1 << ErrorCode of the ERRORs it answered */
    uint32_t sent, pushed, acked; /* SENTs; entries pushed, entries acknowledged */
    bool aged;                    /* age_ms: from the log to the ACK of a sampled entry */
    uint32_t age_ms;
};

/* Effects of one step, in order, over the caller's array. */
struct effects {
    struct effect *at;
    size_t count, max;
    struct tally tally;
};
