/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-sim/fleet.h"

#include <string.h>

#include "base/assert.h"

#define STORE_BYTES ((size_t)256 << 20)
#define SECOND_US   UINT64_C(1000000)
/* A gateway that is cut off from the owner of an inbox hears of no sign-out: the two seconds of I18
 * hold where links are mended sooner (ADR 0033). */
#define LINK_BREAK_US (1 * SECOND_US)
#define ANNOUNCE_US   (5 * SECOND_US)
#define SEED_BUS      UINT64_C(0x66)
#define SEED_STORE    UINT64_C(0x77)
#define SEED_LINKS    UINT64_C(0x88)
#define SEED_FLEET    UINT64_C(0x99)
#define SEED_ENTROPY  UINT64_C(0xaa)

static struct fleet *fleet_of(struct cluster *cluster)
{
    return (struct fleet *)(void *)cluster;
}

static const struct fleet_node *node_at(const struct cluster *cluster, uint32_t server)
{
    return &((const struct fleet *)(const void *)cluster)->nodes[server - SIM_SERVER_FIRST];
}

static void advance(struct fleet *fleet)
{
    uint64_t now_us = fleet->wires->loop->now_us;
    sim_bus_advance(&fleet->bus, now_us);
    sim_rpc_advance(&fleet->rpc, now_us);
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        chaos_advance(&fleet->nodes[i].store, now_us);
        chaos_advance(&fleet->nodes[i].processor_store, now_us);
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Whoever has something to do is woken: one node's turn may be another one's work. */
static void wake_all(struct fleet *fleet)
{
    struct sim_loop *loop = fleet->wires->loop;
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        struct fleet_node *node = &fleet->nodes[i];
        if (!node->up)
            continue;
        uint64_t due = sim_bus_node_due_us(&fleet->bus, i);
        due = sooner(due, sim_rpc_next_due_us(&fleet->rpc, i));
        due = sooner(due, chaos_next_due_us(&node->store));
        due = sooner(due, chaos_next_due_us(&node->processor_store));
        due = sooner(due, sooner(node->announce_us, fleet->spread_us));
        due = due > node->held_until_us ? due : node->held_until_us;
        sim_wake(loop, SIM_SERVER_FIRST + i, due > loop->now_us ? due : loop->now_us + 20);
    }
}

/* ---- who owns what ---- */

static void spread(struct fleet *fleet)
{
    uint32_t up[FLEET_NODES], count = 0;
    fleet->spread_us = SIM_NEVER;
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        if (fleet->nodes[i].up)
            up[count++] = i;
    }
    for (uint32_t i = 0; count > 0 && i < FLEET_PARTITIONS; i++) {
        sim_bus_assign(&fleet->bus, TOPIC_MESSAGES, i, up[i % count]);
        sim_bus_assign(&fleet->bus, TOPIC_DELIVERIES, i, up[(i + 1) % count]);
    }
}

static void spread_soon(struct fleet *fleet, uint64_t within_us)
{
    uint64_t at_us = fleet->wires->loop->now_us + prng_below(&fleet->prng, within_us);
    fleet->spread_us = sooner(fleet->spread_us, at_us);
}

/* Owners tell all gateways their partitions on assignment and every 5 s (storage §8). */
static void announce(struct fleet *fleet, uint32_t at)
{
    struct fleet_node *node = &fleet->nodes[at];
    uint64_t now_us = fleet->wires->loop->now_us;
    bool due = node->announce_us <= now_us;
    if (due)
        node->announce_us = now_us + ANNOUNCE_US;
    for (uint32_t i = 0; i < FLEET_PARTITIONS; i++) {
        uint64_t known = sim_bus_knows(&fleet->bus, TOPIC_DELIVERIES, i, at);
        if (known != 0 && (due || node->announced[i] != known))
            sim_rpc_announce(&fleet->rpc, at, i);
        node->announced[i] = known;
    }
}

/* ---- the cluster ---- */

static void start(struct cluster *cluster, uint32_t server)
{
    struct fleet *fleet = fleet_of(cluster);
    uint32_t at = server - SIM_SERVER_FIRST;
    struct fleet_node *node = &fleet->nodes[at];
    assert(!node->up);
    fleet->starts++;
    advance(fleet);
    sim_trace(fleet->wires->loop, server, SIM_TRACE_START, fleet->starts, 0);
    node->held_until_us = 0;
    node->announce_us = fleet->wires->loop->now_us + ANNOUNCE_US;
    memset(node->announced, 0, sizeof node->announced);
    struct sim_node_options options = {
        .who = server,
        .seed = sim_mix(sim_mix(fleet->seed, SEED_ENTROPY), fleet->starts),
        .instance = fleet->starts,
        .sign_up = POLICY_OPEN,
        .password_us = fleet->swarm->password_us,
        .swarm = fleet->swarm,
    };
    struct sim_node_ports ports = {.bus = sim_bus_port(&fleet->bus, at),
                                   .store = &node->store.port,
                                   .processor_store = &node->processor_store.port,
                                   .rpc = sim_rpc_start(&fleet->rpc, at, fleet->starts)};
    enum status status = sim_node_start(&node->node, fleet->wires, &options, &ports);
    assert(status == STATUS_OK);
    node->up = true;
    spread_soon(fleet, SECOND_US / 2);
    wake_all(fleet);
}

static void kill_process(struct cluster *cluster, uint32_t server, bool power)
{
    struct fleet *fleet = fleet_of(cluster);
    uint32_t at = server - SIM_SERVER_FIRST;
    struct fleet_node *node = &fleet->nodes[at];
    assert(node->up);
    advance(fleet);
    chaos_crash(&node->store);
    chaos_crash(&node->processor_store);
    sim_bus_crash(&fleet->bus, at);
    sim_rpc_kill(&fleet->rpc, at);
    sim_node_kill(&node->node, power);
    node->up = false;
    spread_soon(fleet, 3 * SECOND_US);
    wake_all(fleet);
}

static void check_alarms(struct fleet *fleet, const struct fleet_node *node)
{
    const struct shard *shard = &node->node.shard;
    if (sim_node_failed(&node->node))
        fleet->cluster.broken = "a processor cannot go on";
    if (shard->gateway.rollback)
        fleet->cluster.broken = "a device proved a rollback";
    if (processor_read_only(&shard->processor))
        fleet->cluster.broken = "an owner went read-only";
}

static void turn(struct cluster *cluster, uint32_t server)
{
    struct fleet *fleet = fleet_of(cluster);
    uint32_t at = server - SIM_SERVER_FIRST;
    struct fleet_node *node = &fleet->nodes[at];
    uint64_t now_us = fleet->wires->loop->now_us;
    if (!node->up)
        return;
    advance(fleet);
    if (fleet->spread_us <= now_us)
        spread(fleet);
    if (node->held_until_us <= now_us) {
        sim_node_turn(&node->node);
        announce(fleet, at);
        check_alarms(fleet, node);
    }
    wake_all(fleet);
}

static bool is_up(const struct cluster *cluster, uint32_t server)
{
    return node_at(cluster, server)->up;
}

static bool is_ready(const struct cluster *cluster, uint32_t server)
{
    const struct fleet *fleet = (const struct fleet *)(const void *)cluster;
    const struct fleet_node *node = node_at(cluster, server);
    for (uint32_t i = 0; i < FLEET_PARTITIONS; i++) {
        if (sim_bus_owner(&fleet->bus, TOPIC_MESSAGES, i) == SIM_BUS_NOBODY ||
            sim_bus_owner(&fleet->bus, TOPIC_DELIVERIES, i) == SIM_BUS_NOBODY)
            return false;
    }
    return node->up && fleet->spread_us == SIM_NEVER &&
           processor_caught_up(&node->node.shard.processor);
}

static void hold(struct fleet *fleet, uint32_t at, uint64_t until_us)
{
    fleet->nodes[at].held_until_us = until_us;
    sim_wake(fleet->wires->loop, SIM_SERVER_FIRST + at, until_us);
}

/* A partition moves, a process stands still and loses what it owns, or a link breaks. */
static void fault(struct cluster *cluster, enum sim_mark what, struct prng *prng)
{
    struct fleet *fleet = fleet_of(cluster);
    uint64_t now_us = fleet->wires->loop->now_us;
    uint32_t at = (uint32_t)prng_below(prng, FLEET_NODES);
    uint32_t other = (at + 1 + (uint32_t)prng_below(prng, FLEET_NODES - 1)) % FLEET_NODES;
    uint64_t until_us = now_us + 1000 + prng_below(prng, 4 * SECOND_US);
    uint32_t partition = (uint32_t)prng_below(prng, FLEET_PARTITIONS);
    advance(fleet);
    if (what != SIM_MARK_FLEET_HAND_OVER || !fleet->nodes[at].up || !fleet->nodes[other].up)
        return;
    if (prng_chance(prng, 700)) {
        sim_bus_assign(&fleet->bus, prng_chance(prng, 500) ? TOPIC_MESSAGES : TOPIC_DELIVERIES,
                       partition, at);
    } else if (prng_chance(prng, 500)) {
        hold(fleet, at, until_us);
        for (uint32_t i = 0; i < FLEET_PARTITIONS; i++) {
            if (sim_bus_owner(&fleet->bus, TOPIC_DELIVERIES, i) == at)
                sim_bus_assign(&fleet->bus, TOPIC_DELIVERIES, i, other);
            if (sim_bus_owner(&fleet->bus, TOPIC_MESSAGES, i) == at)
                sim_bus_assign(&fleet->bus, TOPIC_MESSAGES, i, other);
        }
    } else {
        sim_rpc_break(&fleet->rpc, at, other, now_us + 1000 + prng_below(prng, LINK_BREAK_US));
    }
    wake_all(fleet);
}

static void marks_set(struct fleet *fleet)
{
    uint64_t *count = fleet->wires->marks->count;
    count[SIM_MARK_FLEET_HAND_OVER] = fleet->bus.moves;
    count[SIM_MARK_FLEET_LATE_OWNER] = fleet->bus.zombie_records;
    count[SIM_MARK_FLEET_REDELIVERY] = fleet->bus.redeliveries;
    count[SIM_MARK_FLEET_APPEND_UNKNOWN] =
        fleet->bus.lost + fleet->bus.landed_unknown + fleet->bus.landed_late;
    count[SIM_MARK_FLEET_RPC_LOST] = fleet->rpc.lost;
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        const struct fleet_node *node = &fleet->nodes[i];
        count[SIM_MARK_FLEET_STORE_DELAY] += node->store.slows + node->processor_store.slows;
        count[SIM_MARK_FLEET_STORE_TIMEOUT] +=
            node->store.timeouts + node->processor_store.timeouts;
    }
}

static void heal(struct cluster *cluster)
{
    struct fleet *fleet = fleet_of(cluster);
    advance(fleet);
    marks_set(fleet);
    sim_bus_heal(&fleet->bus);
    sim_rpc_heal(&fleet->rpc);
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        chaos_heal(&fleet->nodes[i].store);
        chaos_heal(&fleet->nodes[i].processor_store);
        fleet->nodes[i].held_until_us = 0;
    }
    wake_all(fleet);
}

static void close_all(struct cluster *cluster)
{
    struct fleet *fleet = fleet_of(cluster);
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        if (fleet->nodes[i].up)
            kill_process(cluster, SIM_SERVER_FIRST + i, false);
        chaos_close(&fleet->nodes[i].store);
        chaos_close(&fleet->nodes[i].processor_store);
    }
    sim_rpc_deinit(&fleet->rpc);
    sim_bus_deinit(&fleet->bus);
    memory_db_close(&fleet->db);
}

/* ---- what one seed is about ---- */

static uint32_t sometimes(struct prng *prng, uint32_t most)
{
    return prng_chance(prng, 500) ? (uint32_t)prng_range(prng, 1, most) : 0;
}

static struct sim_bus_options bus_draw(struct prng *prng)
{
    struct sim_bus_options options = {.partitions = FLEET_PARTITIONS};
    options.land_min_us = prng_range(prng, 100, 3000);
    options.land_max_us = options.land_min_us + prng_range(prng, 0, 20000);
    options.report_max_us = prng_range(prng, 0, 5000);
    options.timeout_lost = sometimes(prng, 20);
    options.timeout_landed = sometimes(prng, 20);
    options.timeout_late = sometimes(prng, 10);
    options.late_max_us = prng_range(prng, 1000, 3 * SECOND_US);
    options.redelivered = sometimes(prng, 20);
    options.commit_lost = sometimes(prng, 500);
    options.zombie = sometimes(prng, 1000);
    options.zombie_max_us = prng_range(prng, 1000, 10 * SECOND_US);
    options.skew_max_us = prng_chance(prng, 300) ? SECOND_US : 0;
    return options;
}

static struct chaos_options chaos_draw(struct prng *prng)
{
    struct chaos_options options = {.delay_min_us = prng_range(prng, 20, 500)};
    options.delay_max_us = options.delay_min_us + prng_range(prng, 0, 3000);
    options.slow = sometimes(prng, 10);
    options.slow_max_us = prng_range(prng, 1000, SECOND_US);
    options.busy = sometimes(prng, 20);
    options.timeout = sometimes(prng, 20);
    options.late = sometimes(prng, 1000);
    options.late_max_us = prng_range(prng, 1000, 2 * SECOND_US);
    return options;
}

static const struct cluster_vtable vtable = {.start = start,
                                             .kill = kill_process,
                                             .turn = turn,
                                             .up = is_up,
                                             .ready = is_ready,
                                             .fault = fault,
                                             .heal = heal,
                                             .close = close_all};

void fleet_open(struct fleet *fleet, struct sim_wires *wires, const struct swarm *swarm,
                uint64_t seed)
{
    memset(fleet, 0, sizeof *fleet);
    fleet->cluster = (struct cluster){.vtable = &vtable, .count = FLEET_NODES};
    fleet->wires = wires;
    fleet->swarm = swarm;
    fleet->seed = seed;
    fleet->spread_us = SIM_NEVER;
    prng_init(&fleet->prng, sim_mix(seed, SEED_FLEET));
    enum status status = memory_db_open(&fleet->db, STORE_BYTES);
    assert(status == STATUS_OK);
    struct sim_bus_options bus = bus_draw(&fleet->prng);
    struct chaos_options chaos = chaos_draw(&fleet->prng);
    struct sim_rpc_options links = {.partitions = FLEET_PARTITIONS,
                                    .latency_min_us = bus.land_min_us,
                                    .latency_max_us = bus.land_max_us,
                                    .broken = sometimes(&fleet->prng, 5),
                                    .broken_max_us = prng_range(&fleet->prng, 1000, LINK_BREAK_US)};
    sim_bus_init(&fleet->bus, &bus, sim_mix(seed, SEED_BUS));
    sim_rpc_init(&fleet->rpc, &links, sim_mix(seed, SEED_LINKS));
    for (uint32_t i = 0; i < FLEET_NODES; i++) {
        struct fleet_node *node = &fleet->nodes[i];
        memory_store_open(&node->under, &fleet->db);
        memory_store_open(&node->processor_under, &fleet->db);
        uint64_t at = sim_mix(sim_mix(seed, SEED_STORE), i);
        chaos_open(&node->store, &node->under.port, &chaos, at);
        chaos_open(&node->processor_store, &node->processor_under.port, &chaos, at + 1);
    }
}
