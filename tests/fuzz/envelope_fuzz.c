/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an envelope: the parts of what is taken are the whole, its header is written again
 * as the same bytes; and one content has one padding. */
#include "base/assert.h"
#include "wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void check_padding(struct slice padded)
{
    static uint8_t memory[2 * ENVELOPE_BYTES_MAX];
    struct slice content;
    struct buf again = buf_over(memory, sizeof memory);
    if (envelope_unpad(padded, &content) == STATUS_OK) {
        envelope_pad(content, &again);
        assert(!again.overflow && slice_equal(buf_slice(&again), padded));
    }
    again.bytes = 0;
    envelope_pad(padded, &again);
    assert(!again.overflow && envelope_unpad(buf_slice(&again), &content) == STATUS_OK);
    assert(slice_equal(content, padded));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    uint8_t memory[ENVELOPE_HEADER_BYTES];
    struct slice in = slice_make(at, bytes);
    struct envelope envelope;
    check_padding(in);
    if (envelope_read(in, &envelope) != STATUS_OK)
        return 0;
    struct buf again = buf_over(memory, sizeof memory);
    envelope_header_write(&envelope.header, &again);
    assert(!again.overflow && slice_equal(buf_slice(&again), envelope.header_bytes));
    assert(envelope.header_bytes.bytes + envelope.padded.bytes + envelope.tag.bytes +
               envelope.sig.bytes ==
           bytes);
    assert(envelope.sig.at + envelope.sig.bytes == at + bytes);
    check_padding(envelope.padded);
    return 0;
}
