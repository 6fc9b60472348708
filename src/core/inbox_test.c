/* SPDX-License-Identifier: Apache-2.0
 * Tables of the inbox fold: the chain of (user, chat), what must not overtake it, joins, entries of
 * every kind, replays (storage §2.3). Accounts: account_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/fold_rig.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct fold_rig rig;
static const uint8_t alice[ID_BYTES] = {1}, bob[ID_BYTES] = {2};
static const uint8_t phone[ID_BYTES] = {11}, tablet[ID_BYTES] = {12};
static const uint8_t chat[ID_BYTES] = {21}, other[ID_BYTES] = {22};

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

static struct pb_user_head head(void)
{
    struct pb_user_head head = {0};
    const struct row *row = rig_row(&rig, TABLE_USER_HEAD, alice, NULL, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_user_head_type, row, &rig.arena, &head));
    return head;
}

static struct pb_user_chat list_of(const uint8_t *of)
{
    struct pb_user_chat list = {0};
    const struct row *row = rig_row(&rig, TABLE_USER_CHAT, alice, of, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_user_chat_type, row, &rig.arena, &list));
    return list;
}

/* A message of Bob's; its body rides along unless `far`. */
static struct pb_record announce_of(const uint8_t *of, uint64_t cseq, bool first, bool far)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_ANNOUNCE};
    struct pb_announce *announce = &record.body.announce;
    *announce =
        (struct pb_announce){.chat_id = id(of), .cseq = cseq, .first = first, .has_entry = true};
    announce->entry.body_case = PB_ENTRY_BODY_MESSAGE;
    announce->entry.body.message =
        (struct pb_message){.chat_id = id(of),
                            .cseq = cseq,
                            .user_id = id(bob),
                            .device_id = id(phone),
                            .sctr = cseq,
                            .mid = id(bob),
                            .envelope = far ? SLICE_EMPTY : slice_text("sealed")};
    return record;
}

static enum fold_verdict fold(const struct pb_record *record)
{
    return rig_fold(&rig, TOPIC_DELIVERIES, alice, record);
}

static enum fold_verdict announce(const uint8_t *of, uint64_t cseq, bool first)
{
    struct pb_record record = announce_of(of, cseq, first, false);
    return fold(&record);
}

static void the_chain_of_a_chat_is_dense(void **state)
{
    static const struct {
        const uint8_t *chat;
        uint64_t cseq;
        bool first;
        enum fold_verdict verdict;
        uint64_t useq, last; /* of the head and of this chat, after it */
    } steps[] = {
        {chat, 2, false, FOLD_OUT_OF_CHAIN, 0, 0}, /* not joined yet: 1 is missing */
        {chat, 1, true, FOLD_APPLIED, 1, 1},
        {chat, 1, true, FOLD_REPEATED, 1, 1},
        {chat, 3, false, FOLD_OUT_OF_CHAIN, 1, 1},
        {chat, UINT64_MAX, false, FOLD_OUT_OF_CHAIN, 1, 1},
        {chat, 2, false, FOLD_APPLIED, 2, 2},
        {chat, 2, false, FOLD_REPEATED, 2, 2},
        {other, 7, true, FOLD_APPLIED, 3, 7}, /* a join in mid-life: nothing before it */
        {other, 6, false, FOLD_REPEATED, 3, 7},
        {other, 8, false, FOLD_APPLIED, 4, 8},
        {chat, 3, false, FOLD_APPLIED, 5, 3},
        {other, 7, true, FOLD_REPEATED, 5, 8}, /* a repeated join does not rewind the chain */
        {other, 9, false, FOLD_APPLIED, 6, 9},
        {other, 20, true, FOLD_APPLIED, 7, 20}, /* joined again */
        {chat, 0, false, FOLD_REPEATED, 7, 3},
        {chat, 0, true, FOLD_REPEATED, 7, 3},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++) {
        assert_int_equal(announce(steps[i].chat, steps[i].cseq, steps[i].first), steps[i].verdict);
        bool applied = steps[i].verdict == FOLD_APPLIED;
        assert_int_equal(rig.out.deliver_useq, applied ? steps[i].useq : 0);
        assert_int_equal(rig.out.writes_count, applied ? 3 : 0);
        assert_int_equal(head().useq, steps[i].useq);
        assert_int_equal(list_of(steps[i].chat).last_cseq, steps[i].last);
        assert_int_equal(rig_count(&rig, TABLE_INBOX), steps[i].useq);
        if (applied) { /* the head is written last */
            const struct row_write *last = &rig.out.writes[rig.out.writes_count - 1];
            assert_int_equal(last->key.table, TABLE_USER_HEAD);
        }
    }
    assert_int_equal(list_of(other).first_cseq, 7);
}

static void a_void_moves_the_chain_and_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(announce(chat, 1, true), FOLD_APPLIED);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ANNOUNCE};
    record.body.announce = (struct pb_announce){.chat_id = id(chat), .cseq = 2, .void_ = true};
    assert_int_equal(fold(&record), FOLD_APPLIED);
    assert_int_equal(rig.out.deliver_useq, 0);
    assert_int_equal(head().useq, 1);
    assert_int_equal(list_of(chat).last_cseq, 2);
    assert_int_equal(announce(chat, 3, false), FOLD_APPLIED);
    assert_int_equal(head().useq, 2);
}

static void a_body_rides_along_or_is_read(void **state)
{
    (void)state;
    struct pb_record near = announce_of(chat, 1, true, false);
    struct pb_record far = announce_of(chat, 2, false, true);
    assert_int_equal(fold(&near), FOLD_APPLIED);
    assert_non_null(rig.out.deliver);
    assert_int_equal(fold(&far), FOLD_APPLIED);
    assert_int_equal(rig.out.deliver_useq, 2);
    assert_null(rig.out.deliver);
    struct pb_inbox_row row;
    assert_true(fold_decode(&pb_inbox_row_type, rig_row(&rig, TABLE_INBOX, alice, NULL, 2),
                            &rig.arena, &row));
    assert_int_equal(row.cseq, 2);
    assert_true(row.counts);
    assert_false(row.has_entry);
}

static struct pb_record repeat_of(uint64_t last_cseq)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_REPEAT};
    record.body.repeat = (struct pb_repeat){.chat_id = id(chat),
                                            .device_id = id(phone),
                                            .sctr = 1,
                                            .last = 3,
                                            .last_mid = id(bob),
                                            .last_cseq = last_cseq};
    return record;
}

static void a_repeat_does_not_overtake_its_announcement(void **state)
{
    (void)state;
    struct pb_record repeat = repeat_of(2), of_none = repeat_of(0);
    assert_int_equal(fold(&repeat), FOLD_OUT_OF_CHAIN); /* of a chat not even listed */
    assert_int_equal(announce(chat, 1, true), FOLD_APPLIED);
    assert_int_equal(fold(&repeat), FOLD_OUT_OF_CHAIN);
    assert_int_equal(rig.out.writes_count, 0);
    assert_int_equal(head().useq, 1);
    assert_int_equal(fold(&of_none), FOLD_APPLIED); /* all its numbers were consumed by refusals */
    assert_int_equal(announce(chat, 2, false), FOLD_APPLIED);
    assert_int_equal(fold(&repeat), FOLD_APPLIED);
    assert_int_equal(rig.out.deliver->body_case, PB_ENTRY_BODY_REPEAT);
    assert_int_equal(head().useq, 4);
}

static void every_kind_takes_the_next_number(void **state)
{
    struct pb_record records[3] = {{.body_case = PB_RECORD_BODY_USER_RECEIPT},
                                   {.body_case = PB_RECORD_BODY_REJECTED},
                                   {.body_case = PB_RECORD_BODY_OWN}};
    static const enum pb_entry_body kinds[] = {PB_ENTRY_BODY_RECEIPT, PB_ENTRY_BODY_REJECTED,
                                               PB_ENTRY_BODY_OWN};
    (void)state;
    records[0].body.user_receipt =
        (struct pb_receipt_entry){.chat_id = id(chat), .delivered_by_all = 4};
    records[1].body.rejected = (struct pb_rejected){
        .chat_id = id(chat), .device_id = id(phone), .mid = id(bob), .reason = 49};
    records[2].body.own = (struct pb_own){.chat_id = id(chat), .read_upto = 5};
    for (uint64_t i = 0; i < COUNT(records); i++) {
        assert_int_equal(fold(&records[i]), FOLD_APPLIED);
        assert_int_equal(rig.out.deliver_useq, i + 1);
        assert_int_equal(rig.out.deliver->body_case, kinds[i]);
        struct pb_inbox_row row;
        assert_true(fold_decode(&pb_inbox_row_type, rig_row(&rig, TABLE_INBOX, alice, NULL, i + 1),
                                &rig.arena, &row));
        assert_int_equal(row.cseq, 0);
        assert_false(row.counts);
        assert_int_equal(row.entry.body_case, kinds[i]);
    }
    struct pb_record strange[] = {{.body_case = PB_RECORD_BODY_NONE},
                                  {.body_case = PB_RECORD_BODY_VERSION},
                                  {.body_case = PB_RECORD_BODY_RECEIPT}};
    strange[2].body.receipt.user_id = id(alice);
    for (size_t i = 0; i < COUNT(strange); i++) {
        assert_int_equal(fold(&strange[i]), FOLD_UNREADABLE);
        assert_int_equal(rig.out.writes_count + rig.out.emissions_count, 0);
    }
    assert_int_equal(head().useq, 3);
}

/* A chat created by somebody who did not know yet that a device is gone hears of it. */
static void a_join_that_names_a_removed_leaf(void **state)
{
    static const struct {
        const uint8_t *leaf;
        bool first, told;
    } cases[] = {
        {tablet, true, true},
        {phone, true, false},
        {tablet, false, false},
    };
    (void)state;
    struct slice gone = id(tablet);
    struct pb_user_head before = {.dl_n = 2, .removed = &gone, .removed_count = 1, .closed = true};
    for (size_t i = 0; i < COUNT(cases); i++) {
        rig_put(&rig, row_key_make(TABLE_USER_HEAD, alice, NULL, 0), 1,
                pb_user_head_pack_v1(&before, &rig.arena));
        struct slice leaves[] = {id(cases[i].leaf)};
        struct pb_record record = announce_of(chat, 1, cases[i].first, false);
        record.body.announce.leaves = leaves;
        record.body.announce.leaves_count = 1;
        assert_int_equal(fold(&record), FOLD_APPLIED);
        const struct pb_record *told = rig_bore(&rig, chat, PB_RECORD_BODY_DEVICE_CHANGE);
        assert_int_equal(told != NULL, cases[i].told);
        if (told != NULL) {
            assert_int_equal(told->body.device_change.dl_n, 2);
            assert_int_equal(told->body.device_change.removed_count, 1);
            assert_true(told->body.device_change.closed);
            assert_memory_equal(told->body.device_change.removed[0].at, tablet, ID_BYTES);
            /* And again when the record is replayed: a crash may have swallowed it. */
            struct fold_place at = {1, rig.offset - 1, 0};
            assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &record, at),
                             FOLD_REPLAYED);
            assert_non_null(rig_bore(&rig, chat, PB_RECORD_BODY_DEVICE_CHANGE));
        }
        (void)teardown(state);
        (void)setup(state);
    }
}

static void a_replay_writes_nothing_and_tells_again(void **state)
{
    (void)state;
    struct pb_record first = announce_of(chat, 1, true, false);
    struct pb_record second = announce_of(chat, 2, false, false);
    struct fold_place parent = {1, 10, 1};
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &first, parent), FOLD_APPLIED);
    /* A second child of the same parent: its ordinal makes it another record. */
    parent.sub = 2;
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &second, parent), FOLD_APPLIED);
    for (parent.sub = 0; parent.sub <= 2; parent.sub++) {
        assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &second, parent),
                         FOLD_REPLAYED);
        assert_int_equal(rig.out.writes_count + rig.out.late_count, 0);
        assert_int_equal(rig.out.deliver_useq, 2);
        assert_null(rig.out.deliver);
    }
    /* A newer epoch of the log is later, whatever its offset. */
    struct pb_record third = announce_of(chat, 3, false, false);
    struct fold_place newer = {2, 0, 0}, older = {1, UINT64_MAX >> 16, 9};
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &third, newer), FOLD_APPLIED);
    struct pb_record fourth = announce_of(chat, 4, false, false);
    assert_int_equal(rig_fold_at(&rig, TOPIC_DELIVERIES, alice, &fourth, older), FOLD_REPLAYED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_chain_of_a_chat_is_dense),
        TEST(a_void_moves_the_chain_and_writes_nothing),
        TEST(a_body_rides_along_or_is_read),
        TEST(a_repeat_does_not_overtake_its_announcement),
        TEST(every_kind_takes_the_next_number),
        TEST(a_join_that_names_a_removed_leaf),
        TEST(a_replay_writes_nothing_and_tells_again),
    };
    return cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
}
