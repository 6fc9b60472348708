/* SPDX-License-Identifier: Apache-2.0
 * recover.c: what the log does at start: read everything, judge, repair the one thing that may be.
 *
 *   LIST ──▶ META_OPEN ──there──▶ META_READ ─┐
 *                └──not there──▶ META_MAKE ──┤ (no segments: a fresh log, unless one is expected)
 *            ┌───────────────────────────────┘
 *   SEGMENT_OPEN ──▶ SEGMENT_READ ──▶ … each ──▶ SCAN ──▶ … each ──▶ SEARCH (behind the last group)
 *   SEARCH ──▶ judge ──torn──▶ ZERO ──▶ ZERO_SYNC ──▶ META_WRITE ──▶ META_SYNC ──▶ READY
 *                ├──sound──────────────────────────▶ META_WRITE
 *                └──damage, rollback──▶ READ_ONLY
 *
 * The judgement (storage §3). At most the last group is unsynced, so whatever is followed by a
 * valid group, or lies in a segment that has a successor, was synced, and bad bytes there are
 * damage. So are bad bytes below what the store has applied, below the end noted by a clean stop,
 * below a noted hole, and segments that are missing, short or of another log. Anything else behind
 * the last valid group was never acknowledged: a torn tail. */
#include "adapters/log/log.h"

#include <stdio.h>
#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

static void judge(struct log *log);
static void judge_end(struct log *log);

static void submit(struct log *log, enum log_recover_step step, enum file_op op)
{
    log->recovery.step = step;
    log_submit(log, &log->recovery.request, op, TOKEN_RECOVER);
}

static void submit_read(struct log *log, enum log_recover_step step, uint32_t file, size_t bytes)
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

/* Damage that leaves nothing, or nothing from `offset` on, to read. */
static void damage_at(struct log *log, uint64_t base, uint64_t at, uint64_t offset)
{
    struct log_report *report = &log->report;
    if (report->bad)
        return; /* the first one counts */
    report->bad = true;
    report->bad_base = base;
    report->bad_at = at;
    report->bad_offset = offset;
}

static void fresh(struct log *log)
{
    log->recovery.fresh = true;
    log->recovery.place = (struct log_place){.group = 1};
    log->meta = (struct log_meta){.log_epoch = 1};
    log->entropy->vtable->fill(log->entropy, log->meta.log_id, sizeof log->meta.log_id);
    judge(log);
}

/* No segment, and no slot of the meta file. */
static void nothing_here(struct log *log)
{
    if (log->options.id != NULL)
        log_fail(log, STATUS_NOT_FOUND, "the log of this server is not here");
    else
        fresh(log);
}

static void meta_opened(struct log *log, enum status status)
{
    struct file_request *request = &log->recovery.request;
    if (status == STATUS_OK) {
        log->meta_file = request->file;
        log->recovery.at = 0;
        submit_read(log, RECOVER_META_READ, log->meta_file, LOG_META_BYTES);
    } else if (log->segments_count > 0) {
        damage_at(log, 0, 0, 0); /* segments without their meta: whose are they? */
        log->segments_count = 0;
        judge(log);
    } else if (log->options.inspect || log->options.id != NULL) {
        nothing_here(log);
    } else {
        meta_name(log);
        request->bytes = LOG_META_BYTES;
        submit(log, RECOVER_META_MAKE, FILE_CREATE);
    }
}

static void open_segment(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    if (recovery->segment == log->segments_count) {
        recovery->segment = 0;
        judge(log);
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
        damage_at(log, 0, 0, 0);
        log->segments_count = 0;
        judge(log);
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
    recovery->segment++;
    open_segment(log);
}

/* --- the scan --- */

/* Damage whose end is known may be a hole, if the store holds all of it in synced files. */
static bool hole_noted(struct log *log, uint64_t from, uint64_t end)
{
    struct log_meta *meta = &log->meta;
    for (uint32_t i = 0; i < meta->holes_count; i++)
        if (meta->holes[i].from <= from && end <= meta->holes[i].end)
            return true;
    if (end > meta->flushed || meta->holes_count == LOG_HOLES_MAX || log->options.inspect)
        return false;
    meta->holes[meta->holes_count++] = (struct log_hole){from, end};
    log->recovery.holed = true; /* a new one: somebody is told */
    return true;
}

/* May the scan enter this segment, coming from recovery->place? */
static bool enter(struct log *log, size_t index)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_segment *segment = &log->segments[index];
    struct log_place *place = &recovery->place;
    const struct log_segment_header *header = &segment->header;
    if (!segment->sound) {
        damage_at(log, segment->base, 0, place->base);
        return false;
    }
    if (index == 0 && header->base <= log->meta.first) {
        log->report.first = header->base;
        *place = (struct log_place){
            .group = header->group, .base = header->base, .chain = header->chain};
    }
    bool follows = place->base == header->base && place->group == header->group &&
                   place->chain == header->chain &&
                   (index == 0 || header->number == log->segments[index - 1].number + 1);
    if (!follows) {
        damage_at(log, index > 0 ? log->segments[index - 1].base : header->base, recovery->stop_at,
                  place->base);
        log->report.lost_end = header->base;
        if (header->base <= place->base || !hole_noted(log, place->base, header->base))
            return false;
        log->report.bad = false; /* announced to whoever reads it */
        place->group = header->group;
        place->base = header->base;
        place->chain = header->chain;
    }
    memcpy(place->log_id, header->log_id, sizeof place->log_id);
    place->log_epoch = header->log_epoch;
    if (header->append_us > place->append_us)
        place->append_us = header->append_us;
    return true;
}

static void scan_read(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    const struct log_segment *segment = &log->segments[recovery->segment];
    uint64_t left = segment->bytes - recovery->at;
    submit_read(log, recovery->step, segment->file,
                left < log->options.group_bytes ? (size_t)left : log->options.group_bytes);
}

/* Where the first record that is kept must begin. */
static void place_start(struct log *log)
{
    log->recovery.place = (struct log_place){.group = 1, .base = log->meta.first};
}

static void scan_segment(struct log *log, size_t index)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->segment = index;
    if (!enter(log, index)) {
        log->segments_count = index; /* what lies from here on is not for readers */
        if (index == 0)
            place_start(log);
        judge_end(log);
        return;
    }
    recovery->at = recovery->stop_at = LOG_BLOCK_BYTES;
    recovery->last_was_seal = true;
    recovery->step = RECOVER_SCAN;
    log->report.segments++;
    scan_read(log);
}

/* The last valid group of a segment is passed. */
static void scan_stopped(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->stop_at = recovery->at;
    if (recovery->segment + 1 < log->segments_count) {
        scan_segment(log, recovery->segment + 1);
        return;
    }
    recovery->search_from = recovery->at;
    if (recovery->at >= log->segments[recovery->segment].bytes) {
        judge(log);
        return;
    }
    recovery->step = RECOVER_SEARCH;
    scan_read(log);
}

static void count_group(struct log *log, const struct log_group *group)
{
    log->report.groups++;
    log->report.records += group->count;
    log->report.seals += group->count == 0;
    log->recovery.last_was_seal = group->count == 0;
}

static void scan(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    const uint64_t segment_bytes = log->segments[recovery->segment].bytes;
    struct slice held = slice_make(log->read_at, (size_t)recovery->request.bytes);
    size_t from = 0;
    enum status status = STATUS_AGAIN;
    struct log_group group;
    while (from < held.bytes) {
        status = log_group_read(&recovery->place, slice_sub(held, from, SIZE_MAX), &group);
        if (status != STATUS_OK)
            break;
        log_place_pass(&recovery->place, &group);
        count_group(log, &group);
        recovery->at += group.bytes;
        from += (size_t)group.bytes;
    }
    bool more = status == STATUS_OK || (status == STATUS_AGAIN && from > 0);
    if (more && held.bytes > 0 && recovery->at < segment_bytes)
        scan_read(log);
    else
        scan_stopped(log);
}

/* Behind the last valid group: is there anything but zeros, and is a valid group among it? */
static void search(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct slice held = slice_make(log->read_at, (size_t)recovery->request.bytes);
    static const uint8_t zeros[LOG_BLOCK_BYTES];
    for (size_t from = 0; from < held.bytes; from += LOG_BLOCK_BYTES) {
        struct slice block = slice_sub(held, from, LOG_BLOCK_BYTES);
        if (memcmp(block.at, zeros, block.bytes) == 0)
            continue;
        recovery->nonzero_end = recovery->at + from + block.bytes;
        struct log_group group;
        if (log_group_header_read(block, recovery->place.log_id, recovery->place.log_epoch,
                                  &group) &&
            group.group > recovery->place.group) {
            recovery->later = true;
            if (group.base + group.count > recovery->later_end)
                recovery->later_end = group.base + group.count;
        }
    }
    recovery->at += held.bytes;
    if (held.bytes > 0 && recovery->at < log->segments[recovery->segment].bytes)
        scan_read(log);
    else
        judge(log);
}

/* --- the judgement --- */

/* One past the last offset that is known to have been durable. */
static uint64_t witnessed_end(const struct log *log)
{
    uint64_t end = log->meta.clean ? log->meta.end : 0;
    for (uint32_t i = 0; i < log->meta.holes_count; i++)
        if (log->meta.holes[i].end > end)
            end = log->meta.holes[i].end;
    return end;
}

/* A valid group behind the stop, or a witness, shows that what is bad here had been synced. */
static void judge_tail(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    uint64_t end = recovery->place.base, bad_base = 0;
    if (log->segments_count > 0)
        bad_base = log->segments[log->segments_count - 1].base;
    uint64_t witness = witnessed_end(log);
    if (recovery->nonzero_end > 0 && log->options.part > witness)
        witness = log->options.part;
    bool missing = log->segments_count == 0
                       ? log->meta.newest > 0
                       : log->segments[log->segments_count - 1].number < log->meta.newest;
    if (recovery->later || witness > end || missing) {
        damage_at(log, bad_base, recovery->search_from, end);
        log->report.lost_end = recovery->later_end > witness ? recovery->later_end : witness;
    }
}

static void go_on(struct log *log);

static void judge_end(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_report *report = &log->report;
    log->end = report->end = recovery->place.base;
    log->end_at = recovery->stop_at;
    if (!report->bad)
        judge_tail(log);
    if (report->bad) {
        log_read_only(log, LOG_DAMAGE);
        return;
    }
    if (log->options.part > log->end) {
        report->bad_offset = log->end;
        report->lost_end = log->options.part;
        report->bad_at = log->end_at;
        if (log->segments_count > 0)
            report->bad_base = log->segments[log->segments_count - 1].base;
        log_read_only(log, LOG_ROLLBACK);
        return;
    }
    if (recovery->nonzero_end > 0) {
        report->verdict = LOG_TORN_TAIL;
        report->torn_bytes = recovery->nonzero_end - recovery->search_from;
    } else if (log->options.part < report->first) {
        report->verdict = LOG_STORE_LOST;
    }
    if (recovery->holed)
        (void)snprintf(report->alarm, sizeof report->alarm,
                       "the log has a new hole up to offset %llu (segment %016llx, byte %llu); "
                       "the store holds what was there",
                       (unsigned long long)(report->lost_end - 1),
                       (unsigned long long)report->bad_base, (unsigned long long)report->bad_at);
    if (log->options.inspect)
        log_read_only(log, report->verdict);
    else
        go_on(log);
}

/* What lies before the segment of `part` the store has applied; readers check it when they read. An
 * inspection scans all. */
static void scan_begin(struct log *log)
{
    const struct log_segment *at = log->segments, *last = at + log->segments_count - 1;
    place_start(log);
    if (!log->options.inspect && at->base <= log->meta.first)
        while (at < last && at[0].sound && at[1].sound && at[1].number == at[0].number + 1 &&
               at[1].base <= log->options.part)
            at++;
    if (at > log->segments) {
        log->report.first = log->segments[0].base;
        log->recovery.place = (struct log_place){
            .group = at->header.group, .base = at->base, .chain = at->header.chain};
    }
    scan_segment(log, (size_t)(at - log->segments));
}

/* Scan what is known to be there, then judge. */
static void judge(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->awaits_part = log->options.part == LOG_PART_LATER;
    if (recovery->awaits_part)
        return;
    bool scanned = recovery->step == RECOVER_SCAN || recovery->step == RECOVER_SEARCH;
    if (!scanned && !recovery->fresh && !log->report.bad && log->segments_count > 0) {
        scan_begin(log);
        return;
    }
    if (!scanned && !recovery->fresh)
        place_start(log);
    judge_end(log);
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
    log->meta.end = 0;
    if (log->segments_count > 0)
        log->meta.newest = log->segments[log->segments_count - 1].number;
    recovery->request.file = log->meta_file;
    recovery->request.at = log_meta_next(log);
    recovery->request.from = slice_make(log->block, LOG_BLOCK_BYTES);
    submit(log, RECOVER_META_WRITE, FILE_WRITE);
}

static void go_on(struct log *log)
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
    if (!same_epoch && log->segments_count > 0)
        writer->at = log->segments[log->segments_count - 1].bytes;
    writer->sealed = log->recovery.last_was_seal || !same_epoch;
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
    log->options.part = part;
    judge(log);
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
    case RECOVER_META_MAKE:
        log->meta_file = request->file;
        fresh(log);
        break;
    case RECOVER_META_READ: meta_read(log); break;
    case RECOVER_SEGMENT_OPEN:
        log->segments[recovery->segment].file = request->file;
        log->segments[recovery->segment].bytes = request->bytes;
        recovery->at = 0;
        submit_read(log, RECOVER_SEGMENT_READ, request->file, LOG_BLOCK_BYTES);
        break;
    case RECOVER_SEGMENT_READ: segment_read(log); break;
    case RECOVER_SCAN: scan(log); break;
    case RECOVER_SEARCH: search(log); break;
    case RECOVER_ZERO: zero_tail(log); break;
    case RECOVER_ZERO_SYNC: write_meta(log); break;
    case RECOVER_META_WRITE:
        request->file = log->meta_file;
        submit(log, RECOVER_META_SYNC, FILE_SYNC);
        break;
    case RECOVER_META_SYNC: ready(log); break;
    }
}
