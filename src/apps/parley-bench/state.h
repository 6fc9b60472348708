/* SPDX-License-Identifier: Apache-2.0
 * state.h: the accounts of a run and how far each has got, in a file, so that a later run goes on
 * over the same chats after the server was stopped or killed. For this machine and build only: the
 * layout is that of the structs. It holds secret keys of accounts that protect nothing.
 * Invariants: whole or not there (written beside, then renamed). Owner: one thread. */
#pragma once

#include "apps/parley-bench/load.h"

/* All peers are signed in, paired and settled. False: errno. */
MUST_USE bool state_write(const struct load *load, const char *path);

/* Into peers that are not connected yet. False: reason; a file of another build or another number
 * of peers is refused. */
MUST_USE bool state_read(struct load *load, const char *path);
