/* SPDX-License-Identifier: Apache-2.0
 * 60,000 generated WebSocket streams through the checks of ws_fuzz.c: mostly good frames, now and
 * then a byte out of place. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/prng.h"
#include "wire/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { CASES = 60000, STREAM_MAX = 16384 };

static uint64_t pick_length(struct prng *prng, bool control)
{
    static const uint64_t edges[] = {0,   1,   124, 125, 126, 127,  128,  243,  244, 245,
                                     248, 249, 255, 256, 257, 1000, 2048, 4095, 4096};
    if (control)
        return prng_below(prng, 126);
    if (prng_chance(prng, 300))
        return edges[prng_below(prng, sizeof edges / sizeof edges[0])];
    return prng_below(prng, prng_chance(prng, 800) ? 300 : 3000);
}

static uint64_t put_payload(struct prng *prng, uint8_t *payload, uint8_t opcode, uint64_t length)
{
    static const uint16_t codes[] = {1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014,
                                     3000, 4999, 999,  1005, 1015, 2999, 5000};
    prng_bytes(prng, payload, (size_t)length);
    if (opcode != WS_OPCODE_CLOSE)
        return length;
    for (uint64_t i = 0; i < length; i++)
        payload[i] &= prng_chance(prng, 998) ? 0x7f : 0xff;
    if (length >= 2) {
        uint16_t code = codes[prng_below(prng, sizeof codes / sizeof codes[0])];
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
    }
    return length;
}

static void put_frame(struct prng *prng, struct buf *out, bool client, bool *in_message)
{
    static const uint8_t controls[] = {9, 9, 9, 10, 10, 10, 10, 8};
    uint8_t payload[4096], header[WS_HEADER_BYTES_MAX], mask[4];
    bool control = prng_chance(prng, 250);
    bool final = control || prng_chance(prng, 650);
    uint8_t opcode = control       ? controls[prng_below(prng, sizeof controls)]
                     : *in_message ? WS_CONTINUATION
                                   : WS_BINARY;
    uint64_t length = put_payload(prng, payload, opcode, pick_length(prng, control));
    prng_bytes(prng, mask, sizeof mask);
    size_t bytes = ws_write_header(header, (enum ws_opcode)opcode, length, client ? NULL : mask);
    if (!final)
        header[0] &= 0x7f;
    if (!control)
        *in_message = !final;
    if (!client)
        ws_mask(payload, (size_t)length, mask, 0);
    if (out->capacity - out->bytes < bytes + length)
        return;
    buf_put(out, slice_make(header, bytes));
    buf_put(out, slice_make(payload, (size_t)length));
}

int main(void)
{
    static uint8_t stream[STREAM_MAX];
    struct prng prng;
    prng_init(&prng, 6455);
    for (unsigned i = 0; i < CASES; i++) {
        struct buf out = buf_over(stream, sizeof stream);
        bool client = prng_chance(&prng, 500), in_message = false;
        buf_u8(&out, client);
        buf_u8(&out, (uint8_t)prng_next(&prng));
        for (uint64_t frames = 1 + prng_below(&prng, 6); frames > 0; frames--)
            put_frame(&prng, &out, client, &in_message);
        if (prng_chance(&prng, 400)) {
            uint64_t near = prng_chance(&prng, 500) && out.bytes > 16 ? 16 : out.bytes;
            stream[2 + prng_below(&prng, near - 2)] = (uint8_t)prng_next(&prng);
        }
        if (prng_chance(&prng, 100))
            out.bytes -= prng_below(&prng, out.bytes - 2);
        LLVMFuzzerTestOneInput(stream, out.bytes);
    }
    printf("%d streams, ws and wslay agree\n", CASES);
    return 0;
}
