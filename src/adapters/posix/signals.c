/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/signals.h"

#include <unistd.h>

static void *signals_thread(void *argument)
{
    struct posix_signals *signals = argument;
    for (;;) {
        int number;
        if (sigwait(&signals->set, &number) != 0)
            continue;
        if (number == SIGUSR2) /* posix_signals_close */
            return NULL;
        if (number == SIGHUP && signals->hup_apart) {
            atomic_store(&signals->hup, true);
            waker_wake(atomic_load(&signals->waker));
            continue;
        }
        if (atomic_exchange(&signals->asked, number) != 0)
            _exit(128 + number);
        waker_wake(atomic_load(&signals->waker));
    }
}

enum status posix_signals_open(struct posix_signals *signals, bool hup_apart)
{
    atomic_init(&signals->asked, 0);
    atomic_init(&signals->waker, NULL);
    atomic_init(&signals->hup, false);
    signals->started = false;
    signals->hup_apart = hup_apart;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_DFL); /* a shell may have started us deaf to it */
    (void)sigemptyset(&signals->set);
    (void)sigaddset(&signals->set, SIGTERM);
    (void)sigaddset(&signals->set, SIGINT);
    (void)sigaddset(&signals->set, SIGHUP);
    (void)sigaddset(&signals->set, SIGUSR2);
    if (pthread_sigmask(SIG_BLOCK, &signals->set, NULL) != 0 ||
        pthread_create(&signals->thread, NULL, signals_thread, signals) != 0)
        return STATUS_IO;
    signals->started = true;
    return STATUS_OK;
}

void posix_signals_wake(struct posix_signals *signals, struct waker *waker)
{
    atomic_store(&signals->waker, waker);
}

bool posix_signals_hup_take(struct posix_signals *signals)
{
    return atomic_exchange(&signals->hup, false);
}

int posix_signals_asked(struct posix_signals *signals)
{
    return atomic_load(&signals->asked);
}

void posix_signals_close(struct posix_signals *signals)
{
    if (!signals->started)
        return;
    (void)pthread_kill(signals->thread, SIGUSR2);
    (void)pthread_join(signals->thread, NULL);
    signals->started = false;
}
