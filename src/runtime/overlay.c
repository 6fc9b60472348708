/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/overlay.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define MIX_1     UINT64_C(0xa0761d6478bd642f)
#define MIX_2     UINT64_C(0xe7037ed1a0b428db)
#define MIX_3     UINT64_C(0x8ebc6af09c88c6e3)
#define SLOTS_MIN ((size_t)OVERLAY_CHUNK_ROWS * 4)

static_assert((SLOTS_MIN & (SLOTS_MIN - 1)) == 0, "slots are masked");

static struct overlay_row *row_at(const struct overlay *overlay, size_t index)
{
    return &overlay->chunks[index / OVERLAY_CHUNK_ROWS][index % OVERLAY_CHUNK_ROWS];
}

/* Folded product of two words: each bit of both reaches all of the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of the whole key, and of the part that a range shares. No keyed hash: under a seed that everybody
 * knows it would cost more and hide nothing, and the tables live for one batch. */
static void hash_key(const struct row_key *key, uint64_t *key_hash, uint64_t *group_hash)
{
    uint64_t a[2], b[2];
    memcpy(a, key->a, ID_BYTES);
    memcpy(b, key->b, ID_BYTES);
    uint64_t group = mix(a[0] ^ MIX_1 ^ (uint64_t)key->table, a[1] ^ MIX_2);
    uint64_t rest = mix(b[0] ^ key->n ^ MIX_3, b[1] ^ MIX_1);
    *group_hash = group;
    *key_hash = mix(group ^ MIX_2, rest ^ MIX_3);
}

static bool same_group(const struct row_key *a, const struct row_key *b)
{
    return a->table == b->table && memcmp(a->a, b->a, ID_BYTES) == 0;
}

/* The slot of this key, or the empty one where it belongs. */
static uint32_t *key_slot(const struct overlay *overlay, uint64_t hash, const struct row_key *key)
{
    size_t mask = overlay->slots - 1, at = hash & mask;
    while (overlay->by_key[at] != 0) {
        const struct overlay_row *there = row_at(overlay, overlay->by_key[at] - 1);
        if (there->key_hash == hash && row_key_compare(&there->row.key, key) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &overlay->by_key[at];
}

static uint32_t *group_slot(const struct overlay *overlay, uint64_t hash, const struct row_key *key)
{
    size_t mask = overlay->slots - 1, at = hash & mask;
    while (overlay->by_group[at] != 0) {
        const struct overlay_row *there = row_at(overlay, overlay->by_group[at] - 1);
        if (there->group_hash == hash && same_group(&there->row.key, key))
            break;
        at = (at + 1) & mask;
    }
    return &overlay->by_group[at];
}

/* ---- memory ---- */

/* Take both tables anew, empty; what stood in them is dropped. */
static bool slots_take(struct overlay *overlay, size_t slots)
{
    uint32_t *tables = memory_array(slots * 2, sizeof *tables);
    if (tables == NULL)
        return false;
    memory_free(overlay->by_key);
    overlay->by_key = tables;
    overlay->by_group = tables + slots;
    overlay->slots = slots;
    return true;
}

static bool slots_double(struct overlay *overlay)
{
    if (!slots_take(overlay, overlay->slots * 2))
        return false;
    for (size_t i = 0; i < overlay->count; i++) { /* oldest first: the newest of a group stays */
        struct overlay_row *row = row_at(overlay, i);
        *key_slot(overlay, row->key_hash, &row->row.key) = (uint32_t)i + 1;
        *group_slot(overlay, row->group_hash, &row->row.key) = (uint32_t)i + 1;
    }
    return true;
}

/* Is there room for one row more? */
static bool make_room(struct overlay *overlay)
{
    if (overlay->count == overlay->capacity)
        return false;
    if ((overlay->count + 1) * 2 > overlay->slots && !slots_double(overlay))
        return false;
    if (overlay->count < overlay->chunks_count * OVERLAY_CHUNK_ROWS)
        return true;
    struct overlay_row *chunk = memory_array(OVERLAY_CHUNK_ROWS, sizeof *chunk);
    if (chunk == NULL)
        return false;
    overlay->chunks[overlay->chunks_count++] = chunk;
    return true;
}

enum status overlay_open(struct overlay *overlay, uint32_t rows_max)
{
    memset(overlay, 0, sizeof *overlay);
    overlay->capacity = rows_max;
    overlay->chunks = memory_array(rows_max / OVERLAY_CHUNK_ROWS + 1, sizeof *overlay->chunks);
    if (overlay->chunks != NULL && slots_take(overlay, SLOTS_MIN) && make_room(overlay))
        return STATUS_OK;
    overlay_close(overlay);
    return STATUS_BUSY;
}

static void chunks_give(struct overlay *overlay, size_t kept)
{
    while (overlay->chunks_count > kept)
        memory_free(overlay->chunks[--overlay->chunks_count]);
}

void overlay_close(struct overlay *overlay)
{
    chunks_give(overlay, 0);
    memory_free(overlay->chunks);
    memory_free(overlay->by_key);
    memset(overlay, 0, sizeof *overlay);
}

void overlay_reset(struct overlay *overlay)
{
    chunks_give(overlay, OVERLAY_KEPT / OVERLAY_CHUNK_ROWS);
    /* Without memory for smaller tables the large ones go on. */
    if (overlay->count > 0 && (overlay->slots == SLOTS_MIN || !slots_take(overlay, SLOTS_MIN)))
        memset(overlay->by_key, 0, overlay->slots * 2 * sizeof *overlay->by_key);
    overlay->count = 0;
}

/* ---- rows ---- */

static const struct row *find(const struct overlay *overlay, const struct row_key *key)
{
    uint64_t key_hash, group_hash;
    hash_key(key, &key_hash, &group_hash);
    uint32_t at = *key_slot(overlay, key_hash, key);
    return at == 0 ? NULL : &row_at(overlay, at - 1)->row;
}

enum status overlay_write(struct overlay *overlay, const struct row_write *write)
{
    uint64_t key_hash, group_hash;
    hash_key(&write->key, &key_hash, &group_hash);
    uint32_t at = *key_slot(overlay, key_hash, &write->key);
    if (at == 0) {
        if (!make_room(overlay))
            return STATUS_BUSY;
        at = (uint32_t)++overlay->count;
        uint32_t *newest = group_slot(overlay, group_hash, &write->key);
        *row_at(overlay, at - 1) =
            (struct overlay_row){{.key = write->key}, key_hash, group_hash, *newest};
        *key_slot(overlay, key_hash, &write->key) = *newest = at;
    }
    (void)row_merge(&row_at(overlay, at - 1)->row, write);
    return STATUS_OK;
}

const struct row *overlay_row(const struct overlay *overlay, size_t at)
{
    return &row_at(overlay, at)->row;
}

size_t overlay_group_rows(const struct overlay *overlay, const struct row_key *key)
{
    uint64_t key_hash, group_hash;
    size_t rows = 0;
    hash_key(key, &key_hash, &group_hash);
    for (uint32_t at = *group_slot(overlay, group_hash, key); at != 0;
         at = row_at(overlay, at - 1)->older)
        rows++;
    return rows;
}

static bool max_table(enum table table)
{
    return table == TABLE_MARK || table == TABLE_CURSOR || table == TABLE_META;
}

bool overlay_covers(const struct overlay *overlay, const struct fold_want *want)
{
    return want->kind == FOLD_GET && !max_table(want->from.table) &&
           find(overlay, &want->from) != NULL;
}

/* Write `over` onto `row`, as the store will. */
static void lay(struct row *row, const struct row *over)
{
    struct row_write write = {
        max_table(over->key.table) ? ROW_MAX : ROW_PUT, over->key, over->stamp, over->value, {0}};
    memcpy(write.columns, over->columns, sizeof write.columns);
    (void)row_merge(row, &write);
}

static bool matches(const struct fold_want *want, const struct row *row)
{
    if (want->kind == FOLD_BY_STAMP)
        return row->stamp == want->stamp;
    return row_key_compare(&want->from, &row->key) <= 0 &&
           row_key_compare(&row->key, &want->to) <= 0;
}

/* Put a row into its place among the sorted rows of the want. */
static void insert(struct fold_want *want, const struct row *row)
{
    size_t at = want->rows_count;
    while (at > 0 && row_key_compare(&want->rows[at - 1].key, &row->key) > 0)
        at--;
    if (at == want->rows_max)
        return;
    size_t kept = want->rows_count < want->rows_max ? want->rows_count : want->rows_max - 1;
    memmove(&want->rows[at + 1], &want->rows[at], (kept - at) * sizeof *row);
    want->rows[at] = *row;
    want->rows_count = kept + 1;
}

static void merge_row(struct fold_want *want, const struct row *over)
{
    size_t at = 0;
    while (at < want->rows_count && row_key_compare(&want->rows[at].key, &over->key) != 0)
        at++;
    if (at < want->rows_count)
        lay(&want->rows[at], over);
    else
        insert(want, over);
}

enum status overlay_merge(const struct overlay *overlay, struct fold_want *want,
                          struct arena *arena)
{
    if (want->rows == NULL) {
        want->rows = ARENA_ARRAY(arena, struct row, want->rows_max);
        if (want->rows == NULL)
            return STATUS_BUSY;
    }
    if (want->kind == FOLD_GET) {
        const struct row *over = find(overlay, &want->from);
        want->rows[0].key = want->from;
        want->rows_count = 1;
        if (over != NULL)
            lay(&want->rows[0], over);
        return STATUS_OK;
    }
    uint64_t key_hash, group_hash;
    hash_key(&want->from, &key_hash, &group_hash);
    uint32_t next = *group_slot(overlay, group_hash, &want->from);
    while (next != 0) {
        const struct overlay_row *at = row_at(overlay, next - 1);
        next = at->older;
        if (matches(want, &at->row))
            merge_row(want, &at->row);
    }
    return STATUS_OK;
}
