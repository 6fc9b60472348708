/* SPDX-License-Identifier: Apache-2.0
 * Two people talk through a whole node over real sockets: the first message with all its ticks, a
 * burst from both sides, a node and a client that are killed in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node_rig.h"
#include "person_rig.h"
#include "sim/checker.h"

static const struct node_options one_shard = {
    .shards = 1, .connections_max = 16, .operations_max = 64, .sign_up = POLICY_OPEN};
static const struct node_options two_shards = {
    .shards = 2, .connections_max = 16, .operations_max = 64, .sign_up = POLICY_OPEN};

struct pair {
    const struct node_options *options;
    struct node node;
    struct history history;
    struct person alice, bob;
    struct person *people[2];
};

static void turn(struct pair *pair)
{
    (void)node_turn(&pair->node, 1);
    pair->alice.port = pair->bob.port = epoll_port(&pair->node.shards[0].net);
    people_turn(pair->people, 2);
}

/* Turn until the condition holds, or fail with the line. */
#define AWAIT(pair, condition)                                    \
    do {                                                          \
        int turns = 0;                                            \
        for (; turns < NODE_TURNS && !(condition); turns++)       \
            turn(pair);                                           \
        if (turns == NODE_TURNS)                                  \
            fail_msg("line %d: never: %s", __LINE__, #condition); \
    } while (0)

static void sign_up(struct pair *pair, struct person *person, const char *username)
{
    person_register(person, username);
    AWAIT(pair, person->result.request == 1);
    assert_int_equal(person->result.error, 0);
    AWAIT(pair, person->state == PB_CLIENT_STATE_SYNCED);
}

static int setup_with(void **state, const struct node_options *options)
{
    static struct pair pair;
    pair.options = options;
    node_open(&pair.node, options);
    struct person_options person = {
        .sockets = &pair.node.client, .tag = 1, .clock_rate = 1, .history = &pair.history};
    person_open(&pair.alice, &person);
    person.tag = 2;
    person_open(&pair.bob, &person);
    pair.people[0] = &pair.alice;
    pair.people[1] = &pair.bob;
    sign_up(&pair, &pair.alice, "alice");
    sign_up(&pair, &pair.bob, "bob");
    *state = &pair;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, &one_shard);
}

static int setup_two(void **state)
{
    return setup_with(state, &two_shards);
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    person_close(&pair->alice);
    person_close(&pair->bob);
    history_close(&pair->history);
    node_close(&pair->node);
    return 0;
}

static struct slice send_and_learn_mid(struct pair *pair, struct person *from, const char *to,
                                       const char *text)
{
    person_send(from, to, text);
    AWAIT(pair, from->result.request == 1);
    assert_int_equal(from->result.error, 0);
    assert_int_equal(from->result.mid.bytes, ID_BYTES);
    return from->result.mid;
}

static void a_message_gets_all_its_ticks(void **state)
{
    struct pair *pair = *state;
    struct slice mid = send_and_learn_mid(pair, &pair->alice, "bob", "hello");
    AWAIT(pair, person_tick(&pair->alice, mid) >= PB_TICK_DELIVERED);
    assert_int_equal(pair->bob.shown_count, 1);
    assert_string_equal(pair->bob.shown[0].text, "hello");
    struct pb_event_command read = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    read.body.read =
        (struct pb_command_read){.chat_id = slice_make(pair->bob.client.chats[0]->id, ID_BYTES),
                                 .upto = pair->bob.shown[0].cseq};
    person_command(&pair->bob, &read);
    AWAIT(pair, person_tick(&pair->alice, mid) == PB_TICK_READ);
    AWAIT(pair, pair->alice.shown_count == 1); /* its own, at the same number */
    assert_true(pair->alice.shown[0].own);
    assert_int_equal(pair->alice.shown[0].cseq, pair->bob.shown[0].cseq);
}

/* Nothing is owed any more: the whole history keeps the promises. */
static void promises_are_kept(struct pair *pair)
{
    static struct verdict verdict;
    static uint8_t text[8192];
    struct history *history = &pair->history;
    struct history_event quiesce = {.op = HISTORY_QUIESCE};
    quiesce.t_inv = quiesce.t_ret = history->events[history->count - 1].t_ret;
    assert_int_equal(history_add(history, &quiesce), STATUS_OK);
    assert_int_equal(checker_run(history, &verdict), STATUS_OK);
    assert_false(pair->alice.observer.failed || pair->bob.observer.failed);
    assert_true(verdict.acked > 0 && verdict.entries > 0 && verdict.shown > 0);
    struct buf out = buf_over(text, sizeof text - 1);
    verdict_write(&out, history, &verdict);
    if (verdict.total > 0)
        fail_msg("%s", (const char *)text);
}

/* Both showed the same messages, each once, in one order. */
static void same_story(struct pair *pair, size_t count)
{
    const struct person *alice = &pair->alice, *bob = &pair->bob;
    assert_int_equal(alice->shown_count, count);
    assert_int_equal(bob->shown_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(alice->shown[i].mid, bob->shown[i].mid, ID_BYTES);
        assert_true(i == 0 || alice->shown[i].cseq > alice->shown[i - 1].cseq);
        assert_string_equal(alice->shown[i].text, bob->shown[i].text);
    }
    promises_are_kept(pair);
}

/* Every own message of these is delivered. */
static bool all_delivered(const struct person *person, size_t count)
{
    size_t delivered = 0;
    for (size_t i = 0; i < person->shown_count; i++) {
        struct slice mid = slice_make(person->shown[i].mid, ID_BYTES);
        delivered += person->shown[i].own && person_tick(person, mid) == PB_TICK_DELIVERED;
    }
    return delivered == count;
}

#define BURST 100

static void burst(struct pair *pair)
{
    char text[32];
    for (int i = 0; i < BURST; i++) {
        (void)snprintf(text, sizeof text, "to bob %d", i);
        person_send(&pair->alice, "bob", text);
        (void)snprintf(text, sizeof text, "to alice %d", i);
        person_send(&pair->bob, "alice", text);
        turn(pair);
    }
}

/* The chat is created by both at once, and their sends cross. */
static void crossing_bursts_make_one_story(void **state)
{
    struct pair *pair = *state;
    burst(pair);
    AWAIT(pair, all_delivered(&pair->alice, BURST) && all_delivered(&pair->bob, BURST));
    same_story(pair, 2 * BURST);
}

/* One person on each shard: the other's shard neither owns the log nor folds. */
static void shards_tell_one_story(void **state)
{
    struct pair *pair = *state;
    struct gateway *gateways[2] = {&pair->node.shards[0].shard.gateway,
                                   &pair->node.shards[1].shard.gateway};
    for (int i = 0; i < 100 && (gateways[0]->conns.used != 1 || gateways[1]->conns.used != 1);
         i++) { /* whose turn it is takes a connection: reconnect until each has one */
        struct net *full = &pair->node.shards[gateways[0]->conns.used == 2 ? 0 : 1].net.net;
        full->vtable->accepting(full, false);
        person_restart(&pair->bob);
        AWAIT(pair, pair->bob.state == PB_CLIENT_STATE_SYNCED);
        full->vtable->accepting(full, true);
    }
    assert_int_equal(gateways[0]->conns.used, 1);
    assert_int_equal(gateways[1]->conns.used, 1);
    crossing_bursts_make_one_story(state);
}

static void a_killed_node_loses_nothing(void **state)
{
    struct pair *pair = *state;
    burst(pair);
    node_kill(&pair->node);
    node_start(&pair->node, pair->options);
    AWAIT(pair, all_delivered(&pair->alice, BURST) && all_delivered(&pair->bob, BURST));
    same_story(pair, 2 * BURST);
}

/* The first frame of a new session may be large: the bound of strangers ends with the sign-in. */
static void the_first_frame_may_be_large(void **state)
{
    static char text[12001];
    struct pair *pair = *state;
    memset(text, 'x', sizeof text - 1);
    (void)send_and_learn_mid(pair, &pair->alice, "bob", "hello");
    AWAIT(pair, all_delivered(&pair->alice, 1));
    pair->alice.dies = true;
    person_send(&pair->alice, "bob", text);
    AWAIT(pair, all_delivered(&pair->alice, 2));
    same_story(pair, 2);
}

static void a_killed_client_shows_nothing_twice(void **state)
{
    struct pair *pair = *state;
    burst(pair);
    person_restart(&pair->alice);
    AWAIT(pair, all_delivered(&pair->alice, BURST) && all_delivered(&pair->bob, BURST));
    same_story(pair, 2 * BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_gets_all_its_ticks, setup, teardown),
        cmocka_unit_test_setup_teardown(crossing_bursts_make_one_story, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_node_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(shards_tell_one_story, setup_two, teardown),
        cmocka_unit_test_setup_teardown(a_killed_node_loses_nothing, setup_two, teardown),
        cmocka_unit_test_setup_teardown(the_first_frame_may_be_large, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_client_shows_nothing_twice, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
