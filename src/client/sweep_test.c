/* SPDX-License-Identifier: Apache-2.0
 * The sweeps of dialogue.h; no test of its own: linked into each test of this room. A mind is put
 * back by its bytes: the struct, and what its arenas hold. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena_chunk.h"
#include "wire/pb_twist.h"

#define CHUNKS_MAX 64
#define SEEN_MAX   256

struct saved {
    struct client client;
    struct {
        struct arena_chunk *at, head;
        uint8_t *bytes; /* NULL: of the step */
    } chunks[CHUNKS_MAX];
    size_t count;
};

static void save_arena(struct saved *saved, const struct arena *arena, bool contents)
{
    bool filled = arena->now != NULL;
    for (struct arena_chunk *at = arena->first; at != NULL; at = at->next) {
        assert_true(saved->count < CHUNKS_MAX);
        uint8_t *bytes = contents && filled ? malloc(at->used + 1) : NULL;
        if (bytes)
            memcpy(bytes, at + 1, at->used);
        saved->chunks[saved->count].at = at;
        saved->chunks[saved->count].head = *at;
        saved->chunks[saved->count++].bytes = bytes;
        filled = filled && at != arena->now;
    }
}

static void save(struct saved *saved, const struct client *client)
{
    saved->client = *client;
    saved->count = 0;
    save_arena(saved, &client->boot, true);
    save_arena(saved, &client->blob[0], true);
    save_arena(saved, &client->blob[1], true);
    save_arena(saved, &client->step, false);
}

static void free_new(const struct saved *saved, const struct arena *arena)
{
    for (struct arena_chunk *at = arena->first, *next; at != NULL; at = next) {
        bool known = false;
        next = at->next;
        for (size_t i = 0; i < saved->count; i++)
            known |= saved->chunks[i].at == at;
        if (!known)
            memory_free(at);
    }
}

static void put_back(const struct saved *saved, struct client *client)
{
    free_new(saved, &client->boot);
    free_new(saved, &client->blob[0]);
    free_new(saved, &client->blob[1]);
    free_new(saved, &client->step);
    *client = saved->client;
    for (size_t i = 0; i < saved->count; i++) {
        *saved->chunks[i].at = saved->chunks[i].head;
        if (saved->chunks[i].bytes)
            memcpy(saved->chunks[i].at + 1, saved->chunks[i].bytes, saved->chunks[i].head.used);
    }
}

static void forget(struct saved *saved)
{
    for (size_t i = 0; i < saved->count; i++)
        free(saved->chunks[i].bytes);
}

static struct slice packed(const struct pb_host_effects *out, struct arena *arena)
{
    struct slice bytes = pb_host_effects_pack(out, arena);
    assert_false(arena->exhausted);
    return bytes;
}

/* Too little memory is BUSY, with nothing to do, until the host restores; else all is as ever. */
static bool enough(struct client *client, const struct pb_host_event *event, struct slice plenty,
                   struct arena *arena)
{
    static const struct pb_host_effects nothing;
    struct pb_host_effects out;
    enum status status = client_step(client, event, &out);
    if (status == STATUS_OK) {
        client_check(client);
        assert_true(slice_equal(packed(&out, arena), plenty));
        return true;
    }
    assert_int_equal(status, STATUS_BUSY);
    assert_memory_equal(&out, &nothing, sizeof out);
    assert_int_equal(client_step(client, event, &out), STATUS_BUSY);
    assert_memory_equal(&out, &nothing, sizeof out);
    return false;
}

static void starve(struct client *client, const struct pb_host_event *event,
                   const struct saved *saved, struct arena *arena)
{
    struct pb_host_effects out;
    assert_int_equal(client_step(client, event, &out), STATUS_OK);
    struct slice plenty = packed(&out, arena);
    put_back(saved, client);
    for (int which = 0; which < 3; which++)
        for (size_t bytes = 0;; bytes += bytes < 128 ? 16 : bytes / 48 * 16) {
            struct arena_mark mark = arena_mark(arena);
            client->step.bytes_max = which == 0 ? bytes : client->step.bytes_max;
            client->boot.bytes_max = which == 1 ? client->boot.used + bytes : SIZE_MAX / 2;
            for (int i = 0; i < 2; i++)
                client->blob[i].bytes_max =
                    which == 2 ? client->blob[i].used + bytes : SIZE_MAX / 2;
            bool done = enough(client, event, plenty, arena);
            put_back(saved, client);
            arena_rewind(arena, mark);
            if (done)
                break;
        }
}

/* What a person wrote is somewhere: waiting, in the log, or told to have failed. */
static bool accounted(const struct client *client, const struct client_entry *entry,
                      const struct pb_host_effects *out)
{
    if (client_entry_find(client, entry->mid))
        return true;
    for (size_t i = 0; i < out->notices_count; i++)
        if (out->notices[i].body_case == PB_NOTICE_BODY_TICK &&
            memcmp(out->notices[i].body.tick.mid.at, entry->mid, ID_BYTES) == 0)
            return true;
    return entry->state == PB_OUTBOX_STATE_FAILED; /* a filler is done */
}

/* A server that lies moves no pin, no counter and no cursor back, and loses no message. */
static void check_kept(const struct client *was, const struct client *is,
                       const struct pb_host_effects *out)
{
    assert_true(is->conn >= was->conn);
    assert_true(is->log_epoch != was->log_epoch || is->useq >= was->useq || was->snapshotting);
    for (uint32_t i = 0; i < was->user_count; i++) {
        const struct client_user *user = was->users[i], *now = client_user_find(is, user->id);
        assert_non_null(now);
        assert_ptr_equal(now, is->users[i]);
    }
    for (uint32_t i = 0; i < was->outbox_count; i++)
        assert_true(accounted(is, &was->outbox[i], out));
}

struct pins {
    uint8_t aik[32], hash[32];
    uint32_t n;
    bool broken;
};

static void pins_of(const struct client *client, struct pins pins[16])
{
    for (uint32_t i = 0; i < client->user_count && i < 16; i++) {
        memcpy(pins[i].aik, client->users[i]->aik, 32);
        memcpy(pins[i].hash, client->users[i]->dl_hash, 32);
        pins[i].n = client->users[i]->dl_n;
        pins[i].broken = client->users[i]->broken;
    }
}

static void check_pins(const struct client *client, const struct pins *were, uint32_t count)
{
    struct pins are[16];
    pins_of(client, are);
    for (uint32_t i = 0; i < count && i < 16; i++) {
        assert_true(are[i].n >= were[i].n && are[i].broken >= were[i].broken);
        assert_true(were[i].n == 0 || memcmp(are[i].aik, were[i].aik, 32) == 0);
        assert_true(are[i].n != were[i].n || memcmp(are[i].hash, were[i].hash, 32) == 0);
    }
}

/* Text that is shown as verified is text that somebody wrote. */
static struct slice shown_text(const struct pb_host_effects *out)
{
    for (size_t i = 0; i < out->notices_count; i++) {
        const struct pb_notice_message *message = &out->notices[i].body.message;
        if (out->notices[i].body_case == PB_NOTICE_BODY_MESSAGE && message->readable &&
            message->content.body_case == PB_CONTENT_BODY_TEXT)
            return message->content.body.text.text;
    }
    return SLICE_EMPTY;
}

static void twist(struct host *host, const struct pb_host_event *event, const struct saved *saved,
                  struct arena *arena)
{
    struct client *client = &host->client;
    struct pb_host_event wrong = *event;
    struct pb_host_effects out;
    struct pins pins[16];
    bool more = true, frame = event->body_case == PB_HOST_EVENT_BODY_FRAME;
    pins_of(client, pins);
    assert_int_equal(client_step(client, event, &out), STATUS_OK);
    struct slice text = arena_copy(arena, shown_text(&out));
    put_back(saved, client);
    for (size_t nth = 0; more; nth++) {
        struct arena_mark mark = arena_mark(arena);
        if (frame) {
            struct pb_frame said;
            if (pb_frame_decode(event->body.frame.bytes, arena, &said) != STATUS_OK)
                return;
            more = pb_twist(&pb_frame_type, &said, nth, arena);
            wrong.body.frame.bytes = pb_frame_pack(&said, arena);
        } else {
            wrong = *event;
            more = pb_twist(&pb_event_command_type, &wrong.body.command, nth, arena);
        }
        assert_int_equal(client_step(client, &wrong, &out), STATUS_OK);
        client_check(client);
        check_kept(&saved->client, client, &out);
        check_pins(client, pins, saved->client.user_count);
        struct slice said = shown_text(&out);
        assert_true(said.bytes == 0 || slice_equal(said, text));
        put_back(saved, client);
        arena_rewind(arena, mark);
    }
}

/* Once for each kind of event and answer in each phase: long dialogues repeat themselves. */
static bool seen(struct host *host, const struct pb_host_event *event)
{
    static uint64_t before[SEEN_MAX];
    static size_t count;
    const struct client *client = &host->client;
    struct pb_frame frame = {0};
    uint64_t what = 0;
    struct arena arena;
    arena_init(&arena, (size_t)8 << 20);
    if (event->body_case == PB_HOST_EVENT_BODY_FRAME &&
        pb_frame_decode(event->body.frame.bytes, &arena, &frame) == STATUS_OK) {
        what = (uint64_t)frame.body_case * 256;
        if (frame.body_case == PB_FRAME_BODY_PUSH)
            what += (uint64_t)frame.body.push.entry.body_case;
        for (uint32_t i = 0; i < client->request_count; i++)
            if (client->requests[i].req == frame.req)
                what += client->requests[i].kind * UINT64_C(65536);
    } else if (event->body_case == PB_HOST_EVENT_BODY_COMMAND) {
        what = event->body.command.body_case;
    }
    arena_deinit(&arena);
    what = what * 64 + (uint64_t)event->body_case * 8 + (uint64_t)client->phase;
    what = what * 4 + (client->outbox_count > 0) * 2u + client->synced;
    for (size_t i = 0; i < count; i++)
        if (before[i] == what)
            return true;
    if (count < SEEN_MAX)
        before[count++] = what;
    return count == SEEN_MAX;
}

void sweep(struct host *host, const struct pb_host_event *event)
{
    static struct saved saved;
    if (!host->client.restored || seen(host, event))
        return;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    save(&saved, &host->client);
    starve(&host->client, event, &saved, &arena);
    if (event->body_case == PB_HOST_EVENT_BODY_FRAME ||
        event->body_case == PB_HOST_EVENT_BODY_COMMAND)
        twist(host, event, &saved, &arena);
    forget(&saved);
    arena_deinit(&arena);
}
