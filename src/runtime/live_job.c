/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/live_job.h"

#include <string.h>

#include "base/assert.h"

#define DROPPED_SHIFT 8u
#define DROPPED_MASK  ((UINT64_C(1) << 48) - 1)

uint64_t live_asked(const struct store_request *request)
{
    return request->token >> DROPPED_SHIFT & DROPPED_MASK;
}

void live_submit(struct live *live, struct live_job *job)
{
    job->in_flight = true;
    job->again = false;
    job->request.token = LIVE_TOKEN_BIT | (live->dropped_batches & DROPPED_MASK) << DROPPED_SHIFT |
                         (uint64_t)(job - live->jobs);
    job->request.arena = &job->arena;
    live->store->vtable->submit(live->store, &job->request);
}

void live_read(struct live *live, struct live_job *job, size_t count)
{
    struct row *rows = ARENA_RAW(&job->arena, struct row, count);
    assert(rows != NULL && count <= LIVE_CHATS);
    job->request = (struct store_request){
        .op = STORE_GET, .keys = job->keys, .keys_count = count, .rows = rows, .rows_max = count};
    live_submit(live, job);
}

void live_write(struct live *live, struct live_job *job, uint64_t useq, uint64_t dseq,
                uint64_t conn)
{
    job->write = (struct row_write){
        .kind = ROW_MAX,
        .key = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0),
        .columns = {useq, dseq, conn}};
    job->request =
        (struct store_request){.op = STORE_COMMIT, .writes = &job->write, .writes_count = 1};
    live_submit(live, job);
}

bool live_move(struct live *live, const struct live_job *job, uint64_t useq)
{
    if (!live->single || live->moves_count == LIVE_MOVES)
        return false;
    live->moves[live->moves_count++] = (struct row_write){
        .kind = ROW_MAX,
        .key = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0),
        .columns = {useq, job->attach.dseq, job->attach.conn}};
    return true;
}

void live_on_store(struct live *live, struct store_request *request)
{
    struct live_job *job = &live->jobs[request->token & 0xFF];
    job->in_flight = false;
    job->again = request->status == STATUS_BUSY || request->status == STATUS_TIMEOUT;
    if (!job->again && request->status != STATUS_OK) {
        live->read_only = true;
        job->again = true;
    }
}

void live_job_end(struct live *live, struct live_job *job)
{
    uint32_t at = job->device;
    job->state = LIVE_FREE;
    arena_reset(&job->arena);
    if (at == LIVE_NONE)
        return;
    live->devices[at].busy = false;
    live_rest(live, at);
}

/* ---- attach ---- */

/* A crash may have come between the cursor and the rows, which are folded again; but if the log
 * lost them, too, what comes now under these numbers was not acknowledged. */
uint64_t live_cursor(const struct row *row, uint64_t head)
{
    return row->columns[CURSOR_USEQ] < head ? row->columns[CURSOR_USEQ] : head;
}

static void answer(struct live *live, struct live_job *job)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    job->answer.session = job->attach.session;
    job->answer.conn = job->attach.conn;
    job->answer.read_only = live->read_only;
    job->answer.log_epoch = live->bus->vtable->facts(live->bus).log_epoch;
    rpc.body.attached = job->answer;
    live_send(live, job->attach.gateway, job->attach.shard, &rpc);
}

static void attach_begin(struct live *live, struct live_job *job)
{
    job->state = LIVE_ATTACH_READ;
    job->device = LIVE_NONE;
    job->answer = (struct pb_attached){0};
    job->revoked = false;
    job->keys[0] = row_key_make(TABLE_USER_HEAD, job->attach.user, NULL, 0);
    job->keys[1] = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0);
    job->keys[2] = row_key_make(TABLE_DIR, job->attach.device, NULL, DIR_DEVICE);
    live_read(live, job, 3);
}

/* A token that only this server could have made shows more than is here: acknowledged data is
 * gone. */
static bool rolled_back(const struct live *live, const struct live_attach *attach, uint64_t head)
{
    struct bus_facts facts = live->bus->vtable->facts(live->bus);
    if (attach->proven_useq > head)
        return true;
    return facts.single &&
           attach->proven_offset > live->bus->vtable->ends(live->bus, TOPIC_MESSAGES, 0).next;
}

static bool device_listed(struct live_job *job, const struct row *row)
{
    struct pb_device_row device;
    return row->found && fold_decode(&pb_device_row_type, row, &job->arena, &device) &&
           device.removed_n == 0 && memcmp(device.user_id.at, job->attach.user, ID_BYTES) == 0;
}

static bool device_suspended(struct live_job *job, const struct row *row)
{
    struct pb_device_row device;
    return row->found && fold_decode(&pb_device_row_type, row, &job->arena, &device) &&
           device.suspended;
}

static void attach_decide(struct live *live, struct live_job *job)
{
    const struct row *rows = job->request.rows;
    struct pb_user_head head = {0};
    uint32_t at = live_find(live, job->attach.device);
    if (job->revoked) {
        attach_begin(live, job);
        return;
    }
    uint64_t last = rows[1].columns[CURSOR_CONN];
    if (at != LIVE_NONE && live->devices[at].is.conn > last)
        last = live->devices[at].is.conn;
    if (rows[0].found)
        (void)!fold_decode(&pb_user_head_type, &rows[0], &job->arena, &head);
    job->head = head.useq;
    job->cursor = live_cursor(&rows[1], head.useq);
    job->answer.useq = head.useq;
    job->answer.dseq = rows[1].columns[CURSOR_DSEQ];
    job->answer.dl_n = head.dl_n;
    job->answer.floor = head.floor;
    job->answer.settings_ver = head.settings_ver;
    job->answer.contacts_ver = head.contacts_ver;
    job->answer.signed_out = !device_listed(job, &rows[2]);
    job->answer.suspended = device_suspended(job, &rows[2]);
    bool same = job->attach.again && job->attach.conn == last;
    job->answer.refused = job->attach.conn <= last && !same;
    job->answer.last_conn = last;
    if (rolled_back(live, &job->attach, head.useq))
        live->read_only = true;
    if (job->answer.signed_out || job->answer.suspended || job->answer.refused) {
        answer(live, job);
        live_job_end(live, job);
        return;
    }
    job->state = LIVE_ATTACH_CONN;
    live_write(live, job, 0, 0, job->attach.conn);
}

/* Conn is stored: the newer session takes the device's place. */
static void attach_finish(struct live *live, struct live_job *job)
{
    uint32_t at = live_find(live, job->attach.device);
    if (job->revoked) {
        job->attach.again = true; /* its conn is stored by now */
        attach_begin(live, job);
        return;
    }
    if (at != LIVE_NONE) {
        struct live_attach *is = &live->devices[at].is;
        if (memcmp(is->user, job->attach.user, ID_BYTES) != 0) { /* no device changes hands */
            live->stale++;
            live_job_end(live, job);
            return;
        }
        if (is->conn > job->attach.conn) { /* another one was faster */
            job->answer.refused = true;
            job->answer.last_conn = is->conn;
            answer(live, job);
            live_job_end(live, job);
            return;
        }
        bool over = live->devices[at].gone;
        if (!over && (is->session != job->attach.session || is->gateway != job->attach.gateway ||
                      is->shard != job->attach.shard)) {
            struct pb_rpc rpc = {.body_case = PB_RPC_BODY_FENCE};
            rpc.body.fence.session = is->session;
            rpc.body.fence.conn = job->attach.conn;
            live_send(live, is->gateway, is->shard, &rpc);
        }
    } else {
        at = live_new(live, &job->attach);
        if (at == LIVE_NONE) {
            live->dropped++;
            live_job_end(live, job);
            return;
        }
        live->devices[at].cursor = job->cursor;
    }
    struct live_device *device = &live->devices[at];
    device->is = job->attach;
    device->gone = false;
    if (!device->is.lazy && device->is.useq > device->loaded)
        device->loaded = device->is.useq;
    answer(live, job);
    /* What was folded between the reading of the head and now was told to nobody here: the newest
     * number is not known, so the ACK job reads the head again and tells it. */
    device->told = job->head;
    device->fresh = true;
    live->hurry = true;
    live_job_end(live, job);
    live_dirty(live, at);
}

/* ---- all jobs ---- */

static void job_step(struct live *live, struct live_job *job)
{
    if (job->in_flight || job->state == LIVE_FREE)
        return;
    if (job->again) {
        live_submit(live, job);
        return;
    }
    if (job->state == LIVE_ATTACH_READ) {
        attach_decide(live, job);
    } else if (job->state == LIVE_ATTACH_CONN) {
        attach_finish(live, job);
    } else {
        live_ack_step(live, job);
    }
}

static bool job_begin(struct live *live, struct live_job *job)
{
    if (live->dirty != LIVE_NONE) {
        uint32_t at = live->dirty;
        live->dirty = live->devices[at].next_dirty;
        live_ack_begin(live, job, at);
        return true;
    }
    if (live->waiting_count == 0)
        return false;
    job->attach = live->waiting[live->waiting_first];
    live->waiting_count--;
    live->waiting_first =
        live->waiting_count > 0 ? (live->waiting_first + 1) % live->waiting_max : 0;
    attach_begin(live, job);
    return true;
}

void live_step(struct live *live, uint64_t now_ms)
{
    uint64_t at;
    live->now_ms = now_ms;
    while (timer_expired(&live->timers, now_ms, &at))
        live_dirty(live, (uint32_t)at);
    for (size_t i = 0; i < LIVE_JOBS; i++) {
        struct live_job *job = &live->jobs[i];
        if (job->state == LIVE_FREE && live->ready && !job_begin(live, job))
            continue;
        job_step(live, job);
        while (job->state == LIVE_FREE && live->ready && job_begin(live, job))
            continue; /* an ACK of what is remembered may be over as it begins */
    }
    /* Ahead of need; without memory now, the next step asks again. */
    (void)!map_grow(&live->pace.index);
}

uint64_t live_next_ms(const struct live *live)
{
    return timer_next_ms(&live->timers);
}
