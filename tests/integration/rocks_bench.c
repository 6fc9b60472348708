/* SPDX-License-Identifier: Apache-2.0
 * rocks-bench [large]: how fast the RocksDB store is on this disk: commits of 1, 16 and 256
 * messages' rows (a message is 6 rows), gets and pages from memory and through a thread, opening.
 * `large`: the profile for much memory. Prints, asserts nothing. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/rocksdb/rocks_store.h"
#include "adapters/system/system.h"
#include "base/prng.h"

#define SECONDS     3u
#define SAMPLES_MAX 200000u
#define CHATS       1000u
#define ROWS        6u
#define GROUP_MAX   256u
#define PAGE        50u

struct bench {
    struct waker waker; /* first */
    sem_t woken;
    char folder[64], path[80];
    struct rocks_options options;
    struct rocks_db db;
    struct rocks_store store;
    struct arena arena;
    struct prng prng;
    uint64_t messages, cseqs[CHATS];
    uint32_t samples_count;
    uint64_t samples[SAMPLES_MAX];
};

static void wake(struct waker *waker)
{
    (void)sem_post(&((struct bench *)waker)->woken);
}

static const struct waker_vtable waker_vtable = {wake};

static uint64_t now_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

static double resident_mib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    if (file != NULL)
        (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void run(struct bench *bench, struct store_request *request)
{
    struct store_request *done;
    request->arena = &bench->arena;
    bench->store.port.vtable->submit(&bench->store.port, request);
    while (bench->store.port.vtable->poll(&bench->store.port, &done, 1) == 0)
        (void)sem_wait(&bench->woken);
}

static int smaller(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void percentiles(struct bench *bench)
{
    qsort(bench->samples, bench->samples_count, sizeof bench->samples[0], smaller);
    printf("p50 %llu us p99 %llu us\n",
           (unsigned long long)bench->samples[bench->samples_count / 2],
           (unsigned long long)bench->samples[bench->samples_count * 99ull / 100]);
}

static void sample(struct bench *bench, uint64_t from_us)
{
    if (bench->samples_count < SAMPLES_MAX)
        bench->samples[bench->samples_count++] = now_us() - from_us;
}

/* ---- commits ---- */

static struct row_key key(enum table table, uint64_t a, uint64_t n)
{
    uint8_t id[ID_BYTES];
    for (size_t i = 0; i < ID_BYTES; i++) /* spread, as random ids are */
        id[i] = (uint8_t)((a + 1) * UINT64_C(0x9e3779b97f4a7c15) >> (i % 8 * 8));
    return row_key_make(table, id, NULL, n);
}

static size_t message(struct bench *bench, uint64_t number, struct row_write *out)
{
    static const uint8_t bytes[200] = {7};
    uint64_t chat = prng_below(&bench->prng, CHATS), stamp = row_stamp(1, number);
    uint64_t cseq = ++bench->cseqs[chat];
    const struct row_write writes[ROWS] = {
        {ROW_PUT, key(TABLE_MSG, chat, cseq), stamp, slice_make(bytes, 200), {0}},
        {ROW_PUT, key(TABLE_CHAT_HEAD, chat, 0), stamp, slice_make(bytes, 80), {0}},
        {ROW_PUT, key(TABLE_INBOX, 2 * chat, cseq), stamp, slice_make(bytes, 40), {0}},
        {ROW_PUT, key(TABLE_USER_HEAD, 2 * chat, 0), stamp, slice_make(bytes, 30), {0}},
        {ROW_PUT, key(TABLE_INBOX, 2 * chat + 1, cseq), stamp, slice_make(bytes, 40), {0}},
        {ROW_PUT, key(TABLE_USER_HEAD, 2 * chat + 1, 0), stamp, slice_make(bytes, 30), {0}},
    };
    memcpy(out, writes, sizeof writes);
    return ROWS;
}

/* `back`: stamps below what was stored before, as in a replay: each row is read first. */
static void commits(struct bench *bench, uint64_t group, bool back)
{
    static struct row_write writes[GROUP_MAX * ROWS + 1];
    uint64_t begin_us = now_us(), batches = 0, busy = 0;
    bench->samples_count = 0;
    while (now_us() - begin_us < SECONDS * 1000000u) {
        size_t count = 0;
        for (uint64_t i = 0; i < group; i++)
            count += message(bench, back ? i : bench->messages++, writes + count);
        writes[count++] = (struct row_write){.kind = ROW_MAX,
                                             .key = row_key_make(TABLE_META, NULL, NULL, META_PART),
                                             .columns = {1, bench->messages}};
        struct store_request request = {
            .op = STORE_COMMIT, .writes = writes, .writes_count = count};
        uint64_t from_us = now_us();
        for (run(bench, &request); request.status == STATUS_BUSY; busy++)
            run(bench, &request);
        batches++;
        sample(bench, from_us);
    }
    double seconds = (double)(now_us() - begin_us) / 1e6;
    printf("commit of %3llu%s: %6.0f batches/s %7.0f messages/s, busy %llu, ",
           (unsigned long long)group, back ? " (read first)" : "", (double)batches / seconds,
           (double)(batches * group) / seconds, (unsigned long long)busy);
    percentiles(bench);
}

/* ---- reads ---- */

static void reads(struct bench *bench, bool page, const char *what)
{
    static struct row rows[PAGE];
    uint64_t begin_us = now_us(), missed = bench->store.missed, count = 0;
    bench->samples_count = 0;
    do {
        uint64_t chat = prng_below(&bench->prng, CHATS), cseq = bench->cseqs[chat];
        struct row_key keys[2] = {key(TABLE_MSG, chat, page ? 0 : cseq),
                                  key(TABLE_MSG, chat, cseq)};
        struct store_request request = {.op = page ? STORE_RANGE : STORE_GET,
                                        .keys = keys,
                                        .keys_count = page ? 2 : 1,
                                        .rows = rows,
                                        .rows_max = PAGE,
                                        .descending = true};
        uint64_t from_us = now_us();
        arena_reset(&bench->arena);
        run(bench, &request);
        sample(bench, from_us);
        count++;
    } while (now_us() - begin_us < 1000000u);
    printf("%s, %s: mean %.1f us, %llu %% through a thread, ", page ? "page of 50" : "get", what,
           (double)(now_us() - begin_us) / (double)count,
           (unsigned long long)((bench->store.missed - missed) * 100 / count));
    percentiles(bench);
}

/* ---- opening ---- */

static bool open_store(struct bench *bench, const char *what)
{
    enum rocks_outcome outcome;
    struct failure failure;
    double before = resident_mib();
    uint64_t from_us = now_us();
    if (rocks_db_open(&bench->db, bench->path, &bench->options, &outcome, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "rocks-bench: %s\n", failure.text);
        return false;
    }
    rocks_store_open(&bench->store, &bench->db, &bench->waker);
    printf("open, %s: %.1f ms, resident %.1f -> %.1f MiB\n", what,
           (double)(now_us() - from_us) / 1000, before, resident_mib());
    return true;
}

static bool reopen(struct bench *bench, const char *what)
{
    rocks_store_close(&bench->store);
    rocks_db_close(&bench->db);
    return open_store(bench, what);
}

static void flush(struct bench *bench)
{
    struct rocks_task task = {.kind = ROCKS_FLUSH,
                              .part.key = row_key_make(TABLE_META, NULL, NULL, META_PART)};
    uint64_t from_us = now_us();
    if (rocks_db_task(&bench->db, &task) != STATUS_OK)
        return;
    while (rocks_db_task_done(&bench->db) == NULL)
        (void)sem_wait(&bench->woken);
    struct rocks_gauges gauges = rocks_db_gauges(&bench->db);
    printf("flush: %.1f ms; files %.1f MiB for %llu messages, resident %.1f MiB\n",
           (double)(now_us() - from_us) / 1000, (double)gauges.file_bytes / (1 << 20),
           (unsigned long long)bench->messages, resident_mib());
}

static bool measure(struct bench *bench)
{
    if (!open_store(bench, "fresh") || !reopen(bench, "empty"))
        return false;
    commits(bench, 1, false);
    commits(bench, 16, false);
    commits(bench, 256, false);
    reads(bench, false, "just written");
    reads(bench, true, "just written");
    if (!reopen(bench, "unflushed"))
        return false;
    commits(bench, 256, true);
    flush(bench);
    if (!reopen(bench, "flushed"))
        return false;
    reads(bench, false, "warming up");
    reads(bench, false, "warm");
    reads(bench, true, "warm");
    bench->options.cache_bytes = 1; /* nothing stays: each read goes through a thread */
    if (!reopen(bench, "no cache"))
        return false;
    reads(bench, false, "no cache");
    reads(bench, true, "no cache");
    return true;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.waker = {&waker_vtable}, .folder = "/tmp/parley-bench-XXXXXX"};
    char command[96];
    bench.options = rocks_options_default();
    bench.options.small = argc < 2 || strcmp(argv[1], "large") != 0;
    bench.options.waker = &bench.waker;
    prng_init(&bench.prng, 3);
    arena_init(&bench.arena, (size_t)4 << 20);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (sem_init(&bench.woken, 0, 0) != 0 || mkdtemp(bench.folder) == NULL)
        return 1;
    (void)snprintf(bench.path, sizeof bench.path, "%s/store", bench.folder);
    bool done = measure(&bench);
    rocks_store_close(&bench.store);
    rocks_db_close(&bench.db);
    (void)snprintf(command, sizeof command, "rm -rf %s", bench.folder);
    return system(command) != 0 || !done;
}
