/* SPDX-License-Identifier: Apache-2.0
 * Histogram, open-loop schedule, marks and their tally: the parts of parley-bench that figures
 * stand on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "apps/parley-bench/hdr.h"
#include "apps/parley-bench/histogram.h"
#include "apps/parley-bench/mark.h"
#include "apps/parley-bench/metrics.h"
#include "apps/parley-bench/schedule.h"
#include "apps/parley-bench/tally.h"
#include "base/memory.h"

static void buckets_hold_three_digits(void **state)
{
    (void)state;
    static struct histogram one;
    for (uint64_t us = 1; us < 60000000; us += us / 97 + 1) {
        histogram_reset(&one);
        histogram_add(&one, us);
        histogram_add(&one, 3 * us + 5); /* so that max does not answer for the first */
        uint64_t told = histogram_at(&one, 0.5);
        assert_true(told >= us && told - us <= us / 1000);
    }
    for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++)
        assert_true(histogram_top_us(i) > histogram_top_us(i - 1));
    assert_true(histogram_top_us(HISTOGRAM_BUCKETS - 1) >= 60000000);
}

static void percentiles_are_ranks(void **state)
{
    (void)state;
    static struct histogram all, odd, even;
    histogram_reset(&odd);
    histogram_reset(&even);
    histogram_reset(&all);
    assert_int_equal(histogram_at(&all, 0.5), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(us % 2 ? &odd : &even, us);
    histogram_merge(&all, &odd);
    histogram_merge(&all, &even);
    assert_int_equal(all.count, 1000);
    assert_int_equal(all.min_us, 1);
    assert_int_equal(histogram_at(&all, 0.5), 500);
    assert_int_equal(histogram_at(&all, 0.99), 990);
    assert_int_equal(histogram_at(&all, 0.999), 999);
    assert_int_equal(histogram_at(&all, 1), 1000);
    histogram_add(&all, 600000000); /* ten minutes: outside, but told */
    assert_int_equal(histogram_at(&all, 1), 600000000);
}

/* The rows of HdrHistogram: percentiles rise to 1, counts to all, the foot tells mean and max. */
static void hdr_rows_are_percentiles(void **state)
{
    (void)state;
    static struct histogram all;
    char text[8192] = "", *line = text;
    double value, level, last = -1;
    unsigned long long seen = 0;
    unsigned rows = 0;
    histogram_reset(&all);
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(&all, us);
    FILE *file = fmemopen(text, sizeof text, "w");
    assert_non_null(file);
    hdr_write(file, &all);
    assert_int_equal(fclose(file), 0);
    for (; line != NULL && line[0] != '#'; line = strchr(line, '\n'), line += line != NULL)
        if (line[0] != '\n' && sscanf(line, "%lf %lf %llu", &value, &level, &seen) == 3) {
            assert_true(level > last && (double)seen >= level * 1000);
            assert_true(value >= level * 1000 && value <= level * 1000 + 1);
            last = level;
            rows++;
        }
    assert_true(last >= 1 && seen == 1000);
    assert_in_range(rows, 40, 60);
    assert_non_null(strstr(text, "#[Mean    =      500.500, StdDeviation   =      288.675]"));
    assert_non_null(strstr(text, "#[Max     =     1000.000, Total count    =         1000]"));
    histogram_reset(&all);
    file = fmemopen(text, sizeof text, "w");
    hdr_write(file, &all);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "#[Max     =        0.000, Total count    =            0]"));
}

static void schedule_counts_what_is_due(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 7, 1000, 29999, 1000001};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct schedule schedule = {.start_us = 1000, .rate = rates[i]};
        assert_int_equal(schedule_due(&schedule, 999), 0);
        assert_int_equal(schedule_due(&schedule, 1000), rates[i] > 1000000 ? 2 : 1);
        assert_int_equal(schedule_at_us(&schedule, rates[i]), 1001000);
        for (uint64_t message = 1; message < 500; message++) {
            uint64_t at_us = schedule_at_us(&schedule, message);
            assert_true(schedule_due(&schedule, at_us) >= message + 1);
            assert_true(schedule_due(&schedule, at_us - 1) <= message);
        }
        schedule.next = 10 * rates[i]; /* taken ahead: nothing is due twice */
        assert_int_equal(schedule_due(&schedule, 1000 + 9000000), 0);
        assert_int_equal(schedule_due(&schedule, 1000 + 11000000),
                         rates[i] + (rates[i] > 1000000 ? 2 : 1));
    }
}

static size_t scan(struct slice bytes, size_t piece, struct mark *out, size_t max)
{
    struct mark_scanner scanner = {.held_bytes = 0};
    size_t found = 0;
    for (size_t at = 0; at < bytes.bytes; at += piece) {
        struct slice part = slice_sub(bytes, at, piece);
        struct mark mark;
        while (mark_next(&scanner, &part, &mark)) {
            assert_true(found < max);
            out[found++] = mark;
        }
    }
    return found;
}

static void marks_are_found_however_cut(void **state)
{
    (void)state;
    struct mark marks[3] = {{0x12345678, 1, 0, 99},
                            {0x12345678, 0xffffffff, 0xffffffffff, 0xfedcba9876543210},
                            {0, 0, 7, 0}};
    uint8_t stream[512];
    size_t bytes = 0;
    for (size_t i = 0; i < 3; i++) {
        memcpy(stream + bytes, "\x82PPBmPBmkzz\0PB", 14); /* false beginnings */
        bytes += 14;
        mark_write(&marks[i], stream + bytes);
        bytes += MARK_BYTES;
    }
    memcpy(stream + bytes, "PBmk0123", 8); /* and one that never ends */
    bytes += 8;
    for (size_t piece = 1; piece <= bytes; piece++) {
        struct mark found[3];
        assert_int_equal(scan(slice_make(stream, bytes), piece, found, 3), 3);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(found[i].run, marks[i].run);
            assert_int_equal(found[i].sender, marks[i].sender);
            assert_int_equal(found[i].seq, marks[i].seq);
            assert_int_equal(found[i].intended_us, marks[i].intended_us);
        }
    }
}

static void tally_tells_lost_doubled_misordered(void **state)
{
    (void)state;
    struct tally tally = {0};
    static const uint64_t order[] = {0, 1, 3, 2, 2, 5, 5000};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        assert_int_equal(tally_add(&tally, order[i]), i == 4 ? TALLY_DOUBLED : TALLY_NEW);
    assert_int_equal(tally.seen, 6);
    assert_int_equal(tally.doubled, 1);
    assert_int_equal(tally.misordered, 1);
    assert_int_equal(tally_lost(&tally, 4), 0);
    assert_int_equal(tally_lost(&tally, 6), 1);
    assert_int_equal(tally_lost(&tally, 5001), 5001 - 6);
    tally_deinit(&tally);
    assert_int_equal(memory_live(), 0);
}

static void metrics_are_lines_of_a_page(void **state)
{
    (void)state;
    struct metrics metrics;
    static const char page[] = "HTTP/1.1 200 OK\r\n\r\n# HELP parley_messages_sent_total x\n"
                               "parley_messages_sent_total 12\n"
                               "parley_log_sync_seconds_bucket{le=\"1\"} 9\n"
                               "parley_log_sync_seconds_sum 0.5\nparley_log_sync_seconds_count 4\n"
                               "parley_log_sync_records_sum 40\nparley_append_seconds_count 13\n"
                               "parley_append_seconds_sum 0.25\nparley_index_lag_records 7\n";
    assert_true(metrics_parse(page, &metrics));
    assert_true(metrics.sent >= 12 && metrics.syncs >= 4 && metrics.sync_s >= 0.5);
    assert_true(metrics.sync_records >= 40 && metrics.lag >= 7);
    assert_false(metrics_parse("parley_messages_sent_total 12\n", &metrics));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_hold_three_digits),
        cmocka_unit_test(percentiles_are_ranks),
        cmocka_unit_test(hdr_rows_are_percentiles),
        cmocka_unit_test(schedule_counts_what_is_due),
        cmocka_unit_test(marks_are_found_however_cut),
        cmocka_unit_test(metrics_are_lines_of_a_page),
        cmocka_unit_test(tally_tells_lost_doubled_misordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
