/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "wire/pb.h"

#define HEX_BYTES_MAX 16

const char *pb_enum_name(const struct pb_enum *enumerated, uint32_t number)
{
    for (size_t i = 0; i < enumerated->value_count; i++) {
        if (enumerated->values[i].number == number)
            return enumerated->values[i].name;
    }
    return "?";
}

static void bytes_put(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.bytes && i < HEX_BYTES_MAX; i++) {
        buf_u8(out, (uint8_t) "0123456789abcdef"[bytes.at[i] >> 4]);
        buf_u8(out, (uint8_t) "0123456789abcdef"[bytes.at[i] & 15]);
    }
    if (bytes.bytes > HEX_BYTES_MAX) {
        buf_text(out, "..(");
        buf_decimal(out, bytes.bytes);
        buf_text(out, ")");
    }
}

static void string_put(struct buf *out, struct slice text)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        bool plain = text.at[i] >= 0x20 && text.at[i] != '"' && text.at[i] != '\\';
        buf_u8(out, plain ? text.at[i] : '?');
    }
    buf_u8(out, '"');
}

/* NOLINTBEGIN(misc-no-recursion): messages nest; tools/pbgen refuses types that hold themselves */
static void value_put(const struct pb_field *field, const uint8_t *slot, struct buf *out)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;
    struct slice bytes = SLICE_EMPTY;
    switch (field->kind) {
    case PB_KIND_BOOL: buf_text(out, *slot != 0 ? "true" : "false"); return;
    case PB_KIND_U32:
    case PB_KIND_ENUM:
        memcpy(&narrow, slot, sizeof narrow);
        if (field->kind == PB_KIND_ENUM && *pb_enum_name(field->enumerated, narrow) != '?')
            buf_text(out, pb_enum_name(field->enumerated, narrow));
        else
            buf_decimal(out, narrow);
        return;
    case PB_KIND_U64:
        memcpy(&wide, slot, sizeof wide);
        buf_decimal(out, wide);
        return;
    case PB_KIND_BYTES:
    case PB_KIND_STRING:
        memcpy(&bytes, slot, sizeof bytes);
        if (field->kind == PB_KIND_BYTES)
            bytes_put(out, bytes);
        else
            string_put(out, bytes);
        return;
    case PB_KIND_MESSAGE: pb_print(field->message, slot, out); return;
    }
}

static size_t slot_bytes(const struct pb_field *field)
{
    if (field->kind == PB_KIND_MESSAGE)
        return field->message->bytes;
    if (field->kind == PB_KIND_BYTES || field->kind == PB_KIND_STRING)
        return sizeof(struct slice);
    if (field->kind == PB_KIND_U64)
        return sizeof(uint64_t);
    return field->kind == PB_KIND_BOOL ? sizeof(bool) : sizeof(uint32_t);
}

static void repeated_put(const struct pb_field *field, const uint8_t *message, struct buf *out)
{
    const uint8_t *array;
    size_t count;
    memcpy(&array, message + field->at, sizeof array);
    memcpy(&count, message + field->beside, sizeof count);
    buf_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        buf_text(out, i > 0 ? " " : "");
        value_put(field, array + i * slot_bytes(field), out);
    }
    buf_text(out, "]");
}

/* Present as the encoder sees it: a field prints exactly if it has bytes on the wire. */
static bool is_shown(const struct pb_field *field, const uint8_t *message)
{
    uint32_t chosen;
    size_t count;
    if (field->repeated) {
        memcpy(&count, message + field->beside, sizeof count);
        return count != 0;
    }
    if (field->oneof) {
        memcpy(&chosen, message + field->beside, sizeof chosen);
        return chosen == field->number;
    }
    if (field->kind == PB_KIND_MESSAGE)
        return message[field->beside] != 0;
    const uint8_t *slot = message + field->at;
    if (field->kind == PB_KIND_BYTES || field->kind == PB_KIND_STRING) {
        memcpy(&count, slot + offsetof(struct slice, bytes), sizeof count);
        return count != 0;
    }
    for (size_t i = 0; i < slot_bytes(field); i++) {
        if (slot[i] != 0)
            return true;
    }
    return false;
}

/* EXCEPTION: recursive through value_put, because messages nest; types cannot be recursive. */
void pb_print(const struct pb_type *type, const void *message, struct buf *out)
{
    const char *gap = "";
    buf_text(out, type->name);
    buf_text(out, "{");
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &type->fields[i];
        if (!is_shown(field, message))
            continue;
        buf_text(out, gap);
        buf_text(out, field->name);
        buf_text(out, ": ");
        if (field->repeated)
            repeated_put(field, message, out);
        else
            value_put(field, (const uint8_t *)message + field->at, out);
        gap = " ";
    }
    buf_text(out, "}");
}
/* NOLINTEND(misc-no-recursion) */
