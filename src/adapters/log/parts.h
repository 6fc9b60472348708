/* SPDX-License-Identifier: Apache-2.0
 * parts.h: what the files of the log say to each other; nobody else includes it.
 * Owner and invariants: log.h. */
#pragma once

#include "adapters/log/log.h"

enum log_token { TOKEN_RECOVER = 1, TOKEN_WRITE, TOKEN_SPARE, TOKEN_READ };

/* Hand a request to the file port; fields for the operation are set by the caller. */
void log_submit(struct log *log, struct file_request *request, enum file_op op, uint64_t token);

/* Final: nothing is written any more. Queued appends are answered TIMEOUT. */
void log_fail(struct log *log, enum status status, const char *text);
void log_read_only(struct log *log, enum log_verdict verdict);

/* Encode the next meta slot into log->block; returns where in log.meta it goes. */
uint64_t log_meta_next(struct log *log);

/* The store ends before the log begins: nothing is served. */
void log_store_lost(struct log *log);

void log_recover_start(struct log *log);
void log_recover_done(struct log *log); /* its request came back */
void log_recover_read(struct log *log, enum log_recover_step step, uint32_t file, size_t bytes);
void log_recover_end(struct log *log); /* judged: cut what is torn, note what was found */

/* judge.c: all that must be read is known to be there; a read of its came back. */
void log_judge(struct log *log);
void log_judge_read(struct log *log);
/* Damage: nothing from `offset` on, which stood at `at` of the segment, can be read. */
void log_damage_at(struct log *log, uint64_t base, uint64_t at, uint64_t offset);

/* The hole that holds this offset, or NULL. */
const struct log_hole *log_hole_at(const struct log *log, uint64_t offset);

void log_write_turn(struct log *log);
/* trim.c: has log.meta something to note, which segment may go? */
bool log_note_due(const struct log *log);
void log_note(struct log *log); /* into log->meta */
bool log_trim_due(const struct log *log);
void log_trimmed(struct log *log); /* the oldest segment's file is gone */
void log_write_done(struct log *log);
void log_write_abandon(struct log *log, enum status status); /* answer all that is queued */
void log_spare_turn(struct log *log);
void log_spare_done(struct log *log);

void log_read_done(struct log *log);
/* `group` lies at log->end_at since now and is about to be part of the log: a reader that has come
 * so far takes it from here. */
void log_read_offer(struct log *log, struct slice group);
size_t log_read_events(struct log *log, struct bus_event *out, size_t max);
