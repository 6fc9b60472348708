/* SPDX-License-Identifier: Apache-2.0
 * caller_rig.h: a client without a mind, for what no mind would send: raw bytes and single frames
 * over a real socket to a node_rig, signed in with real keys where the test wants it.
 * Invariants: PONGs and echoes are counted, and must come in their order; every other frame is
 * kept. */
#pragma once

#include "node_rig.h"
#include "wire/gen/frame.pb.h"

#define CALLER_FRAMES_MAX 4096u
#define CALLER_BYTES_MAX  (8u << 20)

struct caller {
    struct node *node;
    struct caller *next; /* of those who are open */
    uint64_t tag;
    net_conn conn;
    bool connected, upgraded, gone, sending;
    bool deaf;         /* reads nothing from its socket */
    uint8_t *out, *in; /* waits to be sent; was heard and is no whole frame yet */
    size_t out_at, out_bytes, in_bytes;
    struct slice flying, unheard;
    struct arena arena; /* what was heard */
    struct pb_frame frames[CALLER_FRAMES_MAX];
    size_t frames_count;
    uint64_t pongs;      /* of PING{t = 1, 2, 3 …} */
    uint64_t echoes;     /* of WebSocket pings that begin with 1, 2, 3 … */
    uint16_t close_code; /* of the server's close frame; 0: none yet */
    char head[16];       /* how the HTTP answer begins */

    struct tls *tls; /* NULL: it speaks in plain; set by caller_open_tls */
    struct tls_session *session;
    struct buf sealed; /* what leaves next */

    uint8_t user[ID_BYTES], device[ID_BYTES];
    uint8_t device_secret[64], device_public[32];
    uint8_t nonce[32];
    uint64_t conn_number, useq;
    uint32_t log_epoch;
};

/* Keys of an account: its device lists so far. */
struct caller_account {
    uint8_t user[ID_BYTES], aik[32], aik_secret[64], dsk[32], dsk_secret[64], hash[32];
    char name[16];
    uint32_t n;
    struct {
        uint8_t id[ID_BYTES], key[32];
        uint32_t added_n;
    } devices[8];
    size_t devices_count;
};

/* Connected when it returns; tag ≥ 1, unique among the callers of a node. */
void caller_open(struct caller *caller, struct node *node, uint64_t tag);
/* The same under TLS; the handshake goes on with the turns. */
void caller_open_tls(struct caller *caller, struct node *node, uint64_t tag, struct tls *tls);
void caller_close(struct caller *caller);
void caller_again(struct caller *caller);   /* a new connection of the same device */
void caller_listen(struct caller *caller);  /* deaf no more */
void caller_upgrade(struct caller *caller); /* and is welcomed */

void caller_bytes(struct caller *caller, struct slice bytes);
void caller_message(struct caller *caller, struct slice payload); /* a masked binary message */
void caller_frame(struct caller *caller, const struct pb_frame *frame);
void caller_ping(struct caller *caller, uint64_t t);
/* A ping of the WebSocket itself, as large as they may be. */
void caller_echo(struct caller *caller, uint64_t number);

/* One turn of the node and of the sockets of all who are open. */
void callers_turn(void);

/* The newest frame, which must be of this body; or the count of such frames. */
const struct pb_frame *caller_last(const struct caller *caller, enum pb_frame_body body);
size_t caller_count(const struct caller *caller, enum pb_frame_body body);

/* Turn until the condition holds, or fail with the line. */
#define HEAR(condition)                                                 \
    do {                                                                \
        int heard_turns = 0;                                            \
        for (; heard_turns < NODE_TURNS && !(condition); heard_turns++) \
            callers_turn();                                             \
        if (heard_turns == NODE_TURNS)                                  \
            fail_msg("line %d: never heard: %s", __LINE__, #condition); \
    } while (0)

/* ---- signing in ---- */
struct pb_frame caller_hello_frame(struct caller *caller, uint64_t useq, uint8_t sig[64]);
void caller_hello(struct caller *caller, uint64_t useq); /* READY when it returns */
/* REGISTER, the first device list, HELLO. */
void caller_sign_up(struct caller *caller, struct caller_account *account, const char *name);
/* The account's next list: with this device more, or without that one (either may be NULL). */
struct slice caller_list(struct caller_account *account, struct arena *arena,
                         const struct caller *more, const struct caller *less);
/* The direct chat of two, whose id goes to `chat`. */
struct pb_frame caller_create_frame(struct caller *owner, const struct caller *with,
                                    uint8_t chat[ID_BYTES]);
/* A small message, in the name of `device`; its mid is the text CALLER_MID with the counter. */
struct pb_frame caller_send_frame(struct caller *from, const uint8_t chat[ID_BYTES],
                                  const uint8_t device[ID_BYTES], uint64_t sctr);
#define CALLER_MID      "MIDTRACE%08u"
#define CALLER_PASSWORD "correct horse battery staple"
