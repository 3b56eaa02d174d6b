/* The shortest list is found, also for a table that lies and for one that aborts: a stand-in for lock_table_apply sees to
 * that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract_run.h"
#include "contract_shrink.h"

#include "core/lock_table.h"

#include <stdlib.h>

enum { STEPS = 1000, RUN_STEPS = 20000 };

/* ---- a table that isn't right ---- */

static enum fault {
    FAULT_NONE,
    FAULT_LIE,   /* a renewal of a second attempt says that it is the first */
    FAULT_ABORT, /* a freeze can't be deleted */
} fault;

void __real_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome);
void __wrap_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome);

void __wrap_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome)
{
    __real_lock_table_apply(table, context, command, outcome);
    if (fault == FAULT_LIE && command->kind == COMMAND_RENEW && outcome->has_grant && outcome->grant.attempt == 2) {
        outcome->grant.attempt = 1;
    }
    if (fault == FAULT_ABORT && command->kind == COMMAND_DELETE_FREEZE && outcome->code == OUTCOME_DONE) {
        abort();
    }
}

static bool differs(void *arg, const struct contract_step *steps, size_t n_steps)
{
    size_t *tries = arg;
    bool are_equal;
    (*tries)++;
    (void)contract_run_play(steps, n_steps, NULL, &are_equal);
    return !are_equal;
}

/* Runs seeds until one fails, and gives the shortest list of its steps. */
static void find_shortest(struct contract_steps *steps)
{
    struct contract_tally tally = {.steps = 0};
    size_t tries = 0;
    uint64_t seed = 1;
    while (contract_run_seed(seed++, RUN_STEPS, steps, &tally)) {
        contract_steps_close(steps);
        assert_true(seed < 20);
    }
    size_t n_failed = steps->n;
    steps->n = contract_shrink(steps->steps, steps->n, differs, &tries);
    print_message("%zu steps of %zu are left after %zu tries\n", steps->n, n_failed, tries);
}

static void expect_kind(const struct contract_step *step, enum contract_kind kind)
{
    assert_int_equal(step->kind, CONTRACT_STEP_COMMAND);
    assert_int_equal(step->command.kind, kind);
}

/* A second attempt needs a policy that allows one, a first attempt, and that this is over: it expires by itself. */
static void a_lie_is_shown_in_four_steps(void **state)
{
    (void)state;
    struct contract_steps steps = {.steps = NULL};
    fault = FAULT_LIE;
    find_shortest(&steps);
    assert_in_range(steps.n, 4, 5);
    expect_kind(&steps.steps[steps.n - 1], CONTRACT_RENEW);
    expect_kind(&steps.steps[steps.n - 2], CONTRACT_ACQUIRE);
    bool are_equal;
    assert_int_equal(contract_run_play(steps.steps, steps.n, NULL, &are_equal), steps.n);
    assert_false(are_equal);
    fault = FAULT_NONE;
    (void)contract_run_play(steps.steps, steps.n, NULL, &are_equal);
    assert_true(are_equal);
    contract_steps_close(&steps);
}

static void an_abort_is_shown_in_two_steps(void **state)
{
    (void)state;
    struct contract_steps steps = {.steps = NULL};
    fault = FAULT_ABORT;
    find_shortest(&steps);
    assert_int_equal(steps.n, 2);
    expect_kind(&steps.steps[0], CONTRACT_PUT_FREEZE);
    expect_kind(&steps.steps[1], CONTRACT_DELETE_FREEZE);
    fault = FAULT_NONE;
    contract_steps_close(&steps);
}

/* ---- lists that fail when some steps are in them ---- */

struct needed {
    uint32_t ids[3];
    size_t n;
    size_t tries;
};

static bool has_all(void *arg, const struct contract_step *steps, size_t n_steps)
{
    struct needed *needed = arg;
    size_t found = 0;
    needed->tries++;
    for (size_t i = 0; i < n_steps && found < needed->n; i++) {
        found += steps[i].id == needed->ids[found];
    }
    return found == needed->n;
}

static struct contract_step *make_steps(void)
{
    struct contract_step *steps = calloc(STEPS, sizeof steps[0]);
    for (uint32_t i = 0; i < STEPS; i++) {
        steps[i].id = i + 1;
    }
    return steps;
}

static void what_is_needed_is_left(void **state)
{
    (void)state;
    static const struct needed cases[] = {
        {.ids = {0}, .n = 0},
        {.ids = {1}, .n = 1},
        {.ids = {STEPS}, .n = 1},
        {.ids = {1, STEPS}, .n = 2},
        {.ids = {17, 503, 504}, .n = 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct needed needed = cases[i];
        struct contract_step *steps = make_steps();
        assert_int_equal(contract_shrink(steps, STEPS, has_all, &needed), needed.n);
        for (size_t j = 0; j < needed.n; j++) {
            assert_int_equal(steps[j].id, needed.ids[j]);
        }
        assert_in_range(needed.tries, 0, 200);
        free(steps);
    }
}

/* That of two or three steps any one can go, but not all, is seen only when one is tried again. */
static bool has_one_of_the_first_two(void *arg, const struct contract_step *steps, size_t n_steps)
{
    (void)arg;
    return n_steps > 0 && steps[0].id <= 2;
}

static void one_of_several_is_enough(void **state)
{
    (void)state;
    struct contract_step *steps = make_steps();
    assert_int_equal(contract_shrink(steps, STEPS, has_one_of_the_first_two, NULL), 1);
    assert_in_range(steps[0].id, 1, 2);
    free(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_is_left),
        cmocka_unit_test(one_of_several_is_enough),
        cmocka_unit_test(a_lie_is_shown_in_four_steps),
        cmocka_unit_test(an_abort_is_shown_in_two_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
