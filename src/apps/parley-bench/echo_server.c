/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/echo_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/parley-bench/load.h"

#define EVENTS_MAX 512

static void take(int poll, int listener)
{
    const int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

/* A client that keeps to its window is never ahead of the socket's buffer: send blocks rarely. */
static void echo(int fd)
{
    char bytes[16384];
    ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0 || send(fd, bytes, (size_t)count, MSG_NOSIGNAL) != count)
        (void)close(fd);
}

static _Noreturn void serve(int listener, uint64_t cpu)
{
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    int poll = epoll_create1(EPOLL_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll < 0 || !load_pin(cpu) || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) != 0)
        _exit(1);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                take(poll, listener);
            else
                echo(events[i].data.fd);
        }
    }
}

bool echo_server_open(struct echo_server *echo, uint64_t cpu)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t bytes = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
                listen(listener, 4096) == 0 &&
                getsockname(listener, (struct sockaddr *)&at, &bytes) == 0;
    echo->port = ntohs(at.sin_port);
    echo->pid = open ? fork() : -1;
    if (echo->pid == 0)
        serve(listener, cpu);
    if (listener >= 0)
        (void)close(listener);
    return echo->pid > 0;
}

void echo_server_close(struct echo_server *echo)
{
    (void)kill(echo->pid, SIGKILL);
    (void)waitpid(echo->pid, NULL, 0);
}
