/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/parleyd/checkpoint.h"
#include "apps/parleyd/opening.h"

#define STORE_NAME "store" /* in notes of openings */

static void nap(void)
{
    static const struct timespec a_moment = {.tv_nsec = 1000000};
    (void)nanosleep(&a_moment, NULL);
}

/* Out of the way, for whoever wants to know what happened. */
enum status index_put_aside(const struct index_options *options, const char *why,
                            struct failure *failure)
{
    char path[ROCKS_PATH_BYTES], aside[ROCKS_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%.500s/store", options->data);
    for (unsigned n = 1; n <= INDEX_DAMAGED_MAX; n++) {
        (void)snprintf(aside, sizeof aside, "%s.damaged-%u", path, n);
        if (access(aside, F_OK) == 0)
            continue;
        if (rename(path, aside) != 0)
            return failure_set(failure, STATUS_IO, "%.60s cannot be moved to %.60s: %s", path,
                               aside, strerror(errno));
        opening_forget(options->data, STORE_NAME);
        (void)fprintf(stderr,
                      "%s: ALARM: the index is damaged (%s): it is now %s, and is built again "
                      "from the log. Nothing is lost; look at the disk\n",
                      options->program, why, aside);
        return STATUS_OK;
    }
    return failure_set(failure, STATUS_CORRUPT,
                       "the index was damaged for the %uth time: look at this machine's disk "
                       "and memory, then remove %.60s.damaged-*",
                       INDEX_DAMAGED_MAX + 1, path);
}

static struct rocks_options rocks_of(const struct index_options *options)
{
    struct rocks_options rocks = rocks_options_default();
    rocks.small = !options->large;
    rocks.cache_bytes = (uint64_t)options->cache_mib << 20;
    rocks.handles = options->shards + 1;
    rocks.waker = options->waker;
    return rocks;
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

/* The store at `path` as it is. */
static enum status open_at(struct index *index, const struct index_options *options,
                           const char *path, enum rocks_outcome *outcome, struct failure *failure)
{
    struct rocks_options rocks = rocks_of(options);
    enum status status = rocks_db_open(&index->db, path, &rocks, outcome, failure);
    if (status != STATUS_OK)
        return status;
    index->opened = true;
    rocks_store_open(&index->processor, &index->db, options->waker);
    status = part_read(index);
    if (status != STATUS_OK) {
        index_close(index, false);
        return failure_set(failure, status, "the index in %.80s cannot be read: %s", path,
                           status_text(status));
    }
    return STATUS_OK;
}

/* The same, and who dies in it leaves word. */
static enum status open_noted(struct index *index, const struct index_options *options,
                              const char *path, enum rocks_outcome *outcome,
                              struct failure *failure)
{
    struct opening opening;
    opening_begin(&opening, options->data, STORE_NAME, options->program);
    enum status status = open_at(index, options, path, outcome, failure);
    opening_end(&opening);
    return status;
}

/* ---- from a checkpoint ---- */

/* A copy of this checkpoint in `path`, read whole. */
static enum status checkpoint_look(struct index *trial, const struct index_options *options,
                                   uint64_t part, const char *path, struct failure *failure)
{
    char from[CHECKPOINT_PATH_BYTES], why[OPENING_WHY_BYTES];
    struct opening opening;
    enum rocks_outcome outcome = ROCKS_FRESH;
    checkpoint_path(options->data, part, from);
    const char *name = strrchr(from, '/') + 1;
    rocks_db_remove(path); /* of a start that died here */
    /* one that was cut short may take long, and there may be no other */
    if (opening_past(options->data, name).signal != 0 && opening_blames(options->data, name, why))
        return failure_set(failure, STATUS_CORRUPT, "%s", why);
    enum status status = checkpoint_copy(from, path, failure);
    if (status != STATUS_OK)
        return status;
    opening_begin(&opening, options->data, name, options->program);
    status = open_at(trial, options, path, &outcome, failure);
    if (status == STATUS_OK)
        status = rocks_db_verify(&trial->db, failure);
    opening_end(&opening);
    if (status == STATUS_OK && outcome == ROCKS_FRESH)
        status = failure_set(failure, STATUS_CORRUPT, "it holds nothing");
    return status;
}

/* Is it good, and does the log reach it? */
static bool checkpoint_try(const struct index_options *options, uint64_t part, const char *path)
{
    char from[CHECKPOINT_PATH_BYTES];
    struct failure failure = {0};
    struct index trial = {.opened = false};
    enum status status = checkpoint_look(&trial, options, part, path, &failure);
    bool good = status == STATUS_OK && trial.part >= options->log_first;
    index_close(&trial, false);
    checkpoint_path(options->data, part, from);
    if (!good)
        (void)fprintf(stderr, "%s: the checkpoint %s is of no use (%s)\n", options->program, from,
                      status == STATUS_OK ? "the log begins behind it" : failure.text);
    return good;
}

/* The newest that can be used lies in `path` then. */
static bool checkpoint_find(const struct index_options *options, const char *path, uint64_t *part)
{
    struct checkpoints kept;
    checkpoints_list(options->data, &kept);
    for (size_t i = kept.count; i-- > 0;)
        if (kept.parts[i] >= options->log_first && checkpoint_try(options, kept.parts[i], path)) {
            *part = kept.parts[i];
            return true;
        }
    rocks_db_remove(path);
    return false;
}

/* What is in `path` now cannot be gone on with. */
static enum status build_again(struct index *index, const struct index_options *options,
                               const char *path, const char *why, struct failure *failure)
{
    char fresh[ROCKS_PATH_BYTES + 8];
    uint64_t part = 0;
    enum rocks_outcome outcome;
    bool gone = why == NULL;
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    bool found = checkpoint_find(options, fresh, &part);
    if (gone)
        rocks_db_remove(path); /* the empty one that was just made */
    if (!found && !gone && options->log_first > 0)
        (void)fprintf(stderr, "%s: the index is damaged: %s\n", options->program, why);
    if (!found && options->log_first > 0)
        return failure_set(failure, STATUS_CORRUPT,
                           "the index is %s, the log begins at offset %llu, and no checkpoint "
                           "covers what lies before: nothing was changed. The way out: parleyctl "
                           "restore, from a backup",
                           gone ? "gone" : "damaged", (unsigned long long)options->log_first);
    if (!gone && index_put_aside(options, why, failure) != STATUS_OK)
        return failure->status;
    if (found && rename(fresh, path) != 0)
        return failure_set(failure, STATUS_IO, "%.80s cannot be renamed: %s", fresh,
                           strerror(errno));
    if (found)
        (void)fprintf(stderr,
                      "%s: ALARM: the index %s: it goes on from the checkpoint at offset %llu, and "
                      "the log. Nothing is lost\n",
                      options->program, gone ? "was gone" : "was put aside",
                      (unsigned long long)part);
    enum status status = open_noted(index, options, path, &outcome, failure);
    if (status == STATUS_OK)
        opening_forget(options->data, NULL);
    return status;
}

/* Is there anything that an empty store would hide? */
static bool begins_anew(const struct index_options *options)
{
    struct checkpoints kept;
    checkpoints_list(options->data, &kept);
    return options->log_first == 0 && kept.count == 0;
}

/* What the last opening left: must it not be tried again? Then why. */
static bool died_before(const struct index_options *options, const char *path,
                        char why[OPENING_WHY_BYTES])
{
    if (access(path, F_OK) != 0) {
        opening_forget(options->data, STORE_NAME);
        return false;
    }
    struct opening_past past = opening_past(options->data, STORE_NAME);
    if (opening_blames(options->data, STORE_NAME, why))
        return true;
    if (past.cut > 0)
        (void)fprintf(stderr,
                      "%s: the last opening of the index was cut short (%u in a row; after %u it "
                      "is put aside and built again)\n",
                      options->program, past.cut, OPENING_CUT_MAX);
    return false;
}

enum status index_open(struct index *index, const struct index_options *options,
                       struct failure *failure)
{
    char path[ROCKS_PATH_BYTES], died[OPENING_WHY_BYTES];
    enum rocks_outcome outcome = ROCKS_FRESH;
    (void)snprintf(path, sizeof path, "%.500s/store", options->data);
    if (died_before(options, path, died)) {
        enum status again = build_again(index, options, path, died, failure);
        if (again != STATUS_OK)
            (void)fprintf(stderr,
                          "%s: to let RocksDB try it once more, remove %.500s/store.opening\n",
                          options->program, options->data);
        return again;
    }
    enum status status = open_noted(index, options, path, &outcome, failure);
    if (status == STATUS_CORRUPT) {
        const struct failure why = *failure;
        return build_again(index, options, path, why.text, failure);
    }
    if (status != STATUS_OK)
        return status;
    if (outcome == ROCKS_FRESH && !begins_anew(options)) {
        index_close(index, false);
        return build_again(index, options, path, NULL, failure);
    }
    if (index->part < options->log_first) {
        index_close(index, false);
        return build_again(index, options, path, "it ends before the log begins", failure);
    }
    if (outcome == ROCKS_PREFIX)
        (void)fprintf(stderr,
                      "%s: ALARM: the newest part of the index was damaged: a copy is in "
                      "%s.wal-*, what is missing comes from the log. Nothing is lost; look at the "
                      "disk\n",
                      options->program, path);
    return STATUS_OK;
}

enum status index_flush(struct index *index, uint64_t *part, struct failure *failure)
{
    struct rocks_task task = {.kind = ROCKS_FLUSH};
    task.part.key = row_key_make(TABLE_META, NULL, NULL, META_PART);
    if (rocks_db_task(&index->db, &task) != STATUS_OK)
        return failure_set(failure, STATUS_BUSY, "the index is busy");
    while (rocks_db_task_done(&index->db) == NULL)
        nap();
    *part = task.part.columns[1];
    *failure = task.failure;
    return task.status;
}

void index_close(struct index *index, bool flushed)
{
    struct failure failure = {0};
    uint64_t part;
    if (!index->opened)
        return;
    if (flushed)
        (void)!index_flush(index, &part, &failure); /* if it fails, the next start replays */
    rocks_store_close(&index->processor);
    rocks_db_close(&index->db);
    *index = (struct index){.opened = false};
}
