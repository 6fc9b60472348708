/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/devlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t PHONE[16] = {0xd1}, TABLET[16] = {0xd2};

static struct devlist first(void)
{
    struct devlist list = {.user = {0xaa}, .n = 1, .aik = {1}, .dsk_ver = 1, .dsk = {2}, .ts = 5};
    list.username = SLICE_LITERAL("ann");
    list.device_count = 1;
    memcpy(list.devices[0].id, PHONE, 16);
    list.devices[0].added_n = 1;
    list.devices[0].kind = 7;
    list.devices[0].name = SLICE_LITERAL("xy");
    list.sig_aik[0] = 0x51;
    return list;
}

static struct devlist second(void)
{
    struct devlist list = first();
    list.n = 2;
    list.previous[0] = 0x99;
    list.device_count = 2;
    memcpy(list.devices[1].id, TABLET, 16);
    list.devices[1].added_n = 2;
    return list;
}

static struct devlist third(void)
{
    struct devlist list = second();
    list.n = 3;
    list.devices[0] = list.devices[1];
    list.device_count = 1;
    list.removed = slice_make(PHONE, 16);
    list.removed_count = 1;
    return list;
}

static size_t bytes_of(const struct devlist *list, uint8_t out[1024])
{
    struct buf buf = buf_over(out, 1024);
    devlist_write_unsigned(list, &buf);
    buf_zero(&buf, DEVLIST_SIG_BYTES);
    return buf.bytes;
}

static void bytes_by_hand(void **state)
{
    struct devlist list = first(), back;
    uint8_t bytes[1024], expected[1024] = {'P', 'D', 'L', '1', 0xaa};
    (void)state;
    expected[23] = 1;                         /* n, behind magic 4 and user 16 */
    expected[57] = 1;                         /* AIK, behind hash 32 and flags */
    expected[92] = 1;                         /* dsk_ver */
    expected[93] = 2;                         /* DSK */
    expected[125] = 0x51;                     /* sig_AIK */
    expected[196] = 5;                        /* ts */
    memcpy(expected + 197, "\3ann\1\xd1", 6); /* username, ndev, device_id */
    expected[253] = 1;                        /* added_n, behind id 16 and sigpub 32 */
    memcpy(expected + 254, "\7\2xy", 5);      /* kind, name, nrem */
    size_t size = bytes_of(&list, bytes);
    assert_int_equal(size, 259 + 64);
    assert_memory_equal(bytes, expected, size);
    assert_int_equal(devlist_read(slice_make(bytes, size), &back), STATUS_OK);
    assert_int_equal(back.devices[0].added_n, 1);
    assert_int_equal(back.unsigned_bytes.bytes, 259);
    assert_non_null(devlist_find(&back, PHONE));
    assert_null(devlist_find(&back, TABLET));
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(devlist_read(slice_make(bytes, cut), &back), STATUS_INVALID);
    assert_int_equal(devlist_read(slice_make(bytes, size + 1), &back), STATUS_INVALID);
    static uint8_t large[DEVLIST_BYTES_MAX + 1];
    assert_int_equal(devlist_read(slice_make(large, sizeof large), &back), STATUS_TOO_LARGE);
}

static void messages(void **state)
{
    struct devlist list = first();
    uint8_t aik[DEVLIST_AIK_MESSAGE_BYTES], other[128];
    (void)state;
    devlist_aik_message(&list, aik);
    assert_memory_equal(aik, "parley/dsk/v1\0\xaa", 15);
    assert_int_equal(aik[33], 1);
    assert_int_equal(aik[34], 2);
    struct buf buf = buf_over(other, sizeof other);
    devlist_dsk_message(SLICE_LITERAL("zz"), &buf);
    assert_int_equal(buf.bytes, 20);
    assert_memory_equal(other, "parley/devlist/v1\0zz", 20);
    buf = buf_over(other, sizeof other);
    devlist_session_message(SLICE_LITERAL("home"), SLICE_LITERAL("N"), PHONE, 258, &buf);
    assert_int_equal(buf.bytes, 18 + 4 + 1 + 16 + 8);
    assert_memory_equal(other, "parley/session/v1\0homeN\xd1", 24);
    assert_int_equal(other[45], 1);
    assert_int_equal(other[46], 2);
}

/* Each case spoils one thing of a third list that follows a second. */
enum spoil {
    NOTHING,
    N_SKIPS,
    N_SAME,
    HASH,
    USER,
    NAME,
    AIK,
    RESET,
    SIG_AIK,
    SIG_DSK,
    DSK_FALLS,
    DSK_SWAPPED,
    VANISHED,
    NOT_THERE,
    BOTH,
    RETURNED,
    ADDED_WRONG,
    KEY_CHANGED,
    REMOVED_TWICE,
    AFTER_CLOSE,
};

/* EXCEPTION: one table, a row for each rule of e2ee §4; apart they would be harder to compare. */
static void follows(void **state)
{
    static const struct {
        enum spoil spoil;
        enum devlist_fault fault;
    } cases[] = {
        {NOTHING, DEVLIST_OK},
        {N_SKIPS, DEVLIST_FAULT_NUMBER},
        {N_SAME, DEVLIST_FAULT_NUMBER},
        {HASH, DEVLIST_FAULT_CHAIN},
        {USER, DEVLIST_FAULT_CHAIN},
        {NAME, DEVLIST_FAULT_CHAIN},
        {AFTER_CLOSE, DEVLIST_FAULT_CHAIN},
        {AIK, DEVLIST_FAULT_IDENTITY},
        {RESET, DEVLIST_FAULT_IDENTITY},
        {SIG_AIK, DEVLIST_FAULT_SIGNATURE},
        {SIG_DSK, DEVLIST_FAULT_SIGNATURE},
        {DSK_FALLS, DEVLIST_FAULT_DSK},
        {DSK_SWAPPED, DEVLIST_FAULT_DSK},
        {VANISHED, DEVLIST_FAULT_DEVICES},
        {NOT_THERE, DEVLIST_FAULT_DEVICES},
        {BOTH, DEVLIST_FAULT_DEVICES},
        {RETURNED, DEVLIST_FAULT_DEVICES},
        {ADDED_WRONG, DEVLIST_FAULT_DEVICES},
        {KEY_CHANGED, DEVLIST_FAULT_DEVICES},
        {REMOVED_TWICE, DEVLIST_FAULT_DEVICES},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct devlist prev = second(), next = third();
        struct devlist_proof proof = {.sig_aik_valid = true, .sig_dsk_valid = true};
        static const uint8_t old[16] = {0xd0};
        uint8_t twice[32];
        proof.previous_hash[0] = 0x99;
        proof.removed_before = slice_make(old, 16);
        memcpy(twice, PHONE, 16);
        memcpy(twice + 16, PHONE, 16);
        switch (cases[i].spoil) {
        case NOTHING: break;
        case N_SKIPS: next.n = 4; break;
        case N_SAME: next.n = 2; break;
        case HASH: proof.previous_hash[31] = 1; break;
        case USER: next.user[0] = 0xab; break;
        case NAME: next.username = SLICE_LITERAL("anna"); break;
        case AIK: next.aik[0] = 9; break;
        case RESET: next.flags = DEVLIST_RESET; break;
        case SIG_AIK: proof.sig_aik_valid = false; break;
        case SIG_DSK: proof.sig_dsk_valid = false; break;
        case DSK_FALLS: next.dsk_ver = 0; break;
        case DSK_SWAPPED: next.dsk[0] = 9; break;
        case VANISHED:
            next.removed_count = 0;
            next.removed = SLICE_EMPTY;
            break;
        case NOT_THERE: next.removed = slice_make(old, 16); break;
        case BOTH: next.removed = slice_make(TABLET, 16); break;
        case RETURNED:
            next = second();
            next.n = 3;
            memcpy(next.devices[1].id, old, 16);
            next.devices[1].added_n = 3;
            next.removed = slice_make(TABLET, 16);
            next.removed_count = 1;
            break;
        case ADDED_WRONG: next.devices[0].added_n = 3; break;
        case KEY_CHANGED: next.devices[0].sigpub[0] = 9; break;
        case REMOVED_TWICE:
            next.removed = slice_make(twice, 32);
            next.removed_count = 2;
            break;
        case AFTER_CLOSE: prev.device_count = 0; break;
        }
        assert_int_equal(devlist_check_next(&prev, &next, &proof), cases[i].fault);
    }
}

static void firsts(void **state)
{
    struct devlist_proof proof = {.sig_aik_valid = true, .sig_dsk_valid = true};
    struct devlist list = first();
    (void)state;
    assert_int_equal(devlist_check_next(NULL, &list, &proof), DEVLIST_OK);
    list.previous[3] = 1;
    assert_int_equal(devlist_check_next(NULL, &list, &proof), DEVLIST_FAULT_CHAIN);
    list = first();
    list.device_count = 0;
    assert_int_equal(devlist_check_next(NULL, &list, &proof), DEVLIST_FAULT_CHAIN);
    list = second();
    assert_int_equal(devlist_check_next(NULL, &list, &proof), DEVLIST_FAULT_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_by_hand),
        cmocka_unit_test(messages),
        cmocka_unit_test(follows),
        cmocka_unit_test(firsts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
