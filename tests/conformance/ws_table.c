/* SPDX-License-Identifier: Apache-2.0 */
#include "ws_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024
#define CASES_MAX  1024

struct reader {
    const char *path;
    unsigned line;
    char *at; /* what of the line is left */
    uint32_t masks;
};

struct frame {
    uint8_t opcode, reserved;
    bool final;
    unsigned length_bits; /* 0: the shortest form */
    uint64_t from, bytes; /* of the payload */
};

static _Noreturn void stop(const struct reader *reader, const char *why)
{
    fprintf(stderr, "%s:%u: %s at '%s'\n", reader->path, reader->line, why, reader->at);
    exit(2);
}

uint8_t ws_payload_at(const struct ws_payload *payload, uint64_t at)
{
    return payload->pattern[at % payload->pattern_bytes];
}

/* ---- words of a line ---- */

/* Passes the word if it is next. */
static bool word(struct reader *reader, const char *text)
{
    size_t bytes = strlen(text);
    char after = strncmp(reader->at, text, bytes) == 0 ? reader->at[bytes] : 'x';
    if (after != ' ' && after != '\0')
        return false;
    reader->at += bytes + (after == ' ');
    return true;
}

static bool number(struct reader *reader, uint64_t *out, char behind)
{
    char *end;
    if (*reader->at < '0' || *reader->at > '9')
        return false;
    *out = strtoull(reader->at, &end, 10);
    if (*end != behind && !(behind == ' ' && *end == '\0'))
        return false;
    reader->at = end + (*end != '\0');
    return true;
}

static uint64_t need_number(struct reader *reader)
{
    uint64_t value;
    if (!number(reader, &value, ' '))
        stop(reader, "a number is missing");
    return value;
}

/* "text" or N*"text"; false: the line goes on with something else. */
static bool payload(struct reader *reader, struct ws_payload *out)
{
    uint64_t bytes = UINT64_MAX;
    memset(out, 0, sizeof *out);
    out->pattern_bytes = 1;
    if (*reader->at != '"' && !number(reader, &bytes, '*'))
        return false;
    if (*reader->at++ != '"')
        stop(reader, "a text is missing");
    size_t count = 0;
    for (; *reader->at != '"'; count++) {
        if (*reader->at == '\0' || count == sizeof out->pattern)
            stop(reader, "a text without end");
        if (strncmp(reader->at, "\\x", 2) == 0) {
            char digits[3] = {reader->at[2], reader->at[3], '\0'};
            out->pattern[count] = (uint8_t)strtoul(digits, NULL, 16);
            reader->at += 4;
        } else {
            out->pattern[count] = (uint8_t)*reader->at++;
        }
    }
    reader->at++;
    if (*reader->at == ' ')
        reader->at++;
    out->pattern_bytes = count > 0 ? count : 1;
    out->bytes = bytes != UINT64_MAX ? bytes : count;
    return true;
}

/* ---- what is said ---- */

static void put(struct ws_case *one, const uint8_t *bytes, size_t count)
{
    if (count > one->bytes_limit - one->bytes_count) {
        count = one->bytes_limit - one->bytes_count;
        one->cut = true;
    }
    if (one->bytes_count + count > one->bytes_capacity) {
        one->bytes_capacity = 2 * (one->bytes_count + count);
        one->bytes = realloc(one->bytes, one->bytes_capacity);
        if (one->bytes == NULL)
            exit(2);
    }
    if (count > 0)
        memcpy(one->bytes + one->bytes_count, bytes, count);
    one->bytes_count += count;
}

static size_t header(uint8_t out[14], const struct frame *frame)
{
    unsigned bits = frame->length_bits != 0     ? frame->length_bits
                    : frame->bytes > UINT16_MAX ? 64
                    : frame->bytes > 125        ? 16
                                                : 7;
    size_t length_bytes = bits / 8;
    out[0] = (uint8_t)((frame->final ? 0x80 : 0) | frame->reserved << 4 | frame->opcode);
    out[1] = (uint8_t)(0x80 | (bits == 64 ? 127 : bits == 16 ? 126 : frame->bytes));
    for (size_t i = 0; i < length_bytes; i++)
        out[2 + i] = (uint8_t)(frame->bytes >> 8 * (length_bytes - 1 - i));
    return 2 + length_bytes;
}

static void put_frame(struct reader *reader, struct ws_case *one, const struct frame *frame,
                      const struct ws_payload *payload)
{
    uint8_t head[14], mask[4], piece[4096];
    uint32_t seed = reader->masks += 0x9e3779b9u;
    put(one, head, header(head, frame));
    memcpy(mask, &seed, sizeof mask);
    put(one, mask, sizeof mask);
    for (uint64_t done = 0; done < frame->bytes && !one->cut;) {
        size_t count = 0;
        for (; count < sizeof piece && done < frame->bytes; count++, done++)
            piece[count] = ws_payload_at(payload, frame->from + done) ^ mask[done % 4];
        put(one, piece, count);
    }
}

/* The frame, or its message in frames of `in` bytes. */
static void put_message(struct reader *reader, struct ws_case *one, struct frame frame,
                        const struct ws_payload *payload, uint64_t in)
{
    bool final = frame.final;
    do {
        uint64_t left = payload->bytes - frame.from;
        frame.bytes = in != 0 && in < left ? in : left;
        frame.final = final && frame.bytes == left;
        put_frame(reader, one, &frame, payload);
        frame.from += frame.bytes;
        frame.opcode = 0;
    } while (frame.from < payload->bytes && !one->cut);
}

static bool opcode(struct reader *reader, uint8_t *out)
{
    static const char *const names[] = {"cont", "text", "binary", "op3",  "op4",  "op5",
                                        "op6",  "op7",  "",       "ping", "pong", "op11",
                                        "op12", "op13", "op14",   "op15"};
    for (uint8_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (i != 8 && word(reader, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* `close [CODE ["reason"]]`: the code stands in front of its reason. */
static void close_payload(struct reader *reader, struct ws_payload *out)
{
    uint64_t code;
    struct ws_payload reason = {.pattern_bytes = 1};
    *out = reason;
    if (!number(reader, &code, ' '))
        return;
    out->pattern[0] = (uint8_t)(code >> 8);
    out->pattern[1] = (uint8_t)code;
    (void)payload(reader, &reason);
    if (reason.bytes > sizeof out->pattern - 2)
        stop(reader, "too long a reason");
    for (size_t i = 0; i < reason.bytes; i++)
        out->pattern[2 + i] = ws_payload_at(&reason, i);
    out->pattern_bytes = 2 + (size_t)reason.bytes;
    out->bytes = out->pattern_bytes;
}

static uint64_t repeat(struct reader *reader)
{
    char *begin = reader->at;
    uint64_t times;
    if (number(reader, &times, ' ') && word(reader, "x"))
        return times;
    reader->at = begin;
    return 1;
}

static void said(struct reader *reader, struct ws_case *one)
{
    uint64_t times = repeat(reader), in = 0;
    struct frame frame = {.final = true};
    struct ws_payload body = {.pattern_bytes = 1};
    one->bytes_limit = one->bytes_count + WS_MESSAGE_BYTES_MAX;
    if (word(reader, "raw")) {
        if (!payload(reader, &body))
            stop(reader, "bytes are missing");
        put(one, body.pattern, (size_t)body.bytes);
        return;
    }
    if (word(reader, "close")) {
        frame.opcode = 8;
        close_payload(reader, &body);
    } else if (word(reader, "closebody")) {
        frame.opcode = 8;
        (void)payload(reader, &body);
    } else if (opcode(reader, &frame.opcode)) {
        (void)payload(reader, &body);
    } else {
        stop(reader, "no such frame");
    }
    while (*reader->at != '\0') {
        if (word(reader, "..."))
            frame.final = false;
        else if (word(reader, "in"))
            in = need_number(reader);
        else if (word(reader, "rsv"))
            frame.reserved = (uint8_t)need_number(reader);
        else if (word(reader, "as"))
            frame.length_bits = (unsigned)need_number(reader);
        else
            stop(reader, "not understood");
    }
    for (; times > 0; times--, one->bytes_limit = one->bytes_count + WS_MESSAGE_BYTES_MAX)
        put_message(reader, one, frame, &body, in);
}

/* ---- what is heard ---- */

static void heard(struct reader *reader, struct ws_case *one, bool echo, bool parleyd)
{
    struct ws_expect expect = {.times = (uint32_t)repeat(reader)};
    uint64_t code = 0;
    if (word(reader, "pong")) {
        expect.kind = HEAR_PONG;
        (void)payload(reader, &expect.payload);
    } else if (word(reader, "binary")) {
        expect.kind = HEAR_BINARY;
        (void)payload(reader, &expect.payload);
    } else if (word(reader, "error")) {
        expect.kind = HEAR_ERROR;
    } else if (word(reader, "close")) {
        expect.kind = HEAR_CLOSE;
        (void)number(reader, &code, ' ');
        expect.code = (uint16_t)code;
    } else {
        stop(reader, "no such answer");
    }
    if (*reader->at != '\0')
        stop(reader, "not understood");
    for (unsigned server = 0; server < WS_SERVERS; server++)
        if (server == WS_ECHO ? echo : parleyd) {
            if (one->expects_count[server] == WS_EXPECTS_MAX)
                stop(reader, "too many answers");
            one->expects[server][one->expects_count[server]++] = expect;
        }
}

/* ---- the file ---- */

/* Every case ends with a close frame; one that was cut, with a refusal. */
static void check(const struct reader *reader, const struct ws_case *one)
{
    for (unsigned server = 0; server < WS_SERVERS; server++) {
        unsigned count = one->expects_count[server];
        const struct ws_expect *last = &one->expects[server][count > 0 ? count - 1 : 0];
        if (count == 0 || last->kind != HEAR_CLOSE || (one->cut && last->code == 1000))
            stop(reader, "the case above does not end with a close frame that it can end with");
    }
}

static void line_read(struct reader *reader, struct ws_table *table)
{
    struct ws_case *one = table->count > 0 ? &table->cases[table->count - 1] : NULL;
    if (*reader->at == '\0' || *reader->at == '#')
        return;
    if (word(reader, "-")) {
        if (one != NULL)
            check(reader, one);
        if (table->count == CASES_MAX)
            stop(reader, "too many cases");
        one = &table->cases[table->count++];
        one->line = reader->line;
        (void)snprintf(one->name, sizeof one->name, "%s", reader->at);
    } else if (one == NULL) {
        stop(reader, "no case has begun");
    } else if (word(reader, "offer")) {
        (void)snprintf(one->offer, sizeof one->offer, "%s", reader->at);
    } else if (word(reader, "slow")) {
        one->slow = true;
    } else if (word(reader, ">")) {
        said(reader, one);
    } else if (word(reader, "<")) {
        heard(reader, one, true, true);
    } else if (word(reader, "e<")) {
        heard(reader, one, true, false);
    } else if (word(reader, "p<")) {
        heard(reader, one, false, true);
    } else {
        stop(reader, "not understood");
    }
}

void ws_table_read(struct ws_table *table, const char *path)
{
    static char line[LINE_BYTES];
    struct reader reader = {.path = path, .at = line};
    FILE *file = fopen(path, "r");
    *table = (struct ws_table){calloc(CASES_MAX, sizeof(struct ws_case)), 0};
    if (file == NULL || table->cases == NULL)
        stop(&reader, "cannot be opened");
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        reader.line++;
        reader.at = line;
        line_read(&reader, table);
    }
    if (table->count > 0)
        check(&reader, &table->cases[table->count - 1]);
    (void)fclose(file);
}

void ws_table_free(struct ws_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cases[i].bytes);
    free(table->cases);
}
