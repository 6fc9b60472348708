/* SPDX-License-Identifier: Apache-2.0
 * stops.h: the signals that end a program (SIGINT, SIGTERM, SIGHUP) as something to wait for, so
 * that a terminal is put right before it dies of one. No handler, no global. Owner: one thread, the
 * only one that may take signals. */
#pragma once

#include <signal.h>

struct stops {
    int fd; /* readable: one came. -1: no descriptor was left, they end the program at once */
    sigset_t before;
};

void stops_open(struct stops *stops);
int stops_take(struct stops *stops);   /* the signal that came; 0: none */
void stops_close(struct stops *stops); /* as before; one taken is raised by the caller */
