/* event: what happens, as text/event-stream has it, and the id with which a reader says what it has seen.
 *
 * An event is a few lines: its id, if it has one, its kind, and one line of JSON, for JSON escapes the ends of lines. Members
 * that don't apply are left out of no event of a kind: what there is not is null, as in every answer. */
#include <inttypes.h>

#include "api/render.h"
#include "api/request.h"

/* ---- ids ---- */

/* Takes a decimal number, without sign or leading zeros, and then `end` (0: the end of the text) off `text`. */
static bool take_number(struct slice *text, uint8_t end, uint64_t max, uint64_t *number)
{
    size_t n = 0;
    *number = 0;
    for (; n < text->len && text->base[n] >= '0' && text->base[n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(text->base[n] - '0');
        if (*number > (max - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    bool is_plain = n > 0 && (n == 1 || text->base[0] != '0');
    bool ends = end == 0 ? n == text->len : n < text->len && text->base[n] == end;
    text->base += ends && end != 0 ? n + 1 : n;
    text->len -= ends && end != 0 ? n + 1 : n;
    return is_plain && ends;
}

void parse_last_event_id(struct slice header, struct api_events *events)
{
    uint64_t number = 0;
    struct api_event_id *id = &events->last_id;
    events->has_last_id = slice_is_present(header);
    events->last_id_is_readable = events->has_last_id && take_number(&header, '-', UINT64_MAX, &id->generation) &&
                                  take_number(&header, '-', UINT64_MAX, &id->index) &&
                                  take_number(&header, 0, UINT32_MAX, &number);
    id->number = (uint32_t)number;
    if (!events->last_id_is_readable) {
        *id = (struct api_event_id){0};
    }
}

/* ---- events ---- */

static struct json_writer event_begin(struct buffer *text, const char *kind, int64_t wall_ms)
{
    buffer_printf(text, "event: %s\ndata: ", kind);
    struct json_writer json = {.text = text};
    json_begin(&json, NULL, '{');
    json_put_instant(&json, "at", wall_ms);
    return json;
}

static void event_end(struct json_writer *json)
{
    json_end(json, '}');
    buffer_append(json->text, "\n\n", 2);
}

static const char *event_kind_name(enum event_kind kind)
{
    switch (kind) {
    case EVENT_GRANTED:
        return "granted";
    case EVENT_RENEWED:
        return "renewed";
    case EVENT_RELEASED:
        return "released";
    case EVENT_EXPIRED:
        return "expired";
    case EVENT_REVOKED:
        return "revoked";
    case EVENT_POLICY:
        return "policy";
    case EVENT_GROUP:
        return "group";
    case EVENT_FREEZE:
        return "freeze";
    }
    check_failed("a kind of event", __FILE__, __LINE__);
}

static void put_event_members(struct json_writer *json, const struct event *event)
{
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        render_lock_members(json, &event->grant, LOCK_WITHOUT_METADATA);
        json_put_text_or_null(json, "group", event->group);
        return;
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        json_put_text(json, "schedule_id", event->run.schedule_id);
        render_run_members(json, &event->run);
        json_put_text_or_null(json, "group", event->group);
        if (event->kind == EVENT_REVOKED) {
            json_put_flag(json, "freed", event->run.is_newly_freed);
        }
        return;
    case EVENT_POLICY:
        render_schedule_members(json, &event->policy);
        json_put_flag(json, "deleted", event->is_gone);
        return;
    case EVENT_GROUP:
        render_group_members(json, &event->of_group);
        json_put_flag(json, "deleted", event->is_gone);
        return;
    case EVENT_FREEZE:
        render_freeze_members(json, &event->freeze);
        json_put_flag(json, "ended", event->is_gone);
        return;
    }
}

void api_render_event(uint64_t generation, const struct event *event, struct buffer *text)
{
    buffer_printf(text, "id: %" PRIu64 "-%" PRIu64 "-%" PRIu32 "\n", generation, event->index, event->number);
    struct json_writer json = event_begin(text, event_kind_name(event->kind), event->wall_ms);
    put_event_members(&json, event);
    event_end(&json);
}

void api_render_event_refused(const struct api_request *request, const struct outcome *outcome, int64_t wall_ms,
                              struct buffer *text)
{
    const struct acquire_command *acquire = &request->command.acquire;
    struct buffer sentence;
    buffer_init(&sentence);
    api_render_skipped(acquire->schedule_id, outcome, &sentence);
    struct json_writer json = event_begin(text, "refused", wall_ms);
    json_put_text(&json, "schedule_id", acquire->schedule_id);
    json_put_text(&json, "holder", acquire->holder);
    json_put_text_or_null(&json, "occurrence", acquire->occurrence);
    json_put_word(&json, "code", outcome_code_name(outcome->code));
    json_put_text(&json, "detail", buffer_slice(&sentence));
    event_end(&json);
    buffer_close(&sentence);
}

void api_render_event_leader(const char *leader, uint64_t term, int64_t wall_ms, struct buffer *text)
{
    struct json_writer json = event_begin(text, "leader", wall_ms);
    json_put_text_or_null(&json, "leader", slice_of(leader));
    json_put_number(&json, "term", term);
    event_end(&json);
}

void api_render_event_reset(uint64_t generation, uint64_t index, struct buffer *text)
{
    buffer_printf(text, "event: reset\ndata: ");
    struct json_writer json = {.text = text};
    json_begin(&json, NULL, '{');
    json_put_number(&json, "generation", generation);
    json_put_number(&json, "index", index);
    event_end(&json);
}
