/* Operations and outcomes, the frames of the hot path: random ones come back, their sizes are upper bounds, and what the
 * contract doesn't allow neither leaves nor enters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "sample.h"

#define ARENA_FACTOR 64u

struct fixture {
    struct arena sample_arena;
    struct arena arena;
    struct buffer body;
    struct frame frame;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->sample_arena, 0);
    arena_init(&f->arena, 1);
    buffer_init(&f->body);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->sample_arena);
    arena_close(&f->arena);
    buffer_close(&f->body);
    free(f);
    return 0;
}

static bool round_trip(struct fixture *f, const struct frame *frame)
{
    buffer_clear(&f->body);
    frame_encode(frame, &f->body);
    arena_close(&f->arena);
    arena_init(&f->arena, ARENA_FACTOR * f->body.len);
    return frame_decode(frame->kind, buffer_slice(&f->body), &f->arena, &f->frame, NULL) == ERROR_NONE;
}

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
            bound += frame_operation_size(&operations[i]);
        }
        struct frame frame = {.kind = FRAME_OPERATIONS,
                              .operations = {.sequence = round, .operations = operations, .n_operations = n}};
        assert_true(round_trip(f, &frame));
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
            results[i].status = (enum operation_status)(OPERATION_APPLIED + sample_below(&random, OPERATION_UNKNOWN));
            sample_outcome(&random, &f->sample_arena, &results[i].outcome);
            bound += frame_operation_result_size(&results[i]);
        }
        struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.index = round, .results = results, .n_results = n}};
        if (bound > LIMIT_FRAME_OUTCOMES_BYTES) {
            continue;
        }
        assert_true(round_trip(f, &frame));
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
        assert_true(round_trip(f, &frame));
        assert_int_equal(f->frame.operations.n_operations, n);
        free(many);
    }
}

/* The largest outcome there can be: every slot taken by the longest names and values. */
static void an_outcome_with_every_slot_taken_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct command longest;
    sample_longest_command(&f->sample_arena, &longest);
    struct grant_view *holders = arena_alloc(&f->sample_arena, (LIMIT_SLOTS + 1) * sizeof *holders);
    for (size_t i = 0; i <= LIMIT_SLOTS; i++) {
        holders[i] = (struct grant_view){
            .schedule_id = longest.acquire.schedule_id,
            .holder = longest.acquire.holder,
            .occurrence = longest.acquire.occurrence,
            .metadata = longest.acquire.metadata,
            .token = UINT64_MAX - i,
            .ttl_ms = UINT64_MAX,
            .remaining_ms = UINT64_MAX,
            .acquired_wall_ms = INT64_MIN,
            .expires_wall_ms = INT64_MAX,
            .attempt = UINT32_MAX,
        };
    }
    struct frame_operation_result result = {
        .status = OPERATION_APPLIED,
        .outcome = {.code = OUTCOME_LOCK_HELD, .holders = holders, .n_holders = LIMIT_SLOTS},
    };
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(round_trip(f, &frame));
    assert_frame_equal(&frame, &f->frame);
    assert_true(f->body.len <= frame_operation_result_size(&result));
}

static void the_name_of_a_wrong_field_comes_back_as_text_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result result = {
        .status = OPERATION_APPLIED,
        .outcome = {.code = OUTCOME_INVALID_FIELD, .field = "estimated_duration_ms"},
    };
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(round_trip(f, &frame));
    assert_string_equal(f->frame.outcomes.results[0].outcome.field, "estimated_duration_ms");
    assert_ptr_not_equal(f->frame.outcomes.results[0].outcome.field, result.outcome.field);
}

/* ---- rules ---- */

static void encode_command(void *arg)
{
    struct frame_operation operation = {.command = *(const struct command *)arg};
    struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = &operation, .n_operations = 1}};
    struct buffer body;
    buffer_init(&body);
    frame_encode(&frame, &body);
    buffer_close(&body);
}

static struct command good_acquire(void)
{
    struct acquire_command acquire = {
        .schedule_id = slice_of("s"), .holder = slice_of("h"), .idempotency_key = slice_of("k")};
    return (struct command){.kind = COMMAND_ACQUIRE, .acquire = acquire};
}

/* True when it may be sent; then it is also taken as it was. */
static bool command_is_taken(struct fixture *f, struct command command)
{
    if (aborts(encode_command, &command)) {
        return false;
    }
    struct frame_operation operation = {.command = command};
    struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = &operation, .n_operations = 1}};
    assert_true(round_trip(f, &frame));
    assert_frame_equal(&frame, &f->frame);
    return true;
}

static bool schedule_is_taken(struct fixture *f, struct slice id)
{
    struct command command = good_acquire();
    command.acquire.schedule_id = id;
    return command_is_taken(f, command);
}

static bool holder_is_taken(struct fixture *f, struct slice holder)
{
    struct command command = good_acquire();
    command.acquire.holder = holder;
    return command_is_taken(f, command);
}

static bool metadata_is_taken(struct fixture *f, struct slice metadata)
{
    struct command command = good_acquire();
    command.acquire.metadata = metadata;
    return command_is_taken(f, command);
}

static struct slice text_of(struct fixture *f, size_t len)
{
    return sample_long(&f->sample_arena, len);
}

static void names_are_taken_up_to_their_length_and_in_their_alphabet(void **state)
{
    struct fixture *f = *state;
    assert_true(schedule_is_taken(f, text_of(f, LIMIT_NAME_BYTES)));
    assert_false(schedule_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1)));
    assert_true(schedule_is_taken(f, slice_of("9._:@~-z")));
    assert_false(schedule_is_taken(f, slice_of("")));
    assert_false(schedule_is_taken(f, slice_of(".a")));
    assert_false(schedule_is_taken(f, slice_of("a b")));
    assert_false(schedule_is_taken(f, slice_of("a/b")));
    assert_false(schedule_is_taken(f, slice_of("\xc3\xa4")));
    assert_false(schedule_is_taken(f, (struct slice){.base = (const uint8_t *)"a\0b", .len = 3}));
    assert_true(holder_is_taken(f, text_of(f, LIMIT_NAME_BYTES)));
    assert_false(holder_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1)));
    assert_true(holder_is_taken(f, slice_of("!~")));
    assert_false(holder_is_taken(f, slice_of("")));
    assert_false(holder_is_taken(f, slice_of("a b")));
    assert_false(holder_is_taken(f, slice_of("\x7f")));
    assert_false(holder_is_taken(f, slice_of("\x80")));
}

static void occurrences_keys_and_metadata_are_taken_up_to_their_length(void **state)
{
    struct fixture *f = *state;
    struct command command = good_acquire();
    command.acquire.occurrence = text_of(f, LIMIT_OCCURRENCE_BYTES);
    command.acquire.idempotency_key = text_of(f, LIMIT_OCCURRENCE_BYTES);
    assert_true(command_is_taken(f, command));
    command.acquire.occurrence = text_of(f, LIMIT_OCCURRENCE_BYTES + 1);
    assert_false(command_is_taken(f, command));
    command.acquire.occurrence = slice_of("");
    assert_false(command_is_taken(f, command));
    command = good_acquire();
    command.acquire.idempotency_key = text_of(f, LIMIT_OCCURRENCE_BYTES + 1);
    assert_false(command_is_taken(f, command));
    command.acquire.idempotency_key = (struct slice){0};
    assert_false(command_is_taken(f, command));
    sample_longest_command(&f->sample_arena, &command);
    assert_true(command_is_taken(f, command));
    assert_true(metadata_is_taken(f, slice_of("{}")));
    assert_true(metadata_is_taken(f, slice_of("{\"\xf0\x9f\x98\x80\":\"\xe2\x82\xac\"}")));
    assert_false(metadata_is_taken(f, slice_of("[]")));
    assert_false(metadata_is_taken(f, slice_of("{")));
    assert_false(metadata_is_taken(f, slice_of("{\xff}")));         /* never in UTF-8 */
    assert_false(metadata_is_taken(f, slice_of("{\xc0\x80}")));     /* longer than need be */
    assert_false(metadata_is_taken(f, slice_of("{\xed\xa0\x80}"))); /* half a surrogate pair */
    assert_false(metadata_is_taken(f, slice_of("{\xf4\x90\x80\x80}")));
    assert_false(metadata_is_taken(f, slice_of("{\xe2\x82}")));
}

static void numbers_are_taken_within_their_range(void **state)
{
    struct fixture *f = *state;
    struct command command = good_acquire();
    command.acquire.has_ttl = true;
    command.acquire.ttl_ms = LIMIT_NUMBER_MAX;
    assert_true(command_is_taken(f, command));
    command.acquire.ttl_ms = LIMIT_NUMBER_MAX + 1;
    assert_false(command_is_taken(f, command));
    command.acquire.ttl_ms = 0;
    assert_false(command_is_taken(f, command));
    command = good_acquire();
    command.acquire.has_estimate = true;
    command.acquire.estimate_ms = 0;
    assert_true(command_is_taken(f, command));
    command.acquire.estimate_ms = LIMIT_NUMBER_MAX + 1;
    assert_false(command_is_taken(f, command));
    command = (struct command){.kind = COMMAND_RENEW, .renew = {.schedule_id = slice_of("s"), .has_ttl = true}};
    assert_false(command_is_taken(f, command));
    for (int outcome = RUN_RUNNING; outcome <= RUN_REVOKED + 1; outcome++) {
        command = (struct command){.kind = COMMAND_RELEASE};
        command.release.schedule_id = slice_of("s");
        command.release.has_outcome = true;
        command.release.outcome = (enum run_outcome)outcome;
        bool reported = outcome == RUN_SUCCEEDED || outcome == RUN_FAILED || outcome == RUN_ABANDONED;
        assert_int_equal(command_is_taken(f, command), reported);
    }
    assert_false(command_is_taken(f, (struct command){.kind = (enum command_kind)99}));
}

static void encode_result(void *arg)
{
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = arg, .n_results = 1}};
    struct buffer body;
    buffer_init(&body);
    frame_encode(&frame, &body);
    buffer_close(&body);
}

static void an_outcome_without_what_its_answer_needs_aborts_its_sender(void **state)
{
    (void)state;
    struct frame_operation_result result = {.status = OPERATION_APPLIED, .outcome = {.code = OUTCOME_LOCK_HELD}};
    assert_true(aborts(encode_result, &result));
    result.outcome.code = OUTCOME_INVALID_FIELD;
    assert_true(aborts(encode_result, &result));
    result.outcome.code = OUTCOME_DONE;
    assert_false(aborts(encode_result, &result));
    result.outcome.has_grant = true;
    assert_true(aborts(encode_result, &result));
    result.status = OPERATION_UNKNOWN; /* then there is no outcome to look at */
    assert_false(aborts(encode_result, &result));
    result.status = (enum operation_status)0;
    assert_true(aborts(encode_result, &result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(random_operations_come_back_and_are_never_longer_than_they_say),
        TEST(random_outcomes_come_back_and_are_never_longer_than_they_say),
        TEST(every_command_fits_an_operations_frame_filled_by_its_sizes),
        TEST(an_outcome_with_every_slot_taken_comes_back_whole),
        TEST(the_name_of_a_wrong_field_comes_back_as_text_of_its_own),
        TEST(names_are_taken_up_to_their_length_and_in_their_alphabet),
        TEST(occurrences_keys_and_metadata_are_taken_up_to_their_length),
        TEST(numbers_are_taken_within_their_range),
        TEST(an_outcome_without_what_its_answer_needs_aborts_its_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
