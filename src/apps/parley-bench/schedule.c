/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/schedule.h"

#define SECOND_US 1000000u

uint64_t schedule_at_us(const struct schedule *schedule, uint64_t message)
{
    uint64_t seconds = message / schedule->rate, rest = message % schedule->rate;
    return schedule->start_us + seconds * SECOND_US + rest * SECOND_US / schedule->rate;
}

uint64_t schedule_due(const struct schedule *schedule, uint64_t now_us)
{
    if (now_us < schedule->start_us)
        return 0;
    uint64_t passed = now_us - schedule->start_us;
    uint64_t due =
        passed / SECOND_US * schedule->rate + passed % SECOND_US * schedule->rate / SECOND_US + 1;
    while (due > 0 && schedule_at_us(schedule, due - 1) > now_us)
        due--;
    while (schedule_at_us(schedule, due) <= now_us)
        due++;
    return due > schedule->next ? due - schedule->next : 0;
}
