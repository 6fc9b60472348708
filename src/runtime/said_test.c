/* SPDX-License-Identifier: Apache-2.0
 * Lines of the event log: their two forms, what an address becomes, and what a flood becomes. */
#include "runtime/said.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct said_queue queue;
static struct said_style style;
static char text[SAID_IDS * SAID_LINE_BYTES];

static const char *line_of(const struct said *said)
{
    struct buf out = buf_over(text, sizeof text - 1);
    said_write(&style, said, &out);
    assert_false(out.overflow);
    text[out.bytes] = '\0';
    return text;
}

static int setup(void **state)
{
    (void)state;
    memset(&queue, 0, sizeof queue);
    memset(&style, 0, sizeof style);
    style.key[0] = 1;
    return 0;
}

static struct said account_of(uint8_t address, uint8_t user)
{
    struct said said = {.id = SAID_ACCOUNT, .wall_us = 1700000000123456};
    said.values[0].text = "signed_in";
    said.values[1].id[15] = address;
    said.values[2].id[0] = user;
    return said;
}

static void a_line_has_two_forms(void **state)
{
    struct said said = {.id = SAID_SERVER_STOP, .wall_us = 1700000000000042};
    (void)state;
    said.values[0].text = "sealed";
    assert_string_equal(line_of(&said), "ts=2023-11-14T22:13:20.000042Z level=info "
                                        "event=server.stop how=sealed\n");
    style.format = SAID_JSON;
    assert_string_equal(line_of(&said),
                        "{\"ts\":\"2023-11-14T22:13:20.000042Z\",\"level\":\"info\","
                        "\"event\":\"server.stop\",\"how\":\"sealed\"}\n");
    style.format = SAID_LOGFMT;
    style.priorities = true;
    assert_int_equal(strncmp(line_of(&said), "<6>ts=", 6), 0);
    style.format = SAID_OFF;
    assert_string_equal(line_of(&said), "");
}

/* The same letters for the same one in a run, others in the next; an account is no address. */
static void who_it_was_is_a_keyed_hash(void **state)
{
    char first[512], again[512], other[512];
    struct said one = account_of(7, 7), two = account_of(8, 7), none = account_of(7, 0);
    (void)state;
    (void)strcpy(first, strstr(line_of(&one), " ip="));
    (void)strcpy(again, strstr(line_of(&one), " ip="));
    assert_string_equal(first, again);
    (void)strcpy(other, strstr(line_of(&two), " ip="));
    assert_memory_not_equal(first, other, 20);
    assert_string_equal(strstr(first, " user="), strstr(other, " user="));
    assert_memory_not_equal(first + 4, strstr(first, " user=") + 6, 16);
    assert_string_equal(strstr(line_of(&none), " user="), " user=-\n");
    style.key[0] = 2;
    (void)strcpy(other, strstr(line_of(&one), " ip="));
    assert_memory_not_equal(first, other, 20);
}

static void a_flood_becomes_a_number(void **state)
{
    struct said said = account_of(1, 1), next = said;
    size_t lines = 0;
    (void)state;
    for (size_t i = 0; i < SAID_EACH_MAX + 30; i++)
        lines += *line_of(&said) != '\0';
    assert_int_equal(lines, SAID_EACH_MAX);
    assert_int_equal(style.lost, 30);
    next.wall_us += 1000000;
    assert_non_null(strstr(line_of(&next), "event=log.suppressed of=account count=30\n"));
    assert_non_null(strstr(text, "\nts="));
    assert_null(strstr(line_of(&next), "suppressed"));
}

static void a_full_queue_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAID_MAX + 3; i++)
        said_add(&queue, SAID_INPUT, i)[0].text = "frame";
    assert_int_equal(queue.count, SAID_MAX);
    assert_int_equal(queue.lost, 3);
    assert_int_equal(queue.at[SAID_MAX - 1].wall_us, SAID_MAX - 1);
}

/* Every event of the table, with the largest values, is one line within its bound. */
static void every_event_fits_its_line(void **state)
{
    (void)state;
    style.priorities = true;
    for (int format = SAID_LOGFMT; format <= SAID_JSON; format++)
        for (int id = 0; id < SAID_IDS; id++) {
            struct said said = {.id = (enum said_id)id,
                                .wall_us = (uint64_t)(id + 1) * 1000000 + 7};
            style.format = (enum said_format)format;
            for (size_t i = 0; i < SAID_FIELDS_MAX; i++) {
                said.values[i].number = UINT64_MAX;
                said.values[i].text = "a_word_of_twenty_four_b_";
                said.values[i].id[0] = 1;
            }
            const char *line = line_of(&said);
            assert_true(strlen(line) > 30 && strlen(line) <= SAID_LINE_BYTES);
            assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_two_forms, setup),
        cmocka_unit_test_setup(who_it_was_is_a_keyed_hash, setup),
        cmocka_unit_test_setup(a_flood_becomes_a_number, setup),
        cmocka_unit_test_setup(a_full_queue_counts, setup),
        cmocka_unit_test_setup(every_event_fits_its_line, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
