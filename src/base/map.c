/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

/* A run of full slots is sorted by (hash, key), and the home of a hash is its upper bits, so that
 * the whole table is sorted but for a run that goes on from the last slot to the first. So the
 * layout is canonical: putting shifts the rest of the run one slot on, removing shifts it back, and
 * a search may stop at the first entry that is nearer to its home than the key would be. */

#define FULL        (UINT64_C(1) << 63) /* set in every stored hash, so that 0 can mean empty */
#define SLOTS_FIRST 64u

static uint8_t *key_at(const struct map *map, uint32_t slot)
{
    return map->keys + (size_t)slot * map->key_bytes;
}

static uint32_t home(const struct map *map, uint64_t hash)
{
    return (uint32_t)((hash & ~FULL) >> map->shift);
}

/* How far the entry of a full slot stands behind its home. */
static uint32_t distance(const struct map *map, uint32_t slot)
{
    return (slot - home(map, map->hashes[slot])) & map->mask;
}

static uint64_t hash_of(const struct map *map, const void *key)
{
    return siphash(map->seed, slice_make(key, map->key_bytes)) | FULL;
}

/* Order of (hash, key) between the searched key and a full slot. */
static int compare(const struct map *map, uint64_t hash, const void *key, uint32_t slot)
{
    if (hash != map->hashes[slot])
        return hash < map->hashes[slot] ? -1 : 1;
    return memcmp(key, key_at(map, slot), map->key_bytes);
}

/* Where the key stands (true), or where it would have to be put (false). */
static bool seek(const struct map *map, uint64_t hash, const void *key, uint32_t *slot)
{
    *slot = home(map, hash);
    for (uint32_t far = 0; map->hashes[*slot] != 0; far++) {
        uint32_t there = distance(map, *slot);
        if (there < far)
            return false;
        if (there == far) {
            int order = compare(map, hash, key, *slot);
            if (order <= 0)
                return order == 0;
        }
        *slot = (*slot + 1) & map->mask;
    }
    return false;
}

static void move(struct map *map, uint32_t from, uint32_t to)
{
    map->hashes[to] = map->hashes[from];
    map->values[to] = map->values[from];
    memcpy(key_at(map, to), key_at(map, from), map->key_bytes);
}

static bool table_new(struct map *map, uint32_t slots)
{
    map->hashes = memory_array(slots, 2 * sizeof(uint64_t) + map->key_bytes);
    if (map->hashes == NULL)
        return false;
    map->values = map->hashes + slots;
    map->keys = (uint8_t *)(map->values + slots);
    map->mask = slots - 1;
    map->shift = 63;
    for (; slots > 1; slots /= 2)
        map->shift--;
    return true;
}

/* As many as are full before the table must be larger. */
static uint32_t room(const struct map *map)
{
    return (map->mask + 1) / 4 * 3;
}

enum status map_open(struct map *map, uint32_t capacity, uint32_t key_bytes,
                     const uint8_t seed[SIPHASH_SEED_BYTES])
{
    assert(capacity > 0 && capacity <= UINT32_C(1) << 30);
    assert(key_bytes > 0 && key_bytes <= MAP_KEY_BYTES_MAX);
    *map = (struct map){.capacity = capacity, .key_bytes = key_bytes};
    memcpy(map->seed, seed, sizeof map->seed);
    uint32_t slots = 4;
    while (slots < SLOTS_FIRST && slots / 4 * 3 < capacity)
        slots *= 2;
    return table_new(map, slots) ? STATUS_OK : STATUS_BUSY;
}

void map_close(struct map *map)
{
    memory_free(map->hashes);
    *map = (struct map){0};
}

void map_reset(struct map *map)
{
    memset(map->hashes, 0, ((size_t)map->mask + 1) * sizeof *map->hashes);
    map->used = 0;
}

bool map_find(const struct map *map, const void *key, uint64_t *value)
{
    uint32_t slot;
    if (!seek(map, hash_of(map, key), key, &slot))
        return false;
    if (value != NULL)
        *value = map->values[slot];
    return true;
}

/* What stands at `slot`, up to the end of its run, makes room. */
static void insert(struct map *map, uint32_t slot, uint64_t hash, const void *key, uint64_t value)
{
    uint32_t end = slot;
    while (map->hashes[end] != 0)
        end = (end + 1) & map->mask;
    while (end != slot) {
        uint32_t before = (end - 1) & map->mask;
        move(map, before, end);
        end = before;
    }
    map->hashes[slot] = hash;
    map->values[slot] = value;
    memcpy(key_at(map, slot), key, map->key_bytes);
    map->used++;
}

static enum status twice(struct map *map)
{
    struct map old = *map;
    if (!table_new(map, 2 * (old.mask + 1))) {
        *map = old;
        return STATUS_BUSY;
    }
    map->used = 0;
    for (uint32_t at = 0; at <= old.mask; at++) {
        uint32_t slot;
        if (old.hashes[at] == 0)
            continue;
        bool there = seek(map, old.hashes[at], key_at(&old, at), &slot);
        assert(!there);
        insert(map, slot, old.hashes[at], key_at(&old, at), old.values[at]);
    }
    memory_free(old.hashes);
    return STATUS_OK;
}

enum status map_grow(struct map *map)
{
    if (map->used <= room(map) / 2 || room(map) >= map->capacity)
        return STATUS_OK;
    return twice(map);
}

enum status map_put(struct map *map, const void *key, uint64_t value)
{
    uint64_t hash = hash_of(map, key);
    uint32_t slot;
    if (seek(map, hash, key, &slot)) {
        map->values[slot] = value;
        return STATUS_OK;
    }
    bool narrow = map->used == room(map);
    if (map->used == map->capacity || (narrow && twice(map) != STATUS_OK)) {
        map->refused++;
        return STATUS_BUSY;
    }
    if (narrow)
        (void)seek(map, hash, key, &slot);
    insert(map, slot, hash, key, value);
    return STATUS_OK;
}

bool map_remove(struct map *map, const void *key, uint64_t *value)
{
    uint32_t slot;
    if (!seek(map, hash_of(map, key), key, &slot))
        return false;
    if (value != NULL)
        *value = map->values[slot];
    uint32_t next = (slot + 1) & map->mask;
    while (map->hashes[next] != 0 && distance(map, next) > 0) {
        move(map, next, slot);
        slot = next;
        next = (next + 1) & map->mask;
    }
    map->hashes[slot] = 0;
    map->used--;
    return true;
}

/* Entries whose run goes on from the last slot to the first belong behind all others. */
bool map_next(const struct map *map, uint32_t *at, const uint8_t **key, uint64_t *value)
{
    for (; *at <= 2 * map->mask + 1; (*at)++) {
        uint32_t slot = *at & map->mask;
        bool last = *at > map->mask;
        bool full = map->hashes[slot] != 0;
        if (full && (distance(map, slot) > slot) == last) {
            *key = key_at(map, slot);
            *value = map->values[slot];
            (*at)++;
            return true;
        }
        if (last)
            return false;
    }
    return false;
}
