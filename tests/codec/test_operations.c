/* Operations and outcomes, the frames of the hot path: random ones come back, their sizes are upper bounds, and an outcome
 * that makes no answer neither leaves nor enters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

static void random_operations_come_back_and_are_never_longer_than_they_say(void **state)
{
    struct fixture *f = *state;
    struct sample_random random = {.state = 2};
    for (unsigned round = 0; round < 200; round++) {
        arena_clear(&f->sample_arena);
        size_t n = sample_below(&random, 40);
        struct frame_operation *operations = arena_alloc(&f->sample_arena, n * sizeof *operations);
        size_t bound = 0;
        for (size_t i = 0; i < n; i++) {
            operations[i].number = sample_next(&random);
            sample_command(&random, &f->sample_arena, &operations[i].command);
            bool waits = operations[i].command.kind == COMMAND_ACQUIRE && sample_below(&random, 2) == 0;
            operations[i].wait_ms = waits ? 1 + sample_below(&random, LIMIT_WAIT_MS) : 0;
            bound += frame_operation_size(&operations[i]);
        }
        struct frame frame = {.kind = FRAME_OPERATIONS,
                              .operations = {.sequence = round, .operations = operations, .n_operations = n}};
        if (bound > LIMIT_FRAME_OPERATIONS_BYTES) {
            continue;
        }
        assert_true(fixture_round_trip(f, &frame));
        assert_frame_equal(&frame, &f->frame);
        assert_true(n == 0 || f->body.len <= bound);
    }
}

static void random_outcomes_come_back_and_are_never_longer_than_they_say(void **state)
{
    struct fixture *f = *state;
    struct sample_random random = {.state = 3};
    for (unsigned round = 0; round < 200; round++) {
        arena_clear(&f->sample_arena);
        size_t n = sample_below(&random, 20);
        struct frame_operation_result *results = arena_alloc(&f->sample_arena, n * sizeof *results);
        size_t bound = 0;
        for (size_t i = 0; i < n; i++) {
            results[i].number = sample_next(&random);
            results[i].status = (enum operation_status)(OPERATION_APPLIED + sample_below(&random, OPERATION_CANCELLED));
            results[i].holders_of = 0;
            sample_outcome(&random, &f->sample_arena, &results[i].outcome);
            bound += frame_operation_result_size(&results[i]);
        }
        struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.index = round, .results = results, .n_results = n}};
        if (bound > LIMIT_FRAME_OUTCOMES_BYTES) {
            continue;
        }
        assert_true(fixture_round_trip(f, &frame));
        assert_frame_equal(&frame, &f->frame);
        assert_true(n == 0 || f->body.len <= bound);
    }
}

static void every_command_fits_an_operations_frame_filled_by_its_sizes(void **state)
{
    struct fixture *f = *state;
    struct frame_operation operations[2] = {{.number = 1, .command = {.kind = COMMAND_NOOP}}, {.number = UINT64_MAX}};
    sample_longest_command(&f->sample_arena, &operations[1].command);
    for (size_t which = 0; which < 2; which++) {
        size_t n = LIMIT_FRAME_OPERATIONS_BYTES / frame_operation_size(&operations[which]);
        struct frame_operation *many = calloc(n, sizeof *many);
        assert_non_null(many);
        for (size_t i = 0; i < n; i++) {
            many[i] = operations[which];
        }
        struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = many, .n_operations = n}};
        assert_true(fixture_round_trip(f, &frame));
        assert_int_equal(f->frame.operations.n_operations, n);
        free(many);
    }
}

/* Every slot taken by the longest names; the last one is one too many. */
static const struct grant_view *longest_holders(struct fixture *f)
{
    struct command longest;
    sample_longest_command(&f->sample_arena, &longest);
    struct grant_view *holders = arena_alloc(&f->sample_arena, (LIMIT_SLOTS + 1) * sizeof *holders);
    for (size_t i = 0; i <= LIMIT_SLOTS; i++) {
        holders[i] = (struct grant_view){
            .schedule_id = longest.acquire.schedule_id,
            .holder = longest.acquire.holder,
            .occurrence = longest.acquire.occurrence,
            .token = UINT64_MAX - i,
            .ttl_ms = UINT64_MAX,
            .remaining_ms = UINT64_MAX,
            .acquired_wall_ms = INT64_MIN,
            .expires_wall_ms = INT64_MAX,
            .attempt = UINT32_MAX,
            .is_revoking = true,
        };
    }
    return holders;
}

/* The same of runs. */
static const struct run_view *longest_runs(struct fixture *f)
{
    struct command longest;
    sample_longest_command(&f->sample_arena, &longest);
    struct run_view *runs = arena_alloc(&f->sample_arena, (LIMIT_SLOTS + 1) * sizeof *runs);
    for (size_t i = 0; i <= LIMIT_SLOTS; i++) {
        runs[i] = (struct run_view){
            .schedule_id = longest.acquire.schedule_id,
            .holder = longest.acquire.holder,
            .occurrence = longest.acquire.occurrence,
            .actor = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
            .reason = sample_long(&f->sample_arena, LIMIT_REASON_BYTES),
            .token = UINT64_MAX - i,
            .duration_ms = UINT64_MAX,
            .acquired_wall_ms = INT64_MIN,
            .ended_wall_ms = INT64_MAX,
            .outcome = RUN_REVOKED,
            .late_outcome = RUN_REVOKED,
            .attempt = UINT32_MAX,
        };
    }
    return runs;
}

/* The largest outcomes there can be. Several fit a frame, so that whoever fills frames by their sizes never meets one that
 * fits none. */
static void outcomes_with_every_slot_come_back_whole_and_fit_a_frame(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result results[2] = {{.status = OPERATION_APPLIED}, {.status = OPERATION_APPLIED}};
    results[0].outcome = (struct outcome){
        .code = OUTCOME_LOCK_HELD, .holders = longest_holders(f), .n_holders = LIMIT_SLOTS, .field = "ttl_ms"};
    results[1].outcome = (struct outcome){.code = OUTCOME_DONE, .runs = longest_runs(f), .n_runs = LIMIT_SLOTS};
    for (size_t i = 0; i < 2; i++) {
        struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &results[i], .n_results = 1}};
        assert_true(fixture_round_trip(f, &frame));
        assert_frame_equal(&frame, &f->frame);
        assert_true(f->body.len <= frame_operation_result_size(&results[i]));
        assert_true(7 * frame_operation_result_size(&results[i]) <= LIMIT_FRAME_OUTCOMES_BYTES);
    }
}

/* As many results as a frame has room for, none longer than it must be. */
static void a_frame_of_the_shortest_outcomes_fits_64_times_its_memory(void **state)
{
    struct fixture *f = *state;
    for (int applied = 0; applied < 2; applied++) {
        struct frame_operation_result result = {.status = applied ? OPERATION_APPLIED : OPERATION_UNKNOWN};
        size_t n = LIMIT_FRAME_OUTCOMES_BYTES / frame_operation_result_size(&result);
        struct frame_operation_result *many = calloc(n, sizeof *many);
        assert_non_null(many);
        for (size_t i = 0; i < n; i++) {
            many[i] = result;
        }
        struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = many, .n_results = n}};
        assert_true(fixture_round_trip(f, &frame));
        assert_int_equal(f->frame.outcomes.n_results, n);
        free(many);
    }
}

static void a_frame_that_would_take_more_memory_than_it_may_is_refused(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result results[1000];
    for (size_t i = 0; i < 1000; i++) {
        results[i] = (struct frame_operation_result){.status = OPERATION_UNKNOWN};
    }
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = results, .n_results = 1000}};
    assert_true(fixture_round_trip(f, &frame));
    size_t needed = f->arena.used;
    for (size_t limit = needed / 16; limit < needed; limit += needed / 16) {
        arena_close(&f->arena);
        arena_init(&f->arena, limit);
        assert_int_not_equal(frame_decode(frame.kind, buffer_slice(&f->body), &f->arena, &f->frame, NULL), ERROR_NONE);
        assert_true(f->arena.used <= limit);
    }
}

static void the_name_of_a_wrong_field_comes_back_as_text_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result result = {
        .status = OPERATION_APPLIED,
        .outcome = {.code = OUTCOME_INVALID_FIELD, .field = "estimated_duration_ms"},
    };
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(fixture_round_trip(f, &frame));
    assert_string_equal(f->frame.outcomes.results[0].outcome.field, "estimated_duration_ms");
    assert_ptr_not_equal(f->frame.outcomes.results[0].outcome.field, result.outcome.field);
}

/* ---- rules ---- */

static void an_outcome_without_what_its_answer_needs_aborts_its_sender(void **state)
{
    (void)state;
    struct frame_operation_result result = {.status = OPERATION_APPLIED, .outcome = {.code = OUTCOME_LOCK_HELD}};
    assert_false(fixture_result_is_sent(&result));
    result.outcome.code = OUTCOME_INVALID_FIELD;
    assert_false(fixture_result_is_sent(&result));
    result.outcome.code = OUTCOME_DONE;
    assert_true(fixture_result_is_sent(&result));
    result.outcome.has_grant = true;
    assert_false(fixture_result_is_sent(&result));
    result.status = OPERATION_UNKNOWN; /* then there is no outcome to look at */
    assert_true(fixture_result_is_sent(&result));
    result.status = (enum operation_status)0;
    assert_false(fixture_result_is_sent(&result));
}

static void holders_have_no_metadata_and_are_no_more_than_the_slots(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = longest_holders(f), .n_holders = LIMIT_SLOTS};
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.n_holders++;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.n_holders = 2;
    ((struct grant_view *)outcome.holders)[1].metadata = slice_of("{}");
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.n_holders = 1;
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.code = OUTCOME_LOCK_LOST;
    assert_true(fixture_outcome_is_sent(&outcome));
}

static void runs_are_those_of_a_revocation_and_no_more_than_the_slots(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome = {.code = OUTCOME_DONE, .runs = longest_runs(f), .n_runs = LIMIT_SLOTS};
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.n_runs++;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.n_runs = 1;
    outcome.code = OUTCOME_LOCK_LOST;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.code = OUTCOME_DONE;
    outcome.holders = longest_holders(f);
    outcome.n_holders = 1;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.n_holders = 0;
    assert_true(fixture_outcome_is_sent(&outcome));
    ((struct run_view *)outcome.runs)[0].reason = slice_of("\xff");
    assert_false(fixture_outcome_is_sent(&outcome));
}

/* What a command did to a run is told in the answer of a revoke only. */
static void only_listed_runs_say_what_was_done_to_them(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome = {.code = OUTCOME_DONE, .runs = longest_runs(f), .n_runs = 1};
    struct run_view *run = (struct run_view *)outcome.runs;
    for (int i = 0; i < 2; i++) {
        run->is_newly_revoked = i == 0;
        run->is_newly_freed = i == 1;
        assert_true(fixture_outcome_is_sent(&outcome));
        assert_false(fixture_outcome_is_sent(&(struct outcome){.code = OUTCOME_DONE, .has_run = true, .run = *run}));
    }
}

static void a_policy_in_an_outcome_keeps_to_its_ranges(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_DONE, .has_policy = true};
    outcome.policy.schedule_id = slice_of("s");
    outcome.policy.policy = (struct policy){.max_ttl_ms = 1, .slots = 1, .max_attempts = 1};
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.policy.policy.slots = 0;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.policy.policy.slots = 1;
    outcome.policy.schedule_id = slice_of("a/b");
    assert_false(fixture_outcome_is_sent(&outcome));
}

#define DECODE(f, outcome) fixture_decode_outcome(f, outcome, sizeof(outcome) - 1)

/* Schedule and holder, then the numbers; runs have their own outcome among them. */
#define GRANT "\x0a\1s\x12\1h\x28\1\x30\1\x38\1\x40\2\x48\2\x50\1"
#define RUN   "\x0a\1s\x12\1h\x30\1\x38\1\x40\2\x48\2\x50\5\x60\1"

static void hostile_outcomes_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, "\x08\x0f")); /* not found */
    assert_int_equal(f->frame.outcomes.results[0].outcome.code, OUTCOME_NOT_FOUND);
    assert_false(DECODE(f, "\x08\x12")); /* a code that isn't known */
    assert_true(DECODE(f, "\x08\x0a\x32\x12" GRANT));
    assert_true(DECODE(f, "\x08\x0a\x32\x14" GRANT "\x58\1"));
    assert_true(f->frame.outcomes.results[0].outcome.holders[0].is_revoking);
    assert_false(DECODE(f, "\x08\x0a\x32\x16" GRANT "\x22\2{}")); /* a holder with metadata */
    assert_true(DECODE(f, "\x08\1\x6a\x12" RUN));
    assert_int_equal(f->frame.outcomes.results[0].outcome.n_runs, 1);
    assert_false(DECODE(f, "\x08\x0f\x6a\x12" RUN));                /* runs of a refusal */
    assert_false(DECODE(f, "\x08\1\x6a\x12" RUN "\x32\x12" GRANT)); /* runs and holders */
    assert_true(DECODE(f, "\x08\1\x6a\x14" RUN "\x68\1"));
    assert_true(f->frame.outcomes.results[0].outcome.runs[0].is_newly_revoked);
    assert_true(DECODE(f, "\x08\1\x6a\x14" RUN "\x70\1"));
    assert_true(f->frame.outcomes.results[0].outcome.runs[0].is_newly_freed);
    assert_false(DECODE(f, "\x08\1\x2a\x14" RUN "\x70\1")); /* of a run that isn't one of the list */
    assert_false(DECODE(f, "\x08\1\x6a\x14" RUN "\x78\1")); /* a field that isn't known */
    assert_true(DECODE(f, "\x08\1\x62\x11\x0a\1s\x12\x0c\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1"));
    assert_false(DECODE(f, "\x08\1\x62\x11\x0a\1s\x12\x0c\x08\0\x10\0\x18\1\x20\0\x28\0\x30\1")); /* no slots */
    assert_false(DECODE(f, "\x08\1\x62\x13\x0a\1s\x12\x0e\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1\x40\0"));
}

/* One more than a schedule has slots. */
static void more_runs_than_slots_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct run_view run = {.schedule_id = slice_of("s"), .holder = slice_of("h"), .outcome = RUN_REVOKED};
    struct run_view runs[LIMIT_SLOTS];
    for (size_t i = 0; i < LIMIT_SLOTS; i++) {
        runs[i] = run;
    }
    struct frame_operation_result result = {.status = OPERATION_APPLIED,
                                            .outcome = {.code = OUTCOME_DONE, .runs = runs, .n_runs = LIMIT_SLOTS}};
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(fixture_round_trip(f, &frame));
    /* The lengths of result and outcome, two bytes each, and a run behind the others. */
    uint8_t *result_len = NULL;
    for (uint8_t *p = f->body.base; result_len == NULL; p++) {
        result_len = p[0] == 0x1a && p[3] == 0x09 ? p + 1 : NULL;
    }
    const size_t more = sizeof("\x6a\x12" RUN) - 1;
    for (int i = 0; i < 2; i++) {
        uint8_t *len = result_len + (i == 0 ? 0 : 14);
        size_t value = (len[0] & 0x7fu) + (size_t)len[1] * 128 + more;
        len[0] = (uint8_t)(0x80 | (value & 0x7f));
        len[1] = (uint8_t)(value / 128);
    }
    buffer_append(&f->body, "\x6a\x12" RUN, more);
    assert_int_equal(fixture_decode_untold(f, FRAME_OUTCOMES, buffer_slice(&f->body)), ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(random_operations_come_back_and_are_never_longer_than_they_say),
        TEST(random_outcomes_come_back_and_are_never_longer_than_they_say),
        TEST(every_command_fits_an_operations_frame_filled_by_its_sizes),
        TEST(outcomes_with_every_slot_come_back_whole_and_fit_a_frame),
        TEST(a_frame_of_the_shortest_outcomes_fits_64_times_its_memory),
        TEST(a_frame_that_would_take_more_memory_than_it_may_is_refused),
        TEST(the_name_of_a_wrong_field_comes_back_as_text_of_its_own),
        TEST(an_outcome_without_what_its_answer_needs_aborts_its_sender),
        TEST(holders_have_no_metadata_and_are_no_more_than_the_slots),
        TEST(runs_are_those_of_a_revocation_and_no_more_than_the_slots),
        TEST(only_listed_runs_say_what_was_done_to_them),
        TEST(a_policy_in_an_outcome_keeps_to_its_ranges),
        TEST(hostile_outcomes_are_refused),
        TEST(more_runs_than_slots_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
