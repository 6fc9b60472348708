/* SPDX-License-Identifier: Apache-2.0
 * harm.h: what a campaign does to a running parleyd from within: libharm is preloaded into it
 * (LD_PRELOAD) and stands between it and the system for memory, files, sockets, syncs and the
 * clock. Both map one file (PARLEY_HARM names it), so that the campaign arms a fault at any
 * moment, takes it back, and sees what happened. Nothing is counted or harmed before main().
 * Blind: io_uring, and what the C library does inside itself (stdio).
 * Owner: the campaign arms, the server's threads count. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The calls of one kind, and which of them fails. */
struct harm_fault {
    _Atomic uint64_t seen, failed;
    _Atomic int64_t in; /* the so manieth from now fails; ≤ 0: none */
    _Atomic bool for_ever;
};

enum harm_io {
    HARM_IO_ERROR,  /* EIO; of a socket ECONNRESET */
    HARM_IO_FULL,   /* ENOSPC; of a socket ENOBUFS */
    HARM_IO_SIGNAL, /* EINTR, where it may come */
    HARM_IO_SHORT,  /* half of it, where that may be */
    HARM_IO_KINDS
};

struct harm {
    struct harm_fault memory;               /* malloc and its kin, anonymous mappings */
    struct harm_fault files;                /* open, read, write, sync, rename, … of files */
    struct harm_fault net;                  /* accept, recv, send */
    struct harm_fault sync;                 /* of the log alone: EIO */
    _Atomic uint32_t io;                    /* enum harm_io, of files and net */
    _Atomic uint64_t sync_us;               /* every sync of any file takes so long at least */
    _Atomic uint64_t sync_begun, sync_done; /* of the log, numbered: the newest that began, and the
                                             * newest that ended well */
    _Atomic int64_t wall_us;                /* how far the wall clock is from the true one */
};
