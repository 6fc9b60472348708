/* SPDX-License-Identifier: Apache-2.0
 * The text that Prometheus reads, by its rules; what is counted stands in it. */
#include "runtime/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/gen/frame.pb.h"

static struct metrics metrics;
static struct metrics_values values;
static char text[256 << 10];

static void write_text(void)
{
    struct buf out = buf_over(text, sizeof text - 1);
    metrics_text(&metrics, &values, &out);
    assert_false(out.overflow);
    text[out.bytes] = '\0';
}

static int setup(void **state)
{
    (void)state;
    memset(&metrics, 0, sizeof metrics);
    memset(&values, 0, sizeof values);
    return 0;
}

static void assert_says(const char *line)
{
    const char *at = strstr(text, line);
    if (at == NULL || (at != text && at[-1] != '\n'))
        fail_msg("not a line: %s", line);
}

static void a_step_is_counted(void **state)
{
    struct tally tally = {.notes = 1u << NOTE_SIGNED_IN | 1u << NOTE_INVITE_WRONG,
                          .errors = UINT64_C(1) << PB_ERROR_CODE_BUSY |
                                    UINT64_C(1) << PB_ERROR_CODE_STORAGE_FULL,
                          .sent = 2,
                          .pushed = 3,
                          .acked = 4,
                          .aged = true,
                          .age_ms = 7};
    (void)state;
    metrics_take(&metrics, &tally);
    write_text();
    assert_says("parley_messages_sent_total 2\n");
    assert_says("parley_entries_pushed_total 3\n");
    assert_says("parley_entries_acked_total 4\n");
    assert_says("parley_account_events_total{event=\"signed_in\"} 1\n");
    assert_says("parley_account_events_total{event=\"invite_wrong\"} 1\n");
    assert_says("parley_account_events_total{event=\"signed_up\"} 0\n");
    assert_says("parley_errors_total{code=\"BUSY\"} 1\n");
    assert_says("parley_errors_total{code=\"STORAGE_FULL\"} 1\n");
    assert_says("parley_errors_total{code=\"PASSWORD_WEAK\"} 0\n");
    assert_null(strstr(text, "code=\"\""));
    assert_null(strstr(text, "code=\"0\""));
    assert_says("parley_delivery_seconds_sum 0.007\n");
    assert_says("parley_delivery_seconds_bucket{le=\"0.006143\"} 0\n");
    assert_says("parley_delivery_seconds_bucket{le=\"0.008191\"} 1\n");
    assert_says("parley_delivery_seconds_bucket{le=\"+Inf\"} 1\n");
}

/* The position of a name is its value's: the last of each list, and of no more. */
static void names_stand_at_their_values(void **state)
{
    (void)state;
    metrics.errors[PB_ERROR_CODE_SUSPENDED] = 5;
    metrics.errors[PB_ERROR_CODE_GONE] = 6; /* has no name */
    metrics.accounts[NOTES - 1] = 7;
    metrics.rate_refused[RATE_CLASSES - 1] = 8;
    values.limit_used[LIMIT_GAUGES - 1] = 9;
    write_text();
    assert_says("parley_errors_total{code=\"SUSPENDED\"} 5\n");
    assert_says("parley_errors_total{code=\"51\"} 6\n");
    assert_says("parley_account_events_total{event=\"invite_wrong\"} 7\n");
    assert_says("parley_rate_refused_total{class=\"invite_guess\"} 8\n");
    assert_says("parley_limit_used{limit=\"quarantine\"} 9\n");
}

static void shards_are_summed(void **state)
{
    struct metrics other = {.frames_in = 5};
    (void)state;
    metrics.frames_in = 3;
    metrics.rate_refused[RATE_SEND] = 1;
    other.rate_refused[RATE_SEND] = 2;
    buckets_add(&metrics.append_us, 100);
    buckets_add(&other.append_us, 3000000);
    metrics_sum(&metrics, &other);
    write_text();
    assert_says("parley_frames_received_total 8\n");
    assert_says("parley_rate_refused_total{class=\"send\"} 3\n");
    assert_says("parley_append_seconds_count 2\n");
    assert_says("parley_append_seconds_sum 3.0001\n");
}

/* Each family is begun once, with HELP and TYPE, and its lines follow it. */
static void families_are_whole(void **state)
{
    char family[128] = "";
    size_t families = 0;
    (void)state;
    write_text();
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char begun[128];
        if (strncmp(line, "# HELP ", 7) == 0) {
            (void)snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "), line + 7);
            assert_true(strlen(line + 7 + strlen(family)) > 4);
            families++;
            (void)snprintf(begun, sizeof begun, "# TYPE %s ", family);
            line = strtok(NULL, "\n");
            assert_int_equal(strncmp(line, begun, strlen(begun)), 0);
            continue;
        }
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        assert_non_null(strchr("_{ ", line[strlen(family)]));
    }
    assert_true(families > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_step_is_counted, setup),
        cmocka_unit_test_setup(names_stand_at_their_values, setup),
        cmocka_unit_test_setup(shards_are_summed, setup),
        cmocka_unit_test_setup(families_are_whole, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
