/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/stops.h"

#include <sys/signalfd.h>
#include <unistd.h>

void stops_open(struct stops *stops)
{
    sigset_t ours;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, NULL, &stops->before);
    stops->fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (stops->fd >= 0)
        (void)sigprocmask(SIG_BLOCK, &ours, NULL);
}

int stops_take(struct stops *stops)
{
    struct signalfd_siginfo came;
    if (stops->fd < 0 || read(stops->fd, &came, sizeof came) != (ssize_t)sizeof came)
        return 0;
    return (int)came.ssi_signo;
}

void stops_close(struct stops *stops)
{
    if (stops->fd >= 0)
        (void)close(stops->fd);
    stops->fd = -1;
    (void)sigprocmask(SIG_SETMASK, &stops->before, NULL);
}
