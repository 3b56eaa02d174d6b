/* Outcomes as messages. They cross between nodes only and are never kept, but two versions may meet during an upgrade,
 * so codes have numbers of their own on the wire. */
#include "codec/wire.h"

/* A field's name is short; a bound keeps a hostile one from filling a log line. */
#define OUTCOME_FIELD_BYTES LIMIT_NAME_BYTES

/* ---- rules ---- */

static bool grant_is_valid(const struct grant_view *grant)
{
    return name_is_valid(grant->schedule_id) && printable_is_valid(grant->holder, LIMIT_NAME_BYTES) &&
           optional_printable_is_valid(grant->occurrence, LIMIT_OCCURRENCE_BYTES) &&
           (!slice_is_present(grant->metadata) || metadata_is_valid(grant->metadata));
}

static bool run_is_valid(const struct run_view *run)
{
    return name_is_valid(run->schedule_id) && printable_is_valid(run->holder, LIMIT_NAME_BYTES) &&
           optional_printable_is_valid(run->occurrence, LIMIT_OCCURRENCE_BYTES) &&
           optional_printable_is_valid(run->actor, LIMIT_NAME_BYTES) &&
           (!slice_is_present(run->reason) || sentence_is_valid(run->reason, LIMIT_REASON_BYTES)) &&
           run_outcome_is_valid(run->outcome) &&
           (run->late_outcome == RUN_OUTCOME_NONE || run_outcome_is_valid(run->late_outcome));
}

/* Holders stand in refusals, and have no metadata there. Shared ones were looked at where they are written. */
static bool holders_are_valid(const struct outcome *outcome, const struct outcome *shared)
{
    if (outcome->n_holders > LIMIT_SLOTS || (outcome->code == OUTCOME_LOCK_HELD && outcome->n_holders == 0)) {
        return false;
    }
    if (shared != NULL) {
        return outcome->n_holders > 0 && outcome->holders == shared->holders && outcome->n_holders == shared->n_holders;
    }
    for (size_t i = 0; i < outcome->n_holders; i++) {
        if (slice_is_present(outcome->holders[i].metadata) || !grant_is_valid(&outcome->holders[i])) {
            return false;
        }
    }
    return true;
}

/* Only what a revoke lists says what it did. */
static bool run_has_news(const struct run_view *run)
{
    return run->is_newly_revoked || run->is_newly_freed;
}

/* The runs are what was revoked, so that no refusal has any. */
static bool runs_are_valid(const struct outcome *outcome)
{
    if (outcome->n_runs > LIMIT_SLOTS ||
        (outcome->n_runs > 0 && (outcome->code != OUTCOME_DONE || outcome->n_holders > 0))) {
        return false;
    }
    for (size_t i = 0; i < outcome->n_runs; i++) {
        if (!run_is_valid(&outcome->runs[i])) {
            return false;
        }
    }
    return true;
}

/* What an answer is made of must be there: a held lock has a holder, a wrong field a name. */
static bool outcome_is_valid(const struct outcome *outcome, const struct outcome *shared)
{
    if ((outcome->code == OUTCOME_INVALID_FIELD && outcome->field == NULL) ||
        (outcome->field != NULL && !printable_is_valid(slice_of(outcome->field), OUTCOME_FIELD_BYTES)) ||
        (outcome->has_policy &&
         !(name_is_valid(outcome->policy.schedule_id) && policy_is_valid(&outcome->policy.policy))) ||
        (outcome->has_grant && !grant_is_valid(&outcome->grant)) ||
        (outcome->has_run && (!run_is_valid(&outcome->run) || run_has_news(&outcome->run)))) {
        return false;
    }
    return holders_are_valid(outcome, shared) && runs_are_valid(outcome);
}

/* ---- codes ---- */

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

/* ---- encoding ---- */

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

void outcome_to_wire(const struct outcome *outcome, const struct outcome *shared, struct outcome_wire *wire)
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
    if (outcome->has_grant) {
        grant_to_wire(&outcome->grant, &wire->grant);
        wire->outcome.grant = &wire->grant;
    }
    if (outcome->has_run) {
        run_to_wire(&outcome->run, &wire->run);
        wire->outcome.run = &wire->run;
    }
    if (outcome->has_policy) {
        policy_view_to_wire(&outcome->policy, wire);
    }
    outcome_lists_to_wire(outcome, shared != NULL, wire);
    outcome_numbers_to_wire(outcome, &wire->outcome);
}

/* ---- decoding: false for a field that isn't known; values are checked together, at the end ---- */

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
    };
    return policy_from_wire(wire->policy, &view->policy) && wire_is_known(&wire->base);
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

static enum error outcome_take_field(const Wire__Outcome *wire, struct arena *arena, struct outcome *outcome)
{
    if (!wire->has_field) {
        return ERROR_NONE;
    }
    struct slice field = wire_slice(wire->field);
    if (!printable_is_valid(field, OUTCOME_FIELD_BYTES)) { /* before it becomes a terminated string */
        return ERROR_INVALID;
    }
    struct slice copy = arena_copy(arena, field);
    outcome->field = (const char *)copy.base;
    return slice_is_present(copy) ? ERROR_NONE : ERROR_INVALID;
}

enum error outcome_from_wire(const Wire__Outcome *wire, const struct outcome *shared, struct arena *arena,
                             struct outcome *outcome)
{
    *outcome = (struct outcome){
        .repeated = wire->repeat != 0,
        .has_policy = wire->policy != NULL,
        .has_grant = wire->grant != NULL,
        .has_run = wire->run != NULL,
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
    if (!known) {
        return ERROR_VERSION;
    }
    enum error error = outcome_take_holders(wire, shared, arena, outcome);
    if (error == ERROR_NONE) {
        error = outcome_take_runs(wire, arena, outcome);
    }
    if (error == ERROR_NONE) {
        error = outcome_take_field(wire, arena, outcome);
    }
    if (error == ERROR_NONE && !outcome_is_valid(outcome, shared)) {
        error = ERROR_INVALID;
    }
    return error;
}
