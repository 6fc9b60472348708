/* SPDX-License-Identifier: Apache-2.0
 * ws_echo.h: the smallest server over src/wire: it takes an upgrade and says every message again.
 * What is refused is refused by wire alone. Owner: one thread, which turns it. */
#pragma once

#include "adapters/epoll/epoll.h"

#define WS_ECHO_MESSAGE_MAX (1u << 20)

struct ws_echo {
    struct epoll net;
    struct ws_echo_conn *conns;
    uint32_t conns_max;
};

void ws_echo_open(struct ws_echo *echo, uint32_t conns_max);
void ws_echo_close(struct ws_echo *echo);
/* True if anything happened. */
bool ws_echo_turn(struct ws_echo *echo);
