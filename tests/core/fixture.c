#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define WALL_AHEAD_MS 1700000000000 /* the wall clock is this much ahead of cluster time */

void fixture_open(struct fixture *fixture)
{
    *fixture = (struct fixture){.table = lock_table_open(), .now_ms = 1000};
}

void fixture_open_newest(struct fixture *fixture)
{
    fixture_open(fixture);
    struct command command = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
    expect_code(fixture_apply(fixture, &command), OUTCOME_DONE);
}

void fixture_close(struct fixture *fixture)
{
    lock_table_close(fixture->table);
}

static void begin_entry(struct fixture *fixture)
{
    fixture->context.index++;
    fixture->context.now_ms = fixture->now_ms;
    fixture->context.wall_ms = WALL_AHEAD_MS + (int64_t)fixture->now_ms;
    fixture->context.no_growth = fixture->no_growth;
    lock_table_advance(fixture->table, &fixture->context);
}

const struct outcome *fixture_apply(struct fixture *fixture, const struct command *command)
{
    begin_entry(fixture);
    struct digest128 before = lock_table_digest(fixture->table);
    lock_table_apply(fixture->table, &fixture->context, command, &fixture->outcome);
    lock_table_check(fixture->table);
    enum outcome_code code = fixture->outcome.code;
    bool may_change = (code == OUTCOME_DONE && !fixture->outcome.repeated) ||
                      (code == OUTCOME_LOCK_LOST && command->kind == COMMAND_RELEASE);
    if (!may_change) {
        struct digest128 after = lock_table_digest(fixture->table);
        assert_true(digest128_equal(&before, &after));
    }
    return &fixture->outcome;
}

const struct outcome *fixture_acquire(struct fixture *fixture, struct ask ask)
{
    char key[32];
    (void)snprintf(key, sizeof key, "made-%u", ++fixture->keys);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){
        .schedule_id = slice_of(ask.id == NULL ? "job" : ask.id),
        .holder = slice_of(ask.holder == NULL ? "h1" : ask.holder),
        .idempotency_key = slice_of(ask.key == NULL ? key : ask.key),
        .occurrence = slice_of(ask.occurrence),
        .metadata = slice_of(ask.metadata),
        .has_ttl = ask.ttl_ms != 0,
        .ttl_ms = ask.ttl_ms,
        .has_estimate = ask.estimate_ms != 0,
        .estimate_ms = ask.estimate_ms,
    };
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_renew(struct fixture *fixture, const char *id, uint64_t token, uint64_t ttl_ms)
{
    struct command command = {.kind = COMMAND_RENEW};
    command.renew =
        (struct renew_command){.schedule_id = slice_of(id), .token = token, .has_ttl = ttl_ms != 0, .ttl_ms = ttl_ms};
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_release(struct fixture *fixture, const char *id, uint64_t token, int outcome)
{
    struct command command = {.kind = COMMAND_RELEASE};
    command.release = (struct release_command){
        .schedule_id = slice_of(id), .token = token, .has_outcome = outcome != RUN_OUTCOME_NONE};
    if (command.release.has_outcome) {
        command.release.outcome = (enum run_outcome)outcome;
    }
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_put(struct fixture *fixture, const char *id, struct policy policy)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){.schedule_id = slice_of(id), .policy = policy};
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_delete(struct fixture *fixture, const char *id)
{
    struct command command = {.kind = COMMAND_DELETE_SCHEDULE};
    command.delete_schedule.schedule_id = slice_of(id);
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_revoke(struct fixture *fixture, struct revoke_ask ask)
{
    struct command command = {.kind = COMMAND_REVOKE};
    command.revoke = (struct revoke_command){.schedule_id = slice_of(ask.id == NULL ? "job" : ask.id),
                                             .actor = slice_of(ask.actor == NULL ? "ops" : ask.actor),
                                             .reason = slice_of(ask.reason == NULL ? "why" : ask.reason),
                                             .token = ask.token,
                                             .force = ask.force};
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_put_group(struct fixture *fixture, const char *name, uint32_t slots)
{
    struct command command = {.kind = COMMAND_PUT_GROUP};
    command.put_group = (struct put_group_command){.name = slice_of(name), .slots = slots};
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_delete_group(struct fixture *fixture, const char *name)
{
    struct command command = {.kind = COMMAND_DELETE_GROUP};
    command.delete_group.name = slice_of(name);
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_put_freeze(struct fixture *fixture, const char *scope, uint64_t ttl_ms)
{
    struct command command = {.kind = COMMAND_PUT_FREEZE};
    command.put_freeze = (struct put_freeze_command){
        .scope = slice_of(scope), .actor = slice_of("ops"), .reason = slice_of("why"), .ttl_ms = ttl_ms};
    return fixture_apply(fixture, &command);
}

const struct outcome *fixture_delete_freeze(struct fixture *fixture, const char *scope)
{
    struct command command = {.kind = COMMAND_DELETE_FREEZE};
    command.delete_freeze.scope = slice_of(scope);
    return fixture_apply(fixture, &command);
}

void fixture_join(struct fixture *fixture, const char *id, const char *group, uint32_t slots)
{
    struct policy policy = policy_default();
    policy.slots = slots;
    policy.group = slice_of(group);
    expect_code(fixture_put(fixture, id, policy), OUTCOME_DONE);
}

void fixture_tick(struct fixture *fixture)
{
    struct command command = {.kind = COMMAND_NOOP};
    expect_code(fixture_apply(fixture, &command), OUTCOME_DONE);
}

uint64_t fixture_grant(struct fixture *fixture, struct ask ask)
{
    const struct outcome *outcome = fixture_acquire(fixture, ask);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_grant);
    assert_false(outcome->repeated);
    return outcome->grant.token;
}

const struct outcome *fixture_try(struct fixture *fixture, const char *occurrence)
{
    return fixture_acquire(fixture, (struct ask){.occurrence = occurrence, .ttl_ms = MINUTE_MS});
}

uint64_t fixture_run(struct fixture *fixture, const char *occurrence, enum run_outcome outcome)
{
    uint64_t token = fixture_grant(fixture, (struct ask){.occurrence = occurrence, .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(fixture, "job", token, (int)outcome), OUTCOME_DONE);
    return token;
}

void fixture_run_strings(struct fixture *fixture, struct span span, enum run_outcome outcome)
{
    for (int i = span.first; i <= span.last; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "string-%d", i);
        (void)fixture_run(fixture, name, outcome);
    }
}

uint64_t fixture_expire(struct fixture *fixture, const char *occurrence)
{
    uint64_t token = fixture_grant(fixture, (struct ask){.occurrence = occurrence, .ttl_ms = MINUTE_MS});
    fixture->now_ms += MINUTE_MS;
    return token;
}

void fixture_slots(struct fixture *fixture, uint32_t slots)
{
    struct policy policy = policy_default();
    policy.slots = slots;
    expect_code(fixture_put(fixture, "job", policy), OUTCOME_DONE);
}

uint64_t fixture_take(struct fixture *fixture, const char *holder)
{
    return fixture_grant(fixture, (struct ask){.holder = holder, .ttl_ms = MINUTE_MS});
}

uint64_t fixture_take_many(struct fixture *fixture, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char holder[16];
        (void)snprintf(holder, sizeof holder, "h%u", i);
        (void)fixture_take(fixture, holder);
    }
    return fixture_count(fixture).next_token - n;
}

const char *instant_name(char name[32], int day)
{
    (void)snprintf(name, 32, day % 2 == 0 ? "2026-%02d-%02dT00:00:00Z" : "2026-%02d-%02dT02:00:00+02:00", 1 + day / 28,
                   1 + day % 28);
    return name;
}

struct policy policy_default(void)
{
    struct policy policy = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    return policy;
}

struct policy policy_full(void)
{
    struct policy policy = {.estimate_ms = 1000,
                            .margin_ms = 2000,
                            .max_ttl_ms = HOUR_MS,
                            .min_hold_ms = 5000,
                            .slots = 3,
                            .max_attempts = 4,
                            .description = slice_of("nightly backup")};
    return policy;
}

struct run_view fixture_kept_run(struct fixture *fixture, uint64_t token)
{
    static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    size_t n = lock_table_runs(fixture->table, slice_of("job"), sizeof runs / sizeof runs[0], runs);
    for (size_t i = 0; i < n; i++) {
        if (runs[i].token == token) {
            return runs[i];
        }
    }
    fail_msg("run %llu isn't kept", (unsigned long long)token);
    return runs[0];
}

void expect_code(const struct outcome *outcome, enum outcome_code code)
{
    assert_string_equal(outcome_code_name(outcome->code), outcome_code_name(code));
}

void expect_text(struct slice slice, const char *text)
{
    if (!slice_equal(slice, slice_of(text))) {
        fail_msg("expected \"%s\", got \"%.*s\"", text == NULL ? "(absent)" : text, SLICE_PRINT(slice));
    }
}

struct lock_table_counts fixture_count(const struct fixture *fixture)
{
    struct lock_table_counts counts;
    lock_table_count(fixture->table, &counts);
    return counts;
}

struct lock_table *table_load(struct lock_table_frozen *frozen)
{
    struct lock_table *copy = lock_table_open();
    struct table_image numbers;
    lock_table_frozen_table(frozen, &numbers);
    assert_int_equal(lock_table_load_table(copy, &numbers), ERROR_NONE);
    struct group_image group;
    struct freeze_image freeze;
    struct schedule_image schedule;
    uint64_t loaded = 0;
    while (lock_table_frozen_next_group(frozen, &group)) {
        assert_int_equal(lock_table_load_group(copy, &group), ERROR_NONE);
        loaded++;
    }
    assert_int_equal(loaded, lock_table_frozen_groups(frozen));
    loaded = 0;
    while (lock_table_frozen_next_freeze(frozen, &freeze)) {
        assert_int_equal(lock_table_load_freeze(copy, &freeze), ERROR_NONE);
        loaded++;
    }
    assert_int_equal(loaded, lock_table_frozen_freezes(frozen));
    loaded = 0;
    while (lock_table_frozen_next(frozen, &schedule)) {
        assert_int_equal(lock_table_load_schedule(copy, &schedule), ERROR_NONE);
        loaded++;
    }
    assert_int_equal(loaded, lock_table_frozen_schedules(frozen));
    lock_table_check(copy);
    return copy;
}

struct lock_table *table_copy(struct lock_table *table)
{
    struct lock_table_frozen *frozen = lock_table_freeze(table);
    struct lock_table *copy = table_load(frozen);
    lock_table_thaw(table, frozen);
    return copy;
}

void expect_equal_digests(struct lock_table *a, struct lock_table *b)
{
    struct digest128 digest_a = lock_table_digest(a);
    struct digest128 digest_b = lock_table_digest(b);
    assert_memory_equal(digest_a.bytes, digest_b.bytes, sizeof digest_a.bytes);
}
