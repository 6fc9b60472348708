/* SPDX-License-Identifier: Apache-2.0
 * crc32c.h: the Castagnoli checksum that guards stored bytes against decay. Not against people.
 * Invariants: crc32c(crc32c(seed, a), b) = crc32c(seed, a ‖ b); every machine gives the same
 * number.
 * Owner: any thread. Source: RFC 3720 §12.1 and its vectors; the hardware path is crc32c_x86.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* `seed` is 0 to begin, or the result so far. */
uint32_t crc32c(uint32_t seed, struct slice bytes);

/* The two ways to compute it, each complete in itself; for crc32c() and its test. The second is
 * only to be called where crc32c_hardware_here(). */
uint32_t crc32c_software(uint32_t seed, struct slice bytes);
uint32_t crc32c_hardware(uint32_t seed, struct slice bytes);
bool crc32c_hardware_here(void);
