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

void log_recover_start(struct log *log);
void log_recover_done(struct log *log); /* its request came back */

void log_write_turn(struct log *log);
void log_write_done(struct log *log);
void log_write_abandon(struct log *log, enum status status); /* answer all that is queued */
void log_spare_turn(struct log *log);
void log_spare_done(struct log *log);

void log_read_done(struct log *log);
/* `group` lies at log->end_at since now and is about to be part of the log: a reader that has come
 * so far takes it from here. */
void log_read_offer(struct log *log, struct slice group);
size_t log_read_events(struct log *log, struct bus_event *out, size_t max);
