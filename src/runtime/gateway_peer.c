/* SPDX-License-Identifier: Apache-2.0
 * gateway_peer.c: who is at the other end of a connection, how many that one has, and which host is
 * meant. A proxy that is trusted has no share of its own: those count whom it speaks for. Addresses
 * of IPv6 count by their /64, which is what a single customer gets. */
#include <string.h>

#include "base/assert.h"
#include "runtime/gateway_conn.h"
#include "wire/origin.h"
#include "wire/proxy.h"

static void address_key(const uint8_t peer[ID_BYTES], uint8_t key[PEER_KEY_BYTES])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool four = memcmp(peer, mapped, sizeof mapped) == 0;
    memcpy(key, four ? peer + ID_BYTES - PEER_KEY_BYTES : peer, PEER_KEY_BYTES);
}

/* False: its address has its share. */
static bool count(struct gateway *gateway, struct gateway_conn *conn)
{
    uint8_t key[PEER_KEY_BYTES];
    uint64_t others = 0;
    if (gateway->options.address_max == 0 || conn->counted ||
        forwarded_is_proxy(&gateway->options.forwarded, conn->peer))
        return true;
    address_key(conn->peer, key);
    (void)map_find(&gateway->addresses, key, &others);
    if (others >= gateway->options.address_max) {
        gateway->counts.refused_address++;
        return false;
    }
    conn->counted = map_put(&gateway->addresses, key, others + 1) == STATUS_OK;
    gateway->counts.busy += !conn->counted; /* no memory */
    return conn->counted;
}

void peer_drop(struct gateway *gateway, struct gateway_conn *conn)
{
    uint8_t key[PEER_KEY_BYTES];
    uint64_t all = 0;
    if (!conn->counted)
        return;
    conn->counted = false;
    address_key(conn->peer, key);
    bool found = map_remove(&gateway->addresses, key, &all);
    assert(found && all > 0);
    enum status put = all > 1 ? map_put(&gateway->addresses, key, all - 1) : STATUS_OK;
    assert(put == STATUS_OK); /* its place was just left */
}

bool peer_accepted(struct gateway *gateway, struct gateway_conn *conn)
{
    const struct forwarded *forwarded = &gateway->options.forwarded;
    bool proxy = forwarded_is_proxy(forwarded, conn->peer);
    if (forwarded->only && !proxy) {
        gateway->counts.refused_peer++;
        return false;
    }
    conn->header_awaited = proxy && forwarded->header;
    return count(gateway, conn);
}

bool peer_header(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                 struct net_event *event)
{
    struct slice in = slice_make(event->bytes, event->bytes_count);
    struct proxy_peer said;
    enum status status = proxy_read(&in, &said);
    if (status == STATUS_AGAIN)
        return false;
    gateway->counts.refused_peer += status != STATUS_OK;
    if (said.known)
        memcpy(conn->peer, said.source, sizeof conn->peer);
    if (status != STATUS_OK || !count(gateway, conn)) {
        conn->closed = true;
        conn_touch(gateway, handle, conn);
        return false;
    }
    size_t used = event->bytes_count - in.bytes;
    conn->header_awaited = false;
    event->bytes += used;
    event->bytes_count -= used;
    gateway->ports.net->vtable->consume(gateway->ports.net, conn->net, used);
    return event->bytes_count > 0;
}

uint16_t peer_requests(struct gateway *gateway, struct gateway_conn *conn,
                       const struct http1_head *head)
{
    const struct gateway_options *options = &gateway->options;
    if (!host_allowed(head->host, options->hosts, options->hosts_count)) {
        gateway->counts.refused_host++;
        return 421;
    }
    if (!conn->counted)
        forwarded_peer(&options->forwarded, head, conn->peer);
    return count(gateway, conn) ? 0 : 429;
}
