/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyctl/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/memory.h"

#define LABEL      "parley-backup "
#define FORMAT     1u
#define LINE_BYTES (TREE_NAME_BYTES + 2u * SHA256_BYTES + 48u)

static const char *const folders[] = {"", "keys", "log", "quarantine", "store"};

static enum status files_list(struct manifest *manifest, const char *root, struct failure *failure)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof folders / sizeof folders[0]; i++)
        status = tree_add(&manifest->files, root, folders[i], failure);
    return status;
}

/* ---- write ---- */

static void number(struct buf *out, const char *key, uint64_t value)
{
    buf_text(out, key);
    buf_decimal(out, value);
    buf_text(out, "\n");
}

static void head_put(const struct manifest *manifest, struct buf *out)
{
    number(out, LABEL, FORMAT);
    buf_text(out, "version " PARLEY_VERSION "\nlog_id ");
    hex_write(out, SLICE_OF(manifest->log_id));
    number(out, "\nlog_epoch ", manifest->log_epoch);
    number(out, "part ", manifest->part);
    number(out, "end ", manifest->end);
}

static void file_put(const struct tree_file *file, struct buf *out)
{
    buf_text(out, "file ");
    hex_write(out, SLICE_OF(file->hash));
    buf_text(out, " ");
    buf_decimal(out, file->bytes);
    buf_text(out, " ");
    buf_text(out, file->name);
    buf_text(out, "\n");
}

static enum status write_out(const struct manifest *manifest, const char *root, struct buf *out,
                             struct failure *failure)
{
    uint8_t hash[SHA256_BYTES];
    head_put(manifest, out);
    for (size_t i = 0; i < manifest->files.count; i++)
        file_put(&manifest->files.files[i], out);
    struct slice before = buf_slice(out);
    crypto_sha256(&before, 1, hash);
    buf_text(out, "all ");
    hex_write(out, SLICE_OF(hash));
    buf_text(out, "\n");
    if (out->overflow)
        return failure_set(failure, STATUS_TOO_LARGE, "the list of the backup is too long");
    return tree_write(root, MANIFEST_NAME, buf_slice(out), failure);
}

enum status manifest_make(struct manifest *manifest, const char *root, struct failure *failure)
{
    enum status status = files_list(manifest, root, failure);
    for (size_t i = 0; status == STATUS_OK && i < manifest->files.count; i++)
        status = tree_hash(root, &manifest->files.files[i], failure);
    if (status != STATUS_OK)
        return status;
    size_t bytes = (manifest->files.count + 8) * LINE_BYTES;
    uint8_t *space = memory_alloc(bytes);
    if (space == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory");
    struct buf out = buf_over(space, bytes);
    status = write_out(manifest, root, &out, failure);
    memory_free(space);
    return status == STATUS_OK ? tree_sync(root, failure) : status;
}

/* ---- read ---- */

static bool hash_read(const char *text, uint8_t out[SHA256_BYTES])
{
    struct buf buf = buf_over(out, SHA256_BYTES);
    return strlen(text) >= 2u * SHA256_BYTES &&
           hex_read(slice_make(text, 2u * SHA256_BYTES), &buf) == STATUS_OK &&
           buf.bytes == SHA256_BYTES;
}

static struct tree_file *file_find(struct tree *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->files[i].name, name) == 0)
            return &files->files[i];
    return NULL;
}

/* "<sha256> <bytes> <name>" */
static enum status file_check(struct manifest *manifest, const char *root, const char *line,
                              struct failure *failure)
{
    uint8_t hash[SHA256_BYTES];
    char *name;
    if (!hash_read(line, hash) || line[2 * SHA256_BYTES] != ' ')
        return failure_set(failure, STATUS_CORRUPT, "a line of the list is not understood");
    uint64_t bytes = strtoull(line + 2 * SHA256_BYTES + 1, &name, 10);
    if (*name++ != ' ' || strstr(name, "..") != NULL || *name == '/')
        return failure_set(failure, STATUS_CORRUPT, "a line of the list is not understood");
    struct tree_file *file = file_find(&manifest->files, name);
    if (file == NULL || file->bytes != bytes)
        return failure_set(failure, STATUS_CORRUPT, "%.90s is %s", name,
                           file == NULL ? "missing" : "of another length");
    enum status status = tree_hash(root, file, failure);
    if (status == STATUS_OK && memcmp(hash, file->hash, SHA256_BYTES) != 0)
        status =
            failure_set(failure, STATUS_CORRUPT, "%.90s was changed: its hash is another", name);
    return status;
}

static void value_take(struct manifest *manifest, const char *line)
{
    struct buf id = buf_over(manifest->log_id, ID_BYTES);
    if (strncmp(line, "log_id ", 7) == 0)
        (void)!hex_read(slice_text(line + 7), &id); /* the list's hash was right */
    else if (strncmp(line, "log_epoch ", 10) == 0)
        manifest->log_epoch = strtoull(line + 10, NULL, 10);
    else if (strncmp(line, "part ", 5) == 0)
        manifest->part = strtoull(line + 5, NULL, 10);
    else if (strncmp(line, "end ", 4) == 0)
        manifest->end = strtoull(line + 4, NULL, 10);
}

/* The whole text, and whether its last line is the hash of the rest. */
static enum status text_take(char *text, size_t bytes, struct failure *failure)
{
    const size_t last = 4 + 2 * SHA256_BYTES + 1;
    uint8_t said[SHA256_BYTES], hash[SHA256_BYTES];
    struct slice before = slice_make(text, bytes < last ? 0 : bytes - last);
    crypto_sha256(&before, 1, hash);
    bool whole = bytes > last && strncmp(text + bytes - last, "all ", 4) == 0 &&
                 hash_read(text + bytes - last + 4, said) && memcmp(said, hash, sizeof hash) == 0;
    if (!whole)
        return failure_set(failure, STATUS_CORRUPT, "its list (" MANIFEST_NAME ") is damaged");
    text[bytes - last] = '\0';
    if (strncmp(text, LABEL, strlen(LABEL)) != 0 ||
        strtoul(text + strlen(LABEL), NULL, 10) != FORMAT)
        return failure_set(failure, STATUS_UNSUPPORTED, "it is of a newer version");
    return STATUS_OK;
}

static enum status lines_check(struct manifest *manifest, const char *root, char *text,
                               struct failure *failure)
{
    size_t listed = 0;
    for (char *line = text, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL)
            break;
        *end = '\0';
        value_take(manifest, line);
        if (strncmp(line, "file ", 5) != 0)
            continue;
        enum status status = file_check(manifest, root, line + 5, failure);
        if (status != STATUS_OK)
            return status;
        listed++;
    }
    if (listed + 1 != manifest->files.count) /* the list itself */
        return failure_set(failure, STATUS_CORRUPT, "it holds files that its list does not name");
    return STATUS_OK;
}

enum status manifest_check(struct manifest *manifest, const char *root, struct failure *failure)
{
    enum status status = files_list(manifest, root, failure);
    struct tree_file *own = status == STATUS_OK ? file_find(&manifest->files, MANIFEST_NAME) : NULL;
    if (status == STATUS_OK && own == NULL)
        return failure_set(failure, STATUS_NOT_FOUND, "%.100s is no backup: it has no list", root);
    if (status != STATUS_OK)
        return status;
    char path[TREE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%.500s/" MANIFEST_NAME, root);
    FILE *file = fopen(path, "re");
    char *text = memory_alloc((size_t)own->bytes + 1);
    bool read = file != NULL && text != NULL &&
                fread(text, 1, (size_t)own->bytes, file) == (size_t)own->bytes;
    if (file != NULL)
        (void)fclose(file);
    status = read ? STATUS_OK : failure_set(failure, STATUS_IO, "%.100s cannot be read", path);
    if (read) {
        text[own->bytes] = '\0';
        status = text_take(text, (size_t)own->bytes, failure);
    }
    if (status == STATUS_OK)
        status = lines_check(manifest, root, text, failure);
    memory_free(text);
    return status;
}

void manifest_free(struct manifest *manifest)
{
    tree_free(&manifest->files);
}
