/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/observer.h"

#include <string.h>

#define FRAME_ARENA_BYTES ((size_t)16 << 20)

void observer_open(struct observer *observer, struct history *history, uint64_t proc)
{
    *observer = (struct observer){.history = history, .proc = proc};
    arena_init(&observer->arena, FRAME_ARENA_BYTES);
}

void observer_close(struct observer *observer)
{
    arena_deinit(&observer->arena);
    *observer = (struct observer){0};
}

static struct history_event begin(const struct observer *observer, const struct client *client,
                                  enum history_op op)
{
    struct history_event event = {.t_inv = observer->t_us,
                                  .t_ret = observer->t_us,
                                  .proc = observer->proc,
                                  .op = op,
                                  .epoch = client->log_epoch,
                                  .conn = client->conn};
    memcpy(event.user.at, client->user, ID_BYTES);
    memcpy(event.dev.at, client->device, ID_BYTES);
    return event;
}

static void add(struct observer *observer, const struct history_event *event)
{
    if (history_add(observer->history, event) != STATUS_OK)
        observer->failed = true;
}

static void id_of(uint8_t out[ID_BYTES], struct slice id)
{
    if (id.bytes == ID_BYTES)
        memcpy(out, id.at, ID_BYTES);
}

static uint64_t content_hash(const struct pb_content *content)
{
    return content->body_case == PB_CONTENT_BODY_TEXT ? history_hash(content->body.text.text) : 0;
}

/* ---- inbox entries and rows ---- */

static struct history_event row_event(const struct observer *observer, const struct client *client,
                                      const struct pb_notice_message *row)
{
    struct history_event event = begin(observer, client, HISTORY_RECV);
    id_of(event.chat.at, row->chat_id);
    id_of(event.mid.at, row->mid);
    id_of(event.from_user.at, row->user_id);
    id_of(event.from_dev.at, row->device_id);
    event.cseq = row->cseq;
    event.ts = row->ts;
    event.sctr = row->sctr;
    event.system = row->system;
    if (!row->readable)
        event.hash = HISTORY_UNREADABLE;
    else if (row->has_content)
        event.hash = content_hash(&row->content);
    return event;
}

static struct slice chat_of(const struct pb_entry *entry, uint64_t *cseq)
{
    if (entry->body_case == PB_ENTRY_BODY_MESSAGE) {
        *cseq = entry->body.message.cseq;
        return entry->body.message.chat_id;
    }
    if (entry->body_case == PB_ENTRY_BODY_COMMIT) {
        *cseq = entry->body.commit.cseq;
        return entry->body.commit.chat_id;
    }
    *cseq = entry->body_case == PB_ENTRY_BODY_MEMBER ? entry->body.member.cseq : 0;
    return entry->body_case == PB_ENTRY_BODY_MEMBER ? entry->body.member.chat_id : SLICE_EMPTY;
}

/* The notice of the row that this entry stored in this step, or NULL: one that was there already,
 * or that another row kept out, is not stored by it. */
static const struct pb_notice *row_of(const struct pb_host_effects *out, const bool inserted[],
                                      const struct pb_entry *entry)
{
    uint64_t cseq;
    struct slice chat = chat_of(entry, &cseq);
    for (size_t i = 0; cseq > 0 && i < out->notices_count; i++) {
        const struct pb_notice *notice = &out->notices[i];
        if (notice->body_case == PB_NOTICE_BODY_MESSAGE && inserted[notice->body.message.op] &&
            notice->body.message.cseq == cseq && slice_equal(notice->body.message.chat_id, chat))
            return notice;
    }
    return NULL;
}

/* An entry that the cursor moved over. */
static void entry_taken(struct observer *observer, const struct client *client,
                        const struct pb_host_effects *out, const bool inserted[],
                        const struct pb_push *push)
{
    if (push->useq <= observer->useq || push->useq > client->useq)
        return;
    const struct pb_notice *row = row_of(out, inserted, &push->entry);
    struct history_event event = row ? row_event(observer, client, &row->body.message)
                                     : begin(observer, client, HISTORY_ENTRY);
    event.useq = push->useq;
    event.prev_useq = push->prev_useq;
    add(observer, &event);
}

static bool by_entry(const struct pb_frame *frame, const struct pb_notice *row)
{
    const struct pb_push *pushes = NULL;
    size_t count = 0;
    if (frame->body_case == PB_FRAME_BODY_PUSH) {
        pushes = &frame->body.push;
        count = 1;
    } else if (frame->body_case == PB_FRAME_BODY_SYNC_PART) {
        pushes = frame->body.sync_part.entries;
        count = frame->body.sync_part.entries_count;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t cseq;
        struct slice chat = chat_of(&pushes[i].entry, &cseq);
        if (cseq == row->body.message.cseq && slice_equal(chat, row->body.message.chat_id))
            return true;
    }
    return false;
}

static void frame_taken(struct observer *observer, const struct client *client,
                        const struct pb_host_effects *out, const bool inserted[])
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_NONE};
    arena_reset(&observer->arena);
    if (observer->event->body_case == PB_HOST_EVENT_BODY_FRAME &&
        pb_frame_decode(observer->event->body.frame.bytes, &observer->arena, &frame) != STATUS_OK)
        frame.body_case = PB_FRAME_BODY_NONE;
    if (frame.body_case == PB_FRAME_BODY_PUSH)
        entry_taken(observer, client, out, inserted, &frame.body.push);
    for (size_t i = 0;
         frame.body_case == PB_FRAME_BODY_SYNC_PART && i < frame.body.sync_part.entries_count; i++)
        entry_taken(observer, client, out, inserted, &frame.body.sync_part.entries[i]);
    for (size_t i = 0; i < out->notices_count; i++) { /* rows by a page of HISTORY */
        const struct pb_notice *notice = &out->notices[i];
        if (notice->body_case != PB_NOTICE_BODY_MESSAGE || by_entry(&frame, notice) ||
            !inserted[notice->body.message.op])
            continue;
        struct history_event event = row_event(observer, client, &notice->body.message);
        add(observer, &event);
    }
    if (frame.body_case == PB_FRAME_BODY_SNAPSHOT_PAGE && !frame.body.snapshot_page.more) {
        struct history_event event = begin(observer, client, HISTORY_SNAPSHOT);
        event.useq = client->useq;
        add(observer, &event);
    }
}

/* ---- the outbox ---- */

/* The entry of the outbox with this mid, as this step stores it. */
static bool stored_entry(struct observer *observer, const struct pb_host_effects *out,
                         struct slice mid, struct pb_client_outbox *row)
{
    for (size_t i = 0; i < out->store_count; i++) {
        const struct pb_store_op *op = &out->store[i];
        if (op->table == PB_TABLE_OUTBOX && op->kind != PB_STORE_OP_KIND_DELETE &&
            pb_client_outbox_decode_v1(op->value, &observer->arena, row) == STATUS_OK &&
            slice_equal(row->mid, mid))
            return true;
    }
    return false;
}

static void composed(struct observer *observer, const struct client *client,
                     const struct pb_host_effects *out, const struct pb_notice_tick *tick)
{
    struct history_event event = begin(observer, client, HISTORY_SEND);
    struct pb_client_outbox row;
    struct pb_content content;
    if (!stored_entry(observer, out, tick->mid, &row) ||
        pb_content_decode(row.content, &observer->arena, &content) != STATUS_OK) {
        observer->failed = true;
        return;
    }
    id_of(event.chat.at, tick->chat_id);
    id_of(event.mid.at, tick->mid);
    event.sctr = row.sctr;
    event.hash = content_hash(&content);
    event.res = HISTORY_INFO; /* open until SENT or REJECTED */
    add(observer, &event);
}

static void ticked(struct observer *observer, const struct client *client,
                   const struct pb_host_effects *out, const struct pb_notice_tick *tick)
{
    bool refused = tick->tick == PB_TICK_FAILED || tick->tick == PB_TICK_CLOCK;
    if (tick->tick == PB_TICK_CLOCK && tick->reason == 0) {
        composed(observer, client, out, tick);
        return;
    }
    if (!refused && (tick->tick != PB_TICK_SENT || tick->cseq != 0))
        return; /* it stands in the log: RECV says so */
    struct history_event event = begin(observer, client, refused ? HISTORY_REJECTED : HISTORY_SENT);
    id_of(event.chat.at, tick->chat_id);
    id_of(event.mid.at, tick->mid);
    event.reason = tick->reason;
    if (refused)
        event.res = tick->tick == PB_TICK_FAILED ? HISTORY_FAIL : HISTORY_INFO;
    add(observer, &event);
}

/* ---- the rest ---- */

static void shown(struct observer *observer, const struct client *client,
                  const struct pb_notice_message *row)
{
    struct history_event event = begin(observer, client, HISTORY_SHOW);
    id_of(event.chat.at, row->chat_id);
    id_of(event.mid.at, row->mid);
    event.cseq = row->cseq;
    add(observer, &event);
}

static void marked(struct observer *observer, const struct client *client,
                   const struct pb_notice_marks *marks)
{
    struct history_event event = begin(observer, client, HISTORY_RECEIPT_RX);
    const struct client_chat *chat = client_chat_find(client, marks->chat_id.at);
    if (observer->event->body_case != PB_HOST_EVENT_BODY_FRAME)
        return; /* by the person itself */
    if (chat == NULL || (marks->delivered_by_all | marks->read_by_all) == 0)
        return;
    id_of(event.chat.at, marks->chat_id);
    memcpy(event.from_user.at, chat->peer, ID_BYTES);
    event.delivered = marks->delivered_by_all;
    event.read = marks->read_by_all;
    add(observer, &event);
}

static void chat_known(struct observer *observer, const struct client *client,
                       const struct pb_notice_chat *notice)
{
    struct history_event event = begin(observer, client, HISTORY_CHAT_CREATE);
    id_of(event.chat.at, notice->chat_id);
    id_of(event.from_user.at, notice->peer);
    add(observer, &event);
}

static void answered(struct observer *observer, const struct client *client,
                     const struct pb_notice_result *result)
{
    if (observer->revoke_request == 0 || result->request != observer->revoke_request)
        return;
    struct history_event event = begin(observer, client, HISTORY_DEVICE_REVOKE);
    event.t_inv = observer->revoke_us;
    event.from_dev = observer->revoke;
    event.res = result->error == 0 ? HISTORY_OK : HISTORY_INFO;
    observer->revoke_request = 0;
    add(observer, &event);
}

static void noticed(struct observer *observer, const struct client *client,
                    const struct pb_host_effects *out, const bool inserted[])
{
    for (size_t i = 0; i < out->notices_count; i++) {
        const struct pb_notice *notice = &out->notices[i];
        switch (notice->body_case) {
        case PB_NOTICE_BODY_MESSAGE:
            if (inserted[notice->body.message.op] && !notice->body.message.system)
                shown(observer, client, &notice->body.message);
            break;
        case PB_NOTICE_BODY_TICK: ticked(observer, client, out, &notice->body.tick); break;
        case PB_NOTICE_BODY_MARKS: marked(observer, client, &notice->body.marks); break;
        case PB_NOTICE_BODY_CHAT: chat_known(observer, client, &notice->body.chat); break;
        case PB_NOTICE_BODY_RESULT: answered(observer, client, &notice->body.result); break;
        case PB_NOTICE_BODY_STATE:
        case PB_NOTICE_BODY_NONE:
        default: break;
        }
    }
}

static void command_asked(struct observer *observer, const struct client *client,
                          const struct pb_event_command *command)
{
    if (command->body_case == PB_EVENT_COMMAND_BODY_REMOVE_DEVICE) {
        observer->revoke_request = command->request;
        id_of(observer->revoke.at, command->body.remove_device.device_id);
        observer->revoke_us = observer->t_us;
        struct history_event event = begin(observer, client, HISTORY_DEVICE_REVOKE);
        event.from_dev = observer->revoke;
        event.res = HISTORY_INFO; /* open: its answer may never come here */
        add(observer, &event);
    } else if (command->body_case == PB_EVENT_COMMAND_BODY_READ) {
        struct history_event event = begin(observer, client, HISTORY_RECEIPT_TX);
        id_of(event.chat.at, command->body.read.chat_id);
        event.read = command->body.read.upto;
        add(observer, &event);
    }
}

static void moment(struct observer *observer, const struct client *client, enum history_op op)
{
    struct history_event event = begin(observer, client, op);
    add(observer, &event);
}

void observer_before(struct observer *observer, const struct client *client,
                     const struct pb_host_event *event, uint64_t t_us)
{
    observer->event = event;
    observer->t_us = t_us;
    observer->useq = client->useq;
    observer->enrolled = client->enrolled;
    observer->live = client->phase == CLIENT_PHASE_READY;
}

void observer_after(struct observer *observer, const struct client *client,
                    const struct pb_host_effects *out, const bool inserted[], uint64_t t_us)
{
    bool live = client->phase == CLIENT_PHASE_READY;
    observer->t_us = t_us;
    if (client->enrolled && !observer->enrolled &&
        observer->event->body_case != PB_HOST_EVENT_BODY_RESTORE)
        moment(observer, client, HISTORY_DEVICE_ADD);
    if (live && !observer->live) {
        moment(observer, client, HISTORY_CONNECT);
        observer->connected = true;
    }
    if (observer->event->body_case == PB_HOST_EVENT_BODY_COMMAND)
        command_asked(observer, client, &observer->event->body.command);
    frame_taken(observer, client, out, inserted);
    noticed(observer, client, out, inserted);
    if (!live && observer->connected) {
        moment(observer, client, HISTORY_CLOSE);
        observer->connected = false;
    }
}

void observer_restart(struct observer *observer, const struct client *client, uint64_t t_us,
                      uint64_t t_copy)
{
    observer->t_us = t_us;
    observer->connected = false;
    observer->revoke_request = 0;
    struct history_event event =
        begin(observer, client, t_copy > 0 ? HISTORY_RESTORED : HISTORY_RESTART);
    event.useq = client->useq;
    event.t_copy = t_copy;
    add(observer, &event);
}
