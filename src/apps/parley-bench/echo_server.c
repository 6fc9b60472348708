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

#define EVENTS_MAX  512
#define FRAME_MAX   4096u
#define MEMBERS_MAX 20000

struct served {
    int poll, listener;
    uint64_t frame_bytes; /* 0: echo */
    int members[MEMBERS_MAX], count;
};

static void take(struct served *served)
{
    const int one = 1;
    int fd = accept4(served->listener, NULL, NULL, SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || served->count == MEMBERS_MAX)
        return;
    served->members[served->count++] = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)epoll_ctl(served->poll, EPOLL_CTL_ADD, fd, &event);
}

/* A client that keeps to its window is never ahead of the socket's buffer: send blocks rarely. */
static void echo(int fd)
{
    char bytes[16384];
    ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0 || send(fd, bytes, (size_t)count, MSG_NOSIGNAL) != count)
        (void)close(fd);
}

/* A frame is written in one piece, so the rest of it is there or about to be. */
static void fan(const struct served *served, int from)
{
    char bytes[FRAME_MAX];
    ssize_t size = (ssize_t)served->frame_bytes;
    if (recv(from, bytes, served->frame_bytes, MSG_WAITALL) != size) {
        (void)close(from);
        return;
    }
    for (int i = 0; i < served->count; i++)
        if (served->members[i] != from)
            (void)send(served->members[i], bytes, served->frame_bytes, MSG_NOSIGNAL);
}

static _Noreturn void serve(int listener, uint64_t cpu, uint64_t frame_bytes)
{
    static struct served served;
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    int poll = epoll_create1(EPOLL_CLOEXEC);
    served.poll = poll;
    served.listener = listener;
    served.frame_bytes = frame_bytes;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll < 0 || !load_pin(cpu) || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) != 0)
        _exit(1);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                take(&served);
            else if (frame_bytes > 0)
                fan(&served, events[i].data.fd);
            else
                echo(events[i].data.fd);
        }
    }
}

static bool server_open(struct echo_server *echo, uint64_t cpu, uint64_t frame_bytes)
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
        serve(listener, cpu, frame_bytes);
    if (listener >= 0)
        (void)close(listener);
    return echo->pid > 0;
}

bool echo_server_open(struct echo_server *echo, uint64_t cpu)
{
    return server_open(echo, cpu, 0);
}

bool fan_server_open(struct echo_server *echo, uint64_t cpu, uint64_t frame_bytes)
{
    return server_open(echo, cpu, frame_bytes);
}

void echo_server_close(struct echo_server *echo)
{
    (void)kill(echo->pid, SIGKILL);
    (void)waitpid(echo->pid, NULL, 0);
}
