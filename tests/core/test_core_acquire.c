/* What a grant is, and the requests that never become one: form, TTL rule, a lock that somebody holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <string.h>

static void a_grant_shows_what_was_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.id = "db:backup",
                                                                     .holder = "node-1",
                                                                     .occurrence = "2026-07-14T03:00:00Z",
                                                                     .metadata = "{\"a\":1}",
                                                                     .ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_DONE);
    assert_false(outcome->repeated);
    assert_true(outcome->has_grant);
    assert_false(outcome->has_run);
    expect_text(outcome->grant.schedule_id, "db:backup");
    expect_text(outcome->grant.holder, "node-1");
    expect_text(outcome->grant.occurrence, "2026-07-14T03:00:00Z");
    expect_text(outcome->grant.metadata, "{\"a\":1}");
    assert_int_equal(outcome->grant.token, 1);
    assert_int_equal(outcome->grant.ttl_ms, MINUTE_MS);
    assert_int_equal(outcome->grant.remaining_ms, MINUTE_MS);
    assert_int_equal(outcome->grant.acquired_wall_ms, f.context.wall_ms);
    assert_int_equal(outcome->grant.expires_wall_ms, f.context.wall_ms + MINUTE_MS);
    assert_int_equal(outcome->grant.attempt, 1);
    assert_int_equal(fixture_count(&f).held, 1);
    assert_int_equal(fixture_count(&f).schedules, 1);
    fixture_close(&f);
}

static void a_grant_without_extras_has_none(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_DONE);
    expect_text(outcome->grant.occurrence, NULL);
    expect_text(outcome->grant.metadata, NULL);
    assert_int_equal(outcome->grant.attempt, 0);
    fixture_close(&f);
}

static void a_held_lock_names_its_holder(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.holder = "a", .ttl_ms = MINUTE_MS});
    f.now_ms += 1500;
    for (int same_holder = 0; same_holder < 2; same_holder++) {
        const struct outcome *outcome =
            fixture_acquire(&f, (struct ask){.holder = same_holder ? "a" : "b", .ttl_ms = MINUTE_MS});
        expect_code(outcome, OUTCOME_LOCK_HELD);
        assert_int_equal(outcome->n_holders, 1);
        expect_text(outcome->holders[0].holder, "a");
        assert_int_equal(outcome->holders[0].token, token);
        assert_int_equal(outcome->holders[0].remaining_ms, MINUTE_MS - 1500);
        assert_int_equal(outcome->holders[0].acquired_wall_ms, f.context.wall_ms - 1500);
        assert_int_equal(outcome->holders[0].expires_wall_ms, f.context.wall_ms + MINUTE_MS - 1500);
    }
    fixture_close(&f);
}

static void other_schedules_are_other_locks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static const char *const ids[] = {"a", "b", "A", "aa", "a.", "a:1"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(fixture_grant(&f, (struct ask){.id = ids[i], .ttl_ms = MINUTE_MS}), i + 1);
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        const struct outcome *outcome = fixture_acquire(&f, (struct ask){.id = ids[i], .ttl_ms = MINUTE_MS});
        expect_code(outcome, OUTCOME_LOCK_HELD);
        assert_int_equal(outcome->holders[0].token, i + 1);
        expect_text(outcome->holders[0].schedule_id, ids[i]);
    }
    fixture_close(&f);
}

static void tokens_grow_over_all_schedules(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t last = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            const char id[2] = {(char)('a' + i), 0};
            uint64_t token = fixture_grant(&f, (struct ask){.id = id, .ttl_ms = MINUTE_MS});
            assert_true(token > last);
            last = token;
            if (round % 2 == 0) {
                expect_code(fixture_release(&f, id, token, RUN_SUCCEEDED), OUTCOME_DONE);
            }
        }
        f.now_ms += round % 2 == 0 ? 0 : MINUTE_MS; /* every other round ends by its deadline */
        assert_int_equal(fixture_count(&f).next_token, last + 1);
    }
    fixture_close(&f);
}

static void expect_ttl(struct fixture *f, struct ask ask, uint64_t ttl_ms)
{
    const struct outcome *outcome = fixture_acquire(f, ask);
    expect_code(outcome, OUTCOME_DONE);
    assert_int_equal(outcome->grant.ttl_ms, ttl_ms);
    assert_int_equal(outcome->grant.remaining_ms, ttl_ms);
    expect_code(fixture_release(f, "job", outcome->grant.token, RUN_SUCCEEDED), OUTCOME_DONE);
}

static void a_ttl_covers_estimate_and_margin(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_ttl(&f, (struct ask){.ttl_ms = LIMIT_DEFAULT_MARGIN_MS}, LIMIT_DEFAULT_MARGIN_MS);
    expect_ttl(&f, (struct ask){.estimate_ms = 1}, LIMIT_DEFAULT_MARGIN_MS + 1);
    expect_ttl(&f, (struct ask){.estimate_ms = HOUR_MS}, HOUR_MS + LIMIT_DEFAULT_MARGIN_MS);
    expect_ttl(&f, (struct ask){.estimate_ms = HOUR_MS, .ttl_ms = HOUR_MS + LIMIT_DEFAULT_MARGIN_MS},
               HOUR_MS + LIMIT_DEFAULT_MARGIN_MS);
    expect_ttl(&f, (struct ask){.ttl_ms = LIMIT_TTL_MS}, LIMIT_TTL_MS);
    expect_ttl(&f, (struct ask){.estimate_ms = LIMIT_TTL_MS - LIMIT_DEFAULT_MARGIN_MS}, LIMIT_TTL_MS);
    fixture_close(&f);
}

static void expect_ttl_refused(struct fixture *f, struct ask ask, enum outcome_code code, uint64_t estimate_ms)
{
    const struct outcome *outcome = fixture_acquire(f, ask);
    expect_code(outcome, code);
    assert_false(outcome->has_grant);
    assert_int_equal(outcome->estimate_ms, estimate_ms);
    assert_int_equal(outcome->margin_ms, LIMIT_DEFAULT_MARGIN_MS);
    assert_int_equal(outcome->minimum_ms, estimate_ms + LIMIT_DEFAULT_MARGIN_MS);
    assert_int_equal(outcome->maximum_ms, LIMIT_TTL_MS);
}

static void a_ttl_outside_the_rule_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = 1}, OUTCOME_TTL_TOO_SHORT, 0);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = LIMIT_DEFAULT_MARGIN_MS - 1}, OUTCOME_TTL_TOO_SHORT, 0);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = LIMIT_DEFAULT_MARGIN_MS + 4, .estimate_ms = 5}, OUTCOME_TTL_TOO_SHORT,
                       5);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = LIMIT_TTL_MS + 1}, OUTCOME_TTL_TOO_LONG, 0);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = LIMIT_NUMBER_MAX}, OUTCOME_TTL_TOO_LONG, 0);
    expect_ttl_refused(&f, (struct ask){.estimate_ms = LIMIT_TTL_MS - LIMIT_DEFAULT_MARGIN_MS + 1},
                       OUTCOME_TTL_TOO_LONG, LIMIT_TTL_MS - LIMIT_DEFAULT_MARGIN_MS + 1);
    expect_ttl_refused(&f, (struct ask){.estimate_ms = LIMIT_NUMBER_MAX}, OUTCOME_TTL_TOO_LONG, LIMIT_NUMBER_MAX);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = LIMIT_NUMBER_MAX, .estimate_ms = LIMIT_NUMBER_MAX},
                       OUTCOME_TTL_TOO_SHORT, LIMIT_NUMBER_MAX);
    assert_int_equal(fixture_count(&f).schedules, 0);
    fixture_close(&f);
}

static void an_estimate_beyond_all_numbers_does_not_wrap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS, .estimate_ms = UINT64_MAX});
    expect_code(outcome, OUTCOME_TTL_TOO_SHORT);
    assert_int_equal(outcome->minimum_ms, UINT64_MAX);
    expect_code(fixture_acquire(&f, (struct ask){.estimate_ms = UINT64_MAX}), OUTCOME_TTL_TOO_LONG);
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = UINT64_MAX}), OUTCOME_TTL_TOO_LONG);
    fixture_close(&f);
}

static void expect_field(struct fixture *f, const struct command *command, const char *field)
{
    const struct outcome *outcome = fixture_apply(f, command);
    expect_code(outcome, OUTCOME_INVALID_FIELD);
    assert_string_equal(outcome->field, field);
}

static void a_ttl_is_needed_without_an_estimate(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){
        .schedule_id = slice_of("job"), .holder = slice_of("h"), .idempotency_key = slice_of("k")};
    expect_field(&f, &command, "ttl_ms");
    command.acquire.has_estimate = true; /* of 0: as good as none */
    expect_field(&f, &command, "ttl_ms");
    command.acquire.has_ttl = true; /* of 0, which api refuses before */
    expect_code(fixture_apply(&f, &command), OUTCOME_TTL_TOO_SHORT);
    fixture_close(&f);
}

static void what_is_over_its_bound_is_refused_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint8_t bytes[LIMIT_METADATA_BYTES + 1];
    memset(bytes, 'x', sizeof bytes);
    const struct slice none = {0};
    const struct slice empty = {.base = bytes, .len = 0};
    const struct slice name = {.base = bytes, .len = LIMIT_NAME_BYTES};
    const struct slice occurrence = {.base = bytes, .len = LIMIT_OCCURRENCE_BYTES};
    struct command good = {.kind = COMMAND_ACQUIRE};
    good.acquire = (struct acquire_command){.schedule_id = name,
                                            .holder = name,
                                            .idempotency_key = occurrence,
                                            .occurrence = occurrence,
                                            .metadata = {.base = bytes, .len = LIMIT_METADATA_BYTES},
                                            .has_ttl = true,
                                            .ttl_ms = MINUTE_MS};
    struct {
        struct slice *at;
        const char *field;
        bool optional;
    } fields[] = {
        {&good.acquire.schedule_id, "schedule_id", false},
        {&good.acquire.holder, "holder", false},
        {&good.acquire.idempotency_key, "idempotency_key", false},
        {&good.acquire.occurrence, "occurrence", true},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct slice before = *fields[i].at;
        fields[i].at->len++;
        expect_field(&f, &good, fields[i].field);
        *fields[i].at = empty;
        expect_field(&f, &good, fields[i].field);
        *fields[i].at = none;
        if (!fields[i].optional) {
            expect_field(&f, &good, fields[i].field);
        }
        *fields[i].at = before;
    }
    good.acquire.metadata.len++;
    expect_field(&f, &good, "metadata");
    good.acquire.metadata.len--;
    expect_code(fixture_apply(&f, &good), OUTCOME_DONE);
    assert_int_equal(f.outcome.grant.metadata.len, LIMIT_METADATA_BYTES);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    fixture_close(&f);
}

static void an_unknown_schedule_has_nothing_to_show(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct schedule_view view;
    lock_table_view(f.table, slice_of("nobody"), &view);
    assert_int_equal(view.n_holders, 0);
    assert_false(view.has_last_run);
    assert_false(view.frozen);
    fixture_close(&f);
}

static void a_view_shows_holder_and_last_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t first = fixture_run(&f, "one", RUN_FAILED);
    f.now_ms += 10;
    uint64_t second = fixture_grant(&f, (struct ask){.holder = "b", .occurrence = "two", .ttl_ms = MINUTE_MS});
    f.now_ms += 10;
    fixture_tick(&f);
    struct schedule_view view;
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.n_holders, 1);
    assert_int_equal(view.holders[0].token, second);
    assert_int_equal(view.holders[0].remaining_ms, MINUTE_MS - 10);
    assert_true(view.has_last_run);
    assert_int_equal(view.last_run.token, first);
    assert_int_equal(view.last_run.outcome, RUN_FAILED);
    expect_code(fixture_release(&f, "job", second, RUN_SUCCEEDED), OUTCOME_DONE);
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.n_holders, 0);
    assert_int_equal(view.last_run.token, second);
    assert_int_equal(view.last_run.duration_ms, 10);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_shows_what_was_asked_for),
        cmocka_unit_test(a_grant_without_extras_has_none),
        cmocka_unit_test(a_held_lock_names_its_holder),
        cmocka_unit_test(other_schedules_are_other_locks),
        cmocka_unit_test(tokens_grow_over_all_schedules),
        cmocka_unit_test(a_ttl_covers_estimate_and_margin),
        cmocka_unit_test(a_ttl_outside_the_rule_is_refused),
        cmocka_unit_test(an_estimate_beyond_all_numbers_does_not_wrap),
        cmocka_unit_test(a_ttl_is_needed_without_an_estimate),
        cmocka_unit_test(what_is_over_its_bound_is_refused_by_name),
        cmocka_unit_test(an_unknown_schedule_has_nothing_to_show),
        cmocka_unit_test(a_view_shows_holder_and_last_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
