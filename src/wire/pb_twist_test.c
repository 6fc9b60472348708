/* SPDX-License-Identifier: Apache-2.0
 * What stands behind pb_twist.h; no test of its own: linked into those of the rooms above. */
#include "wire/pb_twist.h"

#include <string.h>

struct twist {
    struct arena *arena;
    size_t left; /* twists before the one that is wanted */
    bool done;
};

/* Is it this one's turn? */
static bool turn(struct twist *twist)
{
    if (twist->done)
        return false;
    twist->done = twist->left == 0;
    twist->left -= twist->left > 0;
    return twist->done;
}

static uint64_t number_of(const struct pb_field *field, const void *at)
{
    uint64_t value = 0;
    if (field->kind == PB_KIND_U64)
        memcpy(&value, at, sizeof value);
    else if (field->kind != PB_KIND_BOOL)
        memcpy(&value, at, sizeof(uint32_t)); /* little-endian, as the machines of the tests are */
    else
        value = *(const bool *)at;
    return value;
}

static void number_set(const struct pb_field *field, void *at, uint64_t value)
{
    if (field->kind == PB_KIND_U64)
        memcpy(at, &value, sizeof value);
    else if (field->kind != PB_KIND_BOOL)
        memcpy(at, &value, sizeof(uint32_t));
    else
        *(bool *)at = value & 1;
}

static void number(struct twist *twist, const struct pb_field *field, void *at)
{
    uint64_t is = number_of(field, at);
    const uint64_t values[] = {is + 1, 0, is - 1, UINT64_MAX, 1};
    size_t count = field->kind == PB_KIND_BOOL ? 1 : sizeof values / sizeof values[0];
    for (size_t i = 0; i < count; i++)
        if (turn(twist))
            number_set(field, at, values[i]);
}

static void bytes(struct twist *twist, void *at)
{
    struct slice is;
    memcpy(&is, at, sizeof is);
    uint8_t *other = arena_alloc(twist->arena, is.bytes + 1);
    if (other == NULL)
        return;
    for (size_t i = 0; i < is.bytes; i++)
        other[i] = is.at[i];
    other[is.bytes / 2] ^= 0x11; /* text stays text */
    const struct slice values[] = {SLICE_EMPTY, slice_make(other, is.bytes),
                                   slice_make(other, is.bytes + 1),
                                   slice_make(is.at, is.bytes - (is.bytes > 0))};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (turn(twist))
            memcpy(at, &values[i], sizeof is);
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the message, which pb_decode bounds */
static void message(struct twist *twist, const struct pb_type *type, void *at);

static void value(struct twist *twist, const struct pb_field *field, void *at)
{
    if (field->kind == PB_KIND_MESSAGE)
        message(twist, field->message, at);
    else if (field->kind == PB_KIND_BYTES || field->kind == PB_KIND_STRING)
        bytes(twist, at);
    else
        number(twist, field, at);
}

static void repeated(struct twist *twist, const struct pb_field *field, uint8_t *at)
{
    size_t count;
    uint8_t *items;
    memcpy(&count, at + field->beside, sizeof count);
    memcpy(&items, at + field->at, sizeof items);
    if (count == 0)
        return;
    value(twist, field, items);
    if (count > 1)
        value(twist, field, items + (count - 1) * pb_value_bytes(field));
    if (turn(twist))
        memset(at + field->beside, 0, sizeof count);
}

static void message(struct twist *twist, const struct pb_type *type, void *whole)
{
    uint8_t *at = whole;
    for (size_t i = 0; i < type->field_count && !twist->done; i++) {
        const struct pb_field *field = &type->fields[i];
        uint32_t which;
        if (field->oneof) {
            memcpy(&which, at + field->beside, sizeof which);
            if (which != field->number)
                continue;
        }
        if (field->repeated) {
            repeated(twist, field, at);
            continue;
        }
        bool optional = field->kind == PB_KIND_MESSAGE && !field->oneof;
        if (!optional || at[field->beside] != 0)
            value(twist, field, at + field->at);
        if (field->oneof && turn(twist))
            memset(at + field->beside, 0, sizeof which);
        if (optional && turn(twist))
            at[field->beside] ^= 1;
    }
}
/* NOLINTEND(misc-no-recursion) */

bool pb_twist(const struct pb_type *type, void *whole, size_t nth, struct arena *arena)
{
    struct twist twist = {.arena = arena, .left = nth};
    message(&twist, type, whole);
    return twist.done;
}
