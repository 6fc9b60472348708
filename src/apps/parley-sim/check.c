/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-sim/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/checker.h"

#define VERDICT_BYTES_MAX ((size_t)256 << 10)

/* All bytes of a file; false and a line on stderr if it cannot be read. */
static bool read_file(const char *name, uint8_t **text, size_t *bytes)
{
    FILE *file = fopen(name, "rb");
    size_t capacity = 1 << 20;
    *bytes = 0;
    *text = file ? memory_alloc(capacity) : NULL;
    while (*text) {
        *bytes += fread(*text + *bytes, 1, capacity - *bytes, file);
        if (*bytes < capacity)
            break;
        uint8_t *larger = memory_alloc(2 * capacity);
        if (larger)
            memcpy(larger, *text, *bytes);
        memory_free(*text);
        *text = larger;
        capacity *= 2;
    }
    bool ok = file && *text && !ferror(file);
    if (!ok)
        (void)fprintf(stderr, "parley-sim: %s: %s\n", name, strerror(errno));
    if (file)
        (void)fclose(file);
    return ok;
}

static bool read_history(const char *name, struct history *history)
{
    uint8_t *text = NULL;
    size_t bytes = 0;
    struct failure failure = {STATUS_OK, ""};
    bool ok = read_file(name, &text, &bytes);
    if (ok && history_read_all(slice_make(text, bytes), history, &failure) != STATUS_OK) {
        (void)fprintf(stderr, "parley-sim: %s: %s\n", name, failure.text);
        ok = false;
    }
    memory_free(text);
    return ok;
}

int check_main(int files_count, char *const files[])
{
    struct history history = {0};
    static struct verdict verdict;
    static uint8_t text[VERDICT_BYTES_MAX];
    int code = files_count > 0 ? 0 : 2;
    if (files_count == 0)
        (void)fprintf(stderr, "parley-sim: check: no file is named\n");
    for (int i = 0; i < files_count; i++)
        if (!read_history(files[i], &history))
            code = 2;
    if (code == 0 && checker_run(&history, &verdict) != STATUS_OK) {
        (void)fprintf(stderr, "parley-sim: check: not enough memory\n");
        code = 2;
    }
    if (code == 0) {
        struct buf out = buf_over(text, sizeof text);
        verdict_write(&out, &history, &verdict);
        (void)fwrite(text, 1, out.bytes, stdout);
        code = verdict.total > 0;
    }
    history_close(&history);
    return code;
}
