/* SPDX-License-Identifier: Apache-2.0
 * This file and memory_wasm.c are built without base/banned.h: see there. */
#include "base/memory_system.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"

/* From here on a block is a mapping of its own: populated by the kernel in one call, and given back
 * to the system at once when freed. Chunks of arenas, which come and go with every batch, stay
 * below: as mappings they cost a third of a simulated fleet's time. */
#define MAPPING_BYTES_MIN ((size_t)1024 * 1024)
/* What is only reserved is taken once and for long. */
#define RESERVE_BYTES_MIN ((size_t)64 * 1024)

static bool is_mapping(size_t bytes, bool populated)
{
    return bytes >= (populated ? MAPPING_BYTES_MIN : RESERVE_BYTES_MIN);
}

void *memory_system_take(size_t bytes, bool populated)
{
    if (is_mapping(bytes, populated)) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | (populated ? MAP_POPULATE : 0), -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }
    void *memory = aligned_alloc(MEMORY_ALIGN, bytes);
    if (memory != NULL)
        memset(memory, 0, bytes); /* this is also what populates it */
    return memory;
}

void memory_system_give(void *memory, size_t bytes, bool populated)
{
    if (is_mapping(bytes, populated))
        (void)munmap(memory, bytes); /* of a mapping of ours it cannot fail */
    else
        free(memory);
}
