/* SPDX-License-Identifier: Apache-2.0
 * A sleeper and two callers, built with ThreadSanitizer where that is to be had: no call is lost,
 * whatever was put before a call is seen, and one that is awake is not woken. */
#include "base/nap.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ring.h"

#define CALLERS     2
#define ITEMS       20000u
#define DEADLINE_MS 20000

struct scene {
    struct nap nap;
    struct ring rings[CALLERS];
    int wake_fd;
    unsigned wakes[CALLERS];
};

struct caller {
    struct scene *scene;
    unsigned number;
};

static void *call(void *argument)
{
    const struct caller *caller = argument;
    struct scene *scene = caller->scene;
    for (unsigned i = 0; i < ITEMS; i++) {
        while (ring_put(&scene->rings[caller->number], &i) != STATUS_OK)
            (void)sched_yield();
        if (!nap_call(&scene->nap))
            continue;
        uint64_t one = 1;
        scene->wakes[caller->number]++;
        if (write(scene->wake_fd, &one, sizeof one) != sizeof one)
            abort();
    }
    return NULL;
}

/* False: nobody woke it in time, though there is more to come. */
static bool sleep_once(struct scene *scene)
{
    struct pollfd watch = {.fd = scene->wake_fd, .events = POLLIN};
    bool awaited = true;
    if (nap_begin(&scene->nap))
        awaited = poll(&watch, 1, DEADLINE_MS) == 1;
    uint64_t wakes;
    if (awaited && watch.revents != 0)
        awaited = read(scene->wake_fd, &wakes, sizeof wakes) == sizeof wakes;
    (void)nap_end(&scene->nap);
    return awaited;
}

static int alone(void)
{
    struct nap nap = {0};
    int wrong = nap_call(&nap) || nap_call(&nap); /* awake: nobody wakes it */
    wrong |= nap_begin(&nap);                     /* called: it does not sleep */
    wrong |= !nap_end(&nap) || nap_end(&nap);     /* told once */
    wrong |= !nap_begin(&nap);
    wrong |= !nap_call(&nap) || nap_call(&nap); /* asleep: woken once */
    wrong |= !nap_end(&nap) || nap_call(&nap);
    return wrong;
}

int main(void)
{
    struct scene scene = {.wake_fd = eventfd(0, EFD_CLOEXEC)};
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    unsigned next[CALLERS] = {0}, item;
    int wrong = alone();
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){&scene, i};
        if (ring_open(&scene.rings[i], 64, sizeof item) != STATUS_OK ||
            pthread_create(&threads[i], NULL, call, &callers[i]) != 0)
            return 1;
    }
    while (!wrong && (next[0] < ITEMS || next[1] < ITEMS)) {
        if (!sleep_once(&scene)) {
            printf("a call was lost at %u, %u\n", next[0], next[1]);
            _Exit(1); /* the callers may wait for ever for room */
        }
        for (unsigned i = 0; i < CALLERS; i++)
            while (ring_take(&scene.rings[i], &item))
                wrong |= item != next[i]++;
    }
    if (wrong)
        _Exit(1);
    for (unsigned i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
        ring_close(&scene.rings[i]);
    }
    (void)close(scene.wake_fd);
    return 0;
}
