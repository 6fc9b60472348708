/* SPDX-License-Identifier: Apache-2.0
 * memory.h: the only door to the system's memory. Nothing else in this tree calls malloc, free or
 * mmap (base/banned.h); adapters that must hand memory to a library are the one exception.
 * Meant for start-up and for growing a chunk ahead of need; a message's turn takes from arenas and
 * slabs instead.
 * Invariants: memory is zeroed, aligned to MEMORY_ALIGN and populated (touching it later causes no
 * page fault), unless it was reserved. What memory_alloc gave goes back by memory_free alone.
 * Owner: any thread; the counters and the planned fault below are per thread.
 * Errors: NULL, never an abort. Source: memory.c, and memory_posix.c or memory_wasm.c by target. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_ALIGN 64 /* a cache line: what two threads write never shares one by accident */

/* NULL when the system has none left, or when a planned fault says so. 0 bytes count as 1. */
void *memory_alloc(size_t bytes);

/* As memory_alloc, but a block of 64 KiB or more is not populated: for what is as large as its
 * bound and used from its beginning on. Each page costs a fault once. */
void *memory_reserve(size_t bytes);

/* count × bytes_each, overflow checked. */
void *memory_array(size_t count, size_t bytes_each);
void *memory_reserve_array(size_t count, size_t bytes_each);

void memory_free(void *memory); /* NULL is fine */

/* Fault sweep (style §9): on this thread the `nth` memory_alloc from now fails (1 = the next), and
 * with `for_ever` every later one too. 0 plans no fault. Resets memory_fault_fired. */
void memory_fault_plan(uint64_t nth, bool for_ever);

/* Whether the planned fault has refused anything yet: a sweep ends with the first run in which it
 * has not. */
bool memory_fault_fired(void);

/* Blocks this thread has taken and not given back; may be negative where blocks change threads. */
int64_t memory_live(void);
