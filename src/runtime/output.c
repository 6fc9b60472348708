/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/output.h"

#include <string.h>

#include "base/memory.h"

#define BLOCK_BYTES_MIN 4096u

uint32_t output_bytes(const struct output *output)
{
    return output->waiting.bytes + output->flying.bytes - output->flown;
}

static enum status grow(struct output_block *block, uint32_t bytes)
{
    uint32_t capacity = block->capacity ? block->capacity : BLOCK_BYTES_MIN;
    while (capacity < bytes)
        capacity *= 2;
    uint8_t *at = memory_alloc(capacity);
    if (!at)
        return STATUS_BUSY;
    if (block->bytes > 0)
        memcpy(at, block->at, block->bytes);
    memory_free(block->at);
    *block = (struct output_block){at, block->bytes, capacity};
    return STATUS_OK;
}

enum status output_put(struct output *output, struct slice bytes)
{
    struct output_block *block = &output->waiting;
    if (bytes.bytes > OUTPUT_BYTES_MAX - output_bytes(output))
        return STATUS_BUSY;
    if (bytes.bytes == 0)
        return STATUS_OK;
    uint32_t want = block->bytes + (uint32_t)bytes.bytes;
    if (want > block->capacity) {
        enum status status = grow(block, want);
        if (status != STATUS_OK)
            return status;
    }
    memcpy(block->at + block->bytes, bytes.at, bytes.bytes);
    block->bytes = want;
    return STATUS_OK;
}

struct slice output_fly(struct output *output)
{
    if (output->portion > 0 || output_bytes(output) == 0)
        return SLICE_EMPTY;
    if (output->flying.bytes == 0) {
        output->flying = output->waiting;
        output->waiting = (struct output_block){0};
    }
    uint32_t left = output->flying.bytes - output->flown;
    output->portion = left < OUTPUT_PORTION_MAX ? left : OUTPUT_PORTION_MAX;
    return slice_make(output->flying.at + output->flown, output->portion);
}

void output_landed(struct output *output)
{
    output->flown += output->portion;
    output->portion = 0;
    if (output->flown < output->flying.bytes)
        return;
    memory_free(output->flying.at);
    output->flying = (struct output_block){0};
    output->flown = 0;
}

void output_free(struct output *output)
{
    memory_free(output->waiting.at);
    memory_free(output->flying.at);
    *output = (struct output){0};
}
