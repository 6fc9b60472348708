/* SPDX-License-Identifier: Apache-2.0
 * lane.h: the folding of one partition (one machine: of the whole log), batch by batch.
 *
 *   START → FILL → FOLD ⇄ READ → COMMIT (→ SHOWN) → APPEND → LATE → FILL        (any) → FAILED
 *     │      │                   └→ FILL: one machine, nothing has to wait for the store
 *     └──────┴→ STOPPED: the log goes on by rules of a newer program (lane_stop)
 *           one machine: children of a record are folded after it, in the same turn, under its
 *           offset and their own `sub`; there is no APPEND, and late writes and META_PART are of
 *           the same commit.
 *
 * A turn folds what was taken from the log. The order of the last three is the guarantee: rows,
 * outgoing records, marks; only then is the offset finished. All of it may be repeated after a
 * crash.
 * One machine (ADR 0061): the log has it all, so what follows from a turn is shown at once, and its
 * rows join a batch (lane_batch.h) that is committed behind it, LANE_COMPANY_MS after the one
 * before or when it is full; folds go on over it. A turn waits for its commit, as in a fleet, if
 * somebody may go and read what it wrote: an answer, an entry that is told without its body, rows
 * other than those of messages.
 * Invariants (lane_check): one batch is committed at a time; a head write never shares a batch with
 * an earlier bare emission of its chat (storage §2.2 step 2); after a failed append it and all
 * later ones go out again (R8). A store that is BUSY or late gets the same request again.
 * A record that nobody can read is left out, and listed for who runs the node (lane_unreadable),
 * who has one step to keep a copy before the batch is committed (SHOWN); in a fleet a copy goes to
 * the topic quarantine. A record of a newer program stops the lane: what
 * stood before it is finished, nothing from it on is folded, its offset is not finished.
 * Owner: the thread of the processor. Bounds: LANE_RECORDS_MAX records and LANE_BYTES_MAX a turn;
 * LANE_BATCH_* and lane_bounds a batch; the chats of a user by lane_bounds. */
#pragma once

#include "base/arena.h"
#include "core/fold.h"
#include "ports/bus.h"
#include "ports/store.h"
#include "runtime/hot.h"
#include "runtime/overlay.h"

#define LANE_RECORDS_MAX     256u
#define LANE_BYTES_MAX       (1024u * 1024u)
#define LANE_ARENA_BYTES_MAX ((size_t)256 << 20)
#define LANE_ARENA_CUT_BYTES ((size_t)16 << 20)
#define LANE_BATCH_WRITES    (1u << 15)        /* enough: no further turn joins the batch */
#define LANE_BATCH_BYTES     ((size_t)8 << 20) /* … of values */
#define LANE_CUT_SHARE       8u                /* … of the rows it may hold */
#define LANE_COMPANY_MS      200u              /* between two commits that nobody waits for */
#define LANE_TOKEN_BIT       (UINT64_C(1) << 61)
#define LANE_ROWS            (1u << 16) /* the default of lane_bounds.rows */
#define LANE_ROWS_MIN        2048u      /* one record of a full group, twice */
#define LANE_HOT_BYTES       ((size_t)16 << 20)
#define LANE_RECORD_ROWS     32u /* besides: the account, its devices, the end of the batch */
#define LANE_CHAT_ROWS       9u  /* one DEVICE_CHANGE: what both folds write for one chat */
#define LANE_PIECE_BYTES_MAX (BUS_RECORD_BYTES_MAX - 1024u) /* of a copy for the quarantine */

enum lane_state {
    LANE_FREE,
    LANE_START,
    LANE_FILL,
    LANE_FOLD,
    LANE_READ,
    LANE_COMMIT,
    LANE_SHOWN, /* its list is to be seen until the next step, which commits */
    LANE_APPEND,
    LANE_LATE,
    LANE_STOPPED,
    LANE_FAILED,
};

/* Why a lane goes no further although nothing is broken. */
enum lane_stop {
    LANE_STOP_NONE,
    LANE_STOP_FOLD_VERSION,   /* a VERSION record names a fold version above FOLD_VERSION */
    LANE_STOP_RECORD_VERSION, /* a record begins with a byte above FOLD_RECORD_VERSION */
    LANE_STOP_ROWS,           /* the rows were folded by a fold version above FOLD_VERSION */
};

/* What a batch may hold in memory, taken at open; 0: the default. A small world takes little:
 * 4,096 rows are about 1 MB. One set for a whole fleet: a fold reads as many chats everywhere. */
struct lane_bounds {
    uint32_t rows;  /* LANE_ROWS: written by one batch, at least LANE_ROWS_MIN */
    uint32_t chats; /* FOLD_CHATS_MAX: of one user, reached by a change of devices */
    size_t hot;     /* LANE_HOT_BYTES: of rows kept between batches */
};

struct lane_options {
    struct bus *bus;
    struct store *store;
    enum topic topic;
    uint32_t partition;
    struct lane_bounds bounds;
};

struct lane_child {
    struct fold_record record;
    struct lane_child *next;
};

/* What follows from a folded record for those who are connected; valid when the batch is done. */
struct lane_notice {
    uint8_t user[ID_BYTES];
    const struct fold_outcome *outcome;
    struct lane_notice *next;
};

/* A record that is left out, as it stands in the log; valid in SHOWN. After a crash it comes
 * again. */
struct lane_unreadable {
    enum topic topic;
    uint32_t partition;
    struct fold_place place;
    uint64_t append_us;
    uint8_t key[ID_BYTES];
    struct slice bytes;
    bool decoded; /* it is a record, but none that its topic knows */
    struct lane_unreadable *next;
};

/* Rows on their way to the store. */
struct lane_batch {
    struct overlay overlay;
    struct arena arena; /* values */
    struct row_write *writes;
    size_t writes_count, writes_room;
    bool passed;               /* records were folded into it */
    bool begun, flying, again; /* its commit; under way; to be repeated */
    uint64_t next_offset;      /* begun: one past the newest record in it */
    struct store_request request;
};

struct lane {
    enum lane_state state;
    enum lane_stop stop; /* set: nothing more is taken, and the lane stops when all is finished */
    uint64_t stop_version, stop_offset;
    struct bus *bus;
    struct store *store;
    struct bus_facts facts;
    enum topic topic;
    uint32_t partition, index, chats_max;
    uint64_t token_base;
    struct arena arena, spare; /* a turn lives in one; what was cut off moves to the other */
    struct lane_batch batches[2];
    unsigned filling; /* which of them; the other one is committed, or empty */
    uint64_t dropped; /* batches that were emptied: what was read before may be older */
    uint64_t now_ms, committed_ms; /* of the step; when the last commit began */
    bool hurry;                    /* somebody waits for the batch that fills */
    struct hot hot;                /* one machine: nobody else writes these rows */

    /* The turn: records taken from the bus, and how far they are folded. */
    struct fold_record records[LANE_RECORDS_MAX];
    struct slice raw[LANE_RECORDS_MAX]; /* their bytes */
    size_t records_count, folded;
    size_t bytes;
    uint64_t next_offset; /* one past the newest record taken */
    uint64_t done_offset; /* one past the newest record finished */
    bool seek;            /* a record was turned away: consume again from next_offset */

    /* The record being folded, or a child of it. */
    const struct fold_record *at; /* in the arena: what it bears points into its key */
    struct fold_reads reads;
    struct lane_child *children, *children_last;
    uint32_t sub;
    struct store_request requests[FOLD_WANTS_MAX];
    struct row_key request_keys[FOLD_WANTS_MAX][2];
    size_t in_flight, retry_count;
    struct store_request *retry[FOLD_WANTS_MAX];

    /* What the turn gives. */
    struct row_write *late;
    size_t late_count, late_room;
    bool waits;    /* it is shown when the store has it */
    bool finished; /* just now */
    struct fold_emission *emissions;
    size_t emissions_count, emissions_room;
    size_t appended, append_done, append_failed; /* submitted, completed, first failed + 1 */
    size_t appends_in_flight;                    /* of all rounds, of batches before too */
    uint32_t append_round;
    uint8_t bare[LANE_RECORDS_MAX][ID_BYTES];
    size_t bare_count;
    bool cut;
    bool behind;       /* another owner is ahead: the overlay may be older than the store */
    bool applied_seen; /* this record's head was seen applied, and the rest read after it */
    bool verifying;    /* the head is read once more */
    uint64_t head_stamp;
    struct lane_notice *notices, *notices_last;
    struct lane_unreadable *unreadable, *unreadable_last;
    uint64_t verdicts[FOLD_UNREADABLE + 1]; /* counters by enum fold_verdict */
    uint64_t holes, overtaken, verified;
};

/* Do the largest record and what was folded before it fit into the rows of a batch? */
bool lane_bounds_fit(const struct lane_bounds *bounds);

/* The bounds must fit. BUSY: no memory. */
MUST_USE enum status lane_open(struct lane *lane, const struct lane_options *options);
/* Only when nothing is in flight (lane_idle): a completion would meet the next lane. */
void lane_close(struct lane *lane);

/* A record of this partition; its bytes are copied. Without room it is turned away and consumed
 * again later; callers pause the partition in time (lane_full). */
void lane_on_record(struct lane *lane, const struct bus_record *record);
void lane_on_hole(struct lane *lane, uint64_t hole_end);
bool lane_full(const struct lane *lane);
/* The completion of an append with this lane's token. */
void lane_on_appended(struct lane *lane, uint64_t token, enum status status);
/* The completion of a store request whose token names this lane. */
void lane_on_store(struct lane *lane, struct store_request *request);

/* Go on as far as possible. `now_ms`: monotonic. True when a turn was finished just now: its
 * notices stand until the next step. */
bool lane_step(struct lane *lane, uint64_t now_ms);
/* When to step again at the latest, though nothing comes in; TIMER_NEVER. */
uint64_t lane_next_ms(const struct lane *lane);

/* One machine. Rows that are not the log's (cursors) go with the next commit; a crash before it
 * forgets them. False: not now. */
bool lane_join(struct lane *lane, const struct row_write *writes, size_t count);
/* One machine. What the store answered to a GET or a RANGE, as of all that is folded; `dropped`:
 * lane->dropped when it was asked. False: it is too old, or there is no memory: ask again. */
bool lane_look(const struct lane *lane, struct store_request *request, uint64_t dropped);

void lane_part_key(const struct lane *lane, struct row_key *key); /* of META_PART */
bool lane_idle(const struct lane *lane); /* nothing in flight, appends included */
void lane_check(const struct lane *lane);
