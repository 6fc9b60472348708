/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: sign-in, devices, and commands whose only state is their answer. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/devlist.h"

static void marks_of_each(void **state)
{
    struct pair pair = talking();
    struct pb_event_command ask = {.body_case = PB_EVENT_COMMAND_BODY_MARKS};
    uint8_t ann_id[16] = {1}, bob_id[16] = {2};
    struct pb_mark_state marks[2] = {
        {.user_id = slice_make(ann_id, 16), .delivered_upto = 5, .read_upto = 5},
        {.user_id = slice_make(bob_id, 16), .delivered_upto = 4, .read_upto = 3}};
    (void)state;
    ask.body.marks.chat_id = pair.send.chat_id;
    command(pair.ann, &ask);
    struct pb_marks asked = expect(pair.ann, PB_FRAME_BODY_MARKS).body.marks;
    assert_true(slice_equal(asked.chat_id, pair.send.chat_id));
    struct pb_frame answer = {.req = pair.ann->last_req, .body_case = PB_FRAME_BODY_MARKS_ANSWER};
    answer.body.marks_answer =
        (struct pb_marks_answer){.chat_id = pair.send.chat_id, .marks = marks, .marks_count = 2};
    feed(pair.ann, &answer);
    assert_int_equal(pair.ann->result.request, 7);
    assert_int_equal(pair.ann->result.marks_count, 2);
    assert_true(slice_equal(pair.ann->result.marks[1].user_id, marks[1].user_id));
    assert_true(pair.ann->result.marks[1].delivered_upto == 4 &&
                pair.ann->result.marks[1].read_upto == 3);
    end(pair);
}

static void sign_up_at(struct host *host, struct slice server)
{
    struct pb_event_command ask = {.body_case = PB_EVENT_COMMAND_BODY_REGISTER};
    ask.body.register_ = (struct pb_command_register){
        .server = server, .username = SLICE_LITERAL("ann"), .password = SLICE_LITERAL("secret")};
    command(host, &ask);
}

/* A server that refused the sign-up is pinned for its own address only. */
static void another_server_after_a_refusal(void **state)
{
    struct host *host = host_new();
    (void)state;
    sign_up_at(host, SLICE_LITERAL("http://one"));
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    refuse(host, PB_ERROR_CODE_INVITE_USED, 0);
    sign_up_at(host, SLICE_LITERAL("http://one"));
    assert_true(slice_equal(host->client.server_name, SLICE_LITERAL("home")));
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    refuse(host, PB_ERROR_CODE_INVITE_USED, 0);
    sign_up_at(host, SLICE_LITERAL("http://two"));
    assert_int_equal(host->client.server_name.bytes, 0);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    host_free(host);
}

static void login(struct host *host)
{
    struct pb_event_command login = {.body_case = PB_EVENT_COMMAND_BODY_LOGIN};
    login.body.login = (struct pb_command_login){.server = SLICE_LITERAL("http://h"),
                                                 .username = SLICE_LITERAL("ann"),
                                                 .password = SLICE_LITERAL("secret"),
                                                 .device_name = SLICE_LITERAL("laptop")};
    command(host, &login);
    greet(host);
    struct pb_login asked = expect(host, PB_FRAME_BODY_LOGIN).body.login;
    assert_true(slice_equal(asked.password, SLICE_LITERAL("secret")));
}

static void granted(struct host *host, uint64_t dl_n, uint64_t vault_ver)
{
    uint8_t user[16] = {1};
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_GRANTED};
    frame.body.granted =
        (struct pb_granted){.user_id = slice_make(user, 16), .dl_n = dl_n, .vault_ver = vault_ver};
    feed(host, &frame);
}

static void vault(struct host *host, struct host *of)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_VAULT_ANSWER};
    frame.body.vault_answer.ver = 1;
    assert_int_equal(
        e2ee_vault_seal(of->client.e2ee, 1, &host->memory, &frame.body.vault_answer.blob), E2EE_OK);
    feed(host, &frame);
}

/* One more device of an account that has `n` − 1: vault, the lists so far, list n that names all,
 * then a session. */
static struct host *next_device(struct host *newest, struct host *const *others, uint32_t n)
{
    struct host *host = host_new();
    struct slice known[8];
    for (uint32_t i = 0; i + 2 < n; i++)
        known[i] = list_of(others[i]);
    known[n - 2] = list_of(newest);
    login(host);
    granted(host, n - 1, 1);
    expect(host, PB_FRAME_BODY_VAULT_GET);
    vault(host, newest);
    assert_true(expect(host, PB_FRAME_BODY_DEVLIST_GET).body.devlist_get.from_n == 1);
    all_lists(host, 1, known, n - 1);
    struct pb_frame put = expect(host, PB_FRAME_BODY_DEVLIST_PUT);
    struct devlist list;
    assert_int_equal(devlist_read(put.body.devlist_put.dl, &list), STATUS_OK);
    assert_true(list.n == n && list.device_count == n);
    ok(host, n);
    assert_int_equal(host->result.request, 7);
    assert_int_equal(host->result.error, 0);
    expect(host, PB_FRAME_BODY_HELLO);
    host->client.dl_n = n;
    ready(host, 0, PB_RESUME_KIND_TAIL);
    expect(host, PB_FRAME_BODY_DEVLIST_GET);
    lists(host, 1, put.body.devlist_put.dl);
    assert_true(host->client.synced);
    silent(host);
    return host;
}

static struct host *second_device(struct host *first)
{
    return next_device(first, NULL, 2);
}

static void a_second_device(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct pb_event_command devices = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES};
    (void)state;
    command(second, &devices);
    assert_int_equal(second->result.devices_count, 2);
    assert_false(second->result.devices[0].this_device);
    assert_true(second->result.devices[1].this_device);
    assert_true(slice_equal(second->result.devices[1].name, SLICE_LITERAL("laptop")));
    /* The first one hears of it, fetches the list, and checks it. */
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_ACCOUNT};
    entry.body.account.dl_n = 2;
    push(first, 1, &entry);
    assert_true(expect(first, PB_FRAME_BODY_DEVLIST_GET).body.devlist_get.from_n == 1);
    uint32_t get = first->last_req;
    expect(first, PB_FRAME_BODY_ACK);
    first->last_req = get;
    lists(first, 1, list_of(second));
    assert_true(first->client.dl_n == 2);
    host_free(first);
    host_free(second);
}

/* Each takes the other off: a list with one device; the removed one is signed out and wipes. */
static void a_device_is_removed(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct pb_event_command remove = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    struct devlist list;
    uint8_t unknown[16] = {77};
    (void)state;
    remove.body.remove_device.device_id = slice_make(unknown, 16);
    command(second, &remove);
    assert_int_equal(second->result.error, PB_ERROR_CODE_NOT_FOUND);
    silent(second);
    remove.body.remove_device.device_id = slice_make(first->client.device, 16);
    command(second, &remove);
    struct pb_frame put = expect(second, PB_FRAME_BODY_DEVLIST_PUT);
    assert_int_equal(devlist_read(put.body.devlist_put.dl, &list), STATUS_OK);
    assert_true(list.n == 3 && list.device_count == 1 && list.removed_count == 1);
    assert_memory_equal(list.removed.at, first->client.device, 16);
    ok(second, 3);
    assert_int_equal(second->result.error, 0);
    expect(second, PB_FRAME_BODY_DEVLIST_GET);
    lists(second, 1, put.body.devlist_put.dl);
    assert_true(second->client.dl_n == 3);
    /* A server that brings the removed device back is not believed. */
    assert_true(client_user_find(&second->client, second->client.user)->devices[0].removed);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_GOAWAY};
    frame.body.goaway.reason = PB_GOAWAY_REASON_SIGNED_OUT;
    feed(first, &frame);
    assert_true(first->wipe && first->close);
    assert_int_equal(first->client.state, PB_CLIENT_STATE_SIGNED_OUT);
    wait_ms(first, 600000);
    assert_false(first->connect);
    struct pb_event_command devices = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES};
    command(first, &devices);
    assert_int_equal(first->result.error, PB_ERROR_CODE_DENIED);
    host_free(first);
    host_free(second);
}

/* Asked for without a connection, it waits: the answer to a list that a restored server gets again
 * is not its answer. A later one takes its place, and it is told so. */
static void a_removal_waits(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct pb_event_command remove = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_READY};
    struct pb_entry own = {.body_case = PB_ENTRY_BODY_OWN};
    struct devlist list;
    uint8_t other[16] = {77};
    (void)state;
    own.body.own.chat_id = slice_make(other, 16);
    simple(second, PB_HOST_EVENT_BODY_DISCONNECTED);
    remove.body.remove_device.device_id = slice_make(other, 16);
    command(second, &remove);
    remove.body.remove_device.device_id = slice_make(first->client.device, 16);
    command(second, &remove);
    assert_int_equal(second->result.error, PB_ERROR_CODE_BUSY);
    greet(second);
    expect(second, PB_FRAME_BODY_HELLO);
    frame.req = second->last_req;
    frame.body.ready = (struct pb_ready){.user_id = slice_make(second->client.user, 16),
                                         .log_epoch = 1,
                                         .useq = second->client.useq + 1,
                                         .dl_n = 1};
    feed(second, &frame);
    expect(second, PB_FRAME_BODY_DEVLIST_PUT);
    ok(second, 2);
    silent(second);
    push(second, second->client.useq + 1, &own);
    expect(second, PB_FRAME_BODY_ACK);
    struct pb_frame put = expect(second, PB_FRAME_BODY_DEVLIST_PUT);
    assert_int_equal(devlist_read(put.body.devlist_put.dl, &list), STATUS_OK);
    assert_true(list.n == 3 && list.removed_count == 1);
    ok(second, 3);
    assert_int_equal(second->result.error, 0);
    host_free(first);
    host_free(second);
}

/* Signed up, but not finished: whoever writes is told so, instead of waiting for ever; and later it
 * is asked for again. */
static void a_person_without_a_device(void **state)
{
    struct host *ann = signed_up("ann", 1), *bob = signed_up("bob", 2);
    uint8_t id[16] = {2};
    struct pb_frame found = {.body_case = PB_FRAME_BODY_LOOKUP_ANSWER},
                    none = {.body_case = PB_FRAME_BODY_DEVLIST_ANSWER};
    (void)state;
    found.body.lookup_answer.user_id = slice_make(id, 16);
    none.body.devlist_answer.user_id = slice_make(id, 16);
    for (int i = 0; i < 2; i++) {
        memset(&ann->result, 0, sizeof ann->result);
        send_to(ann, "bob", "hello");
        expect(ann, PB_FRAME_BODY_LOOKUP);
        found.req = ann->last_req;
        feed(ann, &found);
        expect(ann, PB_FRAME_BODY_DEVLIST_GET);
        assert_int_equal(ann->result.request, 0);
        none.req = ann->last_req;
        feed(ann, &none);
        assert_int_equal(ann->result.error, PB_ERROR_CODE_NOT_FOUND);
        silent(ann);
    }
    first_words(ann, bob);
    host_free(ann);
    host_free(bob);
}

/* `by`, a further device of Ann, writes to Bob, whom it meets here for the first time. */
static struct pb_send words_of(struct host *by, struct host *bob, const struct pair *pair)
{
    first_words(by, bob);
    push(by, 1, &pair->created);
    expect(by, PB_FRAME_BODY_ACK);
    return expect(by, PB_FRAME_BODY_SEND).body.send;
}

static void sync_brings(struct host *host, uint64_t useq, const struct pb_entry *entry)
{
    struct pb_push again = {
        .useq = useq, .prev_useq = useq - 1, .log_epoch = 1, .entry = *entry, .has_entry = true};
    struct pb_frame part = {.req = host->last_req, .body_case = PB_FRAME_BODY_SYNC_PART};
    assert_true(expect(host, PB_FRAME_BODY_SYNC).body.sync.from_useq == useq - 1);
    part.req = host->last_req;
    part.body.sync_part =
        (struct pb_sync_part){.from_useq = useq - 1, .entries = &again, .entries_count = 1};
    feed(host, &part);
    assert_true(host->client.useq == useq);
    expect(host, PB_FRAME_BODY_ACK);
}

/* One by one a contact's devices begin to write, all within one connection of the reader: each is
 * looked up, nothing that an honest device sent stays unreadable. */
static void every_new_device_is_looked_up(void **state)
{
    struct pair pair = talking();
    struct host *ann[4] = {pair.ann};
    struct host *bob = pair.bob;
    (void)state;
    for (uint32_t n = 2; n <= 4; n++)
        ann[n - 1] = next_device(ann[n - 2], ann, n);
    push(bob, 1, &pair.created);
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(bob, 1, list_of(ann[0]));
    expect(bob, PB_FRAME_BODY_ACK);
    for (uint32_t i = 1; i < 4; i++) {
        struct pb_send send = words_of(ann[i], bob, &pair);
        struct pb_entry entry = message(&send, ann[i], 1 + i);
        push(bob, 1 + i, &entry);
        assert_true(expect(bob, PB_FRAME_BODY_DEVLIST_GET).body.devlist_get.from_n == i);
        assert_true(bob->client.useq == i);
        lists(bob, 1, list_of(ann[i]));
        sync_brings(bob, 1 + i, &entry);
        assert_int_equal(bob->shown, i);
        assert_true(bob->last.readable);
    }
    for (uint32_t i = 1; i < 4; i++)
        host_free(ann[i]);
    end(pair);
}

/* An answer that was under way when the entry came may be older than the device: one more request.
 * A device that no list names even then is unreadable, and its entry holds up nothing. */
static void an_unlisted_device_is_asked_for_once(void **state)
{
    struct pair pair = talking();
    struct host *second = second_device(pair.ann), *bob = pair.bob;
    struct pb_send send = words_of(second, bob, &pair);
    struct pb_entry entry = message(&send, second, 2);
    (void)state;
    push(bob, 1, &pair.created);
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    uint32_t before = bob->last_req;
    expect(bob, PB_FRAME_BODY_ACK);
    push(bob, 2, &entry);
    silent(bob);
    bob->last_req = before;
    lists(bob, 1, list_of(pair.ann));
    expect(bob, PB_FRAME_BODY_SYNC); /* the entry again; it still waits */
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(bob, 1, list_of(pair.ann));
    uint32_t sync = bob->last_req - 1;
    struct pb_push again = {
        .useq = 2, .prev_useq = 1, .log_epoch = 1, .entry = entry, .has_entry = true};
    struct pb_frame part = {.req = sync, .body_case = PB_FRAME_BODY_SYNC_PART};
    part.body.sync_part =
        (struct pb_sync_part){.from_useq = 1, .entries = &again, .entries_count = 1};
    feed(bob, &part);
    assert_true(bob->client.useq == 2 && !bob->last.readable);
    expect(bob, PB_FRAME_BODY_ACK);
    entry.body.message.cseq = 3; /* again one of it: known by now */
    push(bob, 3, &entry);
    assert_true(bob->client.useq == 3);
    expect(bob, PB_FRAME_BODY_ACK);
    silent(bob);
    host_free(second);
    end(pair);
}

/* The answer to a request that was under way when a newer list was told of is not the last word. */
static void a_list_made_meanwhile_is_asked_for(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct host *known[2] = {first, second}, *third = next_device(second, known, 3);
    struct pb_event_command devices = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES};
    struct pb_entry told = {.body_case = PB_ENTRY_BODY_ACCOUNT};
    (void)state;
    for (uint64_t n = 2; n <= 3; n++) {
        told.body.account.dl_n = n;
        push(first, n - 1, &told);
    }
    struct pb_frame get = expect(first, PB_FRAME_BODY_DEVLIST_GET); /* for the second list */
    uint32_t req = get.req;
    expect(first, PB_FRAME_BODY_ACK);
    expect(first, PB_FRAME_BODY_ACK);
    first->last_req = req;
    lists(first, 1, list_of(second));
    assert_true(expect(first, PB_FRAME_BODY_DEVLIST_GET).body.devlist_get.from_n == 2);
    lists(first, 1, list_of(third));
    command(first, &devices);
    assert_int_equal(first->result.devices_count, 3);
    silent(first);
    host_free(first);
    host_free(second);
    host_free(third);
}

/* Right after another device signed in: the list that the server told of is waited for. */
static void devices_waits_for_the_newest_list(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct pb_event_command devices = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES},
                            remove = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    (void)state;
    simple(first, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(first);
    expect(first, PB_FRAME_BODY_HELLO);
    struct pb_frame frame = {.req = first->last_req, .body_case = PB_FRAME_BODY_READY};
    frame.body.ready = (struct pb_ready){.user_id = slice_make(first->client.user, 16),
                                         .log_epoch = first->epoch,
                                         .dl_n = 2,
                                         .resume = PB_RESUME_KIND_TAIL};
    feed(first, &frame);
    command(first, &devices);
    assert_int_equal(first->result.devices_count, 0);
    remove.body.remove_device.device_id = slice_make(second->client.device, 16);
    command(first, &remove);
    expect(first, PB_FRAME_BODY_DEVLIST_GET);
    silent(first);
    lists(first, 1, list_of(second));
    expect(first, PB_FRAME_BODY_DEVLIST_PUT);
    command(first, &devices);
    assert_int_equal(first->result.devices_count, 2);
    host_free(first);
    host_free(second);
}

/* A removal that loses its race comes back as CONFLICT; nothing stays behind. */
static void a_removal_conflicts(void **state)
{
    struct host *first = signed_up("ann", 1), *second = second_device(first);
    struct pb_event_command remove = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    (void)state;
    remove.body.remove_device.device_id = slice_make(first->client.device, 16);
    command(second, &remove);
    expect(second, PB_FRAME_BODY_DEVLIST_PUT);
    refuse(second, PB_ERROR_CODE_CONFLICT, 3);
    assert_int_equal(second->result.error, PB_ERROR_CODE_CONFLICT);
    wait_ms(second, 1000);
    silent(second);
    command(second, &remove);
    expect(second, PB_FRAME_BODY_DEVLIST_PUT);
    host_free(first);
    host_free(second);
}

static void a_wrong_password(void **state)
{
    struct host *host = host_new();
    (void)state;
    login(host);
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error = (struct pb_error){.code = PB_ERROR_CODE_AUTH, .retry_ms = 4000};
    feed(host, &frame);
    assert_int_equal(host->result.error, PB_ERROR_CODE_AUTH);
    assert_true(host->result.retry_ms == 4000);
    assert_true(host->close);
    wait_ms(host, 600000);
    assert_false(host->connect); /* not tried again by itself */
    login(host);                 /* but the person may */
    host_free(host);
}

/* The grant is gone, or was never one: the sign-in ends with the answer, not in a loop. */
static void a_wrong_grant(void **state)
{
    struct host *host = host_new();
    (void)state;
    login(host);
    granted(host, 0, 0);
    expect(host, PB_FRAME_BODY_VAULT_PUT);
    refuse(host, PB_ERROR_CODE_DENIED, 0);
    assert_int_equal(host->result.request, 7);
    assert_int_equal(host->result.error, PB_ERROR_CODE_DENIED);
    assert_false(host->client.enrolled);
    wait_ms(host, 600000);
    assert_false(host->connect);
    host_free(host);
}

/* The connection breaks after DEVLIST_PUT: LOGIN finds the list, with the same device. */
static void a_lost_enrolment(void **state)
{
    struct host *host = host_new();
    uint8_t device[16];
    (void)state;
    login(host);
    granted(host, 0, 0);
    expect(host, PB_FRAME_BODY_VAULT_PUT);
    ok(host, 1);
    struct pb_frame put = expect(host, PB_FRAME_BODY_DEVLIST_PUT);
    memcpy(device, host->client.device, 16);
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(host);
    expect(host, PB_FRAME_BODY_LOGIN);
    granted(host, 1, 1);
    expect(host, PB_FRAME_BODY_VAULT_GET);
    vault(host, host);
    expect(host, PB_FRAME_BODY_DEVLIST_GET);
    lists(host, 1, put.body.devlist_put.dl);
    assert_int_equal(host->result.error, 0);
    expect(host, PB_FRAME_BODY_HELLO);
    assert_memory_equal(device, host->client.device, 16);
    host_free(host);
}

static void answers_to_commands(void **state)
{
    struct host *ann = signed_up("ann", 1);
    struct pb_event_command invite = {.body_case = PB_EVENT_COMMAND_BODY_INVITE},
                            password = {.body_case = PB_EVENT_COMMAND_BODY_PASSWORD};
    (void)state;
    invite.body.invite = (struct pb_command_invite){.uses = 3, .days = 2};
    command(ann, &invite);
    struct pb_invite asked = expect(ann, PB_FRAME_BODY_INVITE).body.invite;
    assert_true(asked.uses == 3 && asked.days == 2);
    struct pb_frame frame = {.req = ann->last_req, .body_case = PB_FRAME_BODY_INVITE_ANSWER};
    frame.body.invite_answer.secret = SLICE_LITERAL("abc");
    feed(ann, &frame);
    assert_true(ann->result.request == 7 && slice_equal(ann->result.text, SLICE_LITERAL("abc")));
    static const enum pb_error_code codes[] = {PB_ERROR_CODE_LIMIT, PB_ERROR_CODE_BUSY,
                                               PB_ERROR_CODE_UNSUPPORTED, PB_ERROR_CODE_DENIED};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        command(ann, &invite);
        expect(ann, PB_FRAME_BODY_INVITE);
        frame = (struct pb_frame){.req = ann->last_req, .body_case = PB_FRAME_BODY_ERROR};
        frame.body.error = (struct pb_error){.code = codes[i], .retry_ms = 1500};
        feed(ann, &frame);
        assert_int_equal(ann->result.error, codes[i]);
        assert_true(ann->result.retry_ms == 1500);
        assert_true(ann->client.synced); /* the session lives on */
    }
    password.body.password = (struct pb_command_password){.old_password = SLICE_LITERAL("old"),
                                                          .new_password = SLICE_LITERAL("new")};
    command(ann, &password);
    struct pb_password_set set = expect(ann, PB_FRAME_BODY_PASSWORD_SET).body.password_set;
    assert_true(slice_equal(set.old_password, SLICE_LITERAL("old")));
    refuse(ann, PB_ERROR_CODE_AUTH, 0);
    assert_int_equal(ann->result.error, PB_ERROR_CODE_AUTH);
    command(ann, &password);
    expect(ann, PB_FRAME_BODY_PASSWORD_SET);
    ok(ann, 0);
    assert_true(ann->result.request == 7 && ann->result.error == 0);
    /* The connection breaks: the person is told, not left waiting. */
    command(ann, &password);
    expect(ann, PB_FRAME_BODY_PASSWORD_SET);
    memset(&ann->result, 0, sizeof ann->result);
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    assert_int_equal(ann->result.request, 7);
    assert_int_equal(ann->result.error, PB_ERROR_CODE_RETRY);
    command(ann, &password); /* offline: at once */
    assert_int_equal(ann->result.error, PB_ERROR_CODE_BUSY);
    host_free(ann);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_of_each),
        cmocka_unit_test(a_second_device),
        cmocka_unit_test(a_device_is_removed),
        cmocka_unit_test(a_removal_waits),
        cmocka_unit_test(a_person_without_a_device),
        cmocka_unit_test(every_new_device_is_looked_up),
        cmocka_unit_test(an_unlisted_device_is_asked_for_once),
        cmocka_unit_test(a_list_made_meanwhile_is_asked_for),
        cmocka_unit_test(devices_waits_for_the_newest_list),
        cmocka_unit_test(a_removal_conflicts),
        cmocka_unit_test(a_wrong_password),
        cmocka_unit_test(a_wrong_grant),
        cmocka_unit_test(a_lost_enrolment),
        cmocka_unit_test(answers_to_commands),
        cmocka_unit_test(another_server_after_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
