/* Events to the byte, whatever they hold, and what a reader asks for. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

#define AT "\"at\":\"2026-01-02T03:04:05.678Z\","

static void assert_event(const struct event *event, const char *expected)
{
    struct buffer text;
    buffer_init(&text);
    buffer_append(&text, ": before\n", 9);
    api_render_event(2868837418, event, &text); /* appends */
    assert_memory_equal(text.base, ": before\n", 9);
    assert_slice((struct slice){.base = text.base + 9, .len = text.len - 9}, expected);
    buffer_close(&text);
}

static struct event event_of(enum event_kind kind)
{
    return (struct event){.kind = kind, .index = 1042, .number = 3, .wall_ms = WALL_MS};
}

#define EVENT(kind) "id: 2868837418-1042-3\nevent: " kind "\ndata: {" AT
/* FULL_…, without what opens it */
#define HOLDER_MEMBERS                                                                                                 \
    "\"schedule_id\":\"db.backup\",\"holder\":\"n1\",\"token\":9007199254740991,\"ttl_ms\":60000,"                     \
    "\"remaining_ms\":59999,\"acquired_at\":\"2026-01-02T03:04:05.678Z\",\"expires_at\":\"2026-01-02T03:05:05.677Z\"," \
    "\"occurrence\":\"2026-01-02T03:00:00Z\",\"attempt\":2"
#define RUN_MEMBERS                                                                                                    \
    "\"schedule_id\":\"db.backup\",\"token\":7,\"holder\":\"n1\",\"occurrence\":\"o\",\"attempt\":1,"                  \
    "\"outcome\":\"revoked\",\"late_outcome\":\"succeeded\",\"acquired_at\":\"2026-01-02T03:04:05.678Z\","             \
    "\"ended_at\":\"2026-01-02T03:04:07.178Z\",\"duration_ms\":1500,\"actor\":\"kim\",\"reason\":"                     \
    "\"gr\xc3\xbc\xc3\x9f\""

static void a_grant_is_shown_without_metadata(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_GRANTED);
    event.grant = full_grant();
    assert_event(&event, EVENT("granted") HOLDER_MEMBERS ",\"group\":null}\n\n");
    event.kind = EVENT_RENEWED;
    event.group = slice_of("db");
    assert_event(&event, EVENT("renewed") HOLDER_MEMBERS ",\"group\":\"db\"}\n\n");
}

static void an_end_shows_the_run(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_RELEASED);
    event.run = full_run();
    assert_event(&event, EVENT("released") RUN_MEMBERS ",\"group\":null}\n\n");
    event.kind = EVENT_EXPIRED;
    event.group = slice_of("db");
    assert_event(&event, EVENT("expired") RUN_MEMBERS ",\"group\":\"db\"}\n\n");
    event.kind = EVENT_REVOKED;
    assert_event(&event, EVENT("revoked") RUN_MEMBERS ",\"group\":\"db\",\"freed\":false}\n\n");
    event.run.is_newly_freed = true;
    assert_event(&event, EVENT("revoked") RUN_MEMBERS ",\"group\":\"db\",\"freed\":true}\n\n");
}

static void policies_groups_and_freezes_come_and_go(void **state)
{
    (void)state;
    struct event event = event_of(EVENT_POLICY);
    event.policy = full_policy();
    static const char policy[] = FULL_POLICY_OPEN;
    static const char group[] = FULL_GROUP_OPEN;
    static const char freeze[] = FULL_FREEZE_OPEN;
    char expected[1024];
    for (int gone = 0; gone < 2; gone++) {
        const char *flag = gone == 0 ? "false" : "true";
        event = event_of(EVENT_POLICY);
        event.policy = full_policy();
        event.is_gone = gone == 1;
        (void)snprintf(expected, sizeof expected, EVENT("policy") "%s,\"deleted\":%s}\n\n", policy + 1, flag);
        assert_event(&event, expected);
        event = event_of(EVENT_GROUP);
        event.of_group = full_group();
        event.is_gone = gone == 1;
        (void)snprintf(expected, sizeof expected, EVENT("group") "%s,\"deleted\":%s}\n\n", group + 1, flag);
        assert_event(&event, expected);
        event = event_of(EVENT_FREEZE);
        event.freeze = full_freeze();
        event.is_gone = gone == 1;
        (void)snprintf(expected, sizeof expected, EVENT("freeze") "%s,\"ended\":%s}\n\n", freeze + 1, flag);
        assert_event(&event, expected);
    }
}

static void what_is_not_in_the_log_has_no_id(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text);
    struct api_request request = acquire_request;
    const struct grant_view holder = full_grant();
    const struct outcome held = {.code = OUTCOME_LOCK_HELD, .holders = &holder, .n_holders = 1};
    api_render_event_refused(&request, &held, WALL_MS, &text);
    assert_slice(
        buffer_slice(&text),
        "event: refused\ndata: {" AT
        "\"schedule_id\":\"db.backup\",\"holder\":\"n2\",\"occurrence\":null,\"code\":\"lock_held\",\"detail\":"
        "\"schedule db.backup skipped \xe2\x80\x94 lock held by peer n1\"}\n\n");
    buffer_clear(&text);
    request.command.acquire.occurrence = slice_of("o");
    const struct outcome done = {.code = OUTCOME_OCCURRENCE_DONE};
    api_render_event_refused(&request, &done, WALL_MS, &text);
    assert_slice(
        buffer_slice(&text),
        "event: refused\ndata: {" AT
        "\"schedule_id\":\"db.backup\",\"holder\":\"n2\",\"occurrence\":\"o\",\"code\":\"occurrence_done\","
        "\"detail\":\"schedule db.backup skipped \xe2\x80\x94 this occurrence has already run to success\"}\n\n");
    buffer_clear(&text);
    api_render_event_leader("n1", 7, WALL_MS, &text);
    api_render_event_leader(NULL, UINT64_MAX, WALL_MS, &text);
    assert_slice(buffer_slice(&text), "event: leader\ndata: {" AT "\"leader\":\"n1\",\"term\":7}\n\n"
                                      "event: leader\ndata: {" AT "\"leader\":null,\"term\":18446744073709551615}\n\n");
    buffer_clear(&text);
    api_render_event_reset(2868837418, 1042, &text);
    assert_slice(buffer_slice(&text), "event: reset\ndata: {\"generation\":2868837418,\"index\":1042}\n\n");
    buffer_close(&text);
}

/* An event whose text is `reason`: three lines and an empty one, and its data is what it was. */
static void assert_carried(struct slice reason, const char *shown)
{
    struct event event = event_of(EVENT_FREEZE);
    event.freeze = full_freeze();
    event.freeze.reason = reason;
    struct buffer text;
    buffer_init(&text);
    api_render_event(1, &event, &text);
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.base[i] == '\n';
        assert_int_not_equal(text.base[i], '\r');
        assert_int_not_equal(text.base[i], 0);
    }
    assert_int_equal(lines, 4);
    assert_memory_equal(text.base + text.len - 3, "}\n\n", 3);
    const char *data = memmem(text.base, text.len, "\ndata: ", 7);
    assert_non_null(data);
    json_t *value = json_loadb(data + 7, (size_t)((const char *)text.base + text.len - data) - 7, 0, NULL);
    assert_non_null(value);
    assert_string_equal(json_string_value(json_object_get(value, "reason")), shown);
    json_decref(value);
    buffer_close(&text);
}

static void any_text_stays_on_its_line(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"quoted\" \\ and }\n\ndata: {\"x\":1}\n\nid: 1-1-1\n",
        "\r\n\r\nevent: granted\r\n",
        "\xe2\x80\xa8\xe2\x80\xa9\xc2\x85\v\f", /* U+2028, U+2029, U+0085: ends of a line to some, but not here */
        "t\xc3\xa4glich \xf0\x9f\x98\x80 \xe2\x82\xac",
        "\x01\x1f\x7f",
        ": not a comment",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_carried(slice_of(texts[i]), texts[i]);
    }
    assert_carried((struct slice){.base = (const uint8_t *)"a\xff\xc3", .len = 3}, "a\xef\xbf\xbd\xef\xbf\xbd");
    char longest[LIMIT_REASON_BYTES + 1];
    memset(longest, '\n', sizeof longest);
    longest[LIMIT_REASON_BYTES] = 0;
    assert_carried(slice_of(longest), longest);
}

/* The largest numbers there can be. */
static void the_largest_id_can_be_asked_for(void **state)
{
    (void)state;
    struct event event = {.kind = EVENT_GROUP, .index = UINT64_MAX, .number = UINT32_MAX, .of_group = full_group()};
    struct buffer text;
    buffer_init(&text);
    api_render_event(UINT64_MAX, &event, &text);
    static const char id[] = "id: 18446744073709551615-18446744073709551615-4294967295\n";
    assert_true(text.len > sizeof id);
    assert_memory_equal(text.base, id, sizeof id - 1);
    const struct api_input input = {.method = slice_of("GET"),
                                    .path = slice_of("/events"),
                                    .last_event_id = {.base = text.base + 4, .len = sizeof id - 1 - 5}};
    struct parsed parsed;
    parsed_input(&parsed, &input);
    assert_true(parsed.ok && parsed.request.events.has_last_id && parsed.request.events.last_id_is_readable);
    assert_true(parsed.request.events.last_id.generation == UINT64_MAX);
    assert_true(parsed.request.events.last_id.index == UINT64_MAX);
    assert_true(parsed.request.events.last_id.number == UINT32_MAX);
    parsed_close(&parsed);
    buffer_close(&text);
}

/* ---- what a reader asks for ---- */

static void parse_events(struct parsed *parsed, const char *last_event_id)
{
    const struct api_input input = {
        .method = slice_of("GET"), .path = slice_of("/events"), .last_event_id = slice_of(last_event_id)};
    parsed_input(parsed, &input);
    assert_true(parsed->ok);
    assert_int_equal(parsed->request.route, API_EVENTS);
}

static void a_reader_says_what_it_wants(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "GET /events", NULL, NULL);
    assert_true(parsed.ok);
    const struct api_events *events = &parsed.request.events;
    assert_slice(events->schedule, NULL);
    assert_slice(events->prefix, NULL);
    assert_false(events->renewals || events->has_last_id || events->last_id_is_readable);
    parsed_close(&parsed);
    parsed_request(&parsed, "GET /events", "renewals=true&schedule=a.b&prefix=.b-", NULL);
    assert_true(parsed.ok && events->renewals);
    assert_slice(events->schedule, "a.b");
    assert_slice(events->prefix, ".b-");
    assert_slice(parsed.request.list.prefix, NULL);
    assert_slice(parsed.request.schedule_id, NULL);
    parsed_close(&parsed);
    parsed_request(&parsed, "GET /events", "renewals=false&prefix=", NULL);
    assert_true(parsed.ok && !events->renewals);
    assert_slice(events->prefix, NULL);
    parsed_close(&parsed);
}

static void what_it_asks_for_is_checked(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"renewals", "renewals"},      {"renewals=", "renewals"},    {"renewals=1", "renewals"},
        {"renewals=True", "renewals"}, {"renewals=yes", "renewals"}, {"schedule", "schedule"},
        {"schedule=", "schedule"},     {"schedule=.a", "schedule"},  {"schedule=a*", "schedule"},
        {"schedule=a b", "schedule"},  {"prefix=a*", "prefix"},      {"prefix=\xff", "prefix"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_refused("GET /events", wrong[i][0], NULL, 400, "invalid_field", wrong[i][1]);
    }
    char query[400];
    int at = snprintf(query, sizeof query, "schedule=");
    memset(query + at, 'a', LIMIT_NAME_BYTES);
    query[at + LIMIT_NAME_BYTES] = 0;
    assert_taken("GET /events", query, NULL);
    memcpy(query + at + LIMIT_NAME_BYTES, "a", 2);
    assert_refused("GET /events", query, NULL, 400, "invalid_field", "schedule");
    assert_refused("GET /events", NULL, "{}", 400, "invalid_field", "body");
}

static void an_id_is_three_numbers(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_events(&parsed, "2868837418-1042-0");
    const struct api_events *events = &parsed.request.events;
    assert_true(events->has_last_id && events->last_id_is_readable);
    assert_int_equal(events->last_id.generation, 2868837418);
    assert_int_equal(events->last_id.index, 1042);
    assert_int_equal(events->last_id.number, 0);
    parsed_close(&parsed);
    parse_events(&parsed, "0-0-0");
    assert_true(events->last_id_is_readable);
    parsed_close(&parsed);
    static const char *const wrong[] = {
        "",
        "-",
        "--",
        "1",
        "1-1",
        "1-1-",
        "-1-1",
        "1--1",
        "1-1-1-",
        "1-1-1-1",
        " 1-1-1",
        "1-1-1 ",
        "01-1-1",
        "1-01-1",
        "1-1-01",
        "00-1-1",
        "+1-1-1",
        "1-1-x",
        "a-1-1",
        "0x1-1-1",
        "1.0-1-1",
        "1-1-1\n",
        "\xff",
        "1-1-4294967296",
        "18446744073709551616-1-1",
        "1-18446744073709551616-1",
        "1-99999999999999999999999-1",
        "1 1 1",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        parse_events(&parsed, wrong[i]);
        assert_true(events->has_last_id && !events->last_id_is_readable);
        assert_true(events->last_id.generation == 0 && events->last_id.index == 0 && events->last_id.number == 0);
        parsed_close(&parsed);
    }
    /* every truncation of one, and bytes of any kind in it, on the heap's edge */
    static const char id[] = "2868837418-1042-17";
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[sizeof id];
        memcpy(bytes, id, sizeof id);
        bytes[random_next(&seed) % sizeof id] = (uint8_t)random_next(&seed);
        const struct api_input input = {.method = slice_of("GET"),
                                        .path = slice_of("/events"),
                                        .last_event_id = {bytes, random_next(&seed) % sizeof id}};
        parsed_input(&parsed, &input);
        assert_true(parsed.ok && events->has_last_id);
        parsed_close(&parsed);
    }
}

/* Elsewhere nobody reads the header. */
static void other_routes_have_no_last_id(void **state)
{
    (void)state;
    const struct api_input input = {
        .method = slice_of("GET"), .path = slice_of("/locks"), .last_event_id = slice_of("1-1-1")};
    struct parsed parsed;
    parsed_input(&parsed, &input);
    assert_true(parsed.ok && !parsed.request.events.has_last_id);
    parsed_close(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_is_shown_without_metadata),
        cmocka_unit_test(an_end_shows_the_run),
        cmocka_unit_test(policies_groups_and_freezes_come_and_go),
        cmocka_unit_test(what_is_not_in_the_log_has_no_id),
        cmocka_unit_test(any_text_stays_on_its_line),
        cmocka_unit_test(the_largest_id_can_be_asked_for),
        cmocka_unit_test(a_reader_says_what_it_wants),
        cmocka_unit_test(what_it_asks_for_is_checked),
        cmocka_unit_test(an_id_is_three_numbers),
        cmocka_unit_test(other_routes_have_no_last_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
