/* SPDX-License-Identifier: Apache-2.0
 * pb_oracle: our side of the differential test (pb_oracle.py). Reads lines "Name hex", "-" for no
 * bytes, from stdin; answers each with "OK hex" (encoded again) or the name of the status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/gen/types.pb.h"

#define LINE_BYTES (1 << 20)

static const struct pb_type *type_find(const char *name)
{
    for (size_t i = 0; i < PB_TYPE_COUNT; i++) {
        if (strcmp(pb_types[i]->name, name) == 0)
            return pb_types[i];
    }
    return NULL;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex to bytes, in place. */
static struct slice hex_take(char *hex)
{
    size_t bytes = 0;
    for (char *at = hex; digit(at[0]) >= 0 && digit(at[1]) >= 0; at += 2)
        hex[bytes++] = (char)(digit(at[0]) << 4 | digit(at[1]));
    return slice_make(hex, bytes);
}

static void answer(const struct pb_type *type, struct slice in, struct arena *arena)
{
    void *message = arena_alloc(arena, type->bytes);
    enum status status = message == NULL ? STATUS_BUSY : pb_decode(type, in, arena, message);
    fputs(status_name(status), stdout);
    if (status == STATUS_OK) {
        struct slice out = pb_pack(type, message, arena);
        putchar(' ');
        for (size_t i = 0; i < out.bytes; i++)
            printf("%02x", out.at[i]);
    }
    putchar('\n');
}

/* Answers one line; false if it is none, or one that was cut. */
static bool line_answer(char *line, struct arena *arena)
{
    char *space = strchr(line, ' ');
    if (space == NULL || strchr(space, '\n') == NULL)
        return false;
    *space = '\0';
    const struct pb_type *type = type_find(line);
    if (type != NULL)
        answer(type, hex_take(space + 1), arena);
    arena_reset(arena);
    return type != NULL;
}

int main(void)
{
    char *line = malloc(LINE_BYTES);
    bool good = line != NULL;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    while (good && fgets(line, LINE_BYTES, stdin) != NULL)
        good = line_answer(line, &arena);
    arena_deinit(&arena);
    free(line);
    return good ? 0 : 2;
}
