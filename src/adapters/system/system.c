/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/system/system.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/assert.h"

static uint64_t read_us(clockid_t clock)
{
    struct timespec now;
    int done = clock_gettime(clock, &now);
    assert(done == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct clock_reading system_read(struct clock_port *port)
{
    (void)port;
    return (struct clock_reading){read_us(CLOCK_REALTIME), read_us(CLOCK_MONOTONIC)};
}

static void system_fill(struct entropy *port, uint8_t *out, size_t bytes)
{
    (void)port;
    while (bytes > 0) {
        ssize_t got = getrandom(out, bytes, 0);
        assert(got > 0 || errno == EINTR);
        if (got > 0) {
            out += got;
            bytes -= (size_t)got;
        }
    }
}

struct clock_port *system_clock(void)
{
    static const struct clock_vtable table = {.read = system_read};
    static struct clock_port port = {.vtable = &table};
    return &port;
}

struct entropy *system_entropy(void)
{
    static const struct entropy_vtable table = {.fill = system_fill};
    static struct entropy port = {.vtable = &table};
    return &port;
}
