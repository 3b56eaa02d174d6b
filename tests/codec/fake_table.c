#include "fake_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "sample.h"

/* ---- the table ---- */

void lock_table_frozen_table(const struct lock_table_frozen *frozen, struct table_image *image)
{
    *image = frozen->table;
}

uint64_t lock_table_frozen_schedules(const struct lock_table_frozen *frozen)
{
    return frozen->count;
}

bool lock_table_frozen_next(struct lock_table_frozen *frozen, struct schedule_image *image)
{
    if (frozen->given == frozen->count) {
        return false;
    }
    *image = frozen->schedules[frozen->given++];
    return true;
}

uint64_t lock_table_frozen_groups(const struct lock_table_frozen *frozen)
{
    return frozen->n_groups;
}

uint64_t lock_table_frozen_freezes(const struct lock_table_frozen *frozen)
{
    return frozen->n_freezes;
}

bool lock_table_frozen_next_group(struct lock_table_frozen *frozen, struct group_image *image)
{
    if (frozen->groups_given == frozen->n_groups) {
        return false;
    }
    *image = frozen->groups[frozen->groups_given++];
    return true;
}

bool lock_table_frozen_next_freeze(struct lock_table_frozen *frozen, struct freeze_image *image)
{
    if (frozen->freezes_given == frozen->n_freezes) {
        return false;
    }
    *image = frozen->freezes[frozen->freezes_given++];
    return true;
}

static void assert_table_equal(const struct table_image *a, const struct table_image *b)
{
    assert_int_equal(a->now_ms, b->now_ms);
    assert_int_equal(a->wall_ms, b->wall_ms);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->next_token, b->next_token);
    assert_int_equal(a->next_member_id, b->next_member_id);
    assert_int_equal(a->rules_version, b->rules_version);
}

static void assert_grant_image_equal(const struct grant_image *a, const struct grant_image *b)
{
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->granted_ms, b->granted_ms);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_int_equal(a->granted_ttl_ms, b->granted_ttl_ms);
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
    assert_int_equal(a->max_ttl_ms, b->max_ttl_ms);
    assert_slice_equal(a->metadata, b->metadata);
    assert_int_equal(a->is_revoking, b->is_revoking);
    assert_slice_equal(a->group, b->group);
}

static void assert_run_image_equal(const struct run_image *a, const struct run_image *b)
{
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->granted_ms, b->granted_ms);
    assert_int_equal(a->ended_ms, b->ended_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->ended_wall_ms, b->ended_wall_ms);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->idempotency_key, b->idempotency_key);
    assert_slice_equal(a->actor, b->actor);
    assert_slice_equal(a->reason, b->reason);
    assert_memory_equal(a->fingerprint.bytes, b->fingerprint.bytes, 16);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->late_outcome, b->late_outcome);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->is_released, b->is_released);
}

static void assert_occurrence_image_equal(const struct occurrence_image *a, const struct occurrence_image *b)
{
    assert_slice_equal(a->name, b->name);
    assert_int_equal(a->is_instant, b->is_instant);
    assert_int_equal(a->instant_s, b->instant_s);
    assert_int_equal(a->instant_ns, b->instant_ns);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->succeeded, b->succeeded);
    assert_int_equal(a->run_token, b->run_token);
    assert_int_equal(a->order, b->order);
}

static void assert_schedule_equal(const struct schedule_image *a, const struct schedule_image *b)
{
    assert_slice_equal(a->id, b->id);
    assert_int_equal(a->has_policy, b->has_policy);
    assert_policy_equal(&a->policy.policy, &b->policy.policy);
    assert_int_equal(a->policy.created_ms, b->policy.created_ms);
    assert_int_equal(a->has_success, b->has_success);
    assert_int_equal(a->last_success_ms, b->last_success_ms);
    assert_int_equal(a->last_success_wall_ms, b->last_success_wall_ms);
    assert_int_equal(a->has_floor, b->has_floor);
    assert_int_equal(a->floor_s, b->floor_s);
    assert_int_equal(a->floor_ns, b->floor_ns);
    assert_int_equal(a->next_order, b->next_order);
    assert_int_equal(a->forget_ms, b->forget_ms);
    assert_int_equal(a->n_grants, b->n_grants);
    for (size_t i = 0; i < a->n_grants; i++) {
        assert_grant_image_equal(&a->grants[i], &b->grants[i]);
    }
    assert_int_equal(a->n_runs, b->n_runs);
    for (size_t i = 0; i < a->n_runs; i++) {
        assert_run_image_equal(&a->runs[i], &b->runs[i]);
    }
    assert_int_equal(a->n_occurrences, b->n_occurrences);
    for (size_t i = 0; i < a->n_occurrences; i++) {
        assert_occurrence_image_equal(&a->occurrences[i], &b->occurrences[i]);
    }
}

enum error lock_table_load_table(struct lock_table *table, const struct table_image *image)
{
    table->tables++;
    if (table->expected != NULL) {
        assert_table_equal(&table->expected->table, image);
    }
    return ERROR_NONE;
}

static size_t touch(struct slice slice)
{
    size_t sum = 0;
    for (size_t i = 0; i < slice.len; i++) {
        sum += slice.base[i];
    }
    return sum;
}

enum error lock_table_load_group(struct lock_table *table, const struct group_image *image)
{
    if (table->expected != NULL) {
        const struct group_image *expected = &table->expected->groups[table->groups];
        assert_slice_equal(expected->name, image->name);
        assert_int_equal(expected->slots, image->slots);
    }
    table->touched += touch(image->name);
    table->groups++;
    return table->answer;
}

enum error lock_table_load_freeze(struct lock_table *table, const struct freeze_image *image)
{
    if (table->expected != NULL) {
        const struct freeze_image *expected = &table->expected->freezes[table->freezes];
        assert_slice_equal(expected->scope, image->scope);
        assert_slice_equal(expected->actor, image->actor);
        assert_slice_equal(expected->reason, image->reason);
        assert_int_equal(expected->ttl_ms, image->ttl_ms);
        assert_int_equal(expected->deadline_ms, image->deadline_ms);
        assert_int_equal(expected->created_wall_ms, image->created_wall_ms);
    }
    table->touched += touch(image->scope) + touch(image->actor) + touch(image->reason);
    table->freezes++;
    return table->answer;
}

enum error lock_table_load_schedule(struct lock_table *table, const struct schedule_image *image)
{
    if (table->expected != NULL) {
        assert_schedule_equal(&table->expected->schedules[table->taken], image);
    }
    table->touched += touch(image->id) + touch(image->policy.policy.description) + touch(image->policy.policy.group);
    for (size_t i = 0; i < image->n_grants; i++) {
        table->touched += touch(image->grants[i].metadata) + touch(image->grants[i].group);
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        table->touched += touch(run->holder) + touch(run->occurrence) + touch(run->idempotency_key) +
                          touch(run->actor) + touch(run->reason);
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        table->touched += touch(image->occurrences[i].name);
    }
    table->taken++;
    return table->answer;
}

/* ---- images ---- */

static const struct grant_image fixed_grants[] = {
    {.token = 7,
     .granted_ms = 900,
     .deadline_ms = 1900,
     .ttl_ms = 1000,
     .granted_ttl_ms = 1001,
     .estimate_ms = 500,
     .margin_ms = 30000,
     .max_ttl_ms = 604800000,
     .is_revoking = true},
};
static const struct digest128 fixed_fingerprint = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static const struct run_image *fixed_runs(struct arena *arena)
{
    struct run_image *runs = arena_alloc(arena, 2 * sizeof *runs);
    runs[0] = (struct run_image){
        .token = 6,
        .granted_ms = 100,
        .ended_ms = 200,
        .acquired_wall_ms = -1,
        .ended_wall_ms = 1767323045000,
        .holder = slice_of("h"),
        .occurrence = slice_of("2026-01-02T03:04:05Z"),
        .idempotency_key = slice_of("k"),
        .actor = slice_of("root"),
        .reason = slice_of("because"),
        .fingerprint = fixed_fingerprint,
        .outcome = RUN_REVOKED,
        .late_outcome = RUN_SUCCEEDED,
        .attempt = 3,
        .is_released = true,
    };
    runs[1] = (struct run_image){.token = 7, .holder = slice_of("i"), .late_outcome = RUN_OUTCOME_NONE};
    return runs;
}

static const struct occurrence_image *fixed_occurrences(struct arena *arena)
{
    struct occurrence_image *occurrences = arena_alloc(arena, 2 * sizeof *occurrences);
    occurrences[0] = (struct occurrence_image){.name = slice_of("monday"), .order = 1};
    occurrences[1] = (struct occurrence_image){
        .name = slice_of("2026-01-02T03:04:05Z"),
        .is_instant = true,
        .instant_s = 1767323045,
        .instant_ns = 999999999,
        .attempts = 3,
        .succeeded = true,
        .run_token = 6,
        .order = 2,
    };
    return occurrences;
}

static struct policy_image fixed_policy(void)
{
    return (struct policy_image){
        .policy = {.estimate_ms = 60000,
                   .margin_ms = 30000,
                   .max_ttl_ms = 604800000,
                   .min_hold_ms = 5,
                   .slots = 256,
                   .max_attempts = 1000000,
                   .description = slice_of("t\xc3\xa4glich")},
        .created_ms = 77,
    };
}

const struct schedule_image *image_two_schedules(struct arena *arena)
{
    struct grant_image *grants = arena_alloc(arena, sizeof *grants);
    grants[0] = fixed_grants[0];
    grants[0].metadata = slice_of("{\"a\":1}");
    struct schedule_image *schedules = arena_alloc(arena, 2 * sizeof *schedules);
    schedules[0] = (struct schedule_image){.id = slice_of("a"), .forget_ms = 99};
    schedules[1] = (struct schedule_image){
        .id = slice_of("backup:nightly"),
        .has_policy = true,
        .policy = fixed_policy(),
        .has_success = true,
        .last_success_ms = 800,
        .last_success_wall_ms = -9,
        .has_floor = true,
        .floor_s = -5,
        .floor_ns = 1,
        .next_order = 3,
        .grants = grants,
        .n_grants = 1,
        .runs = fixed_runs(arena),
        .n_runs = 2,
        .occurrences = fixed_occurrences(arena),
        .n_occurrences = 2,
    };
    return schedules;
}

const struct group_image *image_two_groups(struct arena *arena)
{
    struct group_image *groups = arena_alloc(arena, 2 * sizeof *groups);
    groups[0] = (struct group_image){.name = slice_of("db"), .slots = 300};
    groups[1] = (struct group_image){.name = slice_of("none")};
    return groups;
}

const struct freeze_image *image_two_freezes(struct arena *arena)
{
    struct freeze_image *freezes = arena_alloc(arena, 2 * sizeof *freezes);
    freezes[0] = (struct freeze_image){
        .scope = slice_of("*"),
        .actor = slice_of("root@host"),
        .reason = slice_of("w\xc3\xa4rtung"),
        .ttl_ms = 3600000,
        .deadline_ms = 3601000,
        .created_wall_ms = -1,
    };
    freezes[1] = freezes[0];
    freezes[1].scope = slice_of("db-*");
    freezes[1].created_wall_ms = 1767323045000;
    return freezes;
}

const struct schedule_image *image_schedule_in_group(struct arena *arena)
{
    struct grant_image *grants = arena_alloc(arena, sizeof *grants);
    grants[0] = fixed_grants[0];
    grants[0].group = slice_of("none");
    struct schedule_image *schedule = arena_alloc(arena, sizeof *schedule);
    *schedule = (struct schedule_image){
        .id = slice_of("db-main"),
        .has_policy = true,
        .policy = fixed_policy(),
        .grants = grants,
        .n_grants = 1,
        .runs = fixed_runs(arena),
        .n_runs = 2,
    };
    schedule->policy.policy.group = slice_of("db");
    schedule->policy.policy.expected_every_ms = 86400000;
    return schedule;
}

static const struct grant_image *longest_grants(struct arena *arena, size_t n)
{
    struct command longest;
    sample_longest_command(arena, &longest);
    struct grant_image *grants = arena_alloc(arena, n * sizeof *grants);
    for (size_t i = 0; i < n; i++) {
        grants[i] = (struct grant_image){
            .token = UINT64_MAX - i,
            .granted_ms = UINT64_MAX,
            .deadline_ms = UINT64_MAX,
            .ttl_ms = UINT64_MAX,
            .granted_ttl_ms = UINT64_MAX,
            .estimate_ms = UINT64_MAX,
            .margin_ms = UINT64_MAX,
            .max_ttl_ms = UINT64_MAX,
            .metadata = longest.acquire.metadata,
            .is_revoking = true,
            .group = sample_long(arena, LIMIT_NAME_BYTES),
        };
    }
    return grants;
}

static const struct run_image *longest_runs(struct arena *arena, size_t n)
{
    struct run_image *runs = arena_alloc(arena, n * sizeof *runs);
    for (size_t i = 0; i < n; i++) {
        runs[i] = (struct run_image){
            .token = UINT64_MAX - i,
            .granted_ms = UINT64_MAX,
            .ended_ms = UINT64_MAX,
            .acquired_wall_ms = INT64_MIN,
            .ended_wall_ms = INT64_MAX,
            .holder = sample_long(arena, LIMIT_NAME_BYTES),
            .occurrence = sample_long(arena, LIMIT_OCCURRENCE_BYTES),
            .idempotency_key = sample_long(arena, LIMIT_OCCURRENCE_BYTES),
            .actor = sample_long(arena, LIMIT_NAME_BYTES),
            .reason = sample_long(arena, LIMIT_REASON_BYTES),
            .outcome = RUN_REVOKED,
            .late_outcome = RUN_REVOKED,
            .attempt = UINT32_MAX,
            .is_released = true,
        };
    }
    return runs;
}

static const struct occurrence_image *longest_occurrences(struct arena *arena, size_t n)
{
    struct occurrence_image *occurrences = arena_alloc(arena, n * sizeof *occurrences);
    for (size_t i = 0; i < n; i++) {
        occurrences[i] = (struct occurrence_image){
            .name = sample_long(arena, LIMIT_OCCURRENCE_BYTES),
            .is_instant = true,
            .instant_s = INT64_MIN,
            .instant_ns = UINT32_MAX,
            .attempts = UINT32_MAX,
            .succeeded = true,
            .run_token = UINT64_MAX,
            .order = UINT64_MAX,
        };
    }
    return occurrences;
}

void image_longest_schedule(struct arena *arena, uint32_t slots, struct schedule_image *schedule)
{
    const size_t n_runs = LIMIT_RUNS_PER_SCHEDULE + slots;
    const size_t n_occurrences = LIMIT_OCCURRENCES_PER_SCHEDULE + slots;
    *schedule = (struct schedule_image){
        .id = sample_long(arena, LIMIT_NAME_BYTES),
        .has_policy = true,
        .policy = {.policy = {.estimate_ms = LIMIT_TTL_MS / 2,
                              .margin_ms = LIMIT_TTL_MS / 2,
                              .max_ttl_ms = LIMIT_TTL_MS,
                              .min_hold_ms = LIMIT_NUMBER_MAX,
                              .slots = LIMIT_SLOTS,
                              .max_attempts = LIMIT_ATTEMPTS,
                              .description = sample_long(arena, LIMIT_REASON_BYTES),
                              .group = sample_long(arena, LIMIT_NAME_BYTES),
                              .expected_every_ms = LIMIT_NUMBER_MAX},
                   .created_ms = UINT64_MAX},
        .has_success = true,
        .last_success_ms = UINT64_MAX,
        .last_success_wall_ms = INT64_MIN,
        .has_floor = true,
        .floor_s = INT64_MAX,
        .floor_ns = UINT32_MAX,
        .next_order = UINT64_MAX,
        .forget_ms = UINT64_MAX,
        .grants = longest_grants(arena, slots),
        .n_grants = slots,
        .runs = longest_runs(arena, n_runs),
        .n_runs = n_runs,
        .occurrences = longest_occurrences(arena, n_occurrences),
        .n_occurrences = n_occurrences,
    };
}
