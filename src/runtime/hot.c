/* SPDX-License-Identifier: Apache-2.0
 * Without memory an answer is dropped, never kept half: what is not here is only slower. */
#include "runtime/hot.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/siphash.h"

#define NONE        UINT32_MAX
#define SLOTS_MIN   1024u
#define ENTRY_LEAST (sizeof(struct hot_entry) + MEMORY_ALIGN)
#define KEY_BYTES   (1 + 2 * ID_BYTES)

static struct hot_entry *entry_at(const struct hot *hot, uint32_t at)
{
    return &hot->chunks[at / HOT_CHUNK_ENTRIES][at % HOT_CHUNK_ENTRIES];
}

/* ---- which tables ---- */

static bool is_whole(enum table table)
{
    return table == TABLE_MEMBER || table == TABLE_MARK;
}

static bool is_single(enum table table)
{
    return table == TABLE_CHAT_HEAD || table == TABLE_SENDER || table == TABLE_USER_HEAD ||
           table == TABLE_USER_CHAT;
}

/* Is it the kind of want whose answer is kept? A range must be that of the whole chat. */
static bool is_kept(const struct fold_want *want)
{
    if (want->kind == FOLD_GET)
        return is_single(want->from.table);
    if (want->kind != FOLD_RANGE || !is_whole(want->from.table))
        return false;
    struct row_key first = row_key_make(want->from.table, want->from.a, NULL, 0), last = first;
    memset(last.b, 0xFF, ID_BYTES);
    last.n = UINT64_MAX;
    return row_key_compare(&want->from, &first) == 0 && row_key_compare(&want->to, &last) == 0;
}

/* ---- the index ---- */

static uint64_t hash_of(const struct row_key *key)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {4}; /* keys hold hashes and ids of the log */
    uint8_t packed[KEY_BYTES];
    packed[0] = (uint8_t)key->table;
    memcpy(packed + 1, key->a, ID_BYTES);
    memcpy(packed + 1 + ID_BYTES, key->b, ID_BYTES);
    return siphash(seed, slice_make(packed, KEY_BYTES));
}

static uint32_t find(const struct hot *hot, const struct row_key *key, uint64_t hash)
{
    if (hot->used == 0)
        return NONE;
    uint32_t at = hot->slots[hash & (hot->slots_count - 1)];
    while (at != NONE) {
        const struct hot_entry *entry = entry_at(hot, at);
        if (entry->hash == hash && row_key_compare(&entry->key, key) == 0)
            break;
        at = entry->same;
    }
    return at;
}

static void slot_put(struct hot *hot, uint32_t at)
{
    uint32_t *slot = &hot->slots[entry_at(hot, at)->hash & (hot->slots_count - 1)];
    entry_at(hot, at)->same = *slot;
    *slot = at;
}

static void slot_take(struct hot *hot, uint32_t at)
{
    uint32_t *link = &hot->slots[entry_at(hot, at)->hash & (hot->slots_count - 1)];
    while (*link != at)
        link = &entry_at(hot, *link)->same;
    *link = entry_at(hot, at)->same;
}

static void use_end(struct hot *hot, uint32_t at)
{
    struct hot_entry *entry = entry_at(hot, at);
    *(entry->older == NONE ? &hot->oldest : &entry_at(hot, entry->older)->newer) = entry->newer;
    *(entry->newer == NONE ? &hot->newest : &entry_at(hot, entry->newer)->older) = entry->older;
}

static void use_begin(struct hot *hot, uint32_t at)
{
    struct hot_entry *entry = entry_at(hot, at);
    entry->older = hot->newest;
    entry->newer = NONE;
    *(hot->newest == NONE ? &hot->oldest : &entry_at(hot, hot->newest)->newer) = at;
    hot->newest = at;
}

/* ---- memory ---- */

static bool slots_make(struct hot *hot, uint32_t count)
{
    uint32_t *slots = memory_array(count, sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots, 0xFF, count * sizeof *slots);
    memory_free(hot->slots);
    hot->slots = slots;
    hot->slots_count = count;
    for (uint32_t at = hot->oldest; at != NONE; at = entry_at(hot, at)->newer)
        slot_put(hot, at);
    return true;
}

enum status hot_open(struct hot *hot, size_t bytes_max)
{
    memset(hot, 0, sizeof *hot);
    hot->bytes_max = bytes_max;
    hot->free_first = hot->oldest = hot->newest = NONE;
    hot->chunks_max = (uint32_t)(bytes_max / ENTRY_LEAST / HOT_CHUNK_ENTRIES) + 1;
    hot->chunks = memory_array(hot->chunks_max, sizeof *hot->chunks);
    if (hot->chunks != NULL && slots_make(hot, SLOTS_MIN))
        return STATUS_OK;
    hot_close(hot);
    return STATUS_BUSY;
}

static void forget(struct hot *hot, uint32_t at)
{
    struct hot_entry *entry = entry_at(hot, at);
    slot_take(hot, at);
    use_end(hot, at);
    memory_free(entry->rows);
    hot->bytes -= sizeof *entry + entry->block_bytes;
    entry->rows = NULL;
    entry->older = hot->free_first;
    hot->free_first = at;
    hot->used--;
}

void hot_close(struct hot *hot)
{
    while (hot->used > 0)
        forget(hot, hot->oldest);
    for (uint32_t i = 0; i < hot->chunks_count; i++)
        memory_free(hot->chunks[i]);
    memory_free(hot->chunks);
    memory_free(hot->slots);
    memset(hot, 0, sizeof *hot);
}

/* A free entry; NONE without memory. */
static uint32_t entry_new(struct hot *hot)
{
    if (hot->free_first == NONE) {
        if (hot->chunks_count == hot->chunks_max)
            return NONE;
        struct hot_entry *chunk = memory_array(HOT_CHUNK_ENTRIES, sizeof *chunk);
        if (chunk == NULL)
            return NONE;
        uint32_t first = hot->chunks_count * HOT_CHUNK_ENTRIES;
        hot->chunks[hot->chunks_count++] = chunk;
        for (uint32_t i = 0; i < HOT_CHUNK_ENTRIES; i++)
            chunk[i].older = i + 1 < HOT_CHUNK_ENTRIES ? first + i + 1 : NONE;
        hot->free_first = first;
    }
    uint32_t at = hot->free_first;
    hot->free_first = entry_at(hot, at)->older;
    return at;
}

static size_t block_bytes(const struct row *rows, size_t count)
{
    size_t bytes = count * sizeof *rows;
    for (size_t i = 0; i < count; i++)
        bytes += rows[i].value.bytes;
    return (bytes + bytes / 8 + MEMORY_ALIGN) / MEMORY_ALIGN * MEMORY_ALIGN; /* a value may grow */
}

/* A block with these rows and their values; NULL: none. */
static struct row *block_make(const struct row *rows, size_t count, size_t bytes)
{
    struct row *block = bytes <= HOT_ANSWER_BYTES ? memory_alloc(bytes) : NULL;
    if (block == NULL)
        return NULL;
    uint8_t *values = (uint8_t *)(block + count);
    for (size_t i = 0; i < count; i++) {
        block[i] = rows[i];
        if (rows[i].value.bytes == 0)
            continue;
        memcpy(values, rows[i].value.at, rows[i].value.bytes);
        block[i].value.at = values;
        values += rows[i].value.bytes;
    }
    return block;
}

/* ---- answers ---- */

/* Copies, because the fold's slices into them outlive the entry. */
static bool rows_copy(const struct hot_entry *entry, struct fold_want *want, size_t more,
                      struct arena *arena)
{
    struct arena_mark mark = arena_mark(arena);
    size_t room = entry->rows_count + more;
    struct row *rows = ARENA_RAW(arena, struct row, room < want->rows_max ? room : want->rows_max);
    if (rows == NULL)
        return false;
    for (size_t i = 0; i < entry->rows_count; i++) {
        rows[i] = entry->rows[i];
        rows[i].value = arena_copy(arena, rows[i].value);
    }
    if (arena->exhausted) {
        arena_rewind(arena, mark);
        return false;
    }
    want->rows = rows;
    want->rows_count = entry->rows_count;
    return true;
}

bool hot_answer(struct hot *hot, struct fold_want *want, size_t more, struct arena *arena)
{
    if (hot->bytes_max == 0 || !is_kept(want))
        return false;
    hot->asked++;
    uint32_t at = find(hot, &want->from, hash_of(&want->from));
    if (at == NONE || entry_at(hot, at)->rows_count > want->rows_max ||
        !rows_copy(entry_at(hot, at), want, more, arena))
        return false;
    if (hot->newest != at) {
        use_end(hot, at);
        use_begin(hot, at);
    }
    hot->answered++;
    return true;
}

void hot_learn(struct hot *hot, const struct fold_want *want)
{
    if (hot->bytes_max == 0 || !is_kept(want) ||
        (want->kind == FOLD_RANGE && want->rows_count == want->rows_max))
        return; /* perhaps not all of them */
    uint64_t hash = hash_of(&want->from);
    size_t bytes = block_bytes(want->rows, want->rows_count);
    size_t whole = sizeof(struct hot_entry) + bytes;
    uint32_t at = find(hot, &want->from, hash);
    if (at != NONE)
        forget(hot, at);
    if (whole > hot->bytes_max || bytes > HOT_ANSWER_BYTES)
        return;
    while (hot->bytes + whole > hot->bytes_max)
        forget(hot, hot->oldest);
    if (hot->used == hot->slots_count && !slots_make(hot, hot->slots_count * 2))
        return;
    struct row *block = block_make(want->rows, want->rows_count, bytes);
    at = block != NULL ? entry_new(hot) : NONE;
    if (at == NONE) {
        memory_free(block);
        return;
    }
    *entry_at(hot, at) = (struct hot_entry){.key = want->from,
                                            .hash = hash,
                                            .rows = block,
                                            .rows_count = want->rows_count,
                                            .block_bytes = bytes};
    slot_put(hot, at);
    use_begin(hot, at);
    hot->bytes += whole;
    hot->used++;
}

/* ---- what is committed ---- */

static void merge(struct row *row, const struct row *over)
{
    struct row_write write = {over->key.table == TABLE_MARK ? ROW_MAX : ROW_PUT,
                              over->key,
                              over->stamp,
                              over->value,
                              {0}};
    memcpy(write.columns, over->columns, sizeof write.columns);
    (void)row_merge(row, &write);
}

/* The one row of a GET, whose value lies alone in its block. */
static bool follow_single(struct hot *hot, struct hot_entry *entry, const struct row *over)
{
    struct row row = entry->rows[0];
    merge(&row, over);
    assert(over->value.bytes > 0);        /* the version, at least */
    if (row.value.at != over->value.at) { /* the higher stamp stays */
        entry->rows[0] = row;
        return true;
    }
    if (row.value.bytes <= entry->block_bytes - sizeof row) {
        entry->rows[0] = row;
        entry->rows[0].value.at = memcpy(entry->rows + 1, row.value.at, row.value.bytes);
        return true;
    }
    size_t bytes = block_bytes(&row, 1), more = bytes - entry->block_bytes;
    struct row *block = hot->bytes + more <= hot->bytes_max ? block_make(&row, 1, bytes) : NULL;
    if (block == NULL)
        return false;
    memory_free(entry->rows);
    entry->rows = block;
    entry->block_bytes = bytes;
    hot->bytes += more;
    return true;
}

/* Of a whole chat only marks that are there change in place; the rest is read anew, being rare. */
static bool follow_whole(struct hot_entry *entry, const struct row *over)
{
    for (size_t i = 0; over->key.table == TABLE_MARK && i < entry->rows_count; i++) {
        if (row_key_compare(&entry->rows[i].key, &over->key) == 0) {
            merge(&entry->rows[i], over);
            return true;
        }
    }
    return false;
}

void hot_follow(struct hot *hot, const struct row *row)
{
    enum table table = row->key.table;
    if (!is_whole(table) && !is_single(table))
        return;
    struct row_key key = row->key;
    if (is_whole(table))
        key = row_key_make(table, row->key.a, NULL, 0);
    uint32_t at = find(hot, &key, hash_of(&key));
    if (at == NONE)
        return;
    struct hot_entry *entry = entry_at(hot, at);
    if (!(is_whole(table) ? follow_whole(entry, row) : follow_single(hot, entry, row)))
        forget(hot, at);
}
