/* SPDX-License-Identifier: Apache-2.0
 * memory_store.h: the store port over ordered rows in memory. With the durable log behind it this
 * is a whole index: it is rebuilt by replay at start. Also the simulator's store.
 * Invariants: rows stand in row_key_compare order; what a commit wrote is read back by every
 * handle.
 * Owner: a database may be shared by handles of several threads (one lock, held for one request);
 * a handle belongs to one thread. Bounds: bytes_max of all rows (then commits get BUSY and change
 * nothing), STORE_REQUESTS_MAX requests between two polls.
 * Cost: O(log rows) a row. Source: storage §11. */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "base/prng.h"
#include "ports/store.h"

#define MEMORY_STORE_LEVELS  20u
#define MEMORY_STORE_CLASSES 20u /* of value buffers: 32 B, 64 B, … */

struct memory_node;

struct memory_db {
    pthread_mutex_t lock;
    struct arena arena;
    struct prng prng;
    struct memory_node *head; /* before the first row */
    void *spare[MEMORY_STORE_CLASSES];
    size_t rows;
};

struct memory_store {
    struct store port;
    struct memory_db *db;
    struct store_request *done[STORE_REQUESTS_MAX];
    size_t done_first, done_count;
};

/* BUSY: no memory. */
MUST_USE enum status memory_db_open(struct memory_db *db, size_t bytes_max);
void memory_db_close(struct memory_db *db);
void memory_store_open(struct memory_store *store, struct memory_db *db);

/* Walk all rows in order, for oracles and tests: the first row with a key above `after` (NULL: of
 * all), or NULL. Borrowed until the next commit; no other thread may run. */
const struct row *memory_db_next(struct memory_db *db, const struct row_key *after);
