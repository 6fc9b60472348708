/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buckets.h"

#include "base/assert.h"

static uint32_t bucket_of(uint64_t value)
{
    if (value < 4)
        return (uint32_t)value;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(value);
    uint32_t i = (octave - 1) * 4 + (uint32_t)(value >> (octave - 2) & 3);
    return i < BUCKETS ? i : BUCKETS - 1;
}

void buckets_add(struct buckets *buckets, uint64_t value)
{
    buckets->at[bucket_of(value)]++;
    buckets->count++;
    buckets->sum += value;
}

void buckets_merge(struct buckets *into, const struct buckets *from)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        into->at[i] += from->at[i];
    into->count += from->count;
    into->sum += from->sum;
}

uint64_t buckets_top(uint32_t i)
{
    assert(i < BUCKETS);
    if (i < 4)
        return i;
    if (i == BUCKETS - 1)
        return UINT64_MAX;
    uint32_t octave = i / 4 + 1;
    return ((uint64_t)(4 + i % 4 + 1) << (octave - 2)) - 1;
}
