/* SPDX-License-Identifier: Apache-2.0
 * bus_contract.h: what bus_contract.c needs of an adapter under test. One file per adapter
 * implements it (bus_contract_log.c, bus_contract_sim.c). */
#pragma once

#include "ports/bus.h"

/* A fresh, empty bus, whose handle owns every partition; close gives everything back. */
struct bus *contract_bus_open(void);
void contract_bus_close(void);
/* Let some time pass. */
void contract_bus_turn(void);
/* The process dies with what it had under way, and starts again on the same data. */
struct bus *contract_bus_restart(void);
