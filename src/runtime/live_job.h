/* SPDX-License-Identifier: Apache-2.0
 * live_job.h: what live.c (the table of devices, what comes in), live_job.c (jobs at the store,
 * attach) and live_ack.c (acknowledgements) share. Nobody else's. */
#pragma once

#include "runtime/live.h"

/* live.c: to gateways; may be lost. */
void live_send(struct live *live, uint64_t gateway, uint32_t shard, const struct pb_rpc *rpc);
void live_tell(struct live *live, const struct live_attach *is, uint64_t useq,
               const struct pb_entry *entry);

/* live.c: the table. LIVE_NONE: not there; no room. */
uint32_t live_find(const struct live *live, const uint8_t device[ID_BYTES]);
uint32_t live_new(struct live *live, const struct live_attach *attach);
/* An ACK job for this device, as soon as one is free. */
void live_dirty(struct live *live, uint32_t at);
/* How far its cursor may go by what it acknowledged. Entries with bodies come first: what is
 * acknowledged lazily implies no receipts and would carry the cursor past them. */
uint64_t live_goal(const struct live_device *device);
/* No job has the device now: what is left to do is queued or waits for its time; a device that is
 * gone and owes nothing leaves the table. */
void live_rest(struct live *live, uint32_t at);

/* live_window.c */
/* An entry was told; `outcome` says which. */
void live_window_add(struct live *live, struct live_window *window,
                     const struct fold_outcome *outcome);
/* All entries up to here are done with. */
void live_window_pass(struct live *live, struct live_window *window, uint64_t useq);
void live_window_free(struct live *live, struct live_window *window);
/* Is everything in (from, upto] remembered? */
bool live_window_holds(const struct live_window *window, uint64_t from, uint64_t upto);
const struct live_entry *live_window_at(const struct live_window *window, uint64_t useq);

/* live_job.c */
void live_submit(struct live *live, struct live_job *job);
void live_read(struct live *live, struct live_job *job, size_t count); /* the keys of the job */
void live_write(struct live *live, struct live_job *job, uint64_t useq, uint64_t dseq,
                uint64_t conn);
/* One machine: the same for a cursor, without waiting for it. False: it has to be written. */
bool live_move(struct live *live, const struct live_job *job, uint64_t useq);
/* What the row says; it may be ahead of the head, which is what counts. */
uint64_t live_cursor(const struct row *row, uint64_t head);
void live_job_end(struct live *live, struct live_job *job);

/* live_ack.c: LIVE_ACK_x. */
void live_ack_begin(struct live *live, struct live_job *job, uint32_t at);
void live_ack_step(struct live *live, struct live_job *job);
