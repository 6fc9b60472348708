/* SPDX-License-Identifier: Apache-2.0
 * Any frames, completions, rows and messages of an owner, in any order: a session neither crashes
 * nor breaks an invariant, never says more after a CLOSE, and gives every operation back once.
 * Input: op u8, size u8 (× 4), bytes, again and again. */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "core/step.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

#define OPEN_MAX 256u

struct world {
    struct session session;
    struct session_config config;
    struct arena arena, kept;
    struct effect effects[SESSION_EFFECTS_MAX], open[OPEN_MAX]; /* operations under way */
    size_t open_count;
    uint64_t mono_ms;
    bool closed;
};

static struct slice take(struct slice *in)
{
    uint8_t size;
    struct slice out;
    if (!take_u8(in, &size))
        return SLICE_EMPTY;
    size_t want = (size_t)size * 4;
    if (!take_bytes(in, want < in->bytes ? want : in->bytes, &out))
        return SLICE_EMPTY;
    return out;
}

static void keep(struct world *world, const struct effect *effect)
{
    assert(world->open_count < OPEN_MAX);
    struct effect copy = *effect;
    copy.held = arena_copy(&world->kept, effect->held);
    struct read *reads = ARENA_ARRAY(&world->kept, struct read, effect->reads_count + 1);
    for (size_t i = 0; reads && i < effect->reads_count; i++) {
        reads[i] = effect->reads[i];
        struct slice keys = slice_make(reads[i].keys, reads[i].keys_count * sizeof(struct row_key));
        reads[i].keys = (const struct row_key *)(const void *)arena_copy(&world->kept, keys).at;
    }
    copy.reads = reads;
    world->open[world->open_count++] = copy;
}

static void step(struct world *world, struct event *event)
{
    struct effects effects = {.at = world->effects, .max = SESSION_EFFECTS_MAX};
    event->mono_ms = world->mono_ms;
    event->now_ms = 1700000000000u + world->mono_ms;
    memset(event->entropy, (int)world->mono_ms, sizeof event->entropy);
    arena_reset(&world->arena);
    session_step(&world->session, &world->config, event, &world->arena, &effects);
    session_check(&world->session, &world->config);
    for (size_t i = 0; i < effects.count; i++) {
        const struct effect *effect = &effects.at[i];
        assert(!world->closed);
        world->closed = effect->kind == EFFECT_CLOSE;
        if (effect->kind == EFFECT_READ || effect->kind == EFFECT_SUBMIT ||
            effect->kind == EFFECT_PASSWORD)
            keep(world, effect);
        if (effect->kind == EFFECT_SEND) {
            struct pb_frame frame;
            assert(effect->bytes.bytes <= 1u << 20);
            assert(pb_frame_decode(effect->bytes, &world->kept, &frame) == STATUS_OK ||
                   world->kept.exhausted);
        }
    }
}

/* Rows made of the input: right keys, any values, some missing. */
static struct rows rows_of(struct world *world, const struct read *read, struct slice *in)
{
    size_t most = read->range ? (read->rows_max < 8 ? read->rows_max : 8) : read->keys_count;
    struct row *rows = ARENA_ARRAY(&world->kept, struct row, most + 1);
    if (rows == NULL)
        return (struct rows){NULL, 0};
    for (size_t i = 0; i < most; i++) {
        rows[i].key = read->keys[read->range ? 0 : i];
        rows[i].key.n += read->range && !read->descending ? i : 0;
        if (read->range && read->descending)
            rows[i].key.n = read->keys[1].n - i;
        struct slice value = take(in);
        rows[i].found = read->range || value.bytes > 0;
        rows[i].value = arena_copy(&world->kept, value);
        rows[i].columns[0] = value.bytes;
    }
    return (struct rows){rows, most};
}

static void complete(struct world *world, struct slice *in, uint8_t op)
{
    if (world->open_count == 0)
        return;
    size_t which = (op >> 4) % world->open_count;
    struct effect done = world->open[which];
    world->open[which] = world->open[--world->open_count];
    struct event event = {.ticket = done.ticket, .held = done.held, .match = (op & 8) != 0};
    event.status = (op & 4) ? STATUS_OK : (op & 8) ? STATUS_TIMEOUT : STATUS_BUSY;
    event.kind = done.kind == EFFECT_READ     ? EVENT_ROWS
                 : done.kind == EFFECT_SUBMIT ? EVENT_APPENDED
                                              : EVENT_HASHED;
    event.bytes = done.kind == EFFECT_PASSWORD ? SLICE_LITERAL("$hash$") : SLICE_EMPTY;
    if (done.kind == EFFECT_READ && event.status == STATUS_OK) {
        struct rows *results = ARENA_ARRAY(&world->kept, struct rows, done.reads_count + 1);
        for (size_t i = 0; results && i < done.reads_count; i++)
            results[i] = rows_of(world, &done.reads[i], in);
        event.results = results;
        event.results_count = results ? done.reads_count : 0;
    }
    step(world, &event);
}

static void message(struct world *world, struct slice *in)
{
    struct pb_rpc rpc;
    struct slice body = arena_copy(&world->kept, take(in));
    struct event event = {.kind = EVENT_RPC, .rpc = &rpc};
    if (pb_rpc_decode(body, &world->kept, &rpc) != STATUS_OK)
        return;
    if (rpc.body_case == PB_RPC_BODY_ATTACHED)
        rpc.body.attached.conn = world->session.conn;
    step(world, &event);
}

/* As after a HELLO that was right: signatures are not guessed. */
static void sign_in(struct world *world, uint64_t head)
{
    if (world->session.state != SESSION_WELCOMED)
        return;
    world->session.user.at[0] = world->session.device.at[0] = 1;
    world->session.state = SESSION_ATTACHING;
    world->session.conn = 1;
    world->session.log_epoch = 1;
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    rpc.body.attached = (struct pb_attached){.conn = 1, .useq = head, .log_epoch = 1};
    struct event event = {.kind = EVENT_RPC, .rpc = &rpc};
    step(world, &event);
}

static void one(struct world *world, struct slice *in, uint8_t op)
{
    struct event event = {.kind = EVENT_TIMER};
    switch (op & 3) {
    case 0:
        event.kind = EVENT_FRAME;
        event.bytes = arena_copy(&world->kept, take(in));
        event.limit_retry_ms = (op & 0xf0) == 0xf0 ? 5 : 0;
        /* as the gateway: no frames while too many operations are open */
        if (world->open_count < OPEN_MAX - SESSION_EFFECTS_MAX)
            step(world, &event);
        break;
    case 1: complete(world, in, op); break;
    case 2: message(world, in); break;
    default:
        if (op & 0x80) {
            sign_in(world, op & 0x7f);
            break;
        }
        world->mono_ms += (uint64_t)(op >> 4) * 1000;
        event.kind = (op & 8) ? EVENT_OWNER_CHANGED : (op & 4) ? EVENT_WRITABLE : EVENT_TIMER;
        step(world, &event);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    static struct world world;
    struct slice in = slice_make(at, bytes);
    uint8_t op;
    memset(&world.session, 0, sizeof world.session);
    session_config_init(&world.config);
    session_init(&world.session, 1);
    arena_init(&world.arena, SESSION_STEP_BYTES_MAX);
    arena_init(&world.kept, (size_t)32 << 20);
    world.open_count = 0;
    world.closed = false;
    world.mono_ms = 1000;
    struct event event = {.kind = EVENT_OPENED};
    step(&world, &event);
    while (!world.kept.exhausted && take_u8(&in, &op))
        one(&world, &in, op);
    event = (struct event){.kind = EVENT_CLOSED};
    step(&world, &event);
    arena_deinit(&world.arena);
    arena_deinit(&world.kept);
    return 0;
}
