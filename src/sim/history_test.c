/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

#define HEAD "{\"t_inv\":1,\"t_ret\":2,\"proc\":3,"
#define IDS \
    "\"user\":\"000102030405060708090a0b0c0d0e0f\",\"dev\":\"101112131415161718191a1b1c1d1e1f\","
#define TAIL "\"op\":\"send\",\"args\":{\"sctr\":7,\"what\":\"x-1_\"},\"res\":\"info\"}"

static const uint8_t letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

/* Any event: some fields zero, some at their ends. */
static struct history_event any_event(struct prng *prng)
{
    struct history_event event;
    uint64_t *const numbers[] = {&event.sctr,   &event.cseq,  &event.useq,   &event.prev_useq,
                                 &event.hash,   &event.ts,    &event.system, &event.delivered,
                                 &event.read,   &event.epoch, &event.conn,   &event.reason,
                                 &event.t_copy, &event.value, &event.cap,    &event.proc};
    uint8_t *const ids[] = {event.user.at, event.dev.at,       event.chat.at,
                            event.mid.at,  event.from_user.at, event.from_dev.at};
    memset(&event, 0, sizeof event);
    event.t_inv = prng_below(prng, 1000);
    event.t_ret = event.t_inv + prng_below(prng, 2) * prng_below(prng, UINT64_MAX - 1000);
    event.op = (enum history_op)prng_below(prng, HISTORY_OPS_COUNT);
    event.res = (enum history_res)prng_below(prng, 3);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = prng_chance(prng, 500)   ? 0
                      : prng_chance(prng, 100) ? UINT64_MAX
                                               : prng_next(prng) >> prng_below(prng, 64);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (prng_chance(prng, 500))
            prng_bytes(prng, ids[i], ID_BYTES);
    for (size_t i = 0, bytes = prng_below(prng, HISTORY_WHAT_BYTES); i < bytes; i++)
        event.what[i] = (char)letters[prng_below(prng, sizeof letters - 1)];
    return event;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    struct history history = {0}, back = {0};
    static uint8_t memory[3000 * HISTORY_LINE_BYTES_MAX];
    struct buf out = buf_over(memory, sizeof memory);
    prng_init(&prng, 1);
    for (size_t i = 0; i < 3000; i++) {
        struct history_event event = any_event(&prng);
        size_t before = out.bytes;
        assert_int_equal(history_add(&history, &event), STATUS_OK);
        history_write(&out, &event);
        assert_in_range(out.bytes - before, 1, HISTORY_LINE_BYTES_MAX);
    }
    assert_false(out.overflow);
    struct failure failure = {STATUS_OK, ""};
    assert_int_equal(history_read_all(buf_slice(&out), &back, &failure), STATUS_OK);
    assert_int_equal(back.count, history.count);
    assert_memory_equal(back.events, history.events, history.count * sizeof *history.events);
    history_close(&back);
    /* the line that a dying writer left half done */
    assert_int_equal(history_read_all(slice_make(memory, out.bytes - 5), &back, &failure),
                     STATUS_OK);
    assert_int_equal(back.count, history.count - 1);
    history_close(&back);
    history_close(&history);
}

static void test_bad_lines(void **state)
{
    (void)state;
    const struct row {
        const char *line, *why;
    } rows[] = {
        {"", "a line is a JSON object"},
        {"[]", "a line is a JSON object"},
        {"{}", "a string is expected"},
        {"{\"t_inv\" 1}", "':' is expected"},
        {"{\"t_inv\":-1}", "a whole number is expected"},
        {"{\"t_inv\":18446744073709551616}", "the number does not fit 64 bits"},
        {"{\"t_inv\":1,\"t_inv\":1}", "this key stands twice"},
        {"{\"t_inv\":1;", "',' or '}' is expected"},
        {"{\"t_inv\":1}", "must all be there"},
        {"{\"now\":1}", "this key is not known"},
        {"{\"NOW\":1}", "a string may hold"},
        {"{\"user\":\"00\"}", "an id has 32 hex digits"},
        {"{\"user\":\"000102030405060708090a0b0c0d0e0z\"}", "an id has 32 hex digits"},
        {"{\"user\":\"000102030405060708090a0b0c0d0e0f0\"}", "the string is too long"},
        {"{\"op\":\"jump\"}", "this name is not known"},
        {"{\"op\":\"send", "the string does not end"},
        {"{\"args\":[]}", "'args' is an object"},
        {"{\"args\":{\"op\":1}}", "this key is not known in 'args'"},
        {"{\"args\":{\"cseq\":1,\"cseq\":1}}", "this key stands twice"},
        {"{\"args\":{\"what\":\"aaaaaaaaaaaaaaaaaaaaaaaa\"}}", "'what' is too long"},
        {HEAD IDS TAIL " x", "something follows the object"},
        {"{\"t_inv\":2,\"t_ret\":1,\"proc\":3," IDS TAIL, "t_ret is before t_inv"},
    };
    struct history_event event;
    struct failure failure;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(history_read(slice_text(rows[i].line), &event, &failure), STATUS_INVALID);
        if (!strstr(failure.text, rows[i].why))
            fail_msg("'%s' was refused with '%s'", rows[i].line, failure.text);
    }
    assert_int_equal(history_read(slice_text(HEAD IDS TAIL), &event, &failure), STATUS_OK);
    assert_int_equal(
        history_read(slice_text(" { \"res\" : \"ok\"\t, " IDS "\"t_ret\":2,\"t_inv\":1,"
                                "\"proc\":0,\"args\":{ },\"op\":\"recv\" } \r"),
                     &event, &failure),
        STATUS_OK);
    assert_int_equal(event.op, HISTORY_RECV);
    struct history history = {0};
    assert_int_equal(
        history_read_all(SLICE_LITERAL(HEAD IDS TAIL "\n\n{\"t_inv\":x}\n"), &history, &failure),
        STATUS_INVALID);
    assert_string_equal(failure.text, "line 3, column 10: a whole number is expected");
    history_close(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
