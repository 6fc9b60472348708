/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/bus.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define BACK_MAX 8u /* records delivered once more at most */

static struct sim_bus_node *node_of(const struct bus *port)
{
    return (struct sim_bus_node *)(uintptr_t)port;
}

static size_t topic_index(enum topic topic)
{
    assert(topic >= TOPIC_MESSAGES && topic <= TOPIC_QUARANTINE);
    return (size_t)topic - TOPIC_MESSAGES;
}

static struct sim_bus_log *log_at(struct sim_bus *bus, enum topic topic, uint32_t partition)
{
    assert(partition < bus->options.partitions);
    return &bus->logs[topic_index(topic)][partition];
}

static uint64_t until(struct sim_bus *bus, uint64_t low, uint64_t high)
{
    return bus->now_us + (high > low ? prng_range(&bus->prng, low, high) : low);
}

/* ---- appends ---- */

static struct bus_facts port_facts(const struct bus *port)
{
    return (struct bus_facts){node_of(port)->bus->options.partitions, false, 1};
}

static struct sim_bus_flight *flight_new(struct sim_bus *bus)
{
    if (bus->flights_count == bus->flights_room) {
        size_t room = bus->flights_room == 0 ? 256 : bus->flights_room * 2;
        struct sim_bus_flight *bigger = memory_array(room, sizeof *bigger);
        assert(bigger != NULL);
        if (bus->flights_count > 0)
            memcpy(bigger, bus->flights, bus->flights_count * sizeof *bigger);
        memory_free(bus->flights);
        bus->flights = bigger;
        bus->flights_room = room;
    }
    struct sim_bus_flight *flight = &bus->flights[bus->flights_count++];
    memset(flight, 0, sizeof *flight);
    flight->number = ++bus->numbers;
    return flight;
}

static struct slice bytes_copy(struct slice bytes)
{
    uint8_t *copy = memory_alloc(bytes.bytes);
    assert(copy != NULL);
    if (bytes.bytes > 0)
        memcpy(copy, bytes.at, bytes.bytes);
    return slice_make(copy, bytes.bytes);
}

/* What becomes of this append. */
static void fate_draw(struct sim_bus *bus, struct sim_bus_flight *flight)
{
    const struct sim_bus_options *options = &bus->options;
    uint64_t fate = prng_below(&bus->prng, 1000);
    flight->status = STATUS_OK;
    if (fate < options->timeout_lost) {
        flight->status = STATUS_TIMEOUT;
        flight->landing = false;
        bus->lost++;
    } else if (fate < options->timeout_lost + options->timeout_landed) {
        flight->status = STATUS_TIMEOUT;
        bus->landed_unknown++;
    } else if (fate < options->timeout_lost + options->timeout_landed + options->timeout_late) {
        flight->status = STATUS_TIMEOUT;
        flight->land_us =
            until(bus, options->land_max_us, options->land_max_us + options->late_max_us);
        bus->landed_late++;
    }
}

static enum status port_append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                               struct slice bytes, uint64_t token)
{
    struct sim_bus_node *node = node_of(port);
    struct sim_bus *bus = node->bus;
    const struct sim_bus_options *options = &bus->options;
    if (bytes.bytes > BUS_RECORD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (node->appends == SIM_BUS_APPENDS_MAX)
        return STATUS_BUSY;
    uint32_t partition = bus_partition(key, options->partitions);
    struct sim_bus_flight *flight = flight_new(bus);
    flight->node = node->index;
    flight->life = node->life;
    flight->topic = topic;
    flight->partition = partition;
    flight->token = token;
    flight->bytes = bytes_copy(bytes);
    memcpy(flight->key, key, ID_BYTES);
    flight->landing = flight->reporting = true;
    flight->land_us = until(bus, options->land_min_us, options->land_max_us);
    flight->report_us = until(bus, options->land_min_us, options->land_max_us);
    fate_draw(bus, flight);
    uint64_t *last = &node->last_land_us[topic_index(topic)][partition];
    if (flight->landing) { /* one producer's appends keep their order */
        flight->land_us = flight->land_us > *last ? flight->land_us : *last;
        *last = flight->land_us;
    }
    if (flight->status == STATUS_OK)
        flight->report_us = flight->land_us + prng_below(&bus->prng, options->report_max_us + 1);
    last = &node->last_report_us[topic_index(topic)][partition];
    flight->report_us = flight->report_us > *last ? flight->report_us : *last;
    *last = flight->report_us;
    const struct sim_bus_feed *feed = &node->feeds[topic_index(topic)][partition];
    bus->zombie_appends +=
        feed->assigned && feed->generation != log_at(bus, topic, partition)->generation;
    bus->appended++;
    node->appends++;
    return STATUS_OK;
}

/* `bytes` is ours. */
static uint64_t entry_add(struct sim_bus *bus, struct sim_bus_log *log, const uint8_t *key,
                          struct slice bytes)
{
    if (log->count == log->room) {
        size_t room = log->room == 0 ? 256 : log->room * 2;
        struct sim_bus_entry *bigger = memory_array(room, sizeof *bigger);
        assert(bigger != NULL);
        if (log->count > 0)
            memcpy(bigger, log->entries, log->count * sizeof *bigger);
        memory_free(log->entries);
        log->entries = bigger;
        log->room = room;
    }
    uint64_t skew = prng_below(&bus->prng, bus->options.skew_max_us + 1);
    struct sim_bus_entry *entry = &log->entries[log->count];
    *entry = (struct sim_bus_entry){
        .landed_us = bus->now_us, .append_us = bus->now_us - skew, .bytes = bytes};
    if (skew > bus->now_us)
        entry->append_us = bus->now_us;
    memcpy(entry->key, key, ID_BYTES);
    return log->count++;
}

static void land(struct sim_bus *bus, struct sim_bus_flight *flight)
{
    struct sim_bus_log *log = log_at(bus, flight->topic, flight->partition);
    flight->offset = entry_add(bus, log, flight->key, flight->bytes);
    flight->landing = false;
    flight->bytes = SLICE_EMPTY;
}

void sim_bus_put(struct sim_bus *bus, const struct bus_record *record)
{
    uint32_t partition = bus_partition(record->key, bus->options.partitions);
    struct sim_bus_log *log = log_at(bus, record->topic, partition);
    (void)entry_add(bus, log, record->key, bytes_copy(record->bytes));
    log->entries[log->count - 1].append_us = record->append_us;
}

static void report(struct sim_bus *bus, struct sim_bus_flight *flight)
{
    struct sim_bus_node *node = &bus->nodes[flight->node];
    flight->reporting = false;
    assert(node->done_count < SIM_BUS_APPENDS_MAX);
    node->done[node->done_count++] = (struct bus_event){.kind = BUS_APPENDED,
                                                        .token = flight->token,
                                                        .status = flight->status,
                                                        .offset = flight->offset,
                                                        .log_epoch = 1,
                                                        .topic = flight->topic,
                                                        .partition = flight->partition};
}

static void flights_sweep(struct sim_bus *bus)
{
    size_t kept = 0;
    for (size_t i = 0; i < bus->flights_count; i++) {
        struct sim_bus_flight *flight = &bus->flights[i];
        if (flight->landing || flight->reporting)
            bus->flights[kept++] = *flight;
        else if (flight->bytes.at != NULL)
            memory_free((void *)(uintptr_t)flight->bytes.at);
    }
    bus->flights_count = kept;
}

static uint64_t flight_due_us(const struct sim_bus_flight *flight)
{
    uint64_t due = UINT64_MAX;
    if (flight->landing)
        due = flight->land_us;
    if (flight->reporting && flight->report_us < due)
        due = flight->report_us;
    return due;
}

/* ---- consuming ---- */

static void feed_deliver(struct sim_bus_node *node, const struct sim_bus_notice *notice)
{
    const struct bus_event *event = &notice->event;
    struct sim_bus_feed *feed = &node->feeds[topic_index(event->topic)][event->partition];
    *feed = (struct sim_bus_feed){.assigned = event->kind == BUS_ASSIGNED,
                                  .generation = notice->generation};
}

/* Who gets an assignment of the same partition: the order of generations is kept. */
static size_t poll_notices(struct sim_bus_node *node, struct bus_event *out, size_t max)
{
    size_t count = 0;
    while (count < max) {
        size_t best = node->notices_count;
        for (size_t i = 0; i < node->notices_count; i++) {
            const struct sim_bus_notice *notice = &node->notices[i];
            if (notice->due_us <= node->bus->now_us &&
                (best == node->notices_count || notice->due_us < node->notices[best].due_us ||
                 (notice->due_us == node->notices[best].due_us &&
                  notice->number < node->notices[best].number)))
                best = i;
        }
        if (best == node->notices_count)
            break;
        out[count++] = node->notices[best].event;
        feed_deliver(node, &node->notices[best]);
        node->notices[best] = node->notices[--node->notices_count];
    }
    return count;
}

static size_t poll_feed(struct sim_bus_node *node, size_t topic, uint32_t partition,
                        struct bus_event *out, size_t max)
{
    struct sim_bus *bus = node->bus;
    struct sim_bus_feed *feed = &node->feeds[topic][partition];
    const struct sim_bus_log *log = &bus->logs[topic][partition];
    size_t count = 0;
    if (!feed->consuming || feed->paused)
        return 0;
    if (feed->position > feed->low && prng_chance(&bus->prng, bus->options.redelivered)) {
        uint64_t back = 1 + prng_below(&bus->prng, BACK_MAX);
        feed->position = feed->position - feed->low > back ? feed->position - back : feed->low;
        bus->redeliveries++;
    }
    while (count < max && feed->position < log->count) {
        const struct sim_bus_entry *entry = &log->entries[feed->position];
        struct bus_event *event = &out[count++];
        *event = (struct bus_event){.kind = BUS_RECORD};
        event->record = (struct bus_record){.topic = (enum topic)(topic + TOPIC_MESSAGES),
                                            .partition = partition,
                                            .log_epoch = 1,
                                            .offset = feed->position++,
                                            .append_us = entry->append_us,
                                            .bytes = entry->bytes};
        memcpy(event->record.key, entry->key, ID_BYTES);
        bus->zombie_records += feed->generation != log->generation;
    }
    return count;
}

static size_t port_poll(struct bus *port, struct bus_event *out, size_t max)
{
    struct sim_bus_node *node = node_of(port);
    size_t count = 0;
    while (count < max && count < node->done_count) {
        out[count] = node->done[count];
        count++;
    }
    memmove(node->done, node->done + count, (node->done_count - count) * sizeof *node->done);
    node->done_count -= count;
    node->appends -= (uint32_t)count;
    count += poll_notices(node, out + count, max - count);
    uint32_t feeds = SIM_BUS_TOPICS * node->bus->options.partitions;
    node->turn++;
    for (uint32_t i = 0; i < feeds && count < max; i++) {
        uint32_t at = (node->turn + i) % feeds;
        count +=
            poll_feed(node, at % SIM_BUS_TOPICS, at / SIM_BUS_TOPICS, out + count, max - count);
    }
    return count;
}

static struct sim_bus_feed *feed_at(struct bus *port, enum topic topic, uint32_t partition)
{
    struct sim_bus_node *node = node_of(port);
    assert(partition < node->bus->options.partitions);
    return &node->feeds[topic_index(topic)][partition];
}

static void port_consume(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct sim_bus_feed *feed = feed_at(port, topic, partition);
    feed->consuming = feed->assigned;
    feed->position = feed->low = offset;
}

static void port_pause(struct bus *port, enum topic topic, uint32_t partition, bool paused)
{
    feed_at(port, topic, partition)->paused = paused;
}

static void port_commit(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct sim_bus *bus = node_of(port)->bus;
    const struct sim_bus_feed *feed = feed_at(port, topic, partition);
    struct sim_bus_log *log = log_at(bus, topic, partition);
    assert(offset <= log->count);
    if (!feed->assigned || feed->generation != log->generation)
        bus->zombie_commits++;
    else if (prng_chance(&bus->prng, bus->options.commit_lost))
        bus->commits_lost++;
    else
        log->committed = offset;
}

static struct bus_ends port_ends(const struct bus *port, enum topic topic, uint32_t partition)
{
    return (struct bus_ends){0, log_at(node_of(port)->bus, topic, partition)->count};
}

static uint64_t port_committed(const struct bus *port, enum topic topic, uint32_t partition)
{
    return log_at(node_of(port)->bus, topic, partition)->committed;
}

static const struct bus_vtable vtable = {port_facts, port_append, port_poll, port_consume,
                                         port_pause, port_commit, port_ends, port_committed};

/* ---- the world's side ---- */

void sim_bus_init(struct sim_bus *bus, const struct sim_bus_options *options, uint64_t seed)
{
    assert(options->partitions > 0 && options->partitions <= SIM_BUS_PARTITIONS_MAX);
    memset(bus, 0, sizeof *bus);
    bus->options = *options;
    prng_init(&bus->prng, seed);
    for (uint32_t i = 0; i < SIM_BUS_NODES_MAX; i++) {
        bus->nodes[i].port.vtable = &vtable;
        bus->nodes[i].bus = bus;
        bus->nodes[i].index = i;
    }
    for (size_t topic = 0; topic < SIM_BUS_TOPICS; topic++) {
        for (uint32_t i = 0; i < options->partitions; i++)
            bus->logs[topic][i].owner = SIM_BUS_NOBODY;
    }
}

void sim_bus_deinit(struct sim_bus *bus)
{
    for (size_t i = 0; i < bus->flights_count; i++)
        memory_free((void *)(uintptr_t)bus->flights[i].bytes.at);
    memory_free(bus->flights);
    for (size_t topic = 0; topic < SIM_BUS_TOPICS; topic++) {
        for (uint32_t i = 0; i < SIM_BUS_PARTITIONS_MAX; i++) {
            struct sim_bus_log *log = &bus->logs[topic][i];
            for (size_t k = 0; k < log->count; k++)
                memory_free((void *)(uintptr_t)log->entries[k].bytes.at);
            memory_free(log->entries);
        }
    }
    memset(bus, 0, sizeof *bus);
}

struct bus *sim_bus_port(struct sim_bus *bus, uint32_t node)
{
    assert(node < SIM_BUS_NODES_MAX);
    return &bus->nodes[node].port;
}

void sim_bus_advance(struct sim_bus *bus, uint64_t now_us)
{
    assert(now_us >= bus->now_us);
    for (;;) {
        struct sim_bus_flight *next = NULL;
        uint64_t due = now_us;
        for (size_t i = 0; i < bus->flights_count; i++) {
            uint64_t at = flight_due_us(&bus->flights[i]);
            if (at < due || (at <= due && next == NULL)) {
                next = &bus->flights[i];
                due = at;
            }
        }
        if (next == NULL)
            break;
        bus->now_us = due > bus->now_us ? due : bus->now_us;
        if (next->landing && next->land_us <= due)
            land(bus, next);
        else
            report(bus, next);
        flights_sweep(bus);
    }
    bus->now_us = now_us;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What is there already, or was announced, for one node. */
static uint64_t node_waits_us(const struct sim_bus *bus, uint32_t at)
{
    const struct sim_bus_node *node = &bus->nodes[at];
    uint64_t due = node->done_count > 0 ? bus->now_us : UINT64_MAX;
    for (size_t k = 0; k < node->notices_count; k++)
        due = sooner(due, node->notices[k].due_us);
    for (size_t k = 0; k < (size_t)SIM_BUS_TOPICS * bus->options.partitions; k++) {
        size_t topic = k % SIM_BUS_TOPICS, partition = k / SIM_BUS_TOPICS;
        const struct sim_bus_feed *feed = &node->feeds[topic][partition];
        if (feed->consuming && !feed->paused && feed->position < bus->logs[topic][partition].count)
            due = bus->now_us;
    }
    return due;
}

uint64_t sim_bus_next_due_us(const struct sim_bus *bus)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < bus->flights_count; i++)
        due = sooner(due, flight_due_us(&bus->flights[i]));
    for (uint32_t i = 0; i < SIM_BUS_NODES_MAX; i++)
        due = sooner(due, node_waits_us(bus, i));
    return due;
}

uint64_t sim_bus_node_due_us(const struct sim_bus *bus, uint32_t at)
{
    const struct sim_bus_node *node = &bus->nodes[at];
    uint64_t due = node_waits_us(bus, at);
    for (size_t i = 0; i < bus->flights_count; i++) {
        const struct sim_bus_flight *flight = &bus->flights[i];
        if (flight->node == at && flight->reporting)
            due = sooner(due, flight->report_us);
        if (flight->landing && node->feeds[topic_index(flight->topic)][flight->partition].consuming)
            due = sooner(due, flight->land_us);
    }
    return due;
}

uint64_t sim_bus_knows(const struct sim_bus *bus, enum topic topic, uint32_t partition,
                       uint32_t node)
{
    const struct sim_bus_feed *feed = &bus->nodes[node].feeds[topic_index(topic)][partition];
    uint64_t generation = bus->logs[topic_index(topic)][partition].generation;
    return feed->assigned && feed->generation == generation ? generation : 0;
}

static void notice_add(struct sim_bus *bus, uint32_t at, const struct sim_bus_notice *notice)
{
    struct sim_bus_node *node = &bus->nodes[at];
    assert(node->notices_count < SIM_BUS_NOTICES_MAX);
    struct sim_bus_notice *added = &node->notices[node->notices_count++];
    *added = *notice;
    added->number = ++bus->numbers;
    /* A node hears of one partition in the order of what happened. */
    for (size_t i = 0; i + 1 < node->notices_count; i++) {
        const struct sim_bus_notice *other = &node->notices[i];
        if (other->event.topic == added->event.topic &&
            other->event.partition == added->event.partition && other->due_us > added->due_us)
            added->due_us = other->due_us;
    }
}

void sim_bus_assign(struct sim_bus *bus, enum topic topic, uint32_t partition, uint32_t node)
{
    struct sim_bus_log *log = log_at(bus, topic, partition);
    struct sim_bus_notice notice = {.event = {.topic = topic, .partition = partition}};
    if (log->owner == node)
        return;
    bus->moves++;
    if (log->owner != SIM_BUS_NOBODY) {
        notice.event.kind = BUS_REVOKED;
        notice.due_us = until(bus, 0, bus->options.land_max_us);
        notice.generation = log->generation;
        if (prng_chance(&bus->prng, bus->options.zombie)) {
            notice.due_us = until(bus, 0, bus->options.zombie_max_us);
            bus->zombies++;
        }
        notice_add(bus, log->owner, &notice);
    }
    log->owner = node;
    log->generation = ++bus->numbers;
    if (node == SIM_BUS_NOBODY)
        return;
    notice.event.kind = BUS_ASSIGNED;
    notice.due_us = until(bus, 0, bus->options.land_max_us);
    notice.generation = log->generation;
    notice_add(bus, node, &notice);
}

uint32_t sim_bus_owner(const struct sim_bus *bus, enum topic topic, uint32_t partition)
{
    return bus->logs[topic_index(topic)][partition].owner;
}

void sim_bus_crash(struct sim_bus *bus, uint32_t at)
{
    struct sim_bus_node *node = &bus->nodes[at];
    for (size_t i = 0; i < bus->flights_count; i++) {
        struct sim_bus_flight *flight = &bus->flights[i];
        if (flight->node != at || flight->life != node->life)
            continue;
        flight->reporting = false;
        if (!flight->landing)
            continue;
        flight->landing = prng_chance(&bus->prng, 500);
        bus->crashed_landed += flight->landing;
        bus->crashed_lost += !flight->landing;
    }
    flights_sweep(bus);
    node->life++;
    node->appends = 0;
    node->done_count = node->notices_count = 0;
    memset(node->feeds, 0, sizeof node->feeds);
    for (size_t topic = 0; topic < SIM_BUS_TOPICS; topic++) {
        for (uint32_t i = 0; i < bus->options.partitions; i++) {
            struct sim_bus_log *log = &bus->logs[topic][i];
            if (log->owner != at)
                continue;
            log->owner = SIM_BUS_NOBODY;
            log->generation = ++bus->numbers;
        }
    }
}

void sim_bus_heal(struct sim_bus *bus)
{
    struct sim_bus_options *options = &bus->options;
    options->timeout_lost = options->timeout_landed = options->timeout_late = 0;
    options->redelivered = options->commit_lost = options->zombie = 0;
    options->skew_max_us = 0;
}

bool sim_bus_quiet(const struct sim_bus *bus)
{
    return sim_bus_next_due_us(bus) == UINT64_MAX;
}
