/* The last events, by place and by id: what comes back, what is dropped, and what counts as gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/event_ring.h"

static struct event event_granted(uint64_t index, uint32_t number)
{
    return (struct event){
        .kind = EVENT_GRANTED,
        .index = index,
        .number = number,
        .wall_ms = 1700000000000,
        .grant = {.schedule_id = slice_of("nightly"), .holder = slice_of("h"), .token = index * 100 + number},
    };
}

static void record_granted(struct event_ring *ring, uint64_t index, uint32_t number)
{
    struct event event = event_granted(index, number);
    event_ring_record(ring, &event);
}

static bool is_found(const struct event_ring *ring, uint64_t index, uint32_t number, uint64_t *place)
{
    return event_ring_find(ring, (struct event_ring_id){.index = index, .number = number}, place);
}

static void assert_slice(struct slice slice, const char *text)
{
    assert_true(slice_equal(slice, slice_of(text)));
}

static void every_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    struct event_ring *ring = event_ring_open();
    char text[] = "everything";
    struct slice mine = slice_of(text);
    const struct run_view run = {.schedule_id = mine,
                                 .holder = mine,
                                 .occurrence = mine,
                                 .actor = mine,
                                 .reason = mine,
                                 .token = 4,
                                 .late_outcome = RUN_OUTCOME_NONE};
    const struct event events[] = {
        {.kind = EVENT_GRANTED,
         .group = mine,
         .grant = {.schedule_id = mine, .holder = mine, .metadata = mine, .token = 3}},
        {.kind = EVENT_RENEWED, .grant = {.schedule_id = mine, .holder = mine, .occurrence = mine, .token = 3}},
        {.kind = EVENT_RELEASED, .group = mine, .run = run},
        {.kind = EVENT_EXPIRED, .run = run},
        {.kind = EVENT_REVOKED, .run = run},
        {.kind = EVENT_POLICY,
         .policy = {.schedule_id = mine, .policy = {.description = mine, .group = mine, .slots = 7}}},
        {.kind = EVENT_GROUP, .is_gone = true, .of_group = {.name = mine, .slots = 8}},
        {.kind = EVENT_FREEZE, .freeze = {.scope = mine, .actor = mine, .reason = mine, .ttl_ms = 9}},
    };
    const size_t n = sizeof events / sizeof events[0];
    for (size_t i = 0; i < n; i++) {
        struct event event = events[i];
        event.index = 5 + i;
        event.wall_ms = (int64_t)i;
        event_ring_record(ring, &event);
    }
    memset(text, '#', sizeof text - 1); /* it has copies */
    struct event got[8];
    assert_int_equal(event_ring_next(ring) - event_ring_first(ring), n);
    for (size_t i = 0; i < n; i++) {
        event_ring_get(ring, i, &got[i]);
        assert_int_equal(got[i].kind, events[i].kind);
        assert_int_equal(got[i].index, 5 + i);
        assert_int_equal(got[i].wall_ms, i);
        assert_int_equal(got[i].is_gone, events[i].is_gone);
        assert_int_equal(slice_is_present(got[i].group), slice_is_present(events[i].group));
    }
    assert_slice(got[0].group, "everything");
    assert_slice(got[0].grant.schedule_id, "everything");
    assert_false(slice_is_present(got[0].grant.metadata));
    assert_false(slice_is_present(got[0].grant.occurrence));
    assert_slice(got[1].grant.occurrence, "everything");
    assert_slice(got[2].run.reason, "everything");
    assert_slice(got[4].run.actor, "everything");
    assert_int_equal(got[4].run.token, 4);
    assert_slice(got[5].policy.policy.group, "everything");
    assert_slice(got[5].policy.policy.description, "everything");
    assert_int_equal(got[5].policy.policy.slots, 7);
    assert_slice(got[6].of_group.name, "everything");
    assert_slice(got[7].freeze.reason, "everything");
    assert_int_equal(got[7].freeze.ttl_ms, 9);
    event_ring_close(ring);
}

static void an_id_is_found_by_what_follows_it(void **state)
{
    (void)state;
    uint64_t place;
    struct event_ring *ring = event_ring_open();
    assert_false(is_found(ring, 7, 0, &place)); /* nobody knows what was before */
    record_granted(ring, 7, 0);
    record_granted(ring, 7, 1);
    record_granted(ring, 9, 0);
    assert_false(is_found(ring, 6, 0, &place)); /* the same */
    assert_true(is_found(ring, 7, 0, &place) && place == 1);
    assert_true(is_found(ring, 7, 1, &place) && place == 2);
    assert_true(is_found(ring, 8, 4, &place) && place == 2); /* an entry of which nothing is told */
    assert_true(is_found(ring, 9, 0, &place) && place == 3);
    assert_true(is_found(ring, 11, 0, &place) && place == 3);
    event_ring_close(ring);
}

static void past_the_bound_of_events_the_oldest_is_dropped(void **state)
{
    (void)state;
    uint64_t place;
    struct event event;
    struct event_ring *ring = event_ring_open();
    for (uint64_t i = 0; i < LIMIT_EVENTS; i++) {
        record_granted(ring, 1 + i / 2, (uint32_t)(i % 2));
    }
    assert_int_equal(event_ring_first(ring), 0);
    assert_int_equal(event_ring_next(ring), LIMIT_EVENTS);
    assert_true(is_found(ring, 1, 0, &place));
    record_granted(ring, LIMIT_EVENTS, 0);
    assert_int_equal(event_ring_first(ring), 1);
    assert_true(is_found(ring, 1, 0, &place) && place == 1); /* it is gone itself, but all that follows it is kept */
    record_granted(ring, LIMIT_EVENTS, 1);
    assert_false(is_found(ring, 1, 0, &place));
    assert_true(is_found(ring, 1, 1, &place) && place == 2);
    event_ring_get(ring, event_ring_next(ring) - 1, &event);
    assert_int_equal(event.grant.token, LIMIT_EVENTS * UINT64_C(100) + 1);
    event_ring_get(ring, event_ring_first(ring), &event);
    assert_int_equal(event.grant.token, 200);
    event_ring_close(ring);
}

static void past_the_bound_of_bytes_the_oldest_are_dropped_earlier(void **state)
{
    (void)state;
    struct event_ring *ring = event_ring_open();
    char *reason = malloc(LIMIT_REASON_BYTES);
    assert_non_null(reason);
    memset(reason, 'r', LIMIT_REASON_BYTES);
    struct slice longest = {.base = (const uint8_t *)reason, .len = LIMIT_REASON_BYTES};
    struct slice name = {.base = (const uint8_t *)reason, .len = LIMIT_NAME_BYTES};
    struct event event = {
        .kind = EVENT_REVOKED,
        .group = name,
        .run =
            {.schedule_id = name, .holder = name, .actor = name, .reason = longest, .late_outcome = RUN_OUTCOME_NONE},
    };
    for (uint64_t i = 1; i <= LIMIT_EVENTS; i++) {
        event.index = i;
        event_ring_record(ring, &event);
        assert_true(event_ring_bytes(ring) <= LIMIT_EVENT_BYTES);
    }
    assert_int_equal(event_ring_bytes(ring), LIMIT_EVENT_BYTES);
    uint64_t kept = event_ring_next(ring) - event_ring_first(ring);
    assert_true(kept < LIMIT_EVENTS && kept > LIMIT_EVENT_BYTES / 4096);
    for (uint64_t place = event_ring_first(ring); place < event_ring_next(ring); place++) {
        struct event got;
        event_ring_get(ring, place, &got);
        assert_int_equal(got.index, place + 1);
        assert_true(slice_equal(got.run.reason, longest));
    }
    event_ring_close(ring);
    free(reason);
}

static void what_a_snapshot_skips_is_gone(void **state)
{
    (void)state;
    uint64_t place;
    struct event_ring *ring = event_ring_open();
    record_granted(ring, 3, 0);
    record_granted(ring, 4, 0);
    event_ring_clear(ring);
    assert_int_equal(event_ring_first(ring), event_ring_next(ring));
    assert_int_equal(event_ring_next(ring), 2); /* places go on */
    assert_false(is_found(ring, 4, 0, &place));
    record_granted(ring, 90, 0);
    assert_false(is_found(ring, 4, 0, &place));
    assert_false(is_found(ring, 89, 7, &place));
    assert_true(is_found(ring, 90, 0, &place) && place == 3);
    event_ring_close(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),
        cmocka_unit_test(an_id_is_found_by_what_follows_it),
        cmocka_unit_test(past_the_bound_of_events_the_oldest_is_dropped),
        cmocka_unit_test(past_the_bound_of_bytes_the_oldest_are_dropped_earlier),
        cmocka_unit_test(what_a_snapshot_skips_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
