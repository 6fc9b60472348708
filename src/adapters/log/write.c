/* SPDX-License-Identifier: Apache-2.0
 * write.c: the writing half of the log: groups, seals, new segments, the spare.
 *
 *   IDLE ──records queued──▶ GROUP ──▶ IDLE           (written and synced; only now answered)
 *   IDLE ──1 s quiet, stop, segment full──▶ SEAL ──▶ IDLE                (written and synced)
 *   IDLE ──segment full, sealed, spare ready──▶ HEADER ──▶ HEADER_SYNC ──▶ RENAME ──▶ META
 *                                                  ──▶ META_SYNC ──▶ IDLE   (the spare is newest)
 *   IDLE ──something to note──▶ NOTE ──▶ NOTE_SYNC ──▶ IDLE
 *   IDLE ──the oldest segment is below `first`──▶ TRIM ──▶ IDLE      (its file is deleted)
 *   IDLE ──stop, sealed──▶ META ──▶ META_SYNC ──▶ STOPPED
 *
 * One step at a time, each started only when the one before it came back without an error; any
 * error ends in log_fail. The header is synced before the name: a segment that is found has one.
 * The spare, when it is wanted:
 *             NONE ──▶ OPENING ──there──▶ READY;  ──not there──▶ MAKING ──▶ READY;
 *             MAKING ──no space──▶ FULL ──1 s──▶ OPENING.  Everything else fails the log. */
#include "adapters/log/log.h"

#include <stdio.h>
#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

static struct log_segment *newest(struct log *log)
{
    return log->segments_count > 0 ? &log->segments[log->segments_count - 1] : NULL;
}

static uint64_t now_us(struct log *log)
{
    return log->clock->vtable->read(log->clock).mono_us;
}

static void submit_write(struct log *log, enum log_write_step step, uint32_t file, uint64_t at,
                         struct slice from)
{
    struct file_request *request = &log->writer.request;
    bool synced = step == WRITE_GROUP || step == WRITE_SEAL; /* one trip to the disk, not two */
    log->writer.step = step;
    request->file = file;
    request->at = at;
    request->from = from;
    log_submit(log, request, synced ? FILE_WRITE_SYNC : FILE_WRITE, TOKEN_WRITE);
}

static void submit_sync(struct log *log, enum log_write_step step, uint32_t file)
{
    log->writer.step = step;
    log->writer.sync_begun_us = now_us(log);
    log->writer.request.file = file;
    log_submit(log, &log->writer.request, FILE_SYNC, TOKEN_WRITE);
}

/* Finish the group in `at` and send it off behind the last one. */
static void start_group(struct log *log, enum log_write_step step, uint8_t *at,
                        struct log_group *group)
{
    struct log_writer *writer = &log->writer;
    uint64_t wall_us = log->clock->vtable->read(log->clock).wall_us;
    group->group = writer->place.group;
    group->base = writer->place.base;
    group->append_us = wall_us > writer->place.append_us ? wall_us : writer->place.append_us;
    group->sealed_next = log->end;
    group->log_epoch = writer->place.log_epoch;
    group->chain = writer->place.chain;
    uint64_t bytes = log_group_write(at, log->meta.log_id, group);
    writer->next_place = writer->place;
    log_place_pass(&writer->next_place, group);
    writer->next_at = writer->at + bytes;
    assert(writer->next_at <= newest(log)->bytes);
    submit_write(log, step, newest(log)->file, writer->at, slice_make(at, bytes));
}

static void start_seal(struct log *log)
{
    struct log_group group = {.count = 0};
    log->writer.seals++;
    start_group(log, WRITE_SEAL, log->block, &group);
}

static void start_records(struct log *log)
{
    struct log_writer *writer = &log->writer;
    struct log_buffer *buffer = &log->buffers[writer->durable % LOG_BUFFERS];
    struct log_group group = {.count = buffer->count, .body_bytes = buffer->body_bytes};
    if (writer->fill == writer->durable)
        writer->fill++; /* what arrives from now on is the next group */
    buffer->base = writer->place.base;
    start_group(log, WRITE_GROUP, buffer->at, &group);
}

static uint32_t next_bytes(const struct log *log)
{
    bool first = log->segments_count == 0 && log->options.first_bytes != 0;
    return first ? log->options.first_bytes : log->options.segment_bytes;
}

/* The spare becomes the newest segment; it holds zeros, and perhaps a header that never counted. */
static void start_segment(struct log *log)
{
    struct log_writer *writer = &log->writer;
    struct log_segment *segment = &log->segments[log->segments_count];
    memset(segment, 0, sizeof *segment);
    segment->file = log->spare_file;
    segment->sound = true;
    segment->bytes = next_bytes(log);
    segment->base = writer->place.base;
    segment->number = log->meta.newest + 1;
    segment->header = (struct log_segment_header){
        .log_epoch = log->meta.log_epoch,
        .number = segment->number,
        .base = writer->place.base,
        .group = writer->place.group,
        .append_us = writer->place.append_us,
        .chain = writer->place.chain,
        .segment_bytes = next_bytes(log),
    };
    memcpy(segment->header.log_id, log->meta.log_id, sizeof log->meta.log_id);
    log_segment_write(&segment->header, log->block);
    submit_write(log, WRITE_HEADER, segment->file, 0, slice_make(log->block, LOG_BLOCK_BYTES));
}

static void start_meta(struct log *log, enum log_write_step step)
{
    uint64_t at = log_meta_next(log);
    submit_write(log, step, log->meta_file, at, slice_make(log->block, LOG_BLOCK_BYTES));
}

static void start_trim(struct log *log)
{
    struct file_request *request = &log->writer.request;
    log->writer.step = WRITE_TRIM;
    log->file->vtable->close(log->file, log->segments[0].file);
    log_segment_name(log->options.folder, log->segments[0].base, request->name);
    log_submit(log, request, FILE_DELETE, TOKEN_WRITE);
}

static void start_rename(struct log *log)
{
    struct file_request *request = &log->writer.request;
    log->writer.step = WRITE_RENAME;
    (void)snprintf(request->name, sizeof request->name, "%s/spare", log->options.folder);
    log_segment_name(log->options.folder, log->segments[log->segments_count].base, request->to);
    log_submit(log, request, FILE_RENAME, TOKEN_WRITE);
}

/* Answer everything that is queued and not in flight, without having written it. */
static void answer_unwritten(struct log *log, enum status status)
{
    struct log_writer *writer = &log->writer;
    uint64_t from = writer->durable + (writer->step == WRITE_GROUP);
    for (uint64_t n = from; n <= writer->fill && n < writer->drain + LOG_BUFFERS; n++)
        log->buffers[n % LOG_BUFFERS].status = status;
    if (from != writer->durable)
        return; /* their turn comes when the group in flight is back */
    if (writer->fill - writer->drain < LOG_BUFFERS &&
        log->buffers[writer->fill % LOG_BUFFERS].count > 0)
        writer->fill++;
    writer->durable = writer->fill;
}

void log_write_abandon(struct log *log, enum status status)
{
    struct log_writer *writer = &log->writer;
    if (writer->step == WRITE_GROUP && log->state == LOG_FAILED) {
        log->buffers[writer->durable % LOG_BUFFERS].status = status;
        writer->step = WRITE_IDLE; /* it will not be waited for; its memory stays untouched */
    }
    answer_unwritten(log, status);
}

/* The group or seal of the request that came back is durable. */
static void group_durable(struct log *log)
{
    struct log_writer *writer = &log->writer;
    log_read_offer(log, writer->request.from);
    writer->place = writer->next_place;
    writer->at = writer->next_at;
    writer->synced_us = now_us(log);
    writer->syncs++;
    log->end = writer->place.base;
    log->end_at = writer->at;
    log->report.end = log->end;
}

static void segment_ready(struct log *log)
{
    struct log_writer *writer = &log->writer;
    log->segments_count++;
    log->spare = SPARE_NONE;
    log->spare_file = 0;
    writer->place.log_epoch = log->meta.log_epoch;
    writer->at = log->end_at = LOG_BLOCK_BYTES;
    writer->sealed = true;
}

/* The step that has just come back, without an error, has this successor. */
static void step_done(struct log *log)
{
    struct log_writer *writer = &log->writer;
    struct log_segment *next = &log->segments[log->segments_count];
    switch (writer->step) {
    case WRITE_GROUP:
        group_durable(log);
        buckets_add(&writer->sync_us, writer->synced_us - writer->sync_begun_us);
        buckets_add(&writer->sync_records, log->buffers[writer->durable % LOG_BUFFERS].count);
        writer->sealed = false;
        log->buffers[writer->durable++ % LOG_BUFFERS].status = STATUS_OK;
        writer->step = WRITE_IDLE;
        break;
    case WRITE_SEAL:
        group_durable(log);
        writer->sealed = true;
        writer->step = WRITE_IDLE;
        break;
    case WRITE_HEADER: submit_sync(log, WRITE_HEADER_SYNC, next->file); break;
    case WRITE_HEADER_SYNC: start_rename(log); break;
    case WRITE_RENAME:
        log->meta.newest = next->number;
        start_meta(log, WRITE_META);
        break;
    case WRITE_META: submit_sync(log, WRITE_META_SYNC, log->meta_file); break;
    case WRITE_META_SYNC:
        writer->step = WRITE_IDLE;
        if (log->meta.clean)
            log->state = LOG_STOPPED;
        else
            segment_ready(log);
        break;
    case WRITE_NOTE: submit_sync(log, WRITE_NOTE_SYNC, log->meta_file); break;
    case WRITE_TRIM:
        log_trimmed(log);
        writer->step = WRITE_IDLE;
        break;
    case WRITE_NOTE_SYNC: writer->step = WRITE_IDLE; break;
    case WRITE_IDLE: break;
    }
}

void log_write_done(struct log *log)
{
    enum status status = log->writer.request.status;
    if (log->state == LOG_FAILED)
        return;
    if (status != STATUS_OK) {
        /* Final, and told apart for people only: after a failed sync the system calls the pages
         * clean, so a second one would lie (proof §1.7). */
        static const char *const what[] = {[FILE_SYNC] = "a sync failed",
                                           [FILE_WRITE] = "a write failed",
                                           [FILE_WRITE_SYNC] = "a write or its sync failed",
                                           [FILE_RENAME] = "a segment cannot be renamed",
                                           [FILE_DELETE] = "an old segment cannot be deleted"};
        log_fail(log, STATUS_IO, what[log->writer.request.op]);
        return;
    }
    step_done(log);
    if (log->state == LOG_READ_ONLY)
        log_write_abandon(log, STATUS_TIMEOUT);
}

static bool fits(const struct log *log, uint64_t bytes)
{
    /* One block is kept back for the seal that closes a full segment. */
    return log->segments_count > 0 &&
           log->writer.at + bytes + LOG_BLOCK_BYTES <= log->segments[log->segments_count - 1].bytes;
}

/* A group of `bytes` does not fit: close the segment, go on in the spare. */
static void next_segment(struct log *log)
{
    if (!log->writer.sealed)
        start_seal(log);
    else if (log->segments_count == log->options.segments_max || log->spare == SPARE_FULL)
        answer_unwritten(log, STATUS_TOO_LARGE);
    else if (log->spare == SPARE_READY)
        start_segment(log);
}

static void stop_turn(struct log *log)
{
    if (!log->writer.sealed) {
        start_seal(log);
        return;
    }
    if (log->spare == SPARE_OPENING || log->spare == SPARE_DELETING || log->spare == SPARE_MAKING)
        return; /* it must come back first */
    struct log_meta *meta = &log->meta;
    const struct log_place *place = &log->writer.place;
    meta->clean = true;
    meta->end = log->end;
    if (log->writer.at == log->end_at) { /* else the newest segment is closed as it stands */
        meta->end_at = log->end_at;
        meta->end_group = place->group;
        meta->end_append_us = place->append_us;
        meta->end_chain = place->chain;
    }
    start_meta(log, WRITE_META);
}

/* The buffer whose turn it is, if it holds records. */
static const struct log_buffer *queued(const struct log *log)
{
    const struct log_writer *writer = &log->writer;
    const struct log_buffer *buffer = &log->buffers[writer->durable % LOG_BUFFERS];
    return writer->durable - writer->drain < LOG_BUFFERS && buffer->count > 0 ? buffer : NULL;
}

static uint64_t group_bytes(const struct log_buffer *buffer)
{
    return log_padded((uint64_t)LOG_GROUP_HEADER_BYTES + buffer->body_bytes);
}

void log_write_turn(struct log *log)
{
    struct log_writer *writer = &log->writer;
    if (writer->stopping && log->state != LOG_READY && log->in_flight == 0)
        log->state = LOG_STOPPED;
    if (log->state != LOG_READY || writer->step != WRITE_IDLE)
        return;
    const struct log_buffer *buffer = queued(log);
    if (log_note_due(log)) {
        log_note(log);
        start_meta(log, WRITE_NOTE);
    } else if (log_trim_due(log)) {
        start_trim(log);
    } else if (buffer != NULL && fits(log, group_bytes(buffer)))
        start_records(log);
    else if (buffer != NULL ||
             (log->segments_count == 0 && log->spare == SPARE_READY && !writer->stopping))
        next_segment(log);
    else if (writer->stopping)
        stop_turn(log);
    else if (!writer->sealed && now_us(log) - writer->synced_us >= LOG_IDLE_SEAL_US)
        start_seal(log);
}

/* --- the spare --- */

static void spare_name(struct log *log)
{
    struct file_request *request = &log->spare_request;
    (void)snprintf(request->name, sizeof request->name, "%s/spare", log->options.folder);
}

static void spare_start(struct log *log, enum log_spare_step step, enum file_op op)
{
    log->spare = step;
    spare_name(log);
    log->spare_request.bytes = next_bytes(log);
    log_submit(log, &log->spare_request, op, TOKEN_SPARE);
}

/* Not before something was written: a server that nobody uses yet, or only for a moment, does not
 * fill its disk with zeros. */
static bool spare_wanted(const struct log *log)
{
    const struct log_buffer *buffer = queued(log);
    if (log->writer.stopping && buffer == NULL)
        return false;
    return log->segments_count == 0 || log->writer.at >= log->options.spare_at ||
           (buffer != NULL && !fits(log, group_bytes(buffer)));
}

void log_spare_turn(struct log *log)
{
    if (log->state != LOG_READY || !spare_wanted(log))
        return;
    if (log->spare == SPARE_NONE ||
        (log->spare == SPARE_FULL && now_us(log) >= log->spare_retry_us))
        spare_start(log, SPARE_OPENING, FILE_OPEN);
}

static void spare_opened(struct log *log)
{
    struct file_request *request = &log->spare_request;
    if (request->bytes == next_bytes(log)) {
        log->spare_file = request->file;
        log->spare = SPARE_READY;
        return;
    }
    log->file->vtable->close(log->file, request->file); /* of another size: an option changed */
    spare_start(log, SPARE_DELETING, FILE_DELETE);
}

void log_spare_done(struct log *log)
{
    struct file_request *request = &log->spare_request;
    if (log->state == LOG_FAILED)
        return;
    if (log->spare == SPARE_OPENING && request->status == STATUS_NOT_FOUND) {
        spare_start(log, SPARE_MAKING, FILE_CREATE);
    } else if (log->spare == SPARE_MAKING && request->status == STATUS_TOO_LARGE) {
        log->spare = SPARE_FULL;
        log->spare_retry_us = now_us(log) + LOG_SPARE_RETRY_US;
    } else if (request->status != STATUS_OK) {
        log_fail(log, STATUS_IO, "no spare segment can be made");
    } else if (log->spare == SPARE_DELETING) {
        spare_start(log, SPARE_MAKING, FILE_CREATE);
    } else {
        spare_opened(log);
    }
}
