/* SPDX-License-Identifier: Apache-2.0
 * disk.h: the simulated disk: a file port in memory that is no kinder than a real one.
 * What was written is read back at once, but is on the platter only once a SYNC of its file that
 * was submitted after the write's completion has come back. disk_crash keeps, drops, tears or
 * garbles each unsynced sector by chance, also of writes still in flight. After a failed SYNC the
 * writes it should have covered are never covered by a later one (the system calls such pages
 * clean).
 * Completions become visible when disk_advance reaches their time. The same seed and the same calls
 * give the same disk.
 * CREATE, RENAME and DELETE are all or nothing, durable when they come back; in flight at a crash:
 * by chance. A disk of `capacity_bytes` answers TOO_LARGE when a CREATE does not fit.
 * Owner: one thread. Memory: base/memory, grows with what is stored. Bounds: DISK_FILES_MAX,
 * FILE_REQUESTS_MAX. Contract: tests/integration/file_contract.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "ports/file.h"

#define DISK_FILES_MAX    512u
#define DISK_SECTOR_BYTES 512u

struct disk_write; /* one write that is not synced yet */

struct disk_file {
    bool used; /* it has a name; without one it lives on while handles point at it */
    char name[FILE_NAME_BYTES];
    uint64_t bytes;
    uint8_t *cache;   /* what reads see */
    uint8_t *platter; /* what a crash leaves, before chance has its say */
    struct disk_write *first, *last;
    uint64_t writes; /* ever completed */
};

struct disk_pending {
    struct file_request *request;
    uint64_t due_us, number;
    enum file_op step; /* what is done next of it: a WRITE_SYNC is a WRITE, then a SYNC */
    uint64_t covers;   /* SYNC: writes of the file completed at its submission */
    struct disk_write *write;
};

/* Probabilities are per 1000. Zeroed: a fast disk that never fails by itself. */
struct disk_options {
    uint64_t latency_min_us, latency_max_us; /* READ, WRITE and the rest */
    uint64_t sync_min_us, sync_max_us;
    uint64_t capacity_bytes; /* 0: without bound */
    uint32_t sync_error;     /* SYNC comes back IO */
    uint32_t sector_kept;    /* at a crash, of each unsynced sector; the rest are … */
    uint32_t sector_torn;    /* … of those: a part new, a part old, … */
    uint32_t sector_garbled; /* … or bytes by chance; else dropped */
};

struct disk {
    struct file_port port; /* first */
    struct disk_options options;
    struct prng prng;
    uint64_t now_us;
    struct disk_file files[DISK_FILES_MAX];
    struct disk_pending pending[FILE_REQUESTS_MAX];
    size_t pending_count;
    uint64_t numbers;
    /* Faults on order: the operation with this number (1 = the next) comes back IO; 0: none. */
    uint64_t fail_at;
    bool fail_for_ever, fail_fired;
    uint64_t operations; /* ever submitted; compare with fail_at */
    uint64_t syncs, crashes, sectors_dropped, sectors_torn, sectors_garbled; /* marks */
};

/* A mix that crashes hard: what the crash sweep and the simulator use. */
struct disk_options disk_options_cruel(void);

void disk_init(struct disk *disk, const struct disk_options *options, uint64_t seed);
void disk_deinit(struct disk *disk);

/* The clock stands at now_us (never falls): what is due is done, in order of time, then
 * submission. */
void disk_advance(struct disk *disk, uint64_t now_us);

/* When the next completion is due; UINT64_MAX: none. */
uint64_t disk_next_due_us(const struct disk *disk);

/* Power is cut: requests and handles are gone (their memory belongs to the caller again), unsynced
 * sectors meet their fate; what remains is durable. */
void disk_crash(struct disk *disk);

/* The process dies, the machine lives: as disk_crash, but every completed write stays. */
void disk_kill(struct disk *disk);

/* From the nth operation on (1 = the next) fail one, or all. 0: no more faults. */
void disk_fail_plan(struct disk *disk, uint64_t nth, bool for_ever);

/* For tests: the stored bytes of a file (cache = platter after a crash), NULL if there is none. */
uint8_t *disk_bytes(struct disk *disk, const char *name, uint64_t *bytes);
/* Make what is at `from` … both in cache and on the platter the given bytes: damage by hand. */
void disk_overwrite(struct disk *disk, const char *name, uint64_t from, struct slice bytes);
void disk_flip(struct disk *disk, const char *name, uint64_t bit);
void disk_truncate(struct disk *disk, const char *name, uint64_t bytes);
void disk_remove(struct disk *disk, const char *name);
/* `to` becomes a copy of what is on `from`'s platter; `to` is initialised and idle. */
void disk_copy(struct disk *to, const struct disk *from);
