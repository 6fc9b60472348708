/* SPDX-License-Identifier: Apache-2.0
 * pb.h: the codec of the wire: Protocol Buffers (proto3), driven by tables that tools/pbgen makes
 * from proto/. Generated headers (wire/gen/x.pb.h) hold the structs and typed wrappers; all code is
 * here and in pb.c.
 *
 * A message `Foo` is `struct pb_foo`. Numbers, bools and enums are values; bytes and strings are
 * slices into the input (zero-copy: the input must outlive the message); a message field `x` is
 * `struct pb_x x; bool has_x;`; a repeated field is `T *xs; size_t xs_count;`, its array in the
 * arena; a oneof `body` is `enum pb_foo_body body_case;` (0 = none) and `union {…} body;`.
 * A zeroed struct is the empty message. To build one: fill the struct, then pb_encode or pb_pack.
 *
 * Invariants: what pb_decode accepts holds every limit of the .proto (options.proto); decoding what
 * was encoded gives the same message; equal messages have equal bytes (fields ascending, defaults
 * omitted, numbers packed). Differences from protobuf, all on the strict side: docs/adr/0011.
 * Owner: no state; any thread. Bounds: nesting PB_DEPTH_MAX; memory PB_ALLOC_FACTOR × input +
 * PB_ALLOC_BYTES; time linear in the input. Source: protobuf.dev/programming-guides/encoding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define PB_DEPTH_MAX    8
#define PB_ALLOC_FACTOR 4
#define PB_ALLOC_BYTES  ((size_t)1024 * 1024)

enum pb_kind {
    PB_KIND_BOOL,
    PB_KIND_U32,
    PB_KIND_U64,
    PB_KIND_ENUM,
    PB_KIND_BYTES,
    PB_KIND_STRING,
    PB_KIND_MESSAGE,
};

struct pb_enum_value {
    uint32_t number;
    const char *name; /* as in the .proto, without the prefix of its enum */
};

struct pb_enum {
    const struct pb_enum_value *values;
    size_t value_count;
};

struct pb_field {
    const char *name;
    const struct pb_type *message;    /* PB_KIND_MESSAGE */
    const struct pb_enum *enumerated; /* PB_KIND_ENUM */
    uint32_t number;
    enum pb_kind kind;
    bool repeated, required, oneof;
    size_t at;            /* offset of the value, or of the pointer to the array */
    size_t beside;        /* offset of has_x, xs_count or the oneof's case, if there is one */
    uint32_t bytes_max;   /* of each value of bytes or string; 0 = no limit of its own */
    uint32_t bytes_exact; /* bytes have this length, or are absent; 0 = any */
    uint32_t count_max;   /* of a repeated field */
    uint32_t run;         /* of a oneof: this field and those behind it that are of the same one */
};

struct pb_type {
    const char *name;
    const struct pb_field *fields; /* ascending by number */
    size_t field_count;
    size_t bytes;                    /* sizeof the struct */
    bool any_repeated, any_required; /* of its own fields */
};

/* sizeof one value of the field; of a message its struct. */
size_t pb_value_bytes(const struct pb_field *field);

/* Decode one message that fills `in`. OK; INVALID: not protobuf, or against the strict rules;
 * TOO_LARGE: over a limit of the .proto or of this header; BUSY: the arena is exhausted. On any
 * status but OK the message is empty and the arena as before. */
enum status pb_decode(const struct pb_type *type, struct slice in, struct arena *arena,
                      void *out) MUST_USE;

/* Bytes that pb_encode will write. */
size_t pb_size(const struct pb_type *type, const void *message);

/* Append the message, whole or (out->overflow) not at all. Limits are not checked: what is sent is
 * the caller's to bound. */
void pb_encode(const struct pb_type *type, const void *message, struct buf *out);

/* The message's bytes in the arena; on exhaustion empty, and arena->exhausted. */
struct slice pb_pack(const struct pb_type *type, const void *message, struct arena *arena);

/* Records and rows: a version byte, then the message. */
struct slice pb_wrap(const struct pb_type *type, uint8_t version, const void *message,
                     struct arena *arena);

/* What stands behind the version byte. INVALID: empty or version 0; UNSUPPORTED: another version,
 * never guessed. */
enum status pb_unwrap(struct slice in, uint8_t version, struct slice *out) MUST_USE;

/* The message as one line of text, for traces of tests and tools (never for logs: it shows
 * content). Bytes are hex, cut after 16. Sets out->overflow if it does not fit. */
void pb_print(const struct pb_type *type, const void *message, struct buf *out);

/* The value's name, or "?" for a number this version does not know. */
const char *pb_enum_name(const struct pb_enum *enumerated, uint32_t number);
