/* SPDX-License-Identifier: Apache-2.0
 * log_image.h: what a log leaves on its disk, and ways to damage it. For the tests of recovery. */
#pragma once

#include "log_rig.h"

#define IMAGE_APPENDS 260u

struct image {
    struct rig rig;
    struct disk disk;                   /* what the log left behind */
    char segments[16][FILE_NAME_BYTES]; /* names, oldest first */
    size_t count;
    uint64_t end_at; /* written bytes of the newest */
    uint8_t log_id[16];
};

enum how { KILLED, SEALED, STOPPED };

/* 260 records in several segments; then it dies, or idles and dies, or stops. */
struct image *image_new(uint64_t seed, enum how how);
void image_free(struct image *image);
/* The damaged disk is started; image_restore: it is the image again. */
void image_start(struct image *image);
void image_restore(struct image *image);
const char *image_newest(const struct image *image);

void break_nothing(struct image *image);
void break_meta_gone(struct image *image);
void break_meta_slots(struct image *image);
void break_first_gone(struct image *image);
void break_middle_gone(struct image *image);
void break_newest_gone(struct image *image);
void break_all_gone(struct image *image);
void break_middle_short(struct image *image);
void break_foreign(struct image *image);
void break_full_segment(struct image *image);
void break_before_valid(struct image *image);
void break_behind_end(struct image *image);
void break_behind_end_part(struct image *image);
void break_part_above(struct image *image);
void break_wiped(struct image *image);
void break_newer(struct image *image);
void break_flushed(struct image *image);
