/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"

#include <string.h>

#include "base/assert.h"

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        prng->state[i] = splitmix64(&seed);
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    assert(bound > 0);
    /* Refuse the first 2^64 mod bound numbers: what is left is a multiple of bound. */
    uint64_t refused = (0 - bound) % bound;
    uint64_t number;
    do
        number = prng_next(prng);
    while (number < refused);
    return number % bound;
}

uint64_t prng_range(struct prng *prng, uint64_t low, uint64_t high)
{
    assert(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? prng_next(prng) : low + prng_below(prng, span + 1);
}

bool prng_chance(struct prng *prng, uint32_t per_1000)
{
    return prng_below(prng, 1000) < per_1000;
}

void prng_bytes(struct prng *prng, void *at, size_t bytes)
{
    uint8_t *out = at;
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++, word >>= 8) {
        if (i % 8 == 0)
            word = prng_next(prng);
        out[i] = (uint8_t)word;
    }
}

void prng_shuffle(struct prng *prng, void *items, size_t count, size_t item_bytes)
{
    assert(item_bytes <= PRNG_ITEM_BYTES_MAX);
    uint8_t *at = items, held[PRNG_ITEM_BYTES_MAX];
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)prng_below(prng, i);
        if (other == i - 1)
            continue;
        uint8_t *a = at + (i - 1) * item_bytes, *b = at + other * item_bytes;
        memcpy(held, a, item_bytes);
        memcpy(a, b, item_bytes);
        memcpy(b, held, item_bytes);
    }
}
