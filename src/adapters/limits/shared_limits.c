/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/limits/shared_limits.h"

#include "base/assert.h"

static struct shared_limits *shared_of(struct limits *limits)
{
    return (struct shared_limits *)(void *)limits;
}

static uint32_t take(struct limits *limits, uint8_t class, const uint8_t key[ID_BYTES],
                     uint64_t mono_ms)
{
    struct shared_limits *shared = shared_of(limits);
    (void)pthread_mutex_lock(&shared->lock);
    if (mono_ms > shared->mono_ms)
        shared->mono_ms = mono_ms;
    uint32_t wait_ms = limiter_take(&shared->limiter, class, key, shared->mono_ms);
    (void)pthread_mutex_unlock(&shared->lock);
    return wait_ms;
}

static void give(struct limits *limits, uint8_t class, const uint8_t key[ID_BYTES])
{
    struct shared_limits *shared = shared_of(limits);
    (void)pthread_mutex_lock(&shared->lock);
    limiter_give(&shared->limiter, class, key);
    (void)pthread_mutex_unlock(&shared->lock);
}

static const struct limits_vtable vtable = {.take = take, .give = give};

enum status shared_limits_open(struct shared_limits *shared, const struct limit *limits,
                               uint32_t limits_count, const uint8_t seed[SIPHASH_SEED_BYTES])
{
    *shared = (struct shared_limits){0};
    enum status status = limiter_open(&shared->limiter, limits, limits_count, seed);
    if (status != STATUS_OK)
        return status;
    int made = pthread_mutex_init(&shared->lock, NULL);
    assert(made == 0);
    shared->port.vtable = &vtable;
    return STATUS_OK;
}

uint32_t shared_limits_used(struct shared_limits *shared)
{
    (void)pthread_mutex_lock(&shared->lock);
    uint32_t used = shared->limiter.buckets.used;
    (void)pthread_mutex_unlock(&shared->lock);
    return used;
}

void shared_limits_close(struct shared_limits *shared)
{
    if (shared->port.vtable != NULL)
        (void)pthread_mutex_destroy(&shared->lock);
    limiter_close(&shared->limiter);
    *shared = (struct shared_limits){0};
}
