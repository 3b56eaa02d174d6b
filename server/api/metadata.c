/* metadata: what a holder gives with its lock, any JSON object, and the form in which it is kept. */
#include "api/field.h"
#include "base/limits.h"

/* True when nothing in `value` is deeper than `depth`. `*has_real` becomes true when there is a float in it. */
static bool is_shallow(const json_t *value, unsigned depth, bool *has_real)
{
    *has_real = *has_real || json_is_real(value);
    if (!json_is_object(value) && !json_is_array(value)) {
        return true;
    }
    if (depth == 0) {
        return false;
    }
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(value, i, item)
    {
        if (!is_shallow(item, depth - 1, has_real)) {
            return false;
        }
    }
    json_object_foreach((json_t *)value, key, item)
    {
        if (!is_shallow(item, depth - 1, has_real)) {
            return false;
        }
    }
    return true;
}

static int append_piece(const char *piece, size_t len, void *text)
{
    buffer_append(text, piece, len);
    return 0;
}

/* What jansson can't allocate aborts, as everywhere. */
static void append_json(const json_t *value, size_t flags, struct buffer *text)
{
    CHECK(json_dump_callback(value, append_piece, text, flags | JSON_COMPACT | JSON_SORT_KEYS) == 0);
}

/* Compact, keys sorted, and floats with as few digits (the same for all of them) as give the same floats again. */
static void render_metadata(const json_t *value, bool has_real, struct buffer *text)
{
    append_json(value, 0, text);
    for (unsigned precision = 15; has_real && precision <= 17; precision++) {
        buffer_clear(text);
        append_json(value, JSON_REAL_PRECISION(precision), text);
        json_t *again = json_loadb((const char *)text->base, text->len, 0, NULL);
        bool equal = json_equal(again, value);
        json_decref(again);
        if (equal) {
            return;
        }
    }
}

bool take_metadata(const struct given *given)
{
    bool has_real = false;
    if (!json_is_object(given->value) || !is_shallow(given->value, LIMIT_JSON_DEPTH, &has_real)) {
        return refuse_value(given, "be an object, nested at most %u deep", LIMIT_JSON_DEPTH);
    }
    struct buffer text;
    buffer_init(&text);
    render_metadata(given->value, has_real, &text);
    bool taken = text.len <= given->row->max ? take_copy(given, buffer_slice(&text))
                                             : refuse_value(given, "not be longer than %llu bytes as compact JSON",
                                                            (unsigned long long)given->row->max);
    buffer_close(&text);
    return taken;
}
