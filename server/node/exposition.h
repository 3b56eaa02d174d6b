/* exposition: Prometheus' text format, version 0.0.4. Knows how a line looks, not what it says. */
#ifndef BATON_NODE_EXPOSITION_H
#define BATON_NODE_EXPOSITION_H

#include <stdint.h>

#include "base/histogram.h"
#include "base/limits.h"
#include "base/slice.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The labels of one series as they are written, `name="value",name="value"`: "" when there are none. */
struct labels {
    char text[4 * LIMIT_NAME_BYTES];
    size_t len;
};
void labels_clear(struct labels *labels);
/* Escapes the value. A label that finds no room in `labels` is left out. */
void labels_add(struct labels *labels, const char *name, const char *value);
void labels_add_slice(struct labels *labels, const char *name, struct slice value);

/* The two lines in front of a family's samples. `type` is counter, gauge or histogram. */
void exposition_family(struct buffer *text, const char *name, const char *type, const char *help);

/* Samples. `labels` may be NULL. */
void exposition_number(struct buffer *text, const char *name, const struct labels *labels, uint64_t value);
void exposition_seconds(struct buffer *text, const char *name, const struct labels *labels, uint64_t value_ns);
/* All buckets, sum and count of a family of this name. */
void exposition_histogram(struct buffer *text, const char *name, const struct labels *labels,
                          const struct histogram *histogram);

#endif
