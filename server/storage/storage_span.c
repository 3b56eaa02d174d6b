/* How much log lies behind the newest snapshot, in bytes of segments and of entries: what decides when the next one is
 * due. One span for each record, popped at either end. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

static void spans_reserve(struct storage_spans *spans)
{
    if (spans->end < spans->capacity) {
        return;
    }
    size_t n = spans->end - spans->begin;
    if (n <= spans->capacity / 2 && spans->capacity > 0) {
        memmove(spans->spans, spans->spans + spans->begin, n * sizeof *spans->spans);
    } else {
        size_t capacity = spans->capacity == 0 ? 64 : spans->capacity * 2;
        struct storage_span *grown = malloc(capacity * sizeof *grown);
        CHECK(grown != NULL);
        if (n > 0) {
            memcpy(grown, spans->spans + spans->begin, n * sizeof *grown);
        }
        free(spans->spans);
        spans->spans = grown;
        spans->capacity = capacity;
    }
    spans->begin = 0;
    spans->end = n;
}

void storage_spans_add(struct storage_spans *spans, const struct storage_span *span)
{
    spans_reserve(spans);
    struct storage_span *added = &spans->spans[spans->end++];
    *added = *span;
    added->record_bytes += spans->carried;
    spans->carried = 0;
    spans->record_bytes += added->record_bytes;
    spans->entry_bytes += added->entry_bytes;
}

void storage_spans_truncate(struct storage_spans *spans, uint64_t first_index)
{
    while (spans->end > spans->begin && spans->spans[spans->end - 1].first_index >= first_index) {
        const struct storage_span *span = &spans->spans[--spans->end];
        spans->record_bytes -= span->record_bytes;
        spans->entry_bytes -= span->entry_bytes;
        spans->carried += span->record_bytes;
    }
    if (spans->end > spans->begin && spans->spans[spans->end - 1].last_index >= first_index) {
        spans->spans[spans->end - 1].last_index = first_index - 1;
    }
}

void storage_spans_drop(struct storage_spans *spans, uint64_t last_index)
{
    while (spans->begin < spans->end && spans->spans[spans->begin].last_index <= last_index) {
        const struct storage_span *span = &spans->spans[spans->begin++];
        spans->record_bytes -= span->record_bytes;
        spans->entry_bytes -= span->entry_bytes;
    }
}

void storage_spans_close(struct storage_spans *spans)
{
    free(spans->spans);
    *spans = (struct storage_spans){0};
}
