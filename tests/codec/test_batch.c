/* Batches of renewals, and what they are answered: up to their bounds, and nothing beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

/* ---- commands ---- */

/* `n` renewals of one schedule, each of a token of its own. */
static struct renew_command *renewals_of(struct fixture *f, size_t n)
{
    struct renew_command *renewals = arena_alloc(&f->sample_arena, n * sizeof *renewals);
    for (size_t i = 0; i < n; i++) {
        renewals[i] = (struct renew_command){.schedule_id = slice_of("s"), .token = i};
    }
    return renewals;
}

static bool batch_is_taken(struct fixture *f, const struct renew_command *renewals, size_t n)
{
    return fixture_command_is_taken(
        f, (struct command){.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = renewals, .n_renewals = n}});
}

static void a_batch_has_one_to_a_thousand_renewals(void **state)
{
    struct fixture *f = *state;
    const struct renew_command *renewals = renewals_of(f, LIMIT_RENEWALS + 1);
    assert_true(batch_is_taken(f, renewals, 1));
    assert_true(batch_is_taken(f, renewals, LIMIT_RENEWALS));
    assert_false(batch_is_taken(f, renewals, LIMIT_RENEWALS + 1));
    assert_false(batch_is_taken(f, renewals, 0));
}

/* Wherever the two stand. */
static void a_schedule_and_token_may_stand_there_once(void **state)
{
    struct fixture *f = *state;
    enum { RENEWALS = 20 };
    for (size_t i = 0; i < RENEWALS; i++) {
        for (size_t j = 0; j < RENEWALS; j++) {
            struct renew_command *renewals = renewals_of(f, RENEWALS);
            renewals[j].token = renewals[i].token;
            if (i % 4 == 0) {
                assert_int_equal(batch_is_taken(f, renewals, RENEWALS), i == j);
            }
            renewals[j].schedule_id = slice_of(i == j ? "s" : "t");
            if (i % 10 == 0) {
                assert_true(batch_is_taken(f, renewals, RENEWALS));
            }
        }
    }
}

static void each_renewal_keeps_to_its_rules(void **state)
{
    struct fixture *f = *state;
    for (int which = 0; which < 5; which++) {
        struct renew_command *renewals = renewals_of(f, 3);
        const struct slice ids[] = {slice_of(""), slice_of("a/b"), sample_long(&f->sample_arena, LIMIT_NAME_BYTES + 1)};
        if (which < 3) {
            renewals[2].schedule_id = ids[which];
        } else {
            renewals[1].has_ttl = true;
            renewals[1].ttl_ms = which == 3 ? 0 : LIMIT_NUMBER_MAX + 1;
        }
        assert_false(batch_is_taken(f, renewals, 3));
    }
    struct command longest;
    sample_longest_batch(&f->sample_arena, LIMIT_RENEWALS, &longest);
    assert_true(fixture_command_is_taken(f, longest));
}

/* ---- hostile commands ---- */

/* A batch of `n` times the renewal in `bytes`, whose sixth byte is its token. */
static bool decode_batch(struct fixture *f, size_t n, const char *bytes, size_t len)
{
    struct buffer batch;
    buffer_init(&batch);
    for (size_t i = 0; i < n; i++) {
        buffer_append(&batch, bytes, len);
        if (len == 8) {
            batch.base[batch.len - 2] = (uint8_t)(0x80 | (i & 0x7f));
            batch.base[batch.len - 1] = (uint8_t)(i >> 7);
        }
    }
    struct frame frame = {.kind = FRAME_OPERATIONS};
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    const uint8_t inner[] = {(uint8_t)(batch.len | 0x80), (uint8_t)(batch.len >> 7 | 0x80), (uint8_t)(batch.len >> 14)};
    const size_t command = 1 + sizeof inner + batch.len;
    const size_t operation = 9 + 1 + 3 + command;
    const uint8_t head[] = {0x1a,
                            (uint8_t)(operation | 0x80),
                            (uint8_t)(operation >> 7 | 0x80),
                            (uint8_t)(operation >> 14),
                            0x09,
                            1,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0x12,
                            (uint8_t)(command | 0x80),
                            (uint8_t)(command >> 7 | 0x80),
                            (uint8_t)(command >> 14),
                            0x52};
    buffer_append(&f->body, head, sizeof head);
    buffer_append(&f->body, inner, sizeof inner);
    buffer_append_slice(&f->body, buffer_slice(&batch));
    buffer_close(&batch);
    return fixture_decode_untold(f, FRAME_OPERATIONS, buffer_slice(&f->body)) == ERROR_NONE;
}
#define DECODE_BATCH(f, n, bytes) decode_batch(f, n, bytes, sizeof(bytes) - 1)

static void hostile_batches_are_refused(void **state)
{
    struct fixture *f = *state;
    const char numbered[] = "\x0a\6\x0a\1s\x10\x80\0"; /* gets a token of its own each time */
    assert_true(DECODE_BATCH(f, 1, numbered));
    assert_int_equal(f->frame.operations.operations[0].command.kind, COMMAND_RENEW_BATCH);
    assert_true(DECODE_BATCH(f, LIMIT_RENEWALS, numbered));
    assert_int_equal(f->frame.operations.operations[0].command.renew_batch.n_renewals, LIMIT_RENEWALS);
    assert_int_equal(f->frame.operations.operations[0].command.renew_batch.renewals[999].token, 999);
    assert_false(DECODE_BATCH(f, LIMIT_RENEWALS + 1, numbered));
    assert_false(DECODE_BATCH(f, 16000, numbered));
    assert_false(DECODE_BATCH(f, 0, numbered));
    assert_true(DECODE_BATCH(f, 1, "\x0a\5\x0a\1s\x10\1"));
    assert_false(DECODE_BATCH(f, 2, "\x0a\5\x0a\1s\x10\1")); /* the same token twice */
    assert_false(DECODE_BATCH(f, 1000, "\x0a\5\x0a\1s\x10\1"));
    assert_false(DECODE_BATCH(f, 1, "\x0a\3\x0a\1s")); /* no token */
    assert_false(DECODE_BATCH(f, 1, "\x0a\5\x0a\1/\x10\1"));
    assert_false(DECODE_BATCH(f, 1, "\x0a\7\x0a\1s\x10\1\x18\0"));
    assert_false(DECODE_BATCH(f, 1, "\x0a\7\x0a\1s\x10\1\x20\1")); /* a field that isn't known */
    assert_false(DECODE_BATCH(f, 1, "\x0a\5\x0a\1s\x10\1\x10\1")); /* beside the renewals */
}

/* ---- results ---- */

static struct outcome batch_outcome(const struct outcome *results, size_t n)
{
    return (struct outcome){.code = OUTCOME_DONE, .results = results, .n_results = n};
}

static void an_outcome_has_no_more_results_than_a_batch_has_renewals(void **state)
{
    struct fixture *f = *state;
    struct outcome *results = arena_alloc(&f->sample_arena, (LIMIT_RENEWALS + 1) * sizeof *results);
    for (size_t i = 0; i <= LIMIT_RENEWALS; i++) {
        results[i] = (struct outcome){.code = OUTCOME_LOCK_LOST};
    }
    struct outcome outcome = batch_outcome(results, LIMIT_RENEWALS);
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.n_results++;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.n_results = 1;
    outcome.code = OUTCOME_NOT_FOUND;
    assert_false(fixture_outcome_is_sent(&outcome));
}

/* What crosses as a result is what a renewal alone may be answered. */
static void a_result_has_only_what_a_renewal_is_answered(void **state)
{
    struct fixture *f = *state;
    const struct grant_view grants[2] = {{.schedule_id = slice_of("s"), .holder = slice_of("h")},
                                         {.schedule_id = slice_of("s"), .holder = slice_of("h")}};
    const struct run_view run = {.schedule_id = slice_of("s"), .holder = slice_of("h"), .outcome = RUN_EXPIRED};
    const struct outcome good = {
        .code = OUTCOME_DONE, .has_grant = true, .grant = grants[0], .holders = grants, .n_holders = 1};
    for (int which = 0; which < 13; which++) {
        struct outcome *result = arena_alloc(&f->sample_arena, sizeof *result);
        *result = good;
        switch (which) {
        case 0:
            break;
        case 1:
            result->repeated = true;
            break;
        case 2:
            result->remaining_ms = 1;
            break;
        case 3:
            result->grant.metadata = slice_of("{}");
            break;
        case 4:
            result->n_holders = 2;
            break;
        case 5:
            result->results = &good;
            result->n_results = 1;
            break;
        case 6:
            result->n_holders = 0;
            result->runs = &run;
            result->n_runs = 1;
            break;
        case 7:
            result->has_group = true;
            result->group.name = slice_of("db");
            break;
        case 8:
            result->has_freeze = true;
            break;
        case 9:
            result->has_policy = true;
            break;
        case 10:
            result->code = OUTCOME_INVALID_FIELD; /* which one? */
            break;
        case 11:
            result->code = OUTCOME_GROUP_FULL; /* which one? */
            break;
        default:
            result->grant.holder = slice_of("");
        }
        struct outcome outcome = batch_outcome(result, 1);
        assert_int_equal(fixture_outcome_is_sent(&outcome), which == 0);
    }
}

static struct outcome longest_result(struct fixture *f)
{
    struct grant_view *holder = arena_alloc(&f->sample_arena, sizeof *holder);
    *holder = (struct grant_view){
        .schedule_id = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
        .holder = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
        .occurrence = sample_long(&f->sample_arena, LIMIT_OCCURRENCE_BYTES),
        .token = UINT64_MAX,
        .ttl_ms = UINT64_MAX,
        .remaining_ms = UINT64_MAX,
        .acquired_wall_ms = INT64_MIN,
        .expires_wall_ms = INT64_MIN,
        .attempt = UINT32_MAX,
        .is_revoking = true,
    };
    return (struct outcome){
        .code = OUTCOME_LOCK_LOST,
        .has_grant = true,
        .grant = *holder,
        .has_run = true,
        .run = {.schedule_id = holder->schedule_id,
                .holder = holder->holder,
                .occurrence = holder->occurrence,
                .actor = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
                .reason = sample_long(&f->sample_arena, LIMIT_REASON_BYTES),
                .token = UINT64_MAX,
                .duration_ms = UINT64_MAX,
                .acquired_wall_ms = INT64_MIN,
                .ended_wall_ms = INT64_MIN,
                .outcome = RUN_REVOKED,
                .late_outcome = RUN_REVOKED,
                .attempt = UINT32_MAX},
        .holders = holder,
        .n_holders = 1,
        .minimum_ms = UINT64_MAX,
        .maximum_ms = UINT64_MAX,
        .estimate_ms = UINT64_MAX,
        .margin_ms = UINT64_MAX,
    };
}

/* More than any renewal is answered, a thousand times. */
static void the_longest_outcome_of_a_batch_fits_a_frame(void **state)
{
    struct fixture *f = *state;
    struct outcome *results = arena_alloc(&f->sample_arena, LIMIT_RENEWALS * sizeof *results);
    struct outcome longest = longest_result(f);
    longest.field = (const char *)arena_copy(&f->sample_arena, sample_long(&f->sample_arena, LIMIT_NAME_BYTES)).base;
    for (size_t i = 0; i < LIMIT_RENEWALS; i++) {
        results[i] = longest;
    }
    struct frame_operation_result result = {.number = UINT64_MAX, .status = OPERATION_APPLIED};
    result.outcome = batch_outcome(results, LIMIT_RENEWALS);
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(fixture_round_trip(f, &frame));
    assert_frame_equal(&frame, &f->frame);
    assert_true(f->body.len <= frame_operation_result_size(&result));
    assert_in_range(frame_operation_result_size(&result), LIMIT_FRAME_OUTCOMES_BYTES / 2,
                    LIMIT_FRAME_OUTCOMES_BYTES - 64); /* and its head */
}

/* The shortest ones take most memory for their bytes. As many batches of them as a sender puts into a frame come back within
 * what a receiver allows, and stay far below what it ever does. */
static void a_frame_of_the_shortest_results_fits_its_memory(void **state)
{
    struct fixture *f = *state;
    struct outcome *lost = arena_alloc(&f->sample_arena, LIMIT_RENEWALS * sizeof *lost);
    for (size_t i = 0; i < LIMIT_RENEWALS; i++) {
        lost[i] = (struct outcome){.code = OUTCOME_LOCK_LOST};
    }
    const size_t sizes[] = {1, LIMIT_RENEWALS};
    for (size_t i = 0; i < 2; i++) {
        struct frame_operation_result one = {.status = OPERATION_APPLIED, .outcome = batch_outcome(lost, sizes[i])};
        size_t n = LIMIT_FRAME_OUTCOMES_BYTES / frame_operation_result_size(&one);
        struct frame_operation_result *many = calloc(n, sizeof *many);
        assert_non_null(many);
        for (size_t j = 0; j < n; j++) {
            many[j] = one;
        }
        struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = many, .n_results = n}};
        assert_true(fixture_round_trip(f, &frame));
        assert_int_equal(f->frame.outcomes.results[n - 1].outcome.n_results, sizes[i]);
        assert_true(f->arena.used < LIMIT_FRAME_DECODED_BYTES / 2);
        free(many);
    }
}

/* ---- hostile results ---- */

#define DECODE(f, outcome) fixture_decode_outcome(f, outcome, sizeof(outcome) - 1)
#define GRANT              "\x0a\1s\x12\1h\x28\1\x30\1\x38\1\x40\2\x48\2\x50\1"
#define RUN                "\x0a\1s\x12\1h\x30\1\x38\1\x40\2\x48\2\x50\5\x60\1"

static void hostile_results_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, "\x08\1\x82\1\2\x08\x0e\x82\1\2\x08\x0e")); /* lost, lost */
    assert_int_equal(f->frame.outcomes.results[0].outcome.n_results, 2);
    assert_int_equal(f->frame.outcomes.results[0].outcome.results[1].code, OUTCOME_LOCK_LOST);
    assert_false(DECODE(f, "\x08\x0e\x82\1\2\x08\x0e")); /* of a refusal */
    assert_false(DECODE(f, "\x08\1\x82\1\0"));           /* no code */
    assert_false(DECODE(f, "\x08\1\x82\1\2\x08\x12"));   /* a code that isn't known */
    assert_false(DECODE(f, "\x08\1\x82\1\2\x08\x0a"));   /* held by nobody */
    assert_false(DECODE(f, "\x08\1\x82\1\2\x08\2"));     /* a wrong field without its name */
    assert_true(DECODE(f, "\x08\1\x82\1\5\x08\2\x12\1t"));
    assert_string_equal(f->frame.outcomes.results[0].outcome.results[0].field, "t");
    assert_false(DECODE(f, "\x08\1\x82\1\5\x08\2\x12\1 "));
    assert_true(DECODE(f, "\x08\1\x82\1\x16\x08\1\x1a\x12" GRANT));
    assert_false(DECODE(f, "\x08\1\x82\1\x1a\x08\1\x1a\x16" GRANT "\x22\2{}")); /* with metadata */
    assert_true(DECODE(f, "\x08\1\x82\1\x16\x08\x0e\x22\x12" RUN));
    assert_false(DECODE(f, "\x08\1\x82\1\x18\x08\x0e\x22\x14" RUN "\x70\1")); /* which this freed */
    assert_true(DECODE(f, "\x08\1\x82\1\x16\x08\x0e\x2a\x12" GRANT));
    assert_int_equal(f->frame.outcomes.results[0].outcome.results[0].n_holders, 1);
    assert_false(DECODE(f, "\x08\1\x82\1\x18\x08\x0e\x2a\x14" GRANT "\x60\1")); /* a field that isn't known */
    assert_false(DECODE(f, "\x08\1\x82\1\4\x08\x0e\x50\1"));
    assert_false(DECODE(f, "\x08\1\x82\1\7\x08\x0e\x82\1\2\x08\x0e")); /* results of a result */
}

/* The head of a frame of one outcome, whose lengths take four bytes each. */
static void begin_long_outcome(struct buffer *body, size_t len)
{
    struct frame frame = {.kind = FRAME_OUTCOMES};
    frame_encode(&frame, body);
    const size_t lengths[] = {16 + len, len};
    const uint8_t between[] = {0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x10, 1};
    for (size_t i = 0; i < 2; i++) {
        buffer_append(body, "\x1a", 1);
        for (size_t byte = 0; byte < 4; byte++) {
            uint8_t part = (uint8_t)((lengths[i] >> (7 * byte) & 0x7f) | (byte < 3 ? 0x80 : 0));
            buffer_append(body, &part, 1);
        }
        buffer_append(body, between, i == 0 ? sizeof between : 0);
    }
}

static void more_results_than_renewals_are_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t n = LIMIT_RENEWALS; n <= LIMIT_RENEWALS + 1; n++) {
        buffer_clear(&f->body);
        begin_long_outcome(&f->body, 2 + 5 * n);
        buffer_append(&f->body, "\x08\1", 2);
        for (size_t i = 0; i < n; i++) {
            buffer_append(&f->body, "\x82\1\2\x08\x0e", 5);
        }
        assert_int_equal(fixture_decode_untold(f, FRAME_OUTCOMES, buffer_slice(&f->body)),
                         n == LIMIT_RENEWALS ? ERROR_NONE : ERROR_INVALID);
    }
}

/* Each the only thing in the one around it, as many as a frame has room for: a decoder that went down into all of them would
 * run out of its stack. */
static void results_inside_each_other_are_refused_however_deep(void **state)
{
    struct fixture *f = *state;
    enum { DEPTH = 600000, LEVEL = 6 };
    const size_t len = (size_t)DEPTH * LEVEL;
    begin_long_outcome(&f->body, len);
    uint8_t *at = buffer_extend(&f->body, len);
    for (size_t i = 0; i < DEPTH; i++) {
        size_t inside = len - (i + 1) * LEVEL;
        at[i * LEVEL] = 0x82;
        at[i * LEVEL + 1] = 1;
        for (size_t byte = 0; byte < 4; byte++) {
            at[i * LEVEL + 2 + byte] = (uint8_t)((inside >> (7 * byte) & 0x7f) | (byte < 3 ? 0x80 : 0));
        }
    }
    assert_true(f->body.len <= LIMIT_FRAME_OUTCOMES_BYTES);
    assert_int_equal(fixture_decode_untold(f, FRAME_OUTCOMES, buffer_slice(&f->body)), ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_batch_has_one_to_a_thousand_renewals),
        TEST(a_schedule_and_token_may_stand_there_once),
        TEST(each_renewal_keeps_to_its_rules),
        TEST(hostile_batches_are_refused),
        TEST(an_outcome_has_no_more_results_than_a_batch_has_renewals),
        TEST(a_result_has_only_what_a_renewal_is_answered),
        TEST(the_longest_outcome_of_a_batch_fits_a_frame),
        TEST(a_frame_of_the_shortest_results_fits_its_memory),
        TEST(hostile_results_are_refused),
        TEST(more_results_than_renewals_are_refused),
        TEST(results_inside_each_other_are_refused_however_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
