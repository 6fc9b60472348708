/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/shard.h"

#include "base/timer.h"

/* Damage (CORRUPT) and rollback (CONFLICT) make the log read-only: what is sound is served on. */
static void bus_failed(struct shard *shard, enum status status)
{
    shard->gateway.config.read_only = true;
    if (status != STATUS_CORRUPT && status != STATUS_CONFLICT)
        shard->failed = true;
}

static bool turn_bus(struct shard *shard)
{
    struct bus *bus = shard->ports.bus;
    size_t count = bus->vtable->poll(bus, shard->bus_events, SHARD_EVENTS);
    for (size_t i = 0; i < count; i++) {
        const struct bus_event *event = &shard->bus_events[i];
        if (event->kind == BUS_APPENDED && event->token == SHARD_OPERATOR_TOKEN) {
            shard->operator_done = true;
            shard->operator_status = event->status;
            shard->operator_offset = event->offset;
            continue;
        }
        if (event->kind == BUS_FAILED)
            bus_failed(shard, event->status);
        const struct role_entry *role = role_of_bus(shard->roles, event);
        if (role != NULL)
            role->on_bus(shard, event);
    }
    return count > 0;
}

static void on_owner_changed(struct shard *shard, uint32_t partition)
{
    const struct role_entry *role = NULL;
    while ((role = role_next(shard->roles, role)) != NULL) {
        if (role->on_owner_changed != NULL)
            role->on_owner_changed(shard, partition);
    }
}

static void on_rpc(struct shard *shard, const struct rpc_event *event)
{
    struct pb_rpc rpc;
    if (event->kind == RPC_OWNER_CHANGED) {
        on_owner_changed(shard, event->partition);
        return;
    }
    arena_reset(&shard->arena);
    if (pb_rpc_decode(event->bytes, &shard->arena, &rpc) != STATUS_OK)
        return; /* of a newer node: an RPC may be lost */
    const struct role_entry *role = role_of_rpc(shard->roles, &rpc);
    if (role != NULL)
        role->on_rpc(shard, &rpc);
}

static bool turn_rpc(struct shard *shard)
{
    struct rpc *rpc = shard->ports.rpc;
    size_t count = rpc->vtable->poll(rpc, shard->rpc_events, SHARD_EVENTS);
    for (size_t i = 0; i < count; i++)
        on_rpc(shard, &shard->rpc_events[i]);
    return count > 0;
}

uint64_t shard_next_ms(const struct shard *shard)
{
    const struct role_entry *role = NULL;
    uint64_t next_ms = TIMER_NEVER;
    while ((role = role_next(shard->roles, role)) != NULL) {
        uint64_t due_ms = role->next_ms != NULL ? role->next_ms(shard) : TIMER_NEVER;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    return next_ms;
}

/* How long to sleep: until the next deadline, and no longer than the caller allows. */
static int64_t sleep_ms(const struct shard *shard, int64_t wait_ms)
{
    uint64_t now_ms = shard->now.mono_us / 1000, next_ms = shard_next_ms(shard);
    if (next_ms <= now_ms)
        return 0;
    uint64_t left_ms = next_ms - now_ms;
    if (wait_ms < 0 || wait_ms > SHARD_WAIT_MS)
        wait_ms = SHARD_WAIT_MS;
    return left_ms < (uint64_t)wait_ms ? (int64_t)left_ms : wait_ms;
}

static void turn_begin(struct shard *shard)
{
    const struct role_entry *role = NULL;
    shard->now = shard->clock->vtable->read(shard->clock);
    while ((role = role_next(shard->roles, role)) != NULL) {
        if (role->turn != NULL)
            role->turn(shard);
    }
}

static void turn_net(struct shard *shard, size_t count)
{
    const struct role_entry *role = NULL;
    while ((role = role_next(shard->roles, role)) != NULL) {
        for (size_t i = 0; i < count && role->on_net != NULL; i++)
            role->on_net(shard, &shard->net_events[i]);
    }
}

static bool turn_step(struct shard *shard)
{
    const struct role_entry *role = NULL;
    bool any = false;
    while ((role = role_next(shard->roles, role)) != NULL)
        any = role->step(shard) || any;
    return any;
}

static bool turn_flush(struct shard *shard)
{
    const struct role_entry *role = NULL;
    bool any = false;
    while ((role = role_next(shard->roles, role)) != NULL)
        any = (role->flush != NULL && role->flush(shard)) || any;
    return any;
}

bool shard_turn(struct shard *shard, int64_t wait_ms)
{
    struct net *net = shard->ports.net;
    size_t count =
        net->vtable->wait(net, shard->net_events, SHARD_EVENTS, sleep_ms(shard, wait_ms));
    turn_begin(shard);
    /* First what owners say: a sign-out that waited comes before anything its device is told. */
    bool any = turn_rpc(shard) || count > 0;
    turn_net(shard, count);
    any = turn_bus(shard) || any;
    any = turn_step(shard) || any;
    any = turn_rpc(shard) || any;
    any = turn_flush(shard) || any;
    if (any) {
        uint64_t end_us = shard->clock->vtable->read(shard->clock).mono_us;
        buckets_add(&shard->gateway.counts.turn_us, end_us - shard->now.mono_us);
    }
    return any;
}

void shard_drain(struct shard *shard, uint32_t spread_ms)
{
    const struct role_entry *role = NULL;
    while ((role = role_next(shard->roles, role)) != NULL) {
        if (role->drain != NULL)
            role->drain(shard, spread_ms);
    }
}

enum status shard_operate(struct shard *shard, enum topic topic, const uint8_t key[ID_BYTES],
                          struct slice bytes)
{
    shard->operator_done = false;
    return shard->ports.bus->vtable->append(shard->ports.bus, topic, key, bytes,
                                            SHARD_OPERATOR_TOKEN);
}

/* Which of the ports that roles may need are there. */
static uint32_t ports_there(const struct gateway_ports *ports, const struct shard_options *options)
{
    return (ports->net != NULL ? ROLE_PORT_NET : 0u) | (ports->bus != NULL ? ROLE_PORT_BUS : 0u) |
           (ports->store != NULL ? ROLE_PORT_STORE : 0u) |
           (ports->rpc != NULL ? ROLE_PORT_RPC : 0u) |
           (ports->password != NULL ? ROLE_PORT_PASSWORD : 0u) |
           (ports->entropy != NULL ? ROLE_PORT_ENTROPY : 0u) |
           (options->processor_store != NULL ? ROLE_PORT_PROCESSOR_STORE : 0u);
}

enum status shard_open(struct shard *shard, const struct gateway_ports *ports,
                       struct clock_port *clock, const struct shard_options *options)
{
    uint32_t there = ports_there(ports, options);
    const struct role_entry *role = NULL;
    enum status status = STATUS_OK;
    *shard = (struct shard){.ports = *ports, .clock = clock};
    arena_init(&shard->arena, RPC_BYTES_MAX * 5);
    while (status == STATUS_OK && (role = role_next(options->roles, role)) != NULL) {
        status = (role->ports & ~there) == 0 ? role->start(shard, options) : STATUS_INVALID;
        if (status == STATUS_OK)
            shard->roles |= ROLE_BIT(role - roles);
    }
    if (status != STATUS_OK)
        shard_close(shard);
    return status;
}

void shard_close(struct shard *shard)
{
    for (unsigned i = ROLE_COUNT; i-- > 0;) {
        if (shard->roles & ROLE_BIT(i))
            roles[i].stop(shard);
    }
    arena_deinit(&shard->arena);
    *shard = (struct shard){0};
}
