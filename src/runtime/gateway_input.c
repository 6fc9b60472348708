/* SPDX-License-Identifier: Apache-2.0
 * gateway_input.c: what a connection said and is no whole head or frame yet. A stranger's is kept
 * in as much memory as it needs, not in a buffer of the net port's, and so is what TLS gave; of who
 * is signed in, it stays where it lies and is never copied. */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "runtime/gateway_conn.h"

void input_take(struct gateway_conn *conn, struct buf *out)
{
    buf_put(out, slice_make(conn->kept, conn->kept_bytes));
    memory_free(conn->kept);
    conn->kept = NULL;
    conn->kept_bytes = 0;
    assert(!out->overflow); /* no more is kept than GATEWAY_RECEIVE_BYTES */
}

void input_keep(struct gateway_conn *conn)
{
    size_t bytes = conn->in_bytes;
    uint8_t *kept = bytes > 0 ? memory_alloc(bytes) : NULL;
    assert(conn->kept == NULL);
    conn->in_bytes = 0;
    if (bytes == 0)
        return;
    if (kept == NULL) {
        conn->closed = true;
        return;
    }
    memcpy(kept, conn->in, bytes);
    conn->kept = kept;
    conn->kept_bytes = (uint32_t)bytes;
}

static bool is_stranger(const struct gateway_conn *conn)
{
    return conn->phase == CONN_HTTP ||
           (conn->phase == CONN_WEBSOCKET && conn->session.state <= SESSION_WELCOMED);
}

static void consume(struct gateway *gateway, const struct gateway_conn *conn, size_t bytes)
{
    gateway->ports.net->vtable->consume(gateway->ports.net, conn->net, bytes);
}

/* What was kept, and behind it as much of what came as there is room for. */
static void feed_behind(struct gateway *gateway, struct slab_handle handle,
                        struct gateway_conn *conn)
{
    struct buf all = buf_over(gateway->plain, GATEWAY_RECEIVE_BYTES);
    input_take(conn, &all);
    size_t room = all.capacity - all.bytes;
    size_t bytes = conn->in_bytes < room ? conn->in_bytes : room;
    uint8_t *rest = bytes > 0 ? conn->in + bytes : conn->in;
    size_t rest_bytes = conn->in_bytes - bytes;
    if (bytes > 0)
        buf_put(&all, slice_make(conn->in, bytes));
    consume(gateway, conn, bytes);
    conn->in = all.at;
    conn->in_bytes = all.bytes;
    conn->copied = true;
    conn_feed(gateway, handle, conn);
    conn->copied = false;
    input_keep(conn);
    conn->in = rest;
    conn->in_bytes = rest_bytes;
}

void input_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    size_t before, left = conn->kept_bytes + conn->in_bytes;
    do {
        before = left;
        if (conn->kept_bytes > 0)
            feed_behind(gateway, handle, conn);
        else
            conn_feed(gateway, handle, conn);
        left = conn->kept_bytes + conn->in_bytes;
    } while (conn->in_bytes > 0 && left < before && !conn->held_back && !conn->closed);
    size_t bytes = conn->in_bytes;
    if (bytes == 0 || conn->kept_bytes > 0 || conn->held_back || conn->closed || !is_stranger(conn))
        return;
    input_keep(conn);
    consume(gateway, conn, bytes);
}

void input_resume(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    conn->resumes = false;
    if (conn->tls && (conn->tls->stuck || conn->held_back))
        tls_feed(gateway, handle, conn);
    else if (conn->held_back)
        input_feed(gateway, handle, conn);
}
