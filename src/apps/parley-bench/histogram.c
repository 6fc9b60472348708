/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/histogram.h"

#include <string.h>

#define HALF (HISTOGRAM_LINEAR / 2)

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

static size_t bucket_of(uint64_t us)
{
    size_t doubles = 0;
    while ((us >> doubles) >= HISTOGRAM_LINEAR)
        doubles++;
    size_t bucket = doubles * HALF + (size_t)(us >> doubles);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

uint64_t histogram_top_us(size_t bucket)
{
    if (bucket < HISTOGRAM_LINEAR)
        return bucket;
    size_t doubles = bucket / HALF - 1;
    return (((uint64_t)(bucket - doubles * HALF) + 1) << doubles) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    histogram->buckets[bucket_of(us)]++;
    if (histogram->count == 0 || us < histogram->min_us)
        histogram->min_us = us;
    if (us > histogram->max_us)
        histogram->max_us = us;
    histogram->count++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0)
        return;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    if (into->count == 0 || from->min_us < into->min_us)
        into->min_us = from->min_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    into->count += from->count;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    if ((double)wanted < share * (double)histogram->count)
        wanted++;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen < wanted || seen == 0)
            continue;
        uint64_t top = histogram_top_us(i);
        return top < histogram->max_us && i + 1 < HISTOGRAM_BUCKETS ? top : histogram->max_us;
    }
    return 0;
}
