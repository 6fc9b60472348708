/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "sim/world.h"

#define SECOND_US UINT64_C(1000000)
#define ACTS_MAX  40u

static uint64_t within(struct sim_world *world, uint64_t least_us, uint64_t most_us)
{
    return world->loop.now_us + prng_range(&world->prng, least_us, most_us);
}

static struct sim_seat *any_seat(struct sim_world *world)
{
    return &world->seats[prng_below(&world->prng, world->seats_count)];
}

/* A seat whose device runs and has an account, or NULL. */
static struct sim_seat *live_seat(struct sim_world *world)
{
    struct sim_seat *seat = any_seat(world);
    return seat->device.power == SIM_DEVICE_ON && seat->device.client.enrolled ? seat : NULL;
}

static void fired(struct sim_world *world, enum sim_mark mark, uint32_t who)
{
    sim_trace(&world->loop, 0, SIM_TRACE_FAULT, mark, who);
}

static void somebody_else(struct sim_world *world, const struct sim_seat *seat,
                          char username[SIM_USERNAME_BYTES])
{
    uint32_t to = (uint32_t)prng_below(&world->prng, world->swarm.users - 1);
    (void)snprintf(username, SIM_USERNAME_BYTES, "person%u", to >= seat->user ? to + 1 : to);
}

static void say(struct sim_world *world, struct sim_seat *seat, uint32_t count)
{
    char username[SIM_USERNAME_BYTES];
    if (world->swarm.users < 2)
        return;
    somebody_else(world, seat, username);
    for (uint32_t i = 0; i < count; i++) {
        bool is_long = prng_chance(&world->prng, world->swarm.long_texts);
        size_t most = is_long ? SIM_TEXT_BYTES_MAX : world->swarm.text_bytes_max;
        size_t bytes = (size_t)prng_range(&world->prng, 1, most);
        sim_device_send(&seat->device, username, bytes);
        world->texts++;
    }
}

static void read_some(struct sim_world *world, struct sim_seat *seat)
{
    const struct client *client = &seat->device.client;
    if (client->chat_count == 0)
        return;
    const struct client_chat *chat = client->chats[prng_below(&world->prng, client->chat_count)];
    if (chat->head == 0)
        return;
    uint8_t id[ID_BYTES];
    memcpy(id, chat->id, ID_BYTES);
    uint64_t upto =
        prng_chance(&world->prng, 800) ? chat->head : 1 + prng_below(&world->prng, chat->head);
    if (client_chat_holds(chat, upto))
        sim_device_read(&seat->device, id, upto);
}

static void ask_some(struct sim_world *world, struct sim_seat *seat)
{
    char username[SIM_USERNAME_BYTES] = "nobody";
    if (world->swarm.users > 1 && prng_chance(&world->prng, 800))
        somebody_else(world, seat, username);
    if (seat->device.commands_count < SIM_COMMANDS_MAX / 2)
        sim_device_ask(&seat->device, prng_next(&world->prng), username);
}

static void kill_device(struct sim_world *world, struct sim_seat *seat, enum sim_kill kill)
{
    if (kill == SIM_KILL_NONE) {
        world->marks.count[SIM_MARK_DEVICE_KILL]++;
        sim_device_kill(&seat->device, prng_chance(&world->prng, 300));
        seat->back_us = within(world, 0, 5 * SECOND_US);
        return;
    }
    seat->device.kill = kill;
    seat->device.kill_in = (uint32_t)prng_range(&world->prng, 1, 20);
}

static void kill_now(struct sim_world *world, uint32_t server, bool power)
{
    struct cluster *cluster = world->cluster;
    if (!cluster->vtable->up(cluster, server))
        return;
    world->marks.count[power ? SIM_MARK_DISK_CRASH : SIM_MARK_SERVER_KILL]++;
    sim_trace(&world->loop, server, SIM_TRACE_KILL, power, 0);
    cluster->vtable->kill(cluster, server, power);
    world->server_back_us[server] = within(world, 10000, 4 * SECOND_US);
}

void sim_script_due(struct sim_world *world)
{
    if (world->kill_us > world->loop.now_us)
        return;
    world->kill_us = SIM_NEVER;
    kill_now(world, world->kill_server, world->kill_power);
}

/* Now, or while what is said just before is on its way through the server. */
static void kill_server(struct sim_world *world, bool power)
{
    uint32_t server = 1 + (uint32_t)prng_below(&world->prng, world->cluster->count);
    struct sim_seat *seat = live_seat(world);
    if (!seat || world->kill_us != SIM_NEVER || prng_chance(&world->prng, 300)) {
        kill_now(world, server, power);
        return;
    }
    say(world, seat, (uint32_t)prng_range(&world->prng, 1, 8));
    uint64_t way_us = 3 * world->swarm.net.latency_max_us + world->swarm.disk.sync_max_us;
    world->kill_us = within(world, 0, way_us);
    world->kill_server = server;
    world->kill_power = power;
}

/* A device of the same person that stays signed in, or NULL. */
static struct sim_seat *sibling(struct sim_world *world, const struct sim_seat *seat)
{
    for (uint32_t i = 0; i < world->seats_count; i++) {
        struct sim_seat *other = &world->seats[i];
        if (other->user == seat->user && other != seat && !other->signed_out && other->device.known)
            return other;
    }
    return NULL;
}

/* Another device of the person, now and then this one itself. */
static void sign_out(struct sim_world *world, struct sim_seat *seat)
{
    struct sim_seat *other = sibling(world, seat);
    if (!other || seat->device.awaited != 0 || seat->signed_out)
        return;
    if (prng_chance(&world->prng, 200))
        other = seat;
    world->marks.count[SIM_MARK_SIGN_OUT]++;
    other->signed_out = true;
    uint8_t id[ID_BYTES];
    memcpy(id, other->device.client.device, ID_BYTES);
    sim_device_sign_out(&seat->device, id);
}

static void late_device(struct sim_world *world)
{
    struct sim_seat *seat = any_seat(world);
    if (!seat->late || seat->device.known || seat->device.power != SIM_DEVICE_OFF)
        return;
    world->marks.count[SIM_MARK_LATE_DEVICE]++;
    sim_device_start(&seat->device, 0);
}

static void cut_off(struct sim_world *world, struct sim_seat *seat)
{
    world->marks.count[SIM_MARK_OFFLINE]++;
    seat->device.offline = true;
    (void)sim_net_break(&seat->device.net, prng_chance(&world->prng, 200));
    seat->back_us = within(world, SECOND_US / 10, 20 * SECOND_US);
}

static void jump(struct sim_world *world, struct sim_seat *seat)
{
    static const int64_t hour_us = INT64_C(3600) * 1000000;
    if (prng_chance(&world->prng, 300)) {
        world->cluster->vtable->fault(world->cluster, SIM_MARK_CLOCK_JUMP, &world->prng);
        return;
    }
    world->marks.count[SIM_MARK_CLOCK_JUMP]++;
    int64_t by_us = (int64_t)prng_below(&world->prng, (uint64_t)(2 * hour_us)) - hour_us;
    seat->device.clock.offset_us = by_us;
}

/* Faults that need a device that runs. */
static void hurt_device(struct sim_world *world, struct sim_seat *seat, enum sim_mark what)
{
    struct sim_device *device = &seat->device;
    switch ((int)what) {
    case SIM_MARK_BURST:
        world->marks.count[SIM_MARK_BURST]++;
        say(world, seat, (uint32_t)prng_range(&world->prng, 10, world->swarm.burst_max));
        break;
    case SIM_MARK_OFFLINE: cut_off(world, seat); break;
    case SIM_MARK_NET_RESET: (void)sim_net_break(&device->net, false); break;
    case SIM_MARK_NET_HALF_OPEN: (void)sim_net_break(&device->net, true); break;
    case SIM_MARK_NET_SLOW:
        sim_net_stall(&device->net, within(world, 1000, 1000 + world->swarm.net.slow_max_us));
        break;
    case SIM_MARK_NET_DEAF:
        world->marks.count[SIM_MARK_NET_DEAF]++;
        device->deaf = true;
        seat->back_us = within(world, SECOND_US, 60 * SECOND_US);
        break;
    case SIM_MARK_DEVICE_KILL: kill_device(world, seat, SIM_KILL_NONE); break;
    case SIM_MARK_KILL_BEFORE_STORE: kill_device(world, seat, SIM_KILL_BEFORE_STORE); break;
    case SIM_MARK_KILL_AFTER_STORE: kill_device(world, seat, SIM_KILL_AFTER_STORE); break;
    case SIM_MARK_KILL_AFTER_FRAMES: kill_device(world, seat, SIM_KILL_AFTER_FRAMES); break;
    case SIM_MARK_STORE_ERROR: kill_device(world, seat, SIM_FAIL_STORE); break;
    case SIM_MARK_OLD_COPY:
        if (seat->copy_us == 0)
            sim_world_copy(world, seat, within(world, SECOND_US / 10, 20 * SECOND_US));
        break;
    case SIM_MARK_SIGN_OUT: sign_out(world, seat); break;
    case SIM_MARK_CLOCK_JUMP: jump(world, seat); break;
    default: break;
    }
}

static void hurt(struct sim_world *world, enum sim_mark what)
{
    struct sim_seat *seat;
    switch ((int)what) {
    case SIM_MARK_SERVER_KILL: kill_server(world, false); break;
    case SIM_MARK_DISK_CRASH: kill_server(world, true); break;
    case SIM_MARK_LATE_DEVICE: late_device(world); break;
    case SIM_MARK_DISK_SYNC_ERROR:
    case SIM_MARK_DISK_FULL:
    case SIM_MARK_DISK_SLOW:
    case SIM_MARK_FLEET_HAND_OVER:
        world->cluster->vtable->fault(world->cluster, what, &world->prng);
        break;
    default:
        seat = live_seat(world);
        if (!seat || seat->back_us != SIM_NEVER)
            return;
        fired(world, what, seat->device.who);
        hurt_device(world, seat, what);
        return;
    }
    fired(world, what, 0);
}

void sim_script_act(struct sim_world *world)
{
    if (world->loop.now_us < world->action_us)
        return;
    world->action_us = world->loop.now_us + 1 + prng_below(&world->prng, 2 * world->swarm.gap_us);
    uint32_t sum = world->swarm.send + world->swarm.read + world->swarm.ask;
    for (uint32_t i = 0; i < SIM_MARKS_COUNT; i++)
        sum += world->swarm.weights[i];
    uint64_t drawn = prng_below(&world->prng, sum);
    struct sim_seat *seat = live_seat(world);
    if (drawn < world->swarm.send) {
        if (seat)
            say(world, seat, 1);
        return;
    }
    drawn -= world->swarm.send;
    if (drawn < world->swarm.read) {
        if (seat)
            read_some(world, seat);
        return;
    }
    drawn -= world->swarm.read;
    if (drawn < world->swarm.ask) {
        if (seat)
            ask_some(world, seat);
        return;
    }
    drawn -= world->swarm.ask;
    uint32_t what = 0;
    while (drawn >= world->swarm.weights[what])
        drawn -= world->swarm.weights[what++];
    hurt(world, (enum sim_mark)what);
}
