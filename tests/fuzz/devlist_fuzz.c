/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a device list: what is taken has one writing, the very bytes that were read; every
 * device is found, no other; as its own successor it is refused. */
#include <string.h>

#include "base/assert.h"
#include "wire/devlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    static uint8_t memory[DEVLIST_BYTES_MAX];
    struct slice in = slice_make(at, bytes);
    struct devlist list;
    if (devlist_read(in, &list) != STATUS_OK) {
        assert(list.bytes.bytes == 0 && list.device_count == 0);
        return 0;
    }
    struct buf again = buf_over(memory, sizeof memory);
    devlist_write_unsigned(&list, &again);
    buf_put(&again, slice_make(list.sig_dsk, DEVLIST_SIG_BYTES));
    assert(!again.overflow && slice_equal(buf_slice(&again), in));
    for (uint8_t i = 0; i < list.device_count; i++)
        assert(devlist_find(&list, list.devices[i].id) == &list.devices[i]);
    struct devlist_proof proof = {.sig_aik_valid = true, .sig_dsk_valid = true};
    assert(devlist_check_next(&list, &list, &proof) == DEVLIST_FAULT_NUMBER);
    proof.sig_dsk_valid = false;
    assert(devlist_check_next(NULL, &list, &proof) != DEVLIST_OK);
    return 0;
}
