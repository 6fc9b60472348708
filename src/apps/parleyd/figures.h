/* SPDX-License-Identifier: Apache-2.0
 * figures.h: what the server counts (runtime/metrics.h), gathered when somebody asks: each shard
 * lays a copy of its own down at its next turn, and is woken for it; nothing is shared before.
 * Owner: the main thread. */
#pragma once

#include "apps/parleyd/node.h"

/* Ask every shard. */
void figures_ask(struct node *node);
/* Did every shard answer? One that does not within FIGURES_WAIT_US is told as it was last. */
bool figures_there(struct node *node);

void figures_sum(struct node *node, struct metrics *out);
/* All of it, as Prometheus reads it. */
void figures_text(struct node *node, struct buf *out);
