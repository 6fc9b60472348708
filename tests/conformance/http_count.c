/* SPDX-License-Identifier: Apache-2.0
 * http_count BODY_BYTES_MAX: which requests our reader finds in a stream, were its connection kept.
 * Streams come on standard input, each as its length in eight hex digits and its bytes; for each
 * there is a line as streams.txt has it behind `=`, and how many bytes it is the answer for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http1.h"

#define STREAM_BYTES_MAX 65536u

static void print_target(struct slice target)
{
    printf(" %.*s", (int)target.bytes, (const char *)target.at);
}

/* Takes one request off the front; false: nothing can follow. */
static bool take(struct slice *in, uint64_t body_bytes_max)
{
    static struct http1_head head;
    enum status status = http1_read_request(in, body_bytes_max, &head);
    if (status == STATUS_AGAIN)
        printf(" more");
    else if (status != STATUS_OK)
        printf(" %u", head.status);
    if (status != STATUS_OK)
        return false;
    print_target(head.target);
    if (head.body == HTTP1_BODY_CHUNKED)
        printf("+chunked");
    if (head.body != HTTP1_BODY_LENGTH)
        return head.body == HTTP1_BODY_NONE && !head.close;
    printf("+%llu", (unsigned long long)head.body_bytes);
    if (head.body_bytes > in->bytes) {
        printf(" more");
        in->bytes = 0;
        return false;
    }
    *in = slice_sub(*in, (size_t)head.body_bytes, in->bytes);
    return !head.close;
}

int main(int arguments_count, char **arguments)
{
    uint64_t body_bytes_max = arguments_count == 2 ? strtoull(arguments[1], NULL, 10) : 0;
    static uint8_t bytes[STREAM_BYTES_MAX];
    char digits[9] = "";
    while (fread(digits, 1, 8, stdin) == 8) {
        size_t count = strtoul(digits, NULL, 16);
        if (count > sizeof bytes || fread(bytes, 1, count, stdin) != count)
            return 2;
        struct slice in = slice_make(bytes, count);
        while (in.bytes > 0 && take(&in, body_bytes_max))
            ;
        printf(" |%zu\n", count - in.bytes);
    }
    return 0;
}
