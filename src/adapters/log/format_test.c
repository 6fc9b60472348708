/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/log/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "ports/file.h"

static const uint8_t log_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t key[ID_BYTES] = {0xaa, 0xbb};

/* A group of two records ("hello", "") after group 6, at offset 40. */
static uint64_t specimen(uint8_t *buffer, struct log_group *group)
{
    size_t body = 0;
    body += log_record_write(buffer + 56, 1, key, SLICE_LITERAL("hello"));
    body += log_record_write(buffer + 56 + body, 2, key, SLICE_EMPTY);
    *group = (struct log_group){.group = 7,
                                .base = 40,
                                .append_us = 1000,
                                .sealed_next = 40,
                                .count = 2,
                                .body_bytes = (uint32_t)body,
                                .log_epoch = 3,
                                .chain = 0x11223344};
    return log_group_write(buffer, log_id, group);
}

static struct log_place specimen_place(void)
{
    struct log_place place = {.log_epoch = 3, .group = 7, .base = 40, .chain = 0x11223344};
    memcpy(place.log_id, log_id, sizeof log_id);
    return place;
}

/* The header's layout is fixed by storage §3: this table is the specification's own. */
static void test_group_layout(void **state)
{
    (void)state;
    uint8_t buffer[LOG_BLOCK_BYTES];
    memset(buffer, 0xee, sizeof buffer);
    struct log_group group;
    assert_int_equal(specimen(buffer, &group), LOG_BLOCK_BYTES);
    static const struct {
        size_t at, bytes;
        uint8_t value[8];
    } rows[] = {
        {0, 4, {'P', 'L', 'G', '1'}},
        {8, 8, {7}},
        {16, 8, {40}},
        {24, 8, {0xe8, 3}},
        {32, 8, {39}},
        {40, 4, {2}},
        {44, 4, {8 + 16 + 5 + 8 + 16}},
        {48, 4, {3}},
        {52, 4, {0x44, 0x33, 0x22, 0x11}},
        {56 + 4, 4, {16 + 5, 0, 0, 1 << 4}},
        {56 + 8, 2, {0xaa, 0xbb}},
        {56 + 24, 5, {'h', 'e', 'l', 'l', 'o'}},
        {56 + 29 + 4, 4, {16, 0, 0, 2 << 4}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_memory_equal(buffer + rows[i].at, rows[i].value, rows[i].bytes);
    uint8_t seed[20];
    memcpy(seed, log_id, 16);
    memcpy(seed + 16, "\3\0\0\0", 4);
    uint32_t crc = crc32c(crc32c(0, SLICE_OF(seed)), slice_make(buffer + 8, 48));
    assert_int_equal(group.crc, crc);
    for (size_t i = 56 + 29 + 24; i < sizeof buffer; i++)
        assert_int_equal(buffer[i], 0); /* padding */
}

static void test_group_round_trip(void **state)
{
    (void)state;
    uint8_t buffer[LOG_BLOCK_BYTES];
    struct log_group group, read;
    struct log_place place = specimen_place();
    (void)specimen(buffer, &group);
    assert_int_equal(log_group_read(&place, SLICE_OF(buffer), &read), STATUS_OK);
    assert_int_equal(read.count, 2);
    struct log_record record;
    assert_int_equal(log_record_next(&read.body, &record), STATUS_OK);
    assert_int_equal(record.topic, 1);
    assert_memory_equal(record.key, key, ID_BYTES);
    assert_true(slice_equal(record.bytes, SLICE_LITERAL("hello")));
    assert_int_equal(log_record_next(&read.body, &record), STATUS_OK);
    assert_int_equal(record.topic, 2);
    assert_int_equal(record.bytes.bytes, 0);
    assert_int_equal(log_record_next(&read.body, &record), STATUS_CORRUPT); /* none is left */
    log_place_pass(&place, &read);
    assert_int_equal(place.group, 8);
    assert_int_equal(place.base, 42);
    assert_int_equal(place.chain, group.crc);
}

/* Each bit of header and body, flipped, is seen. Padding is not covered: nothing stands there. */
static void test_group_every_bit(void **state)
{
    (void)state;
    uint8_t buffer[LOG_BLOCK_BYTES];
    struct log_group group, read;
    struct log_place place = specimen_place();
    (void)specimen(buffer, &group);
    for (size_t bit = 0; bit < (size_t)(56 + group.body_bytes) * 8; bit++) {
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum status status = log_group_read(&place, SLICE_OF(buffer), &read);
        assert_true(status == STATUS_CORRUPT || status == STATUS_AGAIN);
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(log_group_read(&place, SLICE_OF(buffer), &read), STATUS_OK);
}

/* A whole group is still refused where it does not belong. */
static void test_group_elsewhere(void **state)
{
    (void)state;
    uint8_t buffer[LOG_BLOCK_BYTES];
    struct log_group group, read;
    (void)specimen(buffer, &group);
    struct log_place right = specimen_place();
    struct log_place wrong[] = {right, right, right, right, right, right};
    wrong[0].log_id[15] ^= 1;
    wrong[1].log_epoch = 4;
    wrong[2].group = 8;
    wrong[3].base = 41;
    wrong[4].chain ^= 1;
    wrong[5].append_us = 1001;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(log_group_read(&wrong[i], SLICE_OF(buffer), &read), STATUS_CORRUPT);
    uint8_t zeros[LOG_BLOCK_BYTES] = {0};
    assert_int_equal(log_group_read(&right, SLICE_OF(zeros), &read), STATUS_NOT_FOUND);
    assert_int_equal(log_group_read(&right, slice_make(buffer, 100), &read), STATUS_AGAIN);
}

static void test_meta(void **state)
{
    (void)state;
    uint8_t slot[LOG_BLOCK_BYTES];
    struct log_meta meta, read;
    memset(&meta, 0, sizeof meta); /* padding too */
    meta.counter = 9;
    meta.log_epoch = 2;
    meta.clean = true;
    meta.first = 1;
    meta.flushed = 2;
    meta.newest = 3;
    meta.end = 4;
    meta.holes_count = 2;
    meta.holes[0].from = 5;
    meta.holes[0].end = 6;
    meta.holes[1].from = 7;
    meta.holes[1].end = 9;
    meta.holes[1].lost = true;
    meta.spared_next = 10;
    meta.end_at = 11;
    meta.end_group = 12;
    meta.end_append_us = 13;
    meta.end_chain = 14;
    memcpy(meta.log_id, log_id, sizeof log_id);
    log_meta_write(&meta, slot);
    assert_int_equal(log_meta_read(SLICE_OF(slot), &read), STATUS_OK);
    assert_memory_equal(&meta, &read, sizeof meta);
    for (size_t bit = 0; bit < 100 * 8; bit++) {
        slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(log_meta_read(SLICE_OF(slot), &read), STATUS_CORRUPT);
        slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    slot[88 + 16 * LOG_HOLES_MAX] ^= 1; /* what was added later has a crc of its own */
    assert_int_equal(log_meta_read(SLICE_OF(slot), &read), STATUS_CORRUPT);
    slot[88 + 16 * LOG_HOLES_MAX] ^= 1;
    slot[8] = 2; /* a newer version, sound in itself */
    uint32_t crc = crc32c(0, slice_make(slot + 8, 88 + 16 * LOG_HOLES_MAX - 8));
    for (int i = 0; i < 4; i++)
        slot[4 + i] = (uint8_t)(crc >> 8 * i);
    assert_int_equal(log_meta_read(SLICE_OF(slot), &read), STATUS_UNSUPPORTED);
}

static void test_segment(void **state)
{
    (void)state;
    uint8_t block[LOG_BLOCK_BYTES];
    struct log_segment_header header = {.log_epoch = 2,
                                        .number = 3,
                                        .base = 4,
                                        .group = 5,
                                        .append_us = 6,
                                        .chain = 7,
                                        .segment_bytes = 65536};
    struct log_segment_header read;
    memcpy(header.log_id, log_id, sizeof log_id);
    log_segment_write(&header, block);
    assert_int_equal(log_segment_read(SLICE_OF(block), &read), STATUS_OK);
    assert_memory_equal(&header, &read, sizeof header);
    block[40] ^= 1;
    assert_int_equal(log_segment_read(SLICE_OF(block), &read), STATUS_CORRUPT);
}

static void test_segment_name(void **state)
{
    (void)state;
    char name[FILE_NAME_BYTES];
    uint64_t base;
    log_segment_name("log", 0xfedcba9876543210u, name);
    assert_string_equal(name, "log/fedcba9876543210.seg");
    assert_true(log_segment_name_read("log", name, &base));
    assert_true(base == 0xfedcba9876543210u);
    static const char *const others[] = {"log/log.meta",
                                         "log/spare",
                                         "log/fedcba987654321.seg",
                                         "log/fedcba987654321g.seg",
                                         "lag/fedcba9876543210.seg",
                                         "log/FEDCBA9876543210.seg",
                                         "log/fedcba9876543210.sog",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(log_segment_name_read("log", others[i], &base));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_layout),
        cmocka_unit_test(test_group_round_trip),
        cmocka_unit_test(test_group_every_bit),
        cmocka_unit_test(test_group_elsewhere),
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_segment),
        cmocka_unit_test(test_segment_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
