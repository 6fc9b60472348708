/* SPDX-License-Identifier: Apache-2.0
 * pb_twist.h: every way in which one field of a message may be wrong: missing, none, one more or
 * less, the largest, of somebody else, too short, too long. For tests of what reads messages of
 * peers. No state; owner: one test. */
#pragma once

#include "wire/pb.h"

/* Do the nth twist (0, 1, …) to the decoded message, at any depth; false: there are fewer. Bytes
 * that it needs lie in the arena. Of repeated messages the first and the last are twisted. */
bool pb_twist(const struct pb_type *type, void *message, size_t nth, struct arena *arena);
