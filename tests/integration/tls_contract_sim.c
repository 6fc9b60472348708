/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/tls.h"
#include "tls_contract.h"

static struct sim_tls server, client;

struct tls *tls_contract_server(void)
{
    sim_tls_init(&server, false);
    return &server.tls;
}

struct tls *tls_contract_client(void)
{
    sim_tls_init(&client, true);
    return &client.tls;
}

void tls_contract_done(void)
{
}
