/* SPDX-License-Identifier: Apache-2.0
 * A skip list: rows in order, found and inserted in O(log rows), walked both ways on level 0. */
#include "adapters/memory/memory_store.h"

#include <string.h>

#include "base/assert.h"

struct memory_node {
    struct row row;
    size_t room; /* bytes behind row.value.at */
    struct memory_node *back;
    uint32_t levels;
    struct memory_node *next[];
};

struct free_block {
    struct free_block *next;
};

static size_t class_of(size_t bytes)
{
    size_t class = 0;
    while (((size_t)32 << class) < bytes)
        class ++;
    assert(class < MEMORY_STORE_CLASSES);
    return class;
}

static void *value_take(struct memory_db *db, size_t bytes)
{
    size_t class = class_of(bytes);
    struct free_block *block = db->spare[class];
    if (block == NULL)
        return arena_alloc(&db->arena, (size_t)32 << class);
    db->spare[class] = block->next;
    return block;
}

static void value_give(struct memory_db *db, void *at, size_t room)
{
    struct free_block *block = at;
    block->next = db->spare[class_of(room)];
    db->spare[class_of(room)] = block;
}

static struct memory_node *node_new(struct memory_db *db, uint32_t levels)
{
    struct memory_node *node =
        arena_alloc(&db->arena, sizeof *node + levels * sizeof(struct memory_node *));
    if (node != NULL)
        node->levels = levels;
    return node;
}

enum status memory_db_open(struct memory_db *db, size_t bytes_max)
{
    memset(db, 0, sizeof *db);
    arena_init(&db->arena, bytes_max);
    prng_init(&db->prng, 1);
    db->head = node_new(db, MEMORY_STORE_LEVELS);
    if (db->head == NULL || pthread_mutex_init(&db->lock, NULL) != 0) {
        arena_deinit(&db->arena);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

void memory_db_close(struct memory_db *db)
{
    if (db->head == NULL)
        return;
    (void)pthread_mutex_destroy(&db->lock);
    arena_deinit(&db->arena);
    memset(db, 0, sizeof *db);
}

/* The last node below `key`; on each level into path, if given. */
static struct memory_node *seek(struct memory_db *db, const struct row_key *key,
                                struct memory_node **path)
{
    struct memory_node *at = db->head;
    for (uint32_t level = MEMORY_STORE_LEVELS; level-- > 0;) {
        while (at->next[level] != NULL && row_key_compare(&at->next[level]->row.key, key) < 0)
            at = at->next[level];
        if (path != NULL)
            path[level] = at;
    }
    return at;
}

static struct memory_node *find(struct memory_db *db, const struct row_key *key)
{
    struct memory_node *node = seek(db, key, NULL)->next[0];
    return node != NULL && row_key_compare(&node->row.key, key) == 0 ? node : NULL;
}

static struct memory_node *find_or_insert(struct memory_db *db, const struct row_key *key)
{
    struct memory_node *path[MEMORY_STORE_LEVELS];
    struct memory_node *before = seek(db, key, path);
    struct memory_node *node = before->next[0];
    if (node != NULL && row_key_compare(&node->row.key, key) == 0)
        return node;
    uint32_t levels = 1;
    while (levels < MEMORY_STORE_LEVELS && prng_chance(&db->prng, 250))
        levels++;
    node = node_new(db, levels);
    if (node == NULL)
        return NULL;
    node->row.key = *key;
    for (uint32_t level = 0; level < levels; level++) {
        node->next[level] = path[level]->next[level];
        path[level]->next[level] = node;
    }
    node->back = before;
    if (node->next[0] != NULL)
        node->next[0]->back = node;
    db->rows++;
    return node;
}

static enum status write_one(struct memory_db *db, const struct row_write *write)
{
    struct memory_node *node = find_or_insert(db, &write->key);
    if (node == NULL)
        return STATUS_BUSY;
    struct row merged = node->row;
    if (!row_merge(&merged, write))
        return STATUS_OK;
    if (write->kind != ROW_MAX) {
        void *value = (void *)(uintptr_t)node->row.value.at;
        if (write->value.bytes > node->room || value == NULL) {
            void *bigger = value_take(db, write->value.bytes);
            if (bigger == NULL)
                return STATUS_BUSY;
            if (value != NULL)
                value_give(db, value, node->room);
            node->room = (size_t)32 << class_of(write->value.bytes);
            value = bigger;
        }
        if (write->value.bytes > 0)
            memcpy(value, write->value.at, write->value.bytes);
        merged.value = slice_make(value, write->value.bytes);
    }
    node->row = merged;
    return STATUS_OK;
}

static enum status commit(struct memory_db *db, const struct store_request *request)
{
    for (size_t i = 0; i < request->writes_count; i++) {
        enum status status = write_one(db, &request->writes[i]);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static bool copy_row(const struct memory_node *node, struct arena *arena, struct row *out)
{
    *out = node->row;
    if (!out->found || out->value.bytes == 0)
        return true;
    out->value = arena_copy(arena, node->row.value);
    return !arena->exhausted;
}

static enum status get(struct memory_db *db, struct store_request *request)
{
    request->rows_count = request->keys_count;
    for (size_t i = 0; i < request->keys_count; i++) {
        const struct memory_node *node = find(db, &request->keys[i]);
        request->rows[i] = (struct row){.key = request->keys[i]};
        if (node != NULL && !copy_row(node, request->arena, &request->rows[i]))
            return STATUS_BUSY;
    }
    return STATUS_OK;
}

static enum status range(struct memory_db *db, struct store_request *request)
{
    const struct row_key *low = &request->keys[0], *high = &request->keys[1];
    struct memory_node *node = seek(db, request->descending ? high : low, NULL);
    request->rows_count = 0;
    if (!request->descending ||
        (node->next[0] != NULL && row_key_compare(&node->next[0]->row.key, high) == 0))
        node = node->next[0];
    while (node != NULL && node != db->head && request->rows_count < request->rows_max) {
        if (request->descending ? row_key_compare(&node->row.key, low) < 0
                                : row_key_compare(&node->row.key, high) > 0)
            break;
        if (node->row.found &&
            !copy_row(node, request->arena, &request->rows[request->rows_count++]))
            return STATUS_BUSY;
        node = request->descending ? node->back : node->next[0];
    }
    return STATUS_OK;
}

static enum status by_offset(struct memory_db *db, struct store_request *request)
{
    struct row_key last = row_key_make(TABLE_MSG, request->keys[0].a, NULL, UINT64_MAX);
    struct memory_node *node = seek(db, &last, NULL);
    request->rows_count = 0;
    for (; node != db->head && node->row.key.table == TABLE_MSG &&
           memcmp(node->row.key.a, last.a, ID_BYTES) == 0;
         node = node->back) {
        if (node->row.stamp < request->stamp || request->rows_count == request->rows_max)
            break;
        if (node->row.stamp == request->stamp &&
            !copy_row(node, request->arena, &request->rows[request->rows_count++]))
            return STATUS_BUSY;
    }
    return STATUS_OK;
}

static void store_submit(struct store *port, struct store_request *request)
{
    struct memory_store *store = (struct memory_store *)port;
    assert(store->done_count < STORE_REQUESTS_MAX);
    (void)pthread_mutex_lock(&store->db->lock);
    switch (request->op) {
    case STORE_GET: request->status = get(store->db, request); break;
    case STORE_RANGE: request->status = range(store->db, request); break;
    case STORE_BY_OFFSET: request->status = by_offset(store->db, request); break;
    case STORE_COMMIT: request->status = commit(store->db, request); break;
    default: request->status = STATUS_UNSUPPORTED; break;
    }
    (void)pthread_mutex_unlock(&store->db->lock);
    size_t last = (store->done_first + store->done_count++) % STORE_REQUESTS_MAX;
    store->done[last] = request;
}

static size_t store_poll(struct store *port, struct store_request **done, size_t max)
{
    struct memory_store *store = (struct memory_store *)port;
    size_t count = 0;
    while (count < max && store->done_count > 0) {
        done[count++] = store->done[store->done_first];
        store->done_first = (store->done_first + 1) % STORE_REQUESTS_MAX;
        store->done_count--;
    }
    return count;
}

static const struct store_vtable vtable = {store_submit, store_poll};

void memory_store_open(struct memory_store *store, struct memory_db *db)
{
    memset(store, 0, sizeof *store);
    store->port.vtable = &vtable;
    store->db = db;
}

const struct row *memory_db_next(struct memory_db *db, const struct row_key *after)
{
    const struct memory_node *node = db->head->next[0];
    if (after != NULL) {
        node = seek(db, after, NULL)->next[0];
        if (node != NULL && row_key_compare(&node->row.key, after) == 0)
            node = node->next[0];
    }
    while (node != NULL && !node->row.found)
        node = node->next[0];
    return node == NULL ? NULL : &node->row;
}
