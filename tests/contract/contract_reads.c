#include "contract_trial.h"
#include "contract_universe.h"

#include "base/limits.h"

#include <string.h>

enum { PAGE = 16 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- one schedule ---- */

/* The one that ended last, of several the newest. NULL: none. */
static const struct contract_run *last_ended(const struct contract_trial *trial, const char *schedule)
{
    const struct contract_run *runs;
    const struct contract_run *last = NULL;
    size_t n = contract_model_runs(trial->model, schedule, &runs);
    for (size_t i = 0; i < n; i++) {
        if (runs[i].outcome != CONTRACT_RUNNING && (last == NULL || runs[i].ended_ms >= last->ended_ms)) {
            last = &runs[i];
        }
    }
    return last;
}

static bool same_view(struct contract_trial *trial, const char *schedule)
{
    struct schedule_view view;
    const struct contract_run *holders[CONTRACT_SLOTS];
    size_t n = contract_model_holders(trial->model, schedule, holders);
    lock_table_view(trial->table, slice_of(schedule), &view);
    if (!contract_same_number(trial, "view.holders", view.n_holders, n) ||
        !contract_same_number(trial, "view.frozen", view.frozen, contract_model_is_frozen(trial->model, schedule)) ||
        !contract_same_number(trial, "is frozen", lock_table_is_frozen(trial->table, slice_of(schedule)),
                              view.frozen)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < n && holders[j]->token != view.holders[i].token) {
            j++;
        }
        if (!contract_same_number(trial, "view.holder is known", j < n, true) ||
            !contract_same_number(trial, "view.holder ends in order", holders[j]->deadline_ms,
                                  holders[i]->deadline_ms) ||
            !contract_same_grant(trial, &view.holders[i], holders[j], true)) {
            return false;
        }
    }
    const struct contract_run *last = last_ended(trial, schedule);
    return contract_same_number(trial, "view has a last run", view.has_last_run, last != NULL) &&
           (last == NULL || contract_same_run(trial, &view.last_run, last));
}

static bool same_runs(struct contract_trial *trial, const char *schedule)
{
    static struct run_view views[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    const struct contract_run *runs;
    size_t n_runs = contract_model_runs(trial->model, schedule, &runs);
    size_t n = lock_table_runs(trial->table, slice_of(schedule), COUNT(views), views);
    if (!contract_same_number(trial, "runs kept", n, n_runs)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!contract_same_run(trial, &views[i], &runs[n - 1 - i])) {
            return false;
        }
    }
    return true;
}

static bool same_statistics(struct contract_trial *trial, const char *schedule)
{
    struct schedule_statistics table;
    struct contract_durations model;
    lock_table_statistics(trial->table, slice_of(schedule), &table);
    contract_model_durations(trial->model, schedule, &model);
    return contract_same_number(trial, "statistics.n_runs", table.n_runs, model.n_runs) &&
           (model.n_runs == 0 || (contract_same_number(trial, "duration_p50_ms", table.p50_ms, model.p50_ms) &&
                                  contract_same_number(trial, "duration_p95_ms", table.p95_ms, model.p95_ms) &&
                                  contract_same_number(trial, "duration_p99_ms", table.p99_ms, model.p99_ms) &&
                                  contract_same_number(trial, "last duration", table.last_ms, model.last_ms)));
}

static bool same_policy(struct contract_trial *trial, const char *schedule)
{
    struct policy_view view;
    struct contract_policy_answer policy;
    bool has_policy = contract_model_policy(trial->model, schedule, &policy);
    return contract_same_number(trial, "policy is there", lock_table_policy(trial->table, slice_of(schedule), &view),
                                has_policy) &&
           (!has_policy || contract_same_policy(trial, &view, &policy, schedule));
}

/* ---- lists ---- */

/* The next grant behind a place; NULL: none. The place is a schedule (its number), and a token in it. */
static const struct contract_run *next_grant(const struct contract_trial *trial, const struct list_query *query,
                                             size_t *schedule, uint64_t *token)
{
    for (; *schedule < COUNT(universe_schedules); (*schedule)++, *token = 0) {
        const char *id = universe_schedules[*schedule];
        const struct contract_run *runs;
        size_t n = contract_model_runs(trial->model, id, &runs);
        for (size_t i = 0; i < n; i++) {
            bool is_asked_for =
                (!slice_is_present(query->prefix) ||
                 strncmp(id, (const char *)query->prefix.base, query->prefix.len) == 0) &&
                (!slice_is_present(query->holder) || slice_equal(query->holder, slice_of(runs[i].body.holder)));
            if (runs[i].has_slot && runs[i].token > *token && is_asked_for) {
                *token = runs[i].token;
                return &runs[i];
            }
        }
    }
    return NULL;
}

static bool same_page(struct contract_trial *trial, const struct list_query *query, size_t *schedule, uint64_t *token,
                      enum list_rest *rest)
{
    struct grant_view views[PAGE];
    size_t n = lock_table_list_locks(trial->table, query, views, rest);
    for (size_t i = 0; i < n; i++) {
        const struct contract_run *run = next_grant(trial, query, schedule, token);
        if (!contract_same_number(trial, "a listed lock", views[i].token, run == NULL ? 0 : run->token) ||
            !contract_same_grant(trial, &views[i], run, true)) {
            return false;
        }
    }
    size_t next_schedule = *schedule;
    uint64_t next_token = *token;
    const struct contract_run *next = next_grant(trial, query, &next_schedule, &next_token);
    enum list_rest expected = next == NULL                 ? LIST_REST_NONE
                              : next_schedule == *schedule ? LIST_REST_SAME
                                                           : LIST_REST_OTHERS;
    trial->tallies.pages++;
    return contract_same_number(trial, "locks of a page", n < query->limit && next != NULL, false) &&
           contract_same_number(trial, "rest of a page", *rest, expected);
}

/* All pages, one after the other. */
static bool same_locks(struct contract_trial *trial, const struct contract_record *record)
{
    static const char *const prefixes[] = {NULL, "db-", "web", "w", "db-b", "x"};
    static const char *const holders[] = {NULL, NULL, "h1", "h2"};
    struct list_query query = {.prefix = slice_of(prefixes[(unsigned)record->id % COUNT(prefixes)]),
                               .holder = slice_of(holders[(unsigned)record->id / 7 % COUNT(holders)]),
                               .limit = 1 + (size_t)record->id / 3 % 5};
    size_t schedule = 0;
    uint64_t token = 0;
    enum list_rest rest = LIST_REST_OTHERS;
    while (rest != LIST_REST_NONE) {
        if (!same_page(trial, &query, &schedule, &token, &rest)) {
            return false;
        }
        query.after_id = slice_of(schedule < COUNT(universe_schedules) ? universe_schedules[schedule] : NULL);
        query.after_token = rest == LIST_REST_SAME ? token : 0;
    }
    return true;
}

static bool same_policies(struct contract_trial *trial)
{
    struct policy_view views[PAGE];
    bool more;
    size_t n = lock_table_list_policies(trial->table, &(struct list_query){.limit = PAGE}, views, &more);
    size_t at = 0;
    for (size_t i = 0; i < COUNT(universe_schedules); i++) {
        struct contract_policy_answer policy;
        if (contract_model_policy(trial->model, universe_schedules[i], &policy) &&
            (!contract_same_number(trial, "a listed policy is missing", at < n, true) ||
             !contract_same_policy(trial, &views[at++], &policy, universe_schedules[i]))) {
            return false;
        }
    }
    return contract_same_number(trial, "listed policies", n, at) && contract_same_number(trial, "more", more, false);
}

static bool same_groups(struct contract_trial *trial)
{
    struct group_view views[PAGE];
    struct group_view view;
    bool more;
    size_t n = lock_table_list_groups(trial->table, &(struct list_query){.limit = PAGE}, views, &more);
    size_t at = 0;
    for (size_t i = 0; i < COUNT(universe_groups); i++) {
        struct contract_group_answer group;
        bool is_there = contract_model_group(trial->model, universe_groups[i], &group);
        if (!contract_same_number(trial, "group is there",
                                  lock_table_group(trial->table, slice_of(universe_groups[i]), &view), is_there) ||
            (is_there &&
             (!contract_same_number(trial, "a listed group is missing", at < n, true) ||
              !contract_same_group(trial, &view, &group) || !contract_same_group(trial, &views[at++], &group)))) {
            return false;
        }
    }
    return contract_same_number(trial, "listed groups", n, at) && contract_same_number(trial, "more", more, false);
}

static bool same_freezes(struct contract_trial *trial)
{
    struct freeze_view views[PAGE];
    struct freeze_view view;
    bool more;
    size_t n = lock_table_list_freezes(trial->table, &(struct list_query){.limit = PAGE}, views, &more);
    size_t at = 0;
    for (size_t i = 0; i < COUNT(universe_scopes); i++) {
        struct contract_freeze freeze;
        bool is_there = contract_model_freeze(trial->model, universe_scopes[i], &freeze);
        if (!contract_same_number(trial, "freeze is there",
                                  lock_table_freeze_of(trial->table, slice_of(universe_scopes[i]), &view), is_there) ||
            (is_there &&
             (!contract_same_number(trial, "a listed freeze is missing", at < n, true) ||
              !contract_same_freeze(trial, &view, &freeze) || !contract_same_freeze(trial, &views[at++], &freeze)))) {
            return false;
        }
    }
    return contract_same_number(trial, "listed freezes", n, at) && contract_same_number(trial, "more", more, false);
}

bool contract_same_reads(struct contract_trial *trial, const struct contract_record *record)
{
    const char *schedule = universe_schedules[(unsigned)record->id % COUNT(universe_schedules)];
    return contract_same_counts(trial) && same_view(trial, schedule) && same_runs(trial, schedule) &&
           same_statistics(trial, schedule) && same_policy(trial, schedule) && same_locks(trial, record) &&
           same_policies(trial) && same_groups(trial) && same_freezes(trial);
}
