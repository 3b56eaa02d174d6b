/* Many renewals in one entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

static struct renew_command renewal(const char *id, uint64_t token, uint64_t ttl_ms)
{
    return (struct renew_command){
        .schedule_id = slice_of(id), .token = token, .has_ttl = ttl_ms != 0, .ttl_ms = ttl_ms};
}

static const struct outcome *apply_batch(struct fixture *f, const struct renew_command *renewals, size_t n)
{
    const struct command command = {.kind = COMMAND_RENEW_BATCH,
                                    .renew_batch = {.renewals = renewals, .n_renewals = n}};
    const struct outcome *outcome = fixture_apply(f, &command);
    assert_int_equal(outcome_answers(outcome, &command), true);
    return outcome;
}

static void each_renewal_is_decided_by_itself(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    uint64_t a = fixture_grant(&f, (struct ask){.id = "a", .metadata = "{}", .occurrence = "o", .ttl_ms = MINUTE_MS});
    uint64_t b = fixture_grant(&f, (struct ask){.id = "b", .ttl_ms = HOUR_MS});
    uint64_t c = fixture_grant(&f, (struct ask){.id = "c", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(&f, "c", c, RUN_FAILED), OUTCOME_DONE);
    f.now_ms += 1000;
    const struct renew_command renewals[] = {renewal("a", a, 0),
                                             renewal("c", c, 0),
                                             renewal("nobody", 9, 0),
                                             renewal("b", b, 1),
                                             renewal("b", b, LIMIT_TTL_MS + 1),
                                             renewal("b", b, HOUR_MS)};
    const struct outcome *outcome = apply_batch(&f, renewals, 6);
    expect_code(outcome, OUTCOME_DONE);
    assert_int_equal(outcome->n_results, 6);
    const struct outcome *results = outcome->results;
    expect_code(&results[0], OUTCOME_DONE);
    assert_int_equal(results[0].grant.token, a);
    assert_int_equal(results[0].grant.remaining_ms, MINUTE_MS);
    expect_text(results[0].grant.schedule_id, "a");
    expect_text(results[0].grant.holder, "h1");
    expect_text(results[0].grant.occurrence, "o");
    expect_text(results[0].grant.metadata, NULL);
    expect_code(&results[1], OUTCOME_LOCK_LOST);
    assert_true(results[1].has_run);
    assert_int_equal(results[1].run.outcome, RUN_FAILED);
    expect_text(results[1].run.schedule_id, "c");
    assert_int_equal(results[1].n_holders, 0);
    expect_code(&results[2], OUTCOME_LOCK_LOST);
    assert_false(results[2].has_run);
    expect_code(&results[3], OUTCOME_TTL_TOO_SHORT);
    assert_int_equal(results[3].minimum_ms, LIMIT_DEFAULT_MARGIN_MS);
    expect_code(&results[4], OUTCOME_TTL_TOO_LONG);
    expect_code(&results[5], OUTCOME_DONE);
    assert_int_equal(results[5].grant.remaining_ms, HOUR_MS);
    fixture_close(&f);
}

/* … and what is shown of one stays, though the next one changes the same schedule. */
static void two_slots_of_one_schedule_are_renewed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    fixture_slots(&f, 3);
    uint64_t first = fixture_take_many(&f, 3);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = first + 1, .force = true}), OUTCOME_DONE);
    f.now_ms += 1000;
    const struct renew_command renewals[] = {renewal("job", first, 0), renewal("job", first + 1, 0),
                                             renewal("job", first + 2, 2 * MINUTE_MS)};
    const struct outcome *outcome = apply_batch(&f, renewals, 3);
    expect_text(outcome->results[0].grant.holder, "h0");
    expect_text(outcome->results[0].grant.schedule_id, "job");
    assert_int_equal(outcome->results[0].grant.ttl_ms, MINUTE_MS);
    const struct outcome *lost = &outcome->results[1];
    expect_code(lost, OUTCOME_LOCK_LOST);
    expect_text(lost->run.holder, "h1");
    expect_text(lost->run.actor, "ops");
    expect_text(lost->run.reason, "why");
    assert_int_equal(lost->n_holders, 1);
    assert_int_equal(lost->holders[0].token, first + 2); /* which ended first, when this was decided */
    expect_text(lost->holders[0].holder, "h2");
    assert_int_equal(lost->holders[0].remaining_ms, MINUTE_MS - 1000);
    expect_text(outcome->results[2].grant.holder, "h2");
    assert_int_equal(outcome->results[2].grant.remaining_ms, 2 * MINUTE_MS);
    fixture_close(&f);
}

static void a_batch_is_what_its_renewals_are_alone(void **state)
{
    (void)state;
    struct fixture one;
    struct fixture two;
    fixture_open_newest(&one);
    fixture_open_newest(&two);
    struct renew_command renewals[20];
    char ids[20][8];
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "s%u", i);
        uint64_t token = fixture_grant(&one, (struct ask){.id = ids[i], .ttl_ms = MINUTE_MS});
        assert_int_equal(fixture_grant(&two, (struct ask){.id = ids[i], .ttl_ms = MINUTE_MS}), token);
        renewals[i] = renewal(ids[i], token + (i % 7 == 3), i % 3 == 0 ? 0 : 10000 + i * 4000);
    }
    one.context = (struct apply_context){.index = one.context.index + 1, .now_ms = one.now_ms + 1000};
    two.context = one.context;
    lock_table_advance(one.table, &one.context);
    lock_table_advance(two.table, &two.context);
    struct command batch = {.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = renewals, .n_renewals = 20}};
    lock_table_apply(one.table, &one.context, &batch, &one.outcome);
    for (size_t i = 0; i < 20; i++) {
        const struct command command = {.kind = COMMAND_RENEW, .renew = renewals[i]};
        lock_table_apply(two.table, &two.context, &command, &two.outcome);
        expect_code(&one.outcome.results[i], two.outcome.code);
    }
    expect_equal_digests(one.table, two.table);
    fixture_close(&one);
    fixture_close(&two);
}

/* The longest texts that answers can have, as often as there can be any: all find their room. */
static void the_largest_batch(void **state)
{
    (void)state;
    static struct renew_command renewals[LIMIT_RENEWALS + 1];
    static char ids[2][LIMIT_NAME_BYTES + 1];
    struct fixture f;
    fixture_open_newest(&f);
    const struct slice longest = long_slice(LIMIT_NAME_BYTES);
    uint64_t tokens[2];
    for (int i = 0; i < 2; i++) {
        memset(ids[i], 'a' + i, LIMIT_NAME_BYTES);
        fixture_join(&f, ids[i], NULL, 2);
        struct command command = {.kind = COMMAND_ACQUIRE};
        command.acquire = (struct acquire_command){.schedule_id = slice_of(ids[i]),
                                                   .holder = longest,
                                                   .occurrence = long_slice(LIMIT_OCCURRENCE_BYTES),
                                                   .idempotency_key = slice_of("k"),
                                                   .has_ttl = true,
                                                   .ttl_ms = MINUTE_MS};
        tokens[i] = fixture_apply(&f, &command)->grant.token;
        struct command revoke = {.kind = COMMAND_REVOKE};
        revoke.revoke = (struct revoke_command){
            .schedule_id = slice_of(ids[i]), .actor = longest, .reason = long_slice(LIMIT_REASON_BYTES), .force = true};
        expect_code(fixture_apply(&f, &revoke), OUTCOME_DONE);
        command.acquire.idempotency_key = slice_of("l");
        command.acquire.occurrence = slice_of("o");
        expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
    }
    for (size_t i = 0; i <= LIMIT_RENEWALS; i++) {
        renewals[i] = renewal(ids[i % 2], tokens[i % 2], 0);
    }
    const struct outcome *outcome = apply_batch(&f, renewals, LIMIT_RENEWALS);
    expect_code(outcome, OUTCOME_DONE);
    for (size_t i = 0; i < LIMIT_RENEWALS; i++) {
        const struct outcome *result = &outcome->results[i];
        expect_code(result, OUTCOME_LOCK_LOST);
        expect_text(result->run.schedule_id, ids[i % 2]);
        assert_true(slice_equal(result->run.actor, longest));
        assert_int_equal(result->run.reason.len, LIMIT_REASON_BYTES);
        assert_int_equal(result->n_holders, 1);
        assert_true(slice_equal(result->holders[0].holder, longest));
        expect_text(result->holders[0].schedule_id, ids[i % 2]);
    }
    outcome = apply_batch(&f, renewals, LIMIT_RENEWALS + 1);
    expect_code(outcome, OUTCOME_INVALID_FIELD);
    assert_string_equal(outcome->field, "locks");
    expect_code(apply_batch(&f, renewals, 0), OUTCOME_INVALID_FIELD);
    fixture_close(&f);
}

static void an_answer_fits_its_question(void **state)
{
    (void)state;
    struct renew_command renewals[2] = {renewal("a", 1, 0), renewal("b", 2, 0)};
    const struct command command = {.kind = COMMAND_RENEW_BATCH,
                                    .renew_batch = {.renewals = renewals, .n_renewals = 2}};
    struct outcome results[2] = {{.code = OUTCOME_DONE, .has_grant = true}, {.code = OUTCOME_LOCK_LOST}};
    struct outcome outcome = {.code = OUTCOME_DONE, .results = results, .n_results = 2};
    results[0].grant = (struct grant_view){.schedule_id = slice_of("a"), .token = 1};
    assert_true(outcome_answers(&outcome, &command));
    outcome.n_results = 1;
    assert_false(outcome_answers(&outcome, &command));
    outcome.n_results = 2;
    results[0].grant.token = 2;
    assert_false(outcome_answers(&outcome, &command));
    results[0].grant = (struct grant_view){.schedule_id = slice_of("b"), .token = 1};
    assert_false(outcome_answers(&outcome, &command));
    results[0].has_grant = false;
    assert_false(outcome_answers(&outcome, &command));
    results[0].code = OUTCOME_TTL_TOO_LONG;
    assert_true(outcome_answers(&outcome, &command));
    results[0].n_results = 1;
    assert_false(outcome_answers(&outcome, &command));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_renewal_is_decided_by_itself),
        cmocka_unit_test(two_slots_of_one_schedule_are_renewed),
        cmocka_unit_test(a_batch_is_what_its_renewals_are_alone),
        cmocka_unit_test(the_largest_batch),
        cmocka_unit_test(an_answer_fits_its_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
