/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include "base/assert.h"
#include "base/memory_system.h"

/* Stands before every block, so that memory_free needs no size from its caller. */
struct header {
    _Alignas(MEMORY_ALIGN) size_t bytes; /* of the whole block, this header included */
    uint64_t mark;
};

#define MARK_LIVE     0x7061726c65790001u
#define MARK_RESERVED 0x7061726c65790002u /* live, taken by memory_reserve */
#define MARK_FREED    0x7061726c6579deadu

static_assert(sizeof(struct header) == MEMORY_ALIGN, "what follows the header stays aligned");

/* EXCEPTION: state outside a struct. The planned fault must reach every allocation of a test
 * without passing through every signature; production never sets it. */
static _Thread_local uint64_t fault_after; /* allocations until the fault; 0 = none planned */
static _Thread_local bool fault_for_ever;
static _Thread_local bool fault_fired;
static _Thread_local int64_t live;

static bool fault_now(void)
{
    if (fault_after == 0)
        return false;
    if (fault_after > 1) {
        fault_after--;
        return false;
    }
    if (!fault_for_ever)
        fault_after = 0;
    fault_fired = true;
    return true;
}

static void *take(size_t bytes, bool populated)
{
    if (fault_now() || bytes > SIZE_MAX / 2)
        return NULL;
    size_t whole = sizeof(struct header) + (bytes > 0 ? bytes : 1);
    whole = (whole + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
    struct header *header = memory_system_take(whole, populated);
    if (header == NULL)
        return NULL;
    header->bytes = whole;
    header->mark = populated ? MARK_LIVE : MARK_RESERVED;
    live++;
    return header + 1;
}

void *memory_alloc(size_t bytes)
{
    return take(bytes, true);
}

void *memory_reserve(size_t bytes)
{
    return take(bytes, false);
}

void *memory_reserve_array(size_t count, size_t bytes_each)
{
    if (bytes_each != 0 && count > SIZE_MAX / bytes_each)
        return NULL;
    return memory_reserve(count * bytes_each);
}

void *memory_array(size_t count, size_t bytes_each)
{
    if (bytes_each != 0 && count > SIZE_MAX / bytes_each)
        return NULL;
    return memory_alloc(count * bytes_each);
}

void memory_free(void *memory)
{
    if (memory == NULL)
        return;
    struct header *header = (struct header *)memory - 1;
    bool populated = header->mark == MARK_LIVE;
    assert(populated || header->mark == MARK_RESERVED);
    header->mark = MARK_FREED;
    live--;
    memory_system_give(header, header->bytes, populated);
}

void memory_fault_plan(uint64_t nth, bool for_ever)
{
    fault_after = nth;
    fault_for_ever = for_ever;
    fault_fired = false;
}

bool memory_fault_fired(void)
{
    return fault_fired;
}

int64_t memory_live(void)
{
    return live;
}
