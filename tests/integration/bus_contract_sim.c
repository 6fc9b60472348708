/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_contract.h"

#include "sim/bus.h"

static struct sim_bus bus;

static struct bus *start(void)
{
    for (uint32_t i = 0; i < bus.options.partitions; i++) {
        sim_bus_assign(&bus, TOPIC_MESSAGES, i, 2);
        sim_bus_assign(&bus, TOPIC_DELIVERIES, i, 2);
        sim_bus_assign(&bus, TOPIC_QUARANTINE, i, 2);
    }
    return sim_bus_port(&bus, 2);
}

struct bus *contract_bus_open(void)
{
    const struct sim_bus_options options = {.partitions = 3,
                                            .land_min_us = 100,
                                            .land_max_us = 5000,
                                            .report_max_us = 2000,
                                            .redelivered = 0};
    sim_bus_init(&bus, &options, 4);
    return start();
}

void contract_bus_close(void)
{
    sim_bus_deinit(&bus);
}

void contract_bus_turn(void)
{
    sim_bus_advance(&bus, bus.now_us + 500);
}

struct bus *contract_bus_restart(void)
{
    sim_bus_crash(&bus, 2);
    return start();
}
