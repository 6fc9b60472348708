/* SPDX-License-Identifier: Apache-2.0
 * device.h: a device of the simulated world: a real client's mind (client.h) and a host that does
 * what a host must: one transaction, then frames, then notices; a WebSocket over the simulated
 * network; a profile that outlives kills. What it saw goes into the history (observer.h).
 * Invariants: after a kill only committed rows remain; an event of the history is written when the
 * transaction that makes it true is committed, never before.
 * Owner: one thread. Bounds: SIM_OUT_BYTES of output, FRAME_BYTES_MAX of one message. */
#pragma once

#include "client/client.h"
#include "ports/cstore.h"
#include "runtime/gateway.h"
#include "sim/net.h"
#include "sim/observer.h"
#include "sim/ports.h"
#include "wire/ws.h"

#define SIM_OUT_BYTES      (4u << 20) /* 64 sends of 16 KiB, and those turned away before */
#define SIM_USERNAME_BYTES 16u
#define SIM_COMMANDS_MAX   256u
#define SIM_TEXT_BYTES_MAX 16384u

/* Where in a step a kill strikes, or what fails instead. */
enum sim_kill {
    SIM_KILL_NONE,
    SIM_KILL_BEFORE_STORE,
    SIM_KILL_AFTER_STORE,
    SIM_KILL_AFTER_FRAMES,
    SIM_FAIL_STORE, /* the transaction fails: the mind begins anew from its rows */
};

enum sim_device_power {
    SIM_DEVICE_OFF, /* killed, or not begun */
    SIM_DEVICE_ON,
    SIM_DEVICE_GONE, /* signed out and wiped */
};

struct sim_device {
    uint32_t who, number, server; /* server: the process it connects to */
    enum sim_device_power power;
    struct sim_loop *loop;
    struct sim_marks *marks;
    struct observer observer;
    struct cstore *store;
    struct sim_net net;
    struct sim_clock clock;
    struct prng prng; /* entropy, masks */
    struct client client;
    bool client_open;
    struct arena arena; /* of one step */
    uint64_t wake_ms;

    net_conn conn;
    bool connected, upgraded, connecting, sending;
    bool deaf, offline; /* reads nothing; cannot connect */
    struct ws ws;
    uint8_t *out, *flying, *message;
    size_t out_bytes, message_bytes;

    enum sim_kill kill; /* in `kill_in` steps */
    uint32_t kill_in;

    /* the person before it */
    char username[SIM_USERNAME_BYTES];
    enum pb_client_state state;
    uint32_t next_request;
    uint32_t awaited; /* request of an enrolment or a sign-out under way; 0: none */
    uint32_t awaited_error;
    uint64_t texts, asked, sent;         /* composed; SEND frames; acknowledged */
    bool known;                          /* it was enrolled once */
    uint32_t commands[SIM_COMMANDS_MAX]; /* asked since it started, not answered yet */
    uint32_t commands_count;
    const char *wrong; /* what must not happen to an honest device; NULL */
};

struct sim_device_options {
    uint32_t who, number, server;
    const char *username;
    uint64_t seed;
    struct cstore *store;
};

/* A device that is off. BUSY: no memory. */
MUST_USE enum status sim_device_open(struct sim_device *device, struct sim_wires *wires,
                                     struct history *history,
                                     const struct sim_device_options *options);
void sim_device_close(struct sim_device *device); /* tolerates a zeroed one */

/* The process starts from its rows. t_copy_us > 0: they are a copy made then. */
void sim_device_start(struct sim_device *device, uint64_t t_copy_us);
void sim_device_kill(struct sim_device *device, bool power);

/* What is due: bytes of the network, the mind's timer. */
void sim_device_turn(struct sim_device *device);

/* The person wants something; the answer comes by notice (person.c). */
void sim_device_command(struct sim_device *device, struct pb_event_command *command);
void sim_device_send(struct sim_device *device, const char *username, size_t bytes);
void sim_device_read(struct sim_device *device, const uint8_t chat[ID_BYTES], uint64_t upto);
/* One of the small ones, by turns: devices, marks of a chat, an invite, the password (which stays
 * the same), the chat with a person. */
void sim_device_ask(struct sim_device *device, uint64_t which, const char *username);
/* The answer to it is awaited: sign up or in; sign another device of the account out. */
void sim_device_enrol(struct sim_device *device, bool registers);
void sim_device_sign_out(struct sim_device *device, const uint8_t other[ID_BYTES]);

/* What is not settled, in words; NULL: it is connected, and wants nothing more. */
const char *sim_device_owed(const struct sim_device *device);
