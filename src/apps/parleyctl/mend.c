/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyctl/mend.h"

#include <stdio.h>
#include <string.h>

#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "apps/parleyd/data.h"
#include "apps/parleyd/index.h"

#define CACHE_MIB 32u

struct work {
    const struct mend_options *options;
    struct posix_file file;
    struct log log;
    struct index index;
    uint8_t id[ID_BYTES];
};

static enum status log_begin(struct work *work, struct failure *failure)
{
    struct log_options options = log_options_default();
    options.folder = "log";
    options.part = LOG_PART_LATER;
    options.repair = work->options->repair;
    options.new_epoch = work->options->new_epoch;
    options.inspect = work->options->inspect;
    enum status known = data_log_id(work->options->data, work->id);
    if (known != STATUS_OK)
        return failure_set(failure, known, "%.80s/keys/log.id is %s: restore keys/ of this server",
                           work->options->data,
                           known == STATUS_NOT_FOUND ? "missing" : "unreadable");
    options.id = work->id;
    enum status status = posix_file_open(&work->file, work->options->data, NULL, failure);
    if (status != STATUS_OK)
        return status;
    if (log_open(&work->log, &work->file.port, system_clock(), system_entropy(), &options) !=
        STATUS_OK)
        return failure_set(failure, STATUS_BUSY, "no memory for the log");
    return STATUS_OK;
}

/* The rows, whole in synced files; how far they are. */
static enum status rows_begin(struct work *work, struct mend *mend, struct failure *failure)
{
    const struct index_options options = {.data = work->options->data,
                                          .cache_mib = CACHE_MIB,
                                          .log_first = log_first(&work->log),
                                          .program = "parleyctl"};
    enum status status = index_open(&work->index, &options, failure);
    if (status == STATUS_OK && work->options->verify)
        status = rocks_db_verify(&work->index.db, failure);
    if (status == STATUS_OK)
        status = index_flush(&work->index, &mend->part, failure);
    return status;
}

static enum status recover(struct work *work, struct mend *mend, struct failure *failure)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && work->log.state == LOG_RECOVERING) {
        if (log_awaits_part(&work->log)) {
            mend->epoch_before = work->log.meta.log_epoch;
            status = rows_begin(work, mend, failure);
            if (status == STATUS_OK)
                log_part(&work->log, mend->part);
            continue;
        }
        posix_file_wait(&work->file, 100);
        log_turn(&work->log);
    }
    return status;
}

static void note(const struct work *work, struct mend *mend)
{
    const struct log *log = &work->log;
    mend->first = log_first(log);
    mend->end = log->end;
    mend->log_epoch = log->meta.log_epoch;
    mend->holes_count = log->meta.holes_count;
    memcpy(mend->holes, log->meta.holes, sizeof mend->holes);
    mend->aside = log->report.aside;
    mend->verdict = log->report.verdict;
    memcpy(mend->alarm, log->report.alarm, sizeof mend->alarm);
}

/* Sealed, and its end noted, as after a stop. */
static enum status finish(struct work *work, struct failure *failure)
{
    struct log *log = &work->log;
    if (log->state == LOG_READY) {
        log_stop(log);
        while (log->state == LOG_READY) {
            posix_file_wait(&work->file, 10);
            log_turn(log);
        }
    }
    if (log->state == LOG_STOPPED ||
        (work->options->inspect && log->failure.status == STATUS_OK && log->state != LOG_FAILED))
        return STATUS_OK;
    *failure = log->failure;
    return failure->status;
}

enum status mend_run(struct mend *mend, const struct mend_options *options, struct failure *failure)
{
    static struct work work; /* large */
    *mend = (struct mend){.part = 0};
    memset(&work, 0, sizeof work);
    work.options = options;
    enum status status = log_begin(&work, failure);
    if (status == STATUS_OK)
        status = recover(&work, mend, failure);
    if (status == STATUS_OK) {
        note(&work, mend);
        status = finish(&work, failure);
    }
    bool stopped = work.log.state == LOG_STOPPED;
    if (!stopped)
        posix_file_close(&work.file);
    index_close(&work.index, stopped);
    if (work.log.bus.vtable != NULL)
        log_close(&work.log);
    if (stopped)
        posix_file_close(&work.file);
    return status;
}
