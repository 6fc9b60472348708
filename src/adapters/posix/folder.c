/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/posix/file.h"

int folder_open(const char *path, struct failure *failure)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        (void)failure_set(failure, STATUS_IO, "the folder %.80s cannot be made: %s", path,
                          strerror(errno));
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        (void)failure_set(failure, STATUS_IO, "the folder %.80s cannot be opened: %s", path,
                          strerror(errno));
    return fd;
}

/* The part of `name` in front of its slash, or "." */
static void folder_of(const char *name, char out[FILE_NAME_BYTES])
{
    const char *slash = strchr(name, '/');
    if (slash == NULL)
        (void)snprintf(out, FILE_NAME_BYTES, ".");
    else
        (void)snprintf(out, FILE_NAME_BYTES, "%.*s", (int)(slash - name), name);
}

static int sync_at(int root, const char *folder)
{
    int fd = openat(root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    (void)close(fd);
    return result;
}

int folder_make_of(int root, const char *name)
{
    char folder[FILE_NAME_BYTES];
    folder_of(name, folder);
    if (mkdirat(root, folder, 0700) != 0)
        return errno == EEXIST ? 0 : -1;
    return sync_at(root, ".");
}

int folder_sync_of(int root, const char *name)
{
    char folder[FILE_NAME_BYTES];
    folder_of(name, folder);
    return sync_at(root, folder);
}

static bool shown(const char *name)
{
    size_t bytes = strlen(name);
    return name[0] != '.' && !(bytes > 5 && strcmp(name + bytes - 5, ".part") == 0);
}

static enum status list_into(DIR *folder, struct file_request *request)
{
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[FILE_NAME_BYTES];
        if (!shown(entry->d_name))
            continue;
        int bytes = snprintf(name, sizeof name, "%s/%s", request->name, entry->d_name);
        if (bytes < 0 || (size_t)bytes >= sizeof name)
            continue; /* longer than any name of ours */
        if (count == request->names_max)
            return STATUS_TOO_LARGE;
        size_t at = count++;
        for (; at > 0 && strcmp(request->names[at - 1], name) > 0; at--)
            memcpy(request->names[at], request->names[at - 1], FILE_NAME_BYTES);
        memcpy(request->names[at], name, FILE_NAME_BYTES);
    }
    request->bytes = count;
    return STATUS_OK;
}

enum status folder_list(int root, struct file_request *request)
{
    int fd = openat(root, request->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        request->bytes = 0;
        return errno == ENOENT ? STATUS_OK : STATUS_IO;
    }
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return STATUS_IO;
    }
    enum status status = list_into(folder, request);
    (void)closedir(folder);
    return status;
}

/* For people: who holds the lock. The lock itself is the kernel's, whatever stands in the file. */
static void lock_name_holder(int fd)
{
    char text[32];
    int bytes = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)bytes, 0);
}

static long lock_holder(int fd)
{
    char text[32] = "";
    ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
    return bytes > 0 ? strtol(text, NULL, 10) : 0;
}

enum status posix_lock_folder(const char *path, int *lock, struct failure *failure)
{
    int folder = folder_open(path, failure);
    *lock = -1;
    if (folder < 0)
        return STATUS_IO;
    int fd = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    (void)close(folder);
    if (fd < 0)
        return failure_set(failure, STATUS_IO, "the lock in %.80s cannot be opened: %s", path,
                           strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        long holder = lock_holder(fd);
        (void)close(fd);
        if (error == EWOULDBLOCK && holder > 0)
            return failure_set(failure, STATUS_CONFLICT,
                               "the data in %.80s is in use by process %ld", path, holder);
        if (error == EWOULDBLOCK)
            return failure_set(failure, STATUS_CONFLICT,
                               "the data in %.80s is in use by another process", path);
        return failure_set(failure, STATUS_IO, "the data in %.80s cannot be locked: %s", path,
                           strerror(error));
    }
    lock_name_holder(fd);
    *lock = fd;
    return STATUS_OK;
}

void posix_unlock_folder(int lock)
{
    if (lock >= 0)
        (void)close(lock);
}
