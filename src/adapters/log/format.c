/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/log/format.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "ports/file.h"

static const uint8_t meta_magic[4] = {'P', 'L', 'M', '1'};
static const uint8_t segment_magic[4] = {'P', 'L', 'S', '1'};
static const uint8_t group_magic[4] = {'P', 'L', 'G', '1'};

#define META_FIXED_BYTES   88u
#define META_CLEAN         1u
#define META_MORE          2u /* what stands behind the holes is there */
#define META_MORE_AT       (META_FIXED_BYTES + 16u * LOG_HOLES_MAX)
#define META_MORE_BYTES    40u
#define SEGMENT_BYTES_USED 72u

static_assert(META_MORE_AT + META_MORE_BYTES <= LOG_BLOCK_BYTES, "a slot is one block");
static_assert(LOG_HOLES_MAX <= 64, "a bit each says which are lost");

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* The crc of a block stands at 4 and covers 8 … used - 1. */
static void block_close(uint8_t *block, size_t used)
{
    put_u32(block + 4, crc32c(0, slice_make(block + 8, used - 8)));
}

static bool block_sound(struct slice block, const uint8_t magic[4], size_t used)
{
    return block.bytes >= used && memcmp(block.at, magic, 4) == 0 &&
           get_u32(block.at + 4) == crc32c(0, slice_make(block.at + 8, used - 8));
}

/* What was added to slots later, with a crc of its own: they stay readable for programs of before.
 */
static void more_write(const struct log_meta *meta, uint8_t *out)
{
    struct buf buf = buf_over(out, META_MORE_BYTES);
    buf_u64le(&buf, meta->spared_next);
    buf_u64le(&buf, meta->end_at);
    buf_u64le(&buf, meta->end_group);
    buf_u64le(&buf, meta->end_append_us);
    buf_u32le(&buf, meta->end_chain);
    buf_u32le(&buf, crc32c(0, slice_make(out, META_MORE_BYTES - 4)));
}

static enum status more_read(const uint8_t *at, struct log_meta *out)
{
    if (get_u32(at + META_MORE_BYTES - 4) != crc32c(0, slice_make(at, META_MORE_BYTES - 4)))
        return STATUS_CORRUPT;
    out->spared_next = get_u64(at);
    out->end_at = get_u64(at + 8);
    out->end_group = get_u64(at + 16);
    out->end_append_us = get_u64(at + 24);
    out->end_chain = get_u32(at + 32);
    return STATUS_OK;
}

void log_meta_write(const struct log_meta *meta, uint8_t out[LOG_BLOCK_BYTES])
{
    uint64_t lost = 0;
    assert(meta->holes_count <= LOG_HOLES_MAX);
    memset(out, 0, LOG_BLOCK_BYTES);
    struct buf buf = buf_over(out, LOG_BLOCK_BYTES);
    buf_put(&buf, SLICE_OF(meta_magic));
    buf_u32le(&buf, 0);
    buf_u32le(&buf, LOG_VERSION);
    buf_u32le(&buf, META_MORE | (meta->clean ? META_CLEAN : 0));
    buf_u64le(&buf, meta->counter);
    buf_put(&buf, SLICE_OF(meta->log_id));
    buf_u32le(&buf, meta->log_epoch);
    buf_u32le(&buf, meta->holes_count);
    buf_u64le(&buf, meta->first);
    buf_u64le(&buf, meta->flushed);
    buf_u64le(&buf, meta->newest);
    buf_u64le(&buf, meta->end);
    for (uint32_t i = 0; i < meta->holes_count; i++)
        lost |= (uint64_t)meta->holes[i].lost << i;
    buf_u64le(&buf, lost);
    assert(buf.bytes == META_FIXED_BYTES);
    for (uint32_t i = 0; i < meta->holes_count; i++) {
        buf_u64le(&buf, meta->holes[i].from);
        buf_u64le(&buf, meta->holes[i].end);
    }
    more_write(meta, out + META_MORE_AT);
    block_close(out, META_MORE_AT);
}

enum status log_meta_read(struct slice slot, struct log_meta *out)
{
    memset(out, 0, sizeof *out);
    if (slot.bytes < LOG_BLOCK_BYTES || !block_sound(slot, meta_magic, META_MORE_AT))
        return STATUS_CORRUPT;
    if (get_u32(slot.at + 8) > LOG_VERSION)
        return STATUS_UNSUPPORTED;
    out->clean = (get_u32(slot.at + 12) & META_CLEAN) != 0;
    out->counter = get_u64(slot.at + 16);
    memcpy(out->log_id, slot.at + 24, sizeof out->log_id);
    out->log_epoch = get_u32(slot.at + 40);
    out->holes_count = get_u32(slot.at + 44);
    out->first = get_u64(slot.at + 48);
    out->flushed = get_u64(slot.at + 56);
    out->newest = get_u64(slot.at + 64);
    out->end = get_u64(slot.at + 72);
    if (out->holes_count > LOG_HOLES_MAX)
        return STATUS_CORRUPT;
    for (uint32_t i = 0; i < out->holes_count; i++) {
        out->holes[i].from = get_u64(slot.at + META_FIXED_BYTES + 16u * i);
        out->holes[i].end = get_u64(slot.at + META_FIXED_BYTES + 16u * i + 8);
        out->holes[i].lost = (get_u64(slot.at + 80) >> i & 1) != 0;
        if (out->holes[i].from >= out->holes[i].end)
            return STATUS_CORRUPT;
    }
    bool more = (get_u32(slot.at + 12) & META_MORE) != 0;
    return more ? more_read(slot.at + META_MORE_AT, out) : STATUS_OK;
}

void log_segment_write(const struct log_segment_header *header, uint8_t out[LOG_BLOCK_BYTES])
{
    memset(out, 0, LOG_BLOCK_BYTES);
    struct buf buf = buf_over(out, LOG_BLOCK_BYTES);
    buf_put(&buf, SLICE_OF(segment_magic));
    buf_u32le(&buf, 0);
    buf_u32le(&buf, LOG_VERSION);
    buf_u32le(&buf, header->log_epoch);
    buf_put(&buf, SLICE_OF(header->log_id));
    buf_u64le(&buf, header->number);
    buf_u64le(&buf, header->base);
    buf_u64le(&buf, header->group);
    buf_u64le(&buf, header->append_us);
    buf_u32le(&buf, header->chain);
    buf_u32le(&buf, header->segment_bytes);
    assert(buf.bytes == SEGMENT_BYTES_USED);
    block_close(out, SEGMENT_BYTES_USED);
}

enum status log_segment_read(struct slice block, struct log_segment_header *out)
{
    memset(out, 0, sizeof *out);
    if (!block_sound(block, segment_magic, SEGMENT_BYTES_USED))
        return STATUS_CORRUPT;
    if (get_u32(block.at + 8) > LOG_VERSION)
        return STATUS_UNSUPPORTED;
    out->log_epoch = get_u32(block.at + 12);
    memcpy(out->log_id, block.at + 16, sizeof out->log_id);
    out->number = get_u64(block.at + 32);
    out->base = get_u64(block.at + 40);
    out->group = get_u64(block.at + 48);
    out->append_us = get_u64(block.at + 56);
    out->chain = get_u32(block.at + 64);
    out->segment_bytes = get_u32(block.at + 68);
    return STATUS_OK;
}

void log_segment_name(const char *folder, uint64_t base, char *out)
{
    int bytes = snprintf(out, FILE_NAME_BYTES, "%s/%016llx.seg", folder, (unsigned long long)base);
    assert(bytes > 0 && bytes < FILE_NAME_BYTES);
}

bool log_segment_name_read(const char *folder, const char *name, uint64_t *base)
{
    size_t folder_bytes = strlen(folder);
    if (strlen(name) != folder_bytes + 21 || memcmp(name, folder, folder_bytes) != 0)
        return false;
    const char *at = name + folder_bytes + 1;
    *base = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, at[i]);
        if (digit == NULL || *digit == '\0')
            return false;
        *base = *base << 4 | (uint64_t)(digit - digits);
    }
    return name[folder_bytes] == '/' && strcmp(at + 16, ".seg") == 0;
}

size_t log_record_write(uint8_t *out, uint32_t topic, const uint8_t key[ID_BYTES],
                        struct slice bytes)
{
    size_t length = ID_BYTES + bytes.bytes;
    assert(topic >= 1 && topic <= 15 && length < 1u << 24);
    put_u32(out + 4, (uint32_t)length | (topic << 4) << 24);
    memcpy(out + 8, key, ID_BYTES);
    if (bytes.bytes > 0)
        memcpy(out + 8 + ID_BYTES, bytes.at, bytes.bytes);
    return LOG_RECORD_HEADER_BYTES + length;
}

static uint32_t header_crc(const uint8_t *header, const uint8_t log_id[16], uint32_t log_epoch)
{
    uint8_t seed[20];
    memcpy(seed, log_id, 16);
    put_u32(seed + 16, log_epoch);
    return crc32c(crc32c(0, SLICE_OF(seed)), slice_make(header + 8, LOG_GROUP_HEADER_BYTES - 8));
}

/* `at` is a record, `bytes` its length after the crc. */
static uint32_t record_crc(const uint8_t *at, size_t bytes, uint32_t group_crc, uint32_t index)
{
    uint8_t seed[8];
    put_u32(seed, group_crc);
    put_u32(seed + 4, index);
    return crc32c(crc32c(0, SLICE_OF(seed)), slice_make(at + 4, bytes));
}

static size_t record_length(const uint8_t *at)
{
    return get_u32(at + 4) & 0xffffffu;
}

uint64_t log_group_write(uint8_t *buffer, const uint8_t log_id[16], struct log_group *group)
{
    struct buf buf = buf_over(buffer, LOG_GROUP_HEADER_BYTES);
    buf_put(&buf, SLICE_OF(group_magic));
    buf_u32le(&buf, 0);
    buf_u64le(&buf, group->group);
    buf_u64le(&buf, group->base);
    buf_u64le(&buf, group->append_us);
    buf_u64le(&buf, group->sealed_next - 1); /* none sealed: wraps to all ones, by intent */
    buf_u32le(&buf, group->count);
    buf_u32le(&buf, group->body_bytes);
    buf_u32le(&buf, group->log_epoch);
    buf_u32le(&buf, group->chain);
    assert(buf.bytes == LOG_GROUP_HEADER_BYTES);
    group->crc = header_crc(buffer, log_id, group->log_epoch);
    put_u32(buffer + 4, group->crc);
    uint8_t *at = buffer + LOG_GROUP_HEADER_BYTES, *end = at + group->body_bytes;
    for (uint32_t i = 0; i < group->count; i++) {
        size_t bytes = record_length(at) + 4;
        assert(bytes + 4 <= (size_t)(end - at));
        put_u32(at, record_crc(at, bytes, group->crc, i));
        at += bytes + 4;
    }
    assert(at == end);
    group->bytes = log_padded(LOG_GROUP_HEADER_BYTES + group->body_bytes);
    memset(end, 0, group->bytes - LOG_GROUP_HEADER_BYTES - group->body_bytes);
    return group->bytes;
}

bool log_group_header_read(struct slice bytes, const uint8_t log_id[16], uint32_t log_epoch,
                           struct log_group *out)
{
    memset(out, 0, sizeof *out);
    if (bytes.bytes < LOG_GROUP_HEADER_BYTES || memcmp(bytes.at, group_magic, 4) != 0)
        return false;
    out->crc = get_u32(bytes.at + 4);
    if (out->crc != header_crc(bytes.at, log_id, log_epoch))
        return false;
    out->group = get_u64(bytes.at + 8);
    out->base = get_u64(bytes.at + 16);
    out->append_us = get_u64(bytes.at + 24);
    out->sealed_next = get_u64(bytes.at + 32) + 1;
    out->count = get_u32(bytes.at + 40);
    out->body_bytes = get_u32(bytes.at + 44);
    out->log_epoch = get_u32(bytes.at + 48);
    out->chain = get_u32(bytes.at + 52);
    out->bytes = log_padded((uint64_t)LOG_GROUP_HEADER_BYTES + out->body_bytes);
    return out->log_epoch == log_epoch;
}

static bool all_zero(struct slice bytes)
{
    return bytes.bytes == 0 ||
           (bytes.at[0] == 0 && memcmp(bytes.at, bytes.at + 1, bytes.bytes - 1) == 0);
}

static bool body_sound(const struct log_group *group)
{
    struct slice rest = group->body;
    for (uint32_t i = 0; i < group->count; i++) {
        if (rest.bytes < LOG_RECORD_HEADER_BYTES + ID_BYTES)
            return false;
        size_t bytes = record_length(rest.at);
        if (bytes < ID_BYTES || bytes > rest.bytes - LOG_RECORD_HEADER_BYTES ||
            get_u32(rest.at) != record_crc(rest.at, bytes + 4, group->crc, i))
            return false;
        rest = slice_sub(rest, LOG_RECORD_HEADER_BYTES + bytes, SIZE_MAX);
    }
    return rest.bytes == 0;
}

enum status log_group_read(const struct log_place *place, struct slice bytes, struct log_group *out)
{
    if (bytes.bytes < LOG_BLOCK_BYTES) {
        memset(out, 0, sizeof *out);
        out->bytes = LOG_BLOCK_BYTES;
        return STATUS_AGAIN;
    }
    if (all_zero(slice_sub(bytes, 0, LOG_BLOCK_BYTES)))
        return STATUS_NOT_FOUND;
    if (!log_group_header_read(bytes, place->log_id, place->log_epoch, out))
        return STATUS_CORRUPT;
    /* A sound crc is no proof of sound numbers: whoever wrote it may have been wrong. */
    if (out->group != place->group || out->base != place->base || out->chain != place->chain ||
        out->append_us < place->append_us || out->sealed_next > place->base ||
        out->count > UINT64_MAX - out->base)
        return STATUS_CORRUPT;
    if (bytes.bytes < out->bytes)
        return STATUS_AGAIN;
    out->body = slice_sub(bytes, LOG_GROUP_HEADER_BYTES, out->body_bytes);
    return body_sound(out) ? STATUS_OK : STATUS_CORRUPT;
}

void log_place_pass(struct log_place *place, const struct log_group *group)
{
    place->group = group->group + 1;
    place->base = group->base + group->count;
    place->chain = group->crc;
    place->append_us = group->append_us;
}

enum status log_record_next(struct slice *body, struct log_record *out)
{
    if (body->bytes < LOG_RECORD_HEADER_BYTES + ID_BYTES)
        return STATUS_CORRUPT;
    size_t length = record_length(body->at);
    if (length < ID_BYTES || length > body->bytes - LOG_RECORD_HEADER_BYTES)
        return STATUS_CORRUPT;
    out->topic = body->at[7] >> 4;
    out->flags = body->at[7] & 15u;
    out->key = body->at + LOG_RECORD_HEADER_BYTES;
    out->bytes = slice_make(out->key + ID_BYTES, length - ID_BYTES);
    *body = slice_sub(*body, LOG_RECORD_HEADER_BYTES + length, SIZE_MAX);
    return STATUS_OK;
}
