/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an MLS handshake message: what is taken for the prefix of a commit is, written from
 * its parts again, what stands there, byte by byte. */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "wire/mls_prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void put_vector(struct buf *out, struct slice vector)
{
    assert(vector.bytes < UINT32_C(1) << 30);
    if (vector.bytes < 0x40)
        buf_u8(out, (uint8_t)vector.bytes);
    else if (vector.bytes < 0x4000)
        buf_u16be(out, (uint16_t)(0x4000 | vector.bytes));
    else
        buf_u32be(out, (uint32_t)(UINT32_C(0x80000000) | vector.bytes));
    buf_put(out, vector);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    static uint8_t memory[1 << 20];
    struct slice in = slice_make(at, bytes);
    struct mls_prefix prefix;
    if (bytes > sizeof memory || mls_prefix_read(in, &prefix) != STATUS_OK)
        return 0;
    struct buf again = buf_over(memory, sizeof memory);
    buf_u16be(&again, 1);
    buf_u16be(&again, 1);
    put_vector(&again, prefix.group_id);
    buf_u64be(&again, prefix.epoch);
    buf_u8(&again, prefix.external ? 4 : 1);
    if (!prefix.external) /* the leaf's index may be any */
        buf_put(&again, slice_sub(in, again.bytes, 4));
    put_vector(&again, prefix.authenticated_data);
    buf_u8(&again, 3);
    assert(!again.overflow && again.bytes <= bytes);
    assert(memcmp(memory, at, again.bytes) == 0);
    if (prefix.group_id.bytes == MLS_GROUP_ID_BYTES) {
        const uint8_t *id = prefix.group_id.at;
        uint16_t gen = (uint16_t)(id[ID_BYTES] << 8 | id[ID_BYTES + 1]);
        assert(mls_prefix_fits(&prefix, id, gen, prefix.epoch));
        assert(!mls_prefix_fits(&prefix, id, gen, prefix.epoch + 1));
    }
    return 0;
}
