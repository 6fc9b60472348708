/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES (64u << 10)

void checkpoint_in(const char *folder, uint64_t part, char out[CHECKPOINT_PATH_BYTES])
{
    (void)snprintf(out, CHECKPOINT_PATH_BYTES, "%.530s/%016llx", folder, (unsigned long long)part);
}

void checkpoint_path(const char *data, uint64_t part, char out[CHECKPOINT_PATH_BYTES])
{
    (void)snprintf(out, CHECKPOINT_PATH_BYTES, "%.512s/checkpoints/%016llx", data,
                   (unsigned long long)part);
}

static bool is_checkpoint(const char *name)
{
    return strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16;
}

static void put(struct checkpoints *out, uint64_t part)
{
    size_t at = out->count < CHECKPOINTS_MAX ? out->count++ : CHECKPOINTS_MAX - 1;
    for (; at > 0 && out->parts[at - 1] > part; at--)
        out->parts[at] = out->parts[at - 1];
    out->parts[at] = part;
}

void checkpoints_list(const char *data, struct checkpoints *out)
{
    char path[CHECKPOINT_PATH_BYTES];
    struct stat about;
    *out = (struct checkpoints){.count = 0};
    (void)snprintf(path, sizeof path, "%.512s/checkpoints", data);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (is_checkpoint(entry->d_name))
            put(out, strtoull(entry->d_name, NULL, 16));
    (void)closedir(folder);
    if (out->count == 0)
        return;
    checkpoint_path(data, out->parts[out->count - 1], path);
    if (stat(path, &about) == 0)
        out->newest_s = (uint64_t)about.st_mtime;
}

/* ---- a copy ---- */

static bool bytes_copy(int in, int out)
{
    static char space[COPY_BYTES]; /* of the main thread alone */
    for (ssize_t got; (got = read(in, space, sizeof space)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        for (ssize_t at = 0, wrote; at < got; at += wrote)
            if (got < 0 || (wrote = write(out, space + at, (size_t)(got - at))) < 0)
                return false;
        if (got < 0)
            return false;
    }
    return fsync(out) == 0;
}

static bool file_copy(int from, int to, const char *name)
{
    int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = in >= 0 && out >= 0 && bytes_copy(in, out);
    int error = errno;
    if (in >= 0)
        (void)close(in);
    if (out >= 0)
        done = close(out) == 0 && done;
    errno = error;
    return done;
}

/* Tables never change once they are written. */
static bool is_table(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 4 && strcmp(name + bytes - 4, ".sst") == 0;
}

static bool all_copy(DIR *folder, int to)
{
    int from = dirfd(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *name = entry->d_name;
        if (name[0] == '.' || strcmp(name, "LOCK") == 0)
            continue;
        if (is_table(name) && linkat(from, name, to, name, 0) == 0)
            continue;
        if (!file_copy(from, to, name))
            return false;
    }
    return fsync(to) == 0;
}

enum status checkpoint_copy(const char *from, const char *to, struct failure *failure)
{
    DIR *folder = opendir(from);
    int made = folder == NULL ? -1 : mkdir(to, 0700);
    int out = made != 0 ? -1 : open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = out >= 0 && all_copy(folder, out);
    int error = errno;
    if (out >= 0)
        (void)close(out);
    if (folder != NULL)
        (void)closedir(folder);
    if (!done)
        return failure_set(failure, STATUS_IO, "%.100s cannot be copied to %.100s: %s", from, to,
                           strerror(error));
    return STATUS_OK;
}
