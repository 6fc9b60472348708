/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/tally.h"

#include <string.h>

#include "base/memory.h"

static bool grow(struct tally *tally, uint64_t bytes)
{
    uint64_t room = tally->bits_bytes ? tally->bits_bytes : 64;
    while (room < bytes)
        room *= 2;
    uint8_t *bits = memory_alloc(room);
    if (bits == NULL)
        return false;
    memset(bits, 0, room);
    if (tally->bits_bytes > 0)
        memcpy(bits, tally->bits, tally->bits_bytes);
    memory_free(tally->bits);
    tally->bits = bits;
    tally->bits_bytes = room;
    return true;
}

enum tally_verdict tally_add(struct tally *tally, uint64_t seq)
{
    if (seq / 8 >= tally->bits_bytes && !grow(tally, seq / 8 + 1))
        return TALLY_NO_MEMORY;
    uint8_t bit = (uint8_t)(1u << seq % 8);
    if (tally->bits[seq / 8] & bit) {
        tally->doubled++;
        return TALLY_DOUBLED;
    }
    tally->bits[seq / 8] |= bit;
    tally->seen++;
    if (seq < tally->end)
        tally->misordered++;
    else
        tally->end = seq + 1;
    return TALLY_NEW;
}

uint64_t tally_lost(const struct tally *tally, uint64_t acked)
{
    uint64_t lost = 0;
    for (uint64_t seq = 0; seq < acked; seq++)
        lost += seq / 8 >= tally->bits_bytes || !(tally->bits[seq / 8] >> seq % 8 & 1);
    return lost;
}

void tally_deinit(struct tally *tally)
{
    memory_free(tally->bits);
    *tally = (struct tally){0};
}
