/* SPDX-License-Identifier: Apache-2.0
 * A reader that stops in a burst of 1,000 messages: bounded memory, nothing lost, nobody else hurt.
 * node_strace_test.py runs it once more and holds what leaves the sockets against the syncs of the
 * log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "caller_rig.h"
#include "runtime/gateway_conn.h"

#define BURST 1000u
#define AHEAD 64u /* sends under way */

static struct node node;
static struct caller alice, bob, carol;

static int setup(void **state)
{
    (void)state;
    static struct caller_account account;
    struct node_options options = {
        .shards = 1, .connections_max = 16, .operations_max = 128, .sign_up = POLICY_OPEN};
    node_open(&node, &options);
    struct caller *const people[] = {&alice, &bob, &carol};
    static const char *const names[] = {"alice", "bob", "carol"};
    for (uint64_t i = 0; i < 3; i++) {
        caller_open(people[i], &node, i + 1);
        caller_upgrade(people[i]);
        caller_sign_up(people[i], &account, names[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    caller_close(&alice);
    caller_close(&bob);
    caller_close(&carol);
    node_close(&node);
    return 0;
}

static uint32_t output_most(void)
{
    uint32_t index = 0, most = 0;
    struct slab_handle handle;
    const struct gateway_conn *conn;
    while ((conn = slab_next(&node.shards[0].shard.gateway.conns, &index, &handle)) != NULL)
        most = output_bytes(&conn->output) > most ? output_bytes(&conn->output) : most;
    return most;
}

static void acknowledge(struct caller *caller)
{
    struct pb_frame ack = {.body_case = PB_FRAME_BODY_ACK};
    ack.body.ack.useq = caller->useq;
    caller_frame(caller, &ack);
}

static size_t messages_of(const struct caller *caller)
{
    size_t count = 0;
    for (size_t i = 0; i < caller->frames_count; i++) {
        const struct pb_entry *entry = &caller->frames[i].body.push.entry;
        if (caller->frames[i].body_case != PB_FRAME_BODY_PUSH ||
            entry->body_case != PB_ENTRY_BODY_MESSAGE)
            continue;
        assert_int_equal(entry->body.message.sctr, ++count); /* each once, in their order */
    }
    return count;
}

static void a_reader_stops_in_a_burst(void **state)
{
    (void)state;
    uint8_t chat[ID_BYTES];
    struct pb_frame create = caller_create_frame(&alice, &bob, chat);
    create.req = 1;
    caller_frame(&alice, &create);
    HEAR(bob.useq > 0 && caller_count(&alice, PB_FRAME_BODY_SENT) == 1);
    uint64_t sent = 0;
    uint32_t most = 0;
    while (caller_count(&alice, PB_FRAME_BODY_SENT) < BURST + 1) {
        size_t done = caller_count(&alice, PB_FRAME_BODY_SENT) - 1;
        bob.deaf = done >= BURST / 4;
        for (; sent < BURST && sent < done + AHEAD; sent++) {
            struct pb_frame send = caller_send_frame(&alice, chat, alice.device, sent + 1);
            caller_frame(&alice, &send);
        }
        acknowledge(&alice);
        callers_turn();
        most = output_most() > most ? output_most() : most;
    }
    assert_true(most <= 2 * SESSION_OUTPUT_BYTES_MAX);
    assert_int_equal(caller_count(&alice, PB_FRAME_BODY_ERROR), 0);
    assert_true(messages_of(&bob) < BURST);
    uint64_t next = carol.pongs + 1; /* who has nothing to do with it */
    caller_ping(&carol, next);
    HEAR(carol.pongs == next);
    caller_listen(&bob);
    for (int turns = 0; turns < NODE_TURNS && messages_of(&bob) + messages_of(&alice) < 2 * BURST;
         turns++) {
        acknowledge(&bob);
        acknowledge(&alice);
        callers_turn();
    }
    assert_int_equal(messages_of(&bob), BURST);
    assert_int_equal(messages_of(&alice), BURST); /* her own come back */
    assert_false(bob.gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_stops_in_a_burst, setup, teardown),
    };
    return cmocka_run_group_tests_name("burst", tests, NULL, NULL);
}
