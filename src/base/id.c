/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

void uuid7_make(uint8_t at[ID_BYTES], uint64_t now_ms, const uint8_t random[10])
{
    for (unsigned i = 0; i < 6; i++)
        at[i] = (uint8_t)(now_ms >> (40 - 8 * i));
    memcpy(at + 6, random, 10);
    at[6] = (uint8_t)(0x70 | (at[6] & 0x0f)); /* version 7 */
    at[8] = (uint8_t)(0x80 | (at[8] & 0x3f)); /* variant 10 */
}
