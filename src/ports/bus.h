/* SPDX-License-Identifier: Apache-2.0
 * bus.h: the port of the durable, ordered log (storage §§2, 3, 6, 11). Adapters: log (one machine:
 * one offset space for all topics), sim (partitioned, redelivering), later kafka.
 * Guarantees: APPENDED with OK means durable; TIMEOUT means unknown, it may have happened; per
 * partition records arrive in order, without a gap unless HOLE says so; appends of one producer
 * keep their order, and are answered in it (of one partition; the gateway's R1 stands on that); at
 * least once. Completion-shaped. Owner: one thread (a shard). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/topic.h"

#define BUS_RECORD_BYTES_MAX (256u * 1024u)

/* Facts fixed at open. */
struct bus_facts {
    uint32_t partitions; /* of each topic; 1 with `single` */
    bool single;         /* one offset space for all topics, one consumer takes them in log order */
    uint32_t log_epoch;
};

struct bus_record {
    enum topic topic;
    uint32_t partition;
    uint32_t log_epoch;
    uint64_t offset;
    uint64_t append_us; /* the bus's clock; never falls within a partition of the log adapter */
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct bus_ends {
    uint64_t first; /* oldest offset still held */
    uint64_t next;  /* one past the newest durable record */
};

enum bus_event_kind {
    BUS_APPENDED, /* token, status OK | TIMEOUT | TOO_LARGE (storage full), offset */
    BUS_RECORD,   /* record; its bytes live until the next poll */
    BUS_HOLE,     /* offsets record.offset … hole_end − 1 are damaged and lost, announced */
    BUS_ASSIGNED, /* this consumer now owns `partition` of `topic`; it must call consume */
    BUS_REVOKED,  /* this consumer no longer owns it: stop, commit nothing more */
    BUS_FAILED,   /* the log cannot go on (damage, I/O): read-only or stop, `status` says which */
};

struct bus_event {
    enum bus_event_kind kind;
    uint64_t token;
    enum status status;
    uint64_t offset;
    uint32_t log_epoch;
    enum topic topic;
    uint32_t partition;
    struct bus_record record;
    uint64_t hole_end;
};

struct bus {
    const struct bus_vtable *vtable;
};

struct bus_vtable {
    struct bus_facts (*facts)(const struct bus *);
    /* Copy the record into the producer's queue. BUSY when it is full, TOO_LARGE over the limit;
     * else OK, and an APPENDED with this token follows. */
    enum status (*append)(struct bus *, enum topic, const uint8_t key[ID_BYTES], struct slice bytes,
                          uint64_t token) MUST_USE;
    /* Completions and records, at most `max`; records only of consumed, unpaused partitions. */
    size_t (*poll)(struct bus *, struct bus_event *out, size_t max);
    /* Deliver records of this partition from `offset` on (all topics when single: pass MESSAGES,
     * 0). */
    void (*consume)(struct bus *, enum topic, uint32_t partition, uint64_t offset);
    void (*pause)(struct bus *, enum topic, uint32_t partition, bool paused);
    /* Everything below `offset` is finished: rows in the store and emissions durable. */
    void (*commit)(struct bus *, enum topic, uint32_t partition, uint64_t offset);
    struct bus_ends (*ends)(const struct bus *, enum topic, uint32_t partition);
    /* Offset to resume from: the last commit, as far as the bus remembers it; 0 if none. */
    uint64_t (*committed)(const struct bus *, enum topic, uint32_t partition);
};

/* Partition of a key: the first 8 bytes, big-endian, modulo the count. */
static inline uint32_t bus_partition(const uint8_t key[ID_BYTES], uint32_t partitions)
{
    uint64_t head = 0;
    for (int i = 0; i < 8; i++)
        head = head << 8 | key[i];
    return (uint32_t)(head % partitions);
}
