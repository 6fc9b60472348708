/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

/* A run of full slots is sorted by (home, hash, key), home being where the hash points. So the
 * layout is canonical: putting shifts the rest of the run one slot on, removing shifts it back, and
 * a search may stop at the first entry that is nearer to its home than the key would be. */

#define FULL (UINT64_C(1) << 63) /* set in every stored hash, so that 0 can mean empty */

static uint8_t *key_at(const struct map *map, uint32_t slot)
{
    return map->keys + (size_t)slot * map->key_bytes;
}

/* How far the entry of a full slot stands behind its home. */
static uint32_t distance(const struct map *map, uint32_t slot)
{
    return (slot - (uint32_t)map->hashes[slot]) & map->mask;
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
    *slot = (uint32_t)hash & map->mask;
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

enum status map_open(struct map *map, uint32_t capacity, uint32_t key_bytes,
                     const uint8_t seed[SIPHASH_SEED_BYTES])
{
    assert(capacity > 0 && capacity <= UINT32_C(1) << 30);
    assert(key_bytes > 0 && key_bytes <= MAP_KEY_BYTES_MAX);
    uint32_t slots = 4;
    while (slots / 4 * 3 < capacity)
        slots *= 2;
    *map = (struct map){.capacity = capacity, .mask = slots - 1, .key_bytes = key_bytes};
    memcpy(map->seed, seed, sizeof map->seed);
    map->hashes = memory_array(slots, sizeof *map->hashes);
    map->values = memory_array(slots, sizeof *map->values);
    map->keys = memory_array(slots, key_bytes);
    if (map->hashes == NULL || map->values == NULL || map->keys == NULL) {
        map_close(map);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

void map_close(struct map *map)
{
    memory_free(map->hashes);
    memory_free(map->values);
    memory_free(map->keys);
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

enum status map_put(struct map *map, const void *key, uint64_t value)
{
    uint64_t hash = hash_of(map, key);
    uint32_t slot;
    if (seek(map, hash, key, &slot)) {
        map->values[slot] = value;
        return STATUS_OK;
    }
    if (map->used == map->capacity) {
        map->refused++;
        return STATUS_BUSY;
    }
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

bool map_next(const struct map *map, uint32_t *at, const uint8_t **key, uint64_t *value)
{
    for (; *at <= map->mask; (*at)++) {
        if (map->hashes[*at] != 0) {
            *key = key_at(map, *at);
            *value = map->values[*at];
            (*at)++;
            return true;
        }
    }
    return false;
}
