/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf back;
static struct assert_report seen;

static void leap(const struct assert_report *report)
{
    seen = *report;
    longjmp(back, 1);
}

static void test_report(void **state)
{
    (void)state;
    assert(1 + 1 == 2); /* nothing happens */
    struct row {
        uint32_t shard;
        const char *event;
    } rows[] = {{ASSERT_NO_SHARD, ""}, {0, "boot"}, {3, "session.opened"}};
    for (volatile size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        volatile bool failed = false;
        if (i > 0)
            assert_note(rows[i].shard, rows[i].event);
        if (setjmp(back) == 0) {
            assert_handler_set(leap);
            assert(1 + 1 == 3);
        } else {
            failed = true;
        }
        assert_true(failed);
        assert_string_equal(seen.expression, "1 + 1 == 3");
        assert_non_null(strstr(seen.file, "assert_test.c"));
        assert_true(seen.line > 0);
        assert_int_equal(seen.shard, rows[i].shard);
        assert_string_equal(seen.event, rows[i].event);
    }
}

static void quiet(const struct assert_report *report)
{
    (void)report;
}

static void again(const struct assert_report *report)
{
    (void)report;
    assert(0 == 1);
}

/* Whatever the handler does, the process aborts. */
static void test_abort(void **state)
{
    (void)state;
    assert_handler *const handlers[] = {NULL, quiet, again};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGABRT, SIG_DFL);
            assert_handler_set(handlers[i]);
            assert(0 == 1);
            _exit(0);
        }
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        assert_int_equal(WTERMSIG(how), SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
