/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/assemble.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "apps/parleyd/unsafe.h"
#include "base/assert.h"

static uint32_t share(const struct node *node, uint32_t of_all)
{
    return (of_all + node->shards_count - 1) / node->shards_count;
}

/* ---- what the configuration means for the ports ---- */

static void limits_fill(struct node *node)
{
    const struct config *config = node->config;
    struct limit *limits = node->limits;
    if (unsafe_bench(config))
        return; /* zeroed: no limits */
    limits[RATE_REGISTER] = (struct limit){config->register_burst, config->register_back_ms, true};
    limits[RATE_LOGIN] = (struct limit){config->login_burst, config->login_back_ms, true};
    limits[RATE_LOGIN_ACCOUNT] =
        (struct limit){config->login_account_burst, config->login_account_back_ms, true};
    limits[RATE_INVITE_GUESS] =
        (struct limit){config->invite_guess_burst, config->invite_guess_back_ms, true};
    limits[RATE_SEND] = (struct limit){config->send_burst, config->send_back_ms, false};
    limits[RATE_LOOKUP] = (struct limit){config->lookup_burst, config->lookup_back_ms, true};
    limits[RATE_INVITE] = (struct limit){config->invite_burst, config->invite_back_ms, true};
    limits[RATE_READ] = (struct limit){config->read_burst, config->read_back_ms, false};
    limits[RATE_WRITE] = (struct limit){config->write_burst, config->write_back_ms, false};
}

static size_t list_fill(const char *at, struct slice out[CONFIG_LIST_MAX])
{
    size_t count = 0;
    while (count < CONFIG_LIST_MAX && (out[count] = config_origin_next(&at)).bytes > 0)
        count++;
    return count;
}

/* /.well-known/parley; the name was checked to hold nothing that JSON would escape. */
static void discovery_fill(struct node *node)
{
    static const char *const policies[] = {"invite", "closed", "open"};
    (void)snprintf(node->discovery, sizeof node->discovery,
                   "{\"server_name\":\"%s\",\"version\":\"" PARLEY_VERSION "\","
                   "\"protocol\":{\"min\":1,\"max\":1},\"sign_up\":\"%s\","
                   "\"end_to_end_encrypted\":false,"
                   "\"limits\":{\"frame_bytes\":%u,\"envelope_bytes\":65536,\"devices\":8}}\n",
                   node->config->name, policies[node->config->sign_up], FRAME_BYTES_MAX);
}

static uint32_t password_threads(const struct node *node)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = node->config->password_threads;
    if (threads == 0)
        threads = cores > 1 ? (uint32_t)cores - 1 : 1;
    threads = threads > PASSWORD_THREADS_MAX ? PASSWORD_THREADS_MAX : threads;
    threads /= node->shards_count;
    return threads > 0 ? threads : 1;
}

/* ---- address, log ---- */

enum status assemble_log(struct node *node, struct failure *failure)
{
    const struct config *config = node->config;
    uint8_t address[16];
    uint16_t port;
    enum status status = config_address(config->listen, address, &port);
    assert(status == STATUS_OK &&
           (config_loopback(address) || config_tls(config) || config->trust_proxy[0] != '\0'));
    struct loop_options serve = {.backend = (enum loop_backend)config->net_backend,
                                 .address = address,
                                 .port = port,
                                 .connections_max = share(node, config->connections)};
    status = loop_open(&node->shards[0].loop, &serve, failure);
    if (status == STATUS_OK)
        status = posix_file_open(&node->file, config->data, node->shards[0].loop.waker, failure);
    if (status != STATUS_OK)
        return status;
    struct rocks_options store = {.small = config->store_size == 0};
    /* The log stops first: what two segments still take, the store writes twice. */
    node->file.free_bytes = rocks_room_needed(&store) + ((uint64_t)config->segment_mib << 22);
    struct log_options options = log_options_default();
    options.folder = "log";
    options.segment_bytes = config->segment_mib << 20;
    options.first_bytes = LOG_FIRST_BYTES;
    options.spare_at = LOG_SPARE_AT;
    options.part = LOG_PART_LATER;
    options.id = node->data.has_log ? node->data.log_id : NULL;
    status = log_open(&node->log, &node->file.port, system_clock(), system_entropy(), &options);
    if (status != STATUS_OK)
        (void)failure_set(failure, status, "no memory for the log");
    return status;
}

/* ---- shards ---- */

static struct shard_options shard_options_of(struct node *node, uint32_t number,
                                             struct bus_facts facts)
{
    const struct config *config = node->config;
    struct shard_options options = {.gateway = {.connections_max = share(node, config->connections),
                                                .operations_max = share(node, config->operations),
                                                .origins = node->origins,
                                                .origins_count = node->origins_count,
                                                .hosts = node->hosts,
                                                .hosts_count = node->hosts_count,
                                                .discovery = slice_text(node->discovery),
                                                .limits = node->limits,
                                                .limits_shared = &node->limits_shared.port,
                                                .tls = certificate_port(&node->certificate),
                                                .http_ms = config->http_ms,
                                                .write_stall_ms = config->write_stall_ms},
                                    .roles = number == 0 ? ROLES_ALL : ROLE_BIT(ROLE_GATEWAY),
                                    .processor_store = &node->index.processor.port,
                                    .devices_max = config->connections};
    if (!unsafe_bench(config))
        options.gateway.address_max = share(node, config->connections_address);
    bool proxies = config_forwarded(config, &options.gateway.forwarded);
    assert(proxies); /* config_check */
    session_config_init(&options.session);
    options.session.server_name = config->name;
    options.session.gateway = node->links.instance;
    options.session.shard = number;
    options.session.log_epoch = facts.log_epoch;
    options.session.sign_up =
        unsafe_bench(config) ? POLICY_OPEN : (enum sign_up_policy)config->sign_up;
    options.session.members_invite = config->members_invite;
    options.session.read_only = node->log.state == LOG_READ_ONLY;
    options.session.witness = node->data.witness;
    options.session.sign_in_ms = config->sign_in_ms;
    options.session.idle_ms = config->idle_ms;
    return options;
}

static enum status shard_start(struct node *node, uint32_t number, struct failure *failure)
{
    struct node_shard *at = &node->shards[number];
    at->node = node;
    at->number = number;
    ring_links_waker(&node->links, number, at->loop.waker);
    ring_rpc_open(&at->rpc, &node->links, number);
    rocks_store_open(&at->store, &node->index.db, at->loop.waker);
    enum status status =
        ring_bus_open(&at->bus, &node->links, number, number == 0 ? &node->log.bus : NULL);
    if (status == STATUS_OK)
        status =
            password_pool_open(&at->passwords, password_threads(node), at->loop.waker, failure);
    if (status != STATUS_OK)
        return failure_set(failure, status, "no memory for shard %u", number);
    if (unsafe_bench(node->config))
        password_pool_weaken(&at->passwords);
    struct gateway_ports ports = {.net = at->loop.net,
                                  .bus = &at->bus.port,
                                  .store = &at->store.port,
                                  .rpc = &at->rpc.port,
                                  .password = &at->passwords.port,
                                  .entropy = system_entropy()};
    struct shard_options options = shard_options_of(node, number, node->links.facts);
    status = shard_open(&at->shard, &ports, system_clock(), &options);
    if (status != STATUS_OK)
        return failure_set(failure, status, "no memory for shard %u", number);
    return STATUS_OK;
}

enum status assemble_shards(struct node *node, struct failure *failure)
{
    struct bus_facts facts = node->log.bus.vtable->facts(&node->log.bus);
    uint64_t instance = 0;
    limits_fill(node);
    node->origins_count = list_fill(node->config->origins, node->origins);
    node->hosts_count = list_fill(node->config->hosts, node->hosts);
    discovery_fill(node);
    while (instance == 0)
        system_entropy()->vtable->fill(system_entropy(), (uint8_t *)&instance, sizeof instance);
    uint8_t seed[SIPHASH_SEED_BYTES];
    system_entropy()->vtable->fill(system_entropy(), seed, sizeof seed);
    enum status status = shared_limits_open(&node->limits_shared, node->limits, RATE_CLASSES, seed);
    if (status == STATUS_OK)
        status = ring_links_open(&node->links, node->shards_count, instance, facts);
    if (status != STATUS_OK)
        return failure_set(failure, status, "no memory for the rings");
    struct loop_options join = {.listener = &node->shards[0].loop,
                                .connections_max = share(node, node->config->connections)};
    for (uint32_t i = 0; status == STATUS_OK && i < node->shards_count; i++) {
        if (i > 0)
            status = loop_open(&node->shards[i].loop, &join, failure);
        if (status == STATUS_OK)
            status = shard_start(node, i, failure);
    }
    return status;
}

void assemble_close(struct node *node)
{
    bool stopped = node->log.state == LOG_STOPPED;
    if (!stopped)
        posix_file_close(&node->file);
    rocks_db_rest(&node->index.db); /* a commit under way reads the rows that the shards hold */
    for (uint32_t i = node->shards == NULL ? 0 : node->shards_count; i-- > 0;) {
        struct node_shard *at = &node->shards[i];
        shard_close(&at->shard);
        password_pool_close(&at->passwords);
        ring_bus_close(&at->bus);
        if (at->store.db != NULL)
            rocks_store_close(&at->store);
        if (i > 0)
            loop_close(&at->loop);
    }
    shared_limits_close(&node->limits_shared);
    if (node->links.shards > 0)
        ring_links_close(&node->links);
    upkeep_finish(&node->upkeep);
    index_close(&node->index, stopped);
    if (node->log.bus.vtable != NULL)
        log_close(&node->log);
    if (stopped)
        posix_file_close(&node->file);
    if (node->shards != NULL)
        loop_close(&node->shards[0].loop);
}
