/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-sim/run.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "adapters/memory/memory_cstore.h"
#include "apps/parley-sim/fleet.h"
#include "apps/parley-sim/machine.h"
#include "base/memory.h"
#include "sim/world.h"

#define VERDICT_BYTES ((size_t)256 << 10)
#define LINES_SHOWN   40u
#define FOUND_SHOWN   3u
#define RUNS_TO_FIRE  20u
#define RUNS_TO_FILL  100u /* an outbox that is full at a snapshot: rare */

struct run_options {
    uint64_t seed, seeds, until_us, least, enough;
    uint32_t scale;
    bool trace, quiet, marks, fleet, help;
    const char *history;
};

struct run {
    struct sim_world world;
    struct machine machine; /* one of the two */
    struct fleet fleet;
    struct memory_cstore profiles[2 * SIM_DEVICES_MAX];
    struct cstore *stores[2 * SIM_DEVICES_MAX];
    uint64_t traced; /* lines already printed */
};

struct run_sums {
    uint64_t runs, violations, sends, acked, entries, texts, moments;
    struct sim_marks marks;
    uint64_t enabled[SIM_MARKS_COUNT]; /* runs in which the fault was on */
};

static void print_line(const struct sim_trace_line *line)
{
    (void)printf("%12llu %3u %-8s %llu %llu\n", (unsigned long long)line->at_us, line->who,
                 sim_trace_name(line->kind), (unsigned long long)line->a,
                 (unsigned long long)line->b);
}

static void print_new(struct run *run)
{
    const struct sim_loop *loop = &run->world.loop;
    if (loop->lines_count - run->traced > SIM_TRACE_LINES)
        run->traced = loop->lines_count - SIM_TRACE_LINES;
    for (; run->traced < loop->lines_count; run->traced++)
        print_line(&loop->lines[run->traced % SIM_TRACE_LINES]);
}

static void write_history(const struct history *history, const char *name)
{
    static uint8_t line[HISTORY_LINE_BYTES_MAX];
    FILE *file = fopen(name, "wb");
    for (size_t i = 0; file && i < history->count; i++) {
        struct buf out = buf_over(line, sizeof line);
        history_write(&out, &history->events[i]);
        (void)fwrite(line, 1, out.bytes, file);
    }
    if (!file || fclose(file) != 0)
        (void)fprintf(stderr, "parley-sim: cannot write %s\n", name);
}

static void print_violation(struct run *run, const struct run_options *options, uint64_t seed)
{
    static uint8_t text[VERDICT_BYTES];
    struct sim_world *world = &run->world;
    (void)printf("VIOLATION: seed %llu; repeat: parley-sim --world %s --seed %llu --scale %u "
                 "--trace\n",
                 (unsigned long long)seed, options->fleet ? "fleet" : "machine",
                 (unsigned long long)seed, options->scale);
    if (world->wrong[0] != '\0')
        (void)printf("  %s\n", world->wrong);
    struct buf out = buf_over(text, sizeof text);
    if (world->verdict.found_count > FOUND_SHOWN)
        world->verdict.found_count = FOUND_SHOWN;
    if (world->verdict.total > 0) {
        verdict_write(&out, &world->history, &world->verdict);
        (void)fwrite(text, 1, out.bytes, stdout);
    }
    uint64_t count = world->loop.lines_count;
    run->traced = count > LINES_SHOWN ? count - LINES_SHOWN : 0;
    if (!options->trace)
        print_new(run);
}

/* What must come of the rest in every campaign, though no seed asks for it. */
static bool follows(enum sim_mark mark, bool fleet)
{
    bool disk =
        mark == SIM_MARK_DISK_SECTORS || mark == SIM_MARK_LOG_TRIM || mark == SIM_MARK_STORE_LOST;
    if (fleet ? mark >= SIM_MARK_FLEET_HAND_OVER : disk)
        return true;
    return mark == SIM_MARK_SNAPSHOT || mark == SIM_MARK_RESEND || mark == SIM_MARK_REPAIR ||
           mark == SIM_MARK_FULL_OUTBOX;
}

static void add_up(struct run_sums *sums, const struct sim_world *world, bool fleet, bool well)
{
    sums->runs++;
    sums->violations += !well;
    sums->sends += world->verdict.sends;
    sums->acked += world->verdict.acked;
    sums->entries += world->verdict.entries;
    sums->texts += world->texts;
    sums->moments += world->loop.moments;
    for (size_t i = 0; i < SIM_MARKS_COUNT; i++) {
        sums->marks.count[i] += world->marks.count[i];
        sums->enabled[i] += world->swarm.weights[i] > 0 || follows((enum sim_mark)i, fleet);
    }
}

static void print_seed(const struct sim_world *world, uint64_t seed, bool well)
{
    (void)printf("seed %llu hash %016llx sends %llu acked %llu entries %llu shown %llu "
                 "moments %llu simulated %.1f s %s\n",
                 (unsigned long long)seed, (unsigned long long)world->loop.hash,
                 (unsigned long long)world->verdict.sends, (unsigned long long)world->verdict.acked,
                 (unsigned long long)world->verdict.entries,
                 (unsigned long long)world->verdict.shown, (unsigned long long)world->loop.moments,
                 (double)world->loop.now_us / 1e6, well ? "ok" : "VIOLATION");
}

static void cluster_open(struct run *run, const struct run_options *options,
                         struct sim_world_options *world, uint64_t seed)
{
    if (options->fleet) {
        uint32_t *weights = world->swarm.weights; /* its disks are somebody else's */
        weights[SIM_MARK_DISK_SYNC_ERROR] = weights[SIM_MARK_DISK_FULL] = 0;
        weights[SIM_MARK_DISK_SLOW] = 0;
        fleet_open(&run->fleet, &run->world.wires, &world->swarm, seed);
        world->cluster = &run->fleet.cluster;
        return;
    }
    world->swarm.weights[SIM_MARK_FLEET_HAND_OVER] = 0;
    machine_open(&run->machine, &run->world.wires, &world->swarm, seed);
    world->cluster = &run->machine.cluster;
}

static bool one_seed(struct run *run, const struct run_options *options, uint64_t seed,
                     struct run_sums *sums)
{
    struct sim_world *world = &run->world;
    struct sim_world_options world_options = {
        .seed = seed, .until_us = options->until_us, .stores = run->stores};
    bool well = sim_world_open(world, seed) == STATUS_OK;
    swarm_draw(&world_options.swarm, seed, options->scale);
    cluster_open(run, options, &world_options, seed);
    run->traced = 0;
    for (size_t i = 0; i < 2 * SIM_DEVICES_MAX; i++) {
        memory_cstore_open(&run->profiles[i]);
        run->stores[i] = &run->profiles[i].cstore;
    }
    well = well && sim_world_begin(world, &world_options) == STATUS_OK;
    while (well && (options->until_us == 0 || world->loop.now_us < options->until_us) &&
           sim_world_step(world))
        if (options->trace)
            print_new(run);
    well = well && sim_world_check(world);
    if (!options->quiet || !well)
        print_seed(world, seed, well);
    if (!well)
        print_violation(run, options, seed);
    if (options->history)
        write_history(&world->history, options->history);
    add_up(sums, world, options->fleet, well);
    world_options.cluster->vtable->close(world_options.cluster);
    sim_world_close(world);
    for (size_t i = 0; i < 2 * SIM_DEVICES_MAX; i++)
        memory_cstore_close(&run->profiles[i]);
    return well;
}

/* A fault that was on in several runs and fired in none proves nothing. */
static bool print_sums(const struct run_sums *sums, bool marks)
{
    bool all_fired = true;
    static const char *const names[] = {
#define X(name, text) [SIM_MARK_##name] = (text),
        SIM_MARKS(X)
#undef X
    };
    for (size_t i = 0; i < SIM_MARKS_COUNT; i++) {
        uint64_t enough = i == SIM_MARK_FULL_OUTBOX ? RUNS_TO_FILL : RUNS_TO_FIRE;
        bool silent = sums->enabled[i] >= enough && sums->marks.count[i] == 0;
        if (marks && (silent || sums->marks.count[i] > 0))
            (void)printf("  %-18s %llu%s\n", names[i], (unsigned long long)sums->marks.count[i],
                         silent ? "  NEVER FIRED" : "");
        all_fired = all_fired && !silent;
    }
    (void)printf(
        "%llu runs, %llu messages, %llu acknowledged, %llu entries received, %llu moments, "
        "%llu violations\n",
        (unsigned long long)sums->runs, (unsigned long long)sums->sends,
        (unsigned long long)sums->acked, (unsigned long long)sums->entries,
        (unsigned long long)sums->moments, (unsigned long long)sums->violations);
    return all_fired;
}

static bool number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool read_options(int argc, char *const argv[], struct run_options *options)
{
    static const struct option longs[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"until", required_argument, NULL, 'u'},
        {"scale", required_argument, NULL, 'c'},
        {"world", required_argument, NULL, 'w'},
        {"history", required_argument, NULL, 'h'},
        {"trace", no_argument, NULL, 't'},
        {"quiet", no_argument, NULL, 'q'},
        {"marks", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'H'},
        {"least", required_argument, NULL, 'l'},
        {"enough", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct run_options){.seed = 1, .seeds = 1, .scale = 1000, .enough = UINT64_MAX};
    uint64_t value = 0;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        bool wants = c == 's' || c == 'n' || c == 'u' || c == 'c' || c == 'l' || c == 'e';
        if (c == '?' || (wants && !number(optarg, &value)))
            return false;
        switch (c) {
        case 's': options->seed = value; break;
        case 'n': options->seeds = value; break;
        case 'u': options->until_us = value * 1000; break;
        case 'c': options->scale = (uint32_t)value; break;
        case 'l': options->least = value; break;
        case 'e': options->enough = value; break;
        case 'h': options->history = optarg; break;
        case 't': options->trace = true; break;
        case 'q': options->quiet = true; break;
        case 'm': options->marks = true; break;
        case 'H': options->help = true; break;
        case 'w':
            options->fleet = strcmp(optarg, "fleet") == 0;
            if (!options->fleet && strcmp(optarg, "machine") != 0)
                return false;
            break;
        default: return false;
        }
    }
    return optind == argc && options->seeds > 0;
}

static const char help[] =
    "parley-sim: real nodes and real devices in a simulated world with faults, from one seed\n"
    "\n"
    "usage: parley-sim [options]\n"
    "       parley-sim check FILE...    judge a history, simulated or of real programs\n"
    "       parley-sim --help\n"
    "\n"
    "  --seed N               the first seed (default: 1)\n"
    "  --seeds K              so many, one after the other; stops at the first violation\n"
    "  --world machine|fleet  one machine with its log, or several over a bus (default: machine)\n"
    "  --scale N              how much happens, in thousandths (default: 1000)\n"
    "  --until MS             stop at this simulated time\n"
    "  --trace                print every event; without it the last ones before a violation\n"
    "  --history FILE         write what the devices saw, for check\n"
    "  --quiet                a line only for a seed that fails\n"
    "  --least MESSAGES       fewer in all the seeds is a failure\n"
    "  --enough MESSAGES      with so many no further seed is begun\n"
    "  --marks                which faults fired; one that was on and never fired is a failure\n"
    "\n"
    "The same seed gives the same world: its hash is printed.\n"
    "Exit: 0 no violation, 1 a violation, a fault that never fired or too few messages, 2 not "
    "understood.\n";

int run_main(int argc, char *const argv[])
{
    struct run_options options;
    struct run_sums sums = {0};
    if (!read_options(argc, argv, &options)) {
        (void)fputs("parley-sim: not understood; parley-sim --help lists the options\n", stderr);
        return 2;
    }
    if (options.help) {
        (void)fputs(help, stdout);
        return 0;
    }
    struct run *run = memory_alloc(sizeof *run);
    if (!run)
        return 2;
    bool well = true;
    for (uint64_t i = 0; i < options.seeds && well && sums.sends < options.enough; i++)
        well = one_seed(run, &options, options.seed + i, &sums);
    memory_free(run);
    /* A few seeds cannot reach every mark: only who asks for the marks wants them all. */
    bool all_fired = options.seeds == 1 || print_sums(&sums, options.marks) || !options.marks;
    bool enough = sums.sends >= options.least;
    if (!enough)
        (void)printf("TOO FEW: %llu messages, at least %llu are asked for: raise the seeds\n",
                     (unsigned long long)sums.sends, (unsigned long long)options.least);
    return well && all_fired && enough ? 0 : 1;
}
