/* SPDX-License-Identifier: Apache-2.0
 * memory_cstore.h: the `cstore` port in memory: rows sorted by table and key. Nothing survives the
 * process; what a batch wrote survives a failed one.
 * Invariants: a batch is applied whole or, without memory (BUSY), not at all. Owner: one thread.
 * Bounds: memory; a write is O(rows), a range O(log rows + found). */
#pragma once

#include "ports/cstore.h"

struct memory_cstore_row;

struct memory_cstore {
    struct cstore cstore;
    struct memory_cstore_row **rows;
    size_t count, capacity;
};

void memory_cstore_open(struct memory_cstore *store);
void memory_cstore_close(struct memory_cstore *store); /* the rows are gone */
