/* SPDX-License-Identifier: Apache-2.0
 * backup.c: parleyctl backup DIR. Of a running server: it makes a copy of its rows by hard links
 * and says how far its log is; copied are those rows, the log from where they end up to there, the
 * keys. Of one at rest: everything as it lies there, damage too.
 * What is copied goes to DIR.partial, and becomes DIR when all of it, and its list, is durable. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adapters/log/format.h"
#include "adapters/posix/admin.h"
#include "adapters/posix/file.h"
#include "apps/parleyctl/ctl.h"
#include "apps/parleyctl/manifest.h"
#include "apps/parleyd/data.h"
#include "base/base64.h"

#define WAIT_NS     50000000
#define WAIT_ROUNDS (20u * 600u) /* ten minutes for the rows */

struct backup {
    const char *data, *to;
    char partial[TREE_PATH_BYTES];
    char rows[TREE_NAME_BYTES]; /* folder of the rows, in the data folder */
    bool running;
    uint64_t end_at, base, number; /* where the log's copy ends: in which segment, which byte */
    struct manifest manifest;
};

/* ---- the server's half ---- */

static enum status ask(const struct backup *backup, const char *line, char *answer, size_t bytes,
                       struct failure *failure)
{
    enum status status = posix_admin_ask(backup->data, line, answer, bytes, failure);
    if (status == STATUS_OK && strncmp(answer, "error ", 6) == 0)
        return failure_set(failure, STATUS_DENIED, "the server refused: %.160s", answer + 6);
    return status;
}

static void answer_take(struct backup *backup, const char *line, const char *value)
{
    const struct {
        const char *key;
        uint64_t *at;
    } numbers[] = {
        {"log_epoch ", &backup->manifest.log_epoch},
        {"part ", &backup->manifest.part},
        {"end ", &backup->manifest.end},
        {"end_at ", &backup->end_at},
        {"base ", &backup->base},
        {"number ", &backup->number},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strncmp(line, numbers[i].key, strlen(numbers[i].key)) == 0)
            *numbers[i].at = strtoull(value, NULL, 10);
    struct buf id = buf_over(backup->manifest.log_id, ID_BYTES);
    if (strncmp(line, "log_id ", 7) == 0)
        (void)!hex_read(slice_text(value), &id);
    if (strncmp(line, "rows ", 5) == 0)
        (void)snprintf(backup->rows, sizeof backup->rows, "backup/%.60s", value);
}

/* AGAIN: it is still being made. */
static enum status state_take(struct backup *backup, char *answer, struct failure *failure)
{
    bool ready = false;
    for (char *line = answer, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        char *blank = strchr(line, ' ');
        if (blank == NULL)
            continue;
        if (strcmp(line, "state failed") == 0 || strcmp(line, "state none") == 0)
            return failure_set(failure, STATUS_IO, "the server could not copy its rows%s%.160s",
                               end[1] == 'w' ? ": " : "", end[1] == 'w' ? end + 5 : "");
        ready |= strcmp(line, "state ready") == 0;
        answer_take(backup, line, blank + 1);
    }
    return ready ? STATUS_OK : STATUS_AGAIN;
}

static enum status rows_wait(struct backup *backup, struct failure *failure)
{
    static const struct timespec pause = {.tv_nsec = WAIT_NS};
    static char answer[4096];
    enum status status = ask(backup, "backup begin", answer, sizeof answer, failure);
    if (status != STATUS_OK)
        return status;
    status = STATUS_AGAIN;
    for (unsigned i = 0; status == STATUS_AGAIN && i < WAIT_ROUNDS; i++) {
        (void)nanosleep(&pause, NULL);
        status = ask(backup, "backup state", answer, sizeof answer, failure);
        if (status == STATUS_OK)
            status = state_take(backup, answer, failure);
    }
    if (status == STATUS_AGAIN)
        return failure_set(failure, STATUS_TIMEOUT, "the server took too long to copy its rows");
    return status;
}

/* ---- copies ---- */

static enum status copy(const struct backup *backup, const struct tree_file *file, uint64_t bytes,
                        struct failure *failure)
{
    const struct tree_copy one = {.from = backup->data,
                                  .to = backup->partial,
                                  .name = file->name,
                                  .to_name = file->name,
                                  .bytes = bytes,
                                  .whole = file->bytes};
    return tree_copy(&one, failure);
}

/* All files of a folder as they are, but for `without`. */
static enum status folder_copy(const struct backup *backup, const char *folder, const char *without,
                               struct failure *failure)
{
    struct tree tree = {.count = 0};
    enum status status = tree_add(&tree, backup->data, folder, failure);
    for (size_t i = 0; status == STATUS_OK && i < tree.count; i++) {
        const char *name = strrchr(tree.files[i].name, '/') + 1;
        if (strcmp(name, without) != 0)
            status = copy(backup, &tree.files[i], tree.files[i].bytes, failure);
    }
    tree_free(&tree);
    return status;
}

static enum status rows_copy(const struct backup *backup, struct failure *failure)
{
    struct tree tree = {.count = 0};
    enum status status = tree_add(&tree, backup->data, backup->rows, failure);
    for (size_t i = 0; status == STATUS_OK && i < tree.count; i++) {
        char to[TREE_NAME_BYTES];
        const char *name = strrchr(tree.files[i].name, '/') + 1;
        (void)snprintf(to, sizeof to, "store/%.80s", name);
        const struct tree_copy one = {.from = backup->data,
                                      .to = backup->partial,
                                      .name = tree.files[i].name,
                                      .to_name = to,
                                      .bytes = tree.files[i].bytes,
                                      .whole = tree.files[i].bytes};
        if (strcmp(name, "LOCK") != 0)
            status = tree_copy(&one, failure);
    }
    tree_free(&tree);
    return status;
}

/* ---- the log of a running server ---- */

/* The segment that holds `part`: the last that begins at or below it. */
static uint64_t first_base(const struct tree *tree, uint64_t part)
{
    uint64_t best = 0, base;
    for (size_t i = 0; i < tree->count; i++)
        if (log_segment_name_read("log", tree->files[i].name, &base) && base <= part && base > best)
            best = base;
    return best;
}

/* The newest slot of log.meta as it is now: written in turn, so one of the two is whole. */
static enum status meta_read(const struct backup *backup, struct log_meta *out,
                             struct failure *failure)
{
    char path[TREE_PATH_BYTES];
    uint8_t slots[LOG_META_BYTES];
    (void)snprintf(path, sizeof path, "%.500s/log/log.meta", backup->data);
    FILE *file = fopen(path, "re");
    bool found = false, read = file != NULL && fread(slots, 1, sizeof slots, file) == sizeof slots;
    if (file != NULL)
        (void)fclose(file);
    for (size_t i = 0; read && i < 2; i++) {
        struct log_meta meta;
        struct slice slot = slice_make(slots + i * LOG_BLOCK_BYTES, LOG_BLOCK_BYTES);
        if (log_meta_read(slot, &meta) != STATUS_OK || (found && meta.counter < out->counter))
            continue;
        *out = meta;
        found = true;
    }
    return found ? STATUS_OK : failure_set(failure, STATUS_CORRUPT, "%.100s cannot be read", path);
}

/* A log that was stopped in order at `end`: whoever opens the copy knows what it must hold. */
static enum status meta_write(const struct backup *backup, uint64_t first, struct failure *failure)
{
    struct log_meta meta;
    static uint8_t slots[LOG_META_BYTES];
    enum status status = meta_read(backup, &meta, failure);
    if (status != STATUS_OK)
        return status;
    const struct manifest *manifest = &backup->manifest;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < meta.holes_count; i++)
        if (meta.holes[i].end > first && meta.holes[i].end <= manifest->end)
            meta.holes[kept++] = meta.holes[i];
    meta.holes_count = kept;
    meta.counter = 2;
    meta.first = first;
    meta.flushed = manifest->part;
    meta.newest = backup->number;
    meta.clean = true;
    meta.end = manifest->end;
    meta.end_at = meta.end_group = meta.end_append_us = 0;
    meta.end_chain = 0;
    log_meta_write(&meta, slots);
    return tree_write(backup->partial, "log/log.meta", SLICE_OF(slots), failure);
}

static enum status log_copy(const struct backup *backup, struct failure *failure)
{
    struct tree tree = {.count = 0};
    uint64_t base, first = 0;
    enum status status = tree_add(&tree, backup->data, "log", failure);
    if (status == STATUS_OK)
        first = first_base(&tree, backup->manifest.part);
    for (size_t i = 0; status == STATUS_OK && i < tree.count; i++) {
        const struct tree_file *file = &tree.files[i];
        if (!log_segment_name_read("log", file->name, &base) || base < first || base > backup->base)
            continue;
        /* Behind end_at the server writes on: what is there may be torn. */
        bool newest = base == backup->base;
        status = copy(backup, file, newest ? backup->end_at : file->bytes, failure);
    }
    tree_free(&tree);
    return status == STATUS_OK ? meta_write(backup, first, failure) : status;
}

/* ---- all of it ---- */

static enum status live(struct backup *backup, struct failure *failure)
{
    enum status status = rows_wait(backup, failure);
    if (status == STATUS_OK)
        status = rows_copy(backup, failure);
    if (status == STATUS_OK)
        status = log_copy(backup, failure);
    return status;
}

static enum status at_rest(struct backup *backup, struct failure *failure)
{
    struct log_meta meta = {.counter = 0};
    struct failure ignored = {0};
    enum status status = folder_copy(backup, "store", "LOCK", failure);
    if (status == STATUS_OK)
        status = folder_copy(backup, "log", "spare", failure);
    if (status == STATUS_OK && meta_read(backup, &meta, &ignored) == STATUS_OK) {
        memcpy(backup->manifest.log_id, meta.log_id, ID_BYTES);
        backup->manifest.log_epoch = meta.log_epoch;
        backup->manifest.end = meta.clean ? meta.end : 0;
    }
    return status;
}

/* Of the folder itself: its format, and what operators did. */
static enum status top_copy(struct backup *backup, struct failure *failure)
{
    struct tree tree = {.count = 0};
    enum status status = tree_add(&tree, backup->data, "", failure);
    for (size_t i = 0; status == STATUS_OK && i < tree.count; i++)
        if (strcmp(tree.files[i].name, "format") == 0 ||
            strcmp(tree.files[i].name, "audit.log") == 0)
            status = copy(backup, &tree.files[i], tree.files[i].bytes, failure);
    tree_free(&tree);
    return status;
}

static enum status rest(struct backup *backup, struct failure *failure)
{
    enum status status = top_copy(backup, failure);
    if (status == STATUS_OK)
        status = folder_copy(backup, "keys", "", failure);
    if (status == STATUS_OK)
        status = folder_copy(backup, "quarantine", "", failure);
    if (status == STATUS_OK)
        status = manifest_make(&backup->manifest, backup->partial, failure);
    if (status == STATUS_OK && rename(backup->partial, backup->to) != 0)
        status = failure_set(failure, STATUS_IO, "%.100s cannot be made", backup->to);
    return status == STATUS_OK ? tree_sync(backup->to, failure) : status;
}

static enum status backup_begin(struct backup *backup, struct failure *failure)
{
    enum status status = data_look(backup->data, failure);
    size_t bytes = strlen(backup->to);
    if (status != STATUS_OK)
        return status;
    if (bytes == 0 || bytes > 400 || backup->to[bytes - 1] == '/')
        return failure_set(failure, STATUS_INVALID,
                           "give the backup's folder by a name that does not end in /");
    if (access(backup->to, F_OK) == 0)
        return failure_set(failure, STATUS_CONFLICT,
                           "%.100s is there already: a backup makes its folder, name another",
                           backup->to);
    (void)snprintf(backup->partial, sizeof backup->partial, "%.500s.partial", backup->to);
    tree_remove(backup->partial); /* of a backup that was cut short */
    if (mkdir(backup->partial, 0700) != 0)
        return failure_set(failure, STATUS_IO, "%.100s cannot be made: %s", backup->partial,
                           strerror(errno));
    return STATUS_OK;
}

int ctl_backup(const struct ctl *ctl)
{
    static struct backup backup;
    struct failure failure = {0}, ignored = {0};
    char answer[64];
    int lock = -1;
    backup = (struct backup){.data = ctl->data, .to = ctl->words[1]};
    enum status status = backup_begin(&backup, &failure);
    if (status == STATUS_OK)
        backup.running = posix_lock_folder(ctl->data, &lock, &ignored) != STATUS_OK;
    if (status == STATUS_OK)
        status = backup.running ? live(&backup, &failure) : at_rest(&backup, &failure);
    if (status == STATUS_OK)
        status = rest(&backup, &failure);
    if (status != STATUS_OK && backup.partial[0] != '\0')
        tree_remove(backup.partial);
    if (backup.running)
        (void)!ask(&backup, "backup end", answer, sizeof answer, &ignored);
    posix_unlock_folder(lock);
    if (status == STATUS_OK)
        (void)printf("backed up to %s: %zu files, the log up to offset %llu\n", backup.to,
                     backup.manifest.files.count, (unsigned long long)backup.manifest.end);
    else
        (void)fprintf(stderr, "parleyctl: no backup was made: %s\n", failure.text);
    manifest_free(&backup.manifest);
    return status == STATUS_OK ? CTL_OK : CTL_PROBLEM;
}
