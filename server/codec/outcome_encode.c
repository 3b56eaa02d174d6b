/* Outcomes as messages. They cross between nodes only and are never kept, but two versions may meet during an upgrade,
 * so codes have numbers of their own on the wire. */
#include "codec/wire.h"

static Wire__OutcomeCode outcome_code_to_wire(enum outcome_code code)
{
    switch (code) {
#define X(name, text)                                                                                                  \
    case OUTCOME_##name:                                                                                               \
        return WIRE__OUTCOME_CODE__##name;
        OUTCOME_TABLE(X)
#undef X
    }
    check_failed("a known outcome", __FILE__, __LINE__);
}

static void grant_to_wire(const struct grant_view *grant, Wire__Grant *wire)
{
    wire__grant__init(wire);
    wire->schedule_id = wire_bytes(grant->schedule_id);
    wire->holder = wire_bytes(grant->holder);
    wire->has_occurrence = slice_is_present(grant->occurrence);
    wire->occurrence = wire_bytes(grant->occurrence);
    wire->has_metadata = slice_is_present(grant->metadata);
    wire->metadata = wire_bytes(grant->metadata);
    wire->token = grant->token;
    wire->ttl_ms = grant->ttl_ms;
    wire->remaining_ms = grant->remaining_ms;
    wire->acquired_wall_ms = grant->acquired_wall_ms;
    wire->expires_wall_ms = grant->expires_wall_ms;
    wire->attempt = grant->attempt;
    wire->has_is_revoking = grant->is_revoking;
    wire->is_revoking = grant->is_revoking;
}

static void run_to_wire(const struct run_view *run, Wire__Run *wire)
{
    wire__run__init(wire);
    wire->schedule_id = wire_bytes(run->schedule_id);
    wire->holder = wire_bytes(run->holder);
    wire->has_occurrence = slice_is_present(run->occurrence);
    wire->occurrence = wire_bytes(run->occurrence);
    wire->has_actor = slice_is_present(run->actor);
    wire->actor = wire_bytes(run->actor);
    wire->has_reason = slice_is_present(run->reason);
    wire->reason = wire_bytes(run->reason);
    wire->token = run->token;
    wire->duration_ms = run->duration_ms;
    wire->acquired_wall_ms = run->acquired_wall_ms;
    wire->ended_wall_ms = run->ended_wall_ms;
    wire->outcome = (Wire__RunOutcome)run->outcome;
    wire->has_late_outcome = run->late_outcome != RUN_OUTCOME_NONE;
    wire->late_outcome = wire->has_late_outcome ? (Wire__RunOutcome)run->late_outcome : WIRE__RUN_OUTCOME__RUN_RUNNING;
    wire->attempt = run->attempt;
    wire->has_is_newly_revoked = run->is_newly_revoked;
    wire->is_newly_revoked = run->is_newly_revoked;
    wire->has_is_newly_freed = run->is_newly_freed;
    wire->is_newly_freed = run->is_newly_freed;
}

static void policy_view_to_wire(const struct policy_view *view, struct outcome_wire *wire)
{
    wire__policy_view__init(&wire->policy_view);
    wire->policy_view.schedule_id = wire_bytes(view->schedule_id);
    policy_to_wire(&view->policy, &wire->policy);
    wire->policy_view.policy = &wire->policy;
    wire->policy_view.has_last_success_wall_ms = view->has_success;
    wire->policy_view.last_success_wall_ms = view->last_success_wall_ms;
    wire->outcome.policy = &wire->policy_view;
}

static void group_to_wire(const struct group_view *group, Wire__GroupView *wire)
{
    wire__group_view__init(wire);
    wire->name = wire_bytes(group->name);
    wire->slots = group->slots;
    wire->held = group->held;
    wire->schedules = group->schedules;
}

static void freeze_to_wire(const struct freeze_view *freeze, Wire__FreezeView *wire)
{
    wire__freeze_view__init(wire);
    wire->scope = wire_bytes(freeze->scope);
    wire->actor = wire_bytes(freeze->actor);
    wire->reason = wire_bytes(freeze->reason);
    wire->ttl_ms = freeze->ttl_ms;
    wire->remaining_ms = freeze->remaining_ms;
    wire->created_wall_ms = freeze->created_wall_ms;
    wire->expires_wall_ms = freeze->expires_wall_ms;
}

/* Both lists share their place, and one of them is empty. */
static void outcome_lists_to_wire(const struct outcome *outcome, bool holders_are_shared, struct outcome_wire *wire)
{
    wire->outcome.n_holders = holders_are_shared ? 0 : outcome->n_holders;
    for (size_t i = 0; i < wire->outcome.n_holders; i++) {
        grant_to_wire(&outcome->holders[i], &wire->holders[i]);
        wire->holder_pointers[i] = &wire->holders[i];
    }
    wire->outcome.holders = wire->holder_pointers;
    for (size_t i = 0; i < outcome->n_runs; i++) {
        run_to_wire(&outcome->runs[i], &wire->runs[i]);
        wire->run_pointers[i] = &wire->runs[i];
    }
    wire->outcome.n_runs = outcome->n_runs;
    wire->outcome.runs = wire->run_pointers;
}

static void outcome_numbers_to_wire(const struct outcome *outcome, Wire__Outcome *wire)
{
    wire->has_remaining_ms = outcome->remaining_ms != 0;
    wire->remaining_ms = outcome->remaining_ms;
    wire->has_minimum_ms = outcome->minimum_ms != 0;
    wire->minimum_ms = outcome->minimum_ms;
    wire->has_maximum_ms = outcome->maximum_ms != 0;
    wire->maximum_ms = outcome->maximum_ms;
    wire->has_estimate_ms = outcome->estimate_ms != 0;
    wire->estimate_ms = outcome->estimate_ms;
    wire->has_margin_ms = outcome->margin_ms != 0;
    wire->margin_ms = outcome->margin_ms;
}

static void outcome_terms_to_wire(const struct outcome *outcome, struct outcome_wire *wire)
{
    if (outcome->has_group) {
        group_to_wire(&outcome->group, &wire->group);
        wire->outcome.group = &wire->group;
    }
    if (outcome->has_freeze) {
        freeze_to_wire(&outcome->freeze, &wire->freeze);
        wire->outcome.freeze = &wire->freeze;
    }
}

/* ---- a batch ---- */

struct result_wire {
    Wire__RenewalOutcome outcome;
    Wire__Grant grant;
    Wire__Run run;
    Wire__Grant holder;
};

static void result_to_wire(const struct outcome *result, struct result_wire *wire)
{
    wire__renewal_outcome__init(&wire->outcome);
    wire->outcome.code = outcome_code_to_wire(result->code);
    wire->outcome.has_field = result->field != NULL;
    wire->outcome.field = wire_bytes(slice_of(result->field));
    if (result->has_grant) {
        grant_to_wire(&result->grant, &wire->grant);
        wire->outcome.grant = &wire->grant;
    }
    if (result->has_run) {
        run_to_wire(&result->run, &wire->run);
        wire->outcome.run = &wire->run;
    }
    if (result->n_holders > 0) {
        grant_to_wire(&result->holders[0], &wire->holder);
        wire->outcome.holder = &wire->holder;
    }
    wire->outcome.has_minimum_ms = result->minimum_ms != 0;
    wire->outcome.minimum_ms = result->minimum_ms;
    wire->outcome.has_maximum_ms = result->maximum_ms != 0;
    wire->outcome.maximum_ms = result->maximum_ms;
    wire->outcome.has_estimate_ms = result->estimate_ms != 0;
    wire->outcome.estimate_ms = result->estimate_ms;
    wire->outcome.has_margin_ms = result->margin_ms != 0;
    wire->outcome.margin_ms = result->margin_ms;
}

static void outcome_results_to_wire(const struct outcome *outcome, struct arena *arena, Wire__Outcome *wire)
{
    if (outcome->n_results == 0) {
        return;
    }
    struct result_wire *results = arena_alloc(arena, outcome->n_results * sizeof *results);
    Wire__RenewalOutcome **pointers = arena_alloc(arena, outcome->n_results * sizeof *pointers);
    CHECK(results != NULL && pointers != NULL);
    for (size_t i = 0; i < outcome->n_results; i++) {
        result_to_wire(&outcome->results[i], &results[i]);
        pointers[i] = &results[i].outcome;
    }
    wire->n_results = outcome->n_results;
    wire->results = pointers;
}

void outcome_to_wire(const struct outcome *outcome, const struct outcome *shared, struct arena *arena,
                     struct outcome_wire *wire)
{
    CHECK(outcome_is_valid(outcome, shared));
    wire__outcome__init(&wire->outcome);
    wire->outcome.code = outcome_code_to_wire(outcome->code);
    if (outcome->field != NULL) {
        wire->outcome.has_field = true;
        wire->outcome.field = wire_bytes(slice_of(outcome->field));
    }
    wire->outcome.has_repeat = outcome->repeated;
    wire->outcome.repeat = outcome->repeated;
    if (outcome->has_policy) {
        policy_view_to_wire(&outcome->policy, wire);
    }
    if (outcome->has_grant) {
        grant_to_wire(&outcome->grant, &wire->grant);
        wire->outcome.grant = &wire->grant;
    }
    if (outcome->has_run) {
        run_to_wire(&outcome->run, &wire->run);
        wire->outcome.run = &wire->run;
    }
    outcome_terms_to_wire(outcome, wire);
    outcome_lists_to_wire(outcome, shared != NULL, wire);
    outcome_numbers_to_wire(outcome, &wire->outcome);
    outcome_results_to_wire(outcome, arena, &wire->outcome);
}
