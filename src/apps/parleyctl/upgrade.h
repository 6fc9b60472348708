/* SPDX-License-Identifier: Apache-2.0
 * upgrade.h: from one format of the data folder to the next, step by step. DATA/format says where a
 * folder stands; a table says which step leads on from there.
 *
 *   look:  newer than the table's end ─▶ UNSUPPORTED · no step leads on ─▶ INVALID · else so many
 *   run:   for each step: done, then its number is written and synced
 *
 * Invariants: a step may be repeated, for a crash may come between it and its number; a step that
 * fails leaves the number of the one before, and the next try begins there; nothing is dropped and
 * made anew; a folder in use is not touched. Owner: one thread. Source: storage §4. */
#pragma once

#include <stddef.h>

#include "base/status.h"

struct upgrade_step {
    unsigned from; /* leads to from + 1 */
    const char *text;
    enum status (*run)(const char *path, struct failure *failure);
};

struct upgrade_plan {
    const struct upgrade_step *steps; /* in order of `from` */
    size_t steps_count;
    unsigned newest; /* what this program knows */
};

/* The steps of this program: none yet, for there has been one format. */
struct upgrade_plan upgrade_plan(void);

/* Which steps are due: steps[*first … *first + *count − 1]. NOT_FOUND: no data folder. */
MUST_USE enum status upgrade_look(const struct upgrade_plan *plan, const char *path, size_t *first,
                                  size_t *count, struct failure *failure);
/* Do them; CONFLICT: a server has the folder. */
MUST_USE enum status upgrade_run(const struct upgrade_plan *plan, const char *path,
                                 struct failure *failure);
