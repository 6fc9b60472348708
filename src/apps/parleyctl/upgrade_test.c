/* SPDX-License-Identifier: Apache-2.0
 * Steps of formats that never were: in order, once each, resumed where one failed, and nothing at
 * all for a newer folder, one in use, or a dry look. */
#include "apps/parleyctl/upgrade.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/posix/file.h"
#include "apps/parleyd/data.h"

static char folder[64], path[128];
static bool broken; /* the step from 2 cannot be done */

static void file_put(const char *name, const char *text, const char *mode)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const char *file_text(const char *name)
{
    static char text[64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    memset(text, 0, sizeof text);
    if (file != NULL) {
        (void)!fread(text, 1, sizeof text - 1, file);
        (void)fclose(file);
    }
    return text;
}

static enum status first_step(const char *at, struct failure *failure)
{
    (void)failure;
    assert_string_equal(at, folder);
    file_put("steps", "1", "a");
    return STATUS_OK;
}

static enum status second_step(const char *at, struct failure *failure)
{
    (void)at;
    file_put("steps", broken ? "!" : "2", "a");
    return broken ? failure_set(failure, STATUS_IO, "the disk is full") : STATUS_OK;
}

static const struct upgrade_step steps[] = {{1, "first", first_step}, {2, "second", second_step}};
static const struct upgrade_plan plan = {steps, 2, 3}, gap = {steps + 1, 1, 3};

static int setup(void **state)
{
    (void)state;
    broken = false;
    (void)strcpy(folder, "/tmp/parley-upgrade-XXXXXX");
    assert_non_null(mkdtemp(folder));
    file_put("format", "parley-data 1\n", "w");
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"format", "steps", "lock", "format.new"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void steps_are_done_in_order_and_once(void **state)
{
    struct failure failure = {0};
    size_t first, count;
    (void)state;
    assert_int_equal(upgrade_look(&plan, folder, &first, &count, &failure), STATUS_OK);
    assert_int_equal(first, 0);
    assert_int_equal(count, 2);
    assert_string_equal(file_text("steps"), ""); /* a look does nothing */
    assert_string_equal(file_text("format"), "parley-data 1\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_OK);
        assert_string_equal(file_text("steps"), "12");
        assert_string_equal(file_text("format"), "parley-data 3\n");
    }
    assert_int_equal(upgrade_look(&plan, folder, &first, &count, &failure), STATUS_OK);
    assert_int_equal(count, 0);
}

static void a_step_that_failed_is_begun_again(void **state)
{
    struct failure failure = {0};
    (void)state;
    broken = true;
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_IO);
    assert_string_equal(failure.text, "the disk is full");
    assert_string_equal(file_text("format"), "parley-data 2\n");
    broken = false;
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_OK);
    assert_string_equal(file_text("steps"), "1!2");
    assert_string_equal(file_text("format"), "parley-data 3\n");
}

static void what_must_not_be_touched_is_not(void **state)
{
    struct failure failure = {0};
    size_t first, count;
    int lock = -1;
    (void)state;
    assert_int_equal(upgrade_run(&gap, folder, &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "no step leads on from format 1 to 3"));
    assert_int_equal(posix_lock_folder(folder, &lock, &failure), STATUS_OK);
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_CONFLICT);
    posix_unlock_folder(lock);
    file_put("format", "parley-data 4\n", "w");
    assert_int_equal(upgrade_look(&plan, folder, &first, &count, &failure), STATUS_UNSUPPORTED);
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_UNSUPPORTED);
    assert_non_null(strstr(failure.text, "format 4, this one knows 3"));
    file_put("format", "parley-data 0\n", "w");
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_INVALID);
    file_put("format", "something else\n", "w");
    assert_int_equal(upgrade_run(&plan, folder, &failure), STATUS_INVALID);
    assert_string_equal(file_text("steps"), "");
}

/* The table of this program leads to what this program opens. */
static void the_real_plan_ends_at_the_format_of_parleyd(void **state)
{
    struct upgrade_plan real = upgrade_plan();
    struct failure failure = {0};
    size_t first, count;
    (void)state;
    assert_int_equal(real.newest, DATA_FORMAT);
    assert_int_equal(upgrade_look(&real, folder, &first, &count, &failure), STATUS_OK);
    assert_int_equal(count, DATA_FORMAT - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_are_done_in_order_and_once),
        TEST(a_step_that_failed_is_begun_again),
        TEST(what_must_not_be_touched_is_not),
        TEST(the_real_plan_ends_at_the_format_of_parleyd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
