/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a header of the PROXY protocol: the verdict is that of the shortest prefix which has
 * one, and what is taken says the same when it is written again in version 2. */
#include <string.h>

#include "base/assert.h"
#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void written_again(const struct proxy_peer *peer)
{
    uint8_t header[PROXY_FIXED_BYTES + 36] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24";
    struct proxy_peer again;
    memcpy(header + 16, peer->source, 16);
    memcpy(header + 32, peer->destination, 16);
    header[48] = (uint8_t)(peer->source_port >> 8);
    header[49] = (uint8_t)peer->source_port;
    header[50] = (uint8_t)(peer->destination_port >> 8);
    header[51] = (uint8_t)peer->destination_port;
    struct slice in = SLICE_OF(header);
    assert(proxy_read(&in, &again) == STATUS_OK && in.bytes == 0);
    assert(memcmp(&again, peer, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    struct slice whole = slice_make(at, bytes), in = whole;
    struct proxy_peer peer, early;
    enum status status = proxy_read(&in, &peer), before = STATUS_AGAIN;
    size_t used = bytes - in.bytes;
    assert(status == STATUS_OK || status == STATUS_AGAIN || status == STATUS_INVALID);
    assert(status == STATUS_OK ? used > 0 && used <= PROXY_BYTES_MAX : used == 0);
    assert(status != STATUS_AGAIN || bytes < PROXY_BYTES_MAX);
    struct slice prefix = SLICE_EMPTY;
    for (size_t i = 0; i <= bytes && i <= PROXY_BYTES_MAX && before == STATUS_AGAIN; i++) {
        prefix = slice_sub(whole, 0, i);
        before = proxy_read(&prefix, &early);
    }
    assert(before == status);
    assert(status != STATUS_OK || (prefix.bytes == 0 && memcmp(&early, &peer, sizeof peer) == 0));
    if (peer.known)
        written_again(&peer);
    return 0;
}
