#include "contract_model_private.h"

#include <stdlib.h>
#include <string.h>

/* For those who only read. */
static const struct contract_schedule *schedule_of(const struct contract_model *model, const char *id)
{
    return model_schedule((struct contract_model *)model, id);
}

void contract_model_count(const struct contract_model *model, struct contract_counts *counts)
{
    *counts = model->counts;
    counts->now_ms = model->now_ms;
    counts->wall_ms = model->wall_ms;
    counts->next_token = model->next_token;
    counts->next_end_ms = UINT64_MAX;
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        const struct contract_schedule *schedule = &model->schedules[i];
        counts->schedules += schedule->id[0] != '\0';
        counts->policies += schedule->has_policy;
        counts->held += model_live(schedule);
        for (size_t j = 0; j < schedule->n_runs; j++) {
            const struct contract_run *run = &schedule->runs[j];
            if (run->has_slot && run->deadline_ms < counts->next_end_ms) {
                counts->next_end_ms = run->deadline_ms;
            }
        }
    }
    for (int i = 0; i < CONTRACT_GROUPS; i++) {
        counts->groups += model->groups[i].name[0] != '\0';
    }
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        const struct contract_freeze *freeze = &model->freezes[i];
        counts->freezes += freeze->scope[0] != '\0';
        if (freeze->scope[0] != '\0' && freeze->deadline_ms < counts->next_end_ms) {
            counts->next_end_ms = freeze->deadline_ms;
        }
    }
}

static size_t insert_name(const char **names, size_t n, const char *name)
{
    if (name[0] == '\0') {
        return n;
    }
    size_t at = n;
    for (; at > 0 && strcmp(names[at - 1], name) > 0; at--) {
        names[at] = names[at - 1];
    }
    names[at] = name;
    return n + 1;
}

size_t contract_model_schedules(const struct contract_model *model, const char *ids[CONTRACT_SCHEDULES])
{
    size_t n = 0;
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        n = insert_name(ids, n, model->schedules[i].id);
    }
    return n;
}

size_t contract_model_groups(const struct contract_model *model, const char *names[CONTRACT_GROUPS])
{
    size_t n = 0;
    for (int i = 0; i < CONTRACT_GROUPS; i++) {
        n = insert_name(names, n, model->groups[i].name);
    }
    return n;
}

size_t contract_model_freezes(const struct contract_model *model, const char *scopes[CONTRACT_FREEZES])
{
    size_t n = 0;
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        n = insert_name(scopes, n, model->freezes[i].scope);
    }
    return n;
}

size_t contract_model_runs(const struct contract_model *model, const char *schedule, const struct contract_run **runs)
{
    const struct contract_schedule *found = schedule_of(model, schedule);
    *runs = found == NULL ? NULL : found->runs;
    return found == NULL ? 0 : found->n_runs;
}

size_t contract_model_holders(const struct contract_model *model, const char *schedule,
                              const struct contract_run *holders[CONTRACT_SLOTS])
{
    const struct contract_schedule *found = schedule_of(model, schedule);
    size_t n = 0;
    for (size_t i = 0; found != NULL && i < found->n_runs; i++) {
        const struct contract_run *run = &found->runs[i];
        if (!run->has_slot) {
            continue;
        }
        MODEL_CHECK(n < CONTRACT_SLOTS);
        size_t at = n++;
        for (; at > 0 && holders[at - 1]->deadline_ms > run->deadline_ms; at--) {
            holders[at] = holders[at - 1];
        }
        holders[at] = run;
    }
    return n;
}

bool contract_model_policy(const struct contract_model *model, const char *schedule,
                           struct contract_policy_answer *policy)
{
    const struct contract_schedule *found = schedule_of(model, schedule);
    if (found == NULL || !found->has_policy) {
        return false;
    }
    uint64_t since_ms = found->created_ms;
    if (found->has_success && found->last_success_ms > since_ms) {
        since_ms = found->last_success_ms;
    }
    *policy = (struct contract_policy_answer){.policy = found->policy,
                                              .has_success = found->has_success,
                                              .last_success_wall_ms = found->last_success_wall_ms,
                                              .overdue_ms = UINT64_MAX};
    if (found->policy.expected_every_ms != 0) {
        policy->overdue_ms = since_ms + found->policy.expected_every_ms;
    }
    return true;
}

bool contract_model_group(const struct contract_model *model, const char *name, struct contract_group_answer *group)
{
    const struct contract_group *found = model_group((struct contract_model *)model, name);
    if (found == NULL) {
        return false;
    }
    const struct contract_run *grants[CONTRACT_GRANTS];
    *group = (struct contract_group_answer){.group = *found, .held = model_group_grants(model, name, grants)};
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        group->schedules += model->schedules[i].has_policy && model_text_equal(model->schedules[i].policy.group, name);
    }
    return true;
}

bool contract_model_freeze(const struct contract_model *model, const char *scope, struct contract_freeze *freeze)
{
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        if (model_text_equal(model->freezes[i].scope, scope)) {
            *freeze = model->freezes[i];
            return true;
        }
    }
    return false;
}

bool contract_model_is_frozen(const struct contract_model *model, const char *schedule)
{
    return model_freeze_of(model, schedule) != NULL;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* The smallest one that `percent` of all are not above. */
static uint64_t nearest_rank(const uint64_t *sorted, size_t n, size_t percent)
{
    size_t rank = 1;
    while (rank * 100 < percent * n) {
        rank++;
    }
    return sorted[rank - 1];
}

void contract_model_durations(const struct contract_model *model, const char *schedule,
                              struct contract_durations *durations)
{
    const struct contract_run *runs;
    size_t n_runs = contract_model_runs(model, schedule, &runs);
    uint64_t lengths[CONTRACT_KEPT_RUNS + CONTRACT_SLOTS + 1];
    uint64_t last_ended_ms = 0;
    *durations = (struct contract_durations){0};
    for (size_t i = 0; i < n_runs; i++) {
        enum contract_result outcome = runs[i].outcome;
        if (outcome == CONTRACT_SUCCEEDED || outcome == CONTRACT_FAILED || outcome == CONTRACT_EXPIRED) {
            lengths[durations->n_runs++] = runs[i].ended_ms - runs[i].granted_ms;
            if (runs[i].ended_ms >= last_ended_ms) {
                last_ended_ms = runs[i].ended_ms;
                durations->last_ms = runs[i].ended_ms - runs[i].granted_ms;
            }
        }
    }
    if (durations->n_runs > 0) {
        qsort(lengths, durations->n_runs, sizeof lengths[0], compare_numbers);
        durations->p50_ms = nearest_rank(lengths, durations->n_runs, 50);
        durations->p95_ms = nearest_rank(lengths, durations->n_runs, 95);
        durations->p99_ms = nearest_rank(lengths, durations->n_runs, 99);
    }
}

uint64_t contract_model_free_slots(const struct contract_model *model, const char *schedule)
{
    const struct contract_schedule *found = schedule_of(model, schedule);
    uint64_t slots = found != NULL && found->has_policy ? found->policy.slots : 1;
    uint64_t live = found == NULL ? 0 : model_live(found);
    uint64_t free_slots = slots > live ? slots - live : 0;
    struct contract_group_answer group;
    if (found != NULL && found->has_policy && found->policy.group[0] != '\0' &&
        contract_model_group(model, found->policy.group, &group)) {
        uint64_t of_group = group.group.slots > group.held ? group.group.slots - group.held : 0;
        free_slots = of_group < free_slots ? of_group : free_slots;
    }
    return free_slots;
}

const char *contract_result_name(enum contract_result result)
{
    static const char *const names[] = {"none", "running", "succeeded", "failed", "abandoned", "expired", "revoked"};
    return names[result];
}
