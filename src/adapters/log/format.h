/* SPDX-License-Identifier: Apache-2.0
 * format.h: the bytes of the log: meta slots, segment headers, groups and records (storage §3).
 * Pure: bytes in, values out. All numbers little-endian. Offsets count records from 0; a field that
 * names the end of a run ("next", "end") is one past its last offset.
 *   log.meta     two slots of 4 KiB, written in turn; the valid one with the higher counter counts
 *   <base>.seg   header of 4 KiB, then groups, each on a 4 KiB boundary, then zeros
 *   group        header of 56 B, then `count` records; a seal group has none
 *   record       crc32c, length u24, topic u4 | flags u4, then the payload: 16-byte key, bytes
 * A group is bound to its log and epoch by the seed of its crc, to its predecessor by `chain`; a
 * record to its group by the seed of its own. So bytes of another log, or left from another time,
 * are never taken for ours.
 * Memory: borrowed slices. Owner: any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define LOG_VERSION             1u
#define LOG_BLOCK_BYTES         4096u
#define LOG_GROUP_HEADER_BYTES  56u
#define LOG_RECORD_HEADER_BYTES 8u
#define LOG_HOLES_MAX           64u
#define LOG_META_BYTES          (2u * LOG_BLOCK_BYTES)

/* A run of offsets that is damaged and announced: from … end - 1. The store has what was there,
 * unless it is `lost`: then nobody has, and the operator knows (recover). */
struct log_hole {
    uint64_t from, end;
    bool lost;
};

struct log_meta {
    uint64_t counter;
    uint8_t log_id[16];
    uint32_t log_epoch;
    bool clean;     /* stopped in order; then `end` is one past the last record */
    uint64_t first; /* oldest offset still held */
    uint64_t
        flushed;     /* offsets below it are in synced files of the store: damage there is a hole */
    uint64_t newest; /* number of the newest segment; 0 before the first */
    uint64_t end;
    uint32_t holes_count;
    struct log_hole holes[LOG_HOLES_MAX]; /* ascending */
    uint64_t spared_next; /* one past the lowest offset that may not be trimmed; 0: none */
    /* With `clean`, 0 if not known: what a start needs to go on behind the last group unread. */
    uint64_t end_at, end_group, end_append_us;
    uint32_t end_chain;
};

struct log_segment_header {
    uint8_t log_id[16];
    uint32_t log_epoch;
    uint64_t number; /* 1, 2, 3 … */
    uint64_t base;   /* offset of its first record */
    uint64_t group;  /* number of its first group */
    uint64_t append_us;
    uint32_t chain; /* crc of the predecessor's last group header; 0 in the first segment */
    uint32_t segment_bytes;
};

/* Where the next group must fit in: what recovery and readers carry from group to group. */
struct log_place {
    uint8_t log_id[16];
    uint32_t log_epoch;
    uint64_t group, base;
    uint32_t chain;
    uint64_t append_us;
};

struct log_group {
    uint32_t crc;
    uint64_t group, base, append_us, sealed_next; /* sealed_next: offsets below it were synced */
    uint32_t count, body_bytes, log_epoch, chain;
    struct slice body;
    uint64_t bytes; /* in the file, padding included */
};

struct log_record {
    uint32_t topic; /* 1 … 15 */
    uint32_t flags;
    const uint8_t *key;
    struct slice bytes;
};

/* Write one slot of LOG_BLOCK_BYTES, padding included. */
void log_meta_write(const struct log_meta *meta, uint8_t out[LOG_BLOCK_BYTES]);
/* OK; CORRUPT; UNSUPPORTED: a valid slot of a newer version. */
MUST_USE enum status log_meta_read(struct slice slot, struct log_meta *out);

void log_segment_write(const struct log_segment_header *header, uint8_t out[LOG_BLOCK_BYTES]);
MUST_USE enum status log_segment_read(struct slice block, struct log_segment_header *out);

/* "FOLDER/<base, 16 hex>.seg", and back; false: not such a name. `out` has FILE_NAME_BYTES. */
void log_segment_name(const char *folder, uint64_t base, char *out);
bool log_segment_name_read(const char *folder, const char *name, uint64_t *base);

/* Put a record without its crc at `out` (LOG_RECORD_HEADER_BYTES + ID_BYTES + bytes). Returns its
 * size. */
size_t log_record_write(uint8_t *out, uint32_t topic, const uint8_t key[ID_BYTES],
                        struct slice bytes);

/* Finish a group in `buffer` (capacity ≥ its padded size): the body already stands behind the
 * header's place. Fills crcs, header and padding; returns the padded size and sets group->crc. */
uint64_t log_group_write(uint8_t *buffer, const uint8_t log_id[16], struct log_group *group);

/* Does a header with a sound crc of this log and epoch stand here (any number)? Body unchecked. */
bool log_group_header_read(struct slice bytes, const uint8_t log_id[16], uint32_t log_epoch,
                           struct log_group *out);

/* The group at the front of `bytes`, if it is the one that `place` expects, every record checked.
 * OK: out. AGAIN: sound so far, but `bytes` end before it does (out->bytes says how many it needs).
 * NOT_FOUND: a block of zeros, the log ends here. CORRUPT: anything else. O(bytes). */
MUST_USE enum status log_group_read(const struct log_place *place, struct slice bytes,
                                    struct log_group *out);
/* Go on behind the group. */
void log_place_pass(struct log_place *place, const struct log_group *group);

/* The next record of a checked body; consumes it. CORRUPT if the body breaks the format. */
MUST_USE enum status log_record_next(struct slice *body, struct log_record *out);

static inline uint64_t log_padded(uint64_t bytes)
{
    return (bytes + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES;
}
