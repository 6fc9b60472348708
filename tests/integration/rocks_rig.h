/* SPDX-License-Identifier: Apache-2.0
 * rocks_rig.h: a RocksDB store in a folder of its own and batches with growing numbers, so that a
 * look at the rows tells which batches they come from. For the tests of the adapter. */
#pragma once

#include <semaphore.h>

#include "adapters/rocksdb/rocks_store.h"

#define RIG_CHATS      8u
#define RIG_ROWS       16u /* of one batch, all in the chat of its number */
#define RIG_TEXT_BYTES 700u
#define RIG_DEADLINE_S 60

struct rocks_rig {
    struct waker waker; /* first */
    sem_t woken;
    char folder[64], path[80];
    struct rocks_options options;
    struct rocks_db db;
    struct rocks_store store;
    struct arena arena;
    enum rocks_outcome outcome;
    struct failure failure;
    bool is_open;
};

struct rig_finding {
    uint64_t next;       /* as META_PART says: batches 0 … next - 1 are there */
    uint64_t unreadable; /* reads that ended in CORRUPT or IO */
};

void rig_make(struct rocks_rig *rig);   /* an empty folder, no store in it yet */
void rig_remove(struct rocks_rig *rig); /* closes it, too */
MUST_USE enum status rig_open(struct rocks_rig *rig);
void rig_close(struct rocks_rig *rig);

/* Submit and wait; the status is the request's. */
enum status rig_run(struct rocks_rig *rig, struct store_request *request);

/* Batch `number`, again while it is BUSY. */
enum status rig_commit(struct rocks_rig *rig, uint64_t number);

/* A task, to its end. */
enum status rig_task(struct rocks_rig *rig, struct rocks_task *task);

/* Read everything. Asserts that what can be read is all of batches 0 … next - 1 and nothing of any
 * later one. */
struct rig_finding rig_check(struct rocks_rig *rig);

/* The key under which part is kept. */
struct row_key rig_part(void);
