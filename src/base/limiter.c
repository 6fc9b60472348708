/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limiter.h"

#include <string.h>

#include "base/assert.h"

#define SWEEP_MS   1000 /* at most one sweep a second, and only when there is no place */
#define SWEEP_KEYS 1024

enum status limiter_open(struct limiter *limiter, const struct limit *limits, uint32_t limits_count,
                         const uint8_t seed[SIPHASH_SEED_BYTES])
{
    *limiter = (struct limiter){.limits = limits, .limits_count = limits_count};
    return map_open(&limiter->buckets, LIMITER_BUCKETS, LIMITER_KEY_BYTES, seed);
}

void limiter_close(struct limiter *limiter)
{
    map_close(&limiter->buckets);
    *limiter = (struct limiter){0};
}

/* Forget buckets that are full again: they say nothing. */
static void sweep(struct limiter *limiter, uint64_t mono_ms)
{
    uint8_t full[SWEEP_KEYS][LIMITER_KEY_BYTES];
    uint32_t at = 0, count = 0;
    const uint8_t *key;
    uint64_t full_ms;
    while (count < SWEEP_KEYS && map_next(&limiter->buckets, &at, &key, &full_ms))
        if (full_ms <= mono_ms)
            memcpy(full[count++], key, LIMITER_KEY_BYTES);
    for (uint32_t i = 0; i < count; i++)
        (void)map_remove(&limiter->buckets, full[i], NULL);
    limiter->swept_ms = mono_ms;
}

void limiter_give(struct limiter *limiter, uint8_t class, const uint8_t key[ID_BYTES])
{
    assert(class < limiter->limits_count);
    const struct limit *limit = &limiter->limits[class];
    uint8_t bucket[LIMITER_KEY_BYTES];
    uint64_t full_ms;
    bucket[0] = class;
    memcpy(bucket + 1, key, ID_BYTES);
    if (limit->size == 0 || !map_find(&limiter->buckets, bucket, &full_ms))
        return;
    full_ms = full_ms > limit->back_ms ? full_ms - limit->back_ms : 0;
    enum status put = map_put(&limiter->buckets, bucket, full_ms);
    assert(put == STATUS_OK); /* it is there */
}

uint32_t limiter_take(struct limiter *limiter, uint8_t class, const uint8_t key[ID_BYTES],
                      uint64_t mono_ms)
{
    assert(class < limiter->limits_count);
    const struct limit *limit = &limiter->limits[class];
    if (limit->size == 0)
        return 0;
    uint8_t bucket[LIMITER_KEY_BYTES];
    bucket[0] = class;
    memcpy(bucket + 1, key, ID_BYTES);
    uint64_t full_ms = mono_ms;
    if (map_find(&limiter->buckets, bucket, &full_ms) && full_ms < mono_ms)
        full_ms = mono_ms;
    uint64_t depth_ms = (uint64_t)limit->size * limit->back_ms;
    uint64_t next_ms = full_ms + limit->back_ms;
    if (next_ms - mono_ms > depth_ms) {
        limiter->refused++;
        return (uint32_t)(next_ms - mono_ms - depth_ms);
    }
    enum status put = map_put(&limiter->buckets, bucket, next_ms);
    if (put != STATUS_OK && mono_ms - limiter->swept_ms >= SWEEP_MS) {
        sweep(limiter, mono_ms);
        put = map_put(&limiter->buckets, bucket, next_ms);
    }
    if (put != STATUS_OK && limit->closed) {
        limiter->refused++;
        return limit->back_ms;
    }
    limiter->taken++;
    return 0;
}
