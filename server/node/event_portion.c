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
    buffer_close(&portion->names);
    portion->n = 0;
}

void event_portion_clear(struct event_portion *portion)
{
    buffer_clear(&portion->text);
    buffer_clear(&portion->names);
    portion->n = 0;
}

void event_portion_add(struct event_portion *portion, const struct event_topic *topic, uint64_t place)
{
    CHECK(portion->n < EVENT_PORTION_PIECES && topic->name.len <= LIMIT_NAME_BYTES);
    portion->pieces[portion->n] = (struct event_piece){
        .place = place,
        .begin = portion->n == 0 ? 0 : portion->pieces[portion->n - 1].end,
        .end = portion->text.len,
        .name = portion->names.len,
        .name_len = (uint16_t)topic->name.len,
        .has_name = slice_is_present(topic->name),
        .is_of_schedule = topic->is_of_schedule,
        .is_renewal = topic->is_renewal,
    };
    portion->n++;
    buffer_append_slice(&portion->names, topic->name);
}

void event_portion_append(struct event_portion *portion, const struct event_portion *other)
{
    CHECK(portion->n + other->n <= EVENT_PORTION_PIECES);
    for (size_t i = 0; i < other->n; i++) {
        struct event_piece *piece = &portion->pieces[portion->n++];
        *piece = other->pieces[i];
        piece->begin += portion->text.len;
        piece->end += portion->text.len;
        piece->name += portion->names.len;
    }
    buffer_append_slice(&portion->text, buffer_slice(&other->text));
    buffer_append_slice(&portion->names, buffer_slice(&other->names));
}

static bool piece_is_wanted(const struct event_portion *portion, const struct event_piece *piece,
                            const struct event_filter *filter)
{
    struct event_topic topic = {.is_of_schedule = piece->is_of_schedule, .is_renewal = piece->is_renewal};
    if (piece->has_name) {
        topic.name = (struct slice){.base = portion->names.base + piece->name, .len = piece->name_len};
    }
    return event_filter_wants(filter, &topic);
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
        if (piece->place < place || !piece_is_wanted(portion, piece, filter)) {
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
