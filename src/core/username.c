/* SPDX-License-Identifier: Apache-2.0 */
#include "core/username.h"

#include <string.h>

#include "base/assert.h"
#include "ports/crypto.h"

static bool letter_or_digit(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

bool username_valid(struct slice name)
{
    if (name.bytes < USERNAME_BYTES_MIN || name.bytes > USERNAME_BYTES_MAX)
        return false;
    if (name.at[0] == '.' || name.at[name.bytes - 1] == '.')
        return false;
    bool solid = false;
    for (size_t i = 0; i < name.bytes; i++) {
        uint8_t byte = name.at[i];
        if (letter_or_digit(byte))
            solid = true;
        else if (byte != '_' && byte != '.')
            return false;
        if (byte == '.' && name.at[i - 1] == '.') /* i > 0: the first is no dot */
            return false;
    }
    return solid;
}

/* Dots and underscores go first: r_n looks like rn, and rn like m. */
size_t username_skeleton(struct slice name, char out[USERNAME_BYTES_MAX])
{
    assert(name.bytes <= USERNAME_BYTES_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < name.bytes; i++) {
        char byte = (char)name.at[i];
        if (byte == '.' || byte == '_')
            continue;
        byte = byte == '0' ? 'o' : byte == '1' ? 'l' : byte;
        char before = bytes > 0 ? out[bytes - 1] : '\0';
        if (before == 'r' && byte == 'n')
            out[bytes - 1] = 'm';
        else if (before == 'v' && byte == 'v')
            out[bytes - 1] = 'w';
        else
            out[bytes++] = byte;
    }
    return bytes;
}

void username_key(struct slice name, uint8_t key[ID_BYTES])
{
    static const char label[] = "parley/name/v1";
    char skeleton[USERNAME_BYTES_MAX];
    uint8_t hash[SHA256_BYTES];
    size_t bytes = username_skeleton(slice_sub(name, 0, USERNAME_BYTES_MAX), skeleton);
    const struct slice parts[] = {SLICE_OF(label), slice_make(skeleton, bytes)};
    crypto_sha256(parts, 2, hash);
    memcpy(key, hash, ID_BYTES);
}
