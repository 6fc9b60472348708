/* SPDX-License-Identifier: Apache-2.0
 * rocks_store.h: the store port over RocksDB: the index of one machine, on disk behind the log.
 *
 *   handle ─ GET RANGE BY_OFFSET: from memory and block cache at once, on the caller's thread;
 *   │        what is not there ──→ a reader's ring ──→ reader thread ──→ ring, waker
 *   └─────── COMMIT ──→ the writer's ring ──→ writer thread: whatever waits is one batch ──→ ring
 *   keeper thread: makes the write-ahead log durable every sync_ms; tasks: flush, checkpoint
 *
 * Invariants: one commit is one atomic batch (no fold may rely on more than the port says); a crash
 * of the process loses no finished commit, one of the machine at most the newest ones, as a prefix
 * of the order in which they were made: the caller reads META_PART and replays the log from there.
 * Nothing is read that fails its checksum: such a read is CORRUPT, never an absent row.
 * Statuses of requests: OK; BUSY (stalled, or the disk is full: nothing applied, repeat; it comes
 * 5 ms late, so that repeating at once is no spin); CORRUPT; IO (of a commit: may have applied;
 * RocksDB takes no more until it is opened again).
 * Owner: opened and closed by one thread while no handle is used; a handle belongs to one thread; a
 * request, with its rows, belongs to the adapter from submit to poll, its arena does not.
 * Bounds: STORE_REQUESTS_MAX a handle, ROCKS_HANDLES_MAX handles, memory by profile.
 * Source: storage §4, ADR 0040. Keys and values: rocks_key.h. */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "adapters/rocksdb/rocks_key.h"
#include "base/arena.h"
#include "base/ring.h"
#include "ports/store.h"
#include "ports/waker.h"

#define ROCKS_HANDLES_MAX 32u
#define ROCKS_READERS_MAX 4u
#define ROCKS_PATH_BYTES  512u

struct rocksdb_t;
struct rocksdb_column_family_handle_t;
struct rocksdb_readoptions_t;
struct rocksdb_writeoptions_t;
struct rocksdb_writebatch_t;

struct rocks_options {
    bool small;           /* the profile for little memory: buffers 8 of 32 MiB, cache 32 MiB */
    uint64_t cache_bytes; /* of blocks; 0: a quarter of the memory, or what `small` says */
    uint32_t handles;     /* how many rocks_store_open will follow: 1 … ROCKS_HANDLES_MAX */
    uint32_t readers;     /* threads for reads that miss: 1 … ROCKS_READERS_MAX */
    uint32_t jobs;        /* RocksDB's own threads: flush and compaction, 2 … 4 */
    uint32_t sync_ms;     /* bounds what a power cut costs in replay */
    struct waker *waker;  /* of who starts tasks; NULL: it polls by itself */
};

/* small, 1 handle, 1 reader, 2 jobs, 10 s. */
struct rocks_options rocks_options_default(void);

enum rocks_outcome {
    ROCKS_FRESH,  /* there was no store */
    ROCKS_OPENED, /* whole, up to a torn tail of unsynced commits */
    ROCKS_PREFIX  /* its write-ahead log is damaged: copied aside, opened with what stands before */
};

enum rocks_task_kind {
    ROCKS_FLUSH,
    ROCKS_CHECKPOINT, /* a copy of the database by hard links, durable */
    ROCKS_REMOVE,     /* of a checkpoint; half of one is never left under its name */
};

/* Work that takes long, done by the keeper. Borrowed until rocks_db_task_done returns it. */
struct rocks_task {
    enum rocks_task_kind kind;
    const char *folder; /* CHECKPOINT: made, must not be there; on the same file system. REMOVE */
    bool numbered;      /* CHECKPOINT: made within `folder`, its name is columns[1] of part, 16 hex
                         * digits; one that is there already is left as it is */
    struct row part;    /* key: of a META row. out: the row as it stands in synced files */
    enum status status; /* out: OK, or as requests, with a text */
    struct failure failure;
};

struct rocks_view { /* reading, for one thread */
    struct rocksdb_readoptions_t *point, *range;
    struct rocks_key low, end;
    bool cached; /* nothing from disk */
};

struct rocks_lane { /* between one handle and one worker */
    struct ring asked, done;
};

struct rocks_db;

struct rocks_worker {
    struct rocks_db *db;
    uint32_t number; /* 0: the writer */
    pthread_t thread;
    sem_t asked_count;
    _Atomic bool stop;
    bool started;
    struct rocks_view view;
    struct arena arena;
};

struct rocks_keeper {
    pthread_t thread;
    sem_t asked_count;
    struct ring tasks, done;
    _Atomic bool stop;
    _Atomic uint64_t commits; /* written by the writer */
    _Atomic uint64_t flushes; /* tasks done; written by the keeper */
    uint64_t synced;          /* commits at the last sync */
    bool started, busy;
    struct rocks_view view;
};

struct rocks_db {
    struct rocks_options options;
    char path[ROCKS_PATH_BYTES];
    struct rocksdb_t *rocks;
    struct rocksdb_column_family_handle_t *families[ROCKS_FAMILIES];
    struct rocksdb_writeoptions_t *writing;
    uint32_t handles_taken, workers_count;
    struct waker *wakers[ROCKS_HANDLES_MAX];
    struct rocks_lane *lanes; /* handles × workers */
    struct rocks_worker *workers;
    struct rocks_keeper keeper;
    _Atomic bool full;    /* rocks_db_full */
    _Atomic bool damaged; /* rocks_db_damaged */
    /* --- the writer's */
    struct rocksdb_writebatch_t *batch;
    uint64_t *highest;       /* by hash of the key: no stored stamp of such keys is above */
    uint64_t stamp_max;      /* no stored stamp at all is above */
    uint64_t milestone;      /* the last one */
    uint64_t unmarked_bytes; /* of batches since */
    uint64_t marked_flushes; /* keeper.flushes + 1, at the last one */
    uint64_t blind, compared, batches; /* rows put unread and read first; batches written */
};

struct rocks_store {
    struct store port; /* first */
    struct rocks_db *db;
    uint32_t number;
    struct rocks_view view;
    uint32_t in_flight;
    uint32_t asked[ROCKS_READERS_MAX + 1]; /* in flight at each worker */
    uint64_t missed;                       /* reads that went to a thread */
    struct store_request *ready[STORE_REQUESTS_MAX];
    size_t ready_first, ready_count;
};

/* Gauges. Takes RocksDB's lock for a moment. */
struct rocks_gauges {
    bool stopped;            /* writes are refused until compaction catches up */
    uint64_t delayed_rate;   /* bytes/s allowed while slowed down; 0: at will */
    uint64_t memtable_bytes; /* unflushed and still held */
    uint64_t cache_bytes, file_bytes;
};

/* Open or make the store in the folder `path` (its parent is there). OK, and how it went; else
 * refused, and the text says why and what is left to do:
 *   CONFLICT     another process has it, or this one twice
 *   UNSUPPORTED  written by a newer version; no row was changed
 *   CORRUPT      damage behind which nothing can be trusted: to be rebuilt
 *   IO BUSY INVALID
 * Blocks: tens of ms, longer by the unflushed tail. */
MUST_USE enum status rocks_db_open(struct rocks_db *db, const char *path,
                                   const struct rocks_options *options, enum rocks_outcome *outcome,
                                   struct failure *failure);

/* Free bytes without which nothing is written (BUSY) nor opened: what one flush may take. */
uint64_t rocks_room_needed(const struct rocks_options *options);
/* The last batch found less, and was told BUSY. Any thread. */
bool rocks_db_full(struct rocks_db *db);
/* A read was CORRUPT or IO since the open: rows lie in a damaged file. Any thread. */
bool rocks_db_damaged(const struct rocks_db *db);

/* Before the memory of requests goes: what was submitted is finished and is not polled any more;
 * nothing may be submitted after it. Tolerates a zeroed one. */
void rocks_db_rest(struct rocks_db *db);
/* Rests, and then handles are gone, too. Does not flush: a ROCKS_FLUSH before it makes the next
 * open faster. Tolerates a zeroed one. */
void rocks_db_close(struct rocks_db *db);

/* By the thread that opened the database, before it is used; at most options.handles. `waker`: of
 * the handle's thread; NULL: it polls by itself. */
void rocks_store_open(struct rocks_store *store, struct rocks_db *db, struct waker *waker);
void rocks_store_close(struct rocks_store *store); /* after or before the database's close */

/* One task at a time: BUSY. By one thread, which also asks for its end. */
MUST_USE enum status rocks_db_task(struct rocks_db *db, struct rocks_task *task);
struct rocks_task *rocks_db_task_done(struct rocks_db *db); /* NULL: none */

/* Read everything, checksums too: is all of it whole? By the thread that opened the database, while
 * nobody uses it. CORRUPT or IO, and a text. O(database). */
MUST_USE enum status rocks_db_verify(struct rocks_db *db, struct failure *failure);

/* Remove the database in this folder, which nobody has open, and the folder, as far as it goes. */
void rocks_db_remove(const char *folder);

/* A page of the directory: the rows of one type in order of their keys, from the first above
 * `after`. For the operator's lists: reads from disk on the caller's thread, any thread. */
struct rocks_page {
    enum dir_type type;
    const uint8_t *after; /* ID_BYTES; NULL: from the beginning */
    struct row *rows;     /* out */
    size_t rows_count, rows_max;
    struct arena *arena;
};
MUST_USE enum status rocks_db_page(struct rocks_db *db, struct rocks_page *page);

/* Serve a GET, RANGE or BY_OFFSET at once, as above; its status, too. */
MUST_USE enum status rocks_db_look(struct rocks_db *db, struct store_request *request);

/* Look through the messages of all chats for one that holds these bytes, a slice at a time: no key
 * names a message by its id. Begun zeroed, but for `wanted` and `rows_max`; as above. */
struct rocks_walk {
    uint8_t wanted[ID_BYTES];
    uint64_t rows_max, looked; /* rows of one slice; of all so far */
    struct row_key at;         /* of the newest row that was looked at */
    bool end;                  /* there are no more */
    struct row row;            /* out: found, or not; its value is in the arena */
};
MUST_USE enum status rocks_db_walk(struct rocks_db *db, struct rocks_walk *walk,
                                   struct arena *arena);

struct rocks_gauges rocks_db_gauges(struct rocks_db *db);
