/* SPDX-License-Identifier: Apache-2.0
 * banned.h: names that no file of the rooms may speak. Included by force, ahead of every file, by
 * `c_args: banned_args` in a room's meson.build; never include it by hand.
 *  - Text without a bound, or shared state: strcpy strcat sprintf vsprintf gets strtok gmtime
 *    localtime. Instead: struct buf, snprintf in adapters.
 *  - Chance outside the entropy port and base/prng.h: rand srand (random is a good name for random
 *    bytes and stays allowed).
 *  - Parsing without an error: atoi atol atoll atof.
 *  - The heap: malloc calloc realloc free. Instead: base/memory.h, arenas, slabs.
 * A poisoned name is an error wherever it stands, in system headers too, so the headers that
 * declare these names come first; that they are included here licenses nobody to use
 * them: what a room may call is checked in its object files (tools/check-symbols).
 * Who must speak such a name is built without banned_args, in a library of its own that says why:
 * memory_posix.c and memory_wasm.c here; an adapter whose library wants memory that it can free. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok gmtime localtime
#pragma GCC poison rand srand
#pragma GCC poison atoi atol atoll atof
#pragma GCC poison malloc calloc realloc free
