/* SPDX-License-Identifier: Apache-2.0
 * RocksDB's write-ahead log, as far as RocksDB does not look itself. Its files follow each other by
 * the sequence numbers of their batches. Opened strictly, it takes a file that ends early for the
 * torn end of the log even when another file follows: the batches between would be missing in the
 * middle of what is there. Format: blocks of 32 KiB; records of crc32c 4, length 2, type 1, data; a
 * batch begins with its first sequence number 8 and how many it takes 4; all little-endian. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/rocksdb/rocks.h"
#include "base/memory.h"

#define COPIES_MAX   1000u
#define NAME_BYTES   (ROCKS_PATH_BYTES + 300u)
#define FILES_MAX    256u
#define BLOCK_BYTES  32768u
#define HEADER_BYTES 7u
#define BATCH_BYTES  12u

enum record_type { RECORD_NONE, RECORD_FULL, RECORD_FIRST, RECORD_MIDDLE, RECORD_LAST };

struct wal_file {
    char name[32];
    uint64_t number;
    bool any;            /* has it a whole batch? */
    uint64_t first, end; /* sequence numbers: of its first batch; one past its last */
};

struct wal_reader {
    struct wal_file *file;
    uint8_t begin[BATCH_BYTES]; /* of the batch at hand */
    size_t begin_bytes;
};

/* ---- one file ---- */

static uint64_t little(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static void record_read(struct wal_reader *reader, enum record_type type, struct slice data)
{
    struct wal_file *file = reader->file;
    if (type == RECORD_FULL || type == RECORD_FIRST)
        reader->begin_bytes = 0;
    size_t room = BATCH_BYTES - reader->begin_bytes;
    size_t bytes = data.bytes < room ? data.bytes : room;
    if (bytes > 0)
        memcpy(reader->begin + reader->begin_bytes, data.at, bytes);
    reader->begin_bytes += bytes;
    if ((type != RECORD_FULL && type != RECORD_LAST) || reader->begin_bytes < BATCH_BYTES)
        return;
    uint64_t first = little(reader->begin, 8);
    if (!file->any)
        file->first = first;
    file->any = true;
    file->end = first + little(reader->begin + 8, 4);
}

/* Returns whether the next block is worth a look. */
static bool block_read(struct wal_reader *reader, const uint8_t *block, size_t bytes)
{
    size_t at = 0;
    while (bytes - at >= HEADER_BYTES) {
        size_t data_bytes = (size_t)little(block + at + 4, 2);
        uint8_t type = block[at + 6];
        if (type == RECORD_NONE && data_bytes == 0)
            return true; /* room allocated ahead */
        if (type == RECORD_NONE || type > RECORD_LAST || data_bytes > bytes - at - HEADER_BYTES)
            return false;
        record_read(reader, (enum record_type)type,
                    slice_make(block + at + HEADER_BYTES, data_bytes));
        at += HEADER_BYTES + data_bytes;
    }
    return true;
}

static enum status file_read(int folder, struct wal_file *file, uint8_t *block)
{
    struct wal_reader reader = {.file = file};
    int fd = openat(folder, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : (ssize_t)BLOCK_BYTES;
    bool more = true;
    while (got == (ssize_t)BLOCK_BYTES && more) {
        got = read(fd, block, BLOCK_BYTES); /* of a regular file: short only at its end */
        if (got > 0)
            more = block_read(&reader, block, (size_t)got);
    }
    if (fd >= 0)
        (void)close(fd);
    return got < 0 ? STATUS_IO : STATUS_OK;
}

/* ---- all files ---- */

static bool is_wal(const char *name, uint64_t *number)
{
    char *end = NULL;
    *number = strtoull(name, &end, 10);
    return end != name && strcmp(end, ".log") == 0 &&
           strlen(name) < sizeof(struct wal_file){0}.name;
}

/* In the order of their numbers. Returns their count. */
static size_t files_list(DIR *folder, struct wal_file files[FILES_MAX])
{
    size_t count = 0;
    uint64_t number;
    for (struct dirent *entry; count < FILES_MAX && (entry = readdir(folder)) != NULL;) {
        if (!is_wal(entry->d_name, &number))
            continue;
        size_t at = count++;
        for (; at > 0 && files[at - 1].number > number; at--)
            files[at] = files[at - 1];
        files[at] = (struct wal_file){.number = number};
        memcpy(files[at].name, entry->d_name, strlen(entry->d_name) + 1); /* is_wal: it fits */
    }
    return count;
}

/* The first file that does not go on where the one before it ended; 0: none. */
static uint64_t gap_find(const struct wal_file *files, size_t count)
{
    const struct wal_file *before = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!files[i].any)
            continue;
        if (before != NULL && files[i].first != before->end)
            return files[i].number;
        before = &files[i];
    }
    return 0;
}

enum status rocks_wal_look(const char *path, uint64_t *gap, struct failure *failure)
{
    DIR *folder = opendir(path);
    struct wal_file *files = memory_array(FILES_MAX, sizeof *files);
    uint8_t *block = memory_alloc(BLOCK_BYTES);
    enum status status = folder == NULL ? STATUS_IO : STATUS_OK;
    *gap = 0;
    if (files == NULL || block == NULL)
        status = STATUS_BUSY;
    size_t count = status == STATUS_OK ? files_list(folder, files) : 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = file_read(dirfd(folder), &files[i], block);
    if (status == STATUS_OK)
        *gap = gap_find(files, count);
    if (folder != NULL)
        (void)closedir(folder);
    memory_free(files);
    memory_free(block);
    if (status != STATUS_OK)
        return failure_set(failure, status, "the write-ahead log in %.60s cannot be read", path);
    return STATUS_OK;
}

enum status rocks_wal_drop(const char *path, uint64_t from, struct failure *failure)
{
    DIR *folder = opendir(path);
    bool done = folder != NULL;
    uint64_t number;
    for (struct dirent *entry; done && (entry = readdir(folder)) != NULL;)
        if (is_wal(entry->d_name, &number) && number >= from)
            done = unlinkat(dirfd(folder), entry->d_name, 0) == 0;
    if (folder != NULL)
        (void)closedir(folder);
    if (!done)
        return failure_set(failure, STATUS_IO,
                           "the part of the write-ahead log in %.50s behind a gap cannot be "
                           "removed",
                           path);
    return STATUS_OK;
}

/* ---- aside ---- */

static bool copy_bytes(int from, int to, uint8_t *block)
{
    for (;;) {
        ssize_t got = read(from, block, BLOCK_BYTES);
        if (got <= 0)
            return got == 0 && fsync(to) == 0;
        if (write(to, block, (size_t)got) != got)
            return false;
    }
}

static bool copy_file(int from_folder, int to_folder, const char *name, uint8_t *block)
{
    int from = openat(from_folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int to = openat(to_folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = from >= 0 && to >= 0 && copy_bytes(from, to, block);
    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    return done;
}

/* A new folder `path`.wal-N; -1: none. */
static int aside_make(const char *path)
{
    char name[NAME_BYTES];
    for (uint32_t i = 1; i <= COPIES_MAX; i++) {
        (void)snprintf(name, sizeof name, "%s.wal-%u", path, i);
        if (mkdir(name, 0700) == 0)
            return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

enum status rocks_wal_copy(const char *path, struct failure *failure)
{
    DIR *folder = opendir(path);
    int aside = aside_make(path);
    uint8_t *block = memory_alloc(BLOCK_BYTES);
    bool done = folder != NULL && aside >= 0 && block != NULL;
    uint64_t number;
    for (struct dirent *entry; done && (entry = readdir(folder)) != NULL;)
        if (is_wal(entry->d_name, &number))
            done = copy_file(dirfd(folder), aside, entry->d_name, block);
    done = done && fsync(aside) == 0;
    int error = errno;
    if (folder != NULL)
        (void)closedir(folder);
    if (aside >= 0)
        (void)close(aside);
    memory_free(block);
    if (!done)
        return failure_set(failure, STATUS_IO,
                           "the damaged write-ahead log in %.50s cannot be copied aside: %s", path,
                           strerror(error));
    return STATUS_OK;
}
