/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/upkeep.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MIB   (UINT64_C(1) << 20)
#define S_US  UINT64_C(1000000)
#define DAY_S UINT64_C(86400)

static void folder_of(const struct upkeep *upkeep, const char *name,
                      char out[CHECKPOINT_PATH_BYTES])
{
    (void)snprintf(out, CHECKPOINT_PATH_BYTES, "%.512s/%s", upkeep->config->data, name);
}

/* What a backup that never ended left. */
static void leftovers_remove(const struct upkeep *upkeep)
{
    char path[CHECKPOINT_PATH_BYTES], inner[CHECKPOINT_PATH_BYTES + 256];
    folder_of(upkeep, "backup", path);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        (void)snprintf(inner, sizeof inner, "%s/%.200s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            rocks_db_remove(inner);
    }
    (void)closedir(folder);
}

void upkeep_open(struct upkeep *upkeep, const struct config *config, struct log *log,
                 struct rocks_db *db, struct clock_reading now)
{
    char path[CHECKPOINT_PATH_BYTES];
    *upkeep = (struct upkeep){.config = config, .log = log, .db = db};
    folder_of(upkeep, "checkpoints", path);
    (void)mkdir(path, 0700);
    leftovers_remove(upkeep);
    checkpoints_list(config->data, &upkeep->kept);
    upkeep->flushed_us = upkeep->checkpoint_us = now.mono_us;
    upkeep->flushed = log->meta.flushed;
    upkeep->flushed_bytes = log_bytes_at(log, upkeep->flushed);
    upkeep->checkpoint_bytes =
        log_bytes_at(log, upkeep->kept.count > 0 ? upkeep->kept.parts[upkeep->kept.count - 1] : 0);
    uint64_t age_us = now.wall_us - upkeep->kept.newest_s * S_US;
    if (upkeep->kept.count > 0 && upkeep->kept.newest_s * S_US < now.wall_us)
        upkeep->checkpoint_us = age_us < now.mono_us ? now.mono_us - age_us : 0;
}

/* ---- when ---- */

static bool anything_new(const struct upkeep *upkeep)
{
    return upkeep->log->end > upkeep->flushed;
}

static bool checkpoint_new(const struct upkeep *upkeep)
{
    const struct checkpoints *kept = &upkeep->kept;
    return upkeep->log->end > (kept->count > 0 ? kept->parts[kept->count - 1] : 0);
}

static bool flush_due(const struct upkeep *upkeep, uint64_t now_us)
{
    const struct config *config = upkeep->config;
    return anything_new(upkeep) &&
           (log_bytes(upkeep->log) - upkeep->flushed_bytes >= config->flush_mib * MIB ||
            now_us - upkeep->flushed_us >= config->flush_s * S_US);
}

static bool checkpoint_due(const struct upkeep *upkeep, uint64_t now_us)
{
    const struct config *config = upkeep->config;
    uint64_t bytes = config->keep_mib * MIB / 2;
    if (bytes < upkeep->log->options.segment_bytes)
        bytes = upkeep->log->options.segment_bytes;
    return checkpoint_new(upkeep) &&
           (log_bytes(upkeep->log) - upkeep->checkpoint_bytes >= bytes ||
            now_us - upkeep->checkpoint_us >= config->checkpoint_s * S_US);
}

uint64_t upkeep_deadline_us(const struct upkeep *upkeep)
{
    uint64_t at = UINT64_MAX;
    if (upkeep->config == NULL || upkeep->running)
        return at; /* the keeper wakes us */
    if (anything_new(upkeep))
        at = upkeep->flushed_us + upkeep->config->flush_s * S_US;
    uint64_t checkpoint_us = upkeep->checkpoint_us + upkeep->config->checkpoint_s * S_US;
    if (checkpoint_new(upkeep) && checkpoint_us < at)
        at = checkpoint_us;
    return at;
}

/* ---- what ---- */

static bool begin(struct upkeep *upkeep, enum rocks_task_kind kind)
{
    upkeep->task = (struct rocks_task){
        .kind = kind, .folder = upkeep->folder, .numbered = kind == ROCKS_CHECKPOINT};
    upkeep->task.part.key = row_key_make(TABLE_META, NULL, NULL, META_PART);
    upkeep->running = rocks_db_task(upkeep->db, &upkeep->task) == STATUS_OK;
    return upkeep->running;
}

static void checkpoint_begin(struct upkeep *upkeep, bool backing)
{
    folder_of(upkeep, backing ? "backup" : "checkpoints", upkeep->folder);
    (void)mkdir(upkeep->folder, 0700);
    upkeep->backing = begin(upkeep, ROCKS_CHECKPOINT) && backing;
}

/* Everything acknowledged until now lies below it; the rows are at most as far as that. */
static void backup_mark(struct upkeep *upkeep)
{
    const struct log *log = upkeep->log;
    const struct log_segment *newest = &log->segments[log->segments_count - 1];
    upkeep->backup_end = log->end;
    upkeep->backup_end_at = log->end_at;
    upkeep->backup_base = newest->base;
    upkeep->backup_number = newest->number;
}

static void work_begin(struct upkeep *upkeep, uint64_t now_us)
{
    const struct checkpoints *kept = &upkeep->kept;
    if (upkeep->backup == BACKUP_WANTED && upkeep->log->segments_count > 0) {
        checkpoint_begin(upkeep, true);
    } else if (upkeep->backup == BACKUP_NONE && upkeep->backup_folder[0] != '\0') {
        (void)snprintf(upkeep->folder, sizeof upkeep->folder, "%s", upkeep->backup_folder);
        if (begin(upkeep, ROCKS_REMOVE))
            upkeep->backup_folder[0] = '\0';
    } else if (kept->count > UPKEEP_CHECKPOINTS) {
        checkpoint_path(upkeep->config->data, kept->parts[0], upkeep->folder);
        (void)begin(upkeep, ROCKS_REMOVE);
    } else if (checkpoint_due(upkeep, now_us)) {
        checkpoint_begin(upkeep, false);
    } else if (flush_due(upkeep, now_us)) {
        (void)begin(upkeep, ROCKS_FLUSH);
    }
}

/* ---- done ---- */

static void tell(struct upkeep *upkeep, const struct rocks_task *task, uint64_t now_us)
{
    upkeep->failures++;
    if (upkeep->told_us != 0 && now_us - upkeep->told_us < UPKEEP_TELL_US)
        return;
    upkeep->told_us = now_us;
    (void)fprintf(stderr,
                  "parleyd: ALARM: the index cannot be secured (%s): nothing is lost, but the log "
                  "grows. Is there room in %s? It is tried again\n",
                  task->failure.text, upkeep->config->data);
}

static void flushed(struct upkeep *upkeep, const struct rocks_task *task)
{
    uint64_t part = task->part.columns[1];
    if (part > upkeep->flushed)
        upkeep->flushed = part;
    log_flushed(upkeep->log, part);
}

static void checkpoint_done(struct upkeep *upkeep, const struct rocks_task *task)
{
    flushed(upkeep, task);
    if (upkeep->backing) {
        upkeep->backup_part = task->part.columns[1];
        checkpoint_in(upkeep->folder, upkeep->backup_part, upkeep->backup_folder);
        backup_mark(upkeep);
        if (upkeep->backup == BACKUP_WANTED)
            upkeep->backup = BACKUP_READY;
        return;
    }
    checkpoints_list(upkeep->config->data, &upkeep->kept);
}

static void task_done(struct upkeep *upkeep, uint64_t now_us)
{
    const struct rocks_task *task = &upkeep->task;
    bool backing = upkeep->backing;
    upkeep->running = false;
    /* A failed one is tried again as if it had just been done: later. */
    if (task->kind != ROCKS_REMOVE) {
        upkeep->flushed_us = now_us;
        upkeep->flushed_bytes = log_bytes(upkeep->log);
    }
    if (task->kind == ROCKS_CHECKPOINT && !backing) {
        upkeep->checkpoint_us = now_us;
        upkeep->checkpoint_bytes = upkeep->flushed_bytes;
    }
    if (task->status != STATUS_OK) {
        tell(upkeep, task, now_us);
        if (backing)
            upkeep->backup = BACKUP_FAILED;
    } else if (task->kind == ROCKS_CHECKPOINT) {
        checkpoint_done(upkeep, task);
    } else if (task->kind == ROCKS_FLUSH) {
        flushed(upkeep, task);
    } else {
        checkpoints_list(upkeep->config->data, &upkeep->kept);
    }
    upkeep->backing = false;
}

/* ---- trim ---- */

static void trim(struct upkeep *upkeep, uint64_t wall_us)
{
    const struct config *config = upkeep->config;
    const struct checkpoints *kept = &upkeep->kept;
    uint64_t keep_us = config->keep_days * DAY_S * S_US;
    if (kept->count < UPKEEP_CHECKPOINTS || upkeep->backup == BACKUP_WANTED)
        return;
    uint64_t before =
        log_old(upkeep->log, config->keep_mib * MIB, wall_us > keep_us ? wall_us - keep_us : 0);
    uint64_t oldest = kept->parts[kept->count - UPKEEP_CHECKPOINTS];
    if (oldest < before)
        before = oldest;
    if (upkeep->flushed < before)
        before = upkeep->flushed;
    if (upkeep->backup == BACKUP_READY && upkeep->backup_part < before)
        before = upkeep->backup_part;
    log_trim(upkeep->log, before);
}

void upkeep_turn(struct upkeep *upkeep, struct clock_reading now)
{
    if (upkeep->config == NULL || upkeep->log->state != LOG_READY)
        return;
    if (upkeep->running && rocks_db_task_done(upkeep->db) != NULL) {
        task_done(upkeep, now.mono_us);
        trim(upkeep, now.wall_us);
    }
    if (!upkeep->running)
        work_begin(upkeep, now.mono_us);
}

void upkeep_finish(struct upkeep *upkeep)
{
    static const struct timespec a_moment = {.tv_nsec = 1000000};
    while (upkeep->running && rocks_db_task_done(upkeep->db) == NULL)
        (void)nanosleep(&a_moment, NULL);
    upkeep->running = false;
}

/* ---- backup ---- */

void upkeep_backup_begin(struct upkeep *upkeep)
{
    upkeep->backup = BACKUP_WANTED;
}

void upkeep_backup_end(struct upkeep *upkeep)
{
    upkeep->backup = BACKUP_NONE;
}
