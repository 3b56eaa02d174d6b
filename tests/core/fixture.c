#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>
#include <string.h>

#define WALL_AHEAD_MS 1700000000000 /* the wall clock is this much ahead of cluster time */

void fixture_open(struct fixture *fixture)
{
    *fixture = (struct fixture){.table = lock_table_open(), .now_ms = 1000};
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

uint64_t fixture_run(struct fixture *fixture, const char *occurrence, enum run_outcome outcome)
{
    uint64_t token = fixture_grant(fixture, (struct ask){.occurrence = occurrence, .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(fixture, "job", token, (int)outcome), OUTCOME_DONE);
    return token;
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
    struct schedule_image schedule;
    uint64_t loaded = 0;
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
