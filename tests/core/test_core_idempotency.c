/* Idempotency-Key: one key, one grant, for as long as its run is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>

static const struct ask asked = {.key = "k",
                                 .holder = "h",
                                 .occurrence = "2026-01-01T00:00:00Z",
                                 .metadata = "{\"a\":1}",
                                 .ttl_ms = 90000,
                                 .estimate_ms = 5000};

static void a_repeat_gets_the_same_grant_with_the_time_that_is_left(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, asked);
    for (int i = 1; i <= 3; i++) {
        f.now_ms += 1000;
        const struct outcome *outcome = fixture_acquire(&f, asked);
        expect_code(outcome, OUTCOME_DONE);
        assert_true(outcome->repeated);
        assert_int_equal(outcome->grant.token, token);
        assert_int_equal(outcome->grant.remaining_ms, 90000 - i * 1000);
        assert_int_equal(outcome->grant.attempt, 1);
        expect_text(outcome->grant.metadata, "{\"a\":1}");
    }
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void a_repeat_after_a_renewal_shows_the_renewed_lock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, asked);
    expect_code(fixture_renew(&f, "job", token, 200000), OUTCOME_DONE);
    const struct outcome *outcome = fixture_acquire(&f, asked);
    assert_true(outcome->repeated);
    assert_int_equal(outcome->grant.ttl_ms, 200000);
    assert_int_equal(outcome->grant.remaining_ms, 200000);
    fixture_close(&f);
}

static void the_repeat_of_an_ended_grant_tells_its_run(void **state)
{
    (void)state;
    static const int ends[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED, RUN_EXPIRED};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        uint64_t token = fixture_grant(&f, asked);
        if (ends[i] == RUN_EXPIRED) {
            f.now_ms += 90000;
        } else {
            expect_code(fixture_release(&f, "job", token, ends[i]), OUTCOME_DONE);
        }
        const struct outcome *outcome = fixture_acquire(&f, asked);
        expect_code(outcome, OUTCOME_GRANT_ENDED);
        assert_true(outcome->has_run);
        assert_int_equal(outcome->run.token, token);
        assert_int_equal(outcome->run.outcome, ends[i]);
        fixture_close(&f);
    }
}

static void every_field_of_the_body_makes_a_conflict(void **state)
{
    (void)state;
    struct ask others[10];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        others[i] = asked;
    }
    others[0].holder = "i";
    others[1].occurrence = "2026-01-02T00:00:00Z";
    others[2].occurrence = NULL;
    others[3].metadata = "{\"a\":2}";
    others[4].metadata = NULL;
    others[5].ttl_ms++;
    others[6].ttl_ms = 0;
    others[7].estimate_ms++;
    others[8].estimate_ms = 0;
    others[9].occurrence = "2026-01-01T00:00:00.0Z"; /* the same instant, written otherwise: bytes count */
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, asked);
    for (int ended = 0; ended < 2; ended++) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            expect_code(fixture_acquire(&f, others[i]), OUTCOME_IDEMPOTENCY_CONFLICT);
            assert_false(f.outcome.has_run);
        }
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    }
    fixture_close(&f);
}

static void what_is_sent_counts_and_not_what_it_defaults_to(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.key = "k", .estimate_ms = 5000});
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .estimate_ms = 5000, .ttl_ms = 35000}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of("other"),
                                               .holder = slice_of("h1"),
                                               .idempotency_key = slice_of("k"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
    command.acquire.has_estimate = true; /* of 0, which is the default */
    expect_code(fixture_apply(&f, &command), OUTCOME_IDEMPOTENCY_CONFLICT);
    fixture_close(&f);
}

static void neighbouring_fields_are_not_confused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.key = "k", .holder = "ab", .occurrence = "c", .ttl_ms = MINUTE_MS});
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .holder = "a", .occurrence = "bc", .ttl_ms = MINUTE_MS}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .holder = "ab", .metadata = "c", .ttl_ms = MINUTE_MS}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    /* Bytes that look like the border between two fields don't pass for one. */
    static const uint8_t border[] = "a\0\0\0\0\0\0\0\0b\0\0\0\0\0\0\0\0c";
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of("other"),
                                               .holder = {.base = border, .len = 1},
                                               .occurrence = {.base = border + 9, .len = 10},
                                               .idempotency_key = slice_of("k"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
    command.acquire.holder = (struct slice){.base = border, .len = 10};
    command.acquire.occurrence = (struct slice){.base = border + 18, .len = 1};
    expect_code(fixture_apply(&f, &command), OUTCOME_IDEMPOTENCY_CONFLICT);
    fixture_close(&f);
}

static void a_refused_request_leaves_no_key(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    uint64_t second = fixture_grant(&f, (struct ask){.key = "k", .holder = "other", .ttl_ms = 2 * MINUTE_MS});
    assert_true(second > token);
    fixture_close(&f);
}

static void a_key_is_of_one_schedule(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t a = fixture_grant(&f, (struct ask){.id = "a", .key = "k", .ttl_ms = MINUTE_MS});
    uint64_t b = fixture_grant(&f, (struct ask){.id = "b", .key = "k", .holder = "other", .ttl_ms = MINUTE_MS});
    assert_true(b > a);
    fixture_close(&f);
}

static void a_key_is_forgotten_with_its_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t first = fixture_grant(&f, (struct ask){.key = "k", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(&f, "job", first, RUN_SUCCEEDED), OUTCOME_DONE);
    for (int i = 0; i < 15; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "run-%d", i);
        (void)fixture_run(&f, name, RUN_SUCCEEDED);
    }
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .ttl_ms = MINUTE_MS}), OUTCOME_GRANT_ENDED);
    (void)fixture_run(&f, "the sixteenth after it", RUN_SUCCEEDED);
    uint64_t again = fixture_grant(&f, (struct ask){.key = "k", .ttl_ms = MINUTE_MS});
    assert_true(again > first);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeat_gets_the_same_grant_with_the_time_that_is_left),
        cmocka_unit_test(a_repeat_after_a_renewal_shows_the_renewed_lock),
        cmocka_unit_test(the_repeat_of_an_ended_grant_tells_its_run),
        cmocka_unit_test(every_field_of_the_body_makes_a_conflict),
        cmocka_unit_test(what_is_sent_counts_and_not_what_it_defaults_to),
        cmocka_unit_test(neighbouring_fields_are_not_confused),
        cmocka_unit_test(a_refused_request_leaves_no_key),
        cmocka_unit_test(a_key_is_of_one_schedule),
        cmocka_unit_test(a_key_is_forgotten_with_its_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
