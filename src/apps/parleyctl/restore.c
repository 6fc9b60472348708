/* SPDX-License-Identifier: Apache-2.0
 * restore.c: parleyctl restore DIR --verify, and restore DIR --data NEW. Both read every byte of
 * the backup against its list, then open what they have copied as a start would, and read all
 * rows. A restored server begins a new log_epoch: devices may have seen more than the backup holds;
 * they begin from its state and send again what it lacks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/parleyctl/ctl.h"
#include "apps/parleyctl/manifest.h"
#include "apps/parleyctl/mend.h"
#include "apps/parleyd/data.h"

struct restore {
    const char *from, *to;
    char folder[TREE_PATH_BYTES]; /* where it is put together */
    struct manifest manifest;
};

static enum status all_copy(struct restore *restore, struct failure *failure)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < restore->manifest.files.count; i++) {
        const struct tree_file *file = &restore->manifest.files.files[i];
        const struct tree_copy one = {.from = restore->from,
                                      .to = restore->folder,
                                      .name = file->name,
                                      .to_name = file->name,
                                      .bytes = file->bytes,
                                      .whole = file->bytes};
        if (strcmp(file->name, MANIFEST_NAME) != 0)
            status = tree_copy(&one, failure);
    }
    return status == STATUS_OK ? tree_sync(restore->folder, failure) : status;
}

/* As a start does; then all of it is read, and the log closed in order. */
static enum status try_it(struct restore *restore, bool new_epoch, struct mend *mend,
                          struct failure *failure)
{
    struct mend_options options = {
        .data = restore->folder, .new_epoch = new_epoch, .verify = true, .repair = false};
    enum status status = mend_run(mend, &options, failure);
    if (status == STATUS_OK && mend->part < restore->manifest.part)
        status =
            failure_set(failure, STATUS_CORRUPT, "its rows end at offset %llu, not at %llu",
                        (unsigned long long)mend->part, (unsigned long long)restore->manifest.part);
    if (status == STATUS_OK && mend->end < restore->manifest.end)
        status =
            failure_set(failure, STATUS_CORRUPT, "its log ends at offset %llu, not at %llu",
                        (unsigned long long)mend->end, (unsigned long long)restore->manifest.end);
    return status;
}

static enum status place_free(const struct restore *restore, struct failure *failure)
{
    enum status status = data_look(restore->to, failure);
    if (status == STATUS_NOT_FOUND)
        return rmdir(restore->to) == 0 || errno == ENOENT
                   ? STATUS_OK
                   : failure_set(failure, STATUS_CONFLICT, "%.100s is not empty", restore->to);
    if (status == STATUS_OK || status == STATUS_UNSUPPORTED)
        return failure_set(failure, STATUS_CONFLICT,
                           "there is a server's data in %.80s: it is left alone. Name another "
                           "folder (--data), or move that one away",
                           restore->to);
    return status;
}

static enum status put_together(struct restore *restore, bool new_epoch, struct mend *mend,
                                struct failure *failure)
{
    tree_remove(restore->folder); /* of a restore that was cut short */
    if (mkdir(restore->folder, 0700) != 0)
        return failure_set(failure, STATUS_IO, "%.100s cannot be made: %s", restore->folder,
                           strerror(errno));
    enum status status = all_copy(restore, failure);
    if (status == STATUS_OK)
        status = try_it(restore, new_epoch, mend, failure);
    return status;
}

static int verify(struct restore *restore)
{
    struct failure failure = {0};
    struct mend mend;
    (void)snprintf(restore->folder, sizeof restore->folder, "%.500s.verify", restore->from);
    enum status status = manifest_check(&restore->manifest, restore->from, &failure);
    if (status == STATUS_OK)
        status = put_together(restore, false, &mend, &failure);
    tree_remove(restore->folder);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "parleyctl: %s cannot be restored: %s\n", restore->from,
                      failure.text);
        return CTL_PROBLEM;
    }
    (void)printf("%s is good: %zu files, rows up to offset %llu, the log up to %llu\n",
                 restore->from, restore->manifest.files.count, (unsigned long long)mend.part,
                 (unsigned long long)mend.end);
    return CTL_OK;
}

static int restore_to(struct restore *restore)
{
    struct failure failure = {0};
    struct mend mend;
    (void)snprintf(restore->folder, sizeof restore->folder, "%.500s.partial", restore->to);
    enum status status = place_free(restore, &failure);
    if (status == STATUS_OK)
        status = manifest_check(&restore->manifest, restore->from, &failure);
    if (status == STATUS_OK)
        status = put_together(restore, true, &mend, &failure);
    if (status == STATUS_OK && rename(restore->folder, restore->to) != 0)
        status = failure_set(&failure, STATUS_IO, "%.100s cannot be renamed: %s", restore->folder,
                             strerror(errno));
    if (status == STATUS_OK)
        status = tree_sync(restore->to, &failure);
    if (status != STATUS_OK) {
        tree_remove(restore->folder);
        (void)fprintf(stderr, "parleyctl: nothing was restored: %s\n", failure.text);
        return CTL_PROBLEM;
    }
    (void)printf("restored to %s: the log up to offset %llu, log epoch %u\n"
                 "Start it: parleyd --data %s (under the name and address devices know). Devices "
                 "begin from this state and send again what it lacks.\n",
                 restore->to, (unsigned long long)mend.end, mend.log_epoch, restore->to);
    return CTL_OK;
}

int ctl_restore(const struct ctl *ctl)
{
    static struct restore restore;
    restore = (struct restore){.from = ctl->words[1], .to = ctl->data};
    int code = ctl->verify ? verify(&restore) : restore_to(&restore);
    manifest_free(&restore.manifest);
    return code;
}
