/* Outcomes from messages. What has a field that isn't known is refused part by part; values are checked together, at the
 * end. */
#include "codec/wire.h"

static bool outcome_code_from_wire(Wire__OutcomeCode wire, enum outcome_code *code)
{
    switch ((int)wire) {
#define X(name, text)                                                                                                  \
    case WIRE__OUTCOME_CODE__##name:                                                                                   \
        *code = OUTCOME_##name;                                                                                        \
        return true;
        OUTCOME_TABLE(X)
#undef X
    default:
        return false;
    }
}

static bool grant_from_wire(const Wire__Grant *wire, struct grant_view *grant)
{
    *grant = (struct grant_view){
        .schedule_id = wire_slice(wire->schedule_id),
        .holder = wire_slice(wire->holder),
        .occurrence = wire_optional(wire->has_occurrence, wire->occurrence),
        .metadata = wire_optional(wire->has_metadata, wire->metadata),
        .token = wire->token,
        .ttl_ms = wire->ttl_ms,
        .remaining_ms = wire->remaining_ms,
        .acquired_wall_ms = wire->acquired_wall_ms,
        .expires_wall_ms = wire->expires_wall_ms,
        .attempt = wire->attempt,
        .is_revoking = wire->is_revoking != 0,
    };
    return wire_is_known(&wire->base);
}

static bool run_from_wire(const Wire__Run *wire, struct run_view *run)
{
    *run = (struct run_view){
        .schedule_id = wire_slice(wire->schedule_id),
        .holder = wire_slice(wire->holder),
        .occurrence = wire_optional(wire->has_occurrence, wire->occurrence),
        .actor = wire_optional(wire->has_actor, wire->actor),
        .reason = wire_optional(wire->has_reason, wire->reason),
        .token = wire->token,
        .duration_ms = wire->duration_ms,
        .acquired_wall_ms = wire->acquired_wall_ms,
        .ended_wall_ms = wire->ended_wall_ms,
        .outcome = (enum run_outcome)wire->outcome,
        .late_outcome = wire->has_late_outcome ? (int)wire->late_outcome : RUN_OUTCOME_NONE,
        .attempt = wire->attempt,
        .is_newly_revoked = wire->is_newly_revoked != 0,
        .is_newly_freed = wire->is_newly_freed != 0,
    };
    return wire_is_known(&wire->base);
}

static bool policy_view_from_wire(const Wire__PolicyView *wire, struct policy_view *view)
{
    *view = (struct policy_view){
        .schedule_id = wire_slice(wire->schedule_id),
        .has_success = wire->has_last_success_wall_ms != 0,
        .last_success_wall_ms = wire->last_success_wall_ms,
        .overdue_ms = UINT64_MAX, /* isn't sent */
    };
    return policy_from_wire(wire->policy, &view->policy) && wire_is_known(&wire->base);
}

static bool group_from_wire(const Wire__GroupView *wire, struct group_view *group)
{
    *group = (struct group_view){
        .name = wire_slice(wire->name), .slots = wire->slots, .held = wire->held, .schedules = wire->schedules};
    return wire_is_known(&wire->base);
}

static bool freeze_from_wire(const Wire__FreezeView *wire, struct freeze_view *freeze)
{
    *freeze = (struct freeze_view){
        .scope = wire_slice(wire->scope),
        .actor = wire_slice(wire->actor),
        .reason = wire_slice(wire->reason),
        .ttl_ms = wire->ttl_ms,
        .remaining_ms = wire->remaining_ms,
        .created_wall_ms = wire->created_wall_ms,
        .expires_wall_ms = wire->expires_wall_ms,
    };
    return wire_is_known(&wire->base);
}

static enum error outcome_take_holders(const Wire__Outcome *wire, const struct outcome *shared, struct arena *arena,
                                       struct outcome *outcome)
{
    if (wire->n_holders > LIMIT_SLOTS || (shared != NULL && wire->n_holders > 0)) {
        return ERROR_INVALID;
    }
    if (shared != NULL) {
        outcome->holders = shared->holders;
        outcome->n_holders = shared->n_holders;
        return ERROR_NONE;
    }
    if (wire->n_holders == 0) {
        return ERROR_NONE;
    }
    struct grant_view *holders = arena_alloc(arena, wire->n_holders * sizeof *holders);
    if (holders == NULL) {
        return ERROR_INVALID;
    }
    for (size_t i = 0; i < wire->n_holders; i++) {
        if (!grant_from_wire(wire->holders[i], &holders[i])) {
            return ERROR_VERSION;
        }
    }
    outcome->holders = holders;
    outcome->n_holders = wire->n_holders;
    return ERROR_NONE;
}

static enum error outcome_take_runs(const Wire__Outcome *wire, struct arena *arena, struct outcome *outcome)
{
    if (wire->n_runs > LIMIT_SLOTS) {
        return ERROR_INVALID;
    }
    if (wire->n_runs == 0) {
        return ERROR_NONE;
    }
    struct run_view *runs = arena_alloc(arena, wire->n_runs * sizeof *runs);
    if (runs == NULL) {
        return ERROR_INVALID;
    }
    for (size_t i = 0; i < wire->n_runs; i++) {
        if (!run_from_wire(wire->runs[i], &runs[i])) {
            return ERROR_VERSION;
        }
    }
    outcome->runs = runs;
    outcome->n_runs = wire->n_runs;
    return ERROR_NONE;
}

/* A text of its own, terminated, once it is known to be one. */
static enum error field_from_wire(ProtobufCBinaryData wire, struct arena *arena, const char **field)
{
    struct slice text = wire_slice(wire);
    if (!printable_is_valid(text, OUTCOME_FIELD_BYTES)) {
        return ERROR_INVALID;
    }
    struct slice copy = arena_copy(arena, text);
    *field = (const char *)copy.base;
    return slice_is_present(copy) ? ERROR_NONE : ERROR_INVALID;
}

/* False when it has something that isn't known. Its field, a text, is taken later, like its holder. */
static bool result_from_wire(const Wire__RenewalOutcome *wire, struct outcome *result)
{
    *result = (struct outcome){
        .has_grant = wire->grant != NULL,
        .has_run = wire->run != NULL,
        .minimum_ms = wire->minimum_ms,
        .maximum_ms = wire->maximum_ms,
        .estimate_ms = wire->estimate_ms,
        .margin_ms = wire->margin_ms,
    };
    return wire_is_known(&wire->base) && outcome_code_from_wire(wire->code, &result->code) &&
           (wire->grant == NULL || grant_from_wire(wire->grant, &result->grant)) &&
           (wire->run == NULL || run_from_wire(wire->run, &result->run));
}

static enum error result_take_holder(const Wire__RenewalOutcome *wire, struct arena *arena, struct outcome *result)
{
    if (wire->holder == NULL) {
        return ERROR_NONE;
    }
    struct grant_view *holder = arena_alloc(arena, sizeof *holder);
    if (holder == NULL) {
        return ERROR_INVALID;
    }
    result->holders = holder;
    result->n_holders = 1;
    return grant_from_wire(wire->holder, holder) ? ERROR_NONE : ERROR_VERSION;
}

static enum error outcome_take_results(const Wire__Outcome *wire, struct arena *arena, struct outcome *outcome)
{
    if (wire->n_results > LIMIT_RENEWALS) {
        return ERROR_INVALID;
    }
    if (wire->n_results == 0) {
        return ERROR_NONE;
    }
    struct outcome *results = arena_alloc(arena, wire->n_results * sizeof *results);
    if (results == NULL) {
        return ERROR_INVALID;
    }
    enum error error = ERROR_NONE;
    for (size_t i = 0; i < wire->n_results && error == ERROR_NONE; i++) {
        const Wire__RenewalOutcome *result = wire->results[i];
        error = result_from_wire(result, &results[i]) ? result_take_holder(result, arena, &results[i]) : ERROR_VERSION;
        if (error == ERROR_NONE && result->has_field) {
            error = field_from_wire(result->field, arena, &results[i].field);
        }
    }
    outcome->results = results;
    outcome->n_results = wire->n_results;
    return error;
}

enum error outcome_from_wire(const Wire__Outcome *wire, const struct outcome *shared, struct arena *arena,
                             struct outcome *outcome)
{
    *outcome = (struct outcome){
        .repeated = wire->repeat != 0,
        .has_policy = wire->policy != NULL,
        .has_grant = wire->grant != NULL,
        .has_run = wire->run != NULL,
        .has_group = wire->group != NULL,
        .has_freeze = wire->freeze != NULL,
        .remaining_ms = wire->remaining_ms,
        .minimum_ms = wire->minimum_ms,
        .maximum_ms = wire->maximum_ms,
        .estimate_ms = wire->estimate_ms,
        .margin_ms = wire->margin_ms,
    };
    bool known = wire_is_known(&wire->base) && outcome_code_from_wire(wire->code, &outcome->code);
    known = known && (wire->policy == NULL || policy_view_from_wire(wire->policy, &outcome->policy));
    known = known && (wire->grant == NULL || grant_from_wire(wire->grant, &outcome->grant));
    known = known && (wire->run == NULL || run_from_wire(wire->run, &outcome->run));
    known = known && (wire->group == NULL || group_from_wire(wire->group, &outcome->group));
    known = known && (wire->freeze == NULL || freeze_from_wire(wire->freeze, &outcome->freeze));
    if (!known) {
        return ERROR_VERSION;
    }
    enum error error = outcome_take_holders(wire, shared, arena, outcome);
    if (error == ERROR_NONE) {
        error = outcome_take_runs(wire, arena, outcome);
    }
    if (error == ERROR_NONE && wire->has_field) {
        error = field_from_wire(wire->field, arena, &outcome->field);
    }
    if (error == ERROR_NONE) {
        error = outcome_take_results(wire, arena, outcome);
    }
    if (error == ERROR_NONE && !outcome_is_valid(outcome, shared)) {
        error = ERROR_INVALID;
    }
    return error;
}
