/* SPDX-License-Identifier: Apache-2.0
 * Parley over WebSocket: upgrade → WELCOME → REGISTER → GRANTED → DEVLIST_PUT → ok → HELLO → READY;
 * an account that is enrolled says HELLO at once. A pair makes its chat by CHAT_CREATE. What is
 * pushed is acknowledged once a turn, as a client does. The envelope's header is real, its content
 * is the body; nobody checks its signature but a client. */
#include <stdio.h>
#include <string.h>

#include "apps/parley-bench/identity.h"
#include "base/assert.h"
#include "wire/gen/frame.pb.h"
#include "ports/crypto.h"
#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/http1.h"
#include "wire/policy.h"
#include "wire/upgrade.h"

#define HOLD_BYTES (1u << 20)

/* xorshift64: masks hide nothing here, they only must differ. */
static void mask_next(struct run *run, uint8_t mask[WS_MASK_BYTES])
{
    run->masks ^= run->masks << 13;
    run->masks ^= run->masks >> 7;
    run->masks ^= run->masks << 17;
    memcpy(mask, &run->masks, WS_MASK_BYTES);
}

static void frame_put(struct run *run, struct peer *peer, const struct pb_frame *frame)
{
    size_t bytes = pb_size(&pb_frame_type, frame);
    uint8_t mask[WS_MASK_BYTES];
    uint8_t *at = bytes_room(&peer->out, WS_HEADER_BYTES_MAX + bytes);
    if (at == NULL)
        return; /* it is never answered, and so told */
    mask_next(run, mask);
    size_t head = ws_write_header(at, WS_BINARY, bytes, mask);
    struct buf buf = buf_over(at + head, bytes);
    pb_frame_encode(frame, &buf);
    ws_mask(at + head, bytes, mask, 0);
    peer->out.bytes += head + bytes;
}

static void refused(struct said *said, const char *what, unsigned code)
{
    said->kind = SAID_REFUSED;
    (void)snprintf(said->reason, sizeof said->reason, "%s (%u)", what, code);
}

static void parley_begin(struct run *run, struct peer *peer)
{
    uint8_t nonce[UPGRADE_NONCE_BYTES] = {0}, key[UPGRADE_KEY_BYTES];
    memcpy(nonce, &peer->number, sizeof peer->number);
    upgrade_key(nonce, key);
    uint8_t *at = bytes_room(&peer->out, 1024);
    if (at == NULL)
        return;
    struct buf request = buf_over(at, 1024);
    upgrade_write_request(&request, slice_text(run->host), SLICE_LITERAL("new"), key);
    peer->out.bytes += request.bytes;
    peer->upgraded = false;
    peer->req = 0;
    ws_init(&peer->ws, WS_CLIENT, HOLD_BYTES, HOLD_BYTES);
}

static bool head_read(struct peer *peer, struct said *said)
{
    if (peer->in.bytes == peer->consumed)
        return false; /* nothing has come, and nowhere to point at */
    struct slice in = slice_make(peer->in.at + peer->consumed, peer->in.bytes - peer->consumed);
    struct http1_head head;
    enum status status = http1_read_response(&in, &head);
    if (status == STATUS_AGAIN)
        return false;
    if (status != STATUS_OK || head.status != 101) {
        refused(said, "no WebSocket", status == STATUS_OK ? head.status : 0);
        return false;
    }
    peer->consumed = (size_t)(in.at - peer->in.at);
    peer->upgraded = true;
    return true;
}

/* ---- sign-in ---- */

static void hello(struct run *run, struct peer *peer, const struct pb_welcome *welcome)
{
    struct account *account = &peer->account;
    uint8_t sig[64];
    account->conn++;
    identity_hello(account, welcome->server_name, welcome->nonce, sig);
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_HELLO};
    frame.body.hello = (struct pb_hello){.device_id = slice_make(account->device, ID_BYTES),
                                         .conn = account->conn,
                                         .log_epoch = account->log_epoch,
                                         .useq = account->useq,
                                         .client = SLICE_LITERAL("parley-bench"),
                                         .sig = SLICE_OF(sig)};
    frame_put(run, peer, &frame);
}

static void sign_up(struct run *run, struct peer *peer)
{
    char name[IDENTITY_NAME_BYTES], password[64];
    identity_name(run, peer, name);
    (void)snprintf(password, sizeof password, "measured by %s", name);
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_REGISTER};
    frame.body.register_ =
        (struct pb_register){.username = slice_text(name), .password = slice_text(password)};
    frame_put(run, peer, &frame);
}

static void on_granted(struct run *run, struct peer *peer, const struct pb_granted *granted)
{
    uint8_t space[DEVLIST_BYTES_MAX];
    struct buf list = buf_over(space, sizeof space);
    memcpy(peer->account.user, granted->user_id.at, ID_BYTES);
    identity_enrol(run, peer, &list);
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = buf_slice(&list);
    frame_put(run, peer, &frame);
}

/* ---- what comes ---- */

static void on_push(struct peer *peer, const struct pb_push *push, struct said *said)
{
    struct account *account = &peer->account;
    if (push->prev_useq != account->useq) {
        refused(said, "a hole before entry", (unsigned)push->useq);
        return;
    }
    account->useq = push->useq;
    if (push->entry.body_case == PB_ENTRY_BODY_REJECTED) {
        refused(said, "message rejected", push->entry.body.rejected.reason);
    } else if (push->entry.body_case == PB_ENTRY_BODY_MESSAGE &&
               memcmp(push->entry.body.message.user_id.at, account->user, ID_BYTES) != 0) {
        said->kind = SAID_BYTES;
        said->bytes = push->entry.body.message.envelope;
    }
}

/* The nonce signs at once, or, for a new account, after the device list: on the next connection
 * there is none to wait for. */
static void on_welcome(struct run *run, struct peer *peer, const struct pb_welcome *welcome)
{
    peer->account.log_epoch = welcome->log_epoch;
    memcpy(peer->nonce, welcome->nonce.at, sizeof peer->nonce);
    (void)snprintf(run->server_name, sizeof run->server_name, "%.*s",
                   (int)welcome->server_name.bytes, (const char *)welcome->server_name.at);
    if (peer->account.enrolled)
        hello(run, peer, welcome);
    else
        sign_up(run, peer);
}

static void on_ok(struct run *run, struct peer *peer)
{
    struct pb_welcome welcome = {.nonce = SLICE_OF(peer->nonce),
                                 .server_name = slice_text(run->server_name)};
    if (peer->account.enrolled)
        return;
    peer->account.enrolled = true;
    hello(run, peer, &welcome);
}

static void on_page(const struct pb_history_page *page, struct said *said)
{
    said->kind = SAID_PAGE;
    said->rows = page->entries_count;
}

static void on_frame(struct run *run, struct peer *peer, struct slice bytes, struct said *said)
{
    struct pb_frame frame;
    arena_reset(&run->arena);
    if (pb_frame_decode(bytes, &run->arena, &frame) != STATUS_OK) {
        refused(said, "a frame that cannot be read", 0);
        return;
    }
    /* EXCEPTION: a frame of a kind that nobody asked for is left out, so not all are named. */
    if (frame.body_case == PB_FRAME_BODY_SENT)
        said->kind = peer->stage == PEER_PAIRED ? SAID_ACKED : SAID_PAIRED;
    else if (frame.body_case == PB_FRAME_BODY_PUSH)
        on_push(peer, &frame.body.push, said);
    else if (frame.body_case == PB_FRAME_BODY_WELCOME)
        on_welcome(run, peer, &frame.body.welcome);
    else if (frame.body_case == PB_FRAME_BODY_GRANTED)
        on_granted(run, peer, &frame.body.granted);
    else if (frame.body_case == PB_FRAME_BODY_OK)
        on_ok(run, peer);
    else if (frame.body_case == PB_FRAME_BODY_READY)
        said->kind = SAID_READY;
    else if (frame.body_case == PB_FRAME_BODY_HISTORY_PAGE)
        on_page(&frame.body.history_page, said);
    else if (frame.body_case == PB_FRAME_BODY_ERROR)
        refused(said, "error of the server", frame.body.error.code);
    else if (frame.body_case == PB_FRAME_BODY_GOAWAY)
        refused(said, "sent away", frame.body.goaway.reason);
}

static void parley_next(struct run *run, struct peer *peer, struct said *said)
{
    if (!peer->upgraded && !head_read(peer, said))
        return;
    while (said->kind == SAID_NOTHING && peer->consumed < peer->in.bytes) {
        struct ws_event event;
        size_t consumed;
        ws_feed(&peer->ws, peer->in.at + peer->consumed, peer->in.bytes - peer->consumed, &consumed,
                &event);
        peer->consumed += consumed;
        if (event.kind == WS_NONE)
            return;
        if (event.kind == WS_MESSAGE)
            on_frame(run, peer, event.payload, said);
        else if (event.kind == WS_CLOSE || event.kind == WS_ERROR || event.kind == WS_PIECE)
            refused(said, "closed by the server", event.code);
    }
}

/* ---- chats and messages ---- */

static bool parley_pair(struct run *run, struct peer *peer)
{
    const struct account *own = &peer->account, *peers = &peer->other->account;
    struct policy_member a = {.role = POLICY_ROLE_MEMBER}, b = {.role = POLICY_ROLE_MEMBER};
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES], policy[POLICY_DIRECT_BYTES];
    struct slice part = SLICE_OF(input);
    struct buf text = buf_over(policy, sizeof policy);
    direct_chat_input(own->user, peers->user, input);
    crypto_sha256(&part, 1, hash);
    memcpy(peer->chat, hash, ID_BYTES);
    memcpy(peer->other->chat, hash, ID_BYTES);
    memcpy(a.user, own->user, ID_BYTES);
    memcpy(a.aik, own->aik, sizeof a.aik);
    memcpy(b.user, peers->user, ID_BYTES);
    memcpy(b.aik, peers->aik, sizeof b.aik);
    policy_direct_write(&a, &b, &text);
    struct slice leaves[2] = {slice_make(own->device, ID_BYTES),
                              slice_make(peers->device, ID_BYTES)};
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_CHAT_CREATE};
    frame.body.chat_create = (struct pb_chat_create){.chat_id = slice_make(peer->chat, ID_BYTES),
                                                     .gen = 1,
                                                     .mid = slice_make(hash + 16, ID_BYTES),
                                                     .mls_epoch = 1,
                                                     .policy = buf_slice(&text),
                                                     .leaves = leaves,
                                                     .leaves_count = 2};
    frame_put(run, peer, &frame);
    return false;
}

static void parley_send(struct run *run, struct peer *peer, struct slice body)
{
    uint8_t space[ENVELOPE_OVERHEAD_BYTES + 8192], mid[ID_BYTES];
    struct buf envelope = buf_over(space, sizeof space);
    struct envelope_header header = {.gen = 1, .mls_epoch = 1, .sctr = peer->sent + 1};
    memcpy(header.chat, peer->chat, ID_BYTES);
    memcpy(header.device, peer->account.device, ID_BYTES);
    memcpy(mid, peer->account.device, 8);
    memcpy(mid + 8, &header.sctr, 8);
    envelope_header_write(&header, &envelope);
    envelope_pad(body, &envelope);
    buf_zero(&envelope, ENVELOPE_TAG_BYTES + ENVELOPE_SIG_BYTES);
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_SEND};
    frame.body.send = (struct pb_send){.chat_id = slice_make(peer->chat, ID_BYTES),
                                       .mid = SLICE_OF(mid),
                                       .sctr = header.sctr,
                                       .envelope = buf_slice(&envelope)};
    frame_put(run, peer, &frame);
}

void parley_page(struct run *run, struct peer *peer, uint64_t before, uint32_t n)
{
    struct pb_frame frame = {.req = ++peer->req, .body_case = PB_FRAME_BODY_HISTORY};
    frame.body.history =
        (struct pb_history){.chat_id = slice_make(peer->chat, ID_BYTES), .before = before, .n = n};
    frame_put(run, peer, &frame);
}

static void parley_finish(struct run *run, struct peer *peer)
{
    struct account *account = &peer->account;
    if (account->useq == account->acked_useq)
        return;
    account->acked_useq = account->useq;
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_ACK};
    frame.body.ack.useq = account->useq;
    frame_put(run, peer, &frame);
}

const struct driver driver_parley = {.name = "parley",
                                     .pairs = true,
                                     .begin = parley_begin,
                                     .pair = parley_pair,
                                     .next = parley_next,
                                     .send = parley_send,
                                     .finish = parley_finish};
