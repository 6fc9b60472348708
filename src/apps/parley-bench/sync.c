/* SPDX-License-Identifier: Apache-2.0
 * sync: what a durable message waits for at least: fdatasync behind a write into a preallocated
 * file, one after the other. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/parley-bench/subcommands.h"
#include "base/memory.h"

#define FILE_BYTES ((off_t)64 << 20)
#define STALL_US   8000u

struct syncs {
    int file;
    uint8_t *block;
    uint64_t bytes, stalls, begun_us, ended_us;
    struct histogram histogram;
};

/* A file without a name in `folder`, its blocks written once: only the data moves later. */
static bool file_open(struct syncs *syncs, const char *folder)
{
    syncs->file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    syncs->block = memory_alloc(syncs->bytes);
    if (syncs->file < 0 || syncs->block == NULL)
        return false;
    memset(syncs->block, 'p', syncs->bytes);
    for (off_t at = 0; at + (off_t)syncs->bytes <= FILE_BYTES; at += (off_t)syncs->bytes)
        if (pwrite(syncs->file, syncs->block, syncs->bytes, at) != (ssize_t)syncs->bytes)
            return false;
    return fsync(syncs->file) == 0;
}

static bool run(struct syncs *syncs, uint64_t seconds)
{
    off_t at = 0;
    syncs->begun_us = syncs->ended_us = bench_now_us();
    while (syncs->ended_us - syncs->begun_us < seconds * 1000000) {
        uint64_t before_us = syncs->ended_us;
        if (pwrite(syncs->file, syncs->block, syncs->bytes, at) != (ssize_t)syncs->bytes ||
            fdatasync(syncs->file) != 0)
            return false;
        syncs->ended_us = bench_now_us();
        histogram_add(&syncs->histogram, syncs->ended_us - before_us);
        syncs->stalls += syncs->ended_us - before_us > STALL_US;
        at += (off_t)syncs->bytes;
        if (at + (off_t)syncs->bytes > FILE_BYTES)
            at = 0;
    }
    return true;
}

enum bench_exit sync_run(const struct options *options)
{
    static const char *const names[7] = {"sync_p50_us", "sync_p90_us",  "sync_p95_us",
                                         "sync_p99_us", "sync_p999_us", "sync_max_us",
                                         "syncs"};
    static struct syncs syncs;
    static struct report report;
    syncs = (struct syncs){.file = -1, .bytes = options->numbers[OPTION_BYTES]};
    report_begin(&report, options);
    bool done = file_open(&syncs, options->texts[OPTION_FOLDER]) &&
                run(&syncs, options->numbers[OPTION_SECONDS]);
    int error = errno;
    if (syncs.file >= 0)
        (void)close(syncs.file);
    memory_free(syncs.block);
    if (!done) {
        (void)fprintf(stderr, "parley-bench: a file in %s: %s\n", options->texts[OPTION_FOLDER],
                      strerror(error));
        return BENCH_ERROR;
    }
    report_count(&report, "bytes", syncs.bytes);
    report_number(&report, "syncs_per_s",
                  (double)syncs.histogram.count * 1e6 / (double)(syncs.ended_us - syncs.begun_us));
    report_histogram(&report, names, &syncs.histogram);
    report_count(&report, "stalls_above_8_ms", syncs.stalls);
    return report_end(&report, options) && report_hdr(options, &syncs.histogram) ? BENCH_OK
                                                                                 : BENCH_ERROR;
}
