/* SPDX-License-Identifier: Apache-2.0
 * checkpoint.h: copies of the rows, by hard links, in DATA/checkpoints/<part, 16 hex digits>: what
 * a lost or damaged store is built from again. Made and removed by the keeper of the store
 * (ROCKS_CHECKPOINT, ROCKS_REMOVE), when is decided in upkeep.h.
 * Invariant: a folder under such a name is whole: it got the name at once, and loses it first.
 * Owner: the main thread; blocks for the disk. */
#pragma once

#include "adapters/rocksdb/rocks_store.h"

#define CHECKPOINTS_MAX       16u /* read; more are not looked at */
#define CHECKPOINT_PATH_BYTES (ROCKS_PATH_BYTES + 40u)

struct checkpoints {
    uint64_t parts[CHECKPOINTS_MAX]; /* ascending */
    size_t count;
    uint64_t newest_s; /* when the newest was made, wall time; 0: none */
};

/* What lies in `data`. */
void checkpoints_list(const char *data, struct checkpoints *out);
void checkpoint_path(const char *data, uint64_t part, char out[CHECKPOINT_PATH_BYTES]);
/* The same in another folder than DATA/checkpoints. */
void checkpoint_in(const char *folder, uint64_t part, char out[CHECKPOINT_PATH_BYTES]);

/* The rows in folder `from`, which nobody has open, again in `to`, which is made: tables by link
 * where it can be, the rest copied; durable. IO and a text. */
MUST_USE enum status checkpoint_copy(const char *from, const char *to, struct failure *failure);
