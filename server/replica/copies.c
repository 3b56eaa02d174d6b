/* copies: commands and outcomes that must outlive what they point into. */
#include <string.h>

#include "replica/inside.h"

static bool copy_slice(struct arena *arena, struct slice from, struct slice *to)
{
    *to = arena_copy(arena, from);
    return slice_is_present(from) == slice_is_present(*to);
}

static bool copy_renewals(struct arena *arena, const struct renew_batch_command *from, struct renew_batch_command *to)
{
    struct renew_command *renewals = arena_alloc(arena, from->n_renewals * sizeof *renewals);
    if (renewals == NULL) {
        return false;
    }
    to->renewals = renewals;
    for (size_t i = 0; i < from->n_renewals; i++) {
        renewals[i] = from->renewals[i];
        if (!copy_slice(arena, from->renewals[i].schedule_id, &renewals[i].schedule_id)) {
            return false;
        }
    }
    return true;
}

/* False when the arena's bound is passed. */
bool copy_command(struct arena *arena, const struct command *from, struct command *to)
{
    *to = *from;
    switch (from->kind) {
    case COMMAND_NOOP:
    case COMMAND_LEADER:
    case COMMAND_RULES:
        return true;
    case COMMAND_ACQUIRE:
        return copy_slice(arena, from->acquire.schedule_id, &to->acquire.schedule_id) &&
               copy_slice(arena, from->acquire.holder, &to->acquire.holder) &&
               copy_slice(arena, from->acquire.occurrence, &to->acquire.occurrence) &&
               copy_slice(arena, from->acquire.idempotency_key, &to->acquire.idempotency_key) &&
               copy_slice(arena, from->acquire.metadata, &to->acquire.metadata);
    case COMMAND_RENEW:
        return copy_slice(arena, from->renew.schedule_id, &to->renew.schedule_id);
    case COMMAND_RELEASE:
        return copy_slice(arena, from->release.schedule_id, &to->release.schedule_id);
    case COMMAND_RENEW_BATCH:
        return copy_renewals(arena, &from->renew_batch, &to->renew_batch);
    case COMMAND_PUT_SCHEDULE:
        return copy_slice(arena, from->put_schedule.schedule_id, &to->put_schedule.schedule_id) &&
               copy_slice(arena, from->put_schedule.policy.description, &to->put_schedule.policy.description) &&
               copy_slice(arena, from->put_schedule.policy.group, &to->put_schedule.policy.group);
    case COMMAND_DELETE_SCHEDULE:
        return copy_slice(arena, from->delete_schedule.schedule_id, &to->delete_schedule.schedule_id);
    case COMMAND_REVOKE:
        return copy_slice(arena, from->revoke.schedule_id, &to->revoke.schedule_id) &&
               copy_slice(arena, from->revoke.actor, &to->revoke.actor) &&
               copy_slice(arena, from->revoke.reason, &to->revoke.reason);
    case COMMAND_PUT_GROUP:
        return copy_slice(arena, from->put_group.name, &to->put_group.name);
    case COMMAND_DELETE_GROUP:
        return copy_slice(arena, from->delete_group.name, &to->delete_group.name);
    case COMMAND_PUT_FREEZE:
        return copy_slice(arena, from->put_freeze.scope, &to->put_freeze.scope) &&
               copy_slice(arena, from->put_freeze.actor, &to->put_freeze.actor) &&
               copy_slice(arena, from->put_freeze.reason, &to->put_freeze.reason);
    case COMMAND_DELETE_FREEZE:
        return copy_slice(arena, from->delete_freeze.scope, &to->delete_freeze.scope);
    }
    return false;
}

static void copy_grant(struct arena *arena, const struct grant_view *from, struct grant_view *to)
{
    *to = *from;
    to->schedule_id = arena_copy(arena, from->schedule_id);
    to->holder = arena_copy(arena, from->holder);
    to->occurrence = arena_copy(arena, from->occurrence);
    to->metadata = arena_copy(arena, from->metadata);
}

static void copy_run(struct arena *arena, const struct run_view *from, struct run_view *to)
{
    *to = *from;
    to->schedule_id = arena_copy(arena, from->schedule_id);
    to->holder = arena_copy(arena, from->holder);
    to->occurrence = arena_copy(arena, from->occurrence);
    to->actor = arena_copy(arena, from->actor);
    to->reason = arena_copy(arena, from->reason);
}

static const struct run_view *copy_runs(struct arena *arena, const struct run_view *from, size_t n)
{
    if (n == 0) {
        return NULL;
    }
    struct run_view *runs = arena_alloc(arena, n * sizeof *runs);
    CHECK(runs != NULL);
    for (size_t i = 0; i < n; i++) {
        copy_run(arena, &from[i], &runs[i]);
    }
    return runs;
}

static const struct grant_view *copy_grants(struct arena *arena, const struct grant_view *from, size_t n)
{
    if (n == 0) {
        return NULL;
    }
    struct grant_view *grants = arena_alloc(arena, n * sizeof *grants);
    CHECK(grants != NULL);
    for (size_t i = 0; i < n; i++) {
        copy_grant(arena, &from[i], &grants[i]);
    }
    return grants;
}

static bool grants_are_equal(const struct grant_view *a, const struct grant_view *b)
{
    return a->token == b->token && a->remaining_ms == b->remaining_ms && a->ttl_ms == b->ttl_ms &&
           a->acquired_wall_ms == b->acquired_wall_ms && a->expires_wall_ms == b->expires_wall_ms &&
           a->attempt == b->attempt && a->is_revoking == b->is_revoking && slice_equal(a->holder, b->holder) &&
           slice_equal(a->schedule_id, b->schedule_id) && slice_equal(a->occurrence, b->occurrence) &&
           slice_equal(a->metadata, b->metadata);
}

bool outcomes_show_same_holders(const struct outcome *a, const struct outcome *b)
{
    if (a->n_holders != b->n_holders) {
        return false;
    }
    for (size_t i = 0; i < a->n_holders; i++) {
        if (!grants_are_equal(&a->holders[i], &b->holders[i])) {
            return false;
        }
    }
    return true;
}

static const struct outcome *copy_results(struct arena *arena, const struct outcome *from, size_t n)
{
    if (n == 0) {
        return NULL;
    }
    struct outcome *results = arena_alloc(arena, n * sizeof *results);
    CHECK(results != NULL);
    for (size_t i = 0; i < n; i++) {
        copy_outcome(arena, &from[i], NULL, &results[i]);
    }
    return results;
}

void copy_outcome(struct arena *arena, const struct outcome *from, const struct outcome *shared, struct outcome *to)
{
    *to = *from;
    if (from->has_grant) {
        copy_grant(arena, &from->grant, &to->grant);
    }
    if (from->has_run) {
        copy_run(arena, &from->run, &to->run);
    }
    if (from->has_policy) {
        to->policy.schedule_id = arena_copy(arena, from->policy.schedule_id);
        to->policy.policy.description = arena_copy(arena, from->policy.policy.description);
        to->policy.policy.group = arena_copy(arena, from->policy.policy.group);
    }
    if (from->has_group) {
        to->group.name = arena_copy(arena, from->group.name);
    }
    if (from->has_freeze) {
        to->freeze.scope = arena_copy(arena, from->freeze.scope);
        to->freeze.actor = arena_copy(arena, from->freeze.actor);
        to->freeze.reason = arena_copy(arena, from->freeze.reason);
    }
    to->results = copy_results(arena, from->results, from->n_results);
    to->runs = copy_runs(arena, from->runs, from->n_runs);
    to->holders = shared != NULL ? shared->holders : copy_grants(arena, from->holders, from->n_holders);
}
