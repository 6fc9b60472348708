/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a configuration file: whatever stands there, the findings are bounded text that
 * names a line, and every setting stays within its table. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apps/parleyd/settings.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void check_bounds(const struct config *config)
{
    size_t count;
    const struct config_item *items = config_items(&count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *value = (const uint8_t *)config + items[i].at;
        uint32_t number;
        memcpy(&number, value, sizeof number);
        if (items[i].kind == CONFIG_NUMBER)
            assert(number >= items[i].min && number <= items[i].max);
        if (items[i].kind == CONFIG_TEXT)
            assert(memchr(value, '\0', (size_t)items[i].max + 1) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    static struct config_reading reading;
    char path[64];
    int file = memfd_create("config", MFD_CLOEXEC);
    assert(file >= 0 && write(file, at, bytes) == (ssize_t)bytes);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    config_init(&reading);
    settings_file(&reading, path);
    (void)close(file);
    assert(reading.findings.text.bytes <= CONFIG_FINDINGS_BYTES);
    assert((reading.findings.count == 0) == (reading.findings.text.bytes == 0));
    check_bounds(&reading.config);
    config_check(&reading);
    return 0;
}
