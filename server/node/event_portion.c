#include "node/event_portion.h"

#include <string.h>

#include "base/check.h"

/* ---- filters ---- */

struct event_topic event_topic(const struct event *event)
{
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        return (struct event_topic){event->grant.schedule_id, true, event->kind == EVENT_RENEWED};
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        return (struct event_topic){event->run.schedule_id, true, false};
    case EVENT_POLICY:
        return (struct event_topic){event->policy.schedule_id, true, false};
    case EVENT_GROUP:
        return (struct event_topic){event->of_group.name, false, false};
    case EVENT_FREEZE:
        return (struct event_topic){event->freeze.scope, true, false};
    }
    CHECK(false);
    return (struct event_topic){.is_renewal = false};
}

static struct slice name_keep(uint8_t bytes[LIMIT_NAME_BYTES], struct slice name)
{
    if (!slice_is_present(name)) {
        return name;
    }
    CHECK(name.len <= LIMIT_NAME_BYTES);
    memcpy(bytes, name.base, name.len);
    return (struct slice){.base = bytes, .len = name.len};
}

void event_filter_set(struct event_filter *filter, const struct api_events *wanted)
{
    filter->renewals = wanted->renewals;
    filter->schedule = name_keep(filter->schedule_bytes, wanted->schedule);
    filter->prefix = name_keep(filter->prefix_bytes, wanted->prefix);
}

static bool slice_begins(struct slice slice, struct slice prefix)
{
    return slice.len >= prefix.len && (prefix.len == 0 || memcmp(slice.base, prefix.base, prefix.len) == 0);
}

bool event_filter_wants(const struct event_filter *filter, const struct event_topic *topic)
{
    if (topic->is_renewal && !filter->renewals) {
        return false;
    }
    if (!slice_is_present(topic->name)) {
        return true;
    }
    bool is_other =
        slice_is_present(filter->schedule) && !(topic->is_of_schedule && slice_equal(topic->name, filter->schedule));
    return !is_other && (!slice_is_present(filter->prefix) || slice_begins(topic->name, filter->prefix));
}

/* ---- portions ---- */

void event_portion_close(struct event_portion *portion)
{
    buffer_close(&portion->text);
    portion->n = 0;
}

void event_portion_clear(struct event_portion *portion)
{
    buffer_clear(&portion->text);
    portion->n = 0;
}

bool event_portion_is_full(const struct event_portion *portion, size_t bytes)
{
    return portion->n == PORTION_PIECES || portion->text.len >= bytes;
}

void event_portion_add(struct event_portion *portion, struct event_topic topic, uint64_t place)
{
    CHECK(portion->n < PORTION_PIECES);
    size_t begin = portion->n == 0 ? 0 : portion->pieces[portion->n - 1].end;
    portion->pieces[portion->n++] =
        (struct event_piece){.topic = topic, .place = place, .begin = begin, .end = portion->text.len};
}

static bool write_some(const struct event_portion *portion, size_t begin, size_t end, struct exchange *exchange)
{
    return end == begin ||
           exchange_write(exchange, (struct slice){.base = portion->text.base + begin, .len = end - begin});
}

bool event_portion_write(const struct event_portion *portion, const struct event_filter *filter, uint64_t place,
                         struct exchange *exchange)
{
    size_t begin = 0;
    size_t end = 0;
    for (size_t i = 0; i < portion->n; i++) {
        const struct event_piece *piece = &portion->pieces[i];
        if (piece->place < place || !event_filter_wants(filter, &piece->topic)) {
            continue;
        }
        if (piece->begin != end) {
            if (!write_some(portion, begin, end, exchange)) {
                return false;
            }
            begin = piece->begin;
        }
        end = piece->end;
    }
    return write_some(portion, begin, end, exchange);
}
