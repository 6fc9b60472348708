/* SPDX-License-Identifier: Apache-2.0
 * last_words.h: words on stderr when the process is ended at once, by an abort (of ours, or of a
 * library that found no memory) or by a crash. Then it ends as it would have without them.
 * Owner: main(), once, before there are threads. */
#pragma once

/* `words` stand for ever and end a line. A signal that already has a handler (a sanitizer's) keeps
 * it. */
void posix_last_words(const char *words);
