/* SPDX-License-Identifier: Apache-2.0
 * Tables of the account records: every refusal that a session is told, what an accepted one
 * leaves, and what an attempt that a crash cut short does when it comes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/fold_rig.h"
#include "core/username.h"
#include "ports/crypto.h"
#include "wire/devlist.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct fold_rig rig;
static const uint8_t operator_key[ID_BYTES], alice[ID_BYTES] = {1}, bob[ID_BYTES] = {2};
static const uint8_t phone[ID_BYTES] = {11}, tablet[ID_BYTES] = {12}, laptop[ID_BYTES] = {13};
static const uint8_t chats[3][ID_BYTES] = {{21}, {22}, {23}};
static struct {
    uint8_t aik[32], aik_secret[64], dsk[32], dsk_secret[64];
} keys;

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static struct slice id(const uint8_t *at)
{
    return slice_make(at, ID_BYTES);
}

static struct pb_record account_of(enum pb_account_body body)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_ACCOUNT};
    record.body.account.body_case = body;
    record.body.account.has_origin = true;
    record.body.account.origin = (struct pb_origin){7, 1, 55, (uint32_t)rig.offset + 1};
    return record;
}

/* The error that the session is told; NONE: accepted. */
static uint32_t answer(const uint8_t *user, const struct pb_record *record)
{
    enum fold_verdict verdict = rig_fold(&rig, TOPIC_DELIVERIES, user, record);
    assert_true(rig.out.answered);
    assert_int_equal(rig.out.origin.gateway, 7);
    assert_int_equal(rig.out.origin.shard, 1);
    assert_int_equal(rig.out.origin.session, 55);
    assert_int_equal(rig.out.origin.req, record->body.account.origin.req);
    assert_int_equal(rig.out.accepted, rig.out.error == PB_ERROR_CODE_NONE);
    assert_int_equal(verdict, rig.out.accepted ? FOLD_APPLIED : FOLD_REFUSED);
    if (!rig.out.accepted)
        assert_int_equal(rig.out.writes_count + rig.out.emissions_count, 0);
    return rig.out.error;
}

/* ---- sign-up and invites ---- */

static struct pb_record sign_up_of(const char *name, struct slice invite, uint64_t now_ms)
{
    struct pb_record record = account_of(PB_ACCOUNT_BODY_REGISTER);
    record.body.account.body.register_ =
        (struct pb_account_register){slice_text(name), slice_text("$argon2id$"), invite, now_ms};
    return record;
}

static uint32_t sign_up(const uint8_t *user, const char *name, struct slice invite)
{
    struct pb_record record = sign_up_of(name, invite, 1000);
    return answer(user, &record);
}

static uint32_t invite(const uint8_t *inviter, const uint8_t *hash, uint32_t uses,
                       uint64_t expires_ms)
{
    struct pb_record record = account_of(PB_ACCOUNT_BODY_INVITE);
    record.body.account.body.invite = (struct pb_account_invite){
        slice_make(hash, SHA256_BYTES), uses, expires_ms, inviter == operator_key};
    return answer(inviter, &record);
}

static const uint8_t once[32] = {1, 1}, thrice[32] = {1, 2}, late[32] = {1, 3};
static const uint8_t unknown[32] = {1, 4};
/* The same first half as `once`: rows are keyed by it, the whole counts. */
static const uint8_t alike[32] = {1, 1, [20] = 1};

static void every_refusal_of_a_sign_up(void **state)
{
    static const struct {
        uint8_t user;
        const char *name;
        const uint8_t *invite;
        size_t invite_bytes;
        enum pb_error_code error;
    } steps[] = {
        {1, "alice", NULL, 0, PB_ERROR_CODE_NONE},
        {1, "alice", NULL, 0, PB_ERROR_CODE_CONFLICT}, /* the user is there */
        {1, "somebody", NULL, 0, PB_ERROR_CODE_CONFLICT},
        {2, "alice", NULL, 0, PB_ERROR_CODE_NAME_TAKEN},
        {2, "a1ice", NULL, 0, PB_ERROR_CODE_NAME_TAKEN}, /* the eye sees the same */
        {2, "al.ice", NULL, 0, PB_ERROR_CODE_NAME_TAKEN},
        {2, "bob", unknown, 32, PB_ERROR_CODE_INVITE_USED},
        {2, "bob", late, 32, PB_ERROR_CODE_INVITE_USED},
        {2, "bob", alike, 32, PB_ERROR_CODE_INVITE_USED},
        {2, "bob", once, 31, PB_ERROR_CODE_INVITE_USED},
        {2, "bob", once, 16, PB_ERROR_CODE_INVITE_USED},
        {2, "alice", once, 32, PB_ERROR_CODE_NAME_TAKEN}, /* a refusal costs no use */
        {2, "bob", once, 32, PB_ERROR_CODE_NONE},
        {3, "carol", once, 32, PB_ERROR_CODE_INVITE_USED},
        {3, "carol", thrice, 32, PB_ERROR_CODE_NONE},
        {4, "dave", thrice, 32, PB_ERROR_CODE_NONE},
        {5, "eve", thrice, 32, PB_ERROR_CODE_NONE},
        {6, "mallory", thrice, 32, PB_ERROR_CODE_INVITE_USED},
    };
    (void)state;
    assert_int_equal(invite(operator_key, once, 1, 0), PB_ERROR_CODE_NONE);
    assert_int_equal(invite(alice, thrice, 3, 1001), PB_ERROR_CODE_NONE);
    assert_int_equal(invite(alice, late, 9, 1000), PB_ERROR_CODE_NONE);
    assert_int_equal(invite(bob, once, 9, 0), PB_ERROR_CODE_CONFLICT);
    for (size_t i = 0; i < COUNT(steps); i++) {
        const uint8_t user[ID_BYTES] = {steps[i].user};
        struct slice shown = steps[i].invite == NULL
                                 ? SLICE_EMPTY
                                 : slice_make(steps[i].invite, steps[i].invite_bytes);
        assert_int_equal(sign_up(user, steps[i].name, shown), steps[i].error);
    }
    struct pb_user_row row;
    const uint8_t carol[ID_BYTES] = {3};
    assert_true(fold_decode(&pb_user_row_type, rig_row(&rig, TABLE_DIR, bob, NULL, DIR_USER),
                            &rig.arena, &row));
    assert_true(row.owner); /* the operator's invite makes an owner, Alice's does not */
    assert_int_equal(row.invited_by.bytes, 0);
    assert_true(fold_decode(&pb_user_row_type, rig_row(&rig, TABLE_DIR, carol, NULL, DIR_USER),
                            &rig.arena, &row));
    assert_false(row.owner);
    assert_memory_equal(row.invited_by.at, alice, ID_BYTES);
}

/* The directory stands in other partitions than the head: a crash may leave it alone. */
static void a_sign_up_cut_short_takes_no_second_use(void **state)
{
    (void)state;
    assert_int_equal(invite(operator_key, once, 1, 0), PB_ERROR_CODE_NONE);
    struct pb_record record = sign_up_of("bob", slice_make(once, 32), 1000);
    assert_int_equal(answer(bob, &record), PB_ERROR_CODE_NONE);
    for (size_t i = 0; i < rig.rows_count; i++) { /* the head was not written */
        if (rig.rows[i].key.table == TABLE_USER_HEAD &&
            memcmp(rig.rows[i].key.a, bob, ID_BYTES) == 0)
            rig.rows[i] = rig.rows[--rig.rows_count];
    }
    struct fold_place at = {1, rig.offset - 1, 0};
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, bob, &record, at), FOLD_APPLIED);
    assert_true(rig.out.accepted);
    assert_int_equal(sign_up(alice, "alice", slice_make(once, 32)), PB_ERROR_CODE_INVITE_USED);
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, bob, &record, at), FOLD_REPLAYED);
    assert_int_equal(rig.out.writes_count, 0);
}

/* ---- vault and password ---- */

static void a_vault_is_compare_and_set(void **state)
{
    static const struct {
        uint64_t ver;
        enum pb_error_code error;
        uint64_t told;
    } steps[] = {
        {0, PB_ERROR_CODE_CONFLICT, 0},
        {2, PB_ERROR_CODE_CONFLICT, 0},
        {1, PB_ERROR_CODE_NONE, 1},
        {1, PB_ERROR_CODE_CONFLICT, 1},
        {3, PB_ERROR_CODE_CONFLICT, 1},
        {2, PB_ERROR_CODE_NONE, 2},
        {UINT64_MAX, PB_ERROR_CODE_CONFLICT, 2},
    };
    (void)state;
    struct pb_record put = account_of(PB_ACCOUNT_BODY_VAULT);
    put.body.account.body.vault = (struct pb_account_vault){1, slice_text("sealed")};
    assert_int_equal(answer(alice, &put), PB_ERROR_CODE_DENIED); /* nobody there */
    assert_int_equal(sign_up(alice, "alice", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    for (size_t i = 0; i < COUNT(steps); i++) {
        put.body.account.body.vault.ver = steps[i].ver;
        assert_int_equal(answer(alice, &put), steps[i].error);
        assert_int_equal(rig.out.ver, steps[i].told);
        /* The other devices hear of it in their inbox. */
        assert_int_equal(rig.out.deliver_useq != 0, steps[i].error == PB_ERROR_CODE_NONE);
    }
}

static void a_password_needs_a_user(void **state)
{
    (void)state;
    struct pb_record set = account_of(PB_ACCOUNT_BODY_PASSWORD);
    set.body.account.body.password.password_hash = slice_text("$argon2id$new");
    assert_int_equal(answer(alice, &set), PB_ERROR_CODE_DENIED);
    assert_int_equal(sign_up(alice, "alice", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    assert_int_equal(answer(alice, &set), PB_ERROR_CODE_NONE);
    struct pb_user_row row;
    assert_true(fold_decode(&pb_user_row_type, rig_row(&rig, TABLE_DIR, alice, NULL, DIR_USER),
                            &rig.arena, &row));
    assert_true(slice_equal(row.password_hash, slice_text("$argon2id$new")));
    assert_true(slice_equal(row.username, slice_text("alice")));
    struct pb_record none = account_of(PB_ACCOUNT_BODY_NONE);
    assert_int_equal(rig_fold(&rig, TOPIC_DELIVERIES, alice, &none), FOLD_UNREADABLE);
    assert_int_equal(rig.out.writes_count, 0);
    /* Below what is applied it is no less unreadable: its copy may not have gone out before. */
    assert_int_equal(
        rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &none, (struct fold_place){1, 0, 0}),
        FOLD_UNREADABLE);
}

/* ---- device lists ---- */

struct list_case {
    uint32_t n;
    const uint8_t *devices[3];
    const uint8_t *removed;
    const char *username;
    uint8_t flags, forged; /* forged: 1 the list's signature, 2 the key's, 3 the previous hash */
    bool second;           /* its devices but the first entered with this list, not the first */
};

/* A signed list of Alice's that follows `previous` (empty: a first one). */
static struct slice list_of(const struct list_case *is, struct slice previous)
{
    struct devlist list = {.n = is->n, .flags = is->flags, .dsk_ver = 1, .ts = is->n};
    list.username = slice_text(is->username != NULL ? is->username : "alice");
    memcpy(list.user, alice, ID_BYTES);
    memcpy(list.aik, keys.aik, 32);
    memcpy(list.dsk, keys.dsk, 32);
    if (previous.bytes > 0)
        crypto_sha256(&previous, 1, list.previous);
    list.previous[0] ^= is->forged == 3;
    for (; list.device_count < 3 && is->devices[list.device_count] != NULL; list.device_count++) {
        struct devlist_device *device = &list.devices[list.device_count];
        memcpy(device->id, is->devices[list.device_count], ID_BYTES);
        memset(device->sigpub, device->id[0], 32);
        device->added_n = is->second && list.device_count > 0 ? is->n : 1;
    }
    if (is->removed != NULL) {
        list.removed = id(is->removed);
        list.removed_count = 1;
    }
    uint8_t aik_message[DEVLIST_AIK_MESSAGE_BYTES], signature[64];
    devlist_aik_message(&list, aik_message);
    crypto_sign_detached(list.sig_aik, NULL, aik_message, sizeof aik_message, keys.aik_secret);
    list.sig_aik[0] ^= is->forged == 2;
    struct buf bytes = buf_in(&rig.arena, DEVLIST_BYTES_MAX), message = buf_in(&rig.arena, 9000);
    devlist_write_unsigned(&list, &bytes);
    devlist_dsk_message(buf_slice(&bytes), &message);
    crypto_sign_detached(signature, NULL, message.at, message.bytes, keys.dsk_secret);
    signature[0] ^= is->forged == 1;
    buf_put(&bytes, SLICE_OF(signature));
    return buf_slice(&bytes);
}

static uint32_t put_list(const uint8_t *user, struct slice list, const uint8_t *session)
{
    struct pb_record record = account_of(PB_ACCOUNT_BODY_DEVICE_LIST);
    record.body.account.body.device_list.dl = list;
    if (session != NULL)
        record.body.account.body.device_list.session_device = id(session);
    return answer(user, &record);
}

static const struct list_case first_list = {.n = 1, .devices = {phone, tablet}};

/* Alice with phone and tablet, in three chats; Bob's laptop is known to the server. */
static struct slice usual_account(void)
{
    struct pb_user_chat in = {1, 1, 1};
    assert_int_equal(sign_up(alice, "alice", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    assert_int_equal(sign_up(bob, "bob", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    struct pb_device_row row = {.user_id = id(bob), .added_n = 1};
    static const uint8_t sigpub[32] = {9};
    row.sigpub = SLICE_OF(sigpub);
    rig_put(&rig, row_key_make(TABLE_DIR, laptop, NULL, DIR_DEVICE), 1,
            pb_device_row_pack_v1(&row, &rig.arena));
    struct slice list = list_of(&first_list, SLICE_EMPTY);
    assert_int_equal(put_list(alice, list, NULL), PB_ERROR_CODE_NONE);
    for (size_t i = 0; i < COUNT(chats); i++)
        rig_put(&rig, row_key_make(TABLE_USER_CHAT, alice, chats[i], 0), 1,
                pb_user_chat_pack_v1(&in, &rig.arena));
    return list;
}

static void every_refusal_of_a_device_list(void **state)
{
    static const uint8_t fresh[ID_BYTES] = {14};
    static const struct {
        struct list_case list;
        const uint8_t *session;
        enum pb_error_code error;
    } cases[] = {
        {{.n = 2, .devices = {phone}, .removed = tablet}, phone, PB_ERROR_CODE_NONE},
        {{.n = 2, .devices = {phone}, .removed = tablet}, tablet, PB_ERROR_CODE_NONE}, /* itself */
        {{.n = 2, .devices = {phone}, .removed = tablet}, NULL, PB_ERROR_CODE_NONE}, /* by grant */
        /* the number: somebody was faster, or it was put already */
        {{.n = 1, .devices = {phone, tablet}}, phone, PB_ERROR_CODE_CONFLICT},
        {{.n = 3, .devices = {phone}, .removed = tablet}, phone, PB_ERROR_CODE_DENIED},
        /* who may */
        {{.n = 2, .devices = {phone}, .removed = tablet}, laptop, PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone}, .removed = tablet}, fresh, PB_ERROR_CODE_DENIED},
        /* what does not follow */
        {{.n = 2, .devices = {phone}, .removed = tablet, .forged = 1}, phone, PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone}, .removed = tablet, .forged = 2}, phone, PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone}, .removed = tablet, .forged = 3}, phone, PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone}, .removed = tablet, .username = "bob"},
         phone,
         PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone}}, phone, PB_ERROR_CODE_DENIED}, /* the tablet vanished */
        {{.n = 2, .devices = {phone, tablet, fresh}}, phone, PB_ERROR_CODE_DENIED}, /* added_n 1 */
        {{.n = 2, .devices = {phone}, .removed = tablet, .flags = DEVLIST_RESET},
         phone,
         PB_ERROR_CODE_UNSUPPORTED},
        /* a device that the server knows as somebody else's */
        {{.n = 2, .devices = {phone, laptop}, .removed = tablet, .second = true},
         phone,
         PB_ERROR_CODE_DENIED},
        {{.n = 2, .devices = {phone, fresh}, .removed = tablet, .second = true},
         phone,
         PB_ERROR_CODE_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice before = usual_account();
        struct slice list = list_of(&cases[i].list, before);
        assert_int_equal(put_list(alice, list, cases[i].session), cases[i].error);
        bool accepted = cases[i].error == PB_ERROR_CODE_NONE;
        assert_int_equal(rig.out.ver, accepted ? 2 : 1);
        assert_int_equal(rig.out.revoked_count, accepted ? 1 : 0);
        /* Every chat hears of the removal, once. */
        assert_int_equal(rig.out.emissions_count, accepted ? COUNT(chats) : 0);
        for (size_t k = 0; accepted && k < COUNT(chats); k++)
            assert_non_null(rig_bore(&rig, chats[k], PB_RECORD_BODY_DEVICE_CHANGE));
        (void)teardown(state);
        (void)setup(state);
    }
}

/* Each removed device stays named for ever, in the account and in its chats: so there is an end. */
static void an_account_has_so_many_devices_ever(void **state)
{
    static uint8_t gone[FOLD_DEVICES_EVER][ID_BYTES];
    static const uint8_t fresh[ID_BYTES] = {14};
    const struct list_case more = {.n = 2,
                                   .devices = {phone, fresh},
                                   .removed = tablet,
                                   .second = true},
                           less = {.n = 2, .devices = {phone}, .removed = tablet};
    for (size_t ever = FOLD_DEVICES_EVER; ever <= FOLD_DEVICES_EVER + 1; ever++) {
        struct slice before = usual_account(), removed[FOLD_DEVICES_EVER];
        struct pb_user_head head;
        size_t count = ever - 3; /* besides phone, tablet and the new one */
        const struct row *row = rig_row(&rig, TABLE_USER_HEAD, alice, NULL, 0);
        assert_true(fold_decode(&pb_user_head_type, row, &rig.arena, &head));
        for (size_t i = 0; i < count; i++) {
            gone[i][1] = (uint8_t)(i + 1);
            removed[i] = id(gone[i]);
        }
        head.removed = removed;
        head.removed_count = count;
        rig_put(&rig, row->key, row->stamp, pb_user_head_pack_v1(&head, &rig.arena));
        bool fits = ever == FOLD_DEVICES_EVER;
        assert_int_equal(put_list(alice, list_of(&more, before), phone),
                         fits ? PB_ERROR_CODE_NONE : PB_ERROR_CODE_LIMIT);
        if (!fits) /* going is always possible */
            assert_int_equal(put_list(alice, list_of(&less, before), phone), PB_ERROR_CODE_NONE);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void a_list_needs_its_user(void **state)
{
    (void)state;
    struct slice list = list_of(&first_list, SLICE_EMPTY);
    assert_int_equal(put_list(alice, list, NULL), PB_ERROR_CODE_DENIED); /* nobody there */
    assert_int_equal(sign_up(alice, "alice", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    assert_int_equal(sign_up(bob, "bob", SLICE_EMPTY), PB_ERROR_CODE_NONE);
    assert_int_equal(put_list(bob, list, NULL), PB_ERROR_CODE_DENIED); /* of another */
    assert_int_equal(put_list(alice, slice_text("PDL1"), NULL), PB_ERROR_CODE_DENIED);
    assert_int_equal(put_list(alice, list, phone), PB_ERROR_CODE_DENIED); /* no session yet */
    assert_int_equal(put_list(alice, list, NULL), PB_ERROR_CODE_NONE);
}

static void a_removal_is_told_again_when_replayed(void **state)
{
    (void)state;
    struct slice before = usual_account();
    struct list_case next = {.n = 2, .devices = {phone}, .removed = tablet};
    struct pb_record record = account_of(PB_ACCOUNT_BODY_DEVICE_LIST);
    record.body.account.body.device_list.dl = list_of(&next, before);
    assert_int_equal(answer(alice, &record), PB_ERROR_CODE_NONE);
    struct fold_place at = {1, rig.offset - 1, 0};
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &record, at), FOLD_REPLAYED);
    assert_int_equal(rig.out.writes_count, 0);
    assert_int_equal(rig.out.emissions_count, COUNT(chats));
    assert_int_equal(rig.out.revoked_count, 1);
    assert_memory_equal(rig.out.revoked[0], tablet, ID_BYTES);
}

static void a_closed_account_takes_nothing(void **state)
{
    (void)state;
    struct slice before = usual_account();
    struct list_case one = {.n = 2, .devices = {phone}, .removed = tablet};
    struct list_case none = {.n = 3, .removed = phone};
    struct slice second = list_of(&one, before);
    assert_int_equal(put_list(alice, second, phone), PB_ERROR_CODE_NONE);
    struct slice third = list_of(&none, second);
    assert_int_equal(put_list(alice, third, phone), PB_ERROR_CODE_NONE);
    assert_int_equal(rig.out.revoked_count, 2); /* all so far */
    struct list_case again = {.n = 4, .devices = {phone}};
    assert_int_equal(put_list(alice, list_of(&again, third), NULL), PB_ERROR_CODE_DENIED);
    struct pb_record set = account_of(PB_ACCOUNT_BODY_PASSWORD);
    struct pb_record put = account_of(PB_ACCOUNT_BODY_VAULT);
    put.body.account.body.vault = (struct pb_account_vault){1, slice_text("sealed")};
    assert_int_equal(answer(alice, &set), PB_ERROR_CODE_DENIED);
    assert_int_equal(answer(alice, &put), PB_ERROR_CODE_DENIED);
}

/* ---- the operator's ---- */

/* Without an origin: nobody is answered. */
static enum fold_verdict state_set(bool suspended, bool closed)
{
    struct pb_record record = account_of(PB_ACCOUNT_BODY_STATE);
    record.body.account.has_origin = false;
    record.body.account.body.state = (struct pb_account_state){suspended, closed};
    enum fold_verdict verdict = rig_fold(&rig, TOPIC_DELIVERIES, alice, &record);
    assert_false(rig.out.answered);
    return verdict;
}

static struct pb_user_row user_now(void)
{
    struct pb_user_row user = {0};
    const struct row *row = rig_row(&rig, TABLE_DIR, alice, NULL, DIR_USER);
    assert_true(fold_decode(&pb_user_row_type, row, &rig.arena, &user));
    return user;
}

static struct pb_device_row device_now(const uint8_t *device)
{
    struct pb_device_row is = {0};
    const struct row *row = rig_row(&rig, TABLE_DIR, device, NULL, DIR_DEVICE);
    assert_true(fold_decode(&pb_device_row_type, row, &rig.arena, &is));
    return is;
}

static void a_suspension_reaches_every_device_and_ends(void **state)
{
    static const uint8_t fresh[ID_BYTES] = {14};
    const struct list_case more = {
        .n = 2, .devices = {phone, fresh}, .removed = tablet, .second = true};
    (void)state;
    assert_int_equal(state_set(true, false), FOLD_REFUSED); /* nobody there */
    struct slice before = usual_account();
    struct pb_device_row was = device_now(phone);
    assert_int_equal(state_set(true, false), FOLD_APPLIED);
    assert_true(user_now().suspended && !user_now().closed);
    assert_true(device_now(phone).suspended && device_now(tablet).suspended);
    assert_true(rig.out.revoked_suspended);
    assert_int_equal(rig.out.revoked_count, 2);
    assert_memory_equal(rig.out.revoked[0], phone, ID_BYTES);
    assert_memory_equal(rig.out.revoked[1], tablet, ID_BYTES);
    assert_int_equal(rig.out.emissions_count, 0); /* no chat learns of it */
    assert_int_equal(put_list(alice, list_of(&more, before), phone), PB_ERROR_CODE_DENIED);
    assert_int_equal(state_set(false, false), FOLD_APPLIED);
    assert_false(user_now().suspended);
    assert_int_equal(rig.out.revoked_count, 0);
    struct pb_device_row is = device_now(phone);
    assert_false(is.suspended);
    assert_int_equal(is.added_n, was.added_n);
    assert_true(slice_equal(is.sigpub, was.sigpub) && slice_equal(is.user_id, was.user_id));
    assert_int_equal(put_list(alice, list_of(&more, before), phone), PB_ERROR_CODE_NONE);
}

static void a_closing_takes_secrets_and_cannot_be_undone(void **state)
{
    (void)state;
    (void)usual_account();
    struct pb_record put = account_of(PB_ACCOUNT_BODY_VAULT);
    put.body.account.body.vault = (struct pb_account_vault){1, slice_text("sealed")};
    assert_int_equal(answer(alice, &put), PB_ERROR_CODE_NONE);
    assert_int_equal(state_set(true, true), FOLD_APPLIED);
    assert_true(user_now().closed && user_now().suspended);
    assert_int_equal(user_now().password_hash.bytes, 0);
    assert_true(device_now(phone).suspended);
    struct pb_vault_row vault;
    const struct row *row = rig_row(&rig, TABLE_DIR, alice, NULL, DIR_VAULT);
    assert_true(fold_decode(&pb_vault_row_type, row, &rig.arena, &vault));
    assert_int_equal(vault.blob.bytes, 0);
    assert_int_equal(state_set(false, false), FOLD_REFUSED);
    assert_true(user_now().closed && device_now(phone).suspended);
    static const uint8_t carl[ID_BYTES] = {3};
    assert_int_equal(sign_up(carl, "alice", SLICE_EMPTY), PB_ERROR_CODE_NAME_TAKEN);
}

static void a_reset_stands_until_a_new_password(void **state)
{
    static const uint8_t hash[SHA256_BYTES] = {9};
    (void)state;
    (void)usual_account();
    struct pb_record record = account_of(PB_ACCOUNT_BODY_RESET);
    record.body.account.body.reset =
        (struct pb_account_reset){slice_make(hash, SHA256_BYTES), 5000};
    assert_int_equal(answer(alice, &record), PB_ERROR_CODE_NONE);
    assert_memory_equal(user_now().reset_hash.at, hash, SHA256_BYTES);
    assert_int_equal(user_now().reset_until_ms, 5000);
    assert_true(user_now().password_hash.bytes > 0); /* the old one still opens */
    struct pb_record set = account_of(PB_ACCOUNT_BODY_PASSWORD);
    set.body.account.body.password.password_hash = slice_text("$argon2id$new");
    assert_int_equal(answer(alice, &set), PB_ERROR_CODE_NONE);
    assert_int_equal(user_now().reset_hash.bytes, 0);
    assert_int_equal(user_now().reset_until_ms, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_refusal_of_a_sign_up),
        TEST(a_sign_up_cut_short_takes_no_second_use),
        TEST(a_vault_is_compare_and_set),
        TEST(a_password_needs_a_user),
        TEST(every_refusal_of_a_device_list),
        TEST(a_list_needs_its_user),
        TEST(an_account_has_so_many_devices_ever),
        TEST(a_removal_is_told_again_when_replayed),
        TEST(a_closed_account_takes_nothing),
        TEST(a_suspension_reaches_every_device_and_ends),
        TEST(a_closing_takes_secrets_and_cannot_be_undone),
        TEST(a_reset_stands_until_a_new_password),
    };
    crypto_sign_keypair(keys.aik, keys.aik_secret);
    crypto_sign_keypair(keys.dsk, keys.dsk_secret);
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
