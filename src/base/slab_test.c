/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/faults.h"
#include "base/memory.h"

static void test_life(void **state)
{
    (void)state;
    struct slab slab;
    assert_int_equal(slab_open(&slab, 3, 5), STATUS_OK);
    struct slab_handle a, b, c, d;
    uint8_t *at = slab_take(&slab, &a);
    assert_non_null(at);
    for (unsigned i = 0; i < 5; i++)
        at[i] = 0xff;
    assert_non_null(slab_take(&slab, &b));
    assert_non_null(slab_take(&slab, &c));
    assert_int_equal(slab.used, 3);
    assert_null(slab_take(&slab, &d));
    assert_int_equal(slab.refused, 1);
    assert_int_equal(d.generation, 0);
    assert_ptr_equal(slab_find(&slab, a), at);
    slab_give(&slab, a);
    assert_null(slab_find(&slab, a));
    uint8_t *again = slab_take(&slab, &d);
    assert_ptr_equal(again, at); /* the same slot, zeroed, under another handle */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(again[i], 0);
    assert_int_equal(d.index, a.index);
    assert_int_not_equal(d.generation, a.generation);
    assert_null(slab_find(&slab, a));
    assert_null(slab_find(&slab, SLAB_NONE));
    assert_null(slab_find(&slab, (struct slab_handle){99, 1}));
    assert_null(slab_find(&slab, (struct slab_handle){UINT32_MAX, UINT32_MAX}));
    struct slab_handle same = slab_handle_of(slab_token(d));
    assert_int_equal(same.index, d.index);
    assert_int_equal(same.generation, d.generation);
    slab_close(&slab);
    slab_close(&slab);
}

/* After 2^32 lives of a slot its generations begin anew at 1: 0 stays "no object". */
static void test_wrap(void **state)
{
    (void)state;
    struct slab slab;
    assert_int_equal(slab_open(&slab, 1, sizeof(uint64_t)), STATUS_OK);
    struct slab_handle handle;
    uint32_t *object = slab_take(&slab, &handle);
    object[-2] = UINT32_MAX; /* white box: `generation` is the first word of the slot */
    handle.generation = UINT32_MAX;
    slab_give(&slab, handle);
    assert_non_null(slab_take(&slab, &handle));
    assert_int_equal(handle.generation, 1);
    slab_close(&slab);
}

static void test_grow(void **state)
{
    (void)state;
    struct slab slab;
    assert_int_equal(slab_open(&slab, 1000, 1000), STATUS_OK);
    uint32_t chunk = slab.populated;
    assert_true(chunk > 0 && chunk < 1000);
    assert_int_equal(slab_grow(&slab), STATUS_OK); /* a whole chunk is vacant */
    assert_int_equal(slab.populated, chunk);
    struct slab_handle handle;
    assert_non_null(slab_take(&slab, &handle));
    assert_int_equal(slab_grow(&slab), STATUS_OK);
    assert_int_equal(slab.populated, 2 * chunk);
    while (slab_take(&slab, &handle) != NULL)
        continue;
    assert_int_equal(slab.used, 1000);
    assert_int_equal(slab.populated, 1000);
    assert_int_equal(slab_grow(&slab), STATUS_OK); /* nothing left to populate */
    slab_close(&slab);

    assert_int_equal(slab_open(&slab, 2, 100000), STATUS_OK); /* larger than a chunk */
    assert_int_equal(slab.populated, 1);
    slab_close(&slab);
}

static void test_walk(void **state)
{
    (void)state;
    struct slab slab;
    struct slab_handle handles[10], handle;
    assert_int_equal(slab_open(&slab, 10, 8), STATUS_OK);
    for (uint64_t i = 0; i < 10; i++)
        *(uint64_t *)slab_take(&slab, &handles[i]) = i;
    slab_give(&slab, handles[0]);
    slab_give(&slab, handles[9]);
    uint32_t index = 0;
    uint64_t want = 1;
    for (uint64_t *at; (at = slab_next(&slab, &index, &handle)) != NULL; want++) {
        assert_int_equal(*at, want);
        if (want % 2 == 0)
            slab_give(&slab, handle);
    }
    assert_int_equal(want, 9);
    assert_int_equal(handle.generation, 0);
    assert_int_equal(slab.used, 4);
    slab_close(&slab);
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct slab slab;
        if (slab_open(&slab, 1000, 1000) != STATUS_OK) {
            assert_true(memory_fault_fired());
            continue;
        }
        struct slab_handle handle;
        assert_non_null(slab_take(&slab, &handle));
        enum status grown = slab_grow(&slab);
        uint32_t taken = 1;
        for (unsigned i = 0; i < 1100; i++) /* a refusal for lack of memory is not for ever */
            taken += slab_take(&slab, &handle) != NULL;
        if (grown != STATUS_OK)
            assert_true(memory_fault_fired());
        if (!memory_fault_fired() || !faults.for_ever)
            assert_int_equal(taken, 1000);
        else
            assert_true(taken < 1000 && slab.refused > 0);
        slab_close(&slab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life), cmocka_unit_test(test_wrap),   cmocka_unit_test(test_grow),
        cmocka_unit_test(test_walk), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
