/* SPDX-License-Identifier: Apache-2.0
 * A server restored from a copy, or one that lost its tail, knows less than its devices do: its
 * SNAPSHOT comes with a new log epoch, or lies below the cursor. Then, chat by chat: counters start
 * anew from the server's last one, own messages above it are sent again from the journal and the
 * outbox, oldest first, under their mids; a chat it does not list is created again (e2ee §6.4, §7).
 * Rows above its head stay, for the person to read, until a row of the same number replaces them.
 */
#include <string.h>

#include "client/mind.h"

static void forget(struct client *client, uint32_t index)
{
    mind_store(client, PB_STORE_OP_KIND_DELETE, PB_TABLE_JOURNAL,
               slice_make(client->journal[index].mid, ID_BYTES), SLICE_EMPTY);
    memmove(client->journal + index, client->journal + index + 1,
            (--client->journal_count - index) * sizeof client->journal[0]);
}

/* Oldest first by age; full or 7 days old: the oldest goes. */
void journal_keep(struct client *client, const struct client_entry *entry, uint64_t cseq)
{
    while (client->journal_count &&
           (client->journal_count == CLIENT_JOURNAL_MAX ||
            client->journal[0].settled_ms + CLIENT_JOURNAL_MS < client->now_ms))
        forget(client, 0);
    struct client_settled *settled = &client->journal[client->journal_count++];
    *settled = (struct client_settled){.chat = entry->chat,
                                       .sctr = entry->sctr,
                                       .cseq = cseq,
                                       .made_ms = entry->made_ms,
                                       .settled_ms = client->now_ms,
                                       .content = entry->content};
    memcpy(settled->mid, entry->mid, ID_BYTES);
    struct pb_client_journal row = {.chat_id = slice_make(entry->chat->id, ID_BYTES),
                                    .sctr = settled->sctr,
                                    .cseq = settled->cseq,
                                    .made_ms = settled->made_ms,
                                    .settled_ms = settled->settled_ms,
                                    .content = settled->content};
    mind_store(client, PB_STORE_OP_KIND_PUT, PB_TABLE_JOURNAL, slice_make(settled->mid, ID_BYTES),
               pb_client_journal_pack_v1(&row, &client->step));
}

void journal_restore(struct client *client, struct slice key, struct slice value)
{
    struct pb_client_journal row;
    struct client_chat *chat;
    if (key.bytes != ID_BYTES || client->journal_count == CLIENT_JOURNAL_MAX ||
        pb_client_journal_decode_v1(value, &client->step, &row) != STATUS_OK ||
        row.chat_id.bytes != ID_BYTES || row.sctr == 0 ||
        !(chat = rows_chat_new(client, row.chat_id.at)))
        return;
    uint32_t at = client->journal_count++;
    for (; at > 0 && client->journal[at - 1].settled_ms > row.settled_ms; at--)
        client->journal[at] = client->journal[at - 1];
    client->journal[at] = (struct client_settled){.chat = chat,
                                                  .sctr = row.sctr,
                                                  .cseq = row.cseq,
                                                  .made_ms = row.made_ms,
                                                  .settled_ms = row.settled_ms,
                                                  .content = mind_keep(client, row.content)};
    memcpy(client->journal[at].mid, key.at, ID_BYTES);
}

/* Back into the outbox; its counter is given by journal_chat_lost. */
static void reopen(struct client *client, uint32_t index)
{
    const struct client_settled *settled = &client->journal[index];
    struct client_entry *entry = &client->outbox[client->outbox_count++];
    *entry = (struct client_entry){.chat = settled->chat,
                                   .sctr = settled->sctr,
                                   .made_ms = settled->made_ms,
                                   .content = settled->content};
    memcpy(entry->mid, settled->mid, ID_BYTES);
    rows_delete_message(client, settled->chat->id, settled->cseq); /* it comes back, elsewhere */
    forget(client, index);
}

static struct client_entry *lowest_from(struct client *client, const struct client_chat *chat,
                                        uint64_t from)
{
    struct client_entry *best = NULL;
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat == chat && entry->sctr >= from && (!best || entry->sctr < best->sctr))
            best = entry;
    }
    return best;
}

void journal_chat_lost(struct client *client, struct client_chat *chat, uint64_t head,
                       uint64_t last_sctr)
{
    struct client_entry *entry;
    for (uint32_t i = client->outbox_count; i-- > 0;) /* bindings start anew: nothing to fill */
        if (client->outbox[i].chat == chat && client->outbox[i].filler)
            outbox_filled(client, &client->outbox[i]);
    for (uint32_t i = client->journal_count; i-- > 0;)
        if (client->journal[i].chat == chat && client->journal[i].sctr > last_sctr &&
            client->outbox_count < CLIENT_OUTBOX_MAX)
            reopen(client, i);
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == chat && client->outbox[i].sctr > last_sctr)
            rows_delete_entry(client, chat->id, client->outbox[i].sctr);
    uint64_t next = last_sctr + 1, from = next;
    for (; (entry = lowest_from(client, chat, from)) != NULL; next++) {
        from = entry->sctr + 1;
        entry->sctr = next; /* never above what it was: the ones behind it stay behind it */
        entry->state = PB_OUTBOX_STATE_OPEN;
        entry->reseal = true;
        entry->tries = 0;
        rows_store_entry(client, entry);
        outbox_tick(client, entry, PB_TICK_CLOCK, 0, PB_ERROR_CODE_SCTR_EXPECTED);
    }
    chat->next_sctr = next;
    chat->snapshot_sctr = last_sctr;
    if (chat->head > chat->stale_upto)
        chat->stale_upto = chat->head;
    chat->head = head;
    chat->voided_count = 0;
    chat->delivered_by_all = chat->read_by_all = 0; /* the SNAPSHOT says what is left of them */
    chat->read_wish = chat->delivered_wish = 0;
    chat->own_read = chat->own_read < head ? chat->own_read : head;
    timeline_drop_above(chat, head);
    chat->dirty = true;
}

/* After the last page: a chat that the server does not list is not there. */
void journal_unlisted(struct client *client)
{
    for (uint32_t i = 0; i < client->chat_count; i++) {
        struct client_chat *chat = client->chats[i];
        if (!chat->listed && chat->created) {
            journal_chat_lost(client, chat, 0, 0);
            chat->created = false;
            chat->load_upto = 0;
            chat->gen = 1;
            chat->mls_epoch = chat->floor = 1;
        }
        chat->listed = false;
    }
}
