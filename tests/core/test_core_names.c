/* The names that the contract gives to outcomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/command.h"

static void codes_have_the_names_of_the_contract(void **state)
{
    (void)state;
    assert_string_equal(outcome_code_name(OUTCOME_DONE), "done");
    assert_string_equal(outcome_code_name(OUTCOME_INVALID_FIELD), "invalid_field");
    assert_string_equal(outcome_code_name(OUTCOME_IDEMPOTENCY_CONFLICT), "idempotency_conflict");
    assert_string_equal(outcome_code_name(OUTCOME_GRANT_ENDED), "grant_ended");
    assert_string_equal(outcome_code_name(OUTCOME_ATTEMPTS_EXHAUSTED), "attempts_exhausted");
    assert_string_equal(outcome_code_name(OUTCOME_LOCK_HELD), "lock_held");
    assert_string_equal(outcome_code_name(OUTCOME_LOCK_LOST), "lock_lost");
}

static void run_outcomes_are_parsed_by_their_names_only(void **state)
{
    (void)state;
    static const char *const names[] = {"running", "succeeded", "failed", "abandoned", "expired", "revoked"};
    for (int i = 0; i < 6; i++) {
        enum run_outcome outcome;
        assert_string_equal(run_outcome_name((enum run_outcome)i), names[i]);
        assert_true(run_outcome_parse(slice_of(names[i]), &outcome));
        assert_int_equal(outcome, i);
    }
    static const char *const others[] = {"", "Succeeded", "succeed", "succeeded ", "done", NULL};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        enum run_outcome outcome;
        assert_false(run_outcome_parse(slice_of(others[i]), &outcome));
    }
}

static void an_outcome_answers_a_command_only_with_what_its_answer_is_made_of(void **state)
{
    (void)state;
    const struct slice a = slice_of("a");
    const struct command acquire = {.kind = COMMAND_ACQUIRE, .acquire = {.schedule_id = a}};
    const struct command renew = {.kind = COMMAND_RENEW, .renew = {.schedule_id = a}};
    const struct command release = {.kind = COMMAND_RELEASE, .release = {.schedule_id = a}};
    const struct command noop = {.kind = COMMAND_NOOP};
    const struct outcome nothing = {.code = OUTCOME_DONE};
    const struct outcome grant = {.code = OUTCOME_DONE, .has_grant = true, .grant = {.schedule_id = a}};
    const struct outcome other_grant = {.code = OUTCOME_DONE, .has_grant = true, .grant.schedule_id = slice_of("b")};
    const struct outcome run = {.code = OUTCOME_DONE, .has_run = true, .run = {.schedule_id = a}};
    const struct outcome other_run = {.code = OUTCOME_DONE, .has_run = true, .run = {.schedule_id = slice_of("b")}};
    const struct outcome refusal = {.code = OUTCOME_LOCK_LOST};
    const struct {
        const struct outcome *outcome;
        bool acquire, renew, release, noop;
    } rows[] = {
        {&nothing, false, false, false, true},     {&grant, true, true, false, true},
        {&other_grant, false, false, false, true}, {&run, false, false, true, true},
        {&other_run, false, false, false, true},   {&refusal, true, true, true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(outcome_answers(rows[i].outcome, &acquire), rows[i].acquire);
        assert_int_equal(outcome_answers(rows[i].outcome, &renew), rows[i].renew);
        assert_int_equal(outcome_answers(rows[i].outcome, &release), rows[i].release);
        assert_int_equal(outcome_answers(rows[i].outcome, &noop), rows[i].noop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_the_names_of_the_contract),
        cmocka_unit_test(run_outcomes_are_parsed_by_their_names_only),
        cmocka_unit_test(an_outcome_answers_a_command_only_with_what_its_answer_is_made_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
