/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/ring/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A log of nothing but its completions: `room` appends fit, poll answers them in turn. */
struct paper {
    struct bus bus;
    uint64_t tokens[64];
    uint8_t first_bytes[64];
    size_t count, answered, room;
    uint64_t next_offset;
};

static struct paper *paper_of(struct bus *bus)
{
    return (struct paper *)bus;
}

static enum status paper_append(struct bus *bus, enum topic topic, const uint8_t key[ID_BYTES],
                                struct slice bytes, uint64_t token)
{
    struct paper *paper = paper_of(bus);
    (void)topic;
    (void)key;
    if (bytes.bytes == 7)
        return STATUS_TOO_LARGE;
    if (paper->count - paper->answered == paper->room)
        return STATUS_BUSY;
    paper->tokens[paper->count % 64] = token;
    paper->first_bytes[paper->count++ % 64] = bytes.at[0];
    return STATUS_OK;
}

static size_t paper_poll(struct bus *bus, struct bus_event *out, size_t max)
{
    struct paper *paper = paper_of(bus);
    size_t count = 0;
    for (; count < max && paper->answered < paper->count; paper->answered++)
        out[count++] = (struct bus_event){.kind = BUS_APPENDED,
                                          .token = paper->tokens[paper->answered % 64],
                                          .status = STATUS_OK,
                                          .offset = paper->answered,
                                          .log_epoch = 1};
    return count;
}

static const struct bus_vtable paper_table = {.append = paper_append, .poll = paper_poll};

struct two {
    struct paper paper;
    struct ring_links links;
    struct ring_bus near, far;
    struct ring_rpc near_rpc, far_rpc;
};

static int setup(void **state)
{
    static struct two two;
    memset(&two, 0, sizeof two);
    two.paper = (struct paper){.bus.vtable = &paper_table, .room = 4};
    assert_int_equal(ring_links_open(&two.links, 2, 9, (struct bus_facts){1, true, 1}), STATUS_OK);
    assert_int_equal(ring_bus_open(&two.near, &two.links, 0, &two.paper.bus), STATUS_OK);
    assert_int_equal(ring_bus_open(&two.far, &two.links, 1, NULL), STATUS_OK);
    ring_rpc_open(&two.near_rpc, &two.links, 0);
    ring_rpc_open(&two.far_rpc, &two.links, 1);
    *state = &two;
    return 0;
}

static int teardown(void **state)
{
    struct two *two = *state;
    ring_bus_close(&two->near);
    ring_bus_close(&two->far);
    ring_links_close(&two->links);
    return 0;
}

static enum status append(struct bus *bus, const char *text, uint64_t token)
{
    static const uint8_t key[ID_BYTES] = {3};
    return bus->vtable->append(bus, TOPIC_MESSAGES, key,
                               slice_make((const uint8_t *)text, strlen(text)), token);
}

static size_t poll_bus(struct ring_bus *bus, struct bus_event *out, size_t max)
{
    return bus->port.vtable->poll(&bus->port, out, max);
}

/* Each shard hears of its own appends, in the log's order; a full log makes nobody lose. */
static void appends_come_home(void **state)
{
    struct two *two = *state;
    struct bus_event events[8];
    assert_int_equal(append(&two->near.port, "n", 100), STATUS_OK);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(append(&two->far.port, "f", i), STATUS_OK);
    assert_int_equal(poll_bus(&two->far, events, 8), 0);
    assert_int_equal(poll_bus(&two->near, events, 8), 1); /* its own; three of the others' fit */
    assert_int_equal(events[0].token, 100);
    assert_int_equal(two->paper.count, 4);
    assert_int_equal(poll_bus(&two->near, events, 8), 0); /* the log has room again */
    assert_int_equal(two->paper.count, 7);
    assert_int_equal(poll_bus(&two->far, events, 2), 2); /* two of six: the others wait */
    assert_int_equal(poll_bus(&two->far, events + 2, 6), 4);
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(events[i].token, i);
        assert_int_equal(events[i].offset, i + 1);
        assert_int_equal(events[i].status, STATUS_OK);
    }
    assert_int_equal(two->far.in_flight, 0);
}

static void a_refusal_comes_home_too(void **state)
{
    struct two *two = *state;
    struct bus_event event;
    assert_int_equal(append(&two->far.port, "seven b", 5), STATUS_OK);
    assert_int_equal(append(&two->far.port, "f", 6), STATUS_OK);
    assert_int_equal(poll_bus(&two->near, &event, 1), 0);
    assert_int_equal(poll_bus(&two->far, &event, 1), 1);
    assert_int_equal(event.token, 5);
    assert_int_equal(event.status, STATUS_TOO_LARGE);
    assert_int_equal(poll_bus(&two->far, &event, 1), 1);
    assert_int_equal(event.token, 6);
}

static void a_shard_may_have_so_many_in_flight(void **state)
{
    struct two *two = *state;
    for (uint64_t i = 0; i < RING_APPENDS_MAX; i++)
        assert_int_equal(append(&two->far.port, "f", i), STATUS_OK);
    assert_int_equal(append(&two->far.port, "f", 0), STATUS_BUSY);
}

static void messages_go_both_ways(void **state)
{
    struct two *two = *state;
    const struct rpc_vtable *rpc = two->far_rpc.port.vtable;
    struct rpc_event events[4];
    struct rpc_peer owner = {0}, gateway = {.gateway = 9, .shard = 1}, gone = {.gateway = 8};
    assert_int_equal(rpc->send(&two->far_rpc.port, &owner, SLICE_LITERAL("attach")), STATUS_OK);
    assert_int_equal(rpc->send(&two->near_rpc.port, &owner, SLICE_LITERAL("own")), STATUS_OK);
    assert_int_equal(rpc->poll(&two->near_rpc.port, events, 4), 2);
    assert_true(slice_equal(events[0].bytes, SLICE_LITERAL("own")));
    assert_true(slice_equal(events[1].bytes, SLICE_LITERAL("attach")));
    assert_int_equal(rpc->send(&two->near_rpc.port, &gateway, SLICE_LITERAL("deliver")), STATUS_OK);
    assert_int_equal(rpc->poll(&two->near_rpc.port, events, 4), 0);
    assert_int_equal(rpc->poll(&two->far_rpc.port, events, 4), 1);
    assert_true(slice_equal(events[0].bytes, SLICE_LITERAL("deliver")));
    assert_int_equal(rpc->send(&two->near_rpc.port, &gone, SLICE_LITERAL("x")), STATUS_BUSY);
    assert_int_equal(rpc->send(&two->near_rpc.port, &owner, SLICE_EMPTY), STATUS_TOO_LARGE);
}

#define STRESS 20000u

static void *produce(void *argument)
{
    struct pipe *pipe = argument;
    static uint8_t bytes[300];
    for (uint64_t i = 0; i < STRESS;) {
        memset(bytes, (int)(i & 0xff), sizeof bytes);
        struct pipe_message message = {.token = i, .bytes = slice_make(bytes, i % sizeof bytes)};
        if (pipe_put(pipe, &message) == STATUS_OK)
            i++;
        else
            (void)sched_yield();
    }
    return NULL;
}

/* Two threads, a pipe so small that it wraps and fills all the time. */
static void bytes_cross_threads_whole(void **state)
{
    (void)state;
    struct pipe pipe;
    struct pipe_message message;
    pthread_t thread;
    assert_int_equal(pipe_open(&pipe, 8, 1000), STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, produce, &pipe), 0);
    for (uint64_t i = 0; i < STRESS;) {
        if (!pipe_take(&pipe, &message)) {
            (void)sched_yield(); /* on one core the other thread may be what it waits for */
            continue;
        }
        assert_int_equal(message.token, i);
        assert_int_equal(message.bytes.bytes, i % 300);
        for (size_t at = 0; at < message.bytes.bytes; at++)
            assert_int_equal(message.bytes.at[at], i & 0xff);
        i++;
        pipe_release(&pipe);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(pipe_take(&pipe, &message));
    pipe_close(&pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appends_come_home, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_comes_home_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shard_may_have_so_many_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_go_both_ways, setup, teardown),
        cmocka_unit_test(bytes_cross_threads_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
