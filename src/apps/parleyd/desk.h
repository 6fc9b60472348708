/* SPDX-License-Identifier: Apache-2.0
 * desk.h: the ends of an answer to an operator, for the files that answer (desk.c, acts.c,
 * trace.c). */
#pragma once

#include "apps/parleyd/node.h"

/* What stands in admin.answer is the answer. */
void desk_finish(struct node *node);
/* "CODE words", instead of one. */
void desk_refuse(struct node *node, const char *text);
