/* SPDX-License-Identifier: Apache-2.0
 * For machines without an instruction that we know. */
#include "base/crc32c.h"

bool crc32c_hardware_here(void)
{
    return false;
}

uint32_t crc32c_hardware(uint32_t seed, struct slice bytes)
{
    return crc32c_software(seed, bytes);
}
