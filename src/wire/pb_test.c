/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka comes after what it needs */
#include <cmocka.h>

#include "wire/gen/content.pb.h"
#include "wire/gen/entry.pb.h"
#include "wire/gen/frame.pb.h"
#include "wire/gen/row.pb.h"
#include "wire/gen/types.pb.h"

/* A type of the documentation's examples, and the one recursive type there is: only by hand. */
struct sample {
    uint32_t a;
    bool flag;
    struct slice b;
    uint32_t *e;
    size_t e_count;
    struct sample *kids;
    size_t kids_count;
};
extern const struct pb_type sample_type;
static const struct pb_field sample_fields[] = {
    {.name = "a", .number = 1, .kind = PB_KIND_U32, .at = offsetof(struct sample, a)},
    {.name = "b",
     .number = 2,
     .kind = PB_KIND_STRING,
     .bytes_max = 8,
     .at = offsetof(struct sample, b)},
    {.name = "kids",
     .number = 3,
     .kind = PB_KIND_MESSAGE,
     .message = &sample_type,
     .repeated = true,
     .count_max = 65536,
     .at = offsetof(struct sample, kids),
     .beside = offsetof(struct sample, kids_count)},
    {.name = "e",
     .number = 6,
     .kind = PB_KIND_U32,
     .repeated = true,
     .count_max = 3,
     .at = offsetof(struct sample, e),
     .beside = offsetof(struct sample, e_count)},
    {.name = "flag", .number = 7, .kind = PB_KIND_BOOL, .at = offsetof(struct sample, flag)},
};
const struct pb_type sample_type = {.name = "Sample",
                                    .fields = sample_fields,
                                    .field_count = 5,
                                    .bytes = sizeof(struct sample),
                                    .any_repeated = true};

struct row {
    const char *what;
    struct slice in;
    enum status status;
    struct slice out; /* encoded again */
};
#define BYTES(text)                               \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    } /* a constant initialiser */

static const struct row rows[] = {
    {"empty", BYTES(""), STATUS_OK, BYTES("")},
    {"documentation: a = 150", BYTES("\x08\x96\x01"), STATUS_OK, BYTES("\x08\x96\x01")},
    {"documentation: testing", BYTES("\x12\x07testing"), STATUS_OK, BYTES("\x12\x07testing")},
    {"documentation: c.a = 150", BYTES("\x1a\x03\x08\x96\x01"), STATUS_OK,
     BYTES("\x1a\x03\x08\x96\x01")},
    {"documentation: packed 3, 270, 86942", BYTES("\x32\x06\x03\x8e\x02\x9e\xa7\x05"), STATUS_OK,
     BYTES("\x32\x06\x03\x8e\x02\x9e\xa7\x05")},
    {"unpacked", BYTES("\x30\x03\x30\x8e\x02"), STATUS_OK, BYTES("\x32\x03\x03\x8e\x02")},
    {"packed in two parts", BYTES("\x32\x01\x03\x08\x01\x32\x01\x04"), STATUS_OK,
     BYTES("\x08\x01\x32\x02\x03\x04")},
    {"packed, empty", BYTES("\x32\x00"), STATUS_OK, BYTES("")},
    {"number twice: the last", BYTES("\x08\x01\x08\x02"), STATUS_OK, BYTES("\x08\x02")},
    {"default is dropped", BYTES("\x08\x00"), STATUS_OK, BYTES("")},
    {"unknown varint", BYTES("\x78\x01\x08\x01"), STATUS_OK, BYTES("\x08\x01")},
    {"unknown bytes", BYTES("\x7a\x02zz\x08\x01"), STATUS_OK, BYTES("\x08\x01")},
    {"unknown fixed", BYTES("\x79zzzzzzzz\x7dzzzz\x08\x01"), STATUS_OK, BYTES("\x08\x01")},
    {"longer varint than needed", BYTES("\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"), STATUS_OK,
     BYTES("\x08\x01")},
    {"u32 at its maximum", BYTES("\x08\xff\xff\xff\xff\x0f"), STATUS_OK,
     BYTES("\x08\xff\xff\xff\xff\x0f")},
    {"string at its maximum", BYTES("\x12\x08testings"), STATUS_OK, BYTES("\x12\x08testings")},
    {"two-byte letter", BYTES("\x12\x02\xc3\xa9"), STATUS_OK, BYTES("\x12\x02\xc3\xa9")},
    {"eleven bytes of varint", BYTES("\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
     STATUS_INVALID, BYTES("")},
    {"beyond 64 bits", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), STATUS_INVALID,
     BYTES("")},
    {"u32 over its maximum", BYTES("\x08\x80\x80\x80\x80\x10"), STATUS_INVALID, BYTES("")},
    {"bool of 2", BYTES("\x38\x02"), STATUS_INVALID, BYTES("")},
    {"field 0", BYTES("\x00\x01"), STATUS_INVALID, BYTES("")},
    {"field 0 with bytes", BYTES("\x02\x00"), STATUS_INVALID, BYTES("")},
    {"key over 32 bits", BYTES("\x88\x80\x80\x80\x10\x01"), STATUS_INVALID, BYTES("")},
    {"group", BYTES("\x7b\x7c"), STATUS_INVALID, BYTES("")},
    {"wire type 6", BYTES("\x7e"), STATUS_INVALID, BYTES("")},
    {"number as bytes", BYTES("\x0a\x01\x01"), STATUS_INVALID, BYTES("")},
    {"bytes as number", BYTES("\x10\x01"), STATUS_INVALID, BYTES("")},
    {"repeated as fixed", BYTES("\x35zzzz"), STATUS_INVALID, BYTES("")},
    {"repeated message as number", BYTES("\x18\x01"), STATUS_INVALID, BYTES("")},
    {"packed ends in mid-number", BYTES("\x32\x02\x03\x8e"), STATUS_INVALID, BYTES("")},
    {"length past the end", BYTES("\x12\x08testing"), STATUS_INVALID, BYTES("")},
    {"length of 2^35", BYTES("\x12\x80\x80\x80\x80\x80\x01"), STATUS_INVALID, BYTES("")},
    {"not UTF-8", BYTES("\x12\x01\xff"), STATUS_INVALID, BYTES("")},
    {"UTF-8, overlong", BYTES("\x12\x02\xc0\x80"), STATUS_INVALID, BYTES("")},
    {"string over its maximum", BYTES("\x12\x09testings!"), STATUS_TOO_LARGE, BYTES("")},
    {"four of three numbers", BYTES("\x32\x04\x01\x02\x03\x04"), STATUS_TOO_LARGE, BYTES("")},
    {"four of three, unpacked", BYTES("\x30\x01\x30\x01\x30\x01\x30\x01"), STATUS_TOO_LARGE,
     BYTES("")},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena;
        struct sample sample;
        uint8_t memory[64];
        struct buf out = buf_over(memory, sizeof memory);
        arena_init(&arena, 4096);
        enum status status = pb_decode(&sample_type, rows[i].in, &arena, &sample);
        pb_encode(&sample_type, &sample, &out);
        if (status != rows[i].status || !slice_equal(buf_slice(&out), rows[i].out) || out.overflow)
            fail_msg("%s: %s", rows[i].what, status_name(status));
        assert_int_equal(pb_size(&sample_type, &sample), out.bytes);
        if (status != STATUS_OK)
            assert_int_equal(arena.used, 0);
        arena_deinit(&arena);
    }
}

/* A message inside a message inside … `depth` of them, made from the inside out. */
static struct slice nested(uint8_t *memory, size_t bytes, size_t depth)
{
    size_t at = bytes;
    for (size_t i = 1; i < depth; i++) {
        size_t length = bytes - at;
        if (length > 0x3fff)
            memory[--at] = (uint8_t)(length >> 14);
        if (length > 0x7f)
            memory[--at] = (uint8_t)((length >> 7 & 0x7f) | (length > 0x3fff ? 0x80 : 0));
        memory[--at] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
        memory[--at] = 0x1a;
    }
    return slice_make(memory + at, bytes - at);
}

static void test_depth(void **state)
{
    (void)state;
    static uint8_t memory[65536];
    struct sample sample;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct slice in = nested(memory, sizeof memory, PB_DEPTH_MAX);
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_OK);
    in = nested(memory, sizeof memory, PB_DEPTH_MAX + 1);
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_TOO_LARGE);
    in = nested(memory, sizeof memory, 10000);
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_TOO_LARGE);
    arena_deinit(&arena);
}

/* A million elements, and many small ones that would grow into large structs. */
static void test_memory(void **state)
{
    (void)state;
    static uint8_t memory[2 << 20];
    struct sample sample;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    for (size_t i = 0; i < sizeof memory; i += 2)
        memcpy(memory + i, "\x30\x01", 2);
    struct slice in = slice_make(memory, sizeof memory);
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_TOO_LARGE);
    for (size_t i = 0; i < sizeof memory; i += 2)
        memcpy(memory + i, "\x1a\x00", 2);
    in.bytes = 2 * 60000; /* within count_max, but 60,000 × 72 bytes is over the allowance */
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_TOO_LARGE);
    in.bytes = 2 * 10000;
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_OK);
    assert_int_equal(sample.kids_count, 10000);
    arena_deinit(&arena);
    arena_init(&arena, 100);
    in.bytes = 4;
    assert_int_equal(pb_decode(&sample_type, in, &arena, &sample), STATUS_BUSY);
    assert_true(arena.exhausted);
    arena_deinit(&arena);
}

#define ID SLICE_LITERAL("0123456789abcdef")

static struct slice push_frame(struct arena *arena, struct slice envelope)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_PUSH};
    struct pb_push *push = &frame.body.push;
    push->useq = 7;
    push->has_entry = true;
    push->entry.body_case = PB_ENTRY_BODY_MESSAGE;
    push->entry.body.message = (struct pb_message){.chat_id = ID,
                                                   .cseq = 300,
                                                   .user_id = ID,
                                                   .device_id = ID,
                                                   .mid = ID,
                                                   .envelope = envelope};
    return pb_frame_pack(&frame, arena);
}

/* A whole frame, and cut at every byte: never OK with another meaning's bytes missing inside. */
static void test_frame(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct slice in = push_frame(&arena, SLICE_LITERAL("sealed"));
    struct pb_frame frame;
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_OK);
    assert_int_equal(frame.body_case, PB_FRAME_BODY_PUSH);
    struct pb_message *message = &frame.body.push.entry.body.message;
    assert_int_equal(message->cseq, 300);
    assert_true(slice_equal(message->envelope, SLICE_LITERAL("sealed")));
    assert_true(message->envelope.at > in.at && message->envelope.at < in.at + in.bytes);
    for (size_t cut = 1; cut < in.bytes; cut++)
        assert_int_equal(pb_frame_decode(slice_sub(in, 0, cut), &arena, &frame), STATUS_INVALID);
    struct slice again = push_frame(&arena, SLICE_LITERAL("sealed"));
    assert_true(slice_equal(in, again));
    arena_deinit(&arena);
}

/* More messages inside than sizes are kept of. */
static void test_many(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct pb_push pushes[100];
    memset(pushes, 0, sizeof pushes);
    for (size_t i = 0; i < 100; i++) {
        struct pb_message message = {.chat_id = ID,
                                     .user_id = ID,
                                     .device_id = ID,
                                     .mid = ID,
                                     .cseq = 1 + i * i * i,
                                     .envelope = SLICE_LITERAL("sealed")};
        pushes[i] = (struct pb_push){.useq = 1 + i, .has_entry = true};
        pushes[i].entry.body_case = PB_ENTRY_BODY_MESSAGE;
        pushes[i].entry.body.message = message;
    }
    struct pb_sync_part part = {.entries = pushes, .entries_count = 100}, got;
    struct slice in = pb_sync_part_pack(&part, &arena);
    assert_int_equal(in.bytes, pb_size(&pb_sync_part_type, &part));
    assert_int_equal(pb_sync_part_decode(in, &arena, &got), STATUS_OK);
    assert_int_equal(got.entries_count, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(got.entries[i].useq, 1 + i);
        assert_int_equal(got.entries[i].entry.body.message.cseq, 1 + i * i * i);
    }
    arena_deinit(&arena);
}

static void test_limits(void **state)
{
    (void)state;
    static uint8_t body[65537];
    struct arena arena;
    struct pb_frame frame;
    arena_init(&arena, 4 << 20);
    struct slice in = push_frame(&arena, slice_make(body, 65536));
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_OK);
    in = push_frame(&arena, slice_make(body, 65537));
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_TOO_LARGE);

    struct pb_read read = {.chat_id = slice_make(body, 15)}, got;
    assert_int_equal(pb_read_decode(pb_read_pack(&read, &arena), &arena, &got), STATUS_INVALID);
    read.chat_id = SLICE_EMPTY; /* required */
    assert_int_equal(pb_read_decode(pb_read_pack(&read, &arena), &arena, &got), STATUS_INVALID);
    struct pb_push push = {.useq = 1}, got_push; /* its entry is required */
    assert_int_equal(pb_push_decode(pb_push_pack(&push, &arena), &arena, &got_push),
                     STATUS_INVALID);
    struct pb_sender_row mid = {.sctr = 1}, got_mid; /* exact, but may be absent */
    assert_int_equal(pb_sender_row_decode(pb_sender_row_pack(&mid, &arena), &arena, &got_mid),
                     STATUS_OK);
    struct slice ids[257];
    for (size_t i = 0; i < 257; i++)
        ids[i] = ID;
    struct pb_chat_create create = {.chat_id = ID, .mid = ID, .leaves = ids, .leaves_count = 256},
                          got_create;
    assert_int_equal(
        pb_chat_create_decode(pb_chat_create_pack(&create, &arena), &arena, &got_create),
        STATUS_OK);
    assert_int_equal(got_create.leaves_count, 256);
    create.leaves_count = 257;
    assert_int_equal(
        pb_chat_create_decode(pb_chat_create_pack(&create, &arena), &arena, &got_create),
        STATUS_TOO_LARGE);
    ids[0] = SLICE_EMPTY; /* in a list even an empty id is none */
    create.leaves_count = 1;
    assert_int_equal(
        pb_chat_create_decode(pb_chat_create_pack(&create, &arena), &arena, &got_create),
        STATUS_INVALID);
    arena_deinit(&arena);
}

/* Protobuf would merge or take the last; here two meanings are none. */
static void test_doubled(void **state)
{
    (void)state;
    struct arena arena;
    struct pb_frame frame;
    struct pb_pong pong;
    arena_init(&arena, 4096);
    struct slice in = SLICE_LITERAL("\xaa\x01\x00"); /* ping */
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_OK);
    in = SLICE_LITERAL("\xaa\x01\x00\xaa\x01\x00");
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_INVALID);
    in = SLICE_LITERAL("\xaa\x01\x00\x5a\x00"); /* ping and ack */
    assert_int_equal(pb_frame_decode(in, &arena, &frame), STATUS_INVALID);
    assert_int_equal(frame.body_case, PB_FRAME_BODY_NONE);
    in = SLICE_LITERAL("\x1a\x12\x32\x10"
                       "0123456789abcdef");
    assert_int_equal(pb_pong_decode(in, &arena, &pong), STATUS_OK);
    in = SLICE_LITERAL("\x1a\x12\x32\x10"
                       "0123456789abcdef"
                       "\x1a\x12\x32\x10"
                       "0123456789abcdef");
    assert_int_equal(pb_pong_decode(in, &arena, &pong), STATUS_INVALID);
    arena_deinit(&arena);
}

static void test_version(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    struct pb_place place = {.log_epoch = 1, .offset = 2}, got;
    struct slice bytes = pb_place_pack_v1(&place, &arena);
    assert_true(slice_equal(bytes, SLICE_LITERAL("\x01\x08\x01\x10\x02")));
    assert_int_equal(pb_place_decode_v1(bytes, &arena, &got), STATUS_OK);
    assert_int_equal(got.offset, 2);
    assert_int_equal(pb_place_decode_v1(SLICE_LITERAL("\x02\x08\x01"), &arena, &got),
                     STATUS_UNSUPPORTED);
    assert_int_equal(pb_place_decode_v1(SLICE_LITERAL("\x00\x08\x01"), &arena, &got),
                     STATUS_INVALID);
    assert_int_equal(pb_place_decode_v1(SLICE_EMPTY, &arena, &got), STATUS_INVALID);
    struct pb_place none = {0}; /* the version alone is the empty message */
    assert_true(slice_equal(pb_place_pack_v1(&none, &arena), SLICE_LITERAL("\x01")));
    assert_int_equal(pb_place_decode_v1(SLICE_LITERAL("\x01"), &arena, &got), STATUS_OK);
    arena_deinit(&arena);
}

/* Whole or not at all, into a buffer and into an arena. */
static void test_no_room(void **state)
{
    (void)state;
    uint8_t memory[3];
    struct pb_place place = {.log_epoch = 1, .offset = 2};
    struct buf out = buf_over(memory, sizeof memory);
    pb_place_encode(&place, &out);
    assert_true(out.overflow);
    assert_int_equal(out.bytes, 0);
    struct arena arena;
    arena_init(&arena, 1);
    assert_int_equal(pb_place_pack(&place, &arena).bytes, 0);
    assert_int_equal(pb_place_pack_v1(&place, &arena).bytes, 0);
    assert_true(arena.exhausted);
    arena_deinit(&arena);
}

/* Every type: the empty message has no bytes, and unknown fields alone decode if nothing is
 * required. Field tables ascend, which the search needs. */
static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < PB_TYPE_COUNT; i++) {
        const struct pb_type *type = pb_types[i];
        uint8_t zero[4096] = {0};
        assert_true(type->bytes <= sizeof zero);
        assert_int_equal(pb_size(type, zero), 0);
        bool repeated = false, required = false;
        for (size_t f = 0; f < type->field_count; f++) {
            const struct pb_field *field = &type->fields[f], *next = field + 1;
            bool last = f + 1 == type->field_count;
            repeated |= field->repeated;
            required |= field->required;
            assert_true(last || field->number < next->number);
            if (field->oneof && !last && next->oneof && next->beside == field->beside)
                assert_int_equal(field->run, next->run + 1);
            else
                assert_int_equal(field->run, field->oneof ? 1 : 0);
        }
        assert_int_equal(type->any_repeated, repeated);
        assert_int_equal(type->any_required, required);
    }
}

static void test_print(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    uint64_t hidden[] = {3, 4};
    struct pb_frame frame = {.req = 5, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error =
        (struct pb_error){.code = PB_ERROR_CODE_BUSY, .detail = SLICE_LITERAL("wait\n")};
    struct pb_receipt_entry receipt = {
        .chat_id = SLICE_LITERAL("0123456789abcdef."), .hidden = hidden, .hidden_count = 2};
    char text[200] = {0};
    struct buf out = buf_over(text, sizeof text - 1);
    pb_print(&pb_frame_type, &frame, &out);
    pb_print(&pb_receipt_entry_type, &receipt, &out);
    assert_string_equal(text, "Frame{req: 5 error: Error{code: BUSY detail: \"wait?\"}}"
                              "ReceiptEntry{chat_id: 30313233343536373839616263646566..(17) "
                              "hidden: [3 4]}");
    assert_string_equal(pb_enum_name(&pb_error_code_enum, 9999), "?");
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_frame),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_doubled), cmocka_unit_test(test_version),
        cmocka_unit_test(test_no_room), cmocka_unit_test(test_types),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
