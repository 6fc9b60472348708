/* SPDX-License-Identifier: Apache-2.0
 * map.h: a hash map of fixed capacity from keys of one fixed length to u64.
 * Open addressing, Robin Hood order, seeded SipHash: peers may choose the keys.
 * Invariants: used ≤ capacity; the order of iteration is a function of the seed and the set of keys
 * alone: it depends on no pointer, nor on the order of puts and removes, nor on how large the map
 * has been.
 * Owner: one thread. Bounds: capacity. Memory doubles as keys come, by map_grow ahead of need, and
 * at the latest by map_put: (16 + key_bytes) × 1.4 to 2.7 a key, twice that while it moves; it is
 * given back by map_close alone.
 * Cost: O(1) expected for find, put, remove; a doubling some 50 ns a key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/status.h"

#define MAP_KEY_BYTES_MAX 64

struct map {
    uint64_t *hashes; /* 0: the slot is empty; values and keys stand in the same block */
    uint64_t *values;
    uint8_t *keys;
    uint64_t refused;  /* puts that found no room: the counter */
    uint32_t used;     /* keys: the gauge */
    uint32_t capacity; /* keys at most */
    uint32_t mask;     /* slots - 1; slots are a power of two, at most 3/4 of them full */
    uint32_t shift;    /* of a hash, to the slot where it is at home */
    uint32_t key_bytes;
    uint8_t seed[SIPHASH_SEED_BYTES];
};

/* 1 ≤ capacity ≤ 2^30 keys of 1 ≤ key_bytes ≤ MAP_KEY_BYTES_MAX. BUSY: no memory. */
MUST_USE enum status map_open(struct map *map, uint32_t capacity, uint32_t key_bytes,
                              const uint8_t seed[SIPHASH_SEED_BYTES]);
void map_close(struct map *map); /* tolerates a zeroed map */
void map_reset(struct map *map); /* no keys; memory is kept. O(its slots) */

/* Double the memory if more than half of its room is used and capacity is left. For the quiet end
 * of a turn. BUSY: no memory now; nothing is lost by trying again later. */
MUST_USE enum status map_grow(struct map *map);

/* Whether the key is there; if so its value in *value (which may be NULL). */
bool map_find(const struct map *map, const void *key, uint64_t *value);

/* Set the value of a key, new or not. BUSY: the key is new, and the map is full or the system has
 * no memory for more. A key removed just now has its place still. */
MUST_USE enum status map_put(struct map *map, const void *key, uint64_t value);

/* Whether the key was there; if so its value in *value (which may be NULL). */
bool map_remove(struct map *map, const void *key, uint64_t *value);

/* Walk all entries: start with *at = 0; false at the end. The key is borrowed until the next put or
 * remove; neither is allowed during a walk. */
bool map_next(const struct map *map, uint32_t *at, const uint8_t **key, uint64_t *value);
