/* SPDX-License-Identifier: Apache-2.0
 * entropy.h: unpredictable bytes (getrandom), or a seed's in the simulator. Cannot fail: an adapter
 * that gets none stops the process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct entropy {
    const struct entropy_vtable *vtable;
};

struct entropy_vtable {
    void (*fill)(struct entropy *, uint8_t *out, size_t bytes);
};
