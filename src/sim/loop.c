/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/loop.h"

#include <string.h>

#include "base/assert.h"

enum status sim_loop_open(struct sim_loop *loop)
{
    memset(loop, 0, sizeof *loop);
    for (size_t i = 0; i < SIM_PROCESSES_MAX; i++)
        loop->wake_us[i] = SIM_NEVER;
    return heap_open(&loop->heap, SIM_PROCESSES_MAX, true);
}

void sim_loop_close(struct sim_loop *loop)
{
    heap_close(&loop->heap);
}

void sim_sleep(struct sim_loop *loop, uint32_t who)
{
    if (loop->wake_us[who] == SIM_NEVER)
        return;
    heap_remove(&loop->heap, who);
    loop->wake_us[who] = SIM_NEVER;
}

void sim_wake(struct sim_loop *loop, uint32_t who, uint64_t at_us)
{
    assert(who < SIM_PROCESSES_MAX);
    if (at_us < loop->now_us)
        at_us = loop->now_us;
    if (at_us >= loop->wake_us[who])
        return;
    sim_sleep(loop, who);
    loop->wake_us[who] = at_us;
    struct heap_item item = {.key = at_us, .tie = loop->number++, .value = who};
    enum status status = heap_put(&loop->heap, item);
    assert(status == STATUS_OK);
}

bool sim_next(struct sim_loop *loop, uint32_t *who)
{
    struct heap_item item;
    if (!heap_take(&loop->heap, &item))
        return false;
    assert(item.key >= loop->now_us);
    loop->now_us = item.key;
    loop->moments++;
    *who = (uint32_t)item.value;
    loop->wake_us[*who] = SIM_NEVER;
    return true;
}

uint64_t sim_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

void sim_trace(struct sim_loop *loop, uint32_t who, enum sim_trace_kind kind, uint64_t a,
               uint64_t b)
{
    loop->hash = sim_mix(loop->hash, loop->now_us);
    loop->hash = sim_mix(loop->hash, (uint64_t)who << 32 | (uint64_t)kind);
    loop->hash = sim_mix(sim_mix(loop->hash, a), b);
    loop->lines[loop->lines_count++ % SIM_TRACE_LINES] =
        (struct sim_trace_line){.at_us = loop->now_us, .a = a, .b = b, .who = who, .kind = kind};
}

const char *sim_trace_name(enum sim_trace_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [SIM_TRACE_##name] = (text),
        SIM_TRACES(X)
#undef X
    };
    return (unsigned)kind < SIM_TRACES_COUNT ? names[kind] : "?";
}
