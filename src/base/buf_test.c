/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h"

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf buf = buf_over(memory, sizeof memory);
    buf_u8(&buf, 0x01);
    buf_u16be(&buf, 0x0203);
    buf_u32be(&buf, 0x04050607);
    buf_u64be(&buf, 0x08090a0b0c0d0e0f);
    buf_u16le(&buf, 0x1110);
    buf_u32le(&buf, 0x15141312);
    buf_u64le(&buf, 0x1d1c1b1a19181716);
    buf_put(&buf, SLICE_LITERAL("xyz"));
    buf_put(&buf, SLICE_EMPTY);
    buf_zero(&buf, 2);
    assert_int_equal(buf.bytes, 34);
    assert_false(buf.overflow);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(memory[i], i + 1);
    for (unsigned i = 15; i < 29; i++)
        assert_int_equal(memory[i], i + 1);

    struct slice in = buf_slice(&buf), part;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    assert_true(take_u8(&in, &u8) && u8 == 0x01);
    assert_true(take_u16be(&in, &u16) && u16 == 0x0203);
    assert_true(take_u32be(&in, &u32) && u32 == 0x04050607);
    assert_true(take_u64be(&in, &u64) && u64 == 0x08090a0b0c0d0e0f);
    assert_true(take_u16le(&in, &u16) && u16 == 0x1110);
    assert_true(take_u32le(&in, &u32) && u32 == 0x15141312);
    assert_true(take_u64le(&in, &u64) && u64 == 0x1d1c1b1a19181716);
    assert_true(take_bytes(&in, 3, &part) && slice_equal(part, SLICE_LITERAL("xyz")));
    assert_true(take_bytes(&in, 2, &part) && slice_equal(part, SLICE_LITERAL("\0\0")));
    assert_true(take_bytes(&in, 0, &part) && part.bytes == 0);
    assert_int_equal(in.bytes, 0);
}

static void test_text(void **state)
{
    (void)state;
    uint8_t memory[32];
    struct buf buf = buf_over(memory, sizeof memory);
    buf_text(&buf, "a ");
    buf_decimal(&buf, 0);
    buf_decimal(&buf, 10);
    buf_decimal(&buf, UINT64_MAX);
    assert_true(slice_equal(buf_slice(&buf), SLICE_LITERAL("a 01018446744073709551615")));
    buf_decimal(&buf, 12345678);
    assert_true(buf.overflow);
    assert_int_equal(buf.bytes, 25);
}

static void test_short_input(void **state)
{
    (void)state;
    static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t have = 0; have <= 8; have++) {
        uint8_t u8 = 0;
        uint16_t u16 = 0;
        uint32_t u32 = 0;
        uint64_t u64 = 0;
        struct slice part, in;
        const struct slice start = {bytes, have};
#define TRY(width, call)                     \
    in = start;                              \
    assert_int_equal(call, have >= (width)); \
    assert_int_equal(in.bytes, have >= (width) ? have - (width) : have)
        TRY(1, take_u8(&in, &u8));
        TRY(2, take_u16be(&in, &u16));
        TRY(2, take_u16le(&in, &u16));
        TRY(4, take_u32be(&in, &u32));
        TRY(4, take_u32le(&in, &u32));
        TRY(8, take_u64be(&in, &u64));
        TRY(8, take_u64le(&in, &u64));
        TRY(5, take_bytes(&in, 5, &part));
#undef TRY
    }
}

static void test_overflow(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 8; capacity++) {
        uint8_t memory[8];
        for (unsigned which = 0; which < 9; which++) {
            struct buf buf = buf_over(memory, capacity);
            memset(memory, 0xee, sizeof memory);
            switch (which) {
            case 0: buf_u64be(&buf, 0); break;
            case 1: buf_u64le(&buf, 0); break;
            case 2: buf_put(&buf, SLICE_LITERAL("12345678")); break;
            case 3: buf_zero(&buf, 8); break;
            case 4: assert_null(buf_reserve(&buf, SIZE_MAX)); break;
            case 5: capacity < 4 ? buf_u32be(&buf, 0) : buf_u64be(&buf, 0); break;
            case 6: capacity < 2 ? buf_u16be(&buf, 0) : buf_u64be(&buf, 0); break;
            case 7: capacity < 2 ? buf_u16le(&buf, 0) : buf_u64be(&buf, 0); break;
            default: capacity < 1 ? buf_u8(&buf, 0) : buf_u64be(&buf, 0); break;
            }
            assert_true(buf.overflow);
            assert_int_equal(buf.bytes, 0);
            assert_int_equal(memory[0], 0xee); /* nothing was written */
            buf_zero(&buf, 0);
            assert_true(buf.overflow); /* it stays, even for what would fit */
        }
    }
}

static void test_in_arena(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    struct buf buf = buf_in(&arena, 64);
    buf_zero(&buf, 64);
    assert_false(buf.overflow);
    struct buf none = buf_in(&arena, 1);
    assert_int_equal(none.capacity, 0);
    buf_put(&none, SLICE_EMPTY); /* fits */
    assert_false(none.overflow);
    buf_u8(&none, 0);
    assert_true(none.overflow);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_text),
        cmocka_unit_test(test_short_input), cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_in_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
