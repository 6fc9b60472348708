/* SPDX-License-Identifier: Apache-2.0
 * Recovery and reading over any bytes. The input edits a sound log on the simulated disk (mode 0),
 * also with the crcs of touched groups mended, so that what stands behind them is reached (mode 1),
 * or is a whole file (mode 2). Whatever it says: no crash, no hang, offsets that only rise, and a
 * log that is ready, or says why not. */
#include <stdint.h>
#include <string.h>

#include "adapters/log/log.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "sim/disk.h"

#define TURNS_MAX      20000
#define IMAGE_SEGMENTS 3u

struct world {
    struct clock_port clock; /* first */
    struct entropy entropy;
    uint64_t now_us;
    struct disk disk;
    struct log log;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct clock_reading world_read(struct clock_port *clock)
{
    const struct world *world = (struct world *)clock;
    return (struct clock_reading){.wall_us = world->now_us, .mono_us = world->now_us};
}

static void world_fill(struct entropy *entropy, uint8_t *out, size_t bytes)
{
    (void)entropy;
    memset(out, 0x42, bytes); /* a known log_id, for mending */
}

static const struct clock_vtable clock_vtable = {.read = world_read};
static const struct entropy_vtable entropy_vtable = {.fill = world_fill};

static void world_open(struct world *world)
{
    struct log_options options = {.folder = "log",
                                  .segment_bytes = 32 * 1024,
                                  .group_bytes = 8 * 1024,
                                  .group_records_max = 8,
                                  .record_bytes_max = 2048,
                                  .segments_max = 8};
    enum status status =
        log_open(&world->log, &world->disk.port, &world->clock, &world->entropy, &options);
    assert(status == STATUS_OK);
    world->log.bus.vtable->consume(&world->log.bus, TOPIC_MESSAGES, 0, 0);
}

static void world_init(struct world *world)
{
    static const struct disk_options options;
    world->clock.vtable = &clock_vtable;
    world->entropy.vtable = &entropy_vtable;
    disk_init(&world->disk, &options, 1);
}

/* Go on until nothing moves. Returns how far the records came. */
static uint64_t world_run(struct world *world)
{
    struct bus_event events[16];
    uint64_t next = 0;
    for (int turns = 0, still = 0; still < 20; turns++) {
        assert(turns < TURNS_MAX);
        size_t count = world->log.bus.vtable->poll(&world->log.bus, events, 16);
        for (size_t i = 0; i < count; i++) {
            bool placed = events[i].kind == BUS_RECORD || events[i].kind == BUS_HOLE;
            assert(!placed || events[i].record.offset >= next);
            if (events[i].kind == BUS_RECORD)
                next = events[i].record.offset + 1;
            else if (events[i].kind == BUS_HOLE)
                next = events[i].hole_end;
        }
        still = count > 0 || world->disk.pending_count > 0 ? 0 : still + 1;
        disk_advance(&world->disk, ++world->now_us);
    }
    return next;
}

/* The sound log that the input spoils. Made once. */
static void image_make(struct disk *image)
{
    static const uint8_t bytes[1500];
    static const struct disk_options options;
    struct world *world = memory_alloc(sizeof *world);
    uint8_t key[ID_BYTES] = {1};
    world_init(world);
    world_open(world);
    (void)world_run(world);
    for (uint64_t i = 0; world->log.segments_count < IMAGE_SEGMENTS; i++) {
        struct slice record = slice_make(bytes, i * 97 % sizeof bytes);
        enum status status =
            world->log.bus.vtable->append(&world->log.bus, TOPIC_MESSAGES, key, record, i);
        assert(status == STATUS_OK);
        (void)world_run(world);
    }
    disk_kill(&world->disk);
    log_close(&world->log);
    disk_init(image, &options, 1);
    disk_copy(image, &world->disk);
    disk_deinit(&world->disk);
    memory_free(world);
}

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_word(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* Give the group in this block, and its records as far as they go, sound crcs. */
static void mend(uint8_t *at, uint64_t left)
{
    uint8_t seed[20];
    memset(seed, 0x42, 16);
    put_word(seed + 16, 1);
    uint32_t group = crc32c(crc32c(0, SLICE_OF(seed)), slice_make(at + 8, 48));
    put_word(at + 4, group);
    uint64_t from = LOG_GROUP_HEADER_BYTES;
    for (uint32_t i = 0; i < word(at + 40) && from + 8 <= left; i++) {
        uint64_t length = word(at + from + 4) & 0xffffff;
        uint8_t record[8];
        if (length > left - from - 8)
            return;
        put_word(record, group);
        put_word(record + 4, i);
        put_word(at + from, crc32c(crc32c(0, SLICE_OF(record)),
                                   slice_make(at + from + 4, (size_t)length + 4)));
        from += 8 + length;
    }
}

static struct disk_file *nth_file(struct disk *disk, uint8_t nth)
{
    size_t used = 0;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < DISK_FILES_MAX; i++)
            if (disk->files[i].used && used++ == nth % 5u)
                return &disk->files[i];
    return NULL;
}

/* Edits of {file u8, place u16 in units of 4 bytes, length u8, bytes}. */
static void edit(struct disk *disk, struct slice input, bool mended)
{
    while (input.bytes > 4) {
        const struct disk_file *file = nth_file(disk, input.at[0]);
        uint64_t at = ((uint64_t)input.at[1] | (uint64_t)input.at[2] << 8) * 4;
        struct slice bytes = slice_sub(input, 4, input.at[3] % 64u);
        input = slice_sub(input, 4 + bytes.bytes, SIZE_MAX);
        if (file == NULL || at + bytes.bytes > file->bytes)
            continue;
        disk_overwrite(disk, file->name, at, bytes);
        uint64_t block = at / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES;
        if (mended && file->bytes >= block + LOG_BLOCK_BYTES) {
            mend(file->cache + block, file->bytes - block);
            memcpy(file->platter, file->cache, file->bytes);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct disk image; /* the one thing kept from run to run: it is never changed */
    if (image.port.vtable == NULL)
        image_make(&image);
    if (bytes < 2)
        return 0;
    struct world *world = memory_alloc(sizeof *world);
    world_init(world);
    disk_copy(&world->disk, &image);
    struct slice input = slice_make(data + 2, bytes - 2);
    if (data[0] % 3 == 2) {
        const struct disk_file *file = nth_file(&world->disk, data[1]);
        disk_overwrite(&world->disk, file->name, 0, slice_sub(input, 0, (size_t)file->bytes));
    } else {
        edit(&world->disk, input, data[0] % 3 == 1);
    }
    world_open(world);
    uint64_t next = world_run(world);
    assert(world->log.state != LOG_RECOVERING);
    assert(world->log.state != LOG_READY || next == world->log.end);
    assert(world->log.state == LOG_READY || world->log.failure.text[0] != '\0');
    disk_deinit(&world->disk);
    log_close(&world->log);
    memory_free(world);
    return 0;
}
