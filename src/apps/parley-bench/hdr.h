/* SPDX-License-Identifier: Apache-2.0
 * hdr.h: a histogram as the text that HdrHistogram's tools plot: value, percentile, total count,
 * 1/(1 − percentile), five rows for each halving of what is left; values in µs. Pure but for the
 * file. Source: HdrHistogram, outputPercentileDistribution. */
#pragma once

#include <stdio.h>

#include "apps/parley-bench/histogram.h"

/* O(buckets). Errors stay with the file: ask ferror or fclose. */
void hdr_write(FILE *file, const struct histogram *histogram);
