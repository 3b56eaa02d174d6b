/* names: which bytes a name may have, and how it is read from a path or a query. */
#include <string.h>

#include "api/request.h"
#include "base/limits.h"

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool prefix_is_valid(struct slice prefix)
{
    if (prefix.len > LIMIT_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        uint8_t c = prefix.base[i];
        if (!is_alphanumeric(c) && (c == 0 || strchr("._:@~-", c) == NULL)) {
            return false;
        }
    }
    return true;
}

bool schedule_id_is_valid(struct slice name)
{
    return name.len > 0 && is_alphanumeric(name.base[0]) && prefix_is_valid(name);
}

bool scope_is_valid(struct slice scope)
{
    if (scope.len == 0 || scope.len > LIMIT_NAME_BYTES || scope.base[scope.len - 1] != '*') {
        return schedule_id_is_valid(scope);
    }
    scope.len--;
    return scope.len == 0 || schedule_id_is_valid(scope);
}

bool text_is_visible(struct slice text, size_t max)
{
    if (text.len == 0 || text.len > max) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] <= ' ' || text.base[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

bool number_parse(struct slice text, uint64_t max, uint64_t *number)
{
    const size_t most_digits = 16; /* of LIMIT_NUMBER_MAX; as many never overflow */
    if (text.len == 0 || text.len > most_digits || text.base[0] == '0') {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text.base[i] - '0');
    }
    return *number <= max;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(struct slice encoded, struct arena *arena, struct slice *decoded)
{
    *decoded = encoded;
    if (memchr(encoded.base, '%', encoded.len) == NULL) {
        return true;
    }
    uint8_t *out = arena_alloc(arena, encoded.len);
    if (out == NULL) {
        return false;
    }
    size_t n = 0;
    for (size_t i = 0; i < encoded.len; i++) {
        out[n] = encoded.base[i];
        if (encoded.base[i] == '%') {
            int high = i + 2 < encoded.len ? hex_digit(encoded.base[i + 1]) : -1;
            int low = i + 2 < encoded.len ? hex_digit(encoded.base[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            out[n] = (uint8_t)(high << 4 | low);
            i += 2;
        }
        n++;
    }
    *decoded = (struct slice){.base = out, .len = n};
    return true;
}
