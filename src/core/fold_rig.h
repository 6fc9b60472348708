/* SPDX-License-Identifier: Apache-2.0
 * fold_rig.h: a bench for the tables of the folds: a store that is an array, and one record folded
 * at a time, through its bytes as the log would hold them. Tests only; linked into no program.
 * Invariants: writes are applied in their order, `late` last; what a record bears is not folded by
 * itself: tests look at it. Owner: one test. Bounds: RIG_ROWS_MAX rows, one arena. */
#pragma once

#include "core/fold.h"
#include "wire/envelope.h"
#include "wire/gen/frame.pb.h"

#define RIG_ROWS_MAX 2048u

struct fold_rig {
    struct arena arena;
    struct row rows[RIG_ROWS_MAX];
    size_t rows_count;
    uint64_t offset; /* of the next record */
    uint64_t append_us;
    bool inlined;
    struct fold_outcome out; /* of the newest record */
};

void rig_open(struct fold_rig *rig);
void rig_close(struct fold_rig *rig);

/* Fold the record as the next of the log; its outcome is in rig->out. */
enum fold_verdict rig_fold(struct fold_rig *rig, enum topic topic, const uint8_t *key,
                           const struct pb_record *record);
/* As rig_fold, at a place of its own: a replay. */
enum fold_verdict rig_fold_at(struct fold_rig *rig, enum topic topic, const uint8_t *key,
                              const struct pb_record *record, struct fold_place place);

/* The stored row, or NULL. */
const struct row *rig_row(const struct fold_rig *rig, enum table table, const uint8_t *a,
                          const uint8_t *b, uint64_t n);
/* Stored rows of one table. */
size_t rig_count(const struct fold_rig *rig, enum table table);
/* Put a row by hand, as an older or stranger world would have left it. */
void rig_put(struct fold_rig *rig, struct row_key key, uint64_t stamp, struct slice value);

/* The newest record's emission of this kind to `key`, or NULL. */
const struct pb_record *rig_bore(const struct fold_rig *rig, const uint8_t *key,
                                 enum pb_record_body kind);
