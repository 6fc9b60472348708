/* SPDX-License-Identifier: Apache-2.0
 * Tables: bytes in hex → the events they make. Each row runs with all bytes at once and byte by
 * byte, through a receive buffer as small as the limits allow, and must read the same. Most masks
 * are 00000000, so that payloads can be read. */
#include "wire/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOLD = 256, MESSAGE_MAX = 1 << 20, ROOM = 3 << 20, TEXT = 4096 };

struct row {
    const char *name;
    enum ws_role role;
    const char *hex;    /* {n*xx} repeats a byte */
    const char *expect; /* events, separated by "; " */
};

/* A message in the making, and what was seen so far. */
struct seen {
    uint8_t *message;
    size_t bytes;
    char text[TEXT];
};

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t bytes = 0;
    for (; *hex != '\0'; hex++) {
        unsigned long repeat = 1;
        if (*hex == ' ')
            continue;
        if (*hex == '{') {
            char *end;
            repeat = strtoul(hex + 1, &end, 10);
            hex = end + 1;
        }
        assert_true(hex_value(hex[0]) >= 0 && hex_value(hex[1]) >= 0);
        memset(out + bytes, hex_value(hex[0]) << 4 | hex_value(hex[1]), repeat);
        bytes += repeat;
        hex += hex[2] == '}' ? 2 : 1;
        assert_true(bytes <= ROOM);
    }
    return bytes;
}

__attribute__((format(printf, 2, 3))) static void say(struct seen *seen, const char *format, ...)
{
    size_t used = strlen(seen->text);
    va_list list;
    va_start(list, format);
    vsnprintf(seen->text + used, sizeof seen->text - used, format, list);
    va_end(list);
}

static void say_bytes(struct seen *seen, const char *word, const uint8_t *at, size_t bytes)
{
    say(seen, "%s%s", seen->text[0] == '\0' ? "" : "; ", word);
    if (bytes > 16) {
        say(seen, " %zu bytes", bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        say(seen, "%s%02x", i == 0 ? " " : "", at[i]);
}

static void on_event(struct seen *seen, const struct ws_event *event)
{
    char word[32];
    switch (event->kind) {
    case WS_NONE: break;
    case WS_MESSAGE:
    case WS_PIECE:
        if (event->first)
            assert_int_equal(seen->bytes, 0);
        assert_true(seen->bytes + event->payload.bytes + event->frame_left == event->message_bytes);
        if (event->payload.bytes > 0)
            memcpy(seen->message + seen->bytes, event->payload.at, event->payload.bytes);
        seen->bytes += event->payload.bytes;
        if (event->last) {
            say_bytes(seen, "message", seen->message, seen->bytes);
            seen->bytes = 0;
        }
        break;
    case WS_PING: say_bytes(seen, "ping", event->payload.at, event->payload.bytes); break;
    case WS_PONG: say_bytes(seen, "pong", event->payload.at, event->payload.bytes); break;
    case WS_CLOSE:
        snprintf(word, sizeof word, "close %d", event->code);
        say_bytes(seen, word, event->payload.at, event->payload.bytes);
        break;
    case WS_ERROR:
        snprintf(word, sizeof word, "error %d", event->code);
        say_bytes(seen, word, NULL, 0);
        break;
    }
}

/* Feed `bytes` at most `step` at a time through a buffer of `room` bytes. */
static void run(enum ws_role role, struct slice bytes, size_t room, size_t step, struct seen *seen)
{
    struct ws ws;
    uint8_t *buffer = malloc(room);
    size_t held = 0;
    ws_init(&ws, role, HOLD, MESSAGE_MAX);
    seen->bytes = 0;
    seen->text[0] = '\0';
    while (bytes.bytes > 0) {
        size_t take = room - held < step ? room - held : step;
        take = take < bytes.bytes ? take : bytes.bytes;
        assert_true(take > 0); /* a full buffer always yields something */
        memcpy(buffer + held, bytes.at, take);
        held += take;
        bytes = slice_make(bytes.at + take, bytes.bytes - take);
        for (;;) {
            struct ws_event event;
            size_t consumed;
            ws_feed(&ws, buffer, held, &consumed, &event);
            assert_true(consumed <= held);
            on_event(seen, &event);
            memmove(buffer, buffer + consumed, held - consumed);
            held -= consumed;
            if (event.kind == WS_NONE)
                break;
        }
    }
    free(buffer);
}

static const struct row rows[] = {
    /* 1 framing */
    {"nothing", WS_SERVER, "", ""},
    {"empty message", WS_SERVER, "82 80 00000000", "message"},
    {"message", WS_SERVER, "82 83 00000000 010203", "message 010203"},
    {"message, masked", WS_SERVER, "82 85 37fa213d 7f9f4d5158", "message 48656c6c6f"},
    {"message to a client", WS_CLIENT, "82 05 48656c6c6f", "message 48656c6c6f"},
    {"two messages", WS_SERVER, "82 81 00000000 aa 82 81 ffffffff 00", "message aa; message ff"},
    {"payload is missing", WS_SERVER, "82 83 00000000 0102", ""},
    {"125 bytes", WS_SERVER, "82 fd 00000000 {125*2a}", "message 125 bytes"},
    {"126 bytes", WS_SERVER, "82 fe 007e 00000000 {126*2a}", "message 126 bytes"},
    {"127 bytes", WS_CLIENT, "82 7e 007f {127*2a}", "message 127 bytes"},
    {"as large as is held", WS_SERVER, "82 fe 00f8 00000000 {248*2a}", "message 248 bytes"},
    {"one more than is held", WS_SERVER, "82 fe 00f9 00000000 {249*2a}", "message 249 bytes"},
    {"65535 bytes", WS_SERVER, "82 fe ffff 01020304 {65535*2a}", "message 65535 bytes"},
    {"65536 bytes", WS_SERVER, "82 ff 0000000000010000 01020304 {65536*2a}", "message 65536 bytes"},
    {"the largest", WS_CLIENT, "82 7f 0000000000100000 {1048576*2a}", "message 1048576 bytes"},
    {"an 8-byte length alone", WS_SERVER, "82 ff 0000000000010000", ""},
    /* 1 lengths that are refused, before any payload */
    {"one too large", WS_SERVER, "82 ff 0000000000100001", "error 1009"},
    {"one too large for a client", WS_CLIENT, "82 7f 0000000000100001", "error 1009"},
    {"2^32", WS_SERVER, "82 ff 0000000100000000", "error 1009"},
    {"2^63 - 1", WS_SERVER, "82 ff 7fffffffffffffff", "error 1009"},
    {"2^63", WS_SERVER, "82 ff 8000000000000000", "error 1002"},
    {"2^63 + 1", WS_CLIENT, "82 7f 8000000000000001", "error 1002"},
    {"2^64 - 1", WS_SERVER, "82 ff ffffffffffffffff", "error 1002"},
    {"2^64 - 14", WS_SERVER, "82 ff fffffffffffffff2", "error 1002"},
    {"0 in 2 bytes", WS_SERVER, "82 fe 0000", "error 1002"},
    {"1 in 2 bytes", WS_SERVER, "82 fe 0001", "error 1002"},
    {"125 in 2 bytes", WS_SERVER, "82 fe 007d", "error 1002"},
    {"0 in 8 bytes", WS_SERVER, "82 ff 0000000000000000", "error 1002"},
    {"125 in 8 bytes", WS_CLIENT, "82 7f 000000000000007d", "error 1002"},
    {"126 in 8 bytes", WS_SERVER, "82 ff 000000000000007e", "error 1002"},
    {"65535 in 8 bytes", WS_SERVER, "82 ff 000000000000ffff", "error 1002"},
    /* 1 masks */
    {"unmasked to a server", WS_SERVER, "82 03 010203", "error 1002"},
    {"unmasked ping to a server", WS_SERVER, "89 00", "error 1002"},
    {"masked to a client", WS_CLIENT, "82 83 00000000 010203", "error 1002"},
    {"masked pong to a client", WS_CLIENT, "8a 80 00000000", "error 1002"},
    /* 2 ping and pong */
    {"ping", WS_SERVER, "89 80 00000000", "ping"},
    {"ping with bytes", WS_SERVER, "89 82 01010101 0001", "ping 0100"},
    {"ping of 125", WS_CLIENT, "89 7d {125*00}", "ping 125 bytes"},
    {"ping of 126", WS_SERVER, "89 fe", "error 1002"},
    {"pong with an 8-byte length", WS_CLIENT, "8a 7f", "error 1002"},
    {"pong nobody asked for", WS_CLIENT, "8a 01 07", "pong 07"},
    {"three pings", WS_CLIENT, "89 00 89 01 01 89 00", "ping; ping 01; ping"},
    {"fragmented ping", WS_SERVER, "09", "error 1002"},
    {"fragmented pong", WS_SERVER, "0a", "error 1002"},
    {"fragmented close", WS_SERVER, "08", "error 1002"},
    /* 3 reserved bits */
    {"RSV1", WS_SERVER, "c2", "error 1002"},
    {"RSV2", WS_SERVER, "a2", "error 1002"},
    {"RSV3", WS_CLIENT, "92", "error 1002"},
    {"RSV1 on a ping", WS_SERVER, "c9", "error 1002"},
    {"RSV1 on a text", WS_SERVER, "c1", "error 1002"},
    {"RSV1 on a continuation", WS_CLIENT, "02 01 aa c0", "error 1002"},
    {"RSV after a message", WS_CLIENT, "82 01 aa f2", "message aa; error 1002"},
    /* 4 opcodes */
    {"opcode 3", WS_SERVER, "83", "error 1002"},
    {"opcode 4", WS_SERVER, "84", "error 1002"},
    {"opcode 5", WS_SERVER, "85", "error 1002"},
    {"opcode 6", WS_SERVER, "86", "error 1002"},
    {"opcode 7", WS_CLIENT, "87", "error 1002"},
    {"opcode 11", WS_SERVER, "8b", "error 1002"},
    {"opcode 12", WS_SERVER, "8c", "error 1002"},
    {"opcode 13", WS_SERVER, "8d", "error 1002"},
    {"opcode 14", WS_SERVER, "8e", "error 1002"},
    {"opcode 15", WS_CLIENT, "8f", "error 1002"},
    {"text", WS_SERVER, "81 85 37fa213d 7f9f4d5158", "error 1003"},
    {"text to a client", WS_CLIENT, "81 05 48656c6c6f", "error 1003"},
    {"fragmented text", WS_SERVER, "01", "error 1003"},
    /* 5 fragmentation */
    {"two fragments", WS_CLIENT, "02 01 aa 80 01 bb", "message aabb"},
    {"two masked fragments", WS_SERVER, "02 81 01010101 ab 80 81 02020202 b9", "message aabb"},
    {"three fragments", WS_CLIENT, "02 01 aa 00 02 bbcc 80 01 dd", "message aabbccdd"},
    {"empty fragments", WS_CLIENT, "02 00 00 00 80 00", "message"},
    {"empty ones around", WS_CLIENT, "02 00 00 01 aa 80 00", "message aa"},
    {"ping between", WS_CLIENT, "02 01 aa 89 01 07 80 01 bb", "ping 07; message aabb"},
    {"close between", WS_CLIENT, "02 01 aa 88 00 80 01 bb", "close 1005"},
    {"continuation of nothing", WS_SERVER, "80", "error 1002"},
    {"unfinished one of nothing", WS_CLIENT, "00", "error 1002"},
    {"continuation of the finished", WS_CLIENT, "82 01 aa 80", "message aa; error 1002"},
    {"message within a message", WS_CLIENT, "02 01 aa 82", "error 1002"},
    {"start within a message", WS_CLIENT, "02 01 aa 02", "error 1002"},
    {"text within a message", WS_CLIENT, "02 01 aa 81", "error 1002"},
    {"large fragments", WS_CLIENT, "02 7e 0200 {512*01} 89 00 80 7e 0200 {512*02}",
     "ping; message 1024 bytes"},
    {"large, small, large", WS_CLIENT, "02 7e 0200 {512*01} 00 01 05 80 7e 0200 {512*02}",
     "message 1025 bytes"},
    {"fragments up to the limit", WS_CLIENT,
     "02 7f 00000000000fffff {1048575*01} 80 01 01 82 01 aa", "message 1048576 bytes; message aa"},
    {"fragments over the limit", WS_CLIENT, "02 7f 00000000000fffff {1048575*01} 80 02",
     "error 1009"},
    {"limit and 2^63 - 1", WS_CLIENT, "02 01 aa 80 7f 7fffffffffffffff", "error 1009"},
    /* 6 UTF-8, in close reasons */
    {"reason", WS_CLIENT, "88 06 03e8 c3a4c3b6", "close 1000 c3a4c3b6"},
    {"reason of 4-byte form", WS_CLIENT, "88 06 03e8 f09f9880", "close 1000 f09f9880"},
    {"the last code point", WS_CLIENT, "88 06 03e8 f48fbfbf", "close 1000 f48fbfbf"},
    {"over the last code point", WS_CLIENT, "88 06 03e8 f4908080", "error 1007"},
    {"surrogate", WS_CLIENT, "88 05 03e8 eda080", "error 1007"},
    {"before the surrogates", WS_CLIENT, "88 05 03e8 ed9fbf", "close 1000 ed9fbf"},
    {"overlong 2", WS_CLIENT, "88 04 03e8 c0af", "error 1007"},
    {"overlong 3", WS_CLIENT, "88 05 03e8 e09fbf", "error 1007"},
    {"overlong 4", WS_CLIENT, "88 06 03e8 f08fbfbf", "error 1007"},
    {"cut", WS_CLIENT, "88 04 03e8 e282", "error 1007"},
    {"a lone continuation", WS_CLIENT, "88 03 03e8 80", "error 1007"},
    {"a bad third byte", WS_CLIENT, "88 05 03e8 e28241", "error 1007"},
    {"byte ff", WS_CLIENT, "88 03 03e8 ff", "error 1007"},
    /* 7 close */
    {"empty close", WS_SERVER, "88 80 00000000", "close 1005"},
    {"close of one byte", WS_SERVER, "88 81 00000000 03", "error 1002"},
    {"normal", WS_SERVER, "88 82 00000000 03e8", "close 1000"},
    {"longest reason", WS_CLIENT, "88 7d 03e8 {123*2a}", "close 1000 123 bytes"},
    {"reason too long", WS_CLIENT, "88 7e", "error 1002"},
    {"nothing behind a close", WS_CLIENT, "88 00 82 01 aa ff ff", "close 1005"},
    {"nothing behind an error", WS_CLIENT, "ff 82 01 aa", "error 1002"},
    {"bad code before bad reason", WS_CLIENT, "88 03 03ed ff", "error 1002"},
};

static void test_rows(void **state)
{
    (void)state;
    static struct seen seen;
    uint8_t *bytes = malloc(ROOM);
    seen.message = malloc(MESSAGE_MAX);
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        size_t count = unhex(row->hex, bytes);
        const struct {
            size_t room, step;
        } ways[] = {{ROOM, ROOM}, {HOLD, HOLD}, {HOLD, 1}, {ROOM, 1}, {HOLD, 7}};
        for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
            run(row->role, slice_make(bytes, count), ways[way].room, ways[way].step, &seen);
            if (strcmp(seen.text, row->expect) != 0) {
                print_error("%s (way %zu): expected \"%s\", saw \"%s\"\n", row->name, way,
                            row->expect, seen.text);
                failed++;
            }
        }
    }
    free(bytes);
    free(seen.message);
    assert_int_equal(failed, 0);
}

/* All 65,536 two-byte lengths and all powers of two in eight bytes, with what surrounds them. */
static void check_length(enum ws_role role, unsigned form, uint64_t length)
{
    uint8_t bytes[WS_HEADER_BYTES_MAX] = {0x82, (uint8_t)(form | (role == WS_SERVER ? 0x80 : 0))};
    size_t wide = form == 126 ? 2 : 8;
    for (size_t i = 0; i < wide; i++)
        bytes[2 + i] = (uint8_t)(length >> 8 * (wide - 1 - i));
    uint16_t expect = 0;
    if (length < 126 || (wide == 8 && length < 65536) || length > INT64_MAX)
        expect = 1002;
    else if (length > MESSAGE_MAX)
        expect = 1009;
    struct ws ws;
    struct ws_event event;
    size_t consumed;
    ws_init(&ws, role, HOLD, MESSAGE_MAX);
    ws_feed(&ws, bytes, 2 + wide, &consumed, &event);
    assert_int_equal(event.kind, expect == 0 ? WS_NONE : WS_ERROR);
    assert_int_equal(event.code, expect);
}

static void test_lengths(void **state)
{
    (void)state;
    for (uint64_t length = 0; length <= UINT16_MAX; length++) {
        check_length(WS_SERVER, 126, length);
        check_length(WS_CLIENT, 126, length);
        check_length(WS_SERVER, 127, length);
    }
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t d = 0; d < 64; d++) {
            check_length(WS_SERVER, 127, ((uint64_t)1 << shift) + d);
            check_length(WS_CLIENT, 127, ((uint64_t)1 << shift) - d);
        }
    }
}

static void test_close_codes(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool good =
            (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
            (code >= 3000 && code <= 4999);
        uint8_t bytes[] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
        struct ws ws;
        struct ws_event event;
        size_t consumed;
        ws_init(&ws, WS_CLIENT, HOLD, MESSAGE_MAX);
        ws_feed(&ws, bytes, sizeof bytes, &consumed, &event);
        assert_int_equal(event.kind, good ? WS_CLOSE : WS_ERROR);
        assert_int_equal(event.code, good ? code : 1002);
        assert_int_equal(ws_code_valid((uint16_t)code), good);
    }
}

/* A whole message in the buffer is handed out where it lies. */
static void test_zero_copy(void **state)
{
    (void)state;
    uint8_t bytes[] = {0x82, 0x82, 1, 2, 3, 4, 0x10, 0x20, 0x89};
    struct ws ws;
    struct ws_event event;
    size_t consumed;
    ws_init(&ws, WS_SERVER, HOLD, MESSAGE_MAX);
    ws_feed(&ws, bytes, sizeof bytes, &consumed, &event);
    assert_int_equal(event.kind, WS_MESSAGE);
    assert_ptr_equal(event.payload.at, bytes + 6);
    assert_int_equal(event.payload.bytes, 2);
    assert_int_equal(bytes[6], 0x11);
    assert_int_equal(bytes[7], 0x22);
    assert_int_equal(consumed, 8);
}

/* The limit before sign-in, raised after it. */
static void test_raise(void **state)
{
    (void)state;
    uint8_t over[] = {0x82, 0x7e, 0x20, 0x01};
    struct ws ws;
    struct ws_event event;
    size_t consumed;
    ws_init(&ws, WS_CLIENT, HOLD, 8192);
    ws_raise(&ws, HOLD, MESSAGE_MAX);
    ws_feed(&ws, over, sizeof over, &consumed, &event);
    assert_int_equal(event.kind, WS_NONE);
    ws_init(&ws, WS_CLIENT, HOLD, 8192);
    ws_feed(&ws, over, sizeof over, &consumed, &event);
    assert_int_equal(event.code, 1009);
    ws_init(&ws, WS_CLIENT, HOLD, 8193);
    ws_feed(&ws, over, sizeof over, &consumed, &event);
    assert_int_equal(event.kind, WS_NONE);
}

static void test_write(void **state)
{
    (void)state;
    static const struct {
        uint64_t payload_bytes;
        const char *hex;
    } headers[] = {
        {0, "8200"},
        {125, "827d"},
        {126, "827e007e"},
        {65535, "827effff"},
        {65536, "827f0000000000010000"},
        {INT64_MAX, "827f7fffffffffffffff"},
    };
    const uint8_t mask[4] = {0xa1, 0xb2, 0xc3, 0xd4};
    uint8_t out[WS_CLOSE_FRAME_BYTES_MAX], want[WS_HEADER_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        size_t bytes = unhex(headers[i].hex, want);
        assert_int_equal(ws_write_header(out, WS_BINARY, headers[i].payload_bytes, NULL), bytes);
        assert_memory_equal(out, want, bytes);
        assert_int_equal(ws_write_header(out, WS_BINARY, headers[i].payload_bytes, mask),
                         bytes + 4);
        want[1] |= 0x80;
        assert_memory_equal(out, want, bytes);
        assert_memory_equal(out + bytes, mask, 4);
    }
    size_t bytes = ws_write_close(out, 1009, SLICE_LITERAL("too big"), NULL);
    assert_int_equal(bytes, 11);
    assert_memory_equal(out, "\x88\x09\x03\xf1too big", 11);
    assert_int_equal(ws_write_close(out, WS_CODE_NONE, SLICE_EMPTY, NULL), 2);
    assert_memory_equal(out, "\x88\x00", 2);
    bytes = ws_write_close(out, 1000, SLICE_LITERAL("bye"), mask);
    struct ws ws;
    struct ws_event event;
    size_t consumed;
    ws_init(&ws, WS_SERVER, HOLD, MESSAGE_MAX);
    ws_feed(&ws, out, bytes, &consumed, &event);
    assert_int_equal(event.kind, WS_CLOSE);
    assert_int_equal(event.code, 1000);
    assert_true(slice_equal(event.payload, SLICE_LITERAL("bye")));
}

static void test_mask(void **state)
{
    (void)state;
    const uint8_t mask[4] = {1, 2, 4, 8};
    for (size_t count = 0; count < 40; count++) {
        for (uint64_t at = 0; at < 9; at++) {
            uint8_t bytes[40] = {0};
            ws_mask(bytes, count, mask, at);
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(bytes[i], i < count ? mask[(at + i) % 4] : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_close_codes), cmocka_unit_test(test_zero_copy),
        cmocka_unit_test(test_raise),       cmocka_unit_test(test_write),
        cmocka_unit_test(test_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
