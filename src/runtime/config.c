/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/origin.h"

static const struct config_item items[] = {
#define TEXT(section, key, value, bytes_max, help) \
    {#section, #key, value, "", "", help, CONFIG_TEXT, offsetof(struct config, key), 0, bytes_max},
#define NUMBER(section, key, value, min, max, unit, help) \
    {#section, #key, #value, unit, "", help, CONFIG_NUMBER, offsetof(struct config, key), min, max},
#define CHOICE(section, key, value, choices, help) \
    {#section, #key, value, "", choices, help, CONFIG_CHOICE, offsetof(struct config, key), 0, 0},
#define SWITCH(section, key, value, help) \
    {#section, #key, value, "", "on|off", help, CONFIG_SWITCH, offsetof(struct config, key), 0, 0},
#include "runtime/config.def"
#undef TEXT
#undef NUMBER
#undef CHOICE
#undef SWITCH
};

#define ITEMS (sizeof items / sizeof items[0])

static_assert(ITEMS <= sizeof((struct config_reading *)0)->places /
                           sizeof((struct config_reading *)0)->places[0],
              "each setting has a place");

const struct config_item *config_items(size_t *count)
{
    *count = ITEMS;
    return items;
}

/* ---- names: key, --key-with-dashes, PARLEY_KEY ---- */

static bool same_name(const char *key, const char *name, size_t name_bytes, char of_underscore,
                      bool upper)
{
    size_t bytes = strlen(key);
    if (bytes != name_bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char letter = key[i] == '_' ? of_underscore : key[i];
        if (upper && letter >= 'a' && letter <= 'z')
            letter = (char)(letter - 'a' + 'A');
        if (letter != name[i])
            return false;
    }
    return true;
}

void config_flag_name(const char *key, char out[64])
{
    (void)snprintf(out, 64, "--%s", key);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
}

void config_variable_name(const char *key, char out[64])
{
    (void)snprintf(out, 64, "PARLEY_%s", key);
    for (char *at = out; *at != '\0'; at++)
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
}

/* ---- findings ---- */

static void place_put(struct buf *out, struct config_place place, const struct config_item *item)
{
    char name[64] = "";
    switch (place.source) {
    case CONFIG_DEFAULT: buf_text(out, "default"); break;
    case CONFIG_FILE:
        buf_text(out, place.line == 0 ? "the file " : "");
        buf_text(out, place.file);
        if (place.line > 0) {
            buf_text(out, ":");
            buf_decimal(out, place.line);
        }
        break;
    case CONFIG_ENVIRONMENT:
        buf_text(out, "environment");
        if (item != NULL)
            config_variable_name(item->key, name);
        break;
    case CONFIG_FLAG:
        buf_text(out, "command line");
        if (item != NULL)
            config_flag_name(item->key, name);
        break;
    }
    if (name[0] != '\0') {
        buf_text(out, " ");
        buf_text(out, name);
    }
    buf_text(out, ": ");
}

static void find_put(struct config_reading *reading, struct config_place place,
                     const struct config_item *item, const char *text)
{
    struct buf *out = &reading->findings.text;
    reading->findings.count++;
    place_put(out, place, item);
    for (; *text != '\0'; text++) /* a value may hold anything; a terminal may believe it */
        buf_u8(out, (uint8_t)*text < 0x20 || (uint8_t)*text == 0x7f ? '?' : (uint8_t)*text);
    buf_text(out, "\n");
}

void config_find(struct config_reading *reading, struct config_place place, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    find_put(reading, place, NULL, text);
}

__attribute__((format(printf, 3, 4))) static void item_find(struct config_reading *reading,
                                                            const struct config_item *item,
                                                            const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    find_put(reading, reading->places[item - items], item, text);
}

/* ---- one value ---- */

static bool number_read(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > UINT32_MAX)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

/* Which of "a|b|c" is `value`; -1: none. */
static int choice_read(const char *choices, const char *value)
{
    size_t bytes = strlen(value);
    for (int at = 0;; at++) {
        const char *end = strchr(choices, '|');
        size_t length = end != NULL ? (size_t)(end - choices) : strlen(choices);
        if (length == bytes && memcmp(choices, value, bytes) == 0)
            return at;
        if (end == NULL)
            return -1;
        choices = end + 1;
    }
}

static const char *number_set(const struct config_item *item, const char *value, uint32_t *out)
{
    uint64_t number;
    if (!number_read(value, &number))
        return "is not a whole number";
    if (number < item->min)
        return "is too small";
    if (number > item->max)
        return "is too large";
    *out = (uint32_t)number;
    return NULL;
}

/* Why `value` cannot be set, or NULL when it is. */
static const char *value_set(struct config *config, const struct config_item *item,
                             const char *value)
{
    char *at = (char *)config + item->at;
    int choice = -1;
    if (item->kind == CONFIG_CHOICE || item->kind == CONFIG_SWITCH)
        choice = choice_read(item->choices, value);
    switch (item->kind) {
    case CONFIG_TEXT:
        if (strlen(value) > item->max)
            return "is too long";
        memcpy(at, value, strlen(value) + 1);
        return NULL;
    case CONFIG_NUMBER: return number_set(item, value, (uint32_t *)(void *)at);
    case CONFIG_CHOICE:
        if (choice >= 0)
            *(uint32_t *)(void *)at = (uint32_t)choice;
        break;
    case CONFIG_SWITCH:
        if (choice >= 0)
            *(bool *)(void *)at = choice == 0;
        break;
    }
    return choice >= 0 ? NULL : "is not one of its values";
}

static void remedy(const struct config_item *item, char out[160])
{
    switch (item->kind) {
    case CONFIG_TEXT: (void)snprintf(out, 160, "Give at most %u bytes", item->max); break;
    case CONFIG_NUMBER:
        (void)snprintf(out, 160, "Give a whole number from %u to %u%s%s", item->min, item->max,
                       item->unit[0] != '\0' ? " " : "", item->unit);
        break;
    case CONFIG_CHOICE:
    case CONFIG_SWITCH: (void)snprintf(out, 160, "Give one of %s", item->choices); break;
    }
}

static void item_set(struct config_reading *reading, const struct config_item *item,
                     struct config_place place, const char *value)
{
    char what[160];
    reading->places[item - items] = place;
    const char *why = value_set(&reading->config, item, value);
    if (why == NULL)
        return;
    remedy(item, what);
    item_find(reading, item, "%s = '%.80s' %s. %s, or leave it out for %s.", item->key, value, why,
              what, item->value[0] != '\0' ? item->value : "nothing");
}

/* ---- the four sources ---- */

void config_init(struct config_reading *reading)
{
    memset(reading, 0, sizeof *reading);
    struct config_findings *findings = &reading->findings;
    findings->text = buf_over(findings->space, sizeof findings->space);
    for (size_t i = 0; i < ITEMS; i++) {
        const char *why = value_set(&reading->config, &items[i], items[i].value);
        assert(why == NULL); /* the table is right */
    }
}

void config_file_section(struct config_reading *reading, struct config_place place,
                         const char *section)
{
    char all[128] = "";
    for (size_t i = 0; i < ITEMS; i++) {
        if (strcmp(items[i].section, section) == 0)
            return;
        if (i > 0 && strcmp(items[i].section, items[i - 1].section) == 0)
            continue;
        size_t bytes = strlen(all);
        (void)snprintf(all + bytes, sizeof all - bytes, "%s[%s]", i > 0 ? ", " : "",
                       items[i].section);
    }
    config_find(reading, place, "there is no section [%.40s]. Write one of %s.", section, all);
}

void config_file_set(struct config_reading *reading, struct config_place place, const char *section,
                     const char *key, const char *value)
{
    const struct config_item *elsewhere = NULL;
    for (size_t i = 0; i < ITEMS; i++) {
        if (strcmp(items[i].key, key) != 0)
            continue;
        elsewhere = &items[i];
        if (strcmp(items[i].section, section) != 0)
            continue;
        if (reading->places[i].source == CONFIG_FILE) {
            config_find(reading, place, "%s stands here again, after line %u. Keep one of the two.",
                        key, reading->places[i].line);
            return;
        }
        item_set(reading, &items[i], place, value);
        return;
    }
    if (elsewhere != NULL)
        config_find(reading, place, "%s does not belong to [%.40s]. Put it under [%s].", key,
                    section, elsewhere->section);
    else
        config_find(reading, place,
                    "there is no setting '%.40s' in [%.40s]. parleyd --help-config lists all.", key,
                    section);
}

void config_environment(struct config_reading *reading, char *const *environment)
{
    struct config_place place = {.source = CONFIG_ENVIRONMENT};
    for (; *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals == NULL || strncmp(*environment, "PARLEY_", 7) != 0)
            continue;
        const char *name = *environment + 7;
        for (size_t i = 0; i < ITEMS; i++)
            if (same_name(items[i].key, name, (size_t)(equals - name), '_', true))
                item_set(reading, &items[i], place, equals + 1);
    }
}

bool config_flag_set(struct config_reading *reading, const char *name, const char *value)
{
    struct config_place place = {.source = CONFIG_FLAG};
    for (size_t i = 0; i < ITEMS; i++) {
        if (!same_name(items[i].key, name, strlen(name), '-', false))
            continue;
        item_set(reading, &items[i], place, value);
        return true;
    }
    return false;
}

/* ---- what must fit together ---- */

enum status config_address(const char *text, uint8_t address[16], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    char host[64];
    if (colon == NULL || !number_read(colon + 1, &number) || number > UINT16_MAX)
        return STATUS_INVALID;
    size_t bytes = (size_t)(colon - text);
    bool six = bytes > 2 && text[0] == '[' && colon[-1] == ']';
    if (bytes == 0 || bytes >= sizeof host)
        return STATUS_INVALID;
    memcpy(host, six ? text + 1 : text, six ? bytes - 2 : bytes);
    host[six ? bytes - 2 : bytes] = '\0';
    *port = (uint16_t)number;
    if (six)
        return inet_pton(AF_INET6, host, address) == 1 ? STATUS_OK : STATUS_INVALID;
    memset(address, 0, 16);
    memset(address + 10, 0xff, 2);
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", 10);
    return inet_pton(AF_INET, host, address + 12) == 1 ? STATUS_OK : STATUS_INVALID;
}

bool config_loopback(const uint8_t address[16])
{
    static const uint8_t four[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t six[16] = {[15] = 1};
    return memcmp(address, six, 16) == 0 || (memcmp(address, four, 12) == 0 && address[12] == 127);
}

bool config_tls(const struct config *config)
{
    return config->tls_cert[0] != '\0' && config->tls_key[0] != '\0';
}

bool config_forwarded(const struct config *config, struct forwarded *out)
{
    const char *at = config->trust_proxy;
    uint8_t address[16];
    uint16_t port;
    *out = (struct forwarded){.only = false};
    for (;;) {
        struct slice one = config_origin_next(&at);
        if (one.bytes == 0)
            break;
        if (out->proxies_count == FORWARDED_PROXIES_MAX ||
            !forwarded_read(one, out->proxies[out->proxies_count]))
            return false;
        out->proxies_count++;
    }
    out->header = config->proxy_header == 1;
    out->only = !config_tls(config) &&
                config_address(config->listen, address, &port) == STATUS_OK &&
                !config_loopback(address);
    return true;
}

struct slice config_origin_next(const char **at)
{
    while (**at == ',' || **at == ' ')
        (*at)++;
    size_t bytes = strcspn(*at, ", ");
    struct slice origin = slice_make(*at, bytes);
    *at += bytes;
    return origin;
}

static const struct config_item *item_of(const char *key)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (strcmp(items[i].key, key) == 0)
            return &items[i];
    assert(false && "a key of config.def");
    return NULL;
}

static void check_listen(struct config_reading *reading)
{
    const char *text = reading->config.listen;
    uint8_t address[16];
    uint16_t port;
    if (config_address(text, address, &port) != STATUS_OK)
        item_find(reading, item_of("listen"),
                  "listen = '%s' is no address. Give one as 127.0.0.1:8787 or [::1]:8787.", text);
    else if (!config_loopback(address) && reading->config.tls_cert[0] == '\0' &&
             reading->config.tls_key[0] == '\0' && reading->config.trust_proxy[0] == '\0')
        item_find(reading, item_of("listen"),
                  "listen = '%s' can be reached from other machines, and without a certificate "
                  "passwords would travel in clear. Give tls_cert and tls_key, or trust_proxy, "
                  "or 127.0.0.1:PORT or [::1]:PORT.",
                  text);
}

static void check_tls(struct config_reading *reading)
{
    const struct config *config = &reading->config;
    if (config->tls_cert[0] != '\0' && config->tls_key[0] == '\0')
        item_find(reading, item_of("tls_cert"),
                  "tls_cert is given without tls_key. Give the key's file, too.");
    if (config->tls_cert[0] == '\0' && config->tls_key[0] != '\0')
        item_find(reading, item_of("tls_key"),
                  "tls_key is given without tls_cert. Give the certificate's file, too.");
}

static void check_proxies(struct config_reading *reading)
{
    const char *at = reading->config.trust_proxy;
    struct forwarded forwarded;
    if (reading->config.proxy_header != 0 && at[0] == '\0')
        item_find(reading, item_of("proxy_header"),
                  "proxy_header is required, but trust_proxy names no proxy. Give it, too.");
    if (!config_forwarded(&reading->config, &forwarded))
        item_find(reading, item_of("trust_proxy"),
                  "trust_proxy = '%.80s' holds something that is no address, or more than %u. Give "
                  "addresses as 10.0.0.1 or fd00::1, separated by commas.",
                  at, FORWARDED_PROXIES_MAX);
}

static void check_name(struct config_reading *reading)
{
    const char *name = reading->config.name;
    for (const char *at = name; *at != '\0'; at++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", *at) == NULL) {
            item_find(reading, item_of("name"),
                      "name = '%.80s' holds more than a lower case host[:port]. Remove '%c'.", name,
                      *at);
            return;
        }
    if (name[0] == '\0')
        item_find(reading, item_of("name"), "name is empty. Give a host name, or leave it out.");
}

static void check_count(struct config_reading *reading, const char *key, uint32_t count)
{
    if (count > CONFIG_LIST_MAX)
        item_find(reading, item_of(key), "%u %s. Give at most %u.", count, key, CONFIG_LIST_MAX);
}

static void check_origins(struct config_reading *reading)
{
    const char *at = reading->config.origins;
    uint32_t count = 0;
    for (struct slice one; (one = config_origin_next(&at)).bytes > 0; count++)
        if (!origin_valid(one))
            item_find(reading, item_of("origins"),
                      "'%.*s' is no origin. Give https://host[:port] as browsers say it: lower "
                      "case, without a path or the usual port.",
                      (int)one.bytes, (const char *)one.at);
    check_count(reading, "origins", count);
}

static void check_hosts(struct config_reading *reading)
{
    const char *at = reading->config.hosts;
    uint32_t count = 0;
    for (struct slice one; (one = config_origin_next(&at)).bytes > 0; count++)
        if (!host_valid(one))
            item_find(reading, item_of("hosts"),
                      "'%.*s' is no host. Give a lower case host or host:port.", (int)one.bytes,
                      (const char *)one.at);
    check_count(reading, "hosts", count);
}

/* The switch holds for one folder, so that no copied configuration carries it to another. */
static void check_unsafe(struct config_reading *reading)
{
    const struct config *config = &reading->config;
    uint8_t address[16];
    uint16_t port;
    if (config->unsafe_bench[0] == '\0')
        return;
    if (strcmp(config->unsafe_bench, config->data) != 0)
        item_find(reading, item_of("unsafe_bench"),
                  "unsafe_bench = '%.80s' is not the folder of data. It takes all protection from "
                  "the accounts there: name the same folder twice, or leave it out.",
                  config->unsafe_bench);
    if (config_address(config->listen, address, &port) == STATUS_OK && !config_loopback(address))
        item_find(reading, item_of("unsafe_bench"),
                  "unsafe_bench with listen = '%.80s'. Nobody else may reach such a server: give "
                  "127.0.0.1:PORT or [::1]:PORT.",
                  config->listen);
}

static void check_metrics(struct config_reading *reading)
{
    const char *text = reading->config.metrics_listen;
    uint8_t address[16];
    uint16_t port;
    if (text[0] == '\0')
        return;
    if (config_address(text, address, &port) != STATUS_OK)
        item_find(reading, item_of("metrics_listen"),
                  "metrics_listen = '%s' is no address. Give one as 127.0.0.1:9787.", text);
    else if (!config_loopback(address) && !reading->config.metrics_open)
        item_find(reading, item_of("metrics_listen"),
                  "metrics_listen = '%s' can be reached from other machines. Give 127.0.0.1:PORT, "
                  "or metrics_open = on if only yours can.",
                  text);
}

void config_check(struct config_reading *reading)
{
    const struct config *config = &reading->config;
    check_listen(reading);
    check_tls(reading);
    check_proxies(reading);
    check_name(reading);
    check_origins(reading);
    check_hosts(reading);
    check_unsafe(reading);
    check_metrics(reading);
    if (config->data[0] == '\0')
        item_find(reading, item_of("data"), "data is empty. Give a folder.");
    if (config->shards * 16 > config->connections)
        item_find(reading, item_of("connections"),
                  "connections = %u is too small for %u shards. Give at least %u.",
                  config->connections, config->shards, config->shards * 16);
    if (config->shards * 16 > config->operations)
        item_find(reading, item_of("operations"),
                  "operations = %u is too small for %u shards. Give at least %u.",
                  config->operations, config->shards, config->shards * 16);
}
