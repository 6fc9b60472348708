/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pace.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define NONE UINT32_MAX

enum status pace_open(struct pace *pace, uint32_t capacity)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {3}; /* keys hold hashes and ids of the log */
    memset(pace, 0, sizeof *pace);
    pace->capacity = capacity;
    pace->oldest = pace->newest = NONE;
    pace->entries = memory_reserve_array(capacity, sizeof *pace->entries);
    enum status status = pace->entries == NULL
                             ? STATUS_BUSY
                             : map_open(&pace->index, capacity, PACE_KEY_BYTES, seed);
    if (status != STATUS_OK)
        pace_close(pace);
    return status;
}

void pace_close(struct pace *pace)
{
    map_close(&pace->index);
    memory_free(pace->entries);
    memset(pace, 0, sizeof *pace);
}

void pace_key(const uint8_t chat[ID_BYTES], const uint8_t user[ID_BYTES],
              uint8_t key[PACE_KEY_BYTES])
{
    memcpy(key, chat, ID_BYTES);
    memcpy(key + ID_BYTES, user, ID_BYTES);
}

static uint32_t find(const struct pace *pace, const uint8_t key[PACE_KEY_BYTES])
{
    uint64_t at;
    return map_find(&pace->index, key, &at) ? (uint32_t)at : NONE;
}

static void take_out(struct pace *pace, uint32_t at)
{
    const struct pace_entry *entry = &pace->entries[at];
    if (entry->older == NONE)
        pace->oldest = entry->newer;
    else
        pace->entries[entry->older].newer = entry->newer;
    if (entry->newer == NONE)
        pace->newest = entry->older;
    else
        pace->entries[entry->newer].older = entry->older;
}

static void put_last(struct pace *pace, uint32_t at)
{
    pace->entries[at].older = pace->newest;
    pace->entries[at].newer = NONE;
    if (pace->newest == NONE)
        pace->oldest = at;
    else
        pace->entries[pace->newest].newer = at;
    pace->newest = at;
}

uint64_t pace_due_ms(const struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t now_ms)
{
    uint32_t at = find(pace, key);
    if (at == NONE || now_ms - pace->entries[at].left_ms >= PACE_MS)
        return 0;
    return pace->entries[at].left_ms + PACE_MS;
}

/* Of a key that has none: a new place, else that of the oldest. */
static uint32_t place(struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t now_ms)
{
    if (pace->used < pace->capacity && map_put(&pace->index, key, pace->used) == STATUS_OK)
        return pace->used++;
    uint32_t at = pace->oldest;
    pace->crowded += now_ms - pace->entries[at].left_ms < PACE_MS;
    take_out(pace, at);
    (void)map_remove(&pace->index, pace->entries[at].key, NULL);
    enum status status = map_put(&pace->index, key, at);
    assert(status == STATUS_OK); /* its place was just left */
    return at;
}

void pace_leave(struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t now_ms)
{
    uint32_t at = find(pace, key);
    if (at != NONE) {
        take_out(pace, at);
    } else {
        at = place(pace, key, now_ms);
        pace->entries[at] = (struct pace_entry){.upto = 0};
        memcpy(pace->entries[at].key, key, PACE_KEY_BYTES);
    }
    pace->entries[at].left_ms = now_ms;
    put_last(pace, at);
}

uint64_t pace_upto(const struct pace *pace, const uint8_t key[PACE_KEY_BYTES])
{
    uint32_t at = find(pace, key);
    return at == NONE ? 0 : pace->entries[at].upto;
}

void pace_raise(struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t upto)
{
    uint32_t at = find(pace, key);
    if (at != NONE && pace->entries[at].upto < upto)
        pace->entries[at].upto = upto;
}
