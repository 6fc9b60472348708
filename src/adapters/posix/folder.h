/* SPDX-License-Identifier: Apache-2.0
 * folder.h: folders of the system's file system: open, list, make durable. Used by file.c alone.
 * Owner: any thread. Errors: -1 and errno, which die in this adapter. */
#pragma once

#include "base/status.h"
#include "ports/file.h"

/* A descriptor of the folder at `path`, made if it is not there; -1 and a text. */
int folder_open(const char *path, struct failure *failure);

/* Make the folder that `name` (below root) lies in, durable; 0 also when it is there. */
int folder_make_of(int root, const char *name);

/* Make the folder that `name` lies in durable: names made, changed and removed in it. */
int folder_sync_of(int root, const char *name);

/* Serve a FILE_LIST. O(n²) in the number of names, which is small. */
enum status folder_list(int root, struct file_request *request);
