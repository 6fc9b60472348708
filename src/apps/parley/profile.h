/* SPDX-License-Identifier: Apache-2.0
 * profile.h: one person's device on this machine: a folder (0700) with a lock and the rows.
 * Invariants: at most one process writes a profile; a second one may read. Owner: one thread. */
#pragma once

#include <stdbool.h>

#include "adapters/sqlite/sqlite_store.h"

#define PROFILE_PATH_BYTES_MAX 512u
#define PROFILE_NAME_BYTES_MAX 64u

enum profile_mode {
    PROFILE_USE,  /* the folder must be there; locked */
    PROFILE_MAKE, /* made if it is not there; locked */
    PROFILE_LOOK, /* as USE, but if another process has it, read only */
};

struct profile {
    char folder[PROFILE_PATH_BYTES_MAX];
    int lock_fd; /* -1: none */
    bool read_only, wiped;
    struct sqlite_store store;
};

/* The folder of the profile called `name` below the user's data folder, or `folder` itself if
 * given. INVALID: a bad name, or no home. */
MUST_USE enum status profile_find(struct profile *profile, const char *name, const char *folder,
                                  struct failure *failure);

/* NOT_FOUND: nobody signed up or in here; CONFLICT: another process has it (text: its number);
 * else as sqlite_store_open. Follow with profile_close in any case. */
MUST_USE enum status profile_open(struct profile *profile, enum profile_mode mode,
                                  struct failure *failure);

/* Signed out: the rows go now, the files at close. */
void profile_wipe(struct profile *profile);
void profile_close(struct profile *profile);
