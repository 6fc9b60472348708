/* SPDX-License-Identifier: Apache-2.0
 * A message from compose until its mid returns: OPEN ─SENT→ SENT ─own mid in the log→ gone
 * (settled). What else may become of it: refusals.c. Rules: e2ee §6.2–6.4. */
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "client/mind.h"
#include "wire/envelope.h"
#include "wire/policy.h"
#include "wire/devlist.h"

#define TEXT_BYTES_MAX 16384u
/* Half of what a session takes at once (SESSION_IN_FLIGHT_MAX): more would come back as BUSY. */
#define REQUESTS_FOR_SENDS 64u

void outbox_tick(struct client *client, const struct client_entry *entry, enum pb_tick which,
                 uint64_t cseq, uint32_t reason)
{
    struct pb_notice *notice = mind_notice(client, PB_NOTICE_BODY_TICK);
    if (!notice)
        return;
    notice->body.tick = (struct pb_notice_tick){
        .chat_id = slice_make(entry->chat->id, ID_BYTES),
        .cseq = cseq,
        .tick = which,
        .reason = reason,
        .mid = arena_copy(&client->step, slice_make(entry->mid, ID_BYTES)),
    };
}

static struct slice content_of(struct client *client, const struct client_entry *entry)
{
    struct pb_content nothing = {
        .ts = client->now_ms, .body_case = PB_CONTENT_BODY_VOID_, .log_epoch = client->log_epoch};
    return entry->filler ? pb_content_pack(&nothing, &client->step) : entry->content;
}

static bool seal(struct client *client, struct client_entry *entry)
{
    const struct client_chat *chat = entry->chat;
    struct slice content = content_of(client, entry);
    struct envelope_header header = {.kind = entry->filler ? PB_MESSAGE_KIND_SILENT
                                                           : PB_MESSAGE_KIND_NORMAL,
                                     .gen = (uint16_t)chat->gen,
                                     .mls_epoch = chat->mls_epoch,
                                     .sctr = entry->sctr};
    uint8_t key[E2EE_KEY_BYTES], context_bytes[ENVELOPE_CONTEXT_BYTES];
    size_t padded_bytes = envelope_padded_bytes(content.bytes);
    struct buf padded = buf_in(&client->step, padded_bytes);
    struct buf out = buf_in(&client->step, ENVELOPE_OVERHEAD_BYTES + padded_bytes);
    struct buf context = buf_over(context_bytes, sizeof context_bytes);
    memcpy(header.chat, chat->id, ID_BYTES);
    memcpy(header.device, client->device, ID_BYTES);
    mind_random(client, header.nonce, sizeof header.nonce);
    envelope_pad(content, &padded);
    envelope_header_write(&header, &out);
    if (out.overflow || padded.overflow)
        return false;
    envelope_context_write(buf_slice(&out), client->user, entry->mid, &context);
    uint8_t *body = buf_reserve(&out, padded_bytes + E2EE_SEAL_BYTES);
    if (!body ||
        e2ee_epoch_key(client->e2ee, chat->id, chat->gen, chat->mls_epoch, key) != E2EE_OK ||
        e2ee_msg_seal(client->e2ee, key, buf_slice(&context), buf_slice(&padded), body) != E2EE_OK)
        return false;
    entry->envelope = mind_keep(client, buf_slice(&out));
    entry->reseal = false;
    return true;
}

bool outbox_compose(struct client *client, struct client_chat *chat, struct slice text,
                    uint32_t command)
{
    if (text.bytes > TEXT_BYTES_MAX) {
        mind_result(client, command, PB_ERROR_CODE_TOO_LARGE,
                    SLICE_LITERAL("16 KiB of text at most"));
        return false;
    }
    if (!utf8_valid(text)) { /* nobody could open it */
        mind_result(client, command, PB_ERROR_CODE_BAD_FRAME, SLICE_LITERAL("no UTF-8 text"));
        return false;
    }
    if (client->outbox_count == CLIENT_OUTBOX_MAX) {
        mind_result(client, command, PB_ERROR_CODE_BUSY, SLICE_LITERAL("too many unsent messages"));
        return false;
    }
    struct client_entry *entry = &client->outbox[client->outbox_count];
    struct pb_content content = {.ts = client->now_ms,
                                 .body_case = PB_CONTENT_BODY_TEXT,
                                 .log_epoch = client->log_epoch,
                                 .voided = chat->voided,
                                 .voided_count = chat->voided_count};
    uint8_t random[10];
    content.body.text.text = text;
    memset(entry, 0, sizeof *entry);
    entry->chat = chat;
    entry->sctr = chat->next_sctr;
    entry->made_ms = client->now_ms;
    entry->content = mind_keep(client, pb_content_pack(&content, &client->step));
    mind_random(client, random, sizeof random);
    uuid7_make(entry->mid, client->now_ms, random);
    if (!seal(client, entry)) {
        mind_result(client, command, PB_ERROR_CODE_TOO_LARGE, SLICE_LITERAL("cannot seal it"));
        return false;
    }
    client->outbox_count++;
    outbox_unpark(client, chat);
    chat->next_sctr++;
    chat->dirty = true;
    rows_store_entry(client, entry);
    outbox_tick(client, entry, PB_TICK_CLOCK, 0, 0);
    struct pb_notice_result *result = mind_result_of(client, command);
    if (result) {
        result->mid = arena_copy(&client->step, slice_make(entry->mid, ID_BYTES));
        result->chat_id = slice_make(chat->id, ID_BYTES);
    }
    return true;
}

void outbox_resend(struct client_chat *chat, uint64_t at_mono)
{
    if (!chat->resend || at_mono < chat->resend_at)
        chat->resend_at = at_mono;
    chat->resend = chat->resend_all = true;
}

static struct client_entry *next_to_send(struct client *client, const struct client_chat *chat)
{
    struct client_entry *best = NULL;
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat == chat && !entry->flying && !entry->parked &&
            (!best || entry->sctr < best->sctr))
            best = entry;
    }
    return best;
}

/* Give the fillers of a chat another try. */
void outbox_unpark(struct client *client, const struct client_chat *chat)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == chat && client->outbox[i].parked) {
            client->outbox[i].parked = false;
            client->outbox[i].flying = false;
        }
}

static void create(struct client *client, struct client_chat *chat)
{
    struct client_user *peer = client_user_find(client, chat->peer);
    struct client_user *self = client_user_find(client, client->user);
    if (!peer || !self || !peer->dl_n || !self->dl_n || peer->broken) {
        if (!peer || (!peer->dl_n && !peer->broken))
            contacts_want(client, chat->peer, 1);
        if (!self || !self->dl_n)
            contacts_want(client, client->user, 1);
        return;
    }
    struct devlist lists[2];
    struct slice leaves[2 * DEVLIST_DEVICES_MAX];
    size_t leaf_count = 0;
    struct policy_member members[2] = {{.role = 1}, {.role = 1}};
    struct client_user *users[2] = {self, peer};
    for (int i = 0; i < 2; i++) {
        if (devlist_read(users[i]->dl, &lists[i]) != STATUS_OK)
            return;
        memcpy(members[i].user, users[i]->id, ID_BYTES);
        memcpy(members[i].aik, users[i]->aik, 32);
        for (uint8_t k = 0; k < lists[i].device_count; k++)
            leaves[leaf_count++] = slice_make(lists[i].devices[k].id, ID_BYTES);
    }
    uint8_t policy[POLICY_DIRECT_BYTES], random[10];
    struct buf policy_buf = buf_over(policy, sizeof policy);
    policy_direct_write(&members[0], &members[1], &policy_buf);
    if (id_is_zero(chat->create_mid)) {
        mind_random(client, random, sizeof random);
        uuid7_make(chat->create_mid, client->now_ms, random);
        chat->dirty = true;
        if (e2ee_group_create(client->e2ee, chat->id, 1, buf_slice(&policy_buf)) != E2EE_OK)
            return;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_CHAT_CREATE};
    frame.body.chat_create = (struct pb_chat_create){.chat_id = slice_make(chat->id, ID_BYTES),
                                                     .gen = 1,
                                                     .mid = slice_make(chat->create_mid, ID_BYTES),
                                                     .mls_epoch = 1,
                                                     .policy = buf_slice(&policy_buf),
                                                     .leaves = leaves,
                                                     .leaves_count = leaf_count};
    chat->create_sent = mind_request(client, &frame, chat->id, 0, 0);
}

/* Seal it anew, before it is sent. Its key is gone: the counter goes by a filler, later. */
static bool reseal(struct client *client, struct client_entry *entry)
{
    if (seal(client, entry)) {
        rows_store_entry(client, entry);
        return true;
    }
    entry->parked = true;
    if (!entry->filler)
        outbox_fail(client, entry, entry->reason, false);
    return false;
}

static void pump_chat(struct client *client, struct client_chat *chat)
{
    const struct client_user *peer = client_user_find(client, chat->peer);
    struct client_entry *entry = next_to_send(client, chat);
    if (peer && peer->broken)
        return; /* nothing is sent to that user */
    if (!chat->created) {
        if (!chat->create_sent && ((entry && !entry->filler) || chat->create_wanted))
            create(client, chat);
        return;
    }
    for (; entry && client->request_count < REQUESTS_FOR_SENDS;
         entry = next_to_send(client, chat)) {
        if (entry->reseal && !reseal(client, entry))
            continue;
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_SEND};
        frame.body.send = (struct pb_send){.chat_id = slice_make(chat->id, ID_BYTES),
                                           .mid = slice_make(entry->mid, ID_BYTES),
                                           .sctr = entry->sctr,
                                           .envelope = entry->envelope,
                                           .start = chat->start_next};
        if (!mind_request(client, &frame, chat->id, entry->sctr, 0))
            return;
        chat->start_next = false;
        entry->flying = true;
        entry->refused = false;
    }
}

static void start_anew(struct client *client, struct client_chat *chat)
{
    bool all = chat->resend_all;
    /* What is sent again is asked again: the server owes no answer to what it turned away (R1), and
     * a request that waits for ever would take the place of those to come. */
    mind_forget(client, PB_FRAME_BODY_SEND, chat->id);
    chat->resend = chat->resend_all = false;
    chat->start_next = true;
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat == chat && (all || entry->state != PB_OUTBOX_STATE_SENT))
            entry->flying = false;
    }
}

void outbox_pump(struct client *client)
{
    if (!client->synced)
        return;
    for (uint32_t i = 0; i < client->chat_count; i++) {
        struct client_chat *chat = client->chats[i];
        if (chat->resend && chat->resend_at > client->mono_ms) {
            mind_wake(client, chat->resend_at);
            continue;
        }
        if (chat->resend)
            start_anew(client, chat);
        pump_chat(client, chat);
    }
}
