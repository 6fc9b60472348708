/* SPDX-License-Identifier: Apache-2.0
 * The contract of ports/tls.h: two ends over memory, in pieces of any size. */
#include "tls_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

#define WIRE_BYTES  (1u << 20)
#define PLAIN_BYTES (1u << 18)

/* One end: what it has sent and the other has not taken yet, what it has heard. */
struct end {
    struct tls *tls;
    struct tls_session *session;
    struct buf out, heard;
    size_t taken; /* of `out`, by the other */
};

static uint8_t space[2][WIRE_BYTES], said[2][PLAIN_BYTES];
static struct end server, client;

static struct end end_of(struct tls *tls, int number)
{
    struct end end = {.tls = tls,
                      .session = tls->vtable->open(tls),
                      .out = buf_over(space[number], WIRE_BYTES),
                      .heard = buf_over(said[number], PLAIN_BYTES)};
    assert_non_null(end.session);
    assert_int_equal(end.session->state, TLS_HANDSHAKE);
    return end;
}

static int setup(void **state)
{
    (void)state;
    server = end_of(tls_contract_server(), 0);
    client = end_of(tls_contract_client(), 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server.tls->vtable->close(server.tls, server.session);
    client.tls->vtable->close(client.tls, client.session);
    tls_contract_done();
    return 0;
}

/* Hand `end` at most `bytes` of what `from` sent, `room` plain bytes at a time; true: any. */
static bool hand(struct end *end, struct end *from, size_t bytes, size_t room)
{
    struct slice in =
        slice_sub(slice_make(from->out.at + from->taken, from->out.bytes - from->taken), 0, bytes);
    bool any = in.bytes > 0;
    size_t before, given = in.bytes;
    do {
        before = end->heard.bytes;
        size_t left = PLAIN_BYTES - before;
        struct buf plain = buf_over(end->heard.at + before, room < left ? room : left);
        end->tls->vtable->feed(end->tls, end->session, &in, &plain, &end->out);
        end->heard.bytes += plain.bytes;
    } while (end->heard.bytes > before && (end->session->state == TLS_OPEN || in.bytes > 0));
    if (end->session->state == TLS_OPEN)
        assert_int_equal(in.bytes, 0);
    from->taken += given - in.bytes;
    return any && given > in.bytes;
}

static void exchange(size_t bytes, size_t room)
{
    bool any = true;
    (void)hand(&client, &server, 0, room); /* its first bytes */
    while (any) {
        any = hand(&server, &client, bytes, room);
        any = hand(&client, &server, bytes, room) || any;
    }
}

static void say(struct end *end, struct slice bytes)
{
    end->tls->vtable->seal(end->tls, end->session, bytes, &end->out);
    assert_int_equal(end->session->state, TLS_OPEN);
}

static const uint8_t *text_of(size_t bytes)
{
    static uint8_t text[PLAIN_BYTES];
    for (size_t i = 0; i < bytes; i++)
        text[i] = (uint8_t)(i * 7 + i / 251);
    return text;
}

static void talk(size_t piece, size_t room, size_t bytes)
{
    const uint8_t *text = text_of(bytes);
    exchange(piece, room);
    assert_int_equal(server.session->state, TLS_OPEN);
    assert_int_equal(client.session->state, TLS_OPEN);
    say(&client, slice_make(text, bytes));
    say(&server, slice_make(text, bytes));
    say(&server, SLICE_EMPTY);
    say(&server, slice_make(text, 1));
    exchange(piece, room);
    assert_int_equal(server.heard.bytes, bytes);
    assert_memory_equal(server.heard.at, text, bytes);
    assert_int_equal(client.heard.bytes, bytes + 1);
    assert_memory_equal(client.heard.at, text, bytes);
}

static void all_at_once(void **state)
{
    (void)state;
    talk(WIRE_BYTES, PLAIN_BYTES, 200000);
}

static void byte_by_byte(void **state)
{
    (void)state;
    talk(1, PLAIN_BYTES, 40000);
}

static void with_little_room(void **state)
{
    (void)state;
    talk(1000, 7, 40000);
}

static void sealed_fits_what_the_port_says(void **state)
{
    (void)state;
    exchange(WIRE_BYTES, PLAIN_BYTES);
    for (size_t bytes = 1; bytes <= 65536; bytes = bytes * 3 + 1) {
        client.taken = client.out.bytes = 0;
        client.out.capacity = TLS_SEALED_BYTES_MAX(bytes);
        say(&client, slice_make(text_of(bytes), bytes));
        assert_true(client.out.bytes >= bytes);
        (void)hand(&server, &client, WIRE_BYTES, PLAIN_BYTES);
        assert_int_equal(server.heard.bytes, bytes);
        server.heard.bytes = 0;
    }
}

static void an_end_is_told_and_can_be_answered(void **state)
{
    (void)state;
    exchange(WIRE_BYTES, PLAIN_BYTES);
    say(&client, SLICE_LITERAL("last words"));
    client.tls->vtable->end(client.tls, client.session, &client.out);
    exchange(3, PLAIN_BYTES);
    assert_int_equal(server.session->state, TLS_ENDED);
    assert_int_equal(server.heard.bytes, 10);
    server.tls->vtable->seal(server.tls, server.session, SLICE_LITERAL("yours"), &server.out);
    server.tls->vtable->end(server.tls, server.session, &server.out);
    assert_int_equal(server.session->state, TLS_ENDED);
}

/* Cut anywhere: no plain byte before the handshake is done, nothing but waiting for the rest. */
static void a_cut_handshake_waits(void **state)
{
    (void)state;
    (void)hand(&client, &server, 0, PLAIN_BYTES);
    assert_true(client.out.bytes > 1);
    (void)hand(&server, &client, client.out.bytes - 1, PLAIN_BYTES);
    assert_int_equal(server.session->state, TLS_HANDSHAKE);
    assert_int_equal(server.heard.bytes, 0);
    server.tls->vtable->end(server.tls, server.session, &server.out);
    assert_int_equal(server.out.bytes, 0); /* there is nothing to end */
}

static void garbage_fails(void **state)
{
    static const char *const words[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "HTTP/1.1 400 No\r\n\r\n",
                                        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"};
    struct end *ends[] = {&server, &client};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 2; j++) {
            struct tls *tls = ends[j]->tls;
            struct slice in = slice_text(words[i]);
            tls->vtable->close(tls, ends[j]->session);
            ends[j]->session = tls->vtable->open(tls);
            tls->vtable->feed(tls, ends[j]->session, &in, &ends[j]->heard, &ends[j]->out);
            assert_int_equal(ends[j]->session->state, TLS_FAILED);
            assert_true(strlen(ends[j]->session->trouble) > 10);
            assert_int_equal(ends[j]->heard.bytes, 0);
            /* and stays so */
            in = slice_text(words[i]);
            tls->vtable->feed(tls, ends[j]->session, &in, &ends[j]->heard, &ends[j]->out);
            tls->vtable->end(tls, ends[j]->session, &ends[j]->out);
            assert_int_equal(ends[j]->session->state, TLS_FAILED);
        }
}

static void without_room_for_an_answer_it_fails(void **state)
{
    uint8_t none[1];
    struct buf little = buf_over(none, 0);
    struct slice in;
    (void)state;
    (void)hand(&client, &server, 0, PLAIN_BYTES);
    in = buf_slice(&client.out);
    server.tls->vtable->feed(server.tls, server.session, &in, &server.heard, &little);
    assert_int_equal(server.session->state, TLS_FAILED);
    assert_false(little.overflow);
}

static void without_memory_there_is_no_session(void **state)
{
    (void)state;
    memory_fault_plan(1, false);
    assert_null(server.tls->vtable->open(server.tls));
    assert_true(memory_fault_fired());
    memory_fault_plan(0, false);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(all_at_once),
        CASE(byte_by_byte),
        CASE(with_little_room),
        CASE(sealed_fits_what_the_port_says),
        CASE(an_end_is_told_and_can_be_answered),
        CASE(a_cut_handshake_waits),
        CASE(garbage_fails),
        CASE(without_room_for_an_answer_it_fails),
        CASE(without_memory_there_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
