/* SPDX-License-Identifier: Apache-2.0
 * Who guesses, at a node of two shards: however the connections fall, the count is one. */
#include "caller_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/limits/shared_limits.h"
#include "runtime/gateway_conn.h"

#define PASSWORDS 5u
#define INVITES   10u

static const struct limit limits[RATE_CLASSES] = {
    [RATE_LOGIN_ACCOUNT] = {PASSWORDS, 180000, true},
    [RATE_INVITE_GUESS] = {INVITES, 360000, true},
};

static struct node node;
static struct shared_limits shared;
static uint64_t callers;
static bool is_open;

static void open_node(enum sign_up_policy sign_up)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {7};
    assert_false(is_open); /* else the test before failed, and left callers behind */
    is_open = true;
    assert_int_equal(shared_limits_open(&shared, limits, RATE_CLASSES, seed), STATUS_OK);
    struct node_options options = {.shards = 2,
                                   .connections_max = 64,
                                   .operations_max = 64,
                                   .sign_up = sign_up,
                                   .limits = limits,
                                   .limits_shared = &shared.port};
    node_open(&node, &options);
}

static void close_node(void)
{
    node_close(&node);
    shared_limits_close(&shared);
    is_open = false;
}

/* A connection to this shard and no other. */
static void call(struct caller *caller, uint32_t shard)
{
    node.asleep = 2 - shard;
    caller_open(caller, &node, ++callers);
    caller_upgrade(caller);
    node.asleep = 0;
    assert_true(node.shards[shard].shard.gateway.conns.used > 0);
}

/* As if all connections came from somewhere else. */
static void move_away(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct gateway *gateway = &node.shards[i].shard.gateway;
        uint32_t index = 0;
        struct slab_handle handle;
        struct gateway_conn *conn;
        while ((conn = slab_next(&gateway->conns, &index, &handle)))
            conn->peer[15] ^= 0x40;
    }
}

/* What a frame on a new connection is answered with; ERROR: its code, else NONE. */
static enum pb_error_code answer(const struct pb_frame *frame, uint32_t shard, bool elsewhere)
{
    static struct caller caller;
    call(&caller, shard);
    if (elsewhere)
        move_away();
    caller_frame(&caller, frame);
    HEAR(caller.frames_count == 2);
    enum pb_error_code code = PB_ERROR_CODE_NONE;
    const struct pb_frame *heard = &caller.frames[1];
    if (heard->body_case == PB_FRAME_BODY_ERROR) {
        code = heard->body.error.code;
        assert_int_equal(code == PB_ERROR_CODE_LIMIT, heard->body.error.retry_ms > 100000);
    } else {
        assert_int_equal(heard->body_case, PB_FRAME_BODY_GRANTED);
    }
    caller_close(&caller);
    return code;
}

static enum pb_error_code log_in(const char *name, const char *password, uint32_t shard,
                                 bool elsewhere)
{
    struct pb_frame frame = {.req = 4, .body_case = PB_FRAME_BODY_LOGIN};
    frame.body.login =
        (struct pb_login){.username = slice_text(name), .password = slice_text(password)};
    return answer(&frame, shard, elsewhere);
}

static void sign_up(const char *name)
{
    static struct caller ann;
    struct caller_account account = {0};
    call(&ann, 0);
    caller_sign_up(&ann, &account, name);
    caller_close(&ann);
}

static void wrong_passwords_are_counted_once_for_all_shards(void **state)
{
    (void)state;
    static const char *const names[] = {"ann", "nobody"}; /* known or not: the same answers */
    open_node(POLICY_OPEN);
    sign_up("ann");
    for (size_t n = 0; n < 2; n++) {
        for (uint32_t i = 0; i < PASSWORDS; i++)
            assert_int_equal(log_in(names[n], "not her password", i % 2, false),
                             PB_ERROR_CODE_AUTH);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(log_in(names[n], "not her password", i % 2, false),
                             PB_ERROR_CODE_LIMIT);
    }
    /* Who has the password waits here too, but is not locked out elsewhere. */
    assert_int_equal(log_in("ann", CALLER_PASSWORD, 1, false), PB_ERROR_CODE_LIMIT);
    assert_int_equal(log_in("ann", CALLER_PASSWORD, 0, true), PB_ERROR_CODE_NONE);
    assert_int_equal(log_in("bob", "whoever that is", 0, false), PB_ERROR_CODE_AUTH);
    close_node();
}

static void right_passwords_cost_nothing(void **state)
{
    (void)state;
    open_node(POLICY_OPEN);
    sign_up("ann");
    for (uint32_t i = 0; i < PASSWORDS - 1; i++)
        assert_int_equal(log_in("ann", "not her password", i % 2, false), PB_ERROR_CODE_AUTH);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(log_in("ann", CALLER_PASSWORD, i % 2, false), PB_ERROR_CODE_NONE);
    assert_int_equal(log_in("ann", "not her password", 0, false), PB_ERROR_CODE_AUTH);
    assert_int_equal(log_in("ann", "not her password", 1, false), PB_ERROR_CODE_LIMIT);
    close_node();
}

static enum pb_error_code use_invite(const char *name, uint32_t shard, bool elsewhere)
{
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_REGISTER};
    frame.body.register_ = (struct pb_register){.username = slice_text(name),
                                                .password = SLICE_LITERAL(CALLER_PASSWORD),
                                                .invite = SLICE_LITERAL("a guess")};
    return answer(&frame, shard, elsewhere);
}

static void wrong_invites_are_counted(void **state)
{
    (void)state;
    open_node(POLICY_INVITE);
    for (uint32_t i = 0; i < INVITES; i++) {
        assert_int_equal(use_invite("Not A Name", i % 2, false), PB_ERROR_CODE_NAME_INVALID);
        assert_int_equal(use_invite("somebody", i % 2, false), PB_ERROR_CODE_INVITE_USED);
    }
    assert_int_equal(use_invite("somebody", 0, false), PB_ERROR_CODE_LIMIT);
    assert_int_equal(use_invite("somebody", 1, false), PB_ERROR_CODE_LIMIT);
    assert_int_equal(use_invite("somebody", 1, true), PB_ERROR_CODE_INVITE_USED);
    close_node();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_passwords_are_counted_once_for_all_shards),
        cmocka_unit_test(right_passwords_cost_nothing),
        cmocka_unit_test(wrong_invites_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
