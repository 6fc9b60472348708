/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-sim/machine.h"

#include <string.h>

#include "base/assert.h"

#define SEED_DISK    UINT64_C(0x44)
#define SEED_START   UINT64_C(0x55)
#define SEED_KEEP    UINT64_C(0x66)
#define STORE_BYTES  ((size_t)256 << 20)
#define RECORD_BYTES (96u << 10)
#define GROUP_BYTES  (128u << 10)
#define SEGMENT      (512u << 10)
#define SERVER       SIM_SERVER_FIRST
#define HOUR_US      (UINT64_C(3600) * 1000000)

/* Met now and then by a burst, yet never so low that a run takes for ever. */
static const struct limit limits[RATE_CLASSES] = {
    [RATE_SEND] = {.size = 50, .back_ms = 10},  [RATE_LOOKUP] = {.size = 5, .back_ms = 500},
    [RATE_READ] = {.size = 20, .back_ms = 100}, [RATE_WRITE] = {.size = 20, .back_ms = 50},
    [RATE_LOGIN] = {.size = 3, .back_ms = 500}, [RATE_LOGIN_ACCOUNT] = {.size = 3, .back_ms = 500},
};

static struct machine *machine_of(struct cluster *cluster)
{
    return (struct machine *)(void *)cluster;
}

static struct sim_loop *loop_of(struct machine *machine)
{
    return machine->wires->loop;
}

static void start(struct cluster *cluster, uint32_t server)
{
    struct machine *machine = machine_of(cluster);
    uint64_t seed = sim_mix(sim_mix(machine->seed, SEED_START), ++machine->starts);
    assert(server == SERVER && !machine->up);
    machine->up = true;
    machine->serves = false;
    sim_trace(loop_of(machine), SERVER, SIM_TRACE_START, machine->starts, 0);
    sim_clock_open(&machine->clock, loop_of(machine));
    machine->clock.offset_us = machine->node.clock.offset_us = machine->clock_offset_us;
    sim_entropy_open(&machine->entropy, seed);
    struct log_options options = log_options_default();
    options.record_bytes_max = RECORD_BYTES;
    options.group_bytes = GROUP_BYTES;
    options.segment_bytes = SEGMENT;
    options.group_records_max = 512;
    options.segments_max = 128;
    options.part = machine_keep_choose(&machine->keep);
    disk_advance(&machine->disk, loop_of(machine)->now_us);
    enum status status = log_open(&machine->log, &machine->disk.port, &machine->clock.clock,
                                  &machine->entropy.entropy, &options);
    assert(status == STATUS_OK);
    sim_wake(loop_of(machine), SERVER, loop_of(machine)->now_us);
}

/* The log is whole: fold it, listen. */
static void serve(struct machine *machine)
{
    struct bus_facts facts = machine->log.bus.vtable->facts(&machine->log.bus);
    enum status status = memory_db_open(&machine->db, STORE_BYTES);
    assert(status == STATUS_OK);
    machine_keep_restore(&machine->keep, &machine->db);
    memory_store_open(&machine->store, &machine->db);
    memory_store_open(&machine->processor_store, &machine->db);
    status = ring_links_open(&machine->links, 1, machine->starts, facts);
    assert(status == STATUS_OK);
    status = ring_bus_open(&machine->bus, &machine->links, 0, &machine->log.bus);
    assert(status == STATUS_OK);
    ring_rpc_open(&machine->rpc, &machine->links, 0);
    struct sim_node_options options = {
        .who = SERVER,
        .seed = sim_mix(machine->seed, machine->starts),
        .instance = machine->starts,
        .sign_up = POLICY_OPEN,
        .password_us = machine->swarm->password_us,
        .limits = machine->swarm->limits ? limits : NULL,
        .swarm = machine->swarm,
    };
    struct sim_node_ports ports = {.bus = &machine->bus.port,
                                   .store = &machine->store.port,
                                   .processor_store = &machine->processor_store.port,
                                   .rpc = &machine->rpc.port};
    status = sim_node_start(&machine->node, machine->wires, &options, &ports);
    assert(status == STATUS_OK);
    machine->serves = true;
}

static void kill_process(struct cluster *cluster, uint32_t server, bool power)
{
    struct machine *machine = machine_of(cluster);
    assert(server == SERVER && machine->up);
    struct disk *disk = &machine->disk;
    uint64_t hurt = disk->sectors_dropped + disk->sectors_torn + disk->sectors_garbled;
    if (power)
        disk_crash(disk);
    else
        disk_kill(disk);
    if (disk->sectors_dropped + disk->sectors_torn + disk->sectors_garbled > hurt)
        machine->wires->marks->count[SIM_MARK_DISK_SECTORS]++;
    if (machine->serves) {
        sim_node_kill(&machine->node, power);
        ring_bus_close(&machine->bus);
        ring_links_close(&machine->links);
        memory_db_close(&machine->db);
    }
    log_close(&machine->log);
    sim_sleep(loop_of(machine), SERVER);
    machine->up = machine->serves = false;
}

/* As parleyd does when the log cannot go on: the process ends, and is started again. */
static void stop(struct machine *machine)
{
    machine->wires->marks->count[SIM_MARK_SERVER_STOP]++;
    sim_trace(loop_of(machine), SERVER, SIM_TRACE_FAILED, machine->log.state, 0);
    if (machine->disk.options.sync_error > 0)
        machine->wires->marks->count[SIM_MARK_DISK_SYNC_ERROR]++;
    machine->disk.options.sync_error = 0;
    kill_process(&machine->cluster, SERVER, false);
}

/* Space and speed come back by themselves. */
static void disk_get_well(struct machine *machine)
{
    struct disk_options *options = &machine->disk.options;
    options->capacity_bytes = 0;
    options->sync_min_us = machine->swarm->disk.sync_min_us;
    options->sync_max_us = machine->swarm->disk.sync_max_us;
    machine->disk_well_us = UINT64_MAX;
}

static void turn(struct cluster *cluster, uint32_t server)
{
    struct machine *machine = machine_of(cluster);
    struct sim_loop *loop = loop_of(machine);
    assert(server == SERVER);
    if (!machine->up)
        return;
    if (machine->disk_well_us <= loop->now_us)
        disk_get_well(machine);
    disk_advance(&machine->disk, loop->now_us);
    if (machine->serves) {
        sim_node_turn(&machine->node);
        machine_keep_turn(&machine->keep, &machine->log, &machine->db, loop->now_us);
    } else {
        log_turn(&machine->log);
        if (machine->log.state == LOG_READY)
            serve(machine);
        else if (machine->log.state != LOG_RECOVERING && machine->log.state != LOG_FAILED)
            cluster->broken = "the log did not recover";
    }
    if (machine->log.state == LOG_READ_ONLY)
        cluster->broken = "the log found damage where there is none";
    if (machine->log.state == LOG_FAILED || (machine->serves && sim_node_failed(&machine->node))) {
        stop(machine);
        return;
    }
    if (machine->serves && machine->node.shard.gateway.rollback)
        cluster->broken = "a device proved a rollback";
    sim_wake(loop, SERVER, disk_next_due_us(&machine->disk));
    sim_wake(loop, SERVER, log_deadline_us(&machine->log));
}

static bool is_up(const struct cluster *cluster, uint32_t server)
{
    (void)server;
    return ((const struct machine *)(const void *)cluster)->up;
}

static bool is_ready(const struct cluster *cluster, uint32_t server)
{
    const struct machine *machine = (const struct machine *)(const void *)cluster;
    (void)server;
    return machine->serves && processor_caught_up(&machine->node.shard.processor);
}

static void fault(struct cluster *cluster, enum sim_mark what, struct prng *prng)
{
    struct machine *machine = machine_of(cluster);
    struct disk *disk = &machine->disk;
    switch ((int)what) {
    case SIM_MARK_DISK_SYNC_ERROR: disk->options.sync_error = 1000; break; /* until it is met */
    case SIM_MARK_DISK_FULL:
        disk->options.capacity_bytes = 1; /* no new file fits, until … */
        break;
    case SIM_MARK_DISK_SLOW:
        disk->options.sync_min_us = disk->options.sync_max_us = prng_range(prng, 100000, 2000000);
        break;
    case SIM_MARK_CLOCK_JUMP: /* up to an hour, either way */
        machine->clock_offset_us = (int64_t)prng_below(prng, 2 * HOUR_US) - (int64_t)HOUR_US;
        machine->clock.offset_us = machine->node.clock.offset_us = machine->clock_offset_us;
        machine->wires->marks->count[what]++;
        return;
    default: return;
    }
    if (what != SIM_MARK_DISK_SYNC_ERROR)
        machine->wires->marks->count[what]++;
    machine->disk_well_us = loop_of(machine)->now_us + prng_range(prng, 100000, 10000000);
}

static void heal(struct cluster *cluster)
{
    struct machine *machine = machine_of(cluster);
    disk_fail_plan(&machine->disk, 0, false);
    machine->disk.options.sync_error = 0;
    disk_get_well(machine);
}

static void close_all(struct cluster *cluster)
{
    struct machine *machine = machine_of(cluster);
    if (machine->up)
        kill_process(cluster, SERVER, false);
    machine_keep_close(&machine->keep);
    disk_deinit(&machine->disk);
}

void machine_open(struct machine *machine, struct sim_wires *wires, const struct swarm *swarm,
                  uint64_t seed)
{
    static const struct cluster_vtable vtable = {.start = start,
                                                 .kill = kill_process,
                                                 .turn = turn,
                                                 .up = is_up,
                                                 .ready = is_ready,
                                                 .fault = fault,
                                                 .heal = heal,
                                                 .close = close_all};
    memset(machine, 0, sizeof *machine);
    machine->cluster = (struct cluster){.vtable = &vtable, .count = 1};
    machine->wires = wires;
    machine->swarm = swarm;
    machine->seed = seed;
    machine->disk_well_us = UINT64_MAX;
    machine_keep_open(&machine->keep, wires->marks, sim_mix(seed, SEED_KEEP));
    disk_init(&machine->disk, &swarm->disk, sim_mix(seed, SEED_DISK));
}
