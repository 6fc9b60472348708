/* SPDX-License-Identifier: Apache-2.0
 * Only in builds with ThreadSanitizer, which asks for this function. It sees RocksDB's memcpy and
 * memcmp, but not the atomics that order them, as the archive is not instrumented. Nobody else here
 * has a C++ string, and in one of those it may copy a value. */

__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:rocksdb::\nrace:std::__cxx11::basic_string\n";
}
