/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/swarm.h"

#include <string.h>

#define GRACE_US 1000000u

struct choice {
    enum sim_mark mark;
    uint32_t enabled;    /* of 1000 seeds */
    uint32_t weight_max; /* of 1000 acts, about */
};

static const struct choice choices[] = {
    {SIM_MARK_BURST, 500, 6},
    {SIM_MARK_OFFLINE, 500, 10},
    {SIM_MARK_NET_RESET, 500, 15},
    {SIM_MARK_NET_HALF_OPEN, 300, 4},
    {SIM_MARK_NET_SLOW, 400, 10},
    {SIM_MARK_NET_DEAF, 400, 4},
    {SIM_MARK_DEVICE_KILL, 500, 10},
    {SIM_MARK_KILL_BEFORE_STORE, 400, 6},
    {SIM_MARK_KILL_AFTER_STORE, 500, 8},
    {SIM_MARK_KILL_AFTER_FRAMES, 400, 6},
    {SIM_MARK_STORE_ERROR, 300, 4},
    {SIM_MARK_SERVER_KILL, 500, 6},
    {SIM_MARK_DISK_CRASH, 500, 6},
    {SIM_MARK_OLD_COPY, 300, 3},
    {SIM_MARK_SIGN_OUT, 400, 3},
    {SIM_MARK_LATE_DEVICE, 500, 6},
    {SIM_MARK_CLOCK_JUMP, 400, 4},
    {SIM_MARK_DISK_SYNC_ERROR, 200, 4},
    {SIM_MARK_DISK_FULL, 150, 3},
    {SIM_MARK_DISK_SLOW, 200, 3},
    {SIM_MARK_FLEET_HAND_OVER, 500, 12},
};

/* Bounds that a person meets after weeks, met at once; and what is asked beside the talk. */
static void draw_bounds(struct swarm *swarm, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed ^ 0xb0b0b0b0);
    swarm->tail_max = prng_chance(&prng, 300) ? (uint32_t)prng_range(&prng, 5, 100) : 0;
    swarm->window_entries = prng_chance(&prng, 300) ? (uint32_t)prng_range(&prng, 2, 30) : 0;
    swarm->window_bytes = prng_chance(&prng, 300) ? (uint32_t)prng_range(&prng, 1000, 20000) : 0;
    swarm->long_texts = prng_chance(&prng, 300) ? (uint32_t)prng_range(&prng, 1, 30) : 0;
    swarm->ask = prng_chance(&prng, 500) ? (uint32_t)prng_range(&prng, 1, 60) : 0;
    swarm->hot_bytes = prng_chance(&prng, 500) ? (uint32_t)prng_range(&prng, 1000, 30000) : 0;
}

void swarm_draw(struct swarm *swarm, uint64_t seed, uint32_t scale)
{
    struct prng prng;
    prng_init(&prng, seed ^ 0x5eed5eed);
    memset(swarm, 0, sizeof *swarm);
    draw_bounds(swarm, seed);
    swarm->users = (uint32_t)prng_range(&prng, 2, 5);
    swarm->devices = (uint32_t)prng_range(&prng, 1, 3);
    swarm->texts_max = prng_range(&prng, 200, 3800) * scale / 1000;
    swarm->until_us = 240 * UINT64_C(1000000);
    swarm->gap_us = prng_range(&prng, 300, 30000);
    swarm->text_bytes_max = prng_chance(&prng, 200) ? 1000 : 80;
    swarm->password_us = prng_range(&prng, 1000, 200000);
    swarm->limits = prng_chance(&prng, 250);
    swarm->send = (uint32_t)prng_range(&prng, 300, 900);
    swarm->read = prng_chance(&prng, 800) ? (uint32_t)prng_range(&prng, 10, 300) : 0;
    swarm->burst_max = prng_chance(&prng, 300) ? 1000 : 100;
    swarm->net.latency_min_us = prng_range(&prng, 10, 2000);
    swarm->net.latency_max_us = swarm->net.latency_min_us + prng_range(&prng, 0, 50000);
    swarm->net.split = prng_chance(&prng, 500) ? (uint32_t)prng_range(&prng, 1, 500) : 0;
    swarm->net.slow = prng_chance(&prng, 300) ? (uint32_t)prng_range(&prng, 1, 5) : 0;
    swarm->net.slow_max_us = prng_range(&prng, 10000, 5000000);
    swarm->disk = disk_options_cruel();
    swarm->disk.latency_min_us = prng_range(&prng, 5, 100);
    swarm->disk.latency_max_us = swarm->disk.latency_min_us + prng_range(&prng, 0, 2000);
    swarm->disk.sync_min_us = prng_range(&prng, 50, 1000);
    swarm->disk.sync_max_us = swarm->disk.sync_min_us + prng_range(&prng, 0, 30000);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (prng_chance(&prng, choices[i].enabled))
            swarm->weights[choices[i].mark] = (uint32_t)prng_range(&prng, 1, choices[i].weight_max);
    /* what was on its way longer than the checker's grace would look like sent after it (I18) */
    if (swarm->weights[SIM_MARK_SIGN_OUT] > 0 && swarm->net.slow_max_us > GRACE_US)
        swarm->net.slow_max_us = GRACE_US;
}
