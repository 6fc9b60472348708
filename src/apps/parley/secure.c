/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/secure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define CHUNK_BYTES TLS_RECORD_BYTES
#define CA_BYTES    (1u << 20)
#define PATH_BYTES  4200

static struct tls *port(struct secure *secure)
{
    return &secure->end.tls;
}

enum status secure_open(struct secure *secure, const struct address *address, const char *folder,
                        struct failure *failure)
{
    char path[PATH_BYTES];
    secure_close(secure);
    if (!address->tls)
        return STATUS_OK;
    (void)snprintf(path, sizeof path, "%s/" SECURE_CA_FILE, folder);
    const char *ca = access(path, R_OK) == 0 ? path : NULL;
    enum status status = openssl_client_open(&secure->end, address->name, ca, failure);
    secure->used = status == STATUS_OK;
    return status;
}

void secure_close(struct secure *secure)
{
    secure_stop(secure);
    openssl_client_close(&secure->end);
    memory_free(secure->sealed.at);
    *secure = (struct secure){.used = false};
}

static bool copy(FILE *from, const char *path)
{
    char bytes[4096];
    size_t got, all = 0;
    FILE *to = fopen(path, "we");
    bool done = to != NULL;
    while (done && (got = fread(bytes, 1, sizeof bytes, from)) > 0) {
        all += got;
        done = all <= CA_BYTES && fwrite(bytes, 1, got, to) == got;
    }
    done = done && ferror(from) == 0 && fflush(to) == 0 && fsync(fileno(to)) == 0;
    if (to != NULL)
        done = fclose(to) == 0 && done;
    return done;
}

enum status secure_ca_keep(const char *folder, const char *file, struct failure *failure)
{
    char path[PATH_BYTES], part[PATH_BYTES + 8];
    struct openssl_client probe;
    FILE *from = fopen(file, "re");
    if (from == NULL)
        return failure_set(failure, STATUS_INVALID, "%.100s cannot be read: %s", file,
                           strerror(errno));
    (void)snprintf(path, sizeof path, "%s/" SECURE_CA_FILE, folder);
    (void)snprintf(part, sizeof part, "%s.new", path);
    enum status status = openssl_client_open(&probe, "probe", file, failure);
    openssl_client_close(&probe);
    if (status == STATUS_OK && (!copy(from, part) || rename(part, path) != 0))
        status =
            failure_set(failure, STATUS_IO, "%.100s cannot be written: %s", path, strerror(errno));
    (void)fclose(from);
    return status;
}

/* ---- one connection ---- */

static bool failed(struct secure *secure)
{
    if (secure->session->state != TLS_FAILED)
        return false;
    secure->trouble = secure->session->trouble;
    return true;
}

bool secure_start(struct secure *secure)
{
    uint8_t space[TLS_OUT_BYTES_MIN];
    struct buf out = buf_over(space, sizeof space), none = buf_over(NULL, 0);
    struct slice nothing = SLICE_EMPTY;
    secure_stop(secure);
    secure->trouble = NULL;
    if (!secure->used)
        return true;
    secure->session = port(secure)->vtable->open(port(secure));
    if (secure->session == NULL)
        return false;
    port(secure)->vtable->feed(port(secure), secure->session, &nothing, &none, &out);
    return link_bytes_put(&secure->sealed, buf_slice(&out), LINK_OUT_BYTES_MAX);
}

void secure_stop(struct secure *secure)
{
    if (secure->session != NULL)
        port(secure)->vtable->close(port(secure), secure->session);
    secure->session = NULL;
    secure->sealed.bytes = 0;
}

bool secure_take(struct secure *secure, struct link *link, struct slice *in)
{
    uint8_t plain_space[CHUNK_BYTES], out_space[TLS_OUT_BYTES_MIN];
    size_t room = link_room(link), more = 1;
    if (secure->session == NULL) {
        struct slice taken = slice_sub(*in, 0, room);
        link_take(link, taken);
        *in = slice_sub(*in, taken.bytes, in->bytes);
        return true;
    }
    while (more > 0 && (room = link_room(link)) > 0) {
        struct buf plain = buf_over(plain_space, room < sizeof plain_space ? room : CHUNK_BYTES);
        struct buf out = buf_over(out_space, sizeof out_space);
        port(secure)->vtable->feed(port(secure), secure->session, in, &plain, &out);
        if (!link_bytes_put(&secure->sealed, buf_slice(&out), LINK_OUT_BYTES_MAX))
            return false;
        link_take(link, buf_slice(&plain));
        more = plain.bytes;
        if (failed(secure))
            return false;
    }
    return true;
}

bool secure_out(struct secure *secure, struct link_bytes *from, struct link_bytes **out)
{
    uint8_t space[TLS_SEALED_BYTES_MAX(CHUNK_BYTES)];
    *out = secure->session != NULL ? &secure->sealed : from;
    if (secure->session == NULL || secure->session->state != TLS_OPEN)
        return true;
    for (size_t at = 0; at < from->bytes; at += CHUNK_BYTES) {
        struct slice plain = slice_sub(slice_make(from->at, from->bytes), at, CHUNK_BYTES);
        struct buf sealed = buf_over(space, sizeof space);
        port(secure)->vtable->seal(port(secure), secure->session, plain, &sealed);
        if (failed(secure) ||
            !link_bytes_put(&secure->sealed, buf_slice(&sealed), 2 * LINK_OUT_BYTES_MAX))
            return false;
    }
    from->bytes = 0;
    return true;
}
