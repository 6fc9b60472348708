/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/rocksdb/rocks.h"
#include "base/assert.h"

#define ROW_BYTES_MAX ((size_t)64 << 10)

/* A failed sync makes RocksDB refuse every later write: it shows there, and is not tried again. */
static void sync_wal(struct rocks_db *db)
{
    struct rocks_keeper *keeper = &db->keeper;
    /* relaxed: a commit counted late is synced a round later */
    uint64_t commits = atomic_load_explicit(&keeper->commits, memory_order_relaxed);
    char *error = NULL;
    if (commits == keeper->synced)
        return; /* an idle server leaves the disk asleep */
    rocksdb_flush_wal(db->rocks, 1, &error);
    (void)rocks_status(error);
    keeper->synced = commits;
}

/* Names in the folder that holds `path` are durable. */
static bool parent_sync(const char *path)
{
    char folder[ROCKS_PATH_BYTES + 32];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    int fd = open(slash == folder ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return synced;
}

void rocks_db_remove(const char *folder)
{
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_destroy_db(options, folder, &error);
    (void)rocks_status(error);
    rocksdb_options_destroy(options);
    (void)rmdir(folder);
}

/* RocksDB 7.8's C interface flushes one family at a time, which would tear families apart that only
 * hold together; a checkpoint flushes all of them as one. A flush is a checkpoint thrown away. */
static enum status checkpoint_make(struct rocks_db *db, const char *folder, struct failure *failure)
{
    char *error = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db->rocks, &error);
    if (error == NULL) {
        rocksdb_checkpoint_create(checkpoint, folder, 0, &error);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    return rocks_fail(error, failure, "the rows cannot be written to files");
}

static void flush(struct rocks_db *db, struct rocks_task *task)
{
    char folder[ROCKS_PATH_BYTES + 8];
    (void)snprintf(folder, sizeof folder, "%s.flush", db->path);
    rocks_db_remove(folder); /* of a process that died here */
    task->status = checkpoint_make(db, folder, &task->failure);
    rocks_db_remove(folder);
}

static void checkpoint(struct rocks_db *db, struct rocks_task *task)
{
    char folder[ROCKS_PATH_BYTES + 32];
    if (task->numbered)
        (void)snprintf(folder, sizeof folder, "%.512s/%016llx", task->folder,
                       (unsigned long long)task->part.columns[1]);
    else
        (void)snprintf(folder, sizeof folder, "%.512s", task->folder);
    if (task->numbered && access(folder, F_OK) == 0)
        return;
    task->status = checkpoint_make(db, folder, &task->failure);
    if (task->status == STATUS_OK && !parent_sync(folder))
        task->status = failure_set(&task->failure, STATUS_IO,
                                   "the folder of %.100s cannot be "
                                   "synced",
                                   folder);
}

static void checkpoint_remove(struct rocks_task *task)
{
    char aside[ROCKS_PATH_BYTES + 32];
    (void)snprintf(aside, sizeof aside, "%.512s.old", task->folder);
    rocks_db_remove(aside); /* of a process that died here */
    if (rename(task->folder, aside) == 0 && parent_sync(aside))
        rocks_db_remove(aside);
}

static void task_run(struct rocks_db *db, struct rocks_task *task)
{
    struct rocks_keeper *keeper = &db->keeper;
    struct arena arena;
    arena_init(&arena, ROW_BYTES_MAX);
    /* read before: everything it speaks of is in memory or in files by now */
    task->status = rocks_get(db, &keeper->view, &task->part, &arena);
    arena_deinit(&arena);
    if (task->status != STATUS_OK) {
        (void)failure_set(&task->failure, task->status, "the applied offset cannot be read");
        return;
    }
    switch (task->kind) {
    case ROCKS_FLUSH: flush(db, task); break;
    case ROCKS_CHECKPOINT: checkpoint(db, task); break;
    case ROCKS_REMOVE: checkpoint_remove(task); break;
    }
}

static void *run(void *argument)
{
    struct rocks_db *db = argument;
    struct rocks_keeper *keeper = &db->keeper;
    /* acquire, with the release in rocks_keeper_close */
    while (!atomic_load_explicit(&keeper->stop, memory_order_acquire)) {
        struct timespec until;
        struct rocks_task *task;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t at_ns = (uint64_t)until.tv_nsec + db->options.sync_ms % 1000 * UINT64_C(1000000);
        until.tv_sec += (time_t)(db->options.sync_ms / 1000 + at_ns / 1000000000);
        until.tv_nsec = (long)(at_ns % 1000000000);
        bool late = sem_clockwait(&keeper->asked_count, CLOCK_MONOTONIC, &until) != 0;
        if (late && errno == ETIMEDOUT)
            sync_wal(db);
        if (!ring_take(&keeper->tasks, &task))
            continue;
        task_run(db, task);
        /* relaxed: a batch that sees it late carries the milestone late */
        if (task->kind != ROCKS_REMOVE)
            (void)atomic_fetch_add_explicit(&keeper->flushes, 1, memory_order_relaxed);
        enum status put = ring_put(&keeper->done, &task);
        assert(put == STATUS_OK);
        waker_wake(db->options.waker);
    }
    return NULL;
}

enum status rocks_keeper_open(struct rocks_db *db, struct failure *failure)
{
    struct rocks_keeper *keeper = &db->keeper;
    rocks_view_open(&keeper->view, false);
    enum status status = ring_open(&keeper->tasks, 1, sizeof(struct rocks_task *));
    if (status == STATUS_OK)
        status = ring_open(&keeper->done, 1, sizeof(struct rocks_task *));
    if (status == STATUS_OK && sem_init(&keeper->asked_count, 0, 0) != 0)
        status = STATUS_IO;
    if (status == STATUS_OK) {
        keeper->started = pthread_create(&keeper->thread, NULL, run, db) == 0;
        status = keeper->started ? STATUS_OK : STATUS_IO;
    }
    if (status != STATUS_OK)
        return failure_set(failure, status, "no memory or thread to keep the store");
    return STATUS_OK;
}

void rocks_keeper_close(struct rocks_db *db)
{
    struct rocks_keeper *keeper = &db->keeper;
    if (keeper->started) {
        atomic_store_explicit(&keeper->stop, true, memory_order_release);
        (void)sem_post(&keeper->asked_count);
        (void)pthread_join(keeper->thread, NULL);
        (void)sem_destroy(&keeper->asked_count);
    }
    ring_close(&keeper->tasks);
    ring_close(&keeper->done);
    rocks_view_close(&keeper->view);
}

enum status rocks_db_task(struct rocks_db *db, struct rocks_task *task)
{
    struct rocks_keeper *keeper = &db->keeper;
    assert(task->part.key.table == TABLE_META);
    if (keeper->busy)
        return STATUS_BUSY;
    enum status put = ring_put(&keeper->tasks, &task);
    assert(put == STATUS_OK);
    keeper->busy = true;
    (void)sem_post(&keeper->asked_count);
    return STATUS_OK;
}

struct rocks_task *rocks_db_task_done(struct rocks_db *db)
{
    struct rocks_task *task = NULL;
    if (!db->keeper.busy || !ring_take(&db->keeper.done, &task))
        return NULL;
    db->keeper.busy = false;
    return task;
}
