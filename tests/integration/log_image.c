/* SPDX-License-Identifier: Apache-2.0 */
#include "log_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/memory.h"

struct image *image_new(uint64_t seed, enum how how)
{
    struct disk_options options = disk_options_cruel();
    struct image *image = memory_alloc(sizeof *image);
    struct rig *rig = &image->rig;
    rig_init(rig, &options, seed);
    disk_init(&image->disk, &options, seed);
    rig_start(rig);
    rig_recover(rig);
    while (rig->appended < IMAGE_APPENDS)
        if (!rig_append(rig))
            assert_true(rig_step(rig, UINT64_MAX));
    rig_settle(rig);
    if (how == SEALED)
        rig_idle(rig);
    image->count = rig->log.segments_count;
    assert_in_range(image->count, 3, 16);
    for (size_t i = 0; i < image->count; i++)
        log_segment_name("log", rig->log.segments[i].base, image->segments[i]);
    image->end_at = rig->log.end_at;
    memcpy(image->log_id, rig->log.meta.log_id, sizeof image->log_id);
    if (how == STOPPED) {
        image->end_at += rig->log.writer.sealed ? 0 : LOG_BLOCK_BYTES;
        rig_stop(rig);
        disk_kill(&rig->disk);
    } else {
        rig_crash(rig, false);
    }
    assert_int_equal(rig->acked_end, IMAGE_APPENDS);
    disk_copy(&image->disk, &rig->disk);
    return image;
}

void image_free(struct image *image)
{
    rig_deinit(&image->rig);
    disk_deinit(&image->disk);
    memory_free(image);
}

const char *image_newest(const struct image *image)
{
    return image->segments[image->count - 1];
}

void image_start(struct image *image)
{
    rig_start(&image->rig);
    rig_settle(&image->rig);
    rig_check_never_silent(&image->rig);
}

void image_restore(struct image *image)
{
    rig_crash(&image->rig, false);
    disk_copy(&image->rig.disk, &image->disk);
    image->rig.options.part = 0;
}

/* --- damage --- */

void break_nothing(struct image *image)
{
    (void)image;
}

void break_meta_gone(struct image *image)
{
    disk_remove(&image->rig.disk, "log/log.meta");
}

void break_meta_slots(struct image *image)
{
    disk_flip(&image->rig.disk, "log/log.meta", 100);
    disk_flip(&image->rig.disk, "log/log.meta", 100 + 8 * LOG_BLOCK_BYTES);
}

void break_first_gone(struct image *image)
{
    disk_remove(&image->rig.disk, image->segments[0]);
}

void break_middle_gone(struct image *image)
{
    disk_remove(&image->rig.disk, image->segments[1]);
}

void break_newest_gone(struct image *image)
{
    disk_remove(&image->rig.disk, image_newest(image));
}

void break_all_gone(struct image *image)
{
    for (size_t i = 0; i < image->count; i++)
        disk_remove(&image->rig.disk, image->segments[i]);
}

void break_middle_short(struct image *image)
{
    disk_truncate(&image->rig.disk, image->segments[1], 20000);
}

void break_foreign(struct image *image)
{
    struct log_segment_header header;
    uint8_t block[LOG_BLOCK_BYTES];
    uint64_t bytes;
    uint8_t *at = disk_bytes(&image->rig.disk, image_newest(image), &bytes);
    assert_int_equal(log_segment_read(slice_make(at, bytes), &header), STATUS_OK);
    header.log_id[0] ^= 1;
    log_segment_write(&header, block);
    disk_overwrite(&image->rig.disk, image_newest(image), 0, SLICE_OF(block));
}

void break_full_segment(struct image *image)
{
    disk_flip(&image->rig.disk, image->segments[1], (LOG_BLOCK_BYTES + 70) * 8);
}

void break_before_valid(struct image *image)
{
    disk_flip(&image->rig.disk, image_newest(image), (LOG_BLOCK_BYTES + 70) * 8);
}

void break_behind_end(struct image *image)
{
    uint8_t junk[700];
    memset(junk, 0x77, sizeof junk);
    disk_overwrite(&image->rig.disk, image_newest(image), image->end_at + 300, SLICE_OF(junk));
}

void break_behind_end_part(struct image *image)
{
    break_behind_end(image);
    image->rig.options.part = IMAGE_APPENDS + 1;
}

void break_part_above(struct image *image)
{
    image->rig.options.part = IMAGE_APPENDS + 1;
}

/* The last group of records and the seal behind it, wiped. */
void break_wiped(struct image *image)
{
    static uint8_t zeros[64 * 1024];
    uint64_t from = image->end_at - 2 * LOG_BLOCK_BYTES;
    disk_overwrite(&image->rig.disk, image_newest(image), from,
                   slice_make(zeros, (size_t)(image->end_at - from)));
}

void break_newer(struct image *image)
{
    /* A slot of the next version, its crc (over 8 … of the fixed part and all holes) mended. */
    uint64_t bytes;
    uint8_t *at = disk_bytes(&image->rig.disk, "log/log.meta", &bytes);
    uint8_t slot[LOG_BLOCK_BYTES];
    memcpy(slot, at, sizeof slot);
    slot[8]++;
    uint32_t crc = crc32c(0, slice_make(slot + 8, 88 + 16 * LOG_HOLES_MAX - 8));
    for (int i = 0; i < 4; i++)
        slot[4 + i] = (uint8_t)(crc >> 8 * i);
    disk_overwrite(&image->rig.disk, "log/log.meta", 0, SLICE_OF(slot));
}

/* As break_before_valid, but the store holds all of it in synced files. */
void break_flushed(struct image *image)
{
    uint64_t bytes;
    uint8_t *at = disk_bytes(&image->rig.disk, "log/log.meta", &bytes);
    struct log_meta metas[2] = {0};
    uint8_t slot[LOG_BLOCK_BYTES];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            log_meta_read(slice_make(at + i * LOG_BLOCK_BYTES, LOG_BLOCK_BYTES), &metas[i]),
            STATUS_OK);
    struct log_meta meta = metas[metas[1].counter > metas[0].counter];
    meta.counter++;
    meta.flushed = IMAGE_APPENDS;
    log_meta_write(&meta, slot);
    disk_overwrite(&image->rig.disk, "log/log.meta", meta.counter % 2 * LOG_BLOCK_BYTES,
                   SLICE_OF(slot));
    break_before_valid(image);
    image->rig.options.part = IMAGE_APPENDS;
}
