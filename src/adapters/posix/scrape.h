/* SPDX-License-Identifier: Apache-2.0
 * scrape.h: the page of metrics: GET /metrics over http on an address of its own, one client after
 * the other, by a thread of its own that asks the admin socket of the same process ("metrics").
 * It is for the machine itself: the caller sees to it that the address is loopback, or that its
 * operator said otherwise. Nothing else is served, nothing of a request is kept.
 * Owner: opened and closed by one thread. Bounds: SCRAPE_HEAD_BYTES of a request, SCRAPE_SECONDS to
 * say it and to take the answer, ADMIN_ANSWER_BYTES of that. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SCRAPE_HEAD_BYTES 4096u
#define SCRAPE_SECONDS    2

struct posix_scrape {
    int listen_fd, stop_fd;
    uint16_t port;
    const char *folder; /* of the admin socket */
    char *answer;
    pthread_t thread;
    bool started;
};

/* `address`: 16 bytes, IPv4 mapped; port 0: the kernel picks one. `folder` stands until close. IO
 * and a text. */
MUST_USE enum status posix_scrape_open(struct posix_scrape *scrape, const uint8_t address[16],
                                       uint16_t port, const char *folder, struct failure *failure);
void posix_scrape_close(struct posix_scrape *scrape); /* tolerates a zeroed one */
