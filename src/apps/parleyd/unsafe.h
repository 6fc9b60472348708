/* SPDX-License-Identifier: Apache-2.0
 * unsafe.h: the switch for parley-bench, which takes the protection from all accounts of a folder.
 * Invariants: it is said twice (data and unsafe_bench name the same folder: config_check); it takes
 * only a folder without a log, or one it was used on before (file unsafe-bench); such a folder is
 * never served without it. Owner: the main thread, at start. */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "runtime/config.h"

static inline bool unsafe_bench(const struct config *config)
{
    return config->unsafe_bench[0] != '\0';
}

/* Do switch and folder belong together? Marks a fresh one. CONFLICT: they do not; IO: the mark
 * cannot be written. The folder is locked and its keys are open. */
MUST_USE enum status unsafe_check(const struct config *config, bool has_log,
                                  struct failure *failure);

/* One line on standard error while the switch holds. */
void unsafe_warn(const struct config *config);
