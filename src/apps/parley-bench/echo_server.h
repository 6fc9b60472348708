/* SPDX-License-Identifier: Apache-2.0
 * echo_server.h: the baseline's other end: a process of its own, one thread, level-triggered epoll,
 * one recv and one send a readiness. It ends with its parent. The fan server writes each whole
 * frame of one connection to all others, one send each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct echo_server {
    pid_t pid;
    uint16_t port;
};

/* cpu: OPTION_UNSET, or where to stay. */
bool echo_server_open(struct echo_server *echo, uint64_t cpu);
bool fan_server_open(struct echo_server *echo, uint64_t cpu, uint64_t frame_bytes);
void echo_server_close(struct echo_server *echo);
