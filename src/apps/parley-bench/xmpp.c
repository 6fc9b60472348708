/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/xmpp.h"

#include <string.h>

/* Behind the tag that begins at `at`, quoted '>' passed over; NULL: it does not end yet. */
static const uint8_t *tag_end(const uint8_t *at, const uint8_t *end)
{
    uint8_t quote = 0;
    for (; at < end; at++) {
        if (quote != 0)
            quote = *at == quote ? 0 : quote;
        else if (*at == '\'' || *at == '"')
            quote = *at;
        else if (*at == '>')
            return at + 1;
    }
    return NULL;
}

static const uint8_t *find(const uint8_t *at, const uint8_t *end, int byte)
{
    return at < end ? memchr(at, byte, (size_t)(end - at)) : NULL;
}

static struct slice name_of(struct slice tag)
{
    size_t bytes = 1;
    while (bytes < tag.bytes && strchr(" \t\r\n>", tag.at[bytes]) == NULL &&
           (tag.at[bytes] != '/' || bytes == 1))
        bytes++;
    return slice_sub(tag, 1, bytes - 1);
}

/* Behind the element whose first tag is `tag`. NULL: it does not end yet. */
static const uint8_t *element_end(struct slice tag, const uint8_t *end)
{
    const uint8_t *at = tag.at + tag.bytes;
    unsigned depth = at[-2] == '/' ? 0 : 1;
    while (depth > 0) {
        const uint8_t *next = find(at, end, '<');
        at = next == NULL ? NULL : tag_end(next, end);
        if (at == NULL)
            return NULL;
        if (next[1] == '/')
            depth--;
        else if (at[-2] != '/')
            depth++;
    }
    return at;
}

enum status xmpp_next(struct slice *in, struct xmpp_stanza *out)
{
    const uint8_t *at = in->at, *end = in->at + in->bytes, *behind;
    for (;;) {
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
            at++;
        if (at < end && *at != '<')
            return STATUS_CORRUPT;
        behind = at < end ? tag_end(at, end) : NULL;
        if (behind == NULL)
            return STATUS_AGAIN;
        if (at[1] != '?')
            break;
        at = behind; /* <?xml …?> */
    }
    out->tag = slice_make(at, (size_t)(behind - at));
    out->name = name_of(out->tag);
    if (!xmpp_is(out, "stream:stream") && out->name.bytes > 0 && out->name.at[0] != '/')
        behind = element_end(out->tag, end);
    if (behind == NULL)
        return STATUS_AGAIN;
    out->all = slice_make(at, (size_t)(behind - at));
    *in = slice_make(behind, (size_t)(end - behind));
    return STATUS_OK;
}

bool xmpp_is(const struct xmpp_stanza *stanza, const char *name)
{
    return slice_equal(stanza->name, slice_text(name));
}

bool xmpp_attribute(const struct xmpp_stanza *stanza, const char *name, struct slice *out)
{
    const uint8_t *at = stanza->name.at + stanza->name.bytes;
    const uint8_t *end = stanza->tag.at + stanza->tag.bytes;
    size_t bytes = strlen(name);
    while ((at = find(at, end, '=')) != NULL && at + 1 < end) {
        const uint8_t *value = at + 2, *close = find(value, end, at[1]);
        if (close == NULL)
            return false;
        if ((size_t)(at - stanza->tag.at) > bytes && at[-(ptrdiff_t)bytes - 1] == ' ' &&
            memcmp(at - bytes, name, bytes) == 0) {
            *out = slice_make(value, (size_t)(close - value));
            return true;
        }
        at = close + 1;
    }
    return false;
}

bool xmpp_number(const struct xmpp_stanza *stanza, const char *name, uint64_t *out)
{
    struct slice text;
    if (!xmpp_attribute(stanza, name, &text) || text.bytes == 0 || text.bytes > 18)
        return false;
    *out = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.at[i] - '0');
    }
    return true;
}
