/* SPDX-License-Identifier: Apache-2.0
 * ws_table.h: the cases of websocket.txt: the bytes that a client says, and the frames it must
 * hear. A line that is not understood ends the program with its number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message is built no further than its verdict needs: past any that is taken. */
#define WS_MESSAGE_BYTES_MAX (5u << 18)
#define WS_EXPECTS_MAX       16u

enum ws_server { WS_ECHO, WS_PARLEYD, WS_SERVERS };

/* `pattern` again and again, as much as makes `bytes`. */
struct ws_payload {
    uint8_t pattern[256];
    size_t pattern_bytes;
    uint64_t bytes;
};

struct ws_expect {
    enum { HEAR_PONG, HEAR_BINARY, HEAR_ERROR, HEAR_CLOSE } kind;
    uint32_t times;
    uint16_t code; /* CLOSE; 0: without one */
    struct ws_payload payload;
};

struct ws_case {
    unsigned line;
    char name[128], offer[128];
    uint8_t *bytes; /* of the frames, masked */
    size_t bytes_count, bytes_capacity, bytes_limit;
    bool slow; /* the client reads little at a time */
    bool cut;  /* a message, at WS_MESSAGE_BYTES_MAX */
    struct ws_expect expects[WS_SERVERS][WS_EXPECTS_MAX];
    unsigned expects_count[WS_SERVERS];
};

struct ws_table {
    struct ws_case *cases;
    size_t count;
};

void ws_table_read(struct ws_table *table, const char *path);
void ws_table_free(struct ws_table *table);

uint8_t ws_payload_at(const struct ws_payload *payload, uint64_t at);
