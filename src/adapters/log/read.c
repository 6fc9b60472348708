/* SPDX-License-Identifier: Apache-2.0
 * read.c: the consumer's half of the log. Records are read back from the file, up to the durable
 * end; a reader that is at the end takes the next group over when its sync came back, without a
 * trip to the disk (offer). Both are this one path: every byte handed out was checked.
 * What does not check is never stepped over: a hole noted in log.meta is announced, anything else
 * makes the log read-only and the reader stops in front of it. */
#include "adapters/log/log.h"

#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

/* Where the readable bytes of a segment end. */
static uint64_t limit(const struct log *log, size_t segment)
{
    return segment + 1 == log->segments_count ? log->end_at : log->segments[segment].bytes;
}

static void enter(struct log *log, size_t segment)
{
    struct log_reader *reader = &log->reader;
    const struct log_segment_header *header = &log->segments[segment].header;
    reader->segment = segment;
    reader->at = LOG_BLOCK_BYTES;
    reader->held_bytes = 0;
    reader->body = SLICE_EMPTY;
    reader->place = (struct log_place){
        .log_epoch = header->log_epoch,
        .group = header->group,
        .base = header->base,
        .chain = header->chain,
        .append_us = header->append_us,
    };
    memcpy(reader->place.log_id, header->log_id, sizeof header->log_id);
}

static void announce(struct log *log, uint64_t from, uint64_t end)
{
    log->reader.hole = true;
    log->reader.hole_now = (struct log_hole){.from = from, .end = end};
}

/* Behind what is durable now: nothing before it need be read. */
static void place_at_end(struct log *log)
{
    struct log_reader *reader = &log->reader;
    enter(log, log->segments_count - 1);
    uint32_t log_epoch = reader->place.log_epoch;
    reader->place = log->writer.place;
    reader->place.log_epoch = log_epoch;
    reader->at = log->end_at;
}

/* Find the segment that holds reader->next; groups before it are skipped as they come. */
static void place_reader(struct log *log)
{
    struct log_reader *reader = &log->reader;
    reader->placed = true;
    reader->seeking = false;
    if (reader->next > log->end)
        reader->next = log->end;
    if (reader->next == log->end && log->state == LOG_READY) {
        place_at_end(log);
        return;
    }
    if (reader->next < log->segments[0].base) {
        announce(log, reader->next, log->segments[0].base);
        reader->next = log->segments[0].base;
    }
    size_t segment = 0;
    while (segment + 1 < log->segments_count &&
           log->segments[segment + 1].header.base <= reader->next)
        segment++;
    enter(log, segment);
}

static void start_read(struct log *log)
{
    struct log_reader *reader = &log->reader;
    uint64_t at = reader->seeking ? reader->seek_at : reader->at;
    uint64_t left = limit(log, reader->segment) - at;
    reader->reading = true;
    reader->held_at = at;
    reader->held_bytes = 0;
    reader->request.file = log->segments[reader->segment].file;
    reader->request.at = at;
    reader->request.into = log->read_at;
    reader->request.into_bytes =
        left < log->options.group_bytes ? (size_t)left : log->options.group_bytes;
    log_submit(log, &reader->request, FILE_READ, TOKEN_READ);
}

static void found_damage(struct log *log)
{
    struct log_reader *reader = &log->reader;
    reader->stopped = true;
    log->report.bad = true;
    log->report.bad_base = log->segments[reader->segment].base;
    log->report.bad_at = reader->at;
    log->report.bad_offset = reader->place.base;
    log->report.lost_end = log->end;
    log->failure_told = false;
    log_read_only(log, LOG_DAMAGE);
}

void log_read_done(struct log *log)
{
    struct log_reader *reader = &log->reader;
    reader->reading = false;
    if (reader->request.status != STATUS_OK) {
        log_fail(log, STATUS_IO, "a read failed");
        return;
    }
    reader->held_bytes = (size_t)reader->request.bytes;
    if (reader->held_bytes < reader->request.into_bytes)
        found_damage(log); /* somebody cut the file below us */
}

void log_read_offer(struct log *log, struct slice group)
{
    struct log_reader *reader = &log->reader;
    bool at_end = reader->placed && !reader->reading && !reader->stopped && !reader->hole &&
                  reader->body.bytes == 0 && reader->segment + 1 == log->segments_count &&
                  reader->at == log->end_at && !reader->seeking;
    if (!at_end)
        return;
    memcpy(log->read_at, group.at, group.bytes);
    reader->held_at = reader->at;
    reader->held_bytes = group.bytes;
}

/* Bad bytes: as recovery did, go on with the next group of this segment whose records are ours to
 * hand out; what lies between must be a hole. */
static bool seek(struct log *log)
{
    struct log_reader *reader = &log->reader;
    uint64_t end = reader->held_at + reader->held_bytes;
    if (reader->seek_at >= limit(log, reader->segment)) {
        found_damage(log); /* nothing follows */
        return false;
    }
    if (end < reader->seek_at)
        return false;
    for (; reader->seek_at + LOG_BLOCK_BYTES <= end; reader->seek_at += LOG_BLOCK_BYTES) {
        struct log_group group;
        struct slice block =
            slice_make(log->read_at + (reader->seek_at - reader->held_at), LOG_BLOCK_BYTES);
        if (!log_group_header_read(block, reader->place.log_id, reader->place.log_epoch, &group) ||
            group.group <= reader->place.group)
            continue;
        const struct log_hole *hole = log_hole_at(log, reader->place.base);
        if (group.base != reader->place.base && (hole == NULL || group.base > hole->end))
            break;
        if (group.base > reader->next) {
            announce(log, reader->next > reader->place.base ? reader->next : reader->place.base,
                     group.base);
            reader->next = group.base;
        }
        reader->place.group = group.group;
        reader->place.base = group.base;
        reader->place.chain = group.chain;
        reader->at = reader->seek_at;
        reader->seeking = false;
        return true;
    }
    if (reader->seek_at < end || reader->seek_at >= limit(log, reader->segment))
        found_damage(log); /* a group that no hole leads to, or none */
    return false;
}

/* Take the next group out of what is held. False: nothing more without a read, or at all. */
static bool take_group(struct log *log)
{
    struct log_reader *reader = &log->reader;
    if (reader->seeking)
        return seek(log);
    size_t from = (size_t)(reader->at - reader->held_at);
    if (reader->at < reader->held_at || reader->held_bytes <= from)
        return false;
    struct log_group group;
    struct slice held = slice_make(log->read_at + from, reader->held_bytes - from);
    enum status status = log_group_read(&reader->place, held, &group);
    if (status == STATUS_AGAIN && from > 0)
        return false; /* the next read begins here */
    if (status != STATUS_OK) {
        reader->seeking = true;
        reader->seek_at = reader->at + LOG_BLOCK_BYTES;
        return seek(log);
    }
    log_place_pass(&reader->place, &group);
    reader->at += group.bytes;
    reader->body = group.body;
    reader->body_offset = group.base;
    reader->append_us = group.append_us;
    return true;
}

/* To the segment behind the hole, or to the end of the log. false: the hole ends within this
 * segment. */
static bool pass_hole(struct log *log, const struct log_hole *hole, size_t to)
{
    struct log_reader *reader = &log->reader;
    bool at_end = to == log->segments_count && log->state == LOG_READY && hole->end == log->end;
    if (!at_end && (to == log->segments_count || log->segments[to].header.base != hole->end))
        return false;
    if (reader->next < hole->end) {
        announce(log, reader->next > hole->from ? reader->next : hole->from, hole->end);
        reader->next = hole->end;
    }
    if (at_end)
        place_at_end(log);
    else
        enter(log, to);
    return true;
}

/* All groups of this segment are taken: the next one, unless a hole stands between. */
static bool next_segment(struct log *log)
{
    struct log_reader *reader = &log->reader;
    const struct log_hole *hole = log_hole_at(log, reader->place.base);
    if (hole != NULL) {
        size_t to = reader->segment + 1;
        while (to < log->segments_count && log->segments[to].header.base < hole->end)
            to++;
        if (pass_hole(log, hole, to))
            return true;
    }
    if (reader->segment + 1 < log->segments_count &&
        log->segments[reader->segment + 1].header.group == reader->place.group) {
        enter(log, reader->segment + 1);
        return true;
    }
    return false;
}

static void skip_below(struct log_reader *reader)
{
    struct log_record record;
    while (reader->body.bytes > 0 && reader->body_offset < reader->next &&
           log_record_next(&reader->body, &record) == STATUS_OK)
        reader->body_offset++;
}

/* Make reader->body hold the next record; else, if it may, start the read that will. */
static bool advance(struct log *log, bool may_read)
{
    struct log_reader *reader = &log->reader;
    while (reader->body.bytes == 0 && !reader->hole && !reader->stopped) {
        if (reader->reading)
            return false;
        if (!reader->seeking && next_segment(log))
            continue;
        if (reader->at >= limit(log, reader->segment))
            return false;
        if (take_group(log))
            skip_below(reader);
        else if (!may_read)
            return false;
        else if (!reader->stopped)
            start_read(log);
    }
    return reader->body.bytes > 0;
}

static void put_record(struct log *log, struct bus_event *out)
{
    struct log_reader *reader = &log->reader;
    struct log_record record;
    enum status status = log_record_next(&reader->body, &record);
    assert(status == STATUS_OK); /* the group was checked when it was taken */
    *out = (struct bus_event){
        .kind = BUS_RECORD,
        .offset = reader->body_offset,
        .log_epoch = reader->place.log_epoch,
        .topic = (enum topic)record.topic,
        .record = {.topic = (enum topic)record.topic,
                   .log_epoch = reader->place.log_epoch,
                   .offset = reader->body_offset,
                   .append_us = reader->append_us,
                   .bytes = record.bytes},
    };
    memcpy(out->record.key, record.key, ID_BYTES);
    reader->next = ++reader->body_offset;
}

/* Records handed out stay in the buffer until the next call, which alone may start a read: so a
 * read begins only when nothing has been handed out in this call. */
size_t log_read_events(struct log *log, struct bus_event *out, size_t max)
{
    struct log_reader *reader = &log->reader;
    size_t count = 0;
    bool readable = log->state == LOG_READY || log->state == LOG_READ_ONLY;
    if (!readable || !reader->wanted || reader->paused || reader->stopped)
        return 0;
    if (log->segments_count == 0)
        return 0;
    if (!reader->placed && reader->reading)
        return 0; /* a read of the place before is under way */
    if (!reader->placed)
        place_reader(log);
    while (count < max) {
        if (reader->body.bytes == 0 && reader->hole) {
            reader->hole = false; /* nothing behind it was read yet */
            out[count++] = (struct bus_event){.kind = BUS_HOLE,
                                              .record = {.offset = reader->hole_now.from},
                                              .hole_end = reader->hole_now.end};
            continue;
        }
        if (!advance(log, count == 0))
            break;
        put_record(log, &out[count++]);
    }
    return count;
}
