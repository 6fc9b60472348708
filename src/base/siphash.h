/* SPDX-License-Identifier: Apache-2.0
 * siphash.h: SipHash-2-4, a keyed hash for tables whose keys a peer may choose. Not a signature.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). */
#pragma once

#include <stdint.h>

#include "base/slice.h"

#define SIPHASH_SEED_BYTES 16

uint64_t siphash(const uint8_t seed[SIPHASH_SEED_BYTES], struct slice bytes);
