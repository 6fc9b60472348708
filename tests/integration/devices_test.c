/* SPDX-License-Identifier: Apache-2.0
 * What devices may not do, over real sockets on one shard and on two: foreign passwords,
 * signatures, chats and devices, skipped counters, cursors from the future; a device that is signed
 * out is gone within the two seconds of I18, and one that comes twice has one session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "caller_rig.h"

static struct node node;
static struct caller alice, bob;
static struct caller_account alices, bobs;

static int setup_with(uint32_t shards)
{
    struct node_options options = {
        .shards = shards, .connections_max = 16, .operations_max = 64, .sign_up = POLICY_OPEN};
    node_open(&node, &options);
    caller_open(&alice, &node, 1);
    caller_upgrade(&alice);
    caller_sign_up(&alice, &alices, "alice");
    if (shards > 1) /* the other shard takes the next one */
        node.shards[0].net.net.vtable->accepting(&node.shards[0].net.net, false);
    caller_open(&bob, &node, 2);
    caller_upgrade(&bob);
    if (shards > 1) {
        node.shards[0].net.net.vtable->accepting(&node.shards[0].net.net, true);
        assert_int_equal(node.shards[1].shard.gateway.conns.used, 1);
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(1);
}

static int setup_two(void **state)
{
    (void)state;
    return setup_with(2);
}

static int teardown(void **state)
{
    (void)state;
    caller_close(&alice);
    caller_close(&bob);
    node_close(&node);
    return 0;
}

static struct slice id(const uint8_t *at)
{
    return slice_make(at, ID_BYTES);
}

/* Ask, and return the next frame that answers it; PUSHes may come in between. */
static const struct pb_frame *ask(struct caller *caller, struct pb_frame *frame)
{
    static uint32_t req;
    frame->req = ++req;
    caller_frame(caller, frame);
    const struct pb_frame *found = NULL;
    for (int turns = 0; turns < NODE_TURNS && found == NULL && !caller->gone; turns++) {
        callers_turn();
        callers_turn();
        for (size_t i = caller->frames_count; i-- > 0 && found == NULL;)
            found = caller->frames[i].req == frame->req ? &caller->frames[i] : NULL;
    }
    assert_non_null(found);
    return found;
}

static void expect(struct caller *caller, struct pb_frame *frame, enum pb_error_code code)
{
    const struct pb_frame *answer = ask(caller, frame);
    if (code == PB_ERROR_CODE_NONE) {
        assert_int_not_equal(answer->body_case, PB_FRAME_BODY_ERROR);
        return;
    }
    assert_int_equal(answer->body_case, PB_FRAME_BODY_ERROR);
    assert_int_equal(answer->body.error.code, code);
}

/* ---- signing in ---- */

static void log_in(struct caller *caller, const char *name, const char *password,
                   enum pb_error_code code)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_LOGIN};
    frame.body.login.username = slice_text(name);
    frame.body.login.password = slice_text(password);
    expect(caller, &frame, code);
}

static void a_wrong_word_opens_nothing(void **state)
{
    uint8_t sig[64], old_nonce[32];
    (void)state;
    log_in(&bob, "alice", "another long password", PB_ERROR_CODE_AUTH);
    log_in(&bob, "nobody", CALLER_PASSWORD, PB_ERROR_CODE_AUTH);
    log_in(&bob, "a1ice", CALLER_PASSWORD, PB_ERROR_CODE_AUTH); /* alike is not equal */
    log_in(&bob, "", "", PB_ERROR_CODE_AUTH);
    /* Alice's device, by somebody without its key. */
    memcpy(bob.device, alice.device, ID_BYTES);
    bob.conn_number = 100;
    struct pb_frame hello = caller_hello_frame(&bob, 0, sig);
    expect(&bob, &hello, PB_ERROR_CODE_AUTH);
    /* With the key, over another connection's nonce, another conn, no such device. */
    memcpy(bob.device_secret, alice.device_secret, 64);
    memcpy(old_nonce, bob.nonce, 32);
    memcpy(bob.nonce, alice.nonce, 32);
    hello = caller_hello_frame(&bob, 0, sig);
    memcpy(bob.nonce, old_nonce, 32);
    expect(&bob, &hello, PB_ERROR_CODE_AUTH);
    hello = caller_hello_frame(&bob, 0, sig);
    hello.body.hello.conn++;
    expect(&bob, &hello, PB_ERROR_CODE_AUTH);
    memset(bob.device, 0x77, ID_BYTES);
    hello = caller_hello_frame(&bob, 0, sig);
    expect(&bob, &hello, PB_ERROR_CODE_AUTH);
    assert_int_equal(bob.close_code, 0);
    /* Alice noticed nothing. */
    caller_ping(&alice, 1);
    HEAR(alice.pongs == 1);
}

/* A grant is for its own user's devices, whatever key one holds. */
static void a_grant_opens_its_own_account(void **state)
{
    uint8_t sig[64];
    (void)state;
    log_in(&bob, "alice", CALLER_PASSWORD, PB_ERROR_CODE_NONE);
    struct caller_account other = alices;
    other.user[0] ^= 1;
    struct pb_frame put = {.body_case = PB_FRAME_BODY_DEVLIST_PUT};
    put.body.devlist_put.dl = caller_list(&other, &bob.arena, &bob, NULL);
    expect(&bob, &put, PB_ERROR_CODE_DENIED);
    struct pb_frame hello = caller_hello_frame(&bob, 0, sig); /* not enrolled */
    expect(&bob, &hello, PB_ERROR_CODE_AUTH);
    put.body.devlist_put.dl = caller_list(&alices, &bob.arena, &bob, NULL);
    expect(&bob, &put, PB_ERROR_CODE_NONE);
    expect(&bob, &put, PB_ERROR_CODE_DENIED); /* it enrols one device, once */
    caller_hello(&bob, 0);
}

static void a_cursor_from_the_future_gets_a_snapshot(void **state)
{
    (void)state;
    uint64_t claims = node.shards[0].shard.gateway.counts.claims;
    caller_again(&alice);
    caller_upgrade(&alice);
    caller_hello(&alice, 1000);
    const struct pb_frame *ready = caller_last(&alice, PB_FRAME_BODY_READY);
    assert_int_equal(ready->body.ready.resume, PB_RESUME_KIND_SNAPSHOT);
    uint64_t head = ready->body.ready.useq;
    assert_true(head < 1000);
    assert_int_equal(node.shards[0].shard.gateway.counts.claims, claims + 1);
    assert_false(node.shards[0].shard.gateway.rollback); /* a liar stops nobody */
    struct pb_frame snapshot = {.body_case = PB_FRAME_BODY_SNAPSHOT};
    assert_int_equal(ask(&alice, &snapshot)->body.snapshot_page.useq, head);
    struct pb_frame ack = {.body_case = PB_FRAME_BODY_ACK};
    ack.body.ack.useq = head + 1; /* never told */
    caller_frame(&alice, &ack);
    HEAR(caller_count(&alice, PB_FRAME_BODY_ERROR) == 1);
    assert_int_equal(caller_last(&alice, PB_FRAME_BODY_ERROR)->body.error.code,
                     PB_ERROR_CODE_BAD_FRAME);
}

static void a_lower_conn_is_told_the_last(void **state)
{
    uint8_t sig[64];
    (void)state;
    uint64_t last = alice.conn_number;
    caller_again(&alice);
    caller_upgrade(&alice);
    alice.conn_number = last - 1; /* a restored copy of its disk */
    struct pb_frame hello = caller_hello_frame(&alice, 0, sig);
    const struct pb_frame *answer = ask(&alice, &hello);
    assert_int_equal(answer->body.error.code, PB_ERROR_CODE_CONFLICT);
    assert_int_equal(answer->body.error.ver, last);
    caller_hello(&alice, 0); /* above it: in */
}

/* ---- chats ---- */

static uint8_t chat[ID_BYTES];

static const struct pb_entry *await_entry(struct caller *caller, size_t from,
                                          enum pb_entry_body body)
{
    for (int turns = 0; turns < NODE_TURNS; turns++) {
        for (size_t i = from; i < caller->frames_count; i++) {
            const struct pb_frame *frame = &caller->frames[i];
            if (frame->body_case == PB_FRAME_BODY_PUSH && frame->body.push.entry.body_case == body)
                return &frame->body.push.entry;
        }
        callers_turn();
    }
    fail_msg("no entry of kind %d came", (int)body);
    return NULL;
}

static void bob_signs_up(void)
{
    caller_sign_up(&bob, &bobs, "bob");
    assert_memory_not_equal(alice.user, bob.user, ID_BYTES);
}

static void a_skipped_counter_is_told_its_place(void **state)
{
    (void)state;
    bob_signs_up();
    struct pb_frame create = caller_create_frame(&alice, &bob, chat);
    expect(&alice, &create, PB_ERROR_CODE_NONE);
    (void)await_entry(&bob, 0, PB_ENTRY_BODY_MEMBER);
    size_t before = alice.frames_count;
    struct pb_frame skipped = caller_send_frame(&alice, chat, alice.device, 3);
    assert_int_equal(ask(&alice, &skipped)->body_case, PB_FRAME_BODY_SENT); /* it is in the log */
    const struct pb_entry *entry = await_entry(&alice, before, PB_ENTRY_BODY_REJECTED);
    assert_int_equal(entry->body.rejected.reason, PB_ERROR_CODE_SCTR_EXPECTED);
    assert_int_equal(entry->body.rejected.expected, 1);
    assert_false(entry->body.rejected.consumed);
    struct pb_frame first = caller_send_frame(&alice, chat, alice.device, 1);
    assert_int_equal(ask(&alice, &first)->body_case, PB_FRAME_BODY_SENT);
    entry = await_entry(&bob, 0, PB_ENTRY_BODY_MESSAGE);
    assert_int_equal(entry->body.message.sctr, 1);
    assert_int_equal(entry->body.message.cseq, 2);
}

static void anothers_chat_looks_absent(void **state)
{
    (void)state;
    bob_signs_up();
    struct caller nobody = alice; /* Alice's chat with herself alone stands for one without Bob */
    struct pb_frame create = caller_create_frame(&alice, &nobody, chat);
    create.body.chat_create.leaves_count = 1;
    expect(&alice, &create, PB_ERROR_CODE_NONE);
    (void)await_entry(&alice, 0, PB_ENTRY_BODY_MEMBER);
    static const uint8_t absent[ID_BYTES] = {0x99};
    for (int i = 0; i < 2; i++) { /* there, and not there: the same answer */
        struct slice of = i == 0 ? id(chat) : id(absent);
        struct pb_frame asked[] = {{.body_case = PB_FRAME_BODY_HISTORY},
                                   {.body_case = PB_FRAME_BODY_MARKS},
                                   {.body_case = PB_FRAME_BODY_READ},
                                   {.body_case = PB_FRAME_BODY_DELIVERED}};
        asked[0].body.history = (struct pb_history){.chat_id = of, .n = 10};
        asked[1].body.marks.chat_id = of;
        asked[2].body.read = (struct pb_read){of, 1};
        asked[3].body.delivered = (struct pb_delivered){of, 1};
        for (size_t k = 0; k < 4; k++)
            expect(&bob, &asked[k], PB_ERROR_CODE_DENIED);
    }
    /* A send is never refused for good before it is in the log: the fold says so. */
    size_t before = bob.frames_count;
    struct pb_frame send = caller_send_frame(&bob, chat, bob.device, 1);
    assert_int_equal(ask(&bob, &send)->body_case, PB_FRAME_BODY_SENT);
    const struct pb_entry *entry = await_entry(&bob, before, PB_ENTRY_BODY_REJECTED);
    assert_int_equal(entry->body.rejected.reason, PB_ERROR_CODE_NOT_MEMBER);
    assert_false(entry->body.rejected.consumed);
    /* Nor does a chat begin for two others, or with devices that are not theirs. */
    create = caller_create_frame(&alice, &nobody, chat);
    expect(&bob, &create, PB_ERROR_CODE_DENIED);
    create = caller_create_frame(&alice, &bob, chat);
    create.body.chat_create.leaves[1] = id(absent);
    expect(&bob, &create, PB_ERROR_CODE_DENIED);
    /* An envelope in another device's name is no mistake. */
    send = caller_send_frame(&bob, chat, alice.device, 1);
    expect(&bob, &send, PB_ERROR_CODE_BAD_FRAME);
    assert_int_equal(caller_count(&alice, PB_FRAME_BODY_ERROR), 0);
}

/* A signed-in device has a larger frame, not an unbounded one. */
static void a_frame_has_a_bound_for_everybody(void **state)
{
    static uint8_t large[1 << 20];
    (void)state;
    caller_message(&alice, slice_make(large, sizeof large)); /* 1 MiB of no message: heard */
    HEAR(caller_count(&alice, PB_FRAME_BODY_ERROR) == 1);
    assert_int_equal(caller_last(&alice, PB_FRAME_BODY_ERROR)->body.error.code,
                     PB_ERROR_CODE_BAD_FRAME);
    caller_bytes(&alice, SLICE_LITERAL("\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0")); /* one more */
    HEAR(alice.gone);
    assert_int_equal(alice.close_code, 1009);
    caller_ping(&bob, 1);
    HEAR(bob.pongs == 1);
}

/* ---- one session a device, none for a removed one ---- */

static void the_newest_session_fences_the_older(void **state)
{
    (void)state;
    memcpy(bob.device, alice.device, ID_BYTES);
    memcpy(bob.device_secret, alice.device_secret, 64);
    bob.conn_number = alice.conn_number;
    caller_hello(&bob, 0);
    HEAR(alice.gone);
    assert_int_equal(alice.close_code, 1000);
    assert_int_equal(caller_last(&alice, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                     PB_GOAWAY_REASON_FENCED);
}

/* I18: the answer to the removal means that the other's socket is closed and hears no more. */
static void a_device_signed_out_hears_no_more(void **state)
{
    uint8_t sig[64];
    (void)state;
    log_in(&bob, "alice", CALLER_PASSWORD, PB_ERROR_CODE_NONE); /* a second device of hers */
    struct pb_frame put = {.body_case = PB_FRAME_BODY_DEVLIST_PUT};
    put.body.devlist_put.dl = caller_list(&alices, &bob.arena, &bob, NULL);
    expect(&bob, &put, PB_ERROR_CODE_NONE);
    caller_hello(&bob, 0);
    put.body.devlist_put.dl = caller_list(&alices, &alice.arena, NULL, &bob);
    uint64_t asked_us = system_clock()->vtable->read(system_clock()).mono_us;
    expect(&alice, &put, PB_ERROR_CODE_NONE);
    HEAR(bob.gone);
    uint64_t gone_us = system_clock()->vtable->read(system_clock()).mono_us;
    assert_true(gone_us - asked_us < 2000000);
    assert_int_equal(bob.close_code, 1000);
    assert_int_equal(caller_last(&bob, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                     PB_GOAWAY_REASON_SIGNED_OUT); /* and nothing behind it */
    /* What comes for her later reaches the other device only. */
    struct pb_frame vault = {.body_case = PB_FRAME_BODY_VAULT_PUT};
    vault.body.vault_put = (struct pb_vault_put){1, SLICE_LITERAL("sealed")};
    size_t heard = bob.frames_count;
    expect(&alice, &vault, PB_ERROR_CODE_NONE);
    (void)await_entry(&alice, 0, PB_ENTRY_BODY_ACCOUNT);
    assert_int_equal(bob.frames_count, heard);
    /* No new session of it succeeds. */
    caller_again(&bob);
    caller_upgrade(&bob);
    struct pb_frame hello = caller_hello_frame(&bob, 0, sig);
    caller_frame(&bob, &hello);
    HEAR(bob.gone);
    assert_int_equal(caller_last(&bob, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                     PB_GOAWAY_REASON_SIGNED_OUT);
}

static const struct pb_frame *answer_of(const struct caller *caller, uint32_t req)
{
    for (size_t i = 0; i < caller->frames_count; i++)
        if (caller->frames[i].req == req)
            return &caller->frames[i];
    return NULL;
}

/* Nor does it enrol two at once: the second list comes before the first one's answer. */
static void a_grant_enrols_one_device(void **state)
{
    (void)state;
    log_in(&bob, "alice", CALLER_PASSWORD, PB_ERROR_CODE_NONE);
    struct pb_frame first = {.req = 5000, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    first.body.devlist_put.dl = caller_list(&alices, &bob.arena, &bob, NULL);
    struct caller_account later = alices;
    static struct caller third;
    memset(third.device, 0x55, ID_BYTES);
    struct pb_frame second = {.req = 5001, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    second.body.devlist_put.dl = caller_list(&later, &bob.arena, &third, NULL);
    caller_frame(&bob, &first);
    caller_frame(&bob, &second);
    HEAR(answer_of(&bob, 5000) != NULL && answer_of(&bob, 5001) != NULL);
    assert_int_equal(answer_of(&bob, 5000)->body_case, PB_FRAME_BODY_OK);
    assert_int_equal(answer_of(&bob, 5001)->body_case, PB_FRAME_BODY_ERROR);
    assert_int_equal(answer_of(&bob, 5001)->body.error.code, PB_ERROR_CODE_BUSY);
    expect(&bob, &second, PB_ERROR_CODE_DENIED);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_word_opens_nothing),
        TEST(a_grant_opens_its_own_account),
        TEST(a_grant_enrols_one_device),
        TEST(a_cursor_from_the_future_gets_a_snapshot),
        TEST(a_lower_conn_is_told_the_last),
        TEST(a_skipped_counter_is_told_its_place),
        TEST(anothers_chat_looks_absent),
        TEST(a_frame_has_a_bound_for_everybody),
        TEST(the_newest_session_fences_the_older),
        TEST(a_device_signed_out_hears_no_more),
        TEST_TWO(a_skipped_counter_is_told_its_place),
        TEST_TWO(the_newest_session_fences_the_older),
        TEST_TWO(a_device_signed_out_hears_no_more),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
