/* SPDX-License-Identifier: Apache-2.0
 * store_contract.h: what store_contract.c needs of an adapter under test. One file per adapter
 * implements it (store_contract_memory.c). */
#pragma once

#include "ports/store.h"

/* A fresh, empty store; close gives everything back. */
struct store *contract_store_open(void);
void contract_store_close(void);
