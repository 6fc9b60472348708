/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/posix/file.h"

#define FORMAT_LABEL "parley-data "

/* ---- look ---- */

/* May a new data folder begin here? What a start that was cut short leaves counts as nothing. */
static bool folder_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = folder != NULL;
    for (struct dirent *entry; empty && (entry = readdir(folder)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lock") == 0 || strcmp(entry->d_name, "keys") == 0 ||
                strcmp(entry->d_name, "format.new") == 0;
    if (folder != NULL)
        (void)closedir(folder);
    return empty;
}

static enum status format_read(const char *path, const char *text, unsigned *format,
                               struct failure *failure)
{
    if (strncmp(text, FORMAT_LABEL, strlen(FORMAT_LABEL)) != 0)
        return failure_set(failure, STATUS_INVALID, "%.80s/format is not what parleyd writes",
                           path);
    unsigned long number = strtoul(text + strlen(FORMAT_LABEL), NULL, 10);
    if (number == 0)
        return failure_set(failure, STATUS_INVALID, "%.80s/format names no version", path);
    *format = number < UINT32_MAX ? (unsigned)number : UINT32_MAX;
    return STATUS_OK;
}

enum status data_format(const char *path, unsigned *format, struct failure *failure)
{
    char text[64] = "";
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return failure_set(failure, STATUS_NOT_FOUND, "there is no folder %.80s", path);
    if (folder < 0)
        return failure_set(failure, STATUS_IO, "the folder %.80s cannot be opened: %s", path,
                           strerror(errno));
    int fd = openat(folder, "format", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = errno;
    (void)close(folder);
    if (fd < 0 && error != ENOENT)
        return failure_set(failure, STATUS_IO, "%.80s/format cannot be read: %s", path,
                           strerror(error));
    if (fd < 0 && folder_empty(path))
        return failure_set(failure, STATUS_NOT_FOUND, "there is no data in %.80s", path);
    if (fd < 0)
        return failure_set(failure, STATUS_INVALID,
                           "%.80s holds something else than data of Parley", path);
    ssize_t bytes = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (bytes < 0)
        return failure_set(failure, STATUS_IO, "%.80s/format cannot be read: %s", path,
                           strerror(errno));
    return format_read(path, text, format, failure);
}

enum status data_look(const char *path, struct failure *failure)
{
    unsigned format;
    enum status status = data_format(path, &format, failure);
    if (status != STATUS_OK || format == DATA_FORMAT)
        return status;
    if (format > DATA_FORMAT)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "%.60s is of a newer version (format %u, this parleyd knows %u); "
                           "nothing was changed",
                           path, format, DATA_FORMAT);
    return failure_set(failure, STATUS_UNSUPPORTED,
                       "%.60s is of an older version (format %u, this parleyd needs %u); nothing "
                       "was changed: parleyctl upgrade --dry-run says what would be done",
                       path, format, DATA_FORMAT);
}

/* ---- small whole files ---- */

static bool write_new(int folder, const char *name, struct slice bytes)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool done = write(fd, bytes.at, bytes.bytes) == (ssize_t)bytes.bytes && fsync(fd) == 0;
    return close(fd) == 0 && done;
}

static bool file_make(int folder, const char *name, struct slice bytes)
{
    char part[64];
    (void)snprintf(part, sizeof part, "%s.new", name);
    return write_new(folder, part, bytes) && renameat(folder, part, folder, name) == 0 &&
           fsync(folder) == 0;
}

/* NOT_FOUND; INVALID: another length. */
static enum status file_take(int folder, const char *name, uint8_t *out, size_t bytes)
{
    uint8_t more;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    bool whole = read(fd, out, bytes) == (ssize_t)bytes && read(fd, &more, 1) == 0;
    (void)close(fd);
    return whole ? STATUS_OK : STATUS_INVALID;
}

/* A random secret with a file of its own. */
struct key_file {
    const char *name;
    uint8_t *at;
    size_t bytes;
    bool made; /* out: it was not there */
};

static enum status key_take_or_make(int folder, struct key_file *key, struct entropy *entropy)
{
    enum status status = file_take(folder, key->name, key->at, key->bytes);
    if (status != STATUS_NOT_FOUND)
        return status;
    key->made = true;
    entropy->vtable->fill(entropy, key->at, key->bytes);
    return file_make(folder, key->name, slice_make(key->at, key->bytes)) ? STATUS_OK : STATUS_IO;
}

/* ---- open ---- */

static enum status keys_open(struct data *data, int root, struct entropy *entropy, bool *made,
                             struct failure *failure)
{
    struct witness_keys *keys = &data->witness;
    struct key_file witness = {"witness.key", keys->now, sizeof keys->now, false};
    struct key_file server = {"server.id", data->server, ID_BYTES, false};
    if (mkdirat(root, "keys", 0700) != 0 && errno != EEXIST)
        return failure_set(failure, STATUS_IO, "%.80s/keys cannot be made: %s", data->path,
                           strerror(errno));
    int folder = openat(root, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return failure_set(failure, STATUS_IO, "%.80s/keys cannot be opened: %s", data->path,
                           strerror(errno));
    enum status status = key_take_or_make(folder, &witness, entropy);
    *made = witness.made;
    if (status == STATUS_OK)
        status = key_take_or_make(folder, &server, entropy);
    if (status == STATUS_OK) {
        status = file_take(folder, "witness.before", keys->before, sizeof keys->before);
        keys->has_before = status == STATUS_OK;
        status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    if (status == STATUS_OK) {
        status = file_take(folder, "log.id", data->log_id, sizeof data->log_id);
        data->has_log = status == STATUS_OK;
        status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    (void)close(folder);
    if (status != STATUS_OK)
        return failure_set(failure, status, "a file in %.80s/keys is broken or cannot be used",
                           data->path);
    return STATUS_OK;
}

static enum status contents_open(struct data *data, bool fresh, struct entropy *entropy,
                                 struct failure *failure)
{
    static const char format[] = FORMAT_LABEL "1\n";
    bool made = false;
    int root = open(data->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return failure_set(failure, STATUS_IO, "the folder %.80s cannot be opened: %s", data->path,
                           strerror(errno));
    (void)fchmod(root, 0700);
    enum status status = keys_open(data, root, entropy, &made, failure);
    data->keys_lost = made && !fresh;
    /* Last: from here on it is a data folder, and has its keys. */
    if (status == STATUS_OK && fresh && !file_make(root, "format", SLICE_LITERAL(format)))
        status = failure_set(failure, STATUS_IO, "%.80s/format cannot be written: %s", data->path,
                             strerror(errno));
    (void)close(root);
    return status;
}

enum status data_open(struct data *data, const char *path, struct entropy *entropy,
                      struct failure *failure)
{
    *data = (struct data){.path = path, .lock = -1};
    enum status status = data_look(path, failure);
    bool fresh = status == STATUS_NOT_FOUND;
    if (status != STATUS_OK && !fresh)
        return status;
    status = posix_lock_folder(path, &data->lock, failure);
    if (status == STATUS_OK)
        status = contents_open(data, fresh, entropy, failure);
    if (status != STATUS_OK)
        data_close(data);
    return status;
}

/* keys/ of a data folder; negative: errno says why. */
static int keys_folder(const char *path)
{
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int folder = openat(root, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    (void)close(root);
    errno = error;
    return folder;
}

enum status data_log_id(const char *path, uint8_t out[ID_BYTES])
{
    int folder = keys_folder(path);
    if (folder < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    enum status status = file_take(folder, "log.id", out, ID_BYTES);
    (void)close(folder);
    return status;
}

enum status data_log_note(struct data *data, const uint8_t log_id[ID_BYTES],
                          struct failure *failure)
{
    if (data->has_log)
        return STATUS_OK;
    int folder = keys_folder(data->path);
    bool done = folder >= 0 && file_make(folder, "log.id", slice_make(log_id, ID_BYTES));
    if (folder >= 0)
        (void)close(folder);
    if (!done)
        return failure_set(failure, STATUS_IO, "%.80s/keys/log.id cannot be written: %s",
                           data->path, strerror(errno));
    memcpy(data->log_id, log_id, ID_BYTES);
    data->has_log = true;
    return STATUS_OK;
}

enum status data_format_note(const char *path, unsigned format, struct failure *failure)
{
    char text[64];
    int bytes = snprintf(text, sizeof text, FORMAT_LABEL "%u\n", format);
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = root >= 0 && file_make(root, "format", slice_make(text, (size_t)bytes));
    int error = errno;
    if (root >= 0)
        (void)close(root);
    if (!done)
        return failure_set(failure, STATUS_IO, "%.80s/format cannot be written: %s", path,
                           strerror(error));
    return STATUS_OK;
}

void data_close(struct data *data)
{
    posix_unlock_folder(data->lock);
    data->lock = -1;
    memset(&data->witness, 0, sizeof data->witness);
}
