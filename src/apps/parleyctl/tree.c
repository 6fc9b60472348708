/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyctl/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define COPY_BYTES (1u << 20)

static void path_of(const char *root, const char *name, char out[TREE_PATH_BYTES])
{
    (void)snprintf(out, TREE_PATH_BYTES, "%.500s%s%.120s", root, *name != '\0' ? "/" : "", name);
}

static enum status failed(struct failure *failure, const char *what, const char *path)
{
    return failure_set(failure, STATUS_IO, "%.100s cannot be %s: %s", path, what, strerror(errno));
}

/* ---- list ---- */

static enum status file_add(struct tree *tree, int folder_fd, const char *folder, const char *name,
                            struct failure *failure)
{
    struct stat about;
    if (fstatat(folder_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? STATUS_OK : failed(failure, "looked at", name);
    if (!S_ISREG(about.st_mode))
        return STATUS_OK;
    if (tree->files == NULL)
        tree->files = memory_array(TREE_FILES_MAX, sizeof *tree->files);
    if (tree->files == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory");
    if (tree->count == TREE_FILES_MAX || strlen(folder) + strlen(name) + 2 > TREE_NAME_BYTES)
        return failure_set(failure, STATUS_TOO_LARGE, "too many files, or a name is too long: %s",
                           name);
    struct tree_file *file = &tree->files[tree->count++];
    memset(file, 0, sizeof *file);
    file->bytes = (uint64_t)about.st_size;
    (void)snprintf(file->name, sizeof file->name, "%s%s%s", folder, *folder != '\0' ? "/" : "",
                   name);
    return STATUS_OK;
}

enum status tree_add(struct tree *tree, const char *root, const char *folder,
                     struct failure *failure)
{
    char path[TREE_PATH_BYTES];
    enum status status = STATUS_OK;
    path_of(root, folder, path);
    DIR *listing = opendir(path);
    if (listing == NULL)
        return errno == ENOENT ? STATUS_OK : failed(failure, "read", path);
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(listing)) != NULL;)
        status = file_add(tree, dirfd(listing), folder, entry->d_name, failure);
    (void)closedir(listing);
    return status;
}

void tree_free(struct tree *tree)
{
    memory_free(tree->files);
    *tree = (struct tree){.count = 0};
}

/* ---- copy, write, hash ---- */

static bool folder_make(const char *path)
{
    char folder[TREE_PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    return mkdir(folder, 0700) == 0 || errno == EEXIST;
}

static bool write_all(int fd, const char *at, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = write(fd, at, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        at += wrote;
        bytes -= (size_t)wrote;
    }
    return true;
}

static bool bytes_copy(int in, int out, uint64_t bytes)
{
    static char space[COPY_BYTES];
    while (bytes > 0) {
        ssize_t got = read(in, space, bytes < sizeof space ? (size_t)bytes : sizeof space);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; /* shorter than it was */
        if (got <= 0 || !write_all(out, space, (size_t)got))
            return false;
        bytes -= (uint64_t)got;
    }
    return true;
}

enum status tree_copy(const struct tree_copy *copy, struct failure *failure)
{
    char from[TREE_PATH_BYTES], to[TREE_PATH_BYTES];
    path_of(copy->from, copy->name, from);
    path_of(copy->to, copy->to_name, to);
    if (!folder_make(to))
        return failed(failure, "made", to);
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return failed(failure, "read", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = out >= 0 && bytes_copy(in, out, copy->bytes) &&
                ftruncate(out, (off_t)copy->whole) == 0 && fsync(out) == 0;
    int error = errno;
    (void)close(in);
    if (out >= 0)
        done = close(out) == 0 && done;
    errno = error;
    return done ? STATUS_OK : failed(failure, "copied", to);
}

enum status tree_write(const char *root, const char *name, struct slice bytes,
                       struct failure *failure)
{
    char path[TREE_PATH_BYTES];
    path_of(root, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool done = folder_make(path) && fd >= 0 &&
                write_all(fd, (const char *)bytes.at, bytes.bytes) && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        done = close(fd) == 0 && done;
    errno = error;
    return done ? STATUS_OK : failed(failure, "written", path);
}

enum status tree_hash(const char *root, struct tree_file *file, struct failure *failure)
{
    char path[TREE_PATH_BYTES];
    struct slice whole = SLICE_EMPTY;
    path_of(root, file->name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return failed(failure, "read", path);
    if (file->bytes > 0) {
        void *at = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at != MAP_FAILED)
            whole = slice_make(at, (size_t)file->bytes);
    }
    (void)close(fd);
    if (file->bytes > 0 && whole.at == NULL)
        return failed(failure, "mapped", path);
    crypto_sha256(&whole, 1, file->hash);
    if (file->bytes > 0)
        (void)munmap((void *)(uintptr_t)whole.at, whole.bytes);
    return STATUS_OK;
}

/* ---- durable, gone ---- */

static bool folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return done;
}

enum status tree_sync(const char *root, struct failure *failure)
{
    static const char *const folders[] = {"keys", "log", "store", "quarantine", ""};
    char path[TREE_PATH_BYTES];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        path_of(root, folders[i], path);
        if (!folder_sync(path) && errno != ENOENT)
            return failed(failure, "synced", path);
    }
    path_of(root, "..", path);
    return folder_sync(path) ? STATUS_OK : failed(failure, "synced", path);
}

static void folder_remove(const char *path, int depth)
{
    char inner[TREE_PATH_BYTES];
    DIR *listing = opendir(path);
    if (listing == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        path_of(path, entry->d_name, inner);
        if (unlink(inner) != 0 && depth > 0)
            folder_remove(inner, depth - 1); /* at most two deep */
    }
    (void)closedir(listing);
    (void)rmdir(path);
}

void tree_remove(const char *root)
{
    folder_remove(root, 2);
}
