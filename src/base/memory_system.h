/* SPDX-License-Identifier: Apache-2.0
 * memory_system.h: what memory.c needs from the target; one .c file per target, chosen in Meson.
 * For memory.c alone. */
#pragma once

#include <stddef.h>

/* Zeroed, aligned to MEMORY_ALIGN, populated; NULL when there is none. bytes is a multiple of
 * MEMORY_ALIGN. */
void *memory_system_take(size_t bytes);
void memory_system_give(void *memory, size_t bytes);
