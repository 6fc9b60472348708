/* SPDX-License-Identifier: Apache-2.0
 * trace.h: where a message is, without a word of what it says. `trace MID REASON` notes it in the
 * audit log and looks through the first rows; an answer with `looked` and no `cseq` says that
 * there are more: `trace-on` looks through the next. So nobody waits for more than milliseconds.
 * Read from the index, on the main thread, at the desk. An answer, by lines:
 *   kind, chat, cseq, head (the chat's newest number), log_epoch, offset, sub, ts_ms;
 *   user, device, sctr, hidden, deleted: of a message
 *   member USER USEQ DELIVERED READ GONE   numbers of the chat it has got to, as receipts say
 *   cursor USER DEVICE USEQ                what that device has acknowledged
 * USEQ 0 of a member: it is in no inbox of this person. Owner: the main thread. */
#pragma once

#include "apps/parleyd/node.h"

/* True if the line is one of these; it is answered. */
bool trace_take(struct node *node, const char *line);
