/* SPDX-License-Identifier: Apache-2.0
 * events.h: what a node says of itself in the event log (sayer.h): start, stop, what recovery
 * found, alarms as they come and go, acts of operators. Owner: the main thread. */
#pragma once

#include "apps/parleyd/node.h"

void events_start(struct node *node);
void events_recovered(struct node *node); /* the log was judged */
void events_ready(struct node *node);
void events_stop(struct node *node, const char *how); /* static: "sealed", "failed" */
void events_act(struct node *node, const char *act, const uint8_t *user); /* NULL: of no account */

/* Once a turn: what shards laid down, and what changed since. */
void events_turn(struct node *node);
