/* SPDX-License-Identifier: Apache-2.0
 * clock.h: the two clocks, read once per turn by the runtime and handed on inside events. */
#pragma once

#include <stdint.h>

struct clock_reading {
    uint64_t wall_us; /* since 1970; may jump; for people only */
    uint64_t mono_us; /* never falls; timers */
};

struct clock_port {
    const struct clock_vtable *vtable;
};

struct clock_vtable {
    struct clock_reading (*read)(struct clock_port *);
};
