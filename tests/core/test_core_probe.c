/* A probe says what an acquire would be answered, and changes nothing. (That it always says the same as apply is shown by
 * the random test.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include "base/limits.h"

/* The state is the same before and after, and an acquire by another holder comes to what was said. */
static struct probe probe(struct fixture *f, const char *id, const char *holder, const char *occurrence)
{
    const struct acquire_command command = {.schedule_id = slice_of(id),
                                            .holder = slice_of(holder),
                                            .occurrence = slice_of(occurrence),
                                            .idempotency_key = slice_of("asked"),
                                            .has_ttl = true,
                                            .ttl_ms = MINUTE_MS};
    struct probe said;
    struct digest128 before = lock_table_digest(f->table);
    lock_table_probe(f->table, &command, &said);
    struct digest128 after = lock_table_digest(f->table);
    assert_true(digest128_equal(&before, &after));
    lock_table_check(f->table);
    return said;
}

static void expect_said(const struct probe *said, enum outcome_code code, uint64_t free_slots)
{
    assert_string_equal(outcome_code_name(said->code), outcome_code_name(code));
    assert_int_equal(said->free_slots, free_slots);
}

static void a_probe_counts_what_is_free(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct probe said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 1);
    expect_text(said.group, NULL);
    expect_code(fixture_put_group(&f, "g", 2), OUTCOME_DONE);
    fixture_join(&f, "job", "g", 5);
    fixture_join(&f, "other", "g", 5);
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 2);
    expect_text(said.group, "g");
    uint64_t token = fixture_grant(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 1);
    (void)fixture_take(&f, "x");
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_GROUP_FULL, 0);
    expect_text(said.group, "g");
    expect_code(fixture_put_group(&f, "g", 9), OUTCOME_DONE);
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 4);
    fixture_join(&f, "job", "g", 1);
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_LOCK_HELD, 0);
    expect_text(said.group, "g");
    expect_code(fixture_release(&f, "other", token, RUN_SUCCEEDED), OUTCOME_DONE);
    fixture_close(&f);
}

static void a_probe_says_how_long_it_cools_down(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct policy policy = policy_default();
    policy.min_hold_ms = 1000;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    f.now_ms += 400;
    fixture_tick(&f);
    struct probe said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_COOLING_DOWN, 0);
    assert_int_equal(said.remaining_ms, 600);
    f.now_ms += 600;
    fixture_tick(&f);
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 1);
    assert_int_equal(said.remaining_ms, 0);
    fixture_close(&f);
}

static void a_probe_is_refused_as_an_acquire_is(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    (void)fixture_run(&f, "done", RUN_SUCCEEDED);
    (void)fixture_run(&f, "failed", RUN_FAILED);
    struct probe said = probe(&f, "job", "h", "done");
    expect_said(&said, OUTCOME_OCCURRENCE_DONE, 0);
    said = probe(&f, "job", "h", "failed");
    expect_said(&said, OUTCOME_ATTEMPTS_EXHAUSTED, 0);
    said = probe(&f, "job", "", NULL);
    expect_said(&said, OUTCOME_INVALID_FIELD, 0);
    expect_code(fixture_put_freeze(&f, "j*", HOUR_MS), OUTCOME_DONE);
    said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_FROZEN, 0);
    fixture_close(&f);
}

static void a_probe_of_a_key_that_has_its_grant(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    (void)fixture_grant(&f, (struct ask){.holder = "h", .key = "asked", .ttl_ms = MINUTE_MS});
    struct probe said = probe(&f, "job", "h", NULL);
    expect_said(&said, OUTCOME_DONE, 0);
    said = probe(&f, "job", "other", NULL);
    expect_said(&said, OUTCOME_IDEMPOTENCY_CONFLICT, 0);
    fixture_close(&f);
}

/* The last command's answer still is what it was: a probe is no change. */
static void a_probe_leaves_the_last_answer_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "g", 2), OUTCOME_DONE);
    fixture_join(&f, "job", "g", 5);
    fixture_join(&f, "other", "g", 5);
    (void)fixture_take(&f, "h1");
    (void)fixture_grant(&f, (struct ask){.id = "other", .holder = "h2", .ttl_ms = MINUTE_MS});
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.holder = "h3", .ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_GROUP_FULL);
    struct probe said = probe(&f, "other", "h2", NULL);
    expect_said(&said, OUTCOME_LOCK_HELD, 0);
    assert_int_equal(outcome->n_holders, 2);
    expect_text(outcome->holders[0].holder, "h1");
    expect_text(outcome->holders[0].schedule_id, "job");
    expect_text(outcome->holders[1].holder, "h2");
    expect_text(outcome->holders[1].schedule_id, "other");
    expect_text(outcome->group.name, "g");
    fixture_close(&f);
}

static void occurrences_are_compared_by_what_they_mean(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", true},
        {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000z", true},
        {"2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", false},
        {"2026-01-01T00:00:00Z", "2026-01-01", false},
        {"monday", "monday", true},
        {"monday", "Monday", false},
        {"2026-02-30T00:00:00Z", "2026-02-30T00:00:00z", false}, /* no instants */
        {NULL, NULL, true},
        {NULL, "monday", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(occurrence_is_same(slice_of(cases[i].a), slice_of(cases[i].b)), cases[i].same);
        assert_int_equal(occurrence_is_same(slice_of(cases[i].b), slice_of(cases[i].a)), cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_counts_what_is_free),
        cmocka_unit_test(a_probe_says_how_long_it_cools_down),
        cmocka_unit_test(a_probe_is_refused_as_an_acquire_is),
        cmocka_unit_test(a_probe_of_a_key_that_has_its_grant),
        cmocka_unit_test(a_probe_leaves_the_last_answer_alone),
        cmocka_unit_test(occurrences_are_compared_by_what_they_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
