/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/net.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

static struct sim_net *net_of(struct net *net)
{
    return (struct sim_net *)(void *)net;
}

static struct sim_end *end_find(struct sim_net *net, net_conn name)
{
    if (name.index >= SIM_ENDS_MAX)
        return NULL;
    struct sim_end *end = &net->wires->ends[name.index];
    return end->used && end->generation == name.generation && end->owner == net->who ? end : NULL;
}

static uint32_t index_of(const struct sim_wires *wires, const struct sim_end *end)
{
    return (uint32_t)(end - wires->ends);
}

static net_conn name_of(const struct sim_wires *wires, const struct sim_end *end)
{
    return (net_conn){index_of(wires, end), end->generation};
}

static uint64_t latency(struct sim_wires *wires)
{
    return prng_range(&wires->prng, wires->options.latency_min_us, wires->options.latency_max_us);
}

static void mark(struct sim_wires *wires, enum sim_mark which)
{
    wires->marks->count[which]++;
}

static struct sim_end *end_take(struct sim_wires *wires, uint32_t owner)
{
    uint32_t i = 0;
    while (i < SIM_ENDS_MAX && wires->ends[i].used)
        i++;
    if (i == SIM_ENDS_MAX)
        return NULL;
    if (i >= wires->ends_top)
        wires->ends_top = i + 1;
    struct sim_end *end = &wires->ends[i];
    uint32_t generation = end->generation + 1;
    uint8_t *stream = end->stream, *in = end->in;
    *end = (struct sim_end){.used = true, .generation = generation, .owner = owner};
    end->stream = stream;
    end->in = in;
    end->peer = SIM_ENDS_MAX;
    return end;
}

/* The other end, if it still stands. */
static struct sim_end *peer_of(struct sim_wires *wires, const struct sim_end *end)
{
    return end->peer < SIM_ENDS_MAX ? &wires->ends[end->peer] : NULL;
}

static void end_free(struct sim_wires *wires, struct sim_end *end)
{
    struct sim_end *peer = peer_of(wires, end);
    if (peer)
        peer->peer = SIM_ENDS_MAX;
    end->used = false;
}

/* This end will learn at `due_us` that the connection is over. */
static void end_finish(struct sim_wires *wires, struct sim_end *end, enum status status,
                       uint64_t due_us, bool told_first)
{
    if (end->ended)
        return;
    end->ended = true;
    end->end_status = status;
    end->told_first = told_first;
    end->due_us = told_first && end->newest_us > due_us ? end->newest_us : due_us;
    sim_wake(wires->loop, end->owner, end->due_us);
}

/* ---- streams ---- */

static void segment_add(struct sim_end *to, uint64_t due_us, uint32_t bytes)
{
    if (to->segments_count == SIM_SEGMENTS) { /* joined with the newest */
        uint32_t last = (to->segments_at + to->segments_count - 1) % SIM_SEGMENTS;
        to->segments[last].bytes += bytes;
        to->segments[last].due_us = due_us;
        return;
    }
    uint32_t at = (to->segments_at + to->segments_count++) % SIM_SEGMENTS;
    to->segments[at] = (struct sim_segment){due_us, bytes};
}

static void stream_put(struct sim_end *to, const uint8_t *from, uint32_t bytes)
{
    uint32_t at = (to->stream_at + to->stream_bytes) % SIM_STREAM_BYTES;
    uint32_t first = SIM_STREAM_BYTES - at < bytes ? SIM_STREAM_BYTES - at : bytes;
    memcpy(to->stream + at, from, first);
    memcpy(to->stream, from + first, bytes - first);
    to->stream_bytes += bytes;
}

static void stream_get(struct sim_end *end, uint8_t *to, uint32_t bytes)
{
    uint32_t first =
        SIM_STREAM_BYTES - end->stream_at < bytes ? SIM_STREAM_BYTES - end->stream_at : bytes;
    memcpy(to, end->stream + end->stream_at, first);
    memcpy(to + first, end->stream, bytes - first);
    end->stream_at = (end->stream_at + bytes) % SIM_STREAM_BYTES;
    end->stream_bytes -= bytes;
}

static uint64_t arrival(struct sim_wires *wires, struct sim_end *to)
{
    uint64_t due_us = wires->loop->now_us + latency(wires);
    if (prng_chance(&wires->prng, wires->options.slow)) {
        due_us += prng_below(&wires->prng, wires->options.slow_max_us + 1);
        mark(wires, SIM_MARK_NET_SLOW);
    }
    if (due_us < to->newest_us)
        due_us = to->newest_us;
    to->newest_us = due_us;
    return due_us;
}

/* Let what the end sends go on its way, as far as there is room. */
static void pump(struct sim_wires *wires, struct sim_end *end)
{
    struct sim_end *to = peer_of(wires, end);
    while (end->out.bytes > 0) {
        size_t room = to ? SIM_STREAM_BYTES - to->stream_bytes : end->out.bytes;
        size_t bytes = end->out.bytes < room ? end->out.bytes : room;
        if (bytes == 0)
            return;
        if (bytes > 1 && prng_chance(&wires->prng, wires->options.split))
            bytes = 1 + (size_t)prng_below(&wires->prng, bytes);
        if (to && !to->ended) {
            uint64_t due_us = arrival(wires, to);
            stream_put(to, end->out.at, (uint32_t)bytes);
            segment_add(to, due_us, (uint32_t)bytes);
            sim_wake(wires->loop, to->owner, due_us);
        }
        end->out = slice_sub(end->out, bytes, end->out.bytes);
    }
    if (!end->sending)
        return;
    end->sending = false;
    end->sent = true;
    sim_wake(wires->loop, end->owner, wires->loop->now_us);
}

/* Sent into a connection whose other end has forgotten it: a machine that is up says so. */
static void say_into_nothing(struct sim_wires *wires, struct sim_end *end)
{
    if (!peer_of(wires, end) && end->silent && !end->ended && wires->up[end->remote])
        end_finish(wires, end, STATUS_CLOSED, wires->loop->now_us + 2 * latency(wires), false);
}

/* Take what has arrived. True: the owner must look. */
static bool receive(struct sim_wires *wires, struct sim_end *end)
{
    uint64_t now_us = wires->loop->now_us;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < end->segments_count; i++) {
        const struct sim_segment *segment = &end->segments[(end->segments_at + i) % SIM_SEGMENTS];
        if (segment->due_us > now_us) {
            sim_wake(wires->loop, end->owner, segment->due_us);
            break;
        }
        ready += segment->bytes;
    }
    uint32_t room = SIM_RECEIVE_BYTES - end->in_bytes;
    uint32_t bytes = ready < room ? ready : room;
    if (bytes == 0)
        return false;
    if (bytes > 1 && prng_chance(&wires->prng, wires->options.split)) {
        bytes = 1 + (uint32_t)prng_below(&wires->prng, bytes);
        mark(wires, SIM_MARK_NET_SPLIT);
        sim_wake(wires->loop, end->owner, now_us + 1 + prng_below(&wires->prng, 200));
    }
    memmove(end->in, end->in + end->in_at, end->in_bytes);
    end->in_at = 0;
    stream_get(end, end->in + end->in_bytes, bytes);
    end->in_bytes += bytes;
    for (uint32_t left = bytes; left > 0;) {
        struct sim_segment *segment = &end->segments[end->segments_at];
        uint32_t part = segment->bytes < left ? segment->bytes : left;
        segment->bytes -= part;
        left -= part;
        if (segment->bytes == 0) {
            end->segments_at = (end->segments_at + 1) % SIM_SEGMENTS;
            end->segments_count--;
        }
    }
    struct sim_end *from = peer_of(wires, end);
    if (from)
        pump(wires, from);
    return true;
}

/* ---- the port ---- */

static bool report_connecting(struct sim_net *net, struct sim_end *end, struct net_event *out)
{
    struct sim_wires *wires = net->wires;
    if (end->due_us > wires->loop->now_us) {
        sim_wake(wires->loop, net->who, end->due_us);
        return false;
    }
    end->connecting = false;
    bool refused = peer_of(wires, end) == NULL;
    sim_trace(wires->loop, net->who, SIM_TRACE_CONNECT, index_of(wires, end), refused);
    *out = (struct net_event){.kind = refused ? NET_CLOSED : NET_CONNECTED,
                              .conn = name_of(wires, end),
                              .tag = end->tag,
                              .status = refused ? STATUS_CLOSED : STATUS_OK};
    if (refused)
        end_free(wires, end);
    return true;
}

static bool report_waiting(struct sim_net *net, struct sim_end *end, struct net_event *out)
{
    struct sim_wires *wires = net->wires;
    if (!wires->listening[net->who])
        return false;
    if (end->due_us > wires->loop->now_us) {
        sim_wake(wires->loop, net->who, end->due_us);
        return false;
    }
    end->waiting = false;
    sim_trace(wires->loop, net->who, SIM_TRACE_ACCEPT, index_of(wires, end), 0);
    *out = (struct net_event){
        .kind = NET_ACCEPTED, .conn = name_of(wires, end), .peer = {[10] = 0xff, 0xff, 10}};
    out->peer[15] = (uint8_t)(peer_of(wires, end) ? peer_of(wires, end)->owner : 0);
    sim_wake(wires->loop, net->who, wires->loop->now_us); /* more may have come with it */
    return true;
}

static bool report_closed(struct sim_net *net, struct sim_end *end, struct net_event *out)
{
    struct sim_wires *wires = net->wires;
    if (!end->ended)
        return false;
    if (end->due_us > wires->loop->now_us) {
        sim_wake(wires->loop, net->who, end->due_us);
        return false;
    }
    if (end->told_first && end->stream_bytes > 0)
        return false; /* it reads on until the end */
    sim_trace(wires->loop, net->who, SIM_TRACE_CLOSE, index_of(wires, end), end->end_status);
    *out = (struct net_event){.kind = NET_CLOSED,
                              .conn = name_of(wires, end),
                              .tag = end->tag,
                              .status = end->end_status};
    end_free(wires, end);
    return true;
}

/* One event of an end, if it has one. */
static bool report(struct sim_net *net, struct sim_end *end, struct net_event *out)
{
    if (end->connecting)
        return report_connecting(net, end, out);
    if (end->waiting)
        return report_waiting(net, end, out);
    *out = (struct net_event){.conn = name_of(net->wires, end), .tag = end->tag};
    if (end->sent) {
        end->sent = false;
        out->kind = NET_SENT;
        out->sent = end->out_total;
        sim_wake(net->wires->loop, net->who, net->wires->loop->now_us); /* and what came in */
        return true;
    }
    if (receive(net->wires, end)) {
        out->kind = NET_RECEIVED;
        out->bytes = end->in + end->in_at;
        out->bytes_count = end->in_bytes;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < end->in_bytes; i += 7)
            sum = sum * 31 + end->in[i];
        sim_trace(net->wires->loop, net->who, SIM_TRACE_RECEIVE, index_of(net->wires, end),
                  sum << 16 | end->in_bytes);
        if (end->ended)
            sim_wake(net->wires->loop, net->who, end->due_us);
        return true;
    }
    return report_closed(net, end, out);
}

static size_t sim_net_wait(struct net *port, struct net_event *out, size_t max, int64_t timeout_ms)
{
    struct sim_net *net = net_of(port);
    size_t count = 0;
    (void)timeout_ms; /* the loop knows who sleeps for how long */
    for (uint32_t i = 0; i < net->wires->ends_top && count < max; i++) {
        struct sim_end *end = &net->wires->ends[i];
        if (end->used && end->owner == net->who && report(net, end, &out[count]))
            count++;
    }
    return count;
}

static void sim_net_consume(struct net *port, net_conn name, size_t bytes)
{
    struct sim_net *net = net_of(port);
    struct sim_end *end = end_find(net, name);
    if (!end || bytes == 0)
        return;
    assert(bytes <= end->in_bytes);
    end->in_at += (uint32_t)bytes;
    end->in_bytes -= (uint32_t)bytes;
    if (end->stream_bytes > 0 || end->ended)
        sim_wake(net->wires->loop, net->who, net->wires->loop->now_us);
}

static void sim_net_tag(struct net *port, net_conn name, uint64_t tag)
{
    struct sim_end *end = end_find(net_of(port), name);
    if (end)
        end->tag = tag;
}

static void sim_net_send(struct net *port, net_conn name, struct slice bytes)
{
    struct sim_net *net = net_of(port);
    struct sim_end *end = end_find(net, name);
    if (!end)
        return;
    assert(!end->sending && !end->sent);
    if (end->ended && !end->told_first)
        return;
    end->out = bytes;
    end->out_total = bytes.bytes;
    end->sending = true;
    say_into_nothing(net->wires, end);
    pump(net->wires, end);
}

static void sim_net_close(struct net *port, net_conn name, bool reset)
{
    struct sim_net *net = net_of(port);
    struct sim_wires *wires = net->wires;
    struct sim_end *end = end_find(net, name);
    if (!end)
        return;
    struct sim_end *peer = peer_of(wires, end);
    if (peer && peer->connecting)
        peer->connecting = false; /* it learns of both at once */
    if (peer)
        end_finish(wires, peer, STATUS_CLOSED, wires->loop->now_us + latency(wires), !reset);
    end_free(wires, end);
}

static enum status sim_net_connect(struct net *port, const uint8_t peer[16], uint16_t to,
                                   net_conn *out)
{
    struct sim_net *net = net_of(port);
    struct sim_wires *wires = net->wires;
    (void)peer;
    assert(to < SIM_PROCESSES_MAX);
    struct sim_end *end = end_take(wires, net->who);
    if (!end)
        return STATUS_BUSY;
    struct sim_end *other = wires->up[to] && wires->listening[to] ? end_take(wires, to) : NULL;
    end->connecting = true;
    end->remote = to;
    end->due_us = wires->loop->now_us + 2 * latency(wires);
    sim_wake(wires->loop, net->who, end->due_us);
    if (other) {
        end->peer = index_of(wires, other);
        other->peer = index_of(wires, end);
        other->waiting = true;
        other->remote = net->who;
        other->due_us = wires->loop->now_us + latency(wires);
        if (other->due_us > end->due_us)
            other->due_us = end->due_us;
        sim_wake(wires->loop, to, other->due_us);
    }
    *out = name_of(wires, end);
    return STATUS_OK;
}

static void sim_net_accepting(struct net *port, bool on)
{
    struct sim_net *net = net_of(port);
    net->wires->listening[net->who] = on;
    if (on)
        sim_wake(net->wires->loop, net->who, net->wires->loop->now_us);
}

static const struct net_vtable sim_net_vtable = {
    .wait = sim_net_wait,
    .consume = sim_net_consume,
    .tag = sim_net_tag,
    .send = sim_net_send,
    .close = sim_net_close,
    .connect = sim_net_connect,
    .accepting = sim_net_accepting,
};

/* ---- the world's hand ---- */

enum status sim_wires_open(struct sim_wires *wires, struct sim_loop *loop, struct sim_marks *marks,
                           uint64_t seed)
{
    memset(wires, 0, sizeof *wires);
    wires->loop = loop;
    wires->marks = marks;
    prng_init(&wires->prng, seed);
    size_t each = SIM_STREAM_BYTES + SIM_RECEIVE_BYTES;
    wires->memory = memory_reserve_array(SIM_ENDS_MAX, each);
    if (!wires->memory)
        return STATUS_BUSY;
    for (size_t i = 0; i < SIM_ENDS_MAX; i++) {
        wires->ends[i].stream = wires->memory + i * each;
        wires->ends[i].in = wires->ends[i].stream + SIM_STREAM_BYTES;
    }
    return STATUS_OK;
}

void sim_wires_close(struct sim_wires *wires)
{
    memory_free(wires->memory);
    wires->memory = NULL;
}

void sim_net_open(struct sim_net *net, struct sim_wires *wires, uint32_t who, bool listens)
{
    *net = (struct sim_net){.net = {&sim_net_vtable}, .wires = wires, .who = who};
    wires->up[who] = true;
    wires->listening[who] = listens;
}

void sim_net_kill(struct sim_net *net, bool power)
{
    struct sim_wires *wires = net->wires;
    wires->up[net->who] = wires->listening[net->who] = false;
    for (uint32_t i = 0; i < wires->ends_top; i++) {
        struct sim_end *end = &wires->ends[i];
        if (!end->used || end->owner != net->who)
            continue;
        struct sim_end *peer = peer_of(wires, end);
        if (peer && power && !peer->connecting) {
            peer->silent = true;
            mark(wires, SIM_MARK_NET_HALF_OPEN);
        } else if (peer && !peer->connecting) {
            end_finish(wires, peer, STATUS_CLOSED, wires->loop->now_us + latency(wires), false);
        }
        end_free(wires, end);
    }
}

bool sim_net_break(struct sim_net *net, bool silent)
{
    struct sim_wires *wires = net->wires;
    for (uint32_t i = 0; i < wires->ends_top; i++) {
        struct sim_end *end = &wires->ends[i];
        struct sim_end *peer = peer_of(wires, end);
        if (!end->used || end->owner != net->who || !peer || end->connecting || peer->waiting)
            continue;
        sim_trace(wires->loop, net->who, SIM_TRACE_RESET, i, silent);
        mark(wires, silent ? SIM_MARK_NET_HALF_OPEN : SIM_MARK_NET_RESET);
        uint64_t now_us = wires->loop->now_us;
        if (silent)
            peer->silent = true;
        else
            end_finish(wires, peer, STATUS_CLOSED, now_us + latency(wires), false);
        end_finish(wires, end, STATUS_CLOSED, now_us + latency(wires), false);
        peer->peer = end->peer = SIM_ENDS_MAX;
        if (!end->sending)
            return true;
        end->sending = false; /* its owner hears of the end */
        return true;
    }
    return false;
}

void sim_net_stall(struct sim_net *net, uint64_t until_us)
{
    struct sim_wires *wires = net->wires;
    for (uint32_t i = 0; i < wires->ends_top; i++) {
        struct sim_end *end = &wires->ends[i];
        if (!end->used || end->owner != net->who)
            continue;
        struct sim_end *peer = peer_of(wires, end);
        if (end->newest_us < until_us)
            end->newest_us = until_us;
        if (peer && peer->newest_us < until_us)
            peer->newest_us = until_us;
        mark(wires, SIM_MARK_NET_SLOW);
    }
}
