/* SPDX-License-Identifier: Apache-2.0
 * system.h: the clock and entropy ports on the kernel. Stateless; any thread. */
#pragma once

#include "ports/clock.h"
#include "ports/entropy.h"

/* CLOCK_REALTIME for people, CLOCK_MONOTONIC for timers: two vDSO reads. */
struct clock_port *system_clock(void);

/* getrandom(2); without randomness the process stops. */
struct entropy *system_entropy(void);
