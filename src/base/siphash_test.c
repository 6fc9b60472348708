/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The reference's vectors: seed 00 01 … 0f, input 00 01 … of each length. */
static void test_vectors(void **state)
{
    (void)state;
    static const uint64_t want[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
        0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
        0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
    };
    uint8_t seed[16], input[64];
    for (uint8_t i = 0; i < 64; i++) {
        input[i] = i;
        if (i < 16)
            seed[i] = i;
    }
    for (size_t bytes = 0; bytes < sizeof want / sizeof want[0]; bytes++)
        assert_true(siphash(seed, slice_make(input, bytes)) == want[bytes]);
    assert_true(siphash(seed, slice_make(input, 15)) == 0xa129ca6149be45e5);
    assert_true(siphash(seed, slice_make(input, 63)) == 0x958a324ceb064572);
    assert_true(siphash(seed, SLICE_EMPTY) == want[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
