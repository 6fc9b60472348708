/* SPDX-License-Identifier: Apache-2.0
 * fan: the raw baseline of a group: each frame that one connection sends is written by a bare
 * server to all members, one write each. Closed loop: at most `in flight` frames under way. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/parley-bench/echo_server.h"
#include "apps/parley-bench/load.h"
#include "apps/parley-bench/server.h"
#include "apps/parley-bench/subcommands.h"
#include "base/memory.h"

#define MEMBERS_MAX 10000u
#define FLIGHT_MAX  64u
#define EVENTS_MAX  512

struct fan {
    int sender, poll;
    int members[MEMBERS_MAX];
    uint64_t bytes[MEMBERS_MAX]; /* that came to each */
    uint32_t count;
    uint64_t body, window, sent, done, counted; /* frames; counted: deliveries within the window */
    uint64_t sent_us[FLIGHT_MAX], left[FLIGHT_MAX], begin_us; /* left: members without it */
    struct histogram delivery;
};

static int reach(uint16_t port)
{
    const int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* Members first: connections are taken in order, so when the sender's is, theirs are. */
static bool fan_open(struct fan *fan, uint16_t port)
{
    fan->poll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; fan->poll >= 0 && i < fan->count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        fan->members[i] = reach(port);
        if (fan->members[i] < 0 ||
            epoll_ctl(fan->poll, EPOLL_CTL_ADD, fan->members[i], &event) != 0)
            return false;
    }
    fan->sender = reach(port);
    return fan->sender >= 0;
}

static void fan_close(struct fan *fan)
{
    for (uint32_t i = 0; i < fan->count; i++)
        if (fan->members[i] >= 0)
            (void)close(fan->members[i]);
    if (fan->sender >= 0)
        (void)close(fan->sender);
    if (fan->poll >= 0)
        (void)close(fan->poll);
}

static bool frames_send(struct fan *fan)
{
    char body[4096];
    memset(body, '.', fan->body);
    while (fan->done < fan->sent && fan->left[fan->done % FLIGHT_MAX] == 0)
        fan->done++;
    while (fan->sent - fan->done < fan->window) {
        fan->left[fan->sent % FLIGHT_MAX] = fan->count;
        fan->sent_us[fan->sent++ % FLIGHT_MAX] = bench_now_us();
        if (send(fan->sender, body, fan->body, MSG_NOSIGNAL) != (ssize_t)fan->body)
            return false;
    }
    return true;
}

static bool member_read(struct fan *fan, uint32_t member)
{
    char bytes[16384];
    ssize_t count = recv(fan->members[member], bytes, sizeof bytes, MSG_DONTWAIT);
    if (count <= 0)
        return count < 0 && errno == EAGAIN;
    uint64_t before = fan->bytes[member] / fan->body, now_us = bench_now_us();
    fan->bytes[member] += (uint64_t)count;
    for (uint64_t frame = before; frame < fan->bytes[member] / fan->body; frame++) {
        fan->left[frame % FLIGHT_MAX]--;
        if (now_us < fan->begin_us)
            continue;
        fan->counted++;
        histogram_add(&fan->delivery, now_us - fan->sent_us[frame % FLIGHT_MAX]);
    }
    return true;
}

static bool turns_until(struct fan *fan, uint64_t until_us)
{
    struct epoll_event events[EVENTS_MAX];
    while (bench_now_us() < until_us) {
        if (!frames_send(fan))
            return false;
        int count = epoll_wait(fan->poll, events, EVENTS_MAX, 1000);
        if (count == 0)
            errno = ETIMEDOUT;
        if (count <= 0 && errno != EINTR)
            return false;
        for (int i = 0; i < count; i++)
            if (!member_read(fan, events[i].data.u32))
                return false;
    }
    return true;
}

static bool measure(struct fan *fan, const struct options *options, pid_t server,
                    struct report *report, bool *bound)
{
    static const char *const names[7] = {"delivery_p50_us", "delivery_p90_us",  "delivery_p95_us",
                                         "delivery_p99_us", "delivery_p999_us", "delivery_max_us",
                                         "deliveries"};
    struct server_use before, after;
    fan->begin_us = bench_now_us() + options->numbers[OPTION_WARMUP] * 1000000;
    bool done = turns_until(fan, fan->begin_us) && server_read(server, &before);
    double client_s = bench_cpu_s();
    uint64_t from_us = bench_now_us();
    done = done && turns_until(fan, from_us + options->numbers[OPTION_SECONDS] * 1000000) &&
           server_read(server, &after);
    double wall_s = (double)(bench_now_us() - from_us) / 1e6;
    if (!done)
        return false;
    report_count(report, "fanout", fan->count);
    report_count(report, "in_flight", fan->window);
    report_count(report, "body_bytes", fan->body);
    report_number(report, "rate", (double)fan->counted / wall_s);
    report_number(report, "per_server_cpu_s",
                  (double)fan->counted / (after.cpu_user_s + after.cpu_system_s -
                                          before.cpu_user_s - before.cpu_system_s + 1e-9));
    *bound = report_client(report, (bench_cpu_s() - client_s) / wall_s);
    report_histogram(report, names, &fan->delivery);
    return true;
}

enum bench_exit fan_run(const struct options *options)
{
    static struct fan fan;
    static struct report report;
    struct echo_server server;
    bool bound = false;
    fan.count = (uint32_t)options->numbers[OPTION_FANOUT];
    fan.window = options->numbers[OPTION_IN_FLIGHT];
    fan.body = options->numbers[OPTION_BODY];
    fan.sender = fan.poll = -1;
    for (uint32_t i = 0; i < fan.count; i++)
        fan.members[i] = -1;
    if (fan.window > FLIGHT_MAX) {
        (void)fprintf(stderr, "parley-bench: --in-flight: give a number from 1 to %u\n",
                      FLIGHT_MAX);
        return BENCH_USAGE;
    }
    if (!fan_server_open(&server, options->numbers[OPTION_SERVER_CPU], fan.body)) {
        (void)fputs("parley-bench: the fan server does not start\n", stderr);
        return BENCH_ERROR;
    }
    report_begin(&report, options);
    bool done = load_pin(options->numbers[OPTION_CLIENT_CPU]) && fan_open(&fan, server.port) &&
                measure(&fan, options, server.pid, &report, &bound);
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n", strerror(errno));
    fan_close(&fan);
    echo_server_close(&server);
    if (!done || !report_end(&report, options) || !report_hdr(options, &fan.delivery))
        return BENCH_ERROR;
    return bound ? BENCH_REFUSED : BENCH_OK;
}
