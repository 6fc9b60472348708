/* SPDX-License-Identifier: Apache-2.0
 * store.h: the port of the index behind the log (storage §§2.1, 4, 5, 11). Adapters: memory, chaos
 * (a decorator in sim), later rocksdb and cassandra. Values are opaque here: version byte ‖ row of
 * row.proto. Rows are found by typed keys; there is no scan across keys and no clock.
 * Write rules, which make every batch repeatable in any order:
 *   PUT   the higher stamp wins, an equal stamp overwrites (same bytes by the folds' rule R7);
 *   MAX   up to 4 u64 columns, pairwise max, no stamp;
 *   CLAIM put if absent (usernames in a fleet): the request reports what stands there.
 * A batch applies its writes in the given order; writes of one partition (store_partition) that
 * stand together are atomic; nothing more may be relied on. Own finished writes are read back.
 * Owner: one thread per handle; adapters may share one database among handles. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/row.h"
#include "base/slice.h"
#include "base/status.h"

enum store_write_kind { STORE_PUT, STORE_MAX, STORE_CLAIM };

struct store_write {
    enum store_write_kind kind;
    struct row_key key;
    uint64_t stamp;
    struct slice value;
    uint64_t columns[STORE_COLUMNS];
};

enum store_op { STORE_GET, STORE_RANGE, STORE_BY_OFFSET, STORE_COMMIT };

/* One request. GET fills rows[i] for keys[i]. RANGE returns rows of `keys[0].table` with the same
 * (table, a [, b as lower bound for b-keyed tables]) from keys[0] on, ascending or descending by b or n,
 * at most `rows_max`, stopping at keys[1] (inclusive). BY_OFFSET: the MSG row of chat keys[0].a written at
 * (log_epoch, offset, sub), searched newest first and given up below it; adapters call `place_of`.
 * Values are copied into `arena`. */
struct store_request {
    enum store_op op;
    uint64_t token;
    struct row_key *keys;
    size_t keys_count;
    struct row *rows; /* out */
    size_t rows_count, rows_max;
    bool descending;
    uint64_t stamp; /* BY_OFFSET: stamp of the wanted row (several rows may share it: all of them) */
    struct arena *arena;
    const struct store_write *writes;
    size_t writes_count;
    enum status status; /* out: OK BUSY TIMEOUT (may have applied: repeat) CORRUPT IO */
};

struct store {
    const struct store_vtable *vtable;
};

struct store_vtable {
    void (*submit)(struct store *, struct store_request *);
    size_t (*poll)(struct store *, struct store_request **done, size_t max);
};

/* Do two keys share a partition, so that writes of both are atomic? */
bool store_same_partition(const struct row_key *a, const struct row_key *b);

/* Write timestamp of what a record wrote (storage §2.1): rises with the log position. */
static inline uint64_t store_stamp(uint32_t log_epoch, uint64_t offset)
{
    return ((uint64_t)log_epoch << 48) + offset + 1;
}
