/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/forwarded.h"

#include <arpa/inet.h>
#include <string.h>

bool forwarded_read(struct slice text, uint8_t out[16])
{
    char host[64];
    if (text.bytes == 0 || text.bytes >= sizeof host)
        return false;
    memcpy(host, text.at, text.bytes);
    host[text.bytes] = '\0';
    if (strlen(host) != text.bytes)
        return false;
    if (inet_pton(AF_INET6, host, out) == 1)
        return true;
    memset(out, 0, 16);
    memset(out + 10, 0xff, 2);
    return inet_pton(AF_INET, host, out + 12) == 1;
}

bool forwarded_is_proxy(const struct forwarded *forwarded, const uint8_t peer[16])
{
    for (uint32_t i = 0; i < forwarded->proxies_count; i++)
        if (memcmp(forwarded->proxies[i], peer, 16) == 0)
            return true;
    return false;
}

/* The next element of a comma-separated list, without blanks around it. */
static struct slice element_next(struct slice *list)
{
    const uint8_t *comma = memchr(list->at, ',', list->bytes);
    size_t bytes = comma != NULL ? (size_t)(comma - list->at) : list->bytes;
    struct slice element = slice_sub(*list, 0, bytes);
    *list = slice_sub(*list, bytes + 1, list->bytes);
    while (element.bytes > 0 && (element.at[0] == ' ' || element.at[0] == '\t'))
        element = slice_sub(element, 1, element.bytes);
    while (element.bytes > 0 &&
           (element.at[element.bytes - 1] == ' ' || element.at[element.bytes - 1] == '\t'))
        element.bytes--;
    return element;
}

void forwarded_peer(const struct forwarded *forwarded, const struct http1_head *head,
                    uint8_t peer[16])
{
    const struct http1_header *header = NULL;
    uint8_t named[16], last[16];
    bool any = false;
    if (!forwarded_is_proxy(forwarded, peer))
        return;
    while ((header = http1_find(head, "x-forwarded-for", header)) != NULL) {
        struct slice list = header->value;
        while (list.bytes > 0) {
            if (!forwarded_read(element_next(&list), named)) {
                any = false; /* what stands before it was written by whoever wrote that */
                continue;
            }
            if (forwarded_is_proxy(forwarded, named))
                continue;
            memcpy(last, named, sizeof last);
            any = true;
        }
    }
    if (any)
        memcpy(peer, last, sizeof last);
}
