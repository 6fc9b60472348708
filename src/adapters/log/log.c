/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/log/log.h"

#include <stdio.h>
#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"
#include "base/memory.h"

#define COMPLETIONS_PER_TURN 16

static const struct bus_vtable log_vtable;

struct log_options log_options_default(void)
{
    return (struct log_options){
        .folder = "log",
        .segment_bytes = LOG_SEGMENT_BYTES,
        .group_bytes = LOG_GROUP_BYTES,
        .group_records_max = 4096,
        .record_bytes_max = BUS_RECORD_BYTES_MAX,
        .segments_max = 512,
    };
}

static void options_check(const struct log_options *options)
{
    assert(options->segment_bytes % LOG_BLOCK_BYTES == 0);
    assert(options->group_bytes % LOG_BLOCK_BYTES == 0);
    assert(options->first_bytes % LOG_BLOCK_BYTES == 0);
    assert(options->first_bytes == 0 ||
           options->first_bytes >= options->group_bytes + 2 * LOG_BLOCK_BYTES);
    assert(options->segment_bytes >= options->group_bytes + 2 * LOG_BLOCK_BYTES);
    assert(options->record_bytes_max <= BUS_RECORD_BYTES_MAX);
    assert(options->group_bytes >=
           LOG_GROUP_HEADER_BYTES + LOG_RECORD_HEADER_BYTES + ID_BYTES + options->record_bytes_max);
    assert(options->group_records_max > 0 && options->segments_max > 0);
    assert(strlen(options->folder) <= 32);
}

enum status log_open(struct log *log, struct file_port *file, struct clock_port *clock,
                     struct entropy *entropy, const struct log_options *options)
{
    memset(log, 0, sizeof *log);
    options_check(options);
    log->bus.vtable = &log_vtable;
    log->file = file;
    log->clock = clock;
    log->entropy = entropy;
    log->options = *options;
    log->committed = options->part == LOG_PART_LATER ? 0 : options->part;
    arena_init(&log->arena, SIZE_MAX);
    log->block = arena_alloc(&log->arena, LOG_BLOCK_BYTES);
    log->read_at = memory_reserve(options->group_bytes);
    bool reserved = log->read_at != NULL;
    log->segments = ARENA_ARRAY(&log->arena, struct log_segment, options->segments_max);
    log->names = arena_array(&log->arena, options->segments_max + 8u, FILE_NAME_BYTES);
    for (size_t i = 0; i < LOG_BUFFERS; i++) {
        log->buffers[i].at = memory_reserve(options->group_bytes);
        log->buffers[i].tokens =
            memory_reserve_array(options->group_records_max, sizeof *log->buffers[i].tokens);
        reserved = reserved && log->buffers[i].at != NULL && log->buffers[i].tokens != NULL;
    }
    if (log->arena.exhausted || !reserved) {
        log_close(log);
        return STATUS_BUSY;
    }
    log_recover_start(log);
    return STATUS_OK;
}

void log_close(struct log *log)
{
    if (log->state == LOG_STOPPED && log->file != NULL) {
        assert(log->in_flight == 0);
        for (size_t i = 0; i < log->segments_count; i++)
            log->file->vtable->close(log->file, log->segments[i].file);
        if (log->spare == SPARE_READY)
            log->file->vtable->close(log->file, log->spare_file);
        if (log->meta_file != 0)
            log->file->vtable->close(log->file, log->meta_file);
    }
    for (size_t i = 0; i < LOG_BUFFERS; i++) {
        memory_free(log->buffers[i].at);
        memory_free(log->buffers[i].tokens);
    }
    memory_free(log->read_at);
    arena_deinit(&log->arena);
    memset(log, 0, sizeof *log);
}

void log_submit(struct log *log, struct file_request *request, enum file_op op, uint64_t token)
{
    request->op = op;
    request->token = token;
    request->status = STATUS_OK;
    log->in_flight++;
    log->file->vtable->submit(log->file, request);
}

void log_fail(struct log *log, enum status status, const char *text)
{
    if (log->state == LOG_FAILED)
        return;
    log->state = LOG_FAILED;
    log->reader.stopped = true;
    (void)failure_set(&log->failure, status, "log: %s (%s); nothing more is written", text,
                      status_text(status));
    log_write_abandon(log, STATUS_TIMEOUT);
}

/* The alarm, in one line that names what is affected. */
static void alarm_set(struct log *log)
{
    struct log_report *report = &log->report;
    const char *what = report->verdict == LOG_ROLLBACK ? "rolled back" : "damaged";
    char lost[48] = "";
    if (report->lost_end > report->bad_offset)
        (void)snprintf(lost, sizeof lost, " up to %llu",
                       (unsigned long long)(report->lost_end - 1));
    (void)snprintf(report->alarm, sizeof report->alarm,
                   "the log is %s: offsets from %llu%s are gone or unreadable "
                   "(segment %016llx, byte %llu); only what lies below is read, and nothing is "
                   "written. The way out: stop the server, copy this data folder if you can, then "
                   "parleyctl recover",
                   what, (unsigned long long)report->bad_offset, lost,
                   (unsigned long long)report->bad_base, (unsigned long long)report->bad_at);
}

void log_store_lost(struct log *log)
{
    struct log_report *report = &log->report;
    report->bad_offset = log->options.part;
    report->lost_end = report->first;
    (void)snprintf(report->alarm, sizeof report->alarm,
                   "the index ends at offset %llu, and the log begins at %llu: what stood between "
                   "is not here. The way out: parleyctl restore, from a backup; or put the index "
                   "(store, checkpoints) back",
                   (unsigned long long)log->options.part, (unsigned long long)report->first);
    log->state = LOG_FAILED;
    log->reader.stopped = true;
    (void)failure_set(&log->failure, STATUS_CORRUPT, "%s", report->alarm);
    log_write_abandon(log, STATUS_TIMEOUT);
}

void log_read_only(struct log *log, enum log_verdict verdict)
{
    log->report.verdict = verdict;
    if (verdict == LOG_DAMAGE || verdict == LOG_ROLLBACK) {
        alarm_set(log);
        (void)failure_set(&log->failure, verdict == LOG_ROLLBACK ? STATUS_CONFLICT : STATUS_CORRUPT,
                          "%s", log->report.alarm);
    }
    log->state = LOG_READ_ONLY;
    log_write_abandon(log, STATUS_TIMEOUT);
}

void log_report_text(const struct log *log, char *out, size_t bytes)
{
    static const char *const verdicts[] = {
        [LOG_SOUND] = "sound",
        [LOG_TORN_TAIL] = "sound up to a torn tail, which was never acknowledged",
        [LOG_DAMAGE] = "damaged",
        [LOG_ROLLBACK] = "rolled back",
        [LOG_STORE_LOST] = "sound, but the store is older than its first offset",
    };
    const struct log_report *report = &log->report;
    int used =
        snprintf(out, bytes,
                 "%llu segments, %llu groups, %llu records, %llu seals; offsets %llu to %llu; "
                 "log epoch %u; torn bytes %llu\n%s%s%s\n",
                 (unsigned long long)report->segments, (unsigned long long)report->groups,
                 (unsigned long long)report->records, (unsigned long long)report->seals,
                 (unsigned long long)report->first, (unsigned long long)report->end,
                 log->meta.log_epoch, (unsigned long long)report->torn_bytes,
                 verdicts[report->verdict], report->alarm[0] != '\0' ? ": " : "", report->alarm);
    assert(used > 0);
}

uint64_t log_meta_next(struct log *log)
{
    log->meta.counter++;
    log_meta_write(&log->meta, log->block);
    return log->meta.counter % 2 * LOG_BLOCK_BYTES;
}

static void dispatch(struct log *log, const struct file_request *request)
{
    assert(log->in_flight > 0);
    log->in_flight--;
    switch ((enum log_token)request->token) {
    case TOKEN_RECOVER: log_recover_done(log); break;
    case TOKEN_WRITE: log_write_done(log); break;
    case TOKEN_SPARE: log_spare_done(log); break;
    case TOKEN_READ: log_read_done(log); break;
    }
}

void log_turn(struct log *log)
{
    struct file_request *done[COMPLETIONS_PER_TURN];
    size_t count = log->file->vtable->poll(log->file, done, COMPLETIONS_PER_TURN);
    for (size_t i = 0; i < count; i++)
        dispatch(log, done[i]);
    log_write_turn(log);
    log_spare_turn(log);
    log_check(log);
}

uint64_t log_deadline_us(const struct log *log)
{
    uint64_t at = UINT64_MAX;
    if (log->state != LOG_READY)
        return at;
    if (!log->writer.sealed && log->writer.step == WRITE_IDLE)
        at = log->writer.synced_us + LOG_IDLE_SEAL_US;
    if (log->spare == SPARE_FULL && log->spare_retry_us < at)
        at = log->spare_retry_us;
    return at;
}

void log_stop(struct log *log)
{
    log->writer.stopping = true;
    log->reader.stopped = true;
}

void log_check(const struct log *log)
{
    const struct log_writer *writer = &log->writer;
    assert(writer->drain <= writer->durable && writer->durable <= writer->fill);
    assert(writer->fill - writer->drain <= LOG_BUFFERS);
    assert(log->state != LOG_READY || log->end == writer->place.base);
    assert(!log->reader.placed || log->reader.next <= log->end);
    assert(writer->step == WRITE_IDLE || log->state == LOG_READY || log->in_flight > 0 ||
           log->state == LOG_FAILED);
}

/* --- the bus --- */

static struct bus_facts bus_facts(const struct bus *bus)
{
    return (struct bus_facts){
        .partitions = 1, .single = true, .log_epoch = log_of(bus)->meta.log_epoch};
}

/* BUSY also while recovering; CLOSED once stopping; CORRUPT when read-only; IO when failed. */
static enum status may_append(const struct log *log)
{
    if (log->writer.stopping)
        return STATUS_CLOSED;
    switch (log->state) {
    case LOG_READY: return STATUS_OK;
    case LOG_RECOVERING: return STATUS_BUSY;
    case LOG_READ_ONLY: return STATUS_CORRUPT;
    case LOG_FAILED: return STATUS_IO;
    case LOG_STOPPED: return STATUS_CLOSED;
    }
    return STATUS_CLOSED;
}

static struct log_buffer *buffer_for(struct log *log, size_t bytes)
{
    struct log_writer *writer = &log->writer;
    for (int i = 0; i < 2; i++) {
        if (writer->fill - writer->drain >= LOG_BUFFERS)
            return NULL;
        struct log_buffer *buffer = &log->buffers[writer->fill % LOG_BUFFERS];
        size_t used = LOG_GROUP_HEADER_BYTES + buffer->body_bytes;
        if (buffer->count < log->options.group_records_max &&
            bytes <= log->options.group_bytes - used)
            return buffer;
        writer->fill++;
    }
    return NULL;
}

static enum status bus_append(struct bus *bus, enum topic topic, const uint8_t key[ID_BYTES],
                              struct slice bytes, uint64_t token)
{
    struct log *log = log_of(bus);
    enum status status = may_append(log);
    if (status != STATUS_OK)
        return status;
    if (bytes.bytes > log->options.record_bytes_max)
        return STATUS_TOO_LARGE;
    struct log_buffer *buffer = buffer_for(log, LOG_RECORD_HEADER_BYTES + ID_BYTES + bytes.bytes);
    if (buffer == NULL) {
        log->refused++;
        return STATUS_BUSY;
    }
    uint8_t *at = buffer->at + LOG_GROUP_HEADER_BYTES + buffer->body_bytes;
    buffer->body_bytes += (uint32_t)log_record_write(at, (uint32_t)topic, key, bytes);
    buffer->tokens[buffer->count++] = token;
    return STATUS_OK;
}

/* Answers of finished groups, oldest first. A buffer is free again with its last answer. */
static size_t answers(struct log *log, struct bus_event *out, size_t max)
{
    struct log_writer *writer = &log->writer;
    size_t count = 0;
    while (count < max && writer->drain < writer->durable) {
        struct log_buffer *buffer = &log->buffers[writer->drain % LOG_BUFFERS];
        if (buffer->answered < buffer->count) {
            out[count++] = (struct bus_event){
                .kind = BUS_APPENDED,
                .token = buffer->tokens[buffer->answered],
                .status = buffer->status,
                .offset = buffer->base + buffer->answered,
                .log_epoch = log->meta.log_epoch,
                .topic = TOPIC_MESSAGES,
            };
            buffer->answered++;
        }
        if (buffer->answered == buffer->count) {
            buffer->count = buffer->body_bytes = buffer->answered = 0;
            writer->drain++;
        }
    }
    return count;
}

static size_t bus_poll(struct bus *bus, struct bus_event *out, size_t max)
{
    struct log *log = log_of(bus);
    size_t count = 0;
    log_turn(log);
    count += answers(log, out, max);
    if (log->failure.status != STATUS_OK && !log->failure_told && count < max) {
        log->failure_told = true;
        out[count++] = (struct bus_event){.kind = BUS_FAILED, .status = log->failure.status};
    }
    count += log_read_events(log, out + count, max - count);
    log_write_turn(log); /* answers may have freed a buffer */
    return count;
}

static void bus_consume(struct bus *bus, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct log *log = log_of(bus);
    assert(topic == TOPIC_MESSAGES && partition == 0);
    log->reader.wanted = true;
    log->reader.placed = log->reader.hole = false; /* what it held of elsewhere is forgotten */
    log->reader.body = SLICE_EMPTY;
    log->reader.next = offset;
}

static void bus_pause(struct bus *bus, enum topic topic, uint32_t partition, bool paused)
{
    (void)topic;
    (void)partition;
    log_of(bus)->reader.paused = paused;
}

static void bus_commit(struct bus *bus, enum topic topic, uint32_t partition, uint64_t offset)
{
    (void)topic;
    (void)partition;
    struct log *log = log_of(bus);
    if (offset > log->committed)
        log->committed = offset;
}

static struct bus_ends bus_ends(const struct bus *bus, enum topic topic, uint32_t partition)
{
    (void)topic;
    (void)partition;
    const struct log *log = log_of(bus);
    return (struct bus_ends){.first = log->report.first, .next = log->end};
}

static uint64_t bus_committed(const struct bus *bus, enum topic topic, uint32_t partition)
{
    (void)topic;
    (void)partition;
    return log_of(bus)->committed;
}

static const struct bus_vtable log_vtable = {
    .facts = bus_facts,
    .append = bus_append,
    .poll = bus_poll,
    .consume = bus_consume,
    .pause = bus_pause,
    .commit = bus_commit,
    .ends = bus_ends,
    .committed = bus_committed,
};
