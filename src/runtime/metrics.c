/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/metrics.h"

#include <string.h>

#include "base/assert.h"

enum kind { KIND_COUNTER, KIND_BUCKETS, KIND_VALUE };

struct item {
    enum kind kind;
    size_t at; /* in struct metrics or struct metrics_values */
    uint32_t count;
    const char *family, *type, *labels, *names, *help; /* names: of the values of label `labels` */
    uint32_t per_unit, low, high;                      /* BUCKETS_ */
};

static const struct item items[] = {
#define COUNTER(field, family, labels, help) \
    {KIND_COUNTER,                           \
     offsetof(struct metrics, field),        \
     1,                                      \
     family,                                 \
     "counter",                              \
     labels,                                 \
     NULL,                                   \
     help,                                   \
     0,                                      \
     0,                                      \
     0},
#define COUNTERS(field, count, family, label, names, help) \
    {KIND_COUNTER,                                         \
     offsetof(struct metrics, field),                      \
     count,                                                \
     family,                                               \
     "counter",                                            \
     label,                                                \
     names,                                                \
     help,                                                 \
     0,                                                    \
     0,                                                    \
     0},
#define BUCKETS_(field, family, per_unit, low, high, help) \
    {KIND_BUCKETS,                                         \
     offsetof(struct metrics, field),                      \
     1,                                                    \
     family,                                               \
     "histogram",                                          \
     "",                                                   \
     NULL,                                                 \
     help,                                                 \
     per_unit,                                             \
     low,                                                  \
     high},
#define VALUE(field, family, type, labels, help)            \
    {                                                       \
        KIND_VALUE, offsetof(struct metrics_values, field), \
        1,          family,                                 \
        type,       labels,                                 \
        NULL,       help,                                   \
        0,          0,                                      \
        0},
#define VALUES(field, count, family, type, label, names, help) \
    {KIND_VALUE, offsetof(struct metrics_values, field),       \
     count,      family,                                       \
     type,       label,                                        \
     names,      help,                                         \
     0,          0,                                            \
     0},
#include "runtime/metrics.def"
#undef COUNTER
#undef COUNTERS
#undef BUCKETS_
#undef VALUE
#undef VALUES
};

#define ITEMS (sizeof items / sizeof items[0])

void metrics_take(struct metrics *metrics, const struct tally *tally)
{
    metrics->sent += tally->sent;
    metrics->pushed += tally->pushed;
    metrics->acked += tally->acked;
    if (tally->aged)
        buckets_add(&metrics->delivery_us, (uint64_t)tally->age_ms * 1000);
    for (uint64_t left = tally->errors; left != 0; left &= left - 1)
        metrics->errors[__builtin_ctzll(left)]++;
    for (uint32_t left = tally->notes; left != 0; left &= left - 1)
        metrics->accounts[__builtin_ctz(left)]++;
}

void metrics_sum(struct metrics *into, const struct metrics *from)
{
    for (size_t i = 0; i < ITEMS; i++) {
        const struct item *item = &items[i];
        const uint8_t *more = (const uint8_t *)from + item->at;
        uint8_t *sum = (uint8_t *)into + item->at;
        if (item->kind == KIND_BUCKETS)
            buckets_merge((struct buckets *)(void *)sum,
                          (const struct buckets *)(const void *)more);
        for (uint32_t j = 0; item->kind == KIND_COUNTER && j < item->count; j++)
            ((uint64_t *)(void *)sum)[j] += ((const uint64_t *)(const void *)more)[j];
    }
}

/* ---- the text ---- */

static void head_put(struct buf *out, const struct item *item)
{
    buf_text(out, "# HELP ");
    buf_text(out, item->family);
    buf_text(out, " ");
    buf_text(out, item->help);
    buf_text(out, "\n# TYPE ");
    buf_text(out, item->family);
    buf_text(out, " ");
    buf_text(out, item->type);
    buf_text(out, "\n");
}

static void line_put(struct buf *out, const char *family, const char *suffix, struct slice labels,
                     uint64_t value)
{
    buf_text(out, family);
    buf_text(out, suffix);
    if (labels.bytes > 0) {
        buf_text(out, "{");
        buf_put(out, labels);
        buf_text(out, "}");
    }
    buf_text(out, " ");
    buf_decimal(out, value);
    buf_text(out, "\n");
}

/* Name `i` of "a|b|c"; empty: it has none. */
static struct slice name_at(const char *names, uint32_t i)
{
    for (; i > 0; i--) {
        names = strchr(names, '|');
        if (names == NULL)
            return SLICE_EMPTY;
        names++;
    }
    return slice_make(names, strcspn(names, "|"));
}

/* Values without a name are those that cannot be; one that is there all the same is told. */
static void labelled_put(struct buf *out, const struct item *item, const uint64_t *at)
{
    for (uint32_t i = 0; i < item->count; i++) {
        struct slice name = name_at(item->names, i);
        uint8_t space[96];
        struct buf labels = buf_over(space, sizeof space);
        if (name.bytes == 0 && at[i] == 0)
            continue;
        buf_text(&labels, item->labels);
        buf_text(&labels, "=\"");
        buf_put(&labels, name);
        if (name.bytes == 0)
            buf_decimal(&labels, i);
        buf_text(&labels, "\"");
        line_put(out, item->family, "", buf_slice(&labels), at[i]);
    }
}

/* value / per_unit, exactly. */
static void fraction_put(struct buf *out, uint64_t value, uint32_t per_unit)
{
    buf_decimal(out, value / per_unit);
    uint64_t rest = value % per_unit;
    if (rest == 0)
        return;
    buf_text(out, ".");
    for (uint32_t digit = per_unit / 10; rest > 0; rest %= digit, digit /= 10)
        buf_u8(out, (uint8_t)('0' + rest / digit));
}

static void buckets_put(struct buf *out, const struct item *item, const struct buckets *buckets)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i + 1 < BUCKETS; i++) {
        below += buckets->at[i];
        uint64_t top = buckets_top(i);
        bool wanted = i % 2 == 1 && top >= UINT64_C(1) << item->low;
        if (!wanted || top >= UINT64_C(1) << item->high)
            continue;
        uint8_t space[64];
        struct buf labels = buf_over(space, sizeof space);
        buf_text(&labels, "le=\"");
        fraction_put(&labels, top, item->per_unit);
        buf_text(&labels, "\"");
        line_put(out, item->family, "_bucket", buf_slice(&labels), below);
    }
    line_put(out, item->family, "_bucket", SLICE_LITERAL("le=\"+Inf\""), buckets->count);
    buf_text(out, item->family);
    buf_text(out, "_sum ");
    fraction_put(out, buckets->sum, item->per_unit);
    buf_text(out, "\n");
    line_put(out, item->family, "_count", SLICE_EMPTY, buckets->count);
}

static bool first_of_family(size_t i)
{
    return i == 0 || strcmp(items[i].family, items[i - 1].family) != 0;
}

void metrics_text(const struct metrics *metrics, const struct metrics_values *values,
                  struct buf *out)
{
    for (size_t i = 0; i < ITEMS; i++) {
        const struct item *item = &items[i];
        const uint8_t *base =
            item->kind == KIND_VALUE ? (const uint8_t *)values : (const uint8_t *)metrics;
        const void *at = base + item->at;
        if (first_of_family(i))
            head_put(out, item);
        if (item->kind == KIND_BUCKETS)
            buckets_put(out, item, at);
        else if (item->names != NULL)
            labelled_put(out, item, at);
        else
            line_put(out, item->family, "", slice_text(item->labels), *(const uint64_t *)at);
    }
}

void metrics_help(struct buf *out)
{
    for (size_t i = 0; i < ITEMS; i++) {
        if (!first_of_family(i))
            continue;
        buf_text(out, items[i].family);
        buf_text(out, " (");
        buf_text(out, items[i].type);
        buf_text(out, "): ");
        buf_text(out, items[i].help);
        buf_text(out, "\n");
    }
}
