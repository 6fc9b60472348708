/* SPDX-License-Identifier: Apache-2.0
 * tls_contract.h: what an adapter brings to the contract test of the tls port: two ends that trust
 * each other. */
#pragma once

#include "ports/tls.h"

struct tls *tls_contract_server(void);
struct tls *tls_contract_client(void);
void tls_contract_done(void);
