/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/figures.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "apps/parleyd/bounds.h"

#define FIGURES_WAIT_US 2000000u

static uint64_t mono_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

void figures_ask(struct node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    node->board.asked++;
    node->board.asked_us = mono_us();
    (void)pthread_mutex_unlock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++)
        waker_wake(node->shards[i].loop.waker);
}

bool figures_there(struct node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    const struct node_board *board = &node->board;
    bool there = true;
    for (uint32_t i = 0; i < node->shards_count; i++)
        there = there && board->told[i] == board->asked;
    there = there || mono_us() - board->asked_us > FIGURES_WAIT_US;
    (void)pthread_mutex_unlock(&node->lock);
    return there;
}

void figures_sum(struct node *node, struct metrics *out)
{
    *out = (struct metrics){0};
    (void)pthread_mutex_lock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++)
        metrics_sum(out, &node->board.counts[i]);
    (void)pthread_mutex_unlock(&node->lock);
    out->sync_us = node->log.writer.sync_us;
    out->sync_records = node->log.writer.sync_records;
}

/* ---- what is looked up ---- */

static void limit(struct metrics_values *values, enum limit_gauge which, uint64_t used,
                  uint64_t max)
{
    values->limit_used[which] = used;
    values->limit_max[which] = max;
}

static void limits_look(struct node *node, struct metrics_values *values)
{
    const struct config *config = node->config;
    const struct shard *shard = &node->shards[0].shard;
    const struct log_writer *writer = &node->log.writer;
    uint64_t connections = 0, operations = 0, reads = 0, passwords = 0, rates = 0;
    (void)pthread_mutex_lock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++) {
        const struct node_used *used = &node->board.used[i];
        connections += used->connections;
        operations += used->operations;
        reads += used->reads;
        passwords += used->passwords;
        rates += used->rates;
    }
    (void)pthread_mutex_unlock(&node->lock);
    limit(values, LIMIT_CONNECTIONS, connections, config->connections);
    limit(values, LIMIT_OPERATIONS, operations, config->operations);
    limit(values, LIMIT_STORE_READS, reads, (uint64_t)node->shards_count * STORE_REQUESTS_MAX);
    limit(values, LIMIT_PASSWORDS, passwords, (uint64_t)node->shards_count * PASSWORD_QUEUE);
    limit(values, LIMIT_LAG, values->lag, PROCESSOR_LAG_MAX);
    limit(values, LIMIT_LOG_GROUPS, writer->fill - writer->durable, LOG_BUFFERS);
    limit(values, LIMIT_RATES, rates, (uint64_t)node->shards_count * LIMITER_BUCKETS);
    limit(values, LIMIT_RATES_SHARED, shared_limits_used(&node->limits_shared), LIMITER_BUCKETS);
    limit(values, LIMIT_ATTACHES, shard->processor.live.waiting_count, LIVE_WAITING_MAX);
    limit(values, LIMIT_DEVICES, shard->processor.live.used, config->connections);
    limit(values, LIMIT_QUARANTINE, node->quarantine.files, QUARANTINE_FILES_MAX);
}

static void log_look(struct node *node, struct metrics_values *values)
{
    const struct processor *processor = &node->shards[0].shard.processor;
    values->log_end = node->log.end;
    values->lag = processor_lag(processor);
    values->log_folded = node->log.end > values->lag ? node->log.end - values->lag : 0;
    values->log_committed = node->log.committed;
    values->log_segments = node->log.segments_count;
    values->log_epoch = node->links.facts.log_epoch;
    values->log_refused = node->log.refused;
    values->read_only = node_read_only(node) != NULL;
    values->disk_full = node->log.spare == SPARE_FULL;
    values->unreadable = processor->unreadable_count;
    values->quarantined = node->quarantine.files;
}

static void values_look(struct node *node, struct metrics_values *values)
{
    const struct rocks_gauges gauges = rocks_db_gauges(&node->index.db);
    *values = (struct metrics_values){0};
    log_look(node, values);
    values->store_bytes = gauges.file_bytes;
    values->store_unwritten = gauges.memtable_bytes;
    values->store_cache = gauges.cache_bytes;
    values->store_stopped = gauges.stopped;
    values->store_stalled_s = node->stalled_s;
    values->shards = node->shards_count;
    values->events_lost = sayer_lost(&node->sayer);
    values->certificate_end = certificate_end_s(&node->certificate);
    limits_look(node, values);
}

/* ---- of the process: the names that all exporters use ---- */

static void put(struct buf *out, const char *name, const char *type, double value)
{
    char line[256];
    (void)snprintf(line, sizeof line, "# TYPE %s %s\n%s %.15g\n", name, type, name, value);
    buf_text(out, line);
}

static double open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = 0;
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* "." and "..", and the one that looks */
}

static double resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &pages, &resident) != 2)
        resident = 0;
    (void)fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void process_put(struct node *node, struct buf *out)
{
    struct clock_reading now = system_clock()->vtable->read(system_clock());
    struct rusage used;
    struct rlimit files;
    double start_us = (double)now.wall_us - (double)(now.mono_us - node->started_us);
    put(out, "process_start_time_seconds", "gauge", start_us / 1e6);
    put(out, "process_resident_memory_bytes", "gauge", resident_bytes());
    put(out, "process_open_fds", "gauge", open_files());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(out, "process_max_fds", "gauge", (double)files.rlim_cur);
    if (getrusage(RUSAGE_SELF, &used) == 0)
        put(out, "process_cpu_seconds_total", "counter",
            seconds(used.ru_utime) + seconds(used.ru_stime));
}

void figures_text(struct node *node, struct buf *out)
{
    struct metrics metrics;
    struct metrics_values values;
    figures_sum(node, &metrics);
    values_look(node, &values);
    metrics_text(&metrics, &values, out);
    buf_text(out, "# HELP parley_build_info 1, and which version runs\n"
                  "# TYPE parley_build_info gauge\n"
                  "parley_build_info{version=\"" PARLEY_VERSION "\"} 1\n");
    bounds_metrics(out);
    process_put(node, out);
}
