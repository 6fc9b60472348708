/* SPDX-License-Identifier: Apache-2.0
 * What waits for a socket: all of it leaves, in its order, in small portions, within its bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "runtime/output.h"

static void all_leaves_in_order_by_portions(void **state)
{
    (void)state;
    static uint8_t bytes[300000];
    struct output output = {0};
    struct prng prng;
    uint32_t put = 0, gone = 0;
    prng_init(&prng, 1);
    int64_t live = memory_live();
    while (gone < 4000000) {
        uint32_t more = (uint32_t)prng_below(&prng, sizeof bytes);
        for (uint32_t i = 0; i < more; i++)
            bytes[i] = (uint8_t)((put + i) % 251);
        if (output_put(&output, slice_make(bytes, more)) == STATUS_OK)
            put += more;
        else
            assert_true(output_bytes(&output) + more > OUTPUT_BYTES_MAX);
        for (uint64_t flights = prng_below(&prng, 5); flights > 0; flights--) {
            struct slice portion = output_fly(&output);
            assert_true(portion.bytes <= OUTPUT_PORTION_MAX);
            assert_int_equal(portion.bytes == 0, put == gone);
            for (size_t i = 0; i < portion.bytes; i++)
                assert_int_equal(portion.at[i], (gone + i) % 251);
            assert_int_equal(output_fly(&output).bytes, 0);      /* one at a time */
            assert_int_equal(output_bytes(&output), put - gone); /* until it has landed */
            output_landed(&output);
            gone += (uint32_t)portion.bytes;
            assert_int_equal(output_bytes(&output), put - gone);
        }
    }
    output_free(&output);
    assert_int_equal(memory_live(), live);
}

static void the_bound_is_a_bound(void **state)
{
    (void)state;
    static uint8_t half[OUTPUT_BYTES_MAX / 2];
    struct output output = {0};
    assert_int_equal(output_put(&output, SLICE_OF(half)), STATUS_OK);
    assert_int_equal(output_fly(&output).bytes, OUTPUT_PORTION_MAX);
    assert_int_equal(output_put(&output, SLICE_OF(half)), STATUS_OK);
    assert_int_equal(output_put(&output, slice_make(half, 1)), STATUS_BUSY);
    output_landed(&output);
    assert_int_equal(output_put(&output, slice_make(half, OUTPUT_PORTION_MAX)), STATUS_OK);
    assert_int_equal(output_put(&output, slice_make(half, 1)), STATUS_BUSY);
    output_free(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_leaves_in_order_by_portions),
        cmocka_unit_test(the_bound_is_a_bound),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
