/* SPDX-License-Identifier: Apache-2.0
 * fold.h: the shape shared by all folds: plan(record, what was read) → what to read, and
 * apply(record, rows) → writes, outgoing records, answers (design §3.1, style §2).
 * Contract of the runtime (processor.h), in one place:
 *   - call fold_plan until it adds nothing (at most FOLD_ROUNDS), reading in between what it wants;
 *   - then fold_apply once; `writes` go to the store in their order, then `emissions` to the log in
 *     their order, then, when those are durable, `late` (the marks of a receipt: their announcement
 *     comes first, so that a replay repeats it and never swallows it; storage §2.2 step 7);
 *   - a write with `head_moved` for a chat waits until earlier emissions of that chat that no head
 *     write covers (`bare`: REJECTED, REPEAT, receipts) are durable (storage §2.2 step 2).
 * Invariants: a fold has no clock, no randomness and no state of its own: given the same record and
 * rows it makes the same bytes (R7). Both functions are total: a refusal is an outcome.
 * Owner: one step; everything lies in the arena, the record too: what it bears points into its key.
 * Bounds: FOLD_WANTS_MAX reads, FOLD_CHATS_MAX chats of one user reached by a change of devices.
 * Source: storage §2, e2ee §6. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/row.h"
#include "base/topic.h"
#include "wire/gen/record.pb.h"
#include "wire/gen/row.pb.h"

#define FOLD_ROUNDS           3
#define FOLD_WANTS_MAX        32u
#define FOLD_MEMBERS_MAX      256u
#define FOLD_MEMBERS_EVER     512u  /* of one chat: who left keeps a row, with what it may read */
#define FOLD_CHATS_MAX        5000u /* × 9 rows stays below OVERLAY_ROWS (lane_bounds) */
#define FOLD_DEVICES_EVER     256u  /* of one account: each removed one stays named for ever */
#define FOLD_PASSED_MAX       500u  /* a receipt that passes more numbers goes to all members */
#define FOLD_BODY_BYTES_MAX   1024u
#define FOLD_BODIES_BYTES_MAX (16u * 1024u)
#define FOLD_RECORD_VERSION   1
#define FOLD_VERSION          1u /* the newest rules known here: what a VERSION record may name */
#define FOLD_ROW_VERSION      1

/* A position in the order of the log: (log_epoch, offset, sub); sub > 0 for what a fold bore inside
 * its parent where both folds share one log. */
struct fold_place {
    uint32_t log_epoch;
    uint64_t offset;
    uint32_t sub;
};

struct fold_record {
    enum topic topic;
    struct fold_place place;
    uint64_t append_us;
    uint8_t key[ID_BYTES];
    const struct pb_record *body;
    bool inlined; /* one machine: what this record bears is folded with it, before anything later */
    uint32_t chats_max; /* of one user, reached by a change of devices; 0: FOLD_CHATS_MAX */
};

enum fold_want_kind { FOLD_GET, FOLD_RANGE, FOLD_BY_STAMP };

/* One read. GET: rows[0], found or not. RANGE: the found rows from `from` to `to`, ascending.
 * BY_STAMP: MSG rows of chat from.a with this stamp. The runtime fills rows and rows_count. */
struct fold_want {
    enum fold_want_kind kind;
    struct row_key from, to;
    uint64_t stamp;
    size_t rows_max;
    struct row *rows;
    size_t rows_count;
};

struct fold_reads {
    struct fold_want at[FOLD_WANTS_MAX];
    size_t count; /* wanted so far */
    size_t read;  /* of these, read */
    uint8_t rounds;
};

struct fold_emission {
    enum topic topic;
    uint8_t key[ID_BYTES];
    const struct pb_record *body;
};

/* What became of the record: counted by the runtime, compared by tests. */
enum fold_verdict {
    FOLD_APPLIED,
    FOLD_REPLAYED, /* at or below `applied`: nothing decided anew, emitted again */
    FOLD_REFUSED,
    FOLD_REPEATED, /* the same thing once more: nothing to do */
    FOLD_OUT_OF_CHAIN,
    FOLD_UNREADABLE, /* refused alike by everyone; a copy goes to quarantine */
};

struct fold_outcome {
    enum fold_verdict verdict;
    struct row_write *writes;
    size_t writes_count, writes_room;
    struct row_write *late;
    size_t late_count, late_room;
    struct fold_emission *emissions;
    size_t emissions_count, emissions_room;
    bool head_moved; /* writes move `applied` of log C of `key` */
    bool bare;       /* emissions that no head write of this record covers */

    /* Inbox: a new entry (or a repeated one) for attached devices. useq 0 = none. */
    uint64_t deliver_useq;
    const struct pb_entry *deliver; /* NULL: too large to ride along, read it */
    const uint8_t *deliver_chat;    /* of a message, which an ACK answers with a receipt; or NULL */
    uint64_t deliver_cseq;
    bool deliver_new; /* false: told again, and these two are not filled */

    /* Inbox: the answer to a request that the fold decided. */
    bool answered;
    struct pb_origin origin;
    bool accepted;
    uint32_t error; /* enum pb_error_code when not accepted */
    uint64_t ver;

    /* Inbox: devices of this user that no longer have a session. */
    const uint8_t (*revoked)[ID_BYTES];
    size_t revoked_count;
    bool revoked_suspended; /* not signed out, but suspended: they keep what they have */
};

/* Add to `reads` what is wanted next, given what was read; true if something was added. */
bool fold_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena);

/* Decide. BUSY: the arena is exhausted (and the outcome empty). CORRUPT: a row cannot be read. */
MUST_USE enum status fold_apply(const struct fold_record *record, const struct fold_reads *reads,
                                struct arena *arena, struct fold_outcome *out);

/* Nothing wanted and nothing read. */
static inline void fold_reads_reset(struct fold_reads *reads)
{
    reads->count = reads->read = 0; /* a want is written whole when it is added */
    reads->rounds = 0;
}

/* ---- for the folds of this room ---- */
struct fold_want *fold_want_get(struct fold_reads *reads, enum table table, const uint8_t *a,
                                const uint8_t *b, uint64_t n);
/* All rows of (table, a), by b or n: up to rows_max from `low` to `high` when the table goes by
 * n. */
struct fold_want *fold_want_all(struct fold_reads *reads, enum table table, const uint8_t *a,
                                size_t rows_max);
/* The read row of a GET, or NULL if it was not found or not asked for. */
const struct row *fold_row(const struct fold_reads *reads, enum table table, const uint8_t *a,
                           const uint8_t *b, uint64_t n);
/* The read range or by-stamp rows of a table, or NULL. */
const struct fold_want *fold_range(const struct fold_reads *reads, enum fold_want_kind kind,
                                   enum table table);
/* Decode a row's value; false if it cannot be read. */
bool fold_decode(const struct pb_type *type, const struct row *row, struct arena *arena, void *out);

void fold_put(struct fold_outcome *out, struct arena *arena, struct row_key key, uint64_t stamp,
              struct slice value);
void fold_max(struct fold_outcome *out, bool late, struct arena *arena, struct row_key key,
              const uint64_t columns[STORE_COLUMNS]);
/* An empty record to fill, emitted after those before it; NULL when the arena is exhausted. */
struct pb_record *fold_emit(struct fold_outcome *out, struct arena *arena, enum topic topic,
                            const uint8_t key[ID_BYTES]);

/* As fold_put, after the emissions. */
void fold_put_late(struct fold_outcome *out, struct arena *arena, struct row_key key,
                   uint64_t stamp, struct slice value);
/* Is the record at or below what a head has applied? */
bool fold_applied(const struct fold_record *record, const struct pb_place *applied);
int fold_place_compare(const struct fold_place *a, const struct fold_place *b);
