/* SPDX-License-Identifier: Apache-2.0
 * The profile's folder: where it is, who may have it, what is left of it. flock tells processes
 * and open files apart in the same way, so one process plays both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "apps/parley/profile.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/parley-profile-XXXXXX", 27);
    return mkdtemp(folder) ? setenv("XDG_DATA_HOME", folder, 1) : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void open_as(struct profile *profile, enum profile_mode mode, enum status expected)
{
    struct failure failure = {.text = ""};
    assert_int_equal(profile_find(profile, "alice", NULL, &failure), STATUS_OK);
    enum status status = profile_open(profile, mode, &failure);
    if (status != expected)
        fail_msg("%s: %s", status_name(status), failure.text);
}

static void it_lies_below_the_data_folder_for_its_owner_alone(void **state)
{
    (void)state;
    struct profile profile;
    struct stat found;
    char path[128];
    open_as(&profile, PROFILE_MAKE, STATUS_OK);
    (void)snprintf(path, sizeof path, "%s/parley/alice", folder);
    assert_string_equal(profile.folder, path);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0700);
    profile_close(&profile);
}

static void a_name_is_no_path(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b", ".hidden", "ü", "a b"};
    struct profile profile;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(profile_find(&profile, bad[i], NULL, NULL), STATUS_INVALID);
    assert_int_equal(profile_find(&profile, "a", "/tmp/x", NULL), STATUS_OK);
    assert_string_equal(profile.folder, "/tmp/x");
}

static void nobody_signed_in_is_told(void **state)
{
    (void)state;
    struct profile profile;
    open_as(&profile, PROFILE_USE, STATUS_NOT_FOUND);
    profile_close(&profile);
    open_as(&profile, PROFILE_LOOK, STATUS_NOT_FOUND);
    profile_close(&profile);
}

static void a_second_one_is_refused_but_may_look(void **state)
{
    (void)state;
    struct profile first, second;
    struct failure failure;
    char text[64];
    open_as(&first, PROFILE_MAKE, STATUS_OK);
    assert_int_equal(profile_find(&second, "alice", NULL, &failure), STATUS_OK);
    assert_int_equal(profile_open(&second, PROFILE_USE, &failure), STATUS_CONFLICT);
    (void)snprintf(text, sizeof text, "(process %ld)", (long)getpid());
    assert_non_null(strstr(failure.text, text));
    profile_close(&second);
    open_as(&second, PROFILE_LOOK, STATUS_OK);
    assert_true(second.read_only);
    profile_close(&second);
    profile_close(&first);
    open_as(&second, PROFILE_USE, STATUS_OK); /* the lock went with its holder */
    assert_false(second.read_only);
    profile_close(&second);
}

static void a_wiped_one_is_gone(void **state)
{
    (void)state;
    struct profile profile;
    open_as(&profile, PROFILE_MAKE, STATUS_OK);
    profile_wipe(&profile);
    profile_close(&profile);
    open_as(&profile, PROFILE_USE, STATUS_NOT_FOUND);
    profile_close(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(it_lies_below_the_data_folder_for_its_owner_alone),
        TEST(a_name_is_no_path),
        TEST(nobody_signed_in_is_told),
        TEST(a_second_one_is_refused_but_may_look),
        TEST(a_wiped_one_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
