/* SPDX-License-Identifier: Apache-2.0
 * judge.c: what recovery reads, and what it thinks of it (its steps: recover.c).
 *
 *   clean stop, all applied ──▶ TAIL: one block shows that the end is as it was noted ──▶ judgement
 *   else, from the segment that holds `part`:
 *   SCAN ──▶ SEARCH behind the last group that fits ──a later group──▶ noted as a hole? ──▶ SCAN
 *              │                                                          └no──▶ (damage)
 *              └──nothing──▶ the next segment's SCAN … ──▶ judgement
 *
 * The judgement (storage §3). At most the last group is unsynced, so whatever is followed by a
 * valid group, or lies in a segment that has a successor, was synced, and bad bytes there are
 * damage. So are bad bytes below what the store has applied, below the end noted by a clean stop,
 * below a noted hole, and segments that are missing, short or of another log. Anything else behind
 * the last valid group was never acknowledged: a torn tail.
 * Damage becomes a hole, and the log goes on, if the store holds everything in it (`flushed`, and
 * `part` of this very store), or if an operator accepts the loss (options.repair). */
#include "adapters/log/log.h"

#include <stdio.h>
#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

static void judge_end(struct log *log);
static void scan_begin(struct log *log);

void log_damage_at(struct log *log, uint64_t base, uint64_t at, uint64_t offset)
{
    struct log_report *report = &log->report;
    if (report->bad)
        return; /* the first one counts */
    report->bad = true;
    report->bad_base = base;
    report->bad_at = at;
    report->bad_offset = offset;
}

/* --- holes --- */

static void hole_add(struct log *log, uint64_t from, uint64_t end, bool lost)
{
    struct log_meta *meta = &log->meta;
    uint32_t at = meta->holes_count++;
    for (; at > 0 && meta->holes[at - 1].from > from; at--)
        meta->holes[at] = meta->holes[at - 1];
    meta->holes[at] = (struct log_hole){from, end, lost};
    log->recovery.holed = true; /* a new one: somebody is told */
    log->report.hole_end = end;
}

/* May what is damaged from … end - 1 be passed: is it noted, or can it be now? */
static bool hole_noted(struct log *log, uint64_t from, uint64_t end)
{
    struct log_meta *meta = &log->meta;
    uint64_t part = log->options.part;
    uint64_t held = log->options.repair || part < meta->flushed ? part : meta->flushed;
    for (uint32_t i = 0; i < meta->holes_count; i++)
        if (meta->holes[i].from <= from && end <= meta->holes[i].end)
            return true;
    bool lost = end > held;
    if (log->options.inspect || meta->holes_count == LOG_HOLES_MAX || from >= end ||
        (lost && !log->options.repair))
        return false;
    hole_add(log, from, end, lost);
    log->recovery.lost |= lost;
    return true;
}

/* --- the scan --- */

/* May the scan enter this segment, coming from recovery->place? */
static bool enter(struct log *log, size_t index)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_segment *segment = &log->segments[index];
    struct log_place *place = &recovery->place;
    const struct log_segment_header *header = &segment->header;
    if (!segment->sound) {
        log_damage_at(log, segment->base, 0, place->base);
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
        log_damage_at(log, index > 0 ? log->segments[index - 1].base : header->base,
                      recovery->stop_at, place->base);
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

static void scan_read(struct log *log, enum log_recover_step step)
{
    struct log_recovery *recovery = &log->recovery;
    const struct log_segment *segment = &log->segments[recovery->segment];
    uint64_t left = segment->bytes - recovery->at;
    log_recover_read(log, step, segment->file,
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
    recovery->nonzero_end = recovery->later_end = 0;
    recovery->later = false;
    if (!enter(log, index)) {
        log->segments_count = index; /* what lies from here on is not for readers */
        if (index == 0)
            place_start(log);
        judge_end(log);
        return;
    }
    recovery->at = recovery->stop_at = LOG_BLOCK_BYTES;
    recovery->last_was_seal = true;
    log->report.segments++;
    scan_read(log, RECOVER_SCAN);
}

/* Nothing more is to be read in this segment. */
static void segment_passed(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    if (recovery->segment + 1 < log->segments_count)
        scan_segment(log, recovery->segment + 1);
    else
        judge_end(log);
}

/* The last valid group of a segment is passed. */
static void scan_stopped(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->stop_at = recovery->search_from = recovery->at;
    if (recovery->at >= log->segments[recovery->segment].bytes)
        segment_passed(log);
    else
        scan_read(log, RECOVER_SEARCH);
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
        scan_read(log, RECOVER_SCAN);
    else
        scan_stopped(log);
}

/* A group behind the bad bytes: what lies between may be a hole, and the scan goes on with it. */
static bool resync(struct log *log, const struct log_group *group, uint64_t at)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_place *place = &recovery->place;
    if (group->base < place->base ||
        (group->base > place->base && !hole_noted(log, place->base, group->base)))
        return false;
    if (group->base == place->base && !log->options.repair && group->base > log->meta.flushed)
        return false;
    log->report.bad_base = log->segments[recovery->segment].base;
    log->report.bad_at = recovery->search_from;
    place->group = group->group;
    place->base = group->base;
    place->chain = group->chain;
    recovery->at = at;
    recovery->nonzero_end = recovery->later_end = 0;
    recovery->later = false;
    return true;
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
            if (!recovery->later && resync(log, &group, recovery->at + from)) {
                scan_read(log, RECOVER_SCAN);
                return;
            }
            recovery->later = true;
            if (group.base + group.count > recovery->later_end)
                recovery->later_end = group.base + group.count;
        }
    }
    recovery->at += held.bytes;
    if (held.bytes > 0 && recovery->at < log->segments[recovery->segment].bytes)
        scan_read(log, RECOVER_SEARCH);
    else
        segment_passed(log);
}

/* --- the end of a clean stop --- */

/* The first segment that must be scanned: what lies before `part` the store has applied; readers
 * check it when they read. */
static size_t scan_from(const struct log *log)
{
    const struct log_segment *at = log->segments, *last = at + log->segments_count - 1;
    if (log->options.inspect || log->options.repair || at->base > log->meta.first)
        return 0;
    while (at < last && at[0].sound && at[1].sound && at[1].number == at[0].number + 1 &&
           at[1].base <= log->options.part)
        at++;
    return (size_t)(at - log->segments);
}

/* Is the end known without a scan? The store has applied all of it. */
static bool end_noted(const struct log *log)
{
    const struct log_meta *meta = &log->meta;
    const struct log_segment *last = &log->segments[log->segments_count - 1];
    return meta->clean && !log->options.inspect && !log->options.repair &&
           log->options.part == meta->end && last->sound && last->number == meta->newest &&
           meta->end_at >= LOG_BLOCK_BYTES && meta->end_at <= last->bytes &&
           meta->end_at % LOG_BLOCK_BYTES == 0 && last->header.group <= meta->end_group &&
           scan_from(log) == log->segments_count - 1;
}

/* The last group of the segment, or its header if it has none. */
static void read_end(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->segment = log->segments_count - 1;
    recovery->at = log->meta.end_at - LOG_BLOCK_BYTES;
    log_recover_read(log, RECOVER_TAIL, log->segments[recovery->segment].file, LOG_BLOCK_BYTES);
}

static bool end_found(const struct log *log)
{
    const struct log_meta *meta = &log->meta;
    const struct log_segment_header *header = &log->segments[log->recovery.segment].header;
    struct slice block = slice_make(log->read_at, (size_t)log->recovery.request.bytes);
    struct log_group group;
    if (meta->end_at == LOG_BLOCK_BYTES) /* read before */
        return header->group == meta->end_group && header->chain == meta->end_chain &&
               header->base == meta->end;
    return log_group_header_read(block, header->log_id, header->log_epoch, &group) &&
           group.crc == meta->end_chain && group.group + 1 == meta->end_group &&
           group.base + group.count == meta->end && group.count == 0;
}

static void end_read(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    const struct log_segment *segment = &log->segments[recovery->segment];
    if (!end_found(log)) {
        scan_begin(log);
        return;
    }
    recovery->place = (struct log_place){.log_epoch = segment->header.log_epoch,
                                         .group = log->meta.end_group,
                                         .base = log->meta.end,
                                         .chain = log->meta.end_chain,
                                         .append_us = log->meta.end_append_us};
    memcpy(recovery->place.log_id, log->meta.log_id, sizeof recovery->place.log_id);
    recovery->at = recovery->stop_at = recovery->search_from = log->meta.end_at;
    recovery->last_was_seal = true;
    log->report.first = log->segments[0].base;
    judge_end(log);
}

static void scan_begin(struct log *log)
{
    size_t from = scan_from(log);
    const struct log_segment *at = &log->segments[from];
    place_start(log);
    if (from > 0) {
        log->report.first = log->segments[0].base;
        log->recovery.place = (struct log_place){
            .group = at->header.group, .base = at->base, .chain = at->header.chain};
    }
    scan_segment(log, from);
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

/* The newest segment takes no more: the next group begins the next one, at `offset`. */
static void close_at(struct log *log, uint64_t offset)
{
    log->recovery.place.base = offset;
    log->recovery.closed = true;
    log->recovery.nonzero_end = 0;
}

/* A valid group behind the stop, or a witness, shows that what is bad here had been synced. */
static void judge_tail(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    uint64_t bad_base = 0;
    for (uint32_t i = 0; i < log->meta.holes_count; i++)
        if (log->meta.holes[i].from == recovery->place.base)
            close_at(log, log->meta.holes[i].end); /* nothing was written since it was noted */
    uint64_t end = recovery->place.base;
    if (log->segments_count > 0)
        bad_base = log->segments[log->segments_count - 1].base;
    uint64_t witness = witnessed_end(log);
    if (recovery->nonzero_end > 0 && log->options.part > witness)
        witness = log->options.part;
    bool missing = log->segments_count == 0
                       ? log->meta.newest > 0
                       : log->segments[log->segments_count - 1].number < log->meta.newest;
    uint64_t lost_end = recovery->later_end > witness ? recovery->later_end : witness;
    if (!recovery->later && lost_end <= end && !missing)
        return;
    log_damage_at(log, bad_base, recovery->search_from, end);
    log->report.lost_end = lost_end;
    if (!log->options.repair || (lost_end > end && !hole_noted(log, end, lost_end)))
        return;
    log->report.bad = false;
    /* What the newest segment held, or what came behind what the store has, nobody knows. */
    bool known = log->meta.clean && lost_end == log->meta.end;
    recovery->lost |= missing || (lost_end == log->options.part && !known);
    close_at(log, lost_end > end ? lost_end : end);
}

/* Does the log hold what the rows have, and reach back to what they lack? */
static void judge_part(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_report *report = &log->report;
    uint64_t end = recovery->place.base, part = log->options.part;
    for (uint32_t i = 0; i < log->meta.holes_count; i++) {
        struct log_hole *hole = &log->meta.holes[i];
        if (hole->lost || hole->end <= part || log->options.inspect)
            continue;
        if (!log->options.repair) { /* these rows are not those that held it */
            log_damage_at(log, 0, 0, hole->from > part ? hole->from : part);
            report->lost_end = hole->end;
            return;
        }
        hole->lost = recovery->lost = true;
    }
    if (part <= end)
        return;
    if (log->options.repair && hole_noted(log, end, part)) {
        recovery->lost = true; /* what came after it is not known */
        close_at(log, part);
        return;
    }
    log_damage_at(log, log->segments_count > 0 ? log->segments[log->segments_count - 1].base : 0,
                  recovery->stop_at, end);
    report->lost_end = part;
    report->verdict = LOG_ROLLBACK;
}

static void hole_tell(struct log *log)
{
    struct log_report *report = &log->report;
    (void)snprintf(report->alarm, sizeof report->alarm,
                   "the log has a new hole up to offset %llu (segment %016llx, byte %llu); %s",
                   (unsigned long long)(report->hole_end - 1), (unsigned long long)report->bad_base,
                   (unsigned long long)report->bad_at,
                   log->recovery.lost ? "what stood there is lost, unless devices send it again"
                                      : "the store holds what was there");
}

static void judge_end(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    struct log_report *report = &log->report;
    if (!report->bad)
        judge_tail(log);
    if (!report->bad)
        judge_part(log);
    log->end = report->end = recovery->place.base;
    log->end_at = recovery->stop_at;
    if (report->bad) {
        log_read_only(log, report->verdict == LOG_ROLLBACK ? LOG_ROLLBACK : LOG_DAMAGE);
        return;
    }
    bool asked = !log->options.inspect || log->options.part > 0;
    if (recovery->nonzero_end > 0) {
        report->verdict = LOG_TORN_TAIL;
        report->torn_bytes = recovery->nonzero_end - recovery->search_from;
    }
    if (asked && log->options.part < report->first)
        report->verdict = LOG_STORE_LOST;
    if (recovery->holed)
        hole_tell(log);
    if (log->options.inspect)
        log_read_only(log, report->verdict);
    else if (report->verdict == LOG_STORE_LOST)
        log_store_lost(log);
    else
        log_recover_end(log);
}

void log_judge(struct log *log)
{
    struct log_recovery *recovery = &log->recovery;
    recovery->awaits_part = log->options.part == LOG_PART_LATER;
    if (recovery->awaits_part)
        return;
    bool sound = !recovery->fresh && !log->report.bad;
    if (sound && log->segments_count > 0 && end_noted(log)) {
        read_end(log);
    } else if (sound && log->segments_count > 0) {
        scan_begin(log);
    } else {
        if (!recovery->fresh)
            place_start(log);
        judge_end(log);
    }
}

void log_judge_read(struct log *log)
{
    enum log_recover_step step = log->recovery.step;
    assert(step == RECOVER_TAIL || step == RECOVER_SCAN || step == RECOVER_SEARCH);
    if (step == RECOVER_TAIL)
        end_read(log);
    else if (step == RECOVER_SCAN)
        scan(log);
    else
        search(log);
}
