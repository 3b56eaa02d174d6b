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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_the_names_of_the_contract),
        cmocka_unit_test(run_outcomes_are_parsed_by_their_names_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
