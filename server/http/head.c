/* head: what a request's line, headers and parameters say, and how much of the connection's memory they take. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "http/server.h"

/* How MHD divides a connection's memory: half of it is for what arrives first, and more is made free when less than a KiB
 * is left; each header, cookie, trailer or parameter takes a node beside its text. */
#define FIRST_READ_BYTES  ((size_t)LIMIT_HTTP_HEADER_BYTES / 2)
#define READ_AHEAD_BYTES  ((size_t)3 * 1024)
#define VALUE_BYTES       ((size_t)64)
#define VALUE_EXTRA_BYTES ((size_t)8) /* what separates it, and rounding up */

/* ---- headers ---- */

struct header_search {
    const char *name; /* a whole one, or what it begins with */
    struct slice first;
    size_t count;
};

static enum MHD_Result search_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                     const char *value, size_t value_size)
{
    (void)kind;
    struct header_search *search = cls;
    if (key_size == strlen(search->name) && strncasecmp(key, search->name, key_size) == 0) {
        if (search->count == 0) {
            search->first =
                value == NULL ? slice_of("") : (struct slice){.base = (const uint8_t *)value, .len = value_size};
        }
        search->count++;
    }
    return MHD_YES;
}

struct slice exchange_raw_header(const struct exchange *exchange, const char *name, size_t *count)
{
    struct header_search search = {.name = name}; /* nothing is found in a stream that is over */
    (void)MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, search_header, &search);
    if (count != NULL) {
        *count = search.count;
    }
    return search.first;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct slice exchange_header(const struct exchange *exchange, const char *name, size_t *count)
{
    struct slice value = exchange_raw_header(exchange, name, count);
    while (value.len > 0 && is_blank(value.base[value.len - 1])) {
        value.len--;
    }
    while (value.len > 0 && is_blank(value.base[0])) {
        value.base++;
        value.len--;
    }
    return value;
}

static enum MHD_Result search_header_prefix(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                            const char *value, size_t value_size)
{
    (void)kind;
    (void)value;
    (void)value_size;
    struct header_search *search = cls;
    size_t len = strlen(search->name);
    search->count += key_size >= len && strncasecmp(key, search->name, len) == 0;
    return MHD_YES;
}

size_t exchange_count_headers(const struct exchange *exchange, const char *prefix)
{
    struct header_search search = {.name = prefix};
    (void)MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, search_header_prefix, &search);
    return search.count;
}

/* ---- the request line ---- */

static enum MHD_Result keep_query_pair(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                       const char *value, size_t value_size)
{
    (void)kind;
    struct exchange *exchange = cls;
    exchange->query[exchange->n_query++] = (struct http_pair){
        .name = {.base = (const uint8_t *)key, .len = key_size},
        .value = {.base = (const uint8_t *)value, .len = value == NULL ? 0 : value_size},
    };
    return MHD_YES;
}

void exchange_read_query(struct exchange *exchange)
{
    int n = MHD_get_connection_values_n(exchange->mhd, MHD_GET_ARGUMENT_KIND, NULL, NULL);
    if (n > 0) {
        exchange->query = calloc((size_t)n, sizeof *exchange->query);
        CHECK(exchange->query != NULL);
        (void)MHD_get_connection_values_n(exchange->mhd, MHD_GET_ARGUMENT_KIND, keep_query_pair, exchange);
    }
}

/* MHD takes a zero byte for the end of the target; the target and the version stand in one piece of memory, one byte
 * apart, so a longer distance shows it. */
bool exchange_line_is_whole(const struct exchange *exchange, const char *url, const char *version)
{
    uintptr_t from = (uintptr_t)url;
    uintptr_t to = (uintptr_t)version;
    return to <= from || to - from == strlen(exchange->target) + 1;
}

bool exchange_read_length(const struct exchange *exchange, uint64_t *length)
{
    size_t n_lengths;
    size_t n_encodings;
    struct slice stated = exchange_raw_header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH, &n_lengths);
    struct slice encoding = exchange_raw_header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING, &n_encodings);
    if (n_lengths + n_encodings > 1) {
        return false;
    }
    *length = 0;
    if (n_encodings == 1) {
        return encoding.len == 7 && strncasecmp((const char *)encoding.base, "chunked", 7) == 0;
    }
    for (size_t i = 0; i < stated.len; i++) { /* MHD has refused what isn't digits or doesn't fit */
        *length = *length * 10 + (uint64_t)(stated.base[i] - '0');
    }
    return true;
}

/* ---- room for the answer ----
 * MHD writes an answer's headers into the memory that its request is in, and closes the connection when they don't fit.
 * Then a request would be carried out and not answered. */

struct memory_use {
    size_t read;   /* text, where it arrived */
    size_t beside; /* nodes and copies */
};

/* Of the text, a header's is in the head's size, a cookie's is a copy, and a trailer stands behind the body. */
static enum MHD_Result add_value(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                 const char *value, size_t value_size)
{
    (void)key;
    (void)value;
    struct memory_use *use = cls;
    size_t text = key_size + value_size + VALUE_EXTRA_BYTES;
    use->read += kind == MHD_FOOTER_KIND ? text : 0;
    use->beside += VALUE_BYTES + (kind == MHD_COOKIE_KIND ? text : 0);
    return MHD_YES;
}

bool exchange_leaves_room(const struct exchange *exchange)
{
    const enum MHD_ValueKind kinds = MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND | MHD_FOOTER_KIND;
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct memory_use use = {.read = head == NULL ? LIMIT_HTTP_HEADER_BYTES : head->header_size};
    (void)MHD_get_connection_values_n(exchange->mhd, kinds, add_value, &use);
    /* Who sends its next request at once may have filled what is read at a time. */
    size_t read = use.read + READ_AHEAD_BYTES > FIRST_READ_BYTES ? use.read + READ_AHEAD_BYTES : FIRST_READ_BYTES;
    return read + use.beside + LIMIT_HTTP_ANSWER_BYTES <= LIMIT_HTTP_HEADER_BYTES;
}
