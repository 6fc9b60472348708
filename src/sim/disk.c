/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

struct disk_write {
    struct disk_write *next;
    uint64_t at, bytes;
    uint64_t number; /* 0 while in flight; else its place among the file's completed writes */
    bool lost;       /* a failed sync has called it clean */
    uint8_t data[];
};

static const struct file_vtable disk_vtable;

static struct disk *disk_of(struct file_port *port)
{
    return (struct disk *)port;
}

struct disk_options disk_options_cruel(void)
{
    return (struct disk_options){
        .latency_min_us = 5,
        .latency_max_us = 120,
        .sync_min_us = 200,
        .sync_max_us = 2000,
        .sector_kept = 400,
        .sector_torn = 200,
        .sector_garbled = 200,
    };
}

void disk_init(struct disk *disk, const struct disk_options *options, uint64_t seed)
{
    memset(disk, 0, sizeof *disk);
    disk->port.vtable = &disk_vtable;
    disk->options = *options;
    prng_init(&disk->prng, seed);
}

static void file_forget(struct disk_file *file)
{
    for (struct disk_write *write = file->first, *next; write != NULL; write = next) {
        next = write->next;
        memory_free(write);
    }
    memory_free(file->cache);
    memory_free(file->platter);
    memset(file, 0, sizeof *file);
}

static void pending_forget(struct disk *disk)
{
    for (size_t i = 0; i < disk->pending_count; i++)
        memory_free(disk->pending[i].write);
    disk->pending_count = 0;
}

void disk_deinit(struct disk *disk)
{
    pending_forget(disk);
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        file_forget(&disk->files[i]);
}

static struct disk_file *file_find(struct disk *disk, const char *name)
{
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        if (disk->files[i].used && strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    return NULL;
}

static struct disk_file *file_new(struct disk *disk, const char *name, uint64_t bytes)
{
    for (size_t i = 0; i < DISK_FILES_MAX; i++) {
        struct disk_file *file = &disk->files[i];
        if (file->used || file->cache != NULL)
            continue;
        file->cache = memory_alloc(bytes);
        file->platter = memory_alloc(bytes);
        assert(file->cache != NULL && file->platter != NULL);
        file->used = true;
        file->bytes = bytes;
        memcpy(file->name, name, FILE_NAME_BYTES);
        return file;
    }
    assert(false && "DISK_FILES_MAX");
    return NULL;
}

/* Handles are the file's index + 1; there is no handle table to leak. */
static struct disk_file *file_of(struct disk *disk, uint32_t handle)
{
    assert(handle >= 1 && handle <= DISK_FILES_MAX && disk->files[handle - 1].cache != NULL);
    return &disk->files[handle - 1];
}

static uint32_t handle_of(const struct disk *disk, const struct disk_file *file)
{
    return (uint32_t)(file - disk->files) + 1;
}

static uint64_t stored_bytes(const struct disk *disk)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        if (disk->files[i].used)
            sum += disk->files[i].bytes;
    return sum;
}

/* --- the operations, at the moment they are done --- */

static enum status do_create(struct disk *disk, struct file_request *request)
{
    if (file_find(disk, request->name) != NULL)
        return STATUS_CONFLICT;
    if (disk->options.capacity_bytes != 0 &&
        stored_bytes(disk) + request->bytes > disk->options.capacity_bytes)
        return STATUS_TOO_LARGE;
    request->file = handle_of(disk, file_new(disk, request->name, request->bytes));
    return STATUS_OK;
}

static enum status do_open(struct disk *disk, struct file_request *request)
{
    const struct disk_file *file = file_find(disk, request->name);
    if (file == NULL)
        return STATUS_NOT_FOUND;
    request->file = handle_of(disk, file);
    request->bytes = file->bytes;
    return STATUS_OK;
}

static enum status do_read(struct disk *disk, struct file_request *request)
{
    const struct disk_file *file = file_of(disk, request->file);
    uint64_t left = request->at < file->bytes ? file->bytes - request->at : 0;
    request->bytes = left < request->into_bytes ? left : request->into_bytes;
    if (request->bytes > 0)
        memcpy(request->into, file->cache + request->at, request->bytes);
    return STATUS_OK;
}

static enum status do_write(struct disk *disk, struct disk_pending *pending)
{
    struct file_request *request = pending->request;
    struct disk_file *file = file_of(disk, request->file);
    struct disk_write *write = pending->write;
    if (write == NULL)
        return STATUS_INVALID;
    pending->write = NULL;
    memcpy(file->cache + write->at, write->data, write->bytes);
    write->number = ++file->writes;
    if (file->last != NULL)
        file->last->next = write;
    else
        file->first = write;
    file->last = write;
    return STATUS_OK;
}

/* Drop the writes that `settled` marks; keep the order of the rest. */
static void writes_prune(struct disk_file *file, uint64_t covers)
{
    struct disk_write *first = NULL, *last = NULL;
    for (struct disk_write *write = file->first, *next; write != NULL; write = next) {
        next = write->next;
        write->next = NULL;
        if (!write->lost && write->number <= covers) {
            memory_free(write);
        } else {
            if (last != NULL)
                last->next = write;
            else
                first = write;
            last = write;
        }
    }
    file->first = first;
    file->last = last;
}

static enum status do_sync(struct disk *disk, const struct disk_pending *pending, bool failed)
{
    struct disk_file *file = file_of(disk, pending->request->file);
    disk->syncs++;
    for (struct disk_write *write = file->first; write != NULL; write = write->next) {
        if (write->number > pending->covers)
            continue;
        if (failed)
            write->lost = true;
        else if (!write->lost)
            memcpy(file->platter + write->at, write->data, write->bytes);
    }
    if (failed)
        return STATUS_IO;
    writes_prune(file, pending->covers);
    return STATUS_OK;
}

static enum status do_rename(struct disk *disk, const struct file_request *request)
{
    struct disk_file *file = file_find(disk, request->name);
    if (file == NULL)
        return STATUS_NOT_FOUND;
    struct disk_file *old = file_find(disk, request->to);
    if (old != NULL && old != file)
        old->used = false; /* open handles still reach its bytes */
    memcpy(file->name, request->to, FILE_NAME_BYTES);
    return STATUS_OK;
}

static enum status do_delete(struct disk *disk, const struct file_request *request)
{
    struct disk_file *file = file_find(disk, request->name);
    if (file == NULL)
        return STATUS_NOT_FOUND;
    file->used = false;
    return STATUS_OK;
}

static enum status do_list(struct disk *disk, struct file_request *request)
{
    size_t folder_bytes = strlen(request->name), count = 0;
    for (size_t i = 0; i < DISK_FILES_MAX; i++) {
        const struct disk_file *file = &disk->files[i];
        if (!file->used || strncmp(file->name, request->name, folder_bytes) != 0 ||
            file->name[folder_bytes] != '/')
            continue;
        if (count == request->names_max)
            return STATUS_TOO_LARGE;
        size_t at = count++;
        for (; at > 0 && strcmp(request->names[at - 1], file->name) > 0; at--)
            memcpy(request->names[at], request->names[at - 1], FILE_NAME_BYTES);
        memcpy(request->names[at], file->name, FILE_NAME_BYTES);
    }
    request->bytes = count;
    return STATUS_OK;
}

static enum status perform(struct disk *disk, struct disk_pending *pending)
{
    struct file_request *request = pending->request;
    switch (pending->step) {
    case FILE_CREATE: return do_create(disk, request);
    case FILE_OPEN: return do_open(disk, request);
    case FILE_READ: return do_read(disk, request);
    case FILE_WRITE: return do_write(disk, pending);
    case FILE_SYNC:
        return do_sync(disk, pending, prng_chance(&disk->prng, disk->options.sync_error));
    case FILE_WRITE_SYNC: break; /* it is one or the other */
    case FILE_RENAME: return do_rename(disk, request);
    case FILE_DELETE: return do_delete(disk, request);
    case FILE_LIST: return do_list(disk, request);
    }
    return STATUS_INVALID;
}

/* --- submission and completion --- */

static uint64_t latency_us(struct disk *disk, enum file_op op)
{
    const struct disk_options *options = &disk->options;
    if (op == FILE_SYNC)
        return prng_range(&disk->prng, options->sync_min_us, options->sync_max_us);
    return prng_range(&disk->prng, options->latency_min_us, options->latency_max_us);
}

/* The bytes of a write are copied now: its memory may change hands, a torn write may not. */
static struct disk_write *write_of(struct disk *disk, const struct file_request *request)
{
    const struct disk_file *file = file_of(disk, request->file);
    if (request->at > file->bytes || request->from.bytes > file->bytes - request->at)
        return NULL;
    struct disk_write *write = memory_alloc(sizeof *write + request->from.bytes);
    assert(write != NULL);
    write->at = request->at;
    write->bytes = request->from.bytes;
    if (write->bytes > 0)
        memcpy(write->data, request->from.at, write->bytes);
    return write;
}

static void step_begin(struct disk *disk, struct disk_pending *pending, enum file_op step)
{
    pending->step = step;
    pending->due_us = disk->now_us + latency_us(disk, step);
    pending->number = ++disk->numbers;
    if (step == FILE_SYNC)
        pending->covers = file_of(disk, pending->request->file)->writes;
}

static void disk_submit(struct file_port *port, struct file_request *request)
{
    struct disk *disk = disk_of(port);
    assert(disk->pending_count < FILE_REQUESTS_MAX);
    struct disk_pending *pending = &disk->pending[disk->pending_count++];
    *pending = (struct disk_pending){.request = request};
    step_begin(disk, pending, request->op == FILE_WRITE_SYNC ? FILE_WRITE : request->op);
    if (pending->step == FILE_WRITE)
        pending->write = write_of(disk, request);
}

static bool earlier(const struct disk_pending *a, const struct disk_pending *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->number < b->number);
}

static size_t next_of(const struct disk *disk)
{
    size_t best = 0;
    for (size_t i = 1; i < disk->pending_count; i++)
        if (earlier(&disk->pending[i], &disk->pending[best]))
            best = i;
    return best;
}

static bool planned_fault(struct disk *disk)
{
    disk->operations++;
    if (disk->fail_at == 0)
        return false;
    bool now = disk->operations == disk->fail_at ||
               (disk->fail_for_ever && disk->operations > disk->fail_at);
    disk->fail_fired |= now;
    return now;
}

/* A write that fails may have left anything of itself behind; a sync that fails, calls pages
 * clean. */
static void fail(struct disk *disk, struct disk_pending *pending)
{
    if (pending->step == FILE_WRITE && pending->write != NULL) {
        struct disk_file *file = file_of(disk, pending->request->file);
        (void)do_write(disk, pending);
        file->last->lost = true;
    }
    if (pending->step == FILE_SYNC)
        (void)do_sync(disk, pending, true);
    pending->request->status = STATUS_IO;
}

static size_t disk_poll(struct file_port *port, struct file_request **done, size_t max)
{
    struct disk *disk = disk_of(port);
    size_t count = 0;
    while (count < max && disk->pending_count > 0) {
        size_t at = next_of(disk);
        struct disk_pending pending = disk->pending[at];
        if (pending.due_us > disk->now_us)
            break;
        disk->pending[at] = disk->pending[--disk->pending_count];
        if (planned_fault(disk))
            fail(disk, &pending);
        else
            pending.request->status = perform(disk, &pending);
        memory_free(pending.write);
        pending.write = NULL;
        if (pending.request->op == FILE_WRITE_SYNC && pending.step == FILE_WRITE &&
            pending.request->status == STATUS_OK) {
            step_begin(disk, &pending, FILE_SYNC);
            disk->pending[disk->pending_count++] = pending;
            continue;
        }
        done[count++] = pending.request;
    }
    return count;
}

static void disk_close(struct file_port *port, uint32_t handle)
{
    (void)file_of(disk_of(port), handle);
}

static const struct file_vtable disk_vtable = {
    .submit = disk_submit, .poll = disk_poll, .close = disk_close};

void disk_advance(struct disk *disk, uint64_t now_us)
{
    assert(now_us >= disk->now_us);
    disk->now_us = now_us;
}

uint64_t disk_next_due_us(const struct disk *disk)
{
    return disk->pending_count > 0 ? disk->pending[next_of(disk)].due_us : UINT64_MAX;
}

/* --- crash --- */

static void sector_fate(struct disk *disk, uint8_t *platter, const uint8_t *data, size_t bytes)
{
    const struct disk_options *options = &disk->options;
    if (prng_chance(&disk->prng, options->sector_kept)) {
        memcpy(platter, data, bytes);
    } else if (prng_chance(&disk->prng, options->sector_torn)) {
        memcpy(platter, data, prng_below(&disk->prng, bytes + 1));
        disk->sectors_torn++;
    } else if (prng_chance(&disk->prng, options->sector_garbled)) {
        prng_bytes(&disk->prng, platter, bytes);
        disk->sectors_garbled++;
    } else {
        disk->sectors_dropped++;
    }
}

static void write_fate(struct disk *disk, struct disk_file *file, const struct disk_write *write)
{
    for (uint64_t from = 0; from < write->bytes;) {
        uint64_t at = write->at + from;
        uint64_t bytes = DISK_SECTOR_BYTES - at % DISK_SECTOR_BYTES;
        if (bytes > write->bytes - from)
            bytes = write->bytes - from;
        sector_fate(disk, file->platter + at, write->data + from, (size_t)bytes);
        from += bytes;
    }
}

/* In flight at the cut: done or not, by chance; a write, sector by sector. */
static void pending_fate(struct disk *disk, struct disk_pending *pending)
{
    struct file_request *request = pending->request;
    if (pending->write != NULL)
        write_fate(disk, file_of(disk, request->file), pending->write);
    bool named =
        request->op == FILE_CREATE || request->op == FILE_RENAME || request->op == FILE_DELETE;
    if (named && prng_chance(&disk->prng, 500))
        (void)perform(disk, pending);
}

static void settle(struct disk_file *file)
{
    if (!file->used) {
        file_forget(file);
        return;
    }
    memcpy(file->cache, file->platter, file->bytes);
    for (struct disk_write *write = file->first, *next; write != NULL; write = next) {
        next = write->next;
        memory_free(write);
    }
    file->first = file->last = NULL;
    file->writes = 0;
}

void disk_crash(struct disk *disk)
{
    disk->crashes++;
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        for (struct disk_write *write = disk->files[i].first; write != NULL; write = write->next)
            write_fate(disk, &disk->files[i], write);
    for (size_t i = 0; i < disk->pending_count; i++)
        pending_fate(disk, &disk->pending[i]);
    pending_forget(disk);
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        settle(&disk->files[i]);
}

void disk_kill(struct disk *disk)
{
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        if (disk->files[i].used)
            memcpy(disk->files[i].platter, disk->files[i].cache, disk->files[i].bytes);
    for (size_t i = 0; i < disk->pending_count; i++)
        pending_fate(disk, &disk->pending[i]);
    pending_forget(disk);
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        settle(&disk->files[i]);
}

void disk_fail_plan(struct disk *disk, uint64_t nth, bool for_ever)
{
    disk->fail_at = nth == 0 ? 0 : disk->operations + nth;
    disk->fail_for_ever = for_ever;
    disk->fail_fired = false;
}

/* --- by hand --- */

uint8_t *disk_bytes(struct disk *disk, const char *name, uint64_t *bytes)
{
    struct disk_file *file = file_find(disk, name);
    if (file == NULL)
        return NULL;
    *bytes = file->bytes;
    return file->cache;
}

void disk_overwrite(struct disk *disk, const char *name, uint64_t from, struct slice bytes)
{
    struct disk_file *file = file_find(disk, name);
    assert(file != NULL && from <= file->bytes && bytes.bytes <= file->bytes - from);
    if (bytes.bytes == 0)
        return;
    memcpy(file->cache + from, bytes.at, bytes.bytes);
    memcpy(file->platter + from, bytes.at, bytes.bytes);
}

void disk_flip(struct disk *disk, const char *name, uint64_t bit)
{
    struct disk_file *file = file_find(disk, name);
    assert(file != NULL && bit / 8 < file->bytes);
    file->cache[bit / 8] ^= (uint8_t)(1u << bit % 8);
    file->platter[bit / 8] = file->cache[bit / 8];
}

void disk_truncate(struct disk *disk, const char *name, uint64_t bytes)
{
    struct disk_file *file = file_find(disk, name);
    assert(file != NULL && bytes <= file->bytes);
    file->bytes = bytes;
}

void disk_remove(struct disk *disk, const char *name)
{
    struct disk_file *file = file_find(disk, name);
    assert(file != NULL);
    file_forget(file);
}

void disk_copy(struct disk *to, const struct disk *from)
{
    pending_forget(to);
    for (size_t i = 0; i < DISK_FILES_MAX; i++)
        file_forget(&to->files[i]);
    for (size_t i = 0; i < DISK_FILES_MAX; i++) {
        if (!from->files[i].used)
            continue;
        struct disk_file *file = file_new(to, from->files[i].name, from->files[i].bytes);
        memcpy(file->cache, from->files[i].platter, file->bytes);
        memcpy(file->platter, from->files[i].platter, file->bytes);
    }
}
