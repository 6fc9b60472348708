/* SPDX-License-Identifier: Apache-2.0
 * The boundary of crates/e2ee from C: its header compiles as C17, every code that exists is reached
 * by a host that errs or is lied to, and what it makes is what src/wire reads. The codes of groups
 * (POLICY, EPOCH, REJOIN, TIME) are reached in the crate; INTERNAL is a bug, no host reaches it. */
#include <parley_e2ee.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <sodium.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/devlist.h"
#include "wire/envelope.h"

static const uint8_t CFG[] = {1, 2, 0, 0x4e, 0, 1}, ANN[16] = {0xa1}, BOB[16] = {0xb0},
                     PHONE[16] = {0xd1}, MID[16] = {0x31};
static bool no_random; /* what the host answers; this process is the host */

int32_t parley_random(uint8_t *p, size_t n)
{
    if (no_random)
        return -1;
    randombytes_buf(p, n);
    return 0;
}

/* One account on one device, and what a host keeps of it. */
struct host {
    pe_ctx *ctx;
    uint8_t rk[32], sigpub[32];
    pe_buf list, state, vault;
};

static void store(pe_ctx *ctx)
{
    pe_buf rows = {0};
    assert_int_equal(pe_delta_take(ctx, &rows), PE_OK);
    pe_buf_free(&rows);
}

/* A list of one item. */
static struct slice list_of(const pe_buf *item, uint8_t out[1024])
{
    struct buf buf = buf_over(out, 1024);
    buf_u32be(&buf, (uint32_t)item->n);
    buf_put(&buf, slice_make(item->p, item->n));
    assert_false(buf.overflow);
    return buf_slice(&buf);
}

static struct slice change_of(const uint8_t sigpub[32], uint8_t device, uint8_t out[256])
{
    struct buf buf = buf_over(out, 256);
    uint8_t id[16] = {device};
    buf_u8(&buf, 0);
    buf_u64be(&buf, 1700000000);
    buf_u8(&buf, 3);
    buf_text(&buf, "ann");
    buf_u8(&buf, 1);
    buf_put(&buf, slice_make(id, 16));
    buf_put(&buf, slice_make(sigpub, 32));
    buf_u8(&buf, 7);
    buf_u8(&buf, 2);
    buf_text(&buf, "xy");
    buf_u8(&buf, 0);
    return buf_slice(&buf);
}

static void verified(const pe_buf *list, const pe_buf *pinned, pe_buf *state)
{
    uint8_t memory[1024];
    struct slice chain = list_of(list, memory);
    assert_int_equal(pe_devlist_verify(chain.at, chain.bytes, pinned->p, pinned->n, state), PE_OK);
}

static void begin(struct host *host, const uint8_t user[16])
{
    pe_buf out = {0}, none = {0};
    uint8_t memory[256];
    memset(host, 0, sizeof *host);
    assert_int_equal(pe_abi_version(), PE_ABI_VERSION);
    assert_int_equal(pe_open(CFG, sizeof CFG, &host->ctx), PE_OK);
    pe_now(1700000000);
    assert_int_equal(pe_account_create(host->ctx, user, &out), PE_OK);
    assert_int_equal(out.n, 32);
    memcpy(host->rk, out.p, 32);
    pe_buf_free(&out);
    store(host->ctx);
    assert_int_equal(pe_vault_seal(host->ctx, host->rk, 32, 1, &host->vault), PE_OK);
    assert_int_equal(pe_device_create(host->ctx, PHONE, 7, &out), PE_OK);
    memcpy(host->sigpub, out.p, 32);
    pe_buf_free(&out);
    store(host->ctx);
    struct slice change = change_of(host->sigpub, PHONE[0], memory);
    assert_int_equal(pe_devlist_sign(host->ctx, NULL, 0, change.at, change.bytes, &host->list),
                     PE_OK);
    verified(&host->list, &none, &host->state);
}

static void end(struct host *host)
{
    pe_buf_free(&host->list);
    pe_buf_free(&host->state);
    pe_buf_free(&host->vault);
    pe_close(host->ctx);
}

/* The code, nothing in the output, and a sentence about it. */
static void refuses(int code, pe_ctx *ctx, int expected, const pe_buf *out)
{
    pe_buf text = {0};
    assert_int_equal(code, expected);
    assert_null(out->p);
    assert_int_equal(out->n, 0);
    assert_int_equal(pe_last_error(ctx, &text), PE_OK);
    assert_true(text.n > 20);
    pe_buf_free(&text);
}

static void mistakes_of_the_host(void **state)
{
    (void)state;
    struct host ann;
    pe_ctx *ctx = NULL;
    pe_buf out = {0};
    static const uint8_t unknown[] = {1, 1, 0, 2};
    begin(&ann, ANN);
    assert_int_equal(pe_open(unknown, sizeof unknown, &ctx), PE_E_SUITE);
    assert_int_equal(pe_open(unknown, 3, &ctx), PE_E_FORMAT);
    assert_null(ctx);
    refuses(pe_account_create(ann.ctx, ANN, &out), ann.ctx, PE_E_STATE, &out);
    refuses(pe_vault_seal(ann.ctx, ann.rk, 32, 2, &out), ann.ctx, PE_E_STATE, &out);
    refuses(pe_rotate(ann.ctx, ann.rk, 32, &out), ann.ctx, PE_E_STATE, &out);
    refuses(pe_rotate(ann.ctx, ann.rk, 31, &out), ann.ctx, PE_E_ARG, &out);
    refuses(pe_sign(ann.ctx, PE_SIGN_SESSION, ANN, 16, &out), ann.ctx, PE_E_ARG, &out);
    refuses(pe_restore(ann.ctx, ANN, 16), ann.ctx, PE_E_STATE, &out);
    assert_int_equal(pe_account_create(NULL, ANN, &out), PE_E_ARG);
    assert_int_equal(pe_rk_text(NULL, 32, &out), PE_E_ARG);
    assert_int_equal(pe_rk_parse(ANN, 16, &out), PE_E_FORMAT);
    assert_string_equal(pe_panic_place(), "");
    end(&ann);
}

static void a_host_without_randomness(void **state)
{
    (void)state;
    struct host ann;
    pe_ctx *ctx = NULL;
    pe_buf out = {0};
    uint8_t header[92] = {1};
    begin(&ann, ANN);
    header[19] = 1; /* gen */
    memcpy(header + 28, PHONE, 16);
    header[51] = 1; /* sctr */
    memcpy(header + 76, MID, 16);
    no_random = true;
    assert_int_equal(pe_open(CFG, sizeof CFG, &ctx), PE_E_RANDOM);
    refuses(pe_msg_seal(ann.ctx, ann.rk, 32, header, 92, MID, 16, &out), ann.ctx, PE_E_RANDOM,
            &out);
    no_random = false;
    assert_int_equal(pe_msg_seal(ann.ctx, ann.rk, 32, header, 92, MID, 16, &out), PE_OK);
    pe_buf_free(&out);
    end(&ann);
}

static void lies_of_a_server(void **state)
{
    (void)state;
    struct host ann, bob;
    uint8_t memory[1024], other[256];
    pe_buf out = {0}, second = {0}, fork = {0}, newer = {0};
    begin(&ann, ANN);
    begin(&bob, BOB);
    /* The vault: of another account, changed, cut, under another key. */
    refuses(pe_account_recover(ann.ctx, BOB, bob.rk, 32, bob.vault.p, bob.vault.n), ann.ctx,
            PE_E_IDENTITY, &out);
    refuses(pe_account_recover(ann.ctx, ANN, bob.rk, 32, ann.vault.p, ann.vault.n), ann.ctx,
            PE_E_CRYPTO, &out);
    refuses(pe_account_recover(ann.ctx, ANN, ann.rk, 32, ann.vault.p, 40), ann.ctx, PE_E_FORMAT,
            &out);
    ann.vault.p[60] ^= 1;
    refuses(pe_account_recover(ann.ctx, ANN, ann.rk, 32, ann.vault.p, ann.vault.n), ann.ctx,
            PE_E_CRYPTO, &out);
    /* Lists: two with one number, then an older one. */
    struct slice change = change_of(bob.sigpub, 0xd2, other);
    assert_int_equal(
        pe_devlist_sign(ann.ctx, ann.state.p, ann.state.n, change.at, change.bytes, &second),
        PE_OK);
    verified(&second, &ann.state, &newer);
    other[8] ^= 1; /* a moment later */
    assert_int_equal(
        pe_devlist_sign(ann.ctx, ann.state.p, ann.state.n, change.at, change.bytes, &fork), PE_OK);
    const pe_buf *bad[] = {&fork, &ann.list, &bob.list};
    for (size_t i = 0; i < 3; i++) {
        struct slice chain = list_of(bad[i], memory);
        assert_int_equal(pe_devlist_verify(chain.at, chain.bytes, newer.p, newer.n, &out),
                         PE_E_DEVLIST);
    }
    assert_int_equal(pe_devlist_verify(memory, 7, newer.p, newer.n, &out), PE_E_FORMAT);
    static uint8_t zeros[900];
    pe_buf no_list = {zeros, sizeof zeros};
    struct slice chain = list_of(&no_list, memory);
    assert_int_equal(pe_devlist_verify(chain.at, chain.bytes, NULL, 0, &out), PE_E_FORMAT);
    static uint8_t envelope[65537];
    assert_int_equal(pe_msg_peek(envelope, sizeof envelope, &out), PE_E_LIMIT);
    pe_buf_free(&second);
    pe_buf_free(&fork);
    pe_buf_free(&newer);
    end(&ann);
    end(&bob);
}

/* What the crate makes, wire reads; what wire writes and libsodium signs, the crate takes. */
static void lists_of_both(void **state)
{
    (void)state;
    struct host ann;
    struct devlist list;
    uint8_t message[1024];
    pe_buf sig = {0}, facts = {0};
    begin(&ann, ANN);
    assert_int_equal(devlist_read(slice_make(ann.list.p, ann.list.n), &list), STATUS_OK);
    assert_memory_equal(list.devices[0].sigpub, ann.sigpub, 32);
    assert_true(slice_equal(list.username, SLICE_LITERAL("ann")));
    struct devlist_proof proof = {.sig_aik_valid = true, .sig_dsk_valid = true};
    assert_int_equal(devlist_check_next(NULL, &list, &proof), DEVLIST_OK);
    struct buf buf = buf_over(message, sizeof message);
    devlist_dsk_message(list.unsigned_bytes, &buf);
    assert_int_equal(crypto_sign_verify_detached(list.sig_dsk, message, buf.bytes, list.dsk), 0);
    /* The same list, written by wire and signed through the port's way in. */
    buf = buf_over(message, sizeof message);
    uint8_t unsigned_bytes[1024];
    struct buf written = buf_over(unsigned_bytes, sizeof unsigned_bytes);
    devlist_write_unsigned(&list, &written);
    devlist_dsk_message(buf_slice(&written), &buf);
    assert_int_equal(pe_sign(ann.ctx, PE_SIGN_DEVLIST, message, buf.bytes, &sig), PE_OK);
    assert_memory_equal(sig.p, list.sig_dsk, 64);
    assert_int_equal(pe_facts(ann.ctx, &facts), PE_OK);
    assert_int_equal(facts.n, PE_FACTS_BYTES);
    assert_memory_equal(facts.p + 2, ANN, 16);
    assert_memory_equal(facts.p + 18, list.aik, 32);
    assert_memory_equal(facts.p + 167, ann.sigpub, 32);
    pe_buf_free(&sig);
    pe_buf_free(&facts);
    end(&ann);
}

static void messages_of_both(void **state)
{
    (void)state;
    struct host ann;
    struct envelope envelope;
    uint8_t header[92], key[32] = {5};
    pe_buf env = {0}, out = {0};
    begin(&ann, ANN);
    struct envelope_header wanted = {.chat = {0xc4}, .gen = 1, .mls_epoch = 7, .sctr = 1};
    memcpy(wanted.device, PHONE, 16);
    struct buf buf = buf_over(header, sizeof header);
    envelope_header_write(&wanted, &buf);
    buf_put(&buf, slice_make(MID, 16));
    assert_int_equal(pe_msg_seal(ann.ctx, key, 32, header, 92, (const uint8_t *)"hello", 5, &env),
                     PE_OK);
    assert_int_equal(envelope_read(slice_make(env.p, env.n), &envelope), STATUS_OK);
    assert_int_equal(envelope.header.mls_epoch, 7);
    assert_int_equal(envelope.padded.bytes, envelope_padded_bytes(5));
    assert_int_equal(pe_msg_open(key, 32, ANN, MID, ann.sigpub, 32, env.p, env.n, &out), PE_OK);
    assert_int_equal(out.n, 5);
    assert_memory_equal(out.p, "hello", 5);
    pe_buf_free(&out);
    assert_int_equal(pe_msg_peek(env.p, env.n, &out), PE_OK);
    assert_memory_equal(out.p, env.p, 76);
    pe_buf_free(&out);
    env.p[env.n - 1] ^= 1;
    assert_int_equal(pe_msg_open(key, 32, ANN, MID, ann.sigpub, 32, env.p, env.n, &out),
                     PE_E_CRYPTO);
    assert_null(out.p);
    pe_buf_free(&env);
    end(&ann);
}

/* A second device by login and recovery key, as its person types it. */
static void recovery(void **state)
{
    (void)state;
    struct host ann;
    pe_ctx *ctx = NULL;
    pe_buf text = {0}, rk = {0}, id = {0}, rotated = {0};
    begin(&ann, ANN);
    assert_int_equal(pe_rk_text(ann.rk, 32, &text), PE_OK);
    assert_int_equal(text.n, 69);
    assert_int_equal(pe_rk_parse(text.p, text.n, &rk), PE_OK);
    assert_memory_equal(rk.p, ann.rk, 32);
    assert_int_equal(pe_rk_id(rk.p, rk.n, &id), PE_OK);
    assert_memory_equal(id.p, ann.vault.p + 5, 8);
    assert_int_equal(pe_open(CFG, sizeof CFG, &ctx), PE_OK);
    assert_int_equal(pe_account_recover(ctx, ANN, rk.p, rk.n, ann.vault.p, ann.vault.n), PE_OK);
    assert_int_equal(pe_rotate(ctx, rk.p, rk.n, &rotated), PE_E_STATE); /* not stored yet */
    store(ctx);
    assert_int_equal(pe_rotate(ctx, rk.p, rk.n, &rotated), PE_OK);
    store(ctx);
    uint32_t vault = (uint32_t)rotated.p[2] << 8 | rotated.p[3];
    assert_int_equal(pe_account_recover(ann.ctx, ANN, rk.p, rk.n, rotated.p + 4, vault), PE_OK);
    pe_buf_free(&text);
    pe_buf_free(&rk);
    pe_buf_free(&id);
    pe_buf_free(&rotated);
    pe_close(ctx);
    end(&ann);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_of_the_host), cmocka_unit_test(a_host_without_randomness),
        cmocka_unit_test(lies_of_a_server),     cmocka_unit_test(lists_of_both),
        cmocka_unit_test(messages_of_both),     cmocka_unit_test(recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
