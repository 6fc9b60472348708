/* SPDX-License-Identifier: Apache-2.0
 * The contract of ports/crypto.h, built once with each adapter. Vectors: RFC 6234, 4231, 3174,
 * 8032. */
#include "ports/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void unhex(const char *text, uint8_t *out)
{
    for (size_t i = 0; text[i]; i++) {
        uint8_t digit = (uint8_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
}

static void hashes(void **state)
{
    struct slice parts[] = {SLICE_LITERAL("a"), SLICE_EMPTY, SLICE_LITERAL("bc")};
    struct slice text[] = {SLICE_LITERAL("what do ya "), SLICE_LITERAL("want for nothing?")};
    uint8_t got[32], wanted[32];
    (void)state;
    crypto_sha256(parts, 3, got);
    unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", wanted);
    assert_memory_equal(got, wanted, 32);
    crypto_sha256(NULL, 0, got);
    unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", wanted);
    assert_memory_equal(got, wanted, 32);
    crypto_hmac_sha256(SLICE_LITERAL("Jefe"), text, 2, got);
    unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", wanted);
    assert_memory_equal(got, wanted, 32);
    uint8_t key[131];
    memset(key, 0xaa, sizeof key);
    struct slice larger = SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First");
    crypto_hmac_sha256(slice_make(key, sizeof key), &larger, 1, got);
    unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", wanted);
    assert_memory_equal(got, wanted, 32);
    crypto_sha1(SLICE_LITERAL("abc"), got);
    unhex("a9993e364706816aba3e25717850c26c9cd0d89d", wanted);
    assert_memory_equal(got, wanted, 20);
}

static const char PUBLIC[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
static const char SIG[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
static const char ORDER[] = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

static void ed25519(void **state)
{
    uint8_t public_key[32], sig[64], message = 0x72;
    (void)state;
    unhex(PUBLIC, public_key);
    unhex(SIG, sig);
    assert_true(crypto_ed25519_verify(public_key, slice_make(&message, 1), sig));
    assert_false(crypto_ed25519_verify(public_key, SLICE_EMPTY, sig));
    for (size_t bit = 0; bit < 512; bit += 7) {
        sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(crypto_ed25519_verify(public_key, slice_make(&message, 1), sig));
        sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

/* S + L verifies in a lax implementation: a second signature of the same message. */
static void refuses_another_s(void **state)
{
    uint8_t public_key[32], sig[64], order[32], message = 0x72;
    unsigned carry = 0;
    (void)state;
    unhex(PUBLIC, public_key);
    unhex(SIG, sig);
    unhex(ORDER, order);
    for (size_t i = 0; i < 32; i++, carry >>= 8) {
        carry += (unsigned)sig[32 + i] + order[i];
        sig[32 + i] = (uint8_t)carry;
    }
    assert_false(crypto_ed25519_verify(public_key, slice_make(&message, 1), sig));
}

/* With A of small order and R = A or the neutral point, S = 0 satisfies the equation for some
 * messages. */
static void refuses_small_order(void **state)
{
    static const char *points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
    };
    (void)state;
    for (size_t a = 0; a < 8; a++)
        for (size_t r = 0; r < 8; r++)
            for (uint8_t m = 0; m < 16; m++) {
                uint8_t public_key[32], sig[64] = {0};
                unhex(points[a], public_key);
                unhex(points[r], sig);
                assert_false(crypto_ed25519_verify(public_key, slice_make(&m, 1), sig));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(ed25519),
        cmocka_unit_test(refuses_another_s),
        cmocka_unit_test(refuses_small_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
