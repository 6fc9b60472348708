/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "apps/parley-bench/peer.h"
#include "base/memory.h"

#define KEPT_BYTES 8192u /* of an empty buffer: more goes back */

uint8_t *bytes_room(struct bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->bytes >= more)
        return bytes->at + bytes->bytes;
    size_t capacity = bytes->capacity ? bytes->capacity : 1024;
    while (capacity < bytes->bytes + more)
        capacity *= 2;
    uint8_t *at = memory_alloc(capacity);
    if (at == NULL)
        return NULL;
    if (bytes->bytes > 0)
        memcpy(at, bytes->at, bytes->bytes);
    memory_free(bytes->at);
    bytes->at = at;
    bytes->capacity = capacity;
    return at + bytes->bytes;
}

void bytes_drop(struct bytes *bytes, size_t count)
{
    bytes->bytes -= count;
    if (bytes->bytes > 0 && count > 0)
        memmove(bytes->at, bytes->at + count, bytes->bytes);
    if (bytes->bytes == 0 && bytes->capacity > KEPT_BYTES) {
        memory_free(bytes->at);
        *bytes = (struct bytes){0};
    }
}
