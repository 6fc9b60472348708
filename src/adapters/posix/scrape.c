/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/scrape.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "adapters/posix/admin.h"
#include "base/memory.h"

#define ANSWER_BYTES (ADMIN_ANSWER_BYTES + 64u)

static void send_all(int fd, const char *at, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return;
        at += sent;
        bytes -= (size_t)sent;
    }
}

static void answer(int fd, const char *status, const char *text)
{
    char head[256];
    int bytes = snprintf(head, sizeof head,
                         "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                         "X-Content-Type-Options: nosniff\r\nContent-Length: %zu\r\n"
                         "Connection: close\r\n\r\n",
                         status, strlen(text));
    send_all(fd, head, (size_t)bytes);
    send_all(fd, text, strlen(text));
    (void)shutdown(fd, SHUT_WR);
}

/* The whole head of a request, so that nothing unread makes the kernel reset the answer away. */
static bool head_read(int fd, char head[SCRAPE_HEAD_BYTES])
{
    size_t at = 0;
    while (at + 1 < SCRAPE_HEAD_BYTES) {
        ssize_t got = recv(fd, head + at, SCRAPE_HEAD_BYTES - 1 - at, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
        head[at] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static void serve_one(struct posix_scrape *scrape, int fd)
{
    struct timeval limit = {.tv_sec = SCRAPE_SECONDS};
    struct failure failure = {0};
    char head[SCRAPE_HEAD_BYTES];
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!head_read(fd, head))
        return;
    if (strncmp(head, "GET ", 4) != 0)
        answer(fd, "405 Method Not Allowed", "only GET is understood\n");
    else if (strncmp(head, "GET /metrics HTTP/1.", 20) != 0)
        answer(fd, "404 Not Found", "only /metrics is here\n");
    else if (posix_admin_ask(scrape->folder, "metrics", scrape->answer, ANSWER_BYTES, &failure) !=
                 STATUS_OK ||
             strncmp(scrape->answer, "ok\n", 3) != 0)
        answer(fd, "503 Service Unavailable", "the server does not answer\n");
    else
        answer(fd, "200 OK", scrape->answer + 3);
}

static void *scrape_thread(void *argument)
{
    struct posix_scrape *scrape = argument;
    for (;;) {
        struct pollfd wait[] = {{.fd = scrape->listen_fd, .events = POLLIN},
                                {.fd = scrape->stop_fd, .events = POLLIN}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if ((wait[1].revents & POLLIN) != 0)
            return NULL;
        if ((wait[0].revents & POLLIN) == 0)
            continue;
        int fd = accept4(scrape->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve_one(scrape, fd);
        (void)close(fd);
    }
}

static enum status socket_open(struct posix_scrape *scrape, const uint8_t address[16],
                               uint16_t port, struct failure *failure)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    socklen_t bytes = sizeof name;
    int off = 0, on = 1;
    memcpy(&name.sin6_addr, address, 16);
    scrape->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    scrape->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (scrape->listen_fd < 0 || scrape->stop_fd < 0 ||
        setsockopt(scrape->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
        setsockopt(scrape->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(scrape->listen_fd, (struct sockaddr *)&name, sizeof name) != 0 ||
        listen(scrape->listen_fd, 8) != 0 ||
        getsockname(scrape->listen_fd, (struct sockaddr *)&name, &bytes) != 0)
        return failure_set(failure, STATUS_IO,
                           "the page of metrics cannot have port %u: %s; give another "
                           "metrics_listen",
                           port, strerror(errno));
    scrape->port = ntohs(name.sin6_port);
    return STATUS_OK;
}

enum status posix_scrape_open(struct posix_scrape *scrape, const uint8_t address[16], uint16_t port,
                              const char *folder, struct failure *failure)
{
    *scrape = (struct posix_scrape){.folder = folder, .listen_fd = -1, .stop_fd = -1};
    scrape->answer = memory_alloc(ANSWER_BYTES);
    if (scrape->answer == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory for the page of metrics");
    enum status status = socket_open(scrape, address, port, failure);
    if (status == STATUS_OK && pthread_create(&scrape->thread, NULL, scrape_thread, scrape) != 0)
        status = failure_set(failure, STATUS_IO, "no thread for the page of metrics");
    scrape->started = status == STATUS_OK;
    if (status != STATUS_OK)
        posix_scrape_close(scrape);
    return status;
}

void posix_scrape_close(struct posix_scrape *scrape)
{
    if (scrape->answer == NULL)
        return;
    if (scrape->started) {
        uint64_t one = 1;
        (void)!write(scrape->stop_fd, &one, sizeof one);
        (void)pthread_join(scrape->thread, NULL);
    }
    if (scrape->listen_fd >= 0)
        (void)close(scrape->listen_fd);
    if (scrape->stop_fd >= 0)
        (void)close(scrape->stop_fd);
    memory_free(scrape->answer);
    *scrape = (struct posix_scrape){0};
}
