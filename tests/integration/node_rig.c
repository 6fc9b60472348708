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
    assert_int_equal(posix_file_open(&node->file, node->folder, &node->shards[0].net.waker, NULL),
                     STATUS_OK);
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

static void start_shard(struct node *node, uint32_t number, const struct node_options *options)
{
    struct node_shard *at = &node->shards[number];
    ring_links_waker(&node->links, number, &at->net.waker);
    assert_int_equal(
        ring_bus_open(&at->bus, &node->links, number, number == 0 ? &node->log.bus : NULL),
        STATUS_OK);
    ring_rpc_open(&at->rpc, &node->links, number);
    memory_store_open(&at->store, &node->db);
    assert_int_equal(password_pool_open(&at->passwords, 1, &at->net.waker, NULL), STATUS_OK);
    struct gateway_ports ports = {.net = &at->net.net,
                                  .bus = &at->bus.port,
                                  .store = &at->store.port,
                                  .rpc = &at->rpc.port,
                                  .password = &at->passwords.port,
                                  .entropy = system_entropy()};
    struct shard_options shard = {
        .gateway = {.connections_max = options->connections_max,
                    .operations_max = options->operations_max,
                    .discovery = SLICE_LITERAL("{}"),
                    .limits = options->limits != NULL ? options->limits : limits,
                    .limits_shared = options->limits_shared,
                    .tls = options->tls,
                    .forwarded = options->forwarded,
                    .address_max = options->address_max,
                    .hosts = options->hosts,
                    .hosts_count = options->hosts != NULL,
                    .origins = options->origins,
                    .origins_count = options->origins != NULL,
                    .write_stall_ms = 30000},
        .roles = number == 0 ? ROLES_ALL : ROLE_BIT(ROLE_GATEWAY),
        .processor_store = &node->processor_store.port,
        .devices_max = 16};
    session_config_init(&shard.session);
    shard.session.gateway = node->links.instance;
    shard.session.shard = number;
    shard.session.sign_up = options->sign_up;
    struct clock_port *clock = options->clock != NULL ? options->clock : system_clock();
    assert_int_equal(shard_open(&at->shard, &ports, clock, &shard), STATUS_OK);
}

void node_start(struct node *node, const struct node_options *options)
{
    struct epoll_options serve = {.address = node_loopback,
                                  .connections_max = options->connections_max};
    node->shards_count = options->shards;
    assert_int_equal(epoll_open(&node->shards[0].net, &serve, NULL), STATUS_OK);
    start_log(node);
    assert_int_equal(memory_db_open(&node->db, 64 << 20), STATUS_OK);
    memory_store_open(&node->processor_store, &node->db);
    struct bus_facts facts = node->log.bus.vtable->facts(&node->log.bus);
    assert_int_equal(ring_links_open(&node->links, node->shards_count, 1, facts), STATUS_OK);
    struct epoll_options share = {.listener = &node->shards[0].net,
                                  .connections_max = options->connections_max};
    for (uint32_t i = 0; i < node->shards_count; i++) {
        if (i > 0)
            assert_int_equal(epoll_open(&node->shards[i].net, &share, NULL), STATUS_OK);
        start_shard(node, i, options);
    }
    /* As parleyd does: nobody is answered from rows that are not folded again yet. */
    for (int i = 0; i < NODE_TURNS && !processor_caught_up(&node->shards[0].shard.processor); i++)
        (void)node_turn(node, 1);
    assert_true(processor_caught_up(&node->shards[0].shard.processor));
}

bool node_turn(struct node *node, int64_t wait_ms)
{
    bool any = false;
    for (uint32_t i = 0; i < node->shards_count; i++)
        if (i + 1 != node->asleep)
            any = shard_turn(&node->shards[i].shard, i == 0 ? wait_ms : 0) || any;
    return any;
}

void node_kill(struct node *node)
{
    posix_file_close(&node->file);
    for (uint32_t i = node->shards_count; i-- > 0;) {
        struct node_shard *at = &node->shards[i];
        shard_close(&at->shard);
        password_pool_close(&at->passwords);
        ring_bus_close(&at->bus);
        epoll_close(&at->net);
    }
    ring_links_close(&node->links);
    memory_db_close(&node->db);
    log_close(&node->log);
}

static struct clock_reading clock_read(struct clock_port *port)
{
    uint64_t us = ((struct node_clock *)port)->ms * 1000;
    return (struct clock_reading){us, us};
}

void node_clock_open(struct node_clock *clock, uint64_t ms)
{
    static const struct clock_vtable table = {clock_read};
    *clock = (struct node_clock){.port.vtable = &table, .ms = ms};
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
