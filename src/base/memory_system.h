/* SPDX-License-Identifier: Apache-2.0
 * memory_system.h: what memory.c needs from the target; one .c file per target, chosen in Meson.
 * For memory.c alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Zeroed, aligned to MEMORY_ALIGN; NULL when there is none. bytes is a multiple of MEMORY_ALIGN.
 * populated: false may leave pages to their first use. */
void *memory_system_take(size_t bytes, bool populated);
/* As it was taken. */
void memory_system_give(void *memory, size_t bytes, bool populated);
