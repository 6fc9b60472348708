/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "runtime/live_job.h"

#define JOB_ARENA_BYTES ((size_t)64 << 20)
#define PACED_MAX       (1u << 30) /* what a map takes */

static uint32_t paced(uint32_t devices_max)
{
    return devices_max < PACED_MAX / LIVE_PACED ? devices_max * LIVE_PACED : PACED_MAX;
}

enum status live_open(struct live *live, struct bus *bus, struct store *store, struct rpc *rpc,
                      uint32_t devices_max)
{
    memset(live, 0, sizeof *live);
    live->bus = bus;
    live->store = store;
    live->rpc = rpc;
    live->single = bus->vtable->facts(bus).single;
    live->capacity = devices_max;
    live->dirty = live->dirty_last = live->vacant = LIVE_NONE;
    live->devices = memory_reserve_array(devices_max, sizeof *live->devices);
    live->waiting_max = devices_max < LIVE_WAITING_MAX / 2 ? devices_max * 2 : LIVE_WAITING_MAX;
    live->waiting = memory_reserve_array(live->waiting_max, sizeof *live->waiting);
    for (live->buckets = 1; live->buckets < devices_max; live->buckets *= 2)
        continue;
    live->by_device = memory_array(live->buckets, sizeof *live->by_device);
    live->by_user = memory_array(live->buckets, sizeof *live->by_user);
    bool all = live->devices && live->waiting && live->by_device && live->by_user;
    enum status status = all ? STATUS_OK : STATUS_BUSY;
    if (status == STATUS_OK)
        status = timer_open(&live->timers, devices_max);
    if (status == STATUS_OK)
        status = pace_open(&live->pace, paced(devices_max));
    for (size_t i = 0; i < LIVE_JOBS; i++)
        arena_init(&live->jobs[i].arena, JOB_ARENA_BYTES);
    if (status != STATUS_OK)
        live_close(live);
    return status;
}

void live_close(struct live *live)
{
    for (size_t i = 0; i < LIVE_JOBS; i++)
        arena_deinit(&live->jobs[i].arena);
    for (uint32_t i = 0; i < live->reached; i++)
        live_window_free(live, &live->devices[i].window);
    memory_free(live->by_device);
    memory_free(live->by_user);
    timer_close(&live->timers);
    pace_close(&live->pace);
    memory_free(live->devices);
    memory_free(live->waiting);
    memset(live, 0, sizeof *live);
}

/* ---- messages to gateways: may be lost ---- */

void live_send(struct live *live, uint64_t gateway, uint32_t shard, const struct pb_rpc *rpc)
{
    struct arena *arena = &live->jobs[0].arena;
    struct arena_mark mark = arena_mark(arena);
    struct slice bytes = pb_rpc_pack(rpc, arena);
    struct rpc_peer peer = {.gateway = gateway, .shard = shard};
    if (arena->exhausted || live->rpc->vtable->send(live->rpc, &peer, bytes) != STATUS_OK)
        live->dropped++;
    arena_rewind(arena, mark);
}

void live_tell(struct live *live, const struct live_attach *is, uint64_t useq,
               const struct pb_entry *entry)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_DELIVER};
    struct pb_deliver *deliver = &rpc.body.deliver;
    uint64_t session = is->session;
    deliver->user_id = slice_make(is->user, ID_BYTES);
    deliver->sessions = &session;
    deliver->sessions_count = 1;
    deliver->useq = useq;
    if (entry != NULL) {
        deliver->has_entry = true;
        deliver->entry = *entry;
    }
    live_send(live, is->gateway, is->shard, &rpc);
}

/* ---- the table of devices ---- */

static uint32_t *bucket(const struct live *live, uint32_t *buckets, const uint8_t id[ID_BYTES])
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {2};
    return &buckets[siphash(seed, slice_make(id, ID_BYTES)) & (live->buckets - 1)];
}

uint32_t live_find(const struct live *live, const uint8_t device[ID_BYTES])
{
    uint32_t at = *bucket(live, live->by_device, device) - 1; /* 0 becomes LIVE_NONE */
    while (at != LIVE_NONE && memcmp(live->devices[at].is.device, device, ID_BYTES) != 0)
        at = live->devices[at].next_by_device;
    return at;
}

/* `at`, or the first behind it, that is of this user. */
static uint32_t of_user(const struct live *live, uint32_t at, const uint8_t user[ID_BYTES])
{
    while (at != LIVE_NONE && memcmp(live->devices[at].is.user, user, ID_BYTES) != 0)
        at = live->devices[at].next_by_user;
    return at;
}

uint32_t live_new(struct live *live, const struct live_attach *attach)
{
    uint32_t at = live->vacant != LIVE_NONE ? live->vacant : live->reached;
    if (at == live->capacity)
        return LIVE_NONE;
    struct live_device *device = &live->devices[at];
    if (at == live->reached)
        live->reached++;
    else
        live->vacant = device->next_by_user;
    uint32_t *by_device = bucket(live, live->by_device, attach->device);
    uint32_t *by_user = bucket(live, live->by_user, attach->user);
    *device = (struct live_device){.is = *attach,
                                   .next_by_device = *by_device - 1,
                                   .next_by_user = *by_user - 1,
                                   .next_dirty = LIVE_NONE,
                                   .used = true};
    *by_device = *by_user = at + 1;
    live->used++;
    return at;
}

static void release(struct live *live, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    assert(device->used);
    uint32_t *by_device = bucket(live, live->by_device, device->is.device);
    uint32_t *by_user = bucket(live, live->by_user, device->is.user);
    uint32_t before = *by_device - 1;
    if (before == at)
        *by_device = device->next_by_device + 1;
    for (; before != LIVE_NONE && before != at; before = live->devices[before].next_by_device)
        if (live->devices[before].next_by_device == at)
            live->devices[before].next_by_device = device->next_by_device;
    before = *by_user - 1;
    if (before == at)
        *by_user = device->next_by_user + 1;
    for (; before != LIVE_NONE && before != at; before = live->devices[before].next_by_user)
        if (live->devices[before].next_by_user == at)
            live->devices[before].next_by_user = device->next_by_user;
    live_window_free(live, &device->window);
    device->used = false;
    device->next_by_user = live->vacant;
    live->vacant = at;
    live->used--;
}

/* Its session is over. What it acknowledged before still becomes receipts. */
static void device_drop(struct live *live, uint32_t at)
{
    live->devices[at].gone = true;
    live_rest(live, at);
}

void live_dirty(struct live *live, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    if (device->dirty || device->busy)
        return;
    device->dirty = true;
    device->next_dirty = LIVE_NONE;
    if (live->dirty == LIVE_NONE)
        live->dirty = at;
    else
        live->devices[live->dirty_last].next_dirty = at;
    live->dirty_last = at;
}

uint64_t live_goal(const struct live_device *device)
{
    bool owes = device->is.lazy && device->loaded > device->cursor;
    return owes ? device->loaded : device->is.useq;
}

void live_rest(struct live *live, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    uint64_t done = device->seen > device->cursor ? device->seen : device->cursor;
    bool held = device->due_ms > live->now_ms;
    (void)timer_cancel(&live->timers, device->timer);
    device->timer = SLAB_NONE;
    if (device->busy || device->dirty)
        return;
    if (live_goal(device) > done || (device->due_ms != 0 && !held)) {
        live_dirty(live, at);
    } else if (held) {
        enum status status = timer_arm(&live->timers, device->due_ms, at, &device->timer);
        assert(status == STATUS_OK); /* one for each device */
    } else if (device->gone) {
        release(live, at);
    }
}

/* ---- what comes in ---- */

static void on_attach(struct live *live, const struct pb_attach *request)
{
    if (live->waiting_count == live->waiting_max) {
        live->dropped++;
        return;
    }
    struct live_attach attach = {.conn = request->conn,
                                 .gateway = request->gateway,
                                 .session = request->session,
                                 .useq = request->useq,
                                 .dseq = request->dseq,
                                 .proven_useq = request->proven_useq,
                                 .proven_offset = request->proven_offset,
                                 .shard = request->shard,
                                 .lazy = request->lazy,
                                 .again = request->again};
    if (!id_take(attach.user, request->user_id) || !id_take(attach.device, request->device_id))
        return;
    size_t last = (live->waiting_first + live->waiting_count++) % live->waiting_max;
    live->waiting[last] = attach;
}

static void on_acked(struct live *live, const struct pb_acked *acked)
{
    uint32_t at = live_find(live, acked->device_id.at);
    if (at == LIVE_NONE || live->devices[at].gone || live->devices[at].is.conn != acked->conn ||
        memcmp(live->devices[at].is.user, acked->user_id.at, ID_BYTES) != 0) {
        live->stale++;
        return;
    }
    struct live_attach *is = &live->devices[at].is;
    if (acked->useq > is->useq)
        is->useq = acked->useq;
    if (acked->dseq > is->dseq)
        is->dseq = acked->dseq;
    is->lazy = acked->lazy;
    if (!is->lazy && is->useq > live->devices[at].loaded)
        live->devices[at].loaded = is->useq;
    live_dirty(live, at);
}

void live_on_rpc(struct live *live, const struct pb_rpc *rpc)
{
    if (rpc->body_case == PB_RPC_BODY_ATTACH) {
        on_attach(live, &rpc->body.attach);
    } else if (rpc->body_case == PB_RPC_BODY_ACKED) {
        on_acked(live, &rpc->body.acked);
    } else if (rpc->body_case == PB_RPC_BODY_DETACH) {
        uint32_t at = live_find(live, rpc->body.detach.device_id.at);
        if (at != LIVE_NONE && live->devices[at].is.conn == rpc->body.detach.conn)
            device_drop(live, at);
    }
}

static bool removed(const struct fold_outcome *outcome, const uint8_t device[ID_BYTES])
{
    for (size_t i = 0; i < outcome->revoked_count; i++) {
        if (memcmp(outcome->revoked[i], device, ID_BYTES) == 0)
            return true;
    }
    return false;
}

void live_on_folded(struct live *live, const uint8_t user[ID_BYTES],
                    const struct fold_outcome *outcome)
{
    uint32_t at = of_user(live, *bucket(live, live->by_user, user) - 1, user);
    for (size_t i = 0; outcome->revoked_count > 0 && i < LIVE_JOBS; i++) {
        struct live_job *job = &live->jobs[i]; /* it read what stood before */
        job->revoked = job->revoked || removed(outcome, job->attach.device);
    }
    while (at != LIVE_NONE) {
        struct live_device *device = &live->devices[at];
        uint32_t next = of_user(live, device->next_by_user, user);
        if (device->gone) {
            at = next;
            continue;
        }
        if (removed(outcome, device->is.device)) {
            struct pb_rpc rpc = {.body_case = PB_RPC_BODY_REVOKE};
            rpc.body.revoke.session = device->is.session;
            rpc.body.revoke.suspended = outcome->revoked_suspended;
            live_send(live, device->is.gateway, device->is.shard, &rpc);
            device_drop(live, at);
        } else if (outcome->deliver_useq > 0) {
            if (outcome->deliver_useq > device->told)
                device->told = outcome->deliver_useq;
            live_window_add(live, &device->window, outcome);
            live_tell(live, &device->is, outcome->deliver_useq, outcome->deliver);
        }
        at = next;
    }
    if (!outcome->answered)
        return;
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_OUTCOME};
    rpc.body.outcome.session = outcome->origin.session;
    rpc.body.outcome.req = outcome->origin.req;
    rpc.body.outcome.code = outcome->accepted ? PB_OUTCOME_CODE_OK : PB_OUTCOME_CODE_REFUSED;
    rpc.body.outcome.error = outcome->error;
    rpc.body.outcome.ver = outcome->ver;
    rpc.body.outcome.user_id = slice_make(user, ID_BYTES);
    live_send(live, outcome->origin.gateway, outcome->origin.shard, &rpc);
}

void live_forget(struct live *live, uint32_t partition, uint32_t partitions)
{
    for (uint32_t i = 0; i < live->reached; i++) {
        struct live_device *device = &live->devices[i];
        if (!device->used || bus_partition(device->is.user, partitions) != partition)
            continue;
        device->is.useq = device->loaded = device->due_ms = 0; /* the next owner is told anew */
        device_drop(live, i);
    }
}
