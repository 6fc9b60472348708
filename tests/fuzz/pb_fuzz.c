/* SPDX-License-Identifier: Apache-2.0
 * pb_fuzz: bytes 0 and 1 choose a message, the rest is decoded as it. What is accepted must come
 * back: encode, decode, encode gives the same bytes, in the size that was foretold; the memory
 * taken stays within the bound of pb.h. */
#include "base/assert.h"
#include "wire/gen/types.pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void check_again(const struct pb_type *type, struct slice first, struct arena *arena)
{
    void *message = arena_alloc(arena, type->bytes);
    assert(message != NULL);
    /* Limits are of values and counts, which encoding does not change: still accepted. */
    assert(pb_decode(type, first, arena, message) == STATUS_OK);
    assert(slice_equal(first, pb_pack(type, message, arena)));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    if (bytes < 2)
        return 0;
    const struct pb_type *type = pb_types[(at[0] << 8 | at[1]) % PB_TYPE_COUNT];
    struct slice in = slice_make(at + 2, bytes - 2);
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    void *message = arena_alloc(&arena, type->bytes);
    assert(message != NULL);
    size_t before = arena.used;
    if (pb_decode(type, in, &arena, message) == STATUS_OK) {
        /* 16: an arena rounds each array up, and an array has at least two bytes of input. */
        assert(arena.used - before <= PB_ALLOC_FACTOR * in.bytes + PB_ALLOC_BYTES + 16 * in.bytes);
        struct slice first = pb_pack(type, message, &arena);
        assert(first.bytes == pb_size(type, message) && !arena.exhausted);
        /* Not "never larger": a number alone, unpacked, has no length, and packed it has one. */
        assert(first.bytes <= 2 * in.bytes);
        char text[4096];
        struct buf out = buf_over(text, sizeof text);
        pb_print(type, message, &out);
        check_again(type, first, &arena);
    } else {
        assert(arena.used == before);
    }
    arena_deinit(&arena);
    return 0;
}
