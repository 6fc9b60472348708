/* SPDX-License-Identifier: Apache-2.0
 * What every net port on real sockets promises (ports/net.h), asked of one adapter:
 * net_contract_*.c say which. */
#include "net_contract.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BULK (1024 * 1024)

const uint8_t contract_loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

struct world {
    struct subject server, client;
    net_conn at_server, at_client;
};

/* The next event of `kind`; everything else on the way must be expected by nobody. */
static struct net_event await(struct subject *subject, enum net_event_kind kind)
{
    struct net_event event;
    for (int tries = 0; tries < 1000; tries++) {
        if (subject->net->vtable->wait(subject->net, &event, 1, 10) == 0)
            continue;
        assert_int_equal(event.kind, kind);
        return event;
    }
    fail_msg("no event of kind %d within 10 s", kind);
    return event;
}

static void meet(struct world *world)
{
    assert_int_equal(world->client.net->vtable->connect(world->client.net, contract_loopback,
                                                        subject_port(&world->server),
                                                        &world->at_client),
                     STATUS_OK);
    struct net_event accepted = await(&world->server, NET_ACCEPTED);
    assert_memory_equal(accepted.peer, contract_loopback, 16);
    world->at_server = accepted.conn;
    await(&world->client, NET_CONNECTED);
}

static int setup(void **state)
{
    static struct world world;
    struct subject_options serve = {.address = contract_loopback, .connections_max = 4};
    struct subject_options call = {.connections_max = 4};
    assert_int_equal(subject_open(&world.server, &serve, NULL), STATUS_OK);
    assert_int_equal(subject_open(&world.client, &call, NULL), STATUS_OK);
    meet(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    subject_close(&world->server);
    subject_close(&world->client);
    return 0;
}

static void bytes_cross_and_a_close_is_seen(void **state)
{
    struct world *world = *state;
    world->client.net->vtable->send(world->client.net, world->at_client, SLICE_LITERAL("hello"));
    assert_int_equal(await(&world->client, NET_SENT).sent, 5);
    world->server.net->vtable->tag(world->server.net, world->at_server, 77);
    struct net_event got = await(&world->server, NET_RECEIVED);
    assert_int_equal(got.tag, 77);
    assert_int_equal(got.bytes_count, 5);
    assert_memory_equal(got.bytes, "hello", 5);
    world->server.net->vtable->consume(world->server.net, got.conn, 5);
    world->client.net->vtable->close(world->client.net, world->at_client, false);
    got = await(&world->server, NET_CLOSED);
    assert_int_equal(got.status, STATUS_CLOSED);
    assert_int_equal(got.tag, 77);
    assert_int_equal(world->server.conns->used, 0);
}

static void unconsumed_bytes_come_again_with_more(void **state)
{
    struct world *world = *state;
    world->client.net->vtable->send(world->client.net, world->at_client, SLICE_LITERAL("ab"));
    await(&world->client, NET_SENT);
    await(&world->server, NET_RECEIVED);
    world->client.net->vtable->send(world->client.net, world->at_client, SLICE_LITERAL("cd"));
    await(&world->client, NET_SENT);
    struct net_event got = await(&world->server, NET_RECEIVED);
    assert_int_equal(got.bytes_count, 4);
    assert_memory_equal(got.bytes, "abcd", 4);
}

/* A reader that does not consume is not read; the sender is told only when all has left. */
static void back_pressure_holds_and_lets_go(void **state)
{
    struct world *world = *state;
    static uint8_t bulk[4 * BULK];
    for (size_t i = 0; i < sizeof bulk; i++)
        bulk[i] = (uint8_t)(i * 31 >> 3);
    world->client.net->vtable->send(world->client.net, world->at_client,
                                    slice_make(bulk, sizeof bulk));
    size_t received = 0;
    bool sent = false;
    struct net_event event;
    for (int turns = 0; turns < 100000 && (received < sizeof bulk || !sent); turns++) {
        if (world->client.net->vtable->wait(world->client.net, &event, 1, 0) == 1) {
            assert_int_equal(event.kind, NET_SENT);
            assert_int_equal(event.sent, sizeof bulk);
            sent = true;
        }
        if (world->server.net->vtable->wait(world->server.net, &event, 1, 1) == 0)
            continue;
        assert_int_equal(event.kind, NET_RECEIVED);
        assert_true(event.bytes_count <= CONTRACT_RECEIVE_BYTES);
        assert_memory_equal(event.bytes, bulk + received, event.bytes_count);
        received += event.bytes_count;
        world->server.net->vtable->consume(world->server.net, event.conn, event.bytes_count);
    }
    assert_int_equal(received, sizeof bulk);
    assert_true(sent);
}

/* What a peer sent before it died is handed over as room is made, and what is said to it meanwhile
 * is over at once; its end comes last. */
static void a_dead_peer_is_read_to_its_end(void **state)
{
    struct world *world = *state;
    static uint8_t bulk[4 * CONTRACT_RECEIVE_BYTES];
    for (size_t i = 0; i < sizeof bulk; i++)
        bulk[i] = (uint8_t)(i * 31 >> 3);
    const struct net_vtable *net = world->server.net->vtable;
    world->client.net->vtable->send(world->client.net, world->at_client,
                                    slice_make(bulk, sizeof bulk));
    await(&world->client, NET_SENT);
    struct net_event event;
    while (await(&world->server, NET_RECEIVED).bytes_count < CONTRACT_RECEIVE_BYTES)
        continue;
    world->client.net->vtable->close(world->client.net, world->at_client, true);
    for (int turns = 0; turns < 20; turns++) /* its buffer is full: nothing to say, and no end */
        assert_int_equal(net->wait(world->server.net, &event, 1, 1), 0);
    size_t received = 0, sent = 0;
    net->consume(world->server.net, world->at_server, 1000);
    net->send(world->server.net, world->at_server, SLICE_LITERAL("who is there?"));
    received += 1000;
    for (int turns = 0; turns < 10000; turns++) {
        if (net->wait(world->server.net, &event, 1, 10) == 0)
            continue;
        if (event.kind == NET_CLOSED)
            break;
        if (event.kind == NET_SENT) {
            assert_int_equal(event.sent, sent == 0 ? 13 : 3);
            sent++;
            continue;
        }
        assert_int_equal(event.kind, NET_RECEIVED);
        assert_memory_equal(event.bytes, bulk + received, event.bytes_count);
        received += event.bytes_count;
        net->consume(world->server.net, event.conn, event.bytes_count);
        if (sent == 1)
            net->send(world->server.net, world->at_server, SLICE_LITERAL("hm?"));
    }
    assert_int_equal(event.kind, NET_CLOSED);
    assert_int_equal(received, sizeof bulk);
    assert_int_equal(sent, 2);
    assert_int_equal(world->server.conns->used, 0);
}

static void a_wake_from_elsewhere_ends_the_wait(void **state)
{
    struct world *world = *state;
    waker_wake(world->server.waker);
    waker_wake(world->server.waker);
    await(&world->server, NET_WOKEN);
    struct net_event event;
    assert_int_equal(world->server.net->vtable->wait(world->server.net, &event, 1, 0), 0);
    struct pollfd told = {.fd = *world->server.wake_fd, .events = POLLIN};
    assert_int_equal(poll(&told, 1, 0), 0); /* it was awake: no system call told it */
}

static void *wake_later(void *argument)
{
    struct world *world = argument;
    while (!world->server.nap->asleep)
        (void)sched_yield();
    waker_wake(world->server.waker);
    return NULL;
}

/* A lost wake hangs here for ever. Of an earlier wake the system may tell once more: an empty
 * wait. */
static void a_sleeper_is_woken(void **state)
{
    struct world *world = *state;
    struct net_event event;
    pthread_t thread;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wake_later, world), 0);
        while (world->server.net->vtable->wait(world->server.net, &event, 1, -1) == 0)
            continue;
        assert_int_equal(event.kind, NET_WOKEN);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void past_the_cap_connections_are_refused(void **state)
{
    struct world *world = *state;
    struct subject many;
    struct subject_options call = {.connections_max = 8};
    assert_int_equal(subject_open(&many, &call, NULL), STATUS_OK);
    net_conn conn;
    struct net_event event;
    int accepted = 0, refused = 0;
    for (int i = 0; i < 4; i++) /* one stands already, of at most four */
        assert_int_equal(many.net->vtable->connect(many.net, contract_loopback,
                                                   subject_port(&world->server), &conn),
                         STATUS_OK);
    for (int turns = 0; turns < 1000 && accepted + refused < 4; turns++) {
        if (world->server.net->vtable->wait(world->server.net, &event, 1, 1) == 1)
            accepted++;
        if (many.net->vtable->wait(many.net, &event, 1, 1) == 1 && event.kind == NET_CLOSED)
            refused++;
    }
    assert_int_equal(accepted, 3);
    assert_int_equal(refused, 1);
    assert_int_equal(world->server.conns->refused, 1);
    subject_close(&many);
}

static void a_stale_handle_does_nothing(void **state)
{
    struct world *world = *state;
    world->server.net->vtable->close(world->server.net, world->at_server, true);
    world->server.net->vtable->send(world->server.net, world->at_server, SLICE_LITERAL("x"));
    world->server.net->vtable->consume(world->server.net, world->at_server, 1);
    world->server.net->vtable->close(world->server.net, world->at_server, false);
    assert_int_equal(await(&world->client, NET_CLOSED).status, STATUS_CLOSED);
}

static void a_taken_port_is_said(void **state)
{
    struct world *world = *state;
    struct subject second;
    struct failure failure;
    struct subject_options serve = {
        .address = contract_loopback, .port = subject_port(&world->server), .connections_max = 4};
    assert_int_equal(subject_open(&second, &serve, &failure), STATUS_CONFLICT);
    assert_non_null(strstr(failure.text, "cannot listen on port"));
}

/* Two shards on one listener: each connection reaches one of them, and one that does not accept
 * leaves all to the other. */
static void a_listener_is_shared(void **state)
{
    struct world *world = *state;
    struct subject second;
    struct subject_options options = {.listener = &world->server, .connections_max = 4};
    assert_int_equal(subject_open(&second, &options, NULL), STATUS_OK);
    assert_int_equal(subject_port(&second), subject_port(&world->server));
    world->server.net->vtable->accepting(world->server.net, false);
    net_conn conn;
    assert_int_equal(world->client.net->vtable->connect(world->client.net, contract_loopback,
                                                        subject_port(&second), &conn),
                     STATUS_OK);
    (void)await(&second, NET_ACCEPTED);
    await(&world->client, NET_CONNECTED);
    world->server.net->vtable->accepting(world->server.net, true);
    second.net->vtable->accepting(second.net, false);
    assert_int_equal(world->client.net->vtable->connect(world->client.net, contract_loopback,
                                                        subject_port(&second), &conn),
                     STATUS_OK);
    (void)await(&world->server, NET_ACCEPTED);
    subject_close(&second);
}

/* Its owner may take the bytes back at once: what the peer gets is a beginning of what was sent. */
static void a_closed_connection_reads_no_more(void **state)
{
    struct world *world = *state;
    static uint8_t bulk[4 * BULK];
    const struct net_vtable *net = world->server.net->vtable;
    for (int late = 0; late < 2; late++) {
        memset(bulk, 0x5a, sizeof bulk);
        struct net_event event;
        net->send(world->server.net, world->at_server, slice_make(bulk, sizeof bulk));
        if (late != 0) /* it is under way */
            assert_int_equal(net->wait(world->server.net, &event, 1, 0), 0);
        net->close(world->server.net, world->at_server, false);
        memset(bulk, 0xa5, sizeof bulk);
        for (;;) {
            (void)net->wait(world->server.net, &event, 1, 0);
            if (world->client.net->vtable->wait(world->client.net, &event, 1, 1) == 0)
                continue;
            if (event.kind == NET_CLOSED)
                break;
            assert_int_equal(event.kind, NET_RECEIVED);
            for (size_t i = 0; i < event.bytes_count; i++)
                assert_int_equal(event.bytes[i], 0x5a);
            world->client.net->vtable->consume(world->client.net, event.conn, event.bytes_count);
        }
        for (int turns = 0; turns < 1000 && world->server.conns->used > 0; turns++)
            (void)net->wait(world->server.net, &event, 1, 1);
        assert_int_equal(world->server.conns->used, 0);
        if (late == 0)
            meet(world);
    }
}

/* Whoever sends half a frame holds no room that others need. */
static void slow_ones_starve_nobody(void **state)
{
    enum { SLOW = 300 };
    struct subject server = {0}, many = {0};
    struct subject_options serve = {.address = contract_loopback, .connections_max = SLOW};
    struct subject_options call = {.connections_max = SLOW};
    struct net_event event;
    net_conn conns[SLOW];
    uint32_t heard = 0, closed = 0;
    (void)state;
    assert_int_equal(subject_open(&server, &serve, NULL), STATUS_OK);
    assert_int_equal(subject_open(&many, &call, NULL), STATUS_OK);
    for (int i = 0; i < SLOW; i++) {
        assert_int_equal(many.net->vtable->connect(many.net, contract_loopback,
                                                   subject_port(&server), &conns[i]),
                         STATUS_OK);
        while (many.net->vtable->wait(many.net, &event, 1, 1000) == 0 ||
               event.kind != NET_CONNECTED)
            continue;
        many.net->vtable->send(many.net, conns[i], SLICE_LITERAL("half"));
    }
    for (int turns = 0; turns < 20000 && heard < SLOW; turns++) {
        (void)many.net->vtable->wait(many.net, &event, 1, 0);
        if (server.net->vtable->wait(server.net, &event, 1, 1) == 1 && event.kind == NET_RECEIVED)
            heard++; /* and nothing is consumed */
    }
    assert_int_equal(heard, SLOW);
    subject_close(&many);
    for (int turns = 0; turns < 20000 && closed < SLOW; turns++)
        if (server.net->vtable->wait(server.net, &event, 1, 1) == 1 && event.kind == NET_CLOSED)
            closed++;
    assert_int_equal(closed, SLOW);
    assert_int_equal(server.conns->used, 0);
    subject_close(&server);
}

int main(void)
{
    struct failure failure;
    if (!contract_net_offered(&failure)) { /* aloud, and not as a success */
        (void)fprintf(stderr, "SKIPPED: %s\n", failure.text);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_cross_and_a_close_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(unconsumed_bytes_come_again_with_more, setup, teardown),
        cmocka_unit_test_setup_teardown(back_pressure_holds_and_lets_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_peer_is_read_to_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_from_elsewhere_ends_the_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sleeper_is_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(past_the_cap_connections_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stale_handle_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_taken_port_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listener_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_connection_reads_no_more, setup, teardown),
        cmocka_unit_test(slow_ones_starve_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
