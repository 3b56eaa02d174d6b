/* Filling a table from an image, and what makes an image sound. The same predicate holds for every schedule in a live
 * table after each command, and lock_table_check says so: what apply makes is what load takes, and nothing else.
 *
 * One thing isn't looked at, since it would take an index that nothing else needs: that no token stands in two
 * schedules. */
#include "core/table.h"

#include "core/rules.h"

/* As many as the newest grant may leave: one live one counts towards the limit, the others go beyond it; and when they
 * are revoked none of them is forgotten yet. */
#define SOUND_RUNS        (LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS - 1)
#define SOUND_OCCURRENCES (LIMIT_OCCURRENCES_PER_SCHEDULE + LIMIT_SLOTS - 1)

static bool is_within(struct slice slice, size_t limit)
{
    return slice_is_present(slice) && slice.len >= 1 && slice.len <= limit;
}

static bool is_absent_or_within(struct slice slice, size_t limit)
{
    return !slice_is_present(slice) || is_within(slice, limit);
}

/* Whether it is there is another question. */
static bool group_is_sound(struct slice group, const struct table_image *numbers)
{
    return !slice_is_present(group) ||
           (numbers->rules_version >= RULES_VERSION_GROUPS && is_within(group, LIMIT_NAME_BYTES));
}

static bool grant_is_sound(const struct schedule_image *image, const struct grant_image *grant,
                           const struct table_image *numbers)
{
    const struct run_image *run = schedule_image_find_run(image, grant->token);
    if (run == NULL || run->outcome != (grant->is_revoking ? RUN_REVOKED : RUN_RUNNING) ||
        run->granted_ms != grant->granted_ms) {
        return false;
    }
    if (grant->max_ttl_ms > LIMIT_TTL_MS || grant->ttl_ms > grant->max_ttl_ms ||
        grant->granted_ttl_ms > grant->max_ttl_ms || grant->estimate_ms > grant->granted_ttl_ms ||
        grant->margin_ms > grant->granted_ttl_ms - grant->estimate_ms || grant->ttl_ms < grant->margin_ms) {
        return false;
    }
    return grant->deadline_ms > numbers->now_ms && grant->deadline_ms <= numbers->now_ms + grant->ttl_ms &&
           grant->deadline_ms >= grant->granted_ms + grant->ttl_ms && grant->metadata.len <= LIMIT_METADATA_BYTES &&
           group_is_sound(grant->group, numbers);
}

/* What can have been reported after the end of a run: anything while a revoked one still had its slot, later on only
 * success. */
static bool late_outcome_is_sound(const struct run_image *run, bool has_grant)
{
    if (run->is_released) {
        return run->outcome == RUN_REVOKED && !has_grant && run->late_outcome >= RUN_SUCCEEDED &&
               run->late_outcome <= RUN_ABANDONED;
    }
    return run->late_outcome == RUN_OUTCOME_NONE || (run->late_outcome == RUN_SUCCEEDED && !has_grant &&
                                                     (run->outcome == RUN_EXPIRED || run->outcome == RUN_REVOKED));
}

/* Who revoked it and why are kept both, or neither when there was no room. */
static bool revocation_is_sound(const struct run_image *run)
{
    if (!slice_is_present(run->actor)) {
        return !slice_is_present(run->reason);
    }
    return run->outcome == RUN_REVOKED && is_within(run->actor, LIMIT_NAME_BYTES) &&
           is_within(run->reason, LIMIT_REASON_BYTES);
}

static bool success_is_remembered(const struct schedule_image *image, const struct run_image *run)
{
    bool has_succeeded = run->outcome == RUN_SUCCEEDED || run->late_outcome == RUN_SUCCEEDED;
    return !has_succeeded || (image->has_success && image->last_success_ms >= run->ended_ms);
}

static bool run_end_is_sound(const struct schedule_image *image, const struct run_image *run,
                             const struct table_image *numbers)
{
    bool has_grant = schedule_image_has_grant(image, run->token);
    if (!late_outcome_is_sound(run, has_grant) || !revocation_is_sound(run) || !success_is_remembered(image, run)) {
        return false;
    }
    if (run->outcome == RUN_RUNNING) {
        return run->ended_ms == 0 && run->ended_wall_ms == 0 && has_grant;
    }
    return run->outcome >= RUN_SUCCEEDED && run->outcome <= RUN_REVOKED && run->ended_ms >= run->granted_ms &&
           run->ended_ms <= numbers->now_ms && table_wall_is_sound(run->ended_wall_ms);
}

static bool run_is_sound(const struct schedule_image *image, const struct run_image *run,
                         const struct table_image *numbers)
{
    if (run->token < 1 || run->token >= numbers->next_token || run->granted_ms > numbers->now_ms ||
        !table_wall_is_sound(run->acquired_wall_ms)) {
        return false;
    }
    if (!is_within(run->holder, LIMIT_NAME_BYTES) || !is_within(run->idempotency_key, LIMIT_OCCURRENCE_BYTES) ||
        !is_absent_or_within(run->occurrence, LIMIT_OCCURRENCE_BYTES)) {
        return false;
    }
    if (run->attempt >= numbers->next_token) { /* each attempt has a token */
        return false;
    }
    return slice_is_present(run->occurrence) == (run->attempt > 0) && run_end_is_sound(image, run, numbers);
}

static bool runs_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_runs > SOUND_RUNS) {
        return false;
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        if (!run_is_sound(image, run, numbers) ||
            (i > 0 && (run->token <= run[-1].token || run->granted_ms < run[-1].granted_ms))) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (slice_equal(run->idempotency_key, image->runs[j].idempotency_key)) {
                return false;
            }
        }
    }
    return true;
}

static bool occurrence_is_sound(const struct schedule_image *image, const struct occurrence_image *occurrence,
                                const struct table_image *numbers)
{
    if (!is_within(occurrence->name, LIMIT_OCCURRENCE_BYTES) || occurrence->order >= image->next_order ||
        occurrence->run_token >= numbers->next_token || occurrence->attempts >= numbers->next_token) {
        return false;
    }
    struct instant instant = {0};
    if (instant_parse(occurrence->name, &instant) != occurrence->is_instant ||
        occurrence->instant_s != instant.seconds || occurrence->instant_ns != instant.nanoseconds) {
        return false;
    }
    const struct run_image *newest = schedule_image_find_run(image, occurrence->run_token);
    bool given_back = newest == NULL || newest->outcome == RUN_ABANDONED;
    return occurrence->attempts > 0 || (given_back && !occurrence->succeeded);
}

static bool occurrences_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    /* An occurrence is remembered with its first grant, and each grant takes a token. */
    if (image->n_occurrences > SOUND_OCCURRENCES || image->next_order > numbers->next_token) {
        return false;
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        const struct occurrence_image *occurrence = &image->occurrences[i];
        if (!occurrence_is_sound(image, occurrence, numbers) || (i > 0 && occurrence->order <= occurrence[-1].order)) {
            return false;
        }
        struct occurrence_key key = occurrence_key_of_image(occurrence);
        for (size_t j = 0; j < i; j++) {
            struct occurrence_key other = occurrence_key_of_image(&image->occurrences[j]);
            if (occurrence_key_equal(&key, &other)) {
                return false;
            }
        }
    }
    return true;
}

/* The occurrence of a live grant is remembered, open, and knows its run. */
static bool live_occurrence_is_sound(const struct schedule_image *image, const struct grant_image *grant)
{
    const struct run_image *run = schedule_image_find_run(image, grant->token);
    if (!slice_is_present(run->occurrence)) {
        return true;
    }
    struct occurrence_key wanted = occurrence_key_of(run->occurrence);
    for (size_t i = 0; i < image->n_occurrences; i++) {
        struct occurrence_key key = occurrence_key_of_image(&image->occurrences[i]);
        if (occurrence_key_equal(&key, &wanted)) {
            return image->occurrences[i].run_token == grant->token && !image->occurrences[i].succeeded;
        }
    }
    return false;
}

static bool holder_is_twice(const struct schedule_image *image, size_t position)
{
    const struct slice holder = schedule_image_find_run(image, image->grants[position].token)->holder;
    for (size_t i = 0; i < position; i++) {
        if (slice_equal(holder, schedule_image_find_run(image, image->grants[i].token)->holder)) {
            return true;
        }
    }
    return false;
}

/* There may be more grants than slots: the policy was lowered, or is gone. */
static bool grants_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_grants > LIMIT_SLOTS) {
        return false;
    }
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct grant_image *grant = &image->grants[i];
        if (!grant_is_sound(image, grant, numbers) || (i > 0 && grant->token <= grant[-1].token) ||
            !live_occurrence_is_sound(image, grant) || holder_is_twice(image, i)) {
            return false;
        }
    }
    return true;
}

static bool policy_is_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    const struct policy *policy = &image->policy.policy;
    if (!image->has_policy) {
        return true;
    }
    return policy_field_out_of_range(policy) == NULL && image->policy.created_ms <= numbers->now_ms &&
           group_is_sound(policy->group, numbers) &&
           (policy->expected_every_ms == 0 || numbers->rules_version >= RULES_VERSION_GROUPS);
}

static bool success_is_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (!image->has_success) {
        return image->last_success_ms == 0 && image->last_success_wall_ms == 0;
    }
    return image->last_success_ms <= numbers->now_ms && table_wall_is_sound(image->last_success_wall_ms);
}

/* Nobody ever locked it: all that there is is its policy. A schedule that was locked keeps its last runs. */
static bool is_untouched(const struct schedule_image *image)
{
    return image->has_policy && image->n_grants == 0 && image->n_occurrences == 0 && !image->has_success &&
           !image->has_floor && image->next_order == 1;
}

/* Forty days after lock and policy went, which was when its last run ended or later. */
static bool forgetting_is_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_grants > 0 || image->has_policy) {
        return image->forget_ms == 0;
    }
    uint64_t ended_ms = 0;
    for (size_t i = 0; i < image->n_runs; i++) {
        ended_ms = image->runs[i].ended_ms > ended_ms ? image->runs[i].ended_ms : ended_ms;
    }
    return image->forget_ms >= ended_ms + LIMIT_FORGET_MS && image->forget_ms > numbers->now_ms &&
           image->forget_ms <= numbers->now_ms + LIMIT_FORGET_MS;
}

static bool floor_is_sound(const struct schedule_image *image)
{
    if (!image->has_floor) {
        return image->floor_s == 0 && image->floor_ns == 0;
    }
    /* From the first to the last instant that RFC 3339 can write: year 0 and year 9999, with offsets of up to a day. */
    return image->floor_s >= -62167219200 - 86400 && image->floor_s < 253402300800 + 86400 &&
           image->floor_ns < 1000000000u;
}

bool schedule_image_is_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    return is_within(image->id, LIMIT_NAME_BYTES) && (image->n_runs > 0 || is_untouched(image)) &&
           runs_are_sound(image, numbers) && occurrences_are_sound(image, numbers) &&
           grants_are_sound(image, numbers) && policy_is_sound(image, numbers) && success_is_sound(image, numbers) &&
           forgetting_is_sound(image, numbers) && floor_is_sound(image);
}

enum error lock_table_load_table(struct lock_table *table, const struct table_image *image)
{
    CHECK(table->n_schedules == 0 && table->groups.by_name.count == 0 && table->freezes.by_scope.count == 0);
    if (image->rules_version > rules_version_newest()) {
        return ERROR_VERSION;
    }
    if (image->rules_version < RULES_VERSION_FIRST || image->next_token < 1 ||
        image->next_token > LIMIT_NUMBER_MAX + 1 || image->next_member_id < 1 || image->now_ms > TABLE_TIME_MAX_MS ||
        !table_wall_is_sound(image->wall_ms)) {
        return ERROR_CORRUPT;
    }
    table->numbers = *image;
    return ERROR_NONE;
}

enum error lock_table_load_group(struct lock_table *table, const struct group_image *image)
{
    if (table->numbers.rules_version < RULES_VERSION_GROUPS || !group_image_is_sound(image) ||
        table->groups.by_name.count >= LIMIT_GROUPS || groups_find(table, image->name) != NULL ||
        !table_has_room_for(table, group_image_count_bytes(image))) {
        return ERROR_CORRUPT;
    }
    groups_add(table, image);
    return ERROR_NONE;
}

enum error lock_table_load_freeze(struct lock_table *table, const struct freeze_image *image)
{
    if (table->numbers.rules_version < RULES_VERSION_GROUPS || !freeze_image_is_sound(image, &table->numbers) ||
        table->freezes.by_scope.count >= LIMIT_FREEZES || freezes_find(table, image->scope) != NULL ||
        !table_has_room_for(table, freeze_image_count_bytes(image))) {
        return ERROR_CORRUPT;
    }
    freezes_add(table, image);
    return ERROR_NONE;
}

enum error lock_table_load_schedule(struct lock_table *table, const struct schedule_image *image)
{
    if (!schedule_image_is_sound(image, &table->numbers) || table_find(table, image->id) != NULL ||
        !groups_are_there(table, image)) {
        return ERROR_CORRUPT;
    }
    struct table_growth growth = {.bytes = schedule_image_count_bytes(image), .is_new = true, .has_policy = true};
    if (!table_has_room(table, growth)) { /* a schedule keeps its place in the reserve when its policy goes */
        return ERROR_CORRUPT;
    }
    schedule_draft_copy(&table->draft, image);
    forgetting_add(table, table_add(table, &table->draft));
    table->held += image->n_grants;
    return groups_are_within_limits(table, image) ? ERROR_NONE : ERROR_CORRUPT;
}
