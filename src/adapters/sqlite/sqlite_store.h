/* SPDX-License-Identifier: Apache-2.0
 * sqlite_store.h: the `cstore` port in one SQLite file: a table of (table, key, value).
 * Invariants: a batch is one transaction, synced when commit returns (WAL, synchronous FULL); a
 * file of another version is refused, never guessed; deleted bytes are overwritten.
 * Owner: one thread; the caller keeps other processes from writing (profile lock). A reader may
 * open the file `read_only` meanwhile. Bounds: none of its own. Source: sqlite.org/wal.html. */
#pragma once

#include "ports/cstore.h"

#define SQLITE_STORE_VERSION 1

struct sqlite3;
struct sqlite3_stmt;

struct sqlite_store {
    struct cstore cstore;
    struct sqlite3 *db;
    struct sqlite3_stmt *put, *insert, *remove, *up, *down;
};

/* Open, or make, the file. UNSUPPORTED: made by a newer version; CORRUPT: not a store of ours, or
 * damaged; IO; each with a text. Also after a failure, close it. */
MUST_USE enum status sqlite_store_open(struct sqlite_store *store, const char *path, bool read_only,
                                       struct failure *failure);
void sqlite_store_close(struct sqlite_store *store); /* tolerates a zeroed object */
