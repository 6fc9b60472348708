/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define FOLDER     "quarantine"
#define NAME_BYTES 32
#define READ_BYTES 4096u

/* ---- files ---- */

/* A descriptor of DATA/quarantine; −1 and errno. */
static int folder_open(const struct quarantine *quarantine)
{
    int root = open(quarantine->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int folder = -1;
    if (mkdirat(root, FOLDER, 0700) == 0 ? fsync(root) == 0 : errno == EEXIST)
        folder = openat(root, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int error = errno;
    (void)close(root);
    errno = error;
    return folder;
}

static bool is_copy(const char *name)
{
    return strlen(name) == 20 && strspn(name, "0123456789abcdef") == 16 &&
           strcmp(name + 16, ".rec") == 0;
}

static void files_count(struct quarantine *quarantine, int folder)
{
    int again = dup(folder);
    DIR *listing = again < 0 ? NULL : fdopendir(again);
    if (listing == NULL) {
        if (again >= 0)
            (void)close(again);
        return;
    }
    quarantine->files = 0;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        quarantine->files += is_copy(entry->d_name);
    quarantine->counted = true;
    (void)closedir(listing);
}

void quarantine_open(struct quarantine *quarantine, const char *path)
{
    *quarantine = (struct quarantine){.path = path};
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int folder = openat(root, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder >= 0) {
        files_count(quarantine, folder);
        (void)close(folder);
    }
    if (root >= 0)
        (void)close(root);
}

/* Does the file hold just these bytes? NOT_FOUND: there is none; else OK or CONFLICT. */
static enum status file_compare(int folder, const char *name, struct slice bytes)
{
    uint8_t space[READ_BYTES];
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CONFLICT;
    size_t at = 0;
    ssize_t got;
    bool same = true;
    while (same && (got = read(fd, space, sizeof space)) > 0) {
        same = (size_t)got <= bytes.bytes - at && memcmp(space, bytes.at + at, (size_t)got) == 0;
        at += (size_t)got;
    }
    (void)close(fd);
    return same && at == bytes.bytes ? STATUS_OK : STATUS_CONFLICT;
}

static bool file_make(int folder, const char *name, struct slice bytes)
{
    char part[NAME_BYTES + 8];
    (void)snprintf(part, sizeof part, "%s.new", name);
    int fd = openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool done = true;
    for (size_t at = 0; done && at < bytes.bytes;) {
        ssize_t wrote = write(fd, bytes.at + at, bytes.bytes - at);
        done = wrote > 0;
        at += done ? (size_t)wrote : 0;
    }
    done = done && fsync(fd) == 0;
    int error = errno;
    done =
        close(fd) == 0 && done && renameat(folder, part, folder, name) == 0 && fsync(folder) == 0;
    error = done || error == 0 ? errno : error;
    if (!done)
        (void)unlinkat(folder, part, 0);
    errno = error;
    return done;
}

static enum quarantine_copy copy(struct quarantine *quarantine, int folder,
                                 const struct lane_unreadable *record)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%016llx.rec", (unsigned long long)record->place.offset);
    enum status there = file_compare(folder, name, record->bytes);
    if (there == STATUS_OK)
        return QUARANTINE_COPIED;
    if (there == STATUS_NOT_FOUND && quarantine->files >= QUARANTINE_FILES_MAX)
        return QUARANTINE_FULL;
    errno = 0;
    if (!file_make(folder, name, record->bytes)) {
        quarantine->error = errno;
        return QUARANTINE_FAILED;
    }
    quarantine->files += there == STATUS_NOT_FOUND;
    return QUARANTINE_COPIED;
}

void quarantine_take(struct quarantine *quarantine, const struct lane_unreadable *first)
{
    if (first == NULL)
        return;
    errno = 0;
    int folder = folder_open(quarantine);
    int error = errno;
    if (folder >= 0 && !quarantine->counted)
        files_count(quarantine, folder);
    for (const struct lane_unreadable *at = first; at != NULL; at = at->next) {
        quarantine->any = true;
        quarantine->topic = at->topic;
        quarantine->offset = at->place.offset;
        quarantine->bytes = at->bytes.bytes;
        quarantine->decoded = at->decoded;
        quarantine->error = error;
        quarantine->copy = folder < 0 ? QUARANTINE_FAILED : copy(quarantine, folder, at);
        if (quarantine->copy != QUARANTINE_COPIED &&
            (quarantine->uncopied_next == 0 || quarantine->offset < quarantine->uncopied_next - 1))
            quarantine->uncopied_next = quarantine->offset + 1;
        quarantine->untold++;
    }
    if (folder >= 0)
        (void)close(folder);
}

/* ---- words ---- */

void quarantine_tell(struct quarantine *quarantine, uint64_t now_us)
{
    char where[256] = "", more[64] = "";
    if (quarantine->untold == 0 ||
        (quarantine->told_us != 0 && now_us - quarantine->told_us < QUARANTINE_TELL_US))
        return;
    switch (quarantine->copy) {
    case QUARANTINE_COPIED:
        (void)snprintf(where, sizeof where, "a copy is in %.180s/" FOLDER "/%016llx.rec",
                       quarantine->path, (unsigned long long)quarantine->offset);
        break;
    case QUARANTINE_FULL:
        (void)snprintf(where, sizeof where,
                       "no copy was made: %.160s/" FOLDER " holds %u; the log holds the record",
                       quarantine->path, quarantine->files);
        break;
    case QUARANTINE_FAILED:
        (void)snprintf(where, sizeof where,
                       "no copy was made: %.120s/" FOLDER ": %s; the log holds the record",
                       quarantine->path, strerror(quarantine->error));
        break;
    }
    if (quarantine->untold > 1)
        (void)snprintf(more, sizeof more, ", and %llu before it",
                       (unsigned long long)quarantine->untold - 1);
    (void)fprintf(stderr,
                  "parleyd: ALARM: record at offset %llu of topic %s cannot be read (%s, %zu "
                  "bytes)%s; it was left out; %s\n",
                  (unsigned long long)quarantine->offset, topic_text(quarantine->topic),
                  quarantine->decoded ? "no record of that topic" : "no record", quarantine->bytes,
                  more, where);
    quarantine->untold = 0;
    quarantine->told_us = now_us;
}
