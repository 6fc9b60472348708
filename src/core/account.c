/* SPDX-License-Identifier: Apache-2.0 */
#include "core/account.h"

#include <string.h>

#include "core/username.h"
#include "ports/crypto.h"
#include "wire/devlist.h"
#include "wire/gen/frame.pb.h"

/* ---- what to read ---- */

static void devices_plan(const struct fold_record *record, struct fold_reads *reads,
                         const struct pb_account_device_list *put)
{
    struct devlist next;
    if (devlist_read(put->dl, &next) != STATUS_OK || next.n == 0)
        return;
    (void)fold_want_get(reads, TABLE_DIR, record->key, NULL, DIR_USER);
    (void)fold_want_get(reads, TABLE_DEVICE_LIST, record->key, NULL, next.n - 1);
    for (uint8_t i = 0; i < next.device_count; i++)
        (void)fold_want_get(reads, TABLE_DIR, next.devices[i].id, NULL, DIR_DEVICE);
    (void)fold_want_all(reads, TABLE_USER_CHAT, record->key,
                        record->chats_max != 0 ? record->chats_max : FOLD_CHATS_MAX);
}

/* The newest list names the devices that may have sessions; its number stands in the head. */
static void state_plan(const struct fold_record *record, struct fold_reads *reads,
                       struct arena *arena)
{
    struct pb_user_head head = {0};
    const struct row *row = fold_row(reads, TABLE_USER_HEAD, record->key, NULL, 0);
    if (reads->rounds == 0)
        (void)fold_want_get(reads, TABLE_DIR, record->key, NULL, DIR_USER);
    else if (reads->rounds == 1 && row != NULL &&
             fold_decode(&pb_user_head_type, row, arena, &head) && head.dl_n > 0)
        (void)fold_want_get(reads, TABLE_DEVICE_LIST, record->key, NULL, head.dl_n);
}

void account_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena)
{
    const struct pb_account *account = &record->body->body.account;
    uint8_t key[ID_BYTES];
    if (account->body_case == PB_ACCOUNT_BODY_STATE)
        state_plan(record, reads, arena);
    if (reads->rounds > 0)
        return;
    switch (account->body_case) {
    case PB_ACCOUNT_BODY_REGISTER:
        username_key(account->body.register_.username, key);
        (void)fold_want_get(reads, TABLE_DIR, record->key, NULL, DIR_USER);
        (void)fold_want_get(reads, TABLE_DIR, key, NULL, DIR_NAME);
        if (account->body.register_.invite_hash.bytes == SHA256_BYTES)
            (void)fold_want_get(reads, TABLE_DIR, account->body.register_.invite_hash.at, NULL,
                                DIR_INVITE);
        break;
    case PB_ACCOUNT_BODY_DEVICE_LIST:
        devices_plan(record, reads, &account->body.device_list);
        break;
    case PB_ACCOUNT_BODY_VAULT:
    case PB_ACCOUNT_BODY_PASSWORD:
    case PB_ACCOUNT_BODY_RESET:
        (void)fold_want_get(reads, TABLE_DIR, record->key, NULL, DIR_USER);
        break;
    case PB_ACCOUNT_BODY_INVITE:
        (void)fold_want_get(reads, TABLE_DIR, account->body.invite.invite_hash.at, NULL,
                            DIR_INVITE);
        break;
    case PB_ACCOUNT_BODY_STATE:
    case PB_ACCOUNT_BODY_NONE:
    default: break;
    }
}

/* ---- answers and rows ---- */

static void answer(struct inbox_state *inbox, enum pb_error_code error, uint64_t ver)
{
    const struct pb_account *account = &inbox->record->body->body.account;
    inbox->out->answered = account->has_origin;
    inbox->out->origin = account->origin;
    inbox->out->accepted = error == PB_ERROR_CODE_NONE;
    inbox->out->error = (uint32_t)error;
    inbox->out->ver = ver;
    if (error != PB_ERROR_CODE_NONE)
        inbox->out->verdict = FOLD_REFUSED;
}

static void dir_put(struct inbox_state *inbox, const uint8_t *key, enum dir_type type,
                    struct slice value)
{
    fold_put(inbox->out, inbox->arena, row_key_make(TABLE_DIR, key, NULL, type), inbox_stamp(inbox),
             value);
}

static bool mine(const struct inbox_state *inbox, struct slice user)
{
    return user.bytes == ID_BYTES && memcmp(user.at, inbox->record->key, ID_BYTES) == 0;
}

/* AccountEntry in the own inbox: what the other devices should read again. */
static void account_entry(struct inbox_state *inbox, uint64_t dl_n, uint64_t vault_ver)
{
    struct pb_entry *entry = ARENA_NEW(inbox->arena, struct pb_entry);
    if (entry == NULL)
        return;
    entry->body_case = PB_ENTRY_BODY_ACCOUNT;
    entry->body.account.dl_n = dl_n;
    entry->body.account.vault_ver = vault_ver;
    struct pb_inbox_row row = {.has_entry = true, .entry = *entry};
    inbox_entry(inbox, &row, entry);
}

/* The user's row; the user may be unknown, or have closed the account: then nothing changes it. */
static bool user_read(struct inbox_state *inbox, struct pb_user_row *user)
{
    const struct row *row = fold_row(inbox->reads, TABLE_DIR, inbox->record->key, NULL, DIR_USER);
    return row != NULL && fold_decode(&pb_user_row_type, row, inbox->arena, user) && !user->closed;
}

/* ---- sign-up ---- */

/* One use less of the invite, or the reason why not. Of a row with this record's own stamp the use
 * was taken already, by an attempt that a crash cut short. */
static enum pb_error_code invite_redeem(struct inbox_state *inbox, struct pb_user_row *user)
{
    const struct pb_account_register *request = &inbox->record->body->body.account.body.register_;
    struct pb_invite_row invite;
    if (request->invite_hash.bytes == 0)
        return PB_ERROR_CODE_NONE;
    if (request->invite_hash.bytes != SHA256_BYTES)
        return PB_ERROR_CODE_INVITE_USED;
    const struct row *row =
        fold_row(inbox->reads, TABLE_DIR, request->invite_hash.at, NULL, DIR_INVITE);
    if (row == NULL || !fold_decode(&pb_invite_row_type, row, inbox->arena, &invite) ||
        !slice_equal(invite.invite_hash, request->invite_hash))
        return PB_ERROR_CODE_INVITE_USED;
    user->owner = invite.owner;
    user->invited_by = invite.inviter;
    if (row->stamp == inbox_stamp(inbox))
        return PB_ERROR_CODE_NONE;
    if (invite.uses_left == 0 || (invite.expires_ms != 0 && request->now_ms >= invite.expires_ms))
        return PB_ERROR_CODE_INVITE_USED;
    invite.uses_left--;
    dir_put(inbox, request->invite_hash.at, DIR_INVITE,
            pb_invite_row_pack_v1(&invite, inbox->arena));
    return PB_ERROR_CODE_NONE;
}

static void register_apply(struct inbox_state *inbox)
{
    const struct pb_account_register *request = &inbox->record->body->body.account.body.register_;
    struct pb_user_row user = {.username = request->username,
                               .password_hash = request->password_hash,
                               .created_ms = request->now_ms};
    const struct row *there = fold_row(inbox->reads, TABLE_DIR, inbox->record->key, NULL, DIR_USER);
    uint8_t key[ID_BYTES];
    username_key(request->username, key);
    const struct row *taken = fold_row(inbox->reads, TABLE_DIR, key, NULL, DIR_NAME);
    struct pb_name_row name = {slice_make(inbox->record->key, ID_BYTES)}, holder;
    if (there != NULL && there->stamp != inbox_stamp(inbox)) {
        answer(inbox, PB_ERROR_CODE_CONFLICT, 0);
        return;
    }
    if (taken != NULL && (!fold_decode(&pb_name_row_type, taken, inbox->arena, &holder) ||
                          !mine(inbox, holder.user_id))) {
        answer(inbox, PB_ERROR_CODE_NAME_TAKEN, 0);
        return;
    }
    enum pb_error_code refused = invite_redeem(inbox, &user);
    if (refused != PB_ERROR_CODE_NONE) {
        answer(inbox, refused, 0);
        return;
    }
    dir_put(inbox, key, DIR_NAME, pb_name_row_pack_v1(&name, inbox->arena));
    dir_put(inbox, inbox->record->key, DIR_USER, pb_user_row_pack_v1(&user, inbox->arena));
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, 0);
}

/* ---- device list ---- */

struct lists {
    struct devlist prev, next;
    bool has_prev;
};

static bool lists_read(struct inbox_state *inbox, struct lists *lists)
{
    const struct pb_account_device_list *put = &inbox->record->body->body.account.body.device_list;
    if (devlist_read(put->dl, &lists->next) != STATUS_OK ||
        memcmp(lists->next.user, inbox->record->key, ID_BYTES) != 0)
        return false;
    if (lists->next.n < 2)
        return true;
    const struct row *row =
        fold_row(inbox->reads, TABLE_DEVICE_LIST, inbox->record->key, NULL, lists->next.n - 1);
    struct pb_device_list_row before;
    lists->has_prev = row != NULL &&
                      fold_decode(&pb_device_list_row_type, row, inbox->arena, &before) &&
                      devlist_read(before.dl, &lists->prev) == STATUS_OK;
    return lists->has_prev;
}

/* All devices removed so far, packed, as devlist_check_next wants them. */
static struct slice removed_before(struct inbox_state *inbox)
{
    struct buf packed = buf_in(inbox->arena, inbox->head.removed_count * ID_BYTES);
    for (size_t i = 0; i < inbox->head.removed_count; i++)
        buf_put(&packed, inbox->head.removed[i]);
    return buf_slice(&packed);
}

static bool lists_follow(struct inbox_state *inbox, const struct lists *lists)
{
    struct devlist_proof proof = {.removed_before = removed_before(inbox)};
    uint8_t aik[DEVLIST_AIK_MESSAGE_BYTES];
    devlist_aik_message(&lists->next, aik);
    proof.sig_aik_valid =
        crypto_ed25519_verify(lists->next.aik, SLICE_OF(aik), lists->next.sig_aik);
    struct buf message =
        buf_in(inbox->arena, DEVLIST_DSK_LABEL_BYTES + lists->next.unsigned_bytes.bytes);
    devlist_dsk_message(lists->next.unsigned_bytes, &message);
    proof.sig_dsk_valid =
        !message.overflow &&
        crypto_ed25519_verify(lists->next.dsk, buf_slice(&message), lists->next.sig_dsk);
    if (lists->has_prev)
        crypto_sha256(&lists->prev.bytes, 1, proof.previous_hash);
    return devlist_check_next(lists->has_prev ? &lists->prev : NULL, &lists->next, &proof) ==
           DEVLIST_OK;
}

/* Is every device that enters unknown to the whole server? */
static bool devices_unique(struct inbox_state *inbox, const struct lists *lists)
{
    for (uint8_t i = 0; i < lists->next.device_count; i++) {
        const uint8_t *id = lists->next.devices[i].id;
        const struct row *row = fold_row(inbox->reads, TABLE_DIR, id, NULL, DIR_DEVICE);
        bool listed = lists->has_prev && devlist_find(&lists->prev, id) != NULL;
        if (row != NULL && !listed && row->stamp != inbox_stamp(inbox))
            return false;
    }
    return true;
}

static enum pb_error_code list_reason(struct inbox_state *inbox, struct lists *lists,
                                      struct pb_user_row *user)
{
    const struct pb_account_device_list *put = &inbox->record->body->body.account.body.device_list;
    if (!user_read(inbox, user) || user->suspended || !lists_read(inbox, lists))
        return PB_ERROR_CODE_DENIED;
    if (lists->next.n != inbox->head.dl_n + 1)
        return PB_ERROR_CODE_CONFLICT;
    bool by_session = put->session_device.bytes == ID_BYTES;
    if (by_session &&
        (!lists->has_prev || devlist_find(&lists->prev, put->session_device.at) == NULL))
        return PB_ERROR_CODE_DENIED;
    if ((lists->next.flags & DEVLIST_RESET) != 0)
        return PB_ERROR_CODE_UNSUPPORTED;
    if (!slice_equal(lists->next.username, user->username) || !lists_follow(inbox, lists) ||
        !devices_unique(inbox, lists))
        return PB_ERROR_CODE_DENIED;
    size_t ever = inbox->head.removed_count + lists->next.removed_count + lists->next.device_count;
    return ever > FOLD_DEVICES_EVER ? PB_ERROR_CODE_LIMIT : PB_ERROR_CODE_NONE;
}

static void device_rows_write(struct inbox_state *inbox, const struct lists *lists)
{
    struct slice user = slice_make(inbox->record->key, ID_BYTES);
    for (uint8_t i = 0; i < lists->next.device_count; i++) {
        const struct devlist_device *device = &lists->next.devices[i];
        struct pb_device_row row = {
            .user_id = user, .sigpub = slice_make(device->sigpub, 32), .added_n = device->added_n};
        dir_put(inbox, device->id, DIR_DEVICE, pb_device_row_pack_v1(&row, inbox->arena));
    }
    for (uint8_t i = 0; lists->has_prev && i < lists->prev.device_count; i++) {
        const struct devlist_device *device = &lists->prev.devices[i];
        if (devlist_find(&lists->next, device->id) != NULL)
            continue;
        struct pb_device_row row = {.user_id = user,
                                    .sigpub = slice_make(device->sigpub, 32),
                                    .added_n = device->added_n,
                                    .removed_n = lists->next.n};
        dir_put(inbox, device->id, DIR_DEVICE, pb_device_row_pack_v1(&row, inbox->arena));
    }
}

/* Head: the removals of this list join those of all before. */
static void removals_join(struct inbox_state *inbox, const struct lists *lists)
{
    struct pb_user_head *head = &inbox->head;
    struct slice *removed = ARENA_ARRAY(inbox->arena, struct slice,
                                        head->removed_count + lists->next.removed_count + 1u);
    if (removed == NULL)
        return;
    if (head->removed_count > 0)
        memcpy(removed, head->removed, head->removed_count * sizeof *removed);
    for (uint8_t i = 0; i < lists->next.removed_count; i++)
        removed[head->removed_count + i] =
            slice_sub(lists->next.removed, (size_t)i * ID_BYTES, ID_BYTES);
    head->removed = removed;
    head->removed_count += lists->next.removed_count;
}

/* Tell every chat of the user, and whoever holds sessions of the removed devices. */
static void removals_tell(struct inbox_state *inbox)
{
    const struct fold_want *chats = fold_range(inbox->reads, FOLD_RANGE, TABLE_USER_CHAT);
    size_t count = inbox->head.removed_count;
    uint8_t(*revoked)[ID_BYTES] = arena_array(inbox->arena, count + 1, ID_BYTES);
    if (count == 0 || revoked == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        memcpy(revoked[i], inbox->head.removed[i].at, ID_BYTES);
    inbox->out->revoked = (const uint8_t(*)[ID_BYTES])revoked;
    inbox->out->revoked_count = count;
    for (size_t i = 0; chats != NULL && i < chats->rows_count; i++)
        inbox_device_change(inbox, chats->rows[i].key.b);
}

static void device_list_apply(struct inbox_state *inbox)
{
    struct lists *lists = ARENA_NEW(inbox->arena, struct lists);
    struct pb_user_row user;
    if (lists == NULL)
        return;
    enum pb_error_code refused = list_reason(inbox, lists, &user);
    if (refused != PB_ERROR_CODE_NONE) {
        answer(inbox, refused, inbox->head.dl_n);
        return;
    }
    struct pb_device_list_row list = {lists->next.bytes};
    fold_put(inbox->out, inbox->arena,
             row_key_make(TABLE_DEVICE_LIST, inbox->record->key, NULL, lists->next.n),
             inbox_stamp(inbox), pb_device_list_row_pack_v1(&list, inbox->arena));
    device_rows_write(inbox, lists);
    user.dl_n = lists->next.n;
    user.closed = inbox->head.closed = lists->next.device_count == 0;
    dir_put(inbox, inbox->record->key, DIR_USER, pb_user_row_pack_v1(&user, inbox->arena));
    inbox->head.dl_n = lists->next.n;
    removals_join(inbox, lists);
    account_entry(inbox, inbox->head.dl_n, 0);
    inbox_head_write(inbox);
    if (lists->next.removed_count > 0)
        removals_tell(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, inbox->head.dl_n);
}

/* ---- the small ones ---- */

static void vault_apply(struct inbox_state *inbox)
{
    const struct pb_account_vault *put = &inbox->record->body->body.account.body.vault;
    struct pb_user_row user;
    if (!user_read(inbox, &user)) {
        answer(inbox, PB_ERROR_CODE_DENIED, 0);
        return;
    }
    if (put->ver != inbox->head.vault_ver + 1) {
        answer(inbox, PB_ERROR_CODE_CONFLICT, inbox->head.vault_ver);
        return;
    }
    struct pb_vault_row row = {put->ver, put->blob};
    dir_put(inbox, inbox->record->key, DIR_VAULT, pb_vault_row_pack_v1(&row, inbox->arena));
    inbox->head.vault_ver = put->ver;
    account_entry(inbox, 0, put->ver);
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, put->ver);
}

static void password_apply(struct inbox_state *inbox)
{
    struct pb_user_row user;
    if (!user_read(inbox, &user)) {
        answer(inbox, PB_ERROR_CODE_DENIED, 0);
        return;
    }
    user.password_hash = inbox->record->body->body.account.body.password.password_hash;
    user.reset_hash = SLICE_EMPTY;
    user.reset_until_ms = 0;
    dir_put(inbox, inbox->record->key, DIR_USER, pb_user_row_pack_v1(&user, inbox->arena));
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, 0);
}

static void invite_apply(struct inbox_state *inbox)
{
    const struct pb_account_invite *put = &inbox->record->body->body.account.body.invite;
    const struct row *there =
        fold_row(inbox->reads, TABLE_DIR, put->invite_hash.at, NULL, DIR_INVITE);
    if (there != NULL && there->stamp != inbox_stamp(inbox)) {
        answer(inbox, PB_ERROR_CODE_CONFLICT, 0);
        return;
    }
    struct pb_invite_row row = {.invite_hash = put->invite_hash,
                                .uses_left = put->uses,
                                .expires_ms = put->expires_ms,
                                .owner = put->owner};
    if (!id_is_zero(inbox->record->key)) /* zero: the operator */
        row.inviter = slice_make(inbox->record->key, ID_BYTES);
    dir_put(inbox, put->invite_hash.at, DIR_INVITE, pb_invite_row_pack_v1(&row, inbox->arena));
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, 0);
}

/* ---- the operator's ---- */

/* Every device of the newest list: marked, and, if it may have no session, told to its gateway. */
static void state_devices(struct inbox_state *inbox, bool suspended)
{
    struct devlist *list = ARENA_NEW(inbox->arena, struct devlist);
    struct pb_device_list_row stored;
    const struct row *row =
        fold_row(inbox->reads, TABLE_DEVICE_LIST, inbox->record->key, NULL, inbox->head.dl_n);
    if (list == NULL || row == NULL ||
        !fold_decode(&pb_device_list_row_type, row, inbox->arena, &stored) ||
        devlist_read(stored.dl, list) != STATUS_OK)
        return;
    uint8_t(*told)[ID_BYTES] = arena_array(inbox->arena, list->device_count + 1u, ID_BYTES);
    for (uint8_t i = 0; told != NULL && i < list->device_count; i++) {
        const struct devlist_device *device = &list->devices[i];
        struct pb_device_row is = {.user_id = slice_make(inbox->record->key, ID_BYTES),
                                   .sigpub = slice_make(device->sigpub, 32),
                                   .added_n = device->added_n,
                                   .suspended = suspended};
        dir_put(inbox, device->id, DIR_DEVICE, pb_device_row_pack_v1(&is, inbox->arena));
        memcpy(told[i], device->id, ID_BYTES);
    }
    if (!suspended || told == NULL)
        return;
    inbox->out->revoked = (const uint8_t(*)[ID_BYTES])told;
    inbox->out->revoked_count = list->device_count;
    inbox->out->revoked_suspended = true;
}

static void state_apply(struct inbox_state *inbox)
{
    const struct pb_account_state *asked = &inbox->record->body->body.account.body.state;
    struct pb_user_row user;
    if (!user_read(inbox, &user)) {
        answer(inbox, PB_ERROR_CODE_NOT_FOUND, 0);
        return;
    }
    state_devices(inbox, asked->suspended || asked->closed);
    user.suspended = asked->suspended || asked->closed;
    user.closed = asked->closed;
    if (asked->closed) { /* what it could sign in with, and its keys that lie here */
        struct pb_vault_row empty = {.ver = inbox->head.vault_ver};
        user.password_hash = user.reset_hash = SLICE_EMPTY;
        dir_put(inbox, inbox->record->key, DIR_VAULT, pb_vault_row_pack_v1(&empty, inbox->arena));
    }
    dir_put(inbox, inbox->record->key, DIR_USER, pb_user_row_pack_v1(&user, inbox->arena));
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, 0);
}

static void reset_apply(struct inbox_state *inbox)
{
    const struct pb_account_reset *asked = &inbox->record->body->body.account.body.reset;
    struct pb_user_row user;
    if (!user_read(inbox, &user)) {
        answer(inbox, PB_ERROR_CODE_NOT_FOUND, 0);
        return;
    }
    user.reset_hash = asked->secret_hash;
    user.reset_until_ms = asked->until_ms;
    dir_put(inbox, inbox->record->key, DIR_USER, pb_user_row_pack_v1(&user, inbox->arena));
    inbox_head_write(inbox);
    answer(inbox, PB_ERROR_CODE_NONE, 0);
}

enum status account_apply(struct inbox_state *inbox)
{
    switch (inbox->record->body->body.account.body_case) {
    case PB_ACCOUNT_BODY_REGISTER: register_apply(inbox); break;
    case PB_ACCOUNT_BODY_DEVICE_LIST: device_list_apply(inbox); break;
    case PB_ACCOUNT_BODY_VAULT: vault_apply(inbox); break;
    case PB_ACCOUNT_BODY_PASSWORD: password_apply(inbox); break;
    case PB_ACCOUNT_BODY_INVITE: invite_apply(inbox); break;
    case PB_ACCOUNT_BODY_STATE: state_apply(inbox); break;
    case PB_ACCOUNT_BODY_RESET: reset_apply(inbox); break;
    case PB_ACCOUNT_BODY_NONE:
    default: inbox->out->verdict = FOLD_UNREADABLE; break;
    }
    return STATUS_OK;
}

void account_replay(struct inbox_state *inbox)
{
    const struct pb_account *account = &inbox->record->body->body.account;
    if (account->body_case == PB_ACCOUNT_BODY_DEVICE_LIST)
        removals_tell(inbox);
}
