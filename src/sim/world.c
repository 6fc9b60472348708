/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/profile.h"

#define SECOND_US   UINT64_C(1000000)
#define SIGN_UP_US  (120 * SECOND_US)
#define HEAL_US     (180 * SECOND_US)
#define QUIET_US    (30 * SECOND_US)
#define SCRIPT      0u
#define LOOK_US     (100 * UINT64_C(1000))
#define ENROL_AGAIN (2 * SECOND_US)
#define REOPEN_US   (1 * SECOND_US)
#define LATE_MAX    2u /* devices of each person that may come later */
#define SEED_WIRES  UINT64_C(0x11)
#define SEED_SCRIPT UINT64_C(0x22)
#define SEED_DEVICE UINT64_C(0x33)

enum status sim_world_open(struct sim_world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    enum status status = sim_loop_open(&world->loop);
    if (status == STATUS_OK)
        status =
            sim_wires_open(&world->wires, &world->loop, &world->marks, sim_mix(seed, SEED_WIRES));
    return status;
}

void sim_world_close(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->seats_count; i++)
        sim_device_close(&world->seats[i].device);
    history_close(&world->history);
    sim_wires_close(&world->wires);
    sim_loop_close(&world->loop);
}

void sim_world_wrong(struct sim_world *world, const char *text)
{
    if (world->wrong[0] == '\0')
        (void)snprintf(world->wrong, sizeof world->wrong, "at %llu us: %.160s",
                       (unsigned long long)world->loop.now_us, text);
}

static void enter(struct sim_world *world, enum sim_phase phase)
{
    world->phase = phase;
    world->phase_us = world->loop.now_us;
    sim_trace(&world->loop, SCRIPT, SIM_TRACE_PHASE, phase, world->texts);
    sim_wake(&world->loop, SCRIPT, world->loop.now_us);
}

static enum status seat_take(struct sim_world *world, uint32_t user, bool late,
                             const struct sim_world_options *options)
{
    uint32_t number = world->seats_count++;
    struct sim_seat *seat = &world->seats[number];
    char username[SIM_USERNAME_BYTES];
    (void)snprintf(username, sizeof username, "person%u", user % 100);
    *seat = (struct sim_seat){.user = user,
                              .late = late,
                              .back_us = SIM_NEVER,
                              .restore_us = SIM_NEVER,
                              .copy = options->stores[2 * number + 1]};
    uint64_t seed = sim_mix(sim_mix(options->seed, SEED_DEVICE), number);
    uint32_t server = SIM_SERVER_FIRST + number % options->cluster->count;
    struct sim_device_options device = {.who = SIM_DEVICE_FIRST + number,
                                        .number = number,
                                        .server = server,
                                        .username = username,
                                        .seed = seed,
                                        .store = options->stores[2 * number]};
    return sim_device_open(&seat->device, &world->wires, &world->history, &device);
}

enum status sim_world_begin(struct sim_world *world, const struct sim_world_options *options)
{
    world->swarm = options->swarm;
    world->cluster = options->cluster;
    world->wires.options = options->swarm.net;
    prng_init(&world->prng, sim_mix(options->seed, SEED_SCRIPT));
    for (uint32_t user = 0; user < world->swarm.users; user++) {
        uint32_t devices = (uint32_t)prng_range(&world->prng, 1, world->swarm.devices);
        for (uint32_t i = 0; i < devices + LATE_MAX && world->seats_count < SIM_DEVICES_MAX; i++) {
            bool late = i >= devices;
            if (late && world->swarm.weights[SIM_MARK_LATE_DEVICE] == 0)
                continue;
            enum status status = seat_take(world, user, late, options);
            if (status != STATUS_OK)
                return status;
        }
    }
    world->kill_us = SIM_NEVER;
    for (uint32_t i = 1; i <= SIM_SERVERS_MAX; i++)
        world->server_back_us[i] = SIM_NEVER;
    for (uint32_t i = 1; i <= world->cluster->count; i++)
        world->cluster->vtable->start(world->cluster, i);
    for (uint32_t i = 0; i < world->seats_count; i++)
        if (!world->seats[i].late)
            sim_device_start(&world->seats[i].device, 0);
    enter(world, SIM_SIGN_UP);
    return STATUS_OK;
}

/* ---- what people do by themselves ---- */

static bool user_enrolled(const struct sim_world *world, uint32_t user)
{
    for (uint32_t i = 0; i < world->seats_count; i++)
        if (world->seats[i].user == user && world->seats[i].device.known)
            return true;
    return false;
}

static bool registers(const struct sim_world *world, const struct sim_seat *seat)
{
    for (const struct sim_seat *at = world->seats; at < seat; at++)
        if (at->user == seat->user)
            return false;
    return true;
}

/* A device that has no account yet asks for one, again and again. */
static void seat_enrol(struct sim_world *world, struct sim_seat *seat)
{
    struct sim_device *device = &seat->device;
    if (device->power != SIM_DEVICE_ON || device->client.enrolled || device->awaited != 0 ||
        seat->enrol_us > world->loop.now_us)
        return;
    bool first = registers(world, seat);
    if (!first && !user_enrolled(world, seat->user))
        return;
    seat->enrol_us = world->loop.now_us + ENROL_AGAIN;
    /* the name may have been taken by this very device, when the answer was lost */
    bool by_login = !first || device->awaited_error == PB_ERROR_CODE_NAME_TAKEN;
    sim_device_enrol(device, !by_login);
}

/* Fenced by its own older session, or taken for a clone: the person opens the program again. */
static void seat_reopen(struct sim_world *world, struct sim_seat *seat)
{
    struct sim_device *device = &seat->device;
    if (device->power != SIM_DEVICE_ON || seat->back_us != SIM_NEVER)
        return;
    if (device->state != PB_CLIENT_STATE_FENCED && device->state != PB_CLIENT_STATE_CLONED)
        return;
    sim_device_kill(device, false);
    seat->back_us = world->loop.now_us + REOPEN_US;
}

void sim_world_copy(struct sim_world *world, struct sim_seat *seat, uint64_t restore_us)
{
    profile_copy(seat->copy, seat->device.store);
    seat->copy_us = world->loop.now_us;
    seat->restore_us = restore_us;
}

static void seat_restore(struct sim_world *world, struct sim_seat *seat)
{
    seat->restore_us = SIM_NEVER;
    if (seat->device.power == SIM_DEVICE_GONE)
        return;
    sim_device_kill(&seat->device, false);
    profile_copy(seat->device.store, seat->copy);
    seat->back_us = SIM_NEVER;
    seat->device.offline = false;
    world->marks.count[SIM_MARK_OLD_COPY]++;
    sim_device_start(&seat->device, seat->copy_us);
}

static void seat_back(struct sim_seat *seat)
{
    seat->back_us = SIM_NEVER;
    if (seat->device.deaf && seat->signed_out)
        sim_device_kill(&seat->device, true); /* what lies unread is from before: unread for ever */
    seat->device.deaf = seat->device.offline = false;
    if (seat->device.power == SIM_DEVICE_OFF)
        sim_device_start(&seat->device, 0);
    else
        sim_wake(seat->device.loop, seat->device.who, seat->device.loop->now_us);
}

static void seat_look(struct sim_world *world, struct sim_seat *seat)
{
    if (seat->device.power == SIM_DEVICE_OFF && seat->device.known && seat->back_us == SIM_NEVER)
        seat->back_us = world->loop.now_us + prng_below(&world->prng, 3 * SECOND_US);
    if (seat->restore_us <= world->loop.now_us)
        seat_restore(world, seat);
    if (seat->back_us <= world->loop.now_us)
        seat_back(seat);
    seat_enrol(world, seat);
    seat_reopen(world, seat);
}

static void server_look(struct sim_world *world, uint32_t server)
{
    struct cluster *cluster = world->cluster;
    uint64_t *back_us = &world->server_back_us[server];
    if (cluster->vtable->up(cluster, server)) {
        *back_us = SIM_NEVER;
        return;
    }
    if (*back_us == SIM_NEVER)
        *back_us = world->loop.now_us + prng_below(&world->prng, 2 * SECOND_US);
    if (*back_us <= world->loop.now_us)
        cluster->vtable->start(cluster, server);
}

/* ---- phases ---- */

static bool all_serve(const struct sim_world *world)
{
    for (uint32_t i = 1; i <= world->cluster->count; i++)
        if (!world->cluster->vtable->ready(world->cluster, i))
            return false;
    return true;
}

static const struct sim_seat *unconnected(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->seats_count; i++) {
        const struct sim_seat *seat = &world->seats[i];
        if (seat->late && seat->device.power == SIM_DEVICE_OFF && !seat->device.known)
            continue; /* it never came */
        if (seat->device.power != SIM_DEVICE_GONE &&
            (seat->device.power != SIM_DEVICE_ON || seat->device.state != PB_CLIENT_STATE_SYNCED))
            return seat;
    }
    return NULL;
}

static void complain(struct sim_world *world, const char *what, const struct sim_seat *seat)
{
    char text[SIM_WRONG_BYTES - 32];
    if (!seat) {
        sim_world_wrong(world, what);
        return;
    }
    (void)snprintf(text, sizeof text, "%s: device %u of %s, power %d, state %d, outbox %u", what,
                   seat->device.number, seat->device.username, (int)seat->device.power,
                   (int)seat->device.state, seat->device.client.outbox_count);
    sim_world_wrong(world, text);
}

static void heal(struct sim_world *world)
{
    world->wires.options.slow = world->wires.options.split = 0;
    world->wires.options.latency_max_us = world->wires.options.latency_min_us;
    world->kill_us = SIM_NEVER;
    world->cluster->vtable->heal(world->cluster);
    for (uint32_t i = 0; i < world->seats_count; i++) {
        struct sim_seat *seat = &world->seats[i];
        seat->restore_us = SIM_NEVER;
        seat->device.kill = SIM_KILL_NONE;
        if (seat->device.deaf || seat->device.offline ||
            (seat->device.power == SIM_DEVICE_OFF && seat->device.known))
            seat->back_us = world->loop.now_us;
    }
    enter(world, SIM_HEAL);
}

static void quiesce(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->seats_count; i++) {
        const struct sim_seat *seat = &world->seats[i];
        const char *owed = seat->device.known ? sim_device_owed(&seat->device) : NULL;
        char text[SIM_WRONG_BYTES / 2];
        if (!owed)
            continue;
        (void)snprintf(text, sizeof text, "not settled after 30 s of quiet (%s)", owed);
        complain(world, text, seat);
    }
    struct history_event event = {
        .t_inv = world->loop.now_us, .t_ret = world->loop.now_us, .op = HISTORY_QUIESCE};
    if (history_add(&world->history, &event) != STATUS_OK)
        sim_world_wrong(world, "the history is full");
    enter(world, SIM_DONE);
}

static void script_turn(struct sim_world *world)
{
    uint64_t for_us = world->loop.now_us - world->phase_us;
    for (uint32_t i = 0; i < world->seats_count; i++)
        seat_look(world, &world->seats[i]);
    for (uint32_t i = 1; i <= world->cluster->count; i++)
        server_look(world, i);
    const struct sim_seat *seat = unconnected(world);
    switch (world->phase) {
    case SIM_SIGN_UP:
        if (!seat)
            enter(world, SIM_FAULTS);
        else if (for_us > SIGN_UP_US)
            complain(world, "cannot sign up", seat);
        break;
    case SIM_FAULTS:
        if (world->texts >= world->swarm.texts_max || for_us > world->swarm.until_us)
            heal(world);
        else
            sim_script_act(world);
        sim_script_due(world);
        break;
    case SIM_HEAL:
        if (!seat && all_serve(world))
            enter(world, SIM_QUIET);
        else if (for_us > HEAL_US)
            complain(world, "never whole again", seat);
        break;
    case SIM_QUIET:
        if (for_us >= QUIET_US)
            quiesce(world);
        break;
    case SIM_DONE: break;
    }
    uint64_t next_us = world->loop.now_us + LOOK_US;
    if (world->phase == SIM_FAULTS && world->action_us < next_us)
        next_us = world->action_us;
    if (world->kill_us < next_us)
        next_us = world->kill_us;
    sim_wake(&world->loop, SCRIPT, next_us);
}

static void seat_turn(struct sim_world *world, struct sim_seat *seat)
{
    sim_device_turn(&seat->device);
    if (seat->device.wrong)
        complain(world, seat->device.wrong, seat);
}

bool sim_world_step(struct sim_world *world)
{
    uint32_t who;
    if (world->phase == SIM_DONE || world->wrong[0] != '\0')
        return false;
    bool any = sim_next(&world->loop, &who);
    assert(any);
    if (who == SCRIPT)
        script_turn(world);
    else if (who < SIM_DEVICE_FIRST)
        world->cluster->vtable->turn(world->cluster, who);
    else
        seat_turn(world, &world->seats[who - SIM_DEVICE_FIRST]);
    if (world->cluster->broken)
        sim_world_wrong(world, world->cluster->broken);
    return true;
}

bool sim_world_check(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->seats_count; i++)
        if (world->seats[i].device.observer.failed)
            sim_world_wrong(world, "an observer lost an event");
    if (checker_run(&world->history, &world->verdict) != STATUS_OK)
        sim_world_wrong(world, "no memory to check the history");
    return world->wrong[0] == '\0' && world->verdict.total == 0;
}
