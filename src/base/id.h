/* SPDX-License-Identifier: Apache-2.0
 * id.h: the 16-byte names of things (design §4). Distinct types, so that a user is never passed
 * where a chat is meant; all are compared by id_equal on their bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

#define ID_BYTES 16

typedef struct {
    uint8_t at[ID_BYTES];
} user_id;
typedef struct {
    uint8_t at[ID_BYTES];
} device_id;
typedef struct {
    uint8_t at[ID_BYTES];
} chat_id;
typedef struct {
    uint8_t at[ID_BYTES];
} msg_id; /* `mid`: a UUIDv7 made by the sending device */

#define ID_EQUAL(a, b) (memcmp((a).at, (b).at, ID_BYTES) == 0)
#define ID_IS_ZERO(id) id_is_zero((id).at)
#define ID_SLICE(id)   ((struct slice){(id).at, ID_BYTES})

static inline bool id_is_zero(const uint8_t at[ID_BYTES])
{
    uint8_t any = 0;
    for (size_t i = 0; i < ID_BYTES; i++)
        any |= at[i];
    return any == 0;
}

/* Copy an id out of a wire field of exactly 16 bytes; false, and `at` zeroed, for any other
 * length. */
static inline bool id_take(uint8_t at[ID_BYTES], struct slice field)
{
    memset(at, 0, ID_BYTES);
    if (field.bytes != ID_BYTES)
        return false;
    memcpy(at, field.at, ID_BYTES);
    return true;
}

/* UUIDv7 (RFC 9562 §5.7) from wall time and ten random bytes. */
void uuid7_make(uint8_t at[ID_BYTES], uint64_t now_ms, const uint8_t random[10]);
