/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/hdr.h"

#include <math.h>

#define TICKS 5.0 /* rows for each halving of the distance to 100 % */

static double level_after(double level)
{
    double halving = 2;
    while (1 / (1 - level) >= halving)
        halving *= 2;
    return level + 1 / (TICKS * halving);
}

static void row(FILE *file, uint64_t us, double level, uint64_t seen)
{
    (void)fprintf(file, "%12.3f %2.12f %10llu", (double)us, level, (unsigned long long)seen);
    if (level < 1)
        (void)fprintf(file, " %14.2f", 1 / (1 - level));
    (void)fputc('\n', file);
}

static void foot(FILE *file, const struct histogram *histogram)
{
    double sum = 0, squares = 0, count = (double)histogram->count;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double us = (double)histogram_top_us(i), some = (double)histogram->buckets[i];
        sum += us * some;
        squares += us * us * some;
    }
    double mean = count > 0 ? sum / count : 0;
    double spread = count > 0 ? squares / count - mean * mean : 0;
    (void)fprintf(file, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean,
                  spread > 0 ? sqrt(spread) : 0);
    (void)fprintf(file, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)histogram->max_us,
                  (unsigned long long)histogram->count);
    (void)fprintf(file, "#[Buckets = %12u, SubBuckets     = %12u]\n", HISTOGRAM_DOUBLES + 1,
                  HISTOGRAM_LINEAR);
}

void hdr_write(FILE *file, const struct histogram *histogram)
{
    uint64_t seen = 0;
    double level = 0;
    (void)fputs("       Value     Percentile TotalCount 1/(1-Percentile)\n\n", file);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && seen < histogram->count; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        uint64_t top = histogram_top_us(i);
        seen += histogram->buckets[i];
        for (; seen < histogram->count && level <= (double)seen / (double)histogram->count;
             level = level_after(level))
            row(file, top < histogram->max_us ? top : histogram->max_us, level, seen);
    }
    if (histogram->count > 0)
        row(file, histogram->max_us, 1, seen);
    foot(file, histogram);
}
