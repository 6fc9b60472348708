/* SPDX-License-Identifier: Apache-2.0
 * The folds over a random log, with a crash at any write of the store and any append, on one
 * machine and as a fleet of two logs: the chats' rows end as without a crash and as a naive model
 * says, and every (user, chat) chain is dense, each number once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "fold_script.h"
#include "runtime/processor.h"

#define LOG_MAX 8192u

/* ---- a bus of two topics, or of one log ---- */

struct entry {
    enum topic topic;
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct test_bus {
    struct bus port;
    bool single;
    struct entry *logs[2];
    size_t counts[2];
    uint64_t at[2], committed[2];
    bool consumed[2];
    struct bus_event done[LOG_MAX];
    size_t done_first, done_last;
    struct arena *arena;
    struct prng *prng;
    uint64_t *fuse; /* operations until the crash */
};

static size_t log_of(const struct test_bus *bus, enum topic topic)
{
    return bus->single || topic == TOPIC_MESSAGES ? 0 : 1;
}

static struct bus_facts bus_facts(const struct bus *port)
{
    return (struct bus_facts){1, ((const struct test_bus *)port)->single, 1};
}

static void put(struct test_bus *bus, enum topic topic, const uint8_t *key, struct slice bytes)
{
    size_t log = log_of(bus, topic);
    assert_true(bus->counts[log] < LOG_MAX);
    struct entry *entry = &bus->logs[log][bus->counts[log]++];
    entry->topic = topic;
    memcpy(entry->key, key, ID_BYTES);
    entry->bytes = arena_copy(bus->arena, bytes);
}

/* After the fuse has burnt nothing arrives any more; before, an append may time out, landed or
 * not. */
static enum status bus_append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                              struct slice bytes, uint64_t token)
{
    struct test_bus *bus = (struct test_bus *)port;
    if (*bus->fuse == 0 || bus->done_last == LOG_MAX)
        return STATUS_BUSY;
    (*bus->fuse)--;
    bool late = prng_chance(bus->prng, 20);
    if (!late || prng_chance(bus->prng, 500))
        put(bus, topic, key, bytes);
    bus->done[bus->done_last++] = (struct bus_event){
        .kind = BUS_APPENDED, .token = token, .status = late ? STATUS_TIMEOUT : STATUS_OK};
    return STATUS_OK;
}

static size_t bus_poll(struct bus *port, struct bus_event *out, size_t max)
{
    struct test_bus *bus = (struct test_bus *)port;
    size_t count = 0;
    while (count < max && bus->done_first < bus->done_last)
        out[count++] = bus->done[bus->done_first++];
    if (bus->done_first == bus->done_last)
        bus->done_first = bus->done_last = 0;
    for (size_t log = 0; log < 2; log++) {
        while (count < max && bus->consumed[log] && bus->at[log] < bus->counts[log]) {
            const struct entry *entry = &bus->logs[log][bus->at[log]];
            struct bus_event *event = &out[count++];
            *event = (struct bus_event){.kind = BUS_RECORD};
            event->record = (struct bus_record){.topic = entry->topic,
                                                .log_epoch = 1,
                                                .offset = bus->at[log],
                                                .append_us = 1000 * bus->at[log],
                                                .bytes = entry->bytes};
            memcpy(event->record.key, entry->key, ID_BYTES);
            bus->at[log]++;
        }
    }
    return count;
}

static void bus_consume(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    bus->at[log_of(bus, topic)] = offset;
    bus->consumed[log_of(bus, topic)] = true;
}

static void bus_pause(struct bus *port, enum topic topic, uint32_t partition, bool paused)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    bus->consumed[log_of(bus, topic)] = !paused;
}

static void bus_commit(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    if (*bus->fuse > 0 && prng_chance(bus->prng, 500))
        bus->committed[log_of(bus, topic)] = offset;
}

static struct bus_ends bus_ends(const struct bus *port, enum topic topic, uint32_t partition)
{
    const struct test_bus *bus = (const struct test_bus *)port;
    (void)partition;
    return (struct bus_ends){0, bus->counts[log_of(bus, topic)]};
}

static uint64_t bus_committed(const struct bus *port, enum topic topic, uint32_t partition)
{
    const struct test_bus *bus = (const struct test_bus *)port;
    (void)partition;
    return bus->committed[log_of(bus, topic)];
}

static const struct bus_vtable bus_table = {bus_facts, bus_append, bus_poll, bus_consume,
                                            bus_pause, bus_commit, bus_ends, bus_committed};

/* ---- a store that applies a batch write by write, until the fuse has burnt ---- */

struct test_store {
    struct store port;
    struct memory_store inner;
    uint64_t *fuse;
    struct prng *prng;
};

static void store_submit(struct store *port, struct store_request *request)
{
    struct test_store *store = (struct test_store *)port;
    size_t count = request->writes_count;
    if (request->op == STORE_COMMIT) {
        size_t fits = 0; /* one partition is atomic */
        while (fits<count && * store->fuse> 0) {
            (*store->fuse)--;
            fits++;
            while (fits < count &&
                   row_same_partition(&request->writes[fits - 1].key, &request->writes[fits].key))
                fits++;
        }
        request->writes_count = fits;
    }
    store->inner.port.vtable->submit(&store->inner.port, request);
    request->writes_count = count;
}

static size_t store_poll(struct store *port, struct store_request **done, size_t max)
{
    struct test_store *store = (struct test_store *)port;
    if (*store->fuse == 0)
        return 0; /* the crash came before the answer */
    if (prng_chance(store->prng, 300))
        return 0; /* it comes later: a lane folds on over what is being committed */
    return store->inner.port.vtable->poll(&store->inner.port, done, max);
}

static const struct store_vtable store_table = {store_submit, store_poll};

static enum status rpc_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    (void)rpc;
    (void)peer;
    (void)bytes;
    return STATUS_OK;
}

static const struct rpc_vtable rpc_table = {rpc_send, NULL, NULL, NULL};

/* ---- one world ---- */

struct world {
    struct arena arena;
    struct prng prng;
    struct test_bus bus;
    struct test_store store;
    struct memory_db db;
    uint64_t fuse;
    uint64_t crashes;
};

static struct rpc rpc = {&rpc_table};

static void world_open(struct world *world, bool single)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)64 << 20);
    assert_int_equal(memory_db_open(&world->db, (size_t)64 << 20), STATUS_OK);
    world->bus.port.vtable = &bus_table;
    world->bus.single = single;
    world->bus.arena = &world->arena;
    world->bus.prng = world->store.prng = &world->prng;
    world->bus.fuse = world->store.fuse = &world->fuse;
    world->store.port.vtable = &store_table;
    for (size_t i = 0; i < 2; i++)
        world->bus.logs[i] = ARENA_ARRAY(&world->arena, struct entry, LOG_MAX);
}

static void world_close(struct world *world)
{
    memory_db_close(&world->db);
    arena_deinit(&world->arena);
}

/* One life of the process: until the fuse has burnt, or all is folded. True when all is folded. */
static bool life(struct world *world)
{
    static struct processor processor;
    struct bus_event events[32];
    struct processor_options options = {.devices_max = 16};
    bool folded = false;
    uint64_t now_ms = 0;
    if (prng_chance(&world->prng, 500))
        options.bounds = (struct lane_bounds){LANE_ROWS_MIN, 64, 3000};
    memory_store_open(&world->store.inner, &world->db);
    world->bus.done_first = world->bus.done_last = 0;
    world->bus.consumed[0] = world->bus.consumed[1] = false;
    assert_int_equal(
        processor_open(&processor, &world->bus.port, &world->store.port, &rpc, &options),
        STATUS_OK);
    for (int topic = TOPIC_MESSAGES; !world->bus.single && topic <= TOPIC_DELIVERIES; topic++) {
        struct bus_event event = {.kind = BUS_ASSIGNED, .topic = (enum topic)topic};
        processor_on_bus(&processor, &event);
    }
    while (world->fuse > 0 && !folded) {
        size_t count = bus_poll(&world->bus.port, events, 1 + prng_below(&world->prng, 32));
        for (size_t i = 0; i < count; i++)
            processor_on_bus(&processor, &events[i]);
        now_ms += prng_below(&world->prng, LANE_COMPANY_MS);
        (void)processor_step(&processor, now_ms);
        assert_false(processor.failed);
        for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
            if (processor.lanes[i] != NULL)
                lane_check(processor.lanes[i]);
        }
        folded = processor_caught_up(&processor);
    }
    processor_close(&processor);
    return folded;
}

static void run(struct world *world, const struct script *script, uint64_t seed, bool crashing)
{
    prng_init(&world->prng, seed);
    for (size_t i = 0; i < script->count; i++)
        put(&world->bus, script->entries[i].topic, script->entries[i].key,
            script->entries[i].bytes);
    for (;;) {
        world->fuse = UINT64_MAX;
        if (crashing && world->crashes < 20)
            world->fuse = 1 + prng_below(&world->prng, 120);
        if (life(world))
            break;
        world->crashes++;
        assert_true(world->crashes < 1000);
    }
}

static void one_seed(uint64_t seed, bool single)
{
    static struct world calm, rough;
    static struct script script;
    script_open(&script, seed);
    world_open(&calm, single);
    world_open(&rough, single);
    run(&calm, &script, seed, false);
    run(&rough, &script, seed + 1, true);
    assert_true(rough.crashes > 0);
    script_same_rows(&calm.db, &rough.db, single);
    script_as_the_model_says(&calm.db, &script);
    script_chains_are_dense(&calm.db, &script);
    script_chains_are_dense(&rough.db, &script);
    script_receipts_not_lost(&calm.db, &rough.db);
    script_close(&script);
    world_close(&calm);
    world_close(&rough);
}

#define SEEDS 15u

static void crashes_on_one_machine(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed, true);
}

static void crashes_in_a_fleet(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_on_one_machine),
        cmocka_unit_test(crashes_in_a_fleet),
    };
    return cmocka_run_group_tests_name("folds over a crashing store", tests, NULL, NULL);
}
