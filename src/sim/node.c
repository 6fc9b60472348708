/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/node.h"

#include "base/assert.h"

#define TURN_US       20u /* what a busy turn takes */
#define CONNECTIONS   48u
#define OPERATIONS    512u
#define DEVICES_MAX   64u
#define CHECK_EVERY   64u
#define LANE_SIM_ROWS 4096u

static const struct limit no_limits[RATE_CLASSES];

static void session_bounds(struct session_config *session, const struct swarm *swarm)
{
    if (swarm->tail_max > 0)
        session->tail_max = swarm->tail_max;
    if (swarm->window_entries > 0)
        session->window_entries = swarm->window_entries;
    if (swarm->window_bytes > 0)
        session->window_bytes = swarm->window_bytes;
}

enum status sim_node_start(struct sim_node *node, struct sim_wires *wires,
                           const struct sim_node_options *options,
                           const struct sim_node_ports *ports)
{
    int64_t offset_us = node->clock.offset_us;
    sim_net_open(&node->net, wires, options->who, true);
    sim_clock_open(&node->clock, wires->loop);
    node->clock.offset_us = offset_us;
    sim_entropy_open(&node->entropy, options->seed);
    sim_password_open(&node->password, wires->loop, options->who, options->password_us);
    struct gateway_ports gateway = {.net = &node->net.net,
                                    .bus = ports->bus,
                                    .store = ports->store,
                                    .rpc = ports->rpc,
                                    .password = &node->password.port,
                                    .entropy = &node->entropy.entropy};
    struct shard_options shard = {
        .gateway = {.connections_max = CONNECTIONS,
                    .operations_max = OPERATIONS,
                    .discovery = SLICE_LITERAL("{}"),
                    .limits = options->limits ? options->limits : no_limits,
                    .http_ms = 10000,
                    .write_stall_ms = 30000},
        .roles = ROLES_ALL,
        .processor_store = ports->processor_store,
        .devices_max = DEVICES_MAX,
        .bounds = {.rows = LANE_SIM_ROWS, .chats = 16, .hot = options->swarm->hot_bytes}};
    session_config_init(&shard.session);
    shard.session.gateway = options->instance;
    shard.session.shard = options->shard;
    shard.session.sign_up = options->sign_up;
    shard.session.read_only = options->read_only;
    shard.session.log_epoch = ports->bus->vtable->facts(ports->bus).log_epoch;
    session_bounds(&shard.session, options->swarm);
    enum status status = shard_open(&node->shard, &gateway, &node->clock.clock, &shard);
    node->running = status == STATUS_OK;
    if (node->running)
        sim_wake(wires->loop, options->who, wires->loop->now_us);
    return status;
}

void sim_node_kill(struct sim_node *node, bool power)
{
    if (!node->running)
        return;
    shard_close(&node->shard);
    sim_net_kill(&node->net, power);
    sim_sleep(node->net.wires->loop, node->net.who);
    node->running = false;
}

void sim_node_turn(struct sim_node *node)
{
    struct sim_loop *loop = node->net.wires->loop;
    assert(node->running);
    bool any = shard_turn(&node->shard, 0);
    uint64_t next_us = loop->now_us + SHARD_WAIT_MS * 1000u;
    uint64_t timer_ms = shard_next_ms(&node->shard);
    if (any)
        next_us = loop->now_us + TURN_US;
    else if (timer_ms <= next_us / 1000)
        next_us = timer_ms * 1000;
    if (next_us <= loop->now_us)
        next_us = loop->now_us + TURN_US;
    sim_wake(loop, node->net.who, next_us);
    if (loop->moments % CHECK_EVERY == 0)
        gateway_check(&node->shard.gateway);
}

bool sim_node_failed(const struct sim_node *node)
{
    return node->running && node->shard.failed;
}
