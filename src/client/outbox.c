/* SPDX-License-Identifier: Apache-2.0
 * A message from compose until its mid returns: OPEN ─SENT→ SENT ─own mid in the log→ gone
 * (settled);
 * repairable REJECTED → OPEN, same mid, same counter; final REJECTED → FAILED. Rules: e2ee
 * §6.2–6.4. */
#include <string.h>

#include "base/assert.h"
#include "client/mind.h"
#include "wire/envelope.h"
#include "wire/policy.h"
#include "wire/devlist.h"

#define TEXT_BYTES_MAX     16384u
#define FINAL_FIRST        PB_ERROR_CODE_NOT_MEMBER
#define REQUESTS_FOR_SENDS (CLIENT_REQUESTS_MAX / 2)

static void tick(struct client *client, const struct client_entry *entry, enum pb_tick which,
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

static bool seal(struct client *client, struct client_entry *entry)
{
    const struct client_chat *chat = entry->chat;
    struct envelope_header header = {.kind = PB_MESSAGE_KIND_NORMAL,
                                     .gen = (uint16_t)chat->gen,
                                     .mls_epoch = chat->mls_epoch,
                                     .sctr = entry->sctr};
    uint8_t key[E2EE_KEY_BYTES], context_bytes[ENVELOPE_CONTEXT_BYTES];
    size_t padded_bytes = envelope_padded_bytes(entry->content.bytes);
    struct buf padded = buf_in(&client->step, padded_bytes);
    struct buf out = buf_in(&client->step, ENVELOPE_OVERHEAD_BYTES + padded_bytes);
    struct buf context = buf_over(context_bytes, sizeof context_bytes);
    memcpy(header.chat, chat->id, ID_BYTES);
    memcpy(header.device, client->device, ID_BYTES);
    mind_random(client, header.nonce, sizeof header.nonce);
    envelope_pad(entry->content, &padded);
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
    if (client->outbox_count == CLIENT_OUTBOX_MAX) {
        mind_result(client, command, PB_ERROR_CODE_BUSY, SLICE_LITERAL("too many unsent messages"));
        return false;
    }
    struct client_entry *entry = &client->outbox[client->outbox_count];
    struct pb_content content = {
        .ts = client->now_ms, .body_case = PB_CONTENT_BODY_TEXT, .log_epoch = client->log_epoch};
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
    chat->next_sctr++;
    chat->dirty = true;
    rows_store_entry(client, entry);
    tick(client, entry, PB_TICK_CLOCK, 0, 0);
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
    chat->resend = true;
}

static struct client_entry *next_to_send(struct client *client, const struct client_chat *chat)
{
    struct client_entry *best = NULL;
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat == chat && !entry->flying && (!best || entry->sctr < best->sctr))
            best = entry;
    }
    return best;
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

static void pump_chat(struct client *client, struct client_chat *chat)
{
    const struct client_user *peer = client_user_find(client, chat->peer);
    struct client_entry *entry = next_to_send(client, chat);
    if (peer && peer->broken)
        return; /* nothing is sent to that user */
    if (!chat->created) {
        if (!chat->create_sent && (entry || chat->create_wanted))
            create(client, chat);
        return;
    }
    for (; entry && client->request_count < REQUESTS_FOR_SENDS;
         entry = next_to_send(client, chat)) {
        if (entry->reseal) {
            if (!seal(client, entry))
                return;
            rows_store_entry(client, entry);
        }
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
    }
}

static void start_anew(struct client *client, struct client_chat *chat)
{
    chat->resend = false;
    chat->start_next = true;
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == chat)
            client->outbox[i].flying = false;
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

static struct client_entry *entry_by_mid(struct client *client, struct slice mid)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (mid.bytes == ID_BYTES && memcmp(client->outbox[i].mid, mid.at, ID_BYTES) == 0)
            return &client->outbox[i];
    return NULL;
}

static struct client_entry *entry_by_sctr(struct client *client, const struct client_chat *chat,
                                          uint64_t sctr)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == chat && client->outbox[i].sctr == sctr)
            return &client->outbox[i];
    return NULL;
}

static void entry_remove(struct client *client, struct client_entry *entry)
{
    *entry = client->outbox[--client->outbox_count];
}

static void fail(struct client *client, struct client_entry *entry, uint32_t reason)
{
    uint8_t key[24];
    struct buf buf = buf_over(key, sizeof key);
    struct pb_client_outbox row = {.mid = slice_make(entry->mid, ID_BYTES),
                                   .sctr = entry->sctr,
                                   .state = PB_OUTBOX_STATE_FAILED,
                                   .envelope = entry->envelope,
                                   .content = entry->content,
                                   .reason = reason,
                                   .made_ms = entry->made_ms};
    buf_put(&buf, slice_make(entry->chat->id, ID_BYTES));
    buf_u64be(&buf, entry->sctr);
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_OUTBOX, buf_slice(&buf),
               pb_client_outbox_pack_v1(&row, &client->step));
    tick(client, entry, PB_TICK_FAILED, 0, reason);
    entry_remove(client, entry);
}

void outbox_sent(struct client *client, const struct pb_sent *sent)
{
    struct client_entry *entry = entry_by_mid(client, sent->mid);
    if (sent->has_witness) {
        client->log_witness = mind_keep(client, pb_witness_pack(&sent->witness, &client->step));
        client->meta_dirty = true;
    }
    if (!entry || entry->state == PB_OUTBOX_STATE_SENT)
        return;
    entry->state = PB_OUTBOX_STATE_SENT;
    entry->sent_ms = client->now_ms;
    rows_store_entry(client, entry);
    tick(client, entry, PB_TICK_SENT, 0, 0);
    client->settle_at = client->mono_ms + 10000;
}

void outbox_settle(struct client *client, struct client_chat *chat,
                   const struct pb_message *message)
{
    struct client_entry *entry = entry_by_mid(client, message->mid);
    if (message->sctr >= chat->next_sctr) {
        chat->next_sctr = message->sctr + 1;
        chat->dirty = true;
    }
    if (entry && entry->chat == chat) {
        rows_delete_entry(client, chat->id, entry->sctr);
        tick(client, entry, PB_TICK_SENT, message->cseq, 0);
        entry_remove(client, entry);
    } else if (!entry_by_sctr(client, chat, message->sctr)) {
        /* a failure that was none: the log wins */
        rows_delete_entry(client, chat->id, message->sctr);
    }
}

void outbox_chat_exists(struct client *client, struct client_chat *chat)
{
    chat->created = chat->dirty = true;
    chat->create_wanted = false;
    memset(chat->create_mid, 0, ID_BYTES);
    outbox_resend(chat, client->mono_ms);
}

/* The chat was not created; what waits for it fails if the reason is final. */
static void create_rejected(struct client *client, struct client_chat *chat, uint32_t reason)
{
    if (reason == PB_ERROR_CODE_CHAT_EXISTS) {
        outbox_chat_exists(client, chat);
        return;
    }
    memset(chat->create_mid, 0, ID_BYTES); /* it may be wanted again with other leaves */
    chat->create_sent = chat->create_wanted = false;
    chat->dirty = true;
    for (uint32_t i = client->outbox_count; i-- > 0;)
        if (client->outbox[i].chat == chat && reason >= FINAL_FIRST)
            fail(client, &client->outbox[i], reason);
}

void outbox_rejected(struct client *client, const struct pb_rejected *rejected)
{
    struct client_chat *chat = client_chat_find(client, rejected->chat_id.at);
    struct client_entry *entry = entry_by_mid(client, rejected->mid);
    if (!chat || memcmp(rejected->device_id.at, client->device, ID_BYTES) != 0)
        return;
    if (!id_is_zero(chat->create_mid) &&
        memcmp(rejected->mid.at, chat->create_mid, ID_BYTES) == 0) {
        create_rejected(client, chat, rejected->reason);
        return;
    }
    if (!entry || entry->chat != chat)
        return;
    if (rejected->reason >= FINAL_FIRST) {
        fail(client, entry, rejected->reason);
        return;
    }
    if (rejected->reason != PB_ERROR_CODE_SCTR_EXPECTED && rejected->gen) {
        entry->reseal = true;
        if (rejected->gen > chat->gen ||
            (rejected->gen == chat->gen && rejected->mls_epoch > chat->mls_epoch)) {
            chat->gen = rejected->gen;
            chat->mls_epoch = rejected->mls_epoch;
            chat->floor = rejected->floor;
            chat->dirty = true;
        }
    }
    if (entry->state != PB_OUTBOX_STATE_OPEN || entry->reseal) {
        entry->state = PB_OUTBOX_STATE_OPEN;
        rows_store_entry(client, entry);
    }
    tick(client, entry, PB_TICK_CLOCK, 0, rejected->reason);
    outbox_resend(chat, client->mono_ms + 50 + mind_jitter(client, 100));
}

void outbox_repeat(struct client *client, const struct pb_repeat *repeat)
{
    struct client_chat *chat = client_chat_find(client, repeat->chat_id.at);
    struct client_entry *entry = chat ? entry_by_sctr(client, chat, repeat->sctr) : NULL;
    if (!entry || chat->load_upto || memcmp(repeat->device_id.at, client->device, ID_BYTES) != 0)
        return;
    if (repeat->sctr == repeat->last && repeat->last_mid.bytes == ID_BYTES &&
        memcmp(repeat->last_mid.at, entry->mid, ID_BYTES) == 0)
        return; /* bound to this very message: it comes by itself */
    uint64_t highest = repeat->last >= chat->next_sctr ? repeat->last : chat->next_sctr - 1;
    rows_delete_entry(client, chat->id, entry->sctr);
    entry->sctr = highest + 1;
    chat->next_sctr = entry->sctr + 1;
    chat->dirty = true;
    entry->state = PB_OUTBOX_STATE_OPEN;
    entry->reseal = true; /* the counter is bound by the envelope */
    rows_store_entry(client, entry);
    tick(client, entry, PB_TICK_CLOCK, 0, PB_ERROR_CODE_SCTR_EXPECTED);
    outbox_resend(chat, client->mono_ms);
}

void outbox_error(struct client *client, const struct client_request *request,
                  const struct pb_error *error)
{
    struct client_chat *chat = client_chat_find(client, request->id);
    uint64_t wait = error->retry_ms + 200 + mind_jitter(client, error->retry_ms / 2 + 800);
    if (!chat)
        return;
    if (request->kind == PB_FRAME_BODY_CHAT_CREATE)
        chat->create_sent = false;
    if (error->code == PB_ERROR_CODE_BAD_FRAME || error->code == PB_ERROR_CODE_DENIED ||
        error->code == PB_ERROR_CODE_UNSUPPORTED)
        wait += 30000; /* a bug or a missing list, never a verdict on the message */
    if (error->code == PB_ERROR_CODE_STORAGE_FULL || error->code == PB_ERROR_CODE_READ_ONLY)
        wait += 5000;
    if (error->code == PB_ERROR_CODE_RETRY)
        sync_repair(client); /* same bytes again after SYNC */
    outbox_resend(chat, client->mono_ms + wait);
    chat->resend_at = client->mono_ms + wait;
}

void outbox_loaded(struct client *client, struct client_chat *chat)
{
    for (uint32_t i = client->outbox_count; i-- > 0;) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat == chat && entry->sctr <= chat->snapshot_sctr)
            fail(client, entry, PB_ERROR_CODE_GONE);
    }
    chat->snapshot_sctr = 0;
    chat->dirty = true;
}
