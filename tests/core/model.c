/* The model's state: what is found, ends and is forgotten in it. */
#include "model_private.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t forget_after_ms = 40ull * 24 * 3600 * 1000;
static const struct model_policy policy_by_default = {
    .margin_ms = 30ull * 1000, .longest_ttl_ms = 7ull * 24 * 3600 * 1000, .slots = 1, .max_attempts = 1};

struct model *model_open(void)
{
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL);
    model->next_token = 1;
    return model;
}

void model_close(struct model *model)
{
    free(model);
}

/* ---- finding ---- */

struct model_run *find_run(struct model_schedule *schedule, uint64_t token)
{
    for (int i = 0; i < schedule->n_runs; i++) {
        if (schedule->runs[i].token == token) {
            return &schedule->runs[i];
        }
    }
    return NULL;
}

struct model_run *find_slot(struct model_schedule *schedule, uint64_t token)
{
    struct model_run *run = find_run(schedule, token);
    return run != NULL && run->has_slot ? run : NULL;
}

int count_slots(const struct model_schedule *schedule)
{
    int n = 0;
    for (int i = 0; i < schedule->n_runs; i++) {
        n += schedule->runs[i].has_slot;
    }
    return n;
}

struct model_run *ends_first(struct model_schedule *schedule)
{
    struct model_run *first = NULL;
    for (int i = 0; i < schedule->n_runs; i++) {
        struct model_run *run = &schedule->runs[i];
        if (run->has_slot && (first == NULL || run->deadline_ms < first->deadline_ms)) {
            first = run;
        }
    }
    return first;
}

bool same_occurrence(const struct model_occurrence *a, const struct model_occurrence *b)
{
    return a->kind == b->kind && (a->kind == MODEL_NO_OCCURRENCE || a->number == b->number);
}

struct model_memory *find_memory(struct model_schedule *schedule, const struct model_occurrence *occurrence)
{
    for (int i = 0; i < schedule->n_memories; i++) {
        if (same_occurrence(&schedule->memories[i].occurrence, occurrence)) {
            return &schedule->memories[i];
        }
    }
    return NULL;
}

uint64_t group_held(const struct model *model, int group)
{
    uint64_t n = 0;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        for (int j = 0; j < model->schedules[i].n_runs; j++) {
            n += model->schedules[i].runs[j].has_slot && model->schedules[i].runs[j].group == group;
        }
    }
    return n;
}

uint64_t group_schedules(const struct model *model, int group)
{
    uint64_t n = 0;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        n += model->schedules[i].has_policy && model->schedules[i].policy.group == group;
    }
    return n;
}

static bool is_in_scope(int scope, int schedule)
{
    switch (scope) {
    case MODEL_ALL:
    case MODEL_ALL_BY_PREFIX:
        return true;
    case MODEL_FROM_ONE: /* 1, 10, 11 … */
        return schedule == 1 || schedule >= 10;
    default:
        return scope - MODEL_ONE_SCHEDULE == schedule;
    }
}

int scope_over(const struct model *model, int schedule)
{
    int last = -1;
    for (int scope = 0; scope < MODEL_SCOPES; scope++) {
        if (model->freezes[scope].exists && is_in_scope(scope, schedule) &&
            (last < 0 || model->freezes[scope].deadline_ms > model->freezes[last].deadline_ms)) {
            last = scope;
        }
    }
    return last;
}

static bool is_remembered(const struct model_schedule *schedule)
{
    return schedule->has_policy || schedule->n_runs > 0;
}

const struct model_policy *policy_of(const struct model_schedule *schedule)
{
    return schedule->has_policy ? &schedule->policy : &policy_by_default;
}

/* ---- forgetting ---- */

/* Kept are the runs with a slot, one of which counts as one of the 16, and the last of the others to end; but also the
 * newest of all, and the one that ended just now. */
static void forget_runs(struct model_schedule *schedule, uint64_t ended_token)
{
    while (schedule->n_runs > MODEL_KEPT_RUNS && schedule->n_runs - count_slots(schedule) >= MODEL_KEPT_RUNS) {
        int first = -1;
        for (int i = 0; i < schedule->n_runs - 1; i++) {
            const struct model_run *run = &schedule->runs[i];
            if (!run->has_slot && run->token != ended_token &&
                (first < 0 || run->ended_ms < schedule->runs[first].ended_ms)) {
                first = i;
            }
        }
        schedule->n_runs--;
        memmove(&schedule->runs[first], &schedule->runs[first + 1],
                (size_t)(schedule->n_runs - first) * sizeof schedule->runs[0]);
    }
}

/* The first to be forgotten of those that nobody runs: the earliest instant, or else the oldest string. */
static int first_memory(struct model_schedule *schedule)
{
    int first = -1;
    for (int i = 0; i < schedule->n_memories; i++) {
        const struct model_memory *candidate = &schedule->memories[i];
        if (find_slot(schedule, candidate->last_token) != NULL) {
            continue;
        }
        const struct model_occurrence *best = first < 0 ? NULL : &schedule->memories[first].occurrence;
        if (best == NULL || (candidate->occurrence.kind == MODEL_INSTANT &&
                             (best->kind == MODEL_STRING || candidate->occurrence.number < best->number))) {
            first = i;
        }
    }
    return first;
}

static void forget_occurrences(struct model_schedule *schedule)
{
    for (;;) {
        int live = 0;
        for (int i = 0; i < schedule->n_memories; i++) {
            live += find_slot(schedule, schedule->memories[i].last_token) != NULL;
        }
        if (schedule->n_memories <= MODEL_OCCURRENCES || schedule->n_memories - live < MODEL_OCCURRENCES) {
            return;
        }
        int first = first_memory(schedule);
        const struct model_occurrence *gone = &schedule->memories[first].occurrence;
        if (gone->kind == MODEL_INSTANT && (!schedule->has_floor || gone->number > schedule->floor)) {
            schedule->has_floor = true;
            schedule->floor = gone->number;
        }
        schedule->n_memories--;
        memmove(&schedule->memories[first], &schedule->memories[first + 1],
                (size_t)(schedule->n_memories - first) * sizeof schedule->memories[0]);
    }
}

void forget_more(struct model_schedule *schedule, uint64_t ended_token)
{
    forget_runs(schedule, ended_token);
    forget_occurrences(schedule);
}

/* ---- what happens ---- */

void tell(struct model *model, struct model_event event)
{
    if (model->events_were_taken) {
        model->n_events = 0;
        model->events_were_taken = false;
    }
    CHECK(model->n_events < MODEL_EVENTS);
    model->events[model->n_events++] = event;
}

void tell_run(struct model *model, const struct model_run *run, enum event_kind kind)
{
    bool is_grant = kind == EVENT_GRANTED || kind == EVENT_RENEWED;
    struct model_event event = {.kind = kind, .subject = run->ask.schedule, .token = run->token, .group = run->group};
    event.outcome = is_grant ? RUN_RUNNING : run->outcome;
    event.late_outcome = is_grant ? 0 : run->late_outcome;
    tell(model, event);
}

int model_events(struct model *model, const struct model_event **events)
{
    *events = model->events;
    int n = model->events_were_taken ? 0 : model->n_events;
    model->events_were_taken = true;
    return n;
}

/* ---- ends ---- */

void note_success(struct model *model, struct model_schedule *schedule, const struct model_run *run)
{
    schedule->has_success = true;
    schedule->last_success_ms = model->now_ms;
    struct model_memory *memory = find_memory(schedule, &run->ask.occurrence);
    if (memory != NULL && memory->last_token == run->token) {
        memory->succeeded = true;
    }
}

void end_run(struct model *model, struct model_schedule *schedule, struct model_run *run, enum run_outcome outcome)
{
    run->outcome = outcome;
    run->ended_ms = model->now_ms;
    struct model_memory *memory = find_memory(schedule, &run->ask.occurrence);
    if (outcome == RUN_SUCCEEDED) {
        note_success(model, schedule, run);
    }
    if (memory != NULL && outcome == RUN_ABANDONED) {
        memory->attempts--;
    }
}

void free_slot(struct model *model, struct model_schedule *schedule, struct model_run *run)
{
    run->has_slot = false;
    schedule->idle_since_ms = model->now_ms;
}

static uint64_t forget_at_ms(const struct model_schedule *schedule)
{
    bool stays = schedule->has_policy || schedule->n_runs == 0 || count_slots(schedule) > 0;
    return stays ? UINT64_MAX : schedule->idle_since_ms + forget_after_ms;
}

/* The first of all to end, if that is over; of those that end at once the oldest. */
static struct model_run *over_first(struct model *model)
{
    struct model_run *first = NULL;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        struct model_run *run = ends_first(&model->schedules[i]);
        if (run != NULL && run->deadline_ms <= model->now_ms &&
            (first == NULL || run->deadline_ms < first->deadline_ms ||
             (run->deadline_ms == first->deadline_ms && run->token < first->token))) {
            first = run;
        }
    }
    return first;
}

static void expire(struct model *model)
{
    for (struct model_run *run = over_first(model); run != NULL; run = over_first(model)) {
        struct model_schedule *schedule = &model->schedules[run->ask.schedule];
        if (run->outcome == RUN_RUNNING) {
            end_run(model, schedule, run, RUN_EXPIRED);
            model->expired++;
        }
        tell_run(model, run, EVENT_EXPIRED);
        free_slot(model, schedule, run);
        forget_more(schedule, run->token);
    }
}

/* In the order of their bytes: '*' goes before letters and digits, and 1* is before 1. */
static int compare_scopes(int a, int b)
{
    static const char *const names[MODEL_SCOPES] = {"*",          "schedule.*",  "schedule.1*", "schedule.0",
                                                    "schedule.1", "schedule.2",  "schedule.3",  "schedule.4",
                                                    "schedule.5", "schedule.6",  "schedule.7",  "schedule.8",
                                                    "schedule.9", "schedule.10", "schedule.11"};
    return strcmp(names[a], names[b]);
}

static void thaw(struct model *model)
{
    for (;;) {
        int first = -1;
        for (int scope = 0; scope < MODEL_SCOPES; scope++) {
            const struct model_freeze *freeze = &model->freezes[scope];
            const struct model_freeze *best = first < 0 ? NULL : &model->freezes[first];
            if (freeze->exists && freeze->deadline_ms <= model->now_ms &&
                (best == NULL || freeze->deadline_ms < best->deadline_ms ||
                 (freeze->deadline_ms == best->deadline_ms && compare_scopes(scope, first) < 0))) {
                first = scope;
            }
        }
        if (first < 0) {
            return;
        }
        model->freezes[first].exists = false;
        model->thawed++;
        tell(model, (struct model_event){.kind = EVENT_FREEZE, .subject = first, .is_gone = true});
    }
}

void model_advance(struct model *model, uint64_t now_ms)
{
    model->now_ms = now_ms > model->now_ms ? now_ms : model->now_ms;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        struct model_schedule *schedule = &model->schedules[i];
        if (model->now_ms >= forget_at_ms(schedule)) {
            memset(schedule, 0, sizeof *schedule);
            model->forgotten++;
        }
    }
    expire(model);
    thaw(model);
}

/* ---- reading ---- */

struct model_counts model_count(const struct model *model)
{
    struct model_counts counts = {.forgotten = model->forgotten,
                                  .expired = model->expired,
                                  .thawed = model->thawed,
                                  .next_end_ms = UINT64_MAX,
                                  .next_lock_end_ms = UINT64_MAX};
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        const struct model_schedule *schedule = &model->schedules[i];
        counts.held += (uint64_t)count_slots(schedule);
        counts.remembered += is_remembered(schedule) ? 1 : 0;
        counts.policies += schedule->has_policy ? 1 : 0;
        for (int j = 0; j < schedule->n_runs; j++) {
            const struct model_run *run = &schedule->runs[j];
            bool is_next = run->has_slot && run->deadline_ms < counts.next_lock_end_ms;
            counts.next_lock_end_ms = is_next ? run->deadline_ms : counts.next_lock_end_ms;
        }
        uint64_t forget_ms = forget_at_ms(schedule);
        counts.next_end_ms = forget_ms < counts.next_end_ms ? forget_ms : counts.next_end_ms;
    }
    for (int i = 1; i <= MODEL_GROUPS; i++) {
        counts.groups += model->groups[i].exists;
    }
    for (int i = 0; i < MODEL_SCOPES; i++) {
        const struct model_freeze *freeze = &model->freezes[i];
        bool is_next = freeze->exists && freeze->deadline_ms < counts.next_lock_end_ms;
        counts.next_lock_end_ms = is_next ? freeze->deadline_ms : counts.next_lock_end_ms;
        counts.freezes += freeze->exists;
    }
    counts.next_end_ms = counts.next_lock_end_ms < counts.next_end_ms ? counts.next_lock_end_ms : counts.next_end_ms;
    return counts;
}

int model_runs(const struct model *model, int schedule, const struct model_run **runs)
{
    *runs = model->schedules[schedule].runs;
    return model->schedules[schedule].n_runs;
}

const struct model_policy *model_policy(const struct model *model, int schedule)
{
    return model->schedules[schedule].has_policy ? &model->schedules[schedule].policy : NULL;
}

bool model_last_success_ms(const struct model *model, int schedule, uint64_t *at_ms)
{
    *at_ms = model->schedules[schedule].last_success_ms;
    return model->schedules[schedule].has_success;
}

uint64_t model_overdue_ms(const struct model *model, int number)
{
    const struct model_schedule *schedule = &model->schedules[number];
    if (!schedule->has_policy || schedule->policy.expected_every_ms == 0) {
        return UINT64_MAX;
    }
    bool by_success = schedule->has_success && schedule->last_success_ms > schedule->policy_since_ms;
    return (by_success ? schedule->last_success_ms : schedule->policy_since_ms) + schedule->policy.expected_every_ms;
}

bool model_is_frozen(const struct model *model, int schedule)
{
    return scope_over(model, schedule) >= 0;
}

uint64_t model_free_slots(const struct model *model, int number)
{
    const struct model_schedule *schedule = &model->schedules[number];
    const struct model_policy *policy = policy_of(schedule);
    int64_t own = (int64_t)policy->slots - count_slots(schedule);
    int64_t of_group = (int64_t)model->groups[policy->group].slots - (int64_t)group_held(model, policy->group);
    int64_t least = policy->group != 0 && of_group < own ? of_group : own;
    return least > 0 ? (uint64_t)least : 0;
}
