/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool name_valid(const char *name)
{
    size_t bytes = strlen(name);
    return bytes >= 1 && bytes <= PROFILE_NAME_BYTES_MAX && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               bytes;
}

enum status profile_find(struct profile *profile, const char *name, const char *folder,
                         struct failure *failure)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int bytes;
    memset(profile, 0, sizeof *profile);
    profile->lock_fd = -1;
    if (!folder && !name_valid(name))
        return failure_set(failure, STATUS_INVALID,
                           "a profile is named by letters, digits, '-', '_' and '.'");
    if (folder)
        bytes = snprintf(profile->folder, sizeof profile->folder, "%s", folder);
    else if (data && data[0] == '/')
        bytes = snprintf(profile->folder, sizeof profile->folder, "%s/parley/%s", data, name);
    else if (home && home[0] == '/')
        bytes = snprintf(profile->folder, sizeof profile->folder, "%s/.local/share/parley/%s", home,
                         name);
    else
        return failure_set(failure, STATUS_INVALID,
                           "neither XDG_DATA_HOME nor HOME is set: say --profile-dir");
    if (bytes < 1 || (size_t)bytes >= sizeof profile->folder - 16)
        return failure_set(failure, STATUS_INVALID, "the profile's folder has too long a name");
    return STATUS_OK;
}

static bool folder_make(const char *path)
{
    char part[PROFILE_PATH_BYTES_MAX];
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static void path_of(const struct profile *profile, const char *file, char *out)
{
    (void)snprintf(out, PROFILE_PATH_BYTES_MAX + 16, "%s/%s", profile->folder, file);
}

/* The number of the process that has the lock, as it wrote it there; 0 if unreadable. */
static long lock_holder(int fd)
{
    char text[24] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static enum status lock_take(struct profile *profile, struct failure *failure)
{
    char path[PROFILE_PATH_BYTES_MAX + 16], text[24];
    path_of(profile, "lock", path);
    profile->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (profile->lock_fd < 0)
        return failure_set(failure, STATUS_IO, "%s: %s", path, strerror(errno));
    if (flock(profile->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        long holder = lock_holder(profile->lock_fd);
        (void)close(profile->lock_fd);
        profile->lock_fd = -1;
        return failure_set(failure, STATUS_CONFLICT,
                           "another parley uses this profile (process %ld)", holder);
    }
    int bytes = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(profile->lock_fd, 0) != 0 ||
        pwrite(profile->lock_fd, text, (size_t)bytes, 0) != bytes)
        return failure_set(failure, STATUS_IO, "%s: %s", path, strerror(errno));
    return STATUS_OK;
}

enum status profile_open(struct profile *profile, enum profile_mode mode, struct failure *failure)
{
    char path[PROFILE_PATH_BYTES_MAX + 16];
    path_of(profile, "rows.sqlite", path);
    if (mode == PROFILE_MAKE && !folder_make(profile->folder))
        return failure_set(failure, STATUS_IO, "%s: %s", profile->folder, strerror(errno));
    if (mode != PROFILE_MAKE && access(path, F_OK) != 0)
        return failure_set(failure, STATUS_NOT_FOUND, "nobody is signed in here");
    enum status status = lock_take(profile, failure);
    if (status == STATUS_CONFLICT && mode == PROFILE_LOOK)
        profile->read_only = true;
    else if (status != STATUS_OK)
        return status;
    return sqlite_store_open(&profile->store, path, profile->read_only, failure);
}

void profile_wipe(struct profile *profile)
{
    profile->wiped = true; /* if this fails, the files go all the same */
    enum status status = profile->store.cstore.vtable->wipe(&profile->store.cstore);
    (void)status;
}

void profile_close(struct profile *profile)
{
    static const char *const files[] = {"rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm",
                                        "ca.pem"};
    char path[PROFILE_PATH_BYTES_MAX + 16];
    sqlite_store_close(&profile->store);
    for (size_t i = 0; profile->wiped && i < sizeof files / sizeof *files; i++) {
        path_of(profile, files[i], path);
        (void)unlink(path);
    }
    if (profile->lock_fd >= 0)
        (void)close(profile->lock_fd);
    profile->lock_fd = -1;
}
