/* SPDX-License-Identifier: Apache-2.0
 * The entries above a device's cursor, as they are told. A gap, no room or no memory: what was
 * remembered is forgotten, and the window begins anew behind it; its ACKs read until they are
 * past. */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "runtime/live_job.h"

#define ROOM_FIRST 8u

static_assert((LIVE_WINDOW & (LIVE_WINDOW - 1)) == 0, "a ring is masked");

void live_window_free(struct live *live, struct live_window *window)
{
    live->windows_bytes -= window->room * sizeof *window->entries;
    memory_free(window->entries);
    *window = (struct live_window){.from = window->from};
}

static void begin_behind(struct live *live, struct live_window *window, uint64_t useq)
{
    live_window_free(live, window);
    window->from = useq;
}

static bool grow(struct live *live, struct live_window *window)
{
    uint32_t room = window->room == 0 ? ROOM_FIRST : window->room * 2;
    size_t more = (room - window->room) * sizeof *window->entries;
    if (room > LIVE_WINDOW || live->windows_bytes + more > LIVE_WINDOWS_MAX)
        return false;
    struct live_entry *entries = memory_array(room, sizeof *entries);
    if (entries == NULL)
        return false;
    for (uint32_t i = 0; i < window->count; i++)
        entries[i] = window->entries[(window->first + i) & (window->room - 1)];
    memory_free(window->entries);
    window->entries = entries;
    window->first = 0;
    window->room = room;
    live->windows_bytes += more;
    return true;
}

void live_window_add(struct live *live, struct live_window *window,
                     const struct fold_outcome *outcome)
{
    uint64_t useq = outcome->deliver_useq;
    if (useq <= window->from + window->count)
        return; /* told again */
    if (useq > window->from + window->count + 1)
        begin_behind(live, window, useq - 1);
    if (!outcome->deliver_new || (window->count == window->room && !grow(live, window))) {
        begin_behind(live, window, useq);
        return;
    }
    struct live_entry *entry =
        &window->entries[(window->first + window->count++) & (window->room - 1)];
    *entry = (struct live_entry){.cseq = 0};
    if (outcome->deliver_chat == NULL)
        return;
    memcpy(entry->chat, outcome->deliver_chat, ID_BYTES);
    entry->cseq = outcome->deliver_cseq;
}

void live_window_pass(struct live *live, struct live_window *window, uint64_t useq)
{
    if (useq <= window->from)
        return;
    if (useq >= window->from + window->count) {
        begin_behind(live, window, useq);
        return;
    }
    uint32_t passed = (uint32_t)(useq - window->from);
    window->first = (window->first + passed) & (window->room - 1);
    window->count -= passed;
    window->from = useq;
}

bool live_window_holds(const struct live_window *window, uint64_t from, uint64_t upto)
{
    return from >= window->from && upto <= window->from + window->count;
}

const struct live_entry *live_window_at(const struct live_window *window, uint64_t useq)
{
    assert(live_window_holds(window, useq - 1, useq));
    uint32_t at = (uint32_t)(useq - window->from - 1);
    return &window->entries[(window->first + at) & (window->room - 1)];
}
