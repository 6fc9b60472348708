/* SPDX-License-Identifier: Apache-2.0
 * idle and login-storm: connections as such. The accounts are made first and all connections
 * dropped, so that only what a signed-in connection costs is measured, not its account. */
#include <stdio.h>
#include <string.h>

#include "apps/parley-bench/load.h"
#include "apps/parley-bench/server.h"
#include "apps/parley-bench/subcommands.h"

#define SIGN_UPS  32u
#define SETTLE_US 3000000u

static bool pause(struct load *load, uint64_t us)
{
    uint64_t until_us = bench_now_us() + us;
    while (load->now_us < until_us && load->broken == 0)
        if (!load_turn(load, until_us))
            return false;
    return load->broken == 0;
}

/* N accounts, nobody connected. A few at a time, so that the server has not yet touched the memory
 * of more connections. */
static bool accounts_make(struct load *load, const struct options *options)
{
    uint32_t count = (uint32_t)options->numbers[OPTION_CONNECTIONS];
    const struct driver *driver = driver_named(options->texts[OPTION_DRIVER]);
    if (driver == NULL)
        return false;
    bool done = load_open(load, driver, options->texts[OPTION_SERVER], count, 100) &&
                load_pin(options->numbers[OPTION_CLIENT_CPU]) && load->peers_count == count;
    load->run.forgets = true; /* else connections that are gone would weigh as accounts */
    for (uint32_t at = 0; done && at < count; at += SIGN_UPS) {
        uint32_t some = count - at < SIGN_UPS ? count - at : SIGN_UPS;
        done = load_sign_in(load, at, some, SIGN_UPS);
        load_drop(load, at, some);
    }
    histogram_reset(&load->login);
    done = done && pause(load, SETTLE_US);
    return done;
}

static enum bench_exit end(struct load *load, bool done, struct report *report,
                           const struct options *options)
{
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load->reason[0] ? load->reason : "the server cannot be looked at");
    load_close(load);
    done = done && report_end(report, options) && report_hdr(options, &load->login);
    return done ? BENCH_OK : BENCH_ERROR;
}

/* As many connections as before, and what each sign-in leaves behind (rows, caches) once more. */
static bool sign_in_again(struct load *load, uint32_t first, uint32_t count)
{
    load_drop(load, first, count);
    return pause(load, SETTLE_US) && load_sign_in(load, first, count, SIGN_UPS) &&
           pause(load, SETTLE_US);
}

enum bench_exit idle_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    struct server_use none, half, all, held, again;
    pid_t pid = (pid_t)options->numbers[OPTION_SERVER_PID];
    uint32_t count = (uint32_t)options->numbers[OPTION_CONNECTIONS], first = count / 2;
    uint64_t hold_us = options->numbers[OPTION_SECONDS] * 1000000;
    report_begin(&report, options);
    bool done = accounts_make(&load, options) && server_read(pid, &none) &&
                load_sign_in(&load, 0, first, SIGN_UPS) && pause(&load, SETTLE_US) &&
                server_read(pid, &half) && load_sign_in(&load, first, count - first, SIGN_UPS) &&
                pause(&load, SETTLE_US) && server_read(pid, &all) && pause(&load, hold_us) &&
                server_read(pid, &held) && sign_in_again(&load, first, count - first) &&
                server_read(pid, &again);
    if (done) {
        double signs = ((double)again.private_kib - (double)held.private_kib) * 1024;
        double slope = ((double)all.private_kib - (double)half.private_kib) * 1024;
        double used_s = held.cpu_user_s + held.cpu_system_s - all.cpu_user_s - all.cpu_system_s;
        report_count(&report, "connections", count);
        report_count(&report, "private_kib_none", none.private_kib);
        report_count(&report, "private_kib_half", half.private_kib);
        report_count(&report, "private_kib_all", all.private_kib);
        report_number(&report, "bytes_per_connection", slope / (double)(count - first));
        report_number(&report, "bytes_per_sign_in", signs / (double)(count - first));
        report_number(&report, "bytes_per_connection_held",
                      (slope - signs) / (double)(count - first));
        report_count(&report, "private_kib_held", held.private_kib);
        report_number(&report, "cpu_us_per_connection_s",
                      used_s * 1e6 / (double)count / (double)options->numbers[OPTION_SECONDS]);
    }
    return end(&load, done, &report, options);
}

static void report_logins(struct report *report, const struct load *load, uint64_t us)
{
    static const char *const names[7] = {"login_p50_us", "login_p90_us",  "login_p95_us",
                                         "login_p99_us", "login_p999_us", "login_max_us",
                                         "logins"};
    report_number(report, "rate", (double)load->login.count * 1e6 / (double)us);
    report_histogram(report, names, &load->login);
}

enum bench_exit storm_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    struct server_use before, after;
    bool watch = options_given(options, OPTION_SERVER_PID), bound = false;
    pid_t pid = watch ? (pid_t)options->numbers[OPTION_SERVER_PID] : 0;
    uint32_t count = (uint32_t)options->numbers[OPTION_CONNECTIONS];
    report_begin(&report, options);
    bool done = accounts_make(&load, options) && (!watch || server_read(pid, &before));
    uint64_t from_us = bench_now_us();
    double client_s = bench_cpu_s();
    done = done && load_sign_in(&load, 0, count, (uint32_t)options->numbers[OPTION_IN_FLIGHT]);
    uint64_t us = bench_now_us() - from_us;
    client_s = bench_cpu_s() - client_s;
    done = done && (!watch || server_read(pid, &after));
    if (done) {
        report_logins(&report, &load, us);
        bound = report_client(&report, client_s * 1e6 / (double)us);
        if (watch)
            report_number(
                &report, "server_us_per_login",
                (after.cpu_user_s + after.cpu_system_s - before.cpu_user_s - before.cpu_system_s) *
                    1e6 / (double)count);
    }
    enum bench_exit code = end(&load, done, &report, options);
    return code == BENCH_OK && bound ? BENCH_REFUSED : code;
}
