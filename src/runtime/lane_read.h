/* SPDX-License-Identifier: Apache-2.0
 * lane_read.h: how a lane reads the rows that a fold wants: from the store and through the overlay,
 * and, in a fleet, as of one moment although another owner may be writing them.
 * Owner: the lane. Source: storage §2.4. */
#pragma once

#include "runtime/lane.h"

/* Hand a request to the store; its completion comes to lane_on_store. */
void lane_submit(struct lane *lane, struct store_request *request);

/* Ask for what lane->reads wants and has not read; the lane is READ until all of it came. */
void lane_read(struct lane *lane);

/* All of it came: the lane goes on to FOLD, or reads again, or has FAILED. */
void lane_read_done(struct lane *lane);
