/* SPDX-License-Identifier: Apache-2.0
 * quarantine.h: copies of records that nobody can read, for people (ADR 0034):
 *   DATA/quarantine/<offset, 16 hex>.rec   the bytes of one record, as they stand in the log
 * Invariants: a file is whole or not there, and it is there before the rows know that its record
 * is passed (lane.h, SHOWN); what is there with these bytes is left alone, so that folding the
 * record again only makes what is missing; nothing here stops the server: the log holds the record
 * too.
 * Owner: the main thread; blocks for the disk, a few ms a file. Bounds: QUARANTINE_FILES_MAX files;
 * a line at most every QUARANTINE_TELL_US. */
#pragma once

#include "runtime/lane.h"

#define QUARANTINE_FILES_MAX 1000u
#define QUARANTINE_TELL_US   60000000u

enum quarantine_copy { QUARANTINE_COPIED, QUARANTINE_FULL, QUARANTINE_FAILED };

struct quarantine {
    const char *path; /* of the data folder; borrowed */
    bool counted;     /* `files` is what lies there */
    uint32_t files;
    bool any; /* then, of the newest: */
    enum topic topic;
    uint64_t offset;
    size_t bytes;
    bool decoded;
    enum quarantine_copy copy;
    int error;              /* errno, when the copy failed */
    uint64_t uncopied_next; /* one past the lowest offset without a copy; 0: none */
    uint64_t untold, told_us;
};

/* Counts what is there. */
void quarantine_open(struct quarantine *quarantine, const char *path);
/* Records that batches are about to leave out, oldest first. */
void quarantine_take(struct quarantine *quarantine, const struct lane_unreadable *first);
/* One line on stderr if something is untold and the last line is old enough (now_us monotonic;
 * UINT64_MAX: in any case). */
void quarantine_tell(struct quarantine *quarantine, uint64_t now_us);
