/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rpc.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "ports/bus.h"

static struct sim_rpc_node *node_of(const struct rpc *port)
{
    return (struct sim_rpc_node *)(uintptr_t)port;
}

static void bytes_free(struct slice bytes)
{
    memory_free((void *)(uintptr_t)bytes.at);
}

static uint64_t due(struct sim_rpc *rpc, uint32_t from, uint32_t to)
{
    struct sim_rpc_link *link = &rpc->links[from][to];
    uint64_t at = rpc->now_us +
                  prng_range(&rpc->prng, rpc->options.latency_min_us, rpc->options.latency_max_us);
    link->last_due_us = at > link->last_due_us ? at : link->last_due_us;
    return link->last_due_us;
}

static struct sim_rpc_message *message_new(struct sim_rpc *rpc, uint32_t from, uint32_t to)
{
    struct sim_rpc_node *node = &rpc->nodes[to];
    if (node->messages_count == SIM_RPC_MESSAGES_MAX)
        return NULL;
    struct sim_rpc_message *message = &node->messages[node->messages_count++];
    *message = (struct sim_rpc_message){
        .due_us = due(rpc, from, to), .number = ++rpc->numbers, .from = from};
    return message;
}

/* What is under way from one node to another is lost. */
static void link_drop(struct sim_rpc *rpc, uint32_t from, uint32_t to)
{
    struct sim_rpc_node *node = &rpc->nodes[to];
    size_t kept = 0;
    for (size_t i = 0; i < node->messages_count; i++) {
        struct sim_rpc_message *message = &node->messages[i];
        if (message->from != from) {
            node->messages[kept++] = *message;
            continue;
        }
        bytes_free(message->event.bytes);
        rpc->lost++;
    }
    node->messages_count = kept;
}

/* `to` hears of a partition of `owner`. A full queue: it hears of the next announcement. */
static void owner_tell(struct sim_rpc *rpc, uint32_t owner, uint32_t to, uint32_t partition)
{
    struct sim_rpc_message *message = message_new(rpc, owner, to);
    if (message == NULL)
        return;
    message->event = (struct rpc_event){.kind = RPC_OWNER_CHANGED, .partition = partition};
    message->owner = owner;
}

static bool broken(const struct sim_rpc *rpc, uint32_t from, uint32_t to)
{
    return rpc->links[from][to].mended_us > rpc->now_us;
}

void sim_rpc_break(struct sim_rpc *rpc, uint32_t a, uint32_t b, uint64_t until_us)
{
    if (a == b || until_us <= rpc->now_us)
        return;
    link_drop(rpc, a, b);
    link_drop(rpc, b, a);
    rpc->broken += rpc->links[a][b].mended_us == 0 ? 1 : 0;
    rpc->broken += rpc->links[b][a].mended_us == 0 ? 1 : 0;
    rpc->links[a][b].mended_us = rpc->links[b][a].mended_us = until_us;
    rpc->breaks++;
}

static uint32_t route(const struct sim_rpc_node *node, const struct rpc_peer *peer)
{
    const struct sim_rpc *rpc = node->rpc;
    if (peer->gateway == 0)
        return node->owners[bus_partition(peer->user, rpc->options.partitions)];
    for (uint32_t i = 0; i < SIM_RPC_NODES_MAX; i++) {
        if (rpc->nodes[i].instance == peer->gateway)
            return i;
    }
    return SIM_RPC_NOBODY;
}

static enum status port_send(struct rpc *port, const struct rpc_peer *peer, struct slice bytes)
{
    struct sim_rpc_node *node = node_of(port);
    struct sim_rpc *rpc = node->rpc;
    uint32_t to = route(node, peer);
    if (bytes.bytes > RPC_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (to == SIM_RPC_NOBODY) {
        rpc->unknown++;
        return STATUS_BUSY;
    }
    rpc->sent++;
    if (to != node->index && prng_chance(&rpc->prng, rpc->options.broken))
        sim_rpc_break(rpc, node->index, to,
                      rpc->now_us + 1 + prng_below(&rpc->prng, rpc->options.broken_max_us + 1));
    if (broken(rpc, node->index, to) || rpc->nodes[to].instance == 0) {
        rpc->lost++; /* written to a socket that nobody reads */
        return STATUS_OK;
    }
    struct sim_rpc_message *message = message_new(rpc, node->index, to);
    if (message == NULL)
        return STATUS_BUSY;
    uint8_t *copy = memory_alloc(bytes.bytes);
    assert(copy != NULL);
    if (bytes.bytes > 0)
        memcpy(copy, bytes.at, bytes.bytes);
    message->event =
        (struct rpc_event){.kind = RPC_MESSAGE, .bytes = slice_make(copy, bytes.bytes)};
    return STATUS_OK;
}

/* The oldest message that is due. */
static size_t next_due(const struct sim_rpc_node *node)
{
    size_t best = node->messages_count;
    for (size_t i = 0; i < node->messages_count; i++) {
        const struct sim_rpc_message *message = &node->messages[i];
        if (message->due_us <= node->rpc->now_us &&
            (best == node->messages_count || message->due_us < node->messages[best].due_us ||
             (message->due_us == node->messages[best].due_us &&
              message->number < node->messages[best].number)))
            best = i;
    }
    return best;
}

static size_t port_poll(struct rpc *port, struct rpc_event *out, size_t max)
{
    struct sim_rpc_node *node = node_of(port);
    size_t count = 0;
    for (size_t i = 0; i < node->handed_count; i++)
        memory_free(node->handed[i]);
    node->handed_count = 0;
    for (size_t at; count < max && (at = next_due(node)) != node->messages_count;) {
        struct sim_rpc_message *message = &node->messages[at];
        out[count++] = message->event;
        if (message->event.kind == RPC_OWNER_CHANGED)
            node->owners[message->event.partition] = message->owner;
        else
            node->handed[node->handed_count++] = (void *)(uintptr_t)message->event.bytes.at;
        *message = node->messages[--node->messages_count];
    }
    return count;
}

static uint64_t port_gateway(const struct rpc *port)
{
    return node_of(port)->instance;
}

static uint32_t port_shard(const struct rpc *port)
{
    (void)port;
    return 0;
}

static const struct rpc_vtable vtable = {port_send, port_poll, port_gateway, port_shard};

void sim_rpc_init(struct sim_rpc *rpc, const struct sim_rpc_options *options, uint64_t seed)
{
    assert(options->partitions > 0 && options->partitions <= SIM_RPC_PARTITIONS_MAX);
    memset(rpc, 0, sizeof *rpc);
    rpc->options = *options;
    prng_init(&rpc->prng, seed);
    for (uint32_t i = 0; i < SIM_RPC_NODES_MAX; i++) {
        rpc->nodes[i].port.vtable = &vtable;
        rpc->nodes[i].rpc = rpc;
        rpc->nodes[i].index = i;
    }
}

static void node_forget(struct sim_rpc_node *node)
{
    for (size_t i = 0; i < node->messages_count; i++)
        bytes_free(node->messages[i].event.bytes);
    for (size_t i = 0; i < node->handed_count; i++)
        memory_free(node->handed[i]);
    node->messages_count = node->handed_count = 0;
    for (size_t i = 0; i < SIM_RPC_PARTITIONS_MAX; i++)
        node->owners[i] = SIM_RPC_NOBODY;
}

void sim_rpc_deinit(struct sim_rpc *rpc)
{
    for (uint32_t i = 0; i < SIM_RPC_NODES_MAX; i++)
        node_forget(&rpc->nodes[i]);
    memset(rpc, 0, sizeof *rpc);
}

struct rpc *sim_rpc_start(struct sim_rpc *rpc, uint32_t at, uint64_t instance)
{
    assert(at < SIM_RPC_NODES_MAX && instance != 0);
    node_forget(&rpc->nodes[at]);
    rpc->nodes[at].instance = instance;
    return &rpc->nodes[at].port;
}

void sim_rpc_kill(struct sim_rpc *rpc, uint32_t at)
{
    node_forget(&rpc->nodes[at]);
    rpc->nodes[at].instance = 0;
    for (uint32_t i = 0; i < SIM_RPC_NODES_MAX; i++) {
        if (i != at)
            link_drop(rpc, at, i);
    }
}

void sim_rpc_announce(struct sim_rpc *rpc, uint32_t owner, uint32_t partition)
{
    assert(partition < rpc->options.partitions);
    for (uint32_t i = 0; i < SIM_RPC_NODES_MAX; i++) {
        if (rpc->nodes[i].instance != 0 && !broken(rpc, owner, i))
            owner_tell(rpc, owner, i, partition);
    }
}

/* A mended link: each end hears of what it believes to be the other's. */
static void mend(struct sim_rpc *rpc, uint32_t from, uint32_t to)
{
    rpc->links[from][to].mended_us = 0;
    rpc->broken--;
    for (uint32_t i = 0; i < rpc->options.partitions; i++) {
        if (rpc->nodes[to].owners[i] == from && rpc->nodes[to].instance != 0)
            owner_tell(rpc, from, to, i);
    }
}

void sim_rpc_advance(struct sim_rpc *rpc, uint64_t now_us)
{
    assert(now_us >= rpc->now_us);
    rpc->now_us = now_us;
    for (uint32_t from = 0; from < SIM_RPC_NODES_MAX && rpc->broken > 0; from++) {
        for (uint32_t to = 0; to < SIM_RPC_NODES_MAX; to++) {
            uint64_t mended_us = rpc->links[from][to].mended_us;
            if (mended_us != 0 && mended_us <= now_us)
                mend(rpc, from, to);
        }
    }
}

uint64_t sim_rpc_next_due_us(const struct sim_rpc *rpc, uint32_t at)
{
    const struct sim_rpc_node *node = &rpc->nodes[at];
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < node->messages_count; i++)
        next = node->messages[i].due_us < next ? node->messages[i].due_us : next;
    for (uint32_t from = 0; from < SIM_RPC_NODES_MAX && rpc->broken > 0; from++) {
        uint64_t mended_us = rpc->links[from][at].mended_us;
        if (mended_us != 0 && mended_us < next)
            next = mended_us;
    }
    return next;
}

void sim_rpc_heal(struct sim_rpc *rpc)
{
    rpc->options.broken = 0;
    for (uint32_t from = 0; from < SIM_RPC_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_RPC_NODES_MAX; to++) {
            if (rpc->links[from][to].mended_us != 0)
                mend(rpc, from, to);
        }
    }
}
