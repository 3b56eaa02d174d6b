/* Walks through commands, outcomes and views, field by field. */
#include <string.h>

#include "audit_private.h"
#include "base/checksum.h"

/* Cheap, for it runs through everything that every node does; nobody chooses values against it. */
static uint64_t mix(uint64_t fingerprint, uint64_t value)
{
    fingerprint = (fingerprint ^ value) * 0x9e3779b97f4a7c15ull;
    return fingerprint ^ fingerprint >> 29;
}

void walk_number(struct walk *walk, const char *name, uint64_t value)
{
    walk->fingerprint = mix(walk->fingerprint + 1, value);
    if (walk->text != NULL) {
        buffer_printf(walk->text, " %s %" PRId64, name, (int64_t)value);
    }
}

static void walk_slice(struct walk *walk, const char *name, struct slice value)
{
    walk->fingerprint = mix(walk->fingerprint + 1, slice_is_present(value) ? checksum_64(value.base, value.len) : 0);
    if (walk->text != NULL && slice_is_present(value)) {
        buffer_printf(walk->text, " %s '%.*s'", name, SLICE_PRINT(value));
    }
}

static void walk_text(struct walk *walk, const char *name, const char *text)
{
    walk_slice(walk, name, slice_of(text));
}

/* ---- commands ---- */

static void walk_acquire(struct walk *walk, const struct acquire_command *command)
{
    walk_slice(walk, "schedule", command->schedule_id);
    walk_slice(walk, "holder", command->holder);
    walk_slice(walk, "occurrence", command->occurrence);
    walk_slice(walk, "key", command->idempotency_key);
    walk_slice(walk, "metadata", command->metadata);
    walk_number(walk, "has_ttl", command->has_ttl);
    walk_number(walk, "ttl_ms", command->has_ttl ? command->ttl_ms : 0);
    walk_number(walk, "has_estimate", command->has_estimate);
    walk_number(walk, "estimate_ms", command->has_estimate ? command->estimate_ms : 0);
}

static void walk_terms(struct walk *walk, const struct policy *policy)
{
    walk_number(walk, "estimate_ms", policy->estimate_ms);
    walk_number(walk, "margin_ms", policy->margin_ms);
    walk_number(walk, "max_ttl_ms", policy->max_ttl_ms);
    walk_number(walk, "min_hold_ms", policy->min_hold_ms);
    walk_number(walk, "slots", policy->slots);
    walk_number(walk, "max_attempts", policy->max_attempts);
    walk_slice(walk, "description", policy->description);
}

static void walk_revoke(struct walk *walk, const struct revoke_command *command)
{
    walk_slice(walk, "schedule", command->schedule_id);
    walk_slice(walk, "actor", command->actor);
    walk_slice(walk, "reason", command->reason);
    walk_number(walk, "token", command->token);
    walk_number(walk, "force", command->force);
}

void walk_command(struct walk *walk, const struct command *command)
{
    walk_number(walk, "kind", command->kind);
    switch (command->kind) {
    case COMMAND_NOOP:
        break;
    case COMMAND_LEADER:
        walk_number(walk, "floor", command->leader.member_id_floor);
        break;
    case COMMAND_RULES:
        walk_number(walk, "version", command->rules.version);
        break;
    case COMMAND_ACQUIRE:
        walk_acquire(walk, &command->acquire);
        break;
    case COMMAND_RENEW:
        walk_slice(walk, "schedule", command->renew.schedule_id);
        walk_number(walk, "token", command->renew.token);
        walk_number(walk, "has_ttl", command->renew.has_ttl);
        walk_number(walk, "ttl_ms", command->renew.has_ttl ? command->renew.ttl_ms : 0);
        break;
    case COMMAND_RELEASE:
        walk_slice(walk, "schedule", command->release.schedule_id);
        walk_number(walk, "token", command->release.token);
        walk_number(walk, "has_outcome", command->release.has_outcome);
        walk_number(walk, "outcome", command->release.has_outcome ? command->release.outcome : 0);
        break;
    case COMMAND_PUT_SCHEDULE:
        walk_slice(walk, "schedule", command->put_schedule.schedule_id);
        walk_terms(walk, &command->put_schedule.policy);
        break;
    case COMMAND_DELETE_SCHEDULE:
        walk_slice(walk, "schedule", command->delete_schedule.schedule_id);
        break;
    case COMMAND_REVOKE:
        walk_revoke(walk, &command->revoke);
        break;
    default: /* no client of the simulator asks for it */
        break;
    }
}

/* ---- views ---- */

void walk_grant(struct walk *walk, const struct grant_view *grant)
{
    walk_slice(walk, "grant", grant->schedule_id);
    walk_number(walk, "token", grant->token);
    walk_slice(walk, "holder", grant->holder);
    walk_slice(walk, "occurrence", grant->occurrence);
    walk_slice(walk, "metadata", grant->metadata);
    walk_number(walk, "ttl_ms", grant->ttl_ms);
    walk_number(walk, "remaining_ms", grant->remaining_ms);
    walk_number(walk, "acquired_wall_ms", (uint64_t)grant->acquired_wall_ms);
    walk_number(walk, "expires_wall_ms", (uint64_t)grant->expires_wall_ms);
    walk_number(walk, "attempt", grant->attempt);
    walk_number(walk, "is_revoking", grant->is_revoking);
}

void walk_run(struct walk *walk, const struct run_view *run)
{
    walk_slice(walk, "run", run->schedule_id);
    walk_number(walk, "token", run->token);
    walk_slice(walk, "holder", run->holder);
    walk_slice(walk, "occurrence", run->occurrence);
    walk_number(walk, "outcome", run->outcome);
    walk_number(walk, "late_outcome", (uint64_t)run->late_outcome);
    walk_slice(walk, "actor", run->actor);
    walk_slice(walk, "reason", run->reason);
    walk_number(walk, "duration_ms", run->duration_ms);
    walk_number(walk, "acquired_wall_ms", (uint64_t)run->acquired_wall_ms);
    walk_number(walk, "ended_wall_ms", (uint64_t)run->ended_wall_ms);
    walk_number(walk, "attempt", run->attempt);
    walk_number(walk, "is_newly_revoked", run->is_newly_revoked);
    walk_number(walk, "is_newly_freed", run->is_newly_freed);
}

void walk_policy(struct walk *walk, const struct policy_view *policy)
{
    walk_slice(walk, "policy", policy->schedule_id);
    walk_terms(walk, &policy->policy);
    walk_number(walk, "has_success", policy->has_success);
    walk_number(walk, "last_success_wall_ms", policy->has_success ? (uint64_t)policy->last_success_wall_ms : 0);
}

void walk_outcome(struct walk *walk, const struct outcome *outcome)
{
    walk_text(walk, "code", outcome_code_name(outcome->code));
    walk_text(walk, "field", outcome->field);
    walk_number(walk, "repeated", outcome->repeated);
    if (outcome->has_policy) {
        walk_policy(walk, &outcome->policy);
    }
    if (outcome->has_grant) {
        walk_grant(walk, &outcome->grant);
    }
    if (outcome->has_run) {
        walk_run(walk, &outcome->run);
    }
    walk_number(walk, "runs", outcome->n_runs);
    for (size_t i = 0; i < outcome->n_runs; i++) {
        walk_run(walk, &outcome->runs[i]);
    }
    walk_number(walk, "holders", outcome->n_holders);
    for (size_t i = 0; i < outcome->n_holders; i++) {
        walk_grant(walk, &outcome->holders[i]);
    }
    walk_number(walk, "remaining_ms", outcome->remaining_ms);
    walk_number(walk, "minimum_ms", outcome->minimum_ms);
    walk_number(walk, "maximum_ms", outcome->maximum_ms);
    walk_number(walk, "estimate_ms", outcome->estimate_ms);
    walk_number(walk, "margin_ms", outcome->margin_ms);
}

uint64_t audit_fingerprint(const struct outcome *outcome)
{
    struct walk walk = {0};
    walk_outcome(&walk, outcome);
    return walk.fingerprint;
}

/* ---- comparing ---- */

/* Where both texts begin to differ, and a little before. */
static size_t find_difference(const struct buffer *a, const struct buffer *b)
{
    size_t same = 0;
    while (same < a->len && same < b->len && a->base[same] == b->base[same]) {
        same++;
    }
    return same < 60 ? 0 : same - 60;
}

static void tell_difference(struct audit *audit, const struct comparison *comparison, const struct buffer *text,
                            const struct buffer *wanted)
{
    size_t from = find_difference(text, wanted);
    sim_fail(audit->world,
             "%s: %s %" PRIu64 " at index %" PRIu64 " isn't as it must be: …%.300s … instead of …%.300s …",
             comparison->node, comparison->what, comparison->number, audit->hearing.index,
             (const char *)text->base + from, (const char *)wanted->base + from);
}

void audit_compare(struct audit *audit, const struct comparison *comparison, const void *value, const void *expected)
{
    struct walk walk = {0};
    struct walk wanted = {0};
    comparison->each(&walk, value);
    comparison->each(&wanted, expected);
    if (walk.fingerprint == wanted.fingerprint) {
        return;
    }
    struct buffer text;
    struct buffer wanted_text;
    buffer_init(&text);
    buffer_init(&wanted_text);
    comparison->each(&(struct walk){.text = &text}, value);
    comparison->each(&(struct walk){.text = &wanted_text}, expected);
    buffer_append(&text, "", 1);
    buffer_append(&wanted_text, "", 1);
    tell_difference(audit, comparison, &text, &wanted_text);
    buffer_close(&text);
    buffer_close(&wanted_text);
}
