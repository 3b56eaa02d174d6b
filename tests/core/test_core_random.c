/* 200,000 random commands against the lock table and against the model: every answer is the same. Now and then the table
 * is thrown away and goes on from an image of it. The seed is printed; BATON_SEED sets another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COMMANDS = 200000, ASKS = 5 };

struct random_test {
    struct fixture f;
    struct model *model;
    uint64_t random;
    int next_key;
    struct model_ask asks[MODEL_SCHEDULES][ASKS]; /* sent lately */
    int n_asks[MODEL_SCHEDULES];
    int64_t hour[MODEL_SCHEDULES]; /* the schedule's planned instants have come this far */
    /* how often each thing happened */
    unsigned codes[32];
    unsigned granted;
    unsigned repeated_acquires;
    unsigned repeated_releases;
    unsigned renewed;
    unsigned late_successes;
    unsigned below_floor;
    unsigned copies;
};

/* splitmix64 */
static uint64_t draw(struct random_test *test)
{
    uint64_t z = test->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t draw_below(struct random_test *test, uint64_t bound)
{
    return draw(test) % bound;
}

static bool draw_percent(struct random_test *test, unsigned percent)
{
    return draw_below(test, 100) < percent;
}

/* ---- what clients write ---- */

struct written {
    char id[16];
    char holder[16];
    char key[16];
    char occurrence[48];
    char metadata[24];
};

/* Instant n is n hours after 2026-01-01; every spelling of it is valid. */
static void write_instant(char text[48], int64_t number, int spelling)
{
    static const int offsets[] = {0, 0, 7200, -19800, 0};
    static const char *const endings[] = {"Z", "z", "+02:00", "-05:30", ".000Z"};
    time_t local = (time_t)(1767225600 + number * 3600 + offsets[spelling]);
    struct tm tm;
    CHECK(gmtime_r(&local, &tm) != NULL);
    size_t len = strftime(text, 48, spelling == 1 ? "%Y-%m-%dt%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + len, 48 - len, "%s", endings[spelling]);
}

/* Strings that look a little like instants, too. */
static void write_string(char text[48], int64_t number)
{
    static const char *const forms[] = {"run-%lld", "2026-02-30T00:00:00Z-%lld", "2026-01-01T00:00:%lldZ"};
    (void)snprintf(text, 48, forms[number % 3], (long long)number + 61);
}

static struct command write_acquire(const struct model_ask *ask, struct written *written)
{
    struct command command = {.kind = COMMAND_ACQUIRE};
    (void)snprintf(written->id, sizeof written->id, "schedule.%d", ask->schedule);
    (void)snprintf(written->holder, sizeof written->holder, "holder-%d", ask->holder);
    (void)snprintf(written->key, sizeof written->key, "key-%d", ask->key);
    (void)snprintf(written->metadata, sizeof written->metadata, "{\"n\":%d}", ask->metadata);
    if (ask->occurrence.kind == MODEL_INSTANT) {
        write_instant(written->occurrence, ask->occurrence.number, ask->spelling);
    } else {
        write_string(written->occurrence, ask->occurrence.number);
    }
    command.acquire = (struct acquire_command){
        .schedule_id = slice_of(written->id),
        .holder = slice_of(written->holder),
        .idempotency_key = slice_of(written->key),
        .occurrence = slice_of(ask->occurrence.kind == MODEL_NO_OCCURRENCE ? NULL : written->occurrence),
        .metadata = slice_of(ask->metadata == 0 ? NULL : written->metadata),
        .has_ttl = ask->has_ttl,
        .ttl_ms = ask->ttl_ms,
        .has_estimate = ask->has_estimate,
        .estimate_ms = ask->estimate_ms,
    };
    return command;
}

/* ---- comparing ---- */

#define SAME(a, b)                                                                                                     \
    do {                                                                                                               \
        if ((uint64_t)(a) != (uint64_t)(b)) {                                                                          \
            fail_msg("entry %llu: %s is %llu, but %s is %llu", (unsigned long long)test->f.context.index, #a,          \
                     (unsigned long long)(a), #b, (unsigned long long)(b));                                            \
        }                                                                                                              \
    } while (0)

static void expect_answer(struct random_test *test, const struct model_answer *model)
{
    const struct outcome *table = &test->f.outcome;
    if (table->code != model->code) {
        fail_msg("entry %llu: the table says %s, the model %s", (unsigned long long)test->f.context.index,
                 outcome_code_name(table->code), outcome_code_name(model->code));
    }
    SAME(table->repeated, model->repeated);
    SAME(table->has_grant, model->grant_token != 0);
    if (table->has_grant) {
        SAME(table->grant.token, model->grant_token);
        SAME(table->grant.ttl_ms, model->ttl_ms);
        SAME(table->grant.remaining_ms, model->remaining_ms);
        SAME(table->grant.attempt, model->attempt);
        SAME(table->grant.expires_wall_ms, test->f.context.wall_ms + (int64_t)model->remaining_ms);
    }
    SAME(table->has_run, model->run_token != 0);
    if (table->has_run) {
        SAME(table->run.token, model->run_token);
        SAME(table->run.outcome, model->run_outcome);
        SAME(table->run.late_outcome == RUN_SUCCEEDED, model->run_has_late_success);
        SAME(table->run.duration_ms, model->run_duration_ms);
    }
    SAME(table->n_holders, model->holder_token != 0 ? 1 : 0);
    if (table->n_holders == 1) {
        SAME(table->holders[0].token, model->holder_token);
        SAME(table->holders[0].remaining_ms, model->holder_remaining_ms);
    }
    SAME(table->minimum_ms, model->minimum_ms);
    test->codes[table->code]++;
    test->below_floor += model->below_floor;
}

static void expect_counts(struct random_test *test)
{
    struct lock_table_counts counts = fixture_count(&test->f);
    SAME(counts.held, model_held(test->model));
    SAME(counts.schedules, model_remembered(test->model));
    SAME(lock_table_next_deadline(test->f.table), model_next_end_ms(test->model));
}

/* ---- what happens ---- */

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
    ask.holder = (int)draw_below(test, 5);
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
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    struct model_answer answer = model_acquire(test->model, &ask, test->f.context.no_growth);
    expect_answer(test, &answer);
    if (answer.code == OUTCOME_DONE) {
        if (answer.repeated) {
            test->repeated_acquires++;
        } else {
            test->granted++;
            assert_true(slice_equal(test->f.outcome.grant.holder, command.acquire.holder));
            assert_true(slice_equal(test->f.outcome.grant.occurrence, command.acquire.occurrence));
            assert_true(slice_equal(test->f.outcome.grant.metadata, command.acquire.metadata));
        }
    }
}

/* Mostly the one that is live, else one of the last. */
static uint64_t draw_token(struct random_test *test, int schedule)
{
    uint64_t live = model_live_token(test->model, schedule);
    if (live != 0 && draw_percent(test, 70)) {
        return live;
    }
    uint64_t next = fixture_count(&test->f).next_token;
    return next - 1 - draw_below(test, next < 60 ? next : 60) + (draw_percent(test, 1) ? 3 : 0);
}

static void do_renew(struct random_test *test)
{
    static const uint64_t ttls[] = {30000, 60000, 90000, 29999, 1, 604800000, 604800001};
    int schedule = (int)draw_below(test, MODEL_SCHEDULES);
    uint64_t token = draw_token(test, schedule);
    bool has_ttl = draw_percent(test, 60);
    uint64_t ttl_ms = ttls[draw_below(test, draw_percent(test, 80) ? 3 : 7)];
    char id[16];
    (void)snprintf(id, sizeof id, "schedule.%d", schedule);
    struct command command = {.kind = COMMAND_RENEW};
    command.renew = (struct renew_command){slice_of(id), token, has_ttl, ttl_ms};
    lock_table_apply(test->f.table, &test->f.context, &command, &test->f.outcome);
    struct model_answer answer = model_renew(test->model, schedule, token, has_ttl, ttl_ms);
    expect_answer(test, &answer);
    test->renewed += answer.code == OUTCOME_DONE;
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
    struct model_answer answer = model_release(test->model, schedule, token, has_outcome, outcome);
    expect_answer(test, &answer);
    test->repeated_releases += answer.code == OUTCOME_DONE && answer.repeated;
    test->late_successes += answer.code == OUTCOME_LOCK_LOST && answer.run_has_late_success;
}

static void begin_entry(struct random_test *test)
{
    uint64_t step_ms = draw_below(test, 400);
    if (draw_percent(test, 1)) {
        step_ms = draw_below(test, 60000);
    }
    if (draw_below(test, 1500) == 0) {
        step_ms = draw_below(test, 45ull * 24 * 3600 * 1000);
    }
    if (draw_percent(test, 5)) { /* exactly when the next thing ends, or just before */
        uint64_t next_ms = model_next_end_ms(test->model) - draw_below(test, 2);
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
    lock_table_advance(test->f.table, &test->f.context);
    model_advance(test->model, test->f.context.now_ms);
    expect_counts(test);
}

static void go_on_from_a_copy(struct random_test *test)
{
    struct lock_table *copy = table_copy(test->f.table);
    expect_equal_digests(test->f.table, copy);
    lock_table_close(test->f.table);
    test->f.table = copy;
    test->copies++;
}

static void expect_enough_of_everything(const struct random_test *test)
{
    static const struct {
        enum outcome_code code;
        unsigned least;
    } least[] = {
        {OUTCOME_DONE, 20000},           {OUTCOME_INVALID_FIELD, 2000},      {OUTCOME_IDEMPOTENCY_CONFLICT, 500},
        {OUTCOME_GRANT_ENDED, 500},      {OUTCOME_TTL_TOO_SHORT, 2000},      {OUTCOME_TTL_TOO_LONG, 1000},
        {OUTCOME_OCCURRENCE_DONE, 5000}, {OUTCOME_ATTEMPTS_EXHAUSTED, 5000}, {OUTCOME_LOCK_HELD, 5000},
        {OUTCOME_CAPACITY, 300},         {OUTCOME_LOCK_LOST, 10000},
    };
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
        print_message("%8u %s\n", test->codes[least[i].code], outcome_code_name(least[i].code));
    }
    print_message("%8u granted, %u repeated; %u renewed; %u releases repeated; %llu expired; %u late successes; "
                  "%u below a floor; %llu schedules forgotten; %u copies\n",
                  test->granted, test->repeated_acquires, test->renewed, test->repeated_releases,
                  (unsigned long long)model_expired(test->model), test->late_successes, test->below_floor,
                  (unsigned long long)model_forgotten(test->model), test->copies);
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
        assert_true(test->codes[least[i].code] >= least[i].least);
    }
    assert_true(test->granted >= 10000 && test->repeated_acquires >= 500 && test->renewed >= 5000);
    assert_true(test->repeated_releases >= 1000 && test->late_successes >= 200 && test->below_floor >= 500);
    assert_true(model_expired(test->model) >= 1000 && model_forgotten(test->model) >= 20 && test->copies >= 50);
}

static void the_table_answers_as_the_model_does(void **state)
{
    (void)state;
    const char *seed = getenv("BATON_SEED");
    static struct random_test test;
    test.random = seed == NULL ? 20260714 : strtoull(seed, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)test.random);
    fixture_open(&test.f);
    test.model = model_open();
    for (int i = 0; i < COMMANDS;) {
        begin_entry(&test);
        for (uint64_t commands = draw_below(&test, 4); commands > 0; commands--, i++) {
            uint64_t kind = draw_below(&test, 100);
            if (kind < 55) {
                do_acquire(&test);
            } else if (kind < 80) {
                do_release(&test);
            } else {
                do_renew(&test);
            }
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
