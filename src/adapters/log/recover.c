/* SPDX-License-Identifier: Apache-2.0
 * recover.c: what the log does at start: read what is needed, judge, repair what may be.
 *
 *   LIST ──▶ META_OPEN ──there──▶ META_READ ─┐
 *                └──not there──▶ META_MAKE ──┤ (no segments: a fresh log, unless one is expected)
 *            ┌───────────────────────────────┘
 *   SEGMENT_OPEN ──▶ SEGMENT_READ ──▶ … each ──▶ reading and judgement (judge.c)
 *        └──repair: unusable──▶ ASIDE ──▶ the next
 *   judgement ──torn──▶ ZERO ──▶ ZERO_SYNC ──▶ META_WRITE ──▶ META_SYNC ──▶ READY
 *             ├──sound, or holes accepted──────▶ META_WRITE
 *             └──damage, rollback──▶ READ_ONLY;  the rows end before the log begins──▶ FAILED
 *
 * With options.repair a segment that is no segment of ours is put aside under another name, and a
 * lost log.meta is made anew from the heads of the segments. */
#include "adapters/log/log.h"

#include <stdio.h>
#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

static void submit(struct log *log, enum log_recover_step step, enum file_op op)
{
    log->recovery.step = step;
    log_submit(log, &log->recovery.request, op, TOKEN_RECOVER);
}

void log_recover_read(struct log *log, enum log_recover_step step, uint32_t file, size_t bytes)
{
    struct file_request *request = &log->recovery.request;
    request->file = file;
    request->at = log->recovery.at;
    request->into = log->read_at;
    request->into_bytes = bytes;
    submit(log, step, FILE_READ);
}

static void meta_name(struct log *log)
{
    struct file_request *request = &log->recovery.request;
    (void)snprintf(request->name, sizeof request->name, "%s/log.meta", log->options.folder);
}

void log_recover_start(struct log *log)
{
    struct file_request *request = &log->recovery.request;
    (void)snprintf(request->name, sizeof request->name, "%s", log->options.folder);
    request->names = log->names;
    request->names_max = log->options.segments_max + 8u;
    submit(log, RECOVER_LIST, FILE_LIST);
}

/* --- from the first step to the table of segments --- */

static void listed(struct log *log)
{
    for (uint64_t i = 0; i < log->recovery.request.bytes; i++) {
        uint64_t base;
        if (!log_segment_name_read(log->options.folder, log->names[i], &base))
            continue;
        if (log->segments_count == log->options.segments_max) {
            log_fail(log, STATUS_TOO_LARGE, "more segments than the limit");
            return;
        }
        log->segments[log->segments_count++].base = base; /* sorted: ascending */
    }
    meta_name(log);
    submit(log, RECOVER_META_OPEN, FILE_OPEN);
}

static void fresh(struct log *log)
{
    log->recovery.fresh = true;
    log->recovery.place = (struct log_place){.group = 1};
    log->meta = (struct log_meta){.log_epoch = 1};
    log->entropy->vtable->fill(log->entropy, log->meta.log_id, sizeof log->meta.log_id);
    log_judge(log);
}

static void open_segment(struct log *log);

/* No segment, and no slot of the meta file. */
static void nothing_here(struct log *log)
{
    if (log->options.id != NULL)
        log_fail(log, STATUS_NOT_FOUND, "the log of this server is not here");
    else
        fresh(log);
}

/* Segments without their meta: whose are they? Only who repairs, and knows the log, may believe
 * them. */
static void meta_lost(struct log *log)
{
    if (log->options.repair && log->options.id != NULL) {
        log->recovery.rebuilt = true;
        log->meta = (struct log_meta){.log_epoch = UINT32_MAX};
        memcpy(log->meta.log_id, log->options.id, sizeof log->meta.log_id);
        log->recovery.segment = 0;
        open_segment(log);
        return;
    }
    log_damage_at(log, 0, 0, 0);
    log->segments_count = 0;
    log_judge(log);
}

static void meta_make(struct log *log)
{
    meta_name(log);
    log->recovery.request.bytes = LOG_META_BYTES;
    submit(log, RECOVER_META_MAKE, FILE_CREATE);
}

static void meta_made(struct log *log)
{
    log->meta_file = log->recovery.request.file;
    if (log->segments_count > 0)
        meta_lost(log);
    else
        fresh(log);
}

static void meta_opened(struct log *log, enum status status)
{
    if (status == STATUS_OK) {
        log->meta_file = log->recovery.request.file;
        log->recovery.at = 0;
        log_recover_read(log, RECOVER_META_READ, log->meta_file, LOG_META_BYTES);
    } else if (log->segments_count > 0 && !log->options.repair) {
        meta_lost(log);
    } else if (log->segments_count == 0 && (log->options.inspect || log->options.id != NULL)) {
        nothing_here(log);
    } else {
        meta_make(log);
    }
}

/* What the heads of the segments say. */
static void meta_rebuild(struct log *log)
{
    struct log_meta *meta = &log->meta;
    meta->log_epoch = 0;
    for (size_t i = 0; i < log->segments_count; i++)
        if (log->segments[i].header.log_epoch > meta->log_epoch)
            meta->log_epoch = log->segments[i].header.log_epoch;
    log->recovery.lost = true;
    if (log->segments_count == 0) {
        log_fail(log, STATUS_NOT_FOUND, "none of the segments here is of this server's log");
        return;
    }
    meta->first = log->segments[0].base;
    meta->newest = log->segments[log->segments_count - 1].number;
}

static void open_segment(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    if (recovery->segment == log->segments_count) {
        recovery->segment = 0;
        if (recovery->rebuilt)
            meta_rebuild(log);
        if (log->state == LOG_RECOVERING)
            log_judge(log);
        return;
    }
    log_segment_name(log->options.folder, log->segments[recovery->segment].base,
                     recovery->request.name);
    submit(log, RECOVER_SEGMENT_OPEN, FILE_OPEN);
}

/* The valid slot with the higher counter. A slot of a newer version ends it: better no server than
 * one that misreads. */
static enum status meta_pick(struct log *log, struct slice bytes)
{
    enum status best = STATUS_CORRUPT;
    for (size_t i = 0; i < 2; i++) {
        struct log_meta meta;
        enum status status =
            log_meta_read(slice_sub(bytes, i * LOG_BLOCK_BYTES, LOG_BLOCK_BYTES), &meta);
        if (status == STATUS_UNSUPPORTED)
            return status;
        if (status == STATUS_OK && (best != STATUS_OK || meta.counter > log->meta.counter)) {
            log->meta = meta;
            best = STATUS_OK;
        }
    }
    return best;
}

static void meta_read(struct log *log)
{
    struct slice bytes = slice_make(log->read_at, (size_t)log->recovery.request.bytes);
    enum status status = meta_pick(log, bytes);
    if (status == STATUS_UNSUPPORTED) {
        log_fail(log, status, "this data folder was written by a newer version of the program");
    } else if (status != STATUS_OK && log->segments_count > 0) {
        meta_lost(log);
    } else if (status != STATUS_OK) {
        nothing_here(log); /* a first start that ended before its first slot was durable */
    } else if (log->options.id != NULL && memcmp(log->options.id, log->meta.log_id, 16) != 0) {
        log_fail(log, STATUS_CONFLICT, "this is the log of another server");
    } else {
        log->recovery.segment = 0;
        open_segment(log);
    }
}

/* Is what was read the header of the segment that its name and length promise? */
static bool segment_sound(const struct log *log, const struct log_segment *segment,
                          enum status status)
{
    return status == STATUS_OK && segment->header.base == segment->base &&
           segment->header.segment_bytes == segment->bytes &&
           memcmp(segment->header.log_id, log->meta.log_id, 16) == 0 &&
           segment->header.log_epoch <= log->meta.log_epoch;
}

/* Its file is kept, under a name that nobody takes for a segment's. */
static void put_aside(struct log *log)
{
    struct file_request *request = &log->recovery.request;
    size_t at = log->recovery.segment;
    char name[FILE_NAME_BYTES];
    log->file->vtable->close(log->file, log->segments[at].file);
    log_segment_name(log->options.folder, log->segments[at].base, name);
    (void)snprintf(request->name, sizeof request->name, "%s", name);
    int bytes = snprintf(request->to, sizeof request->to, "%.58s.bad", name);
    assert(bytes > 0);
    log->segments_count--;
    memmove(&log->segments[at], &log->segments[at + 1],
            (log->segments_count - at) * sizeof log->segments[0]);
    log->report.aside++;
    submit(log, RECOVER_ASIDE, FILE_RENAME);
}

static void segment_read(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_segment *segment = &log->segments[recovery->segment];
    struct slice block = slice_make(log->read_at, (size_t)recovery->request.bytes);
    enum status status = log_segment_read(block, &segment->header);
    if (status == STATUS_UNSUPPORTED) {
        log_fail(log, status, "a segment was written by a newer version of the program");
        return;
    }
    segment->sound = segment_sound(log, segment, status);
    segment->number = segment->header.number;
    if (!segment->sound && log->options.repair) {
        put_aside(log);
        return;
    }
    recovery->segment++;
    open_segment(log);
}

/* --- repair --- */

static void zero_tail(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct file_request *request = &recovery->request;
    uint64_t left = recovery->nonzero_end - recovery->at;
    size_t bytes = left < log->options.group_bytes ? (size_t)left : log->options.group_bytes;
    request->file = log->segments[log->segments_count - 1].file;
    if (left == 0) {
        submit(log, RECOVER_ZERO_SYNC, FILE_SYNC);
        return;
    }
    request->at = recovery->at;
    request->from = slice_make(log->read_at, bytes);
    recovery->at += bytes;
    submit(log, RECOVER_ZERO, FILE_WRITE);
}

static void write_meta(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    log->meta.clean = false;
    log->meta.end = log->meta.end_at = log->meta.end_group = log->meta.end_append_us = 0;
    log->meta.end_chain = 0;
    log->meta.log_epoch += recovery->lost || log->options.new_epoch;
    if (log->options.repair && log->options.part > log->meta.flushed)
        log->meta.flushed = log->options.part;
    if (log->options.repair && log->segments_count == 0)
        log->meta.newest = 0; /* none is missed any more */
    if (log->segments_count > 0)
        log->meta.newest = log->segments[log->segments_count - 1].number;
    recovery->request.file = log->meta_file;
    recovery->request.at = log_meta_next(log);
    recovery->request.from = slice_make(log->block, LOG_BLOCK_BYTES);
    submit(log, RECOVER_META_WRITE, FILE_WRITE);
}

void log_recover_end(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    if (log->report.verdict == LOG_TORN_TAIL) {
        memset(log->read_at, 0, log->options.group_bytes);
        recovery->at = recovery->search_from;
        zero_tail(log);
    } else {
        write_meta(log);
    }
}

static void ready(struct log *log)
{
    struct log_writer *writer = &log->writer;
    writer->place = log->recovery.place;
    writer->place.log_epoch = log->meta.log_epoch;
    memcpy(writer->place.log_id, log->meta.log_id, sizeof log->meta.log_id);
    writer->at = log->end_at;
    /* A tail of an older epoch is closed as it stands: groups of one segment share their epoch. */
    bool same_epoch =
        log->segments_count > 0 &&
        log->segments[log->segments_count - 1].header.log_epoch == log->meta.log_epoch;
    if ((!same_epoch || log->recovery.closed) && log->segments_count > 0)
        writer->at = log->segments[log->segments_count - 1].bytes;
    writer->sealed = log->recovery.last_was_seal || !same_epoch || log->recovery.closed;
    writer->synced_us = log->clock->vtable->read(log->clock).mono_us;
    log->state = LOG_READY;
}

/* Steps whose refusal is part of the plan; true: handled. */
static bool refused(struct log *log, enum status status)
{
    struct log_recovery *recovery = &log->recovery;
    if (recovery->step == RECOVER_META_OPEN && status == STATUS_NOT_FOUND) {
        meta_opened(log, status);
        return true;
    }
    if (recovery->step == RECOVER_META_MAKE && status == STATUS_TOO_LARGE) {
        log_fail(log, STATUS_TOO_LARGE, "no space for a new log");
        return true;
    }
    if (recovery->step == RECOVER_LIST && status == STATUS_TOO_LARGE) {
        log_fail(log, STATUS_TOO_LARGE, "more files in the log folder than the limit");
        return true;
    }
    return false;
}

void log_part(struct log *log, uint64_t part)
{
    assert(log_awaits_part(log) && part != LOG_PART_LATER);
    log->options.part = log->committed = part;
    log_judge(log);
}

void log_recover_done(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct file_request *request = &recovery->request;
    if (request->status != STATUS_OK) {
        if (!refused(log, request->status))
            log_fail(log, STATUS_IO, "the disk failed during recovery");
        return;
    }
    switch (recovery->step) {
    case RECOVER_LIST: listed(log); break;
    case RECOVER_META_OPEN: meta_opened(log, STATUS_OK); break;
    case RECOVER_META_MAKE: meta_made(log); break;
    case RECOVER_META_READ: meta_read(log); break;
    case RECOVER_SEGMENT_OPEN:
        log->segments[recovery->segment].file = request->file;
        log->segments[recovery->segment].bytes = request->bytes;
        recovery->at = 0;
        log_recover_read(log, RECOVER_SEGMENT_READ, request->file, LOG_BLOCK_BYTES);
        break;
    case RECOVER_SEGMENT_READ: segment_read(log); break;
    case RECOVER_ASIDE: open_segment(log); break;
    case RECOVER_TAIL:
    case RECOVER_SCAN:
    case RECOVER_SEARCH: log_judge_read(log); break;
    case RECOVER_ZERO: zero_tail(log); break;
    case RECOVER_ZERO_SYNC: write_meta(log); break;
    case RECOVER_META_WRITE:
        request->file = log->meta_file;
        submit(log, RECOVER_META_SYNC, FILE_SYNC);
        break;
    case RECOVER_META_SYNC: ready(log); break;
    }
}
