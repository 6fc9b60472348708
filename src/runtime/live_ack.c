/* SPDX-License-Identifier: Apache-2.0
 * An ACK: receipts, then the cursor.
 *
 *   READ → RANGE (page by page) → MARKS → APPEND → CURSOR
 *     └──────────────────────────↗ all of it is remembered (live_window.c): nothing is read
 *
 * A receipt that may not leave yet holds the cursor before the first entry it is for. Until it is
 * due, later ACKs go on from where the last one had read to (`seen`), for the sake of other chats;
 * then everything above the cursor is read once more, so that the newest level leaves. */
#include <string.h>

#include "base/assert.h"
#include "runtime/live_job.h"

#define JOB_SHIFT   40u /* token: bit 62 | job | round 24 | receipt 8 */
#define ROUND_SHIFT 8u

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

static void ack_end(struct live *live, struct live_job *job)
{
    struct live_device *device = &live->devices[job->device];
    device->cursor = job->cursor;
    live_window_pass(live, &device->window, job->cursor);
    device->seen = job->upto > job->cursor ? job->upto : job->cursor;
    device->due_ms = earlier(job->whole ? 0 : device->due_ms, job->due_ms);
    live_job_end(live, job);
}

static void ack_cursor(struct live *live, struct live_job *job)
{
    uint64_t upto = job->whole ? job->cut : job->cursor;
    if (upto <= job->cursor) {
        ack_end(live, job);
        return;
    }
    job->cursor = upto;
    if (live_move(live, job, upto)) {
        ack_end(live, job);
        return;
    }
    job->state = LIVE_ACK_CURSOR;
    live_write(live, job, upto, job->attach.dseq, job->attach.conn);
}

static void ack_page(struct live *live, struct live_job *job)
{
    uint64_t upto = job->upto - job->from > LIVE_PAGE ? job->from + LIVE_PAGE : job->upto;
    arena_reset(&job->arena);
    size_t rows_max = (size_t)(upto - job->from);
    struct row *rows = ARENA_RAW(&job->arena, struct row, rows_max);
    assert(rows != NULL);
    job->keys[0] = row_key_make(TABLE_INBOX, job->attach.user, NULL, job->from + 1);
    job->keys[1] = row_key_make(TABLE_INBOX, job->attach.user, NULL, upto);
    job->request = (struct store_request){
        .op = STORE_RANGE, .keys = job->keys, .keys_count = 2, .rows = rows, .rows_max = rows_max};
    job->from = upto;
    job->state = LIVE_ACK_RANGE;
    live_submit(live, job);
}

/* Nothing is above the head: a number that claims to be would be asked for again and again. */
static void cut_claim(uint64_t *useq, uint64_t goal, uint64_t head)
{
    if (*useq <= goal && *useq > head)
        *useq = head;
}

static void ack_range(struct live *live, struct live_job *job)
{
    struct live_device *device = &live->devices[job->device];
    struct pb_user_head head = {0};
    if (job->request.rows[0].found)
        (void)!fold_decode(&pb_user_head_type, &job->request.rows[0], &job->arena, &head);
    job->cursor = live_cursor(&job->request.rows[1], head.useq);
    if (head.useq > device->told && !device->gone) {
        device->told = head.useq;
        live_tell(live, &device->is, head.useq, NULL);
    }
    job->upto = job->cut = job->goal < head.useq ? job->goal : head.useq;
    job->whole = device->due_ms <= live->now_ms;
    job->from = job->whole || device->seen < job->cursor ? job->cursor : device->seen;
    if (job->upto <= job->from) {
        cut_claim(&device->is.useq, job->goal, head.useq);
        cut_claim(&device->loaded, job->goal, head.useq);
        job->upto = job->from;
        ack_end(live, job);
    } else if (job->lazy) {
        ack_cursor(live, job);
    } else {
        ack_page(live, job);
    }
}

static struct live_receipt *receipt_of(struct live *live, struct live_job *job,
                                       const uint8_t chat[ID_BYTES])
{
    for (size_t i = 0; i < job->receipts_count; i++) {
        if (memcmp(job->receipts[i].chat, chat, ID_BYTES) == 0)
            return &job->receipts[i];
    }
    if (job->receipts_count == LIVE_CHATS)
        return NULL;
    struct live_receipt *receipt = &job->receipts[job->receipts_count++];
    uint8_t key[PACE_KEY_BYTES];
    pace_key(chat, job->attach.user, key);
    *receipt = (struct live_receipt){.level = pace_upto(&live->pace, key)};
    memcpy(receipt->chat, chat, ID_BYTES);
    return receipt;
}

/* Note the message at `useq`; false when this step takes no more of them. */
static bool gather_one(struct live *live, struct live_job *job, uint64_t useq, const uint8_t *chat,
                       uint64_t cseq)
{
    struct live_receipt *receipt = receipt_of(live, job, chat);
    if (receipt == NULL) { /* more chats than one step takes: end it before this entry */
        job->upto = job->cut = useq - 1;
        return false;
    }
    if (cseq <= receipt->level)
        return true;
    if (receipt->upto == 0)
        receipt->first = useq;
    if (cseq > receipt->upto)
        receipt->upto = cseq;
    return true;
}

/* Add the entries of one page; false when there is nothing more to add. */
static bool gather(struct live *live, struct live_job *job)
{
    for (size_t i = 0; i < job->request.rows_count; i++) {
        const struct row *row = &job->request.rows[i];
        struct pb_inbox_row pointer;
        if (!fold_decode(&pb_inbox_row_type, row, &job->arena, &pointer) || !pointer.counts ||
            pointer.chat_id.bytes != ID_BYTES)
            continue;
        if (!gather_one(live, job, row->key.n, pointer.chat_id.at, pointer.cseq))
            return false;
    }
    return job->from < job->upto;
}

/* Hand to the bus what it takes now; false while something is not durable yet. */
static bool receipts_durable(struct live *live, struct live_job *job)
{
    bool all = true;
    for (size_t i = 0; i < job->receipts_count; i++) {
        struct live_receipt *receipt = &job->receipts[i];
        all = all && (receipt->durable || receipt->held);
        if (receipt->sent || receipt->held)
            continue;
        struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
        record.body.receipt.user_id = slice_make(job->attach.user, ID_BYTES);
        record.body.receipt.delivered_upto = receipt->upto;
        uint64_t token = LIVE_TOKEN_BIT | (uint64_t)(job - live->jobs) << JOB_SHIFT |
                         (uint64_t)(job->round & 0xFFFFFF) << ROUND_SHIFT | i;
        struct arena_mark mark = arena_mark(&job->arena);
        struct slice bytes = pb_record_pack_v1(&record, &job->arena);
        receipt->sent = live->bus->vtable->append(live->bus, TOPIC_MESSAGES, receipt->chat, bytes,
                                                  token) == STATUS_OK;
        arena_rewind(&job->arena, mark);
    }
    return all;
}

static void receipt_decide(struct live *live, struct live_job *job, size_t at)
{
    struct live_receipt *receipt = &job->receipts[at];
    const struct row *rows = job->request.rows;
    uint64_t marked = rows != NULL ? rows[at].columns[MARK_DELIVERED] : 0;
    uint8_t key[PACE_KEY_BYTES];
    pace_key(receipt->chat, job->attach.user, key);
    pace_raise(&live->pace, key, marked);
    if (marked >= receipt->upto || pace_upto(&live->pace, key) >= receipt->upto) {
        /* Another device of the user was faster: the mark is there, durable by its own receipt. */
        receipt->sent = receipt->durable = true;
        return;
    }
    uint64_t due_ms = pace_due_ms(&live->pace, key, live->now_ms);
    receipt->held = due_ms != 0;
    if (!receipt->held) {
        pace_leave(&live->pace, key, live->now_ms);
        return;
    }
    job->due_ms = earlier(job->due_ms, due_ms);
    if (receipt->first <= job->cut)
        job->cut = receipt->first - 1;
}

static void ack_append(struct live *live, struct live_job *job)
{
    job->state = LIVE_ACK_APPEND;
    job->round++;
    for (size_t i = 0; i < job->receipts_count; i++)
        receipt_decide(live, job, i);
    if (receipts_durable(live, job))
        ack_cursor(live, job);
}

static bool all_wait(const struct live *live, const struct live_job *job)
{
    for (size_t i = 0; i < job->receipts_count; i++) {
        uint8_t key[PACE_KEY_BYTES];
        pace_key(job->receipts[i].chat, job->attach.user, key);
        if (pace_due_ms(&live->pace, key, live->now_ms) == 0)
            return false;
    }
    return true;
}

static void ack_marks(struct live *live, struct live_job *job)
{
    size_t count = 0;
    for (size_t i = 0; i < job->receipts_count; i++) {
        if (job->receipts[i].upto > 0)
            job->receipts[count++] = job->receipts[i];
    }
    job->receipts_count = count;
    if (count == 0) {
        ack_cursor(live, job);
        return;
    }
    if (all_wait(live, job)) { /* none leaves now, whatever the marks are */
        job->request = (struct store_request){.rows = NULL};
        ack_append(live, job);
        return;
    }
    for (size_t i = 0; i < count; i++)
        job->keys[i] = row_key_make(TABLE_MARK, job->receipts[i].chat, job->attach.user, 0);
    job->state = LIVE_ACK_MARKS;
    live_read(live, job, count);
}

void live_on_appended(struct live *live, uint64_t token, enum status status)
{
    struct live_job *job = &live->jobs[(token & ~LIVE_TOKEN_BIT) >> JOB_SHIFT];
    size_t at = token & 0xFF;
    if (job->state != LIVE_ACK_APPEND || at >= job->receipts_count ||
        (token >> ROUND_SHIFT & 0xFFFFFF) != (job->round & 0xFFFFFF))
        return;
    struct live_receipt *receipt = &job->receipts[at];
    if (status != STATUS_OK) {
        receipt->sent = false;
        return;
    }
    uint8_t key[PACE_KEY_BYTES];
    pace_key(receipt->chat, job->attach.user, key);
    pace_raise(&live->pace, key, receipt->upto);
    receipt->durable = true;
}

/* ---- what is remembered ---- */

/* Is all that this ACK is about above the cursor remembered? Then no head is wanted either: what
 * the device was told is not above it. */
static bool remembered(const struct live *live, struct live_job *job)
{
    const struct live_device *device = &live->devices[job->device];
    if (device->fresh || device->is.lazy)
        return false;
    job->cursor = device->cursor;
    job->upto = job->cut = job->goal;
    job->whole = device->due_ms <= live->now_ms;
    job->from = job->whole || device->seen < job->cursor ? job->cursor : device->seen;
    return live_window_holds(&device->window, job->from, job->goal);
}

static void ack_remembered(struct live *live, struct live_job *job)
{
    const struct live_window *window = &live->devices[job->device].window;
    if (job->upto <= job->from) {
        job->upto = job->from;
        ack_end(live, job);
        return;
    }
    for (uint64_t useq = job->from + 1; useq <= job->upto; useq++) {
        const struct live_entry *entry = live_window_at(window, useq);
        if (entry->cseq != 0 && !gather_one(live, job, useq, entry->chat, entry->cseq))
            break;
    }
    job->from = job->upto;
    ack_marks(live, job);
}

void live_ack_begin(struct live *live, struct live_job *job, uint32_t at)
{
    struct live_device *device = &live->devices[at];
    (void)timer_cancel(&live->timers, device->timer);
    device->timer = SLAB_NONE;
    device->dirty = false;
    device->busy = true;
    job->device = at;
    job->attach = device->is;
    job->goal = live_goal(device);
    job->lazy = device->is.lazy && device->loaded <= device->cursor;
    job->due_ms = 0;
    job->receipts_count = 0;
    if (remembered(live, job)) {
        live->remembered++;
        ack_remembered(live, job);
        return;
    }
    live->reads++;
    device->fresh = false;
    job->state = LIVE_ACK_READ;
    job->keys[0] = row_key_make(TABLE_USER_HEAD, job->attach.user, NULL, 0);
    job->keys[1] = row_key_make(TABLE_CURSOR, job->attach.user, job->attach.device, 0);
    live_read(live, job, 2);
}

void live_ack_step(struct live *live, struct live_job *job)
{
    if (job->state == LIVE_ACK_READ) {
        ack_range(live, job);
    } else if (job->state == LIVE_ACK_RANGE) {
        if (gather(live, job))
            ack_page(live, job);
        else
            ack_marks(live, job);
    } else if (job->state == LIVE_ACK_MARKS) {
        ack_append(live, job);
    } else if (job->state == LIVE_ACK_APPEND) {
        if (receipts_durable(live, job))
            ack_cursor(live, job);
    } else {
        ack_end(live, job);
    }
}
