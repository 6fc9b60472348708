/* SPDX-License-Identifier: Apache-2.0
 * The host when its profile cannot be written: nothing of the step remains, the mind is what the
 * rows say, and it gives up rather than spin. A trigger plays the full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "apps/parley/host.h"

static char folder[64];
static struct host host;

static int setup(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/parley-host-XXXXXX", 24);
    memset(&host, 0, sizeof host);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void open_host(void)
{
    struct failure failure = {.text = ""};
    assert_int_equal(profile_find(&host.profile, "x", folder, &failure), STATUS_OK);
    if (profile_open(&host.profile, PROFILE_MAKE, &failure) != STATUS_OK)
        fail_msg("%s", failure.text);
    assert_int_equal(host_open(&host, true), STATUS_OK);
}

/* As another program would, beside the host. */
static void by_hand(const char *sql)
{
    char path[96];
    sqlite3 *db;
    (void)snprintf(path, sizeof path, "%s/rows.sqlite", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void disk_full(void)
{
    by_hand("CREATE TRIGGER full BEFORE INSERT ON rows BEGIN SELECT RAISE(ABORT, 'full'); END");
}

static enum host_turn sign_up(void)
{
    struct pb_event_command command = {.request = 1, .body_case = PB_EVENT_COMMAND_BODY_REGISTER};
    command.body.register_ = (struct pb_command_register){.server = SLICE_LITERAL("http://[::1]:1"),
                                                          .username = SLICE_LITERAL("ann"),
                                                          .password = SLICE_LITERAL("secret")};
    return host_command(&host, &command);
}

static void a_failed_transaction_leaves_nothing(void **state)
{
    (void)state;
    open_host();
    disk_full();
    assert_int_equal(sign_up(), HOST_STEPPED);
    assert_true(host.broken);
    assert_int_equal(host.out.notices_count + host.out.frames_count, 0);
    assert_false(host.out.connect);
    assert_int_equal(host_turn(&host, 0), HOST_STEPPED); /* restored */
    assert_false(host.client.enrol_wanted);
    assert_int_equal(host.client.server.bytes, 0);
    by_hand("DROP TRIGGER full");
    assert_int_equal(sign_up(), HOST_STEPPED);
    assert_false(host.broken);
    assert_true(host.client.enrol_wanted && host.out.connect);
    host_close(&host);
}

static void a_profile_that_stays_full_ends_it(void **state)
{
    (void)state;
    open_host();
    disk_full();
    assert_int_equal(sign_up(), HOST_STEPPED);
    assert_int_equal(host_turn(&host, 0), HOST_STEPPED);
    assert_int_equal(sign_up(), HOST_STEPPED);
    assert_int_equal(host_turn(&host, 0), HOST_STEPPED);
    assert_int_equal(sign_up(), HOST_FAILED);
    assert_non_null(strstr(host.failure.text, "cannot be written"));
    host_close(&host);
}

static void what_was_stored_comes_back(void **state)
{
    (void)state;
    open_host();
    assert_int_equal(sign_up(), HOST_STEPPED);
    host_close(&host);
    memset(&host, 0, sizeof host);
    open_host();
    assert_true(slice_equal(host.client.username, SLICE_LITERAL("ann")));
    assert_string_equal(host.address.host, "[::1]:1");
    assert_false(host.client.enrolled);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_failed_transaction_leaves_nothing),
        TEST(a_profile_that_stays_full_ends_it),
        TEST(what_was_stored_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
