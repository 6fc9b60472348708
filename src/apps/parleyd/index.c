/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void nap(void)
{
    static const struct timespec a_moment = {.tv_nsec = 1000000};
    (void)nanosleep(&a_moment, NULL);
}

/* Out of the way, for whoever wants to know what happened; all of it is in the log too. */
static bool put_aside(const char *path, struct failure *failure)
{
    char aside[ROCKS_PATH_BYTES + 16];
    for (unsigned n = 1; n <= INDEX_DAMAGED_MAX; n++) {
        (void)snprintf(aside, sizeof aside, "%s.damaged-%u", path, n);
        if (access(aside, F_OK) == 0)
            continue;
        if (rename(path, aside) != 0) {
            (void)failure_set(failure, STATUS_IO, "%.60s cannot be moved to %.60s: %s", path, aside,
                              strerror(errno));
            return false;
        }
        (void)fprintf(stderr,
                      "parleyd: ALARM: the index is damaged (%s): it is now %s, and is built again "
                      "from the log. Nothing is lost; look at the disk\n",
                      failure->text, aside);
        return true;
    }
    (void)failure_set(failure, STATUS_CORRUPT,
                      "the index was damaged for the %uth time: look at this machine's disk "
                      "and memory, then remove %.60s.damaged-*",
                      INDEX_DAMAGED_MAX + 1, path);
    return false;
}

static enum status open_store(struct index *index, const char *path,
                              const struct rocks_options *options, struct failure *failure)
{
    enum rocks_outcome outcome = ROCKS_FRESH;
    enum status status = rocks_db_open(&index->db, path, options, &outcome, failure);
    if (status == STATUS_CORRUPT && put_aside(path, failure))
        status = rocks_db_open(&index->db, path, options, &outcome, failure);
    if (status == STATUS_OK && outcome == ROCKS_PREFIX)
        (void)fprintf(stderr,
                      "parleyd: ALARM: the newest part of the index was damaged: a copy is in "
                      "%s.wal-*, what is missing comes from the log. Nothing is lost; look at the "
                      "disk\n",
                      path);
    return status;
}

/* Asked before any shard runs: waits for the answer. */
static enum status part_read(struct index *index)
{
    struct store *store = &index->processor.port;
    struct row_key key = row_key_make(TABLE_META, NULL, NULL, META_PART);
    struct row row = {.found = false};
    struct arena arena;
    struct store_request *done;
    struct store_request request = {.op = STORE_GET,
                                    .keys = &key,
                                    .keys_count = 1,
                                    .rows = &row,
                                    .rows_max = 1,
                                    .arena = &arena};
    arena_init(&arena, 1u << 16);
    store->vtable->submit(store, &request);
    while (store->vtable->poll(store, &done, 1) == 0)
        nap();
    index->part = row.columns[1];
    arena_deinit(&arena);
    return request.status;
}

enum status index_open(struct index *index, const struct config *config, uint32_t shards,
                       struct waker *waker, struct failure *failure)
{
    char path[ROCKS_PATH_BYTES];
    struct rocks_options options = rocks_options_default();
    options.small = config->store_size == 0;
    options.cache_bytes = (uint64_t)config->cache_mib << 20;
    options.handles = shards + 1;
    (void)snprintf(path, sizeof path, "%s/store", config->data);
    enum status status = open_store(index, path, &options, failure);
    if (status != STATUS_OK)
        return status;
    index->opened = true;
    rocks_store_open(&index->processor, &index->db, waker);
    status = part_read(index);
    if (status != STATUS_OK)
        return failure_set(failure, status, "the index in %.80s cannot be read: %s", path,
                           status_text(status));
    return STATUS_OK;
}

static void flush(struct index *index)
{
    struct rocks_task task = {.kind = ROCKS_FLUSH};
    task.part.key = row_key_make(TABLE_META, NULL, NULL, META_PART);
    if (rocks_db_task(&index->db, &task) != STATUS_OK)
        return;
    while (rocks_db_task_done(&index->db) == NULL)
        nap();
}

void index_close(struct index *index, bool flushed)
{
    if (!index->opened)
        return;
    if (flushed)
        flush(index);
    rocks_store_close(&index->processor);
    rocks_db_close(&index->db);
    *index = (struct index){.opened = false};
}
