/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/devlist.h"

#include <string.h>

#include "base/assert.h"

static bool take_into(struct slice *in, uint8_t *out, size_t bytes)
{
    struct slice part;
    if (!take_bytes(in, bytes, &part))
        return false;
    memcpy(out, part.at, bytes);
    return true;
}

/* A length byte and that many bytes. */
static bool take_short(struct slice *in, size_t bytes_max, struct slice *out)
{
    uint8_t bytes;
    return take_u8(in, &bytes) && bytes <= bytes_max && take_bytes(in, bytes, out);
}

static bool read_head(struct slice *in, struct devlist *out)
{
    struct slice magic;
    return take_bytes(in, 4, &magic) && memcmp(magic.at, "PDL1", 4) == 0 &&
           take_into(in, out->user, ID_BYTES) && take_u32be(in, &out->n) && out->n != 0 &&
           take_into(in, out->previous, 32) && take_u8(in, &out->flags) &&
           out->flags <= DEVLIST_RESET && take_into(in, out->aik, 32) &&
           take_u32be(in, &out->dsk_ver) && take_into(in, out->dsk, 32) &&
           take_into(in, out->sig_aik, DEVLIST_SIG_BYTES) && take_u64be(in, &out->ts) &&
           take_short(in, DEVLIST_USERNAME_BYTES_MAX, &out->username) && out->username.bytes > 0;
}

static bool read_devices(struct slice *in, struct devlist *out)
{
    if (!take_u8(in, &out->device_count) || out->device_count > DEVLIST_DEVICES_MAX)
        return false;
    uint8_t count = out->device_count;
    for (out->device_count = 0; out->device_count < count; out->device_count++) {
        struct devlist_device *device = &out->devices[out->device_count];
        if (!take_into(in, device->id, ID_BYTES) || !take_into(in, device->sigpub, 32) ||
            !take_u32be(in, &device->added_n) || !take_u8(in, &device->kind) ||
            !take_short(in, DEVLIST_NAME_BYTES_MAX, &device->name))
            return false;
        if (device->added_n == 0 || device->added_n > out->n || devlist_find(out, device->id))
            return false;
    }
    return take_u8(in, &out->removed_count) &&
           take_bytes(in, (size_t)out->removed_count * ID_BYTES, &out->removed);
}

enum status devlist_read(struct slice bytes, struct devlist *out)
{
    struct slice in = bytes;
    memset(out, 0, sizeof *out);
    if (bytes.bytes > DEVLIST_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (!read_head(&in, out) || !read_devices(&in, out) || in.bytes != DEVLIST_SIG_BYTES ||
        !take_into(&in, out->sig_dsk, DEVLIST_SIG_BYTES)) {
        memset(out, 0, sizeof *out);
        return STATUS_INVALID;
    }
    out->bytes = bytes;
    out->unsigned_bytes = slice_sub(bytes, 0, bytes.bytes - DEVLIST_SIG_BYTES);
    return STATUS_OK;
}

static void put_short(struct buf *out, struct slice bytes)
{
    assert(bytes.bytes <= UINT8_MAX);
    buf_u8(out, (uint8_t)bytes.bytes);
    buf_put(out, bytes);
}

void devlist_write_unsigned(const struct devlist *list, struct buf *out)
{
    assert(list->device_count <= DEVLIST_DEVICES_MAX);
    assert(list->removed.bytes == (size_t)list->removed_count * ID_BYTES);
    buf_put(out, SLICE_LITERAL("PDL1"));
    buf_put(out, slice_make(list->user, ID_BYTES));
    buf_u32be(out, list->n);
    buf_put(out, slice_make(list->previous, 32));
    buf_u8(out, list->flags);
    buf_put(out, slice_make(list->aik, 32));
    buf_u32be(out, list->dsk_ver);
    buf_put(out, slice_make(list->dsk, 32));
    buf_put(out, slice_make(list->sig_aik, DEVLIST_SIG_BYTES));
    buf_u64be(out, list->ts);
    put_short(out, list->username);
    buf_u8(out, list->device_count);
    for (uint8_t i = 0; i < list->device_count; i++) {
        const struct devlist_device *device = &list->devices[i];
        buf_put(out, slice_make(device->id, ID_BYTES));
        buf_put(out, slice_make(device->sigpub, 32));
        buf_u32be(out, device->added_n);
        buf_u8(out, device->kind);
        put_short(out, device->name);
    }
    buf_u8(out, list->removed_count);
    buf_put(out, list->removed);
}

void devlist_aik_message(const struct devlist *list, uint8_t out[DEVLIST_AIK_MESSAGE_BYTES])
{
    struct buf buf = buf_over(out, DEVLIST_AIK_MESSAGE_BYTES);
    buf_put(&buf, slice_make("parley/dsk/v1", 14));
    buf_put(&buf, slice_make(list->user, ID_BYTES));
    buf_u32be(&buf, list->dsk_ver);
    buf_put(&buf, slice_make(list->dsk, 32));
    assert(!buf.overflow && buf.bytes == DEVLIST_AIK_MESSAGE_BYTES);
}

void devlist_dsk_message(struct slice unsigned_bytes, struct buf *out)
{
    buf_put(out, slice_make("parley/devlist/v1", DEVLIST_DSK_LABEL_BYTES));
    buf_put(out, unsigned_bytes);
}

void devlist_session_message(struct slice server_name, struct slice nonce,
                             const uint8_t device[ID_BYTES], uint64_t conn, struct buf *out)
{
    buf_put(out, slice_make("parley/session/v1", 18));
    buf_put(out, server_name);
    buf_put(out, nonce);
    buf_put(out, slice_make(device, ID_BYTES));
    buf_u64be(out, conn);
}

const struct devlist_device *devlist_find(const struct devlist *list, const uint8_t id[ID_BYTES])
{
    for (uint8_t i = 0; i < list->device_count; i++)
        if (memcmp(list->devices[i].id, id, ID_BYTES) == 0)
            return &list->devices[i];
    return NULL;
}

static bool packed_holds(struct slice packed, const uint8_t id[ID_BYTES])
{
    for (size_t at = 0; at + ID_BYTES <= packed.bytes; at += ID_BYTES)
        if (memcmp(packed.at + at, id, ID_BYTES) == 0)
            return true;
    return false;
}

bool devlist_removes(const struct devlist *list, const uint8_t id[ID_BYTES])
{
    return packed_holds(list->removed, id);
}

static bool same_device(const struct devlist_device *a, const struct devlist_device *b)
{
    return memcmp(a->sigpub, b->sigpub, 32) == 0 && a->added_n == b->added_n;
}

/* Listed devices are new or as they were; what is no more is named as removed, once, for ever. */
static bool devices_follow(const struct devlist *prev, const struct devlist *next,
                           struct slice removed_before)
{
    for (uint8_t i = 0; i < next->device_count; i++) {
        const struct devlist_device *now = &next->devices[i];
        const struct devlist_device *old = prev ? devlist_find(prev, now->id) : NULL;
        bool fits = old ? same_device(old, now) : now->added_n == next->n;
        if (!fits || devlist_removes(next, now->id) || packed_holds(removed_before, now->id))
            return false;
    }
    uint8_t gone = 0;
    for (uint8_t i = 0; prev && i < prev->device_count; i++) {
        if (devlist_find(next, prev->devices[i].id))
            continue;
        if (!devlist_removes(next, prev->devices[i].id))
            return false;
        gone++;
    }
    /* As many as are gone, each of them named: so no other is, and none twice. */
    return gone == next->removed_count;
}

static bool first_follows(const struct devlist *first)
{
    uint8_t any = 0;
    for (size_t i = 0; i < 32; i++)
        any |= first->previous[i];
    return any == 0 && first->flags == 0 && first->device_count > 0;
}

enum devlist_fault devlist_check_next(const struct devlist *prev, const struct devlist *next,
                                      const struct devlist_proof *proof)
{
    if (next->n != (prev ? prev->n + 1 : 1))
        return DEVLIST_FAULT_NUMBER;
    if (prev ? memcmp(next->previous, proof->previous_hash, 32) != 0 ||
                   memcmp(next->user, prev->user, ID_BYTES) != 0 ||
                   !slice_equal(next->username, prev->username) || prev->device_count == 0
             : !first_follows(next))
        return DEVLIST_FAULT_CHAIN;
    bool reset = (next->flags & DEVLIST_RESET) != 0;
    if (reset ? !proof->reset_allowed : prev && memcmp(next->aik, prev->aik, 32) != 0)
        return DEVLIST_FAULT_IDENTITY;
    if (!proof->sig_aik_valid || !proof->sig_dsk_valid)
        return DEVLIST_FAULT_SIGNATURE;
    if (prev && !reset &&
        (next->dsk_ver < prev->dsk_ver ||
         (next->dsk_ver == prev->dsk_ver && memcmp(next->dsk, prev->dsk, 32) != 0)))
        return DEVLIST_FAULT_DSK;
    return devices_follow(prev, next, proof->removed_before) ? DEVLIST_OK : DEVLIST_FAULT_DEVICES;
}
