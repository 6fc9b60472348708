/* SPDX-License-Identifier: Apache-2.0
 * live.h: the live side of an inbox's owner: which devices are attached, what they acknowledged.
 * Invariants: one session per device, the one with the highest conn (the older is fenced); conn is
 * stored before the answer; an ACK becomes receipts first and, when they are durable, the cursor: a
 * crash between repeats a receipt, never loses one (storage §2.3 step 5); a lazy ACK implies no
 * receipts;
 * nothing is answered before the folds have reached the end of the log as it was at start.
 * The first receipt of a (chat, user) leaves at once, the next after PACE_MS with the newest level
 * (pace.h); until then the cursor stays before the first entry it is for, and a device that leaves
 * stays in the table, `gone`.
 * The owner remembers, for each device, the entries above its cursor that it was told of
 * (live_window.c), so that an ACK reads nothing; what it does not remember it reads.
 * All of it may be lost: sessions attach again, cursors come with them (levels, not edges).
 * Owner: the thread of the processor. Bounds: the devices given at open, LIVE_JOBS under way,
 * twice as many attaches waiting, LIVE_WAITING_MAX at most; what is above is dropped, and the
 * gateway asks again. LIVE_PACED chats a device are paced; above, receipts leave at once.
 * Source: storage §§2.3, 8; rpc.proto. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "base/timer.h"
#include "core/fold.h"
#include "ports/bus.h"
#include "ports/rpc.h"
#include "ports/store.h"
#include "runtime/pace.h"
#include "wire/gen/rpc.pb.h"

#define LIVE_JOBS        16u
#define LIVE_WAITING_MAX 4096u
#define LIVE_PAGE        500u /* entries of one step of an ACK */
#define LIVE_CHATS       64u  /* chats of one step of an ACK */
#define LIVE_PACED       2u   /* chats of each device, on average, that are paced at a time */
#define LIVE_WINDOW      256u /* entries remembered of a device */
#define LIVE_WINDOWS_MAX ((size_t)8 << 20) /* bytes of all of them: what is above is read */
#define LIVE_NONE        UINT32_MAX
#define LIVE_MOVES       256u /* cursors that wait for the owner's next commit */
#define LIVE_TOKEN_BIT   (UINT64_C(1) << 62)

struct live_attach {
    uint8_t user[ID_BYTES], device[ID_BYTES];
    uint64_t conn, gateway, session, useq, dseq, proven_useq, proven_offset;
    uint32_t shard;
    bool lazy, again;
};

/* One entry of an inbox, as far as an ACK needs it. */
struct live_entry {
    uint8_t chat[ID_BYTES];
    uint64_t cseq; /* 0: no message, an ACK of it bears no receipt */
};

/* The entries above `from`, without a gap: a ring that begins at `first`. */
struct live_window {
    struct live_entry *entries;
    uint64_t from;
    uint32_t first, count, room; /* room: a power of two, or 0 */
};

struct live_device {
    struct live_attach is; /* useq, dseq, lazy: the newest ACK */
    uint64_t told;         /* newest useq told since attached */
    uint64_t cursor;
    uint64_t loaded; /* newest useq acknowledged not lazily */
    uint64_t seen;   /* read up to here; above the cursor while a receipt is held */
    uint64_t due_ms; /* when the first held receipt may leave; 0: none is */
    struct live_window window;
    struct slab_handle timer; /* armed while nothing but due_ms is awaited */
    /* In the same bucket, by device and by user, the newest first; unused: the next vacant one. */
    uint32_t next_by_device, next_by_user;
    uint32_t next_dirty;
    bool fresh;                   /* what was folded while it attached was told to nobody */
    bool used, dirty, gone, busy; /* gone: the session is over, a receipt may be owed */
};

enum live_state {
    LIVE_FREE,
    LIVE_ATTACH_READ,
    LIVE_ATTACH_CONN,
    LIVE_ACK_READ,
    LIVE_ACK_RANGE,
    LIVE_ACK_MARKS,
    LIVE_ACK_APPEND,
    LIVE_ACK_CURSOR,
};

struct live_receipt {
    uint8_t chat[ID_BYTES];
    uint64_t level; /* receipts are durable up to here */
    uint64_t upto;  /* newest message above it … */
    uint64_t first; /* … and the useq of the oldest */
    bool sent, durable, held;
};

struct live_job {
    enum live_state state;
    bool in_flight, again; /* store: under way; to be repeated */
    bool revoked;          /* its device, while an attach is at work: it is read again */
    struct live_attach attach;
    uint32_t device;
    struct arena arena;
    struct store_request request;
    struct row_key keys[LIVE_CHATS];
    struct row_write write;
    struct live_receipt receipts[LIVE_CHATS];
    size_t receipts_count;
    uint64_t cursor, head;
    uint64_t goal;       /* ACK: what the device acknowledged, … */
    uint64_t from, upto; /* … the entries still to be read, … */
    uint64_t cut;        /* … and where held receipts hold the cursor */
    uint64_t due_ms;     /* when the first of those may leave; 0: none is held */
    uint32_t round;
    bool lazy, whole; /* whole: everything above the cursor is read */
    struct pb_attached answer;
};

struct live {
    struct bus *bus;
    struct store *store;
    struct rpc *rpc;
    struct live_device *devices;
    uint32_t *by_device, *by_user; /* buckets: the first device of a chain, plus 1; 0: none */
    uint32_t buckets;              /* of each: a power of two, at least as many as devices */
    uint32_t used;                 /* devices: the gauge */
    struct timers timers;          /* of devices whose receipt is held; token: index */
    struct pace pace;
    uint64_t now_ms; /* of the last step */
    uint32_t capacity;
    uint32_t reached, vacant; /* devices below `reached` were used; a free one of them, or NONE */
    uint32_t dirty, dirty_last;
    struct live_attach *waiting;
    size_t waiting_first, waiting_count, waiting_max;
    struct live_job jobs[LIVE_JOBS];
    bool ready;     /* the folds are at the end of the log */
    bool read_only; /* rollback proven, or the log failed */
    size_t windows_bytes;
    /* One machine: cursors go with what the lane commits, which takes them away. */
    struct row_write moves[LIVE_MOVES];
    size_t moves_count;
    bool hurry; /* a device attached: it reads what is folded */
    bool single;
    uint64_t dropped_batches; /* of the lane, as of this step */
    uint64_t dropped, stale;
    uint64_t remembered, reads; /* ACKs that read no range, and that did */
};

MUST_USE enum status live_open(struct live *live, struct bus *bus, struct store *store,
                               struct rpc *rpc, uint32_t devices_max);
void live_close(struct live *live);

void live_on_rpc(struct live *live, const struct pb_rpc *rpc);
void live_on_store(struct live *live, struct store_request *request);
/* How many batches the lane had dropped when this was asked. */
uint64_t live_asked(const struct store_request *request);
void live_on_appended(struct live *live, uint64_t token, enum status status);

/* A user's inbox grew, an answer is due, devices were removed. */
void live_on_folded(struct live *live, const uint8_t user[ID_BYTES],
                    const struct fold_outcome *outcome);
/* The inbox is no longer ours: forget its sessions. */
void live_forget(struct live *live, uint32_t partition, uint32_t partitions);

/* `now_ms`: monotonic. */
void live_step(struct live *live, uint64_t now_ms);
uint64_t live_next_ms(const struct live *live); /* when to step again at the latest; TIMER_NEVER */
