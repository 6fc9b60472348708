/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: a start from rows that are damaged or too many, a state that outgrows its arena, and
 * devices and messages that are no longer what they were. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A start from the rows of a host, but for one that is put in the place of row `at`. */
static enum status start(struct client *client, const struct host *host, size_t at,
                         const struct stored *instead)
{
    static struct pb_state_row rows[ROWS_MAX];
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    struct pb_host_effects out;
    uint8_t entropy[32] = {0};
    for (size_t i = 0; i < host->row_count; i++) {
        const struct stored *row = i == at ? instead : &host->rows[i];
        rows[event.body.restore.rows_count++] =
            (struct pb_state_row){.table = row->table, .key = row->key, .value = row->value};
    }
    event.body.restore.rows = rows;
    event.body.restore.last = true;
    event.entropy = slice_make(entropy, 32);
    enum status status = client_step(client, &event, &out);
    if (status == STATUS_OK)
        client_check(client);
    return status;
}

/* A row that cannot be read is left out; what the others say stands. */
static void a_damaged_row_is_left_out(void **state)
{
    static struct client client;
    struct pair pair = talking();
    struct host *ann = pair.ann;
    const struct pb_entry entry = message(&pair.send, ann, 2);
    (void)state;
    push(ann, 2, &entry); /* one in the journal, one in the outbox */
    send_to(ann, "bob", "second");
    for (size_t i = 0; i < ann->row_count; i++)
        for (int how = 0; how < 4; how++) {
            struct stored row = ann->rows[i];
            uint8_t later[] = {9};
            if (how == 0)
                row.key.bytes--;
            else if (how == 1)
                row.value.bytes /= 2;
            else if (how == 2)
                row.value = SLICE_OF(later);
            else
                row.table = (enum pb_table)99;
            assert_int_equal(client_init(&client, CLIENT_BYTES_DEFAULT), STATUS_OK);
            assert_int_equal(start(&client, ann, i, &row), STATUS_OK);
            assert_true(client.enrolled || ann->rows[i].table == PB_TABLE_META);
            assert_true(client.outbox_count == 1 || ann->rows[i].table == PB_TABLE_OUTBOX);
            assert_true(client.journal_count == 1 || ann->rows[i].table == PB_TABLE_JOURNAL);
            assert_true(client.chat_count == 1);
            client_deinit(&client);
        }
    end(pair);
}

/* Under a ceiling that is too low a client does not start, and says so; it never starts half. */
static void rows_that_do_not_fit_are_busy(void **state)
{
    static struct client client;
    struct pair pair = talking();
    size_t refused = 0;
    (void)state;
    for (size_t bytes = 1024;; bytes += bytes / 8) {
        enum status status = client_init(&client, bytes);
        if (status == STATUS_OK)
            status = start(&client, pair.ann, SIZE_MAX, NULL);
        if (status == STATUS_OK) {
            assert_true(client.enrolled && client.chat_count == 1 && client.outbox_count == 1);
            break;
        }
        assert_int_equal(status, STATUS_BUSY);
        refused++;
        client_deinit(&client);
    }
    assert_true(refused > 0);
    client_deinit(&client);
    end(pair);
}

/* What is settled makes room: the bytes that live move together, and stay what they are. */
static void a_long_life_in_little_memory(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    static char text[16000];
    struct pb_entry entry = message(&pair.send, ann, 2);
    int arena = ann->client.blob_now;
    uint64_t useq = 2;
    bool moved = false;
    (void)state;
    memset(text, 'x', sizeof text - 1);
    push(ann, useq, &entry);
    send_to(ann, "carl", "to somebody who is looked up"); /* waits meanwhile */
    for (int i = 0; i < 12; i++) {
        ann->frame_count = 0;
        send_to(ann, "bob", text);
        while (ann->frames[0].body_case != PB_FRAME_BODY_SEND)
            expect(ann, ann->frames[0].body_case);
        struct pb_send send = expect(ann, PB_FRAME_BODY_SEND).body.send;
        entry = message(&send, ann, ++useq);
        push(ann, useq, &entry);
        assert_int_equal(ann->client.outbox_count, 0);
        moved |= ann->client.blob_now != arena;
    }
    assert_true(moved);
    bool waits = false;
    for (int i = 0; i < CLIENT_WAITING_MAX; i++)
        waits |= slice_equal(ann->client.waiting[i].username, SLICE_LITERAL("carl"));
    assert_true(waits);
    restart(ann);
    assert_int_equal(ann->client.journal_count, 13);
    end(pair);
}

/* From where on a device is not believed any more outlives a restart. */
static void a_removed_device_is_remembered(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann, *bob = pair.bob;
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    struct slice gone[2] = {slice_make(bob->client.device, 16), slice_make(bob->client.device, 16)};
    (void)state;
    struct pb_entry hello = message(&pair.send, ann, 2);
    push(ann, 2, &hello);
    entry.body.member = (struct pb_member_change){.chat_id = pair.send.chat_id,
                                                  .cseq = 3,
                                                  .kind = PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE,
                                                  .user_id = slice_make(bob->client.user, 16),
                                                  .device_id = slice_make(bob->client.device, 16),
                                                  .mid = pair.send.mid,
                                                  .dl_n = 1,
                                                  .removed = gone,
                                                  .removed_count = 2};
    push(ann, 3, &entry);
    assert_int_equal(ann->client.chats[0]->removed_count, 1); /* told twice, known once */
    restart(ann);
    assert_int_equal(ann->client.chats[0]->removed_count, 1);
    assert_true(ann->client.chats[0]->removed[0].cseq == 3);
    end(pair);
}

/* A message that others may not see bears one tick for ever; the oldest of many is forgotten. */
static void a_hidden_message_keeps_one_tick(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct client_chat *chat = ann->client.chats[0];
    uint64_t hidden[] = {2, 2, 4};
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_RECEIPT};
    (void)state;
    entry.body.receipt = (struct pb_receipt_entry){.chat_id = pair.send.chat_id,
                                                   .delivered_by_all = 6,
                                                   .read_by_all = 5,
                                                   .hidden = hidden,
                                                   .hidden_count = 3};
    push(ann, 2, &entry);
    static const enum pb_tick ticks[] = {PB_TICK_CLOCK,     PB_TICK_READ, PB_TICK_SENT,
                                         PB_TICK_READ,      PB_TICK_SENT, PB_TICK_READ,
                                         PB_TICK_DELIVERED, PB_TICK_SENT};
    for (uint64_t cseq = 0; cseq < 8; cseq++)
        assert_int_equal(client_tick(chat, cseq), ticks[cseq]);
    entry.body.receipt.hidden_count = 1;
    for (uint64_t useq = 3; useq < 3 + CLIENT_HIDDEN_MAX; useq++) {
        hidden[0] = 100 + useq;
        push(ann, useq, &entry);
    }
    assert_int_equal(chat->hidden_count, CLIENT_HIDDEN_MAX);
    assert_int_equal(client_tick(chat, 2), PB_TICK_READ);
    restart(ann);
    assert_int_equal(ann->client.chats[0]->hidden_count, CLIENT_HIDDEN_MAX);
    end(pair);
}

/* Numbers that no server can have got to: counters would begin again, under other messages. */
static void numbers_that_are_lies(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry entry = message(&pair.send, ann, UINT64_MAX);
    (void)state;
    push(ann, 2, &entry);
    assert_int_equal(ann->client.outbox_count, 1); /* not in the log */
    entry = message(&pair.send, ann, 2);
    entry.body.message.sctr = UINT64_MAX;
    entry.body.message.mid = slice_make(ann->client.user, 16);
    push(ann, 3, &entry);
    assert_true(ann->client.chats[0]->next_sctr == 2);
    uint64_t conn = ann->client.conn;
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    ann->frame_count = 0;
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    refuse(ann, PB_ERROR_CODE_CONFLICT, UINT64_MAX);
    greet(ann);
    struct pb_hello hello = expect(ann, PB_FRAME_BODY_HELLO).body.hello;
    assert_true(hello.conn > conn && hello.conn < conn + 4);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_row_is_left_out),
        cmocka_unit_test(rows_that_do_not_fit_are_busy),
        cmocka_unit_test(a_long_life_in_little_memory),
        cmocka_unit_test(a_removed_device_is_remembered),
        cmocka_unit_test(a_hidden_message_keeps_one_tick),
        cmocka_unit_test(numbers_that_are_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
