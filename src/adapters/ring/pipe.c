/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/ring/pipe.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

struct pipe_item {
    struct pipe_message message;
    uint64_t end; /* `written` behind its bytes */
};

enum status pipe_open(struct pipe *pipe, uint32_t messages, size_t bytes_max)
{
    memset(pipe, 0, sizeof *pipe);
    atomic_init(&pipe->released, 0);
    pipe->bytes_max = bytes_max;
    pipe->bytes = memory_reserve(bytes_max);
    enum status status = pipe->bytes == NULL
                             ? STATUS_BUSY
                             : ring_open(&pipe->ring, messages, sizeof(struct pipe_item));
    if (status != STATUS_OK)
        pipe_close(pipe);
    return status;
}

void pipe_close(struct pipe *pipe)
{
    ring_close(&pipe->ring);
    memory_free(pipe->bytes);
    memset(pipe, 0, sizeof *pipe);
}

enum status pipe_put(struct pipe *pipe, const struct pipe_message *message)
{
    size_t count = message->bytes.bytes;
    assert(count <= pipe->bytes_max / 2);
    uint64_t at = pipe->written % pipe->bytes_max;
    if (at + count > pipe->bytes_max)
        at = 0; /* what is left at the end is too short: passed over */
    uint64_t gap =
        at == 0 ? (pipe->bytes_max - pipe->written % pipe->bytes_max) % pipe->bytes_max : 0;
    struct pipe_item item = {.message = *message, .end = pipe->written + gap + count};
    /* acquire, with the release in pipe_release: the consumer is done with the bytes before we
     * write over them. */
    if (item.end - atomic_load_explicit(&pipe->released, memory_order_acquire) > pipe->bytes_max)
        return STATUS_BUSY;
    if (count > 0)
        memcpy(pipe->bytes + at, message->bytes.at, count);
    item.message.bytes = slice_make(pipe->bytes + at, count);
    enum status status = ring_put(&pipe->ring, &item); /* publishes the bytes too */
    if (status == STATUS_OK)
        pipe->written = item.end;
    return status;
}

bool pipe_take(struct pipe *pipe, struct pipe_message *out)
{
    struct pipe_item item;
    if (!ring_take(&pipe->ring, &item))
        return false;
    *out = item.message;
    pipe->taken_to = item.end;
    return true;
}

void pipe_release(struct pipe *pipe)
{
    /* release, with the acquire in pipe_put. */
    atomic_store_explicit(&pipe->released, pipe->taken_to, memory_order_release);
}
