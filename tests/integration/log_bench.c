/* SPDX-License-Identifier: Apache-2.0
 * log-bench [FOLDER]: how fast the log is on this disk: records of 150 bytes, groups of 1, 16 and
 * 256, each group synced and read back before the next is appended. Prints, asserts nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "adapters/log/log.h"
#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "base/memory.h"

#define SECONDS     2u
#define SAMPLES_MAX 100000u
#define RECORD      150u

struct bench {
    struct posix_file file;
    struct log log;
    uint64_t appended, answered, next;
    uint32_t samples_count;
    uint64_t samples[SAMPLES_MAX];
};

static uint64_t now_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

static void turn(struct bench *bench)
{
    static struct bus_event events[512];
    size_t count = bench->log.bus.vtable->poll(&bench->log.bus, events, 512);
    for (size_t i = 0; i < count; i++) {
        bench->answered += events[i].kind == BUS_APPENDED;
        bench->next += events[i].kind == BUS_RECORD;
    }
    if (count == 0)
        posix_file_wait(&bench->file, 1000);
}

static int smaller(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *bench, uint64_t group)
{
    static const uint8_t bytes[RECORD], key[ID_BYTES];
    uint64_t begin_us = now_us(), before = bench->answered, read_us = 0;
    bench->samples_count = 0;
    while (now_us() - begin_us < SECONDS * 1000000u && bench->samples_count < SAMPLES_MAX) {
        uint64_t from_us = now_us();
        for (uint64_t i = 0; i < group; i++)
            if (bench->log.bus.vtable->append(&bench->log.bus, TOPIC_MESSAGES, key,
                                              slice_make(bytes, RECORD), 0) == STATUS_OK)
                bench->appended++;
        while (bench->answered < bench->appended)
            turn(bench);
        bench->samples[bench->samples_count++] = now_us() - from_us;
        while (bench->next < bench->appended)
            turn(bench);
        read_us += now_us() - from_us;
    }
    uint64_t took_us = now_us() - begin_us;
    qsort(bench->samples, bench->samples_count, sizeof bench->samples[0], smaller);
    printf("group %4llu: %8.0f records/s, append to answer p50 %llu us p99 %llu us, "
           "to record mean %llu us\n",
           (unsigned long long)group, (double)(bench->answered - before) * 1e6 / (double)took_us,
           (unsigned long long)bench->samples[bench->samples_count / 2],
           (unsigned long long)bench->samples[bench->samples_count * 99ull / 100],
           (unsigned long long)(read_us / bench->samples_count));
}

int main(int argc, char **argv)
{
    char path[64] = "/tmp/parley-bench-XXXXXX";
    char command[128];
    struct failure failure;
    struct log_options options = log_options_default();
    struct bench *bench = memory_alloc(sizeof *bench);
    const char *folder = argc > 1 ? argv[1] : mkdtemp(path);
    if (bench == NULL || folder == NULL ||
        posix_file_open(&bench->file, folder, NULL, &failure) != STATUS_OK ||
        log_open(&bench->log, &bench->file.port, system_clock(), system_entropy(), &options) !=
            STATUS_OK)
        return 1;
    bench->log.bus.vtable->consume(&bench->log.bus, TOPIC_MESSAGES, 0, UINT64_MAX);
    while (bench->log.state == LOG_RECOVERING || bench->log.segments_count == 0)
        turn(bench);
    measure(bench, 1);
    measure(bench, 16);
    measure(bench, 256);
    posix_file_close(&bench->file);
    log_close(&bench->log);
    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    return argc > 1 ? 0 : system(command) != 0;
}
