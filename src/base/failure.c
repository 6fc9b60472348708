/* SPDX-License-Identifier: Apache-2.0
 * Apart from status.c, so that what links only status_text (the WebAssembly client) does not pull
 * in the printf family. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

enum status failure_set(struct failure *failure, enum status status, const char *format, ...)
{
    if (failure == NULL)
        return status;
    failure->status = status;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(failure->text, sizeof failure->text, format, arguments) < 0)
        failure->text[0] = '\0';
    va_end(arguments);
    return status;
}
