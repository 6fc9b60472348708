/* SPDX-License-Identifier: Apache-2.0
 * assemble.h: which adapter stands behind which port of a node, and with which bounds. */
#pragma once

#include "apps/parleyd/node.h"

/* Take the address (nobody may connect yet), open the file port and the log, which recovers. */
MUST_USE enum status assemble_log(struct node *node, struct failure *failure);
/* With the log recovered: rings, shards. */
MUST_USE enum status assemble_shards(struct node *node, struct failure *failure);
void assemble_close(struct node *node); /* whatever was opened, in reverse */
