/* SPDX-License-Identifier: Apache-2.0
 * acts.h: what an operator does to an account: suspend, unsuspend, delete, reset. Noted in the
 * audit log first, then appended as a record of the log, answered when that is folded: never a side
 * write. Owner: the main thread, at the desk. */
#pragma once

#include "apps/parleyd/node.h"

/* "VERB NAME REASON…": true if the line is one of these; it is answered now or later
 * (acts_go_on). */
bool acts_take(struct node *node, const char *line);
/* DESK_ACT: look whether it is done. */
void acts_go_on(struct node *node);
