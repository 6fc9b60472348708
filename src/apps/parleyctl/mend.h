/* SPDX-License-Identifier: Apache-2.0
 * mend.h: the data folder of a server that does not run, opened as a start opens it, and left in
 * order: what restore and recover do to it.
 * Owner: the main thread; blocks. */
#pragma once

#include "adapters/log/log.h"

struct mend_options {
    const char *data;
    bool repair;    /* log_options.repair */
    bool new_epoch; /* a new log_epoch in any case */
    bool verify;    /* read all rows */
    bool inspect;   /* change nothing in the log: only judge */
};

/* What was found, and how it was left. */
struct mend {
    uint64_t part, first, end;
    uint32_t epoch_before, log_epoch;
    uint32_t holes_count, aside;
    struct log_hole holes[LOG_HOLES_MAX];
    enum log_verdict verdict;
    char alarm[LOG_ALARM_BYTES]; /* "": nothing to be said */
};

/* The folder is this process's own (locked, or known to nobody). CORRUPT, CONFLICT: the log is
 * damaged or rolled back, and nobody repairs it: `mend` says how. Others: it cannot be opened. */
MUST_USE enum status mend_run(struct mend *mend, const struct mend_options *options,
                              struct failure *failure);
