/* SPDX-License-Identifier: Apache-2.0
 * base against naive models: many small random lives, each from its own seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/prng.h"
#include "base/queue.h"
#include "base/slab.h"
#include "base/timer.h"
#include "base/utf8.h"

#define LIVES 200

/* ---- map: an array indexed by the key. Few keys, so that all of them collide now and then. */

#define KEYS 64

struct map_model {
    bool there[KEYS];
    uint64_t values[KEYS];
    uint32_t used;
};

static void map_compare(const struct map *map, const struct map_model *model)
{
    assert_int_equal(map->used, model->used);
    uint32_t at = 0, count = 0;
    uint64_t value;
    const uint8_t *key;
    for (; map_next(map, &at, &key, &value); count++) {
        assert_true(key[0] < KEYS && model->there[key[0]]);
        assert_true(value == model->values[key[0]]);
    }
    assert_int_equal(count, model->used);
    for (uint8_t k = 0; k < KEYS; k++) {
        assert_int_equal(map_find(map, &k, &value), model->there[k]);
        assert_true(!model->there[k] || value == model->values[k]);
    }
}

static void map_step(struct map *map, struct map_model *model, struct prng *prng)
{
    uint8_t k = (uint8_t)prng_below(prng, KEYS);
    uint64_t value = prng_next(prng), old;
    if (prng_chance(prng, 550)) {
        bool fits = model->there[k] || model->used < map->capacity;
        assert_int_equal(map_put(map, &k, value), fits ? STATUS_OK : STATUS_BUSY);
        if (!fits)
            return;
        model->used += !model->there[k];
        model->there[k] = true;
        model->values[k] = value;
    } else {
        assert_int_equal(map_remove(map, &k, &old), model->there[k]);
        assert_true(!model->there[k] || old == model->values[k]);
        model->used -= model->there[k];
        model->there[k] = false;
    }
}

/* The same entries, put in another order, are walked in the same order. */
static void map_order(const struct map *map, struct prng *prng)
{
    uint8_t keys[KEYS];
    uint32_t count = 0, at = 0;
    const uint8_t *key, *other_key;
    uint64_t value, other_value;
    while (map_next(map, &at, &key, &value))
        keys[count++] = key[0];
    prng_shuffle(prng, keys, count, 1);
    struct map other;
    assert_int_equal(map_open(&other, map->capacity, 1, map->seed), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(map_find(map, &keys[i], &value));
        assert_int_equal(map_put(&other, &keys[i], value), STATUS_OK);
    }
    uint32_t other_at = at = 0;
    while (map_next(map, &at, &key, &value)) {
        assert_true(map_next(&other, &other_at, &other_key, &other_value));
        assert_true(at == other_at && *key == *other_key && value == other_value);
    }
    map_close(&other);
}

static void test_map(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct map map;
        struct map_model model = {0};
        uint8_t map_seed[SIPHASH_SEED_BYTES];
        prng_init(&prng, seed);
        prng_bytes(&prng, map_seed, sizeof map_seed);
        uint32_t capacity = (uint32_t)prng_range(&prng, 1, KEYS);
        assert_int_equal(map_open(&map, capacity, 1, map_seed), STATUS_OK);
        for (unsigned i = 0; i < 400; i++) {
            map_step(&map, &model, &prng);
            if (i % 20 == 0)
                map_compare(&map, &model);
        }
        map_compare(&map, &model);
        map_order(&map, &prng);
        map_close(&map);
    }
}

/* ---- slab: a list of what is live, with what was written into it, and of what is gone. */

static void test_slab(void **state)
{
    (void)state;
    enum { CAPACITY = 30, STEPS = 600 };
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct slab slab;
        struct slab_handle live[CAPACITY], gone[STEPS];
        uint64_t written[CAPACITY];
        uint32_t lives = 0, deaths = 0;
        prng_init(&prng, seed);
        assert_int_equal(slab_open(&slab, CAPACITY, 5000), STATUS_OK);
        for (unsigned i = 0; i < STEPS; i++) {
            if (prng_chance(&prng, 550)) {
                struct slab_handle handle;
                uint64_t *object = slab_take(&slab, &handle);
                assert_int_equal(object != NULL, lives < CAPACITY);
                if (object == NULL)
                    continue;
                assert_true(*object == 0);
                live[lives] = handle;
                written[lives++] = *object = prng_next(&prng);
            } else if (lives > 0) {
                size_t victim = (size_t)prng_below(&prng, lives);
                gone[deaths++] = live[victim];
                slab_give(&slab, live[victim]);
                live[victim] = live[--lives];
                written[victim] = written[lives];
            }
            assert_int_equal(slab.used, lives);
            for (uint32_t k = 0; k < lives; k++)
                assert_true(*(uint64_t *)slab_find(&slab, live[k]) == written[k]);
            for (uint32_t k = 0; k < deaths; k++)
                assert_null(slab_find(&slab, gone[k]));
            if (prng_chance(&prng, 100))
                assert_int_equal(slab_grow(&slab), STATUS_OK);
        }
        slab_close(&slab);
    }
}

/* ---- heap and timers: a plain array, searched. */

static int item_order(const void *left, const void *right)
{
    const struct heap_item *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->tie != b->tie)
        return a->tie < b->tie ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

static void test_heap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct heap heap;
        struct heap_item items[100], item;
        prng_init(&prng, seed);
        uint32_t count = (uint32_t)prng_range(&prng, 1, 100);
        assert_int_equal(heap_open(&heap, count, false), STATUS_OK);
        for (uint32_t i = 0; i < count; i++) {
            items[i] = (struct heap_item){prng_below(&prng, 20), prng_below(&prng, 3), i};
            assert_int_equal(heap_put(&heap, items[i]), STATUS_OK);
            heap_check(&heap);
        }
        qsort(items, count, sizeof items[0], item_order);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(heap_take(&heap, &item));
            heap_check(&heap);
            assert_int_equal(item_order(&item, &items[i]), 0);
        }
        heap_close(&heap);
    }
}

struct timer_model {
    struct slab_handle handle;
    uint64_t due_ms, token;
};

/* Index of the first to expire: the smallest due_ms, the earliest armed (tokens count up). */
static size_t model_first(const struct timer_model *model, size_t count)
{
    size_t first = 0;
    for (size_t i = 1; i < count; i++)
        if (model[i].due_ms < model[first].due_ms ||
            (model[i].due_ms == model[first].due_ms && model[i].token < model[first].token))
            first = i;
    return first;
}

static void test_timers(void **state)
{
    (void)state;
    enum { CAPACITY = 20 };
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct timers timers;
        struct timer_model model[CAPACITY];
        size_t count = 0;
        uint64_t now_ms = 0, token;
        prng_init(&prng, seed);
        assert_int_equal(timer_open(&timers, CAPACITY), STATUS_OK);
        for (uint64_t i = 0; i < 500; i++) {
            struct timer_model next = {SLAB_NONE, now_ms + prng_below(&prng, 50), i};
            uint64_t what = prng_below(&prng, 3);
            if (what == 0) {
                bool fits = count < CAPACITY;
                assert_int_equal(timer_arm(&timers, next.due_ms, i, &next.handle),
                                 fits ? STATUS_OK : STATUS_BUSY);
                if (fits)
                    model[count++] = next;
            } else if (what == 1 && count > 0) {
                size_t victim = (size_t)prng_below(&prng, count);
                assert_true(timer_cancel(&timers, model[victim].handle));
                assert_false(timer_cancel(&timers, model[victim].handle));
                model[victim] = model[--count];
            } else {
                now_ms += prng_below(&prng, 10);
            }
            for (;;) {
                size_t first = model_first(model, count);
                assert_true(timer_next_ms(&timers) ==
                            (count > 0 ? model[first].due_ms : TIMER_NEVER));
                bool due = count > 0 && model[first].due_ms <= now_ms;
                assert_int_equal(timer_expired(&timers, now_ms, &token), due);
                if (!due)
                    break;
                assert_true(token == model[first].token);
                model[first] = model[--count];
            }
            heap_check(&timers.heap);
        }
        timer_close(&timers);
    }
}

/* ---- queue: numbers go in and come out counting. */

static void test_queue(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct queue queue;
        uint64_t in = 0, out = 0, item;
        prng_init(&prng, seed);
        uint32_t capacity = (uint32_t)prng_range(&prng, 1, 9);
        assert_int_equal(queue_open(&queue, capacity, sizeof item), STATUS_OK);
        for (unsigned i = 0; i < 300; i++) {
            if (prng_chance(&prng, 500)) {
                bool fits = in - out < capacity;
                assert_int_equal(queue_put(&queue, &in), fits ? STATUS_OK : STATUS_BUSY);
                in += fits;
            } else {
                assert_int_equal(queue_take(&queue, &item), in > out);
                assert_true(in == out || item == out);
                out += in > out;
            }
            assert_int_equal(queue.used, in - out);
        }
        queue_close(&queue);
    }
}

/* ---- texts: round trips; what reads, writes back the same; pieces = whole. */

static void test_base64(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20 * LIVES; seed++) {
        struct prng prng;
        uint8_t bytes[50], text[128], back[128];
        prng_init(&prng, seed);
        prng_bytes(&prng, bytes, sizeof bytes);
        struct slice in = {bytes, (size_t)prng_below(&prng, sizeof bytes)};
        for (unsigned kind = 0; kind < 3; kind++) {
            struct buf t = buf_over(text, sizeof text), b = buf_over(back, sizeof back);
            kind == 0   ? base64_write(&t, in)
            : kind == 1 ? base64url_write(&t, in)
                        : hex_write(&t, in);
            if (prng_chance(&prng, 500) && t.bytes > 0) /* damage one letter */
                text[prng_below(&prng, t.bytes)] ^= (uint8_t)(1u << prng_below(&prng, 8));
            struct slice damaged = buf_slice(&t);
            enum status status = kind == 0   ? base64_read(damaged, &b)
                                 : kind == 1 ? base64url_read(damaged, &b)
                                             : hex_read(damaged, &b);
            if (status != STATUS_OK) {
                assert_int_equal(status, STATUS_INVALID);
                assert_int_equal(b.bytes, 0);
                continue;
            }
            uint8_t again[128];
            struct buf a = buf_over(again, sizeof again);
            kind == 0   ? base64_write(&a, buf_slice(&b))
            : kind == 1 ? base64url_write(&a, buf_slice(&b))
                        : hex_write(&a, buf_slice(&b));
            if (kind == 2) /* the only text with two forms */
                for (size_t i = 0; i < t.bytes; i++)
                    text[i] |= text[i] >= 'A' && text[i] <= 'F' ? 0x20 : 0;
            assert_true(slice_equal(buf_slice(&a), buf_slice(&t)));
        }
    }
}

static void test_utf8_pieces(void **state)
{
    (void)state;
    static const char *const parts[] = {"a",        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "12345678", "\x80",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xc0\xaf"};
    for (uint64_t seed = 0; seed < 20 * LIVES; seed++) {
        struct prng prng;
        uint8_t memory[80];
        struct buf text = buf_over(memory, sizeof memory);
        prng_init(&prng, seed);
        uint64_t kinds = prng_chance(&prng, 500) ? 5 : 9; /* the first five are valid */
        for (uint64_t i = prng_below(&prng, 10); i > 0; i--)
            buf_put(&text, slice_text(parts[prng_below(&prng, kinds)]));
        text.bytes -= prng_chance(&prng, 300) && text.bytes > 0;
        struct utf8 utf8;
        utf8_init(&utf8);
        for (struct slice left = buf_slice(&text); left.bytes > 0;) {
            struct slice piece;
            assert_true(take_bytes(&left, 1 + (size_t)prng_below(&prng, left.bytes), &piece));
            (void)utf8_feed(&utf8, piece);
        }
        assert_int_equal(utf8_complete(&utf8), utf8_valid(buf_slice(&text)));
    }
}

/* ---- arena: a stack of marks; what lies below the mark survives every rewind. */

static void test_arena(void **state)
{
    (void)state;
    enum { DEPTH = 20 };
    for (uint64_t seed = 0; seed < LIVES; seed++) {
        struct prng prng;
        struct arena arena;
        struct arena_mark marks[DEPTH];
        struct slice kept[DEPTH];
        size_t depth = 0;
        prng_init(&prng, seed);
        arena_init(&arena, (size_t)prng_range(&prng, 1000, 300000));
        for (unsigned i = 0; i < 300; i++) {
            if (prng_chance(&prng, 400) && depth > 0) {
                depth = (size_t)prng_below(&prng, depth);
                arena_rewind(&arena, marks[depth]);
            } else if (depth < DEPTH) {
                marks[depth] = arena_mark(&arena);
                size_t bytes = (size_t)prng_below(&prng, prng_chance(&prng, 100) ? 90000 : 900);
                uint8_t *at = arena_alloc(&arena, bytes);
                assert_true(at != NULL || arena.exhausted);
                if (at == NULL)
                    continue;
                for (size_t k = 0; k < bytes; k++)
                    assert_int_equal(at[k], 0);
                memset(at, (int)depth + 1, bytes);
                kept[depth++] = slice_make(at, bytes);
            }
            assert_true(arena.used <= arena.bytes_max);
            for (size_t d = 0; d < depth; d++)
                for (size_t k = 0; k < kept[d].bytes; k += 97)
                    assert_int_equal(kept[d].at[k], d + 1);
        }
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),   cmocka_unit_test(test_slab),
        cmocka_unit_test(test_heap),  cmocka_unit_test(test_timers),
        cmocka_unit_test(test_queue), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_arena), cmocka_unit_test(test_utf8_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
