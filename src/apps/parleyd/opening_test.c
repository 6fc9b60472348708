/* SPDX-License-Identifier: Apache-2.0
 * Children die while they open: by an assertion, by kill -9, not at all. What the next one reads of
 * it, and of files that nobody wrote. */
#include "apps/parleyd/opening.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128], said[128], why[OPENING_WHY_BYTES];

/* A child that opens `name` and gets this signal: while it does, or behind it. Returns how it
 * ended. */
static int die(const char *name, int number, bool behind)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        struct opening opening;
        (void)setrlimit(RLIMIT_CORE, &none);
        int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(fd, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL); /* cmocka's own end here */
        (void)signal(SIGSEGV, SIG_DFL);
        opening_begin(&opening, folder, name, "test");
        if (behind)
            opening_end(&opening);
        if (number == SIGABRT)
            abort();
        if (number != 0)
            (void)raise(number);
        opening_end(&opening);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool heard(const char *text)
{
    char all[1024] = {0};
    FILE *file = fopen(said, "r");
    assert_non_null(file);
    (void)!fread(all, 1, sizeof all - 1, file);
    (void)fclose(file);
    return strstr(all, text) != NULL;
}

static void an_assertion_is_blamed_the_second_time(void **state)
{
    (void)state;
    assert_false(opening_blames(folder, "store", why));
    assert_int_equal(die("store", SIGABRT, false), SIGABRT);
    assert_int_equal(opening_past(folder, "store").signal, SIGABRT);
    assert_false(opening_blames(folder, "store", why));
    assert_int_equal(die("store", SIGKILL, false), SIGKILL);
    assert_int_equal(opening_past(folder, "store").signal, 0);
    assert_false(opening_blames(folder, "store", why));
    assert_int_equal(die("store", SIGABRT, false), SIGABRT);
    assert_true(heard("test: ALARM: RocksDB died while it opened rows (store)"));
    assert_true(opening_blames(folder, "store", why));
    assert_string_equal(why, "opening it, RocksDB died of signal 6, again");
    assert_false(opening_blames(folder, "00000000000000ab", why));
    assert_int_equal(die("00000000000000ab", SIGSEGV, false), SIGSEGV);
    assert_int_equal(die("00000000000000ab", SIGSEGV, false), SIGSEGV);
    assert_int_equal(opening_past(folder, "00000000000000ab").signal, SIGSEGV);
    assert_int_equal(opening_past(folder, "store").signal, SIGABRT);
    opening_forget(folder, "store");
    assert_false(opening_blames(folder, "store", why));
    assert_true(opening_blames(folder, "00000000000000ab", why));
    opening_forget(folder, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void kill_9_is_only_counted(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= OPENING_CUT_MAX; i++) {
        assert_false(opening_blames(folder, "store", why));
        assert_int_equal(die("store", SIGKILL, false), SIGKILL);
        assert_int_equal(opening_past(folder, "store").cut, i);
    }
    assert_true(opening_blames(folder, "store", why));
    assert_string_equal(why, "opening it was cut short 5 times in a row");
    assert_int_equal(die("store", 0, false), 0); /* it lives: in a row no more */
    assert_int_equal(opening_past(folder, "store").cut, 0);
    assert_int_equal(access(path, F_OK), -1);
}

/* What happens while it serves is another matter. */
static void who_dies_later_is_not_noted(void **state)
{
    (void)state;
    assert_int_equal(die("store", SIGABRT, true), SIGABRT);
    assert_false(heard("ALARM"));
    assert_int_equal(opening_past(folder, "store").cut, 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void file_put(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void what_nobody_wrote_blames_nobody(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "store",
                                        "store signal 06 cut 01\n",
                                        "store                   signal 06 cut 02 ",
                                        "store                   signal 6x cut 02\n",
                                        "                        signal 06 cut 02\n",
                                        "storestorestorestorestorestorestore 06 01"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        file_put(texts[i], strlen(texts[i]));
        assert_false(opening_blames(folder, "store", why));
        assert_int_equal(die("store", SIGABRT, false), SIGABRT);
        assert_int_equal(opening_past(folder, "store").signal, SIGABRT);
        assert_int_equal(opening_past(folder, "store").cut, 1);
        opening_forget(folder, NULL);
    }
    static const char line[] = "store                   signal 06 cut 02\n";
    char long_text[64 * (sizeof line - 1)];
    for (size_t i = 0; i < 64; i++)
        memcpy(long_text + i * (sizeof line - 1), line, sizeof line - 1);
    file_put(long_text, sizeof long_text);
    assert_true(opening_blames(folder, "store", why));
    assert_int_equal(die("0000000000000001", SIGABRT, false), SIGABRT);
    assert_int_equal(opening_past(folder, "0000000000000001").signal, SIGABRT);
    opening_forget(folder, NULL);
}

/* Nothing can be written there: it goes on without. */
static void a_note_that_cannot_be_written(void **state)
{
    struct opening opening;
    (void)state;
    opening_begin(&opening, "/nowhere/at/all", "store", "test");
    opening_end(&opening);
    assert_false(opening_blames("/nowhere/at/all", "store", why));
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/opening-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/store.opening", folder);
    (void)snprintf(said, sizeof said, "%s/said", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(said);
    return rmdir(folder); /* nothing else is left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_assertion_is_blamed_the_second_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kill_9_is_only_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_dies_later_is_not_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_wrote_blames_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_note_that_cannot_be_written, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
