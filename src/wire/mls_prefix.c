/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mls_prefix.h"

#include <string.h>

#include "base/buf.h"

#define VERSION_MLS10            1
#define WIRE_FORMAT_PUBLIC       1
#define SENDER_MEMBER            1
#define SENDER_NEW_MEMBER_COMMIT 4
#define CONTENT_COMMIT           3

/* A variable-size vector (RFC 9420 §2.1.2): two bits say how many bytes its length has. */
static bool take_vector(struct slice *in, struct slice *out)
{
    uint8_t first, next;
    if (!take_u8(in, &first) || first >> 6 == 3)
        return false;
    size_t more = ((size_t)1 << (first >> 6)) - 1;
    uint32_t bytes = first & 0x3F;
    for (size_t i = 0; i < more; i++) {
        if (!take_u8(in, &next))
            return false;
        bytes = bytes << 8 | next;
    }
    bool shortest = more == 0 || bytes >> (more == 1 ? 6 : 14) != 0;
    return shortest && take_bytes(in, bytes, out);
}

static bool take_sender(struct slice *in, bool *external)
{
    uint8_t type;
    uint32_t leaf;
    if (!take_u8(in, &type))
        return false;
    *external = type == SENDER_NEW_MEMBER_COMMIT;
    return *external || (type == SENDER_MEMBER && take_u32be(in, &leaf));
}

enum status mls_prefix_read(struct slice bytes, struct mls_prefix *out)
{
    uint16_t version, format;
    uint8_t content;
    memset(out, 0, sizeof *out);
    bool valid = take_u16be(&bytes, &version) && version == VERSION_MLS10 &&
                 take_u16be(&bytes, &format) && format == WIRE_FORMAT_PUBLIC &&
                 take_vector(&bytes, &out->group_id) && take_u64be(&bytes, &out->epoch) &&
                 take_sender(&bytes, &out->external) &&
                 take_vector(&bytes, &out->authenticated_data) && take_u8(&bytes, &content) &&
                 content == CONTENT_COMMIT;
    return valid ? STATUS_OK : STATUS_INVALID;
}

bool mls_prefix_fits(const struct mls_prefix *prefix, const uint8_t chat[ID_BYTES], uint16_t gen,
                     uint64_t epoch)
{
    const uint8_t number[2] = {(uint8_t)(gen >> 8), (uint8_t)gen};
    return prefix->epoch == epoch && prefix->group_id.bytes == MLS_GROUP_ID_BYTES &&
           memcmp(prefix->group_id.at, chat, ID_BYTES) == 0 &&
           memcmp(prefix->group_id.at + ID_BYTES, number, sizeof number) == 0;
}
