/* SPDX-License-Identifier: Apache-2.0
 * tally.h: what became of the messages of one sender, by the marks that came: each number once, in
 * order, none missing. Numbers count from 0.
 * Invariants: seen = distinct numbers that came; a repeat counts as doubled only, a first coming
 * below the highest as misordered. Memory: one bit a number. Owner: one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint8_t *bits;
    uint64_t bits_bytes;
    uint64_t seen, end; /* end: the highest number that came, + 1 */
    uint64_t doubled, misordered;
};

enum tally_verdict { TALLY_NEW, TALLY_DOUBLED, TALLY_NO_MEMORY };

enum tally_verdict tally_add(struct tally *tally, uint64_t seq);
/* Numbers below `acked` that never came. O(acked / 8). */
uint64_t tally_lost(const struct tally *tally, uint64_t acked);
void tally_deinit(struct tally *tally); /* tolerates a zeroed object */
