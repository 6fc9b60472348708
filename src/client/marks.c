/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client/mind.h"

enum pb_tick client_tick(const struct client_chat *chat, uint64_t cseq)
{
    if (cseq == 0)
        return PB_TICK_CLOCK;
    for (uint32_t i = 0; i < chat->hidden_count; i++)
        if (chat->hidden[i] == cseq)
            return PB_TICK_SENT;
    return cseq <= chat->read_by_all        ? PB_TICK_READ
           : cseq <= chat->delivered_by_all ? PB_TICK_DELIVERED
                                            : PB_TICK_SENT;
}

void marks_hide(struct client_chat *chat, uint64_t cseq)
{
    for (uint32_t i = 0; i < chat->hidden_count; i++)
        if (chat->hidden[i] == cseq)
            return;
    if (chat->hidden_count == CLIENT_HIDDEN_MAX) { /* forget the oldest */
        memmove(chat->hidden, chat->hidden + 1, (CLIENT_HIDDEN_MAX - 1) * sizeof chat->hidden[0]);
        chat->hidden_count--;
    }
    chat->hidden[chat->hidden_count++] = cseq;
    chat->dirty = true;
}

static void tell(struct client *client, const struct client_chat *chat)
{
    struct pb_notice *notice = mind_notice(client, PB_NOTICE_BODY_MARKS);
    if (notice)
        notice->body.marks = (struct pb_notice_marks){.chat_id = slice_make(chat->id, ID_BYTES),
                                                      .delivered_by_all = chat->delivered_by_all,
                                                      .read_by_all = chat->read_by_all,
                                                      .own_read = chat->own_read};
}

void marks_raise(struct client *client, struct client_chat *chat, uint64_t delivered, uint64_t read)
{
    uint64_t delivered_now = delivered > read ? delivered : read; /* read implies delivered */
    if (delivered_now <= chat->delivered_by_all && read <= chat->read_by_all)
        return;
    if (delivered_now > chat->delivered_by_all)
        chat->delivered_by_all = delivered_now;
    if (read > chat->read_by_all)
        chat->read_by_all = read;
    chat->dirty = true;
    tell(client, chat);
}

void marks_receipt(struct client *client, const struct pb_receipt_entry *receipt)
{
    struct client_chat *chat = rows_chat_new(client, receipt->chat_id.at);
    if (!chat)
        return;
    for (size_t i = 0; i < receipt->hidden_count; i++)
        marks_hide(chat, receipt->hidden[i]);
    marks_raise(client, chat, receipt->delivered_by_all, receipt->read_by_all);
}

void marks_own(struct client *client, const struct pb_own *own)
{
    struct client_chat *chat = rows_chat_new(client, own->chat_id.at);
    if (!chat)
        return;
    if (chat->read_wish <= own->read_upto)
        chat->read_wish = 0;
    if (own->read_upto > chat->own_read)
        chat->own_read = own->read_upto;
    chat->dirty = true;
    tell(client, chat);
}

void marks_read(struct client *client, const struct pb_command_read *read, uint32_t command)
{
    struct client_chat *chat =
        read->chat_id.bytes == ID_BYTES ? client_chat_find(client, read->chat_id.at) : NULL;
    if (!chat) {
        mind_result(client, command, PB_ERROR_CODE_NOT_FOUND, SLICE_LITERAL("no such chat"));
        return;
    }
    uint64_t upto = read->upto < chat->head ? read->upto : chat->head;
    if (upto > chat->own_read) {
        chat->own_read = chat->read_wish = upto;
        chat->dirty = true;
        tell(client, chat);
        (void)marks_send(client, chat);
    }
    mind_result(client, command, PB_ERROR_CODE_NONE, SLICE_EMPTY);
}

void marks_answer(struct client *client, const struct pb_marks_answer *answer, uint32_t command)
{
    struct pb_notice_result *result = mind_result_of(client, command);
    if (!result)
        return;
    result->chat_id = answer->chat_id;
    result->marks = arena_array(&client->step, answer->marks_count, sizeof *result->marks);
    for (size_t i = 0; result->marks && i < answer->marks_count; i++)
        result->marks[result->marks_count++] =
            (struct pb_mark_line){.user_id = answer->marks[i].user_id,
                                  .delivered_upto = answer->marks[i].delivered_upto,
                                  .read_upto = answer->marks[i].read_upto};
}

bool marks_send(struct client *client, struct client_chat *chat)
{
    if (!client->synced || (!chat->delivered_wish && !chat->read_wish))
        return false;
    sync_settle_arm(client);
    if (chat->delivered_wish) {
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_DELIVERED};
        frame.body.delivered = (struct pb_delivered){.chat_id = slice_make(chat->id, ID_BYTES),
                                                     .upto = chat->delivered_wish};
        mind_forget(client, PB_FRAME_BODY_DELIVERED, chat->id);
        (void)mind_request(client, &frame, chat->id, chat->delivered_wish, 0);
    }
    if (chat->read_wish) {
        struct pb_frame frame = {.req = client->next_req++, .body_case = PB_FRAME_BODY_READ};
        frame.body.read =
            (struct pb_read){.chat_id = slice_make(chat->id, ID_BYTES), .upto = chat->read_wish};
        mind_send(client, &frame);
    }
    return true;
}
