/* SPDX-License-Identifier: Apache-2.0
 * The CRC32 instruction of SSE4.2; crc32c_plain.c stands in for it on other machines. */
#include "base/crc32c.h"

#include <string.h>

bool crc32c_hardware_here(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_hardware(uint32_t seed, struct slice bytes)
{
    uint64_t crc = ~seed;
    size_t i = 0;
    for (uint64_t word; bytes.bytes - i >= sizeof word; i += sizeof word) {
        memcpy(&word, bytes.at + i, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; i < bytes.bytes; i++)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, bytes.at[i]);
    return ~(uint32_t)crc;
}
