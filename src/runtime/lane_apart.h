/* SPDX-License-Identifier: Apache-2.0
 * lane_apart.h: what a lane meets in its log and no fold of a chat or a user sees: records of a
 * newer program, at which it stops; VERSION records, which it notes; records that nobody can read,
 * which it leaves out aloud.
 * Owner: the lane. Source: storage §2.2 step 1 and the end of §2.4, ADR 0034. */
#pragma once

#include "runtime/lane.h"

/* Is the record just taken, at `at`, of a newer program? Then the lane stops in front of it. */
bool lane_meets_newer(struct lane *lane, size_t at);
/* The rows say that fold version `version` was switched on: is it a newer program's? */
bool lane_rows_newer(struct lane *lane, uint64_t version);

void lane_version_key(const struct lane *lane, struct row_key *key);
/* If the record being folded is a VERSION: note it. */
bool lane_notes_version(struct lane *lane, struct fold_outcome *outcome);

/* The record being folded is unreadable: its copy goes out, or is listed. False: no memory. */
bool lane_leaves_out(struct lane *lane, struct fold_outcome *outcome);
