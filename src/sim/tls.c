/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/tls.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define HEAD_BYTES 3u

static const char hello[4] = {'H', 'E', 'L', 'O'};

struct sim_session {
    struct tls_session base;
    bool said; /* our HELO is out */
    uint8_t head[4];
    uint8_t head_bytes;
    uint8_t record[SIM_TLS_RECORD_BYTES];
    uint32_t got, given, bytes; /* of the record: came, went to `plain`, all */
};

static void fail(struct sim_session *session, const char *why)
{
    session->base.state = TLS_FAILED;
    session->base.trouble = why;
}

static void put(struct sim_session *session, struct buf *out, const void *at, size_t bytes)
{
    if (bytes > out->capacity - out->bytes)
        fail(session, "no room for an answer");
    else
        buf_put(out, slice_make(at, bytes));
}

/* Move up to `want` bytes in all to `to`; true when they are there. */
static bool gather(struct slice *in, uint8_t *to, uint32_t have, uint32_t want, uint32_t *now)
{
    uint32_t count = in->bytes < want - have ? (uint32_t)in->bytes : want - have;
    if (count > 0)
        memcpy(to + have, in->at, count);
    *in = slice_sub(*in, count, in->bytes);
    *now = have + count;
    return *now == want;
}

static bool head_take(struct sim_session *session, struct slice *in, uint32_t want)
{
    uint32_t now;
    bool whole = gather(in, session->head, session->head_bytes, want, &now);
    session->head_bytes = whole ? 0 : (uint8_t)now;
    return whole;
}

static void handshake(struct sim_tls *sim, struct sim_session *session, struct slice *in,
                      struct buf *out)
{
    if (sim->client && !session->said)
        put(session, out, hello, sizeof hello);
    session->said = session->said || sim->client;
    if (session->base.state != TLS_HANDSHAKE || !head_take(session, in, sizeof hello))
        return;
    if (memcmp(session->head, hello, sizeof hello) != 0) {
        fail(session, "it does not speak TLS there (https)");
        return;
    }
    session->base.state = TLS_OPEN;
    if (!sim->client)
        put(session, out, hello, sizeof hello);
}

/* Begin the next record; false: more bytes are needed, or it was the end. */
static bool record_begin(struct sim_session *session, struct slice *in)
{
    if (!head_take(session, in, HEAD_BYTES))
        return false;
    uint32_t bytes = (uint32_t)(session->head[1] << 8 | session->head[2]);
    session->got = session->given = 0;
    session->bytes = bytes;
    if (session->head[0] == 'e' && bytes == 0)
        session->base.state = TLS_ENDED;
    else if (session->head[0] != 'd' || bytes == 0 || bytes > SIM_TLS_RECORD_BYTES)
        fail(session, "the encryption broke (TLS)");
    return session->base.state == TLS_OPEN;
}

static void sim_feed(struct tls *tls, struct tls_session *base, struct slice *in, struct buf *plain,
                     struct buf *out)
{
    struct sim_session *session = (struct sim_session *)base;
    if (base->state == TLS_HANDSHAKE)
        handshake((struct sim_tls *)tls, session, in, out);
    while (base->state == TLS_OPEN && plain->bytes < plain->capacity) {
        if (session->bytes == 0 && !record_begin(session, in))
            return;
        if (session->got < session->bytes &&
            !gather(in, session->record, session->got, session->bytes, &session->got))
            return; /* a record is given when it is whole */
        size_t room = plain->capacity - plain->bytes;
        struct slice left =
            slice_make(session->record + session->given, session->bytes - session->given);
        left = slice_sub(left, 0, room);
        buf_put(plain, left);
        session->given += (uint32_t)left.bytes;
        if (session->given == session->bytes)
            session->bytes = 0;
    }
}

static void sim_seal(struct tls *tls, struct tls_session *base, struct slice plain, struct buf *out)
{
    struct sim_session *session = (struct sim_session *)base;
    (void)tls;
    assert(base->state == TLS_OPEN || base->state == TLS_ENDED);
    while (plain.bytes > 0 && base->state != TLS_FAILED) {
        struct slice part = slice_sub(plain, 0, SIM_TLS_RECORD_BYTES);
        uint8_t head[HEAD_BYTES] = {'d', (uint8_t)(part.bytes >> 8), (uint8_t)part.bytes};
        put(session, out, head, sizeof head);
        put(session, out, part.at, part.bytes);
        plain = slice_sub(plain, part.bytes, plain.bytes);
    }
}

static void sim_end(struct tls *tls, struct tls_session *base, struct buf *out)
{
    static const uint8_t head[HEAD_BYTES] = {'e', 0, 0};
    (void)tls;
    if (base->state == TLS_OPEN || base->state == TLS_ENDED)
        put((struct sim_session *)base, out, head, sizeof head);
}

static struct tls_session *sim_open(struct tls *tls)
{
    struct sim_session *session = memory_alloc(sizeof *session);
    (void)tls;
    if (session == NULL)
        return NULL;
    *session = (struct sim_session){.base.state = TLS_HANDSHAKE};
    return &session->base;
}

static void sim_close(struct tls *tls, struct tls_session *base)
{
    (void)tls;
    memory_free(base);
}

static const struct tls_vtable sim_table = {sim_open, sim_close, sim_feed, sim_seal, sim_end};

void sim_tls_init(struct sim_tls *sim, bool client)
{
    *sim = (struct sim_tls){.tls.vtable = &sim_table, .client = client};
}
