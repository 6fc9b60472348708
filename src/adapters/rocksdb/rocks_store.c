/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/rocksdb/rocks_store.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "adapters/rocksdb/rocks.h"
#include "base/assert.h"
#include "base/memory.h"

#define GROUP_REQUESTS_MAX 256u  /* commits in one batch */
#define GROUP_WRITES       4096u /* enough: take no more into the group */
#define BUSY_PAUSE_NS      5000000
#define SCRATCH_BYTES      ((size_t)512 << 20) /* of a group and what it reads; of one read */

static_assert((STORE_REQUESTS_MAX & (STORE_REQUESTS_MAX - 1)) == 0, "a ring holds them all");

struct finished {
    struct store_request *request;
    uint8_t *values; /* of its rows, to be copied into its arena and freed; NULL: none */
};

static struct rocks_lane *lane_of(struct rocks_db *db, uint32_t handle, uint32_t worker)
{
    return &db->lanes[handle * db->workers_count + worker];
}

/* ---- the threads ---- */

static void finish(struct rocks_worker *worker, uint32_t handle, const struct finished *finished)
{
    enum status put = ring_put(&lane_of(worker->db, handle, worker->number)->done, finished);
    assert(put == STATUS_OK); /* as many places as requests in flight */
}

/* Everything that waits, up to a full group; which handle sent it, in `handles`. */
static size_t group_take(struct rocks_worker *worker, struct store_request **requests,
                         uint32_t *handles)
{
    size_t count = 0, writes = 0;
    for (uint32_t handle = 0; handle < worker->db->options.handles; handle++) {
        struct ring *asked = &lane_of(worker->db, handle, worker->number)->asked;
        while (count < GROUP_REQUESTS_MAX && writes < GROUP_WRITES &&
               ring_take(asked, &requests[count])) {
            handles[count] = handle;
            writes += requests[count++]->writes_count;
        }
    }
    return count;
}

/* Whoever is told BUSY comes back at once, with all the work of making a batch: not more often than
 * flush and compaction can have moved. Nothing else waits on this thread. */
static void pause_if_busy(const struct store_request *request)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
    if (request->status == STATUS_BUSY)
        (void)nanosleep(&pause, NULL);
}

/* One batch; the handles are woken once each. */
static bool write_turn(struct rocks_worker *worker)
{
    struct rocks_db *db = worker->db;
    struct store_request *requests[GROUP_REQUESTS_MAX];
    uint32_t handles[GROUP_REQUESTS_MAX];
    size_t count = group_take(worker, requests, handles);
    if (count == 0)
        return false;
    rocks_commit(worker, requests, count);
    pause_if_busy(requests[0]);
    /* relaxed: see sync_wal */
    (void)atomic_fetch_add_explicit(&db->keeper.commits, count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        uint32_t handle = handles[i]; /* as group_take does: handle by handle */
        finish(worker, handle, &(struct finished){.request = requests[i]});
        if (i + 1 == count || handles[i + 1] != handle)
            waker_wake(db->wakers[handle]);
    }
    return true;
}

/* The arena of a request is its owner's, who may use it meanwhile: values travel in a block. */
static void values_pack(struct store_request *request, struct finished *finished)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->rows_count; i++)
        bytes += request->rows[i].value.bytes;
    if (bytes == 0)
        return;
    uint8_t *at = finished->values = memory_alloc(bytes);
    if (at == NULL) {
        request->status = STATUS_BUSY;
        return;
    }
    for (size_t i = 0; i < request->rows_count; i++) {
        struct slice *value = &request->rows[i].value;
        if (value->bytes > 0)
            memcpy(at, value->at, value->bytes);
        value->at = at;
        at += value->bytes;
    }
}

static bool read_turn(struct rocks_worker *worker)
{
    bool any = false;
    for (uint32_t handle = 0; handle < worker->db->options.handles; handle++) {
        struct finished finished = {0};
        if (!ring_take(&lane_of(worker->db, handle, worker->number)->asked, &finished.request))
            continue;
        arena_reset(&worker->arena);
        finished.request->status =
            rocks_read(worker->db, &worker->view, finished.request, &worker->arena);
        if (finished.request->status == STATUS_OK)
            values_pack(finished.request, &finished);
        finish(worker, handle, &finished);
        waker_wake(worker->db->wakers[handle]);
        any = true;
    }
    return any;
}

static void *run(void *argument)
{
    struct rocks_worker *worker = argument;
    for (;;) {
        /* acquire, with the release in rocks_db_rest: what was asked before is seen */
        bool stop = atomic_load_explicit(&worker->stop, memory_order_acquire);
        while (worker->number == ROCKS_WRITER ? write_turn(worker) : read_turn(worker))
            continue;
        if (stop)
            return NULL;
        while (sem_wait(&worker->asked_count) != 0) { /* a signal: wait on */
        }
    }
}

static enum status worker_open(struct rocks_db *db, uint32_t number)
{
    struct rocks_worker *worker = &db->workers[number];
    worker->db = db;
    worker->number = number;
    rocks_view_open(&worker->view, false);
    arena_init(&worker->arena, SCRATCH_BYTES);
    if (sem_init(&worker->asked_count, 0, 0) != 0)
        return STATUS_IO;
    worker->started = pthread_create(&worker->thread, NULL, run, worker) == 0;
    return worker->started ? STATUS_OK : STATUS_IO;
}

enum status rocks_workers_open(struct rocks_db *db, struct failure *failure)
{
    uint32_t count = 1 + db->options.readers;
    uint32_t lanes = count * db->options.handles;
    db->lanes = memory_array(lanes, sizeof *db->lanes);
    db->workers = memory_array(count, sizeof *db->workers);
    enum status status = db->lanes == NULL || db->workers == NULL ? STATUS_BUSY : STATUS_OK;
    if (status == STATUS_OK)
        db->workers_count = count;
    for (uint32_t i = 0; status == STATUS_OK && i < lanes; i++) {
        status = ring_open(&db->lanes[i].asked, STORE_REQUESTS_MAX, sizeof(struct store_request *));
        if (status == STATUS_OK)
            status = ring_open(&db->lanes[i].done, STORE_REQUESTS_MAX, sizeof(struct finished));
    }
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++)
        status = worker_open(db, i);
    if (status != STATUS_OK)
        return failure_set(failure, status, "no memory or thread for the store");
    return STATUS_OK;
}

static void lane_close(struct rocks_lane *lane)
{
    struct finished finished;
    while (lane->done.items != NULL && ring_take(&lane->done, &finished))
        memory_free(finished.values); /* never polled */
    ring_close(&lane->asked);
    ring_close(&lane->done);
}

void rocks_db_rest(struct rocks_db *db)
{
    for (uint32_t i = 0; i < db->workers_count; i++) {
        struct rocks_worker *worker = &db->workers[i];
        if (!worker->started)
            continue;
        worker->started = false;
        atomic_store_explicit(&worker->stop, true, memory_order_release);
        (void)sem_post(&worker->asked_count);
        (void)pthread_join(worker->thread, NULL);
        (void)sem_destroy(&worker->asked_count);
    }
}

void rocks_workers_close(struct rocks_db *db)
{
    rocks_db_rest(db);
    for (uint32_t i = 0; i < db->workers_count; i++) {
        rocks_view_close(&db->workers[i].view);
        arena_deinit(&db->workers[i].arena);
    }
    for (uint32_t i = 0; i < db->workers_count * db->options.handles; i++)
        lane_close(&db->lanes[i]);
    memory_free(db->lanes);
    memory_free(db->workers);
    db->lanes = NULL;
    db->workers = NULL;
    db->workers_count = 0;
}

/* ---- the handle ---- */

static void ready_put(struct rocks_store *store, struct store_request *request)
{
    size_t last = (store->ready_first + store->ready_count++) % STORE_REQUESTS_MAX;
    store->ready[last] = request;
}

static void hand_over(struct rocks_store *store, uint32_t number, struct store_request *request)
{
    struct rocks_worker *worker = &store->db->workers[number];
    enum status put = ring_put(&lane_of(store->db, store->number, number)->asked, &request);
    assert(put == STATUS_OK); /* in_flight bounds them */
    store->asked[number]++;
    (void)sem_post(&worker->asked_count);
}

static uint32_t idle_reader(const struct rocks_store *store)
{
    uint32_t best = 1;
    for (uint32_t i = 2; i < store->db->workers_count; i++)
        if (store->asked[i] < store->asked[best])
            best = i;
    return best;
}

static void store_submit(struct store *port, struct store_request *request)
{
    struct rocks_store *store = (struct rocks_store *)port;
    assert(store->in_flight < STORE_REQUESTS_MAX);
    store->in_flight++;
    if (request->op == STORE_COMMIT) {
        hand_over(store, ROCKS_WRITER, request);
        return;
    }
    struct arena_mark mark = arena_mark(request->arena);
    request->status = rocks_read(store->db, &store->view, request, request->arena);
    if (request->status != STATUS_AGAIN) {
        ready_put(store, request);
        return;
    }
    arena_rewind(request->arena, mark);
    store->missed++;
    hand_over(store, idle_reader(store), request);
}

static void values_take(struct finished *finished)
{
    struct store_request *request = finished->request;
    for (size_t i = 0; finished->values != NULL && i < request->rows_count; i++) {
        struct row *row = &request->rows[i];
        if (row->value.bytes > 0)
            row->value = arena_copy(request->arena, row->value);
    }
    if (finished->values != NULL && request->arena->exhausted)
        request->status = STATUS_BUSY;
    memory_free(finished->values);
}

static size_t store_poll(struct store *port, struct store_request **done, size_t max)
{
    struct rocks_store *store = (struct rocks_store *)port;
    size_t count = 0;
    while (count < max && store->ready_count > 0) {
        done[count++] = store->ready[store->ready_first];
        store->ready_first = (store->ready_first + 1) % STORE_REQUESTS_MAX;
        store->ready_count--;
    }
    for (uint32_t i = 0; i < store->db->workers_count; i++) {
        struct ring *ring = &lane_of(store->db, store->number, i)->done;
        struct finished finished;
        while (count < max && store->asked[i] > 0 && ring_take(ring, &finished)) {
            store->asked[i]--;
            values_take(&finished);
            done[count++] = finished.request;
        }
    }
    store->in_flight -= (uint32_t)count;
    return count;
}

static const struct store_vtable vtable = {store_submit, store_poll};

void rocks_store_open(struct rocks_store *store, struct rocks_db *db, struct waker *waker)
{
    assert(db->handles_taken < db->options.handles);
    memset(store, 0, sizeof *store);
    store->port.vtable = &vtable;
    store->db = db;
    store->number = db->handles_taken++;
    db->wakers[store->number] = waker;
    rocks_view_open(&store->view, true);
}

void rocks_store_close(struct rocks_store *store)
{
    rocks_view_close(&store->view);
    memset(store, 0, sizeof *store);
}
