/* acquire: the happy path is a new run, a new grant, and its occurrence with one attempt more. Whether it comes to that is
 * decided by the checks (acquire_checks.c), and what else they come to is shown here.
 *
 * A refusal changes nothing: it leaves no key, no occurrence, no schedule. */
#include "core/acquire.h"

/* ---- the grant ---- */

static uint32_t count_attempt(struct acquisition *acquisition, uint64_t token)
{
    if (!slice_is_present(acquisition->command->occurrence)) {
        return 0;
    }
    if (acquisition->occurrence == NULL) {
        acquisition->occurrence = draft_add_occurrence(acquisition->draft, &acquisition->key);
    }
    acquisition->occurrence->run_token = token;
    return ++acquisition->occurrence->attempts;
}

static void acquire_grant(struct acquisition *acquisition, struct outcome *outcome)
{
    struct lock_table *table = acquisition->table;
    struct schedule_draft *draft = acquisition->draft;
    const struct acquire_command *command = acquisition->command;
    uint64_t token = table->numbers.next_token++;
    struct run_image run = {
        .token = token,
        .granted_ms = table->numbers.now_ms,
        .acquired_wall_ms = table->numbers.wall_ms,
        .holder = command->holder,
        .occurrence = command->occurrence,
        .idempotency_key = command->idempotency_key,
        .fingerprint = acquisition->fingerprint,
        .outcome = RUN_RUNNING,
        .late_outcome = RUN_OUTCOME_NONE,
        .attempt = count_attempt(acquisition, token),
    };
    struct grant_image grant = {
        .token = token,
        .granted_ms = table->numbers.now_ms,
        .deadline_ms = table->numbers.now_ms + acquisition->ttl_ms,
        .ttl_ms = acquisition->ttl_ms,
        .granted_ttl_ms = acquisition->ttl_ms,
        .estimate_ms = acquisition->estimate_ms,
        .margin_ms = acquisition->policy->margin_ms,
        .max_ttl_ms = acquisition->policy->max_ttl_ms,
        .metadata = command->metadata,
        .group = acquisition->policy->group,
    };
    draft_add_run(draft, &run);
    draft_add_grant(draft, &grant);
    draft_set_forgetting(draft, table->numbers.now_ms);
    draft_trim(draft, token);
    table->held++;
    table_keep(table, acquisition->node, draft);
    const struct grant_image *granted = draft_find_grant(draft, token);
    outcome_set_grant(outcome, table, draft, granted);
    event_tell_grant(table, EVENT_GRANTED, &outcome->grant, granted->group);
}

/* ---- the other answers ---- */

static void show_ttl(const struct acquisition *acquisition, struct outcome *outcome)
{
    outcome->minimum_ms = acquisition->minimum_ms;
    outcome->maximum_ms = acquisition->policy->max_ttl_ms;
    outcome->estimate_ms = acquisition->estimate_ms;
    outcome->margin_ms = acquisition->policy->margin_ms;
}

static void acquire_show(struct acquisition *acquisition, struct outcome *outcome)
{
    struct lock_table *table = acquisition->table;
    struct schedule_draft *draft = acquisition->draft;
    outcome->code = acquisition->code;
    outcome->repeated = acquisition->repeated;
    switch (acquisition->code) {
    case OUTCOME_DONE:
        outcome_set_grant(outcome, table, draft, draft_find_grant(draft, acquisition->run->token));
        break;
    case OUTCOME_INVALID_FIELD:
        outcome->field = acquisition->field;
        break;
    case OUTCOME_TTL_TOO_SHORT:
    case OUTCOME_TTL_TOO_LONG:
        show_ttl(acquisition, outcome);
        break;
    case OUTCOME_GRANT_ENDED:
    case OUTCOME_OCCURRENCE_DONE:
    case OUTCOME_ATTEMPTS_EXHAUSTED:
        outcome_set_run(outcome, draft, acquisition->run);
        break;
    case OUTCOME_FROZEN:
        outcome->has_freeze = true;
        outcome->freeze = freeze_view_of(table, acquisition->freeze);
        break;
    case OUTCOME_LOCK_HELD:
        outcome_set_holders(outcome, table, draft);
        break;
    case OUTCOME_COOLING_DOWN:
        outcome->remaining_ms = acquisition->remaining_ms;
        break;
    case OUTCOME_GROUP_FULL:
        outcome_set_group_holders(outcome, table, acquisition->group);
        break;
    default: /* a conflict or want of room has nothing to show */
        break;
    }
}

void apply_acquire(struct lock_table *table, bool no_growth, const struct acquire_command *command,
                   struct outcome *outcome)
{
    struct acquisition acquisition = {.table = table, .command = command};
    acquire_decide(&acquisition, no_growth);
    if (acquisition.code == OUTCOME_DONE && !acquisition.repeated) {
        acquire_grant(&acquisition, outcome);
    } else {
        acquire_show(&acquisition, outcome);
    }
}

/* ---- the same, but only asked ---- */

static uint64_t rest_of(uint64_t all, uint64_t taken)
{
    return all > taken ? all - taken : 0;
}

static uint64_t count_free_slots(const struct acquisition *acquisition)
{
    uint64_t slots = rest_of(acquisition->policy->slots, acquisition->draft->image.n_grants);
    const struct slice name = acquisition->policy->group; /* a repeat is decided before the group is looked for */
    const struct table_group *group = slice_is_present(name) ? groups_find(acquisition->table, name) : NULL;
    uint64_t of_group = group == NULL ? UINT64_MAX : rest_of(group->slots, group->use->held);
    return slots < of_group ? slots : of_group;
}

void lock_table_probe(struct lock_table *table, const struct acquire_command *command, struct probe *probe)
{
    struct acquisition acquisition = {.table = table, .command = command};
    acquire_decide(&acquisition, false);
    *probe = (struct probe){.code = acquisition.code, .remaining_ms = acquisition.remaining_ms};
    if (acquisition.policy != NULL) { /* or the form was refused */
        probe->group = acquisition.policy->group;
        probe->free_slots = acquisition.code == OUTCOME_DONE ? count_free_slots(&acquisition) : 0;
        probe->is_full = acquisition.code == OUTCOME_LOCK_HELD &&
                         acquisition.draft->image.n_grants >= acquisition.policy->slots;
    }
}
