/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/chaos.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

static uint64_t until(struct chaos *chaos)
{
    const struct chaos_options *options = &chaos->options;
    uint64_t delay = prng_range(&chaos->prng, options->delay_min_us, options->delay_max_us);
    if (prng_chance(&chaos->prng, options->slow)) {
        delay += prng_below(&chaos->prng, options->slow_max_us + 1);
        chaos->slows++;
    }
    return chaos->now_us + delay;
}

static struct chaos_pending *pending_new(struct chaos *chaos)
{
    if (chaos->pending_count == chaos->pending_room) {
        size_t room = chaos->pending_room == 0 ? 64 : chaos->pending_room * 2;
        struct chaos_pending *bigger = memory_array(room, sizeof *bigger);
        assert(bigger != NULL);
        if (chaos->pending_count > 0)
            memcpy(bigger, chaos->pending, chaos->pending_count * sizeof *bigger);
        memory_free(chaos->pending);
        chaos->pending = bigger;
        chaos->pending_room = room;
    }
    struct chaos_pending *pending = &chaos->pending[chaos->pending_count++];
    memset(pending, 0, sizeof *pending);
    pending->number = ++chaos->numbers;
    return pending;
}

/* One past the last write of the group that begins at `from`. */
static size_t group_end(const struct row_write *writes, size_t count, size_t from)
{
    size_t end = from + 1;
    while (end < count && row_same_partition(&writes[end - 1].key, &writes[end].key))
        end++;
    return end;
}

static void port_submit(struct store *port, struct store_request *request)
{
    struct chaos *chaos = (struct chaos *)port;
    assert(chaos->in_flight < STORE_REQUESTS_MAX);
    chaos->in_flight++;
    struct chaos_pending *pending = pending_new(chaos);
    pending->request = request;
    pending->due_us = until(chaos);
    pending->status = STATUS_OK;
    if (request->op == STORE_COMMIT) {
        pending->writes = (struct row_write *)(uintptr_t)request->writes;
        pending->writes_count = pending->stop_at = request->writes_count;
    }
    if (prng_chance(&chaos->prng, chaos->options.busy)) {
        pending->status = STATUS_BUSY;
        pending->stop_at = 0;
        chaos->busies++;
    } else if (prng_chance(&chaos->prng, chaos->options.timeout)) {
        pending->status = STATUS_TIMEOUT;
        pending->stop_at = prng_below(&chaos->prng, pending->writes_count + 1);
        pending->late = prng_chance(&chaos->prng, chaos->options.late);
        chaos->timeouts++;
        chaos->beginnings += pending->stop_at > 0 && pending->stop_at < pending->writes_count;
    }
}

/* One request of the store under us, now. */
static enum status inner_run(struct chaos *chaos, struct store_request *request)
{
    struct store_request *done = NULL;
    chaos->inner->vtable->submit(chaos->inner, request);
    for (uint32_t i = 0; i < CHAOS_POLLS; i++) {
        if (chaos->inner->vtable->poll(chaos->inner, &done, 1) == 1) {
            assert(done == request);
            return request->status;
        }
    }
    assert(false && "the store under chaos never answers");
    return STATUS_IO;
}

/* Apply the next group. BUSY of the database itself is passed on. */
static enum status apply_group(struct chaos *chaos, struct chaos_pending *pending)
{
    size_t end = group_end(pending->writes, pending->writes_count, pending->applied);
    struct store_request request = {.op = STORE_COMMIT,
                                    .writes = pending->writes + pending->applied,
                                    .writes_count = end - pending->applied};
    enum status status = inner_run(chaos, &request);
    if (status == STATUS_OK)
        pending->applied = end;
    return status;
}

/* What a caller gave up is ours: its memory is not. */
static void writes_own(struct chaos_pending *pending)
{
    struct row_write *writes = memory_array(pending->writes_count, sizeof *writes);
    assert(writes != NULL);
    memcpy(writes, pending->writes, pending->writes_count * sizeof *writes);
    for (size_t i = 0; i < pending->writes_count; i++) {
        struct slice value = writes[i].value;
        uint8_t *copy = memory_alloc(value.bytes);
        assert(copy != NULL);
        if (value.bytes > 0)
            memcpy(copy, value.at, value.bytes);
        writes[i].value = slice_make(copy, value.bytes);
    }
    pending->writes = writes;
    pending->request = NULL;
}

static void writes_free(struct chaos_pending *pending)
{
    for (size_t i = 0; i < pending->writes_count; i++)
        memory_free((void *)(uintptr_t)pending->writes[i].value.at);
    memory_free(pending->writes);
}

static void late_begin(struct chaos *chaos, struct chaos_pending *pending)
{
    writes_own(pending);
    pending->stop_at = pending->writes_count;
    pending->due_us = until(chaos) + prng_below(&chaos->prng, chaos->options.late_max_us + 1);
    chaos->lates++;
}

static void finish(struct chaos *chaos, struct chaos_pending *pending)
{
    struct store_request *request = pending->request;
    request->status = pending->status;
    chaos->done[chaos->done_count++] = request;
    if (pending->late && pending->applied < pending->writes_count)
        late_begin(chaos, pending);
}

/* It is due: its next group, its read, or its answer. True: it is over. */
static bool pending_step(struct chaos *chaos, struct chaos_pending *pending)
{
    struct store_request *request = pending->request;
    if (request != NULL && request->op != STORE_COMMIT) {
        if (pending->status == STATUS_OK)
            pending->status = inner_run(chaos, request);
        finish(chaos, pending);
        return true;
    }
    if (pending->applied < pending->stop_at) {
        enum status status = apply_group(chaos, pending);
        if (status != STATUS_OK && request != NULL) {
            pending->status = status;
            pending->late = false;
            pending->stop_at = pending->applied;
        }
        pending->due_us = until(chaos);
        if (pending->applied < pending->stop_at)
            return false;
    }
    if (request == NULL) {
        writes_free(pending);
        return true;
    }
    finish(chaos, pending);
    return pending->request != NULL;
}

void chaos_advance(struct chaos *chaos, uint64_t now_us)
{
    assert(now_us >= chaos->now_us);
    for (;;) {
        size_t best = chaos->pending_count;
        for (size_t i = 0; i < chaos->pending_count; i++) {
            const struct chaos_pending *pending = &chaos->pending[i];
            if (pending->due_us <= now_us &&
                (best == chaos->pending_count || pending->due_us < chaos->pending[best].due_us ||
                 (pending->due_us == chaos->pending[best].due_us &&
                  pending->number < chaos->pending[best].number)))
                best = i;
        }
        if (best == chaos->pending_count)
            break;
        struct chaos_pending *pending = &chaos->pending[best];
        chaos->now_us = pending->due_us > chaos->now_us ? pending->due_us : chaos->now_us;
        if (pending_step(chaos, pending))
            *pending = chaos->pending[--chaos->pending_count];
    }
    chaos->now_us = now_us;
}

static size_t port_poll(struct store *port, struct store_request **done, size_t max)
{
    struct chaos *chaos = (struct chaos *)port;
    size_t count = chaos->done_count < max ? chaos->done_count : max;
    if (count > 0)
        memcpy(done, chaos->done, count * sizeof(struct store_request *));
    memmove(chaos->done, chaos->done + count,
            (chaos->done_count - count) * sizeof(struct store_request *));
    chaos->done_count -= count;
    chaos->in_flight -= count;
    return count;
}

static const struct store_vtable vtable = {port_submit, port_poll};

void chaos_open(struct chaos *chaos, struct store *inner, const struct chaos_options *options,
                uint64_t seed)
{
    memset(chaos, 0, sizeof *chaos);
    chaos->port.vtable = &vtable;
    chaos->inner = inner;
    chaos->options = *options;
    prng_init(&chaos->prng, seed);
}

void chaos_close(struct chaos *chaos)
{
    for (size_t i = 0; i < chaos->pending_count; i++) {
        if (chaos->pending[i].request == NULL)
            writes_free(&chaos->pending[i]);
    }
    memory_free(chaos->pending);
    memset(chaos, 0, sizeof *chaos);
}

uint64_t chaos_next_due_us(const struct chaos *chaos)
{
    uint64_t due = chaos->done_count > 0 ? chaos->now_us : UINT64_MAX;
    for (size_t i = 0; i < chaos->pending_count; i++)
        due = chaos->pending[i].due_us < due ? chaos->pending[i].due_us : due;
    return due;
}

void chaos_crash(struct chaos *chaos)
{
    size_t kept = 0;
    for (size_t i = 0; i < chaos->pending_count; i++) {
        struct chaos_pending *pending = &chaos->pending[i];
        bool waited = pending->request != NULL;
        if (waited && pending->writes_count == 0)
            continue;
        if (waited) {
            size_t stop = pending->applied +
                          prng_below(&chaos->prng, pending->writes_count - pending->applied + 1);
            while (pending->applied < stop && apply_group(chaos, pending) == STATUS_OK)
                continue;
            chaos->crashed++;
            if (pending->applied == pending->writes_count || !prng_chance(&chaos->prng, 300))
                continue;
            late_begin(chaos, pending);
        }
        chaos->pending[kept++] = *pending;
    }
    chaos->pending_count = kept;
    chaos->done_count = chaos->in_flight = 0;
}

void chaos_heal(struct chaos *chaos)
{
    chaos->options.busy = chaos->options.timeout = chaos->options.slow = 0;
}
