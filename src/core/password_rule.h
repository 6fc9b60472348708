/* SPDX-License-Identifier: Apache-2.0
 * password_rule.h: which passwords are taken at sign-up and PASSWORD_SET (proof §12).
 * Invariants: none of fewer than 15 letters, and none that guessing begins with: the well-known,
 * one short word over and over, runs of the alphabet, of digits or of keyboard rows. No list of ten
 * thousand is shipped: nearly none of its entries has 15 letters.
 * Pure; any thread. Bounds: O(bytes) of a field of at most 256. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

#define PASSWORD_LETTERS_MIN 15u

/* The text is UTF-8 (the decoder has checked). */
bool password_strong(struct slice text);
