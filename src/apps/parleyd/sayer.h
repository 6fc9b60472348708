/* SPDX-License-Identifier: Apache-2.0
 * sayer.h: the event log of a server (runtime/said.h): what shards and the node itself have to say,
 * as lines on stderr. The key of its hashes is made at each start and kept nowhere: what two runs
 * say of an address cannot be put together.
 * Owner: the main thread; shards hand theirs over on the board. Bounds: SAYER_WAITING events of
 * shards between two turns of the main thread; more are lost, and counted. */
#pragma once

#include "adapters/posix/lines.h"
#include "runtime/said.h"

#define SAYER_WAITING 256u

struct sayer {
    struct posix_lines lines;
    struct said_style style;
    uint64_t lost; /* by shards and on the board: the counter */
};

/* Of shards, under the board's lock. */
struct sayer_board {
    struct said at[SAYER_WAITING];
    uint32_t count;
    uint64_t lost;
};

MUST_USE enum status sayer_open(struct sayer *sayer, enum said_format format,
                                struct failure *failure);
void sayer_close(struct sayer *sayer); /* writes what waits; tolerates a zeroed one */

/* By a shard, under the lock: its queue is empty then. True: something lies there. */
bool sayer_lay(struct sayer_board *board, struct said_queue *queue);

/* By the main thread: one event, whose values are in the order of the table; what it lacks is 0. */
void sayer_say(struct sayer *sayer, enum said_id id, const struct said_value *values, size_t count);
void sayer_write(struct sayer *sayer, const struct said *said);
uint64_t sayer_lost(const struct sayer *sayer);
