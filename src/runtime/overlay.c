/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/overlay.h"

#include <string.h>

#include "base/memory.h"

#define KEY_BYTES (1 + ID_BYTES + ID_BYTES + 8)

static void key_pack(const struct row_key *key, uint8_t out[KEY_BYTES])
{
    out[0] = (uint8_t)key->table;
    memcpy(out + 1, key->a, ID_BYTES);
    memcpy(out + 1 + ID_BYTES, key->b, ID_BYTES);
    memcpy(out + 1 + 2 * ID_BYTES, &key->n, 8);
}

enum status overlay_open(struct overlay *overlay, uint32_t rows_max)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {1}; /* keys hold hashes and ids of the log */
    memset(overlay, 0, sizeof *overlay);
    overlay->rows = memory_array(rows_max, sizeof *overlay->rows);
    overlay->capacity = rows_max;
    enum status status =
        overlay->rows == NULL ? STATUS_BUSY : map_open(&overlay->index, rows_max, KEY_BYTES, seed);
    if (status != STATUS_OK)
        overlay_close(overlay);
    return status;
}

void overlay_close(struct overlay *overlay)
{
    map_close(&overlay->index);
    memory_free(overlay->rows);
    memset(overlay, 0, sizeof *overlay);
}

void overlay_reset(struct overlay *overlay)
{
    if (overlay->count > 0)
        map_reset(&overlay->index);
    overlay->count = 0;
}

static struct row *find(const struct overlay *overlay, const struct row_key *key)
{
    uint8_t packed[KEY_BYTES];
    uint64_t index;
    key_pack(key, packed);
    return map_find(&overlay->index, packed, &index) ? &overlay->rows[index] : NULL;
}

enum status overlay_write(struct overlay *overlay, const struct row_write *write)
{
    struct row *row = find(overlay, &write->key);
    if (row == NULL) {
        uint8_t packed[KEY_BYTES];
        key_pack(&write->key, packed);
        if (overlay->count == overlay->capacity ||
            map_put(&overlay->index, packed, overlay->count) != STATUS_OK)
            return STATUS_BUSY;
        row = &overlay->rows[overlay->count++];
        *row = (struct row){.key = write->key};
    }
    (void)row_merge(row, write);
    return STATUS_OK;
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
        return row->key.table == TABLE_MSG && row->stamp == want->stamp &&
               memcmp(row->key.a, want->from.a, ID_BYTES) == 0;
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
    for (size_t i = 0; i < overlay->count; i++) {
        const struct row *over = &overlay->rows[i];
        if (!matches(want, over))
            continue;
        size_t at = 0;
        while (at < want->rows_count && row_key_compare(&want->rows[at].key, &over->key) != 0)
            at++;
        if (at < want->rows_count)
            lay(&want->rows[at], over);
        else
            insert(want, over);
    }
    return STATUS_OK;
}
