/* The model of acquire: who is granted a slot, and why others aren't; and that those who may believe that they have one are
 * never more than there are. */
#include "audit_private.h"

struct acquisition {
    struct audit *audit;
    struct schedule *schedule;
    const struct ask *ask;
    const struct acquire_command *command;
    const struct policy *policy;
    struct outcome *expected;
    uint64_t estimate_ms;
    uint64_t ttl_ms;
    int occurrence;
};

static bool is_repeat(const struct acquisition *acquisition)
{
    struct audit *audit = acquisition->audit;
    const struct grant *grant = audit_find_grant(audit, audit_find_key(audit, acquisition->ask->key)->token);
    if (!model_is_kept(audit, grant)) {
        return false;
    }
    if (grant->ask != (uint64_t)(acquisition->ask - audit->asks)) {
        acquisition->expected->code = OUTCOME_IDEMPOTENCY_CONFLICT;
    } else if (grant->outcome != RUN_RUNNING) {
        acquisition->expected->code = OUTCOME_GRANT_ENDED;
        model_expect_run(audit, grant, acquisition->expected);
    } else {
        acquisition->expected->repeated = true;
        model_expect_grant(audit, grant, acquisition->expected);
        audit->counts->repeats++;
    }
    return true;
}

static bool ttl_is_wrong(struct acquisition *acquisition)
{
    const struct acquire_command *command = acquisition->command;
    const struct policy *policy = acquisition->policy;
    struct outcome *expected = acquisition->expected;
    uint64_t asked_ms = command->has_estimate ? command->estimate_ms : 0;
    acquisition->estimate_ms = asked_ms > policy->estimate_ms ? asked_ms : policy->estimate_ms;
    uint64_t minimum_ms = acquisition->estimate_ms + policy->margin_ms;
    if (!command->has_ttl && acquisition->estimate_ms == 0) {
        model_expect_field(expected, "ttl_ms");
        return true;
    }
    acquisition->ttl_ms = command->has_ttl ? command->ttl_ms : minimum_ms;
    if (acquisition->ttl_ms >= minimum_ms && acquisition->ttl_ms <= policy->max_ttl_ms) {
        return false;
    }
    expected->code = acquisition->ttl_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
    expected->minimum_ms = minimum_ms;
    expected->maximum_ms = policy->max_ttl_ms;
    expected->estimate_ms = acquisition->estimate_ms;
    expected->margin_ms = policy->margin_ms;
    return true;
}

static bool occurrence_is_over(const struct acquisition *acquisition)
{
    struct audit *audit = acquisition->audit;
    struct outcome *expected = acquisition->expected;
    if (acquisition->occurrence < 0) {
        return false;
    }
    const struct occurrence *occurrence = &acquisition->schedule->occurrences[acquisition->occurrence];
    const struct grant *newest = audit_find_grant(audit, occurrence->token);
    if (occurrence->succeeded) {
        expected->code = OUTCOME_OCCURRENCE_DONE;
        model_expect_run(audit, newest, expected);
    } else if (newest != NULL && newest->live) {
        expected->code = OUTCOME_LOCK_HELD;
        model_expect_holders(audit, acquisition->schedule, expected);
    } else if (occurrence->attempts >= acquisition->policy->max_attempts) {
        expected->code = OUTCOME_ATTEMPTS_EXHAUSTED;
        model_expect_run(audit, newest, expected);
    } else {
        return false;
    }
    return true;
}

static bool holds_one(struct audit *audit, const struct schedule *schedule, struct slice holder)
{
    for (size_t i = 0; i < schedule->n_live; i++) {
        if (slice_equal(audit_find_grant(audit, schedule->live[i])->holder, holder)) {
            return true;
        }
    }
    return false;
}

static bool has_no_slot(const struct acquisition *acquisition)
{
    const struct schedule *schedule = acquisition->schedule;
    if (schedule->n_live < acquisition->policy->slots &&
        !holds_one(acquisition->audit, schedule, acquisition->command->holder)) {
        return false;
    }
    acquisition->expected->code = OUTCOME_LOCK_HELD;
    model_expect_holders(acquisition->audit, schedule, acquisition->expected);
    return true;
}

static bool is_cooling_down(const struct acquisition *acquisition)
{
    struct audit *audit = acquisition->audit;
    const struct schedule *schedule = acquisition->schedule;
    if (schedule->n_tokens == 0) {
        return false;
    }
    const struct grant *newest = audit_find_grant(audit, schedule->tokens[schedule->n_tokens - 1]);
    uint64_t over_ms = newest->granted_ms + acquisition->policy->min_hold_ms;
    if (over_ms <= audit->now_ms) {
        return false;
    }
    acquisition->expected->code = OUTCOME_COOLING_DOWN;
    acquisition->expected->remaining_ms = over_ms - audit->now_ms;
    return true;
}

static uint64_t believed_until(const struct grant *grant)
{
    uint64_t until_ns = grant->belief_ns;
    for (size_t i = 0; i < grant->n_unheard; i++) {
        until_ns = grant->unheard[i].until_ns < until_ns ? grant->unheard[i].until_ns : until_ns;
    }
    return until_ns;
}

/* With those who were told that they have a slot, haven't given it back and may still believe that they have it, the new
 * one must be one of at most as many as there are slots; and none of them is its holder's. */
static void check_exclusive(const struct acquisition *acquisition)
{
    struct audit *audit = acquisition->audit;
    const struct schedule *schedule = acquisition->schedule;
    unsigned believers = 0;
    for (size_t i = 0; i < schedule->n_tokens; i++) {
        const struct grant *grant = audit_find_grant(audit, schedule->tokens[i]);
        if (!grant->given_back && !grant->declared_dead && believed_until(grant) > audit->world->now_ns) {
            believers++;
            if (slice_equal(grant->holder, acquisition->command->holder)) {
                sim_fail(audit->world, "%.*s gets another slot of %s and may believe that it has %" PRIu64,
                         SLICE_PRINT(grant->holder), schedule->name, grant->token);
            }
        }
    }
    if (believers >= acquisition->policy->slots) {
        sim_fail(audit->world, "%s is granted while %u may believe that they have a slot, of %" PRIu32, schedule->name,
                 believers, acquisition->policy->slots);
    }
}

static uint32_t count_attempt(struct schedule *schedule, int number, uint64_t token)
{
    if (number < 0) {
        return 0;
    }
    schedule->occurrences[number].token = token;
    return ++schedule->occurrences[number].attempts;
}

static void count_grant(const struct acquisition *acquisition, const struct grant *grant)
{
    struct counts *counts = acquisition->audit->counts;
    counts->grants++;
    counts->grants_again += grant->attempt > 1;
    counts->grants_beside += acquisition->schedule->n_live > 0;
    counts->grants_short += grant->ttl_ms < LIMIT_DEFAULT_MARGIN_MS;
}

static void add_grant(const struct acquisition *acquisition)
{
    struct audit *audit = acquisition->audit;
    struct schedule *schedule = acquisition->schedule;
    const struct acquire_command *command = acquisition->command;
    audit->grants = audit_grow(audit->grants, audit->n_grants, &audit->grants_capacity, sizeof *audit->grants);
    uint64_t token = audit->n_grants + 1;
    audit->grants[audit->n_grants++] = (struct grant){
        .token = token,
        .schedule = (unsigned)(schedule - audit->schedules),
        .ask = (uint64_t)(acquisition->ask - audit->asks),
        .occurrence = acquisition->occurrence,
        .holder = arena_copy(&audit->arena, command->holder),
        .occurrence_text = arena_copy(&audit->arena, command->occurrence),
        .metadata = arena_copy(&audit->arena, command->metadata),
        .granted_ms = audit->now_ms,
        .granted_ttl_ms = acquisition->ttl_ms,
        .estimate_ms = acquisition->estimate_ms,
        .margin_ms = acquisition->policy->margin_ms,
        .max_ttl_ms = acquisition->policy->max_ttl_ms,
        .granted_wall_ms = audit->wall_ms,
        .attempt = count_attempt(schedule, acquisition->occurrence, token),
        .live = true,
        .ttl_ms = acquisition->ttl_ms,
        .deadline_ms = audit->now_ms + acquisition->ttl_ms,
        .outcome = RUN_RUNNING,
        .late_outcome = RUN_OUTCOME_NONE,
        .set_ns = acquisition->ask->first_ns,
    };
    count_grant(acquisition, &audit->grants[token - 1]);
    schedule->tokens =
        audit_grow(schedule->tokens, schedule->n_tokens, &schedule->tokens_capacity, sizeof *schedule->tokens);
    schedule->tokens[schedule->n_tokens++] = token;
    CHECK(schedule->n_live < LIVE);
    schedule->live[schedule->n_live++] = token;
    audit_find_key(audit, acquisition->ask->key)->token = token;
    model_expect_grant(audit, &audit->grants[token - 1], acquisition->expected);
}

void model_acquire(struct audit *audit, const struct ask *ask, const struct acquire_command *command,
                   struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    struct acquisition acquisition = {
        .audit = audit,
        .schedule = schedule,
        .ask = ask,
        .command = command,
        .policy = model_policy(schedule),
        .expected = expected,
        .occurrence = audit_occurrence_in(command->occurrence),
    };
    if (is_repeat(&acquisition) || ttl_is_wrong(&acquisition) || occurrence_is_over(&acquisition) ||
        has_no_slot(&acquisition) || is_cooling_down(&acquisition)) {
        return;
    }
    if (audit->hearing.no_growth) {
        expected->code = OUTCOME_CAPACITY;
        return;
    }
    schedule->touched = true;
    check_exclusive(&acquisition);
    add_grant(&acquisition);
}
