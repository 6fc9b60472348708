/* SPDX-License-Identifier: Apache-2.0
 * bounds.h: the fixed bounds of a node (runtime/limits.def) and of a device's mind
 * (client/limits.def), held against their rooms when this is built. */
#pragma once

#include "base/buf.h"

/* One line each: name, value, reason. */
void bounds_text(struct buf *out);
/* The same for Prometheus: parley_bound{name="…"}. */
void bounds_metrics(struct buf *out);
