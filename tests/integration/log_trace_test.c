/* SPDX-License-Identifier: Apache-2.0
 * The order that the first promise stands on, seen on the real adapter: a decorator over the file
 * port notes every write and sync as it is submitted and as it comes back, and no record is
 * answered or handed out before an fdatasync that was submitted after its write had returned.
 * With PARLEY_STRACE set, answers are also written to standard error as "ACK offset", so that
 * log_strace_test.py can hold them against the system calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/log/log.h"
#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "base/memory.h"

#define APPENDS 400u

/* The decorator: a file port that watches the one below. */
struct trace {
    struct file_port port; /* first */
    struct file_port *below;
    uint64_t written_end;  /* one past the last offset whose write came back */
    uint64_t covered_end;  /* … when the sync in flight was submitted */
    uint64_t durable_end;  /* … whose sync came back */
    uint64_t group_end;    /* of the group being written */
    bool writing, syncing; /* a group, its sync */
    uint32_t group_file;
    uint64_t groups, syncs, seals, reads;
};

static void trace_submit(struct file_port *port, struct file_request *request)
{
    struct trace *trace = (struct trace *)port;
    bool synced = request->op == FILE_WRITE_SYNC;
    bool group = (synced || request->op == FILE_WRITE) &&
                 request->from.bytes >= LOG_GROUP_HEADER_BYTES &&
                 memcmp(request->from.at, "PLG1", 4) == 0;
    if (group) {
        uint64_t base;
        uint32_t count;
        memcpy(&base, request->from.at + 16, sizeof base); /* the tests run on little-endian */
        memcpy(&count, request->from.at + 40, sizeof count);
        assert_false(trace->writing || trace->syncing); /* one in flight */
        assert_int_equal(base, trace->durable_end);     /* all before it is durable */
        trace->writing = true;
        trace->group_end = base + count;
        trace->group_file = request->file;
        trace->groups++;
        trace->seals += count == 0;
    }
    if ((group && synced) || (request->op == FILE_SYNC && request->file == trace->group_file)) {
        assert_true(trace->writing == synced);
        trace->syncing = true;
        trace->covered_end = synced ? trace->group_end : trace->written_end;
        trace->syncs++;
    }
    trace->reads += request->op == FILE_READ;
    trace->below->vtable->submit(trace->below, request);
}

static size_t trace_poll(struct file_port *port, struct file_request **done, size_t max)
{
    struct trace *trace = (struct trace *)port;
    size_t count = trace->below->vtable->poll(trace->below, done, max);
    for (size_t i = 0; i < count; i++) {
        enum file_op op = done[i]->op;
        bool write = op == FILE_WRITE || op == FILE_WRITE_SYNC;
        bool sync = op == FILE_SYNC || op == FILE_WRITE_SYNC;
        if (write || sync)
            assert_int_equal(done[i]->status, STATUS_OK);
        if (write && trace->writing && done[i]->file == trace->group_file) {
            trace->writing = false;
            trace->written_end = trace->group_end;
        }
        if (sync && trace->syncing && done[i]->file == trace->group_file) {
            trace->syncing = false;
            trace->durable_end = trace->covered_end;
        }
    }
    return count;
}

static void trace_close(struct file_port *port, uint32_t file)
{
    struct trace *trace = (struct trace *)port;
    trace->below->vtable->close(trace->below, file);
}

static const struct file_vtable trace_vtable = {
    .submit = trace_submit, .poll = trace_poll, .close = trace_close};

struct run {
    struct posix_file file;
    struct trace trace;
    struct log log;
    char path[64];
    uint64_t appended, answered, next;
};

static void on_event(struct run *run, const struct bus_event *event)
{
    switch (event->kind) {
    case BUS_APPENDED:
        assert_int_equal(event->status, STATUS_OK);
        assert_int_equal(event->token, run->answered);
        assert_true(event->offset < run->trace.durable_end);
        run->answered++;
        if (getenv("PARLEY_STRACE") != NULL)
            (void)dprintf(2, "ACK %llu\n", (unsigned long long)event->offset);
        break;
    case BUS_RECORD:
        assert_int_equal(event->offset, run->next);
        assert_true(event->offset < run->trace.durable_end);
        run->next++;
        break;
    case BUS_HOLE:
    case BUS_ASSIGNED:
    case BUS_REVOKED:
    case BUS_FAILED: fail();
    }
}

static void turn(struct run *run)
{
    struct bus_event events[32];
    size_t count = run->log.bus.vtable->poll(&run->log.bus, events, 32);
    for (size_t i = 0; i < count; i++)
        on_event(run, &events[i]);
    if (count == 0)
        posix_file_wait(&run->file, 100);
}

static struct log_options small(void)
{
    struct log_options options = log_options_default();
    options.segment_bytes = 256 * 1024;
    options.group_bytes = 64 * 1024;
    options.record_bytes_max = 16 * 1024;
    return options;
}

static void run_open(struct run *run)
{
    struct log_options options = small();
    struct failure failure;
    assert_int_equal(posix_file_open(&run->file, run->path, NULL, &failure), STATUS_OK);
    run->trace = (struct trace){.port = {&trace_vtable}, .below = &run->file.port};
    assert_int_equal(
        log_open(&run->log, &run->trace.port, system_clock(), system_entropy(), &options),
        STATUS_OK);
    run->next = 0;
    run->log.bus.vtable->consume(&run->log.bus, TOPIC_MESSAGES, 0, 0);
    while (run->log.state == LOG_RECOVERING)
        log_turn(&run->log);
    assert_int_equal(run->log.state, LOG_READY);
    run->trace.durable_end = run->trace.written_end = run->log.end;
}

static void append(struct run *run)
{
    static uint8_t bytes[4000];
    uint8_t key[ID_BYTES] = {1};
    struct slice record = slice_make(bytes, run->appended * 37 % sizeof bytes);
    if (run->log.bus.vtable->append(&run->log.bus, TOPIC_MESSAGES, key, record, run->appended) ==
        STATUS_OK)
        run->appended++;
}

static void test_no_answer_before_its_sync(void **state)
{
    (void)state;
    char command[128];
    struct run *run = memory_alloc(sizeof *run);
    (void)snprintf(run->path, sizeof run->path, "/tmp/parley-log-XXXXXX");
    assert_non_null(mkdtemp(run->path));
    run_open(run);
    while (run->answered < APPENDS || run->next < APPENDS) {
        for (int i = 0; i < 3 && run->appended < APPENDS; i++)
            append(run);
        turn(run);
    }
    assert_true(run->trace.groups > 10 && run->log.segments_count > 2);
    /* Most groups were taken over, unless a tracer makes the disk's thread the slower one. */
    assert_true(getenv("PARLEY_TRACED") != NULL || run->trace.reads < run->trace.groups / 2);
    log_stop(&run->log);
    while (run->log.state != LOG_STOPPED)
        turn(run);
    assert_true(run->trace.seals > 2);
    assert_true(run->trace.syncs >= run->trace.groups); /* each group has its own */
    log_close(&run->log);
    posix_file_close(&run->file);
    run_open(run); /* and all of it is there for the next life */
    while (run->next < APPENDS)
        turn(run);
    assert_int_equal(run->log.report.verdict, LOG_SOUND);
    posix_file_close(&run->file);
    log_close(&run->log);
    (void)snprintf(command, sizeof command, "rm -rf %s", run->path);
    assert_int_equal(system(command), 0);
    memory_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_answer_before_its_sync)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
