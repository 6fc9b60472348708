/* SPDX-License-Identifier: Apache-2.0
 * harm_rig.h: a campaign whose parleyd is harmed from within (harm.h).
 * Owner: the campaign's one thread. */
#pragma once

#include "campaign.h"
#include "harm.h"

/* From now on each parleyd of the campaign is preloaded with `library`. The campaign is open. */
struct harm *harm_open(struct campaign *campaign, const char *library);

/* Let the `nth` call from now fail, and all later ones with it if it is for ever. */
void harm_arm(struct harm_fault *fault, uint64_t nth, bool for_ever);
/* No more of that; has any failed? */
bool harm_disarm(struct harm_fault *fault);

/* A parleyd ended by itself: in words of its own, with exit code 1; only for want of `memory` may
 * it abort or crash in words, for that is what RocksDB does. Else the test fails. What it was: for
 * the ledger. */
const char *harm_ended(struct campaign *campaign, bool memory);
