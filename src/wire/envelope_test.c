/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t HEADER[ENVELOPE_HEADER_BYTES] = {
    0x01, 0x03, /* version, kind */
    0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb,
    0xcc, 0xcd, 0xce, 0xcf, 0x01, 0x02,             /* gen 258 */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, /* epoch */
    0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb,
    0xdc, 0xdd, 0xde, 0xdf, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, /* sctr 256 */
    0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb,
    0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7,
};

static size_t whole(uint8_t bytes[220])
{
    memset(bytes, 0x55, 220);
    memcpy(bytes, HEADER, sizeof HEADER);
    return 220; /* 76 + 64 + 16 + 64 */
}

static void header_by_hand(void **state)
{
    uint8_t bytes[220], again[ENVELOPE_HEADER_BYTES];
    struct envelope envelope;
    (void)state;
    assert_int_equal(envelope_read(slice_make(bytes, whole(bytes)), &envelope), STATUS_OK);
    assert_int_equal(envelope.header.kind, 3);
    assert_int_equal(envelope.header.chat[15], 0xcf);
    assert_int_equal(envelope.header.gen, 258);
    assert_true(envelope.header.mls_epoch == 0x0102030405060708u);
    assert_int_equal(envelope.header.device[0], 0xd0);
    assert_true(envelope.header.sctr == 256);
    assert_int_equal(envelope.header.nonce[23], 0xf7);
    assert_int_equal(envelope.padded.bytes, 64);
    assert_ptr_equal(envelope.tag.at, bytes + 140);
    assert_ptr_equal(envelope.sig.at, bytes + 156);
    struct buf buf = buf_over(again, sizeof again);
    envelope_header_write(&envelope.header, &buf);
    assert_false(buf.overflow);
    assert_memory_equal(again, HEADER, sizeof HEADER);
}

static void refusals(void **state)
{
    static const struct {
        size_t at;
        uint8_t byte;
        size_t bytes;
        enum status status;
    } cases[] = {
        {0, 1, 219, STATUS_INVALID},  {0, 0, 220, STATUS_INVALID}, {0, 2, 220, STATUS_UNSUPPORTED},
        {1, 5, 220, STATUS_INVALID},  {1, 2, 220, STATUS_INVALID}, /* transient with a counter */
        {50, 0, 220, STATUS_INVALID},                              /* durable without one */
        {0, 1, 0, STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[220];
        struct envelope envelope;
        whole(bytes);
        bytes[cases[i].at] = cases[i].byte;
        assert_int_equal(envelope_read(slice_make(bytes, cases[i].bytes), &envelope),
                         cases[i].status);
    }
    static uint8_t large[ENVELOPE_BYTES_MAX + 1];
    struct envelope envelope;
    memcpy(large, HEADER, sizeof HEADER);
    assert_int_equal(envelope_read(slice_make(large, ENVELOPE_BYTES_MAX), &envelope), STATUS_OK);
    assert_int_equal(envelope_read(slice_make(large, sizeof large), &envelope), STATUS_TOO_LARGE);
}

static void padding(void **state)
{
    /* content bytes → padded bytes, by hand: Padmé(n + 1), at least 64. */
    static const size_t cases[][2] = {{0, 64},    {63, 64},     {64, 72},      {71, 72},
                                      {72, 80},   {127, 128},   {128, 144},    {255, 256},
                                      {256, 272}, {1000, 1024}, {1024, 1088},  {16384, 17408},
                                      {9, 64},    {999, 1024},  {65000, 65536}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(envelope_padded_bytes(cases[i][0]), cases[i][1]);
    for (size_t n = 0; n < 700; n++) {
        uint8_t content[700], padded[1024];
        struct slice back;
        memset(content, 0, sizeof content); /* zeros and 0x80 inside must survive */
        if (n > 1)
            content[n - 2] = 0x80;
        struct buf buf = buf_over(padded, sizeof padded);
        envelope_pad(slice_make(content, n), &buf);
        assert_int_equal(buf.bytes, envelope_padded_bytes(n));
        assert_int_equal(envelope_unpad(buf_slice(&buf), &back), STATUS_OK);
        assert_true(slice_equal(back, slice_make(content, n)));
        buf_u8(&buf, 0); /* one zero more is another padding */
        assert_int_equal(envelope_unpad(buf_slice(&buf), &back), STATUS_INVALID);
    }
    uint8_t zeros[64] = {0};
    struct slice back;
    assert_int_equal(envelope_unpad(slice_make(zeros, 64), &back), STATUS_INVALID);
}

static void binding(void **state)
{
    uint8_t low[16] = {1}, high[16] = {2}, a[DIRECT_CHAT_INPUT_BYTES], b[DIRECT_CHAT_INPUT_BYTES];
    uint8_t context[ENVELOPE_CONTEXT_BYTES];
    (void)state;
    direct_chat_input(low, high, a);
    direct_chat_input(high, low, b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(a, "parley/direct/v1\0\1", 18);
    assert_int_equal(a[33], 2);
    struct buf buf = buf_over(context, sizeof context);
    envelope_context_write(slice_make(HEADER, sizeof HEADER), low, high, &buf);
    assert_false(buf.overflow);
    assert_int_equal(buf.bytes, 108);
    assert_int_equal(context[76], 1);
    assert_int_equal(context[92], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_by_hand),
        cmocka_unit_test(refusals),
        cmocka_unit_test(padding),
        cmocka_unit_test(binding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
