/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/ring/ring.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"

/* ---- bells: rung after a put, answered before the takes. An exchange that finds the bell rung
 * stands, in its order of changes, before the answer that will look at the pipe: none is lost. */

static void ring_bell(struct ring_bell *bell)
{
    if (!atomic_exchange(&bell->rung, true))
        waker_wake(bell->waker);
}

static void answer_bell(struct ring_bell *bell)
{
    (void)atomic_exchange(&bell->rung, false);
}

/* ---- links ---- */

static enum status link_open(struct ring_link *link, bool appends)
{
    enum status status = pipe_open(&link->rpc_up, RING_MESSAGES_MAX, RING_BYTES_MAX);
    if (status == STATUS_OK)
        status = pipe_open(&link->rpc_down, RING_MESSAGES_MAX, RING_BYTES_MAX);
    if (status == STATUS_OK && appends)
        status = pipe_open(&link->appends, RING_APPENDS_MAX, RING_BYTES_MAX);
    if (status == STATUS_OK && appends)
        status = pipe_open(&link->appended, RING_APPENDS_MAX, 1);
    return status;
}

enum status ring_links_open(struct ring_links *links, uint32_t shards, uint64_t instance,
                            struct bus_facts facts)
{
    assert(shards > 0 && shards <= RING_SHARDS_MAX && instance != 0 && facts.single);
    memset(links, 0, sizeof *links);
    links->shards = shards;
    links->instance = instance;
    links->facts = facts;
    for (uint32_t i = 0; i < shards; i++) {
        atomic_init(&links->bus_bells[i].rung, false);
        atomic_init(&links->rpc_bells[i].rung, false);
        enum status status = link_open(&links->links[i], i > 0);
        if (status != STATUS_OK) {
            ring_links_close(links);
            return status;
        }
    }
    return STATUS_OK;
}

void ring_links_close(struct ring_links *links)
{
    for (uint32_t i = 0; i < links->shards; i++) {
        pipe_close(&links->links[i].appends);
        pipe_close(&links->links[i].appended);
        pipe_close(&links->links[i].rpc_up);
        pipe_close(&links->links[i].rpc_down);
    }
    memset(links, 0, sizeof *links);
}

void ring_links_waker(struct ring_links *links, uint32_t shard, struct waker *waker)
{
    assert(shard < links->shards);
    links->bus_bells[shard].waker = links->rpc_bells[shard].waker = waker;
}

/* ---- bus ---- */

/* The token of another shard's append on the log: mark ‖ generation (32) ‖ index (24) of its
 * flight. Tokens of shard 0's own roles begin otherwise. */
#define FOREIGN_MARK (UINT64_C(1) << 61)
#define FOREIGN_BITS (UINT64_C(7) << 61)
#define INDEX_BITS   24u

struct flight { /* an append of another shard, submitted to the log */
    uint64_t token;
    uint32_t shard;
};

static uint64_t foreign_token(struct slab_handle handle)
{
    return FOREIGN_MARK | (uint64_t)handle.generation << INDEX_BITS | handle.index;
}

static struct slab_handle foreign_handle(uint64_t token)
{
    return (struct slab_handle){(uint32_t)token & ((1u << INDEX_BITS) - 1),
                                (uint32_t)(token >> INDEX_BITS)};
}

static struct ring_bus *bus_of(const struct bus *bus)
{
    return (struct ring_bus *)(uintptr_t)bus;
}

static struct bus_facts bus_facts_of(const struct bus *bus)
{
    return bus_of(bus)->links->facts;
}

static enum status far_append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                              struct slice bytes, uint64_t token)
{
    struct ring_bus *bus = bus_of(port);
    struct pipe_message message = {.token = token, .topic = topic, .bytes = bytes};
    memcpy(message.key, key, ID_BYTES);
    if (bytes.bytes > BUS_RECORD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (bus->in_flight == RING_APPENDS_MAX)
        return STATUS_BUSY;
    enum status status = pipe_put(&bus->links->links[bus->shard].appends, &message);
    if (status != STATUS_OK)
        return status;
    bus->in_flight++;
    ring_bell(&bus->links->bus_bells[0]);
    return STATUS_OK;
}

static size_t far_poll(struct bus *port, struct bus_event *out, size_t max)
{
    struct ring_bus *bus = bus_of(port);
    struct pipe *pipe = &bus->links->links[bus->shard].appended;
    struct pipe_message message;
    size_t count = 0;
    answer_bell(&bus->links->bus_bells[bus->shard]);
    while (count < max && pipe_take(pipe, &message))
        out[count++] = (struct bus_event){.kind = BUS_APPENDED,
                                          .token = message.token,
                                          .status = message.status,
                                          .offset = message.offset,
                                          .log_epoch = message.log_epoch};
    bus->in_flight -= (uint32_t)count;
    if (count == max)
        ring_bell(&bus->links->bus_bells[bus->shard]); /* there may be more */
    return count;
}

/* Answer an append of another shard. There is room: its producer bounds what is in flight. */
static void answer(struct ring_links *links, const struct flight *flight,
                   const struct bus_event *event)
{
    struct pipe_message message = {.token = flight->token,
                                   .status = event->status,
                                   .offset = event->offset,
                                   .log_epoch = event->log_epoch};
    enum status status = pipe_put(&links->links[flight->shard].appended, &message);
    assert(status == STATUS_OK);
    ring_bell(&links->bus_bells[flight->shard]);
}

/* Hand the appends of one shard to the log, until it says BUSY. */
static void submit_from(struct ring_bus *bus, uint32_t shard)
{
    struct pipe *pipe = &bus->links->links[shard].appends;
    struct ring_held *held = &bus->held[shard];
    struct slab_handle handle;
    while (held->used || pipe_take(pipe, &held->message)) {
        struct flight *flight = slab_take(&bus->flights, &handle);
        assert(flight != NULL); /* as many as may be in flight */
        *flight = (struct flight){.token = held->message.token, .shard = shard};
        enum status status =
            bus->inner->vtable->append(bus->inner, held->message.topic, held->message.key,
                                       held->message.bytes, foreign_token(handle));
        held->used = status == STATUS_BUSY;
        if (status != STATUS_OK)
            slab_give(&bus->flights, handle);
        if (status == STATUS_BUSY)
            return;
        if (status != STATUS_OK)
            answer(bus->links, &(struct flight){held->message.token, shard},
                   &(struct bus_event){.status = status});
        pipe_release(pipe);
    }
}

static bool take_foreign(struct ring_bus *bus, const struct bus_event *event)
{
    if (event->kind != BUS_APPENDED || (event->token & FOREIGN_BITS) != FOREIGN_MARK)
        return false;
    struct slab_handle handle = foreign_handle(event->token);
    struct flight *flight = slab_find(&bus->flights, handle);
    assert(flight != NULL); /* each append is answered once */
    answer(bus->links, flight, event);
    slab_give(&bus->flights, handle);
    return true;
}

static size_t near_poll(struct bus *port, struct bus_event *out, size_t max)
{
    struct ring_bus *bus = bus_of(port);
    answer_bell(&bus->links->bus_bells[0]);
    for (uint32_t shard = 1; shard < bus->links->shards; shard++)
        submit_from(bus, shard);
    size_t got = bus->inner->vtable->poll(bus->inner, out, max), count = 0;
    for (size_t i = 0; i < got; i++) {
        if (take_foreign(bus, &out[i]))
            continue;
        if (count < i)
            out[count] = out[i];
        count++;
    }
    return count;
}

static enum status near_append(struct bus *bus, enum topic topic, const uint8_t key[ID_BYTES],
                               struct slice bytes, uint64_t token)
{
    struct bus *inner = bus_of(bus)->inner;
    assert((token & FOREIGN_BITS) != FOREIGN_MARK);
    return inner->vtable->append(inner, topic, key, bytes, token);
}

static void near_consume(struct bus *bus, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct bus *inner = bus_of(bus)->inner;
    inner->vtable->consume(inner, topic, partition, offset);
}

static void near_pause(struct bus *bus, enum topic topic, uint32_t partition, bool paused)
{
    struct bus *inner = bus_of(bus)->inner;
    inner->vtable->pause(inner, topic, partition, paused);
}

static void near_commit(struct bus *bus, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct bus *inner = bus_of(bus)->inner;
    inner->vtable->commit(inner, topic, partition, offset);
}

static struct bus_ends near_ends(const struct bus *bus, enum topic topic, uint32_t partition)
{
    const struct bus *inner = bus_of(bus)->inner;
    return inner->vtable->ends(inner, topic, partition);
}

static uint64_t near_committed(const struct bus *bus, enum topic topic, uint32_t partition)
{
    const struct bus *inner = bus_of(bus)->inner;
    return inner->vtable->committed(inner, topic, partition);
}

enum status ring_bus_open(struct ring_bus *bus, struct ring_links *links, uint32_t shard,
                          struct bus *inner)
{
    /* A gateway appends and hears; to consume is the processor's, which stands on shard 0. */
    static const struct bus_vtable far_table = {
        .facts = bus_facts_of, .append = far_append, .poll = far_poll};
    static const struct bus_vtable near_table = {.facts = bus_facts_of,
                                                 .append = near_append,
                                                 .poll = near_poll,
                                                 .consume = near_consume,
                                                 .pause = near_pause,
                                                 .commit = near_commit,
                                                 .ends = near_ends,
                                                 .committed = near_committed};
    assert(shard < links->shards && (shard == 0) == (inner != NULL));
    *bus = (struct ring_bus){.port.vtable = shard == 0 ? &near_table : &far_table,
                             .links = links,
                             .shard = shard,
                             .inner = inner};
    if (shard > 0)
        return STATUS_OK;
    return slab_open(&bus->flights, links->shards * RING_APPENDS_MAX, sizeof(struct flight));
}

void ring_bus_close(struct ring_bus *bus)
{
    if (bus->inner != NULL)
        slab_close(&bus->flights);
    *bus = (struct ring_bus){0};
}

/* ---- rpc ---- */

static struct ring_rpc *rpc_of(const struct rpc *rpc)
{
    return (struct ring_rpc *)(uintptr_t)rpc;
}

/* To the owner (gateway 0), who is shard 0, or from it to a gateway. */
static enum status ring_send(struct rpc *port, const struct rpc_peer *peer, struct slice bytes)
{
    struct ring_rpc *rpc = rpc_of(port);
    struct ring_links *links = rpc->links;
    if (peer->gateway != 0 && (peer->gateway != links->instance || peer->shard >= links->shards))
        return STATUS_BUSY; /* a gateway that is gone: of an earlier run */
    if (bytes.bytes == 0 || bytes.bytes > RPC_BYTES_MAX)
        return STATUS_TOO_LARGE;
    bool up = peer->gateway == 0;
    assert(up || rpc->shard == 0);
    uint32_t to = up ? 0 : peer->shard;
    struct ring_link *link = &links->links[up ? rpc->shard : to];
    struct pipe_message message = {.bytes = bytes};
    enum status status = pipe_put(up ? &link->rpc_up : &link->rpc_down, &message);
    if (status == STATUS_OK)
        ring_bell(&links->rpc_bells[to]);
    return status;
}

/* What was handed out at the last poll is released at this one. */
static size_t take_messages(struct pipe *pipe, struct rpc_event *out, size_t max)
{
    struct pipe_message message;
    size_t count = 0;
    pipe_release(pipe);
    while (count < max && pipe_take(pipe, &message))
        out[count++] = (struct rpc_event){.kind = RPC_MESSAGE, .bytes = message.bytes};
    return count;
}

static size_t ring_poll(struct rpc *port, struct rpc_event *out, size_t max)
{
    struct ring_rpc *rpc = rpc_of(port);
    struct ring_links *links = rpc->links;
    answer_bell(&links->rpc_bells[rpc->shard]);
    size_t count = take_messages(&links->links[rpc->shard].rpc_down, out, max);
    for (uint32_t shard = 0; rpc->shard == 0 && shard < links->shards; shard++)
        count += take_messages(&links->links[shard].rpc_up, out + count, max - count);
    if (count == max)
        ring_bell(&links->rpc_bells[rpc->shard]); /* there may be more */
    return count;
}

static uint64_t ring_gateway(const struct rpc *rpc)
{
    return rpc_of(rpc)->links->instance;
}

static uint32_t ring_shard(const struct rpc *rpc)
{
    return rpc_of(rpc)->shard;
}

void ring_rpc_open(struct ring_rpc *rpc, struct ring_links *links, uint32_t shard)
{
    static const struct rpc_vtable table = {
        .send = ring_send, .poll = ring_poll, .gateway = ring_gateway, .shard = ring_shard};
    assert(shard < links->shards);
    *rpc = (struct ring_rpc){.port.vtable = &table, .links = links, .shard = shard};
}
