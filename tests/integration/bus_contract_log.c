/* SPDX-License-Identifier: Apache-2.0
 * The log as a bus, on the simulated disk. */
#include "bus_contract.h"

#include <string.h>

#include "adapters/log/log.h"
#include "base/assert.h"
#include "sim/disk.h"

static struct disk disk;
static struct log bus_log;
static uint64_t now_us;

static struct clock_reading clock_read(struct clock_port *port)
{
    (void)port;
    return (struct clock_reading){.wall_us = 1700000000000000u + now_us, .mono_us = now_us};
}

static void entropy_fill(struct entropy *port, uint8_t *out, size_t bytes)
{
    (void)port;
    memset(out, 7, bytes);
}

static const struct clock_vtable clock_table = {.read = clock_read};
static const struct entropy_vtable entropy_table = {.fill = entropy_fill};
static struct clock_port clock_port = {&clock_table};
static struct entropy entropy = {&entropy_table};

static struct bus *start(void)
{
    struct log_options options = log_options_default();
    options.folder = "log";
    options.segment_bytes = 4u << 20;
    options.segments_max = 32;
    enum status status = log_open(&bus_log, &disk.port, &clock_port, &entropy, &options);
    assert(status == STATUS_OK);
    while (bus_log.state == LOG_RECOVERING)
        contract_bus_turn();
    return &bus_log.bus;
}

struct bus *contract_bus_open(void)
{
    const struct disk_options options = {.latency_max_us = 500, .sync_max_us = 2000};
    disk_init(&disk, &options, 3);
    return start();
}

void contract_bus_close(void)
{
    disk_deinit(&disk);
    log_close(&bus_log);
}

void contract_bus_turn(void)
{
    now_us += 500;
    disk_advance(&disk, now_us);
    log_turn(&bus_log);
}

struct bus *contract_bus_restart(void)
{
    disk_crash(&disk);
    log_close(&bus_log);
    return start();
}
