/* SPDX-License-Identifier: Apache-2.0
 * prng.h: reproducible pseudo-random numbers for tests, the simulator and jitter. Never for
 * secrets: those come from the entropy port.
 * Invariants: the numbers are a function of the seed alone, on every machine and compiler.
 * Owner: one thread. Source: xoshiro256** 1.0 seeded by splitmix64 (Blackman and Vigna, 2018). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);

uint64_t prng_below(struct prng *prng, uint64_t bound); /* 0 … bound-1; bound ≥ 1 */
uint64_t prng_range(struct prng *prng, uint64_t low, uint64_t high); /* both included */
bool prng_chance(struct prng *prng, uint32_t per_1000);              /* ≥ 1000: always */
void prng_bytes(struct prng *prng, void *at, size_t bytes);

/* Every order equally likely (Fisher and Yates). item_bytes ≤ PRNG_ITEM_BYTES_MAX. */
void prng_shuffle(struct prng *prng, void *items, size_t count, size_t item_bytes);
#define PRNG_ITEM_BYTES_MAX 256
