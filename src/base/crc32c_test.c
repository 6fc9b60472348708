/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static uint32_t naive(uint32_t seed, struct slice bytes)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < bytes.bytes; i++) {
        crc ^= bytes.at[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* RFC 3720, appendix B.4. */
static void test_vectors(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    for (uint8_t i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(crc32c(0, SLICE_LITERAL("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, SLICE_OF(zeros)), 0x8a9136aa);
    assert_int_equal(crc32c(0, SLICE_OF(ones)), 0x62a8ab43);
    assert_int_equal(crc32c(0, SLICE_OF(up)), 0x46dd794e);
    assert_int_equal(crc32c(0, SLICE_OF(down)), 0x113fdb5c);
    assert_int_equal(crc32c(7, SLICE_EMPTY), 7);
}

static void test_ways_agree(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    uint8_t bytes[300];
    prng_bytes(&prng, bytes, sizeof bytes);
    for (size_t length = 0; length <= 280; length++) {
        struct slice all = {bytes + length % 9, length};
        uint32_t seed = (uint32_t)prng_next(&prng), want = naive(seed, all);
        assert_int_equal(crc32c_software(seed, all), want);
        assert_int_equal(crc32c(seed, all), want);
        if (crc32c_hardware_here())
            assert_int_equal(crc32c_hardware(seed, all), want);
        size_t cut = (size_t)prng_below(&prng, length + 1);
        uint32_t head = crc32c(seed, slice_sub(all, 0, cut));
        assert_int_equal(crc32c(head, slice_sub(all, cut, length)), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_ways_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
