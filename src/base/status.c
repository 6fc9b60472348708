/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stddef.h>

#include "base/assert.h"

static const char *const names[] = {
#define STATUS(name, text) [STATUS_##name] = #name,
#include "base/status.def"
#undef STATUS
};

static const char *const texts[] = {
#define STATUS(name, text) [STATUS_##name] = (text),
#include "base/status.def"
#undef STATUS
};

const char *status_text(enum status status)
{
    assert((size_t)status < sizeof texts / sizeof texts[0]);
    return texts[status];
}

const char *status_name(enum status status)
{
    assert((size_t)status < sizeof names / sizeof names[0]);
    return names[status];
}
