#include <ctype.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sample.h"

void assert_slice_equal(struct slice a, struct slice b)
{
    assert_true(slice_equal(a, b));
}

void assert_policy_equal(const struct policy *a, const struct policy *b)
{
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
    assert_int_equal(a->max_ttl_ms, b->max_ttl_ms);
    assert_int_equal(a->min_hold_ms, b->min_hold_ms);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->max_attempts, b->max_attempts);
    assert_slice_equal(a->description, b->description);
    assert_slice_equal(a->group, b->group);
    assert_int_equal(a->expected_every_ms, b->expected_every_ms);
}

static void assert_renew_equal(const struct renew_command *a, const struct renew_command *b)
{
    assert_slice_equal(a->schedule_id, b->schedule_id);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->has_ttl, b->has_ttl);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
}

static void assert_newer_command_equal(const struct command *a, const struct command *b)
{
    switch (a->kind) {
    case COMMAND_RENEW_BATCH:
        assert_int_equal(a->renew_batch.n_renewals, b->renew_batch.n_renewals);
        for (size_t i = 0; i < a->renew_batch.n_renewals; i++) {
            assert_renew_equal(&a->renew_batch.renewals[i], &b->renew_batch.renewals[i]);
        }
        break;
    case COMMAND_PUT_GROUP:
        assert_slice_equal(a->put_group.name, b->put_group.name);
        assert_int_equal(a->put_group.slots, b->put_group.slots);
        break;
    case COMMAND_DELETE_GROUP:
        assert_slice_equal(a->delete_group.name, b->delete_group.name);
        break;
    case COMMAND_PUT_FREEZE:
        assert_slice_equal(a->put_freeze.scope, b->put_freeze.scope);
        assert_slice_equal(a->put_freeze.actor, b->put_freeze.actor);
        assert_slice_equal(a->put_freeze.reason, b->put_freeze.reason);
        assert_int_equal(a->put_freeze.ttl_ms, b->put_freeze.ttl_ms);
        break;
    case COMMAND_DELETE_FREEZE:
        assert_slice_equal(a->delete_freeze.scope, b->delete_freeze.scope);
        break;
    default:
        fail();
    }
}

void assert_command_equal(const struct command *a, const struct command *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case COMMAND_NOOP:
        break;
    case COMMAND_LEADER:
        assert_int_equal(a->leader.member_id_floor, b->leader.member_id_floor);
        break;
    case COMMAND_ACQUIRE:
        assert_slice_equal(a->acquire.schedule_id, b->acquire.schedule_id);
        assert_slice_equal(a->acquire.holder, b->acquire.holder);
        assert_slice_equal(a->acquire.occurrence, b->acquire.occurrence);
        assert_slice_equal(a->acquire.idempotency_key, b->acquire.idempotency_key);
        assert_slice_equal(a->acquire.metadata, b->acquire.metadata);
        assert_int_equal(a->acquire.has_ttl, b->acquire.has_ttl);
        assert_int_equal(a->acquire.ttl_ms, b->acquire.ttl_ms);
        assert_int_equal(a->acquire.has_estimate, b->acquire.has_estimate);
        assert_int_equal(a->acquire.estimate_ms, b->acquire.estimate_ms);
        break;
    case COMMAND_RENEW:
        assert_renew_equal(&a->renew, &b->renew);
        break;
    case COMMAND_RELEASE:
        assert_slice_equal(a->release.schedule_id, b->release.schedule_id);
        assert_int_equal(a->release.token, b->release.token);
        assert_int_equal(a->release.has_outcome, b->release.has_outcome);
        assert_int_equal(a->release.outcome, b->release.outcome);
        break;
    case COMMAND_RULES:
        assert_int_equal(a->rules.version, b->rules.version);
        break;
    case COMMAND_PUT_SCHEDULE:
        assert_slice_equal(a->put_schedule.schedule_id, b->put_schedule.schedule_id);
        assert_policy_equal(&a->put_schedule.policy, &b->put_schedule.policy);
        break;
    case COMMAND_DELETE_SCHEDULE:
        assert_slice_equal(a->delete_schedule.schedule_id, b->delete_schedule.schedule_id);
        break;
    case COMMAND_REVOKE:
        assert_slice_equal(a->revoke.schedule_id, b->revoke.schedule_id);
        assert_slice_equal(a->revoke.actor, b->revoke.actor);
        assert_slice_equal(a->revoke.reason, b->revoke.reason);
        assert_int_equal(a->revoke.token, b->revoke.token);
        assert_int_equal(a->revoke.force, b->revoke.force);
        break;
    default:
        assert_newer_command_equal(a, b);
    }
}

static void assert_grant_equal(const struct grant_view *a, const struct grant_view *b)
{
    assert_slice_equal(a->schedule_id, b->schedule_id);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->metadata, b->metadata);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_int_equal(a->remaining_ms, b->remaining_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->expires_wall_ms, b->expires_wall_ms);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->is_revoking, b->is_revoking);
}

static void assert_run_equal(const struct run_view *a, const struct run_view *b)
{
    assert_slice_equal(a->schedule_id, b->schedule_id);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->actor, b->actor);
    assert_slice_equal(a->reason, b->reason);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->duration_ms, b->duration_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->ended_wall_ms, b->ended_wall_ms);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->late_outcome, b->late_outcome);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->is_newly_revoked, b->is_newly_revoked);
    assert_int_equal(a->is_newly_freed, b->is_newly_freed);
}

static void assert_terms_equal(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->has_group, b->has_group);
    if (a->has_group) {
        assert_slice_equal(a->group.name, b->group.name);
        assert_int_equal(a->group.slots, b->group.slots);
        assert_int_equal(a->group.held, b->group.held);
        assert_int_equal(a->group.schedules, b->group.schedules);
    }
    assert_int_equal(a->has_freeze, b->has_freeze);
    if (a->has_freeze) {
        assert_slice_equal(a->freeze.scope, b->freeze.scope);
        assert_slice_equal(a->freeze.actor, b->freeze.actor);
        assert_slice_equal(a->freeze.reason, b->freeze.reason);
        assert_int_equal(a->freeze.ttl_ms, b->freeze.ttl_ms);
        assert_int_equal(a->freeze.remaining_ms, b->freeze.remaining_ms);
        assert_int_equal(a->freeze.created_wall_ms, b->freeze.created_wall_ms);
        assert_int_equal(a->freeze.expires_wall_ms, b->freeze.expires_wall_ms);
    }
}

void assert_outcome_equal(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->code, b->code);
    assert_slice_equal(slice_of(a->field), slice_of(b->field));
    assert_int_equal(a->repeated, b->repeated);
    assert_int_equal(a->has_policy, b->has_policy);
    if (a->has_policy) {
        assert_slice_equal(a->policy.schedule_id, b->policy.schedule_id);
        assert_policy_equal(&a->policy.policy, &b->policy.policy);
        assert_int_equal(a->policy.has_success, b->policy.has_success);
        assert_int_equal(a->policy.last_success_wall_ms, b->policy.last_success_wall_ms);
    }
    assert_int_equal(a->has_grant, b->has_grant);
    if (a->has_grant) {
        assert_grant_equal(&a->grant, &b->grant);
    }
    assert_int_equal(a->has_run, b->has_run);
    if (a->has_run) {
        assert_run_equal(&a->run, &b->run);
    }
    assert_int_equal(a->n_holders, b->n_holders);
    for (size_t i = 0; i < a->n_holders; i++) {
        assert_grant_equal(&a->holders[i], &b->holders[i]);
    }
    assert_int_equal(a->n_runs, b->n_runs);
    for (size_t i = 0; i < a->n_runs; i++) {
        assert_run_equal(&a->runs[i], &b->runs[i]);
    }
    assert_int_equal(a->remaining_ms, b->remaining_ms);
    assert_int_equal(a->minimum_ms, b->minimum_ms);
    assert_int_equal(a->maximum_ms, b->maximum_ms);
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
    assert_terms_equal(a, b);
    assert_int_equal(a->n_results, b->n_results);
    for (size_t i = 0; i < a->n_results; i++) {
        assert_outcome_equal(&a->results[i], &b->results[i]);
    }
}

void assert_entry_equal(const struct entry *a, const struct entry *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->batch, b->batch);
    assert_int_equal(a->now_ms, b->now_ms);
    assert_int_equal(a->wall_ms, b->wall_ms);
    assert_int_equal(a->no_growth, b->no_growth);
    assert_int_equal(a->rules_version, b->rules_version);
    assert_int_equal(a->n_commands, b->n_commands);
    for (size_t i = 0; i < a->n_commands; i++) {
        assert_command_equal(&a->commands[i], &b->commands[i]);
    }
}

/* ---- golden files ---- */

static void golden_write(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "wx");
    assert_non_null(file);
    for (size_t i = 0; i < bytes.len; i++) {
        (void)fprintf(file, "%02x%s", bytes.base[i], i % 32 == 31 || i + 1 == bytes.len ? "\n" : "");
    }
    assert_int_equal(fclose(file), 0);
}

static void golden_read(FILE *file, struct buffer *bytes)
{
    char digits[3] = {0};
    for (int c = fgetc(file), n = 0; c != EOF; c = fgetc(file)) {
        if (!isxdigit(c)) {
            continue;
        }
        digits[n++] = (char)c;
        if (n == 2) {
            uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
            buffer_append(bytes, &byte, 1);
            n = 0;
        }
    }
}

void assert_golden(const char *name, struct slice bytes)
{
    struct buffer path;
    buffer_init(&path);
    buffer_printf(&path, "%s/%s.hex%c", GOLDEN_DIR, name, 0);
    FILE *file = fopen((const char *)path.base, "r");
    if (file == NULL && getenv("GOLDEN_WRITE") != NULL) {
        golden_write((const char *)path.base, bytes);
        file = fopen((const char *)path.base, "r");
    }
    if (file == NULL) {
        fail_msg("there is no golden file %s", (const char *)path.base);
    }
    struct buffer golden;
    buffer_init(&golden);
    golden_read(file, &golden);
    assert_int_equal(fclose(file), 0);
    if (golden.len != bytes.len || memcmp(golden.base, bytes.base, bytes.len) != 0) {
        fail_msg("the bytes differ from %s", (const char *)path.base);
    }
    buffer_close(&golden);
    buffer_close(&path);
}

/* ---- processes and memory ---- */

uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

bool aborts(void (*run)(void *arg), void *arg)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(1);
        }
        run(arg);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
