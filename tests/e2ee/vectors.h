/* SPDX-License-Identifier: Apache-2.0
 * vectors.h: reads the files of crates/e2ee/vectors, one case after another: lines `name hex`, an
 * empty line behind each case. Whatever is not so fails the test. Owner: one test. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

#define VECTORS_FIELDS_MAX 16

struct vectors {
    FILE *file;
    unsigned field_count, case_count;
    struct {
        char name[24];
        struct slice bytes;
    } fields[VECTORS_FIELDS_MAX];
    uint8_t memory[1 << 16];
};

/* The file `name` of the folder. */
void vectors_open(struct vectors *vectors, const char *folder, const char *name);

/* The next case; false, and closed, behind the last one, of which there was at least one. */
bool vectors_next(struct vectors *vectors);

/* The field of that name, valid until the next case. */
struct slice vectors_get(const struct vectors *vectors, const char *name);

/* The same, of exactly that many bytes. */
const uint8_t *vectors_fixed(const struct vectors *vectors, const char *name, size_t bytes);
uint32_t vectors_u32(const struct vectors *vectors, const char *name);
