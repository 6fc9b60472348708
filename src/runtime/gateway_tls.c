/* SPDX-License-Identifier: Apache-2.0
 * gateway_tls.c: TLS between the net port and the bytes of a connection.
 *
 *   net ─wire─▶ tls->feed ─plain─▶ conn_feed        conn->output ─▶ tls->seal ─▶ sealed ─▶ net
 *
 * Plain bytes lie in one space of the gateway's while they are fed; a connection keeps its own copy
 * only of what is no whole head or frame yet. What is sealed is what flies: a portion of plain
 * output counts as waiting until the last sealed byte of it is gone. */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "runtime/gateway_conn.h"

#define OUT_BYTES TLS_SEALED_BYTES_MAX(OUTPUT_PORTION_MAX)

_Static_assert(OUT_BYTES >= TLS_OUT_BYTES_MIN, "a feed's answer has room");

static struct tls *port(const struct gateway *gateway)
{
    return gateway->options.tls;
}

enum status tls_open(struct gateway *gateway)
{
    gateway->tls_out = memory_alloc(OUT_BYTES);
    if (gateway->tls_out == NULL)
        return STATUS_BUSY;
    return queue_open(&gateway->handshakes, gateway->options.connections_max,
                      sizeof(struct slab_handle));
}

void tls_close(struct gateway *gateway)
{
    queue_close(&gateway->handshakes);
    memory_free(gateway->tls_out);
}

bool tls_begin(struct gateway *gateway, struct gateway_conn *conn)
{
    struct gateway_tls *tls = memory_alloc(sizeof *tls);
    struct tls_session *session = tls != NULL ? port(gateway)->vtable->open(port(gateway)) : NULL;
    if (session == NULL) {
        memory_free(tls);
        return false;
    }
    *tls = (struct gateway_tls){.session = session};
    conn->tls = tls;
    conn->copied = true;
    return true;
}

void tls_drop(struct gateway *gateway, struct gateway_conn *conn)
{
    struct gateway_tls *tls = conn->tls;
    gateway->counts.tls_failed += tls->session->state == TLS_HANDSHAKE; /* gone, or too slow */
    port(gateway)->vtable->close(port(gateway), tls->session);
    output_free(&tls->sealed);
    memory_free(tls);
    conn->tls = NULL;
}

/* ---- in ---- */

static struct buf out_space(const struct gateway *gateway)
{
    return buf_over(gateway->tls_out, OUT_BYTES);
}

static void out_put(struct gateway_conn *conn, const struct buf *out)
{
    if (output_put(&conn->tls->sealed, buf_slice(out)) != STATUS_OK)
        conn->closed = true;
}

static void judge(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                  enum tls_state before)
{
    const struct tls_session *session = conn->tls->session;
    if (before == TLS_HANDSHAKE && (session->state == TLS_OPEN || session->state == TLS_ENDED)) {
        gateway->counts.tls_handshakes++;
        gateway->counts.tls_resumed += session->resumed;
    }
    if (session->state == TLS_FAILED) {
        gateway->counts.tls_failed++;
        output_free(&conn->output); /* nobody could read it; the alert may still go */
    }
    if ((session->state == TLS_FAILED || session->state == TLS_ENDED) && conn->phase != CONN_LINGER)
        conn_linger(gateway, handle, conn);
}

/* One feed of the session and of what comes out of it; false: there is nothing more to do now. */
static bool feed_once(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                      struct slice *in)
{
    struct gateway_tls *tls = conn->tls;
    struct buf plain = buf_over(gateway->plain, GATEWAY_RECEIVE_BYTES);
    struct buf out = out_space(gateway);
    enum tls_state before = tls->session->state;
    input_take(conn, &plain);
    size_t plain_before = plain.bytes, in_before = in->bytes;
    port(gateway)->vtable->feed(port(gateway), tls->session, in, &plain, &out);
    bool any = plain.bytes > plain_before || in->bytes < in_before;
    out_put(conn, &out);
    conn->in = plain.at;
    conn->in_bytes = plain.bytes;
    if (tls->session->state != TLS_FAILED && conn->in_bytes > 0 && !conn->closed)
        conn_feed(gateway, handle, conn);
    input_keep(conn);
    conn->in = NULL;
    conn->in_bytes = 0;
    judge(gateway, handle, conn, before);
    return any && tls->session->state == TLS_OPEN && !conn->closed && !conn->held_back;
}

void tls_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    struct gateway_tls *tls = conn->tls;
    struct slice in = slice_make(tls->wire, tls->wire_bytes);
    if (tls->session->state == TLS_FAILED || tls->session->state == TLS_ENDED)
        in.bytes = 0; /* nothing is heard any more */
    else
        do
            tls->stuck = output_bytes(&tls->sealed) > GATEWAY_TLS_BACKLOG;
        while (!tls->stuck && feed_once(gateway, handle, conn, &in));
    size_t used = tls->wire_bytes - in.bytes;
    tls->wire += used;
    tls->wire_bytes -= used;
    conn_touch(gateway, handle, conn);
    gateway->ports.net->vtable->consume(gateway->ports.net, conn->net, used);
}

void tls_on_received(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                     const struct net_event *event)
{
    struct gateway_tls *tls = conn->tls;
    tls->wire = event->bytes;
    tls->wire_bytes = event->bytes_count;
    if (tls->session->state != TLS_HANDSHAKE) {
        if (!conn->held_back)
            tls_feed(gateway, handle, conn);
        return;
    }
    if (tls->waits)
        return;
    tls->waits = queue_put(&gateway->handshakes, &handle) == STATUS_OK;
    if (!tls->waits) { /* full of those that came and went: this one may come again */
        gateway->counts.busy++;
        conn->closed = true;
        conn_touch(gateway, handle, conn);
    }
}

void tls_handshakes(struct gateway *gateway)
{
    struct slab_handle handle;
    for (uint32_t left = GATEWAY_HANDSHAKES_TURN;
         left > 0 && queue_take(&gateway->handshakes, &handle);) {
        struct gateway_conn *conn = slab_find(&gateway->conns, handle);
        if (conn == NULL || conn->closed)
            continue;
        conn->tls->waits = false;
        tls_feed(gateway, handle, conn);
        left--;
    }
}

/* ---- out ---- */

struct slice tls_fly(struct gateway *gateway, struct gateway_conn *conn)
{
    struct gateway_tls *tls = conn->tls;
    enum tls_state state = tls->session->state;
    if (output_bytes(&tls->sealed) == 0 && (state == TLS_OPEN || state == TLS_ENDED)) {
        struct slice plain = output_fly(&conn->output);
        struct buf out = out_space(gateway);
        if (plain.bytes > 0)
            port(gateway)->vtable->seal(port(gateway), tls->session, plain, &out);
        if (tls->session->state == TLS_FAILED)
            conn->closed = true;
        out_put(conn, &out);
    }
    return conn->closed ? SLICE_EMPTY : output_fly(&tls->sealed);
}

void tls_landed(struct gateway_conn *conn)
{
    output_landed(&conn->tls->sealed);
    if (output_bytes(&conn->tls->sealed) == 0)
        output_landed(&conn->output);
}

bool tls_spent(struct gateway *gateway, struct gateway_conn *conn)
{
    struct gateway_tls *tls = conn->tls;
    if (!tls->told) {
        struct buf out = out_space(gateway);
        port(gateway)->vtable->end(port(gateway), tls->session, &out);
        out_put(conn, &out);
        tls->told = true;
    }
    return output_bytes(&tls->sealed) == 0;
}
