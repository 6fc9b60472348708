/* SPDX-License-Identifier: Apache-2.0
 * manifest.h: the list that makes a folder a backup: what it is of, and every file with its length
 * and SHA-256. Text, a line each; the last line is the hash of all before it, so that a list cut
 * short is no list. It names no host and no person.
 *   parley-backup 1
 *   version 0.1.0
 *   log_id <hex>
 *   log_epoch N
 *   part N      the rows have everything below it
 *   end N       the log holds everything below it
 *   file <sha256> <bytes> <name>
 *   all <sha256>
 * Owner: the main thread. */
#pragma once

#include "apps/parleyctl/tree.h"
#include "base/id.h"

#define MANIFEST_NAME "manifest"

struct manifest {
    uint8_t log_id[ID_BYTES];
    uint64_t log_epoch, part, end;
    struct tree files;
};

/* Hash what `root` holds, and write its list; durable with all folders of `root`. */
MUST_USE enum status manifest_make(struct manifest *manifest, const char *root,
                                   struct failure *failure);
/* NOT_FOUND: no backup; CORRUPT: the list, or a file against it; UNSUPPORTED: a newer format. Every
 * byte is read. */
MUST_USE enum status manifest_check(struct manifest *manifest, const char *root,
                                    struct failure *failure);
void manifest_free(struct manifest *manifest);
