/* What the model shows of its grants, runs and policies, and what answers are made of. */
#include "audit_private.h"

static const struct policy default_policy = {
    .margin_ms = 30000, .max_ttl_ms = 604800000, .slots = 1, .max_attempts = 1};

const struct policy *model_policy(const struct schedule *schedule)
{
    return schedule->has_policy ? &schedule->policy : &default_policy;
}

/* Does the table still keep the run? That is seen; how many it must keep is checked elsewhere. */
bool model_is_kept(const struct audit *audit, const struct grant *grant)
{
    for (size_t i = 0; grant != NULL && i < audit->n_kept; i++) {
        if (audit->kept[i] == grant->token) {
            return true;
        }
    }
    return false;
}

/* ---- views ---- */

void model_show_grant(const struct audit *audit, const struct grant *grant, struct grant_view *view)
{
    *view = (struct grant_view){
        .schedule_id = slice_of(audit->schedules[grant->schedule].name),
        .holder = grant->holder,
        .occurrence = grant->occurrence_text,
        .metadata = grant->metadata,
        .token = grant->token,
        .ttl_ms = grant->ttl_ms,
        .remaining_ms = grant->deadline_ms - audit->now_ms,
        .acquired_wall_ms = grant->granted_wall_ms,
        .expires_wall_ms = audit->wall_ms + (int64_t)(grant->deadline_ms - audit->now_ms),
        .attempt = grant->attempt,
        .is_revoking = grant->is_revoking,
    };
}

void model_show_run(const struct audit *audit, const struct grant *grant, struct run_view *view)
{
    bool ended = grant->outcome != RUN_RUNNING;
    *view = (struct run_view){
        .schedule_id = slice_of(audit->schedules[grant->schedule].name),
        .holder = grant->holder,
        .occurrence = grant->occurrence_text,
        .actor = grant->actor,
        .reason = grant->reason,
        .token = grant->token,
        .duration_ms = ended ? grant->ended_ms - grant->granted_ms : 0,
        .acquired_wall_ms = grant->granted_wall_ms,
        .ended_wall_ms = ended ? grant->ended_wall_ms : 0,
        .outcome = grant->outcome,
        .late_outcome = grant->late_outcome,
        .attempt = grant->attempt,
    };
}

void model_show_policy(const struct schedule *schedule, struct policy_view *view)
{
    *view = (struct policy_view){
        .schedule_id = slice_of(schedule->name),
        .policy = schedule->policy,
        .has_success = schedule->has_success,
        .last_success_wall_ms = schedule->last_success_wall_ms,
    };
}

static bool ends_before(const struct grant_view *a, const struct grant_view *b)
{
    return a->remaining_ms != b->remaining_ms ? a->remaining_ms < b->remaining_ms : a->token < b->token;
}

size_t model_show_holders(struct audit *audit, const struct schedule *schedule, struct grant_view views[LIVE])
{
    for (size_t i = 0; i < schedule->n_live; i++) {
        struct grant_view view;
        size_t at = i;
        model_show_grant(audit, audit_find_grant(audit, schedule->live[i]), &view);
        for (; at > 0 && ends_before(&view, &views[at - 1]); at--) {
            views[at] = views[at - 1];
        }
        views[at] = view;
    }
    return schedule->n_live;
}

struct grant *model_last_ended(struct audit *audit, const struct schedule *schedule)
{
    struct grant *last = NULL;
    for (size_t i = 0; i < schedule->n_tokens; i++) {
        struct grant *grant = audit_find_grant(audit, schedule->tokens[i]);
        if (grant->outcome != RUN_RUNNING && (last == NULL || grant->ended_ms >= last->ended_ms)) {
            last = grant;
        }
    }
    return last;
}

/* ---- parts of outcomes ---- */

void model_expect_run(const struct audit *audit, const struct grant *grant, struct outcome *expected)
{
    if (model_is_kept(audit, grant)) {
        expected->has_run = true;
        model_show_run(audit, grant, &expected->run);
    }
}

void model_expect_grant(const struct audit *audit, const struct grant *grant, struct outcome *expected)
{
    expected->has_grant = true;
    model_show_grant(audit, grant, &expected->grant);
}

/* Without their metadata. */
void model_expect_holders(struct audit *audit, const struct schedule *schedule, struct outcome *expected)
{
    expected->holders = audit->holders;
    expected->n_holders = model_show_holders(audit, schedule, audit->holders);
    for (size_t i = 0; i < expected->n_holders; i++) {
        audit->holders[i].metadata = (struct slice){0};
    }
}

void model_expect_lost(struct audit *audit, const struct schedule *schedule, const struct grant *grant,
                       struct outcome *expected)
{
    expected->code = OUTCOME_LOCK_LOST;
    model_expect_run(audit, grant, expected);
    model_expect_holders(audit, schedule, expected);
    expected->n_holders = expected->n_holders > 1 ? 1 : expected->n_holders; /* the one that ends first, alone */
}

void model_expect_field(struct outcome *expected, const char *field)
{
    expected->code = OUTCOME_INVALID_FIELD;
    expected->field = field;
}
