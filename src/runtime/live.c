/* SPDX-License-Identifier: Apache-2.0
 * EXCEPTION: one file, for attach, deliver and acknowledge share one table and its jobs. */
#include "runtime/live.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define JOB_ARENA_BYTES ((size_t)64 << 20)
#define JOB_SHIFT       40u /* token: bit 62 | job | round 24 | receipt 8 */
#define ROUND_SHIFT     8u

enum status live_open(struct live *live, struct bus *bus, struct store *store, struct rpc *rpc,
                      uint32_t devices_max)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {2};
    memset(live, 0, sizeof *live);
    live->bus = bus;
    live->store = store;
    live->rpc = rpc;
    live->capacity = devices_max;
    live->dirty = live->dirty_last = LIVE_NONE;
    live->devices = memory_array(devices_max, sizeof *live->devices);
    live->waiting_max = devices_max < LIVE_WAITING_MAX / 2 ? devices_max * 2 : LIVE_WAITING_MAX;
    live->waiting = memory_array(live->waiting_max, sizeof *live->waiting);
    enum status status = live->devices == NULL || live->waiting == NULL ? STATUS_BUSY : STATUS_OK;
    if (status == STATUS_OK)
        status = map_open(&live->by_device, devices_max, ID_BYTES, seed);
    if (status == STATUS_OK)
        status = map_open(&live->by_user, devices_max, ID_BYTES, seed);
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
    map_close(&live->by_device);
    map_close(&live->by_user);
    memory_free(live->devices);
    memory_free(live->waiting);
    memset(live, 0, sizeof *live);
}

/* ---- messages to gateways: may be lost ---- */

static void send(struct live *live, uint64_t gateway, uint32_t shard, const struct pb_rpc *rpc)
{
    struct arena *arena = &live->jobs[0].arena;
    struct arena_mark mark = arena_mark(arena);
    struct slice bytes = pb_rpc_pack(rpc, arena);
    struct rpc_peer peer = {.gateway = gateway, .shard = shard};
    if (arena->exhausted || live->rpc->vtable->send(live->rpc, &peer, bytes) != STATUS_OK)
        live->dropped++;
    arena_rewind(arena, mark);
}

static void tell(struct live *live, const struct live_attach *is, uint64_t useq,
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
    send(live, is->gateway, is->shard, &rpc);
}

/* ---- the table of devices ---- */

static uint32_t device_find(const struct live *live, const uint8_t device[ID_BYTES])
{
    uint64_t index;
    return map_find(&live->by_device, device, &index) ? (uint32_t)index : LIVE_NONE;
}

static uint32_t user_first(const struct live *live, const uint8_t user[ID_BYTES])
{
    uint64_t index;
    return map_find(&live->by_user, user, &index) ? (uint32_t)index : LIVE_NONE;
}

static uint32_t device_new(struct live *live, const struct live_attach *attach)
{
    for (uint32_t tried = 0; tried < live->capacity; tried++) {
        uint32_t at = (live->free_from + tried) % live->capacity;
        struct live_device *device = &live->devices[at];
        if (device->used)
            continue;
        uint32_t first = user_first(live, attach->user);
        if (map_put(&live->by_device, attach->device, at) != STATUS_OK)
            return LIVE_NONE;
        if (map_put(&live->by_user, attach->user, at) != STATUS_OK) {
            (void)map_remove(&live->by_device, attach->device, NULL);
            return LIVE_NONE;
        }
        *device = (struct live_device){.next_of_user = first, .used = true};
        device->next_dirty = LIVE_NONE;
        live->free_from = at + 1;
        return at;
    }
    return LIVE_NONE;
}

/* Take the device out; while a job or the queue still names it, only mark it. */
static void device_drop(struct live *live, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    if (!device->gone) {
        device->gone = true;
        (void)map_remove(&live->by_device, device->is.device, NULL);
        uint32_t first = user_first(live, device->is.user);
        if (first == at) {
            if (device->next_of_user == LIVE_NONE)
                (void)map_remove(&live->by_user, device->is.user, NULL);
            else
                (void)!map_put(&live->by_user, device->is.user, device->next_of_user);
        } else {
            while (first != LIVE_NONE && live->devices[first].next_of_user != at)
                first = live->devices[first].next_of_user;
            if (first != LIVE_NONE)
                live->devices[first].next_of_user = device->next_of_user;
        }
    }
    if (!device->busy && !device->dirty)
        device->used = false;
}

static void dirty_add(struct live *live, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    if (device->dirty || device->busy || device->gone)
        return;
    device->dirty = true;
    device->next_dirty = LIVE_NONE;
    if (live->dirty == LIVE_NONE)
        live->dirty = at;
    else
        live->devices[live->dirty_last].next_dirty = at;
    live->dirty_last = at;
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
    uint32_t at = device_find(live, acked->device_id.at);
    if (at == LIVE_NONE || live->devices[at].is.conn != acked->conn ||
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
    dirty_add(live, at);
}

void live_on_rpc(struct live *live, const struct pb_rpc *rpc)
{
    if (rpc->body_case == PB_RPC_BODY_ATTACH) {
        on_attach(live, &rpc->body.attach);
    } else if (rpc->body_case == PB_RPC_BODY_ACKED) {
        on_acked(live, &rpc->body.acked);
    } else if (rpc->body_case == PB_RPC_BODY_DETACH) {
        uint32_t at = device_find(live, rpc->body.detach.device_id.at);
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
    uint32_t at = user_first(live, user);
    while (at != LIVE_NONE) {
        struct live_device *device = &live->devices[at];
        uint32_t next = device->next_of_user;
        if (removed(outcome, device->is.device)) {
            struct pb_rpc rpc = {.body_case = PB_RPC_BODY_REVOKE};
            rpc.body.revoke.session = device->is.session;
            send(live, device->is.gateway, device->is.shard, &rpc);
            device_drop(live, at);
        } else if (outcome->deliver_useq > 0) {
            if (outcome->deliver_useq > device->told)
                device->told = outcome->deliver_useq;
            tell(live, &device->is, outcome->deliver_useq, outcome->deliver);
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
    send(live, outcome->origin.gateway, outcome->origin.shard, &rpc);
}

void live_forget(struct live *live, uint32_t partition, uint32_t partitions)
{
    for (uint32_t i = 0; i < live->capacity; i++) {
        struct live_device *device = &live->devices[i];
        if (device->used && !device->gone &&
            bus_partition(device->is.user, partitions) == partition)
            device_drop(live, i);
    }
}

/* ---- jobs ---- */

static void submit(struct live *live, struct live_job *job)
{
    job->in_flight = true;
    job->again = false;
    job->request.token = LIVE_TOKEN_BIT | (uint64_t)(job - live->jobs);
    job->request.arena = &job->arena;
    live->store->vtable->submit(live->store, &job->request);
}

static void read_keys(struct live *live, struct live_job *job, size_t count)
{
    struct row *rows = ARENA_ARRAY(&job->arena, struct row, count);
    assert(rows != NULL && count <= LIVE_CHATS);
    job->request = (struct store_request){
        .op = STORE_GET, .keys = job->keys, .keys_count = count, .rows = rows, .rows_max = count};
    submit(live, job);
}

static void write_cursor(struct live *live, struct live_job *job, uint64_t useq, uint64_t dseq,
                         uint64_t conn)
{
    job->write = (struct row_write){
        .kind = ROW_MAX,
        .key = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0),
        .columns = {useq, dseq, conn}};
    job->request =
        (struct store_request){.op = STORE_COMMIT, .writes = &job->write, .writes_count = 1};
    submit(live, job);
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

static void job_end(struct live *live, struct live_job *job)
{
    uint32_t at = job->device;
    job->state = LIVE_FREE;
    arena_reset(&job->arena);
    if (at == LIVE_NONE)
        return;
    struct live_device *device = &live->devices[at];
    device->busy = false;
    if (device->gone)
        device_drop(live, at);
    else if (device->is.useq > device->cursor)
        dirty_add(live, at);
}

static void answer(struct live *live, struct live_job *job)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    job->answer.session = job->attach.session;
    job->answer.conn = job->attach.conn;
    job->answer.read_only = live->read_only;
    job->answer.log_epoch = live->bus->vtable->facts(live->bus).log_epoch;
    rpc.body.attached = job->answer;
    send(live, job->attach.gateway, job->attach.shard, &rpc);
}

static void attach_begin(struct live *live, struct live_job *job)
{
    job->state = LIVE_ATTACH_READ;
    job->device = LIVE_NONE;
    job->answer = (struct pb_attached){0};
    job->keys[0] = row_key_make(TABLE_USER_HEAD, job->attach.user, NULL, 0);
    job->keys[1] = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0);
    job->keys[2] = row_key_make(TABLE_DIR, job->attach.device, NULL, DIR_DEVICE);
    read_keys(live, job, 3);
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

static void attach_decide(struct live *live, struct live_job *job)
{
    const struct row *rows = job->request.rows;
    struct pb_user_head head = {0};
    uint32_t at = device_find(live, job->attach.device);
    uint64_t last = rows[1].columns[CURSOR_CONN];
    if (at != LIVE_NONE && live->devices[at].is.conn > last)
        last = live->devices[at].is.conn;
    if (rows[0].found)
        (void)!fold_decode(&pb_user_head_type, &rows[0], &job->arena, &head);
    job->head = head.useq;
    job->cursor = rows[1].columns[CURSOR_USEQ];
    job->answer.useq = head.useq;
    job->answer.dseq = rows[1].columns[CURSOR_DSEQ];
    job->answer.dl_n = head.dl_n;
    job->answer.floor = head.floor;
    job->answer.settings_ver = head.settings_ver;
    job->answer.contacts_ver = head.contacts_ver;
    job->answer.signed_out = !device_listed(job, &rows[2]);
    bool same = job->attach.again && job->attach.conn == last;
    job->answer.refused = job->attach.conn <= last && !same;
    job->answer.last_conn = last;
    if (rolled_back(live, &job->attach, head.useq))
        live->read_only = true;
    if (job->answer.signed_out || job->answer.refused) {
        answer(live, job);
        job_end(live, job);
        return;
    }
    job->state = LIVE_ATTACH_CONN;
    write_cursor(live, job, 0, 0, job->attach.conn);
}

/* Conn is stored: the newer session takes the device's place. */
static void attach_finish(struct live *live, struct live_job *job)
{
    uint32_t at = device_find(live, job->attach.device);
    if (at != LIVE_NONE) {
        struct live_attach *is = &live->devices[at].is;
        if (is->conn > job->attach.conn) { /* another one was faster */
            job->answer.refused = true;
            job->answer.last_conn = is->conn;
            answer(live, job);
            job_end(live, job);
            return;
        }
        if (is->session != job->attach.session || is->gateway != job->attach.gateway ||
            is->shard != job->attach.shard) {
            struct pb_rpc rpc = {.body_case = PB_RPC_BODY_FENCE};
            rpc.body.fence.session = is->session;
            rpc.body.fence.conn = job->attach.conn;
            send(live, is->gateway, is->shard, &rpc);
        }
    } else {
        at = device_new(live, &job->attach);
        if (at == LIVE_NONE) {
            live->dropped++;
            job_end(live, job);
            return;
        }
        live->devices[at].cursor = job->cursor;
    }
    live->devices[at].is = job->attach;
    answer(live, job);
    /* What was folded between the reading of the head and now was told to nobody here: the newest
     * number is not known, so the ACK job reads the head again and tells it. */
    live->devices[at].told = job->head;
    job_end(live, job);
    dirty_add(live, at);
}

/* ---- an ACK: receipts, then the cursor ---- */

static void ack_begin(struct live *live, struct live_job *job, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    device->dirty = false;
    device->busy = true;
    job->device = at;
    job->attach = device->is;
    job->lazy = device->is.lazy;
    job->state = LIVE_ACK_READ;
    job->keys[0] = row_key_make(TABLE_USER_HEAD, job->attach.user, NULL, 0);
    job->keys[1] = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0);
    read_keys(live, job, 2);
}

static void ack_cursor(struct live *live, struct live_job *job)
{
    job->state = LIVE_ACK_CURSOR;
    write_cursor(live, job, job->upto, job->attach.dseq, job->attach.conn);
}

static void ack_range(struct live *live, struct live_job *job)
{
    struct live_device *device = &live->devices[job->device];
    struct pb_user_head head = {0};
    if (job->request.rows[0].found)
        (void)!fold_decode(&pb_user_head_type, &job->request.rows[0], &job->arena, &head);
    job->cursor = job->request.rows[1].columns[CURSOR_USEQ];
    device->cursor = job->cursor;
    if (head.useq > device->told && !device->gone) {
        device->told = head.useq;
        tell(live, &device->is, head.useq, NULL);
    }
    job->upto = job->attach.useq < head.useq ? job->attach.useq : head.useq;
    if (job->upto <= job->cursor) {
        device->is.useq = device->is.useq > head.useq ? head.useq : device->is.useq;
        job_end(live, job);
        return;
    }
    if (job->lazy) {
        ack_cursor(live, job);
        return;
    }
    if (job->upto - job->cursor > LIVE_PAGE)
        job->upto = job->cursor + LIVE_PAGE;
    struct row *rows = ARENA_ARRAY(&job->arena, struct row, LIVE_PAGE);
    assert(rows != NULL);
    job->keys[0] = row_key_make(TABLE_INBOX, job->attach.user, NULL, job->cursor + 1);
    job->keys[1] = row_key_make(TABLE_INBOX, job->attach.user, NULL, job->upto);
    job->request = (struct store_request){
        .op = STORE_RANGE, .keys = job->keys, .keys_count = 2, .rows = rows, .rows_max = LIVE_PAGE};
    job->state = LIVE_ACK_RANGE;
    submit(live, job);
}

static struct live_receipt *receipt_of(struct live_job *job, struct slice chat)
{
    for (size_t i = 0; i < job->receipts_count; i++) {
        if (memcmp(job->receipts[i].chat, chat.at, ID_BYTES) == 0)
            return &job->receipts[i];
    }
    if (job->receipts_count == LIVE_CHATS)
        return NULL;
    struct live_receipt *receipt = &job->receipts[job->receipts_count++];
    *receipt = (struct live_receipt){.upto = 0};
    memcpy(receipt->chat, chat.at, ID_BYTES);
    return receipt;
}

static void ack_marks(struct live *live, struct live_job *job)
{
    job->receipts_count = 0;
    for (size_t i = 0; i < job->request.rows_count; i++) {
        const struct row *row = &job->request.rows[i];
        struct pb_inbox_row pointer;
        if (!fold_decode(&pb_inbox_row_type, row, &job->arena, &pointer) || !pointer.counts ||
            pointer.chat_id.bytes != ID_BYTES)
            continue;
        struct live_receipt *receipt = receipt_of(job, pointer.chat_id);
        if (receipt == NULL) { /* more chats than one step takes: end it before this entry */
            job->upto = row->key.n - 1;
            break;
        }
        if (pointer.cseq > receipt->upto)
            receipt->upto = pointer.cseq;
    }
    if (job->receipts_count == 0) {
        ack_cursor(live, job);
        return;
    }
    for (size_t i = 0; i < job->receipts_count; i++)
        job->keys[i] = row_key_make(TABLE_MARK, job->receipts[i].chat, job->attach.user, 0);
    job->state = LIVE_ACK_MARKS;
    read_keys(live, job, job->receipts_count);
}

/* Hand to the bus what it takes now; false while something is not durable yet. */
static bool receipts_durable(struct live *live, struct live_job *job)
{
    bool all = true;
    for (size_t i = 0; i < job->receipts_count; i++) {
        struct live_receipt *receipt = &job->receipts[i];
        all = all && receipt->durable;
        if (receipt->sent)
            continue;
        struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
        record.body.receipt.user_id = slice_make(job->attach.user, ID_BYTES);
        record.body.receipt.delivered_upto = receipt->upto;
        uint64_t token = LIVE_TOKEN_BIT | (uint64_t)(job - live->jobs) << JOB_SHIFT |
                         (uint64_t)(job->round & 0xFFFFFF) << ROUND_SHIFT | i;
        struct slice bytes = pb_record_pack_v1(&record, &job->arena);
        receipt->sent = live->bus->vtable->append(live->bus, TOPIC_MESSAGES, receipt->chat, bytes,
                                                  token) == STATUS_OK;
    }
    return all;
}

static void ack_append(struct live *live, struct live_job *job)
{
    job->state = LIVE_ACK_APPEND;
    job->round++;
    for (size_t i = 0; i < job->receipts_count; i++) {
        /* Another device of the user was faster: the mark is there, durable by its own receipt. */
        if (job->request.rows[i].columns[MARK_DELIVERED] >= job->receipts[i].upto)
            job->receipts[i].sent = job->receipts[i].durable = true;
    }
    if (receipts_durable(live, job))
        ack_cursor(live, job);
}

void live_on_appended(struct live *live, uint64_t token, enum status status)
{
    struct live_job *job = &live->jobs[(token & ~LIVE_TOKEN_BIT) >> JOB_SHIFT];
    size_t at = token & 0xFF;
    if (job->state != LIVE_ACK_APPEND || at >= job->receipts_count ||
        (token >> ROUND_SHIFT & 0xFFFFFF) != (job->round & 0xFFFFFF))
        return;
    if (status == STATUS_OK)
        job->receipts[at].durable = true;
    else
        job->receipts[at].sent = false;
}

static void job_step(struct live *live, struct live_job *job)
{
    if (job->in_flight || job->state == LIVE_FREE)
        return;
    if (job->again) {
        submit(live, job);
        return;
    }
    if (job->state == LIVE_ATTACH_READ) {
        attach_decide(live, job);
    } else if (job->state == LIVE_ATTACH_CONN) {
        attach_finish(live, job);
    } else if (job->state == LIVE_ACK_READ) {
        ack_range(live, job);
    } else if (job->state == LIVE_ACK_RANGE) {
        ack_marks(live, job);
    } else if (job->state == LIVE_ACK_MARKS) {
        ack_append(live, job);
    } else if (job->state == LIVE_ACK_APPEND) {
        if (receipts_durable(live, job))
            ack_cursor(live, job);
    } else {
        live->devices[job->device].cursor = job->upto;
        job_end(live, job);
    }
}

static bool job_begin(struct live *live, struct live_job *job)
{
    while (live->dirty != LIVE_NONE) {
        uint32_t at = live->dirty;
        live->dirty = live->devices[at].next_dirty;
        if (live->devices[at].gone) {
            live->devices[at].dirty = false;
            device_drop(live, at);
            continue;
        }
        ack_begin(live, job, at);
        return true;
    }
    if (live->waiting_count == 0)
        return false;
    job->attach = live->waiting[live->waiting_first];
    live->waiting_first = (live->waiting_first + 1) % live->waiting_max;
    live->waiting_count--;
    attach_begin(live, job);
    return true;
}

void live_step(struct live *live)
{
    for (size_t i = 0; i < LIVE_JOBS; i++) {
        struct live_job *job = &live->jobs[i];
        if (job->state == LIVE_FREE && live->ready && !job_begin(live, job))
            continue;
        job_step(live, job);
    }
}
