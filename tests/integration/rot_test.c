/* SPDX-License-Identifier: Apache-2.0
 * Rot in the last group before its seal (ADR 0031): with a store that forgets, the server alone
 * takes it for a torn tail; the device that was told SENT is the witness, and nothing is accepted
 * over the loss. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "caller_rig.h"

#define BLOCK 4096

static const struct node_options options = {
    .shards = 1, .connections_max = 16, .operations_max = 64, .sign_up = POLICY_OPEN};
static struct node node;
static struct caller alice, bob;
static uint8_t chat[ID_BYTES], mac[16];
static struct pb_witness token;

/* Flip one byte of the body of the newest group that holds records. */
static void rot(void)
{
    char path[128];
    uint8_t block[BLOCK];
    (void)snprintf(path, sizeof path, "%s/log/%016x.seg", node.folder, 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t found = 0;
    uint32_t count;
    for (off_t at = BLOCK; pread(fd, block, BLOCK, at) == BLOCK; at += BLOCK) {
        memcpy(&count, block + 40, sizeof count);
        if (memcmp(block, "PLG1", 4) == 0 && count > 0)
            found = at;
    }
    assert_true(found > 0);
    assert_int_equal(pread(fd, block, BLOCK, found), BLOCK);
    block[80] ^= 1;
    assert_int_equal(pwrite(fd, block, BLOCK, found), BLOCK);
    assert_int_equal(close(fd), 0);
}

/* Alice is told SENT, with a token; then the node dies, and its newest group rots. */
static int setup(void **state)
{
    static struct caller_account account;
    (void)state;
    node_open(&node, &options);
    caller_open(&alice, &node, 1);
    caller_upgrade(&alice);
    caller_sign_up(&alice, &account, "alice");
    caller_open(&bob, &node, 2);
    caller_upgrade(&bob);
    caller_sign_up(&bob, &account, "bob");
    struct pb_frame create = caller_create_frame(&alice, &bob, chat);
    create.req = 1;
    caller_frame(&alice, &create);
    HEAR(caller_count(&alice, PB_FRAME_BODY_SENT) == 1);
    for (size_t i = 0; i < alice.frames_count; i++)
        if (alice.frames[i].body_case == PB_FRAME_BODY_SENT) {
            assert_true(alice.frames[i].body.sent.has_witness);
            token = alice.frames[i].body.sent.witness;
        }
    memcpy(mac, token.mac.at, sizeof mac);
    token.mac = SLICE_OF(mac);
    node_kill(&node);
    rot();
    node_start(&node, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    caller_close(&alice);
    caller_close(&bob);
    node_close(&node);
    return 0;
}

static void sign_in(struct caller *caller, struct pb_witness *shown)
{
    uint8_t sig[64];
    caller_again(caller);
    caller_upgrade(caller);
    struct pb_frame hello = caller_hello_frame(caller, 0, sig);
    hello.body.hello.witness = shown;
    hello.body.hello.witness_count = shown != NULL;
    caller->useq = 0;
    caller_frame(caller, &hello);
    HEAR(caller_count(caller, PB_FRAME_BODY_READY) == 1);
}

static enum pb_error_code create_again(struct caller *by, const struct caller *with)
{
    struct pb_frame create = caller_create_frame(by, with, chat);
    create.req = 7;
    caller_frame(by, &create);
    const struct pb_frame *answer = NULL;
    for (int turns = 0; turns < NODE_TURNS && answer == NULL; turns++) {
        callers_turn();
        for (size_t i = 0; i < by->frames_count; i++)
            answer = by->frames[i].req == 7 ? &by->frames[i] : answer;
    }
    assert_non_null(answer);
    return answer->body_case == PB_FRAME_BODY_ERROR ? answer->body.error.code : PB_ERROR_CODE_NONE;
}

static void its_witness_stops_the_server(void **state)
{
    (void)state;
    assert_int_equal(node.log.report.verdict, LOG_TORN_TAIL); /* it cannot know better */
    sign_in(&alice, &token);
    assert_int_equal(create_again(&alice, &bob), PB_ERROR_CODE_READ_ONLY);
    sign_in(&bob, NULL);
    assert_int_equal(create_again(&bob, &alice), PB_ERROR_CODE_READ_ONLY); /* for everybody */
}

static void without_a_proof_nothing_stops(void **state)
{
    (void)state;
    mac[0] ^= 1;
    sign_in(&alice, &token);
    assert_int_equal(create_again(&alice, &bob), PB_ERROR_CODE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_witness_stops_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_proof_nothing_stops, setup, teardown),
    };
    return cmocka_run_group_tests_name("rot", tests, NULL, NULL);
}
