/* SPDX-License-Identifier: Apache-2.0
 * This file and memory_posix.c are built without base/banned.h: see there. */
#include "base/memory_system.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void *memory_system_take(size_t bytes, bool populated)
{
    (void)populated;
    void *memory = aligned_alloc(MEMORY_ALIGN, bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void memory_system_give(void *memory, size_t bytes, bool populated)
{
    (void)bytes;
    (void)populated;
    free(memory);
}
