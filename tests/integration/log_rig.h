/* SPDX-License-Identifier: Apache-2.0
 * log_rig.h: a log on the simulated disk under a hand-turned clock, with an oracle that remembers
 * every append, every answer and every record handed out. For the tests of the log.
 * A record's bytes are a function of its token, so whatever comes back can be recognised.
 * The oracle asserts, at every event: answers come in order and are true; records come in order
 * without a gap; nothing is handed out that a later life of the log does not hold. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "adapters/log/log.h"
#include "sim/disk.h"

#define RIG_TOKENS_MAX 4096u
#define RIG_NONE       UINT64_MAX

struct rig {
    struct clock_port clock; /* first */
    struct entropy entropy;
    uint64_t now_us;
    struct disk disk;
    struct log log;
    struct log_options options;
    struct prng prng;
    uint64_t appended;                       /* tokens 0 … appended - 1 were taken by append */
    uint64_t acked_at[RIG_TOKENS_MAX];       /* by token: offset answered OK, or RIG_NONE */
    uint64_t token_at[RIG_TOKENS_MAX];       /* by offset: token handed out, or RIG_NONE */
    uint64_t answered, acked, unknown, full; /* answers of this life; of all */
    uint64_t acked_end;                      /* one past the highest acked offset, of all lives */
    uint64_t from;                           /* where a life's consumer begins */
    uint64_t next;                           /* offset of the next record of this life */
    uint64_t holes, hole_offsets;
    bool failed;
    enum status failed_status;
    bool may_lose; /* damage by hand: what was handed out may be gone (but not silently) */
};

/* Small segments, so that rolling is common. */
struct log_options rig_options(void);

void rig_init(struct rig *rig, const struct disk_options *disk, uint64_t seed);
void rig_deinit(struct rig *rig);

/* A new life: open the log, consume from rig->from. */
void rig_start(struct rig *rig);
/* This life ends: the log is gone, the disk crashes (or, without `power`, only the process
 * dies). */
void rig_crash(struct rig *rig, bool power);
/* In order. */
void rig_stop(struct rig *rig);

/* Append the next token, of a size drawn from its number; false: refused. */
bool rig_append(struct rig *rig);
/* Let the next thing happen; false: nothing is due any more. Stops at `until_us` at the latest. */
bool rig_step(struct rig *rig, uint64_t until_us);
/* Until recovered; until all is answered and read, or the log cannot go on. Asserts that it
 * ends. */
void rig_recover(struct rig *rig);
void rig_settle(struct rig *rig);
/* Settle, and let the idle seal be written. */
void rig_idle(struct rig *rig);

/* After rig_settle: everything acked in any life stands at its offset. */
void rig_check_acked(const struct rig *rig);
/* The log is read-only, says why, and hands out nothing wrong; or it holds everything acked. */
void rig_check_never_silent(const struct rig *rig);

size_t rig_record(uint64_t token, uint8_t *out); /* the bytes of a token's record; ≤ 3000 */
