/* SPDX-License-Identifier: Apache-2.0
 * arena_chunk.h: the inside of an arena: for arena.c, and for tests that copy an arena and put it
 * back. */
#pragma once

#include "base/arena.h"
#include "base/memory.h"

struct arena_chunk {
    _Alignas(MEMORY_ALIGN) struct arena_chunk *next;
    size_t bytes; /* behind this header */
    size_t used;  /* meaningful up to `now`; a chunk behind it counts as empty */
};
