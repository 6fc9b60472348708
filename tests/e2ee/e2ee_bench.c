/* SPDX-License-Identifier: Apache-2.0
 * What sealing and opening a message of 1 KiB costs, in CPU time of one core; fails above the gates
 * of e2ee §17 (150 and 250 us), which hold for a library built as a release. */
#include <parley_e2ee.h>

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define ROUNDS      5000
#define SEAL_US_MAX 150.0
#define OPEN_US_MAX 250.0

int32_t parley_random(uint8_t *p, size_t n)
{
    return getrandom(p, n, 0) == (ssize_t)n ? 0 : -1;
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* A context with account and device, and the device's public key. */
static pe_ctx *begin(const uint8_t id[16], uint8_t sigpub[32])
{
    static const uint8_t cfg[] = {1, 1, 0, 1};
    pe_ctx *ctx = NULL;
    pe_buf out = {0};
    if (pe_open(cfg, sizeof cfg, &ctx) != PE_OK || pe_account_create(ctx, id, &out) != PE_OK)
        return NULL;
    pe_buf_free(&out);
    (void)pe_delta_take(ctx, &out);
    pe_buf_free(&out);
    if (pe_device_create(ctx, id, 1, &out) != PE_OK)
        return NULL;
    memcpy(sigpub, out.p, 32);
    pe_buf_free(&out);
    return ctx;
}

int main(void)
{
    static const uint8_t id[16] = {1}, key[32] = {5}, content[1024] = {7};
    uint8_t header[92] = {1}, sigpub[32];
    pe_ctx *ctx = begin(id, sigpub);
    if (!ctx)
        return 1;
    header[19] = 1; /* gen */
    memcpy(header + 28, id, 16);
    header[51] = 1; /* sctr */
    memcpy(header + 76, id, 16);
    pe_buf env = {0}, out = {0};
    int failed = 0;
    double begun = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        pe_buf_free(&env);
        failed |= pe_msg_seal(ctx, key, 32, header, sizeof header, content, sizeof content, &env);
    }
    double sealed = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        failed |= pe_msg_open(key, 32, id, id, sigpub, 32, env.p, env.n, &out);
        pe_buf_free(&out);
    }
    double seal_us = (sealed - begun) / ROUNDS, open_us = (cpu_us() - sealed) / ROUNDS;
    printf("a message of 1 KiB: sealed in %.1f us, opened in %.1f us\n", seal_us, open_us);
    pe_buf_free(&env);
    pe_close(ctx);
    return failed || seal_us > SEAL_US_MAX || open_us > OPEN_US_MAX;
}
