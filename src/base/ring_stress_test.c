/* SPDX-License-Identifier: Apache-2.0
 * Two threads and one ring, built with ThreadSanitizer where that is to be had. */
#include "base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 200000u

/* Wider than any atomic access, and all of it derived from the number: a torn item shows. */
struct item {
    uint64_t words[5];
};

static struct item item_make(uint64_t number)
{
    struct item item;
    for (uint64_t i = 0; i < 5; i++)
        item.words[i] = number * 0x9e3779b97f4a7c15u + i;
    return item;
}

static void *produce(void *argument)
{
    struct ring *ring = argument;
    for (uint64_t number = 0; number < ITEMS; number++) {
        struct item item = item_make(number);
        while (ring_put(ring, &item) != STATUS_OK)
            (void)sched_yield();
    }
    return NULL;
}

static int stress(uint32_t capacity)
{
    struct ring ring;
    pthread_t producer;
    if (ring_open(&ring, capacity, sizeof(struct item)) != STATUS_OK ||
        pthread_create(&producer, NULL, produce, &ring) != 0)
        return 1;
    int wrong = 0;
    for (uint64_t number = 0; number < ITEMS && !wrong; number++) {
        struct item item, want = item_make(number);
        wrong |= ring_used(&ring) > capacity;
        while (!ring_take(&ring, &item))
            (void)sched_yield();
        wrong |= memcmp(&item, &want, sizeof item) != 0;
        if (wrong)
            printf("capacity %u: item %llu is wrong\n", capacity, (unsigned long long)number);
    }
    if (wrong)
        _Exit(1); /* the producer may wait for ever for room */
    (void)pthread_join(producer, NULL);
    wrong |= ring_used(&ring) != 0;
    ring_close(&ring);
    return wrong;
}

int main(void)
{
    int wrong = 0;
    for (uint32_t capacity = 1; capacity <= 256; capacity *= 16)
        wrong |= stress(capacity);
    return wrong;
}
