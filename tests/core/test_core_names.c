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
    assert_string_equal(outcome_code_name(OUTCOME_COOLING_DOWN), "cooling_down");
    assert_string_equal(outcome_code_name(OUTCOME_LOCK_LOST), "lock_lost");
    assert_string_equal(outcome_code_name(OUTCOME_NOT_FOUND), "not_found");
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
    const struct command put = {.kind = COMMAND_PUT_SCHEDULE, .put_schedule = {.schedule_id = a}};
    const struct command delete = {.kind = COMMAND_DELETE_SCHEDULE, .delete_schedule = {.schedule_id = a}};
    const struct command revoke = {.kind = COMMAND_REVOKE, .revoke = {.schedule_id = a}};
    const struct command *const commands[] = {&acquire, &renew, &release, &put, &delete, &revoke};
    const struct outcome nothing = {.code = OUTCOME_DONE};
    const struct outcome grant = {.code = OUTCOME_DONE, .has_grant = true, .grant = {.schedule_id = a}};
    const struct outcome other_grant = {.code = OUTCOME_DONE, .has_grant = true, .grant.schedule_id = slice_of("b")};
    const struct outcome run = {.code = OUTCOME_DONE, .has_run = true, .run = {.schedule_id = a}};
    const struct outcome other_run = {.code = OUTCOME_DONE, .has_run = true, .run = {.schedule_id = slice_of("b")}};
    const struct outcome policy = {.code = OUTCOME_DONE, .has_policy = true, .policy = {.schedule_id = a}};
    const struct outcome half_policy = {.code = OUTCOME_DONE, .policy = {.schedule_id = a}};
    const struct outcome other_policy = {.code = OUTCOME_DONE, .has_policy = true, .policy.schedule_id = slice_of("b")};
    const struct run_view revoked[] = {{.schedule_id = a, .outcome = RUN_REVOKED},
                                       {.schedule_id = a, .outcome = RUN_REVOKED},
                                       {.schedule_id = slice_of("b"), .outcome = RUN_REVOKED},
                                       {.schedule_id = a, .outcome = RUN_FAILED}};
    const struct outcome two_runs = {.code = OUTCOME_DONE, .runs = revoked, .n_runs = 2};
    const struct outcome foreign_runs = {.code = OUTCOME_DONE, .runs = revoked, .n_runs = 3};
    const struct outcome failed_run = {.code = OUTCOME_DONE, .runs = revoked + 3, .n_runs = 1};
    const struct outcome refusal = {.code = OUTCOME_LOCK_LOST};
    const struct {
        const struct outcome *outcome;
        const char *answers; /* one letter for each of the commands */
    } rows[] = {
        {&nothing, "-----v"},      {&grant, "ar---v"},      {&other_grant, "-----v"},  {&run, "--l--v"},
        {&other_run, "-----v"},    {&policy, "---pdv"},     {&other_policy, "-----v"}, {&two_runs, "-----v"},
        {&foreign_runs, "------"}, {&failed_run, "------"}, {&refusal, "arlpdv"},      {&half_policy, "-----v"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t j = 0; j < sizeof commands / sizeof commands[0]; j++) {
            assert_int_equal(outcome_answers(rows[i].outcome, commands[j]), rows[i].answers[j] != '-');
        }
        for (int kind = COMMAND_NOOP; kind <= COMMAND_RULES; kind++) { /* those that nobody waits to see */
            const struct command command = {.kind = (enum command_kind)kind};
            bool is_seen = kind == COMMAND_ACQUIRE || kind == COMMAND_RENEW || kind == COMMAND_RELEASE;
            assert_true(is_seen || outcome_answers(rows[i].outcome, &command));
        }
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
