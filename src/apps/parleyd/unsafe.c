/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/unsafe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK "unsafe-bench"

static enum status mark_make(const char *path, struct failure *failure)
{
    static const char text[] = "Made by parley-bench: the accounts here are not protected.\n";
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool done =
        fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return done ? STATUS_OK
                : failure_set(failure, STATUS_IO, "%.100s cannot be written: %s", path,
                              strerror(errno));
}

enum status unsafe_check(const struct config *config, bool has_log, struct failure *failure)
{
    char path[sizeof config->data + sizeof "/" MARK];
    (void)snprintf(path, sizeof path, "%s/" MARK, config->data);
    bool marked = access(path, F_OK) == 0;
    if (marked == unsafe_bench(config))
        return STATUS_OK;
    if (marked)
        return failure_set(failure, STATUS_CONFLICT,
                           "%.60s was made for measuring and its accounts are not protected; "
                           "give another folder, or --unsafe-bench",
                           config->data);
    if (has_log)
        return failure_set(failure, STATUS_CONFLICT,
                           "%.60s holds real accounts, so --unsafe-bench is refused; give a fresh "
                           "folder",
                           config->data);
    return mark_make(path, failure);
}

void unsafe_warn(const struct config *config)
{
    if (unsafe_bench(config))
        (void)fprintf(stderr, "parleyd: UNSAFE, for measuring only: no rate limits, sign-up for "
                              "all, passwords not protected (--unsafe-bench)\n");
}
