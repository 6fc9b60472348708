/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/assert.h"
#include "client/mind.h"

#define META_KEY SLICE_LITERAL("account")

static void outbox_key(uint8_t key[24], const uint8_t chat[ID_BYTES], uint64_t sctr)
{
    struct buf buf = buf_over(key, 24);
    buf_put(&buf, slice_make(chat, ID_BYTES));
    buf_u64be(&buf, sctr);
}

struct client_chat *rows_chat_new(struct client *client, const uint8_t id[ID_BYTES])
{
    struct client_chat *chat = client_chat_find(client, id);
    if (chat)
        return chat;
    if (client->chat_count == CLIENT_CHATS_MAX ||
        !(chat = ARENA_NEW(&client->boot, struct client_chat))) {
        client->exhausted = true;
        return NULL;
    }
    memcpy(chat->id, id, ID_BYTES);
    chat->gen = 1;
    chat->mls_epoch = chat->floor = chat->next_sctr = 1;
    client->chats[client->chat_count++] = chat;
    return chat;
}

struct client_user *rows_user_new(struct client *client, const uint8_t id[ID_BYTES])
{
    struct client_user *user = client_user_find(client, id);
    if (user)
        return user;
    if (client->user_count == CLIENT_USERS_MAX ||
        !(user = ARENA_NEW(&client->boot, struct client_user))) {
        client->exhausted = true;
        return NULL;
    }
    memcpy(user->id, id, ID_BYTES);
    client->users[client->user_count++] = user;
    return user;
}

/* The elements with room for one more: half as many again, out of the boot arena, which keeps the
 * old ones too; all in all at most three times what the bound needs. */
static void *grown(struct client *client, void *elements, uint32_t count, uint32_t *room,
                   size_t bytes_each)
{
    if (count < *room)
        return elements;
    uint32_t more = *room + *room / 2 + 4;
    void *bigger = arena_array(&client->boot, more, bytes_each);
    if (!bigger) {
        client->exhausted = true;
        return NULL;
    }
    if (count)
        memcpy(bigger, elements, count * bytes_each);
    *room = more;
    return bigger;
}

struct client_device *rows_device_new(struct client *client, struct client_user *user)
{
    if (user->device_count == CLIENT_DEVICES_MAX)
        return NULL;
    void *devices =
        grown(client, user->devices, user->device_count, &user->device_room, sizeof *user->devices);
    if (!devices)
        return NULL;
    user->devices = devices;
    return &user->devices[user->device_count++];
}

struct client_removed *rows_removed_new(struct client *client, struct client_chat *chat)
{
    if (chat->removed_count == CLIENT_REMOVED_MAX)
        return NULL;
    void *removed = grown(client, chat->removed, chat->removed_count, &chat->removed_room,
                          sizeof *chat->removed);
    if (!removed)
        return NULL;
    chat->removed = removed;
    return &chat->removed[chat->removed_count++];
}

static void restore_meta(struct client *client, struct slice value)
{
    struct pb_client_meta meta;
    if (pb_client_meta_decode_v1(value, &client->step, &meta) != STATUS_OK)
        return;
    client->server = mind_keep(client, meta.server);
    client->server_name = mind_keep(client, meta.server_name);
    client->username = mind_keep(client, meta.username);
    client->device_name = mind_keep(client, meta.device_name);
    client->keys = mind_keep(client, meta.keys);
    client->useq_witness = mind_keep(client, meta.useq_witness);
    client->log_witness = mind_keep(client, meta.log_witness);
    id_take(client->user, meta.user_id);
    id_take(client->device, meta.device_id);
    client->conn = meta.conn;
    client->log_epoch = meta.log_epoch;
    client->useq = client->acked_useq = meta.useq;
    client->dseq = meta.dseq;
    client->dl_n = (uint32_t)meta.dl_n;
    client->enrolled = meta.enrolled;
    client->regressed_ms = meta.regressed_ms;
    if (meta.keys.bytes && e2ee_restore(client->e2ee, client->keys) != E2EE_OK)
        client->enrolled = false;
}

static void restore_chat(struct client *client, struct slice key, struct slice value)
{
    struct pb_client_chat row;
    struct client_chat *chat;
    if (key.bytes != ID_BYTES ||
        pb_client_chat_decode_v1(value, &client->step, &row) != STATUS_OK ||
        !(chat = rows_chat_new(client, key.at)))
        return;
    id_take(chat->peer, row.peer);
    chat->head = row.head;
    chat->gen = row.gen;
    chat->mls_epoch = row.mls_epoch;
    chat->floor = row.floor;
    chat->policy = mind_keep(client, row.policy);
    chat->delivered_by_all = row.delivered_by_all;
    chat->read_by_all = row.read_by_all;
    chat->own_read = row.own_read;
    chat->read_wish = row.read_wish;
    chat->delivered_wish = row.delivered_wish;
    for (size_t i = 0; i < row.held_count; i++)
        timeline_hold(chat, row.held[i].from, row.held[i].to);
    chat->load_upto = row.load_upto;
    if (row.next_sctr > chat->next_sctr)
        chat->next_sctr = row.next_sctr;
    chat->snapshot_sctr = row.snapshot_sctr;
    chat->joined = row.joined;
    chat->stale_upto = row.stale_upto;
    id_take(chat->create_mid, row.create_mid);
    chat->create_wanted = !id_is_zero(chat->create_mid);
    chat->created = row.created;
    for (size_t i = 0; i < row.hidden_count; i++)
        marks_hide(chat, row.hidden[i]);
    for (size_t i = 0; i < row.voided_count; i++)
        chat->voided[chat->voided_count++] = row.voided[i];
    for (size_t i = 0; i < row.removed_count; i++) {
        struct slice cseq = slice_sub(row.removed[i], ID_BYTES, 8);
        struct client_removed *removed = rows_removed_new(client, chat);
        if (!removed || !take_u64be(&cseq, &removed->cseq))
            return;
        memcpy(removed->device, row.removed[i].at, ID_BYTES);
    }
}

static void restore_user(struct client *client, struct slice key, struct slice value)
{
    struct pb_client_user row;
    struct client_user *user;
    if (key.bytes != ID_BYTES ||
        pb_client_user_decode_v1(value, &client->step, &row) != STATUS_OK ||
        !(user = rows_user_new(client, key.at)))
        return;
    user->username = mind_keep(client, row.username);
    if (row.aik.bytes == 32)
        memcpy(user->aik, row.aik.at, 32);
    if (row.dl_hash.bytes == 32)
        memcpy(user->dl_hash, row.dl_hash.at, 32);
    user->dl_n = (uint32_t)row.dl_n;
    user->dl = mind_keep(client, row.dl);
    user->broken = row.broken;
    for (size_t i = 0; i < row.devices_count; i++) {
        struct client_device *device = rows_device_new(client, user);
        if (!device)
            return;
        memcpy(device->id, row.devices[i].device_id.at, ID_BYTES);
        memcpy(device->sigpub, row.devices[i].sigpub.at, 32);
        device->removed = row.devices[i].removed;
    }
}

static void restore_outbox(struct client *client, struct slice key, struct slice value)
{
    struct pb_client_outbox row;
    struct client_chat *chat;
    if (key.bytes != 24 || pb_client_outbox_decode_v1(value, &client->step, &row) != STATUS_OK ||
        (row.state > PB_OUTBOX_STATE_SENT && !row.filler) ||
        client->outbox_count == CLIENT_OUTBOX_MAX || row.mid.bytes != ID_BYTES || row.sctr == 0 ||
        !(chat = rows_chat_new(client, key.at)))
        return; /* failed ones stay in the store for the person to see */
    struct client_entry *entry = &client->outbox[client->outbox_count++];
    memset(entry, 0, sizeof *entry);
    entry->chat = chat;
    memcpy(entry->mid, row.mid.at, ID_BYTES);
    entry->sctr = row.sctr;
    entry->state = row.state;
    entry->envelope = mind_keep(client, row.envelope);
    entry->content = mind_keep(client, row.content);
    entry->made_ms = row.made_ms;
    entry->sent_ms = row.sent_ms;
    entry->reseal = row.reseal;
    entry->filler = row.filler;
    entry->reason = row.reason;
    entry->tries = row.tries;
    if (entry->sctr >= chat->next_sctr)
        chat->next_sctr = entry->sctr + 1;
}

void rows_restore(struct client *client, const struct pb_state_row *row)
{
    switch (row->table) {
    case PB_TABLE_META: restore_meta(client, row->value); break;
    case PB_TABLE_CHAT: restore_chat(client, row->key, row->value); break;
    case PB_TABLE_USER: restore_user(client, row->key, row->value); break;
    case PB_TABLE_OUTBOX: restore_outbox(client, row->key, row->value); break;
    case PB_TABLE_JOURNAL: journal_restore(client, row->key, row->value); break;
    case PB_TABLE_UNSPECIFIED:
    case PB_TABLE_MESSAGE:
    default: break;
    }
}

static void store_meta(struct client *client)
{
    struct slice keys = e2ee_delta_take(client->e2ee, &client->step);
    if (keys.bytes) {
        client->keys = mind_keep(client, keys);
        client->meta_dirty = true;
    }
    if (!client->meta_dirty)
        return;
    struct pb_client_meta meta = {
        .server = client->server,
        .server_name = client->server_name,
        .username = client->username,
        .user_id = slice_make(client->user, id_is_zero(client->user) ? 0 : ID_BYTES),
        .device_id = slice_make(client->device, id_is_zero(client->device) ? 0 : ID_BYTES),
        .conn = client->conn,
        .log_epoch = client->log_epoch,
        .useq = client->useq,
        .dseq = client->dseq,
        .keys = client->keys,
        .dl_n = client->dl_n,
        .useq_witness = client->useq_witness,
        .log_witness = client->log_witness,
        .enrolled = client->enrolled,
        .device_name = client->device_name,
        .regressed_ms = client->regressed_ms,
    };
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_META, META_KEY,
               pb_client_meta_pack_v1(&meta, &client->step));
    client->meta_dirty = false;
}

static void store_chat(struct client *client, struct client_chat *chat)
{
    struct pb_held_span held[CLIENT_SPANS_MAX];
    struct slice *removed = ARENA_ARRAY(&client->step, struct slice, chat->removed_count + 1);
    uint8_t(*removed_bytes)[24] = arena_array(&client->step, chat->removed_count + 1, 24);
    if (!removed || !removed_bytes)
        return; /* the step is exhausted, and says so */
    memset(held, 0, sizeof held);
    for (uint32_t i = 0; i < chat->span_count; i++)
        held[i] = (struct pb_held_span){.from = chat->spans[i].from, .to = chat->spans[i].to};
    for (uint32_t i = 0; i < chat->removed_count; i++) {
        outbox_key(removed_bytes[i], chat->removed[i].device, chat->removed[i].cseq);
        removed[i] = slice_make(removed_bytes[i], 24);
    }
    struct pb_client_chat row = {
        .peer = slice_make(chat->peer, id_is_zero(chat->peer) ? 0 : ID_BYTES),
        .head = chat->head,
        .gen = chat->gen,
        .mls_epoch = chat->mls_epoch,
        .floor = chat->floor,
        .policy = chat->policy,
        .delivered_by_all = chat->delivered_by_all,
        .read_by_all = chat->read_by_all,
        .own_read = chat->own_read,
        .read_wish = chat->read_wish,
        .held = held,
        .held_count = chat->span_count,
        .load_upto = chat->load_upto,
        .delivered_wish = chat->delivered_wish,
        .next_sctr = chat->next_sctr,
        .snapshot_sctr = chat->snapshot_sctr,
        .create_mid = slice_make(chat->create_mid, id_is_zero(chat->create_mid) ? 0 : ID_BYTES),
        .hidden = chat->hidden,
        .hidden_count = chat->hidden_count,
        .voided = chat->voided,
        .voided_count = chat->voided_count,
        .created = chat->created,
        .joined = chat->joined,
        .stale_upto = chat->stale_upto,
        .removed = removed,
        .removed_count = chat->removed_count,
    };
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_CHAT, slice_make(chat->id, ID_BYTES),
               pb_client_chat_pack_v1(&row, &client->step));
    chat->dirty = false;
}

static void store_user(struct client *client, struct client_user *user)
{
    struct pb_known_device *devices =
        ARENA_ARRAY(&client->step, struct pb_known_device, user->device_count + 1);
    if (!devices)
        return; /* the step is exhausted, and says so */
    for (uint32_t i = 0; i < user->device_count; i++)
        devices[i] =
            (struct pb_known_device){.device_id = slice_make(user->devices[i].id, ID_BYTES),
                                     .sigpub = slice_make(user->devices[i].sigpub, 32),
                                     .removed = user->devices[i].removed};
    struct pb_client_user row = {
        .username = user->username,
        .dl_n = user->dl_n,
        .dl = user->dl,
        .broken = user->broken,
        .aik = slice_make(user->aik, user->dl_n ? 32 : 0),
        .dl_hash = slice_make(user->dl_hash, user->dl_n ? 32 : 0),
        .devices = devices,
        .devices_count = user->device_count,
    };
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_USER, slice_make(user->id, ID_BYTES),
               pb_client_user_pack_v1(&row, &client->step));
    user->dirty = false;
}

void rows_store_dirty(struct client *client)
{
    store_meta(client);
    for (uint32_t i = 0; i < client->chat_count; i++)
        if (client->chats[i]->dirty)
            store_chat(client, client->chats[i]);
    for (uint32_t i = 0; i < client->user_count; i++)
        if (client->users[i]->dirty)
            store_user(client, client->users[i]);
}

void rows_store_entry(struct client *client, const struct client_entry *entry)
{
    uint8_t key[24];
    struct pb_client_outbox row = {
        .mid = slice_make(entry->mid, ID_BYTES),
        .sctr = entry->sctr,
        .state = entry->state,
        .envelope = entry->envelope,
        .content = entry->content,
        .made_ms = entry->made_ms,
        .reseal = entry->reseal,
        .filler = entry->filler,
        .reason = entry->reason,
        .tries = entry->tries,
        .sent_ms = entry->sent_ms,
    };
    outbox_key(key, entry->chat->id, entry->sctr);
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_OUTBOX, slice_make(key, 24),
               pb_client_outbox_pack_v1(&row, &client->step));
}

void rows_delete_entry(struct client *client, const uint8_t chat[ID_BYTES], uint64_t sctr)
{
    uint8_t key[24];
    outbox_key(key, chat, sctr);
    mind_store(client, PB_STORE_OP_KIND_DELETE, PB_TABLE_OUTBOX, slice_make(key, 24), SLICE_EMPTY);
}

void rows_delete_message(struct client *client, const uint8_t chat[ID_BYTES], uint64_t cseq)
{
    uint8_t key[24];
    outbox_key(key, chat, cseq);
    mind_store(client, PB_STORE_OP_KIND_DELETE, PB_TABLE_MESSAGE, slice_make(key, 24), SLICE_EMPTY);
}

/* Variable bytes of the state live in one of two arenas; when the garbage outweighs what lives, all
 * that lives moves to the other. Linear in the state, amortized over the growth. */
void rows_compact(struct client *client)
{
    struct arena *from = &client->blob[client->blob_now];
    if (from->used < 2 * client->blob_live + (64u << 10))
        return;
    client->blob_now ^= 1;
    struct slice *accounts[] = {
        &client->server,       &client->server_name,  &client->username,    &client->device_name,
        &client->keys,         &client->useq_witness, &client->log_witness, &client->enrol_password,
        &client->enrol_invite, &client->enrol_list};
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++)
        *accounts[i] = mind_keep(client, *accounts[i]);
    for (uint32_t i = 0; i < client->chat_count; i++)
        client->chats[i]->policy = mind_keep(client, client->chats[i]->policy);
    for (uint32_t i = 0; i < client->user_count; i++) {
        client->users[i]->username = mind_keep(client, client->users[i]->username);
        client->users[i]->dl = mind_keep(client, client->users[i]->dl);
    }
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        client->outbox[i].envelope = mind_keep(client, client->outbox[i].envelope);
        client->outbox[i].content = mind_keep(client, client->outbox[i].content);
    }
    for (uint32_t i = 0; i < client->journal_count; i++)
        client->journal[i].content = mind_keep(client, client->journal[i].content);
    for (uint32_t i = 0; i < CLIENT_WAITING_MAX; i++) {
        client->waiting[i].username = mind_keep(client, client->waiting[i].username);
        client->waiting[i].text = mind_keep(client, client->waiting[i].text);
    }
    client->blob_live = client->blob[client->blob_now].used;
    /* Effects of this step may still name the old bytes; they are packed copies, except none. */
    arena_reset(from);
}
