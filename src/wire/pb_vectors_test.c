/* SPDX-License-Identifier: Apache-2.0
 * pb_vectors_test FILE…: the examples of docs/protocol/vectors. Each decodes, encodes to the same
 * bytes, cut anywhere it is refused or means just what is left; every message has an example. */
#include "wire/gen/types.pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka comes after what it needs */
#include <cmocka.h>

#include "base/base64.h"

#define LINE_BYTES 65536

struct vectors {
    char **paths;
    bool seen[PB_TYPE_COUNT];
};

static size_t type_index(const char *name)
{
    size_t i = 0;
    while (i < PB_TYPE_COUNT && strcmp(pb_types[i]->name, name) != 0)
        i++;
    if (i == PB_TYPE_COUNT)
        fail_msg("no message %s", name);
    return i;
}

static struct slice hex_take(const char *hex, uint8_t *memory)
{
    struct slice digits = {(const uint8_t *)hex, strspn(hex, "0123456789abcdef")};
    struct buf out = buf_over(memory, digits.bytes / 2);
    assert_int_equal(hex_read(digits, &out), STATUS_OK);
    return buf_slice(&out);
}

static void check_vector(const struct pb_type *type, struct slice in, struct arena *arena)
{
    void *message = arena_alloc(arena, type->bytes);
    enum status status = pb_decode(type, in, arena, message);
    if (status != STATUS_OK)
        fail_msg("%s: %s", type->name, status_name(status));
    struct slice again = pb_pack(type, message, arena);
    if (!slice_equal(in, again))
        fail_msg("%s: encodes to other bytes", type->name);
    for (size_t cut = 0; cut < in.bytes; cut++) {
        struct slice part = slice_sub(in, 0, cut);
        if (pb_decode(type, part, arena, message) == STATUS_OK)
            assert_true(slice_equal(pb_pack(type, message, arena), part));
    }
}

static void check_file(struct vectors *vectors, const char *path, char *line, uint8_t *memory)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, LINE_BYTES, file) != NULL) {
        char *space = strchr(line, ' ');
        if (line[0] == '#' || space == NULL)
            continue;
        *space = '\0';
        struct arena arena;
        arena_init(&arena, (size_t)256 << 20);
        size_t index = type_index(line);
        vectors->seen[index] = true;
        check_vector(pb_types[index], hex_take(space + 1, memory), &arena);
        arena_deinit(&arena);
    }
    fclose(file);
}

static void test_vectors(void **state)
{
    struct vectors *vectors = *state;
    static char line[LINE_BYTES];
    static uint8_t memory[LINE_BYTES];
    for (char **path = vectors->paths; *path != NULL; path++)
        check_file(vectors, *path, line, memory);
    for (size_t i = 0; i < PB_TYPE_COUNT; i++) {
        if (!vectors->seen[i])
            fail_msg("%s has no example", pb_types[i]->name);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    struct vectors vectors = {.paths = argv + 1};
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_vectors, &vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
