/* SPDX-License-Identifier: Apache-2.0
 * tree.h: files of a folder and of the folders in it: listed, copied durably, hashed, removed. What
 * backup and restore are made of.
 * Owner: the main thread; blocks. Bounds: TREE_FILES_MAX files, names of TREE_NAME_BYTES. */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "ports/crypto.h"

#define TREE_FILES_MAX  65536u
#define TREE_NAME_BYTES 96u /* "folder/name" with its zero */
#define TREE_PATH_BYTES 640u

struct tree_file {
    char name[TREE_NAME_BYTES];
    uint64_t bytes;
    uint8_t hash[SHA256_BYTES]; /* once asked for */
};

struct tree {
    struct tree_file *files; /* in no order */
    size_t count;
};

/* The files in `root`/`folder` (in `root` itself for ""), not those in folders below; adds to
 * `tree`. A folder that is not there has none. IO BUSY TOO_LARGE and a text. */
MUST_USE enum status tree_add(struct tree *tree, const char *root, const char *folder,
                              struct failure *failure);
void tree_free(struct tree *tree);

/* Copy a file: its first `bytes`, then zeros up to `whole`; synced. The folder it lies in is made.
 */
struct tree_copy {
    const char *from, *to; /* roots */
    const char *name, *to_name;
    uint64_t bytes, whole;
};
MUST_USE enum status tree_copy(const struct tree_copy *copy, struct failure *failure);
MUST_USE enum status tree_write(const char *root, const char *name, struct slice bytes,
                                struct failure *failure);
MUST_USE enum status tree_hash(const char *root, struct tree_file *file, struct failure *failure);

/* `root`, the folders in it, and the folder it lies in are durable. */
MUST_USE enum status tree_sync(const char *root, struct failure *failure);

/* All of it, two folders deep. */
void tree_remove(const char *root);
