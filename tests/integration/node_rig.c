/* SPDX-License-Identifier: Apache-2.0 */
#include "node_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const uint8_t node_loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static const struct limit limits[RATE_CLASSES];

static void start_log(struct node *node)
{
    assert_int_equal(posix_file_open(&node->file, node->folder, &node->net.waker, NULL), STATUS_OK);
    struct log_options log = log_options_default();
    log.folder = "log";
    log.group_bytes = 512 << 10;
    log.segment_bytes = 2 << 20;
    assert_int_equal(log_open(&node->log, &node->file.port, system_clock(), system_entropy(), &log),
                     STATUS_OK);
    for (int i = 0; i < NODE_TURNS && node->log.state == LOG_RECOVERING; i++) {
        posix_file_wait(&node->file, 10);
        log_turn(&node->log);
    }
    assert_int_equal(node->log.state, LOG_READY);
}

void node_start(struct node *node, const struct node_options *options)
{
    struct epoll_options serve = {.address = node_loopback,
                                  .connections_max = options->connections_max};
    assert_int_equal(epoll_open(&node->net, &serve, NULL), STATUS_OK);
    start_log(node);
    assert_int_equal(memory_db_open(&node->db, 64 << 20), STATUS_OK);
    memory_store_open(&node->gateway_store, &node->db);
    memory_store_open(&node->processor_store, &node->db);
    assert_int_equal(local_rpc_open(&node->rpc, 1), STATUS_OK);
    assert_int_equal(password_pool_open(&node->passwords, 1, &node->net.waker, NULL), STATUS_OK);
    struct gateway_ports ports = {.net = &node->net.net,
                                  .bus = &node->log.bus,
                                  .store = &node->gateway_store.port,
                                  .rpc = &node->rpc.port,
                                  .password = &node->passwords.port,
                                  .entropy = system_entropy()};
    struct shard_options shard = {.gateway = {.connections_max = options->connections_max,
                                              .operations_max = options->operations_max,
                                              .discovery = SLICE_LITERAL("{}"),
                                              .limits = limits,
                                              .write_stall_ms = 30000},
                                  .processes = true,
                                  .processor_store = &node->processor_store.port,
                                  .devices_max = 16};
    session_config_init(&shard.session);
    shard.session.gateway = 1;
    shard.session.sign_up = options->sign_up;
    assert_int_equal(shard_open(&node->shard, &ports, system_clock(), &shard), STATUS_OK);
}

void node_kill(struct node *node)
{
    posix_file_close(&node->file);
    shard_close(&node->shard);
    password_pool_close(&node->passwords);
    local_rpc_close(&node->rpc);
    memory_db_close(&node->db);
    log_close(&node->log);
    epoll_close(&node->net);
}

void node_open(struct node *node, const struct node_options *options)
{
    memset(node, 0, sizeof *node);
    memcpy(node->folder, "/tmp/parley-node-XXXXXX", 24);
    assert_non_null(mkdtemp(node->folder));
    struct epoll_options call = {.connections_max = options->connections_max};
    assert_int_equal(epoll_open(&node->client, &call, NULL), STATUS_OK);
    node_start(node, options);
}

void node_close(struct node *node)
{
    node_kill(node);
    epoll_close(&node->client);
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", node->folder);
    assert_int_equal(system(command), 0);
}
