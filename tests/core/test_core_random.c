/* 200,000 random commands against the lock table and against the model: every answer is the same. Now and then the table
 * is thrown away and goes on from an image of it. The seed is printed; BATON_SEED sets another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "random_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMMANDS = 200000 };

static struct model_occurrence draw_occurrence(struct random_test *test, int schedule)
{
    struct model_occurrence occurrence = {.kind = MODEL_NO_OCCURRENCE};
    if (draw_percent(test, 10)) {
        return occurrence;
    }
    if (draw_percent(test, schedule % 3 == 0 ? 70 : 10)) {
        occurrence.kind = MODEL_STRING;
        occurrence.number = (int64_t)draw_below(test, 150);
        return occurrence;
    }
    occurrence.kind = MODEL_INSTANT;
    test->hour[schedule] += draw_percent(test, 20) ? 1 : 0;
    occurrence.number = test->hour[schedule] - (int64_t)draw_below(test, draw_percent(test, 10) ? 120 : 3);
    return occurrence;
}

static void draw_durations(struct random_test *test, struct model_ask *ask)
{
    static const uint64_t ttls[] = {30000, 30000, 35000,     60000,     120000,
                                    29999, 1,     604800000, 604800001, 9007199254740991};
    static const uint64_t estimates[] = {0, 1, 5000, 5000, 30000, 90000, 604770000, 604770001, 9007199254740991};
    ask->has_ttl = draw_percent(test, 80);
    ask->ttl_ms = ttls[draw_below(test, draw_percent(test, 90) ? 5 : 10)];
    ask->has_estimate = draw_percent(test, 40);
    ask->estimate_ms = estimates[draw_below(test, draw_percent(test, 90) ? 5 : 9)];
}

static struct model_ask draw_ask(struct random_test *test)
{
    struct model_ask ask = {.schedule = (int)draw_below(test, MODEL_SCHEDULES)};
    int n_asks = test->n_asks[ask.schedule];
    if (n_asks > 0 && draw_percent(test, 20)) { /* once more, or the same key for something else */
        ask = test->asks[ask.schedule][draw_below(test, (uint64_t)(n_asks < ASKS ? n_asks : ASKS))];
        switch (draw_below(test, 12)) {
        case 0:
            ask.holder++;
            break;
        case 1:
            ask.spelling = (ask.spelling + 1) % 5;
            break;
        case 2:
            ask.metadata++;
            break;
        case 3:
            draw_durations(test, &ask);
            break;
        default:
            break;
        }
        return ask;
    }
    ask.holder = (int)draw_below(test, 40);
    ask.key = test->next_key++;
    ask.occurrence = draw_occurrence(test, ask.schedule);
    ask.spelling = (int)draw_below(test, 5);
    ask.metadata = (int)draw_below(test, 3);
    draw_durations(test, &ask);
    return ask;
}

static void do_acquire(struct random_test *test)
{
    struct model_ask ask = draw_ask(test);
    test->asks[ask.schedule][test->n_asks[ask.schedule]++ % ASKS] = ask;
    struct written written;
    struct command command = write_acquire(&ask, &written);
    const struct model_policy *policy = model_policy(test->model, ask.schedule);
    struct probe probe;
    lock_table_probe(test->f.table, &command.acquire, &probe);
    test->free_slots_before = model_free_slots(test->model, ask.schedule);
    assert_int_equal(read_number(probe.group), policy == NULL ? 0 : policy->group);
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    model_acquire(test->model, &ask, test->f.context.no_growth, &test->answer);
    expect_answer(test);
    expect_probe(test, &probe);
    test->grants_in_groups += test->answer.code == OUTCOME_DONE && !test->answer.repeated && test->answer.grant.group;
    if (test->answer.code == OUTCOME_DONE) {
        if (test->answer.repeated) {
            test->repeated_acquires++;
        } else {
            test->granted++;
            assert_true(slice_equal(test->f.outcome.grant.holder, command.acquire.holder));
            assert_true(slice_equal(test->f.outcome.grant.occurrence, command.acquire.occurrence));
            assert_true(slice_equal(test->f.outcome.grant.metadata, command.acquire.metadata));
        }
    }
}

/* Mostly one that has a slot, else one of the last. */
static uint64_t draw_token(struct random_test *test, int schedule)
{
    const struct model_run *runs;
    uint64_t n_runs = (uint64_t)model_runs(test->model, schedule, &runs);
    for (int tries = 0; n_runs > 0 && tries < 8; tries++) {
        const struct model_run *run = &runs[draw_below(test, n_runs)];
        if (run->has_slot || draw_percent(test, 10)) {
            return run->token;
        }
    }
    uint64_t next = fixture_count(&test->f).next_token;
    return next - 1 - draw_below(test, next < 60 ? next : 60) + (draw_percent(test, 1) ? 3 : 0);
}

struct renewal {
    int schedule;
    char id[16];
    struct renew_command command;
};

static void draw_renewal(struct random_test *test, struct renewal *renewal)
{
    static const uint64_t ttls[] = {30000, 60000, 90000, 29999, 1, 604800000, 604800001};
    renewal->schedule = (int)draw_below(test, MODEL_SCHEDULES);
    (void)snprintf(renewal->id, sizeof renewal->id, "schedule.%d", renewal->schedule);
    renewal->command = (struct renew_command){.schedule_id = slice_of(renewal->id),
                                              .token = draw_token(test, renewal->schedule),
                                              .has_ttl = draw_percent(test, 60),
                                              .ttl_ms = ttls[draw_below(test, draw_percent(test, 80) ? 3 : 7)]};
}

static void expect_renewal(struct random_test *test, const struct renewal *renewal)
{
    const struct renew_command *command = &renewal->command;
    model_renew(test->model, renewal->schedule, command->token, command->has_ttl, command->ttl_ms, &test->answer);
    expect_answer(test);
    test->renewed += test->answer.code == OUTCOME_DONE;
}

static void do_renew(struct random_test *test)
{
    struct renewal renewal;
    draw_renewal(test, &renewal);
    const struct command command = {.kind = COMMAND_RENEW, .renew = renewal.command};
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    expect_renewal(test, &renewal);
}

/* Each result is what the renewal alone would have come to, at its place. */
static void do_renew_batch(struct random_test *test)
{
    struct renewal renewals[8];
    struct renew_command commands[8];
    size_t n = 1 + (size_t)draw_below(test, 8);
    for (size_t i = 0; i < n; i++) {
        draw_renewal(test, &renewals[i]);
        commands[i] = renewals[i].command;
    }
    struct command command = {.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = commands, .n_renewals = n}};
    struct outcome outcome;
    lock_table_apply(test->f.table, &test->f.context, &command, &outcome);
    expect_code(&outcome, OUTCOME_DONE);
    assert_true(outcome_answers(&outcome, &command));
    assert_int_equal(outcome.n_results, n);
    for (size_t i = 0; i < n; i++) {
        test->f.outcome = outcome.results[i];
        expect_renewal(test, &renewals[i]);
        expect_text(test->f.outcome.grant.metadata, NULL);
    }
    test->batches++;
}

static void do_release(struct random_test *test)
{
    static const enum run_outcome outcomes[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED};
    int schedule = (int)draw_below(test, MODEL_SCHEDULES);
    uint64_t token = draw_token(test, schedule);
    bool has_outcome = draw_percent(test, 90);
    enum run_outcome outcome = outcomes[draw_below(test, 3)];
    char id[16];
    (void)snprintf(id, sizeof id, "schedule.%d", schedule);
    struct command command = {.kind = COMMAND_RELEASE};
    command.release = (struct release_command){slice_of(id), token, has_outcome, outcome};
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    model_release(test->model, schedule, token, has_outcome, outcome, &test->answer);
    expect_answer(test);
    const struct model_answer *answer = &test->answer;
    bool was_revoked = answer->has_run && answer->run.outcome == RUN_REVOKED;
    test->repeated_releases += answer->code == OUTCOME_DONE && answer->repeated;
    test->revoked_released += answer->code == OUTCOME_DONE && was_revoked;
    test->late_successes += answer->code == OUTCOME_LOCK_LOST && answer->run.late_outcome == RUN_SUCCEEDED;
    test->late_releases_of_revoked += answer->code == OUTCOME_LOCK_LOST && was_revoked;
}

static void do_revoke(struct random_test *test)
{
    struct model_revocation revocation = {.schedule = (int)draw_below(test, MODEL_SCHEDULES),
                                          .force = draw_percent(test, 40),
                                          .actor = 1 + (int)draw_below(test, 9)};
    revocation.token = draw_percent(test, 80) ? draw_token(test, revocation.schedule) : 0;
    char id[16];
    char actor[16];
    (void)snprintf(id, sizeof id, "schedule.%d", revocation.schedule);
    (void)snprintf(actor, sizeof actor, "actor-%d", revocation.actor);
    struct command command = {.kind = COMMAND_REVOKE};
    command.revoke = (struct revoke_command){.schedule_id = slice_of(id),
                                             .actor = slice_of(actor),
                                             .reason = slice_of(actor),
                                             .token = revocation.token,
                                             .force = revocation.force};
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    model_revoke(test->model, &revocation, &test->answer);
    expect_answer(test);
    test->revoked += test->answer.n_revoked > 0 && !test->answer.repeated;
    test->revoked_again += test->answer.repeated;
}

static void do_put(struct random_test *test)
{
    static const uint64_t estimates[] = {0, 0, 0, 5000, 30000};
    static const uint64_t margins[] = {30000, 30000, 10000, 0, 60000};
    static const uint64_t longest[] = {604800000, 604800000, 604800000, 120000, 95000};
    static const uint64_t holds[] = {0, 0, 0, 500, 30000};
    static const int slots[] = {1, 2, 3, 20, 256};
    static const uint32_t attempts[] = {1, 1, 2, 3, 1000000};
    static const uint64_t expected[] = {0, 0, 1, 60000, 9007199254740991};
    int schedule = (int)draw_below(test, MODEL_SCHEDULES);
    struct model_policy policy = {.estimate_ms = estimates[draw_below(test, 5)],
                                  .margin_ms = margins[draw_below(test, 5)],
                                  .longest_ttl_ms = longest[draw_below(test, 5)],
                                  .min_hold_ms = holds[draw_below(test, 5)],
                                  .slots = slots[draw_below(test, 5)],
                                  .max_attempts = attempts[draw_below(test, 5)],
                                  .expected_every_ms = expected[draw_below(test, 5)],
                                  .group = draw_percent(test, 50) ? 1 + (int)draw_below(test, MODEL_GROUPS) : 0};
    char id[16];
    char group[16];
    (void)snprintf(id, sizeof id, "schedule.%d", schedule);
    (void)snprintf(group, sizeof group, "group-%d", policy.group);
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){.schedule_id = slice_of(id),
                                                         .policy = {.estimate_ms = policy.estimate_ms,
                                                                    .margin_ms = policy.margin_ms,
                                                                    .max_ttl_ms = policy.longest_ttl_ms,
                                                                    .min_hold_ms = policy.min_hold_ms,
                                                                    .slots = (uint32_t)policy.slots,
                                                                    .max_attempts = policy.max_attempts,
                                                                    .expected_every_ms = policy.expected_every_ms,
                                                                    .group = slice_of(policy.group ? group : NULL),
                                                                    .description = slice_of("made at random")}};
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    model_put(test->model, schedule, &policy, test->f.context.no_growth, &test->answer);
    expect_answer(test);
    test->policies_set += test->answer.code == OUTCOME_DONE;
}

static void do_delete(struct random_test *test)
{
    int schedule = (int)draw_below(test, MODEL_SCHEDULES);
    char id[16];
    (void)snprintf(id, sizeof id, "schedule.%d", schedule);
    struct command command = {.kind = COMMAND_DELETE_SCHEDULE};
    command.delete_schedule.schedule_id = slice_of(id);
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    model_delete(test->model, schedule, &test->answer);
    expect_answer(test);
    test->policies_deleted += test->answer.code == OUTCOME_DONE;
}

static void do_group(struct random_test *test)
{
    static const uint32_t slots[] = {0, 1, 2, 5, 20, 80, 10000};
    int group = 1 + (int)draw_below(test, MODEL_GROUPS);
    char name[24]; /* room for any int */
    (void)snprintf(name, sizeof name, "group-%d", group);
    bool is_put = draw_percent(test, 60);
    struct command command = {.kind = is_put ? COMMAND_PUT_GROUP : COMMAND_DELETE_GROUP};
    if (is_put) {
        command.put_group = (struct put_group_command){slice_of(name), slots[draw_below(test, 7)]};
        model_put_group(test->model, group, command.put_group.slots, test->f.context.no_growth, &test->answer);
    } else {
        command.delete_group.name = slice_of(name);
        model_delete_group(test->model, group, &test->answer);
    }
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    expect_answer(test);
    assert_true(outcome_answers(&test->f.outcome, &command));
    *(is_put ? &test->groups_set : &test->groups_deleted) += test->answer.code == OUTCOME_DONE;
}

static void do_freeze(struct random_test *test)
{
    static const uint64_t ttls[] = {1, 100, 400, 1000, 2000, 30000, 300000};
    int scope = (int)draw_below(test, MODEL_SCOPES);
    uint64_t choices = scope < MODEL_ONE_SCHEDULE ? 5 : 7; /* all at once aren't frozen for long */
    struct model_freeze freeze = {.ttl_ms = ttls[draw_below(test, choices)], .actor = 1 + (int)draw_below(test, 9)};
    char text[24];
    char actor[16];
    write_scope(text, scope);
    (void)snprintf(actor, sizeof actor, "actor-%d", freeze.actor);
    bool is_put = draw_percent(test, 70);
    struct command command = {.kind = is_put ? COMMAND_PUT_FREEZE : COMMAND_DELETE_FREEZE};
    if (is_put) {
        command.put_freeze =
            (struct put_freeze_command){slice_of(text), slice_of(actor), slice_of(actor), freeze.ttl_ms};
        model_put_freeze(test->model, scope, &freeze, test->f.context.no_growth, &test->answer);
    } else {
        command.delete_freeze.scope = slice_of(text);
        model_delete_freeze(test->model, scope, &test->answer);
    }
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    expect_answer(test);
    assert_true(outcome_answers(&test->f.outcome, &command));
    *(is_put ? &test->freezes_set : &test->freezes_deleted) += test->answer.code == OUTCOME_DONE;
}

static void begin_entry(struct random_test *test)
{
    uint64_t step_ms = draw_below(test, 400);
    if (draw_percent(test, 1)) {
        step_ms = draw_below(test, 60000);
    }
    if (draw_below(test, 800) == 0) {
        step_ms = draw_below(test, 45ull * 24 * 3600 * 1000);
    }
    if (draw_percent(test, 5)) { /* exactly when the next thing ends, or just before */
        uint64_t next_ms = model_count(test->model).next_end_ms - draw_below(test, 2);
        step_ms = next_ms - test->f.now_ms < 100000 ? next_ms - test->f.now_ms : step_ms;
    }
    test->f.now_ms += step_ms;
    uint64_t back_ms = draw_percent(test, 5) ? draw_below(test, 5000) : 0; /* a proposer whose clock is behind */
    test->f.context = (struct apply_context){.index = test->f.context.index + 1,
                                             .now_ms = test->f.now_ms > back_ms ? test->f.now_ms - back_ms : 0,
                                             .wall_ms = (int64_t)draw_below(test, 1ull << 41),
                                             .no_growth = draw_percent(test, 3)};
    test->f.now_ms = test->f.context.now_ms > fixture_count(&test->f).now_ms ? test->f.context.now_ms
                                                                             : fixture_count(&test->f).now_ms;
    test->told.next_number = 0;
    lock_table_advance(test->f.table, &test->f.context);
    model_advance(test->model, test->f.context.now_ms);
    expect_events(test);
    expect_counts(test);
}

static void go_on_from_a_copy(struct random_test *test)
{
    struct lock_table *copy = table_copy(test->f.table);
    expect_equal_digests(test->f.table, copy);
    lock_table_close(test->f.table);
    test->f.table = copy;
    listen(test);
    test->copies++;
}

struct tally {
    const char *what;
    uint64_t n;
    uint64_t least;
};

static void expect_enough(const struct tally *tallies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_message("%8llu %s\n", (unsigned long long)tallies[i].n, tallies[i].what);
    }
    for (size_t i = 0; i < n; i++) {
        if (tallies[i].n < tallies[i].least) {
            fail_msg("too little of: %s", tallies[i].what);
        }
    }
}

#define CODE(name, minimum)                                                                                            \
    {                                                                                                                  \
        .what = #name, .n = test->codes[OUTCOME_##name], .least = (minimum)                                            \
    }

static void expect_enough_of_everything(const struct random_test *test)
{
    struct model_counts counts = model_count(test->model);
    const struct tally codes[] = {
        CODE(DONE, 20000),
        CODE(INVALID_FIELD, 2000),
        CODE(IDEMPOTENCY_CONFLICT, 500),
        CODE(GRANT_ENDED, 500),
        CODE(TTL_TOO_SHORT, 2000),
        CODE(TTL_TOO_LONG, 1000),
        CODE(OCCURRENCE_DONE, 2000),
        CODE(ATTEMPTS_EXHAUSTED, 1000),
        CODE(LOCK_HELD, 5000),
        CODE(COOLING_DOWN, 1000),
        CODE(CAPACITY, 300),
        CODE(LOCK_LOST, 5000),
        CODE(NOT_FOUND, 200),
        CODE(FROZEN, 1000),
        CODE(GROUP_FULL, 1000),
        CODE(UNKNOWN_GROUP, 50),
        CODE(GROUP_IN_USE, 300),
    };
    const struct tally events[] = {
        {"granted", test->granted, 10000},
        {"acquires repeated", test->repeated_acquires, 500},
        {"renewed", test->renewed, 3000},
        {"releases repeated", test->repeated_releases, 500},
        {"late successes", test->late_successes, 200},
        {"below a floor", test->below_floor, 500},
        {"policies set", test->policies_set, 3000},
        {"policies deleted", test->policies_deleted, 1000},
        {"revoked", test->revoked, 2000},
        {"revoked again", test->revoked_again, 200},
        {"released after they were revoked", test->revoked_released, 500},
        {"released too late after they were revoked", test->late_releases_of_revoked, 200},
        {"refusals with several holders", test->more_than_one_slot, 2000},
        {"more runs kept than usual", test->more_runs_than_usual, 500},
        {"grants expired", counts.expired, 1000},
        {"schedules forgotten", counts.forgotten, 20},
        {"copies", test->copies, 50},
        {"batches of renewals", test->batches, 2000},
        {"grants in groups", test->grants_in_groups, 2000},
        {"groups set", test->groups_set, 500},
        {"groups deleted", test->groups_deleted, 30},
        {"freezes set", test->freezes_set, 1000},
        {"freezes deleted", test->freezes_deleted, 20},
        {"freezes whose time was over", counts.thawed, 500},
        {"probes", test->probes, 50000},
        {"schedules seen to be overdue", test->overdue, 500},
        {"events of grants", test->told_of[EVENT_GRANTED], 10000},
        {"events of renewals", test->told_of[EVENT_RENEWED], 5000},
        {"events of releases", test->told_of[EVENT_RELEASED], 5000},
        {"events of expiries", test->told_of[EVENT_EXPIRED], 1000},
        {"events of revocations", test->told_of[EVENT_REVOKED], 2000},
        {"events of policies", test->told_of[EVENT_POLICY], 3000},
        {"events of groups", test->told_of[EVENT_GROUP], 500},
        {"events of freezes", test->told_of[EVENT_FREEZE], 1000},
    };
    expect_enough(codes, sizeof codes / sizeof codes[0]);
    expect_enough(events, sizeof events / sizeof events[0]);
}

static void do_anything(struct random_test *test)
{
    uint64_t kind = draw_below(test, 100);
    if (kind < 50) {
        do_acquire(test);
    } else if (kind < 67) {
        do_release(test);
    } else if (kind < 79) {
        do_renew(test);
    } else if (kind < 82) {
        do_renew_batch(test);
    } else if (kind < 88) {
        do_revoke(test);
    } else if (kind < 93) {
        do_put(test);
    } else if (kind < 96) {
        do_delete(test);
    } else if (kind < 98) {
        do_group(test);
    } else {
        do_freeze(test);
    }
    expect_events(test);
}

static void the_table_answers_as_the_model_does(void **state)
{
    (void)state;
    const char *seed = getenv("BATON_SEED");
    static struct random_test test;
    test.random = seed == NULL ? 20260714 : strtoull(seed, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)test.random);
    fixture_open_newest(&test.f);
    listen(&test);
    test.model = model_open();
    model_advance(test.model, test.f.now_ms);
    for (int i = 0; i < COMMANDS;) {
        begin_entry(&test);
        for (uint64_t commands = draw_below(&test, 4); commands > 0; commands--, i++) {
            do_anything(&test);
        }
        if (draw_percent(&test, 10)) {
            expect_view(&test, (int)draw_below(&test, MODEL_SCHEDULES));
        }
        if (draw_below(&test, 1000) == 0) {
            go_on_from_a_copy(&test);
        }
        if (draw_below(&test, 100) == 0) {
            lock_table_check(test.f.table);
        }
    }
    expect_enough_of_everything(&test);
    model_close(test.model);
    fixture_close(&test.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_answers_as_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
