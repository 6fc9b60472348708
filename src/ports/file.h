/* SPDX-License-Identifier: Apache-2.0
 * file.h: the port under everything that keeps bytes: a folder of flat files, written in place.
 * The `log` adapter (and later `disk`) stand on it; adapters: posix (one I/O thread), sim (a disk
 * that loses, tears and flips what was not synced).
 * Completion-shaped: submit with a token, then poll. Requests may complete in any order; a SYNC
 * covers exactly the writes of its file that had completed before it was submitted. Memory named by
 * a request, and the request itself, belong to the adapter until its completion.
 * A failed SYNC, WRITE or WRITE_SYNC is final: the caller must treat the file as lost and never
 * retry (proof §1.7).
 * Owner: one thread, one caller: completions of a port go to whoever polls it.
 * Bounds: FILE_HANDLES_MAX open files, FILE_REQUESTS_MAX requests in flight.
 * Contract: tests/integration/file_contract.c. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define FILE_NAME_BYTES   64 /* relative name with its zero, one folder deep at most: "log/….seg" */
#define FILE_HANDLES_MAX  4096
#define FILE_REQUESTS_MAX 256

enum file_op {
    /* Make `name`, exactly `bytes` long, filled with zeros; all at once and durable with its
     * folder, which is made too if need be. CONFLICT: it exists, and stays untouched. */
    FILE_CREATE,
    FILE_OPEN,  /* open an existing file; NOT_FOUND if there is none; `bytes` returns its length */
    FILE_READ,  /* fill `into` from `at`; `bytes` returns how many came (short only at the end) */
    FILE_WRITE, /* write `from` at `at`, within the file's length (INVALID otherwise) */
    FILE_SYNC,  /* fdatasync */
    FILE_WRITE_SYNC, /* a WRITE, and when it is done a SYNC that covers it; one completion */
    FILE_RENAME, /* rename `name` to `to`, durable with its folder; replaces; handles stay good */
    FILE_DELETE, /* remove `name`, durable with its folder; NOT_FOUND if there is none */
    FILE_LIST,   /* names in folder `name`, sorted, as "folder/name", into `names`; `bytes` returns
                  * how many; TOO_LARGE if there are more; none if the folder does not exist */
};

struct file_request {
    enum file_op op;
    uint64_t token;
    uint32_t file; /* handle returned by CREATE and OPEN; in for READ, WRITE, SYNC, WRITE_SYNC */
    uint64_t at;
    uint64_t bytes; /* CREATE: length; out: bytes read, length of the file, names listed */
    struct slice from;
    uint8_t *into;
    size_t into_bytes;
    char name[FILE_NAME_BYTES], to[FILE_NAME_BYTES];
    char (*names)[FILE_NAME_BYTES];
    size_t names_max;
    enum status
        status; /* out: OK NOT_FOUND CONFLICT INVALID IO TOO_LARGE (no space) BUSY (handles) */
};

struct file_port {
    const struct file_vtable *vtable;
};

struct file_vtable {
    /* Take the request until it comes back from poll. Never refuses: a caller bounds its requests
     * in flight to FILE_REQUESTS_MAX (asserted). */
    void (*submit)(struct file_port *, struct file_request *);
    /* Completed requests, oldest first; returns how many. Never blocks. */
    size_t (*poll)(struct file_port *, struct file_request **done, size_t max);
    /* Close a handle with no request in flight. Does not sync. */
    void (*close)(struct file_port *, uint32_t file);
};
