/* SPDX-License-Identifier: Apache-2.0
 * The folds as a fleet: three processors over one simulated bus and one database seen through
 * chaos. Partitions change hands in mid-batch, old owners go on for a while, processes die and are
 * held up, appends and commits have unknown fates. At the end the chats' rows are those of a run
 * without a fault, every chain is dense, and what nobody can read lies in the quarantine. */
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
    bool newer; /* a newer program's record is about: who meets it stops */
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
    static const struct processor_options options = {16, {LANE_ROWS_MIN, 64, 0}};
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
    (void)processor_step(&node->processor, fleet->now_us / 1000);
    assert_true(fleet->newer || !node->processor.failed);
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
    return done == 2 * (size_t)PARTITIONS && sim_bus_quiet(&fleet->bus);
}

/* ---- what no fold sees ---- */

#define PLANTED 12u

static const enum topic topics[] = {TOPIC_MESSAGES, TOPIC_DELIVERIES};

/* A record that nobody can read; the 4th does not fit into one copy. */
static struct bus_record planted(uint32_t number)
{
    static uint8_t bytes[BUS_RECORD_BYTES_MAX];
    struct bus_record record = {.topic = topics[number % 2], .append_us = 7};
    record.bytes = slice_make(bytes, number == 3 ? sizeof bytes : 8 + number);
    record.key[7] = (uint8_t)number;
    memset(bytes, 0xEE, record.bytes.bytes);
    bytes[0] = FOLD_RECORD_VERSION;
    bytes[record.bytes.bytes - 1] = bytes[1] = (uint8_t)number;
    return record;
}

static void put_version(struct fleet *fleet, enum topic topic, uint32_t partition, uint32_t version)
{
    static uint8_t space[64];
    struct arena arena;
    struct bus_record record = {.topic = topic};
    struct pb_record body = {.body_case = PB_RECORD_BODY_VERSION};
    body.body.version.version = version;
    record.key[7] = (uint8_t)partition;
    arena_init(&arena, 4096);
    struct slice packed = pb_record_pack_v1(&body, &arena);
    memcpy(space, packed.at, packed.bytes);
    record.bytes = slice_make(space, packed.bytes);
    sim_bus_put(&fleet->bus, &record);
    arena_deinit(&arena);
}

/* Behind the same records of the script in every world: rows bear the offset of their record. */
static void plant(struct fleet *fleet, size_t behind)
{
    uint32_t number = (uint32_t)behind / 8;
    struct bus_record record = planted(number);
    if (behind % 8 == 0 && number < PLANTED)
        sim_bus_put(&fleet->bus, &record);
    if (behind % 8 == 4 && number < 2 * PARTITIONS)
        put_version(fleet, topics[number % 2], number / 2, FOLD_VERSION);
}

/* Add to `covered` how much of each planted record the copies in one partition hold. */
static void copies_count(const struct sim_bus_log *log, size_t *covered, struct arena *arena)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct sim_bus_entry *entry = &log->entries[i];
        struct slice inner;
        struct pb_record body;
        assert_int_equal(pb_unwrap(entry->bytes, FOLD_RECORD_VERSION, &inner), STATUS_OK);
        assert_int_equal(pb_record_decode(inner, arena, &body), STATUS_OK);
        assert_int_equal(body.body_case, PB_RECORD_BODY_QUARANTINED);
        const struct pb_quarantined *copy = &body.body.quarantined;
        assert_true(entry->key[7] < PLANTED);
        struct bus_record record = planted(entry->key[7]);
        assert_int_equal(copy->topic, record.topic);
        assert_int_equal(copy->append_us, record.append_us);
        assert_int_equal(copy->whole_bytes, record.bytes.bytes);
        assert_true(copy->from + copy->bytes.bytes <= record.bytes.bytes);
        assert_memory_equal(copy->bytes.at, record.bytes.at + copy->from, copy->bytes.bytes);
        if (copy->from == 0 || copy->from == covered[entry->key[7]]) /* else a repeat */
            covered[entry->key[7]] = copy->from + copy->bytes.bytes;
    }
}

static void the_unreadable_is_in_quarantine(const struct fleet *fleet, uint32_t count, bool once)
{
    size_t covered[PLANTED] = {0}, copies = 0;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct sim_bus_log *log = &fleet->bus.logs[TOPIC_QUARANTINE - 1][i];
        copies += log->count;
        copies_count(log, covered, &arena);
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(covered[i], planted(i).bytes.bytes);
    if (once)
        assert_int_equal(copies, count + (count > 3));
    arena_deinit(&arena);
}

static uint64_t version_noted(struct fleet *fleet, enum topic topic, uint32_t partition)
{
    struct row_key key = row_key_make(TABLE_META, NULL, NULL, META_FOLD_VERSION), at = key;
    key.a[1] = (uint8_t)partition;
    key.a[2] = (uint8_t)topic;
    at.n--;
    for (const struct row *row; (row = memory_db_next(&fleet->db, &at)) != NULL; at = row->key)
        if (row_key_compare(&row->key, &key) == 0)
            return row->columns[0];
    return 0;
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
            plant(fleet, next - 1);
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
    the_unreadable_is_in_quarantine(&calm, PLANTED, true);
    the_unreadable_is_in_quarantine(&rough, PLANTED, false);
    for (uint32_t i = 0; i < 2 * PARTITIONS; i++)
        assert_int_equal(version_noted(&rough, topics[i % 2], i / 2), FOLD_VERSION);
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

/* Until the owner of `partition` has stopped; its number. */
static uint32_t stopped(struct fleet *fleet, uint32_t partition, uint32_t but)
{
    for (uint32_t steps = 0; steps < STEPS_MAX; steps++) {
        step(fleet, false);
        for (uint32_t i = 0; i < NODES; i++) {
            const struct processor *processor = &fleet->nodes[i].processor;
            if (i == but || !processor->failed)
                continue;
            const struct lane *lane = processor_stopped(processor);
            assert_non_null(lane);
            assert_int_equal(lane->stop, LANE_STOP_FOLD_VERSION);
            assert_int_equal(lane->topic, TOPIC_MESSAGES);
            assert_int_equal(lane->partition, partition);
            assert_int_equal(lane->stop_offset, 1);
            return i;
        }
    }
    fail_msg("nobody stops");
    return NODES;
}

/* What stands before a newer version is finished; whoever gets the partition stops at it too. */
static void a_newer_version_stops_every_owner(void **state)
{
    static struct fleet fleet;
    (void)state;
    fleet_open(&fleet, 1, false);
    fleet.newer = true;
    struct bus_record before = planted(0);
    sim_bus_put(&fleet.bus, &before);
    put_version(&fleet, TOPIC_MESSAGES, 0, FOLD_VERSION + 1);
    struct bus_record behind = planted(4); /* of the same partition */
    sim_bus_put(&fleet.bus, &behind);
    uint32_t first = stopped(&fleet, 0, NODES);
    sim_bus_assign(&fleet.bus, TOPIC_MESSAGES, 0, (first + 1) % NODES);
    assert_int_equal(stopped(&fleet, 0, first), (first + 1) % NODES);
    for (int i = 0; i < 1000; i++)
        step(&fleet, false);
    the_unreadable_is_in_quarantine(&fleet, 1, true);
    assert_int_equal(fleet.bus.logs[0][0].committed, 1);
    assert_int_equal(version_noted(&fleet, TOPIC_MESSAGES, 0), 0);
    fleet_close(&fleet);
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
        cmocka_unit_test(a_newer_version_stops_every_owner),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
