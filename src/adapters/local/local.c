/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/local/local.h"

#include "base/assert.h"

static struct local_rpc *local_of(const struct rpc *rpc)
{
    return (struct local_rpc *)(uintptr_t)rpc;
}

static enum status local_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    struct local_rpc *local = local_of(rpc);
    if (peer->gateway != 0 && peer->gateway != local->instance)
        return STATUS_BUSY; /* a gateway that is gone: of an earlier run */
    if (bytes.bytes == 0 || bytes.bytes > RPC_BYTES_MAX)
        return STATUS_TOO_LARGE;
    struct slice copy = arena_copy(&local->arenas[local->filling], bytes);
    if (copy.bytes == 0)
        return STATUS_BUSY;
    return queue_put(&local->messages, &copy);
}

static size_t local_poll(struct rpc *rpc, struct rpc_event *out, size_t max)
{
    struct local_rpc *local = local_of(rpc);
    struct slice bytes;
    size_t count = 0;
    while (count < max && queue_take(&local->messages, &bytes))
        out[count++] = (struct rpc_event){.kind = RPC_MESSAGE, .bytes = bytes};
    if (local->messages.used == 0) { /* what was handed out stands until the next poll */
        local->filling = !local->filling;
        arena_reset(&local->arenas[local->filling]);
    }
    return count;
}

static uint64_t local_gateway(const struct rpc *rpc)
{
    return local_of(rpc)->instance;
}

static uint32_t local_shard(const struct rpc *rpc)
{
    (void)rpc;
    return 0;
}

enum status local_rpc_open(struct local_rpc *local, uint64_t instance)
{
    static const struct rpc_vtable table = {
        .send = local_send, .poll = local_poll, .gateway = local_gateway, .shard = local_shard};
    assert(instance != 0);
    *local = (struct local_rpc){.port.vtable = &table, .instance = instance};
    arena_init(&local->arenas[0], LOCAL_BYTES_MAX);
    arena_init(&local->arenas[1], LOCAL_BYTES_MAX);
    return queue_open(&local->messages, LOCAL_MESSAGES, sizeof(struct slice));
}

void local_rpc_close(struct local_rpc *local)
{
    queue_close(&local->messages);
    arena_deinit(&local->arenas[0]);
    arena_deinit(&local->arenas[1]);
    *local = (struct local_rpc){0};
}
