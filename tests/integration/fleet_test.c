/* SPDX-License-Identifier: Apache-2.0
 * The folds as a fleet: three processors over one simulated bus and one database seen through
 * chaos. Partitions change hands in mid-batch, old owners go on for a while, processes die and are
 * held up, appends and commits have unknown fates. At the end the chats' rows are those of a run
 * without a fault, and every chain is dense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/memory/memory_store.h"
#include "base/prng.h"
#include "fold_script.h"
#include "runtime/processor.h"
#include "sim/bus.h"
#include "sim/chaos.h"

#define NODES      3u
#define PARTITIONS 4u
#define STEPS_MAX  400000u

struct node {
    struct memory_store inner;
    struct chaos chaos;
    struct processor processor;
    bool up;
    uint64_t back_us, held_until_us;
};

struct fleet {
    struct prng prng;
    struct memory_db db;
    struct sim_bus bus;
    struct node nodes[NODES];
    uint64_t now_us;
    uint64_t crashes, holds;
};

struct marks { /* over all seeds: each fault fired */
    uint64_t crashes, holds, moves, zombies, zombie_records, zombie_appends, zombie_commits;
    uint64_t redeliveries, commits_lost, lost, landed_unknown, landed_late, crashed_landed;
    uint64_t busies, timeouts, beginnings, lates, overtaken, verified;
};

static struct marks marks;

static enum status rpc_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    (void)rpc;
    (void)peer;
    (void)bytes;
    return STATUS_OK;
}

static const struct rpc_vtable rpc_table = {rpc_send, NULL, NULL, NULL};
static struct rpc rpc = {&rpc_table};

static void node_start(struct fleet *fleet, uint32_t at)
{
    static const struct processor_options options = {16, {LANE_ROWS_MIN, 64}};
    struct node *node = &fleet->nodes[at];
    assert_int_equal(processor_open(&node->processor, sim_bus_port(&fleet->bus, at),
                                    &node->chaos.port, &rpc, &options),
                     STATUS_OK);
    node->up = true;
}

static void marks_add(struct node *node)
{
    for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        const struct lane *lane = node->processor.lanes[i];
        marks.overtaken += lane == NULL ? 0 : lane->overtaken;
        marks.verified += lane == NULL ? 0 : lane->verified;
    }
}

static void node_crash(struct fleet *fleet, uint32_t at)
{
    struct node *node = &fleet->nodes[at];
    marks_add(node);
    chaos_crash(&node->chaos);
    sim_bus_crash(&fleet->bus, at);
    processor_close(&node->processor);
    node->up = false;
    node->back_us = fleet->now_us + prng_below(&fleet->prng, 50000);
    fleet->crashes++;
}

static void fleet_open(struct fleet *fleet, uint64_t seed, bool rough)
{
    static const struct sim_bus_options calm_bus = {.partitions = PARTITIONS};
    static const struct sim_bus_options rough_bus = {
        .partitions = PARTITIONS,
        .land_min_us = 100,
        .land_max_us = 3000,
        .report_max_us = 1000,
        .timeout_lost = 10,
        .timeout_landed = 10,
        .timeout_late = 10,
        .late_max_us = 20000,
        .redelivered = 20,
        .commit_lost = 300,
        .zombie = 700,
        .zombie_max_us = 60000,
    };
    static const struct chaos_options calm_store = {0};
    static const struct chaos_options rough_store = {.delay_min_us = 50,
                                                     .delay_max_us = 1500,
                                                     .slow = 30,
                                                     .slow_max_us = 20000,
                                                     .busy = 20,
                                                     .timeout = 30,
                                                     .late = 500,
                                                     .late_max_us = 50000};
    memset(fleet, 0, sizeof *fleet);
    prng_init(&fleet->prng, seed);
    assert_int_equal(memory_db_open(&fleet->db, (size_t)64 << 20), STATUS_OK);
    sim_bus_init(&fleet->bus, rough ? &rough_bus : &calm_bus, seed + 1);
    for (uint32_t i = 0; i < NODES; i++) {
        struct node *node = &fleet->nodes[i];
        memory_store_open(&node->inner, &fleet->db);
        chaos_open(&node->chaos, &node->inner.port, rough ? &rough_store : &calm_store,
                   seed + 10 + i);
        node_start(fleet, i);
    }
}

static void fleet_close(struct fleet *fleet)
{
    for (uint32_t i = 0; i < NODES; i++) {
        struct node *node = &fleet->nodes[i];
        marks_add(node);
        processor_close(&node->processor);
        marks.busies += node->chaos.busies;
        marks.timeouts += node->chaos.timeouts;
        marks.beginnings += node->chaos.beginnings;
        marks.lates += node->chaos.lates;
        chaos_close(&node->chaos);
    }
    const struct sim_bus *bus = &fleet->bus;
    marks.crashes += fleet->crashes;
    marks.holds += fleet->holds;
    marks.moves += bus->moves;
    marks.zombies += bus->zombies;
    marks.zombie_records += bus->zombie_records;
    marks.zombie_appends += bus->zombie_appends;
    marks.zombie_commits += bus->zombie_commits;
    marks.redeliveries += bus->redeliveries;
    marks.commits_lost += bus->commits_lost;
    marks.lost += bus->lost;
    marks.landed_unknown += bus->landed_unknown;
    marks.landed_late += bus->landed_late;
    marks.crashed_landed += bus->crashed_landed;
    sim_bus_deinit(&fleet->bus);
    memory_db_close(&fleet->db);
}

static void node_turn(struct fleet *fleet, uint32_t at)
{
    struct node *node = &fleet->nodes[at];
    struct bus_event events[16];
    chaos_advance(&node->chaos, fleet->now_us);
    if (!node->up || node->held_until_us > fleet->now_us)
        return;
    struct bus *bus = sim_bus_port(&fleet->bus, at);
    size_t count = bus->vtable->poll(bus, events, 1 + prng_below(&fleet->prng, 16));
    for (size_t i = 0; i < count; i++)
        processor_on_bus(&node->processor, &events[i]);
    (void)processor_step(&node->processor);
    assert_false(node->processor.failed);
    for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        if (node->processor.lanes[i] != NULL)
            lane_check(node->processor.lanes[i]);
    }
}

static enum topic any_topic(struct fleet *fleet)
{
    return prng_chance(&fleet->prng, 500) ? TOPIC_MESSAGES : TOPIC_DELIVERIES;
}

/* Something breaks, now and then. */
static void trouble(struct fleet *fleet)
{
    uint32_t at = (uint32_t)prng_below(&fleet->prng, NODES);
    struct node *node = &fleet->nodes[at];
    if (node->up && prng_chance(&fleet->prng, 4)) {
        node_crash(fleet, at);
    } else if (node->up && prng_chance(&fleet->prng, 4)) {
        node->held_until_us = fleet->now_us + prng_below(&fleet->prng, 40000);
        fleet->holds++;
    } else if (node->up && prng_chance(&fleet->prng, 30)) {
        sim_bus_assign(&fleet->bus, any_topic(fleet),
                       (uint32_t)prng_below(&fleet->prng, PARTITIONS), at);
    }
}

/* Who is back starts; what nobody owns, somebody gets. */
static void repair(struct fleet *fleet)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (!fleet->nodes[i].up && fleet->nodes[i].back_us <= fleet->now_us)
            node_start(fleet, i);
    }
    enum topic topic = any_topic(fleet);
    uint32_t partition = (uint32_t)prng_below(&fleet->prng, PARTITIONS);
    uint32_t at = (uint32_t)prng_below(&fleet->prng, NODES);
    if (fleet->nodes[at].up && sim_bus_owner(&fleet->bus, topic, partition) == SIM_BUS_NOBODY)
        sim_bus_assign(&fleet->bus, topic, partition, at);
}

static void step(struct fleet *fleet, bool rough)
{
    fleet->now_us += 1 + prng_below(&fleet->prng, 400);
    sim_bus_advance(&fleet->bus, fleet->now_us);
    if (rough)
        trouble(fleet);
    repair(fleet);
    uint32_t first = (uint32_t)prng_below(&fleet->prng, NODES);
    for (uint32_t i = 0; i < NODES; i++)
        node_turn(fleet, (first + i) % NODES);
}

/* Has the owner of every partition finished all of it? */
static bool folded(const struct fleet *fleet)
{
    size_t done = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        const struct processor *processor = &fleet->nodes[i].processor;
        for (size_t k = 0; fleet->nodes[i].up && k < PROCESSOR_LANES_MAX; k++) {
            const struct lane *lane = processor->lanes[k];
            if (lane == NULL || processor->leaving[k] ||
                sim_bus_owner(&fleet->bus, lane->topic, lane->partition) != i)
                continue;
            done +=
                lane->state == LANE_FILL &&
                lane->done_offset ==
                    processor->bus->vtable->ends(processor->bus, lane->topic, lane->partition).next;
        }
        if (chaos_next_due_us(&fleet->nodes[i].chaos) != UINT64_MAX)
            return false;
    }
    return done == SIM_BUS_TOPICS * PARTITIONS && sim_bus_quiet(&fleet->bus);
}

static void run(struct fleet *fleet, const struct script *script, bool rough)
{
    size_t next = 0;
    uint32_t steps = 0;
    while (next < script->count || (rough && steps < 3000)) {
        assert_true(steps++ < STEPS_MAX);
        step(fleet, rough);
        if (next < script->count && prng_chance(&fleet->prng, 100)) {
            const struct script_entry *entry = &script->entries[next++];
            struct bus_record record = {
                .topic = entry->topic, .append_us = 1000 * next, .bytes = entry->bytes};
            memcpy(record.key, entry->key, ID_BYTES);
            sim_bus_put(&fleet->bus, &record);
        }
    }
    sim_bus_heal(&fleet->bus);
    for (uint32_t i = 0; i < NODES; i++)
        chaos_heal(&fleet->nodes[i].chaos);
    for (steps = 0; !folded(fleet); steps++) {
        if (steps == STEPS_MAX)
            fail_msg("the fleet does not settle");
        step(fleet, false);
    }
}

static void one_seed(uint64_t seed)
{
    static struct fleet calm, rough;
    static struct script script;
    script_open(&script, seed);
    fleet_open(&calm, seed, false);
    fleet_open(&rough, seed + 1, true);
    run(&calm, &script, false);
    run(&rough, &script, true);
    script_as_the_model_says(&calm.db, &script);
    script_chains_are_dense(&calm.db, &script);
    script_chains_are_dense(&rough.db, &script);
    script_receipts_not_lost(&calm.db, &rough.db);
    script_same_rows(&calm.db, &rough.db, false);
    script_close(&script);
    fleet_close(&calm);
    fleet_close(&rough);
}

#define SEEDS 40u

static void a_rough_fleet_ends_as_a_calm_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed);
}

static void every_fault_fired(void **state)
{
    (void)state;
    const uint64_t *each = (const uint64_t *)&marks;
    for (size_t i = 0; i < sizeof marks / sizeof *each; i++)
        assert_true(each[i] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rough_fleet_ends_as_a_calm_one),
        cmocka_unit_test(every_fault_fired),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
