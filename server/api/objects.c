/* objects: locks, runs, schedules, groups and freezes, as they stand in many answers. */
#include "api/render.h"

static void put_attempt(struct json_writer *json, uint32_t attempt)
{
    if (attempt == 0) {
        json_put_null(json, "attempt");
    } else {
        json_put_number(json, "attempt", attempt);
    }
}

void render_lock_members(struct json_writer *json, const struct grant_view *grant, enum lock_form form)
{
    json_put_text(json, "schedule_id", grant->schedule_id);
    json_put_text(json, "holder", grant->holder);
    json_put_number(json, "token", grant->token);
    json_put_number(json, "ttl_ms", grant->ttl_ms);
    json_put_number(json, "remaining_ms", grant->remaining_ms);
    json_put_instant(json, "acquired_at", grant->acquired_wall_ms);
    json_put_instant(json, "expires_at", grant->expires_wall_ms);
    json_put_text_or_null(json, "occurrence", grant->occurrence);
    put_attempt(json, grant->attempt);
    if (grant->is_revoking) {
        json_put_flag(json, "revoking", true);
    }
    if (form == LOCK_WITHOUT_METADATA) {
        return;
    }
    if (slice_is_present(grant->metadata)) { /* it was taken as compact JSON when the lock was granted */
        json_put_raw(json, "metadata", grant->metadata);
    } else {
        json_put_null(json, "metadata");
    }
}

void render_lock(struct json_writer *json, const char *key, const struct grant_view *grant, enum lock_form form)
{
    json_begin(json, key, '{');
    render_lock_members(json, grant, form);
    json_end(json, '}');
}

void render_locks(struct json_writer *json, const char *key, const struct grant_view *grants, size_t n,
                  enum lock_form form)
{
    json_begin(json, key, '[');
    for (size_t i = 0; i < n; i++) {
        render_lock(json, NULL, &grants[i], form);
    }
    json_end(json, ']');
}

static void put_end(struct json_writer *json, const struct run_view *run)
{
    if (run->outcome == RUN_RUNNING) {
        json_put_null(json, "ended_at");
        json_put_null(json, "duration_ms");
    } else {
        json_put_instant(json, "ended_at", run->ended_wall_ms);
        json_put_number(json, "duration_ms", run->duration_ms);
    }
}

void render_run_members(struct json_writer *json, const struct run_view *run)
{
    bool has_late = run->late_outcome != RUN_OUTCOME_NONE;
    const char *late = has_late ? run_outcome_name((enum run_outcome)run->late_outcome) : NULL;
    json_put_number(json, "token", run->token);
    json_put_text(json, "holder", run->holder);
    json_put_text_or_null(json, "occurrence", run->occurrence);
    put_attempt(json, run->attempt);
    json_put_word(json, "outcome", run_outcome_name(run->outcome));
    json_put_text_or_null(json, "late_outcome", slice_of(late));
    json_put_instant(json, "acquired_at", run->acquired_wall_ms);
    put_end(json, run);
    json_put_text_or_null(json, "actor", run->actor);
    json_put_text_or_null(json, "reason", run->reason);
}

void render_run(struct json_writer *json, const char *key, const struct run_view *run)
{
    if (run == NULL) {
        json_put_null(json, key);
        return;
    }
    json_begin(json, key, '{');
    render_run_members(json, run);
    json_end(json, '}');
}

void render_runs(struct json_writer *json, const char *key, const struct run_view *runs, size_t n)
{
    json_begin(json, key, '[');
    for (size_t i = 0; i < n; i++) {
        render_run(json, NULL, &runs[i]);
    }
    json_end(json, ']');
}

void render_schedule_members(struct json_writer *json, const struct policy_view *view)
{
    const struct policy *policy = &view->policy;
    json_put_text(json, "schedule_id", view->schedule_id);
    json_put_number(json, "estimated_duration_ms", policy->estimate_ms);
    json_put_number(json, "safety_margin_ms", policy->margin_ms);
    json_put_number(json, "max_ttl_ms", policy->max_ttl_ms);
    json_put_number(json, "min_hold_ms", policy->min_hold_ms);
    json_put_number(json, "slots", policy->slots);
    json_put_text_or_null(json, "group", policy->group);
    json_put_number(json, "max_attempts", policy->max_attempts);
    if (policy->expected_every_ms == 0) {
        json_put_null(json, "expected_every_ms");
    } else {
        json_put_number(json, "expected_every_ms", policy->expected_every_ms);
    }
    json_put_text_or_null(json, "description", policy->description);
}

void render_group_members(struct json_writer *json, const struct group_view *group)
{
    json_put_text(json, "name", group->name);
    json_put_number(json, "slots", group->slots);
    json_put_number(json, "held", group->held);
    json_put_number(json, "schedules", group->schedules);
}

void render_freeze_members(struct json_writer *json, const struct freeze_view *freeze)
{
    json_put_text(json, "scope", freeze->scope);
    json_put_text(json, "reason", freeze->reason);
    json_put_text(json, "actor", freeze->actor);
    json_put_number(json, "ttl_ms", freeze->ttl_ms);
    json_put_number(json, "remaining_ms", freeze->remaining_ms);
    json_put_instant(json, "created_at", freeze->created_wall_ms);
    json_put_instant(json, "expires_at", freeze->expires_wall_ms);
}
