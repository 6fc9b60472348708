/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/role.h"

#include "base/assert.h"
#include "runtime/shard.h"

static_assert((GATEWAY_TOKEN ^ LANE_TOKEN_BIT ^ LIVE_TOKEN_BIT ^ SHARD_OPERATOR_TOKEN) ==
                  (GATEWAY_TOKEN | LANE_TOKEN_BIT | LIVE_TOKEN_BIT | SHARD_OPERATOR_TOKEN),
              "completions of one bus find their role by these bits");

/* ---- gateway ---- */

static enum status gateway_start(struct shard *shard, const struct shard_options *options)
{
    return gateway_open(&shard->gateway, &shard->ports, &options->gateway, &options->session);
}

static void gateway_stop(struct shard *shard)
{
    gateway_close(&shard->gateway);
}

static void gateway_begin(struct shard *shard)
{
    gateway_turn(&shard->gateway, shard->now);
}

static void gateway_take_net(struct shard *shard, const struct net_event *event)
{
    gateway_on_net(&shard->gateway, event);
}

static void gateway_take_bus(struct shard *shard, const struct bus_event *event)
{
    gateway_on_appended(&shard->gateway, event);
}

static void gateway_take_rpc(struct shard *shard, const struct pb_rpc *rpc)
{
    gateway_on_rpc(&shard->gateway, rpc);
}

static void gateway_take_owner(struct shard *shard, uint32_t partition)
{
    struct bus *bus = shard->ports.bus;
    gateway_on_owner_changed(&shard->gateway, partition, bus->vtable->facts(bus).partitions);
}

static bool gateway_poll_store(struct shard *shard)
{
    struct store *store = shard->ports.store;
    struct store_request *done[SHARD_EVENTS];
    size_t count = store->vtable->poll(store, done, SHARD_EVENTS);
    for (size_t i = 0; i < count; i++)
        gateway_on_store(&shard->gateway, done[i]);
    return count > 0;
}

static bool gateway_step(struct shard *shard)
{
    struct password_port *port = shard->ports.password;
    struct password_done done;
    bool any = gateway_poll_store(shard);
    while (port->vtable->poll(port, &done, 1) == 1) {
        gateway_on_password(&shard->gateway, &done);
        any = true;
    }
    gateway_answer(&shard->gateway);
    return any;
}

static bool gateway_end(struct shard *shard)
{
    gateway_flush(&shard->gateway);
    return gateway_poll_store(shard); /* what a store answered at once is for the next turn */
}

static uint64_t gateway_due_ms(const struct shard *shard)
{
    return gateway_next_ms(&shard->gateway);
}

static void gateway_leave(struct shard *shard, uint32_t spread_ms)
{
    gateway_drain(&shard->gateway, spread_ms);
}

/* ---- processor ---- */

static enum status processor_start(struct shard *shard, const struct shard_options *options)
{
    struct processor_options processor = {options->devices_max, options->bounds};
    return processor_open(&shard->processor, shard->ports.bus, options->processor_store,
                          shard->ports.rpc, &processor);
}

static void processor_stop(struct shard *shard)
{
    processor_close(&shard->processor);
}

static void processor_take_bus(struct shard *shard, const struct bus_event *event)
{
    processor_on_bus(&shard->processor, event);
}

static void processor_take_rpc(struct shard *shard, const struct pb_rpc *rpc)
{
    processor_on_rpc(&shard->processor, rpc);
}

static bool processor_go_on(struct shard *shard)
{
    struct session_config *config = &shard->gateway.config;
    bool any = processor_step(&shard->processor, shard->now.mono_us / 1000);
    config->read_only = config->read_only || processor_read_only(&shard->processor);
    config->busy = processor_busy(&shard->processor);
    shard->failed = shard->failed || shard->processor.failed;
    return any;
}

static void processor_end(struct shard *shard, uint32_t spread_ms)
{
    (void)spread_ms;
    processor_leave(&shard->processor);
}

static uint64_t processor_due_ms(const struct shard *shard)
{
    return processor_next_ms(&shard->processor);
}

#define RPC_BIT(body) (1u << PB_RPC_BODY_##body)

const struct role_entry roles[ROLE_COUNT] = {
    [ROLE_GATEWAY] = {.name = "gateway",
                      .ports = ROLE_PORT_NET | ROLE_PORT_BUS | ROLE_PORT_STORE | ROLE_PORT_RPC |
                               ROLE_PORT_PASSWORD | ROLE_PORT_ENTROPY,
                      .tokens = GATEWAY_TOKEN,
                      .rpcs = RPC_BIT(ATTACHED) | RPC_BIT(DELIVER) | RPC_BIT(FENCE) |
                              RPC_BIT(REVOKE) | RPC_BIT(OUTCOME),
                      .start = gateway_start,
                      .turn = gateway_begin,
                      .on_net = gateway_take_net,
                      .on_bus = gateway_take_bus,
                      .on_rpc = gateway_take_rpc,
                      .on_owner_changed = gateway_take_owner,
                      .step = gateway_step,
                      .flush = gateway_end,
                      .next_ms = gateway_due_ms,
                      .drain = gateway_leave,
                      .stop = gateway_stop},
    [ROLE_PROCESSOR] = {.name = "processor",
                        .ports = ROLE_PORT_BUS | ROLE_PORT_RPC | ROLE_PORT_PROCESSOR_STORE,
                        .tokens = LANE_TOKEN_BIT | LIVE_TOKEN_BIT,
                        .rpcs = RPC_BIT(ATTACH) | RPC_BIT(DETACH) | RPC_BIT(ACKED),
                        .consumes = true,
                        .start = processor_start,
                        .on_bus = processor_take_bus,
                        .on_rpc = processor_take_rpc,
                        .step = processor_go_on,
                        .next_ms = processor_due_ms,
                        .drain = processor_end,
                        .stop = processor_stop},
};

const struct role_entry *role_next(uint32_t set, const struct role_entry *last)
{
    for (size_t i = last == NULL ? 0 : (size_t)(last - roles) + 1; i < ROLE_COUNT; i++) {
        if (set & ROLE_BIT(i))
            return &roles[i];
    }
    return NULL;
}

const struct role_entry *role_of_bus(uint32_t set, const struct bus_event *event)
{
    const struct role_entry *role = role_next(set, NULL);
    while (role != NULL &&
           !(event->kind == BUS_APPENDED ? (event->token & role->tokens) != 0 : role->consumes))
        role = role_next(set, role);
    return role;
}

const struct role_entry *role_of_rpc(uint32_t set, const struct pb_rpc *rpc)
{
    const struct role_entry *role = role_next(set, NULL);
    while (role != NULL && (role->rpcs & 1u << rpc->body_case) == 0)
        role = role_next(set, role);
    return role;
}
