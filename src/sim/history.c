/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/history.h"

#include <string.h>

#include "base/memory.h"
#include "base/slice.h"

#define NAME_BYTES_MAX 32u

enum field_kind { FIELD_NUMBER, FIELD_ID, FIELD_WHAT };

/* Where a key of a line stands in the event: one table drives writer and reader. */
struct field {
    const char *name;
    size_t at;
    enum field_kind kind;
};

#define AT(member) offsetof(struct history_event, member)

static const struct field line_fields[] = {
    {"t_inv", AT(t_inv), FIELD_NUMBER}, {"t_ret", AT(t_ret), FIELD_NUMBER},
    {"proc", AT(proc), FIELD_NUMBER},   {"user", AT(user), FIELD_ID},
    {"dev", AT(dev), FIELD_ID},
};

static const struct field args_fields[] = {
    {"chat", AT(chat), FIELD_ID},           {"mid", AT(mid), FIELD_ID},
    {"from_user", AT(from_user), FIELD_ID}, {"from_dev", AT(from_dev), FIELD_ID},
    {"sctr", AT(sctr), FIELD_NUMBER},       {"cseq", AT(cseq), FIELD_NUMBER},
    {"useq", AT(useq), FIELD_NUMBER},       {"prev_useq", AT(prev_useq), FIELD_NUMBER},
    {"hash", AT(hash), FIELD_NUMBER},       {"ts", AT(ts), FIELD_NUMBER},
    {"system", AT(system), FIELD_NUMBER},   {"delivered", AT(delivered), FIELD_NUMBER},
    {"read", AT(read), FIELD_NUMBER},       {"epoch", AT(epoch), FIELD_NUMBER},
    {"conn", AT(conn), FIELD_NUMBER},       {"reason", AT(reason), FIELD_NUMBER},
    {"t_copy", AT(t_copy), FIELD_NUMBER},   {"value", AT(value), FIELD_NUMBER},
    {"cap", AT(cap), FIELD_NUMBER},         {"what", AT(what), FIELD_WHAT},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const op_names[] = {
#define X(name, text) text,
    HISTORY_OPS(X)
#undef X
};

static const char *const res_names[] = {"ok", "fail", "info"};

const char *history_op_name(enum history_op op)
{
    return op_names[op];
}

void history_close(struct history *history)
{
    memory_free(history->events);
    *history = (struct history){0};
}

enum status history_add(struct history *history, const struct history_event *event)
{
    if (history->count == HISTORY_EVENTS_MAX)
        return STATUS_TOO_LARGE;
    if (history->count == history->capacity) {
        size_t capacity = history->capacity ? 2 * history->capacity : 1024;
        struct history_event *events = memory_array(capacity, sizeof *events);
        if (events == NULL)
            return STATUS_BUSY;
        if (history->count > 0)
            memcpy(events, history->events, history->count * sizeof *events);
        memory_free(history->events);
        history->events = events;
        history->capacity = capacity;
    }
    history->events[history->count++] = *event;
    return STATUS_OK;
}

uint64_t history_hash(struct slice content)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < content.bytes; i++)
        hash = (hash ^ content.at[i]) * UINT64_C(0x100000001b3);
    return hash > HISTORY_UNREADABLE ? hash : 2;
}

/* ---- writing ---- */

static const uint8_t *bytes_of(const struct history_event *event, const struct field *field)
{
    return (const uint8_t *)event + field->at;
}

static uint64_t number_of(const struct history_event *event, const struct field *field)
{
    uint64_t value;
    memcpy(&value, bytes_of(event, field), sizeof value);
    return value;
}

static bool is_set(const struct history_event *event, const struct field *field)
{
    switch (field->kind) {
    case FIELD_NUMBER: return number_of(event, field) != 0;
    case FIELD_ID: return !id_is_zero(bytes_of(event, field));
    case FIELD_WHAT: return *bytes_of(event, field) != 0;
    }
    return false;
}

static void write_field(struct buf *out, const struct history_event *event,
                        const struct field *field)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes_of(event, field);
    buf_u8(out, '"');
    buf_text(out, field->name);
    buf_text(out, "\":");
    switch (field->kind) {
    case FIELD_NUMBER: buf_decimal(out, number_of(event, field)); break;
    case FIELD_ID:
        buf_u8(out, '"');
        for (size_t i = 0; i < ID_BYTES; i++) {
            buf_u8(out, (uint8_t)digits[at[i] >> 4]);
            buf_u8(out, (uint8_t)digits[at[i] & 15]);
        }
        buf_u8(out, '"');
        break;
    case FIELD_WHAT:
        buf_u8(out, '"');
        buf_text(out, event->what);
        buf_u8(out, '"');
        break;
    }
}

void history_write(struct buf *out, const struct history_event *event)
{
    for (size_t i = 0; i < COUNT(line_fields); i++) {
        buf_u8(out, i == 0 ? '{' : ',');
        write_field(out, event, &line_fields[i]);
    }
    buf_text(out, ",\"op\":\"");
    buf_text(out, op_names[event->op]);
    buf_text(out, "\",\"args\":{");
    bool first = true;
    for (size_t i = 0; i < COUNT(args_fields); i++) {
        if (!is_set(event, &args_fields[i]))
            continue;
        if (!first)
            buf_u8(out, ',');
        first = false;
        write_field(out, event, &args_fields[i]);
    }
    buf_text(out, "},\"res\":\"");
    buf_text(out, res_names[event->res]);
    buf_text(out, "\"}\n");
}

/* ---- reading: the JSON of above and no more, in any order and with blanks ---- */

struct reader {
    struct slice line;
    size_t at;
    struct failure *failure;
    char key[NAME_BYTES_MAX + 1];
    char text[NAME_BYTES_MAX + 1]; /* a string's value: names and ids fit exactly */
};

static enum status refuse(const struct reader *reader, const char *why)
{
    return failure_set(reader->failure, STATUS_INVALID, "column %zu: %s", reader->at + 1, why);
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->line.bytes) {
        uint8_t c = reader->line.at[reader->at];
        if (c != ' ' && c != '\t' && c != '\r')
            return;
        reader->at++;
    }
}

/* The next byte that is no blank; 0 at the end. */
static uint8_t peek(struct reader *reader)
{
    skip_blanks(reader);
    return reader->at < reader->line.bytes ? reader->line.at[reader->at] : 0;
}

static bool accept(struct reader *reader, uint8_t c)
{
    if (peek(reader) != c)
        return false;
    reader->at++;
    return true;
}

static enum status read_string(struct reader *reader, char out[NAME_BYTES_MAX + 1])
{
    size_t bytes = 0;
    if (!accept(reader, '"'))
        return refuse(reader, "a string is expected");
    for (; reader->at < reader->line.bytes; reader->at++) {
        uint8_t c = reader->line.at[reader->at];
        if (c == '"') {
            out[bytes] = 0;
            reader->at++;
            return STATUS_OK;
        }
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!plain)
            return refuse(reader, "a string may hold a-z, 0-9, '_' and '-' only");
        if (bytes == NAME_BYTES_MAX)
            return refuse(reader, "the string is too long");
        out[bytes++] = (char)c;
    }
    return refuse(reader, "the string does not end");
}

static enum status read_number(struct reader *reader, uint64_t *out)
{
    uint64_t value = 0;
    uint8_t c = peek(reader);
    if (c < '0' || c > '9')
        return refuse(reader, "a whole number is expected");
    for (; reader->at < reader->line.bytes; reader->at++) {
        c = reader->line.at[reader->at];
        if (c < '0' || c > '9')
            break;
        if (value > (UINT64_MAX - (uint64_t)(c - '0')) / 10)
            return refuse(reader, "the number does not fit 64 bits");
        value = 10 * value + (uint64_t)(c - '0');
    }
    *out = value;
    return STATUS_OK;
}

static uint8_t nibble(char c)
{
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0');
    return c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10) : 0xff;
}

static enum status read_id(struct reader *reader, uint8_t out[ID_BYTES])
{
    enum status status = read_string(reader, reader->text);
    if (status != STATUS_OK)
        return status;
    if (strlen(reader->text) != (size_t)2 * ID_BYTES)
        return refuse(reader, "an id has 32 hex digits");
    for (size_t i = 0; i < ID_BYTES; i++) {
        uint8_t high = nibble(reader->text[2 * i]), low = nibble(reader->text[2 * i + 1]);
        if (high > 15 || low > 15)
            return refuse(reader, "an id has 32 hex digits");
        out[i] = (uint8_t)(high << 4 | low);
    }
    return STATUS_OK;
}

static enum status read_field(struct reader *reader, struct history_event *event,
                              const struct field *field)
{
    uint8_t *into = (uint8_t *)event + field->at;
    uint64_t value = 0;
    enum status status = STATUS_OK;
    switch (field->kind) {
    case FIELD_NUMBER:
        status = read_number(reader, &value);
        memcpy(into, &value, sizeof value);
        return status;
    case FIELD_ID: return read_id(reader, into);
    case FIELD_WHAT:
        status = read_string(reader, reader->text);
        if (status == STATUS_OK && strlen(reader->text) >= HISTORY_WHAT_BYTES)
            return refuse(reader, "'what' is too long");
        if (status == STATUS_OK)
            memcpy(into, reader->text, strlen(reader->text) + 1);
        return status;
    }
    return status;
}

/* A string that is one of `names`. */
static enum status read_name(struct reader *reader, const char *const names[], size_t count,
                             size_t *out)
{
    enum status status = read_string(reader, reader->text);
    if (status != STATUS_OK)
        return status;
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(names[*out], reader->text) == 0)
            return STATUS_OK;
    return refuse(reader, "this name is not known");
}

/* The field of a key, NULL if there is none. */
static const struct field *field_find(const struct field *fields, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, key) == 0)
            return &fields[i];
    return NULL;
}

static enum status read_args(struct reader *reader, struct history_event *event)
{
    uint32_t seen = 0;
    if (!accept(reader, '{'))
        return refuse(reader, "'args' is an object");
    if (accept(reader, '}'))
        return STATUS_OK;
    do {
        enum status status = read_string(reader, reader->key);
        if (status != STATUS_OK)
            return status;
        const struct field *field = field_find(args_fields, COUNT(args_fields), reader->key);
        if (field == NULL)
            return refuse(reader, "this key is not known in 'args'");
        uint32_t bit = UINT32_C(1) << (field - args_fields);
        if (seen & bit)
            return refuse(reader, "this key stands twice");
        seen |= bit;
        if (!accept(reader, ':'))
            return refuse(reader, "':' is expected");
        status = read_field(reader, event, field);
        if (status != STATUS_OK)
            return status;
    } while (accept(reader, ','));
    return accept(reader, '}') ? STATUS_OK : refuse(reader, "',' or '}' is expected");
}

/* The bits of the keys that are no plain field, after those of line_fields. */
enum { KEY_OP = COUNT(line_fields), KEY_ARGS, KEY_RES, KEYS_COUNT };

static enum status read_value(struct reader *reader, struct history_event *event, uint32_t *seen)
{
    const struct field *field = field_find(line_fields, COUNT(line_fields), reader->key);
    size_t key = field                              ? (size_t)(field - line_fields)
                 : strcmp(reader->key, "op") == 0   ? (size_t)KEY_OP
                 : strcmp(reader->key, "args") == 0 ? (size_t)KEY_ARGS
                 : strcmp(reader->key, "res") == 0  ? (size_t)KEY_RES
                                                    : (size_t)KEYS_COUNT;
    if (key == KEYS_COUNT)
        return refuse(reader, "this key is not known");
    if (*seen & UINT32_C(1) << key)
        return refuse(reader, "this key stands twice");
    *seen |= UINT32_C(1) << key;
    if (field)
        return read_field(reader, event, field);
    if (key == KEY_ARGS)
        return read_args(reader, event);
    size_t name = 0;
    enum status status = key == KEY_OP ? read_name(reader, op_names, COUNT(op_names), &name)
                                       : read_name(reader, res_names, COUNT(res_names), &name);
    if (status == STATUS_OK && key == KEY_OP)
        event->op = (enum history_op)name;
    else if (status == STATUS_OK)
        event->res = (enum history_res)name;
    return status;
}

enum status history_read(struct slice line, struct history_event *event, struct failure *failure)
{
    struct reader reader = {.line = line, .failure = failure};
    uint32_t seen = 0;
    *event = (struct history_event){0};
    if (!accept(&reader, '{'))
        return refuse(&reader, "a line is a JSON object");
    do {
        enum status status = read_string(&reader, reader.key);
        if (status != STATUS_OK)
            return status;
        if (!accept(&reader, ':'))
            return refuse(&reader, "':' is expected");
        status = read_value(&reader, event, &seen);
        if (status != STATUS_OK)
            return status;
    } while (accept(&reader, ','));
    if (!accept(&reader, '}'))
        return refuse(&reader, "',' or '}' is expected");
    if (peek(&reader) != 0 || reader.at < line.bytes)
        return refuse(&reader, "something follows the object");
    if (seen != (UINT32_C(1) << KEYS_COUNT) - 1)
        return refuse(&reader, "t_inv, t_ret, proc, user, dev, op, args and res must all be there");
    if (event->t_ret < event->t_inv)
        return refuse(&reader, "t_ret is before t_inv");
    return STATUS_OK;
}

enum status history_read_all(struct slice text, struct history *history, struct failure *failure)
{
    size_t number = 0;
    while (text.bytes > 0) {
        const uint8_t *end = memchr(text.at, '\n', text.bytes);
        if (end == NULL)
            return STATUS_OK;
        struct slice line = {text.at, (size_t)(end - text.at)};
        text = slice_sub(text, line.bytes + 1, text.bytes);
        number++;
        if (line.bytes == 0)
            continue;
        struct history_event event;
        struct failure why = {STATUS_OK, ""};
        if (history_read(line, &event, &why) != STATUS_OK)
            return failure_set(failure, STATUS_INVALID, "line %zu, %.120s", number, why.text);
        enum status status = history_add(history, &event);
        if (status != STATUS_OK)
            return failure_set(failure, status, "line %zu: no room for more events", number);
    }
    return STATUS_OK;
}
