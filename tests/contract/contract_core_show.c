#include "contract_core_private.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

struct contract_piece core_piece(struct slice slice)
{
    return (struct contract_piece){(const char *)slice.base, slice.len};
}

const char *core_late_name(int late_outcome)
{
    return late_outcome == RUN_OUTCOME_NONE ? NULL : run_outcome_name((enum run_outcome)late_outcome);
}

void core_show_grant(const struct grant_view *view, const char *title, struct contract_text *text)
{
    struct contract_shown_lock lock = {
        .schedule = core_piece(view->schedule_id),
        .holder = core_piece(view->holder),
        .occurrence = core_piece(view->occurrence),
        .metadata = core_piece(view->metadata),
        .token = view->token,
        .ttl_ms = view->ttl_ms,
        .remaining_ms = view->remaining_ms,
        .acquired_wall_ms = view->acquired_wall_ms,
        .expires_wall_ms = view->expires_wall_ms,
        .attempt = view->attempt,
        .is_revoking = view->is_revoking,
    };
    show_lock(text, title, &lock);
}

void core_show_run(const struct run_view *view, const char *title, struct contract_text *text)
{
    struct contract_shown_run run = {
        .schedule = core_piece(view->schedule_id),
        .holder = core_piece(view->holder),
        .occurrence = core_piece(view->occurrence),
        .actor = core_piece(view->actor),
        .reason = core_piece(view->reason),
        .token = view->token,
        .duration_ms = view->duration_ms,
        .acquired_wall_ms = view->acquired_wall_ms,
        .ended_wall_ms = view->ended_wall_ms,
        .outcome = run_outcome_name(view->outcome),
        .late_outcome = core_late_name(view->late_outcome),
        .attempt = view->attempt,
        .is_newly_revoked = view->is_newly_revoked,
        .is_newly_freed = view->is_newly_freed,
    };
    show_run(text, title, &run);
}

void core_show_policy(const struct policy_view *view, struct contract_text *text)
{
    const struct policy *policy = &view->policy;
    struct contract_shown_policy shown = {
        .schedule = core_piece(view->schedule_id),
        .group = core_piece(policy->group),
        .description = core_piece(policy->description),
        .estimate_ms = policy->estimate_ms,
        .margin_ms = policy->margin_ms,
        .max_ttl_ms = policy->max_ttl_ms,
        .min_hold_ms = policy->min_hold_ms,
        .expected_every_ms = policy->expected_every_ms,
        .slots = policy->slots,
        .max_attempts = policy->max_attempts,
        .overdue_ms = view->overdue_ms,
        .has_success = view->has_success,
        .last_success_wall_ms = view->last_success_wall_ms,
    };
    show_policy(text, "  policy", &shown);
}

void core_show_group(const struct group_view *view, struct contract_text *text)
{
    struct contract_shown_group group = {
        .name = core_piece(view->name), .slots = view->slots, .held = view->held, .schedules = view->schedules};
    show_group(text, "  group", &group);
}

void core_show_freeze(const struct freeze_view *view, struct contract_text *text)
{
    struct contract_shown_freeze freeze = {
        .scope = core_piece(view->scope),
        .actor = core_piece(view->actor),
        .reason = core_piece(view->reason),
        .ttl_ms = view->ttl_ms,
        .remaining_ms = view->remaining_ms,
        .created_wall_ms = view->created_wall_ms,
        .expires_wall_ms = view->expires_wall_ms,
    };
    show_freeze(text, "  freeze", &freeze);
}

static int compare_by_end(const void *a, const void *b)
{
    const struct grant_view *left = a;
    const struct grant_view *right = b;
    if (left->remaining_ms != right->remaining_ms) {
        return left->remaining_ms < right->remaining_ms ? -1 : 1;
    }
    return left->token < right->token ? -1 : left->token > right->token;
}

/* Only the first of them has a place of its own, so they are shown in the order of their ends. */
void core_show_holders(const struct grant_view *holders, size_t n_holders, struct contract_text *text)
{
    struct grant_view sorted[LIMIT_SLOTS];
    if (n_holders == 0) {
        return;
    }
    memcpy(sorted, holders, n_holders * sizeof sorted[0]);
    qsort(sorted, n_holders, sizeof sorted[0], compare_by_end);
    if (sorted[0].remaining_ms != holders[0].remaining_ms) {
        text_add(text, "  the first holder isn't who ends first\n");
    }
    for (size_t i = 0; i < n_holders; i++) {
        core_show_grant(&sorted[i], "  held by", text);
    }
}
