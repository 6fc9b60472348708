/* SPDX-License-Identifier: Apache-2.0
 * history.h: what the clients of one run saw, as a list of events and as JSON lines (proof §5).
 * Clients write it (the simulator's hosts, or real programs), never the server under test. One
 * monotonic clock, in µs, for all of them. An event says what is durable at its writer: it is
 * added after the transaction that stored it, and in the order of `t_ret` for each device.
 * A line: {"t_inv":1,"t_ret":2,"proc":3,"user":"…","dev":"…","op":"recv","args":{…},"res":"ok"},
 * ids as 32 hex digits, fields of zero left out of `args`; what each operation means and which
 * fields it has stands at enum history_op.
 * Owner: one thread. Memory: base/memory, doubled as it grows. Bounds: HISTORY_EVENTS_MAX. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"

#define HISTORY_EVENTS_MAX     (64u << 20)
#define HISTORY_LINE_BYTES_MAX 1024u
#define HISTORY_WHAT_BYTES     24u

/* X(enumerator, name). `user` and `dev` are those of the device that writes. In front of each:
 * when it is written, and its fields; every field not named stays 0.
 *   device_add     the device is signed up and on its account's list (t_ret: the answer)
 *   device_revoke  `dev` signed out `from_dev`, a device of its account; res ok: answered
 *   chat_create    the direct chat `chat` with `from_user` is known here (written once a device
 *                  and chat is enough; more do no harm)
 *   send           `dev` composed `mid` for `chat` and stored it in its outbox: `sctr` (0: not
 *                  known), `hash` of the content, unique in the run. t_inv: before it was asked
 *                  for. res info: the answer comes later, as one of the next two; res ok or
 *                  fail: it came at t_ret
 *   sent           SENT for `mid` (or tick SENT) arrived
 *   rejected       `mid` was refused: res fail and `reason`: marked failed for good (GONE: not
 *                  found after a snapshot); res info: a repairable refusal
 *   recv           an entry of a chat was stored: `chat`, `cseq`, `mid`, `from_user`, `from_dev`,
 *                  `sctr`, `hash`, `ts`; `system` 1 for what is no message. By PUSH or SYNC:
 *                  `useq` and `prev_useq`, the cursor moved to `useq` in the same transaction. By
 *                  a page of HISTORY: useq 0
 *   entry          the cursor moved over an inbox entry that stores no row: `useq`, `prev_useq`
 *   snapshot       the cursor moved to `useq` by a SNAPSHOT
 *   show           a message was shown to the person: `chat`, `cseq`, `mid`
 *   receipt_tx     the person read up to `read` of `chat` (the command, t_inv: before it)
 *   receipt_rx     marks of `from_user` (the other member) in `chat` as stored here:
 *                  `delivered`, `read`
 *   connect        a session began (WELCOME or ready); `conn`: its number
 *   close          that session ended
 *   restart        the device began again from its rows: `useq` is the cursor found there
 *   restored       as restart, from a copy of its rows made at time `t_copy`
 *   gauge          something bounded, by the name `what`: `value`, `cap`
 *   quiesce        faults are off, all is connected, everything owed should have arrived */
#define HISTORY_OPS(X)                \
    X(DEVICE_ADD, "device_add")       \
    X(DEVICE_REVOKE, "device_revoke") \
    X(CHAT_CREATE, "chat_create")     \
    X(SEND, "send")                   \
    X(SENT, "sent")                   \
    X(REJECTED, "rejected")           \
    X(RECV, "recv")                   \
    X(ENTRY, "entry")                 \
    X(SNAPSHOT, "snapshot")           \
    X(SHOW, "show")                   \
    X(RECEIPT_TX, "receipt_tx")       \
    X(RECEIPT_RX, "receipt_rx")       \
    X(CONNECT, "connect")             \
    X(CLOSE, "close")                 \
    X(RESTART, "restart")             \
    X(RESTORED, "restored")           \
    X(GAUGE, "gauge")                 \
    X(QUIESCE, "quiesce")

enum history_op {
#define X(name, text) HISTORY_##name,
    HISTORY_OPS(X)
#undef X
        HISTORY_OPS_COUNT
};

/* info: unknown (timeout, reset, still open) */
enum history_res { HISTORY_OK, HISTORY_FAIL, HISTORY_INFO };

struct history_event {
    uint64_t t_inv, t_ret; /* µs; t_ret ≥ t_inv; a plain moment has both equal */
    uint64_t proc;         /* whatever tells processes apart for people */
    enum history_op op;
    enum history_res res;
    user_id user;
    device_id dev;
    /* args */
    chat_id chat;
    msg_id mid;
    user_id from_user;
    device_id from_dev;
    uint64_t sctr, cseq, useq, prev_useq;
    uint64_t hash, ts, system;
    uint64_t delivered, read;
    uint64_t epoch; /* log epoch of cseq and useq */
    uint64_t conn;  /* the session it came by; 0: not known */
    uint64_t reason, t_copy, value, cap;
    char what[HISTORY_WHAT_BYTES]; /* [a-z0-9_-], zero-terminated */
};

struct history {
    struct history_event *events;
    size_t count, capacity;
};

const char *history_op_name(enum history_op op);

/* Tolerates a zeroed history, which is also how one begins. */
void history_close(struct history *history);

/* Append a copy; TOO_LARGE past HISTORY_EVENTS_MAX, BUSY without memory. */
enum status history_add(struct history *history, const struct history_event *event) MUST_USE;

#define HISTORY_UNREADABLE UINT64_C(1) /* `hash` of a message whose device cannot open it */

/* A content's `hash`: FNV-1a, never 0 (not known) or 1. */
uint64_t history_hash(struct slice content);

/* One line with its '\n' into `out` (at most HISTORY_LINE_BYTES_MAX). */
void history_write(struct buf *out, const struct history_event *event);

/* One line without its '\n'. INVALID: failure->text says what is wrong and at which column. */
enum status history_read(struct slice line, struct history_event *event,
                         struct failure *failure) MUST_USE;

/* All lines of `text` (empty ones are skipped) appended; a last line without '\n' is one that its
 * writer's death cut short: left out. INVALID: failure->text begins with the line's number. */
enum status history_read_all(struct slice text, struct history *history,
                             struct failure *failure) MUST_USE;
