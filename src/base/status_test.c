/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(STATUS_OK, 0);
    assert_string_equal(status_name(STATUS_OK), "OK");
    assert_string_equal(status_name(STATUS_TOO_LARGE), "TOO_LARGE");
    assert_string_equal(status_name(STATUS_UNSUPPORTED), "UNSUPPORTED");
    assert_string_equal(status_text(STATUS_OK), "ok");
    for (enum status s = STATUS_OK; s <= STATUS_UNSUPPORTED; s++)
        assert_true(strlen(status_name(s)) > 0 && strlen(status_text(s)) > 0);
}

static void test_failure(void **state)
{
    (void)state;
    struct failure failure;
    memset(&failure, 'x', sizeof failure);
    assert_int_equal(failure_set(NULL, STATUS_IO, "%d", 1), STATUS_IO);
    assert_int_equal(failure_set(&failure, STATUS_IO, "segment %d", 7), STATUS_IO);
    assert_int_equal(failure.status, STATUS_IO);
    assert_string_equal(failure.text, "segment 7");
    assert_int_equal(failure_set(&failure, STATUS_CORRUPT, "%0300d", 7), STATUS_CORRUPT);
    assert_int_equal(strlen(failure.text), sizeof failure.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
