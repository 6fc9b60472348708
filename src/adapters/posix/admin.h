/* SPDX-License-Identifier: Apache-2.0
 * admin.h: questions of the machine's operator over a Unix socket in the data folder.
 * One line in, one answer out, then the connection ends:
 *   client: VERB [ARGUMENT…]\n
 *   server: ok\n key value\n … end\n      or: error CODE text\n end\n
 * An answer without its `end` was cut off. A thread of its own accepts, reads and writes, one
 * client after the other; the shard only looks whether a question lies there (no system call) and
 * lays its answer down, so a client can hold up no one but other operators.
 * Only the owner of the process and root are heard (SO_PEERCRED); the socket is 0600.
 * Owner: opened, asked and closed by the shard's thread. Bounds: ADMIN_LINE_BYTES,
 * ADMIN_ANSWER_BYTES, ADMIN_SECONDS for a client to say and to take. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/ring.h"
#include "base/status.h"
#include "ports/waker.h"

#define ADMIN_SOCKET       "admin.sock"
#define ADMIN_LINE_BYTES   512u
#define ADMIN_ANSWER_BYTES (256u * 1024u)
#define ADMIN_SECONDS      5

struct posix_admin {
    struct waker *waker;
    int folder_fd, listen_fd, stop_fd;
    pthread_t thread;
    bool started, taken;
    sem_t answered;
    struct ring asked; /* a byte for each question: hands over `line` */
    char line[ADMIN_LINE_BYTES];
    uint32_t uid;      /* who asks */
    struct buf answer; /* the shard's between admin_next and admin_answer */
};

/* Listen in the folder at `path`, which the caller has locked. IO and a text. */
MUST_USE enum status posix_admin_open(struct posix_admin *admin, const char *path,
                                      struct waker *waker, struct failure *failure);
void posix_admin_close(struct posix_admin *admin); /* tolerates a zeroed one */

/* The question that waits for an answer, or NULL. The answer goes into admin->answer, which is
 * empty; then posix_admin_answer. */
const char *posix_admin_next(struct posix_admin *admin);
void posix_admin_answer(struct posix_admin *admin);

/* The client's side, for tools: ask in the folder at `path` and take the whole answer,
 * zero-terminated.
 * NOT_FOUND: no such folder; CLOSED: nobody listens there; CORRUPT: the answer was cut off. */
MUST_USE enum status posix_admin_ask(const char *path, const char *line, char *answer, size_t bytes,
                                     struct failure *failure);
