/* The model's inside: its state, and what its commands share. */
#ifndef BATON_TESTS_CORE_MODEL_PRIVATE_H
#define BATON_TESTS_CORE_MODEL_PRIVATE_H

#include "model.h"

struct model_memory {
    struct model_occurrence occurrence;
    uint32_t attempts;
    bool succeeded;
    uint64_t last_token;
};

struct model_schedule {
    struct model_run runs[MODEL_RUNS + 1]; /* those that are kept, in the order of their tokens */
    int n_runs;
    struct model_memory memories[MODEL_OCCURRENCES + MODEL_SLOTS + 1]; /* oldest first */
    int n_memories;
    bool has_floor;
    int64_t floor;
    bool has_policy;
    struct model_policy policy;
    uint64_t policy_since_ms;
    uint64_t idle_since_ms; /* neither lock nor policy */
    bool has_success;
    uint64_t last_success_ms;
};

struct model_group {
    bool exists;
    uint32_t slots;
};

struct model {
    struct model_schedule schedules[MODEL_SCHEDULES];
    struct model_group groups[MODEL_GROUPS + 1]; /* the first is none */
    struct model_freeze freezes[MODEL_SCOPES];
    struct model_event events[MODEL_EVENTS];
    int n_events;
    bool events_were_taken;
    uint64_t now_ms;
    uint64_t next_token;
    uint64_t forgotten;
    uint64_t expired;
    uint64_t thawed;
};

/* NULL: there is none. */
struct model_run *find_run(struct model_schedule *schedule, uint64_t token);
struct model_run *find_slot(struct model_schedule *schedule, uint64_t token); /* a run that has one */
struct model_run *ends_first(struct model_schedule *schedule);
struct model_memory *find_memory(struct model_schedule *schedule, const struct model_occurrence *occurrence);
int count_slots(const struct model_schedule *schedule);
bool same_occurrence(const struct model_occurrence *a, const struct model_occurrence *b);
const struct model_policy *policy_of(const struct model_schedule *schedule);
uint64_t group_held(const struct model *model, int group);
uint64_t group_schedules(const struct model *model, int group);
int scope_over(const struct model *model, int schedule); /* that ends last, and of these the widest; -1: none */

void tell(struct model *model, struct model_event event);
void tell_run(struct model *model, const struct model_run *run, enum event_kind kind);

void note_success(struct model *model, struct model_schedule *schedule, const struct model_run *run);
void end_run(struct model *model, struct model_schedule *schedule, struct model_run *run, enum run_outcome outcome);
void free_slot(struct model *model, struct model_schedule *schedule, struct model_run *run);
/* What is over the limits; but not the run that ended just now (0: none). */
void forget_more(struct model_schedule *schedule, uint64_t ended_token);

#endif
