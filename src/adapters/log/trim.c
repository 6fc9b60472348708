/* SPDX-License-Identifier: Apache-2.0
 * trim.c: the log's old end. A note in log.meta comes first, the file goes after: a crash between
 * leaves a segment too many, never one too few. Both are steps of the writer (write.c), so that
 * nothing else moves meanwhile. */
#include "adapters/log/log.h"

#include <string.h>

#include "adapters/log/parts.h"
#include "base/assert.h"

void log_flushed(struct log *log, uint64_t offset)
{
    if (offset > log->upkeep.flushed)
        log->upkeep.flushed = offset;
}

void log_trim(struct log *log, uint64_t offset)
{
    if (offset > log->upkeep.before)
        log->upkeep.before = offset;
}

void log_spare(struct log *log, uint64_t offset)
{
    if (log->upkeep.spared_next == 0 || offset < log->upkeep.spared_next - 1)
        log->upkeep.spared_next = offset + 1;
}

/* Is what this segment holds below `offset`, and not the newest segment? */
static bool below(const struct log *log, size_t segment, uint64_t offset)
{
    return segment + 1 < log->segments_count && log->segments[segment + 1].base <= offset;
}

uint64_t log_old(const struct log *log, uint64_t bytes, uint64_t append_us)
{
    uint64_t offset = 0, behind = log->end_at;
    for (size_t i = log->segments_count; i-- > 1;) {
        bool young = log->segments[i].header.append_us >= append_us;
        if (behind >= bytes || !young) {
            offset = log->segments[i].base;
            break;
        }
        behind += log->segments[i - 1].bytes;
    }
    return offset;
}

uint64_t log_first(const struct log *log)
{
    bool any = log->segments_count > 0 && log->segments[0].sound;
    return any ? log->segments[0].base : log->meta.first;
}

uint64_t log_bytes(const struct log *log)
{
    return log->meta.newest * log->options.segment_bytes + log->end_at;
}

uint64_t log_bytes_at(const struct log *log, uint64_t offset)
{
    uint64_t number = 0;
    for (size_t i = 0; i < log->segments_count && log->segments[i].base <= offset; i++)
        number = log->segments[i].number;
    return number * log->options.segment_bytes;
}

/* Where trimming must stop: all of it holds, whatever was asked. */
static uint64_t limit(const struct log *log)
{
    uint64_t offset = log->upkeep.before;
    if (log->meta.flushed < offset)
        offset = log->meta.flushed;
    if (log->meta.spared_next != 0 && log->meta.spared_next - 1 < offset)
        offset = log->meta.spared_next - 1;
    return offset;
}

/* The first offset that is to be kept, on a boundary of segments. */
static uint64_t first_kept(const struct log *log)
{
    uint64_t first = log->meta.first;
    const struct log_reader *reader = &log->reader;
    for (size_t i = 0; below(log, i, limit(log)); i++) {
        if (reader->wanted && (!reader->placed || reader->segment <= i))
            break; /* somebody is still to read it */
        if (log->segments[i + 1].base > first)
            first = log->segments[i + 1].base;
    }
    return first;
}

bool log_note_due(const struct log *log)
{
    const struct log_upkeep *upkeep = &log->upkeep;
    bool spared = upkeep->spared_next != 0 &&
                  (log->meta.spared_next == 0 || upkeep->spared_next < log->meta.spared_next);
    return spared || upkeep->flushed > log->meta.flushed || first_kept(log) > log->meta.first;
}

void log_note(struct log *log)
{
    struct log_meta *meta = &log->meta;
    const struct log_upkeep *upkeep = &log->upkeep;
    uint32_t kept = 0;
    if (upkeep->flushed > meta->flushed)
        meta->flushed = upkeep->flushed;
    if (upkeep->spared_next != 0 &&
        (meta->spared_next == 0 || upkeep->spared_next < meta->spared_next))
        meta->spared_next = upkeep->spared_next;
    meta->first = first_kept(log);
    for (uint32_t i = 0; i < meta->holes_count; i++)
        if (meta->holes[i].end > meta->first)
            meta->holes[kept++] = meta->holes[i];
    meta->holes_count = kept;
}

bool log_trim_due(const struct log *log)
{
    const struct log_reader *reader = &log->reader;
    return below(log, 0, log->meta.first) &&
           !(reader->wanted && (!reader->placed || reader->segment == 0));
}

void log_trimmed(struct log *log)
{
    log->segments_count--;
    memmove(log->segments, log->segments + 1, log->segments_count * sizeof log->segments[0]);
    log->report.first = log->segments[0].base;
    if (log->reader.placed) {
        assert(log->reader.segment > 0);
        log->reader.segment--;
    }
    log->upkeep.trimmed++;
}

const struct log_hole *log_hole_at(const struct log *log, uint64_t offset)
{
    for (uint32_t i = 0; i < log->meta.holes_count; i++)
        if (log->meta.holes[i].from <= offset && offset < log->meta.holes[i].end)
            return &log->meta.holes[i];
    return NULL;
}
