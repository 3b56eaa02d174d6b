#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "random_test.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* splitmix64 */
static uint64_t draw(struct random_test *test)
{
    uint64_t z = test->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t draw_below(struct random_test *test, uint64_t bound)
{
    return draw(test) % bound;
}

bool draw_percent(struct random_test *test, unsigned percent)
{
    return draw_below(test, 100) < percent;
}

/* ---- what clients write ---- */

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

struct command write_acquire(const struct model_ask *ask, struct written *written)
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

void write_scope(char text[24], int scope)
{
    static const char *const wide[] = {"*", "schedule.*", "schedule.1*"};
    if (scope < MODEL_ONE_SCHEDULE) {
        (void)snprintf(text, 24, "%s", wide[scope]);
    } else {
        (void)snprintf(text, 24, "schedule.%d", scope - MODEL_ONE_SCHEDULE);
    }
}

/* ---- listening ---- */

int read_number(struct slice text)
{
    char digits[64] = {0};
    assert_true(text.len < sizeof digits);
    if (slice_is_present(text)) {
        memcpy(digits, text.base, text.len);
    }
    const char *at = digits + strcspn(digits, "0123456789");
    return (int)strtol(at, NULL, 10);
}

static int scope_of(struct slice text)
{
    for (int scope = 0; scope < MODEL_SCOPES; scope++) {
        char name[24];
        write_scope(name, scope);
        if (slice_equal(text, slice_of(name))) {
            return scope;
        }
    }
    fail_msg("an unknown scope");
    return -1;
}

static void read_run(struct model_event *read, const struct run_view *run)
{
    read->subject = read_number(run->schedule_id);
    read->token = run->token;
    read->outcome = run->outcome;
    read->late_outcome = run->late_outcome;
    read->is_newly_revoked = run->is_newly_revoked;
    read->is_newly_freed = run->is_newly_freed;
}

static void read_event(struct model_event *read, const struct event *event)
{
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        read->subject = read_number(event->grant.schedule_id);
        read->token = event->grant.token;
        expect_text(event->grant.metadata, NULL);
        break;
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        read_run(read, &event->run);
        break;
    case EVENT_POLICY:
        read->subject = read_number(event->policy.schedule_id);
        break;
    case EVENT_GROUP:
        read->subject = read_number(event->of_group.name);
        break;
    case EVENT_FREEZE:
        read->subject = scope_of(event->freeze.scope);
        break;
    }
}

static void hear(void *arg, const struct event *event)
{
    struct random_test *test = arg;
    struct told *told = &test->told;
    assert_true(told->n < MODEL_EVENTS);
    assert_int_equal(event->index, test->f.context.index);
    assert_int_equal(event->wall_ms, test->f.context.wall_ms);
    assert_int_equal(event->number, told->next_number++);
    struct model_event *read = &told->events[told->n++];
    *read = (struct model_event){.kind = event->kind, .is_gone = event->is_gone, .group = read_number(event->group)};
    read_event(read, event);
}

void listen(struct random_test *test)
{
    lock_table_observe(test->f.table, hear, test);
}

/* ---- comparing ---- */

#define SAME(a, b)                                                                                                     \
    do {                                                                                                               \
        if ((uint64_t)(a) != (uint64_t)(b)) {                                                                          \
            fail_msg("entry %llu: %s is %llu, but %s is %llu", (unsigned long long)test->f.context.index, #a,          \
                     (unsigned long long)(a), #b, (unsigned long long)(b));                                            \
        }                                                                                                              \
    } while (0)

void expect_events(struct random_test *test)
{
    const struct model_event *events;
    int n = model_events(test->model, &events);
    SAME(test->told.n, n);
    for (int i = 0; i < n; i++) {
        const struct model_event *told = &test->told.events[i];
        SAME(told->kind, events[i].kind);
        SAME(told->subject, events[i].subject);
        SAME(told->token, events[i].token);
        SAME(told->outcome, events[i].outcome);
        SAME(told->late_outcome, events[i].late_outcome);
        SAME(told->group, events[i].group);
        SAME(told->is_gone, events[i].is_gone);
        SAME(told->is_newly_revoked, events[i].is_newly_revoked);
        SAME(told->is_newly_freed, events[i].is_newly_freed);
        test->told_of[told->kind]++;
    }
    test->told.n = 0;
}

static void expect_name(struct slice text, const char *what, int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s%d", what, number);
    expect_text(text, name);
}

void expect_probe(struct random_test *test, const struct probe *probe)
{
    bool lacks_room = test->answer.code == OUTCOME_CAPACITY; /* of which a probe knows nothing */
    SAME(probe->code, lacks_room ? OUTCOME_DONE : test->answer.code);
    SAME(probe->remaining_ms, test->answer.cool_ms);
    if (test->answer.code == OUTCOME_DONE) {
        SAME(probe->free_slots, test->free_slots_before);
    }
    test->probes++;
}

static void expect_grant(struct random_test *test)
{
    const struct grant_view *grant = &test->f.outcome.grant;
    const struct model_run *model = &test->answer.grant;
    uint64_t remaining_ms = model->deadline_ms - test->f.now_ms;
    SAME(grant->token, model->token);
    SAME(grant->ttl_ms, model->ttl_ms);
    SAME(grant->remaining_ms, remaining_ms);
    SAME(grant->attempt, model->attempt);
    SAME(grant->expires_wall_ms, test->f.context.wall_ms + (int64_t)remaining_ms);
    SAME(grant->is_revoking, false);
    expect_name(grant->schedule_id, "schedule.", model->ask.schedule);
    expect_name(grant->holder, "holder-", model->ask.holder);
}

static void expect_run(struct random_test *test, const struct run_view *run, const struct model_run *model)
{
    SAME(run->token, model->token);
    SAME(run->outcome, model->outcome);
    SAME(run->late_outcome, model->late_outcome);
    SAME(run->duration_ms, model->outcome == RUN_RUNNING ? 0 : model->ended_ms - model->granted_ms);
    SAME(run->attempt, model->attempt);
    expect_name(run->schedule_id, "schedule.", model->ask.schedule);
    expect_name(run->holder, "holder-", model->ask.holder);
    char name[16];
    (void)snprintf(name, sizeof name, "actor-%d", model->actor);
    expect_text(run->actor, model->actor == 0 ? NULL : name);
    expect_text(run->reason, model->actor == 0 ? NULL : name);
}

static void expect_holders(struct random_test *test)
{
    const struct outcome *table = &test->f.outcome;
    SAME(table->n_holders, test->answer.n_holders);
    if (table->n_holders > 0) {
        SAME(table->holders[0].token, test->answer.holder_token);
        SAME(table->holders[0].remaining_ms, test->answer.holder_deadline_ms - test->f.now_ms);
    }
    for (size_t i = 1; i < table->n_holders; i++) {
        const struct grant_view *holder = &table->holders[i];
        assert_true(table->code == OUTCOME_GROUP_FULL ? holder->token > holder[-1].token
                                                      : holder->remaining_ms >= holder[-1].remaining_ms);
    }
    test->more_than_one_slot += table->n_holders > 1;
}

static void expect_group(struct random_test *test)
{
    const struct outcome *table = &test->f.outcome;
    const struct model_answer *model = &test->answer;
    SAME(table->has_group, model->group != 0);
    if (table->has_group) {
        expect_name(table->group.name, "group-", model->group);
        SAME(table->group.slots, model->group_slots);
        SAME(table->group.held, model->group_held);
        SAME(table->group.schedules, model->group_schedules);
    }
}

static void expect_freeze(struct random_test *test)
{
    const struct outcome *table = &test->f.outcome;
    const struct model_answer *model = &test->answer;
    SAME(table->has_freeze, model->has_freeze);
    if (table->has_freeze) {
        uint64_t remaining_ms = model->freeze.deadline_ms - test->f.now_ms;
        SAME(scope_of(table->freeze.scope), model->scope);
        SAME(table->freeze.ttl_ms, model->freeze.ttl_ms);
        SAME(table->freeze.remaining_ms, remaining_ms);
        SAME(table->freeze.expires_wall_ms, test->f.context.wall_ms + (int64_t)remaining_ms);
        expect_name(table->freeze.actor, "actor-", model->freeze.actor);
        expect_name(table->freeze.reason, "actor-", model->freeze.actor);
    }
}

void expect_answer(struct random_test *test)
{
    const struct outcome *table = &test->f.outcome;
    const struct model_answer *model = &test->answer;
    if (table->code != model->code) {
        fail_msg("entry %llu: the table says %s, the model %s", (unsigned long long)test->f.context.index,
                 outcome_code_name(table->code), outcome_code_name(model->code));
    }
    SAME(table->repeated, model->repeated);
    SAME(table->has_grant, model->has_grant);
    if (table->has_grant) {
        expect_grant(test);
    }
    SAME(table->has_run, model->has_run);
    if (table->has_run) {
        expect_run(test, &table->run, &model->run);
    }
    SAME(table->n_runs, model->n_revoked);
    for (size_t i = 0; i < table->n_runs; i++) {
        expect_run(test, &table->runs[i], &model->revoked[i]);
    }
    expect_holders(test);
    expect_group(test);
    expect_freeze(test);
    SAME(table->minimum_ms, model->minimum_ms);
    SAME(table->maximum_ms, model->maximum_ms);
    SAME(table->remaining_ms, model->cool_ms);
    test->codes[table->code]++;
    test->below_floor += model->below_floor;
}

void expect_counts(struct random_test *test)
{
    struct lock_table_counts counts = fixture_count(&test->f);
    struct model_counts model = model_count(test->model);
    SAME(counts.held, model.held);
    SAME(counts.schedules, model.remembered);
    SAME(counts.policies, model.policies);
    SAME(counts.groups, model.groups);
    SAME(counts.freezes, model.freezes);
    SAME(lock_table_next_deadline(test->f.table), model.next_end_ms);
    SAME(lock_table_next_lock_deadline(test->f.table), model.next_lock_end_ms);
}

void expect_view(struct random_test *test, int schedule)
{
    static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    char id[16];
    (void)snprintf(id, sizeof id, "schedule.%d", schedule);
    const struct model_run *kept;
    int n_kept = model_runs(test->model, schedule, &kept);
    SAME(lock_table_runs(test->f.table, slice_of(id), SIZE_MAX, runs), n_kept);
    for (int i = 0; i < n_kept; i++) {
        expect_run(test, &runs[i], &kept[n_kept - 1 - i]);
    }
    test->more_runs_than_usual += n_kept > MODEL_KEPT_RUNS;
    const struct model_policy *policy = model_policy(test->model, schedule);
    struct policy_view view;
    SAME(lock_table_policy(test->f.table, slice_of(id), &view), policy != NULL);
    if (policy != NULL) {
        uint64_t success_ms;
        SAME(view.policy.slots, policy->slots);
        SAME(view.policy.min_hold_ms, policy->min_hold_ms);
        SAME(view.has_success, model_last_success_ms(test->model, schedule, &success_ms));
        SAME(view.overdue_ms, model_overdue_ms(test->model, schedule));
        SAME(read_number(view.policy.group), policy->group);
        test->overdue += view.overdue_ms <= test->f.now_ms;
    }
    SAME(lock_table_is_frozen(test->f.table, slice_of(id)), model_is_frozen(test->model, schedule));
}
