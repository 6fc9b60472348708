/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "adapters/rocksdb/rocks.h"

#define MIB                 ((size_t)1 << 20)
#define BLOOM_BITS          10
#define BLOCK_BYTES         ((size_t)16 << 10)
#define FORMAT_VERSION      5
#define WAL_BYTES_MAX       (512 * MIB)
#define FILES_OPEN_MAX      512
#define FILES_SHARD_BITS    2 /* of that table; the default of 6 is for hundreds of threads */
#define BACKGROUND_PER_S    ((int64_t)32 << 20) /* flush, compaction: the log needs the disk */
#define BACKGROUND_TURN_US  100000
#define BACKGROUND_FAIRNESS 10
/* RocksDB's own LOG stays empty: on a full disk its second line fails an assertion (7.8.3, Debian's
 * archive), and the process with it. What matters comes back as an error. */
#define NEWS_LEVEL_NONE    6
#define NEWS_FILES_MAX     4
#define LEVEL0_SLOW_FILES  20
#define LEVEL0_STOP_FILES  36
#define PENDING_SLOW_BYTES ((size_t)64 << 30)
#define PENDING_STOP_BYTES ((size_t)256 << 30)

struct rocks_options rocks_options_default(void)
{
    return (struct rocks_options){
        .small = true, .handles = 1, .readers = 1, .jobs = 2, .sync_ms = 10000};
}

static size_t cache_bytes(const struct rocks_options *options)
{
    if (options->cache_bytes != 0)
        return options->cache_bytes;
    if (options->small)
        return 32 * MIB;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (size_t)pages / 4 * (size_t)page_bytes : 256 * MIB;
}

static rocksdb_options_t *all_of(const struct rocks_options *options, enum rocks_wal_mode mode)
{
    rocksdb_options_t *all = rocksdb_options_create();
    rocksdb_ratelimiter_t *limiter =
        rocksdb_ratelimiter_create(BACKGROUND_PER_S, BACKGROUND_TURN_US, BACKGROUND_FAIRNESS);
    rocksdb_options_set_create_if_missing(all, 1);
    rocksdb_options_set_create_missing_column_families(all, 1);
    rocksdb_options_set_wal_recovery_mode(all, (int)mode);
    rocksdb_options_set_atomic_flush(all, 1);
    rocksdb_options_set_paranoid_checks(all, 1);
    rocksdb_options_set_db_write_buffer_size(all, (options->small ? 32 : 256) * MIB);
    rocksdb_options_set_max_background_jobs(all, (int)options->jobs);
    rocksdb_options_set_bytes_per_sync(all, MIB);
    rocksdb_options_set_max_total_wal_size(all, WAL_BYTES_MAX);
    rocksdb_options_set_max_open_files(all, FILES_OPEN_MAX);
    rocksdb_options_set_table_cache_numshardbits(all, FILES_SHARD_BITS);
    rocksdb_options_set_max_file_opening_threads(all, 1);
    rocksdb_options_set_skip_stats_update_on_db_open(all, 1);
    rocksdb_options_set_is_fd_close_on_exec(all, 1);
    rocksdb_options_set_ratelimiter(all, limiter);
    rocksdb_options_set_info_log_level(all, NEWS_LEVEL_NONE);
    rocksdb_options_set_keep_log_file_num(all, NEWS_FILES_MAX);
    rocksdb_options_set_max_log_file_size(all, MIB);
    rocksdb_options_set_stats_dump_period_sec(all, 0);
    rocksdb_options_set_stats_persist_period_sec(all, 0);
    rocksdb_ratelimiter_destroy(limiter);
    return all;
}

static void table_set(rocksdb_options_t *family, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, FORMAT_VERSION);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS)); /* now the table's */
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    rocksdb_options_set_block_based_table_factory(family, table);
    rocksdb_block_based_options_destroy(table);
}

static rocksdb_options_t *family_of(const struct rocks_layout *layout, bool small,
                                    rocksdb_cache_t *cache)
{
    rocksdb_options_t *family = rocksdb_options_create();
    rocksdb_options_set_write_buffer_size(family, (small ? 8 : 64) * MIB);
    rocksdb_options_set_max_write_buffer_number(family, 3);
    rocksdb_options_set_compression(family, layout->plain ? rocksdb_no_compression
                                                          : rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(family, 1);
    rocksdb_options_set_level0_slowdown_writes_trigger(family, LEVEL0_SLOW_FILES);
    rocksdb_options_set_level0_stop_writes_trigger(family, LEVEL0_STOP_FILES);
    rocksdb_options_set_soft_pending_compaction_bytes_limit(family, PENDING_SLOW_BYTES);
    rocksdb_options_set_hard_pending_compaction_bytes_limit(family, PENDING_STOP_BYTES);
    if (layout->prefix_bytes > 0)
        rocksdb_options_set_prefix_extractor(
            family, rocksdb_slicetransform_create_fixed_prefix(layout->prefix_bytes));
    table_set(family, cache);
    return family;
}

void rocks_settings_open(struct rocks_settings *settings, const struct rocks_options *options,
                         enum rocks_wal_mode mode)
{
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(cache_bytes(options));
    settings->all = all_of(options, mode);
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        settings->families[i] = family_of(&rocks_layouts[i], options->small, cache);
    rocksdb_cache_destroy(cache); /* the tables hold it */
}

void rocks_settings_close(struct rocks_settings *settings)
{
    rocksdb_options_destroy(settings->all);
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        rocksdb_options_destroy(settings->families[i]);
}
