/* What answers and reads show of a schedule. A view is made from the draft; its slices point into the packed block that
 * the draft was unpacked from, so that it outlives the draft, but not the table's next change. */
#include "core/table.h"

#include <stdlib.h>
#include <string.h>

struct grant_view grant_view_of(const struct lock_table *table, struct schedule_draft *draft,
                                const struct grant_image *grant)
{
    const struct run_image *run = draft_find_run(draft, grant->token);
    CHECK(run != NULL);
    struct grant_view view = {
        .schedule_id = draft->image.id,
        .holder = run->holder,
        .occurrence = run->occurrence,
        .metadata = grant->metadata,
        .token = grant->token,
        .ttl_ms = grant->ttl_ms,
        .remaining_ms = grant->deadline_ms - table->numbers.now_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .attempt = run->attempt,
        .is_revoking = grant->is_revoking,
    };
    view.expires_wall_ms = table->numbers.wall_ms + (int64_t)view.remaining_ms;
    return view;
}

struct run_view run_view_of(const struct schedule_draft *draft, const struct run_image *run)
{
    struct run_view view = {
        .schedule_id = draft->image.id,
        .holder = run->holder,
        .occurrence = run->occurrence,
        .actor = run->actor,
        .reason = run->reason,
        .token = run->token,
        .duration_ms = run->outcome == RUN_RUNNING ? 0 : run->ended_ms - run->granted_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .ended_wall_ms = run->ended_wall_ms,
        .outcome = (enum run_outcome)run->outcome,
        .late_outcome = run->late_outcome,
        .attempt = run->attempt,
    };
    return view;
}

/* Before anything succeeded it counts from the policy's creation, and so it does for a success that came earlier. */
static uint64_t overdue_ms_of(const struct schedule_image *image)
{
    uint64_t since_ms = image->policy.created_ms;
    if (image->policy.policy.expected_every_ms == 0) {
        return UINT64_MAX;
    }
    if (image->has_success && image->last_success_ms > since_ms) {
        since_ms = image->last_success_ms;
    }
    return since_ms + image->policy.policy.expected_every_ms;
}

struct policy_view policy_view_of(const struct schedule_draft *draft)
{
    CHECK(draft->image.has_policy);
    struct policy_view view = {
        .schedule_id = draft->image.id,
        .policy = draft->image.policy.policy,
        .has_success = draft->image.has_success,
        .last_success_wall_ms = draft->image.last_success_wall_ms,
        .overdue_ms = overdue_ms_of(&draft->image),
    };
    return view;
}

static int compare_ends(const void *left, const void *right)
{
    const struct grant_view *a = left;
    const struct grant_view *b = right;
    if (a->remaining_ms != b->remaining_ms) {
        return a->remaining_ms < b->remaining_ms ? -1 : 1;
    }
    return (a->token > b->token) - (a->token < b->token);
}

size_t grant_views_of(const struct lock_table *table, struct schedule_draft *draft,
                      struct grant_view views[LIMIT_SLOTS])
{
    size_t n = draft->image.n_grants;
    for (size_t i = 0; i < n; i++) {
        views[i] = grant_view_of(table, draft, &draft->grants[i]);
    }
    if (n > 1) {
        qsort(views, n, sizeof views[0], compare_ends);
    }
    return n;
}

void outcome_set_run(struct outcome *outcome, const struct schedule_draft *draft, const struct run_image *run)
{
    if (run != NULL) {
        outcome->has_run = true;
        outcome->run = run_view_of(draft, run);
    }
}

void outcome_set_grant(struct outcome *outcome, const struct lock_table *table, struct schedule_draft *draft,
                       const struct grant_image *grant)
{
    outcome->has_grant = true;
    outcome->grant = grant_view_of(table, draft, grant);
}

void outcome_set_holders(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft)
{
    outcome->n_holders = grant_views_of(table, draft, table->outcome_holders);
    outcome->holders = table->outcome_holders;
    for (size_t i = 0; i < outcome->n_holders; i++) {
        table->outcome_holders[i].metadata = (struct slice){0};
    }
}

void outcome_refuse_lost(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft,
                         const struct run_image *run)
{
    outcome->code = OUTCOME_LOCK_LOST;
    outcome_set_run(outcome, draft, run);
    if (draft->image.n_grants > 0) {
        struct schedule_due first = schedule_image_due(&draft->image);
        table->outcome_holders[0] = grant_view_of(table, draft, draft_find_grant(draft, first.token));
        table->outcome_holders[0].metadata = (struct slice){0};
        outcome->holders = table->outcome_holders;
        outcome->n_holders = 1;
    }
}

struct slice text_keep(uint8_t *at, struct slice text)
{
    if (!slice_is_present(text)) {
        return text;
    }
    if (text.len > 0) {
        memcpy(at, text.base, text.len);
    }
    return (struct slice){.base = at, .len = text.len};
}

void outcome_refuse_field(struct outcome *outcome, const char *field)
{
    outcome->code = OUTCOME_INVALID_FIELD;
    outcome->field = field;
}

/* Runs stand in the order of their grants; the newest that ended is the one that ended last. */
static const struct run_image *last_ended(const struct schedule_image *image)
{
    const struct run_image *last = NULL;
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        if (run->outcome != RUN_RUNNING && (last == NULL || run->ended_ms >= last->ended_ms)) {
            last = run;
        }
    }
    return last;
}

void lock_table_view(struct lock_table *table, struct slice schedule_id, struct schedule_view *view)
{
    *view = (struct schedule_view){.frozen = lock_table_is_frozen(table, schedule_id)};
    const struct table_node *node = table_find(table, schedule_id);
    if (node == NULL) {
        return;
    }
    schedule_unpack(node->schedule, &table->draft);
    view->n_holders = grant_views_of(table, &table->draft, table->view_holders);
    view->holders = table->view_holders;
    const struct run_image *last = last_ended(&table->draft.image);
    if (last != NULL) {
        view->has_last_run = true;
        view->last_run = run_view_of(&table->draft, last);
    }
}

bool lock_table_policy(struct lock_table *table, struct slice schedule_id, struct policy_view *view)
{
    (void)table_open_draft(table, schedule_id);
    if (!table->draft.image.has_policy) {
        return false;
    }
    *view = policy_view_of(&table->draft);
    return true;
}

size_t lock_table_runs(struct lock_table *table, struct slice schedule_id, size_t max, struct run_view *runs)
{
    (void)table_open_draft(table, schedule_id);
    const struct schedule_image *image = &table->draft.image;
    size_t n = 0;
    for (size_t i = image->n_runs; i-- > 0 && n < max;) {
        runs[n++] = run_view_of(&table->draft, &image->runs[i]);
    }
    return n;
}

/* ---- how long a job takes ---- */

static bool run_says_how_long(const struct run_image *run)
{
    return run->outcome == RUN_SUCCEEDED || run->outcome == RUN_FAILED || run->outcome == RUN_EXPIRED;
}

static int compare_durations(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* The smallest duration that is at least as long as so many in a hundred. */
static uint64_t nearest_rank(const uint64_t *sorted, size_t n, size_t percent)
{
    return sorted[(n * percent + 99) / 100 - 1];
}

void lock_table_statistics(struct lock_table *table, struct slice schedule_id, struct schedule_statistics *statistics)
{
    uint64_t durations[DRAFT_RUNS];
    const struct run_image *last = NULL;
    size_t n = 0;
    (void)table_open_draft(table, schedule_id);
    const struct schedule_image *image = &table->draft.image;
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        if (run_says_how_long(run)) {
            durations[n++] = run->ended_ms - run->granted_ms;
            last = last == NULL || run->ended_ms >= last->ended_ms ? run : last;
        }
    }
    *statistics = (struct schedule_statistics){.n_runs = n};
    if (n == 0) {
        return;
    }
    qsort(durations, n, sizeof durations[0], compare_durations);
    statistics->p50_ms = nearest_rank(durations, n, 50);
    statistics->p95_ms = nearest_rank(durations, n, 95);
    statistics->p99_ms = nearest_rank(durations, n, 99);
    statistics->last_ms = last->ended_ms - last->granted_ms;
}
