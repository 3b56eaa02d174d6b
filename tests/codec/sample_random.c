#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "core/rules.h"
#include "sample.h"

/* ---- chance ---- */

uint64_t sample_next(struct sample_random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sample_below(struct sample_random *random, uint64_t bound)
{
    return sample_next(random) % bound;
}

static bool sample_coin(struct sample_random *random)
{
    return sample_below(random, 2) == 1;
}

/* Numbers of every length, not mostly long ones. */
static uint64_t sample_number(struct sample_random *random)
{
    return sample_next(random) >> sample_below(random, 64);
}

static struct slice sample_bytes(struct sample_random *random, struct arena *arena, const char *alphabet, size_t limit)
{
    size_t len = 1 + sample_below(random, sample_coin(random) ? 12 : limit);
    uint8_t *base = arena_alloc(arena, len);
    size_t n = strlen(alphabet);
    for (size_t i = 0; i < len; i++) {
        base[i] = (uint8_t)alphabet[sample_below(random, n)];
    }
    return (struct slice){.base = base, .len = len};
}

static struct slice sample_name(struct sample_random *random, struct arena *arena)
{
    struct slice name = sample_bytes(random, arena, "abzABZ019._:@~-", LIMIT_NAME_BYTES);
    ((uint8_t *)name.base)[0] = 'x';
    return name;
}

static struct slice sample_printable(struct sample_random *random, struct arena *arena, size_t limit)
{
    return sample_bytes(random, arena, "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", limit);
}

static struct slice sample_metadata(struct sample_random *random, struct arena *arena)
{
    struct slice metadata = sample_bytes(random, arena, "ab \"{}:,", LIMIT_METADATA_BYTES - 1);
    uint8_t *base = arena_alloc(arena, metadata.len + 1);
    memcpy(base, metadata.base, metadata.len);
    base[0] = '{';
    base[metadata.len] = '}';
    return (struct slice){.base = base, .len = metadata.len + 1};
}

/* Every one that is allowed, and none too. */
static struct slice sample_sentence(struct sample_random *random, struct arena *arena)
{
    switch (sample_below(random, 4)) {
    case 0:
        return (struct slice){0};
    case 1:
        return slice_of("");
    case 2:
        return slice_of("t\xc3\xa4glich \xe2\x80\x94 \xe6\xaf\x8e\xe6\x97\xa5 \xf0\x9f\x98\x80");
    default:
        return sample_bytes(random, arena, "why not \t\n", LIMIT_REASON_BYTES);
    }
}

static void sample_policy(struct sample_random *random, struct arena *arena, struct policy *policy)
{
    policy->max_ttl_ms = 1 + sample_number(random) % LIMIT_TTL_MS;
    policy->margin_ms = sample_number(random) % (policy->max_ttl_ms + 1);
    policy->estimate_ms = sample_number(random) % (policy->max_ttl_ms - policy->margin_ms + 1);
    policy->min_hold_ms = sample_number(random) % (LIMIT_NUMBER_MAX + 1);
    policy->slots = 1 + (uint32_t)sample_below(random, LIMIT_SLOTS);
    policy->max_attempts = 1 + (uint32_t)sample_below(random, LIMIT_ATTEMPTS);
    policy->description = sample_sentence(random, arena);
    if (sample_coin(random)) {
        policy->group = sample_name(random, arena);
    }
    policy->expected_every_ms = sample_coin(random) ? 1 + sample_number(random) % LIMIT_NUMBER_MAX : 0;
}

static size_t sample_count(struct sample_random *random, size_t limit)
{
    return 1 + sample_below(random, sample_below(random, 20) == 0 ? limit : 2);
}

static void sample_renew(struct sample_random *random, struct arena *arena, struct renew_command *renew)
{
    renew->schedule_id = sample_name(random, arena);
    renew->token = sample_number(random);
    renew->has_ttl = sample_coin(random);
    renew->ttl_ms = renew->has_ttl ? 1 + sample_number(random) % LIMIT_NUMBER_MAX : 0;
}

/* No schedule and token twice: the token says which of them it is. */
static void sample_renew_batch(struct sample_random *random, struct arena *arena, struct renew_batch_command *batch)
{
    batch->n_renewals = sample_count(random, LIMIT_RENEWALS);
    struct renew_command *renewals = arena_alloc(arena, batch->n_renewals * sizeof *renewals);
    for (size_t i = 0; i < batch->n_renewals; i++) {
        sample_renew(random, arena, &renewals[i]);
        renewals[i].token = (renewals[i].token & ~(uint64_t)0xffff) | i;
    }
    batch->renewals = renewals;
}

static struct slice sample_reason(struct sample_random *random, struct arena *arena)
{
    return sample_bytes(random, arena, "why not \t\n", LIMIT_REASON_BYTES);
}

static struct slice sample_scope(struct sample_random *random, struct arena *arena)
{
    struct slice scope = sample_name(random, arena);
    if (sample_coin(random)) {
        ((uint8_t *)scope.base)[scope.len - 1] = '*'; /* alone, when it is a single byte */
    }
    return scope;
}

static void sample_newer_command(struct sample_random *random, struct arena *arena, struct command *command)
{
    switch (command->kind) {
    case COMMAND_RENEW_BATCH:
        sample_renew_batch(random, arena, &command->renew_batch);
        break;
    case COMMAND_PUT_GROUP:
        command->put_group.name = sample_name(random, arena);
        command->put_group.slots = (uint32_t)sample_below(random, LIMIT_GROUP_SLOTS + 1);
        break;
    case COMMAND_DELETE_GROUP:
        command->delete_group.name = sample_name(random, arena);
        break;
    case COMMAND_PUT_FREEZE:
        command->put_freeze.scope = sample_scope(random, arena);
        command->put_freeze.actor = sample_printable(random, arena, LIMIT_NAME_BYTES);
        command->put_freeze.reason = sample_reason(random, arena);
        command->put_freeze.ttl_ms = 1 + sample_number(random) % LIMIT_FREEZE_MS;
        break;
    default:
        CHECK(command->kind == COMMAND_DELETE_FREEZE);
        command->delete_freeze.scope = sample_scope(random, arena);
    }
}

void sample_command(struct sample_random *random, struct arena *arena, struct command *command)
{
    *command =
        (struct command){.kind = (enum command_kind)(COMMAND_NOOP + sample_below(random, COMMAND_DELETE_FREEZE))};
    switch (command->kind) {
    case COMMAND_NOOP:
        break;
    case COMMAND_LEADER:
        command->leader.member_id_floor = sample_number(random);
        break;
    case COMMAND_ACQUIRE: {
        struct acquire_command *acquire = &command->acquire;
        acquire->schedule_id = sample_name(random, arena);
        acquire->holder = sample_printable(random, arena, LIMIT_NAME_BYTES);
        acquire->idempotency_key = sample_printable(random, arena, LIMIT_OCCURRENCE_BYTES);
        if (sample_coin(random)) {
            acquire->occurrence = sample_printable(random, arena, LIMIT_OCCURRENCE_BYTES);
        }
        if (sample_coin(random)) {
            acquire->metadata = sample_metadata(random, arena);
        }
        acquire->has_ttl = sample_coin(random);
        acquire->ttl_ms = acquire->has_ttl ? 1 + sample_number(random) % LIMIT_NUMBER_MAX : 0;
        acquire->has_estimate = sample_coin(random);
        acquire->estimate_ms = acquire->has_estimate ? sample_number(random) % (LIMIT_NUMBER_MAX + 1) : 0;
        break;
    }
    case COMMAND_RENEW:
        sample_renew(random, arena, &command->renew);
        break;
    case COMMAND_RELEASE:
        command->release.schedule_id = sample_name(random, arena);
        command->release.token = sample_number(random);
        command->release.has_outcome = sample_coin(random);
        if (command->release.has_outcome) {
            command->release.outcome = (enum run_outcome)(RUN_SUCCEEDED + sample_below(random, 3));
        }
        break;
    case COMMAND_RULES:
        command->rules.version = 1 + (uint32_t)sample_below(random, rules_version_newest());
        break;
    case COMMAND_PUT_SCHEDULE:
        command->put_schedule.schedule_id = sample_name(random, arena);
        sample_policy(random, arena, &command->put_schedule.policy);
        break;
    case COMMAND_DELETE_SCHEDULE:
        command->delete_schedule.schedule_id = sample_name(random, arena);
        break;
    case COMMAND_REVOKE:
        command->revoke.schedule_id = sample_name(random, arena);
        command->revoke.actor = sample_printable(random, arena, LIMIT_NAME_BYTES);
        command->revoke.reason = sample_reason(random, arena);
        command->revoke.token = sample_number(random);
        command->revoke.force = sample_coin(random);
        break;
    default:
        sample_newer_command(random, arena, command);
    }
}

static void sample_grant(struct sample_random *random, struct arena *arena, struct grant_view *grant)
{
    *grant = (struct grant_view){
        .schedule_id = sample_name(random, arena),
        .holder = sample_printable(random, arena, LIMIT_NAME_BYTES),
        .token = sample_number(random),
        .ttl_ms = sample_number(random),
        .remaining_ms = sample_number(random),
        .acquired_wall_ms = (int64_t)sample_next(random),
        .expires_wall_ms = (int64_t)sample_number(random),
        .attempt = (uint32_t)sample_number(random),
        .is_revoking = sample_coin(random),
    };
    if (sample_coin(random)) {
        grant->occurrence = sample_printable(random, arena, LIMIT_OCCURRENCE_BYTES);
        grant->metadata = sample_metadata(random, arena);
    }
}

static void sample_run(struct sample_random *random, struct arena *arena, struct run_view *run)
{
    *run = (struct run_view){
        .schedule_id = sample_name(random, arena),
        .holder = sample_printable(random, arena, LIMIT_NAME_BYTES),
        .token = sample_number(random),
        .duration_ms = sample_number(random),
        .acquired_wall_ms = (int64_t)sample_next(random),
        .ended_wall_ms = (int64_t)sample_number(random),
        .outcome = (enum run_outcome)sample_below(random, RUN_REVOKED + 1),
        .late_outcome = (int)sample_below(random, RUN_REVOKED + 2) + RUN_OUTCOME_NONE,
        .attempt = (uint32_t)sample_number(random),
    };
    if (sample_coin(random)) {
        run->occurrence = sample_printable(random, arena, LIMIT_OCCURRENCE_BYTES);
        run->actor = sample_printable(random, arena, LIMIT_NAME_BYTES);
        run->reason = sample_reason(random, arena);
    }
}

static bool shows_holders(enum outcome_code code)
{
    return code == OUTCOME_LOCK_HELD || code == OUTCOME_LOCK_LOST || code == OUTCOME_GROUP_FULL;
}

static void sample_outcome_lists(struct sample_random *random, struct arena *arena, struct outcome *outcome)
{
    if (shows_holders(outcome->code)) {
        outcome->n_holders =
            sample_count(random, outcome->code == OUTCOME_GROUP_FULL ? LIMIT_GROUP_HOLDERS : LIMIT_SLOTS);
        struct grant_view *holders = arena_alloc(arena, outcome->n_holders * sizeof *holders);
        for (size_t i = 0; i < outcome->n_holders; i++) {
            sample_grant(random, arena, &holders[i]);
            holders[i].metadata = (struct slice){0};
        }
        outcome->holders = holders;
    } else if (outcome->code == OUTCOME_DONE) {
        outcome->n_runs = sample_count(random, LIMIT_SLOTS);
        struct run_view *runs = arena_alloc(arena, outcome->n_runs * sizeof *runs);
        for (size_t i = 0; i < outcome->n_runs; i++) {
            sample_run(random, arena, &runs[i]);
            runs[i].is_newly_revoked = sample_coin(random);
            runs[i].is_newly_freed = sample_coin(random);
        }
        outcome->runs = runs;
    }
}

/* A group or a freeze, where the code needs one and sometimes elsewhere. */
static void sample_terms(struct sample_random *random, struct arena *arena, struct outcome *outcome)
{
    outcome->has_group = outcome->code == OUTCOME_GROUP_FULL || outcome->code == OUTCOME_UNKNOWN_GROUP ||
                         outcome->code == OUTCOME_GROUP_IN_USE || sample_below(random, 8) == 0;
    if (outcome->has_group) {
        outcome->group = (struct group_view){
            .name = sample_name(random, arena),
            .slots = (uint32_t)sample_below(random, LIMIT_GROUP_SLOTS + 1),
            .held = sample_number(random),
            .schedules = sample_number(random),
        };
    }
    outcome->has_freeze = outcome->code == OUTCOME_FROZEN || sample_below(random, 8) == 0;
    if (outcome->has_freeze) {
        outcome->freeze = (struct freeze_view){
            .scope = sample_scope(random, arena),
            .actor = sample_printable(random, arena, LIMIT_NAME_BYTES),
            .reason = sample_reason(random, arena),
            .ttl_ms = 1 + sample_number(random) % LIMIT_FREEZE_MS,
            .remaining_ms = sample_number(random),
            .created_wall_ms = (int64_t)sample_next(random),
            .expires_wall_ms = (int64_t)sample_number(random),
        };
    }
}

/* What one renewal may be answered, with everything that it may have. */
static void sample_result(struct sample_random *random, struct arena *arena, struct outcome *result)
{
    const enum outcome_code codes[] = {OUTCOME_DONE, OUTCOME_LOCK_LOST, OUTCOME_TTL_TOO_SHORT, OUTCOME_TTL_TOO_LONG};
    *result = (struct outcome){
        .code = codes[sample_below(random, 4)],
        .has_grant = sample_coin(random),
        .has_run = sample_coin(random),
        .minimum_ms = sample_number(random),
        .maximum_ms = sample_number(random),
        .estimate_ms = sample_number(random),
    };
    if (result->has_grant) {
        sample_grant(random, arena, &result->grant);
        result->grant.metadata = (struct slice){0};
    }
    if (result->has_run) {
        sample_run(random, arena, &result->run);
    }
    if (result->code == OUTCOME_LOCK_LOST && sample_coin(random)) {
        struct grant_view *holder = arena_alloc(arena, sizeof *holder);
        sample_grant(random, arena, holder);
        holder->metadata = (struct slice){0};
        result->holders = holder;
        result->n_holders = 1;
    }
}

static void sample_results(struct sample_random *random, struct arena *arena, struct outcome *outcome)
{
    if (outcome->code != OUTCOME_DONE || sample_coin(random)) {
        return;
    }
    outcome->n_results = sample_count(random, LIMIT_RENEWALS);
    struct outcome *results = arena_alloc(arena, outcome->n_results * sizeof *results);
    for (size_t i = 0; i < outcome->n_results; i++) {
        sample_result(random, arena, &results[i]);
    }
    outcome->results = results;
}

void sample_outcome(struct sample_random *random, struct arena *arena, struct outcome *outcome)
{
    *outcome = (struct outcome){
        .code = (enum outcome_code)sample_below(random, OUTCOME_GROUP_IN_USE + 1),
        .repeated = sample_coin(random),
        .has_policy = sample_coin(random),
        .has_grant = sample_coin(random),
        .has_run = sample_coin(random),
        .remaining_ms = sample_number(random),
        .minimum_ms = sample_number(random),
        .maximum_ms = sample_number(random),
        .estimate_ms = sample_coin(random) ? sample_number(random) : 0,
        .margin_ms = sample_number(random),
    };
    if (outcome->code == OUTCOME_INVALID_FIELD) {
        outcome->field = "ttl_ms";
    }
    if (outcome->has_grant) {
        sample_grant(random, arena, &outcome->grant);
    }
    if (outcome->has_run) {
        sample_run(random, arena, &outcome->run);
    }
    if (outcome->has_policy) {
        outcome->policy.schedule_id = sample_name(random, arena);
        sample_policy(random, arena, &outcome->policy.policy);
        outcome->policy.has_success = sample_coin(random);
        outcome->policy.last_success_wall_ms = outcome->policy.has_success ? (int64_t)sample_next(random) : 0;
    }
    sample_outcome_lists(random, arena, outcome);
    sample_terms(random, arena, outcome);
    sample_results(random, arena, outcome);
}

struct slice sample_long(struct arena *arena, size_t len)
{
    uint8_t *base = arena_alloc(arena, len);
    memset(base, 'a', len);
    return (struct slice){.base = base, .len = len};
}

void sample_longest_command(struct arena *arena, struct command *command)
{
    struct slice metadata = sample_long(arena, LIMIT_METADATA_BYTES);
    ((uint8_t *)metadata.base)[0] = '{';
    ((uint8_t *)metadata.base)[metadata.len - 1] = '}';
    *command = (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire =
            {
                .schedule_id = sample_long(arena, LIMIT_NAME_BYTES),
                .holder = sample_long(arena, LIMIT_NAME_BYTES),
                .occurrence = sample_long(arena, LIMIT_OCCURRENCE_BYTES),
                .idempotency_key = sample_long(arena, LIMIT_OCCURRENCE_BYTES),
                .metadata = metadata,
                .has_ttl = true,
                .ttl_ms = LIMIT_NUMBER_MAX,
                .has_estimate = true,
                .estimate_ms = LIMIT_NUMBER_MAX,
            },
    };
}

void sample_longest_batch(struct arena *arena, size_t n, struct command *command)
{
    struct renew_command *renewals = arena_alloc(arena, n * sizeof *renewals);
    for (size_t i = 0; i < n; i++) {
        renewals[i] = (struct renew_command){
            .schedule_id = sample_long(arena, LIMIT_NAME_BYTES),
            .token = UINT64_MAX - i,
            .has_ttl = true,
            .ttl_ms = LIMIT_NUMBER_MAX,
        };
    }
    *command = (struct command){.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = renewals, .n_renewals = n}};
}
