/* SPDX-License-Identifier: Apache-2.0
 * XMPP, client to server over TCP, without TLS: an account is made in band (XEP-0077), then
 *   stream → PLAIN → stream → bind → [enable → enabled] → presence → own presence: ready
 *   stream → PLAIN → stream → resume → resumed: ready, with what the server had taken
 * `xmpp` asks for an acknowledgement behind each message (XEP-0198) and resumes its session, so
 * that nobody resends what was taken; `xmpp-plain` has none, as the core protocol: a message is
 * acknowledged when it is delivered. */
#include <stdio.h>
#include <string.h>

#include "apps/parley-bench/identity.h"
#include "apps/parley-bench/peer.h"
#include "apps/parley-bench/xmpp.h"
#include "base/base64.h"

#define HOST     "localhost"
#define SM       "xmlns='urn:xmpp:sm:3'"
#define STEP_MAX 1024u

static void put(struct peer *peer, const char *text)
{
    struct slice bytes = slice_text(text);
    uint8_t *at = bytes_room(&peer->out, bytes.bytes);
    if (at == NULL)
        return; /* it is never answered, and so told */
    memcpy(at, bytes.at, bytes.bytes);
    peer->out.bytes += bytes.bytes;
}

static void refused(struct said *said, struct slice what)
{
    said->kind = SAID_REFUSED;
    (void)snprintf(said->reason, sizeof said->reason, "%.*s",
                   what.bytes > 90 ? 90 : (int)what.bytes, (const char *)what.at);
}

static void stream_open(struct peer *peer, enum xmpp_step step)
{
    peer->xmpp.step = step;
    put(peer, "<?xml version='1.0'?><stream:stream to='" HOST "' xmlns='jabber:client' "
              "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>");
}

static void xmpp_begin(struct run *run, struct peer *peer)
{
    (void)run;
    peer->xmpp.acks = 0;
    stream_open(peer, XMPP_STREAM);
}

static bool xmpp_pair(struct run *run, struct peer *peer)
{
    (void)run;
    peer->chat[0] = peer->other->chat[0] = 1;
    return true;
}

/* ---- sign-in ---- */

static void sign_up(const struct run *run, struct peer *peer)
{
    char name[IDENTITY_NAME_BYTES], text[STEP_MAX];
    identity_name(run, peer, name);
    (void)snprintf(text, sizeof text,
                   "<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>%s"
                   "</username><password>measured</password></query></iq>",
                   name);
    peer->xmpp.step = XMPP_SIGN_UP;
    put(peer, text);
}

static void authenticate(const struct run *run, struct peer *peer)
{
    char name[IDENTITY_NAME_BYTES], plain[64], text[STEP_MAX];
    uint8_t space[128];
    struct buf coded = buf_over(space, sizeof space);
    identity_name(run, peer, name);
    int bytes = snprintf(plain, sizeof plain, "%c%s%cmeasured", 0, name, 0);
    base64_write(&coded, slice_make(plain, (size_t)bytes));
    (void)snprintf(text, sizeof text,
                   "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%.*s</auth>",
                   (int)coded.bytes, (const char *)coded.at);
    peer->xmpp.step = XMPP_AUTH;
    put(peer, text);
}

static void bind(struct peer *peer)
{
    peer->xmpp.step = XMPP_BIND;
    peer->xmpp.resume[0] = '\0';
    put(peer, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
              "<resource>b</resource></bind></iq>");
}

static void resume(struct peer *peer)
{
    char text[STEP_MAX];
    (void)snprintf(text, sizeof text, "<resume " SM " h='%u' previd='%s'/>", peer->xmpp.heard,
                   peer->xmpp.resume);
    peer->xmpp.step = XMPP_RESUME;
    put(peer, text);
}

static void appear(struct peer *peer)
{
    peer->xmpp.step = XMPP_PRESENCE;
    put(peer, "<presence/>");
}

/* What the server has taken of this session is known: it goes on, or another begins. */
static void taken(struct peer *peer, uint64_t h, struct said *said)
{
    uint64_t count = peer->xmpp.base + (h > 0 ? h - 1 : 0); /* the first stanza was presence */
    said->kind = SAID_TAKEN;
    said->rows = count > peer->acked ? count : peer->acked;
}

static void on_features(struct run *run, struct peer *peer)
{
    if (peer->xmpp.step == XMPP_STREAM && !peer->account.enrolled)
        sign_up(run, peer);
    else if (peer->xmpp.step == XMPP_STREAM)
        authenticate(run, peer);
    else if (peer->xmpp.resume[0] != '\0')
        resume(peer);
    else
        bind(peer);
}

static void on_iq(struct run *run, struct peer *peer, const struct xmpp_stanza *stanza,
                  struct said *said)
{
    struct slice type = SLICE_EMPTY;
    (void)xmpp_attribute(stanza, "type", &type);
    if (slice_equal(type, SLICE_LITERAL("error"))) {
        refused(said, stanza->all);
    } else if (peer->xmpp.step == XMPP_SIGN_UP) {
        peer->account.enrolled = true;
        authenticate(run, peer);
    } else if (peer->xmpp.step == XMPP_BIND && run->acknowledges) {
        peer->xmpp.step = XMPP_ENABLE;
        put(peer, "<enable " SM " resume='true'/>");
    } else if (peer->xmpp.step == XMPP_BIND) {
        appear(peer);
    }
}

static void on_enabled(struct peer *peer, const struct xmpp_stanza *stanza)
{
    struct slice id = SLICE_EMPTY;
    (void)xmpp_attribute(stanza, "id", &id);
    if (id.bytes < sizeof peer->xmpp.resume)
        (void)snprintf(peer->xmpp.resume, sizeof peer->xmpp.resume, "%.*s", (int)id.bytes,
                       (const char *)id.at);
    peer->xmpp.base = peer->acked;
    peer->xmpp.heard = 0;
    appear(peer);
}

/* ---- acknowledgements ---- */

static void on_ack(struct peer *peer, const struct xmpp_stanza *stanza)
{
    uint64_t h = 0;
    if (xmpp_number(stanza, "h", &h) && h > 0 && peer->xmpp.base + h - 1 > peer->acked)
        peer->xmpp.acks = (uint32_t)(peer->xmpp.base + h - 1 - peer->acked);
}

static void answer(struct peer *peer)
{
    char text[64];
    (void)snprintf(text, sizeof text, "<a " SM " h='%u'/>", peer->xmpp.heard);
    put(peer, text);
}

static void on_failed(struct peer *peer, const struct xmpp_stanza *stanza, struct said *said)
{
    uint64_t h;
    if (peer->xmpp.step != XMPP_RESUME) {
        refused(said, stanza->all);
        return;
    }
    bind(peer);
    if (xmpp_number(stanza, "h", &h))
        taken(peer, h, said);
}

/* ---- what comes ---- */

static void on_stanza(struct run *run, struct peer *peer, const struct xmpp_stanza *stanza,
                      struct said *said)
{
    uint64_t h = 0;
    bool message = xmpp_is(stanza, "message"), presence = xmpp_is(stanza, "presence");
    peer->xmpp.heard += message || presence || xmpp_is(stanza, "iq");
    if (message) {
        said->kind = SAID_BYTES;
        said->bytes = stanza->all;
    } else if (xmpp_is(stanza, "a")) {
        on_ack(peer, stanza);
    } else if (xmpp_is(stanza, "r")) {
        answer(peer);
    } else if (presence && peer->xmpp.step == XMPP_PRESENCE) {
        peer->xmpp.step = XMPP_LIVE;
        said->kind = SAID_READY;
    } else if (xmpp_is(stanza, "stream:features")) {
        on_features(run, peer);
    } else if (xmpp_is(stanza, "success")) {
        stream_open(peer, XMPP_STREAM_AGAIN);
    } else if (xmpp_is(stanza, "iq")) {
        on_iq(run, peer, stanza, said);
    } else if (xmpp_is(stanza, "enabled")) {
        on_enabled(peer, stanza);
    } else if (xmpp_is(stanza, "resumed") && xmpp_number(stanza, "h", &h)) {
        peer->xmpp.step = XMPP_RESUMED;
        taken(peer, h, said);
    } else if (xmpp_is(stanza, "failed")) {
        on_failed(peer, stanza, said);
    } else if (!presence && !xmpp_is(stanza, "stream:stream")) {
        refused(said, stanza->all);
    }
}

static void xmpp_next_said(struct run *run, struct peer *peer, struct said *said)
{
    while (said->kind == SAID_NOTHING) {
        struct slice in = slice_make(peer->in.at + peer->consumed, peer->in.bytes - peer->consumed);
        struct xmpp_stanza stanza;
        if (peer->xmpp.step == XMPP_RESUMED) { /* what was taken has been told */
            peer->xmpp.step = XMPP_LIVE;
            said->kind = SAID_READY;
            return;
        }
        if (peer->xmpp.acks > 0) {
            peer->xmpp.acks--;
            said->kind = SAID_ACKED;
            return;
        }
        enum status status = in.bytes == 0 ? STATUS_AGAIN : xmpp_next(&in, &stanza);
        if (status == STATUS_AGAIN)
            return;
        if (status != STATUS_OK) {
            refused(said, SLICE_LITERAL("a stanza that cannot be read"));
            return;
        }
        peer->consumed = peer->in.bytes - in.bytes;
        on_stanza(run, peer, &stanza, said);
    }
}

static void xmpp_send(struct run *run, struct peer *peer, struct slice body)
{
    char name[IDENTITY_NAME_BYTES], text[8192];
    identity_name(run, peer->other, name);
    int bytes = snprintf(text, sizeof text,
                         "<message to='%s@" HOST "' type='chat' id='%llu'><body>%.*s</body>"
                         "</message>%s",
                         name, (unsigned long long)peer->sent, (int)body.bytes,
                         (const char *)body.at, run->acknowledges ? "<r " SM "/>" : "");
    uint8_t *at = bytes_room(&peer->out, (size_t)bytes);
    if (at == NULL)
        return;
    memcpy(at, text, (size_t)bytes);
    peer->out.bytes += (size_t)bytes;
}

static void xmpp_finish(struct run *run, struct peer *peer)
{
    (void)run;
    (void)peer;
}

const struct driver driver_xmpp = {.name = "xmpp",
                                   .pairs = true,
                                   .begin = xmpp_begin,
                                   .pair = xmpp_pair,
                                   .next = xmpp_next_said,
                                   .send = xmpp_send,
                                   .finish = xmpp_finish};
const struct driver driver_xmpp_plain = {.name = "xmpp-plain",
                                         .pairs = true,
                                         .delivery_acknowledges = true,
                                         .begin = xmpp_begin,
                                         .pair = xmpp_pair,
                                         .next = xmpp_next_said,
                                         .send = xmpp_send,
                                         .finish = xmpp_finish};
