/* SPDX-License-Identifier: Apache-2.0
 * waker.h: how an adapter's thread tells a sleeping shard that a completion waits for its poll.
 * Given to adapters at open; safe to call from any thread; many calls may end in one wake. */
#pragma once

struct waker {
    const struct waker_vtable *vtable;
};

struct waker_vtable {
    void (*wake)(struct waker *waker);
};

static inline void waker_wake(struct waker *waker)
{
    if (waker)
        waker->vtable->wake(waker);
}
