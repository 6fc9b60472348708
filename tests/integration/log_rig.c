/* SPDX-License-Identifier: Apache-2.0 */
#include "log_rig.h"

#include <string.h>

#include "base/assert.h"

#define STEPS_MAX 2000000u

static struct clock_reading rig_read(struct clock_port *clock)
{
    const struct rig *rig = (struct rig *)clock;
    return (struct clock_reading){.wall_us = 1700000000000000u + rig->now_us,
                                  .mono_us = rig->now_us};
}

static const struct clock_vtable clock_vtable = {.read = rig_read};

static void rig_fill(struct entropy *entropy, uint8_t *out, size_t bytes)
{
    struct rig *rig = (struct rig *)((uint8_t *)entropy - offsetof(struct rig, entropy));
    prng_bytes(&rig->prng, out, bytes);
}

static const struct entropy_vtable entropy_vtable = {.fill = rig_fill};

struct log_options rig_options(void)
{
    return (struct log_options){.folder = "log",
                                .segment_bytes = 64 * 1024,
                                .group_bytes = 16 * 1024,
                                .group_records_max = 16,
                                .record_bytes_max = 4096,
                                .segments_max = 64};
}

void rig_init(struct rig *rig, const struct disk_options *disk, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    rig->clock.vtable = &clock_vtable;
    rig->entropy.vtable = &entropy_vtable;
    rig->options = rig_options();
    prng_init(&rig->prng, seed);
    disk_init(&rig->disk, disk, seed + 1);
    memset(rig->acked_at, 0xff, sizeof rig->acked_at);
    memset(rig->token_at, 0xff, sizeof rig->token_at);
}

void rig_deinit(struct rig *rig)
{
    if (rig->log.state == LOG_STOPPED)
        rig->log.file = NULL; /* the disk goes first */
    disk_deinit(&rig->disk);
    log_close(&rig->log);
}

void rig_start(struct rig *rig)
{
    enum status status =
        log_open(&rig->log, &rig->disk.port, &rig->clock, &rig->entropy, &rig->options);
    assert(status == STATUS_OK);
    rig->holes = rig->hole_offsets = 0;
    rig->next = rig->from;
    rig->answered = rig->appended;
    rig->failed = false;
    rig->log.bus.vtable->consume(&rig->log.bus, TOPIC_MESSAGES, 0, rig->from);
}

static void log_end(struct rig *rig)
{
    if (rig->log.state == LOG_STOPPED)
        rig->log.file = NULL;
    log_close(&rig->log);
}

void rig_crash(struct rig *rig, bool power)
{
    if (power)
        disk_crash(&rig->disk);
    else
        disk_kill(&rig->disk);
    log_end(rig);
}

size_t rig_record(uint64_t token, uint8_t *out)
{
    struct prng prng;
    prng_init(&prng, token + 1);
    size_t bytes = 8 + prng_below(&prng, prng_chance(&prng, 200) ? 2900 : 150);
    prng_bytes(&prng, out, bytes);
    memcpy(out, &token, sizeof token);
    return bytes;
}

bool rig_append(struct rig *rig)
{
    uint8_t bytes[3072];
    uint8_t key[ID_BYTES] = {(uint8_t)rig->appended};
    assert(rig->appended < RIG_TOKENS_MAX);
    struct slice record = slice_make(bytes, rig_record(rig->appended, bytes));
    enum topic topic = rig->appended % 3 == 0 ? TOPIC_DELIVERIES : TOPIC_MESSAGES;
    if (rig->log.bus.vtable->append(&rig->log.bus, topic, key, record, rig->appended) != STATUS_OK)
        return false;
    rig->appended++;
    return true;
}

static void on_appended(struct rig *rig, const struct bus_event *event)
{
    assert(event->token == rig->answered); /* each once, in order */
    rig->answered++;
    if (event->status == STATUS_OK) {
        assert(event->offset < rig->log.end); /* what is answered lies below the durable end */
        assert(event->offset >= rig->acked_end);
        rig->acked_at[event->token] = event->offset;
        rig->acked_end = event->offset + 1;
        rig->acked++;
    } else if (event->status == STATUS_TIMEOUT) {
        rig->unknown++;
    } else {
        assert(event->status == STATUS_TOO_LARGE);
        rig->full++;
    }
}

static void on_record(struct rig *rig, const struct bus_record *record)
{
    uint8_t expected[3072];
    uint64_t token;
    assert(record->offset == rig->next && record->offset < RIG_TOKENS_MAX);
    rig->next++;
    assert(record->bytes.bytes >= sizeof token);
    memcpy(&token, record->bytes.at, sizeof token);
    assert(token < rig->appended && record->key[0] == (uint8_t)token);
    assert(slice_equal(record->bytes, slice_make(expected, rig_record(token, expected))));
    assert(record->topic == (token % 3 == 0 ? TOPIC_DELIVERIES : TOPIC_MESSAGES));
    uint64_t *before = &rig->token_at[record->offset];
    assert(*before == RIG_NONE || *before == token); /* what was handed out once, stays */
    *before = token;
    assert(rig->acked_at[token] == RIG_NONE || rig->acked_at[token] == record->offset);
}

static void on_event(struct rig *rig, const struct bus_event *event)
{
    switch (event->kind) {
    case BUS_APPENDED: on_appended(rig, event); break;
    case BUS_RECORD: on_record(rig, &event->record); break;
    case BUS_HOLE:
        assert(event->record.offset == rig->next && event->hole_end > rig->next);
        rig->holes++;
        rig->hole_offsets += event->hole_end - rig->next;
        rig->next = event->hole_end;
        break;
    case BUS_FAILED:
        rig->failed = true;
        rig->failed_status = event->status;
        break;
    case BUS_ASSIGNED:
    case BUS_REVOKED: assert(false && "the log assigns nothing");
    }
}

static size_t poll_all(struct rig *rig)
{
    struct bus_event events[7]; /* few, so that batches are split */
    size_t sum = 0;
    for (size_t count; (count = rig->log.bus.vtable->poll(&rig->log.bus, events, 7)) > 0;) {
        sum += count;
        for (size_t i = 0; i < count; i++)
            on_event(rig, &events[i]);
    }
    return sum;
}

bool rig_step(struct rig *rig, uint64_t until_us)
{
    if (poll_all(rig) > 0)
        return true;
    uint64_t due_us = disk_next_due_us(&rig->disk), log_us = log_deadline_us(&rig->log);
    uint64_t next_us = due_us < log_us ? due_us : log_us;
    if (next_us == UINT64_MAX || next_us > until_us)
        return false;
    if (next_us > rig->now_us)
        rig->now_us = next_us;
    disk_advance(&rig->disk, rig->now_us);
    (void)poll_all(rig);
    return true;
}

void rig_recover(struct rig *rig)
{
    for (uint32_t i = 0; rig->log.state == LOG_RECOVERING; i++) {
        bool more = rig_step(rig, UINT64_MAX);
        assert(more && i < STEPS_MAX);
    }
}

static bool settled(const struct rig *rig)
{
    if (rig->answered < rig->appended)
        return false;
    return rig->log.state == LOG_FAILED || rig->next == rig->log.end || rig->log.reader.stopped;
}

void rig_settle(struct rig *rig)
{
    rig_recover(rig);
    for (uint32_t i = 0; !settled(rig); i++) {
        bool more = rig_step(rig, UINT64_MAX);
        assert(i < STEPS_MAX);
        assert(more || settled(rig) || rig->log.segments_count == 0);
        if (!more)
            break;
    }
    (void)poll_all(rig);
}

void rig_idle(struct rig *rig)
{
    rig_settle(rig);
    for (uint32_t i = 0; rig->log.state == LOG_READY && !rig->log.writer.sealed; i++) {
        bool more = rig_step(rig, UINT64_MAX);
        assert(more && i < STEPS_MAX);
    }
    while (disk_next_due_us(&rig->disk) != UINT64_MAX && rig_step(rig, rig->now_us + 100000))
        ;
}

void rig_stop(struct rig *rig)
{
    log_stop(&rig->log);
    for (uint32_t i = 0; rig->log.state != LOG_STOPPED && rig->log.state != LOG_FAILED; i++) {
        bool more = rig_step(rig, UINT64_MAX);
        assert((more || rig->log.state == LOG_STOPPED) && i < STEPS_MAX);
    }
    log_close(&rig->log);
}

void rig_check_acked(const struct rig *rig)
{
    assert(rig->next >= rig->acked_end);
    for (uint64_t token = 0; token < rig->appended; token++)
        if (rig->acked_at[token] != RIG_NONE)
            assert(rig->token_at[rig->acked_at[token]] == token);
}

void rig_check_never_silent(const struct rig *rig)
{
    /* on_record has already asserted that what came was right, in order and without a gap. */
    bool loud = rig->failed || rig->holes > 0;
    assert(rig->next >= rig->acked_end || loud);
    if (rig->log.state == LOG_READ_ONLY && !rig->options.inspect)
        assert(rig->failed && rig->log.report.alarm[0] != '\0');
}
