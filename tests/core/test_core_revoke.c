/* Revoking: who loses the lock, what stays taken, and what is recorded of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <string.h>

static void expect_revoked(const struct run_view *run, uint64_t token, const char *actor)
{
    assert_int_equal(run->token, token);
    assert_int_equal(run->outcome, RUN_REVOKED);
    expect_text(run->actor, actor);
}

/* A grant of occurrence "x" by "n1" under key "k", revoked five seconds later. */
static uint64_t set_scene(struct fixture *f, bool force)
{
    fixture_open(f);
    uint64_t token = fixture_grant(f, (struct ask){.holder = "n1", .key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS});
    f->now_ms += 5000;
    expect_code(fixture_revoke(f, (struct revoke_ask){.actor = "ops", .reason = "it hangs", .force = force}),
                OUTCOME_DONE);
    return token;
}

static void a_revoked_run_says_who_and_why(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        assert_int_equal(f.outcome.n_runs, 1);
        assert_false(f.outcome.repeated || f.outcome.has_run || f.outcome.has_grant);
        const struct run_view kept = fixture_kept_run(&f, token);
        const struct run_view *const views[] = {&f.outcome.runs[0], &kept};
        for (size_t i = 0; i < 2; i++) {
            expect_revoked(views[i], token, "ops");
            expect_text(views[i]->schedule_id, "job");
            expect_text(views[i]->holder, "n1");
            expect_text(views[i]->occurrence, "x");
            expect_text(views[i]->reason, "it hangs");
            assert_int_equal(views[i]->late_outcome, RUN_OUTCOME_NONE);
            assert_int_equal(views[i]->duration_ms, 5000);
            assert_int_equal(views[i]->ended_wall_ms, f.context.wall_ms);
        }
        fixture_close(&f);
    }
}

static void a_revoked_slot_stays_taken(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f, false);
    assert_int_equal(fixture_count(&f).held, 1);
    struct schedule_view view;
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.n_holders, 1);
    assert_true(view.holders[0].is_revoking);
    assert_int_equal(view.holders[0].remaining_ms, MINUTE_MS - 5000);
    assert_true(view.has_last_run);
    expect_revoked(&view.last_run, token, "ops");
    expect_code(fixture_acquire(&f, (struct ask){.holder = "n2", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    assert_true(f.outcome.holders[0].is_revoking);
    fixture_close(&f);
}

static void a_revoked_lock_is_not_renewed(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_LOCK_LOST);
        assert_true(f.outcome.has_run);
        expect_revoked(&f.outcome.run, token, "ops");
        assert_int_equal(f.outcome.n_holders, force ? 0 : 1);
        expect_code(
            fixture_acquire(&f, (struct ask){.holder = "n1", .key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS}),
            OUTCOME_GRANT_ENDED);
        expect_revoked(&f.outcome.run, token, "ops");
        fixture_close(&f);
    }
}

static void a_revoked_holder_has_its_slot_still(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 3);
    uint64_t token = fixture_take(&f, "a");
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = token}), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.holder = "a", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    (void)fixture_take(&f, "b");
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = token, .force = true}), OUTCOME_DONE);
    (void)fixture_take(&f, "a");
    fixture_close(&f);
}

static void a_revoked_attempt_counts(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        if (!force) { /* it runs now, so to speak, until its holder gives up; and that gives no attempt back */
            expect_code(fixture_try(&f, "x"), OUTCOME_LOCK_HELD);
            expect_code(fixture_release(&f, "job", token, RUN_ABANDONED), OUTCOME_DONE);
            assert_int_equal(f.outcome.run.late_outcome, RUN_ABANDONED);
        }
        expect_code(fixture_try(&f, "x"), OUTCOME_ATTEMPTS_EXHAUSTED);
        expect_revoked(&f.outcome.run, token, "ops");
        fixture_close(&f);
    }
}

static void releasing_frees_the_slot_and_the_run_stays_revoked(void **state)
{
    (void)state;
    static const int reported[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        uint64_t token = set_scene(&f, false);
        uint64_t deadline_ms = lock_table_next_lock_deadline(f.table);
        f.now_ms += 1000;
        expect_code(fixture_release(&f, "job", token, reported[i]), OUTCOME_DONE);
        assert_false(f.outcome.repeated);
        expect_revoked(&f.outcome.run, token, "ops");
        assert_int_equal(f.outcome.run.late_outcome, reported[i]);
        assert_int_equal(f.outcome.run.duration_ms, 5000); /* it ended when it was revoked */
        assert_int_equal(fixture_count(&f).held, 0);
        assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
        assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + LIMIT_FORGET_MS);
        for (int again = 0; again < 3; again++) {
            expect_code(fixture_release(&f, "job", token, reported[again]), OUTCOME_DONE);
            assert_true(f.outcome.repeated);
            assert_int_equal(f.outcome.run.late_outcome, reported[i]);
        }
        expect_code(fixture_try(&f, "x"),
                    reported[i] == RUN_SUCCEEDED ? OUTCOME_OCCURRENCE_DONE : OUTCOME_ATTEMPTS_EXHAUSTED);
        f.now_ms = deadline_ms;
        (void)fixture_take(&f, "n2");
        assert_int_equal(fixture_count(&f).expirations, 0);
        fixture_close(&f);
    }
}

static void a_revoked_release_needs_its_outcome_too(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f, false);
    expect_code(fixture_release(&f, "job", token, RUN_OUTCOME_NONE), OUTCOME_INVALID_FIELD);
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void the_deadline_frees_the_slot_and_is_no_expiration(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f, false);
    f.now_ms += MINUTE_MS - 5001;
    expect_code(fixture_acquire(&f, (struct ask){.holder = "n2", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    f.now_ms += 1;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).held, 0);
    assert_int_equal(fixture_count(&f).expirations, 0);
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + LIMIT_FORGET_MS);
    const struct run_view run = fixture_kept_run(&f, token);
    expect_revoked(&run, token, "ops");
    assert_int_equal(run.duration_ms, 5000);
    fixture_close(&f);
}

/* Forced, or past its deadline: the slot was no longer the holder's. */
static void success_after_the_slot_was_freed_is_late(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        f.now_ms += force ? 0 : MINUTE_MS;
        expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_LOCK_LOST);
        assert_int_equal(f.outcome.run.late_outcome, RUN_OUTCOME_NONE);
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
        expect_revoked(&f.outcome.run, token, "ops");
        assert_int_equal(f.outcome.run.late_outcome, RUN_SUCCEEDED);
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST); /* it was not released */
        expect_code(fixture_try(&f, "x"), OUTCOME_OCCURRENCE_DONE);
        fixture_close(&f);
    }
}

static void success_of_a_revoked_run_closes_nothing_that_was_granted_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.max_attempts = 3;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    expect_code(fixture_revoke(&f, (struct revoke_ask){.force = true}), OUTCOME_DONE);
    (void)fixture_run(&f, "x", RUN_FAILED);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    (void)fixture_run(&f, "x", RUN_FAILED);
    fixture_close(&f);
}

static void success_of_a_revoked_run_is_a_success(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) { /* released in time, or too late */
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
        assert_false(f.outcome.policy.has_success);
        f.now_ms += 1000;
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), force ? OUTCOME_LOCK_LOST : OUTCOME_DONE);
        struct policy_view view;
        assert_true(lock_table_policy(f.table, slice_of("job"), &view));
        assert_true(view.has_success);
        assert_int_equal(view.last_success_wall_ms, f.context.wall_ms);
        fixture_close(&f);
    }
}

static void who_revoked_first_stays_unless_force_follows(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f, false);
    f.now_ms += 1000;
    expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "second", .reason = "because"}), OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    assert_int_equal(f.outcome.n_runs, 1);
    expect_revoked(&f.outcome.runs[0], token, "ops");
    expect_text(f.outcome.runs[0].reason, "it hangs");
    expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "third", .reason = "dead", .force = true}),
                OUTCOME_DONE);
    assert_false(f.outcome.repeated);
    expect_revoked(&f.outcome.runs[0], token, "third");
    expect_text(f.outcome.runs[0].reason, "dead");
    assert_int_equal(f.outcome.runs[0].duration_ms, 5000); /* it ended with the first */
    assert_int_equal(fixture_count(&f).held, 0);
    fixture_close(&f);
}

static void all_live_grants_are_revoked_in_the_order_of_their_tokens(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        fixture_open(&f);
        fixture_slots(&f, LIMIT_SLOTS);
        (void)fixture_run(&f, "ended before", RUN_SUCCEEDED);
        uint64_t first = fixture_take_many(&f, LIMIT_SLOTS);
        expect_code(fixture_renew(&f, "job", first + 3, HOUR_MS), OUTCOME_DONE);
        expect_code(fixture_revoke(&f, (struct revoke_ask){.force = force}), OUTCOME_DONE);
        assert_int_equal(f.outcome.n_runs, LIMIT_SLOTS);
        for (size_t i = 0; i < LIMIT_SLOTS; i++) { /* all are shown, though not all of them will be kept */
            expect_revoked(&f.outcome.runs[i], first + i, "ops");
        }
        assert_int_equal(fixture_count(&f).held, force ? 0 : LIMIT_SLOTS);
        struct lock_table *copy = table_copy(f.table);
        expect_equal_digests(f.table, copy);
        lock_table_close(copy);
        if (force) {
            (void)fixture_take(&f, "next");
            static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
            assert_int_equal(lock_table_runs(f.table, slice_of("job"), SIZE_MAX, runs), LIMIT_RUNS_PER_SCHEDULE);
        }
        f.now_ms += HOUR_MS;
        fixture_tick(&f);
        assert_int_equal(fixture_count(&f).held, 0);
        assert_int_equal(fixture_count(&f).expirations, force ? 1 : 0);
        fixture_close(&f);
    }
}

static void some_revoked_and_some_not_is_no_repeat(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 3);
    uint64_t first = fixture_take_many(&f, 2);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "one", .token = first}), OUTCOME_DONE);
    assert_int_equal(f.outcome.n_runs, 1);
    expect_code(fixture_renew(&f, "job", first + 1, 0), OUTCOME_DONE); /* the other goes on */
    expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "two"}), OUTCOME_DONE);
    assert_false(f.outcome.repeated);
    assert_int_equal(f.outcome.n_runs, 2);
    expect_revoked(&f.outcome.runs[0], first, "one");
    expect_revoked(&f.outcome.runs[1], first + 1, "two");
    fixture_close(&f);
}

struct news {
    bool is_revoked;
    bool is_freed;
};

static void expect_news(const struct fixture *f, size_t i, struct news news)
{
    assert_true(i < f->outcome.n_runs);
    assert_int_equal(f->outcome.runs[i].is_newly_revoked, news.is_revoked);
    assert_int_equal(f->outcome.runs[i].is_newly_freed, news.is_freed);
}

/* Always by the same person and for the same reason, so that nothing else tells what was done before. */
static void each_revocation_says_what_it_did_itself(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 2);
    uint64_t first = fixture_take_many(&f, 2);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = first}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){.is_revoked = true});
    expect_code(fixture_revoke(&f, (struct revoke_ask){0}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){0});
    expect_news(&f, 1, (struct news){.is_revoked = true});
    expect_code(fixture_revoke(&f, (struct revoke_ask){0}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){0});
    expect_news(&f, 1, (struct news){0});
    expect_code(fixture_revoke(&f, (struct revoke_ask){.force = true}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){.is_freed = true});
    expect_news(&f, 1, (struct news){.is_freed = true});
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = first, .force = true}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){0});
    (void)fixture_take(&f, "third");
    expect_code(fixture_revoke(&f, (struct revoke_ask){.force = true}), OUTCOME_DONE);
    expect_news(&f, 0, (struct news){.is_revoked = true, .is_freed = true});
    const struct run_view run = fixture_kept_run(&f, first);
    assert_false(run.is_newly_revoked || run.is_newly_freed);
    fixture_close(&f);
}

static void where_nothing_is_held_nothing_is_revoked(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (int i = 0; i < 2; i++) {
        expect_code(fixture_revoke(&f, (struct revoke_ask){0}), OUTCOME_DONE);
        assert_int_equal(f.outcome.n_runs, 0);
        assert_false(f.outcome.repeated);
        assert_int_equal(fixture_count(&f).schedules, i);
        (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    }
    fixture_close(&f);
}

static void a_token_that_was_revoked_is_answered_again(void **state)
{
    (void)state;
    for (int force = 0; force < 2; force++) {
        struct fixture f;
        uint64_t token = set_scene(&f, force);
        if (!force) {
            expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
        }
        expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "second", .token = token, .force = force}),
                    OUTCOME_DONE);
        assert_true(f.outcome.repeated);
        assert_int_equal(f.outcome.n_runs, 1);
        expect_revoked(&f.outcome.runs[0], token, "ops");
        fixture_close(&f);
    }
}

static void a_token_that_ended_otherwise_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = 1}), OUTCOME_LOCK_LOST);
    uint64_t released = fixture_run(&f, "a", RUN_SUCCEEDED);
    uint64_t expired = fixture_expire(&f, "b");
    uint64_t live = fixture_take(&f, "n2");
    const uint64_t tokens[] = {released, expired, live + 1};
    for (size_t i = 0; i < 3; i++) {
        expect_code(fixture_revoke(&f, (struct revoke_ask){.token = tokens[i], .force = true}), OUTCOME_LOCK_LOST);
        assert_int_equal(f.outcome.has_run, i < 2);
        assert_true(i == 2 || f.outcome.run.token == tokens[i]);
        assert_int_equal(f.outcome.n_runs, 0);
        assert_int_equal(f.outcome.n_holders, 1);
        assert_int_equal(f.outcome.holders[0].token, live);
    }
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void who_and_why_are_within_their_bounds(void **state)
{
    (void)state;
    static char text[LIMIT_REASON_BYTES + 2];
    memset(text, 'x', sizeof text - 1);
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_take(&f, "h");
    struct command command = {.kind = COMMAND_REVOKE};
    const struct revoke_command good = {.schedule_id = slice_of("job"),
                                        .actor = {.base = (const uint8_t *)text, .len = LIMIT_NAME_BYTES},
                                        .reason = {.base = (const uint8_t *)text, .len = LIMIT_REASON_BYTES}};
    for (int field = 0; field < 2; field++) {
        struct slice *const at = field == 0 ? &command.revoke.actor : &command.revoke.reason;
        for (int i = 0; i < 3; i++) {
            command.revoke = good;
            at->len = i == 0 ? at->len + 1 : 0;
            at->base = i == 2 ? NULL : at->base;
            expect_code(fixture_apply(&f, &command), OUTCOME_INVALID_FIELD);
            assert_string_equal(f.outcome.field, field == 0 ? "actor" : "reason");
        }
    }
    command.revoke = good;
    expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
    assert_int_equal(fixture_kept_run(&f, token).reason.len, LIMIT_REASON_BYTES);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revoked_run_says_who_and_why),
        cmocka_unit_test(a_revoked_slot_stays_taken),
        cmocka_unit_test(a_revoked_lock_is_not_renewed),
        cmocka_unit_test(a_revoked_holder_has_its_slot_still),
        cmocka_unit_test(a_revoked_attempt_counts),
        cmocka_unit_test(releasing_frees_the_slot_and_the_run_stays_revoked),
        cmocka_unit_test(a_revoked_release_needs_its_outcome_too),
        cmocka_unit_test(the_deadline_frees_the_slot_and_is_no_expiration),
        cmocka_unit_test(success_after_the_slot_was_freed_is_late),
        cmocka_unit_test(success_of_a_revoked_run_closes_nothing_that_was_granted_again),
        cmocka_unit_test(success_of_a_revoked_run_is_a_success),
        cmocka_unit_test(who_revoked_first_stays_unless_force_follows),
        cmocka_unit_test(all_live_grants_are_revoked_in_the_order_of_their_tokens),
        cmocka_unit_test(some_revoked_and_some_not_is_no_repeat),
        cmocka_unit_test(each_revocation_says_what_it_did_itself),
        cmocka_unit_test(where_nothing_is_held_nothing_is_revoked),
        cmocka_unit_test(a_token_that_was_revoked_is_answered_again),
        cmocka_unit_test(a_token_that_ended_otherwise_is_lost),
        cmocka_unit_test(who_and_why_are_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
