#include "node/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_EXTRA_BYTES = 4 }; /* ',', '=', and two quotes */

void labels_clear(struct labels *labels)
{
    labels->len = 0;
    labels->text[0] = 0;
}

static void labels_put(struct labels *labels, char c)
{
    labels->text[labels->len++] = c;
}

static bool is_escaped(uint8_t c)
{
    return c == '\\' || c == '"' || c == '\n';
}

static size_t escaped_len(struct slice value)
{
    size_t len = value.len;
    for (size_t i = 0; i < value.len; i++) {
        len += is_escaped(value.base[i]);
    }
    return len;
}

void labels_add_slice(struct labels *labels, const char *name, struct slice value)
{
    size_t name_len = strlen(name);
    if (labels->len + name_len + escaped_len(value) + LABEL_EXTRA_BYTES >= sizeof labels->text) {
        return;
    }
    if (labels->len > 0) {
        labels_put(labels, ',');
    }
    memcpy(labels->text + labels->len, name, name_len);
    labels->len += name_len;
    labels_put(labels, '=');
    labels_put(labels, '"');
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.base[i];
        if (is_escaped(c)) {
            labels_put(labels, '\\');
        }
        labels_put(labels, c == '\n' ? 'n' : (char)c);
    }
    labels_put(labels, '"');
    labels->text[labels->len] = 0;
}

void labels_add(struct labels *labels, const char *name, const char *value)
{
    labels_add_slice(labels, name, slice_of(value));
}

void exposition_family(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name{labels} and a space. */
static void put_series(struct buffer *text, const char *name, const struct labels *labels)
{
    buffer_append_slice(text, slice_of(name));
    if (labels != NULL && labels->len > 0) {
        buffer_append(text, "{", 1);
        buffer_append(text, labels->text, labels->len);
        buffer_append(text, "}", 1);
    }
    buffer_append(text, " ", 1);
}

void exposition_number(struct buffer *text, const char *name, const struct labels *labels, uint64_t value)
{
    put_series(text, name, labels);
    buffer_printf(text, "%" PRIu64 "\n", value);
}

static void put_seconds(struct buffer *text, uint64_t value_ns)
{
    buffer_printf(text, "%" PRIu64 ".%09" PRIu64 "\n", value_ns / 1000000000u, value_ns % 1000000000u);
}

void exposition_seconds(struct buffer *text, const char *name, const struct labels *labels, uint64_t value_ns)
{
    put_series(text, name, labels);
    put_seconds(text, value_ns);
}

static void put_bucket(struct buffer *text, const char *name, const struct labels *labels, const char *bound,
                       uint64_t count)
{
    bool has_labels = labels != NULL && labels->len > 0;
    buffer_printf(text, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, has_labels ? labels->text : "",
                  has_labels ? "," : "", bound, count);
}

void exposition_histogram(struct buffer *text, const char *name, const struct labels *labels,
                          const struct histogram *histogram)
{
    char part[128];
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
        count += histogram->counts[i];
        put_bucket(text, name, labels, histogram_bounds_s[i], count);
    }
    count += histogram->counts[HISTOGRAM_CLASSES];
    put_bucket(text, name, labels, "+Inf", count);
    (void)snprintf(part, sizeof part, "%s_sum", name);
    put_series(text, part, labels);
    put_seconds(text, histogram->sum_ns);
    (void)snprintf(part, sizeof part, "%s_count", name);
    exposition_number(text, part, labels, count);
}
