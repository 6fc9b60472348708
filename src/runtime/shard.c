/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/shard.h"

#include "base/assert.h"
#include "wire/gen/rpc.pb.h"

static_assert((GATEWAY_TOKEN ^ LANE_TOKEN_BIT ^ LIVE_TOKEN_BIT ^ SHARD_OPERATOR_TOKEN) ==
                  (GATEWAY_TOKEN | LANE_TOKEN_BIT | LIVE_TOKEN_BIT | SHARD_OPERATOR_TOKEN),
              "completions of one bus find their role by these bits");

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
        if (event->kind == BUS_APPENDED && event->token & GATEWAY_TOKEN) {
            gateway_on_appended(&shard->gateway, event);
            continue;
        }
        if (event->kind == BUS_APPENDED && event->token == SHARD_OPERATOR_TOKEN) {
            shard->operator_done = true;
            shard->operator_status = event->status;
            continue;
        }
        if (event->kind == BUS_FAILED)
            bus_failed(shard, event->status);
        if (shard->processes && processor_takes(event))
            processor_on_bus(&shard->processor, event);
    }
    return count > 0;
}

static bool turn_store(struct shard *shard)
{
    struct store *store = shard->ports.store;
    struct store_request *done[SHARD_EVENTS];
    size_t count = store->vtable->poll(store, done, SHARD_EVENTS);
    for (size_t i = 0; i < count; i++)
        gateway_on_store(&shard->gateway, done[i]);
    return count > 0;
}

static bool turn_password(struct shard *shard)
{
    struct password_port *port = shard->ports.password;
    struct password_done done;
    bool any = false;
    while (port && port->vtable->poll(port, &done, 1) == 1) {
        gateway_on_password(&shard->gateway, &done);
        any = true;
    }
    return any;
}

static void on_rpc(struct shard *shard, const struct rpc_event *event)
{
    if (event->kind == RPC_OWNER_CHANGED) {
        uint32_t partitions = shard->ports.bus->vtable->facts(shard->ports.bus).partitions;
        gateway_on_owner_changed(&shard->gateway, event->partition, partitions);
        return;
    }
    struct pb_rpc rpc;
    arena_reset(&shard->arena);
    if (pb_rpc_decode(event->bytes, &shard->arena, &rpc) != STATUS_OK)
        return; /* of a newer node: an RPC may be lost */
    bool for_owner = rpc.body_case == PB_RPC_BODY_ATTACH || rpc.body_case == PB_RPC_BODY_DETACH ||
                     rpc.body_case == PB_RPC_BODY_ACKED;
    if (!for_owner)
        gateway_on_rpc(&shard->gateway, &rpc);
    else if (shard->processes)
        processor_on_rpc(&shard->processor, &rpc);
}

static bool turn_rpc(struct shard *shard)
{
    struct rpc *rpc = shard->ports.rpc;
    size_t count = rpc->vtable->poll(rpc, shard->rpc_events, SHARD_EVENTS);
    for (size_t i = 0; i < count; i++)
        on_rpc(shard, &shard->rpc_events[i]);
    return count > 0;
}

/* How long to sleep: until the next deadline, and no longer than the caller allows. */
static int64_t sleep_ms(const struct shard *shard, int64_t wait_ms)
{
    uint64_t now_ms = shard->gateway.now.mono_us / 1000;
    uint64_t next_ms = gateway_next_ms(&shard->gateway);
    if (next_ms <= now_ms)
        return 0;
    uint64_t left_ms = next_ms - now_ms;
    if (wait_ms < 0 || wait_ms > SHARD_WAIT_MS)
        wait_ms = SHARD_WAIT_MS;
    return left_ms < (uint64_t)wait_ms ? (int64_t)left_ms : wait_ms;
}

bool shard_turn(struct shard *shard, int64_t wait_ms)
{
    struct net *net = shard->ports.net;
    size_t count =
        net->vtable->wait(net, shard->net_events, SHARD_EVENTS, sleep_ms(shard, wait_ms));
    gateway_turn(&shard->gateway, shard->clock->vtable->read(shard->clock));
    /* First what owners say: a sign-out that waited comes before anything its device is told. */
    bool any = turn_rpc(shard) || count > 0;
    for (size_t i = 0; i < count; i++)
        gateway_on_net(&shard->gateway, &shard->net_events[i]);
    any = turn_bus(shard) || any;
    any = turn_store(shard) || any;
    any = turn_password(shard) || any;
    if (shard->processes) {
        any = processor_step(&shard->processor) || any;
        shard->gateway.config.read_only =
            shard->gateway.config.read_only || processor_read_only(&shard->processor);
        shard->gateway.config.busy = processor_busy(&shard->processor);
        shard->failed = shard->failed || shard->processor.failed;
    }
    any = turn_rpc(shard) || any;
    gateway_flush(&shard->gateway);
    return turn_store(shard) || any; /* what a store answered at once is for the next turn */
}

enum status shard_operate(struct shard *shard, enum topic topic, const uint8_t key[ID_BYTES],
                          struct slice bytes)
{
    shard->operator_done = false;
    return shard->ports.bus->vtable->append(shard->ports.bus, topic, key, bytes,
                                            SHARD_OPERATOR_TOKEN);
}

enum status shard_open(struct shard *shard, const struct gateway_ports *ports,
                       struct clock_port *clock, const struct shard_options *options)
{
    *shard = (struct shard){.ports = *ports, .clock = clock};
    arena_init(&shard->arena, RPC_BYTES_MAX * 5);
    enum status status = gateway_open(&shard->gateway, ports, &options->gateway, &options->session);
    if (status == STATUS_OK && options->processes) {
        assert(options->processor_store);
        struct processor_options processor = {options->devices_max, options->bounds};
        status = processor_open(&shard->processor, ports->bus, options->processor_store, ports->rpc,
                                &processor);
        shard->processes = status == STATUS_OK;
    }
    if (status != STATUS_OK)
        shard_close(shard);
    return status;
}

void shard_close(struct shard *shard)
{
    if (shard->processes)
        processor_close(&shard->processor);
    if (shard->gateway.conns.capacity > 0)
        gateway_close(&shard->gateway);
    arena_deinit(&shard->arena);
    *shard = (struct shard){0};
}
