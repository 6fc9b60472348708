/* SPDX-License-Identifier: Apache-2.0
 * tornfs FOLDER MOUNT SEED [liar]: a file system (FUSE) for power cuts. Files lie in FOLDER/tree,
 * as the programs above see them; what would undo everything that no fsync has made durable is
 * kept in memory. Writing anything to MOUNT/.cut takes the power away:
 *   - each 4 KiB page written since the last fsync of its file is old, new, or a mixture of both by
 *     sectors of 512 bytes; a length that grew may have grown or not;
 *   - names (create, unlink, rename, link, mkdir, rmdir) happened in their order up to some moment,
 *     which is not before the last fsync of a folder; the later ones did not. A file's own fsync
 *     makes its name no more durable than POSIX does: not at all.
 * A liar's fsync does nothing, as of a disk whose cache forgets: so the tests of tests are made.
 * One thread; whoever cuts has closed all files first. Runs in the foreground until unmounted. */
#define FUSE_USE_VERSION 31
#include <fuse3/fuse.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/prng.h"

#define PAGE       4096u
#define SECTOR     512u
#define PATH_BYTES 512
#define FILES      1024u /* lists of files, by their inode */
#define CUT        "/.cut"

struct page {
    struct page *next;
    uint64_t number;
    uint8_t old[PAGE];
};

struct file { /* one with something to undo */
    struct file *next;
    ino_t ino;
    uint64_t old_bytes; /* its length at the last fsync */
    struct page *pages;
};

enum op { OP_MADE, OP_FOLDER_MADE, OP_GONE, OP_FOLDER_GONE, OP_RENAMED };

struct name { /* what was done to names, oldest first */
    enum op op;
    char at[PATH_BYTES], from[PATH_BYTES];
    char grave[PATH_BYTES]; /* where the file lies that was there; "": none was */
};

struct torn {
    char tree[PATH_BYTES], folder[PATH_BYTES];
    struct file *files[FILES];
    struct name *names;
    size_t names_count, names_max;
    uint64_t graves, cuts;
    struct prng prng;
    bool liar;
};

static struct torn *torn(void)
{
    return fuse_get_context()->private_data;
}

static int answer(int result)
{
    return result < 0 ? -errno : 0;
}

static char *path_of(const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%.200s%.300s", torn()->tree, name);
    return out;
}

static void *room(void *had, size_t bytes)
{
    void *at = realloc(had, bytes);
    if (at == NULL)
        abort();
    return at;
}

/* ---- what would undo writes ---- */

static struct file **file_place(struct torn *torn, ino_t ino)
{
    struct file **at = &torn->files[ino % FILES];
    while (*at != NULL && (*at)->ino != ino)
        at = &(*at)->next;
    return at;
}

static struct file *file_note(struct torn *torn, int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        abort();
    struct file **place = file_place(torn, stat.st_ino);
    if (*place == NULL) {
        *place = room(NULL, sizeof **place);
        **place = (struct file){.ino = stat.st_ino, .old_bytes = (uint64_t)stat.st_size};
    }
    return *place;
}

static void page_note(struct file *file, int fd, uint64_t number)
{
    for (struct page *page = file->pages; page != NULL; page = page->next)
        if (page->number == number)
            return;
    struct page *page = room(NULL, sizeof *page);
    memset(page->old, 0, PAGE); /* behind the end: zeros */
    if (pread(fd, page->old, PAGE, (off_t)(number * PAGE)) < 0)
        abort();
    page->number = number;
    page->next = file->pages;
    file->pages = page;
}

static void pages_note(struct torn *torn, int fd, uint64_t at, uint64_t bytes)
{
    struct file *file = file_note(torn, fd);
    for (uint64_t number = at / PAGE; number * PAGE < at + bytes; number++)
        page_note(file, fd, number);
}

static void file_forget(struct torn *torn, ino_t ino)
{
    struct file **place = file_place(torn, ino), *file = *place;
    if (file == NULL)
        return;
    while (file->pages != NULL) {
        struct page *page = file->pages;
        file->pages = page->next;
        free(page);
    }
    *place = file->next;
    free(file);
}

/* ---- what would undo names ---- */

static struct name *name_note(struct torn *torn, enum op op, const char *at)
{
    if (torn->names_count == torn->names_max) {
        torn->names_max = torn->names_max == 0 ? 64 : 2 * torn->names_max;
        torn->names = room(torn->names, torn->names_max * sizeof *torn->names);
    }
    struct name *name = &torn->names[torn->names_count++];
    memset(name, 0, sizeof *name);
    name->op = op;
    (void)snprintf(name->at, PATH_BYTES, "%s", at);
    return name;
}

/* What lies at `path` may come back: under another name until then. */
static int bury(struct torn *torn, const char *path, char grave[PATH_BYTES])
{
    (void)snprintf(grave, PATH_BYTES, "%.200s/grave/%llu", torn->folder,
                   (unsigned long long)torn->graves++);
    return rename(path, grave);
}

static void names_keep(struct torn *torn, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (torn->names[i].grave[0] != '\0')
            (void)unlink(torn->names[i].grave);
    memmove(torn->names, torn->names + count, (torn->names_count - count) * sizeof *torn->names);
    torn->names_count -= count;
}

static void name_undo(const struct name *name)
{
    switch (name->op) {
    case OP_MADE: (void)unlink(name->at); break;
    case OP_FOLDER_MADE: (void)rmdir(name->at); break;
    case OP_FOLDER_GONE: (void)mkdir(name->at, 0700); break;
    case OP_RENAMED: (void)rename(name->at, name->from); break;
    case OP_GONE: break;
    }
    if (name->grave[0] != '\0')
        (void)rename(name->grave, name->at);
}

/* ---- the cut ---- */

/* How a whole cut is minded: everything unsynced is old, or new, or each page for itself. */
enum mood { MOOD_OLD, MOOD_NEW, MOOD_MIXED, MOODS = 5 };

static void page_cut(struct prng *prng, enum mood mood, int fd, const struct page *page)
{
    uint64_t fate = mood == MOOD_OLD ? 0 : mood == MOOD_NEW ? 1 : prng_below(prng, 3);
    for (uint32_t at = 0; at < PAGE && fate != 1; at += SECTOR)
        if ((fate == 0 || prng_chance(prng, 500)) &&
            pwrite(fd, page->old + at, SECTOR, (off_t)(page->number * PAGE + at)) < 0)
            abort();
}

static void file_cut(struct torn *torn, enum mood mood, const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDWR | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &stat) != 0)
        abort();
    struct file *file = *file_place(torn, stat.st_ino);
    if (file != NULL) {
        uint64_t now = (uint64_t)stat.st_size;
        bool shrinks = mood == MOOD_OLD || (mood >= MOOD_MIXED && prng_chance(&torn->prng, 500));
        for (struct page *page = file->pages; page != NULL; page = page->next)
            page_cut(&torn->prng, mood, fd, page);
        if (ftruncate(fd, (off_t)(shrinks ? file->old_bytes : now)) != 0)
            abort();
        file_forget(torn, stat.st_ino);
    }
    (void)close(fd);
}

static void tree_cut(struct torn *torn, enum mood mood, const char *path)
{
    DIR *folder = opendir(path);
    char below[PATH_BYTES];
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof below, "%.250s/%.255s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            tree_cut(torn, mood, below); /* EXCEPTION: recursion, as deep as the folders */
        else if (entry->d_type == DT_REG)
            file_cut(torn, mood, below);
    }
    if (folder != NULL)
        (void)closedir(folder);
}

static void cut(struct torn *torn)
{
    enum mood mood = (enum mood)prng_below(&torn->prng, MOODS);
    size_t kept = mood == MOOD_OLD   ? 0
                  : mood == MOOD_NEW ? torn->names_count
                                     : (size_t)prng_below(&torn->prng, torn->names_count + 1);
    while (torn->names_count > kept)
        name_undo(&torn->names[--torn->names_count]);
    names_keep(torn, torn->names_count);
    tree_cut(torn, mood, torn->tree);
    for (size_t i = 0; i < FILES; i++) /* of files whose names are gone */
        while (torn->files[i] != NULL)
            file_forget(torn, torn->files[i]->ino);
    torn->cuts++;
}

/* ---- operations: names ---- */

static int fs_getattr(const char *name, struct stat *out, struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    if (strcmp(name, CUT) == 0) {
        *out = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
        return 0;
    }
    return answer(info ? fstat((int)info->fh, out) : lstat(path_of(name, path), out));
}

/* EXCEPTION: FUSE says what its parameters are. */
static int fs_readdir(const char *name, void *into, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    char path[PATH_BYTES];
    DIR *folder = opendir(path_of(name, path));
    (void)at;
    (void)info;
    (void)flags;
    if (folder == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)fill(into, entry->d_name, NULL, 0, 0);
    (void)closedir(folder);
    return 0;
}

static int fs_mkdir(const char *name, mode_t mode)
{
    char path[PATH_BYTES];
    if (mkdir(path_of(name, path), mode) != 0)
        return -errno;
    (void)name_note(torn(), OP_FOLDER_MADE, path);
    return 0;
}

static int fs_mknod(const char *name, mode_t mode, dev_t device)
{
    char path[PATH_BYTES];
    if (mknod(path_of(name, path), mode, device) != 0)
        return -errno;
    (void)name_note(torn(), OP_MADE, path);
    return 0;
}

static int fs_rmdir(const char *name)
{
    char path[PATH_BYTES];
    if (rmdir(path_of(name, path)) != 0)
        return -errno;
    (void)name_note(torn(), OP_FOLDER_GONE, path);
    return 0;
}

static int fs_unlink(const char *name)
{
    char path[PATH_BYTES], grave[PATH_BYTES];
    if (bury(torn(), path_of(name, path), grave) != 0)
        return -errno;
    memcpy(name_note(torn(), OP_GONE, path)->grave, grave, PATH_BYTES);
    return 0;
}

static int fs_rename(const char *from_name, const char *to_name, unsigned flags)
{
    char from[PATH_BYTES], to[PATH_BYTES], grave[PATH_BYTES] = "";
    struct stat stat;
    path_of(from_name, from);
    path_of(to_name, to);
    if (flags != 0)
        return -EINVAL;
    if (lstat(from, &stat) != 0)
        return -errno;
    if (lstat(to, &stat) == 0 && S_ISREG(stat.st_mode) && bury(torn(), to, grave) != 0)
        return -errno;
    if (rename(from, to) != 0)
        return -errno;
    struct name *note = name_note(torn(), OP_RENAMED, to);
    memcpy(note->from, from, PATH_BYTES);
    memcpy(note->grave, grave, PATH_BYTES);
    return 0;
}

static int fs_link(const char *from_name, const char *to_name)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    if (link(path_of(from_name, from), path_of(to_name, to)) != 0)
        return -errno;
    (void)name_note(torn(), OP_MADE, to);
    return 0;
}

static int fs_chmod(const char *name, mode_t mode, struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    (void)info;
    return answer(chmod(path_of(name, path), mode));
}

static int fs_utimens(const char *name, const struct timespec times[2], struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    (void)info;
    return answer(utimensat(AT_FDCWD, path_of(name, path), times, AT_SYMLINK_NOFOLLOW));
}

static int fs_statfs(const char *name, struct statvfs *out)
{
    (void)name;
    return answer(statvfs(torn()->tree, out));
}

/* ---- operations: bytes ---- */

static int opened(int fd, struct fuse_file_info *info)
{
    if (fd < 0)
        return -errno;
    info->fh = (uint64_t)fd;
    info->direct_io = 1; /* nothing stays in the system's cache over a cut */
    return 0;
}

static int fs_truncate(const char *name, off_t bytes, struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    struct stat stat;
    int fd = info ? (int)info->fh : open(path_of(name, path), O_RDWR);
    if (strcmp(name, CUT) == 0)
        return 0;
    if (fd < 0 || fstat(fd, &stat) != 0)
        return -errno;
    (void)file_note(torn(), fd);
    if (bytes < stat.st_size)
        pages_note(torn(), fd, (uint64_t)bytes, (uint64_t)(stat.st_size - bytes));
    int result = answer(ftruncate(fd, bytes));
    if (!info)
        (void)close(fd);
    return result;
}

static int fs_open(const char *name, struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    if (strcmp(name, CUT) == 0)
        return opened(open("/dev/null", O_WRONLY), info);
    int shortens = info->flags & O_TRUNC;
    int flags = (info->flags & ~(O_TRUNC | O_APPEND | O_DIRECT | O_ACCMODE)) |
                ((info->flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR);
    int result = opened(open(path_of(name, path), flags), info);
    return result == 0 && shortens ? fs_truncate(name, 0, info) : result;
}

static int fs_create(const char *name, mode_t mode, struct fuse_file_info *info)
{
    char path[PATH_BYTES];
    int fd = open(path_of(name, path), O_RDWR | O_CREAT | O_EXCL, mode);
    if (fd >= 0)
        (void)name_note(torn(), OP_MADE, path);
    else if (errno == EEXIST && !(info->flags & O_EXCL))
        return fs_open(name, info);
    return opened(fd, info);
}

static int fs_read(const char *name, char *into, size_t bytes, off_t at,
                   struct fuse_file_info *info)
{
    (void)name;
    ssize_t got = pread((int)info->fh, into, bytes, at);
    return got < 0 ? -errno : (int)got;
}

static int fs_write(const char *name, const char *from, size_t bytes, off_t at,
                    struct fuse_file_info *info)
{
    if (strcmp(name, CUT) == 0) {
        cut(torn());
        return (int)bytes;
    }
    pages_note(torn(), (int)info->fh, (uint64_t)at, bytes);
    ssize_t gone = pwrite((int)info->fh, from, bytes, at);
    return gone < 0 ? -errno : (int)gone;
}

static int fs_fallocate(const char *name, int mode, off_t at, off_t bytes,
                        struct fuse_file_info *info)
{
    (void)name;
    (void)file_note(torn(), (int)info->fh);
    return mode & ~FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP
                                       : answer(fallocate((int)info->fh, mode, at, bytes));
}

static int fs_fsync(const char *name, int data_only, struct fuse_file_info *info)
{
    struct stat stat;
    (void)name;
    (void)data_only;
    if (fstat((int)info->fh, &stat) != 0)
        return -errno;
    if (!torn()->liar)
        file_forget(torn(), stat.st_ino);
    return 0;
}

static int fs_fsyncdir(const char *name, int data_only, struct fuse_file_info *info)
{
    (void)name;
    (void)data_only;
    (void)info;
    if (!torn()->liar)
        names_keep(torn(), torn()->names_count);
    return 0;
}

static int fs_release(const char *name, struct fuse_file_info *info)
{
    (void)name;
    return answer(close((int)info->fh));
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    (void)conn;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    config->use_ino = 1;
    config->nullpath_ok = 0;
    config->hard_remove = 1;
    return fuse_get_context()->private_data;
}

static const struct fuse_operations operations = {
    .init = fs_init,
    .getattr = fs_getattr,
    .readdir = fs_readdir,
    .mkdir = fs_mkdir,
    .mknod = fs_mknod,
    .rmdir = fs_rmdir,
    .unlink = fs_unlink,
    .rename = fs_rename,
    .link = fs_link,
    .chmod = fs_chmod,
    .utimens = fs_utimens,
    .statfs = fs_statfs,
    .truncate = fs_truncate,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsyncdir,
    .fallocate = fs_fallocate,
    .release = fs_release,
};

int main(int count, char **arguments)
{
    static struct torn state;
    char grave[PATH_BYTES];
    if (count < 4) {
        (void)fprintf(stderr, "usage: tornfs FOLDER MOUNT SEED [liar]\n");
        return 2;
    }
    prng_init(&state.prng, strtoull(arguments[3], NULL, 10));
    state.liar = count > 4 && strcmp(arguments[4], "liar") == 0;
    (void)snprintf(state.folder, sizeof state.folder, "%.200s", arguments[1]);
    (void)snprintf(state.tree, sizeof state.tree, "%.200s/tree", arguments[1]);
    (void)snprintf(grave, sizeof grave, "%.200s/grave", arguments[1]);
    if (mkdir(state.tree, 0700) != 0 || mkdir(grave, 0700) != 0) {
        perror("tornfs");
        return 1;
    }
    char *fuse_arguments[] = {arguments[0], "-f", "-s", arguments[2], NULL};
    return fuse_main(4, fuse_arguments, &operations, &state);
}
