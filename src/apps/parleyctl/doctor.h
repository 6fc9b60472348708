/* SPDX-License-Identifier: Apache-2.0
 * doctor.h: what is looked at for `parleyctl doctor`: each finding says what, and if it is not well
 * what to do. Nothing is changed; a file without a name is written in the data folder, to time
 * syncs.
 * Owner: one thread. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "apps/parleyctl/ctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor {
    const struct ctl *ctl;
    unsigned counts[DOCTOR_PROBLEM + 1];
    bool runs; /* a server answers: what it says of itself */
    char listen[96], name[256], certificate[96], certificate_trouble[200], certificate_name[32];
    char read_only[600];
    uint64_t connections_max, pid, lag;
};

/* One finding. `todo` is "" if there is nothing to do. */
void doctor_find(struct doctor *doctor, enum doctor_level level, const char *check,
                 const char *todo, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* doctor_machine.c */
void doctor_disk(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_descriptors(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
void doctor_sync(struct doctor *doctor);
