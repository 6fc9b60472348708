/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/processor.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

static uint32_t lane_of(const struct processor *processor, enum topic topic, uint32_t partition)
{
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        const struct lane *lane = processor->lanes[i];
        if (lane != NULL && !processor->leaving[i] && lane->partition == partition &&
            (processor->facts.single || lane->topic == topic))
            return i;
    }
    return PROCESSOR_LANES_MAX;
}

static enum status lane_add(struct processor *processor, enum topic topic, uint32_t partition)
{
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        if (processor->lanes[i] != NULL)
            continue;
        struct lane *lane = memory_array(1, sizeof *lane);
        if (lane == NULL)
            return STATUS_BUSY;
        lane->index = i;
        struct lane_options options = {processor->bus, processor->store, topic, partition,
                                       processor->bounds};
        enum status status = lane_open(lane, &options);
        if (status != STATUS_OK) {
            memory_free(lane);
            return status;
        }
        processor->lanes[i] = lane;
        processor->leaving[i] = processor->paused[i] = false;
        return STATUS_OK;
    }
    return STATUS_BUSY;
}

static void lane_remove(struct processor *processor, uint32_t at)
{
    lane_close(processor->lanes[at]);
    memory_free(processor->lanes[at]);
    processor->lanes[at] = NULL;
    processor->leaving[at] = false;
}

enum status processor_open(struct processor *processor, struct bus *bus, struct store *store,
                           struct rpc *rpc, const struct processor_options *options)
{
    memset(processor, 0, sizeof *processor);
    processor->bus = bus;
    processor->store = store;
    processor->facts = bus->vtable->facts(bus);
    processor->bounds = options->bounds;
    enum status status = live_open(&processor->live, bus, store, rpc, options->devices_max);
    if (status == STATUS_OK && processor->facts.single)
        status = lane_add(processor, TOPIC_MESSAGES, 0);
    if (status != STATUS_OK)
        processor_close(processor);
    return status;
}

void processor_close(struct processor *processor)
{
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        if (processor->lanes[i] == NULL)
            continue;
        struct lane *lane = processor->lanes[i];
        lane->in_flight = lane->appends_in_flight = 0;
        lane->batches[0].flying = lane->batches[1].flying = false;
        lane_remove(processor, i);
    }
    live_close(&processor->live);
    memset(processor, 0, sizeof *processor);
}

static void on_appended(struct processor *processor, const struct bus_event *event)
{
    if ((event->token & LANE_TOKEN_BIT) == 0) {
        live_on_appended(&processor->live, event->token, event->status);
        return;
    }
    uint32_t at = (uint32_t)(event->token >> 32) & 0xFFFF;
    if (at < PROCESSOR_LANES_MAX && processor->lanes[at] != NULL)
        lane_on_appended(processor->lanes[at], event->token, event->status);
}

static void on_revoked(struct processor *processor, const struct bus_event *event)
{
    uint32_t at = lane_of(processor, event->topic, event->partition);
    if (at != PROCESSOR_LANES_MAX)
        processor->leaving[at] = true;
    if (event->topic == TOPIC_DELIVERIES)
        live_forget(&processor->live, event->partition, processor->facts.partitions);
}

void processor_on_bus(struct processor *processor, const struct bus_event *event)
{
    enum topic topic = event->kind == BUS_RECORD ? event->record.topic : event->topic;
    uint32_t partition = event->kind == BUS_RECORD ? event->record.partition : event->partition;
    uint32_t at = lane_of(processor, topic, partition);
    switch (event->kind) {
    case BUS_APPENDED: on_appended(processor, event); break;
    case BUS_RECORD:
        if (at != PROCESSOR_LANES_MAX)
            lane_on_record(processor->lanes[at], &event->record);
        break;
    case BUS_HOLE:
        if (at != PROCESSOR_LANES_MAX)
            lane_on_hole(processor->lanes[at], event->hole_end);
        break;
    case BUS_ASSIGNED:
        if (at == PROCESSOR_LANES_MAX && !processor->facts.single &&
            lane_add(processor, topic, partition) != STATUS_OK)
            processor->failed = true;
        break;
    case BUS_REVOKED: on_revoked(processor, event); break;
    case BUS_FAILED: processor->live.read_only = true; break;
    default: break;
    }
}

void processor_on_rpc(struct processor *processor, const struct pb_rpc *rpc)
{
    live_on_rpc(&processor->live, rpc);
}

/* A store that answers at once is asked again in the same turn, within reason. */
#define STEP_ROUNDS 64

/* One machine: the lane's rows are on their way to the store; an answer goes through them. */
static void live_look(struct processor *processor, struct store_request *request)
{
    const struct lane *lane = processor->lanes[0];
    if (!processor->facts.single || lane == NULL || request->status != STATUS_OK ||
        request->op == STORE_COMMIT)
        return;
    if (!lane_look(lane, request, live_asked(request)))
        request->status = STATUS_BUSY; /* it is asked again */
}

/* Is all that there is folded, though not committed? */
static bool at_end(const struct processor *processor, const struct lane *lane)
{
    return lane->next_offset >=
           processor->bus->vtable->ends(processor->bus, lane->topic, lane->partition).next;
}

/* What live has for the lane's next commit, and whom it keeps waiting for it. */
static void live_give(struct processor *processor)
{
    struct live *live = &processor->live;
    struct lane *lane = processor->lanes[0];
    if (!processor->facts.single || lane == NULL)
        return;
    if (live->moves_count > 0 && lane_join(lane, live->moves, live->moves_count))
        live->moves_count = 0;
    lane->hurry = lane->hurry || live->hurry || processor->leaves ||
                  (!live->ready && at_end(processor, lane));
    live->hurry = false;
}

static bool poll_store(struct processor *processor)
{
    struct store_request *done[64];
    size_t count = processor->store->vtable->poll(processor->store, done, 64);
    for (size_t i = 0; i < count; i++) {
        uint64_t token = done[i]->token;
        uint32_t at = (uint32_t)(token >> 32) & 0xFFFF;
        if ((token & LANE_TOKEN_BIT) == 0) {
            live_look(processor, done[i]);
            live_on_store(&processor->live, done[i]);
        } else if (processor->lanes[at] != NULL) {
            lane_on_store(processor->lanes[at], done[i]);
        }
    }
    return count > 0;
}

/* The lists of one step in one; it ends behind them, since a lane's next step commits. */
static void unreadable_take(struct processor *processor, struct lane *lane)
{
    if (processor->unreadable == NULL)
        processor->unreadable = lane->unreadable;
    else
        processor->unreadable_last->next = lane->unreadable;
    for (struct lane_unreadable *at = lane->unreadable; at != NULL; at = at->next) {
        processor->unreadable_last = at;
        processor->unreadable_count++;
    }
}

/* True: a batch was finished, or the bus may be asked again, which nobody else will say. */
static bool step_lane(struct processor *processor, uint32_t at, uint64_t now_ms)
{
    struct lane *lane = processor->lanes[at];
    if (processor->leaving[at]) {
        if (lane_idle(lane))
            lane_remove(processor, at);
        return false;
    }
    bool finished = lane_step(lane, now_ms);
    for (struct lane_notice *notice = lane->notices; finished && notice != NULL;
         notice = notice->next)
        live_on_folded(&processor->live, notice->user, notice->outcome);
    if (lane->state == LANE_SHOWN)
        unreadable_take(processor, lane);
    if (lane->state == LANE_FAILED || lane->state == LANE_STOPPED)
        processor->failed = processor->live.read_only = true;
    if (lane_full(lane) != processor->paused[at]) {
        processor->paused[at] = !processor->paused[at];
        processor->bus->vtable->pause(processor->bus, lane->topic, lane->partition,
                                      processor->paused[at]);
        return finished || !processor->paused[at];
    }
    return finished;
}

static uint64_t dropped_of(const struct processor *processor)
{
    return processor->lanes[0] != NULL ? processor->lanes[0]->dropped : 0;
}

bool processor_step(struct processor *processor, uint64_t now_ms)
{
    bool finished = false, again = true;
    processor->unreadable = processor->unreadable_last = NULL;
    for (int round = 0; again && round < STEP_ROUNDS && processor->unreadable == NULL; round++) {
        for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
            if (processor->lanes[i] != NULL && step_lane(processor, i, now_ms))
                finished = true;
        }
        if (!processor->live.ready)
            processor->live.ready = processor_caught_up(processor);
        processor->live.dropped_batches = dropped_of(processor);
        live_step(&processor->live, now_ms);
        live_give(processor);
        again = poll_store(processor);
    }
    return finished || again || processor->unreadable != NULL;
}

uint64_t processor_next_ms(const struct processor *processor)
{
    uint64_t next_ms = live_next_ms(&processor->live);
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        uint64_t lane_ms =
            processor->lanes[i] != NULL ? lane_next_ms(processor->lanes[i]) : TIMER_NEVER;
        next_ms = lane_ms < next_ms ? lane_ms : next_ms;
    }
    return next_ms;
}

void processor_leave(struct processor *processor)
{
    processor->leaves = true;
}

uint64_t processor_lag(const struct processor *processor)
{
    uint64_t lag = 0;
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        const struct lane *lane = processor->lanes[i];
        if (lane == NULL || processor->leaving[i])
            continue;
        uint64_t next =
            processor->bus->vtable->ends(processor->bus, lane->topic, lane->partition).next;
        if (next > lane->done_offset)
            lag += next - lane->done_offset;
        if (lane->state == LANE_START)
            lag += 1;
    }
    return lag;
}

bool processor_busy(const struct processor *processor)
{
    return processor_lag(processor) > PROCESSOR_LAG_MAX;
}

bool processor_caught_up(const struct processor *processor)
{
    return !processor->failed && processor_lag(processor) == 0;
}

bool processor_read_only(const struct processor *processor)
{
    return processor->live.read_only;
}

const struct lane *processor_stopped(const struct processor *processor)
{
    for (uint32_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
        const struct lane *lane = processor->lanes[i];
        if (lane != NULL && lane->state == LANE_STOPPED)
            return lane;
    }
    return NULL;
}
