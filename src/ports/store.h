/* SPDX-License-Identifier: Apache-2.0
 * store.h: the port of the index behind the log (storage §§2.1, 4, 5, 11). Adapters: memory,
 * rocksdb, chaos (a decorator in sim), later cassandra. Values are opaque here: version byte ‖ row
 * of row.proto. Rows are found by typed keys; there is no scan across keys and no clock.
 * Keys, rows, writes and their rules (PUT, MAX, CLAIM): base/row.h.
 * A batch applies its writes in the given order; writes of one partition (row_same_partition) that
 * stand together are atomic; nothing more may be relied on. Own finished writes are read back.
 * Owner: one thread per handle; adapters may share one database among handles. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/row.h"
#include "base/slice.h"
#include "base/status.h"

enum store_op { STORE_GET, STORE_RANGE, STORE_BY_OFFSET, STORE_COMMIT };

/* One request. GET fills rows[i] for keys[i]. RANGE returns the found rows with keys[0] <= key <=
 * keys[1] in row_key_compare order (or descending), at most `rows_max`; both keys agree in (table,
 * a).
 * BY_OFFSET: the MSG rows of chat keys[0].a that carry `stamp` (in the one-machine deployment one
 * offset may have written several), searched newest first and given up below it.
 * Values are copied into `arena`. */
struct store_request {
    enum store_op op;
    uint64_t token;
    struct row_key *keys;
    size_t keys_count;
    struct row *rows; /* out */
    size_t rows_count, rows_max;
    bool descending;
    /* BY_OFFSET: stamp of the wanted row (several rows may share it: all of them) */
    uint64_t stamp;
    struct arena *arena;
    const struct row_write *writes;
    size_t writes_count;
    enum status status; /* out: OK BUSY TIMEOUT (may have applied: repeat) CORRUPT IO */
};

struct store {
    const struct store_vtable *vtable;
};

/* Requests in flight on one handle at most: each caller bounds its own, adapters assert it. */
#define STORE_REQUESTS_MAX 1024u

struct store_vtable {
    void (*submit)(struct store *, struct store_request *);
    size_t (*poll)(struct store *, struct store_request **done, size_t max);
};
