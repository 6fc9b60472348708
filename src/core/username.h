/* SPDX-License-Identifier: Apache-2.0
 * username.h: which usernames exist, and which two are too alike to coexist (design §4, proof
 * §11.7).
 * A name is 3-32 of a-z 0-9 _ . , not beginning or ending with a dot, with no two dots together
 * and at least one letter or digit. Its skeleton maps 0→o, 1→l, rn→m, vv→w and drops `.` and `_`:
 * one skeleton, one account.
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"

#define USERNAME_BYTES_MIN 3u
#define USERNAME_BYTES_MAX 32u

/* Is this a username? */
bool username_valid(struct slice name);

/* Write the skeleton, at most as long as the name; returns its bytes. The name must be valid. */
size_t username_skeleton(struct slice name, char out[USERNAME_BYTES_MAX]);

/* Key of the name's row in the directory (DIR_NAME): SHA-256("parley/name/v1" with its zero byte ‖
 * skeleton) cut to 16 bytes, so that look-alikes meet in one row. Any bytes are taken. */
void username_key(struct slice name, uint8_t key[ID_BYTES]);
