/* SPDX-License-Identifier: Apache-2.0
 * cstore.h: the client's own rows on a device (design §8). Adapters: sqlite, memory (simulator),
 * and IndexedDB in the browser host. One transaction per effect batch: all or nothing, durable
 * when it returns. Synchronous: the host runs it before any frame leaves. Owner: one thread, one
 * process (profile lock). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

enum cstore_op_kind { CSTORE_PUT, CSTORE_INSERT, CSTORE_DELETE };

struct cstore_op {
    enum cstore_op_kind kind;
    uint32_t table; /* host.proto Table */
    struct slice key, value;
    bool inserted; /* out, INSERT: false when the key stood there already */
};

struct cstore_row {
    uint32_t table;
    struct slice key, value;
};

struct cstore {
    const struct cstore_vtable *vtable;
};

struct cstore_vtable {
    enum status (*commit)(struct cstore *, struct cstore_op *ops, size_t count) MUST_USE;
    /* Rows of `table` with from ≤ key ≤ to, ascending or descending, at most `max`, in the
     * arena. */
    enum status (*range)(struct cstore *, uint32_t table, struct slice from, struct slice to,
                         bool descending, struct cstore_row *out, size_t max, size_t *count,
                         struct arena *arena) MUST_USE;
    enum status (*wipe)(struct cstore *) MUST_USE;
};
