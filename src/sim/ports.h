/* SPDX-License-Identifier: Apache-2.0
 * ports.h: the small ports of one simulated process: its clock, its entropy and its slow hash.
 * The monotonic clock is the loop's time and never falls; wall time stands beside it by an offset
 * that may jump. Entropy is a seed's. A password's hash is cheap to compute and late to come.
 * Owner: one thread. Bounds: SIM_PASSWORDS_MAX hashes under way, then BUSY. */
#pragma once

#include "base/prng.h"
#include "ports/clock.h"
#include "ports/entropy.h"
#include "ports/password.h"
#include "sim/loop.h"

#define SIM_EPOCH_US      UINT64_C(1700000000000000) /* the world begins in November 2023 */
#define SIM_PASSWORDS_MAX 16u

struct sim_clock {
    struct clock_port clock; /* first */
    const struct sim_loop *loop;
    int64_t offset_us; /* of wall time */
};

struct sim_entropy {
    struct entropy entropy; /* first */
    struct prng prng;
};

struct sim_password {
    struct password_port port; /* first */
    struct sim_loop *loop;
    uint32_t who;
    uint64_t delay_us;
    struct {
        bool used;
        uint64_t due_us;
        struct password_done done;
    } jobs[SIM_PASSWORDS_MAX];
};

void sim_clock_open(struct sim_clock *clock, const struct sim_loop *loop);
void sim_entropy_open(struct sim_entropy *entropy, uint64_t seed);
void sim_password_open(struct sim_password *password, struct sim_loop *loop, uint32_t who,
                       uint64_t delay_us);
