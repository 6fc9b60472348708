/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/profile.h"

#include <string.h>

#include "base/assert.h"
#include "wire/gen/host.pb.h"

#define PAGE_BYTES ((size_t)64 << 20)

void profile_walk_begin(struct profile_walk *walk, uint32_t table)
{
    walk->table = table;
    walk->key_bytes = walk->count = 0;
    walk->last = false;
}

void profile_walk_next(struct profile_walk *walk, struct cstore *store, struct arena *arena)
{
    uint8_t most[PROFILE_KEY_BYTES];
    memset(most, 0xff, sizeof most);
    enum status status = store->vtable->range(
        store, walk->table, slice_make(walk->key, walk->key_bytes), slice_make(most, sizeof most),
        false, walk->rows, PROFILE_PAGE, &walk->count, arena);
    assert(status == STATUS_OK);
    walk->last = walk->count < PROFILE_PAGE;
    if (walk->count == 0)
        return;
    struct slice key = walk->rows[walk->count - 1].key;
    assert(key.bytes <= PROFILE_KEY_BYTES);
    memcpy(walk->key, key.at, key.bytes);
    walk->key[key.bytes] = 0; /* the least key above it */
    walk->key_bytes = key.bytes + 1;
}

void profile_copy(struct cstore *to, struct cstore *from)
{
    struct profile_walk walk;
    struct cstore_op ops[PROFILE_PAGE];
    enum status status = to->vtable->wipe(to);
    assert(status == STATUS_OK);
    for (uint32_t table = PB_TABLE_META; table <= PB_TABLE_MESSAGE; table++) {
        profile_walk_begin(&walk, table);
        while (!walk.last) {
            struct arena arena;
            arena_init(&arena, PAGE_BYTES);
            profile_walk_next(&walk, from, &arena);
            for (size_t i = 0; i < walk.count; i++)
                ops[i] = (struct cstore_op){.kind = CSTORE_PUT,
                                            .table = table,
                                            .key = walk.rows[i].key,
                                            .value = walk.rows[i].value};
            status = to->vtable->commit(to, ops, walk.count);
            assert(status == STATUS_OK);
            arena_deinit(&arena);
        }
    }
}
