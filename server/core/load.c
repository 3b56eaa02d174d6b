/* Filling a table from an image, and what makes an image sound. The same predicate holds for every schedule in a live
 * table after each command, and lock_table_check says so: what apply makes is what load takes, and nothing else.
 *
 * One thing isn't looked at, since it would take an index that nothing else needs: that no token stands in two
 * schedules. */
#include "core/table.h"

static bool is_within(struct slice slice, size_t limit)
{
    return slice_is_present(slice) && slice.len >= 1 && slice.len <= limit;
}

static bool is_absent_or_within(struct slice slice, size_t limit)
{
    return !slice_is_present(slice) || is_within(slice, limit);
}

static const struct run_image *find_run(const struct schedule_image *image, uint64_t token)
{
    for (size_t i = 0; i < image->n_runs; i++) {
        if (image->runs[i].token == token) {
            return &image->runs[i];
        }
    }
    return NULL;
}

static bool grant_is_sound(const struct schedule_image *image, const struct grant_image *grant,
                           const struct table_image *numbers)
{
    const struct run_image *run = find_run(image, grant->token);
    if (run == NULL || run->outcome != RUN_RUNNING || run->granted_ms != grant->granted_ms) {
        return false;
    }
    if (grant->max_ttl_ms > LIMIT_TTL_MS || grant->ttl_ms > grant->max_ttl_ms ||
        grant->granted_ttl_ms > grant->max_ttl_ms || grant->estimate_ms > grant->granted_ttl_ms ||
        grant->margin_ms > grant->granted_ttl_ms - grant->estimate_ms || grant->ttl_ms < grant->margin_ms) {
        return false;
    }
    return grant->deadline_ms > numbers->now_ms && grant->deadline_ms <= numbers->now_ms + grant->ttl_ms &&
           grant->deadline_ms >= grant->granted_ms + grant->ttl_ms && grant->metadata.len <= LIMIT_METADATA_BYTES;
}

static bool wall_is_sound(int64_t wall_ms)
{
    return wall_ms >= -TABLE_WALL_MAX_MS && wall_ms <= TABLE_WALL_MAX_MS;
}

/* Which outcomes can have been reported after the end of a run. */
static bool late_outcome_is_sound(const struct run_image *run)
{
    switch (run->late_outcome) {
    case RUN_OUTCOME_NONE:
        return true;
    case RUN_SUCCEEDED:
        return run->outcome == RUN_EXPIRED || run->outcome == RUN_REVOKED;
    case RUN_FAILED:
    case RUN_ABANDONED:
        return run->outcome == RUN_REVOKED;
    default:
        return false;
    }
}

static bool run_end_is_sound(const struct schedule_image *image, const struct run_image *run,
                             const struct table_image *numbers)
{
    if (run->outcome == RUN_RUNNING) {
        return run->ended_ms == 0 && run->ended_wall_ms == 0 && run->late_outcome == RUN_OUTCOME_NONE &&
               !slice_is_present(run->actor) && !slice_is_present(run->reason) &&
               schedule_image_has_grant(image, run->token);
    }
    if (run->outcome < RUN_SUCCEEDED || run->outcome > RUN_REVOKED || !late_outcome_is_sound(run)) {
        return false;
    }
    if (run->outcome != RUN_REVOKED && (slice_is_present(run->actor) || slice_is_present(run->reason))) {
        return false;
    }
    return run->ended_ms >= run->granted_ms && run->ended_ms <= numbers->now_ms && wall_is_sound(run->ended_wall_ms) &&
           !schedule_image_has_grant(image, run->token);
}

static bool run_is_sound(const struct schedule_image *image, const struct run_image *run,
                         const struct table_image *numbers)
{
    if (run->token < 1 || run->token >= numbers->next_token || run->granted_ms > numbers->now_ms ||
        !wall_is_sound(run->acquired_wall_ms)) {
        return false;
    }
    if (!is_within(run->holder, LIMIT_NAME_BYTES) || !is_within(run->idempotency_key, LIMIT_OCCURRENCE_BYTES) ||
        !is_absent_or_within(run->occurrence, LIMIT_OCCURRENCE_BYTES) ||
        !is_absent_or_within(run->actor, LIMIT_NAME_BYTES) || run->reason.len > LIMIT_REASON_BYTES) {
        return false;
    }
    if (run->attempt >= numbers->next_token) { /* each attempt has a token */
        return false;
    }
    return slice_is_present(run->occurrence) == (run->attempt > 0) && run_end_is_sound(image, run, numbers);
}

static bool runs_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_runs < 1 || image->n_runs > LIMIT_RUNS_PER_SCHEDULE) {
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
    bool is_live = schedule_image_has_grant(image, occurrence->run_token);
    return occurrence->attempts > 0 || (!is_live && !occurrence->succeeded);
}

static struct occurrence_key key_of(const struct occurrence_image *occurrence)
{
    struct occurrence_key key = {.name = occurrence->name,
                                 .is_instant = occurrence->is_instant,
                                 .instant = {occurrence->instant_s, occurrence->instant_ns}};
    return key;
}

static bool occurrences_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    /* An occurrence is remembered with its first grant, and each grant takes a token. */
    if (image->n_occurrences > LIMIT_OCCURRENCES_PER_SCHEDULE || image->next_order > numbers->next_token) {
        return false;
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        const struct occurrence_image *occurrence = &image->occurrences[i];
        if (!occurrence_is_sound(image, occurrence, numbers) || (i > 0 && occurrence->order <= occurrence[-1].order)) {
            return false;
        }
        struct occurrence_key key = key_of(occurrence);
        for (size_t j = 0; j < i; j++) {
            struct occurrence_key other = key_of(&image->occurrences[j]);
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
    const struct run_image *run = find_run(image, grant->token);
    if (!slice_is_present(run->occurrence)) {
        return true;
    }
    struct occurrence_key wanted = occurrence_key_of(run->occurrence);
    for (size_t i = 0; i < image->n_occurrences; i++) {
        struct occurrence_key key = key_of(&image->occurrences[i]);
        if (occurrence_key_equal(&key, &wanted)) {
            return image->occurrences[i].run_token == grant->token && !image->occurrences[i].succeeded;
        }
    }
    return false;
}

static bool grants_are_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_grants > TERMS_SLOTS) {
        return false;
    }
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct grant_image *grant = &image->grants[i];
        if (!grant_is_sound(image, grant, numbers) || (i > 0 && grant->token <= grant[-1].token) ||
            !live_occurrence_is_sound(image, grant)) {
            return false;
        }
    }
    return true;
}

static bool forgetting_is_sound(const struct schedule_image *image, const struct table_image *numbers)
{
    if (image->n_grants > 0) {
        return image->forget_ms == 0;
    }
    uint64_t ended_ms = 0;
    for (size_t i = 0; i < image->n_runs; i++) {
        ended_ms = image->runs[i].ended_ms > ended_ms ? image->runs[i].ended_ms : ended_ms;
    }
    return image->forget_ms == ended_ms + LIMIT_FORGET_MS && image->forget_ms > numbers->now_ms;
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
    return is_within(image->id, LIMIT_NAME_BYTES) && runs_are_sound(image, numbers) &&
           occurrences_are_sound(image, numbers) && grants_are_sound(image, numbers) &&
           forgetting_is_sound(image, numbers) && floor_is_sound(image);
}

enum error lock_table_load_table(struct lock_table *table, const struct table_image *image)
{
    CHECK(table->n_schedules == 0);
    if (image->rules_version > RULES_VERSION_NEWEST) {
        return ERROR_VERSION;
    }
    if (image->rules_version < 1 || image->next_token < 1 || image->next_token > LIMIT_NUMBER_MAX + 1 ||
        image->next_member_id < 1 || image->now_ms > TABLE_TIME_MAX_MS || !wall_is_sound(image->wall_ms)) {
        return ERROR_CORRUPT;
    }
    table->numbers = *image;
    return ERROR_NONE;
}

enum error lock_table_load_schedule(struct lock_table *table, const struct schedule_image *image)
{
    if (!schedule_image_is_sound(image, &table->numbers) || table_find(table, image->id) != NULL) {
        return ERROR_CORRUPT;
    }
    if (table->n_schedules >= LIMIT_SCHEDULES ||
        table->state_bytes + schedule_image_count_bytes(image) > LIMIT_STATE_BYTES) {
        return ERROR_CORRUPT;
    }
    table_add(table, image);
    table->held += image->n_grants;
    return ERROR_NONE;
}
