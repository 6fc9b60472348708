/* SPDX-License-Identifier: Apache-2.0
 * The host when its profile cannot be written: nothing of the step remains, the mind is what the
 * rows say, and it gives up rather than spin. A trigger plays the full disk. And its order: rows
 * and a net that write down when they are called. */
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

/* ---- the order of a step: the transaction, then the frames, then the notices ---- */

/* What was called, in order: r rows, R rows that failed, c connect, s send. */
static char calls[32];
static bool rows_fail;
static const struct cstore_vtable *rows_below;
static struct cstore_vtable rows_above;
static struct net_vtable net_above;

static void called(char what)
{
    size_t at = strlen(calls);
    assert_true(at + 1 < sizeof calls);
    calls[at] = what;
}

static enum status spy_commit(struct cstore *store, struct cstore_op *ops, size_t count)
{
    called(rows_fail ? 'R' : 'r');
    assert_int_equal(host.link.out.bytes, 0); /* nothing waits to leave, either */
    return rows_fail ? STATUS_IO : rows_below->commit(store, ops, count);
}

static size_t spy_wait(struct net *net, struct net_event *out, size_t max, int64_t timeout_ms)
{
    (void)net, (void)out, (void)max, (void)timeout_ms;
    return 0;
}

static void spy_send(struct net *net, net_conn conn, struct slice bytes)
{
    (void)net, (void)conn, (void)bytes;
    called('s');
    host.sending = false; /* it is gone at once */
}

static void spy_consume(struct net *net, net_conn conn, size_t bytes)
{
    (void)net, (void)conn, (void)bytes;
}

static void spy_close(struct net *net, net_conn conn, bool reset)
{
    (void)net, (void)conn, (void)reset;
}

static enum status spy_connect(struct net *net, const uint8_t peer[16], uint16_t port,
                               net_conn *out)
{
    (void)net, (void)peer, (void)port;
    *out = (net_conn){1, 1};
    called('c');
    return STATUS_OK;
}

/* The rows as they are, and a net that only writes down: what the server says is fed. */
static void watch_order(void)
{
    struct cstore *store = &host.profile.store.cstore;
    rows_below = store->vtable;
    rows_above = *rows_below;
    rows_above.commit = spy_commit;
    store->vtable = &rows_above;
    net_above = (struct net_vtable){.wait = spy_wait,
                                    .consume = spy_consume,
                                    .send = spy_send,
                                    .close = spy_close,
                                    .connect = spy_connect};
    host.net.net.vtable = &net_above;
    host.offline = false;
    rows_fail = false;
    memset(calls, 0, sizeof calls);
}

/* One frame of the server; the host's turn is the step it makes. */
static void says(const struct pb_frame *frame)
{
    struct arena arena;
    arena_init(&arena, 1u << 16);
    struct slice bytes = pb_frame_pack(frame, &arena);
    uint8_t head[2] = {0x82, (uint8_t)bytes.bytes};
    assert_true(bytes.bytes < 126);
    link_take(&host.link, SLICE_OF(head));
    link_take(&host.link, bytes);
    arena_deinit(&arena);
    assert_int_equal(host_turn(&host, 0), HOST_STEPPED);
}

static void welcomed(void)
{
    uint8_t nonce[32] = {7};
    struct pb_host_event up = {.body_case = PB_HOST_EVENT_BODY_CONNECTED};
    struct pb_host_effects out;
    assert_int_equal(link_start(&host.link, SLICE_LITERAL("h"), SLICE_LITERAL("new"), nonce),
                     STATUS_OK);
    host.link.out.bytes = 0; /* the handshake: link_test.c */
    host.link.up = host.connected = true;
    host.connecting = false;
    up.entropy = SLICE_OF(nonce);
    up.mono_ms = host_mono_ms();
    assert_int_equal(client_step(&host.client, &up, &out), STATUS_OK);
    memset(calls, 0, sizeof calls);
    says(&(struct pb_frame){.body_case = PB_FRAME_BODY_WELCOME,
                            .body.welcome = {.proto_min = 1,
                                             .proto_max = 1,
                                             .log_epoch = 1,
                                             .server_name = SLICE_LITERAL("home"),
                                             .nonce = SLICE_OF(nonce)}});
}

static void the_transaction_comes_before_the_frames(void **state)
{
    (void)state;
    open_host();
    watch_order();
    assert_int_equal(sign_up(), HOST_STEPPED);
    assert_string_equal(calls, "rc"); /* whom to ask is stored before it is asked */
    welcomed();
    assert_string_equal(calls, "rs"); /* the pinned name, then REGISTER */
    assert_true(host.out.frames_count > 0 && host.out.store_count > 0);
    host_close(&host);
}

static void no_frame_leaves_when_the_transaction_fails(void **state)
{
    (void)state;
    open_host();
    watch_order();
    assert_int_equal(sign_up(), HOST_STEPPED);
    rows_fail = true;
    welcomed();
    assert_string_equal(calls, "R");
    assert_int_equal(host.link.out.bytes, 0);
    assert_int_equal(host.out.frames_count + host.out.notices_count, 0);
    assert_true(host.broken && !host.connected);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_failed_transaction_leaves_nothing),
        TEST(a_profile_that_stays_full_ends_it),
        TEST(what_was_stored_comes_back),
        TEST(the_transaction_comes_before_the_frames),
        TEST(no_frame_leaves_when_the_transaction_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
