/* SPDX-License-Identifier: Apache-2.0
 * log.h: the durable log: the `bus` port of one machine, standing on the `file` port (storage §3).
 * A state machine without threads: log_turn takes completions and submits the next requests; the
 * bus operations only touch memory.
 * Invariants: nothing is answered OK, nor handed to the consumer, before the sync that covers it
 * came back; one group is in flight, and the next is written only after that sync, so at most the
 * last group is unsynced; a failed write or sync is final; what is found at start is judged, never
 * stepped over: a torn tail (never acknowledged) is cut, anything else makes the log read-only
 * below it, with an alarm.
 * Offsets count from 0, one space for all topics (facts.single); partition is always 0.
 * Owner: one thread. Memory: taken once at open, LOG_BUFFERS + 1 buffers of group_bytes and a table
 * of segments_max. Bounds: the queue holds LOG_BUFFERS groups of group_bytes and group_records_max.
 * States:
 *   RECOVERING ──sound, torn tail cut──▶ READY ──log_stop──▶ STOPPED
 *       ├──damage, rollback──▶ READ_ONLY ◀──damage met by a reader── READY
 *       └──I/O, newer version──▶ FAILED ◀──a write or sync failed── READY
 * Source: storage §§2.5, 3; proof §2; ADR 0030. Transitions: recover.c, write.c, read.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "adapters/log/format.h"
#include "base/arena.h"
#include "base/buckets.h"
#include "ports/bus.h"
#include "ports/clock.h"
#include "ports/entropy.h"
#include "ports/file.h"

#define LOG_BUFFERS        4u
#define LOG_SEGMENT_BYTES  (64u * 1024u * 1024u)
#define LOG_FIRST_BYTES    (4u * 1024u * 1024u) /* first_bytes of a server */
#define LOG_SPARE_AT       (256u * 1024u)       /* its spare_at */
#define LOG_GROUP_BYTES    (1024u * 1024u)
#define LOG_IDLE_SEAL_US   1000000u
#define LOG_SPARE_RETRY_US 1000000u
#define LOG_ALARM_BYTES    512u
#define LOG_PART_LATER     UINT64_MAX

struct log_options {
    const char *folder;         /* of the file port; at most 32 characters, no '/' */
    uint32_t segment_bytes;     /* of new segments: a multiple of 4 KiB, > group_bytes + 8 KiB */
    uint32_t first_bytes;       /* of the first one, which a start waits for; 0: as the others */
    uint32_t spare_at;          /* bytes in the newest segment before a spare is made; 0: at once */
    uint32_t group_bytes;       /* a multiple of 4 KiB; a record of record_bytes_max must fit */
    uint32_t group_records_max; /* records of one group */
    uint32_t record_bytes_max;  /* ≤ BUS_RECORD_BYTES_MAX */
    uint32_t segments_max;
    /* one past the last offset that the store has applied; 0: nothing. LOG_PART_LATER: recovery
     * waits for log_part, once it knows whose log this is */
    uint64_t part;
    /* log_id of the log that must be here, 16 bytes that stand until log_close: another log or none
     * is FAILED (CONFLICT, NOT_FOUND) before anything is written. NULL: any, and if none is here a
     * new one is made */
    const uint8_t *id;
    bool inspect; /* judge and read only: nothing is written, not even a torn tail cut */
    /* An operator accepts what is gone: damage becomes holes, segments that are unusable are put
     * aside, a lost log.meta is made anew; a new log_epoch begins if anything is lost that the
     * store does not hold. `part` must be in synced files of the store. */
    bool repair;
    bool new_epoch; /* begin one in any case: after a restore, or a rollback that devices proved */
};

/* What a server uses: 64 MiB segments, groups ≤ 1 MiB and 4096 records. */
struct log_options log_options_default(void);

enum log_state { LOG_RECOVERING, LOG_READY, LOG_READ_ONLY, LOG_FAILED, LOG_STOPPED };

enum log_verdict {
    LOG_SOUND,      /* every group up to the end is whole */
    LOG_TORN_TAIL,  /* the last write never finished: not acknowledged, cut */
    LOG_DAMAGE,     /* synced data is unreadable */
    LOG_ROLLBACK,   /* the store has applied what the log no longer holds */
    LOG_STORE_LOST, /* the store misses records from before the log's first offset: FAILED */
};

/* What recovery found. `alarm` is "" unless somebody must act. */
struct log_report {
    enum log_verdict verdict;
    uint64_t segments, groups, records, seals;
    uint64_t first, end; /* readable offsets: first … end - 1, holes excepted */
    uint64_t torn_bytes;
    bool bad; /* then: where the first bad byte's block lies, which offset stood there … */
    uint64_t bad_base, bad_at, bad_offset;
    uint64_t lost_end; /* … and one past the last offset known to be lost; 0: not known */
    uint64_t hole_end; /* of the newest hole noted at this start; 0: none */
    uint32_t aside;    /* files that a repair put aside */
    char alarm[LOG_ALARM_BYTES];
};

struct log_segment {
    uint32_t file;
    bool sound; /* header read and of this log */
    uint64_t base, number, bytes;
    struct log_segment_header header;
};

/* One group on its way: filled by append, then written, synced, answered. */
struct log_buffer {
    uint8_t *at;
    uint64_t *tokens;
    uint32_t count, body_bytes, answered;
    uint64_t base;
    enum status status; /* of all its appends */
};

enum log_write_step {
    WRITE_IDLE,
    WRITE_GROUP, /* and sync */
    WRITE_SEAL,  /* and sync */
    WRITE_HEADER,
    WRITE_HEADER_SYNC,
    WRITE_RENAME,
    WRITE_META,
    WRITE_META_SYNC,
    WRITE_NOTE,
    WRITE_NOTE_SYNC,
    WRITE_TRIM,
};

enum log_spare_step {
    SPARE_NONE,
    SPARE_OPENING,
    SPARE_DELETING,
    SPARE_MAKING,
    SPARE_READY,
    SPARE_FULL
};

enum log_recover_step {
    RECOVER_LIST,
    RECOVER_META_OPEN,
    RECOVER_META_READ,
    RECOVER_META_MAKE,
    RECOVER_SEGMENT_OPEN,
    RECOVER_SEGMENT_READ,
    RECOVER_ASIDE,
    RECOVER_TAIL,
    RECOVER_SCAN,
    RECOVER_SEARCH,
    RECOVER_ZERO,
    RECOVER_ZERO_SYNC,
    RECOVER_META_WRITE,
    RECOVER_META_SYNC,
};

struct log_writer {
    enum log_write_step step;
    struct file_request request;
    uint64_t drain, durable,
        fill;               /* buffers ever answered, synced, filled: drain ≤ durable ≤ fill */
    struct log_place place; /* of the next group */
    uint64_t at, next_at;   /* in the newest segment; behind the group in flight */
    struct log_place next_place;
    bool sealed;        /* the last group is a seal, or there is nothing to seal */
    uint64_t synced_us; /* monotonic: when the last group became durable */
    bool stopping, clean_written;
    uint64_t syncs, seals; /* counters */
    uint64_t sync_begun_us;
    struct buckets sync_us, sync_records; /* of groups of records */
};

struct log_reader {
    bool wanted, placed, paused, reading, stopped;
    uint64_t next; /* offset to hand out */
    size_t segment;
    struct log_place place; /* of the group at `at` */
    uint64_t at;            /* in the segment */
    uint64_t held_at;       /* the buffer holds held_bytes from there */
    size_t held_bytes;
    struct slice body;    /* rest of the group being handed out */
    uint64_t body_offset; /* of the first record in `body` */
    uint64_t append_us;
    struct file_request request;
    bool hole; /* a hole is to be announced: from, end */
    struct log_hole hole_now;
    bool seeking; /* bad bytes at `place`: a later group of this segment is looked for, at … */
    uint64_t seek_at;
};

struct log_recovery {
    enum log_recover_step step;
    struct file_request request;
    size_t segment;
    struct log_place place;
    uint64_t at;          /* place in the segment: of the next group, or of the search */
    uint64_t stop_at;     /* where the scan stopped */
    uint64_t nonzero_end; /* end of the last block behind it that is not zero */
    uint64_t later_end;   /* one past the last offset of a later valid group, if one was found */
    uint64_t search_from;
    bool later, last_was_seal, fresh, holed, awaits_part;
    bool lost;    /* acknowledged records are gone: a new log_epoch */
    bool closed;  /* the newest segment takes no more groups */
    bool rebuilt; /* log.meta was lost */
};

/* What the server asks of the log besides records (trim.c). */
struct log_upkeep {
    uint64_t flushed;     /* to be noted */
    uint64_t spared_next; /* to be noted */
    uint64_t before;      /* records below may go */
    uint64_t trimmed;     /* segments, since log_open */
};

struct log {
    struct bus bus; /* first: a struct log is a bus */
    struct file_port *file;
    struct clock_port *clock;
    struct entropy *entropy;
    struct log_options options;
    enum log_state state;
    struct arena arena;
    struct log_meta meta;
    uint32_t meta_file;
    struct log_segment *segments;
    size_t segments_count;
    char (*names)[FILE_NAME_BYTES];
    uint8_t *block;   /* header, seal or slot being written */
    uint8_t *read_at; /* reader's and recovery's buffer, group_bytes */
    struct log_buffer buffers[LOG_BUFFERS];
    struct log_writer writer;
    struct log_reader reader;
    struct log_recovery recovery;
    struct log_upkeep upkeep;
    enum log_spare_step spare;
    struct file_request spare_request;
    uint32_t spare_file;
    uint64_t spare_retry_us;
    uint64_t end;    /* one past the newest durable record */
    uint64_t end_at; /* one past the durable bytes of the newest readable segment */
    uint64_t committed;
    uint32_t in_flight;
    struct log_report report;
    struct failure failure;
    bool failure_told;
    uint64_t refused; /* appends refused for want of room */
};

/* Begin recovery; the file port must serve nobody else. `log` is the caller's memory. BUSY: no
 * memory.
 * Everything later shows in log->state, log->report and log->failure as log_turn goes on. */
MUST_USE enum status log_open(struct log *log, struct file_port *file, struct clock_port *clock,
                              struct entropy *entropy, const struct log_options *options);

/* Recovery waits for this (LOG_PART_LATER). Nothing was written yet but, in an empty folder, the
 * meta file. */
void log_part(struct log *log, uint64_t part);

/* Take completions, go on. Called by the bus's poll too. Never blocks. */
void log_turn(struct log *log);

/* Monotonic time at which log_turn has something to do of itself (seal, spare); UINT64_MAX:
 * never. */
uint64_t log_deadline_us(const struct log *log);

/* Refuse appends, write what is queued, seal, note a clean stop; then the state is STOPPED. */
void log_stop(struct log *log);

/* Give memory back. Handles are closed if the log has STOPPED; otherwise the port must be closed
 * (or crashed) before, since it may still own requests. Tolerates a zeroed log. */
void log_close(struct log *log);

/* To verify a log without touching it: log_open with `inspect`, log_turn until the state is no
 * longer RECOVERING, then this: one paragraph for people, zero-terminated, cut at `bytes`. FAILED:
 * see log->failure instead. Exit codes may go by log->report.verdict. */
void log_report_text(const struct log *log, char *out, size_t bytes);

/* The store has all effects of the records below `offset` in synced files. Noted in log.meta. */
void log_flushed(struct log *log, uint64_t offset);
/* Records below `offset` may go: segments that lie below it whole are deleted, oldest first, once
 * `first` is noted; never the newest, nothing at or above `flushed` or a spared record. */
void log_trim(struct log *log, uint64_t offset);
/* The log has the only copy of this record: it is never trimmed, nor what lies behind it. */
void log_spare(struct log *log, uint64_t offset);
/* How far a log that shall keep its newest `bytes`, and what is not older than append_us, may be
 * trimmed: both ways a segment may become old. */
uint64_t log_old(const struct log *log, uint64_t bytes, uint64_t append_us);
/* The oldest offset that can be read, known as soon as the log awaits `part`. */
uint64_t log_first(const struct log *log);
/* Bytes ever written, roughly; never falls. Bytes before the segment that holds `offset`. */
uint64_t log_bytes(const struct log *log);
uint64_t log_bytes_at(const struct log *log, uint64_t offset);

/* Assert what always holds. O(1). */
void log_check(const struct log *log);

static inline bool log_awaits_part(const struct log *log)
{
    return log->state == LOG_RECOVERING && log->recovery.awaits_part;
}

static inline struct log *log_of(const struct bus *bus)
{
    return (struct log *)(uintptr_t)bus;
}
