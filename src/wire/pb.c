/* SPDX-License-Identifier: Apache-2.0
 * The decoder walks a message twice: first it counts what the repeated fields hold, so that each
 * array is allocated once and in full, then it stores. Nested messages are opaque to the walk that
 * counts, so the whole stays linear: each level of nesting is walked twice, and there are eight. */
#include "wire/pb.h"

#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

#define WIRE_VARINT  0u
#define WIRE_FIXED64 1u
#define WIRE_BYTES   2u
#define WIRE_FIXED32 5u

#define VARINT_BYTES_MAX 10
#define KEY_BYTES_MAX    5 /* of keys and lengths, which have 32 bits */
#define ENUM_MAX         ((uint64_t)INT32_MAX)

static_assert(sizeof(enum pb_kind) == sizeof(uint32_t), "enums are stored as 32-bit numbers");

/* One key with its value, as found in the input. */
struct part {
    uint32_t number, wire;
    uint64_t value;     /* WIRE_VARINT */
    struct slice bytes; /* WIRE_BYTES */
};

struct decoder {
    struct arena *arena;
    size_t left; /* bytes that may still be allocated */
};

static bool varint_read(struct slice *in, size_t bytes_max, uint64_t *out)
{
    if (in->bytes > 0 && in->at[0] < 0x80) { /* nearly all of them */
        *out = in->at[0];
        *in = slice_make(in->at + 1, in->bytes - 1);
        return true;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < in->bytes && i < bytes_max; i++) {
        uint8_t byte = in->at[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false; /* beyond 64 bits */
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *in = slice_make(in->at + i + 1, in->bytes - i - 1);
            *out = value;
            return true;
        }
    }
    return false;
}

static bool bytes_read(struct slice *in, uint64_t bytes, struct slice *out)
{
    if (bytes > in->bytes)
        return false;
    *out = slice_make(in->at, (size_t)bytes);
    *in = slice_make(in->at + bytes, in->bytes - (size_t)bytes);
    return true;
}

static bool part_read(struct slice *in, struct part *out)
{
    uint64_t key, length;
    if (!varint_read(in, KEY_BYTES_MAX, &key) || key > UINT32_MAX || key >> 3 == 0)
        return false;
    *out = (struct part){.number = (uint32_t)(key >> 3), .wire = (uint32_t)(key & 7)};
    switch (out->wire) {
    case WIRE_VARINT: return varint_read(in, VARINT_BYTES_MAX, &out->value);
    case WIRE_FIXED64: return bytes_read(in, 8, &out->bytes);
    case WIRE_BYTES:
        return varint_read(in, KEY_BYTES_MAX, &length) && bytes_read(in, length, &out->bytes);
    case WIRE_FIXED32: return bytes_read(in, 4, &out->bytes);
    default: return false; /* groups, and what nobody defined */
    }
}

/* The field of that number, or NULL. `hint` is where to look first: fields mostly come in order. */
static const struct pb_field *field_find(const struct pb_type *type, uint32_t number, size_t *hint)
{
    if (*hint < type->field_count && type->fields[*hint].number == number)
        return &type->fields[*hint];
    size_t low = 0, high = type->field_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (type->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == type->field_count || type->fields[low].number != number)
        return NULL;
    *hint = low;
    return &type->fields[low];
}

static bool is_number(const struct pb_field *field)
{
    return field->kind < PB_KIND_BYTES;
}

size_t pb_value_bytes(const struct pb_field *field)
{
    switch (field->kind) {
    case PB_KIND_BOOL: return sizeof(bool);
    case PB_KIND_U32:
    case PB_KIND_ENUM: return sizeof(uint32_t);
    case PB_KIND_U64: return sizeof(uint64_t);
    case PB_KIND_BYTES:
    case PB_KIND_STRING: return sizeof(struct slice);
    case PB_KIND_MESSAGE: break;
    }
    return field->message->bytes;
}

static size_t size_at(const uint8_t *message, size_t at)
{
    size_t value;
    memcpy(&value, message + at, sizeof value);
    return value;
}

static uint32_t u32_at(const uint8_t *message, size_t at)
{
    uint32_t value;
    memcpy(&value, message + at, sizeof value);
    return value;
}

static void *pointer_at(const uint8_t *message, size_t at)
{
    void *value;
    memcpy(&value, message + at, sizeof value);
    return value;
}

/* ---- decoding ---- */

static enum status number_store(const struct pb_field *field, uint64_t value, uint8_t *slot)
{
    switch (field->kind) {
    case PB_KIND_BOOL:
        if (value > 1)
            return STATUS_INVALID;
        *slot = (uint8_t)value;
        return STATUS_OK;
    case PB_KIND_U32:
    case PB_KIND_ENUM:
        if (value > (field->kind == PB_KIND_ENUM ? ENUM_MAX : UINT32_MAX))
            return STATUS_INVALID;
        uint32_t narrow = (uint32_t)value;
        memcpy(slot, &narrow, sizeof narrow);
        return STATUS_OK;
    case PB_KIND_U64: memcpy(slot, &value, sizeof value); return STATUS_OK;
    case PB_KIND_BYTES:
    case PB_KIND_STRING:
    case PB_KIND_MESSAGE: break;
    }
    return STATUS_INVALID;
}

static enum status bytes_store(const struct pb_field *field, struct slice bytes, uint8_t *slot)
{
    if (field->bytes_max != 0 && bytes.bytes > field->bytes_max)
        return STATUS_TOO_LARGE;
    if (field->bytes_exact != 0 && bytes.bytes != field->bytes_exact &&
        (field->repeated || bytes.bytes != 0))
        return STATUS_INVALID;
    if (field->kind == PB_KIND_STRING && !utf8_valid(bytes))
        return STATUS_INVALID;
    memcpy(slot, &bytes, sizeof bytes);
    return STATUS_OK;
}

/* How many values of a repeated field one part holds. */
static enum status part_count(const struct pb_field *field, const struct part *part, size_t *out)
{
    *out = 1;
    if (!is_number(field))
        return part->wire == WIRE_BYTES ? STATUS_OK : STATUS_INVALID;
    if (part->wire == WIRE_VARINT)
        return STATUS_OK;
    if (part->wire != WIRE_BYTES)
        return STATUS_INVALID;
    *out = 0;
    for (size_t i = 0; i < part->bytes.bytes; i++)
        *out += part->bytes.at[i] < 0x80;
    return STATUS_OK;
}

/* Leave in each xs_count how many values the input holds; no array is there yet. */
static enum status repeated_count(const struct pb_type *type, struct slice in, uint8_t *out)
{
    size_t hint = 0;
    while (in.bytes > 0) {
        struct part part;
        if (!part_read(&in, &part))
            return STATUS_INVALID;
        const struct pb_field *field = field_find(type, part.number, &hint);
        if (field == NULL || !field->repeated)
            continue;
        size_t more = 0, count = size_at(out, field->beside);
        enum status status = part_count(field, &part, &more);
        if (status != STATUS_OK)
            return status;
        if (more > field->count_max - count)
            return STATUS_TOO_LARGE;
        count += more;
        memcpy(out + field->beside, &count, sizeof count);
    }
    return STATUS_OK;
}

/* Allocate the arrays that repeated_count asked for, and set the counts back to 0. */
static enum status repeated_alloc(struct decoder *decoder, const struct pb_type *type, uint8_t *out)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &type->fields[i];
        if (!field->repeated)
            continue;
        size_t count = size_at(out, field->beside);
        if (count == 0)
            continue;
        size_t bytes = count * pb_value_bytes(field);
        if (bytes > decoder->left)
            return STATUS_TOO_LARGE;
        decoder->left -= bytes;
        void *array = arena_alloc(decoder->arena, bytes);
        if (array == NULL)
            return STATUS_BUSY;
        memcpy(out + field->at, &array, sizeof array);
        memset(out + field->beside, 0, sizeof count);
    }
    return STATUS_OK;
}

/* `required` of every field, once all is stored. */
static bool required_present(const struct pb_type *type, const uint8_t *out)
{
    static const uint8_t zero[sizeof(uint64_t)];
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &type->fields[i];
        if (!field->required || (field->oneof && u32_at(out, field->beside) != field->number))
            continue;
        bool present;
        if (field->repeated)
            present = size_at(out, field->beside) > 0;
        else if (field->kind == PB_KIND_MESSAGE)
            present = field->oneof || out[field->beside] != 0;
        else if (is_number(field))
            present = memcmp(out + field->at, zero, pb_value_bytes(field)) != 0;
        else
            present = size_at(out, field->at + offsetof(struct slice, bytes)) > 0;
        if (!present)
            return false;
    }
    return true;
}

/* NOLINTBEGIN(misc-no-recursion): messages nest; PB_DEPTH_MAX bounds it */
static enum status message_read(struct decoder *decoder, const struct pb_type *type,
                                struct slice in, size_t depth, uint8_t *out);

static enum status value_store(struct decoder *decoder, const struct pb_field *field,
                               const struct part *part, size_t depth, uint8_t *slot)
{
    if (is_number(field))
        return part->wire == WIRE_VARINT ? number_store(field, part->value, slot) : STATUS_INVALID;
    if (part->wire != WIRE_BYTES)
        return STATUS_INVALID;
    if (field->kind == PB_KIND_MESSAGE)
        return message_read(decoder, field->message, part->bytes, depth + 1, slot);
    return bytes_store(field, part->bytes, slot);
}

static enum status repeated_store(struct decoder *decoder, const struct pb_field *field,
                                  const struct part *part, size_t depth, uint8_t *out)
{
    struct part one = *part;
    uint8_t *array = pointer_at(out, field->at);
    size_t count = size_at(out, field->beside), bytes = pb_value_bytes(field);
    bool packed = is_number(field) && part->wire == WIRE_BYTES;
    if (packed)
        one.wire = WIRE_VARINT;
    while (!packed || one.bytes.bytes > 0) {
        if (packed && !varint_read(&one.bytes, VARINT_BYTES_MAX, &one.value))
            return STATUS_INVALID;
        enum status status = value_store(decoder, field, &one, depth, array + count * bytes);
        if (status != STATUS_OK)
            return status;
        count++;
        if (!packed)
            break;
    }
    memcpy(out + field->beside, &count, sizeof count);
    return STATUS_OK;
}

static enum status single_store(struct decoder *decoder, const struct pb_field *field,
                                const struct part *part, size_t depth, uint8_t *out)
{
    if (field->oneof) { /* one body, once: two would be two meanings */
        if (u32_at(out, field->beside) != 0)
            return STATUS_INVALID;
        memcpy(out + field->beside, &field->number, sizeof field->number);
    } else if (field->kind == PB_KIND_MESSAGE) {
        if (out[field->beside] != 0)
            return STATUS_INVALID;
        out[field->beside] = 1;
    }
    return value_store(decoder, field, part, depth, out + field->at);
}

/* EXCEPTION: recursive, because messages nest; PB_DEPTH_MAX bounds it. */
static enum status message_read(struct decoder *decoder, const struct pb_type *type,
                                struct slice in, size_t depth, uint8_t *out)
{
    if (depth > PB_DEPTH_MAX)
        return STATUS_TOO_LARGE;
    enum status status = STATUS_OK;
    if (type->any_repeated) {
        status = repeated_count(type, in, out);
        if (status == STATUS_OK)
            status = repeated_alloc(decoder, type, out);
    }
    size_t hint = 0;
    while (status == STATUS_OK && in.bytes > 0) {
        struct part part;
        if (!part_read(&in, &part))
            return STATUS_INVALID;
        const struct pb_field *field = field_find(type, part.number, &hint);
        if (field == NULL)
            continue; /* of a newer version: skipped */
        if (field->repeated)
            status = repeated_store(decoder, field, &part, depth, out);
        else
            status = single_store(decoder, field, &part, depth, out);
        if (!field->repeated)
            hint++;
    }
    if (status == STATUS_OK && type->any_required && !required_present(type, out))
        status = STATUS_INVALID;
    return status;
}
/* NOLINTEND(misc-no-recursion) */

enum status pb_decode(const struct pb_type *type, struct slice in, struct arena *arena, void *out)
{
    struct arena_mark mark = arena_mark(arena);
    struct decoder decoder = {arena, PB_ALLOC_BYTES};
    if (in.bytes > (SIZE_MAX - PB_ALLOC_BYTES) / PB_ALLOC_FACTOR)
        return STATUS_TOO_LARGE;
    decoder.left += PB_ALLOC_FACTOR * in.bytes;
    memset(out, 0, type->bytes);
    enum status status = message_read(&decoder, type, in, 1, out);
    if (status != STATUS_OK) {
        memset(out, 0, type->bytes);
        arena_rewind(arena, mark);
    }
    return status;
}

enum status pb_unwrap(struct slice in, uint8_t version, struct slice *out)
{
    *out = SLICE_EMPTY;
    if (in.bytes == 0 || in.at[0] == 0)
        return STATUS_INVALID;
    if (in.at[0] != version)
        return STATUS_UNSUPPORTED;
    *out = slice_make(in.at + 1, in.bytes - 1);
    return STATUS_OK;
}

/* ---- encoding ---- */

#define SIZES_KEPT 64u

/* Counts, or writes if `at` is not NULL. Both go through the messages inside in one order, so the
 * first counted sizes are kept for the writing; else each level would count all below it anew. */
struct sink {
    uint8_t *at;
    size_t bytes;
    size_t inside; /* messages inside that were begun */
    size_t sizes[SIZES_KEPT];
};

static void sink_begin(struct sink *sink, uint8_t *at)
{
    sink->at = at;
    sink->bytes = sink->inside = 0;
}

/* Seven bits a byte, and 0 takes one. */
static size_t varint_bytes(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

static void varint_write(struct sink *sink, uint64_t value)
{
    if (sink->at == NULL) {
        sink->bytes += varint_bytes(value);
        return;
    }
    for (; value >= 0x80; value >>= 7)
        sink->at[sink->bytes++] = (uint8_t)(value | 0x80);
    sink->at[sink->bytes++] = (uint8_t)value;
}

static void key_write(struct sink *sink, const struct pb_field *field, uint32_t wire)
{
    varint_write(sink, (uint64_t)field->number << 3 | wire);
}

static uint64_t number_load(const struct pb_field *field, const uint8_t *slot)
{
    uint64_t wide = 0;
    if (field->kind == PB_KIND_U64)
        memcpy(&wide, slot, sizeof wide);
    else
        wide = field->kind == PB_KIND_BOOL ? *slot : u32_at(slot, 0);
    return wide;
}

/* NOLINTBEGIN(misc-no-recursion): messages nest; tools/pbgen refuses types that hold themselves */
static void message_write(struct sink *sink, const struct pb_type *type, const uint8_t *message);

static void message_count(struct sink *sink, const struct pb_type *type, const uint8_t *message)
{
    size_t which = sink->inside++, before = sink->bytes;
    message_write(sink, type, message);
    size_t bytes = sink->bytes - before;
    if (which < SIZES_KEPT)
        sink->sizes[which] = bytes;
    sink->bytes += varint_bytes(bytes);
}

/* Length and message. */
static void inside_write(struct sink *sink, const struct pb_type *type, const uint8_t *message)
{
    if (sink->at == NULL) {
        message_count(sink, type, message);
        return;
    }
    size_t which = sink->inside++;
    varint_write(sink, which < SIZES_KEPT ? sink->sizes[which] : pb_size(type, message));
    message_write(sink, type, message);
}

/* Key and value, without asking whether it is the default. */
static void value_write(struct sink *sink, const struct pb_field *field, const uint8_t *slot)
{
    if (is_number(field)) {
        key_write(sink, field, WIRE_VARINT);
        varint_write(sink, number_load(field, slot));
        return;
    }
    key_write(sink, field, WIRE_BYTES);
    if (field->kind == PB_KIND_MESSAGE) {
        inside_write(sink, field->message, slot);
        return;
    }
    struct slice bytes;
    memcpy(&bytes, slot, sizeof bytes);
    varint_write(sink, bytes.bytes);
    if (sink->at != NULL && bytes.bytes > 0)
        memcpy(sink->at + sink->bytes, bytes.at, bytes.bytes);
    sink->bytes += bytes.bytes;
}

static void packed_write(struct sink *sink, const struct pb_field *field, const uint8_t *array,
                         size_t count)
{
    size_t bytes = pb_value_bytes(field), packed = 0;
    for (size_t i = 0; i < count; i++)
        packed += varint_bytes(number_load(field, array + i * bytes));
    key_write(sink, field, WIRE_BYTES);
    varint_write(sink, packed);
    if (sink->at == NULL) {
        sink->bytes += packed;
        return;
    }
    for (size_t i = 0; i < count; i++)
        varint_write(sink, number_load(field, array + i * bytes));
}

static void repeated_write(struct sink *sink, const struct pb_field *field, const uint8_t *message)
{
    const uint8_t *array = pointer_at(message, field->at);
    size_t count = size_at(message, field->beside), bytes = pb_value_bytes(field);
    if (count == 0)
        return;
    assert(array != NULL);
    if (is_number(field)) {
        packed_write(sink, field, array, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        value_write(sink, field, array + i * bytes);
}

static bool is_present(const struct pb_field *field, const uint8_t *message)
{
    if (field->kind == PB_KIND_MESSAGE)
        return message[field->beside] != 0;
    if (is_number(field))
        return number_load(field, message + field->at) != 0;
    return size_at(message, field->at + offsetof(struct slice, bytes)) != 0;
}

/* Of a run of alternatives, dozens in a frame, the chosen one. */
static void oneof_write(struct sink *sink, const struct pb_field *run, const uint8_t *message)
{
    uint32_t chosen = u32_at(message, run->beside);
    if (chosen < run->number || chosen > run[run->run - 1].number)
        return;
    const struct pb_field *field = run;
    while (field->number < chosen)
        field++;
    if (field->number == chosen)
        value_write(sink, field, message + field->at);
}

/* EXCEPTION: recursive through value_write, because messages nest; types cannot be recursive. */
static void message_write(struct sink *sink, const struct pb_type *type, const uint8_t *message)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &type->fields[i];
        if (field->oneof) {
            oneof_write(sink, field, message);
            i += field->run - 1;
        } else if (field->repeated) {
            repeated_write(sink, field, message);
        } else if (is_present(field, message)) {
            value_write(sink, field, message + field->at);
        }
    }
}

size_t pb_size(const struct pb_type *type, const void *message)
{
    struct sink sink;
    sink_begin(&sink, NULL);
    message_write(&sink, type, message);
    return sink.bytes;
}
/* NOLINTEND(misc-no-recursion) */

void pb_encode(const struct pb_type *type, const void *message, struct buf *out)
{
    struct sink sink;
    sink_begin(&sink, NULL);
    message_write(&sink, type, message);
    size_t bytes = sink.bytes;
    uint8_t *at = bytes > 0 ? buf_reserve(out, bytes) : NULL;
    if (at == NULL)
        return;
    sink_begin(&sink, at);
    message_write(&sink, type, message);
    assert(sink.bytes == bytes);
}

/* `lead` bytes for the caller, and the message behind them; empty when the arena is exhausted. */
static struct slice message_pack(const struct pb_type *type, const void *message, size_t lead,
                                 struct arena *arena)
{
    struct sink sink;
    sink_begin(&sink, NULL);
    message_write(&sink, type, message);
    size_t bytes = sink.bytes;
    uint8_t *at = lead + bytes > 0 ? arena_raw(arena, lead + bytes, 1) : NULL;
    if (at == NULL)
        return SLICE_EMPTY;
    sink_begin(&sink, at + lead);
    message_write(&sink, type, message);
    assert(sink.bytes == bytes);
    return slice_make(at, lead + bytes);
}

struct slice pb_pack(const struct pb_type *type, const void *message, struct arena *arena)
{
    return message_pack(type, message, 0, arena);
}

struct slice pb_wrap(const struct pb_type *type, uint8_t version, const void *message,
                     struct arena *arena)
{
    struct slice bytes = message_pack(type, message, 1, arena);
    if (bytes.bytes > 0)
        *(uint8_t *)(uintptr_t)bytes.at = version;
    return bytes;
}
