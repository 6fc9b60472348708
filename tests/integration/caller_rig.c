/* SPDX-License-Identifier: Apache-2.0 */
#include "caller_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/memory.h"
#include "ports/crypto.h"
#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/policy.h"
#include "wire/ws.h"

#define CALLER_SEALED_BYTES (128u << 10)

static struct caller *everybody; /* who is open */

static struct net *net_of(const struct caller *caller)
{
    return &caller->node->client.net;
}

/* ---- what is said ---- */

/* Plain bytes are sealed as soon as they may be; so at most one call's worth is sealed at once. */
static void flush_sealed(struct caller *caller)
{
    struct tls *tls = caller->tls;
    bool open = caller->session->state == TLS_OPEN || caller->session->state == TLS_ENDED;
    size_t bytes = caller->out_bytes < 65536 ? caller->out_bytes : 65536;
    if (caller->sending)
        return;
    if (caller->session->state == TLS_HANDSHAKE) { /* begins it */
        struct buf none = buf_over(NULL, 0);
        struct slice nothing = SLICE_EMPTY;
        tls->vtable->feed(tls, caller->session, &nothing, &none, &caller->sealed);
    }
    if (open && bytes > 0) {
        tls->vtable->seal(tls, caller->session, slice_make(caller->out + caller->out_at, bytes),
                          &caller->sealed);
        caller->out_at += bytes;
        caller->out_bytes -= bytes;
        if (caller->out_bytes == 0)
            caller->out_at = 0;
    }
    if (caller->sealed.bytes == 0)
        return;
    caller->flying = buf_slice(&caller->sealed);
    caller->sending = true;
    net_of(caller)->vtable->send(net_of(caller), caller->conn, caller->flying);
}

static void flush(struct caller *caller)
{
    if (caller->tls != NULL && caller->connected && !caller->gone) {
        flush_sealed(caller);
        return;
    }
    if (!caller->connected || caller->gone || caller->sending || caller->out_bytes == 0)
        return;
    caller->flying = slice_make(caller->out + caller->out_at, caller->out_bytes);
    caller->sending = true;
    net_of(caller)->vtable->send(net_of(caller), caller->conn, caller->flying);
}

void caller_bytes(struct caller *caller, struct slice bytes)
{
    size_t end = caller->out_at + caller->out_bytes;
    assert_true(end + bytes.bytes <= CALLER_BYTES_MAX);
    if (bytes.bytes > 0)
        memcpy(caller->out + end, bytes.at, bytes.bytes);
    caller->out_bytes += bytes.bytes;
}

void caller_message(struct caller *caller, struct slice payload)
{
    static const uint8_t mask[WS_MASK_BYTES]; /* of zeros: as readable as none */
    uint8_t header[WS_HEADER_BYTES_MAX];
    size_t bytes = ws_write_header(header, WS_BINARY, payload.bytes, mask);
    caller_bytes(caller, slice_make(header, bytes));
    caller_bytes(caller, payload);
}

void caller_frame(struct caller *caller, const struct pb_frame *frame)
{
    struct arena_mark mark = arena_mark(&caller->arena);
    caller_message(caller, pb_frame_pack(frame, &caller->arena));
    arena_rewind(&caller->arena, mark);
}

void caller_ping(struct caller *caller, uint64_t t)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_PING};
    frame.body.ping.t = t;
    caller_frame(caller, &frame);
}

void caller_echo(struct caller *caller, uint64_t number)
{
    static const uint8_t mask[WS_MASK_BYTES];
    uint8_t header[WS_HEADER_BYTES_MAX], payload[125] = {0};
    memcpy(payload, &number, sizeof number);
    size_t bytes = ws_write_header(header, WS_OPCODE_PING, sizeof payload, mask);
    caller_bytes(caller, slice_make(header, bytes));
    caller_bytes(caller, SLICE_OF(payload));
}

/* ---- what is heard ---- */

static void on_payload(struct caller *caller, struct slice payload)
{
    struct arena_mark mark = arena_mark(&caller->arena);
    struct pb_frame frame;
    assert_int_equal(pb_frame_decode(arena_copy(&caller->arena, payload), &caller->arena, &frame),
                     STATUS_OK);
    if (frame.body_case == PB_FRAME_BODY_PONG) {
        assert_int_equal(frame.body.pong.t, ++caller->pongs);
        arena_rewind(&caller->arena, mark);
        return;
    }
    if (frame.body_case == PB_FRAME_BODY_WELCOME) {
        memcpy(caller->nonce, frame.body.welcome.nonce.at, 32);
        caller->log_epoch = frame.body.welcome.log_epoch;
    }
    if (frame.body_case == PB_FRAME_BODY_PUSH) { /* one line, without holes */
        assert_int_equal(frame.body.push.prev_useq, caller->useq);
        caller->useq = frame.body.push.useq;
    }
    assert_true(caller->frames_count < CALLER_FRAMES_MAX);
    caller->frames[caller->frames_count++] = frame;
}

/* One frame of the server's, unmasked and whole; 0: more bytes are needed. */
static size_t take_frame(struct caller *caller, const uint8_t *at, size_t bytes)
{
    size_t head = bytes < 2 ? 2 : at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
    if (bytes < head)
        return 0;
    uint64_t length = at[1];
    for (size_t i = 2; i < head; i++)
        length = (i == 2 ? 0 : length << 8) | at[i];
    if (bytes - head < length)
        return 0;
    assert_int_equal(caller->close_code, 0); /* nothing follows a close */
    if (at[0] == 0x88) {
        assert_true(length >= 2);
        caller->close_code = (uint16_t)(at[head] << 8 | at[head + 1]);
    } else if (at[0] == 0x8a) {
        uint64_t number = ++caller->echoes;
        assert_int_equal(length, 125);
        assert_memory_equal(at + head, &number, sizeof number);
    } else {
        assert_int_equal(at[0], 0x82);
        on_payload(caller, slice_make(at + head, (size_t)length));
    }
    return head + (size_t)length;
}

static void hear_bytes(struct caller *caller)
{
    size_t at = 0, used = 1;
    if (!caller->upgraded) {
        const uint8_t *end = memmem(caller->in, caller->in_bytes, "\r\n\r\n", 4);
        memcpy(caller->head, caller->in, caller->in_bytes < 13 ? caller->in_bytes : 13);
        if (end == NULL || memcmp(caller->head, "HTTP/1.1 101 ", 13) != 0)
            return;
        caller->upgraded = true;
        at = (size_t)(end + 4 - caller->in);
    }
    while (used > 0) {
        used = take_frame(caller, caller->in + at, caller->in_bytes - at);
        at += used;
    }
    memmove(caller->in, caller->in + at, caller->in_bytes - at);
    caller->in_bytes -= at;
}

static void hear(struct caller *caller)
{
    struct slice bytes = caller->unheard;
    if (caller->tls != NULL) {
        /* What must be answered waits for the next flight. */
        static uint8_t answer[TLS_OUT_BYTES_MIN];
        struct buf out = buf_over(answer, sizeof answer);
        struct buf plain = buf_over(caller->in, CALLER_BYTES_MAX);
        plain.bytes = caller->in_bytes;
        struct slice in = bytes;
        caller->tls->vtable->feed(caller->tls, caller->session, &in, &plain, &out);
        caller->in_bytes = plain.bytes;
        assert_true(out.bytes == 0 || !caller->sending);
        buf_put(&caller->sealed, buf_slice(&out));
    } else {
        assert_true(caller->in_bytes + bytes.bytes <= CALLER_BYTES_MAX);
        if (bytes.bytes > 0)
            memcpy(caller->in + caller->in_bytes, bytes.at, bytes.bytes);
        caller->in_bytes += bytes.bytes;
    }
    caller->unheard = SLICE_EMPTY;
    net_of(caller)->vtable->consume(net_of(caller), caller->conn, bytes.bytes);
    hear_bytes(caller);
}

void caller_listen(struct caller *caller)
{
    caller->deaf = false;
    hear(caller);
}

static void on_event(struct caller *caller, const struct net_event *event)
{
    switch (event->kind) {
    case NET_CONNECTED: caller->connected = true; break;
    case NET_SENT:
        caller->sending = false;
        if (caller->tls != NULL) {
            caller->sealed.bytes = 0;
            break;
        }
        caller->out_at += caller->flying.bytes;
        caller->out_bytes -= caller->flying.bytes;
        if (caller->out_bytes == 0)
            caller->out_at = 0;
        break;
    case NET_CLOSED: caller->gone = true; break;
    case NET_RECEIVED:
        caller->unheard = slice_make(event->bytes, event->bytes_count);
        if (!caller->deaf)
            hear(caller);
        break;
    case NET_ACCEPTED:
    case NET_WOKEN: break;
    }
}

void callers_turn(void)
{
    struct node *node = everybody->node;
    struct net_event events[64];
    for (struct caller *caller = everybody; caller != NULL; caller = caller->next)
        flush(caller);
    (void)node_turn(node, 1);
    for (uint32_t i = 0; i < node->shards_count; i++)
        gateway_check(&node->shards[i].shard.gateway);
    size_t heard = node->client.net.vtable->wait(&node->client.net, events, 64, 0);
    for (size_t i = 0; i < heard; i++)
        for (struct caller *caller = everybody; caller != NULL; caller = caller->next)
            if (events[i].tag == caller->tag)
                on_event(caller, &events[i]);
}

const struct pb_frame *caller_last(const struct caller *caller, enum pb_frame_body body)
{
    assert_true(caller->frames_count > 0);
    const struct pb_frame *last = &caller->frames[caller->frames_count - 1];
    assert_int_equal(last->body_case, body);
    return last;
}

size_t caller_count(const struct caller *caller, enum pb_frame_body body)
{
    size_t count = 0;
    for (size_t i = 0; i < caller->frames_count; i++)
        count += caller->frames[i].body_case == body;
    return count;
}

/* ---- connections ---- */

static void connect_now(struct caller *caller)
{
    assert_int_equal(net_of(caller)->vtable->connect(net_of(caller), node_loopback,
                                                     epoll_port(&caller->node->shards[0].net),
                                                     &caller->conn),
                     STATUS_OK);
    net_of(caller)->vtable->tag(net_of(caller), caller->conn, caller->tag);
    HEAR(caller->connected || caller->gone); /* gone: it was refused */
}

static void begin_tls(struct caller *caller)
{
    if (caller->tls == NULL)
        return;
    if (caller->session != NULL)
        caller->tls->vtable->close(caller->tls, caller->session);
    caller->session = caller->tls->vtable->open(caller->tls);
    caller->sealed.bytes = 0;
    assert_non_null(caller->session);
}

void caller_open(struct caller *caller, struct node *node, uint64_t tag)
{
    caller_open_tls(caller, node, tag, NULL);
}

void caller_open_tls(struct caller *caller, struct node *node, uint64_t tag, struct tls *tls)
{
    memset(caller, 0, sizeof *caller);
    caller->tls = tls;
    if (tls != NULL)
        caller->sealed = buf_over(memory_alloc(CALLER_SEALED_BYTES), CALLER_SEALED_BYTES);
    begin_tls(caller);
    caller->node = node;
    caller->tag = tag;
    caller->out = memory_alloc(CALLER_BYTES_MAX);
    caller->in = memory_alloc(CALLER_BYTES_MAX);
    assert_non_null(caller->out);
    assert_non_null(caller->in);
    arena_init(&caller->arena, (size_t)64 << 20);
    memset(caller->device, (int)(0xD0 + tag), ID_BYTES);
    crypto_sign_keypair(caller->device_public, caller->device_secret);
    caller->next = everybody;
    everybody = caller;
    connect_now(caller);
}

static void hang_up(struct caller *caller)
{
    if (!caller->gone)
        net_of(caller)->vtable->close(net_of(caller), caller->conn, true);
}

void caller_close(struct caller *caller)
{
    struct caller **at = &everybody;
    while (*at != caller)
        at = &(*at)->next;
    *at = caller->next;
    hang_up(caller);
    if (caller->tls != NULL)
        caller->tls->vtable->close(caller->tls, caller->session);
    memory_free(caller->sealed.at);
    memory_free(caller->out);
    memory_free(caller->in);
    arena_deinit(&caller->arena);
}

void caller_again(struct caller *caller)
{
    hang_up(caller);
    caller->connected = caller->upgraded = caller->gone = caller->sending = caller->deaf = false;
    caller->out_at = caller->out_bytes = caller->in_bytes = caller->frames_count = 0;
    caller->close_code = 0;
    caller->unheard = SLICE_EMPTY;
    caller->pongs = caller->echoes = 0;
    begin_tls(caller);
    connect_now(caller);
}

void caller_upgrade(struct caller *caller)
{
    caller_bytes(caller, SLICE_LITERAL("GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\n"
                                       "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                       "Sec-WebSocket-Version: 13\r\n"
                                       "Sec-WebSocket-Protocol: parley.v1\r\n\r\n"));
    HEAR(caller->frames_count == 1);
    (void)caller_last(caller, PB_FRAME_BODY_WELCOME);
}

/* ---- signing in ---- */

struct pb_frame caller_hello_frame(struct caller *caller, uint64_t useq, uint8_t sig[64])
{
    uint8_t space[DEVLIST_SESSION_MESSAGE_BYTES_MAX];
    struct buf text = buf_over(space, sizeof space);
    caller->conn_number++;
    devlist_session_message(SLICE_LITERAL("localhost"), SLICE_OF(caller->nonce), caller->device,
                            caller->conn_number, &text);
    crypto_sign_detached(sig, NULL, text.at, text.bytes, caller->device_secret);
    struct pb_frame frame = {.req = 90, .body_case = PB_FRAME_BODY_HELLO};
    frame.body.hello = (struct pb_hello){.device_id = slice_make(caller->device, ID_BYTES),
                                         .conn = caller->conn_number,
                                         .log_epoch = caller->log_epoch,
                                         .useq = useq,
                                         .sig = slice_make(sig, 64)};
    return frame;
}

void caller_hello(struct caller *caller, uint64_t useq)
{
    uint8_t sig[64];
    struct pb_frame hello = caller_hello_frame(caller, useq, sig);
    caller->useq = useq;
    size_t before = caller_count(caller, PB_FRAME_BODY_READY);
    caller_frame(caller, &hello);
    HEAR(caller_count(caller, PB_FRAME_BODY_READY) > before);
}

static void devices_change(struct caller_account *account, const struct caller *more,
                           const struct caller *less)
{
    size_t kept = 0;
    for (size_t i = 0; i < account->devices_count; i++) {
        if (less == NULL || memcmp(account->devices[i].id, less->device, ID_BYTES) != 0)
            account->devices[kept++] = account->devices[i];
    }
    account->devices_count = kept;
    if (more == NULL)
        return;
    memcpy(account->devices[kept].id, more->device, ID_BYTES);
    memcpy(account->devices[kept].key, more->device_public, 32);
    account->devices[account->devices_count++].added_n = account->n + 1;
}

struct slice caller_list(struct caller_account *account, struct arena *arena,
                         const struct caller *more, const struct caller *less)
{
    devices_change(account, more, less);
    struct devlist list = {.n = ++account->n, .dsk_ver = 1, .ts = account->n};
    list.username = slice_text(account->name);
    memcpy(list.user, account->user, ID_BYTES);
    memcpy(list.aik, account->aik, 32);
    memcpy(list.dsk, account->dsk, 32);
    memcpy(list.previous, account->hash, 32);
    for (size_t i = 0; i < account->devices_count; i++) {
        memcpy(list.devices[i].id, account->devices[i].id, ID_BYTES);
        memcpy(list.devices[i].sigpub, account->devices[i].key, 32);
        list.devices[i].added_n = account->devices[i].added_n;
    }
    list.device_count = (uint8_t)account->devices_count;
    if (less != NULL) {
        list.removed = slice_make(less->device, ID_BYTES);
        list.removed_count = 1;
    }
    uint8_t aik_message[DEVLIST_AIK_MESSAGE_BYTES], signature[64];
    devlist_aik_message(&list, aik_message);
    crypto_sign_detached(list.sig_aik, NULL, aik_message, sizeof aik_message, account->aik_secret);
    struct buf bytes = buf_in(arena, DEVLIST_BYTES_MAX), message = buf_in(arena, 9000);
    devlist_write_unsigned(&list, &bytes);
    devlist_dsk_message(buf_slice(&bytes), &message);
    crypto_sign_detached(signature, NULL, message.at, message.bytes, account->dsk_secret);
    buf_put(&bytes, SLICE_OF(signature));
    struct slice whole = buf_slice(&bytes);
    crypto_sha256(&whole, 1, account->hash);
    return whole;
}

void caller_sign_up(struct caller *caller, struct caller_account *account, const char *name)
{
    memset(account, 0, sizeof *account);
    memcpy(account->name, name, strlen(name));
    crypto_sign_keypair(account->aik, account->aik_secret);
    crypto_sign_keypair(account->dsk, account->dsk_secret);
    struct pb_frame frame = {.req = 91, .body_case = PB_FRAME_BODY_REGISTER};
    frame.body.register_.username = slice_text(name);
    frame.body.register_.password = SLICE_LITERAL(CALLER_PASSWORD);
    caller_frame(caller, &frame);
    HEAR(caller->frames_count == 2);
    const struct pb_frame *granted = caller_last(caller, PB_FRAME_BODY_GRANTED);
    memcpy(account->user, granted->body.granted.user_id.at, ID_BYTES);
    memcpy(caller->user, account->user, ID_BYTES);
    frame = (struct pb_frame){.req = 92, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = caller_list(account, &caller->arena, caller, NULL);
    caller_frame(caller, &frame);
    HEAR(caller->frames_count == 3);
    (void)caller_last(caller, PB_FRAME_BODY_OK);
    caller_hello(caller, 0);
}

/* ---- chats ---- */

static struct slice copy(struct caller *caller, const void *bytes, size_t count)
{
    return arena_copy(&caller->arena, slice_make(bytes, count));
}

struct pb_frame caller_create_frame(struct caller *owner, const struct caller *with,
                                    uint8_t chat[ID_BYTES])
{
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
    struct policy_member a = {.role = POLICY_ROLE_OWNER}, b = {.role = POLICY_ROLE_OWNER};
    struct buf policy = buf_in(&owner->arena, POLICY_DIRECT_BYTES);
    struct slice *leaves = arena_array(&owner->arena, 2, sizeof *leaves);
    memcpy(a.user, owner->user, ID_BYTES);
    memcpy(b.user, with->user, ID_BYTES);
    policy_direct_write(&a, &b, &policy);
    direct_chat_input(owner->user, with->user, input);
    struct slice part = SLICE_OF(input);
    crypto_sha256(&part, 1, hash);
    memcpy(chat, hash, ID_BYTES);
    leaves[0] = copy(owner, owner->device, ID_BYTES);
    leaves[1] = copy(owner, with->device, ID_BYTES);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_CHAT_CREATE};
    frame.body.chat_create = (struct pb_chat_create){.chat_id = copy(owner, hash, ID_BYTES),
                                                     .gen = 1,
                                                     .mid = copy(owner, input, ID_BYTES),
                                                     .mls_epoch = 1,
                                                     .policy = buf_slice(&policy),
                                                     .leaves = leaves,
                                                     .leaves_count = 2};
    return frame;
}

struct pb_frame caller_send_frame(struct caller *from, const uint8_t chat[ID_BYTES],
                                  const uint8_t device[ID_BYTES], uint64_t sctr)
{
    struct buf envelope = buf_in(&from->arena, ENVELOPE_OVERHEAD_BYTES + 64);
    struct envelope_header header = {.gen = 1, .mls_epoch = 1, .sctr = sctr};
    char mid[ID_BYTES + 1];
    memcpy(header.chat, chat, ID_BYTES);
    memcpy(header.device, device, ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, ENVELOPE_OVERHEAD_BYTES + 64 - envelope.bytes);
    (void)snprintf(mid, sizeof mid, CALLER_MID, (unsigned)(sctr % 100000000));
    struct pb_frame frame = {.req = (uint32_t)sctr + 1000, .body_case = PB_FRAME_BODY_SEND};
    frame.body.send = (struct pb_send){.chat_id = copy(from, chat, ID_BYTES),
                                       .mid = copy(from, mid, ID_BYTES),
                                       .sctr = sctr,
                                       .envelope = buf_slice(&envelope)};
    return frame;
}
