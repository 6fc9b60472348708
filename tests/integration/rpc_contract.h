/* SPDX-License-Identifier: Apache-2.0
 * rpc_contract.h: what rpc_contract.c needs of an adapter under test. One file per adapter
 * implements it (rpc_contract_ring.c, rpc_contract_sim.c). */
#pragma once

#include "ports/rpc.h"

/* Two ends; end 0 owns every inbox, and both know it. Close gives everything back. */
void contract_rpc_open(void);
void contract_rpc_close(void);
struct rpc *contract_rpc_end(uint32_t end);
void contract_rpc_turn(void); /* let some time pass */
