/* SPDX-License-Identifier: Apache-2.0
 * Tables of the chat fold: every refusal with its reason, its counter and what it leaves behind
 * (e2ee §6), creations, changes of devices, receipts, replays.
 * EXCEPTION: above 600 lines; one set of makers serves every table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/fold_rig.h"
#include "ports/crypto.h"
#include "wire/policy.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct fold_rig rig;
static const uint8_t alice[ID_BYTES] = {1}, bob[ID_BYTES] = {2}, carol[ID_BYTES] = {3};
static const uint8_t phone[ID_BYTES] = {11}, tablet[ID_BYTES] = {12}, laptop[ID_BYTES] = {13};
static const uint8_t pad[ID_BYTES] = {14};
static uint8_t chat[ID_BYTES];
static uint8_t policy_bytes[POLICY_DIRECT_BYTES];

static int setup(void **state)
{
    (void)state;
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
    struct policy_member a = {.role = POLICY_ROLE_OWNER}, b = {.role = POLICY_ROLE_OWNER};
    struct buf policy = buf_over(policy_bytes, sizeof policy_bytes);
    memcpy(a.user, alice, ID_BYTES);
    memcpy(b.user, bob, ID_BYTES);
    policy_direct_write(&a, &b, &policy);
    direct_chat_input(alice, bob, input);
    struct slice part = SLICE_OF(input);
    crypto_sha256(&part, 1, hash);
    memcpy(chat, hash, ID_BYTES);
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

/* ---- what devices send ---- */

struct sent {
    const uint8_t *user, *device;
    uint64_t sctr;
    uint16_t gen;
    uint64_t mls_epoch;
    uint8_t kind, mid;
};

static struct pb_record send_of(const struct sent *sent, const uint8_t *to)
{
    struct buf envelope = buf_in(&rig.arena, ENVELOPE_OVERHEAD_BYTES + 64);
    struct envelope_header header = {
        .kind = sent->kind, .gen = sent->gen, .mls_epoch = sent->mls_epoch, .sctr = sent->sctr};
    memcpy(header.chat, to, ID_BYTES);
    memcpy(header.device, sent->device, ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, ENVELOPE_OVERHEAD_BYTES + 64 - envelope.bytes);
    uint8_t *mid = ARENA_ARRAY(&rig.arena, uint8_t, ID_BYTES);
    memset(mid, sent->mid, ID_BYTES);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry = (struct pb_chat_entry){id(sent->user), id(mid), 0, buf_slice(&envelope)};
    return record;
}

static enum fold_verdict send(const struct sent *sent)
{
    struct pb_record record = send_of(sent, chat);
    return rig_fold(&rig, TOPIC_MESSAGES, chat, &record);
}

struct leaves {
    struct slice devices[10], users[10];
    size_t count;
};

static struct pb_record create_of(const uint8_t *user, const uint8_t *device, uint8_t mid,
                                  uint32_t gen, struct leaves *leaves)
{
    uint8_t *mid_at = ARENA_ARRAY(&rig.arena, uint8_t, ID_BYTES);
    memset(mid_at, mid, ID_BYTES);
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = id(user),
                                            .device_id = id(device),
                                            .mid = id(mid_at),
                                            .gen = gen,
                                            .mls_epoch = 1,
                                            .policy = SLICE_OF(policy_bytes),
                                            .leaves = leaves->devices,
                                            .leaves_count = leaves->count,
                                            .leaf_users = leaves->users,
                                            .leaf_users_count = leaves->count};
    return record;
}

static struct leaves usual_leaves(void)
{
    return (struct leaves){{id(phone), id(tablet), id(laptop)}, {id(alice), id(alice), id(bob)}, 3};
}

static enum fold_verdict create(const uint8_t *user, const uint8_t *device, uint8_t mid,
                                uint32_t gen)
{
    struct leaves leaves = usual_leaves();
    struct pb_record record = create_of(user, device, mid, gen, &leaves);
    return rig_fold(&rig, TOPIC_MESSAGES, chat, &record);
}

static enum fold_verdict remove_devices(const uint8_t *user, const uint8_t *first,
                                        const uint8_t *second)
{
    struct slice removed[2] = {id(first), second != NULL ? id(second) : SLICE_EMPTY};
    struct pb_record record = {.body_case = PB_RECORD_BODY_DEVICE_CHANGE};
    record.body.device_change =
        (struct pb_device_change){id(user), 2, removed, second != NULL ? 2 : 1, false};
    return rig_fold(&rig, TOPIC_MESSAGES, chat, &record);
}

static enum fold_verdict receipt(const uint8_t *user, uint64_t delivered, uint64_t read)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
    record.body.receipt = (struct pb_receipt){id(user), delivered, read};
    return rig_fold(&rig, TOPIC_MESSAGES, chat, &record);
}

static struct pb_chat_head head(void)
{
    struct pb_chat_head head = {0};
    const struct row *row = rig_row(&rig, TABLE_CHAT_HEAD, chat, NULL, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_chat_head_type, row, &rig.arena, &head));
    return head;
}

static uint64_t counter_of(const uint8_t *device)
{
    struct pb_sender_row sender = {0};
    const struct row *row = rig_row(&rig, TABLE_SENDER, chat, device, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_sender_row_type, row, &rig.arena, &sender));
    return sender.sctr;
}

static struct pb_membership membership_of(const uint8_t *user)
{
    struct pb_member_row member = {0};
    const struct row *row = rig_row(&rig, TABLE_MEMBER, chat, user, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_member_row_type, row, &rig.arena, &member));
    return member.now;
}

/* Creation 1, phone's sctr 1 is 2, tablet's sctr 1 is 3, the tablet leaves at 4. */
static void usual_chat(void)
{
    assert_int_equal(create(alice, phone, 90, 1), FOLD_APPLIED);
    assert_int_equal(send(&(struct sent){alice, phone, 1, 1, 1, 0, 1}), FOLD_APPLIED);
    assert_int_equal(send(&(struct sent){alice, tablet, 1, 1, 1, 0, 2}), FOLD_APPLIED);
    assert_int_equal(remove_devices(alice, tablet, NULL), FOLD_APPLIED);
    assert_int_equal(head().cseq, 4);
}

/* ---- SEND ---- */

static const struct {
    struct sent sent;
    enum pb_error_code reason;
    bool consumed;
    uint64_t expected;
} refusals[] = {
    /* the counter comes first, whatever else is wrong */
    {{alice, phone, 3, 1, 1, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 2},
    {{alice, phone, UINT64_MAX, 1, 1, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 2},
    {{alice, phone, 3, 9, 9, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 2},
    {{bob, laptop, 2, 1, 1, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 1},
    {{alice, tablet, 3, 1, 1, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 2},
    {{carol, pad, 2, 1, 1, 0, 9}, PB_ERROR_CODE_SCTR_EXPECTED, false, 1},
    /* then membership: final; only who was a member has a counter to consume */
    {{alice, tablet, 2, 1, 1, 0, 9}, PB_ERROR_CODE_NOT_MEMBER, true, 0},
    {{alice, tablet, 2, 2, 9, 0, 9}, PB_ERROR_CODE_NOT_MEMBER, true, 0},
    {{carol, pad, 1, 1, 1, 0, 9}, PB_ERROR_CODE_NOT_MEMBER, false, 0},
    {{carol, pad, 1, 2, 9, 0, 9}, PB_ERROR_CODE_NOT_MEMBER, false, 0},
    /* then gen, epoch, floor: repairable */
    {{alice, phone, 2, 2, 1, 0, 9}, PB_ERROR_CODE_GEN_CHANGED, false, 0},
    {{alice, phone, 2, 7, 9, 0, 9}, PB_ERROR_CODE_GEN_CHANGED, false, 0},
    {{alice, phone, 2, 1, 2, 0, 9}, PB_ERROR_CODE_EPOCH_AHEAD, false, 0},
    {{alice, phone, 2, 1, UINT64_MAX, 0, 9}, PB_ERROR_CODE_EPOCH_AHEAD, false, 0},
    {{alice, phone, 2, 1, 0, 0, 9}, PB_ERROR_CODE_STALE_EPOCH, false, 0},
};

/* Nothing but the REJECTED, and, if it consumed, the counter and the head, after it. */
static void check_refused(size_t at, uint64_t cseq, uint64_t counter)
{
    const struct sent *sent = &refusals[at].sent;
    bool consumed = refusals[at].consumed;
    const struct pb_record *record = rig_bore(&rig, sent->user, PB_RECORD_BODY_REJECTED);
    assert_non_null(record);
    const struct pb_rejected *rejected = &record->body.rejected;
    assert_int_equal(rejected->reason, refusals[at].reason);
    assert_int_equal(rejected->consumed, consumed);
    assert_int_equal(rejected->expected, refusals[at].expected);
    assert_int_equal(rejected->sctr, sent->sctr);
    assert_int_equal(rejected->gen, 1);
    assert_int_equal(rejected->mls_epoch, 1);
    assert_int_equal(rejected->floor, 1);
    assert_memory_equal(rejected->device_id.at, sent->device, ID_BYTES);
    assert_memory_equal(rejected->chat_id.at, chat, ID_BYTES);
    assert_int_equal(rejected->mid.at[0], sent->mid);
    assert_int_equal(rig.out.emissions_count, 1);
    assert_int_equal(rig.out.writes_count, 0);
    assert_int_equal(rig.out.late_count, consumed ? 2 : 0);
    assert_true(rig.out.bare);
    assert_false(rig.out.head_moved);
    assert_int_equal(head().cseq, cseq);
    assert_int_equal(counter_of(sent->device), consumed ? sent->sctr : counter);
}

static void every_refusal_of_a_send(void **state)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        usual_chat();
        const struct sent *sent = &refusals[i].sent;
        uint64_t counter = counter_of(sent->device);
        assert_int_equal(send(sent), FOLD_REFUSED);
        check_refused(i, 4, counter);
        /* The phone goes on with the number that is next: free, or one above what was consumed. */
        uint64_t next = counter_of(phone) + 1;
        assert_int_equal(send(&(struct sent){alice, phone, next, 1, 1, 0, 10}), FOLD_APPLIED);
        assert_int_equal(head().cseq, 5);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void nothing_can_be_sent_to_no_chat(void **state)
{
    (void)state;
    assert_int_equal(send(&(struct sent){alice, phone, 1, 1, 1, 0, 1}), FOLD_REFUSED);
    const struct pb_record *record = rig_bore(&rig, alice, PB_RECORD_BODY_REJECTED);
    assert_int_equal(record->body.rejected.reason, PB_ERROR_CODE_NOT_MEMBER);
    assert_false(record->body.rejected.consumed);
    assert_int_equal(rig.rows_count, 0);
}

/* Where not all may send, who is no admin hears so; the counter is consumed, one above goes on. */
static void the_right_to_send_comes_last(void **state)
{
    static const struct {
        uint8_t role, rights;
        uint64_t mls_epoch;
        enum pb_error_code reason;
    } cases[] = {
        {POLICY_ROLE_OWNER, 0, 1, PB_ERROR_CODE_NONE},
        {POLICY_ROLE_ADMIN, 0, 1, PB_ERROR_CODE_NONE},
        {POLICY_ROLE_MEMBER, POLICY_ALL_MAY_SEND, 1, PB_ERROR_CODE_NONE},
        {POLICY_ROLE_MEMBER, POLICY_ALL_MAY_ADD, 1, PB_ERROR_CODE_NOT_ALLOWED},
        {POLICY_ROLE_MEMBER, 0, 0, PB_ERROR_CODE_STALE_EPOCH},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        policy_bytes[6] = cases[i].rights;
        policy_bytes[POLICY_HEAD_BYTES + POLICY_MEMBER_BYTES - 1] = cases[i].role;
        assert_int_equal(create(alice, phone, 90, 1), FOLD_APPLIED);
        struct sent sent = {alice, phone, 1, 1, cases[i].mls_epoch, 0, 9};
        bool accepted = cases[i].reason == PB_ERROR_CODE_NONE;
        bool consumed = cases[i].reason == PB_ERROR_CODE_NOT_ALLOWED;
        assert_int_equal(send(&sent), accepted ? FOLD_APPLIED : FOLD_REFUSED);
        const struct pb_record *record = rig_bore(&rig, alice, PB_RECORD_BODY_REJECTED);
        assert_int_equal(record == NULL, accepted);
        if (record != NULL) {
            assert_int_equal(record->body.rejected.reason, cases[i].reason);
            assert_int_equal(record->body.rejected.consumed, consumed);
        }
        assert_int_equal(counter_of(phone), accepted || consumed);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void what_is_pending_stops_every_send(void **state)
{
    (void)state;
    usual_chat();
    struct pb_chat_head pending = head();
    struct pb_pending who = {.user_id = id(alice), .device_id = id(tablet), .cseq = 4};
    pending.pending = &who;
    pending.pending_count = 1;
    rig_put(&rig, row_key_make(TABLE_CHAT_HEAD, chat, NULL, 0), row_stamp(1, rig.offset),
            pb_chat_head_pack_v1(&pending, &rig.arena));
    assert_int_equal(send(&(struct sent){alice, phone, 2, 1, 1, 0, 9}), FOLD_REFUSED);
    const struct pb_record *record = rig_bore(&rig, alice, PB_RECORD_BODY_REJECTED);
    assert_int_equal(record->body.rejected.reason, PB_ERROR_CODE_PENDING_REMOVAL);
    assert_false(record->body.rejected.consumed);
    assert_int_equal(counter_of(phone), 1);
}

static void a_used_number_is_never_used_again(void **state)
{
    static const struct {
        struct sent sent;
        bool named; /* a REPEAT tells the device */
    } cases[] = {
        {{alice, phone, 3, 1, 1, 0, 3}, false}, /* the very same once more */
        {{alice, phone, 3, 9, 9, 0, 3}, false}, /* even if the chat has moved on */
        {{alice, phone, 3, 1, 1, 0, 99}, true}, /* another mid: it was rolled back */
        {{alice, phone, 1, 1, 1, 0, 1}, true},  /* an older one: the newest is named */
        {{alice, phone, 2, 9, 0, 0, 99}, true},
    };
    (void)state;
    assert_int_equal(create(alice, phone, 90, 1), FOLD_APPLIED);
    for (uint8_t sctr = 1; sctr <= 3; sctr++)
        assert_int_equal(send(&(struct sent){alice, phone, sctr, 1, 1, 0, sctr}), FOLD_APPLIED);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(send(&cases[i].sent), FOLD_REPEATED);
        assert_int_equal(rig.out.writes_count + rig.out.late_count, 0);
        assert_int_equal(rig.out.emissions_count, cases[i].named);
        assert_int_equal(head().cseq, 4);
        if (!cases[i].named)
            continue;
        const struct pb_repeat *repeat = &rig_bore(&rig, alice, PB_RECORD_BODY_REPEAT)->body.repeat;
        assert_int_equal(repeat->sctr, cases[i].sent.sctr);
        assert_int_equal(repeat->last, 3);
        assert_int_equal(repeat->last_mid.at[0], 3);
        assert_int_equal(repeat->last_cseq, 4);
        assert_memory_equal(repeat->device_id.at, phone, ID_BYTES);
    }
}

/* A removed device that repeats what was accepted hears of its number, not of its removal. */
static void a_repeat_comes_before_the_removal(void **state)
{
    (void)state;
    usual_chat();
    assert_int_equal(send(&(struct sent){alice, tablet, 1, 1, 1, 0, 2}), FOLD_REPEATED);
    assert_int_equal(rig.out.emissions_count, 0);
    assert_int_equal(send(&(struct sent){alice, tablet, 1, 1, 1, 0, 77}), FOLD_REPEATED);
    assert_non_null(rig_bore(&rig, alice, PB_RECORD_BODY_REPEAT));
}

static void time_never_runs_back(void **state)
{
    static const struct {
        uint64_t append_us, ts;
    } cases[] = {{7000000, 7000}, {6000000, 7000}, {0, 7000}, {7001000, 7001}, {9000000, 9000}};
    (void)state;
    assert_int_equal(create(alice, phone, 90, 1), FOLD_APPLIED);
    for (size_t i = 0; i < COUNT(cases); i++) {
        rig.append_us = cases[i].append_us;
        uint64_t before = head().wts;
        struct sent sent = {alice, phone, i + 1, 1, 1, 0, (uint8_t)(i + 1)};
        assert_int_equal(send(&sent), FOLD_APPLIED);
        const struct pb_record *record = rig_bore(&rig, bob, PB_RECORD_BODY_ANNOUNCE);
        assert_int_equal(record->body.announce.entry.body.message.ts, cases[i].ts);
        assert_true(head().wts > before);
    }
}

static void what_cannot_be_read_has_no_number(void **state)
{
    static const uint8_t elsewhere[ID_BYTES] = {99};
    struct sent sent = {alice, phone, 2, 1, 1, 0, 9};
    (void)state;
    usual_chat();
    struct pb_record of_another = send_of(&sent, elsewhere), cut = send_of(&sent, chat);
    struct pb_record counterless = send_of(&(struct sent){alice, phone, 0, 1, 1, 0, 9}, chat);
    struct pb_record newer = send_of(&sent, chat);
    struct sent typing = {alice, phone, 0, 1, 1, PB_MESSAGE_KIND_TRANSIENT, 0};
    struct pb_record transient = send_of(&typing, chat);
    cut.body.entry.envelope.bytes = ENVELOPE_OVERHEAD_BYTES - 1;
    uint8_t *bytes = (uint8_t *)(uintptr_t)newer.body.entry.envelope.at;
    bytes[0] = ENVELOPE_VERSION + 1;
    struct pb_record none = {.body_case = PB_RECORD_BODY_NONE};
    struct pb_record version = {.body_case = PB_RECORD_BODY_VERSION};
    struct pb_record *cases[] = {&of_another, &cut,  &counterless, &newer,
                                 &transient,  &none, &version};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, cases[i]), FOLD_UNREADABLE);
        assert_int_equal(rig.out.writes_count + rig.out.late_count + rig.out.emissions_count, 0);
    }
    assert_int_equal(send(&sent), FOLD_APPLIED);
}

/* ---- CREATE ---- */

enum spoil {
    NOTHING,
    NO_LEAVES,
    A_LEAF_TWICE,
    A_LEAF_OF_A_STRANGER,
    NINE_LEAVES,
    A_POLICY_CUT,
    A_KIND_UNKNOWN,
    ANOTHER_CHAT,
};

static void spoil_it(enum spoil spoil, struct pb_create *create, struct leaves *leaves)
{
    switch (spoil) {
    case NOTHING:
    case ANOTHER_CHAT: break;
    case NO_LEAVES: create->leaves_count = create->leaf_users_count = 0; break;
    case A_LEAF_TWICE: leaves->devices[1] = leaves->devices[0]; break;
    case A_LEAF_OF_A_STRANGER: leaves->users[2] = id(carol); break;
    case NINE_LEAVES:
        for (size_t i = 0; i < 9; i++) {
            uint8_t *device = ARENA_ARRAY(&rig.arena, uint8_t, ID_BYTES);
            memset(device, (int)(0x50 + i), ID_BYTES);
            leaves->devices[i] = id(device);
            leaves->users[i] = id(alice);
        }
        create->leaves_count = create->leaf_users_count = 9;
        break;
    case A_POLICY_CUT: create->policy.bytes--; break;
    case A_KIND_UNKNOWN: {
        uint8_t *copy = ARENA_ARRAY(&rig.arena, uint8_t, sizeof policy_bytes);
        memcpy(copy, policy_bytes, sizeof policy_bytes);
        copy[5] = POLICY_SELF + 1;
        create->policy = slice_make(copy, sizeof policy_bytes);
        break;
    }
    }
}

static void every_refusal_of_a_creation(void **state)
{
    static const uint8_t elsewhere[ID_BYTES] = {99};
    static const struct {
        bool there; /* the chat exists: gen 1, mid 90, its tablet was removed */
        const uint8_t *user, *device;
        uint8_t mid;
        uint32_t gen;
        enum spoil spoil;
        enum fold_verdict verdict;
        enum pb_error_code reason;
    } cases[] = {
        {false, alice, phone, 5, 1, NOTHING, FOLD_APPLIED, PB_ERROR_CODE_NONE},
        {false, bob, laptop, 5, 1, NOTHING, FOLD_APPLIED, PB_ERROR_CODE_NONE},
        {false, alice, phone, 5, 0, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 2, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, NO_LEAVES, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, A_LEAF_TWICE, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, A_LEAF_OF_A_STRANGER, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, NINE_LEAVES, FOLD_REFUSED, PB_ERROR_CODE_TOO_LARGE},
        {false, alice, phone, 5, 1, A_POLICY_CUT, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, A_KIND_UNKNOWN, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, alice, phone, 5, 1, ANOTHER_CHAT, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED},
        {false, carol, pad, 5, 1, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_NOT_MEMBER},
        /* both sides at once: the first one's mid stands, another loses, a repeat is a repeat */
        {true, bob, laptop, 5, 1, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_CHAT_EXISTS},
        {true, alice, phone, 90, 1, NOTHING, FOLD_REPEATED, PB_ERROR_CODE_NONE},
        {true, alice, phone, 5, 3, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_CHAT_EXISTS},
        {true, alice, phone, 5, 0, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_CHAT_EXISTS},
        {true, alice, phone, 90, 2, NOTHING, FOLD_REFUSED, PB_ERROR_CODE_NOT_ALLOWED}, /* a leaf */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].there)
            usual_chat();
        uint64_t before = head().cseq;
        struct leaves leaves = usual_leaves();
        struct pb_record record =
            create_of(cases[i].user, cases[i].device, cases[i].mid, cases[i].gen, &leaves);
        spoil_it(cases[i].spoil, &record.body.create, &leaves);
        const uint8_t *key = cases[i].spoil == ANOTHER_CHAT ? elsewhere : chat;
        assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, key, &record), cases[i].verdict);
        const struct pb_record *told = rig_bore(&rig, cases[i].user, PB_RECORD_BODY_REJECTED);
        assert_int_equal(told != NULL, cases[i].verdict == FOLD_REFUSED);
        if (told != NULL) {
            assert_int_equal(told->body.rejected.reason, cases[i].reason);
            assert_false(told->body.rejected.consumed);
        }
        assert_int_equal(head().cseq, before + (cases[i].verdict == FOLD_APPLIED));
        (void)teardown(state);
        (void)setup(state);
    }
}

static void a_new_generation_keeps_the_spans(void **state)
{
    (void)state;
    usual_chat();
    struct leaves leaves = {{id(phone), id(laptop)}, {id(alice), id(bob)}, 2};
    struct pb_record removed = create_of(alice, tablet, 6, 2, &leaves);
    assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, &removed), FOLD_REFUSED);
    const struct pb_record *told = rig_bore(&rig, alice, PB_RECORD_BODY_REJECTED);
    assert_int_equal(told->body.rejected.reason, PB_ERROR_CODE_NOT_MEMBER);
    struct pb_record record = create_of(bob, laptop, 6, 2, &leaves);
    assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, &record), FOLD_APPLIED);
    assert_int_equal(head().gen, 2);
    struct pb_member_row row;
    assert_true(fold_decode(&pb_member_row_type, rig_row(&rig, TABLE_MEMBER, chat, alice, 0),
                            &rig.arena, &row));
    assert_int_equal(row.now.spans_count, 1);
    assert_int_equal(row.now.spans[0].from, 1);
    assert_false(rig_bore(&rig, alice, PB_RECORD_BODY_ANNOUNCE)->body.announce.first);
    /* Counters go on over the generations. */
    assert_int_equal(send(&(struct sent){alice, phone, 2, 2, 1, 0, 9}), FOLD_APPLIED);
    assert_int_equal(send(&(struct sent){alice, phone, 3, 1, 1, 0, 10}), FOLD_REFUSED);
}

/* ---- DEVICE_CHANGE ---- */

static void removals_are_remembered_for_ever(void **state)
{
    (void)state;
    assert_int_equal(remove_devices(alice, tablet, NULL), FOLD_REFUSED); /* no chat */
    usual_chat();
    assert_int_equal(remove_devices(carol, pad, NULL), FOLD_REFUSED); /* no member */
    assert_int_equal(remove_devices(alice, tablet, NULL), FOLD_REPEATED);
    assert_int_equal(head().cseq, 4);
    assert_int_equal(remove_devices(alice, tablet, pad), FOLD_APPLIED); /* a removal not known */
    assert_int_equal(head().cseq, 5);
    assert_int_equal(membership_of(alice).removed_count, 2);
    /* A device that never had a leaf here was removed all the same. */
    assert_int_equal(send(&(struct sent){alice, pad, 1, 1, 1, 0, 7}), FOLD_REFUSED);
    const struct pb_record *told = rig_bore(&rig, alice, PB_RECORD_BODY_REJECTED);
    assert_int_equal(told->body.rejected.reason, PB_ERROR_CODE_NOT_MEMBER);
    /* The other one, who shares the chat, gets every later message. */
    assert_int_equal(send(&(struct sent){alice, phone, 2, 1, 1, 0, 8}), FOLD_APPLIED);
    assert_non_null(rig_bore(&rig, bob, PB_RECORD_BODY_ANNOUNCE));
}

/* ---- RECEIPT ---- */

static void marks_move_by_receipts_alone_and_never_back(void **state)
{
    static const struct {
        const uint8_t *user;
        uint64_t delivered, read;
        enum fold_verdict verdict;
        uint64_t marks[2]; /* of the user, after it */
        bool told;         /* the author hears of it */
    } cases[] = {
        {bob, 2, 0, FOLD_APPLIED, {2, 0}, true},
        {bob, 1, 0, FOLD_REPEATED, {2, 0}, false},
        {bob, 2, 0, FOLD_REPEATED, {2, 0}, false},
        {bob, 0, 2, FOLD_APPLIED, {2, 2}, true},
        {bob, 1, 3, FOLD_APPLIED, {3, 3}, true},           /* read implies delivered */
        {bob, UINT64_MAX, 0, FOLD_APPLIED, {4, 3}, false}, /* at most the head; 4 is no message */
        {bob, UINT64_MAX, 1, FOLD_REPEATED, {4, 3}, false},
        {alice, 4, 4, FOLD_APPLIED, {4, 4}, false}, /* Bob wrote nothing */
        {carol, 4, 4, FOLD_REFUSED, {0, 0}, false},
    };
    (void)state;
    usual_chat();
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(receipt(cases[i].user, cases[i].delivered, cases[i].read),
                         cases[i].verdict);
        const struct row *row = rig_row(&rig, TABLE_MARK, chat, cases[i].user, 0);
        assert_int_equal(row == NULL ? 0 : row->columns[MARK_DELIVERED], cases[i].marks[0]);
        assert_int_equal(row == NULL ? 0 : row->columns[MARK_READ], cases[i].marks[1]);
        const struct pb_record *told = rig_bore(&rig, alice, PB_RECORD_BODY_USER_RECEIPT);
        assert_int_equal(told != NULL, cases[i].told);
        if (told != NULL) {
            assert_int_equal(told->body.user_receipt.delivered_by_all, cases[i].marks[0]);
            assert_int_equal(told->body.user_receipt.read_by_all, cases[i].marks[1]);
            assert_int_equal(rig.out.writes_count, 0); /* the announcement first, the mark late */
            assert_int_equal(rig.out.late_count, 1);
        }
        assert_int_equal(head().cseq, 4);
    }
    assert_int_equal(send(&(struct sent){bob, laptop, 1, 1, 1, 0, 8}), FOLD_APPLIED);
    assert_int_equal(rig_row(&rig, TABLE_MARK, chat, bob, 0)->columns[MARK_DELIVERED], 4);
}

/* ---- once more ---- */

static void a_replay_decides_nothing_and_emits_again(void **state)
{
    struct sent sent = {alice, phone, 1, 1, 1, 0, 1}, refused = {alice, phone, 2, 9, 1, 0, 2};
    struct leaves leaves = usual_leaves();
    (void)state;
    struct pb_record first = create_of(alice, phone, 90, 1, &leaves);
    struct pb_record second = send_of(&sent, chat), third = send_of(&refused, chat);
    assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, &first), FOLD_APPLIED);
    assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, &second), FOLD_APPLIED);
    struct fold_outcome before = rig.out;
    assert_int_equal(rig_fold(&rig, TOPIC_MESSAGES, chat, &third), FOLD_REFUSED);
    assert_int_equal(send(&(struct sent){alice, phone, 2, 1, 1, 0, 3}), FOLD_APPLIED);
    struct fold_place at = {1, 1, 0};
    assert_int_equal(rig_fold_at(&rig, TOPIC_MESSAGES, chat, &second, at), FOLD_REPLAYED);
    assert_int_equal(rig.out.writes_count + rig.out.late_count, 0);
    assert_int_equal(rig.out.emissions_count, before.emissions_count);
    for (size_t i = 0; i < before.emissions_count; i++) {
        struct slice was = pb_record_pack_v1(before.emissions[i].body, &rig.arena);
        struct slice is = pb_record_pack_v1(rig.out.emissions[i].body, &rig.arena);
        assert_true(slice_equal(was, is));
        assert_memory_equal(before.emissions[i].key, rig.out.emissions[i].key, ID_BYTES);
    }
    at.offset = 2; /* what was refused is not decided anew, although it would be accepted now */
    assert_int_equal(rig_fold_at(&rig, TOPIC_MESSAGES, chat, &third, at), FOLD_REPLAYED);
    assert_int_equal(rig.out.emissions_count, 0);
    assert_int_equal(head().cseq, 3);
}

/* What a crash left above the head does not exist yet. */
static void rows_above_the_head_are_not_believed(void **state)
{
    (void)state;
    usual_chat();
    struct pb_membership in = {.role = POLICY_ROLE_MEMBER};
    struct pb_span span = {5, 0};
    in.spans = &span;
    in.spans_count = 1;
    struct pb_member_row side = {.w_cseq = 5, .now = in, .has_now = true};
    rig_put(&rig, row_key_make(TABLE_MEMBER, chat, carol, 0), row_stamp(1, rig.offset),
            pb_member_row_pack_v1(&side, &rig.arena));
    assert_int_equal(send(&(struct sent){carol, pad, 1, 1, 1, 0, 9}), FOLD_REFUSED);
    const struct pb_record *told = rig_bore(&rig, carol, PB_RECORD_BODY_REJECTED);
    assert_int_equal(told->body.rejected.reason, PB_ERROR_CODE_NOT_MEMBER);
    assert_false(told->body.rejected.consumed);
    assert_int_equal(send(&(struct sent){alice, phone, 2, 1, 1, 0, 10}), FOLD_APPLIED);
    assert_null(rig_bore(&rig, carol, PB_RECORD_BODY_ANNOUNCE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_refusal_of_a_send),
        TEST(nothing_can_be_sent_to_no_chat),
        TEST(the_right_to_send_comes_last),
        TEST(what_is_pending_stops_every_send),
        TEST(a_used_number_is_never_used_again),
        TEST(a_repeat_comes_before_the_removal),
        TEST(time_never_runs_back),
        TEST(what_cannot_be_read_has_no_number),
        TEST(every_refusal_of_a_creation),
        TEST(a_new_generation_keeps_the_spans),
        TEST(removals_are_remembered_for_ever),
        TEST(marks_move_by_receipts_alone_and_never_back),
        TEST(a_replay_decides_nothing_and_emits_again),
        TEST(rows_above_the_head_are_not_believed),
    };
    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
