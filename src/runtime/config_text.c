/* SPDX-License-Identifier: Apache-2.0
 * config_text.c: the table of settings for people. */
#include <string.h>

#include "runtime/config.h"

static void comment_of(struct buf *out, const struct config_item *item)
{
    buf_text(out, item->help);
    if (item->kind == CONFIG_NUMBER) {
        buf_text(out, " (");
        buf_decimal(out, item->min);
        buf_text(out, "–");
        buf_decimal(out, item->max);
        if (item->unit[0] != '\0') {
            buf_text(out, " ");
            buf_text(out, item->unit);
        }
        buf_text(out, ")");
    } else if (item->choices[0] != '\0') {
        buf_text(out, " (");
        buf_text(out, item->choices);
        buf_text(out, ")");
    }
    buf_text(out, "\n");
}

/* The head of a section, before its first item. */
static void section_of(struct buf *out, const struct config_item *items, size_t i)
{
    if (i > 0 && strcmp(items[i].section, items[i - 1].section) == 0)
        return;
    buf_text(out, "\n[");
    buf_text(out, items[i].section);
    buf_text(out, "]\n");
}

void config_help(struct buf *out)
{
    size_t count;
    const struct config_item *items = config_items(&count);
    char name[64];
    buf_text(out, "Settings of parleyd. Default < file < environment < flag.\n");
    for (size_t i = 0; i < count; i++) {
        section_of(out, items, i);
        buf_text(out, "  ");
        buf_text(out, items[i].key);
        buf_text(out, " = ");
        buf_text(out, items[i].value);
        config_flag_name(items[i].key, name);
        buf_text(out, "   (");
        buf_text(out, name);
        buf_text(out, ", ");
        config_variable_name(items[i].key, name);
        buf_text(out, name);
        buf_text(out, ")\n      ");
        comment_of(out, &items[i]);
    }
}

void config_sample(struct buf *out)
{
    size_t count;
    const struct config_item *items = config_items(&count);
    buf_text(out, "# A configuration of parleyd: parleyd --config THIS-FILE\n"
                  "# Each line shows a default; take the # away to change it.\n");
    for (size_t i = 0; i < count; i++) {
        section_of(out, items, i);
        buf_text(out, "# ");
        comment_of(out, &items[i]);
        buf_text(out, "#");
        buf_text(out, items[i].key);
        buf_text(out, " = ");
        buf_text(out, items[i].value);
        buf_text(out, "\n");
    }
}
