/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/buf.h"

void vectors_open(struct vectors *vectors, const char *folder, const char *name)
{
    char path[512];
    memset(vectors, 0, sizeof *vectors);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    vectors->file = fopen(path, "r");
    assert_non_null(vectors->file);
}

/* One `name hex` line, whose bytes go behind those of the fields before. */
static void take_field(struct vectors *vectors, const char *line, struct buf *memory)
{
    size_t name = strcspn(line, " ");
    assert_true(line[name] == ' ' && name < sizeof vectors->fields[0].name);
    assert_true(vectors->field_count < VECTORS_FIELDS_MAX);
    const char *hex = line + name + 1;
    size_t digits = strspn(hex, "0123456789abcdef"), from = memory->bytes;
    assert_true(hex[0] == '-' || digits > 0);
    assert_int_equal(hex_read(slice_make(hex, digits), memory), STATUS_OK);
    unsigned at = vectors->field_count++;
    memcpy(vectors->fields[at].name, line, name);
    vectors->fields[at].name[name] = 0;
    vectors->fields[at].bytes = slice_make(vectors->memory + from, memory->bytes - from);
}

bool vectors_next(struct vectors *vectors)
{
    static char line[1 << 15];
    struct buf memory = buf_over(vectors->memory, sizeof vectors->memory);
    vectors->field_count = 0;
    while (fgets(line, sizeof line, vectors->file)) {
        if (line[0] == '\n' && vectors->field_count > 0) {
            vectors->case_count++;
            return true;
        }
        if (line[0] != '#' && line[0] != '\n')
            take_field(vectors, line, &memory);
    }
    assert_int_equal(vectors->field_count, 0);
    assert_true(vectors->case_count > 0);
    fclose(vectors->file);
    return false;
}

struct slice vectors_get(const struct vectors *vectors, const char *name)
{
    for (unsigned i = 0; i < vectors->field_count; i++)
        if (strcmp(vectors->fields[i].name, name) == 0)
            return vectors->fields[i].bytes;
    fail_msg("no field %s", name);
    return SLICE_EMPTY;
}

const uint8_t *vectors_fixed(const struct vectors *vectors, const char *name, size_t bytes)
{
    struct slice found = vectors_get(vectors, name);
    assert_int_equal(found.bytes, bytes);
    return found.at;
}

uint32_t vectors_u32(const struct vectors *vectors, const char *name)
{
    const uint8_t *at = vectors_fixed(vectors, name, 4);
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
