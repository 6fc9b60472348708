/* SPDX-License-Identifier: Apache-2.0
 * DEVICE_CHANGE (e2ee §6.10): devices that left their user's list, all so far. It is accepted if it
 * names a leaf, or a removal not known yet. */
#include "core/chat_state.h"

/* Remember the removals that are new; returns how many are. */
static size_t removals_add(struct chat_state *chat, const struct pb_device_change *change,
                           struct pb_membership *after)
{
    size_t known = after->removed_count;
    struct slice *removed = ARENA_ARRAY(chat->arena, struct slice, known + change->removed_count);
    if (removed == NULL)
        return 0;
    for (size_t i = 0; i < known; i++)
        removed[i] = after->removed[i];
    after->removed = removed;
    for (size_t i = 0; i < change->removed_count; i++) {
        if (after->removed_count < FOLD_DEVICES_EVER &&
            !chat_listed(removed, after->removed_count, change->removed[i]))
            removed[after->removed_count++] = change->removed[i];
    }
    return after->removed_count - known;
}

static size_t leaves_drop(const struct pb_device_change *change, struct pb_membership *after)
{
    size_t kept = 0, had = after->leaves_count;
    for (size_t i = 0; i < had; i++) {
        if (!chat_listed(change->removed, change->removed_count, after->leaves[i]))
            after->leaves[kept++] = after->leaves[i];
    }
    after->leaves_count = kept;
    return had - kept;
}

void chat_device_change_apply(struct chat_state *chat)
{
    const struct pb_device_change *change = &chat->record->body->body.device_change;
    if (!chat->found || chat_member_find(chat, change->user_id.at) == NULL) {
        chat->out->verdict = FOLD_REFUSED;
        return;
    }
    struct chat_member *member = chat_member_change(chat, change->user_id.at);
    if (member == NULL)
        return;
    if (removals_add(chat, change, &member->is) + leaves_drop(change, &member->is) == 0) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    chat_number(chat);
    chat_members_write(chat);
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member =
        (struct pb_member_change){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                  .cseq = chat->head.cseq,
                                  .ts = chat->head.wts / 1000,
                                  .kind = PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE,
                                  .user_id = change->user_id,
                                  .gen = chat->head.gen,
                                  .mls_epoch = chat->head.mls_epoch,
                                  .floor = chat->head.floor,
                                  .dl_n = change->dl_n,
                                  .removed = change->removed,
                                  .removed_count = change->removed_count};
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}
